package lifecycle

import (
	"errors"
	"slices"
	"time"
)

// conns is Connections as the engine sees it, which keeps the engine's calls
// out of the public method set.
type conns[C comparable] Connections[C]

func (c *conns[C]) conns() *Connections[C] { return (*Connections[C])(c) }

func (c *conns[C]) settled(g goal) (bool, error) {
	s := c.conns()
	closing := s.state == Closed || s.run != nil && s.run.goal == toClosed
	switch {
	case closing && g == toActive:
		return true, &StateError{s.cfg.Name, "resume", ErrClosed}
	case s.run != nil:
		return false, nil
	case s.state == Closed:
		return true, nil
	case g == toActive:
		return s.state == Active, nil
	}
	return s.state == Paused && g == toPaused, nil
}

// begun is the first instant of a transition: a pause refuses new work here.
func (c *conns[C]) begun(r *run) {
	s := c.conns()
	s.wake.ready()
	if r.goal == toActive {
		s.setState(Resuming)
		return
	}
	for _, g := range []*generation[C]{s.cur.Swap(nil), s.pending} {
		if g != nil && !slices.Contains(s.old, g) {
			s.old = append(s.old, g)
			g.shut()
		}
	}
	s.pending = nil
	s.gate.shut()
	if s.state != Paused { // else it is a Close, and there is nothing to release
		s.setState(Pausing)
	}
}

func (c *conns[C]) drive(r *run) error {
	if c.conns().goalOf(r) == toActive {
		return c.conns().reopen(r)
	}
	s := c.conns()
	s.mu.Lock()
	if s.state == Paused {
		rep := &Report{Store: s.cfg.Name, Op: r.goal.op(), Start: r.start, Generation: s.number}
		rep.fail(s.closeErr) // of a Resume that failed
		s.building, s.closeErr = rep, nil
		s.mu.Unlock()
		return rep.Err
	}
	s.mu.Unlock()
	return s.release(r)
}

func (c *conns[C]) finish(r *run, err error) (follow *run, result error) {
	s := c.conns()
	s.wake.rest()
	if r.goal == toActive {
		return c.finishResume(r, err)
	}
	rep := s.building
	s.building = nil
	rep.Total = time.Since(r.start)
	r.report = rep
	s.old = nil
	s.counts.pauses++
	if r.goal == toClosed {
		rep.Op = "close"
		s.setState(Closed)
	} else {
		s.setState(Paused)
	}
	s.report = packReport(rep)
	return nil, err
}

// finishResume lets work in. When the Resume failed, or nobody waits for it
// any more, what it opened is given back: by a pause that nobody waits for,
// unless there is nothing to give back.
func (c *conns[C]) finishResume(r *run, err error) (follow *run, result error) {
	s := c.conns()
	if err == nil && r.waiters > 0 {
		rep := s.building
		s.building = nil
		rep.Total = time.Since(r.start)
		s.report, r.report = &keptReport{full: rep}, rep
		s.counts.resumes++
		g := s.pending
		s.pending = nil
		s.lived = true
		s.gate.admit()
		s.cur.Store(g)
		s.setState(Active)
		return nil, nil
	}
	s.building = nil
	if w, _ := s.gate.writer(); s.pending == nil && len(s.old) == 0 && w == nil && !s.unfinished {
		s.setState(Paused)
		return nil, err
	}
	back := newRun(toPaused, time.Now().Add(s.cfg.Timeout))
	return back, err
}

// overtaken keeps what a pause has to tell that was past its point of no
// return: its report, and for the next pause what could not be closed.
func (c *conns[C]) overtaken(r *run) {
	s := c.conns()
	s.building = nil
	if rep := r.report; rep != nil {
		rep.Total = time.Since(r.start)
		s.report = &keptReport{full: rep}
		s.closeErr = errors.Join(s.closeErr, rep.closing)
	}
}

func (c *conns[C]) observe(from, to State, r *run) {
	s := c.conns()
	if s.cfg.Observer == nil || from == to && r == nil {
		return
	}
	e := Event{Store: s.cfg.Name, Time: time.Now(), From: from, To: to, Generation: s.Generation()}
	if r != nil {
		e.Err = r.err
		e.Report = r.report
	}
	tell(s.cfg.Observer, e)
}

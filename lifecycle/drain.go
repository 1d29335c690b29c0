package lifecycle

import (
	"context"
	"time"
)

// The first step of a pause: whoever is at work is let finish, then
// interrupted, then severed.

// drain waits until no operation runs or is being cleaned up after, no
// connection is being opened, and the gate is ours.
func (s *Connections[C]) drain(r *run, gens []*generation[C], place *turn, rep *Report) error {
	var (
		owned    = false
		backOff  = newBackOff()
		timer    = time.NewTimer(0)
		pressing bool
	)
	defer timer.Stop()
	for {
		operations, opening, returning := false, false, false
		for _, g := range gens {
			o, p := g.running()
			operations, opening = operations || o, opening || p
			returning = returning || g.returning()
		}
		if _, writerOpening := s.gate.writer(); writerOpening {
			opening = true
		}
		if !operations && !opening && !returning && owned {
			return nil
		}
		if opening && !operations {
			s.mark(r, StepOpen)
		} else {
			s.mark(r, StepDrain)
		}

		soft, hard := s.limits(r)
		switch now := time.Now(); {
		case !now.Before(hard):
			s.press(r, gens, true, rep)
			pressing = true
		case !now.Before(soft):
			s.press(r, gens, false, rep)
			pressing = true
		default: // also when there is more time than there was: see join
			pressing, backOff = false, newBackOff()
		}
		wait := time.Until(soft)
		if pressing {
			wait = backOff.next()
			if left := time.Until(hard); left > 0 && left < wait {
				wait = left
			}
		}
		timer.Reset(max(wait, 0))

		granted := place.granted
		if owned {
			granted = nil
		}
		select {
		case <-r.ctx.Done():
			if owned {
				place.granted <- nil // what release takes back
			}
			return context.Cause(r.ctx)
		case <-granted:
			owned = true
		case <-s.wake.poked():
		case <-r.hurry:
		case <-timer.C:
		}
	}
}

// limits says when interrupting and when severing begins.
func (s *Connections[C]) limits(r *run) (soft, hard time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hard = r.deadline
	switch {
	case r.expired:
		hard = r.from
	case r.patient:
		hard = time.Now().Add(s.cfg.Timeout) // never reached
		return hard, hard
	}
	soft = r.from.Add(min(s.cfg.Grace, fourFifths(hard.Sub(r.from))))
	return soft, hard
}

// fourFifths of a duration that may be as long as a duration can be.
func fourFifths(d time.Duration) time.Duration { return d - d/5 }

// press interrupts what runs, and severs it where asked. Each interrupt gets a
// goroutine of its own: a driver may block in it.
func (s *Connections[C]) press(r *run, gens []*generation[C], sever bool, rep *Report) {
	var slots []*slot[C]
	for _, g := range gens {
		slots = append(slots, g.list()...)
	}
	if w, _ := s.gate.writer(); w != nil {
		slots = append(slots, w)
	}
	for _, sl := range slots {
		word := sl.word.Load()
		op := word >> stateBits
		if word&stateMask != busy {
			continue
		}
		if !sever || !s.sever(r, sl, op, rep) {
			go s.interrupt(r, sl, op, rep)
		}
	}
}

// interrupt and sever decide under the mutex: from the moment on when it is
// overtaken, a pause picks nobody any more. While they have somebody, the pause cannot end.

func (s *Connections[C]) interrupt(r *run, sl *slot[C], op uint64, rep *Report) {
	s.mu.Lock()
	var first, ok bool
	if r.ctx.Err() == nil {
		first, ok = sl.aim(op)
	}
	if first {
		s.counts.interrupts++
		rep.Interrupts++
	}
	s.mu.Unlock()
	if ok {
		sl.fire(op)
	}
}

// sever closes the connection under the operation op. It returns false when
// that is over, or cannot be severed now.
func (s *Connections[C]) sever(r *run, sl *slot[C], op uint64, rep *Report) bool {
	severer, able := s.driver.(Severer[C])
	if !able {
		return false
	}
	s.mu.Lock()
	var hit Holder
	var ok bool
	if r.ctx.Err() == nil {
		hit, ok = sl.takeAway(op)
	}
	if ok {
		// For the error of a caller that leaves at the same moment: nothing is
		// held by it any more, but it is what took the time.
		r.severed = append(r.severed, hit)
		s.counts.severed++
		rep.Severed++
	}
	s.mu.Unlock()
	if ok {
		s.driverSever(severer, sl.conn, sl.afterSever)
	}
	return ok
}

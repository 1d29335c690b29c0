package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// engine drives something towards its latest goal. Connections, groups and the
// Controller stand on it.
//
// A call sets the goal, or joins the run that is already under way to it, and
// waits under its own context. A new goal overtakes the run under way: that
// run's context is cancelled with ErrSuperseded, its callers return at once,
// and the new run begins as soon as the old one has left. There is one
// goroutine, and only while there is a run.
type engine struct {
	name    string // in errors; set before use
	mu      sync.Mutex
	state   State
	told    State // the state that the observer knows; belongs to the loop
	renew   bool  // hands its time down, so a pause that every caller left is begun anew by the next; set before use
	looping bool
	run     *run // towards the goal; nil at rest
	driven  *run // the one that the loop is in, which may have been overtaken
	feed    feed
}

// mover is what the engine drives.
type mover interface {
	// settled says, under the mutex, whether there is nothing to do for g.
	settled(g goal) (bool, error)
	// begun is called under the mutex when r becomes the run.
	begun(r *run)
	// drive does the work. It returns soon when r.ctx ends.
	drive(r *run) error
	// finish sets the state under the mutex, when r was not overtaken. It may
	// change err, and name a run that follows without anybody asking.
	finish(r *run, err error) (follow *run, result error)
	// overtaken is called under the mutex instead of finish, when r was.
	overtaken(r *run)
	// observe is called with no lock after every change that the loop sees; r is nil where none has ended.
	observe(from, to State, r *run)
}

// leaveFunc makes the error of a caller whose time ended before r did. It is called with no lock held.
type leaveFunc func(r *run, cause error) error

// call makes g the goal and waits for it. timeout bounds the waiting where ctx has no deadline; 0 does not.
func (e *engine) call(ctx context.Context, m mover, g goal, timeout time.Duration, leave leaveFunc) error {
	e.mu.Lock()
	if done, err := m.settled(g); done {
		e.mu.Unlock()
		return err
	}
	r := e.aim(m, g, ctx.Err() != nil)
	limit := r.join(ctx, g, timeout)
	e.mu.Unlock()

	var after <-chan time.Time
	if _, has := ctx.Deadline(); !has && timeout > 0 {
		timer := time.NewTimer(time.Until(limit))
		defer timer.Stop()
		after = timer.C
	}
	var cause error
	select {
	case <-r.done:
		return r.err
	case <-r.ctx.Done():
		return e.overtaken(r)
	case <-ctx.Done():
		cause = endOf(ctx)
	case <-after:
		cause = fmt.Errorf("the time-out of %v: %w", timeout, context.DeadlineExceeded)
	}

	err := leave(r, cause)
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.ended { // the end came together with the deadline
		return r.err
	}
	r.waiters--
	if g == toActive {
		r.firm--
	}
	if r.ctx.Err() != nil {
		return e.superseded(r)
	}
	switch {
	case r.goal.pausing():
		// Whoever only left because a group around it was overtaken interrupts nobody.
		switch {
		case !errors.Is(cause, ErrSuperseded):
			r.expire()
		case r.waiters > 0:
		case e.renew: // and tells nobody further
			r.deserted = true
			r.cancel(ErrSuperseded)
		default:
			r.patient = true
			r.push()
		}
		if r.waiters == 0 {
			e.feed.wake() // who lets a Pause come first that somebody waits for need not any longer
		}
	case r.waiters == 0:
		r.deserted = true
		r.cancel(cause)
	case r.firm == 0 && r.goal == toActive: // only Holds are left: an error means that it is not active by this call
		r.goal = toHeld
	}
	return err
}

// overtaken is what a caller returns whose run's context ended: the run may have ended well at the same moment.
func (e *engine) overtaken(r *run) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.ended {
		return r.err
	}
	return e.superseded(r)
}

func (e *engine) superseded(r *run) error {
	return &StateError{e.name, r.goal.op(), context.Cause(r.ctx)}
}

// goalOf reads the goal, which a caller that joins can change: Close makes a pause final, Resume makes a Hold last.
func (e *engine) goalOf(r *run) goal {
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.goal
}

// aim returns the run towards g: the one under way, or a new one which overtakes it.
func (e *engine) aim(m mover, g goal, late bool) *run {
	r := e.run
	switch {
	case r == nil || r.deserted:
	case r.goal == g && e.renew && r.expired && r.waiters == 0 && !late: // what it still tells, it tells without time
	case r.goal == g:
		return r
	case r.goal == toPaused && g == toClosed: // Close joins a Pause and makes it final
		r.goal = toClosed
		e.feed.wake() // who waits for a Resume waits in vain
		return r
	case r.goal == toClosed && g == toPaused:
		return r
	case r.goal == toHeld && g == toActive: // Resume joins a Hold and makes it last
		r.goal = toActive
		return r
	case r.goal == toActive && g == toHeld:
		return r
	}
	r = newRun(g, time.Time{})
	e.replace(m, r)
	return r
}

// replace makes r the run, overtaking the one under way.
func (e *engine) replace(m mover, r *run) {
	if e.run != nil {
		e.run.cancel(ErrSuperseded)
	}
	e.run = r
	m.begun(r)
	if !e.looping {
		e.looping = true
		go e.loop(m, nil)
	}
}

// loop drives r, if that is not nil, and what comes after it, until there is
// nothing. Somebody else's code runs isolated where it may harm others. The
// observers, and the steps of a pause, run on this goroutine: a goroutine for each costs
// more than they do. If they end it, by runtime.Goexit, another one goes on where it was.
func (e *engine) loop(m mover, r *run) {
	over := false
	defer func() {
		if v := recover(); v != nil {
			panic(v) // ours: what is somebody else's is caught where it is called
		}
		if !over {
			go e.loop(m, r)
		}
	}()
	for {
		if r == nil {
			var from, now State
			if r, from, now = e.next(); r == nil {
				over = true
				return
			}
			if from != now {
				m.observe(from, now, nil)
			}
		}
		drive := r.rest
		if drive == nil {
			drive = func() error { return m.drive(r) }
		}
		err := drive()
		ended := r
		r = nil
		e.end(m, ended, err)
	}
}

// next returns the run to drive, and the change of state that is to be
// observed before. It returns nil, and the loop is over, when there is none.
func (e *engine) next() (r *run, from, now State) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r = e.run
	if r == nil {
		e.looping, e.driven = false, nil
		return nil, 0, 0
	}
	e.driven = r
	from, now = e.told, e.state
	e.told = now
	return r, from, now
}

// end ends r with what driving it returned. When it was overtaken, its callers
// know that already, and only what it has reported is told.
func (e *engine) end(m mover, r *run, err error) {
	e.mu.Lock()
	if e.run != r {
		m.overtaken(r)
		r.err = e.superseded(r)
		now := e.told
		e.mu.Unlock()
		if r.report != nil {
			m.observe(now, now, r)
		}
		return
	}
	follow, err := m.finish(r, err)
	r.err, r.ended = err, true
	e.run = follow
	if follow != nil {
		m.begun(follow)
	}
	from, now := e.told, e.state
	e.told = now
	e.mu.Unlock()
	defer r.cancelAfterDone()
	m.observe(from, now, r)
}

// cancelAfterDone tells the callers, then frees the context. In this order: they look at done first.
func (r *run) cancelAfterDone() {
	close(r.done)
	r.cancel(nil)
}

// setState is called under the mutex.
func (e *engine) setState(s State) {
	if e.state == s {
		return
	}
	e.state = s
	e.feed.publish(s)
}

// State returns the state at this moment.
func (e *engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Subscribe returns a channel that delivers the state now and after every
// change, the latest one only: states in between may be skipped, and a slow
// reader delays nobody. stop ends the subscription and closes the channel.
func (e *engine) Subscribe() (states <-chan State, stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sub := e.feed.subscribe(e.state)
	return sub.ch, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.feed.unsubscribe(sub)
	}
}

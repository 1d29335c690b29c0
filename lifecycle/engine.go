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
	mu      sync.Mutex
	state   State
	run     *run // towards the goal; nil at rest
	looping bool
	feed    feed
	told    State // the state that the observer knows; belongs to the loop
}

// goal is what a run is for.
type goal uint8

const (
	toActive goal = iota
	toPaused
	toClosed
	toHeld // a Controller's: active for its leases, while the goal of its callers stays paused
)

func (g goal) op() string {
	switch g {
	case toPaused:
		return "pause"
	case toClosed:
		return "close"
	default:
		return "resume"
	}
}

// run is one transition. Its fields are guarded by the engine's mutex, except the channels.
type run struct {
	goal     goal
	start    time.Time
	deadline time.Time // the earliest that a caller named or that its time-out gave
	waiters  int
	expired  bool // a caller's time ended: nothing is let finish any longer
	deserted bool // the last caller of a Resume left
	step     Step
	seen     error // what a verification found last

	ctx    context.Context // cancelled when the run is overtaken or deserted
	cancel context.CancelCauseFunc
	hurry  chan struct{} // deadline or expired changed
	late   chan struct{} // closed when expired is set
	done   chan struct{} // closed at the end, unless overtaken
	err    error         // valid after done
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
	// change err, and return a run that follows without anybody asking.
	finish(r *run, err error) (error, *run)
	// observe is called with no lock after every change that the loop sees; r is nil where none has ended.
	observe(from, to State, r *run)
}

func newRun(g goal, deadline time.Time) *run {
	r := &run{goal: g, start: time.Now(), deadline: deadline,
		hurry: make(chan struct{}, 1), late: make(chan struct{}), done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	return r
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
	r := e.aim(m, g, timeout)
	r.waiters++
	limit := r.join(ctx, timeout)
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
		cause = context.Cause(ctx)
		if !errors.Is(cause, ctx.Err()) {
			cause = errors.Join(cause, ctx.Err())
		}
	case <-after:
		cause = fmt.Errorf("the time-out of %v: %w", timeout, context.DeadlineExceeded)
	}

	err := leave(r, cause)
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-r.done: // the end came together with the deadline
		return r.err
	default:
	}
	r.waiters--
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	switch {
	case r.goal == toPaused || r.goal == toClosed:
		// Whoever only left because a group was overtaken interrupts nobody.
		if !errors.Is(cause, ErrSuperseded) {
			r.expire()
		}
	case r.waiters == 0:
		r.deserted = true
		r.cancel(cause)
	}
	return err
}

// overtaken is what a caller returns whose run's context ended: the run may have ended well at the same moment.
func (e *engine) overtaken(r *run) error {
	select {
	case <-r.done:
		return r.err
	default:
		return context.Cause(r.ctx)
	}
}

// aim returns the run towards g: the one under way, or a new one which overtakes it.
func (e *engine) aim(m mover, g goal, timeout time.Duration) *run {
	r := e.run
	switch {
	case r == nil || r.deserted:
	case r.goal == g:
		return r
	case r.goal == toPaused && g == toClosed: // Close joins a Pause and makes it final
		r.goal = toClosed
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
	if timeout > 0 {
		r.deadline = r.start.Add(timeout)
	}
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
		go e.loop(m)
	}
}

// loop drives runs until there is none.
func (e *engine) loop(m mover) {
	for {
		e.mu.Lock()
		r := e.run
		if r == nil {
			e.looping = false
			e.mu.Unlock()
			return
		}
		from, now := e.told, e.state
		e.told = now
		e.mu.Unlock()
		if from != now {
			m.observe(from, now, nil)
		}

		err := m.drive(r)

		e.mu.Lock()
		if e.run != r { // overtaken: its callers know already
			e.mu.Unlock()
			continue
		}
		err, follow := m.finish(r, err)
		r.err = err
		e.run = nil
		if follow != nil {
			e.run = follow
			m.begun(follow)
		}
		from, now = e.told, e.state
		e.told = now
		e.mu.Unlock()
		m.observe(from, now, r)
		r.cancelAfterDone()
	}
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

// join lets a caller shorten the run's time. It returns the caller's own limit.
func (r *run) join(ctx context.Context, timeout time.Duration) time.Time {
	limit, has := ctx.Deadline()
	if !has {
		if timeout == 0 {
			return time.Time{}
		}
		limit = time.Now().Add(timeout)
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrSuperseded) {
		r.expire()
	}
	if r.deadline.IsZero() || limit.Before(r.deadline) {
		r.deadline = limit
	}
	r.push()
	return limit
}

// expire says that nothing is let finish any longer.
func (r *run) expire() {
	if !r.expired {
		r.expired = true
		close(r.late)
	}
	r.push()
}

// context returns a context for what r drives: it ends when r is overtaken or
// deserted, and when a caller's time ended.
func (r *run) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	select {
	case <-r.late:
		cancel(context.DeadlineExceeded)
	default:
		go func() {
			select {
			case <-r.late:
				cancel(context.DeadlineExceeded)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// push wakes whoever drives the run, to look at deadline and expired again.
func (r *run) push() {
	select {
	case r.hurry <- struct{}{}:
	default:
	}
}

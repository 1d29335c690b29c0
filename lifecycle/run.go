package lifecycle

import (
	"context"
	"errors"
	"time"
)

// A run belongs to all who wait for it: this file is about what their times
// make of its own, and how a group or a Controller hands that down.

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

// pausing tells a goal that gives back from one that takes.
func (g goal) pausing() bool { return g == toPaused || g == toClosed }

// run is one transition. Its fields are guarded by the engine's mutex, except the channels and ctx.
type run struct {
	goal     goal
	start    time.Time
	deadline time.Time // that its callers named or their time-outs gave: of a pause the earliest, of a resume the latest; zero for none
	waiters  int
	firm     int       // the waiters that want active for good, not for a lease
	expired  bool      // a caller's time ended: nothing is let finish any longer
	patient  bool      // the last caller left because a group around it was overtaken: everything is let finish
	from     time.Time // where its grace begins
	deserted bool      // the last caller of a Resume left, or a group's Pause is as patient
	ended    bool      // finish has said what err is
	undoing  bool      // a group's, and a roll-back itself
	undone   bool      // a group's, and rolled back
	step     Step
	seen     error // what a verification, or the attempt before, found last

	ctx    context.Context // cancelled when the run is overtaken or deserted
	cancel context.CancelCauseFunc
	hurry  chan struct{} // deadline or expired changed
	done   chan struct{} // closed at the end, unless overtaken
	err    error         // valid once ended
	report *Report       // of a store's run that has released or opened everything

	severed []Holder // a store's, whose connections were closed under them

	rest func() error // what is left of drive where that was ended by runtime.Goexit; nil for all of it. The engine's goroutine's

	// For movers that hand their time down, made by within; nil before.
	pace    context.Context // of ctx; ends when the time becomes shorter, and is replaced unless expired
	quicken context.CancelCauseFunc
}

func newRun(g goal, deadline time.Time) *run {
	now := time.Now()
	r := &run{goal: g, start: now, from: now, deadline: deadline,
		hurry: make(chan struct{}, 1), done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	return r
}

// join adds a caller who wants g, with its time. It returns the caller's own limit; zero if it has none.
func (r *run) join(ctx context.Context, g goal, timeout time.Duration) time.Time {
	r.waiters++
	if g == toActive {
		r.firm++
	}
	limit, has := ctx.Deadline()
	if !has && timeout > 0 {
		limit = time.Now().Add(timeout)
	}
	if r.goal.pausing() && ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrSuperseded) {
		r.expire()
	}
	if r.patient {
		r.patient, r.from = false, time.Now()
	}
	before := r.deadline
	switch {
	case r.waiters == 1, r.goal.pausing() && earlier(limit, before), !r.goal.pausing() && earlier(before, limit):
		r.deadline = limit
	}
	if r.pace != nil && r.goal.pausing() && !r.expired && earlier(r.deadline, before) {
		r.quicken(ErrSuperseded)
		r.pace, r.quicken = context.WithCancelCause(r.ctx)
	}
	r.push()
	return limit
}

// earlier compares deadlines, of which the zero one never comes.
func earlier(a, b time.Time) bool { return !a.IsZero() && (b.IsZero() || a.Before(b)) }

// expire says that nothing is let finish any longer.
func (r *run) expire() {
	r.expired = true
	if r.pace != nil {
		r.quicken(context.DeadlineExceeded)
	}
	r.push()
}

// within calls f with an equal share, among so many, of the time that r has
// left, for something that r drives. Its context ends with that share, when a
// caller's time ended, and when r is overtaken or deserted. Where another
// caller changes the time that there is, and f fails for that, it is called again.
func (e *engine) within(r *run, among int, f func(context.Context) error) error {
	for {
		e.mu.Lock()
		if r.pace == nil {
			r.pace, r.quicken = context.WithCancelCause(r.ctx)
			if r.expired {
				r.quicken(context.DeadlineExceeded)
			}
		}
		pace, deadline := r.pace, r.deadline
		e.mu.Unlock()
		ctx, cancel := context.WithCancel(pace)
		if !deadline.IsZero() {
			cancel()
			ctx, cancel = context.WithTimeout(pace, time.Until(deadline)/time.Duration(among))
		}
		err := f(ctx)
		timely := ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) // a share of its time may have ended further down
		cancel()
		if err == nil || timely {
			return err
		}
		e.mu.Lock()
		again := r.ctx.Err() == nil && !r.expired && !r.deadline.Equal(deadline)
		e.mu.Unlock()
		if !again {
			return err
		}
	}
}

// push wakes whoever drives the run, to look at deadline and expired again.
func (r *run) push() {
	select {
	case r.hurry <- struct{}{}:
	default:
	}
}

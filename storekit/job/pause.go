package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

var _ lifecycle.Pausable = (*Runner)(nil)

// spread is how far apart periodic jobs start that are due at a Resume: the
// first thing that users ask of a store should not have to stand behind all of them.
const spread = 20 * time.Millisecond

// Pause ends every job's context and waits until all have returned, bounded by
// ctx or, where that has no deadline, by Timeout. When its time ends first it
// returns a *lifecycle.HeldError; the pause goes on by itself. A Resume that
// comes meanwhile makes it return lifecycle.ErrSuperseded. Called with the
// context of one of this Runner's jobs it returns lifecycle.ErrNested and does
// nothing; a job that calls it with another context waits for itself until the time ends.
// A group around the Runner cannot tell: the pause that a job asks the group for with its own context ends
// that context, so the job gets an error at once, and the pause is over when the job has returned.
func (r *Runner) Pause(ctx context.Context) error { return r.halt(ctx, "pause", lifecycle.ErrPaused) }

// Close is Pause for good: Start and Resume return lifecycle.ErrClosed from its
// first instruction on. Closing what is closed does nothing and returns nil.
func (r *Runner) Close(ctx context.Context) error { return r.halt(ctx, "close", lifecycle.ErrClosed) }

func (r *Runner) halt(ctx context.Context, op string, cause error) error {
	s, err := r.halting(ctx, op, cause)
	if s == nil || err != nil {
		return err
	}
	waiting, cancel := r.bounded(ctx)
	defer cancel()
	select {
	case <-s.done:
		return nil
	case <-s.superseded:
		return r.refused(op, lifecycle.ErrSuperseded)
	case <-waiting.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch { // what came together with the end of the time
	case ended(s.done):
		return nil
	case ended(s.superseded):
		return r.refused(op, lifecycle.ErrSuperseded)
	}
	return r.held(r.holders(), waiting)
}

// halting tells every job to stop. It returns nil where nothing is left to wait for.
func (r *Runner) halting(ctx context.Context, op string, cause error) (*stop, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nested(ctx, nil) {
		return nil, r.refused(op, lifecycle.ErrNested)
	}
	if errors.Is(cause, lifecycle.ErrClosed) {
		r.closed = true
	}
	switch r.state {
	case lifecycle.Closed:
		return nil, nil
	case lifecycle.Paused:
		r.settle()
		return nil, nil
	case lifecycle.Active:
		r.state = lifecycle.Pausing
		r.stop = &stop{done: make(chan struct{}), superseded: make(chan struct{})}
		for _, h := range r.jobs {
			h.disarm()
			if h.run != nil {
				h.run.cancel(cause)
			}
		}
	}
	s := r.stop
	r.settle()
	return s, nil
}

// settle is called under the mutex, when something has ended.
func (r *Runner) settle() {
	if r.state == lifecycle.Active || r.busy > 0 {
		return
	}
	r.state = lifecycle.Paused
	if r.closed {
		r.state, r.jobs = lifecycle.Closed, nil
	}
	if r.stop != nil {
		close(r.stop.done)
		r.stop = nil
	}
}

// Resume starts the jobs again, and waits for none. It fails when the Runner is
// closed, with lifecycle.ErrClosed, and when ctx has ended and the Runner is not active.
func (r *Runner) Resume(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return r.refused("resume", lifecycle.ErrClosed)
	case r.state == lifecycle.Active:
		return nil
	case ctx.Err() != nil:
		return r.refused("resume", endOf(ctx))
	}
	if r.stop != nil {
		close(r.stop.superseded)
		r.stop = nil
	}
	r.state = lifecycle.Active
	r.life++
	var wait time.Duration
	for _, h := range r.jobs {
		if h.resume(wait) {
			wait += spread
		}
	}
	return nil
}

// bounded is ctx, with the time-out where it has no deadline.
func (r *Runner) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, r.cfg.Timeout,
		fmt.Errorf("the time-out of %v: %w", r.cfg.Timeout, context.DeadlineExceeded))
}

// held is the error of a caller whose time ended.
func (r *Runner) held(holders []lifecycle.Holder, waiting context.Context) error {
	return &lifecycle.HeldError{Store: r.cfg.Name, Step: lifecycle.StepDrain, Holders: holders, Cause: endOf(waiting)}
}

// endOf is the error of a context that has ended: its cause, which matches the context's error too.
func endOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return errors.Join(cause, ctx.Err())
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

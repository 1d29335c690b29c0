package lifecycle

import (
	"context"
	"errors"
	"time"
)

// Interrupts name an operation, and are delivered only while that is pinned.
// They come from a pause, or from the end of the operation's own context.

// aim pins the operation op, if that still runs, for an interrupt, which fire
// has to deliver then. first tells that it is the operation's first.
func (sl *slot[C]) aim(op uint64) (first, ok bool) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if _, ok := sl.pin(op); !ok {
		return false, false
	}
	sl.view.Interrupted = true
	return sl.hit.Swap(op) != op, true
}

// fire delivers one interrupt to the operation op, which aim has pinned. It
// may take as long as the driver takes, and is called with no lock held.
func (sl *slot[C]) fire(op uint64) {
	sl.s.driverInterrupt(sl.conn)
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.unpin(op, busy)
}

// watch delivers the end of ctx as an interrupt of this operation.
func (sl *slot[C]) watch(ctx context.Context) {
	op := sl.word.Load() >> stateBits
	sl.stop = context.AfterFunc(ctx, func() { sl.deliver(op) })
}

// deliver repeats the interrupt until the operation is over: one that arrives
// between two statements, or right before one starts, is lost.
func (sl *slot[C]) deliver(op uint64) {
	sl.mu.Lock()
	if sl.over >= op {
		sl.mu.Unlock()
		return
	}
	quit := make(chan struct{})
	sl.quit = quit
	sl.mu.Unlock()
	backOff := newBackOff()
	for {
		if _, ok := sl.aim(op); ok {
			sl.fire(op)
		}
		timer := time.NewTimer(backOff.next())
		select {
		case <-quit:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// dismiss ends deliver, which has begun or is about to.
func (sl *slot[C]) dismiss(op uint64) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.over = op
	if sl.quit != nil {
		close(sl.quit)
		sl.quit = nil
	}
}

// interruptedError makes err match ErrInterrupted, and the context's error where that had ended.
func interruptedError(store, op string, err error, ctx context.Context) error {
	errs := []error{err}
	if !errors.Is(err, ErrInterrupted) {
		errs = append(errs, ErrInterrupted)
	}
	if ctx != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		errs = append(errs, ctx.Err())
	}
	if len(errs) == 1 {
		return err
	}
	return &interruptError{store, op, errs}
}

// interruptError is what the callback returned, seen as the interrupt that it was.
type interruptError struct {
	store, op string
	errs      []error
}

func (e *interruptError) Error() string {
	return e.store + ": " + e.op + ": " + ErrInterrupted.Error() + ": " + e.errs[0].Error()
}
func (e *interruptError) Unwrap() []error { return e.errs }

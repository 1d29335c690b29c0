package job

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Handle is a job that was started.
type Handle struct {
	r   *Runner
	job Job

	// Guarded by the Runner's mutex.
	due      time.Time   // when it runs next; zero while that is not planned
	timer    *time.Timer // set for due; nil while the job runs, or is not to
	turn     uint64      // grows when a timer is set, dropped or used: one that has fired finds out that it was dropped
	run      *run        // nil while it does not run
	again    bool        // Now was called while it ran
	soon     bool        // it runs at the beginning of the next life, whatever due is
	failures int         // in a row, in this life
	stopped  bool
	gone     chan struct{} // closed when it is taken out and does not run
	status   Status
}

// Status tells what a job has done, and what it is about to do.
type Status struct {
	Running  bool
	Runs     uint64        // that have ended
	Failures uint64        // those that failed
	Start    time.Time     // of the run that goes on, or the last one; zero before the first
	Took     time.Duration // the last run that has ended
	Err      error         // what that returned, be it a failure or not
	Next     time.Time     // when it runs next; zero while it runs, is paused, or nothing is planned
}

// Name returns the job's name.
func (h *Handle) Name() string { return h.job.Name }

// Status returns what is known at this moment.
func (h *Handle) Status() Status {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	s := h.status
	s.Running = h.run != nil
	if h.timer != nil {
		s.Next = h.due
	}
	return s
}

// Now has the job run at once, without waiting for its time or its back-off. It
// does not wait. Where the job runs already, it runs once more afterwards, however
// often Now was called meanwhile; where the Runner is paused, soon after
// Resume. For a job that was taken out it does nothing.
func (h *Handle) Now() {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case h.stopped || r.closed:
	case h.run != nil:
		h.again = true
	case h.timer != nil && !h.due.After(time.Now()): // it is about to, and is not put off
	default:
		h.disarm()
		h.due = time.Now()
		if r.state == lifecycle.Active {
			h.arm()
		}
	}
}

// Stop takes the job out: its context ends with ErrStopped as the cause, and it
// never runs again. Stop waits until it has returned, bounded by ctx or, where
// that has no deadline, by the Runner's Timeout; then it returns a
// *lifecycle.HeldError, and a later Stop, Pause or Close waits for the rest.
// Called with the context of the job itself it returns lifecycle.ErrNested and
// does nothing: a job that is done for ever returns ErrDone.
func (h *Handle) Stop(ctx context.Context) error {
	r := h.r
	if err := h.takeOut(ctx); err != nil {
		return err
	}
	waiting, cancel := r.bounded(ctx)
	defer cancel()
	select {
	case <-h.gone:
		return nil
	case <-waiting.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.run == nil { // the end came together with that of the time
		return nil
	}
	return r.held([]lifecycle.Holder{h.holder(time.Now())}, waiting)
}

func (h *Handle) takeOut(ctx context.Context) error {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.nested(ctx, h):
		return r.refused("stop "+h.job.Name, lifecycle.ErrNested)
	case h.stopped:
		return nil
	}
	h.stopped = true
	h.disarm()
	if h.run == nil {
		r.remove(h)
		return nil
	}
	h.run.cancel(ErrStopped)
	return nil
}

// The rest is called under the Runner's mutex.

// arm sets the timer.
func (h *Handle) arm() {
	h.turn++
	turn := h.turn
	h.r.busy++
	h.timer = time.AfterFunc(until(h.due), func() { h.fire(turn) })
}

// disarm drops the timer. One that has fired already counts as busy until it notices.
func (h *Handle) disarm() {
	if h.timer == nil {
		return
	}
	h.turn++
	if h.timer.Stop() {
		h.r.busy--
	}
	h.timer = nil
}

// resume begins a new life. A periodic job that is due waits for so long, and
// resume tells that. A job that still runs goes on when that run has ended.
func (h *Handle) resume(wait time.Duration) (waits bool) {
	if h.stopped || h.run != nil {
		return false
	}
	h.failures = 0
	if h.soon {
		h.due = time.Now()
	}
	if waits = h.job.Every > 0 && until(h.due) <= 0; waits {
		h.due = time.Now().Add(wait)
	}
	h.arm()
	return waits
}

// until is the time until due by the clock that says less. The monotonic one
// stands still on some systems while the machine sleeps, the other one can be set back.
func until(due time.Time) time.Duration {
	return min(time.Until(due), time.Until(due.Round(0)))
}

func (h *Handle) holder(now time.Time) lifecycle.Holder {
	return lifecycle.Holder{
		Store: h.r.cfg.Name, Role: lifecycle.Foreign, Label: h.job.Name,
		Since: h.run.start, Held: now.Sub(h.run.start),
		Generation: h.run.life, Interrupted: h.run.ctx.Err() != nil,
	}
}

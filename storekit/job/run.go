package job

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// run is one run of a job.
type run struct {
	h      *Handle
	life   uint64 // the one that it began in
	start  time.Time
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// runKey finds the run that a context belongs to.
type runKey struct{}

// fire is what a timer calls, on a goroutine of its own.
func (h *Handle) fire(turn uint64) {
	if n := h.begin(turn); n != nil {
		n.do()
	}
}

// begin makes the run, unless the timer was dropped meanwhile.
func (h *Handle) begin(turn uint64) *run {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.turn != turn {
		r.busy--
		r.settle()
		return nil
	}
	h.turn++
	h.timer, h.due, h.again = nil, time.Time{}, false
	n := &run{h: h, life: r.life, start: time.Now()}
	ctx := lifecycle.WithLabel(context.Background(), h.job.Name)
	n.ctx, n.cancel = context.WithCancelCause(context.WithValue(ctx, runKey{}, n))
	h.run = n
	h.status.Start = n.start
	return n
}

// do calls the job and tells how that ended. Job and Observer are somebody
// else's code: both may panic, and end the goroutine with runtime.Goexit.
func (n *run) do() {
	cfg, job := &n.h.r.cfg, &n.h.job
	e := Event{Runner: cfg.Name, Job: job.Name, Start: n.start}
	err, left := errGoexit, true
	defer n.end(&e)
	defer func() { _ = recover() }() // the Observer's
	defer func() {
		if v := recover(); v != nil {
			err = &lifecycle.PanicError{Value: v, Stack: debug.Stack()}
		}
		e.Took, e.Err = time.Since(n.start), err
		e.Failed = left || err != nil && n.ctx.Err() == nil && !errors.Is(err, ErrDone)
		if cfg.Observer != nil {
			cfg.Observer(e)
		}
	}()
	err = job.Run(n.ctx)
	left = false
}

// end plans what comes next.
func (n *run) end(e *Event) {
	h, r := n.h, n.h.r
	n.cancel(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	h.run = nil
	h.status.Runs++
	h.status.Took, h.status.Err = e.Took, e.Err
	if e.Failed {
		h.status.Failures++
		h.failures++
	} else {
		h.failures = 0
		h.stopped = h.stopped || errors.Is(e.Err, ErrDone)
	}
	r.busy--
	if h.stopped {
		r.remove(h)
	} else {
		h.plan(n, e)
	}
	r.settle()
}

func (h *Handle) plan(n *run, e *Event) {
	now := time.Now()
	h.soon = e.Err != nil || h.job.Every == 0
	newLife := n.life != h.r.life // began while it ran
	if newLife {
		h.failures = 0
	}
	switch {
	case h.again, h.soon && newLife:
		h.due = now
	case e.Failed:
		h.due = now.Add(h.job.backOff(h.failures))
	case h.soon: // cut short, or done for this life
		return
	default:
		h.due = now.Add(h.job.Every)
	}
	if h.r.state == lifecycle.Active {
		h.arm()
	}
}

package guard

import (
	"context"
	"sync/atomic"
	"time"
)

// Watch lets a context end one statement. It lives from the start of the
// statement to its end, and its interrupts reach that statement only: while
// another one is inside, or none, it holds still. A nil Watch watches nothing.
type Watch struct {
	guard *Guard
	ctx   context.Context
	stop  func() bool
	hit   atomic.Bool
	over  chan struct{} // closed by End
	ended chan struct{} // closed when the context's function has returned
}

// Watch begins to watch ctx.
func (g *Guard) Watch(ctx context.Context) *Watch {
	w := &Watch{guard: g, ctx: ctx, over: make(chan struct{}), ended: make(chan struct{})}
	w.stop = context.AfterFunc(ctx, w.fire)
	return w
}

// fire interrupts the statement until it has ended: an interrupt that comes
// right before the statement starts is lost on it.
func (w *Watch) fire() {
	defer close(w.ended)
	w.hit.Store(true)
	delay := Backoff{}
	for {
		w.guard.poke(w)
		timer := time.NewTimer(delay.Next())
		select {
		case <-w.over:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// End ends the watching. When it returns no interrupt of this watch is under way.
func (w *Watch) End() {
	if w == nil {
		return
	}
	if !w.stop() {
		close(w.over)
		<-w.ended
	}
}

// Watching says whether a statement that is watched is inside.
func (g *Guard) Watching() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.watching != nil
}

// Fired says whether the context has ended.
func (w *Watch) Fired() bool { return w != nil && w.hit.Load() }

// Context returns what is watched.
func (w *Watch) Context() context.Context { return w.ctx }

// Calling marks the calls into the engine that the watch may interrupt.
func (w *Watch) Calling() {
	if w != nil {
		w.mark(w)
	}
}

// Called is the end of Calling.
func (w *Watch) Called() {
	if w != nil {
		w.mark(nil)
	}
}

func (w *Watch) mark(now *Watch) {
	w.guard.mu.Lock()
	w.guard.watching = now
	w.guard.mu.Unlock()
}

package sqlite

import (
	"context"
	"sync/atomic"
	"time"
)

// watch lets a context that is not the operation's own end one statement. It
// lives from the start of the statement to its end, and its interrupts reach
// that statement only: while another one is inside, or none, it holds still.
type watch struct {
	conn  *Conn
	ctx   context.Context
	stop  func() bool
	hit   atomic.Bool
	over  chan struct{} // closed by end
	ended chan struct{} // closed when the context's function has returned
}

func (c *Conn) watch(ctx context.Context) *watch {
	w := &watch{conn: c, ctx: ctx, over: make(chan struct{}), ended: make(chan struct{})}
	w.stop = context.AfterFunc(ctx, w.fire)
	return w
}

// fire interrupts the statement until it has ended: an interrupt that comes
// right before the statement starts is lost on it.
func (w *watch) fire() {
	defer close(w.ended)
	w.hit.Store(true)
	delay := backoff{}
	for {
		w.conn.poke(w)
		timer := time.NewTimer(delay.next())
		select {
		case <-w.over:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// end ends the watching. When it returns no interrupt of this watch is under way.
func (w *watch) end() {
	if w == nil {
		return
	}
	if !w.stop() {
		close(w.over)
		<-w.ended
	}
}

func (w *watch) fired() bool { return w != nil && w.hit.Load() }

// calling marks the calls into the engine that the watch may interrupt.
func (w *watch) calling() {
	if w != nil {
		w.conn.mu.Lock()
		w.conn.watching = w
		w.conn.mu.Unlock()
	}
}

// called is the end of calling.
func (w *watch) called() {
	if w != nil {
		w.conn.mu.Lock()
		w.conn.watching = nil
		w.conn.mu.Unlock()
	}
}

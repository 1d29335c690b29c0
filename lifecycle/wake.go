package lifecycle

import "sync/atomic"

// waker is how whoever changes something tells the goroutine that drives a run
// to look again. It has a channel only while there is a run: a run looks before
// it waits, so nothing is missed that was told in between.
type waker struct{ ch atomic.Pointer[chan struct{}] }

// ready is called under the engine's mutex when a run begins, which may be while another one is leaving.
func (w *waker) ready() {
	if w.ch.Load() == nil {
		ch := make(chan struct{}, 1)
		w.ch.Store(&ch)
	}
}

// rest is called under the engine's mutex when a run has ended and none has overtaken it.
func (w *waker) rest() { w.ch.Store(nil) }

func (w *waker) poke() {
	if ch := w.ch.Load(); ch != nil {
		select {
		case *ch <- struct{}{}:
		default:
		}
	}
}

// poked is for the goroutine that drives the run.
func (w *waker) poked() <-chan struct{} { return *w.ch.Load() }

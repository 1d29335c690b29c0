package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Hold takes key, and keeps it until the lease is released. It waits while
// another holder has it, until ctx ends: then the error matches ErrHeld and
// the context's, and is an *Error that names who has it. It looks
// every 10 ms at first and every second in the end, and at once when this process has released the key.
//
// While the Locks are paused it does what their policy says: it fails with
// lifecycle.ErrPaused, or waits. After Close it returns lifecycle.ErrClosed.
func (l *Locks) Hold(ctx context.Context, key string, o Options) (*Lease, error) {
	o, err := o.withDefaults(l.holder)
	if err != nil {
		return nil, l.fail("hold", key, err)
	}
	c, x := l.enter(pair{key, o.Holder}, o)
	if x != nil {
		return x, nil
	}
	w := &wait{l: l, c: c}
	for {
		x, err := w.attempt(ctx)
		if x != nil {
			return x, nil
		}
		if err == nil {
			err = w.forTurn(ctx)
		}
		if err == nil {
			continue
		}
		w.leave(false)
		if ctx.Err() != nil && w.other.holder != nil {
			return nil, &Error{Store: l.store.Name(), Op: "hold", Key: key, Holder: w.other.holder, Err: fmt.Errorf("%w: %w", ErrHeld, err)}
		}
		return nil, l.fail("hold", key, err)
	}
}

// enter finds the claim. Where that is held already, it makes a lease; otherwise somebody waits for it from now on.
func (l *Locks) enter(p pair, o Options) (*claim, *Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.claimOf(p)
	d := milliseconds(o.Duration)
	if !c.wanted() {
		c.duration, c.every = d, o.Renew
	}
	if d > c.duration || o.Renew < c.every {
		c.next = 0 // the row is to know of it
	}
	c.duration, c.every = max(c.duration, d), min(c.every, o.Renew)
	c.pending++ // first: a life that begins just now forgets what nobody wants
	if x := l.join(c); x != nil {
		c.pending--
		return c, x
	}
	return c, nil
}

// join makes a lease of a claim that is held, or returns nil. l.mu is held.
func (l *Locks) join(c *claim) *Lease {
	_, living := l.living()
	if !living || !c.held || c.doing == releasing || c.until.reached(l.clock.now()) {
		return nil
	}
	return l.lease(c)
}

// lease makes a lease of a claim. l.mu is held.
func (l *Locks) lease(c *claim) *Lease {
	x := &Lease{l: l, c: c, done: make(chan struct{})}
	c.leases[x] = struct{}{}
	c.end(nil) // it is not given up after all
	l.keep()
	return x
}

// wait is one call of Hold that has to.
type wait struct {
	l       *Locks
	c       *claim
	turn    turn
	woken   bool // its turn has come
	backOff backOff
	seen    sighting
	other   row // who has it
}

// attempt takes the row if that is free.
func (w *wait) attempt(ctx context.Context) (x *Lease, err error) {
	l := w.l
	var got row
	var ok bool
	var began instant
	var epoch uint64
	err = l.store.update(ctx, func(t rows) (err error) {
		key, holder, err := l.stored(w.c.key, w.c.holder)
		if err != nil {
			return err
		}
		l.mu.Lock()
		w.c.storedKey, w.c.storedHolder = key, holder
		epoch = l.epoch
		q := w.c.request(0)
		l.mu.Unlock()
		w.seen.allow(&q)
		began = l.clock.now()
		q.now = began.wall
		got, ok, err = t.take(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		w.other = got
		if w.woken { // in vain
			w.turn, w.woken = nil, false
		}
		w.seen.note(got, began.mono, l.clock.mono())
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, lifecycle.ErrClosed
	}
	w.c.took(got, began, l.epoch != epoch) // where a pause has released it since, the lease is one that is kept over a pause
	w.end(true)
	return l.lease(w.c), nil
}

// forTurn waits until it is worth looking again.
func (w *wait) forTurn(ctx context.Context) error {
	l := w.l
	if w.seen.stale {
		return nil
	}
	if w.turn == nil { // look once more: it may have been released just before there was a place in the queue
		l.mu.Lock()
		w.turn = l.queue(w.c.key)
		l.mu.Unlock()
		return nil
	}
	timer := time.NewTimer(w.backOff.next())
	defer timer.Stop()
	select {
	case <-w.turn:
		w.woken, w.backOff = true, backOff{}
	case <-timer.C:
	case <-l.store.PauseBegan(): // the next attempt is told
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (w *wait) leave(used bool) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.end(used)
	w.l.settle(w.c)
}

// end gives up the place in the queue. l.mu is held.
func (w *wait) end(used bool) {
	w.c.pending--
	if w.turn != nil {
		w.l.unqueue(w.c.key, w.turn, used)
	}
}

package lifecycle

import (
	"context"
	"errors"
	"time"
)

// ErrLeaseExpired is the cause with which the context of a lease ends that was held for longer than its time.
var ErrLeaseExpired = errors.New("the lease has expired")

// Lease keeps a Controller's Pausable active, whatever state is wanted. It
// ends with Release, or after the Controller's LeaseTTL: who forgets a lease
// meets ErrPaused afterwards.
type Lease struct {
	c       *Controller
	label   string
	since   time.Time
	expires time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
}

// Hold resumes for as long as the lease that it returns is held. Leases are
// counted: when the last one ends, and paused is still the wanted state, the
// Pausable is paused again. While somebody waits for a Pause, Hold lets that
// come first. A Hold whose Resume fails counts nothing, and leaves it paused.
// Where ctx has no deadline, the Controller's Timeout bounds the waiting. The
// lease's context descends from ctx, but the lease does not end with that.
// Label ctx with WithLabel to name the lease in a HeldError.
func (c *Controller) Hold(ctx context.Context) (*Lease, error) {
	if ctx.Err() != nil {
		return nil, c.holdError(endOf(ctx))
	}
	waiting := ctx
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
	}
	c.mu.Lock()
	c.asking++
	c.mu.Unlock()
	for {
		pauses, err := c.awaitPauses(waiting)
		if err == nil {
			err = c.call(waiting, (*controllerMover)(c), toHeld, 0, c.left)
		}
		switch {
		case err == nil:
			if l := c.grant(ctx); l != nil {
				return l, nil
			}
		case c.goAgain(err, pauses):
		default:
			c.giveUp()
			return nil, c.holdError(err)
		}
	}
}

func (c *Controller) holdError(err error) error { return &StateError{c.cfg.Name, "hold", err} }

// goAgain tells whether the Resume of a Hold only ended because of a Pause that has begun since.
func (c *Controller) goAgain(err error, pauses uint) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Is(err, errPauseFirst) || errors.Is(err, ErrSuperseded) && c.pauses != pauses
}

// awaitPauses lets a Pause that somebody waits for come first: a stream of
// Holds would keep it from ever ending. It returns how many there have been.
func (c *Controller) awaitPauses(ctx context.Context) (pauses uint, err error) {
	for {
		c.mu.Lock()
		r, pauses := c.run, c.pauses
		if !c.pauseFirst() {
			c.mu.Unlock()
			return pauses, nil
		}
		changed := c.feed.wait()
		c.mu.Unlock()
		select {
		case <-changed:
		case <-r.done:
		case <-r.ctx.Done():
		case <-ctx.Done():
			return pauses, errors.Join(ErrPaused, endOf(ctx))
		}
	}
}

// grant makes the lease, unless the state has changed since the Resume ended.
func (c *Controller) grant(ctx context.Context) *Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != nil || c.state != Active {
		return nil
	}
	l := &Lease{c: c, label: labelOf(ctx), since: time.Now()}
	l.expires = l.since.Add(c.cfg.LeaseTTL)
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.timer = time.AfterFunc(c.cfg.LeaseTTL, func() { l.end(ErrLeaseExpired) })
	if c.leases == nil {
		c.leases = make(map[*Lease]struct{})
	}
	c.leases[l] = struct{}{}
	c.asking--
	return l
}

func (c *Controller) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking--
	c.repause()
}

// repause is called under the mutex when a lease, or the wish for one, has ended.
func (c *Controller) repause() {
	if c.run != nil || c.state != Active {
		return
	}
	if r := c.rest(); r != nil {
		c.replace((*controllerMover)(c), r)
	}
}

// Release ends the lease. It does not wait for the pause that may follow. Releasing twice does nothing.
func (l *Lease) Release() { l.end(context.Canceled) }

// Context ends with the lease, with the context given to Hold, and when an
// explicit Pause has waited for its grace, with ErrPaused as the cause.
func (l *Lease) Context() context.Context { return l.ctx }

func (l *Lease) end(cause error) {
	l.cancel(cause) // before anything is paused: whoever meets ErrPaused under a lease finds its context ended
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, held := c.leases[l]; !held {
		return
	}
	l.timer.Stop()
	delete(c.leases, l)
	if len(c.leases) > 0 {
		return
	}
	c.leases = nil
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
	c.repause()
}

func (l *Lease) info() LeaseInfo {
	return LeaseInfo{Label: l.label, Since: l.since, Expires: l.expires}
}

package lifecycle

import (
	"context"
	"errors"
	"sync"
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
	once    sync.Once
}

// Hold resumes for as long as the lease that it returns is held. Leases are
// counted: when the last one ends, and paused is still the wanted state, the
// Pausable is paused again. A Hold during an explicit Pause waits for that
// Pause first. A Hold whose Resume fails counts nothing. Label ctx with WithLabel to name the lease in a HeldError.
func (c *Controller) Hold(ctx context.Context) (*Lease, error) {
	c.mu.Lock()
	c.asking++
	c.mu.Unlock()
	for {
		if err := c.awaitExplicitPause(ctx); err != nil {
			c.giveUp()
			return nil, err
		}
		if err := c.call(ctx, (*controllerMover)(c), toHeld, c.cfg.Timeout, c.left); err != nil {
			c.giveUp()
			return nil, err
		}
		if l := c.grant(ctx); l != nil {
			return l, nil
		}
	}
}

// awaitExplicitPause lets a Pause that somebody waits for come first: a stream
// of Holds would keep it from ever ending.
func (c *Controller) awaitExplicitPause(ctx context.Context) error {
	var p patience
	for {
		c.mu.Lock()
		r := c.run
		if r == nil || r.goal != toPaused || r.waiters == 0 {
			c.mu.Unlock()
			return nil
		}
		changed := c.feed.wait()
		c.mu.Unlock()
		var after <-chan time.Time
		if _, has := ctx.Deadline(); !has {
			if p.until.IsZero() {
				p.until = time.Now().Add(c.cfg.Timeout)
			}
			timer := time.NewTimer(time.Until(p.until))
			defer timer.Stop()
			after = timer.C
		}
		select {
		case <-changed:
		case <-r.done:
		case <-r.ctx.Done():
		case <-after:
			return &StateError{c.cfg.Name, "hold", ErrPaused}
		case <-ctx.Done():
			return &StateError{c.cfg.Name, "hold", errors.Join(ErrPaused, context.Cause(ctx))}
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
	if r := c.rest(nil); r != nil {
		c.replace((*controllerMover)(c), r)
	}
}

// Release ends the lease. It does not wait for the pause that may follow. Releasing twice does nothing.
func (l *Lease) Release() { l.end(context.Canceled) }

// Context ends with the lease, with the context given to Hold, and when an
// explicit Pause has waited for its grace, with ErrPaused as the cause.
func (l *Lease) Context() context.Context { return l.ctx }

func (l *Lease) end(cause error) {
	l.once.Do(func() {
		l.timer.Stop()
		l.cancel(cause)
		c := l.c
		c.mu.Lock()
		defer c.mu.Unlock()
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
	})
}

func (l *Lease) info() LeaseInfo {
	return LeaseInfo{Label: l.label, Since: l.since, Expires: l.expires}
}

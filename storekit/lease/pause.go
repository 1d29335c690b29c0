package lease

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Pause releases all leases and gives back the database: nil says that no
// descriptor, lock, goroutine or timer of the Locks is left. It is
// lifecycle.Connections.Pause otherwise. Where the leases cannot be released,
// since another process keeps the file locked, the pause does not fail for it:
// they expire by themselves, and the Report has a warning.
func (l *Locks) Pause(ctx context.Context) error {
	err := l.store.Pause(ctx)
	l.rest(ctx)
	return err
}

// Resume opens the database again, as sqlite.DB.Resume does. It returns when
// every lease that was held before was tried once. Those that somebody else
// has now are waited for in the background; see Waiting.
func (l *Locks) Resume(ctx context.Context) error {
	if err := l.store.Resume(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	r := l.renewer
	l.mu.Unlock()
	if r == nil {
		return nil
	}
	select {
	case <-r.first:
	case <-ctx.Done(): // it is active all the same
	}
	return nil
}

// Close is Pause for good. All leases end, with lifecycle.ErrClosed, and so does
// every Hold that waits.
func (l *Locks) Close(ctx context.Context) error {
	err := l.store.Close(ctx)
	l.rest(ctx)
	return err
}

// rest waits for a renewer that a pause has told to end. It has nothing to wait for.
func (l *Locks) rest(ctx context.Context) {
	l.mu.Lock()
	r := l.renewer
	l.mu.Unlock()
	if r == nil {
		return
	}
	select {
	case <-r.began:
	default:
		return // a Resume has started it
	}
	select {
	case <-r.done:
	case <-ctx.Done():
	}
}

// Report returns what the last Pause, Resume or Close that ran to its end did.
// It must not be changed.
func (l *Locks) Report() *lifecycle.Report {
	rep := l.store.Report()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.warned != nil && rep != nil && rep.Op == l.warned.Op && rep.Start.Equal(l.warned.Start) {
		return l.warned
	}
	return rep
}

// beforeRelease releases everything: nothing else runs on the database, nor
// will before it is paused, or the pause was overtaken.
func (l *Locks) beforeRelease(ctx context.Context, w *sqlite.Conn) error {
	l.mu.Lock()
	l.epoch++
	claims := make([]*claim, 0, len(l.claims))
	for _, c := range l.claims { // also those not known to be held: a Hold may be about to learn that it has taken one
		c.held = false
		c.seen, c.backOff, c.next = sighting{}, backOff{}, 0
		claims = append(claims, c)
	}
	l.mu.Unlock()
	if len(claims) == 0 {
		return nil
	}
	bound, cancel := shareOf(ctx)
	defer cancel()
	err := w.Update(bound, func(w *sqlite.Conn) error {
		for _, c := range claims {
			if _, err := (fileRows{w}).release(bound, c.storedKey, c.storedHolder, 0); err != nil {
				return err
			}
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.warning = fmt.Errorf("the leases were not released and expire by themselves: %w", err)
	}
	for _, c := range claims {
		if c.idle() {
			l.drop(c, err)
		}
	}
	return nil
}

// leastShare is what the releasing of leases gets however little time a pause has.
const leastShare = 50 * time.Millisecond

// shareOf gives half of the time that a pause has left: it has to close the database in time too.
func shareOf(ctx context.Context) (context.Context, context.CancelFunc) {
	share := lifecycle.DefaultTimeout
	if d, has := ctx.Deadline(); has {
		share = max(time.Until(d)/2, leastShare)
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), share)
	return bound, cancel
}

// observer is told of the states of the store, before the user's own.
type observer struct {
	l    *Locks
	user lifecycle.Observer
}

// Observe is called by the core.
func (o *observer) Observe(e lifecycle.Event) {
	switch {
	case e.To == lifecycle.Active:
		o.l.activated()
	case e.To == lifecycle.Closed:
		o.l.ended()
	}
	if e.Report != nil && (e.To == lifecycle.Paused || e.To == lifecycle.Closed) {
		e.Report = o.l.withWarning(e.Report)
	}
	if o.user != nil {
		o.user.Observe(e)
	}
}

// withWarning adds to the report of a pause what the core does not know.
func (l *Locks) withWarning(rep *lifecycle.Report) *lifecycle.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.warning == nil {
		return rep
	}
	warned := *rep
	warned.Warnings = append(slices.Clone(rep.Warnings), l.warning.Error())
	l.warning, l.warned = nil, &warned
	return &warned
}

// activated has everything taken again that was held before. What ran out while
// no one could renew it is not lost: the pause would have given it up.
func (l *Locks) activated() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	l.warning = nil
	for _, c := range l.claims {
		c.held = c.held && !c.until.reached(now)
		if c.idle() {
			l.drop(c, nil)
		}
	}
	if len(l.claims) > 0 {
		l.keep()
	}
}

// ended ends all leases.
func (l *Locks) ended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.claims {
		c.held = false
		for x := range c.leases {
			x.end(&lifecycle.StateError{Store: l.store.Name(), Op: "lease", Err: lifecycle.ErrClosed})
		}
		clear(c.leases)
		if c.idle() {
			l.drop(c, nil)
		}
	}
}

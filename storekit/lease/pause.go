package lease

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Pause releases all leases and gives back the database: nil says that no
// descriptor, lock, goroutine or timer of the Locks is left. It is
// lifecycle.Connections.Pause otherwise. Where the leases cannot be released,
// since another process keeps the file locked, the pause does not fail for it:
// they expire by themselves, unless a Resume comes before that, and the Report has a warning.
func (l *Locks) Pause(ctx context.Context) error {
	err := l.store.Pause(ctx)
	l.rest(ctx)
	return err
}

// Resume opens the database again, as sqlite.DB.Resume does; where the file is
// missing, it is made anew, as Open makes one that is damaged. It returns when
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

// beforeRelease releases everything, with update: nothing else runs on the
// database, nor will before it is paused, or the pause was overtaken.
//
// From its beginning on nothing is valid, but only when it has succeeded are
// the rows known to be free. Otherwise they are held as before, and the next
// life renews them or releases them, if it comes before their time is over.
func (l *Locks) beforeRelease(ctx context.Context, update func(context.Context, func(rows) error) error) {
	l.mu.Lock()
	l.given, l.warning = true, nil
	claims := make([]*claim, 0, len(l.claims))
	for _, c := range l.claims { // also those not known to be held: a Hold may be about to learn that it has taken one
		claims = append(claims, c)
	}
	l.mu.Unlock()
	if len(claims) == 0 {
		return
	}
	bound, cancel := shareOf(ctx)
	defer cancel()
	err := update(bound, func(t rows) error {
		for _, c := range claims {
			if c.storedKey == nil { // it has never got so far
				continue
			}
			if _, err := t.release(bound, c.storedKey, c.storedHolder, 0); err != nil {
				return err
			}
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.epoch++
	} else {
		l.warning = fmt.Errorf("the leases were not released and expire by themselves: %w", err)
	}
	for _, c := range l.claims {
		c.held = c.held && err != nil
		c.seen, c.backOff, c.next = sighting{}, backOff{}, 0
		l.unwaited(c, err)
	}
}

// unwaited tells who waits for the release of a claim what a pause made of it. l.mu is held.
func (l *Locks) unwaited(c *claim, err error) {
	switch {
	case c.idle():
		l.drop(c, err)
	case !c.wanted():
		c.end(err)
	}
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
	case e.To == lifecycle.Paused:
		o.l.paused(e.Err)
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

// living tells whether the store is active, and returns the channel that says
// when that ends. Whoever looks first begins the new life. l.mu is held.
func (l *Locks) living() (began <-chan struct{}, is bool) {
	began = l.store.PauseBegan()
	select {
	case <-began:
		return began, false
	default:
	}
	if began != l.life {
		l.life = began
		l.begin()
	}
	return began, true
}

// begin begins a life: what ran out while no one could renew it is not lost,
// as the pause would have given it up. l.mu is held.
func (l *Locks) begin() {
	l.given, l.warning = false, nil
	now := l.clock.now()
	for _, c := range l.claims {
		c.held = c.held && !c.until.reached(now)
		if c.idle() {
			l.drop(c, nil)
		}
	}
}

// activated has everything taken again that was held before.
func (l *Locks) activated() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.claims) > 0 {
		l.keep()
	}
}

// paused lets nobody wait for a release that a pause could not even try.
func (l *Locks) paused(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.claims {
		l.unwaited(c, err)
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

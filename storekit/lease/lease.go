package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// State is where a lease stands in its life.
type State uint8

const (
	// Held leases are valid.
	Held State = iota
	// Paused leases were released for a pause, and are taken again at Resume.
	Paused
	// Waiting leases are to be taken again after a pause, and could not be yet: somebody else has the key now, or the file.
	Waiting
	// Lost leases could not be renewed, or were taken by somebody else.
	Lost
	// Released leases were given up, or their Locks were closed.
	Released
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Held:
		return "held"
	case Paused:
		return "paused"
	case Waiting:
		return "waiting"
	case Lost:
		return "lost"
	default:
		return "released"
	}
}

// Lease is one hold of a key. Those of the same key and holder in the same
// Locks share everything but their release.
type Lease struct {
	l    *Locks
	c    *claim
	done chan struct{}
	err  error // guarded by l.mu; nil until done is closed
}

// end is called with l.mu held.
func (x *Lease) end(why error) {
	x.err = why
	close(x.done)
}

// Key returns the key, as it was given to Hold.
func (x *Lease) Key() string { return x.c.key }

// Holder returns the holder, as it was given to Hold, or the Locks' own.
func (x *Lease) Holder() string { return x.c.holder }

// Generation returns the generation under which the key was last held. It
// grows when the lease comes back after somebody else had the key.
func (x *Lease) Generation() uint64 {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	return x.c.generation
}

// Dirty tells whether another holder has had the key since this process last
// held it for this holder, so that what it had read under the lease is old. It
// stays true, for later leases too, until Clean. The first hold of a process is never dirty.
func (x *Lease) Dirty() bool {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	return x.c.dirty
}

// Clean says that everything was read again under a generation. It returns
// false, and changes nothing, where the generation is another one by now: somebody
// has had the key since, and all has to be read once more.
func (x *Lease) Clean(generation uint64) bool {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	if x.c.generation != generation {
		return false
	}
	x.c.dirty = false
	if m, kept := x.l.memories[x.c.pair]; kept && m.generation == generation {
		x.l.memories[x.c.pair] = memory{generation, false}
	}
	return true
}

// Done returns a channel that is closed when the lease is lost or released,
// for good. A pause does not close it.
func (x *Lease) Done() <-chan struct{} { return x.done }

// Err returns nil until Done is closed, and then why: it matches ErrLost,
// ErrReleased or lifecycle.ErrClosed.
func (x *Lease) Err() error {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	return x.err
}

// State returns the state at this moment, by both clocks.
func (x *Lease) State() State {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	return x.state()
}

func (x *Lease) state() State {
	l, c := x.l, x.c
	_, living := l.living()
	if x.err == nil && c.held && c.until.reached(l.clock.now()) && living {
		l.lose(c, lostFor(c.failed))
	}
	switch {
	case errors.Is(x.err, ErrLost):
		return Lost
	case x.err != nil:
		return Released
	case c.held && !c.until.reached(l.clock.now()) && (living || !l.given):
		return Held
	case !living:
		return Paused
	default:
		return Waiting
	}
}

// Valid tells whether the key is held at this moment, as far as this process
// knows: by the clocks, without a look at the file. It costs next to nothing.
func (x *Lease) Valid() bool { return x.State() == Held }

// Check returns nil when the key is held at this moment, and has not been anybody
// else's since Hold, or since Clean: the file says so too. It is for the
// moment right before something that another holder must not do as well.
//
// Otherwise the error matches ErrLost, ErrReleased, ErrDirty, ErrWaiting, and
// while paused lifecycle.ErrPaused. Check does not wait for a writer.
func (x *Lease) Check(ctx context.Context) error {
	if err := x.check(ctx); err != nil {
		return x.l.fail("check", x.c.key, err)
	}
	return nil
}

func (x *Lease) check(ctx context.Context) error {
	l, c := x.l, x.c
	for {
		l.mu.Lock()
		err, generation, writes, epoch := x.err, c.generation, c.writes, l.epoch
		key := c.storedKey
		l.mu.Unlock()
		if err != nil {
			return err
		}
		var r row
		var there bool
		err = l.store.view(ctx, func(t rows) (err error) {
			r, there, err = t.look(ctx, key)
			return err
		})
		if err != nil {
			return err
		}
		l.mu.Lock()
		if x.err == nil && (generation != c.generation || writes != c.writes || epoch != l.epoch) {
			l.mu.Unlock()
			continue // what was read is not comparable to what is known now
		}
		err = x.compare(r, there)
		l.mu.Unlock()
		return err
	}
}

// compare judges the lease by its row. l.mu is held.
func (x *Lease) compare(r row, there bool) error {
	l, c := x.l, x.c
	state := x.state()
	ours := there && bytes.Equal(r.holder, c.storedHolder) && r.generation == c.generation && r.duration > 0
	if state == Held && !ours {
		c.writes = max(c.writes, r.writes) // newer than a renewal that is still to be noted
		l.lose(c, errTaken)
		state = Lost
	}
	switch {
	case x.err != nil:
		return x.err
	case state == Paused:
		return lifecycle.ErrPaused
	case state == Waiting:
		return ErrWaiting
	case c.dirty:
		return ErrDirty
	}
	return nil
}

// Release ends the lease. With the last one of a key the key is free for
// others when Release has returned nil. ctx bounds the waiting, not the
// releasing. Of a lease that is lost, paused or released already nothing
// is left to release, and Release returns nil.
//
// Where the key cannot be released, because another process keeps the file
// locked, Release returns an error, and the lease expires by itself.
func (x *Lease) Release(ctx context.Context) error {
	l, c := x.l, x.c
	l.mu.Lock()
	if x.err != nil {
		l.mu.Unlock()
		return nil
	}
	x.end(ErrReleased)
	delete(c.leases, x)
	e := l.settle(c)
	l.mu.Unlock()
	if e == nil {
		return nil
	}
	select {
	case <-e.done:
		if e.err != nil {
			return l.fail("release", c.key, e.err)
		}
		return nil
	case <-ctx.Done():
	}
	return l.fail("release", c.key, fmt.Errorf("it goes on in the background: %w", context.Cause(ctx)))
}

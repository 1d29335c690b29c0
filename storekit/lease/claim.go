package lease

import (
	"fmt"
	"time"
)

// pair is who wants what.
type pair struct{ key, holder string }

// claim is one pair's place in the Locks, for as long as there is a lease of
// it, or somebody waits for one. All its fields are guarded by Locks.mu.
type claim struct {
	pair
	storedKey, storedHolder []byte // as of the last attempt; nil before the first

	duration int64 // milliseconds
	every    time.Duration
	leases   map[*Lease]struct{}
	pending  int // calls of Hold that want it

	held       bool
	until      instant // while it is held
	generation uint64
	writes     int64
	dirty      bool

	next    time.Duration // when the renewer has something to do, on the monotonic clock
	backOff backOff
	seen    sighting
	failed  error   // of the last renewal
	doing   work    // what the renewer is at, from the plan until its outcome is noted
	ending  *ending // somebody waits for the release
}

// memory is what is kept of a pair that nobody has or wants any more: to tell,
// when it is held again, whether somebody else has had the key meanwhile.
type memory struct {
	generation uint64
	dirty      bool
}

// ending is a release that is waited for.
type ending struct {
	done chan struct{}
	err  error
}

// wanted tells whether anybody has a lease of it or waits for one.
func (c *claim) wanted() bool { return len(c.leases)+c.pending > 0 }

// idle tells whether the claim can be forgotten. While the renewer is at it,
// it cannot: what a write made of the row has to be noted where the next holder looks.
func (c *claim) idle() bool { return !c.wanted() && !c.held && c.doing == nothing }

// request is what the claim asks for.
func (c *claim) request(now int64) request {
	return request{key: c.storedKey, holder: c.storedHolder, now: now, duration: c.duration}
}

// took notes what a write into the row made of it, which began at the instant
// began. Writes may be noted in another order than they were made in. released
// says that a pause has released the row since.
func (c *claim) took(r row, began instant, released bool) {
	if c.held && (r.generation < c.generation || r.generation == c.generation && r.writes < c.writes) {
		return
	}
	if c.generation != 0 && r.generation != c.generation {
		c.dirty = true
	}
	c.generation, c.writes = r.generation, r.writes
	c.held, c.failed = !released, nil
	c.until = began.plus(r.duration)
	c.next = began.mono + c.every
	if released {
		c.next = 0
	}
	c.backOff = backOff{}
	c.seen = sighting{}
}

// claimOf returns the claim of a pair, which it makes where it is missing. l.mu is held.
func (l *Locks) claimOf(p pair) *claim {
	c := l.claims[p]
	if c == nil {
		m := l.memories[p]
		c = &claim{pair: p, leases: map[*Lease]struct{}{}, generation: m.generation, dirty: m.dirty}
		l.claims[p] = c
	}
	return c
}

// settle gives up what nobody wants any more. It returns the release that is
// to come, or nil. l.mu is held.
func (l *Locks) settle(c *claim) *ending {
	switch {
	case c.wanted():
	case c.held, c.doing == taking: // also what is held anew while an earlier hold is being released
		if c.ending == nil {
			c.ending = &ending{done: make(chan struct{})}
		}
		if !c.held || l.keep() {
			return c.ending
		}
		// A pause has begun, which releases it, or else the next life does.
	case c.doing == releasing:
		return c.ending
	case c.idle():
		l.drop(c, nil)
	}
	return nil
}

// drop forgets a claim, and tells who waits for its release. l.mu is held.
func (l *Locks) drop(c *claim, err error) {
	if l.claims[c.pair] == c {
		delete(l.claims, c.pair)
		if c.generation != 0 {
			l.memories[c.pair] = memory{c.generation, c.dirty}
		}
	}
	c.end(err)
}

// end tells who waits for the release what became of it.
func (c *claim) end(err error) {
	if c.ending != nil {
		c.ending.err = err
		close(c.ending.done)
		c.ending = nil
	}
}

// lose ends the leases of a claim for good. l.mu is held.
func (l *Locks) lose(c *claim, why error) {
	c.held = false
	for x := range c.leases {
		x.end(why)
	}
	clear(c.leases)
	if c.idle() {
		l.drop(c, nil)
	}
}

// HashChanged ends all leases, with ErrLost: Config.Hash returns something else
// from now on, as in a store that was replaced by another one. Under the new
// names nobody has anything, and what is held under the old ones expires. Whoever
// waits in Hold waits on, for the new name. What is held next is dirty, where
// it was held before.
func (l *Locks) HashChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, m := range l.memories {
		l.memories[p] = memory{m.generation, true}
	}
	for _, c := range l.claims {
		c.dirty = c.dirty || c.generation != 0
		l.lose(c, errRenamed)
		l.pass(c.key)
	}
}

var errRenamed = fmt.Errorf("%w: its name in the file has changed", ErrLost)

// backOff is the time between two looks at a lease that somebody else has.
type backOff struct{ last time.Duration }

func (b *backOff) next() time.Duration {
	b.last = min(max(2*b.last, 10*time.Millisecond), time.Second)
	return b.last
}

// sighting is what a waiter has seen of the row that it waits for. A holder
// that lives renews. So a row that stays the same for longer than its own
// duration is that of one who is gone, whatever the wall clock says of it.
type sighting struct {
	generation uint64
	writes     int64
	since      time.Duration // on the monotonic clock
	stale      bool
}

// note compares what was found by a look that began and ended at these moments.
func (s *sighting) note(r row, began, ended time.Duration) {
	if s.writes != r.writes || s.generation != r.generation {
		*s = sighting{generation: r.generation, writes: r.writes, since: ended}
		return
	}
	s.stale = began-s.since > time.Duration(r.duration)*time.Millisecond
}

// allow lets q take the row where it is stale.
func (s *sighting) allow(q *request) {
	if s.stale {
		q.staleGeneration, q.staleWrites = s.generation, s.writes
	}
}

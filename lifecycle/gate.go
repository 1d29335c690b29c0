package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errShut is what an acquisition ends with when the store stops being active
// meanwhile. It never leaves the package: the caller is treated as new work.
var errShut = errors.New("shut while waiting")

// gate admits one writer at a time, in the order of their coming. Who owns the
// gate owns the writer's connection. A releaser stands in front of the queue and is never refused.
type gate[C comparable] struct {
	mu       sync.Mutex
	taken    bool
	opening  bool // the owner is opening the connection
	refuse   bool
	queue    []*turn
	releaser *turn
	slot     *slot[C] // the open writer, or nil
}

// turn is a place in front of the gate.
type turn struct{ granted chan error }

func newTurn() *turn { return &turn{make(chan error, 1)} }

// enter takes the gate if that is free, or returns a place in its queue.
func (g *gate[C]) enter() (*turn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse {
		return nil, errShut
	}
	if !g.taken && g.releaser == nil {
		g.taken = true
		return nil, nil
	}
	t := newTurn()
	g.queue = append(g.queue, t)
	return t, nil
}

// nestedAfter is how long a writer waits for another before it looks whether
// that other is its own caller: long against a write, short for a human.
const nestedAfter = 100 * time.Millisecond

// wait waits for t's grant. It gives the place up when ctx ends, and when ask, after a moment, returns an error.
func (g *gate[C]) wait(ctx context.Context, t *turn, ask func() error) error {
	look := time.NewTimer(nestedAfter)
	defer look.Stop()
	var cause error
	for cause == nil {
		select {
		case err := <-t.granted:
			return err
		case <-ctx.Done():
			cause = endOf(ctx)
		case <-look.C:
			cause = ask()
		}
	}
	return g.giveUp(t, cause)
}

// giveUp gives t up, because of cause.
func (g *gate[C]) giveUp(t *turn, cause error) error {
	if g.withdraw(t) {
		return cause
	}
	if err := <-t.granted; err != nil { // refused meanwhile
		return err
	}
	g.leave() // granted meanwhile: pass it on
	return cause
}

// withdraw takes t from the queue. It returns false when t was answered already.
func (g *gate[C]) withdraw(t *turn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.releaser == t {
		g.releaser = nil
		return true
	}
	i := slices.Index(g.queue, t)
	if i < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return true
}

// front is the releaser's place, before everybody else's.
func (g *gate[C]) front() *turn {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := newTurn()
	if !g.taken {
		g.taken = true
		t.granted <- nil
		return t
	}
	g.releaser = t
	return t
}

// leave passes the gate to the releaser, else to the head of the queue.
func (g *gate[C]) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass()
}

func (g *gate[C]) pass() {
	switch {
	case g.releaser != nil:
		g.releaser.granted <- nil
		g.releaser = nil
	case len(g.queue) > 0:
		t := g.queue[0]
		g.queue = slices.Delete(g.queue, 0, 1)
		t.granted <- nil
	default:
		g.taken = false
		g.queue = nil
	}
}

// shut refuses everybody who waits or comes, except a releaser.
func (g *gate[C]) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = true
	for _, t := range g.queue {
		t.granted <- errShut
	}
	g.queue = nil
}

// admit lets writers in again.
func (g *gate[C]) admit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = false
}

// writer returns the open writer, or nil, and whether one is being opened.
func (g *gate[C]) writer() (sl *slot[C], opening bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.slot, g.opening
}

// set is for the gate's owner: sl is the writer from now on; nil if there is none.
func (g *gate[C]) set(sl *slot[C]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slot, g.opening = sl, false
}

func (g *gate[C]) setOpening() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opening = true
}

// severed takes the gate from an owner whose connection was closed under it, and passes it on.
func (g *gate[C]) severed(sl *slot[C]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.slot == sl {
		g.slot = nil
		g.pass()
	}
}

// lend makes a Foreign connection the owner of the gate, from whom returned takes it.
func (g *gate[C]) lend(sl *slot[C]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sl.gated = true
}

// returned passes the gate on that was lent to sl, unless that was done already.
func (g *gate[C]) returned(sl *slot[C]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if sl.gated {
		sl.gated = false
		g.pass()
	}
}

// Package guard keeps track of who is inside a connection. The owner of an
// operation enters for every call into the engine and leaves after it, by
// compare-and-swap; a pause may interrupt the call that is inside, or sever the
// connection: close it at a point where nobody is inside.
//
// Three rules make interrupts harmless. They are sent to a call, never to a
// connection. None is sent while a clean-up runs: an interrupted ROLLBACK
// leaves the transaction open. None is in force when a connection is closed:
// SQLite's close would obey it and leave -wal and -shm behind.
package guard

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

const (
	idle    uint32 = iota // no operation has the connection
	free                  // an operation has it, no call is inside
	inside                // a call is inside
	leaving               // a call is inside, and closes the connection when it leaves
	severed               // nobody gets in any more
)

var (
	// ErrIdle is why nobody gets into a connection that serves no operation.
	ErrIdle = errors.New("no operation has the connection")
	// ErrConcurrent is why a second goroutine does not get in.
	ErrConcurrent = errors.New("used by two goroutines at once")
)

// Target is the connection that is guarded.
type Target interface {
	// Interrupt stops the call that is inside. It is called beside it.
	Interrupt()
	// Shut closes everything, with interrupts kept away. It is called once,
	// when nobody is inside any more and nobody gets in.
	Shut() error
}

// Guard is used through Init. Begin, Enter, Left, Leave and End belong to the
// owner of the operation; the others may be called from anywhere.
type Guard struct {
	state       atomic.Uint32
	interrupted atomic.Bool // the operation was told to end: no statement of it may start any more
	poked       atomic.Bool // Interrupt was called, and may still be in force
	calling     bool        // a call is inside, and has not returned
	broken      bool        // a panic came out of it
	wake        chan struct{}

	mu       sync.Mutex // never held while the engine works
	target   Target
	shields  int           // > 0: no interrupts
	watching *Watch        // the watch whose statement is inside
	closed   bool          // the connection is closed
	closeErr error         // … with this
	dones    []func(error) // who waits for that
	gone     chan struct{} // closed with it, made by Sever
}

// Init says what is guarded.
func (g *Guard) Init(t Target) {
	g.target = t
	g.wake = make(chan struct{}, 1)
}

// Begin begins an operation. It returns false when one has the connection
// already, or when it was severed: then it stays so.
func (g *Guard) Begin() bool {
	return g.state.Load() == idle && g.state.CompareAndSwap(idle, free) // most have begun: to look is cheaper than to try
}

// End ends it. It returns false when the connection was severed.
func (g *Guard) End() bool { return g.state.CompareAndSwap(free, idle) }

// Enter begins a call; Leave ends it, and is deferred. Nothing but calls into
// the engine happens in between, and Left says that it ended without a panic.
func (g *Guard) Enter() bool {
	if !g.state.CompareAndSwap(free, inside) {
		return false
	}
	g.calling = true
	return true
}

// Left says that the call has returned.
func (g *Guard) Left() { g.calling = false }

// Leave ends the call.
func (g *Guard) Leave() {
	if g.calling || !g.state.CompareAndSwap(inside, free) {
		g.leaveSlowly()
	}
}

func (g *Guard) leaveSlowly() {
	if g.calling {
		g.calling, g.broken = false, true
		if g.state.CompareAndSwap(inside, free) {
			return
		}
	}
	g.state.Store(severed)
	_ = g.Close() // whoever severed the connection is told
}

// Broken says whether a panic came out of a call.
func (g *Guard) Broken() bool { return g.broken }

// Severed says whether nobody gets in any more.
func (g *Guard) Severed() bool {
	s := g.state.Load()
	return s == severed || s == leaving
}

// Free says whether an operation has the connection and no call is inside.
func (g *Guard) Free() bool { return g.state.Load() == free }

// Refused says why Enter failed.
func (g *Guard) Refused() error {
	switch g.state.Load() {
	case idle:
		return ErrIdle
	case severed, leaving:
		return lifecycle.ErrInterrupted
	default:
		return ErrConcurrent
	}
}

// Shield keeps interrupts away until Unshield.
func (g *Guard) Shield() {
	g.mu.Lock()
	g.shields++
	g.mu.Unlock()
}

// Unshield ends a Shield.
func (g *Guard) Unshield() {
	g.mu.Lock()
	g.shields--
	g.mu.Unlock()
}

// poke interrupts the call that is inside: of any statement where w is nil,
// else of w's statement only.
func (g *Guard) poke(w *Watch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shields > 0 || g.closed || w != nil && g.watching != w {
		return
	}
	switch g.state.Load() {
	case inside, leaving:
		g.poked.Store(true)
		g.target.Interrupt()
	}
}

// Interrupt stops the call that runs, and tells through Interrupted and Wake
// that no further one is to start, until Calm. It may find nothing running and
// does not wait. An interrupt that falls between the check and the start of a
// statement is lost on it, so it is to be repeated until the operation ends.
func (g *Guard) Interrupt() {
	g.interrupted.Store(true)
	g.poke(nil)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Interrupted says whether the operation was told to end.
func (g *Guard) Interrupted() bool { return g.interrupted.Load() }

// Wake ends a wait outside the engine when the operation is interrupted.
func (g *Guard) Wake() <-chan struct{} { return g.wake }

// Poked says whether an interrupt may still be in force; Soothed that none is any more.
func (g *Guard) Poked() bool { return g.poked.Load() }

// Soothed says that what Poked told of is over.
func (g *Guard) Soothed() { g.poked.Store(false) }

// Calm forgets that the operation was told to end.
func (g *Guard) Calm() {
	g.interrupted.Store(false)
	select {
	case <-g.wake:
	default:
	}
}

// Sever closes the connection at a point where no call is inside it: now, or
// when the call that is inside leaves, which is interrupted until it does.
// done is called once with the error of closing. Afterwards nobody gets in any more.
func (g *Guard) Sever(done func(error)) {
	g.mu.Lock()
	if g.closed {
		err := g.closeErr
		g.mu.Unlock()
		done(err)
		return
	}
	g.dones = append(g.dones, done)
	first := g.gone == nil
	if first {
		g.gone = make(chan struct{})
	}
	g.mu.Unlock()
	if !first {
		return
	}
	g.Interrupt()
	for {
		switch state := g.state.Load(); state {
		case idle, free:
			if g.state.CompareAndSwap(state, severed) {
				_ = g.Close() // done is told
				return
			}
		case inside:
			if g.state.CompareAndSwap(state, leaving) {
				go g.hurry()
				return
			}
		default: // it is being closed already
			return
		}
	}
}

// hurry interrupts the call that is inside until it has left.
func (g *Guard) hurry() {
	delay := Backoff{}
	for {
		g.poke(nil)
		timer := time.NewTimer(delay.Next())
		select {
		case <-g.gone:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Claim takes the connection out of everybody's reach, for Close. It returns
// false when a call is inside, or somebody else has it already.
func (g *Guard) Claim() bool {
	return g.state.CompareAndSwap(idle, severed) || g.state.CompareAndSwap(free, severed)
}

// Close closes the connection, after Claim.
func (g *Guard) Close() error {
	g.Shield() // for good
	err := g.target.Shut()
	g.mu.Lock()
	g.closed, g.closeErr = true, err
	dones := g.dones
	g.dones = nil
	if g.gone != nil {
		close(g.gone)
	}
	g.mu.Unlock()
	for _, done := range dones {
		done(err)
	}
	return err
}

// Backoff doubles from 1 to 50 ms.
type Backoff struct{ last time.Duration }

// Next returns how long to wait.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, time.Millisecond), 50*time.Millisecond)
	return b.last
}

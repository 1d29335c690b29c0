package sqlite

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Who is inside the engine. The owner of an operation enters for every call
// and leaves after it, by compare-and-swap; a pause may interrupt the call
// that is inside, or sever the connection: close it at a point where nobody is
// inside. Three rules make interrupts harmless. They are sent to a call, never
// to a connection. None is sent while a clean-up runs: an interrupted ROLLBACK
// leaves the transaction open. None is in force when a connection is closed:
// the close would obey it and leave -wal and -shm behind.

const (
	stateIdle    uint32 = iota // no operation has the connection
	stateFree                  // an operation has it, no call is inside
	stateInside                // a call is inside
	stateLeaving               // a call is inside, and closes the connection when it leaves
	stateSevered               // nobody gets in any more
)

var (
	errBroken     = errors.New("a panic came out of the engine")
	errConcurrent = errors.New("used by two goroutines at once")
)

type guard struct {
	state       atomic.Uint32
	epoch       atomic.Uint64 // counts operations, so that a leaked iteration is known
	interrupted atomic.Bool   // the operation was told to end: no statement of it starts any more
	poked       atomic.Bool   // sqlite3_interrupt was called, and may still be in force
	wake        chan struct{} // ends a wait for another process's lock

	mu       sync.Mutex // never held while the engine works
	target   interrupter
	shields  int           // > 0: no interrupts
	watching *watch        // the watch whose statement is inside
	closed   bool          // the physical connection is closed
	closeErr error         // … with this
	dones    []func(error) // who waits for that
	gone     chan struct{} // closed with it, made by sever
}

type interrupter interface{ Interrupt() }

func (g *guard) init(raw interrupter) {
	g.target = raw
	g.wake = make(chan struct{}, 1)
}

// refused says why entering failed.
func (g *guard) refused() error {
	switch g.state.Load() {
	case stateIdle:
		return ErrReleased
	case stateSevered, stateLeaving:
		return lifecycle.ErrInterrupted
	default:
		return errConcurrent
	}
}

// enter begins a call into the engine; leave ends it, and is deferred. Nothing
// but calls into the engine happens in between, and left says that it ended
// without a panic.
func (c *Conn) enter() bool {
	if !c.state.CompareAndSwap(stateFree, stateInside) {
		return false
	}
	c.calling = true
	return true
}

func (c *Conn) left() { c.calling = false }

func (c *Conn) leave() {
	if c.calling || !c.state.CompareAndSwap(stateInside, stateFree) {
		c.leaveSlowly()
	}
}

func (c *Conn) leaveSlowly() {
	if c.calling {
		c.calling, c.broken = false, true
		if c.state.CompareAndSwap(stateInside, stateFree) {
			return
		}
	}
	c.state.Store(stateSevered)
	_ = c.shut() // whoever severed the connection is told
}

// inside runs f between enter and leave.
func (c *Conn) inside(op, sql string, f func() error) error {
	if !c.enter() {
		return c.refuse(op, sql, c.refused())
	}
	defer c.leave()
	err := f()
	c.left()
	return err
}

// shield keeps interrupts away until the function that it returns is called.
func (g *guard) shield() func() {
	g.mu.Lock()
	g.shields++
	g.mu.Unlock()
	return g.unshield
}

func (g *guard) unshield() {
	g.mu.Lock()
	g.shields--
	g.mu.Unlock()
}

// poke interrupts the call that is inside: of any statement where w is nil,
// else of w's statement only.
func (g *guard) poke(w *watch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shields > 0 || g.closed || w != nil && g.watching != w {
		return
	}
	switch g.state.Load() {
	case stateInside, stateLeaving:
		g.poked.Store(true)
		g.target.Interrupt()
	}
}

// interrupt stops the statement that runs, and keeps every further statement
// of the operation from starting, until reset. It may find nothing running and
// does not wait. An interrupt that falls between the check and the start of a
// statement is lost on it, so it is to be repeated until the operation ends.
func (c *Conn) interrupt() {
	c.interrupted.Store(true)
	c.poke(nil)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// calm forgets an interrupt.
func (g *guard) calm() {
	g.interrupted.Store(false)
	select {
	case <-g.wake:
	default:
	}
}

// sever closes the connection at a point where no call is inside it: now, or
// when the call that is inside leaves, which is interrupted until it does.
// done is called once with the error of closing. Afterwards every call of the
// owner returns ErrInterrupted, and neither reset nor close is called any more.
func (c *Conn) sever(done func(error)) {
	c.mu.Lock()
	if c.closed {
		err := c.closeErr
		c.mu.Unlock()
		done(err)
		return
	}
	c.dones = append(c.dones, done)
	first := c.gone == nil
	if first {
		c.gone = make(chan struct{})
	}
	c.mu.Unlock()
	if !first {
		return
	}
	c.interrupt()
	for {
		switch state := c.state.Load(); state {
		case stateIdle, stateFree:
			if c.state.CompareAndSwap(state, stateSevered) {
				_ = c.shut() // done is told
				return
			}
		case stateInside:
			if c.state.CompareAndSwap(state, stateLeaving) {
				go c.hurry()
				return
			}
		default: // it is being closed already
			return
		}
	}
}

// hurry interrupts the call that is inside until it has left.
func (c *Conn) hurry() {
	delay := backoff{}
	for {
		c.poke(nil)
		timer := time.NewTimer(delay.next())
		select {
		case <-c.gone:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// finished records that the connection is closed and tells those who wait for it.
func (g *guard) finished(err error) {
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
}

// backoff doubles from 1 to 50 ms.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, time.Millisecond), 50*time.Millisecond)
	return b.last
}

func joinErrors(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return errors.Join(first, second)
	}
}

package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// fakeDriver is a driver whose connections are counted and watched: whatever
// the core does that a real driver could not bear is a failure of the test.
type fakeDriver struct {
	t testing.TB

	open, opened, closed atomic.Int64
	writers              atomic.Int64
	interrupts           atomic.Int64
	all                  sync.Map
	resets               atomic.Int64

	// Hooks, set before use. All may be nil.
	onOpen  func(ctx context.Context, info lifecycle.OpenInfo) error
	onClose func(c *fakeConn) error
	onReset func(c *fakeConn) error
	stuck   bool // interrupts do nothing
}

type fakeConn struct {
	d    *fakeDriver
	role lifecycle.Role
	gen  uint64

	users atomic.Int32 // owner's calls, Reset, Close: never two at once

	mu          sync.Mutex
	interrupted bool
	stop        chan struct{} // closed by Interrupt while a statement runs
	cleaning    bool
	closed      bool
	severed     bool
	onSevered   func(error)
}

func newFake(t testing.TB) *fakeDriver { return &fakeDriver{t: t} }

func (d *fakeDriver) Open(ctx context.Context, info lifecycle.OpenInfo) (*fakeConn, error) {
	if d.onOpen != nil {
		if err := d.onOpen(ctx, info); err != nil {
			return nil, err
		}
	}
	d.open.Add(1)
	d.opened.Add(1)
	if info.Role == lifecycle.Writer {
		if n := d.writers.Add(1); n > 1 {
			d.t.Errorf("%d writers are open at once; there is never a second one", n)
		}
	}
	c := &fakeConn{d: d, role: info.Role, gen: info.Generation}
	d.all.Store(c, nil)
	return c, nil
}

func (c *fakeConn) enter(what string) func() {
	if c.users.Add(1) != 1 {
		c.d.t.Errorf("%s on a connection that somebody else is using", what)
	}
	return func() { c.users.Add(-1) }
}

func (d *fakeDriver) Interrupt(c *fakeConn) {
	d.interrupts.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cleaning {
		d.t.Error("interrupted during clean-up: a ROLLBACK would have left its transaction open")
	}
	if c.closed && !c.severed {
		d.t.Error("interrupted after Close")
	}
	if d.stuck {
		return
	}
	c.interrupted = true
	if c.stop != nil {
		close(c.stop)
		c.stop = nil
	}
}

func (d *fakeDriver) Reset(c *fakeConn) error {
	defer c.enter("Reset")()
	d.resets.Add(1)
	c.mu.Lock()
	if c.closed {
		d.t.Error("Reset of a closed connection")
	}
	c.cleaning = true
	c.mu.Unlock()
	var err error
	if d.onReset != nil {
		err = d.onReset(c)
	}
	c.mu.Lock()
	c.cleaning, c.interrupted = false, false
	c.mu.Unlock()
	return err
}

func (d *fakeDriver) Close(c *fakeConn) error {
	defer c.enter("Close")()
	c.mu.Lock()
	if c.closed {
		d.t.Error("a connection was closed twice")
	}
	c.closed = true
	c.mu.Unlock()
	d.gone(c)
	if d.onClose != nil {
		return d.onClose(c)
	}
	return nil
}

func (d *fakeDriver) gone(c *fakeConn) {
	d.all.Delete(c)
	d.open.Add(-1)
	d.closed.Add(1)
	if c.role == lifecycle.Writer {
		d.writers.Add(-1)
	}
}

// run is a statement that ends when end does, or is interrupted.
func (c *fakeConn) run(end <-chan struct{}) error {
	defer c.enter("a statement")()
	c.mu.Lock()
	if c.severed {
		c.mu.Unlock()
		return fmt.Errorf("severed: %w", lifecycle.ErrInterrupted)
	}
	if c.closed {
		c.d.t.Error("a statement on a closed connection")
	}
	if c.interrupted {
		c.mu.Unlock()
		return errFakeInterrupt
	}
	stop := make(chan struct{})
	c.stop = stop
	c.mu.Unlock()
	var err error
	select {
	case <-end:
	case <-stop:
		err = errFakeInterrupt
	}
	c.mu.Lock()
	c.stop = nil
	done := c.onSevered
	c.onSevered = nil
	if done != nil {
		c.closed = true
		err = fmt.Errorf("severed: %w", lifecycle.ErrInterrupted)
	}
	c.mu.Unlock()
	if done != nil {
		c.d.gone(c)
		done(nil)
	}
	return err
}

var errFakeInterrupt = errors.New("fake: interrupted statement")

// ended is a statement's end that has come already.
var ended = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// severingDriver can also sever.
type severingDriver struct{ *fakeDriver }

func (d severingDriver) Sever(c *fakeConn, done func(error)) {
	c.mu.Lock()
	c.severed = true
	if c.stop != nil { // a statement is inside: it closes when it leaves
		c.onSevered = done
		if !d.stuck {
			close(c.stop)
			c.stop = nil
		}
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.mu.Unlock()
	d.gone(c)
	done(nil)
}

// nothingHeld checks the driver's own count, after a nil Pause.
func (d *fakeDriver) nothingHeld(t testing.TB) {
	t.Helper()
	if n := d.open.Load(); n != 0 {
		t.Errorf("%d connections are open after Pause returned nil; it promises that nothing is held any more", n)
		d.all.Range(func(c, _ any) bool {
			f := c.(*fakeConn)
			f.mu.Lock()
			t.Logf("open: %v of generation %d, closed %v severed %v stop %v onSevered %v", f.role, f.gen, f.closed, f.severed, f.stop != nil, f.onSevered != nil)
			f.mu.Unlock()
			return true
		})
	}
}

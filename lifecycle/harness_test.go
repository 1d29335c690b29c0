package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// What the tests of the promises share: a driver that can do everything that a
// driver can and keeps a record of it, and operations that stay as long as a test wants.

type (
	store  = lifecycle.Connections[*fakeConn]
	config = lifecycle.Config[*fakeConn]
)

var background = context.Background()

// fullDriver implements every optional interface but Severer. Its functions may be nil.
type fullDriver struct {
	*fakeDriver
	mu     sync.Mutex
	record []string

	checkpoint func(ctx context.Context, c *fakeConn) (lifecycle.CheckpointResult, error)
	identify   func(c *fakeConn) error
	validate   func(ctx context.Context) error
	validated  func() (lifecycle.Change, error)
	verify     func(ctx context.Context) error
	leftovers  []string
}

// newFull makes a driver whose opens and closes are on record too.
func newFull(t testing.TB) *fullDriver {
	d := &fullDriver{fakeDriver: newFake(t)}
	d.onOpen = func(_ context.Context, info lifecycle.OpenInfo) error {
		d.note("open " + info.Role.String())
		return nil
	}
	d.onClose = func(c *fakeConn) error {
		d.note("close " + c.role.String())
		return nil
	}
	return d
}

func (d *fullDriver) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record = append(d.record, what)
}

// took returns the record since the last call.
func (d *fullDriver) took() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.record
	d.record = nil
	return taken
}

func (d *fullDriver) Checkpoint(ctx context.Context, c *fakeConn) (lifecycle.CheckpointResult, error) {
	if n := d.open.Load(); n != 1 {
		d.t.Errorf("%d connections are open during the checkpoint; it runs with every other connection closed", n)
	}
	d.note("checkpoint " + c.role.String())
	if d.checkpoint == nil {
		return lifecycle.CheckpointResult{}, nil
	}
	return d.checkpoint(ctx, c)
}

func (d *fullDriver) Identify(_ context.Context, c *fakeConn) error {
	d.note("identify " + c.role.String())
	if d.identify == nil {
		return nil
	}
	return d.identify(c)
}

func (d *fullDriver) Validate(ctx context.Context) error {
	d.note("validate")
	if d.validate == nil {
		return nil
	}
	return d.validate(ctx)
}

func (d *fullDriver) Validated(context.Context) (lifecycle.Change, error) {
	d.note("validated")
	if d.validated == nil {
		return lifecycle.ChangeUnknown, nil
	}
	return d.validated()
}

func (d *fullDriver) Verify(ctx context.Context) error {
	d.note("verify")
	if d.verify == nil {
		return nil
	}
	return d.verify(ctx)
}

func (d *fullDriver) Leftovers() []string { return d.leftovers }

// fullSevering can also sever.
type fullSevering struct{ *fullDriver }

func (d fullSevering) Sever(c *fakeConn, done func(error)) {
	d.note("sever " + c.role.String())
	severingDriver{d.fakeDriver}.Sever(c, done)
}

// open opens a store, which is closed at the end of the test. Nothing may be left then.
func open(t *testing.T, driver lifecycle.Driver[*fakeConn], cfg config) *store {
	t.Helper()
	s, err := lifecycle.Open(background, driver, cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(background); err != nil {
			t.Errorf("the last Close: %v", err)
		}
		if now := s.State(); now != lifecycle.Closed {
			t.Errorf("the store is %v after Close", now)
		}
		fakeOf(driver).allGone(t)
	})
	return s
}

func fakeOf(driver lifecycle.Driver[*fakeConn]) *fakeDriver {
	switch d := driver.(type) {
	case *fakeDriver:
		return d
	case severingDriver:
		return d.fakeDriver
	case *fullDriver:
		return d.fakeDriver
	case fullSevering:
		return d.fakeDriver
	default:
		panic("what driver is this?")
	}
}

// allGone checks that every connection was closed, and once.
func (d *fakeDriver) allGone(t testing.TB) {
	t.Helper()
	d.nothingHeld(t)
	if o, c := d.opened.Load(), d.closed.Load(); o != c {
		t.Errorf("%d connections were opened and %d closed; every connection is closed exactly once", o, c)
	}
}

// held is an operation that a test keeps from ending.
type held struct {
	conn   *fakeConn
	end    chan struct{}
	result chan error
}

// release lets the operation end and returns what its caller got.
func (h *held) release() error {
	close(h.end)
	return <-h.result
}

type operation func(context.Context, func(*fakeConn) error) error

// inGo starts an operation that is busy with something else than its
// connection: no interrupt reaches it.
func inGo(ctx context.Context, op operation) *held {
	h := &held{end: make(chan struct{}), result: make(chan error, 1)}
	return h.start(ctx, op, func(*fakeConn) error { <-h.end; return nil })
}

// inStatement starts an operation that runs a statement, which an interrupt ends.
func inStatement(ctx context.Context, op operation) *held {
	h := &held{end: make(chan struct{}), result: make(chan error, 1)}
	return h.start(ctx, op, func(c *fakeConn) error { return c.run(h.end) })
}

func (h *held) start(ctx context.Context, op operation, fn func(*fakeConn) error) *held {
	began := make(chan struct{})
	go func() {
		h.result <- op(ctx, func(c *fakeConn) error {
			h.conn = c
			close(began)
			return fn(c)
		})
	}()
	<-began
	synctest.Wait()
	return h
}

// begin calls f on a goroutine of its own, and lets it come as far as it can.
func begin(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	synctest.Wait()
	return result
}

func pause(s *store) <-chan error  { return begin(func() error { return s.Pause(background) }) }
func resume(s *store) <-chan error { return begin(func() error { return s.Resume(background) }) }

// returned fetches a result that must be there by now.
func returned(t testing.TB, result <-chan error, what string) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		return err
	default:
		t.Fatalf("not returned yet: %s", what)
		return nil
	}
}

// waiting checks that there is no result yet.
func waiting(t testing.TB, result <-chan error, what string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		t.Fatalf("returned %v too early: %s", err, what)
	default:
	}
}

func wantErr(t testing.TB, err, want error, promise string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: the error is %v; want %v", promise, err, want)
	}
}

func wantNil(t testing.TB, err error, promise string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", promise, err)
	}
}

func wantState(t testing.TB, s interface{ State() lifecycle.State }, want lifecycle.State, promise string) {
	t.Helper()
	if now := s.State(); now != want {
		t.Errorf("%s: the state is %v; want %v", promise, now, want)
	}
}

func wantAfter(t testing.TB, start time.Time, want time.Duration, promise string) {
	t.Helper()
	if took := time.Since(start); took != want {
		t.Errorf("%s: after %v; want %v", promise, took, want)
	}
}

func wantHeld(t testing.TB, err error, step lifecycle.Step, promise string) *lifecycle.HeldError {
	t.Helper()
	var h *lifecycle.HeldError
	if !errors.As(err, &h) {
		t.Fatalf("%s: the error is %v; want a *HeldError", promise, err)
	}
	if h.Step != step {
		t.Errorf("%s: at step %q; want %q", promise, h.Step, step)
	}
	return h
}

func wantSteps(t testing.TB, got []string, want []string, promise string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", promise, got, want)
	}
}

// ended returns a context that has ended.
func endedCtx() context.Context {
	ctx, cancel := context.WithCancel(background)
	cancel()
	return ctx
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(background, d)
	t.Cleanup(cancel)
	return ctx
}

func nothing(*fakeConn) error { return nil }

func statement(c *fakeConn) error { return c.run(ended) }

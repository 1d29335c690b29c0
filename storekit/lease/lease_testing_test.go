package lease_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// What the tests share.

var ctx = context.Background()

// TestMain finds goroutines that any test of this package leaves behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engines are what every test here runs on.
var engines = []sqlite.Engine{modernc.Engine(), mattn.Engine()}

// onEngines runs a test or a benchmark on every engine that this build has, and finds the goroutines that it leaves behind.
func onEngines[T interface {
	*testing.T | *testing.B
	testing.TB
	Run(string, func(T)) bool
}](t T, test func(t T, engine sqlite.Engine)) {
	t.Helper()
	for _, engine := range engines {
		t.Run("engine="+engine.Name(), func(t T) {
			if engine.Name() == "mattn" && !withCgo {
				t.Skip("the mattn engine needs cgo, and this is a build without; the other build runs it")
			}
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			test(t, engine)
		})
	}
}

// everywhere runs a test on every engine and in memory.
func everywhere(t *testing.T, test func(t *testing.T, l *lease.Locks)) {
	t.Helper()
	onEngines(t, func(t *testing.T, engine sqlite.Engine) { test(t, open(t, engine, nil)) })
	t.Run("memory", func(t *testing.T) { test(t, inMemory(t)) })
}

// open opens leases in a directory of the test's own, with the operating
// system's proof on, and closes them at the end.
func open(t testing.TB, engine sqlite.Engine, change func(*lease.Config)) *lease.Locks {
	t.Helper()
	cfg := lease.Config{Database: sqlite.Config{Engine: engine, Path: filepath.Join(t.TempDir(), "lease.db"), Verify: true}}
	if change != nil {
		change(&cfg)
	}
	l, err := lease.Open(ctx, cfg)
	must(t, err)
	return closing(t, l)
}

func inMemory(t testing.TB) *lease.Locks {
	t.Helper()
	l, err := lease.Memory(ctx, "memory")
	must(t, err)
	return closing(t, l)
}

func at(path string) func(*lease.Config) {
	return func(c *lease.Config) { c.Database.Path = path }
}

func closing(t testing.TB, l *lease.Locks) *lease.Locks {
	t.Cleanup(func() {
		if err := l.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// hold holds a key.
func hold(t testing.TB, l *lease.Locks, key string, o lease.Options) *lease.Lease {
	t.Helper()
	x, err := l.Hold(deadline(t, patience), key, o)
	must(t, err)
	return x
}

// take takes a key, and fails the test where the generation is another; 0 stands for a refusal.
func take(t testing.TB, l *lease.Locks, key, holder string, d time.Duration, want uint64) {
	t.Helper()
	generation, ok, err := l.Take(ctx, key, holder, d)
	must(t, err)
	switch {
	case ok != (want > 0):
		t.Fatalf("Take of %s by %s for %v: granted is %v, want %v", key, holder, d, ok, want > 0)
	case generation != want:
		t.Fatalf("Take of %s by %s for %v: generation %d, want %d", key, holder, d, generation, want)
	}
}

func wantState(t testing.TB, x *lease.Lease, want lease.State) {
	t.Helper()
	if s := x.State(); s != want {
		t.Errorf("the lease is %v, want %v (%v)", s, want, x.Err())
	}
}

// patience is how long a test waits for what has to come. It is no measurement.
const patience = 60 * time.Second

// deadline is a context that ends after d.
func deadline(t testing.TB, d time.Duration) context.Context {
	c, cancel := context.WithTimeout(ctx, d)
	t.Cleanup(cancel)
	return c
}

// eventually waits for something that nobody tells.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if done() {
			return
		}
		time.Sleep(time.Millisecond) // between two looks
	}
	t.Fatalf("it has not happened that %s", what)
}

// ends waits until a lease is over, and checks why.
func ends(t testing.TB, x *lease.Lease, want error) {
	t.Helper()
	select {
	case <-x.Done():
		wantError(t, "the lease's end", x.Err(), want)
	case <-time.After(patience):
		t.Fatal("the lease does not end")
	}
}

// goErr runs f on a goroutine of its own.
func goErr(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

// within waits for a result that must match want.
func within(t testing.TB, what string, errs <-chan error, want error) {
	t.Helper()
	select {
	case err := <-errs:
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s returned %v, want %v", what, err, want)
		}
	case <-time.After(patience):
		t.Fatalf("%s has not returned after %v", what, patience)
	}
}

// wall is a wall clock that can be set.
type wall struct{ offset atomic.Int64 }

func (w *wall) now() time.Time        { return time.Now().Add(time.Duration(w.offset.Load())) }
func (w *wall) set(off time.Duration) { w.offset.Store(int64(off)) }

func (w *wall) use(c *lease.Config) { *c = lease.WithWall(*c, w.now) }

// minute is a lease that does not run out during a test.
var minute = lease.Options{Duration: time.Minute}

// brief is one that is renewed often.
var brief = lease.Options{Duration: time.Second, Renew: 20 * time.Millisecond}

// by is another holder's.
func by(holder string, o lease.Options) lease.Options { o.Holder = holder; return o }

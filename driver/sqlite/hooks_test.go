package sqlite_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The hooks work with real connections: BeforeRelease writes, AfterReopen reads before anybody else.
func TestHooks(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var seen []string
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.BeforeRelease = func(ctx context.Context, w *sqlite.Conn) error {
				return w.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "written at the last moment") })
			}
			c.AfterReopen = func(ctx context.Context, r *sqlite.Conn) error {
				var v string
				err := r.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT v FROM t`).Scan(&v) })
				seen = append(seen, v)
				return err
			}
		})
		for range 2 {
			must(t, db.Pause(ctx))
			nothingHeld(t, db)
			must(t, db.Resume(ctx))
		}
		if len(seen) != 2 || seen[1] != "written at the last moment" {
			t.Errorf("AfterReopen saw %q", seen)
		}
	})
}

func TestHooksThatFail(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		errHook := errors.New("the hook's own")
		var before, after error
		panics := false
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.BeforeRelease = func(ctx context.Context, w *sqlite.Conn) error { _ = setRow(w, "kept"); return before }
			c.AfterReopen = func(ctx context.Context, r *sqlite.Conn) error {
				if panics {
					panic("the hook's own")
				}
				return after
			}
		})
		before, after = errHook, errHook
		if err := db.Pause(ctx); !errors.Is(err, errHook) {
			t.Errorf("Pause: %v, want the hook's error", err)
		}
		nothingHeld(t, db) // it releases all the same
		if err := db.Resume(ctx); !errors.Is(err, errHook) {
			t.Errorf("Resume: %v, want the hook's error", err)
		}
		panics = true
		settled(t, db)
		if err := db.Resume(ctx); !errors.As(err, new(*lifecycle.PanicError)) {
			t.Errorf("Resume: %v, want a PanicError", err)
		}
		settled(t, db)
		nothingHeld(t, db)
		before, after, panics = nil, nil, false
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
	})
}

// PRAGMA optimize runs after a Resume, in the background, and keeps no pause waiting.
func TestOptimizeKeepsNoPauseWaiting(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Grace, c.Timeout = 30*time.Second, patienceOfTests })
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			return c.ExecScript(ctx, `CREATE TABLE many (a, b, c); CREATE INDEX ia ON many (a); CREATE INDEX ib ON many (b);
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000) INSERT INTO many SELECT i, i % 7, i % 3 FROM n`)
		}))
		for range 10 {
			must(t, db.Pause(ctx))
			nothingHeld(t, db)
			db.ForgetOptimize()
			must(t, db.Resume(ctx))
		}
		must(t, db.Pause(ctx))
		db.ForgetOptimize()
		must(t, db.Resume(ctx))
		eventually(t, "the planner's statistics are there", func() bool {
			var n int
			must(t, db.View(ctx, func(c *sqlite.Conn) error {
				return c.QueryRow(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'`).Scan(&n)
			}))
			return n == 1
		})
	})
}

// The observer is told of every change, in order, with its report.
func TestObserverSeesTheWholeLife(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var told []lifecycle.State
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Observer = lifecycle.ObserverFunc(func(e lifecycle.Event) { told = append(told, e.To) })
		})
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
		must(t, db.Close(ctx))
		want := []lifecycle.State{lifecycle.Resuming, lifecycle.Active, lifecycle.Pausing, lifecycle.Paused, lifecycle.Resuming, lifecycle.Active, lifecycle.Pausing, lifecycle.Closed}
		for i := range max(len(want), len(told)) {
			if i >= len(told) || i >= len(want) || told[i] != want[i] {
				t.Fatalf("the observer was told %v, want %v", told, want)
			}
		}
	})
}

// A Setup that ends its goroutine, as a test's FailNow does, is an error of
// Resume: nothing hangs and nothing is held, and the next Resume may succeed.
func TestResumeWhoseSetupEndsTheGoroutine(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var ends atomic.Bool
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Setup = func(context.Context, *sqlite.Conn) error {
				if ends.Load() {
					runtime.Goexit()
				}
				return nil
			}
		})
		for range 2 {
			must(t, db.Pause(ctx))
			ends.Store(true)
			select {
			case err := <-goErr(func() error { return db.Resume(ctx) }):
				if err == nil {
					t.Error("Resume returned nil, and Setup has ended its goroutine")
				}
			case <-time.After(patienceOfTests):
				t.Fatal("Resume hangs after a Setup that ended its goroutine")
			}
			if s := settled(t, db); s != lifecycle.Paused {
				t.Errorf("the store is %v after a Resume that failed, want paused", s)
			}
			nothingHeld(t, db)
			ends.Store(false)
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "kept" {
				t.Errorf("read %q", got)
			}
		}
		// The writer is opened when it is first used.
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
		ends.Store(true)
		within(t, "a read before", goErr(func() error { _ = readRow(t, db); return nil }), nil)
		select {
		case err := <-goErr(func() error { return db.Update(ctx, func(c *sqlite.Conn) error { return nil }) }):
			if err == nil {
				t.Error("Update returned nil, and Setup has ended its goroutine")
			}
		case <-time.After(patienceOfTests):
			t.Fatal("Update hangs after a Setup that ended its goroutine")
		}
		ends.Store(false)
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "new") }))
	})
}

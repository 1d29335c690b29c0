package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Prepare may write, in Open and in every Resume, before anybody else gets in.
func TestPrepareWritesBeforeAnybodyElse(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		calls := 0
		cfg := sqlite.Config{Engine: engine, Path: filepath.Join(t.TempDir(), "new.db"), Verify: true}
		cfg.Prepare = func(ctx context.Context, c *sqlite.Conn) error {
			calls++
			return c.Update(ctx, func(c *sqlite.Conn) error {
				if err := c.ExecScript(ctx, `CREATE TABLE IF NOT EXISTS t (v)`); err != nil {
					return err
				}
				_, err := c.Exec(ctx, `INSERT INTO t VALUES (?)`, calls)
				return err
			})
		}
		cfg.AfterReopen = func(ctx context.Context, c *sqlite.Conn) error {
			var seen int
			if err := c.QueryRow(ctx, `SELECT max(v) FROM t`).Scan(&seen); err != nil {
				return err
			}
			if seen != calls {
				t.Errorf("AfterReopen sees %d, want what Prepare number %d has written", seen, calls)
			}
			if _, err := c.Exec(ctx, `INSERT INTO t VALUES (0)`); !errors.Is(err, sqlite.ErrReadOnly) {
				t.Errorf("AfterReopen may write: %v", err)
			}
			if err := c.Update(ctx, func(*sqlite.Conn) error { return nil }); !errors.Is(err, sqlite.ErrReadOnly) {
				t.Errorf("AfterReopen may begin to write: %v", err)
			}
			return nil
		}
		db, err := sqlite.Open(ctx, cfg)
		must(t, err)
		for range 2 {
			must(t, db.Pause(ctx))
			nothingHeld(t, db)
			must(t, db.Resume(ctx))
		}
		if calls != 3 {
			t.Errorf("Prepare ran %d times, want once in Open and once in each Resume", calls)
		}
		must(t, db.Close(ctx))

		cfg.StartPaused = true
		db, err = sqlite.Open(ctx, cfg)
		must(t, err)
		if calls != 3 {
			t.Error("Prepare ran in an Open that starts paused")
		}
		must(t, db.Resume(ctx))
		if calls != 4 {
			t.Error("Prepare did not run in the first Resume")
		}
		must(t, db.Close(ctx))
	})
}

// An Open whose Prepare fails leaves no new file, a Resume stays paused and may be repeated.
func TestPrepareThatFails(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		errPrepare := errors.New("the program's own")
		var fails error
		var panics bool
		path := filepath.Join(t.TempDir(), "new.db")
		cfg := sqlite.Config{Engine: engine, Path: path, Verify: true, Prepare: func(ctx context.Context, c *sqlite.Conn) error {
			if panics {
				panic("the program's own")
			}
			return errors.Join(c.ExecScript(ctx, `CREATE TABLE IF NOT EXISTS t (v)`), fails)
		}}
		fails = errPrepare
		if _, err := sqlite.Open(ctx, cfg); !errors.Is(err, errPrepare) {
			t.Errorf("Open: %v, want the error of Prepare", err)
		}
		panics = true
		if _, err := sqlite.Open(ctx, cfg); !errors.As(err, new(*lifecycle.PanicError)) {
			t.Errorf("Open: %v, want a PanicError", err)
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
			t.Errorf("a failed Open has left %v (%v)", left, err)
		}
		fails, panics = nil, false
		db, err := sqlite.Open(ctx, cfg)
		must(t, err)
		must(t, db.Pause(ctx))
		fails = errPrepare
		if err := db.Resume(ctx); !errors.Is(err, errPrepare) {
			t.Errorf("Resume: %v, want the error of Prepare", err)
		}
		settled(t, db)
		nothingHeld(t, db)
		if err := db.View(ctx, func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("after a failed Resume: %v", err)
		}
		fails = nil
		must(t, db.Resume(ctx))
		must(t, db.Close(ctx))
	})
}

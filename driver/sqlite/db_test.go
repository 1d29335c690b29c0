package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

var ctx = context.Background()

// TestPauseReleasesEverything is the promise in its shortest form.
func TestPauseReleasesEverything(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := open(t, engine, nil)
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			if err := c.ExecScript(ctx, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)`); err != nil {
				return err
			}
			_, err := c.Exec(ctx, `INSERT INTO t (v) VALUES (?)`, "kept")
			return err
		}))
		for range 3 {
			var v string
			must(t, db.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT v FROM t WHERE id = 1`).Scan(&v) }))
			if v != "kept" {
				t.Errorf("read %q after a resume, wrote %q", v, "kept")
			}
			held, err := sqlite.HeldBySelf(ctx, db.Path())
			must(t, err)
			if held.Descriptors() == 0 {
				t.Error("an open store shows no descriptor: the proof below would prove nothing")
			}
			must(t, db.Pause(ctx))
			held, err = sqlite.HeldBySelf(ctx, db.Path())
			must(t, err)
			if err := held.Err(); err != nil {
				t.Errorf("after a Pause that returned nil: %v", err)
			}
			if left, _ := filepath.Glob(db.Path() + "-*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if err := db.View(ctx, func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("View while paused: %v, want ErrPaused", err)
			}
			must(t, db.Resume(ctx))
		}
		t.Logf("%+v", db.Report())
	})
}

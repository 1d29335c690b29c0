package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// A database that Open makes under IncrementalVacuum can give back free pages
// step by step; one that was there keeps what it has, in Open and in Resume.
func TestIncrementalVacuum(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		const none, incremental = 0, 2
		for _, old := range []struct{ main, other bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
			dir := t.TempDir()
			cfg := sqlite.Config{Engine: engine, Path: filepath.Join(dir, "test.db"), ApplicationID: 77, IncrementalVacuum: true,
				Attach: []sqlite.Attachment{{Schema: "other", Path: filepath.Join(dir, "other.db")}}}
			want := map[string]int{"main": incremental, "other": incremental}
			if old.main {
				makeDB(t, engine, cfg.Path)
				cfg.ApplicationID, want["main"] = 0, none
			}
			if old.other {
				makeDB(t, engine, cfg.Attach[0].Path)
				want["other"] = none
			}
			db, err := sqlite.Open(ctx, cfg)
			must(t, err)
			for range 2 {
				must(t, db.View(ctx, func(c *sqlite.Conn) error {
					for schema, mode := range want {
						if got := scanOne[int](t, c, `PRAGMA `+schema+`.auto_vacuum`); got != mode {
							t.Errorf("auto_vacuum of %s is %d, want %d, with %+v there before", schema, got, mode, old)
						}
						if n := scanOne[int](t, c, `SELECT count(*) FROM `+schema+`.quiesce_identity`); n != 1 {
							t.Errorf("%s has %d identities, want one", schema, n)
						}
					}
					if id := scanOne[int32](t, c, `PRAGMA main.application_id`); id != cfg.ApplicationID {
						t.Errorf("application_id is %d, want %d", id, cfg.ApplicationID)
					}
					return nil
				}))
				must(t, db.Pause(ctx))
				must(t, db.Resume(ctx))
			}
			must(t, db.Close(ctx))
		}
	})
}

// Free pages are given back in steps as small as wanted.
func TestFreePagesAreGivenBackInSteps(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openFilled(t, engine, func(c *sqlite.Config) { c.IncrementalVacuum = true })
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `DELETE FROM account`) }))
		before, err := db.Size(ctx)
		must(t, err)
		must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA incremental_vacuum(10)`) }))
		after, err := db.Size(ctx)
		must(t, err)
		if after != before-10*4096 {
			t.Errorf("the database has %d bytes after 10 pages were given back, want 10 pages less than %d", after, before)
		}
	})
}

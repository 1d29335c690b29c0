package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// otherDB makes another database, with a lower user_version than 5, and returns its path.
func otherDB(t testing.TB, engine sqlite.Engine, v string) string {
	t.Helper()
	path := makeDB(t, engine, filepath.Join(t.TempDir(), "other.db"))
	db := reopen(t, engine, path)
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		return errors.Join(c.ExecScript(ctx, `PRAGMA user_version = 3`), setRow(c, v))
	}))
	must(t, db.Close(ctx))
	return path
}

// openVersioned opens a store with the row 'kept' and user_version 5, which knows up to 7.
func openVersioned(t testing.TB, engine sqlite.Engine, change func(*sqlite.Config)) *sqlite.DB {
	t.Helper()
	db := openWithRow(t, engine, func(c *sqlite.Config) {
		c.SchemaVersion = 7
		if change != nil {
			change(c)
		}
	})
	must(t, db.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA user_version = 5`) }))
	return db
}

// An acceptance is for one Resume: another database, an older one too, is taken once, and the next is refused again.
func TestAReplacementIsAcceptedOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, pauseAndAccept := range map[string]func(t *testing.T, db *sqlite.DB){
			"while paused": func(t *testing.T, db *sqlite.DB) { must(t, db.Pause(ctx)); db.AcceptReplacement() },
			"while active": func(t *testing.T, db *sqlite.DB) {
				db.AcceptReplacement()
				must(t, db.Resume(ctx)) // does nothing, and uses nothing up
				must(t, db.Pause(ctx))
			},
			"twice": func(t *testing.T, db *sqlite.DB) {
				must(t, db.Pause(ctx))
				db.AcceptReplacement()
				db.AcceptReplacement()
			},
			"after it was taken back": func(t *testing.T, db *sqlite.DB) {
				must(t, db.Pause(ctx))
				db.AcceptReplacement()
				db.RefuseReplacement()
				db.AcceptReplacement()
			},
		} {
			t.Run(name, func(t *testing.T) {
				db := openVersioned(t, engine, nil)
				like := openVersioned(t, engine, nil) // shares its settings, and nothing else
				pauseAndAccept(t, db)
				must(t, os.Rename(otherDB(t, engine, "first"), db.Path()))
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "first" {
					t.Errorf("read %q, and the file that was put there says %q", got, "first")
				}
				if c := db.Report().Changed; c != lifecycle.ChangeYes {
					t.Errorf("Changed is %v, and the database is another one", c)
				}
				must(t, db.Pause(ctx))
				must(t, db.Resume(ctx)) // what was accepted is the database now

				must(t, like.Pause(ctx))
				must(t, db.Pause(ctx))
				for _, db := range []*sqlite.DB{db, like} {
					must(t, os.Rename(otherDB(t, engine, "second"), db.Path()))
					resumeRefuses(t, db, "the one acceptance is used up, or was another store's", db.Path())
				}
			})
		}
	})
}

// A Resume that fails keeps the acceptance for the next, RefuseReplacement takes it back.
func TestAnAcceptanceThatWasNotUsed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		errHook := errors.New("the program's own")
		var fails error
		db := openVersioned(t, engine, func(c *sqlite.Config) {
			c.AfterReopen = func(context.Context, *sqlite.Conn) error { return fails }
		})
		must(t, db.Pause(ctx))
		db.AcceptReplacement()
		must(t, os.Remove(db.Path()))
		failsWith := func(want error) {
			t.Helper()
			if err := db.Resume(ctx); !errors.Is(err, want) {
				t.Errorf("Resume: %v, want %v: what is accepted is validated", err, want)
			}
			settled(t, db)
		}
		failsWith(lifecycle.ErrMissing)
		writeOver(t, db.Path(), []byte("Dear diary,\n"))
		failsWith(sqlite.ErrNotADatabase)
		must(t, os.Rename(otherDB(t, engine, "newer"), db.Path()))
		foreignly(t, db.Path(), `PRAGMA user_version = 8`)
		failsWith(lifecycle.ErrSchemaNewer)
		fails = errHook
		must(t, os.Rename(otherDB(t, engine, "first"), db.Path()))
		failsWith(errHook)
		fails = nil
		must(t, os.Rename(otherDB(t, engine, "second"), db.Path()))
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "second" {
			t.Errorf("read %q, want %q", got, "second")
		}

		must(t, db.Pause(ctx))
		db.AcceptReplacement()
		db.RefuseReplacement()
		db.RefuseReplacement()
		must(t, os.Rename(otherDB(t, engine, "third"), db.Path()))
		resumeRefuses(t, db, "the acceptance was taken back", db.Path())
	})
}

// A log that belongs to the paused database is not played into the one that was accepted.
func TestAnAcceptedReplacementBesideAnOldLog(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openVersioned(t, engine, func(c *sqlite.Config) { c.Checkpoint = sqlite.CheckpointNone })
		must(t, db.Pause(ctx))
		if !containsSuffix(db.Report().Leftovers, "-wal") {
			t.Fatalf("the pause left no log: this proves nothing: %+v", db.Report())
		}
		db.AcceptReplacement()
		must(t, os.Rename(otherDB(t, engine, "other"), db.Path()))
		for range 2 {
			resumeRefuses(t, db, "the old log lies beside the new file", db.Path())
		}
		must(t, os.Remove(db.Path()+"-wal"))
		must(t, os.Remove(db.Path()+"-shm"))
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "other" {
			t.Errorf("read %q, and the file that was put there says %q", got, "other")
		}
	})
}

// A Resume that had begun before uses nothing up: what it found is what it had been allowed to.
func TestAnAcceptanceDuringAResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var during func()
		db := openVersioned(t, engine, func(c *sqlite.Config) {
			c.AfterReopen = func(context.Context, *sqlite.Conn) error {
				if during != nil {
					during()
				}
				return nil
			}
		})
		must(t, db.Pause(ctx))
		during = db.AcceptReplacement
		must(t, db.Resume(ctx))
		during = nil
		must(t, db.Pause(ctx))
		must(t, os.Rename(otherDB(t, engine, "first"), db.Path()))
		must(t, db.Resume(ctx))
		must(t, db.Pause(ctx))
		must(t, os.Rename(otherDB(t, engine, "second"), db.Path()))
		resumeRefuses(t, db, "the acceptance is used up", db.Path())

		db.AcceptReplacement()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for range tier.Count(30, 300, 3000) {
					db.AcceptReplacement()
					_ = db.Resume(ctx) // may be overtaken
					db.RefuseReplacement()
					_ = db.Pause(ctx)
				}
			})
		}
		all.Wait()
		db.AcceptReplacement()
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
	})
}

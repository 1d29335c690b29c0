package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// What happens to the versions of a database while it is paused.
func TestVersionsAtResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, c := range []struct {
			name   string
			known  int32 // Config.SchemaVersion
			theirs string
			want   error
		}{
			{"raised within what the program knows", 9, `PRAGMA user_version = 9`, nil},
			{"raised, where the program does not check", 0, `PRAGMA user_version = 900`, nil},
			{"raised beyond what the program knows", 9, `PRAGMA user_version = 10`, lifecycle.ErrSchemaNewer},
			{"lowered", 9, `PRAGMA user_version = 4`, lifecycle.ErrReplaced},
			{"another application", 9, `PRAGMA application_id = 77`, lifecycle.ErrReplaced},
		} {
			t.Run(c.name, func(t *testing.T) {
				db := openWithRow(t, engine, func(cfg *sqlite.Config) { cfg.SchemaVersion, cfg.ApplicationID = c.known, 42 })
				must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA user_version = 5`) }))
				must(t, db.Pause(ctx))
				foreignly(t, db.Path(), c.theirs)
				for range 2 {
					err := db.Resume(ctx)
					if !errors.Is(err, c.want) || c.want != nil && !errors.As(err, new(*sqlite.OpenError)) {
						t.Fatalf("Resume: %v, want %v", err, c.want)
					}
					if c.want != nil && settled(t, db) != lifecycle.Paused {
						t.Errorf("after a Resume that failed the store is %v", db.State())
					}
				}
				if c.want != nil {
					nothingHeld(t, db)
					foreignly(t, db.Path(), `PRAGMA user_version = 5`, `PRAGMA application_id = 42`)
					must(t, db.Resume(ctx))
				}
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q", got)
				}
			})
		}
	})
}

// The version that counts is the one at the pause, not the one at Open.
func TestAVersionRaisedByThisProcessIsRemembered(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA user_version = 5`) }))
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
		must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA user_version = 3`) }))
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
	})
}

// A pause does not read the version again where nobody has written since the
// store was opened. Whoever has, by whatever way, and whatever became of the log, is noticed.
func TestAVersionRaisedWhileActiveIsRemembered(t *testing.T) {
	raise := `PRAGMA user_version = 7`
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, policy := range []sqlite.Checkpoint{sqlite.CheckpointTruncate, sqlite.CheckpointPassive, sqlite.CheckpointNone} {
			for who, write := range map[string]func(t *testing.T, db *sqlite.DB){
				"nobody": func(*testing.T, *sqlite.DB) {},
				"this process": func(t *testing.T, db *sqlite.DB) {
					must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, raise) }))
				},
				"this process, written back": func(t *testing.T, db *sqlite.DB) {
					must(t, db.Write(ctx, func(c *sqlite.Conn) error {
						return c.ExecScript(ctx, raise+`; PRAGMA wal_checkpoint(TRUNCATE)`)
					}))
				},
				"another process":               func(t *testing.T, db *sqlite.DB) { foreignly(t, db.Path(), raise) },
				"another process, written back": func(t *testing.T, db *sqlite.DB) { foreignly(t, db.Path(), raise, `PRAGMA wal_checkpoint(TRUNCATE)`) },
			} {
				t.Run(fmt.Sprintf("%v, %s", policy, who), func(t *testing.T) {
					db := openWithRow(t, engine, func(c *sqlite.Config) { c.Checkpoint = policy })
					must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA user_version = 5`) }))
					must(t, db.Pause(ctx))
					foreignly(t, db.Path(), `PRAGMA wal_checkpoint(TRUNCATE)`)
					time.Sleep(50 * time.Millisecond) // the file's times are old now, as they mostly are
					must(t, db.Resume(ctx))
					readRow(t, db)
					write(t, db)
					must(t, db.Pause(ctx))
					lowered := `PRAGMA user_version = 6`
					if who == "nobody" {
						lowered = `PRAGMA user_version = 4`
					}
					foreignly(t, db.Path(), lowered)
					if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
						t.Errorf("%s after the pause: %v, want %v", lowered, err, lifecycle.ErrReplaced)
					}
				})
			}
		}
	})
}

// Resume says whether somebody else has written: no, yes, and unknown where
// the file system's clock cannot tell. Unknown is never no.
func TestResumeTellsWhetherOthersHaveWritten(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		changed := func(what string, want ...lifecycle.Change) {
			t.Helper()
			must(t, db.Resume(ctx))
			got := db.Report().Changed
			for _, w := range want {
				if got == w {
					return
				}
			}
			t.Errorf("%s: Changed is %v, want %v", what, got, want)
		}
		must(t, db.Pause(ctx))
		changed("nobody wrote, and the pause itself wrote a moment before", lifecycle.ChangeUnknown, lifecycle.ChangeNo)

		must(t, db.Pause(ctx))
		long := time.Now().Add(-time.Hour)
		must(t, os.Chtimes(db.Path(), long, long))
		changed("the file has another time", lifecycle.ChangeYes)

		must(t, db.Pause(ctx))
		changed("nobody wrote since long before the pause", lifecycle.ChangeNo)

		must(t, db.Pause(ctx))
		foreignly(t, db.Path(), `SELECT * FROM t`)
		changed("another process only read", lifecycle.ChangeNo)

		must(t, db.Pause(ctx))
		foreignly(t, db.Path(), `UPDATE t SET v = 'theirs'`)
		changed("another process wrote", lifecycle.ChangeYes)

		must(t, db.Pause(ctx))
		other := startForeign(t, db.Path())
		other.must(`UPDATE t SET v = 'theirs again'`) // SQLite writes nothing where nothing changes
		changed("another process wrote, and is still there", lifecycle.ChangeYes)
		other.end()
	})
}

// What others have written is told by the Resume that succeeds, however many have failed before it.
func TestAFailedResumeForgetsNoChange(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		errHook := errors.New("the hook's own")
		var fail error
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.BusyTimeout = 20 * time.Millisecond
			c.AfterReopen = func(context.Context, *sqlite.Conn) error { return fail }
		})
		long := time.Now().Add(-time.Hour)
		quiet := func() { // a pause after which nothing has been written for long
			t.Helper()
			must(t, db.Pause(ctx))
			must(t, os.Chtimes(db.Path(), long, long))
			must(t, db.Resume(ctx))
			must(t, db.Pause(ctx))
		}
		quiet()
		foreignly(t, db.Path(), `UPDATE t SET v = 'theirs'`)
		must(t, os.Chtimes(db.Path(), long.Add(time.Minute), long.Add(time.Minute)))
		fail = errHook
		for range 3 {
			if err := db.Resume(ctx); !errors.Is(err, errHook) {
				t.Fatalf("Resume: %v, want the hook's error", err)
			}
			settled(t, db)
		}
		fail = nil
		must(t, db.Resume(ctx))
		if c := db.Report().Changed; c != lifecycle.ChangeYes {
			t.Errorf("Changed is %v after Resumes that failed in a hook, and another process wrote before them", c)
		}

		quiet()
		other := startForeign(t, db.Path())
		other.lock()
		other.must(`UPDATE t SET v = 'theirs again'`)
		if err := db.Resume(ctx); !errors.Is(err, sqlite.ErrBusy) {
			t.Fatalf("Resume: %v, want ErrBusy", err)
		}
		settled(t, db)
		other.unlock()
		other.end()
		must(t, db.Resume(ctx))
		if c := db.Report().Changed; c != lifecycle.ChangeYes {
			t.Errorf("Changed is %v after a Resume that met a lock, and the lock's owner wrote", c)
		}
	})
}

// A store that starts paused opens nothing and makes nothing.
func TestStartPaused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		db := open(t, engine, func(c *sqlite.Config) {
			c.Path, c.StartPaused, c.SchemaVersion = filepath.Join(dir, "sub", "test.db"), true, 3
		})
		if s := db.State(); s != lifecycle.Paused {
			t.Errorf("the store is %v", s)
		}
		if err := db.View(ctx, func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("View: %v, want ErrPaused", err)
		}
		for range 2 {
			if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrMissing) {
				t.Errorf("Resume: %v, want ErrMissing: a Resume never makes a database", err)
			}
		}
		if l := listing(t, dir); len(l) != 1 {
			t.Errorf("a store that starts paused has made %v", l)
		}
		if _, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: db.Path()}); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("a second Open of a store that starts paused: %v, want ErrInUse", err)
		}
		if err := os.MkdirAll(filepath.Dir(db.Path()), 0o700); err != nil {
			t.Fatal(err)
		}
		foreignly(t, db.Path(), `CREATE TABLE t (v)`, `INSERT INTO t VALUES ('theirs')`, `PRAGMA user_version = 4`)
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrSchemaNewer) {
			t.Errorf("Resume: %v, want ErrSchemaNewer", err)
		}
		foreignly(t, db.Path(), `PRAGMA user_version = 3`)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "theirs" {
			t.Errorf("read %q", got)
		}
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
		must(t, db.Resume(ctx))
	})
}

// A database that others have made works, with a weaker identity unless asked.
func TestDatabasesOfOthers(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		identities := func(db *sqlite.DB) (n int) {
			must(t, db.View(ctx, func(c *sqlite.Conn) error {
				return c.QueryRow(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'quiesce_identity'`).Scan(&n)
			}))
			return n
		}
		dir := t.TempDir()
		path := filepath.Join(dir, "theirs.db")
		foreignly(t, path, `CREATE TABLE t (v)`, `INSERT INTO t VALUES ('theirs')`)
		db := open(t, engine, func(c *sqlite.Config) { c.Path = path })
		if n := identities(db); n != 0 {
			t.Error("a database of others gets no table of ours unasked")
		}
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
		must(t, db.Resume(ctx))
		must(t, db.Pause(ctx))
		other := makeDB(t, engine, filepath.Join(dir, "ours.db"))
		kept := readFile(t, path)
		writeOver(t, path, readFile(t, other))
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
			t.Errorf("Resume after a database with an identity was copied over one without: %v, want ErrReplaced", err)
		}
		settled(t, db)
		writeOver(t, path, kept)
		must(t, db.Resume(ctx))
		must(t, db.Close(ctx))

		db = open(t, engine, func(c *sqlite.Config) { c.Path, c.AddIdentity = path, true })
		if n := identities(db); n != 1 {
			t.Error("AddIdentity adds a table")
		}
		must(t, db.Pause(ctx))
		writeOver(t, path, kept)
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
			t.Errorf("Resume after the database without identity came back: %v, want ErrReplaced", err)
		}
	})
}

// Databases that are made at the same time by two stores have one identity.
func TestStoresThatMakeOneFileAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for range 5 {
			path := filepath.Join(t.TempDir(), "test.db")
			child := startForeign(t, path) // it makes the file too, empty, whenever it comes
			done := goErr(func() error { _, err := child.ask(`PRAGMA busy_timeout = 5000`); return err })
			db := open(t, engine, func(c *sqlite.Config) { c.Path = path })
			within(t, "the other process", done, nil)
			must(t, db.Pause(ctx))
			must(t, db.Resume(ctx))
			child.end()
		}
	})
}

// Pauses and Resumes from everywhere, at once: none hangs, and the last word counts.
func TestAHundredPausesAndResumesAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				err := error(nil)
				if i%2 == 0 {
					err = db.Pause(ctx)
				} else {
					err = db.Resume(ctx)
				}
				if err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
					t.Errorf("one of a hundred: %v", err)
				}
			})
		}
		within(t, "a hundred Pauses and Resumes", goErr(func() error { wg.Wait(); return nil }), nil)
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
	})
}

// A Pause during a Resume takes over what that is opening; a Close ends both.
func TestPauseDuringResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, end := range map[string]func(*sqlite.DB) error{
			"pause": func(db *sqlite.DB) error { return db.Pause(ctx) },
			"close": func(db *sqlite.DB) error { return db.Close(ctx) },
		} {
			t.Run(name, func(t *testing.T) {
				var b *blocker
				db := openWithRow(t, engine, func(c *sqlite.Config) {
					c.Setup = func(context.Context, *sqlite.Conn) error {
						if b != nil {
							b.hold()
						}
						return nil
					}
				})
				must(t, db.Pause(ctx))
				b = newBlocker()
				resumed := goErr(func() error { return db.Resume(ctx) })
				<-b.began
				ended := goErr(func() error { return end(db) })
				within(t, "the Resume that was overtaken", resumed, lifecycle.ErrSuperseded)
				close(b.release)
				within(t, "what overtook it", ended, nil)
				nothingHeld(t, db)
				b = nil
			})
		}
	})
}

// Closing overtakes a Pause that waits, and both end when the last holder lets go.
func TestCloseDuringPause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout = patienceOfTests })
		b := newBlocker()
		read := goErr(func() error { return db.View(ctx, func(*sqlite.Conn) error { b.hold(); return nil }) })
		<-b.began
		paused := goErr(func() error { return db.Pause(ctx) })
		awaitState(t, db, lifecycle.Pausing)
		closed := goErr(func() error { return db.Close(ctx) })
		eventually(t, "the store refuses with ErrClosed", func() bool {
			return errors.Is(db.View(ctx, func(*sqlite.Conn) error { return nil }), lifecycle.ErrClosed)
		})
		close(b.release)
		within(t, "the View that was let finish", read, nil)
		within(t, "Pause", paused, nil)
		within(t, "Close", closed, nil)
		nothingHeld(t, db)
	})
}

// A migration may give the database another application id while the store is open.
func TestApplicationIDThatTheStoreHasSetItself(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA application_id = 42`) }))
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
	})
}

// From the last close on others may write, however long the operating system's proof takes.
func TestChangesDuringTheVerificationAreNoticed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout = 30 * time.Second })
		f, err := os.Open(db.Path()) // keeps Verify from agreeing for a while
		must(t, err)
		paused := goErr(func() error { return db.Pause(ctx) })
		eventually(t, "the last connection is closed", func() bool {
			_, err := os.Stat(db.Path() + "-wal")
			return errors.Is(err, os.ErrNotExist)
		})
		time.Sleep(50 * time.Millisecond) // more than the step of the file system's clock
		other, err := engine.Open(db.Path(), sqlite.OpenOptions{})
		must(t, err)
		_, err = other.ExecContext(ctx, `UPDATE t SET v = 'theirs'`, nil)
		must(t, errors.Join(err, other.Close()))
		must(t, f.Close())
		within(t, "Pause", paused, nil)
		must(t, db.Resume(ctx))
		if changed := db.Report().Changed; changed == lifecycle.ChangeNo {
			t.Error("somebody has written after everything was closed, and the report says that nobody has")
		}
	})
}

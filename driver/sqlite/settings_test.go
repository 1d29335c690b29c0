package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// onAllReaders calls f on n different readers at once.
func onAllReaders(t testing.TB, db *sqlite.DB, n int, f func(c *sqlite.Conn) error) {
	t.Helper()
	var wg sync.WaitGroup
	var there atomic.Int32
	all := make(chan struct{})
	for range n {
		wg.Go(func() {
			err := db.Read(ctx, func(c *sqlite.Conn) error {
				if there.Add(1) == int32(n) {
					close(all)
				}
				select {
				case <-all:
					return f(c)
				case <-time.After(patienceOfTests):
					return errors.New("the readers do not come together")
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func pragma(c *sqlite.Conn, name string) string {
	var v string
	err := c.Each(ctx, `PRAGMA `+name, func(row *sqlite.Row) error { v = fmt.Sprint(row.Value(0)); return nil })
	if err != nil {
		return err.Error()
	}
	return v
}

// Every setting is on every connection, readers and writer, after every open
// (the seed gives them to one connection: CF-09, and to the writer only when it reopens).
func TestW23EverySettingIsOnEveryConnection(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, c := range []struct {
			name   string
			change func(*sqlite.Config)
			want   map[string]string // %s is the schema
		}{
			{"defaults", func(*sqlite.Config) {}, map[string]string{
				"foreign_keys": "1", "%s.cache_size": "-1953", "%s.journal_size_limit": "10000000", "%s.synchronous": "1", "%s.mmap_size": "0", "%s.journal_mode": "wal",
			}},
			{"others", func(c *sqlite.Config) {
				c.NoForeignKeys, c.CacheSize, c.JournalSizeLimit, c.MmapSize, c.Synchronous = true, 1<<20, 123_456, 1<<20, sqlite.SynchronousFull
			}, map[string]string{
				"foreign_keys": "0", "%s.cache_size": "-1024", "%s.journal_size_limit": "123456", "%s.synchronous": "2", "%s.mmap_size": "1048576",
			}},
			{"low memory", func(c *sqlite.Config) {
				low := sqlite.LowMemory(c.Engine, c.Path)
				low.Attach, low.Setup, low.Verify = c.Attach, c.Setup, true
				*c = low
			}, map[string]string{"%s.cache_size": "-488", "%s.journal_size_limit": "2000000"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				dir := t.TempDir()
				var opened, setUp atomic.Int32
				db := open(t, engine, func(cfg *sqlite.Config) {
					cfg.Path = filepath.Join(dir, "test.db")
					cfg.Attach = []sqlite.Attachment{{Schema: "side", Path: filepath.Join(dir, "side.db")}}
					cfg.Setup = func(ctx context.Context, c *sqlite.Conn) error {
						setUp.Add(1)
						return c.ExecScript(ctx, `PRAGMA temp_store = 2; CREATE TEMP TABLE mark (v); INSERT INTO mark VALUES (7)`)
					}
					c.change(cfg)
				})
				readers := db.Stats().MaxReaders
				if c.name == "low memory" && readers != 2 {
					t.Errorf("the low-memory preset has %d readers, want 2", readers)
				}
				check := func(role, queryOnly string) func(c *sqlite.Conn) error {
					return func(conn *sqlite.Conn) error {
						opened.Add(1)
						for name, want := range c.want {
							for _, schema := range []string{"main", "side"} {
								name := name
								if name[0] == '%' {
									name = fmt.Sprintf(name, schema)
								}
								if got := pragma(conn, name); got != want {
									t.Errorf("a %s connection has %s = %s, want %s", role, name, got, want)
								}
							}
						}
						if got := pragma(conn, "query_only"); got != queryOnly {
							t.Errorf("a %s connection has query_only = %s", role, got)
						}
						if got := pragma(conn, "temp_store"); got != "2" {
							t.Errorf("what Setup set is not on a %s connection: temp_store = %s", role, got)
						}
						var mark int
						if err := conn.QueryRow(ctx, `SELECT v FROM mark`).Scan(&mark); err != nil || mark != 7 {
							t.Errorf("what Setup made is not on a %s connection: %d %v", role, mark, err)
						}
						return nil
					}
				}
				for range 3 {
					onAllReaders(t, db, readers, check("read", "1"))
					must(t, db.Write(ctx, check("write", "0")))
					must(t, db.Pause(ctx))
					nothingHeld(t, db)
					released(t, filepath.Join(dir, "side.db"))
					must(t, db.Resume(ctx))
				}
				if setUp.Load() < opened.Load() {
					t.Errorf("Setup ran %d times for %d connections", setUp.Load(), opened.Load())
				}
			})
		}
	})
}

// Foreign keys are checked, not only switched on.
func TestForeignKeysAreChecked(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := open(t, engine, nil)
		must(t, db.Write(ctx, func(c *sqlite.Conn) error {
			return c.ExecScript(ctx, `CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (p REFERENCES parent)`)
		}))
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
		err := db.Update(ctx, func(c *sqlite.Conn) error { _, err := c.Exec(ctx, `INSERT INTO child VALUES (5)`); return err })
		if !errors.Is(err, sqlite.ErrConstraint) {
			t.Errorf("a child without a parent: %v, want ErrConstraint", err)
		}
	})
}

// Setup that fails after a Resume fails that, not the ones after it.
func TestSetupFailsAResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var fail atomic.Bool
		errSetup := errors.New("the hook's own")
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Setup = func(context.Context, *sqlite.Conn) error {
				if fail.Load() {
					return errSetup
				}
				return nil
			}
		})
		must(t, db.Pause(ctx))
		fail.Store(true)
		if err := db.Resume(ctx); !errors.Is(err, errSetup) {
			t.Errorf("Resume: %v, want the hook's error", err)
		}
		settled(t, db)
		nothingHeld(t, db)
		fail.Store(false)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
	})
}

// Attached files are made, checkpointed, released, recognised and claimed like the main one.
func TestAttachedFiles(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		side := filepath.Join(dir, "elsewhere", "side.db")
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Attach = []sqlite.Attachment{{Schema: "side", Path: side}} })
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			return c.ExecScript(ctx, `CREATE TABLE side.s (v); INSERT INTO side.s VALUES ('beside')`)
		}))
		read := func() (v string) {
			t.Helper()
			must(t, db.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT v FROM side.s`).Scan(&v) }))
			return v
		}
		if _, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: side}); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("Open of a file that another store has attached: %v, want ErrInUse", err)
		}
		for range 2 {
			must(t, db.Pause(ctx))
			released(t, db.Path(), side)
			for _, p := range []string{side + "-wal", side + "-shm"} {
				if exists(p) {
					t.Errorf("%s is left", p)
				}
			}
			must(t, db.Resume(ctx))
			if got := read(); got != "beside" {
				t.Errorf("read %q", got)
			}
		}
		must(t, db.Pause(ctx))
		content := readFile(t, side)
		writeOver(t, side, readFile(t, makeDB(t, engine, filepath.Join(dir, "other.db"))))
		resumeRefuses(t, db, "an attached file was copied over", side)
		writeOver(t, side, content)
		must(t, db.Resume(ctx))
		if got := read(); got != "beside" {
			t.Errorf("read %q", got)
		}
	})
}

// A database that Open has not seen, because the store started paused or
// accepted another file, is made ready all the same: write-ahead log, identity.
func TestADatabaseThatOpenHasNotSeenIsMadeReady(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		ready := func(t *testing.T, db *sqlite.DB) {
			t.Helper()
			var mode string
			var ids int
			must(t, db.Read(ctx, func(c *sqlite.Conn) error { // SQLite takes journal_mode for a write
				return errors.Join(c.QueryRow(ctx, `PRAGMA journal_mode`).Scan(&mode),
					c.QueryRow(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'quiesce_identity'`).Scan(&ids))
			}))
			if mode != "wal" || ids != 1 {
				t.Errorf("the journal mode is %s and there are %d identities, want wal and 1", mode, ids)
			}
			must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "ours") }))
			for range 2 {
				must(t, db.Pause(ctx))
				nothingHeld(t, db)
				must(t, db.Resume(ctx))
			}
		}
		others := []string{`PRAGMA journal_mode = delete`, `CREATE TABLE t (v)`, `INSERT INTO t VALUES ('theirs')`}
		t.Run("started paused", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			foreignly(t, path, others...)
			db := open(t, engine, func(c *sqlite.Config) { c.Path, c.StartPaused, c.AddIdentity = path, true, true })
			must(t, db.Resume(ctx))
			ready(t, db)
		})
		t.Run("accepted in another's place", func(t *testing.T) {
			db := openWithRow(t, engine, func(c *sqlite.Config) { c.AcceptReplaced, c.AddIdentity = true, true })
			must(t, db.Pause(ctx))
			foreignly(t, db.Path()+".new", others...)
			must(t, os.Rename(db.Path()+".new", db.Path()))
			must(t, db.Resume(ctx))
			ready(t, db)
		})
	})
}

// Readers become read-only after Setup, not before.
func TestSetupMayWriteOnEveryConnection(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := open(t, engine, func(c *sqlite.Config) {
			c.Setup = func(ctx context.Context, c *sqlite.Conn) error {
				return c.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `CREATE TABLE IF NOT EXISTS mine (v)`) })
			}
		})
		err := db.Read(ctx, func(c *sqlite.Conn) error {
			return c.Update(ctx, func(*sqlite.Conn) error { return nil })
		})
		if !errors.Is(err, sqlite.ErrReadOnly) {
			t.Errorf("Update on a reader: %v, want ErrReadOnly", err)
		}
	})
}

package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Wipe leaves nothing of a database, and can be repeated.
func TestWipeDeletesEverything(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, change := range map[string]func(*sqlite.Config){
			"active":             func(*sqlite.Config) {},
			"with a log left":    func(c *sqlite.Config) { c.Checkpoint = sqlite.CheckpointNone },
			"exclusive":          func(c *sqlite.Config) { c.Exclusive = true },
			"with an attachment": func(c *sqlite.Config) { c.Attach = []sqlite.Attachment{{Schema: "a", Path: c.Path + "2"}} },
		} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				cfg := sqlite.Config{Engine: engine, Path: filepath.Join(dir, "test.db"), Verify: true}
				change(&cfg)
				for range 2 {
					db := openWithRow(t, engine, func(c *sqlite.Config) { *c = cfg })
					must(t, db.Wipe(ctx))
					if l := listing(t, dir); len(l) != 1 {
						t.Errorf("Wipe left %v", l)
					}
					released(t, cfg.Path)
					must(t, db.Wipe(ctx))
					must(t, sqlite.Wipe(ctx, cfg))
					if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrClosed) {
						t.Errorf("Resume after Wipe: %v, want ErrClosed", err)
					}
				}
			})
		}
	})
}

// What another process has open is not wiped, be it idle, reading or writing.
func TestWipeWhileAnotherProcessHasTheFile(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, statements := range map[string][]string{
			"idle":      {`SELECT * FROM t`},
			"reading":   {`BEGIN`, `SELECT * FROM t`},
			"writing":   {`BEGIN IMMEDIATE`, `UPDATE t SET v = 'theirs'`},
			"exclusive": {`PRAGMA locking_mode = exclusive`, `UPDATE t SET v = 'theirs'`},
		} {
			t.Run(name, func(t *testing.T) {
				cfg := sqlite.Config{Engine: engine, Path: filepath.Join(t.TempDir(), "test.db"), BusyTimeout: 30 * time.Millisecond}
				db := openWithRow(t, engine, func(c *sqlite.Config) { *c = cfg })
				must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA user_version = 5`) }))
				must(t, db.Pause(ctx))
				other := startForeign(t, cfg.Path)
				for _, s := range statements {
					other.must(s)
				}
				err := db.Wipe(ctx)
				if !errors.Is(err, sqlite.ErrInUse) || !errors.As(err, new(*sqlite.OpenError)) {
					t.Errorf("Wipe: %v, want ErrInUse", err)
				}
				if got := other.must(`PRAGMA user_version`); got != "5" {
					t.Errorf("user_version is %s after a Wipe that was refused, it was 5", got)
				}
				other.end()
				must(t, sqlite.Wipe(ctx, cfg))
				if l := listing(t, filepath.Dir(cfg.Path)); len(l) != 1 {
					t.Errorf("Wipe left %v", l)
				}
			})
		}
	})
}

func TestWipeOfWhatThisProcessHasOpen(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		if err := sqlite.Wipe(ctx, sqlite.Config{Engine: engine, Path: db.Path()}); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("Wipe: %v, want ErrInUse", err)
		}
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
	})
}

// What a Wipe that was killed half-way, or a crash, has left is wiped too, and
// so is what is no database.
func TestWipeOfOddThings(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, arrange := range map[string]func(t *testing.T, dir, path string){
			"nothing": func(*testing.T, string, string) {},
			"side files only": func(t *testing.T, _, path string) {
				for _, suffix := range []string{"-wal", "-shm", "-journal"} {
					writeOver(t, path+suffix, []byte("left"))
				}
			},
			"no side files": func(t *testing.T, _, path string) {
				makeDB(t, engine, path)
				other := startForeign(t, path)
				other.must(`UPDATE t SET v = 'theirs'`)
				other.kill()
				must(t, errors.Join(os.Remove(path+"-wal"), os.Remove(path+"-shm")))
			},
			"a crash's log": func(t *testing.T, _, path string) {
				makeDB(t, engine, path)
				other := startForeign(t, path)
				other.must(`UPDATE t SET v = 'theirs'`)
				other.kill()
			},
			"text": func(t *testing.T, _, path string) { writeOver(t, path, []byte("Dear diary,\n")) },
			"an encrypted database": func(t *testing.T, _, path string) {
				noise := make([]byte, 8192)
				for i := range noise {
					noise[i] = byte(i*i*31 + 7)
				}
				writeOver(t, path, noise)
			},
			"a truncated database": func(t *testing.T, _, path string) {
				makeDB(t, engine, path)
				must(t, os.Truncate(path, 4096))
			},
			"an empty file": func(t *testing.T, _, path string) { writeOver(t, path, nil) },
			"a symbolic link": func(t *testing.T, dir, path string) {
				must(t, os.Symlink(makeDB(t, engine, filepath.Join(dir, "real.db")), path))
			},
			"a database of others": func(t *testing.T, _, path string) { foreignly(t, path, `CREATE TABLE t (v)`) },
		} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "test.db")
				arrange(t, dir, path)
				must(t, sqlite.Wipe(ctx, sqlite.Config{Engine: engine, Path: path}))
				if l := listing(t, dir); len(l) != 1 {
					t.Errorf("Wipe left %v", l)
				}
				released(t, path)
			})
		}
		for name, bad := range map[string]string{"a directory": "", "memory": ":memory:"} {
			dir := t.TempDir()
			path := bad
			if path == "" {
				path = dir
			}
			if err := sqlite.Wipe(ctx, sqlite.Config{Engine: engine, Path: path}); !errors.As(err, new(*sqlite.OpenError)) {
				t.Errorf("Wipe of %s: %v, want an *OpenError", name, err)
			}
		}
	})
}

// Nothing is deleted where one of several files is in use.
func TestWipeDeletesAllOrNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		path, attached := makeDB(t, engine, filepath.Join(dir, "test.db")), makeDB(t, engine, filepath.Join(dir, "attached.db"))
		other := startForeign(t, attached)
		other.must(`SELECT v FROM t`)
		cfg := sqlite.Config{Engine: engine, Path: path, BusyTimeout: 20 * time.Millisecond, Attach: []sqlite.Attachment{{Schema: "a", Path: attached}}}
		if err := sqlite.Wipe(ctx, cfg); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("Wipe beside another process: %v, want ErrInUse", err)
		}
		if !exists(path) || !exists(attached) {
			t.Errorf("Wipe returned ErrInUse and has deleted: there is %v", listing(t, dir))
		}
		other.end()
		must(t, sqlite.Wipe(ctx, cfg))
		if l := listing(t, dir); len(l) != 1 {
			t.Errorf("Wipe left %v", l)
		}
	})
}

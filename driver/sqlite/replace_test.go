package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// beside makes another database beside db, whose row says v.
func beside(t testing.TB, engine sqlite.Engine, db *sqlite.DB, v string) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(db.Path()), "fresh.db")
	must(t, os.Rename(otherDB(t, engine, v), path))
	return path
}

// The file takes the place of the paused one, which is kept under another name, whole.
func TestReplacePutsAnotherFileInThePlace(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, change := range map[string]func(*sqlite.Config){
			"as usual":            nil,
			"a log that was left": func(c *sqlite.Config) { c.Checkpoint = sqlite.CheckpointNone },
			"a symbolic link":     func(c *sqlite.Config) { c.Path = linkTo(t, c.Path) },
			"another one attached": func(c *sqlite.Config) {
				c.Attach = []sqlite.Attachment{{Schema: "a", Path: filepath.Join(t.TempDir(), "attached.db")}}
			},
		} {
			t.Run(name, func(t *testing.T) {
				db := openVersioned(t, engine, change)
				must(t, db.Pause(ctx))
				real, err := filepath.EvalSymlinks(db.Path())
				must(t, err)
				fresh, kept := filepath.Join(filepath.Dir(real), "fresh.db"), filepath.Join(filepath.Dir(real), "kept.db")
				must(t, os.Rename(otherDB(t, engine, "new"), fresh))
				must(t, db.Replace(ctx, fresh, kept))
				if exists(fresh) || exists(real+"-wal") || exists(real+"-journal") {
					t.Error("the new file has its old name still, or side files of the old one beside it")
				}
				nothingHeld(t, db)
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "new" {
					t.Errorf("read %q, want what the new file says", got)
				}
				must(t, db.Pause(ctx))
				must(t, db.Replace(ctx, kept, ""))
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "kept" || exists(kept) {
					t.Errorf("read %q, want all that the old file had", got)
				}
				cycleTwice(t, db)
			})
		}
	})
}

func linkTo(t testing.TB, path string) string {
	t.Helper()
	must(t, os.WriteFile(path, nil, 0o600))
	link := filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(path, link))
	return link
}

func cycleTwice(t testing.TB, db *sqlite.DB) {
	t.Helper()
	for range 2 {
		must(t, db.Pause(ctx))
		must(t, db.Resume(ctx))
	}
}

// What cannot be is refused, and changes nothing.
func TestReplaceIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openVersioned(t, engine, func(c *sqlite.Config) { c.BusyTimeout = 50e6 })
		fresh, kept := beside(t, engine, db, "new"), db.Path()+"-kept"
		refused := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			if !exists(fresh) || exists(kept) {
				t.Errorf("%s: a file was moved", what)
			}
		}
		refused("while active", db.Replace(ctx, fresh, kept), lifecycle.ErrSuperseded)
		must(t, db.Pause(ctx))
		refused("the file itself", db.Replace(ctx, db.Path(), kept), sqlite.ErrInUse)
		other := openWithRow(t, engine, nil)
		refused("a file that this process has open", db.Replace(ctx, other.Path(), kept), sqlite.ErrInUse)
		foreign := startForeign(t, db.Path())
		foreign.must(`SELECT v FROM t`)
		refused("another process has the old one open", db.Replace(ctx, fresh, kept), sqlite.ErrInUse)
		foreign.end()
		must(t, os.WriteFile(fresh+"-wal", []byte("log"), 0o600))
		if err := db.Replace(ctx, fresh, kept); err == nil {
			t.Error("a file with a log beside it was accepted")
		}
		must(t, os.Remove(fresh+"-wal"))
		refused("a file that is not there", db.Replace(ctx, fresh+"-none", kept), os.ErrNotExist)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
		must(t, db.Pause(ctx))
		must(t, os.Rename(fresh, db.Path()))
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
			t.Errorf("a refused Replace has let another file pass: %v", err)
		}
	})
}

// A database that is damaged beyond opening can be replaced: that is what backups are for.
func TestReplaceADamagedDatabase(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, damage := range []func(path string) error{
			func(path string) error {
				return os.WriteFile(path, []byte("this is no database, and has been one"), 0o600)
			},
			os.Remove,
			func(path string) error { return os.Truncate(path, 0) },
		} {
			db := openVersioned(t, engine, nil)
			fresh := beside(t, engine, db, "new")
			must(t, db.Pause(ctx))
			must(t, damage(db.Path()))
			must(t, db.Replace(ctx, fresh, db.Path()+"-kept"))
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "new" {
				t.Errorf("read %q", got)
			}
		}
	})
}

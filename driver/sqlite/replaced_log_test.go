package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// After a Resume that took another database and then failed, a log is still
// told from that of the database that was paused: neither is the wrong one
// played into a file, nor a file's own refused.
func TestLogsAfterAResumeThatFailed(t *testing.T) {
	errHook := errors.New("the program's own")
	// failedOn pauses a store whose log stays, puts the file and its log aside,
	// and has a Resume fail on the file that replace puts there instead.
	failedOn := func(t *testing.T, engine sqlite.Engine, replace func(t *testing.T, path, other string)) (db *sqlite.DB, aside string) {
		fails := true
		db, other := pausedBeside(t, engine, func(c *sqlite.Config) {
			c.Checkpoint, c.AcceptReplaced = sqlite.CheckpointNone, true
			c.AfterReopen = func(context.Context, *sqlite.Conn) error {
				if fails {
					return errHook
				}
				return nil
			}
		})
		if !containsSuffix(db.Report().Leftovers, "-wal") {
			t.Fatalf("the pause left no log: this proves nothing: %+v", db.Report())
		}
		aside = filepath.Join(filepath.Dir(other), "aside")
		must(t, os.Rename(db.Path()+"-wal", aside+"-wal"))
		must(t, os.Remove(db.Path()+"-shm"))
		replace(t, db.Path(), other)
		if err := db.Resume(ctx); !errors.Is(err, errHook) {
			t.Fatalf("Resume: %v, want the hook's error", err)
		}
		settled(t, db)
		fails = false
		return db, aside
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		t.Run("the paused one comes back with its log", func(t *testing.T) {
			var original string
			db, aside := failedOn(t, engine, func(t *testing.T, path, other string) {
				original = filepath.Join(filepath.Dir(other), "original")
				must(t, os.Rename(path, original))
				must(t, os.Rename(other, path))
			})
			must(t, os.Rename(original, db.Path()))
			must(t, os.Rename(aside+"-wal", db.Path()+"-wal"))
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "kept" {
				t.Errorf("read %q, and the log that the pause has left says %q", got, "kept")
			}
		})
		for name, replace := range map[string]func(t *testing.T, path, other string){
			"renamed over": func(t *testing.T, path, other string) { must(t, os.Rename(other, path)) },
			"copied over":  func(t *testing.T, path, other string) { writeOver(t, path, readFile(t, other)) },
		} {
			t.Run("the paused one's log comes back beside another file, "+name, func(t *testing.T) {
				db, aside := failedOn(t, engine, replace)
				must(t, os.Rename(aside+"-wal", db.Path()+"-wal"))
				for range 2 {
					resumeRefuses(t, db, "the log belongs to the database that was paused", db.Path())
				}
				must(t, os.Remove(db.Path()+"-wal"))
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "other" {
					t.Errorf("read %q, and the file that is there says %q", got, "other")
				}
			})
		}
		t.Run("another file with a log of its own, which another process keeps there", func(t *testing.T) {
			var reader *foreign
			db, _ := failedOn(t, engine, func(t *testing.T, path, other string) {
				writer := startForeign(t, other)
				writer.must(`PRAGMA wal_autocheckpoint = 0`)
				writer.must(`UPDATE t SET v = 'from the log'`)
				writer.kill()
				must(t, os.Rename(other, path))
				must(t, os.Rename(other+"-wal", path+"-wal"))
				long := time.Now().Add(-time.Hour) // as mv, cp -p and tar leave it
				must(t, os.Chtimes(path, long, long))
				must(t, os.Chtimes(path+"-wal", long, long))
				reader = startForeign(t, path)
				reader.must(`SELECT v FROM t`)
			})
			if !exists(db.Path() + "-wal") {
				t.Fatal("no log is left: this proves nothing")
			}
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "from the log" {
				t.Errorf("read %q, and the file's own log says %q", got, "from the log")
			}
			reader.end()
		})
	})
}

package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// writeOver replaces a file's content, as cp does.
func writeOver(t testing.TB, path string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(path, content, 0o600))
}

// replacement is a way to put something else where a paused database was.
type replacement struct {
	name   string
	do     func(t *testing.T, path, other string)
	want   error // of a Resume
	accept bool  // a Resume under AcceptReplaced succeeds
}

var replacements = []replacement{
	{"renamed over", func(t *testing.T, path, other string) { must(t, os.Rename(other, path)) }, lifecycle.ErrReplaced, true},
	{"removed and copied", func(t *testing.T, path, other string) {
		must(t, os.Remove(path))
		writeOver(t, path, readFile(t, other))
	}, lifecycle.ErrReplaced, true},
	{"copied over", func(t *testing.T, path, other string) { writeOver(t, path, readFile(t, other)) }, lifecycle.ErrReplaced, true},
	{"removed and re-created by another process", func(t *testing.T, path, _ string) {
		must(t, os.Remove(path))
		foreignly(t, path, `CREATE TABLE t (v)`, `INSERT INTO t VALUES ('other')`)
	}, lifecycle.ErrReplaced, true},
	{"removed and re-created by this process", func(t *testing.T, path, _ string) {
		must(t, os.Remove(path))
		db, err := sql.Open("sqlite", path)
		must(t, err)
		_, err = db.Exec(`CREATE TABLE t (v); INSERT INTO t VALUES ('other')`)
		must(t, err)
		must(t, db.Close())
	}, lifecycle.ErrReplaced, true},
	{"emptied", func(t *testing.T, path, _ string) { must(t, os.Truncate(path, 0)) }, lifecycle.ErrReplaced, true},
	{"an empty file in its place", func(t *testing.T, path, _ string) {
		must(t, os.Remove(path))
		writeOver(t, path, nil)
	}, lifecycle.ErrReplaced, true},
	{"another database of others copied over", func(t *testing.T, path, _ string) {
		theirs := filepath.Join(t.TempDir(), "theirs.db")
		foreignly(t, theirs, `CREATE TABLE t (v)`, `INSERT INTO t VALUES ('other')`)
		writeOver(t, path, readFile(t, theirs))
	}, lifecycle.ErrReplaced, true},
	{"no database copied over", func(t *testing.T, path, _ string) { writeOver(t, path, []byte("Dear diary,\n")) }, sqlite.ErrNotADatabase, false},
	{"truncated in the middle", func(t *testing.T, path, _ string) { must(t, os.Truncate(path, 4096)) }, sqlite.ErrCorrupt, false},
	{"a directory in its place", func(t *testing.T, path, _ string) {
		must(t, os.Remove(path))
		must(t, os.Mkdir(path, 0o700))
	}, lifecycle.ErrReplaced, false},
	{"deleted", func(t *testing.T, path, _ string) { must(t, os.Remove(path)) }, lifecycle.ErrMissing, false},
	{"its directory deleted", func(t *testing.T, path, _ string) { must(t, os.RemoveAll(filepath.Dir(path))) }, lifecycle.ErrMissing, false},
	{"a file in its directory's place", func(t *testing.T, path, _ string) {
		must(t, os.RemoveAll(filepath.Dir(path)))
		writeOver(t, filepath.Dir(path), nil)
	}, lifecycle.ErrMissing, false},
}

// pausedBeside makes a paused store, and another database for the taking.
func pausedBeside(t *testing.T, engine sqlite.Engine, change func(*sqlite.Config)) (db *sqlite.DB, other string) {
	dir := t.TempDir()
	db = openWithRow(t, engine, func(c *sqlite.Config) {
		c.Path = filepath.Join(dir, "sub", "test.db")
		if change != nil {
			change(c)
		}
	})
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, `CREATE TABLE more (v); CREATE TABLE evenmore (v)`)
	}))
	must(t, db.Pause(ctx))
	other = filepath.Join(dir, "other.db")
	o, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: other})
	must(t, err)
	must(t, o.Update(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, `CREATE TABLE t (v); INSERT INTO t VALUES ('other')`)
	}))
	must(t, o.Close(ctx))
	return db, other
}

// Whichever way a database is replaced while it is paused, Resume refuses it
// with a typed error, stays paused, makes nothing, and works again when the
// original is back.
func TestAReplacedFileIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, r := range replacements {
			t.Run(r.name, func(t *testing.T) {
				db, other := pausedBeside(t, engine, nil)
				dir := filepath.Dir(filepath.Dir(db.Path()))
				// Moved away and back it stays the same file. What is done in place is undone in place.
				aside, content := filepath.Join(dir, "aside"), readFile(t, db.Path())
				must(t, os.Link(db.Path(), aside))

				r.do(t, db.Path(), other)
				before := listing(t, dir)
				for range 2 {
					err := db.Resume(ctx)
					if !errors.Is(err, r.want) || !errors.As(err, new(*sqlite.OpenError)) {
						t.Errorf("Resume: %v, want %v", err, r.want)
					}
					if s := settled(t, db); s != lifecycle.Paused {
						t.Errorf("after a Resume that failed the store is %v, want paused", s)
					}
				}
				released(t, aside)
				sameListing(t, dir, before)

				must(t, os.RemoveAll(filepath.Dir(db.Path())))
				must(t, os.Mkdir(filepath.Dir(db.Path()), 0o700))
				must(t, os.Rename(aside, db.Path()))
				writeOver(t, db.Path(), content)
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q with the original back, want %q", got, "kept")
				}
			})
		}
	})
}

// The inode of a removed file is given to the next: without a link that keeps
// it, nothing but the content may tell the two apart.
func TestAReplacedFileIsRefusedWhereTheInodeIsReused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, r := range replacements {
			t.Run(r.name, func(t *testing.T) {
				db, other := pausedBeside(t, engine, nil)
				r.do(t, db.Path(), other)
				if err := db.Resume(ctx); !errors.Is(err, r.want) {
					t.Errorf("Resume: %v, want %v", err, r.want)
				}
				settled(t, db)
			})
		}
	})
}

// AcceptReplaced takes another database, after validating it like a new one, and never what is none.
func TestAcceptReplaced(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for i, r := range replacements {
			t.Run(r.name, func(t *testing.T) {
				db, other := pausedBeside(t, engine, func(c *sqlite.Config) { c.AcceptReplaced, c.SchemaVersion = true, 3 })
				r.do(t, db.Path(), other)
				err := db.Resume(ctx)
				if !r.accept {
					if !errors.Is(err, r.want) {
						t.Errorf("Resume: %v, want %v even under AcceptReplaced", err, r.want)
					}
					settled(t, db)
					return
				}
				must(t, err)
				if c := db.Report().Changed; c != lifecycle.ChangeYes {
					t.Errorf("Changed is %v, and the database is another one", c)
				}
				must(t, db.Pause(ctx))
				nothingHeld(t, db)
				must(t, db.Resume(ctx))
				if i > 0 {
					return
				}
				must(t, db.Pause(ctx))
				foreignly(t, db.Path(), `PRAGMA user_version = 4`)
				if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrSchemaNewer) {
					t.Errorf("Resume: %v, want ErrSchemaNewer: what is accepted is validated", err)
				}
				settled(t, db)
			})
		}
	})
}

// An older copy of the same database is the same database.
func TestAnOlderCopyIsAccepted(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		must(t, db.Pause(ctx))
		older := readFile(t, db.Path())
		must(t, db.Resume(ctx))
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "newer") }))
		must(t, db.Pause(ctx))
		writeOver(t, db.Path(), older)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q, and the older copy says %q", got, "kept")
		}
		if c := db.Report().Changed; c != lifecycle.ChangeYes {
			t.Errorf("Changed is %v, and the content is an older one", c)
		}
	})
}

// A log that does not belong to the file beside it: SQLite would play it into
// the file, show a mix of the two, and say that all is well.
func TestAnOldLogIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		// logOf leaves a database's log behind, and returns it.
		logOf := func(t *testing.T, path string) []byte {
			other := startForeign(t, path)
			other.must(`PRAGMA wal_autocheckpoint = 0`)
			other.must(`UPDATE t SET v = 'from the log'`)
			log := readFile(t, path+"-wal")
			other.end()
			return log
		}
		refused := func(t *testing.T, db *sqlite.DB) {
			t.Helper()
			before := listing(t, filepath.Dir(db.Path()))
			for range 2 {
				if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
					t.Errorf("Resume beside an old log: %v, want ErrReplaced", err)
				}
				if s := settled(t, db); s != lifecycle.Paused {
					t.Errorf("the store is %v, want paused", s)
				}
			}
			sameListing(t, filepath.Dir(db.Path()), before)
		}
		none := func(accept bool) func(*sqlite.Config) {
			return func(c *sqlite.Config) { c.Checkpoint, c.AcceptReplaced = sqlite.CheckpointNone, accept }
		}

		t.Run("beside the file that was paused", func(t *testing.T) {
			db, _ := pausedBeside(t, engine, nil)
			log := logOf(t, db.Path())
			must(t, db.Resume(ctx))
			must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "newer") }))
			must(t, db.Pause(ctx))
			writeOver(t, db.Path()+"-wal", log)
			long := time.Now().Add(-time.Hour)
			must(t, os.Chtimes(db.Path()+"-wal", long, long)) // as mv, cp -p and tar leave it
			refused(t, db)
			must(t, os.Remove(db.Path()+"-wal"))
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "newer" {
				t.Errorf("read %q with the old log gone, want %q", got, "newer")
			}
		})
		for _, accept := range []bool{false, true} {
			for name, replace := range map[string]func(t *testing.T, path, other string){
				"renamed over": func(t *testing.T, path, other string) { must(t, os.Rename(other, path)) },
				"copied over":  func(t *testing.T, path, other string) { writeOver(t, path, readFile(t, other)) },
				"removed and copied": func(t *testing.T, path, other string) {
					must(t, os.Remove(path))
					writeOver(t, path, readFile(t, other))
				},
			} {
				how := map[bool]string{false: "", true: ", under AcceptReplaced"}[accept]
				t.Run("left by the pause, and the file "+name+how, func(t *testing.T) {
					db, other := pausedBeside(t, engine, none(accept))
					if !containsSuffix(db.Report().Leftovers, "-wal") {
						t.Fatalf("the pause left no log: this proves nothing: %+v", db.Report())
					}
					replace(t, db.Path(), other)
					refused(t, db)
					if !accept {
						return
					}
					must(t, os.Remove(db.Path()+"-wal"))
					must(t, os.Remove(db.Path()+"-shm"))
					must(t, db.Resume(ctx))
					if got := readRow(t, db); got != "other" {
						t.Errorf("read %q, and the file that was put there says %q", got, "other")
					}
				})
			}
		}
		t.Run("left by the pause, and written back by another process", func(t *testing.T) {
			db, _ := pausedBeside(t, engine, none(false))
			other := startForeign(t, db.Path())
			other.must(`PRAGMA wal_checkpoint(PASSIVE)`)
			other.kill() // the log stays
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "kept" {
				t.Errorf("read %q", got)
			}
		})
		t.Run("younger, of another process", func(t *testing.T) {
			db, _ := pausedBeside(t, engine, nil)
			other := startForeign(t, db.Path())
			other.must(`UPDATE t SET v = 'committed'`)
			other.kill()
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "committed" {
				t.Errorf("read %q, and another process committed %q before it was killed", got, "committed")
			}
		})
		t.Run("restored together with its file, under AcceptReplaced", func(t *testing.T) {
			db, other := pausedBeside(t, engine, none(true))
			log := logOf(t, other)
			must(t, os.Remove(db.Path()+"-shm"))
			must(t, os.Rename(other, db.Path()))
			must(t, os.Remove(db.Path()+"-wal"))
			writeOver(t, db.Path()+"-wal", log)
			must(t, db.Resume(ctx))
		})
	})
}

// A file that is swapped while the store is active is not mixed with the one that is open.
func TestAFileSwappedWhileActive(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		other := makeDB(t, engine, filepath.Join(dir, "other.db"))
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Path = filepath.Join(dir, "sub", "test.db") })
		aside := filepath.Join(dir, "aside")
		must(t, os.Rename(db.Path(), aside))
		must(t, os.Link(other, db.Path()))
		err := db.View(ctx, func(*sqlite.Conn) error { // has the one reader, so that another one is opened
			return db.View(ctx, func(*sqlite.Conn) error { return nil })
		})
		if !errors.Is(err, lifecycle.ErrReplaced) {
			t.Errorf("a reader that is opened on another file: %v, want ErrReplaced", err)
		}
		must(t, db.Pause(ctx))
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
			t.Errorf("Resume: %v, want ErrReplaced", err)
		}
		must(t, os.Rename(aside, db.Path()))
		must(t, db.Resume(ctx))
	})
}

// A directory that goes away under an active store keeps no pause from its end.
func TestPauseWithoutADirectory(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, instead := range map[string]func(dir string){
			"nothing in its place":   func(string) {},
			"a file in its place":    func(dir string) { writeOver(t, dir, nil) },
			"a new one in its place": func(dir string) { must(t, os.Mkdir(dir, 0o700)) },
		} {
			t.Run(name, func(t *testing.T) {
				db := openWithRow(t, engine, func(c *sqlite.Config) { c.Path = filepath.Join(t.TempDir(), "sub", "test.db") })
				must(t, os.RemoveAll(filepath.Dir(db.Path())))
				instead(filepath.Dir(db.Path()))
				must(t, db.Pause(ctx))
				released(t, db.Path())
				if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrMissing) {
					t.Errorf("Resume: %v, want ErrMissing", err)
				}
			})
		}
	})
}

// A symbolic link that points elsewhere by now names another file.
func TestASymbolicLinkThatWasTurned(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "links"), 0o700))
		first := makeDB(t, engine, filepath.Join(dir, "first", "test.db"))
		second := makeDB(t, engine, filepath.Join(dir, "second", "test.db"))
		link := filepath.Join(dir, "links", "link.db")
		must(t, os.Symlink(first, link))
		db := open(t, engine, func(c *sqlite.Config) { c.Path, c.Checkpoint = link, sqlite.CheckpointNone })
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "first") }))
		must(t, db.Pause(ctx))
		released(t, link, first)
		if !containsSuffix(db.Report().Leftovers, "-wal") {
			t.Errorf("Leftovers are %v: the log lies beside the file, not beside the link", db.Report().Leftovers)
		}
		must(t, os.Remove(link))
		must(t, os.Symlink(second, link))
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
			t.Errorf("Resume: %v, want ErrReplaced", err)
		}
		must(t, os.Remove(link))
		must(t, os.Symlink(first, link))
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "first" {
			t.Errorf("read %q", got)
		}
	})
}

// resumeRefuses checks that a Resume is refused with ErrReplaced that names path.
func resumeRefuses(t *testing.T, db *sqlite.DB, why, path string) {
	t.Helper()
	err := db.Resume(ctx)
	e := (*sqlite.OpenError)(nil)
	if !errors.Is(err, lifecycle.ErrReplaced) || !errors.As(err, &e) || e.Path != path {
		t.Errorf("Resume when %s: %v, want ErrReplaced that names %s", why, err, path)
	}
	settled(t, db)
}

// An identity of another length than ours is somebody else's, and tells databases from each other all the same.
func TestAnIdentityOfAnyLength(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := makeDB(t, engine, filepath.Join(t.TempDir(), "test.db"))
		write := func(id string) {
			t.Helper()
			raw, err := engine.Open(path, sqlite.OpenOptions{})
			must(t, err)
			c := sqlite.NewConn(engine, raw, path, sqlite.ConnOptions{})
			c.SetOp(ctx)
			_, err = c.Exec(ctx, `UPDATE quiesce_identity SET id = ?`, []byte(id))
			must(t, errors.Join(err, c.Reset(), c.CloseConn()))
		}
		for _, id := range []string{"short", "longer than sixteen bytes: this one"} {
			write(id)
			db := reopen(t, engine, path)
			must(t, db.Pause(ctx))
			if err := db.Resume(ctx); err != nil {
				t.Errorf("Resume on the same database, whose identity is %q: %v", id, err)
			}
			must(t, db.Pause(ctx))
			write(id + "!")
			if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrReplaced) {
				t.Errorf("Resume on a database with the identity %q instead of %q: %v, want ErrReplaced", id+"!", id, err)
			}
			must(t, db.Close(ctx))
		}
	})
}

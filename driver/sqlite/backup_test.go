package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// openFilled opens a store whose database has some hundred pages: accounts whose sum never changes.
func openFilled(t testing.TB, engine sqlite.Engine, change func(*sqlite.Config)) *sqlite.DB {
	t.Helper()
	db := open(t, engine, change)
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, `
			CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB);
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
			INSERT INTO account SELECT i, 0, zeroblob(3000) FROM n`)
	}))
	return db
}

// backupOf returns the path for a backup, in a directory of its own.
func backupOf(t testing.TB) string { return filepath.Join(t.TempDir(), "copy.db") }

// nothingIn checks that a Backup that failed has left nothing, and that nothing in the directory is held.
func nothingIn(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range left {
		t.Errorf("%s is left by a backup that failed", e.Name())
	}
	released(t, filepath.Join(dir, "copy.db"), filepath.Join(dir, "copy.db.backup-tmp"))
}

// A backup is the whole database in one file: content, identity, marks and version. Only main is copied.
func TestBackupIsACompleteDatabase(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		db := openFilled(t, engine, func(c *sqlite.Config) {
			c.ApplicationID = 77
			c.Attach = []sqlite.Attachment{{Schema: "other", Path: filepath.Join(dir, "other.db")}}
		})
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			return c.ExecScript(ctx, `PRAGMA user_version = 5; CREATE TABLE other.secret (v)`)
		}))
		path := backupOf(t)
		must(t, db.Backup(ctx, path, sqlite.BackupOptions{}))

		content := listing(t, filepath.Dir(path))
		if len(content) != 2 || content[path].mode.Perm() != 0o600 && os.PathSeparator == '/' {
			t.Errorf("a backup has made %v, want one file of mode 0600 that needs no other", content)
		}
		released(t, path, path+".backup-tmp")
		identity := func(db *sqlite.DB) (id string) {
			t.Helper()
			must(t, db.View(ctx, func(c *sqlite.Conn) error {
				return c.QueryRow(ctx, `SELECT hex(id) FROM main.quiesce_identity`).Scan(&id)
			}))
			return id
		}
		want := identity(db)
		must(t, db.Pause(ctx)) // right after
		nothingHeld(t, db)

		backup := open(t, engine, func(c *sqlite.Config) { c.Path, c.ApplicationID, c.SchemaVersion = path, 77, 5 })
		if got := identity(backup); got != want {
			t.Errorf("the backup's identity is %s, want that of the database, %s", got, want)
		}
		must(t, backup.View(ctx, func(c *sqlite.Conn) error {
			for _, q := range []struct{ query, want string }{
				{`PRAGMA integrity_check`, "ok"}, {`PRAGMA user_version`, "5"}, {`PRAGMA application_id`, "77"},
				{`SELECT count(*) FROM account WHERE length(filler) = 3000`, "300"},
				{`SELECT count(*) FROM sqlite_schema WHERE name = 'secret'`, "0"},
			} {
				if got := fmt.Sprint(scanOne[any](t, c, q.query)); got != q.want {
					t.Errorf("%s says %q of the backup, want %q", q.query, got, q.want)
				}
			}
			return nil
		}))
	})
}

// How the source is opened makes no difference to its backup.
func TestBackupOfAnySource(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, change := range map[string]func(*sqlite.Config){
			"exclusive":           func(c *sqlite.Config) { c.Exclusive = runtime.GOOS != "windows" },
			"through a map":       func(c *sqlite.Config) { c.MmapSize = 1 << 20 },
			"with a log left":     func(c *sqlite.Config) { c.Checkpoint = sqlite.CheckpointNone },
			"incremental vacuum":  func(c *sqlite.Config) { c.IncrementalVacuum = true },
			"with a little cache": func(c *sqlite.Config) { c.CacheSize = 1 << 13 },
		} {
			t.Run(name, func(t *testing.T) {
				db := openFilled(t, engine, change)
				must(t, db.Pause(ctx))
				must(t, db.Resume(ctx))
				path := backupOf(t)
				must(t, db.Backup(ctx, path, sqlite.BackupOptions{}))
				copied := reopen(t, engine, path)
				must(t, copied.View(ctx, func(c *sqlite.Conn) error {
					if got := scanOne[string](t, c, `PRAGMA integrity_check`); got != "ok" {
						t.Errorf("integrity_check: %s", got)
					}
					if n := scanOne[int](t, c, `SELECT count(*) FROM account`); n != 300 {
						t.Errorf("the backup has %d accounts, want 300", n)
					}
					return nil
				}))
				must(t, copied.Close(ctx))
			})
		}
	})
}

// A backup is of one moment although writers go on, and each of them succeeds.
func TestBackupIsOfOneMoment(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, backup := range map[string]func(db *sqlite.DB, path string, o sqlite.BackupOptions) error{
			"by the store": func(db *sqlite.DB, path string, o sqlite.BackupOptions) error { return db.Backup(ctx, path, o) },
			"inside View": func(db *sqlite.DB, path string, o sqlite.BackupOptions) error {
				return db.View(ctx, func(c *sqlite.Conn) error { return c.Backup(ctx, path, o) })
			},
			"on the writer": func(db *sqlite.DB, path string, o sqlite.BackupOptions) error {
				o.Progress = nil // a second writer would wait for this one
				return db.Write(ctx, func(c *sqlite.Conn) error { return c.Backup(ctx, path, o) })
			},
		} {
			t.Run(name, func(t *testing.T) {
				db := openFilled(t, engine, nil)
				path := backupOf(t)
				writes := 0
				must(t, backup(db, path, sqlite.BackupOptions{Pages: 7, Progress: func(int, int) {
					writes++
					must(t, db.Update(ctx, func(c *sqlite.Conn) error {
						// A little in many places, and the file grows.
						return c.ExecScript(ctx, `UPDATE account SET amount = amount + 1 WHERE id % 10 = 1;
							UPDATE account SET amount = amount - 1 WHERE id % 10 = 2;
							INSERT INTO account VALUES (NULL, 0, zeroblob(3000))`)
					}))
				}}))
				if writes == 0 && name != "on the writer" {
					t.Fatal("nobody wrote during the backup: this proves nothing")
				}
				copied := reopen(t, engine, path)
				must(t, copied.View(ctx, func(c *sqlite.Conn) error {
					if n := scanOne[int](t, c, `SELECT count(*) FROM account`); n != 300 {
						t.Errorf("the backup has %d accounts, want 300 as when it began", n)
					}
					if n := scanOne[int](t, c, `SELECT count(*) FROM account WHERE amount <> 0`); n != 0 {
						t.Errorf("the backup shows %d changes that were made after it had begun", n)
					}
					if got := scanOne[string](t, c, `PRAGMA integrity_check`); got != "ok" {
						t.Errorf("integrity_check: %s", got)
					}
					return nil
				}))
				must(t, copied.Close(ctx))
				must(t, db.View(ctx, func(c *sqlite.Conn) error {
					if n := scanOne[int](t, c, `SELECT count(*) FROM account`); n != 300+writes {
						t.Errorf("%d accounts, want 300 and the %d that were written during the backup", n, writes)
					}
					return nil
				}))
			})
		}
	})
}

// Progress grows step by step and ends at the total, which is the size of the copy.
func TestBackupTellsItsProgress(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openFilled(t, engine, nil)
		path := backupOf(t)
		var last, total, calls int
		must(t, db.Backup(ctx, path, sqlite.BackupOptions{Pages: 10, Progress: func(done, all int) {
			if done <= last && all != 0 || done > last+10 || calls > 0 && all != total {
				t.Errorf("after %d of %d pages: %d of %d, with 10 pages at a time", last, total, done, all)
			}
			last, total = done, all
			calls++
		}}))
		info, err := os.Stat(path)
		must(t, err)
		if last != total || int64(total)*4096 != info.Size() || calls != (total+9)/10 {
			t.Errorf("told last: %d of %d pages after %d calls; the copy has %d bytes", last, total, calls, info.Size())
		}
		if err := db.Backup(ctx, backupOf(t), sqlite.BackupOptions{Pages: -1}); !errors.Is(err, sqlite.ErrConfig) {
			t.Errorf("with -1 pages at a time: %v, want ErrConfig", err)
		}
	})
}

// Whatever ends a backup, nothing of it is left, nothing is held, and the next one succeeds.
func TestABackupThatIsEndedLeavesNothing(t *testing.T) {
	errPanic := errors.New("out of Progress")
	for _, end := range []struct {
		name string
		want error
		at   func(cancel context.CancelFunc) // in Progress
	}{
		{"cancelled before it begins", context.Canceled, nil},
		{"cancelled in the middle", context.Canceled, func(cancel context.CancelFunc) { cancel() }},
		{"by a panic in Progress", errPanic, func(context.CancelFunc) { panic(errPanic) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, engine sqlite.Engine) {
				db := openFilled(t, engine, nil)
				path := backupOf(t)
				for name, backup := range map[string]func(context.Context, sqlite.BackupOptions) error{
					"with the operation's context": func(c context.Context, o sqlite.BackupOptions) error { return db.Backup(c, path, o) },
					"with a context of its own": func(own context.Context, o sqlite.BackupOptions) error {
						return db.Read(ctx, func(c *sqlite.Conn) error { return c.Backup(own, path, o) })
					},
				} {
					own, cancel := context.WithCancel(ctx)
					if end.at == nil {
						cancel()
					}
					err := func() (err error) {
						defer func() {
							if v := recover(); v != nil {
								err = v.(error)
							}
						}()
						return backup(own, sqlite.BackupOptions{Pages: 3, Progress: func(done, total int) {
							if done > total/2 {
								end.at(cancel)
							}
						}})
					}()
					cancel()
					if !errors.Is(err, end.want) {
						t.Errorf("Backup %s: %v, want %v", name, err, end.want)
					}
					nothingIn(t, filepath.Dir(path))
				}
				must(t, db.Backup(ctx, path, sqlite.BackupOptions{}))
				must(t, db.Pause(ctx))
				nothingHeld(t, db)
			})
		})
	}
}

// A pause interrupts a backup between two steps.
func TestAPauseInterruptsABackup(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openFilled(t, engine, func(c *sqlite.Config) { c.Timeout, c.Grace = patienceOfTests, time.Millisecond })
		path := backupOf(t)
		for range tier.Count(3, 20, 200) {
			b := newBlocker()
			backup := goErr(func() error {
				return db.Backup(ctx, path, sqlite.BackupOptions{Pages: 2, Progress: func(done, _ int) {
					if done == 2 {
						b.hold()
					}
				}})
			})
			<-b.began
			paused := goErr(func() error { return db.Pause(ctx) })
			eventually(t, "the backup is told to end", func() bool {
				h := db.Holders()
				return len(h) == 1 && h[0].Interrupted
			})
			close(b.release)
			within(t, "a Backup that was interrupted", backup, lifecycle.ErrInterrupted)
			within(t, "Pause", paused, nil)
			nothingHeld(t, db)
			nothingIn(t, filepath.Dir(path))
			must(t, db.Resume(ctx))
		}
		must(t, db.Backup(ctx, path, sqlite.BackupOptions{}))
	})
}

// A pause that can wait no longer takes the connection, and the destination
// with it, though the owner is somewhere else.
func TestAPauseSeversABackup(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openFilled(t, engine, nil)
		path := backupOf(t)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		b := newBlocker()
		backup := goErr(func() error {
			return db.Backup(ctx, path, sqlite.BackupOptions{Pages: 2, Progress: func(done, _ int) {
				if done == 2 {
					b.hold()
				}
			}})
		})
		<-b.began
		if err := db.Pause(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Pause with a context that has ended: %v", err)
		}
		eventually(t, "the connections are closed", func() bool {
			held, err := sqlite.HeldBySelf(ctx, db.Path(), path, path+".backup-tmp")
			must(t, err)
			return held.Err() == nil
		})
		close(b.release)
		within(t, "a Backup whose connection was severed", backup, lifecycle.ErrInterrupted)
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
		nothingIn(t, filepath.Dir(path))
		must(t, db.Resume(ctx))
		must(t, db.Backup(ctx, path, sqlite.BackupOptions{}))
	})
}

// Pauses at any moment of backups: each either succeeds and is whole, or leaves nothing.
func TestBackupsUnderPauses(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openFilled(t, engine, nil)
		dir := t.TempDir()
		path := filepath.Join(dir, "copy.db")
		ended, cancel := context.WithCancel(ctx)
		cancel()
		whole, interrupted := 0, 0
		for i := range tier.Count(40, 400, 4000) {
			at := 1 + rand.IntN(400) // there are some 300 pages; often all are copied, and the rest has to be done
			late := rand.IntN(4) == 0
			began := make(chan struct{})
			backup := goErr(func() error {
				return db.Backup(ctx, path, sqlite.BackupOptions{Pages: 1, Progress: func(done, total int) {
					if done == min(at, total) {
						close(began)
					}
				}})
			})
			<-began
			for range rand.IntN(i + 1) {
				runtime.Gosched()
			}
			for late && len(backup) == 0 && !exists(path) { // from when it has its name it is a backup
				runtime.Gosched()
			}
			_ = db.Pause(ended)
			must(t, db.Pause(ctx))
			nothingHeld(t, db)
			switch err := <-backup; {
			case err == nil:
				whole++
				copied := reopen(t, engine, path)
				must(t, copied.View(ctx, func(c *sqlite.Conn) error {
					if got := scanOne[string](t, c, `PRAGMA integrity_check`); got != "ok" {
						t.Errorf("integrity_check of a backup that succeeded: %s", got)
					}
					return nil
				}))
				must(t, copied.Close(ctx))
				must(t, os.Remove(path))
			case errors.Is(err, lifecycle.ErrInterrupted) && !late:
				interrupted++
			default:
				t.Errorf("Backup: %v, want nil, or ErrInterrupted before it had its name", err)
			}
			nothingIn(t, dir)
			must(t, db.Resume(ctx))
		}
		t.Logf("%d backups are whole, %d were interrupted", whole, interrupted)
		if interrupted == 0 || whole == 0 {
			t.Error("no backup was interrupted, or none was whole: this proves nothing")
		}
	})
}

// Where a backup may not go it says why, and changes nothing.
func TestWhereABackupMayNotGo(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		in := func(name string) string { return filepath.Join(dir, name) }
		db := openFilled(t, engine, func(c *sqlite.Config) {
			c.Path = in("test.db")
			c.Attach = []sqlite.Attachment{{Schema: "other", Path: in("other.db")}}
		})
		second := openWithRow(t, engine, func(c *sqlite.Config) { c.Path = in("second.db") })
		must(t, second.Pause(ctx))
		must(t, os.Symlink(db.Path(), in("symlink.db")))
		must(t, os.Link(db.Path(), in("hardlink.db")))
		must(t, os.Symlink(in("nowhere"), in("dangling.db")))
		must(t, os.Symlink(dir, in("dirlink")))
		must(t, os.Mkdir(in("directory"), 0o700))
		writeOver(t, in("file"), []byte("Dear diary,\n"))
		writeOver(t, in("old.db-wal"), []byte("a log"))
		must(t, os.Mkdir(in("stuck.db.backup-tmp"), 0o700))
		before, err := os.ReadDir(dir)
		must(t, err)

		for _, bad := range []struct {
			name, path string
			want       error
		}{
			{"the database itself", db.Path(), sqlite.ErrInUse},
			{"its log", db.Path() + "-wal", sqlite.ErrInUse},
			{"a journal that it may have", in("dirlink/test.db-journal"), sqlite.ErrInUse},
			{"the attached one", in("other.db"), sqlite.ErrInUse},
			{"a link to it", in("symlink.db"), sqlite.ErrInUse},
			{"a hard link to it", in("hardlink.db"), sqlite.ErrInUse},
			{"another store's, paused", second.Path(), sqlite.ErrInUse},
			{"what another store's log would be", second.Path() + "-wal", sqlite.ErrInUse},
			{"a file", in("file"), fs.ErrExist},
			{"a directory", in("directory"), fs.ErrExist},
			{"a link to nothing", in("dangling.db"), fs.ErrExist},
			{"beside an old log", in("old.db"), fs.ErrExist},
			{"a missing directory", in("missing/copy.db"), fs.ErrNotExist},
			{"below a file", in("file/copy.db"), sqlite.ErrDirectory},
			{"a directory where the temporary file would be", in("stuck.db"), sqlite.ErrDirectory},
			{"memory", ":memory:", sqlite.ErrMemory},
			{"nowhere", "", sqlite.ErrMemory},
			{"a URI", "file:" + in("uri.db"), sqlite.ErrConfig},
			{"a name with a NUL byte", in("nul\x00.db"), sqlite.ErrConfig},
		} {
			err := db.Backup(ctx, bad.path, sqlite.BackupOptions{})
			if !errors.Is(err, bad.want) || !errors.As(err, new(*sqlite.OpenError)) {
				t.Errorf("Backup to %s: %v, want an OpenError that matches %v", bad.name, err, bad.want)
			}
		}
		after, err := os.ReadDir(dir)
		must(t, err)
		if len(after) != len(before) {
			t.Errorf("there was %v, and is %v", before, after)
		}
		if got := string(readFile(t, in("file"))); got != "Dear diary,\n" {
			t.Errorf("the file says %q now", got)
		}
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			if err := c.Backup(ctx, in("copy.db"), sqlite.BackupOptions{}); !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("Backup inside Update: %v, want ErrNested", err)
			}
			return nil
		}))
	})
}

// Nobody in the process opens what a backup is writing, nor makes another one there.
func TestABackupHasItsNamesAlone(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openFilled(t, engine, nil)
		path := backupOf(t)
		must(t, db.Backup(ctx, path, sqlite.BackupOptions{Progress: func(int, int) {
			for _, name := range []string{path, path + ".backup-tmp"} {
				if _, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: name}); !errors.Is(err, sqlite.ErrInUse) {
					t.Errorf("Open(%s) during a backup: %v, want ErrInUse", name, err)
				}
			}
			if err := db.Backup(ctx, path, sqlite.BackupOptions{}); !errors.Is(err, sqlite.ErrInUse) {
				t.Errorf("a second Backup to the same path: %v, want ErrInUse", err)
			}
		}}))
		must(t, reopen(t, engine, path).Close(ctx))
	})
}

// What a backup has left that was killed is replaced by the next, unless another process is writing it now.
func TestABackupReplacesWhatAKilledOneLeft(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openFilled(t, engine, nil)
		for name, leave := range map[string]func(t *testing.T, temp string){
			"an empty file": func(t *testing.T, temp string) { writeOver(t, temp, nil) },
			"half of a database, and a journal": func(t *testing.T, temp string) {
				whole := backupOf(t)
				must(t, db.Backup(ctx, whole, sqlite.BackupOptions{}))
				content := readFile(t, whole)
				writeOver(t, temp, content[:len(content)/2])
				writeOver(t, temp+"-journal", []byte("a journal"))
			},
			"a whole one": func(t *testing.T, temp string) { must(t, db.Backup(ctx, temp, sqlite.BackupOptions{})) },
			"no database": func(t *testing.T, temp string) { writeOver(t, temp, []byte(strings.Repeat("Dear diary,\n", 1000))) },
		} {
			t.Run(name, func(t *testing.T) {
				path := backupOf(t)
				leave(t, path+".backup-tmp")
				must(t, db.Backup(ctx, path, sqlite.BackupOptions{}))
				if left := listing(t, filepath.Dir(path)); len(left) != 2 {
					t.Errorf("beside the backup there is still %v", left)
				}
				must(t, reopen(t, engine, path).Close(ctx))
			})
		}
		t.Run("another process's, who is at it", func(t *testing.T) {
			path := backupOf(t)
			makeDB(t, engine, path+".backup-tmp")
			other := startForeign(t, path+".backup-tmp")
			other.must(`BEGIN EXCLUSIVE`)
			if err := db.Backup(ctx, path, sqlite.BackupOptions{}); !errors.Is(err, sqlite.ErrInUse) {
				t.Errorf("Backup: %v, want ErrInUse", err)
			}
			other.must(`ROLLBACK`)
			other.end()
			must(t, db.Backup(ctx, path, sqlite.BackupOptions{}))
		})
	})
}

package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// One store for a file: a second Open is refused by whatever name and with whatever engine, until the first is closed.
func TestASecondOpenIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Path, c.Name = filepath.Join(dir, "test.db"), "the first" })
		must(t, os.Symlink(db.Path(), filepath.Join(dir, "symlink.db")))
		must(t, os.Symlink(dir, filepath.Join(dir, "dirlink")))
		must(t, os.Link(db.Path(), filepath.Join(dir, "hardlink.db")))
		t.Chdir(dir)
		names := []string{db.Path(), filepath.Join(dir, "symlink.db"), filepath.Join(dir, "dirlink", "test.db"),
			filepath.Join(dir, "hardlink.db"), "test.db", "./dirlink/../test.db", "dirlink/symlink.db"}
		refused := func(when string) {
			t.Helper()
			for _, second := range engines {
				if second.Name() == "mattn" && !withCgo {
					continue
				}
				for _, name := range names {
					other, err := sqlite.Open(ctx, sqlite.Config{Engine: second, Path: name})
					e := (*sqlite.OpenError)(nil)
					if !errors.Is(err, sqlite.ErrInUse) || !errors.As(err, &e) || e.Hint == "" {
						t.Errorf("a second Open, %s, as %s with %s: %v, want ErrInUse with a hint", when, name, second.Name(), err)
					}
					if err == nil {
						must(t, other.Close(ctx))
					}
				}
			}
		}
		refused("while active")
		must(t, db.Pause(ctx))
		refused("while paused")
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
		must(t, db.Close(ctx))
		for _, name := range names {
			other, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: name})
			if err != nil {
				t.Fatalf("Open as %s after Close: %v", name, err)
			}
			must(t, other.Close(ctx))
		}
	})
}

// Files come, go and change places while stores are paused. Two stores never
// have the same one open, whatever it is called.
func TestFilesThatChangePlacesWhilePaused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		in := func(name string) string { return filepath.Join(dir, name) }
		paused := func(name string) *sqlite.DB {
			return open(t, engine, func(c *sqlite.Config) { c.Path, c.StartPaused, c.AcceptReplaced = in(name), true, true })
		}
		opens := func(why, name string, want error) {
			t.Helper()
			db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: in(name)})
			if !errors.Is(err, want) {
				t.Errorf("Open of %s: %v, want %v: %s", name, err, want, why)
			}
			if err == nil {
				must(t, db.Close(ctx))
			}
		}

		first := paused("first.db") // its file is not there yet
		makeDB(t, engine, in("made.db"))
		must(t, os.Link(in("made.db"), in("first.db")))
		second, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: in("made.db")})
		if err == nil { // nobody has told the first store of its file
			if err := first.Resume(ctx); !errors.Is(err, sqlite.ErrInUse) || !errors.As(err, new(*sqlite.OpenError)) {
				t.Errorf("Resume on a file that another store has open by another name: %v, want ErrInUse", err)
			}
			settled(t, first)
			must(t, second.Close(ctx))
		}
		must(t, first.Resume(ctx))
		opens("the first store has it open", "made.db", sqlite.ErrInUse)
		must(t, first.Pause(ctx))
		opens("the first store has it, though paused", "made.db", sqlite.ErrInUse)

		// Another file takes its place, and what it had is somebody else's.
		makeDB(t, engine, in("next.db"))
		must(t, os.Rename(in("next.db"), in("first.db")))
		must(t, os.Link(in("first.db"), in("link.db")))
		opens("the first store has another one now", "made.db", nil)
		must(t, first.Resume(ctx))
		opens("the first store has it open by another name", "link.db", sqlite.ErrInUse)
		opens("the first store has another one now", "made.db", nil)

		// There and back again.
		must(t, first.Pause(ctx))
		must(t, os.Rename(in("first.db"), in("away.db")))
		third, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: in("away.db")})
		must(t, err)
		must(t, os.Link(in("away.db"), in("first.db")))
		if err := first.Resume(ctx); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("Resume on the file that another store has by now: %v, want ErrInUse", err)
		}
		settled(t, first)
		must(t, third.Close(ctx))
		must(t, first.Resume(ctx))
		opens("the first store has it open by another name", "away.db", sqlite.ErrInUse)
		must(t, first.Close(ctx))
		opens("the first store is closed", "link.db", nil)
	})
}

// BenchmarkOpenAmongMany opens a store of an existing file among those that the
// process has already, all paused. The price must not depend on their number.
func BenchmarkOpenAmongMany(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		dir := b.TempDir()
		var dbs []*sqlite.DB
		startPaused := func(path string) *sqlite.DB {
			db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, StartPaused: true})
			must(b, err)
			return db
		}
		for _, others := range []int{0, 100, 2000} {
			for len(dbs) < others {
				path := filepath.Join(dir, fmt.Sprint(len(dbs), ".db"))
				writeOver(b, path, []byte("a file"))
				dbs = append(dbs, startPaused(path))
			}
			b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "one.db")
				writeOver(b, path, []byte("a file"))
				for b.Loop() {
					must(b, startPaused(path).Close(ctx))
				}
			})
		}
		for _, db := range dbs {
			must(b, db.Close(ctx))
		}
	})
}

// A Close that could not end gives the file free when it ends after all.
func TestACloseThatEndsLaterGivesTheFileFree(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Verify = true })
		b := newBlocker()
		opcode := slowOpcode(t, db, 300*time.Millisecond)
		read := goErr(func() error {
			return db.Read(ctx, func(c *sqlite.Conn) error { close(b.began); return opcode(c) })
		})
		<-b.began
		err := db.Close(deadline(t, 20*time.Millisecond))
		held := (*lifecycle.HeldError)(nil)
		if !errors.As(err, &held) {
			t.Logf("the machine was faster than the deadline, or Close: %v", err)
		} else if _, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: db.Path()}); !errors.Is(err, sqlite.ErrInUse) && db.State() != lifecycle.Closed {
			t.Errorf("Open before a Close has ended: %v, want ErrInUse", err)
		}
		select {
		case <-read:
		case <-time.After(patienceOfTests):
			t.Fatal("the read does not end")
		}
		awaitState(t, db, lifecycle.Closed)
		eventually(t, "the file is free", func() bool {
			other, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: db.Path()})
			if err == nil {
				must(t, other.Close(ctx))
			}
			return err == nil
		})
		must(t, db.Close(ctx))
	})
}

// Closing twice does not take the file from the store that has it by then.
func TestASecondCloseFreesNothingOfOthers(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		first := openWithRow(t, engine, nil)
		must(t, first.Close(ctx))
		second := open(t, engine, func(c *sqlite.Config) { c.Path = first.Path() })
		must(t, first.Close(ctx))
		if _, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: first.Path()}); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("Open: %v, want ErrInUse: the second store has the file", err)
		}
		must(t, second.Pause(ctx))
	})
}

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

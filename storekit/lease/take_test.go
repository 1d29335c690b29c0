package lease_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// The steps by which every store's leases are judged: who gets what, when, and with which generation.
func TestTakeFollowsTheRules(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		clock := new(wall)
		l := open(t, engine, clock.use)
		var now time.Duration
		pass := func(d time.Duration) { now += d; clock.set(now) }
		rules(t, l, pass)
	})
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { rules(t, inMemory(t), time.Sleep) })
	})
}

func rules(t *testing.T, l *lease.Locks, pass func(time.Duration)) {
	const d = time.Minute            // a real clock may go on beside what is added to it
	take(t, l, "key", "alice", 0, 1) // taken and released at once
	take(t, l, "key", "alice", d, 1)
	take(t, l, "key", "alice", d, 1) // extended
	take(t, l, "key", "bob", d, 0)
	take(t, l, "key", "bob", d, 0)
	take(t, l, "other", "bob", d, 1) // keys have nothing to do with each other
	pass(d / 2)
	take(t, l, "key", "bob", d, 0)
	pass(d/2 + time.Millisecond)
	take(t, l, "key", "bob", d, 2) // the time was over
	take(t, l, "key", "alice", d, 0)
	take(t, l, "key", "bob", 0, 2) // released
	take(t, l, "key", "alice", d, 3)
	take(t, l, "key", "alice", 0, 3)
	take(t, l, "key", "bob", d, 4)
	take(t, l, "key", "bob", 10*d, 4) // longer
	pass(2 * d)
	take(t, l, "key", "alice", d, 0)
	take(t, l, "key", "bob", d, 4)
}

// A lease is over after its time, not at it: at the very millisecond it is still its holder's.
func TestTakeOverNeedsTheTimeToBePast(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		now := time.UnixMilli(1_000_000)
		l := open(t, engine, func(c *lease.Config) { *c = lease.WithWall(*c, func() time.Time { return now }) })
		take(t, l, "key", "alice", time.Second, 1)
		now = now.Add(time.Second)
		take(t, l, "key", "bob", time.Second, 0)
		now = now.Add(time.Millisecond)
		take(t, l, "key", "bob", time.Second, 2)
	})
}

// Less than a millisecond is a lease, not a release.
func TestTakeRoundsUp(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		now := time.UnixMilli(1_000_000)
		l := open(t, engine, func(c *lease.Config) { *c = lease.WithWall(*c, func() time.Time { return now }) })
		take(t, l, "key", "alice", time.Nanosecond, 1)
		take(t, l, "key", "bob", time.Second, 0)
	})
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		for _, d := range []time.Duration{-1, 1 << 62} {
			if _, _, err := l.Take(ctx, "key", "alice", d); !errors.As(err, new(*lifecycle.ConfigError)) {
				t.Errorf("Take for %v: %v, want a ConfigError", d, err)
			}
		}
		for _, o := range []lease.Options{
			{Duration: -1}, {Duration: 1}, {Duration: 1 << 62}, {Renew: -1}, {Renew: time.Hour},
			{Duration: time.Second, Renew: time.Second},
		} {
			if x, err := l.Hold(ctx, "key", o); x != nil || !errors.As(err, new(*lifecycle.ConfigError)) {
				t.Errorf("Hold with %+v: %v, want a ConfigError", o, err)
			}
		}
	})
}

// With a Hash, neither keys nor holders can be read in the files.
func TestNoClearIdentifierInTheFile(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		const key, holder = "the-clear-key", "the-clear-holder"
		hashed := 0
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, func(c *lease.Config) {
			c.Database.Path = path
			c.Hash = func(clear []byte) ([]byte, error) {
				hashed++
				hash := []byte("0123456789abcdef")
				for i, b := range clear {
					hash[i%16] = hash[i%16]*31 + b
				}
				return hash, nil
			}
		})
		x := hold(t, l, key, by(holder, minute))
		if _, err := l.Hold(deadline(t, 20*time.Millisecond), key, by("someone", minute)); !errors.Is(err, lease.ErrHeld) {
			t.Errorf("Hold beside another holder: %v, want ErrHeld", err)
		}
		before := hashed
		must(t, x.Check(ctx))
		must(t, l.Pause(ctx))
		must(t, l.Resume(ctx))
		must(t, x.Release(ctx))
		if hashed != before {
			t.Error("Hash was called for a pause, a resume, a check or a release: the cipher may have forgotten its keys by then")
		}
		must(t, l.Close(ctx))
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			for _, clear := range []string{key, holder} {
				if strings.Contains(string(content), clear) {
					t.Errorf("%q stands in the file%s", clear, suffix)
				}
			}
		}
	})
}

func TestHashThatFails(t *testing.T) {
	errHash := errors.New("the cipher is locked")
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		l := open(t, engine, func(c *lease.Config) { c.Hash = func([]byte) ([]byte, error) { return nil, errHash } })
		_, _, err := l.Take(ctx, "key", "alice", time.Second)
		wantError(t, "Take", err, errHash)
		_, err = l.Hold(ctx, "key", minute)
		wantError(t, "Hold", err, errHash)
	})
}

// A file that is damaged, or no database, is replaced: leases are worth nothing that a repair would save.
func TestDamagedFileIsReplaced(t *testing.T) {
	damages := map[string]func(t *testing.T, path string){
		"garbage": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 400)), 0o600))
		},
		"schema page": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt([]byte(strings.Repeat("\xff", 400)), 100)
			must(t, errors.Join(err, f.Close()))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, engine sqlite.Engine) {
				path := filepath.Join(t.TempDir(), "lease.db")
				l := open(t, engine, at(path))
				take(t, l, "key", "alice", time.Minute, 1)
				must(t, l.Close(ctx))
				damage(t, path)
				l = open(t, engine, at(path))
				take(t, l, "key", "bob", time.Minute, 1)
			})
		})
	}
}

// Another application's database is not ours to replace.
func TestForeignDatabaseIsKept(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "precious.db")
		db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, ApplicationID: 7})
		must(t, err)
		must(t, db.Close(ctx))
		before, err := os.ReadFile(path)
		must(t, err)
		_, err = lease.Open(ctx, lease.Config{Database: sqlite.Config{Engine: engine, Path: path}})
		wantError(t, "Open", err, sqlite.ErrApplicationID)
		after, err := os.ReadFile(path)
		must(t, err)
		if string(before) != string(after) {
			t.Error("another application's database was changed")
		}
	})
}

func TestFileIsPrivate(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		take(t, l, "key", "alice", time.Minute, 1)
		info, err := os.Stat(path)
		must(t, err)
		if mode := info.Mode().Perm(); mode != 0o600 && os.PathSeparator == '/' {
			t.Errorf("the file has mode %v, want 0600", mode)
		}
		must(t, l.Wipe(ctx))
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Wipe the file is there: %v", err)
		}
	})
}

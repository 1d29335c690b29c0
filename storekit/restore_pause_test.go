package storekit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// untilState waits for a state of the database. It returns false where that does not come.
func untilState(s *storekit.Store, want lifecycle.State) bool {
	states, stop := s.Subscribe()
	defer stop()
	late := time.After(patience)
	for {
		select {
		case state := <-states:
			if state == want {
				return true
			}
		case <-late:
			return false
		}
	}
}

// A Pause that comes while Restore still copies, or looks at the copy, ends
// it, and returns when nothing of the copy is held or left. The store stays paused, as it was.
func TestAPauseEndsARestoreThatPrepares(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, phase := range []string{"copying", "looking at the copy"} {
			t.Run(phase, func(t *testing.T) {
				cfg := config(t, engine)
				var s *storekit.Store
				var once sync.Once
				var armed atomic.Bool
				paused := make(chan error, 1)
				pause := func() {
					if !armed.Load() {
						return
					}
					once.Do(func() {
						go func() {
							err := s.Pause(ctx)
							if left, _ := filepath.Glob(s.Path() + "-restore*"); len(left) != 0 {
								t.Errorf("when Pause has returned (%v), %v is there", err, left)
							}
							for _, held := range descriptors(filepath.Dir(s.Path())) {
								t.Errorf("when Pause has returned (%v), %s is open", err, held)
							}
							paused <- err
						}()
						if !untilState(s, lifecycle.Paused) {
							t.Error("the database does not pause")
						}
					})
				}
				cfg.Database.Prepare = func(context.Context, *sqlite.Conn) error {
					if phase != "copying" {
						pause()
					}
					return nil
				}
				s = open(t, cfg)
				add(t, s, "one")
				path := backup(t, s)
				add(t, s, "two")
				armed.Store(true)
				err := s.Restore(ctx, path, storekit.RestoreOptions{Progress: func(storekit.Progress) {
					if phase == "copying" {
						pause()
					}
				}})
				wantError(t, "Restore", err, lifecycle.ErrPaused)
				must(t, <-paused)
				if s.State() != lifecycle.Paused {
					t.Errorf("the store is %v after a Pause that returned nil", s.State())
				}
				must(t, s.Resume(ctx))
				wantNotes(t, s, "one", "two")
			})
		}
	})
}

// A Resume of a store that is active does nothing, to a Restore neither. A Pause
// with a Resume after it ends the Restore.
func TestOnlyAPauseEndsARestore(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, config(t, engine))
		add(t, s, "one")
		path := backup(t, s)
		add(t, s, "two")
		must(t, s.Restore(ctx, path, storekit.RestoreOptions{Progress: func(storekit.Progress) { must(t, s.Resume(ctx)) }}))
		wantNotes(t, s, "one")
		add(t, s, "two")
		var once sync.Once
		resumed := make(chan error, 1)
		err := s.Restore(ctx, path, storekit.RestoreOptions{Progress: func(storekit.Progress) {
			once.Do(func() {
				paused, stop := context.WithCancel(ctx)
				stop()
				_ = s.Pause(paused) // which tells the database, and leaves
				go func() { resumed <- s.Resume(ctx) }()
			})
		}})
		if !errors.Is(err, lifecycle.ErrPaused) && !errors.Is(err, lifecycle.ErrSuperseded) {
			t.Errorf("Restore: %v, want that it was paused, or paused and resumed", err)
		}
		must(t, <-resumed)
		wantNotes(t, s, "one", "two")
	})
}

// descriptors lists what this process has open in a directory, where the system tells.
func descriptors(dir string) (open []string) {
	all, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range all {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir) {
			open = append(open, to)
		}
	}
	return open
}

// Who comes second waits for the first one for as long as its context lets it.
func TestRestoreAndRotateWaitForTheirTurnWithinTheContext(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, call := range map[string]func(context.Context, *storekit.Store, string, func(storekit.Progress)) error{
			"restore": func(ctx context.Context, s *storekit.Store, path string, told func(storekit.Progress)) error {
				return s.Restore(ctx, path, storekit.RestoreOptions{Progress: told})
			},
			"rotate": func(ctx context.Context, s *storekit.Store, _ string, told func(storekit.Progress)) error {
				return s.Rotate(ctx, key(1), storekit.RotateOptions{Progress: told})
			},
		} {
			t.Run(name, func(t *testing.T) {
				s := open(t, sealed(config(t, engine)))
				add(t, s, "one")
				path := backup(t, s)
				in, out, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
				var once sync.Once
				go func() {
					first <- call(ctx, s, path, func(storekit.Progress) { once.Do(func() { close(in); <-out }) })
				}()
				<-in
				soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
				second := make(chan error, 1)
				go func() { second <- call(soon, s, path, nil) }()
				select {
				case err := <-second:
					wantError(t, "the second one", err, context.DeadlineExceeded)
				case <-time.After(patience / 6):
					t.Error("the second one waits although its context has ended")
				}
				close(out)
				must(t, <-first)
				wantNotes(t, s, "one")
			})
		}
	})
}

// The names of leases are hashed with the store's keys. With the keys of
// another store, a lease that was held before is nobody's: it is lost, and not
// held twice.
func TestRestoreOfAnotherStoreEndsTheLeases(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := backup(t, open(t, sealed(config(t, engine))))
		cfg := sealed(config(t, engine))
		cfg.Leases = true
		s := open(t, cfg)
		same := backup(t, s)
		x, err := s.Leases().Hold(ctx, "k", lease.Options{Holder: "A", Duration: time.Minute})
		must(t, err)
		must(t, s.Restore(ctx, same, storekit.RestoreOptions{}))
		must(t, x.Err())
		must(t, s.Restore(ctx, path, storekit.RestoreOptions{OtherStore: true}))
		wantError(t, "the lease", x.Err(), lease.ErrLost)
		y, err := s.Leases().Hold(ctx, "k", lease.Options{Holder: "A", Duration: time.Minute})
		must(t, err)
		if !y.Dirty() {
			t.Error("what was read under the lease is another store's, and the new lease is not dirty")
		}
		if _, ok, err := s.Leases().Take(ctx, "k", "B", time.Minute); ok || err != nil {
			t.Errorf("two holders have one key: %v, %v", ok, err)
		}
	})
}

// spoilLeases puts something in the place of the leases' file that no Resume can open, nor replace.
func spoilLeases(t testing.TB, path string) (mend func()) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + "-leases" + suffix)
	}
	must(t, os.Mkdir(path+"-leases", 0o700))
	return func() { must(t, os.Remove(path+"-leases")) }
}

// A Resume that fails leaves the store paused, whichever part has failed.
func TestAResumeThatFailsLeavesTheStorePaused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Leases = true
		s := open(t, cfg)
		add(t, s, "one")
		must(t, s.Pause(ctx))
		mend := spoilLeases(t, s.Path())
		if err := s.Resume(ctx); err == nil {
			t.Error("a Resume without leases returned nil")
		}
		if s.State() != lifecycle.Paused {
			t.Errorf("the store is %v after a Resume that failed", s.State())
		}
		wantError(t, "a read after it", s.View(ctx, func(*sqlite.Conn) error { return nil }), lifecycle.ErrPaused)
		mend()
		must(t, s.Resume(ctx)) // which makes the file anew
		wantNotes(t, s, "one")
		x, err := s.Leases().Hold(ctx, "k", lease.Options{})
		must(t, err)
		must(t, x.Release(ctx))
	})
}

// A Resume makes a leases' file that is missing anew: nothing in it is worth a store that does not open.
func TestAResumeMakesMissingLeasesAnew(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Leases = true
		s := open(t, cfg)
		x, err := s.Leases().Hold(ctx, "k", lease.Options{})
		must(t, err)
		must(t, s.Pause(ctx))
		must(t, os.Remove(s.Path()+"-leases"))
		must(t, s.Resume(ctx))
		must(t, x.Err())
		if left, _ := filepath.Glob(s.Path() + "-leases-new*"); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
		cycle(t, s)
	})
}

// Where a part of the store does not resume after a Restore, the old content is
// still there, and comes back.
func TestARestoreThatCannotResumeLosesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Leases = true
		var s *storekit.Store
		var spoil atomic.Bool
		var mend func()
		cfg.Database.BeforeRelease = func(context.Context, *sqlite.Conn) error {
			if s != nil && spoil.Swap(false) { // the leases are paused already
				mend = spoilLeases(t, s.Path())
			}
			return nil
		}
		s = open(t, cfg)
		add(t, s, "one")
		path := backup(t, s)
		add(t, s, "two")
		spoil.Store(true)
		if err := s.Restore(ctx, path, storekit.RestoreOptions{}); err == nil {
			t.Error("Restore returned nil without leases")
		}
		if mend == nil {
			t.Fatal("this test has tested nothing")
		}
		if s.State() != lifecycle.Paused {
			t.Errorf("the store is %v", s.State())
		}
		mend()
		must(t, s.Resume(ctx))
		wantNotes(t, s, "one", "two")
		if left, _ := filepath.Glob(s.Path() + "-*restore*"); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
	})
}

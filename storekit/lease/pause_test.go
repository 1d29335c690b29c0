package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// Paused means: no goroutine and no descriptor, and the lease is not valid. After Resume it is as it was.
func TestLeaseIsKeptOverAPause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		before := goleak.IgnoreCurrent()
		l := open(t, engine, nil)
		x := hold(t, l, "key", lease.Options{Duration: time.Minute, Renew: time.Millisecond})
		for range 3 {
			must(t, l.Pause(ctx))
			must(t, l.Pause(ctx))
			if err := goleak.Find(before); err != nil {
				t.Errorf("paused, and a goroutine is left: %v", err)
			}
			wantState(t, x, lease.Paused)
			if x.Valid() {
				t.Error("a lease is valid while its Locks are paused")
			}
			wantError(t, "Check while paused", x.Check(ctx), lifecycle.ErrPaused)
			must(t, l.Resume(ctx))
			wantState(t, x, lease.Held)
			if x.Generation() != 1 || x.Dirty() {
				t.Errorf("generation %d, dirty %v; nobody else had the key: want 1 and false", x.Generation(), x.Dirty())
			}
			must(t, x.Check(ctx))
			must(t, l.Resume(ctx))
		}
		select {
		case <-x.Done():
			t.Errorf("a pause ended the lease: %v", x.Err())
		default:
		}
		must(t, x.Release(ctx))
	})
}

// A pause lets the other process in at once. Who comes back finds the lease dirty.
func TestPauseLetsTheOtherProcessIn(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		x := hold(t, l, "key", minute)
		other := startChild(t, engine.Name(), path)
		other.want("take 60000", "generation 0 false <nil>")
		must(t, l.Pause(ctx))
		other.want("take 60000", "generation 2 true <nil>") // far from the minute
		other.want("take 0", "generation 2 true <nil>")
		must(t, l.Resume(ctx))
		wantState(t, x, lease.Held)
		if x.Generation() != 3 || !x.Dirty() {
			t.Errorf("generation %d, dirty %v after another process had the key during the pause; want 3 and true", x.Generation(), x.Dirty())
		}
		wantError(t, "Check: what was read before the pause is old", x.Check(ctx), lease.ErrDirty)
		if !x.Clean(3) {
			t.Error("Clean refused the generation that it is")
		}
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
	})
}

// Where the other process still has the key at Resume, the lease waits in the background.
func TestResumeWaitsInTheBackgroundForAnotherHolder(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		x := hold(t, l, "key", minute)
		must(t, l.Pause(ctx))
		other := startChild(t, engine.Name(), path)
		other.want("hold 60000", "generation 2 dirty false")
		must(t, l.Resume(ctx))
		wantState(t, x, lease.Waiting)
		if x.Valid() {
			t.Error("the lease is valid, and another process has the key")
		}
		wantError(t, "Check", x.Check(ctx), lease.ErrWaiting)
		must(t, l.Pause(ctx)) // while it waits
		must(t, l.Resume(ctx))
		wantState(t, x, lease.Waiting)
		other.want("check", "ok") // the pause released nothing of theirs
		other.want("release", "ok")
		eventually(t, "the lease came back", x.Valid)
		if x.Generation() != 3 || !x.Dirty() {
			t.Errorf("generation %d, dirty %v; want 3 and true", x.Generation(), x.Dirty())
		}
		must(t, x.Release(ctx))

		// A lease that waits can be given up.
		x = hold(t, l, "key", minute)
		must(t, l.Pause(ctx))
		other.want("take 60000", "generation 4 true <nil>")
		must(t, l.Resume(ctx))
		wantState(t, x, lease.Waiting)
		must(t, x.Release(ctx))
		other.want("take 0", "generation 4 true <nil>")
		eventually(t, "nothing is wanted any more", func() bool { return l.Claims() == 0 && !l.Renewing() })
		take(t, l, "key", "us", time.Minute, 5)
	})
}

// The time of a lease may run out while it is paused: it had been given up anyway.
func TestTimeThatRunsOutWhilePausedLosesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		clock := new(wall)
		l := open(t, engine, clock.use)
		x := hold(t, l, "key", minute)
		must(t, l.Pause(ctx))
		clock.set(24 * time.Hour)
		wantState(t, x, lease.Paused)
		must(t, l.Resume(ctx))
		wantState(t, x, lease.Held)
		if x.Generation() != 1 || x.Dirty() {
			t.Errorf("generation %d, dirty %v; nobody else had the key: want 1 and false", x.Generation(), x.Dirty())
		}
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
	})
}

// Hold does what the policy says: it fails at once, or waits for Resume.
func TestHoldWhilePausedObeysThePolicy(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		l := open(t, engine, nil)
		held := hold(t, l, "held", minute)
		must(t, l.Pause(ctx))
		for _, key := range []string{"key", "held"} {
			_, err := l.Hold(ctx, key, minute)
			wantError(t, "Hold of "+key+" while paused", err, lifecycle.ErrPaused)
		}
		_, _, err := l.Take(ctx, "key", "us", time.Minute)
		wantError(t, "Take while paused", err, lifecycle.ErrPaused)
		wait := lifecycle.WithPolicy(deadline(t, patience), lifecycle.Wait)
		errs := goErr(func() error {
			x, err := l.Hold(wait, "key", minute)
			return errors.Join(err, x.Release(ctx))
		})
		must(t, l.Resume(ctx))
		within(t, "Hold under the policy Wait, after Resume", errs, nil)
		must(t, held.Release(ctx))
	})
}

// A Hold that waits for another holder is new work: a pause does not wait for it.
func TestPauseDoesNotWaitForAHoldThatWaits(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		l := open(t, engine, nil)
		take(t, l, "key", "alice", time.Hour, 1)
		errs := goErr(func() error { _, err := l.Hold(ctx, "key", by("bob", minute)); return err })
		eventually(t, "bob waits", func() bool { return l.Waiters() == 1 })
		must(t, l.Pause(ctx))
		within(t, "Hold that waited when a pause began", errs, lifecycle.ErrPaused)
		must(t, l.Resume(ctx))
		take(t, l, "key", "alice", 0, 1)
	})
}

// What cannot be released does not keep the pause from its end: it expires, and the Report says so.
func TestPauseSucceedsThoughTheFileIsLocked(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var mu sync.Mutex
		var told []string
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, func(c *lease.Config) {
			c.Database.Path = path
			c.Database.Timeout = 2 * time.Second
			c.Database.Observer = lifecycle.ObserverFunc(func(e lifecycle.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.To == lifecycle.Paused {
					told = append(told, e.Report.Warnings...)
				}
			})
		})
		x := hold(t, l, "key", minute)
		other := startChild(t, "", path)
		other.want("BEGIN IMMEDIATE", "ok")
		if err := l.Pause(ctx); err != nil {
			t.Errorf("Pause while another process has the file locked: %v", err)
		}
		warned := func(w string) bool { return strings.Contains(w, "not released") }
		if !slices.ContainsFunc(l.Report().Warnings, warned) {
			t.Errorf("the Report has no warning that the lease was not released: %q", l.Report().Warnings)
		}
		mu.Lock()
		if !slices.ContainsFunc(told, warned) {
			t.Errorf("the observer was not told: %q", told)
		}
		mu.Unlock()
		other.want("COMMIT", "ok")
		must(t, l.Resume(ctx))
		wantState(t, x, lease.Held)
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
		must(t, l.Pause(ctx))
		if w := l.Report().Warnings; slices.ContainsFunc(w, warned) {
			t.Errorf("a warning of another pause is repeated: %q", w)
		}
	})
}

// Locks that start paused open nothing until Resume.
func TestStartPaused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		must(t, l.Close(ctx))
		l = open(t, engine, func(c *lease.Config) { c.Database.Path, c.Database.StartPaused = path, true })
		_, err := l.Hold(ctx, "key", minute)
		wantError(t, "Hold before the first Resume", err, lifecycle.ErrPaused)
		must(t, l.Resume(ctx))
		must(t, hold(t, l, "key", minute).Release(ctx))
	})
}

// In a group with its store, the leases are driven like any other member.
func TestLocksInAGroup(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		l := open(t, engine, nil)
		x := hold(t, l, "key", minute)
		group := lifecycle.Parallel(lifecycle.Named("leases", l), inMemory(t))
		for range 3 {
			must(t, group.Pause(ctx))
			wantState(t, x, lease.Paused)
			must(t, group.Resume(ctx))
			wantState(t, x, lease.Held)
		}
		must(t, x.Release(ctx))
	})
}

// Whatever is called at once with whatever: the state is right in the end, no
// key stays taken, and no generation had two holders.
func TestStormOfPausesAndHolds(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		l := open(t, engine, func(c *lease.Config) { c.Database.Verify = false })
		var mu sync.Mutex
		holders := map[string]string{}                                       // of key and generation
		short := lease.Options{Duration: time.Hour, Renew: time.Millisecond} // for longer than anybody waits: a key that stays taken is noticed
		var work, pauses sync.WaitGroup
		stop := make(chan struct{})
		for i := range 2 {
			pauses.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for {
					select {
					case <-stop:
						return
					default:
					}
					call := l.Pause
					if r.IntN(2) == 0 {
						call = l.Resume
					}
					if err := call(ctx); err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
						t.Errorf("a pause or a resume: %v", err)
					}
				}
			})
		}
		for i := range 6 {
			holder, key := fmt.Sprint("holder ", i), fmt.Sprint("key ", i%2)
			turn := func() bool {
				bound, cancel := context.WithTimeout(ctx, patience) // of one turn: how long the storm lasts is the machine's affair
				defer cancel()
				wait := lifecycle.WithPolicy(bound, lifecycle.Wait)
				x, err := l.Hold(wait, key, by(holder, short))
				if err != nil {
					t.Errorf("%s: %v", holder, err)
					return false
				}
				generation := x.Generation()
				err = x.Check(wait)
				if errors.Is(err, lease.ErrDirty) && x.Clean(generation) {
					err = x.Check(wait)
				}
				if err == nil {
					at := fmt.Sprint(key, " ", generation)
					mu.Lock()
					if other, used := holders[at]; used && other != holder {
						t.Errorf("%s was %s's and %s's", at, other, holder)
					}
					holders[at] = holder
					mu.Unlock()
				} else if errors.Is(err, lease.ErrLost) {
					t.Errorf("%s lost its lease: %v", holder, err)
				}
				if err := x.Release(ctx); err != nil {
					t.Errorf("%s: %v", holder, err)
				}
				return true
			}
			work.Go(func() {
				for range tier.Count(10, 100, 1000) {
					if !turn() {
						return
					}
				}
			})
		}
		work.Wait()
		close(stop)
		pauses.Wait()
		must(t, l.Resume(ctx))
		eventually(t, "nothing is held any more", func() bool { return l.Claims() == 0 && !l.Renewing() })
		for _, key := range []string{"key 0", "key 1"} {
			if _, ok, err := l.Take(ctx, key, "us", time.Minute); !ok || err != nil {
				t.Errorf("%s is still somebody's (%v)", key, err)
			}
		}
	})
}

package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// Holds of the same key by the same holder share one lease, which ends with the last of them.
func TestHoldsCount(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		first, second := hold(t, l, "key", minute), hold(t, l, "key", minute)
		if first.Generation() != 1 || second.Generation() != 1 || l.Claims() != 1 {
			t.Errorf("two holds of one holder have the generations %d and %d and %d claims, want one claim of generation 1",
				first.Generation(), second.Generation(), l.Claims())
		}
		must(t, first.Release(ctx))
		must(t, first.Release(ctx)) // does nothing, and above all no second count
		wantState(t, first, lease.Released)
		ends(t, first, lease.ErrReleased)
		wantError(t, "Check of what was released", first.Check(ctx), lease.ErrReleased)
		must(t, second.Check(ctx))
		take(t, l, "key", "bob", time.Minute, 0)
		must(t, second.Release(ctx))
		take(t, l, "key", "bob", time.Minute, 2)
		if l.Claims() != 0 {
			t.Errorf("%d claims are left, and nobody has a lease", l.Claims())
		}
	})
}

// A hold is renewed for as long as nobody releases it.
func TestRenewalKeepsALeaseBeyondItsDuration(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		x := hold(t, l, "key", brief)
		for end := time.Now().Add(brief.Duration * 3 / 2); time.Now().Before(end); {
			take(t, l, "key", "bob", time.Minute, 0)
			time.Sleep(10 * time.Millisecond) // time is what the promise is about
		}
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
	})
}

// In memory, where time can be made: a lease outlives a thousand times its duration, and costs one goroutine.
func TestMemoryRenewsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := inMemory(t)
		x := hold(t, l, "key", lease.Options{})
		y := hold(t, l, "another", lease.Options{})
		for range 1000 {
			time.Sleep(10 * time.Second)
			take(t, l, "key", "bob", time.Minute, 0)
		}
		must(t, l.Pause(ctx)) // changes nothing
		time.Sleep(time.Minute)
		must(t, x.Check(ctx))
		must(t, y.Check(ctx))
		must(t, l.Resume(ctx))
		must(t, x.Release(ctx))
		must(t, y.Release(ctx))
		synctest.Wait()
		if l.Renewing() {
			t.Error("nothing is held, and the goroutine that renews is still there")
		}
	})
}

// Hold waits for another holder, and gets the key as soon as that has released it.
func TestHoldWaitsForRelease(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		x := hold(t, l, "key", by("alice", minute))
		got := make(chan *lease.Lease, 1)
		errs := goErr(func() error {
			y, err := l.Hold(ctx, "key", by("bob", minute))
			got <- y
			return err
		})
		eventually(t, "bob waits", func() bool { return l.Waiters() == 1 })
		must(t, x.Release(ctx))
		within(t, "Hold, after the release", errs, nil)
		y := <-got
		if y.Generation() != 2 || y.Dirty() {
			t.Errorf("generation %d, dirty %v; want generation 2, and a first hold is not dirty", y.Generation(), y.Dirty())
		}
		must(t, y.Release(ctx))
	})
}

// A context bounds the waiting for a release, not the releasing.
func TestReleaseWithAnEndedContextReleases(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		x := hold(t, l, "key", by("alice", minute))
		if err := x.Release(ended); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Release with an ended context: %v", err)
		}
		y := hold(t, l, "key", by("bob", minute)) // long before the minute is over
		must(t, y.Release(ctx))
	})
}

// A Hold whose time ends says so, and who has the key.
func TestHoldEndsWithItsContext(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		x := hold(t, l, "key", by("alice", minute))
		_, err := l.Hold(deadline(t, 50*time.Millisecond), "key", by("bob", minute))
		var e *lease.Error
		if !errors.Is(err, lease.ErrHeld) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) {
			t.Fatalf("Hold: %v, want an Error that matches ErrHeld and the context's", err)
		}
		if e.Key != "key" || string(e.Holder) != "alice" || !strings.Contains(err.Error(), `held by "alice"`) {
			t.Errorf("the error does not name the key and who has it: %v", err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := l.Hold(ended, "free", minute); !errors.Is(err, context.Canceled) {
			t.Errorf("Hold with an ended context: %v", err)
		}
		if l.Waiters() != 0 || l.Claims() != 1 {
			t.Errorf("%d places in queues and %d claims are left, want 0 and alice's", l.Waiters(), l.Claims())
		}
		must(t, x.Release(ctx))
	})
}

// A lease is dirty when somebody else had the key since, until all was read again.
func TestDirtyAfterAnotherHolder(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		x := hold(t, l, "key", minute)
		must(t, x.Release(ctx))
		x = hold(t, l, "key", minute)
		if x.Dirty() {
			t.Error("nobody else had the key, and the lease is dirty")
		}
		must(t, x.Release(ctx))
		take(t, l, "key", "bob", 0, 2)
		x = hold(t, l, "key", minute)
		if !x.Dirty() {
			t.Error("another holder had the key, and the lease is clean")
		}
		wantError(t, "Check of a dirty lease", x.Check(ctx), lease.ErrDirty)
		must(t, x.Release(ctx))
		x = hold(t, l, "key", minute)
		if !x.Dirty() {
			t.Error("nobody called Clean, and a later lease is clean")
		}
		if x.Clean(2) || !x.Dirty() {
			t.Error("what was read under an old generation made a lease of a newer one clean")
		}
		if !x.Clean(x.Generation()) || x.Dirty() {
			t.Error("after Clean the lease is dirty")
		}
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
		x = hold(t, l, "key", minute)
		if x.Dirty() {
			t.Error("a lease after Clean is dirty")
		}
		must(t, x.Release(ctx))
	})
}

// Waiters are told when the Locks are closed.
func TestCloseEndsWaitersAndLeases(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		x := hold(t, l, "key", by("alice", minute))
		wait := lifecycle.WithPolicy(ctx, lifecycle.Wait)
		var waiters []<-chan error
		for i := range 5 {
			waiters = append(waiters, goErr(func() error {
				_, err := l.Hold(wait, "key", by(fmt.Sprint("waiter ", i), minute))
				return err
			}))
		}
		eventually(t, "all wait", func() bool { return l.Waiters() == 5 })
		must(t, l.Close(ctx))
		must(t, l.Close(ctx))
		for _, w := range waiters {
			within(t, "Hold, when the Locks were closed", w, lifecycle.ErrClosed)
		}
		ends(t, x, lifecycle.ErrClosed)
		must(t, x.Release(ctx))
		wantState(t, x, lease.Released)
		_, err := l.Hold(wait, "key", minute)
		wantError(t, "Hold after Close", err, lifecycle.ErrClosed)
		_, _, err = l.Take(wait, "key", "alice", time.Second)
		wantError(t, "Take after Close", err, lifecycle.ErrClosed)
		wantError(t, "Resume after Close", l.Resume(ctx), lifecycle.ErrClosed)
		if l.Claims() != 0 || l.Waiters() != 0 || l.Renewing() {
			t.Errorf("%d claims and %d waiters are left, renewing: %v", l.Claims(), l.Waiters(), l.Renewing())
		}
	})
}

// However many want a key, one has it at a time, and every generation belongs to one of them.
func TestContendersNeverHoldTogether(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		var inside atomic.Int32
		var mu sync.Mutex
		seen := map[uint64]string{}
		var wg sync.WaitGroup
		for i := range 64 {
			holder := fmt.Sprint("holder ", i)
			wg.Go(func() {
				for range tier.Count(3, 30, 300) {
					x, err := l.Hold(deadline(t, patience), "key", by(holder, minute))
					if err != nil {
						t.Errorf("%s: %v", holder, err)
						return
					}
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d hold the key at once", n)
					}
					g := x.Generation()
					mu.Lock()
					if other, used := seen[g]; used && other != holder {
						t.Errorf("%s and %s had the key under generation %d", other, holder, g)
					}
					seen[g] = holder
					mu.Unlock()
					inside.Add(-1)
					if err := x.Release(ctx); err != nil {
						t.Errorf("%s: %v", holder, err)
					}
				}
			})
		}
		wg.Wait()
		if l.Waiters() != 0 || l.Claims() != 0 {
			t.Errorf("%d places in queues and %d claims are left", l.Waiters(), l.Claims())
		}
		eventually(t, "the goroutine that renews has ended", func() bool { return !l.Renewing() })
	})
}

// What is held at the same time is renewed in one write, whenever it was taken.
func TestLeasesAreRenewedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := inMemory(t)
		const keys = 10
		for i := range keys {
			hold(t, l, fmt.Sprint("key ", i), lease.Options{Duration: time.Hour, Renew: time.Minute})
			time.Sleep(6 * time.Second) // so that all are spread over the minute
		}
		time.Sleep(10 * time.Minute)
		before := l.Writes()
		time.Sleep(time.Hour)
		if n := l.Writes() - before; n > 60*5 {
			t.Errorf("%d writes in an hour for %d leases that are renewed once a minute: they are not renewed together", n, keys)
		}
	})
}

// The release of one lease does not end the next one of the same holder, which was taken meanwhile.
func TestReleaseSparesTheNextHold(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for range tier.Count(1000, 10_000, 100_000) {
			x := hold(t, l, "key", minute)
			if err := x.Check(ctx); err != nil {
				t.Fatalf("a lease that was just taken: %v", err)
			}
			if err := x.Release(ended); err != nil && !errors.Is(err, context.Canceled) { // and it goes on in the background
				t.Errorf("Release: %v", err)
			}
			for until := time.Now().Add(rand.N(200 * time.Microsecond)); time.Now().Before(until); {
				runtime.Gosched() // the release is to be at any of its steps
			}
		}
		x := hold(t, l, "key", minute)
		if x.Generation() != 1 || x.Dirty() {
			t.Errorf("generation %d, dirty %v, and there was one holder", x.Generation(), x.Dirty())
		}
		must(t, x.Release(ctx))
	})
}

// A lease whose time went by is lost: on the clock that says so first.
func TestClockGoingForwardLosesALease(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		clock := new(wall)
		l := open(t, engine, clock.use)
		x := hold(t, l, "key", minute)
		clock.set(time.Hour)
		if x.Valid() {
			t.Error("the lease is valid an hour after its time")
		}
		ends(t, x, lease.ErrLost)
		wantError(t, "Check", x.Check(ctx), lease.ErrLost)
		must(t, x.Release(ctx))
		take(t, l, "key", "bob", time.Minute, 2)
	})
}

// A clock that goes back makes no lease longer, neither one's own nor that of somebody who is gone.
func TestClockGoingBack(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		clock := new(wall)
		clock.set(time.Hour)
		l := open(t, engine, clock.use)
		take(t, l, "key", "gone", 300*time.Millisecond, 1)
		clock.set(0)
		take(t, l, "key", "bob", time.Second, 0)
		x := hold(t, l, "key", by("bob", minute)) // an hour early
		if x.Generation() != 2 {
			t.Errorf("generation %d, want 2", x.Generation())
		}
		must(t, x.Check(ctx))

		clock.set(-time.Hour)
		if !x.Valid() { // the monotonic clock goes on
			t.Errorf("the lease ended because the clock went back: %v", x.Err())
		}
		must(t, x.Release(ctx))
		take(t, l, "key", "carol", time.Second, 3)
	})
}

// Somebody who renews is not taken for one who is gone, whatever the clock says.
func TestClockGoingBackDoesNotTakeFromTheLiving(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		clock := new(wall)
		clock.set(time.Hour)
		l := open(t, engine, clock.use)
		x := hold(t, l, "key", by("alice", brief))
		clock.set(0)
		_, err := l.Hold(deadline(t, 2*brief.Duration), "key", by("bob", brief))
		wantError(t, "Hold beside one who renews", err, lease.ErrHeld)
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
	})
}

// Check looks at the file: what another has taken is noticed before the clocks say anything.
func TestCheckSeesWhatTheFileSays(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		x := hold(t, l, "key", by("alice", minute))
		must(t, x.Check(ctx))
		take(t, l, "key", "alice", 0, 1) // under its feet
		take(t, l, "key", "bob", time.Minute, 2)
		if !x.Valid() {
			t.Error("nothing was looked at yet")
		}
		wantError(t, "Check", x.Check(ctx), lease.ErrLost)
		ends(t, x, lease.ErrLost)
		wantState(t, x, lease.Lost)
	})
}

// Nothing is held: nothing runs.
func TestIdleLocksHaveNoGoroutine(t *testing.T) {
	everywhere(t, func(t *testing.T, l *lease.Locks) {
		take(t, l, "key", "alice", time.Minute, 1)
		if l.Renewing() {
			t.Error("Take started the goroutine that renews")
		}
		x := hold(t, l, "another", minute)
		if !l.Renewing() {
			t.Error("a lease is held, and nothing renews it")
		}
		must(t, x.Release(ctx))
		eventually(t, "the goroutine that renews has ended", func() bool { return !l.Renewing() })
	})
}

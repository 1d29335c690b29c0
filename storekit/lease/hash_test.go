package lease_test

import (
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

var errNoKeys = errors.New("there are no keys")

// hashing hashes with a seed that can be changed, or be missing.
type hashing struct {
	seed atomic.Int32 // 0: it is missing
}

func (h *hashing) use(c *lease.Config) {
	c.Hash = func(clear []byte) ([]byte, error) {
		seed := h.seed.Load()
		if seed == 0 {
			return nil, errNoKeys
		}
		return append([]byte{byte(seed)}, slices.Clone(clear)...), nil
	}
}

// What hashes names may be locked while the store is paused. It is the pause
// that decides what becomes of a call, not that.
func TestNamesAreHashedWhenThePolicyHasDecided(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var h hashing
		h.seed.Store(1)
		l := open(t, engine, h.use)
		must(t, l.Pause(ctx))
		h.seed.Store(0)
		_, err := l.Hold(ctx, "key", minute)
		wantError(t, "Hold while paused", err, lifecycle.ErrPaused)
		_, _, err = l.Take(ctx, "key", "us", time.Minute)
		wantError(t, "Take while paused", err, lifecycle.ErrPaused)
		wait := lifecycle.WithPolicy(deadline(t, patience), lifecycle.Wait)
		held := goErr(func() error {
			x, err := l.Hold(wait, "held", minute)
			if err == nil {
				err = x.Release(ctx)
			}
			return err
		})
		taken := goErr(func() error {
			_, _, err := l.Take(wait, "taken", "us", time.Minute)
			return err
		})
		h.seed.Store(1)
		must(t, l.Resume(ctx))
		within(t, "Hold under the policy Wait, after Resume", held, nil)
		within(t, "Take under the policy Wait, after Resume", taken, nil)
		h.seed.Store(0)
		_, err = l.Hold(ctx, "key", minute)
		wantError(t, "Hold without keys", err, errNoKeys)
		if n := l.Claims(); n != 0 {
			t.Errorf("%d claims are left of a Hold that could not be", n)
		}
	})
}

// When names are hashed to something else, nobody holds anything under the new
// names: what was held is lost, who waits gets it under the new name, and the caches of all are old.
func TestOtherHashesEndWhatIsHeld(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var h hashing
		h.seed.Store(1)
		l := open(t, engine, h.use)
		before := hold(t, l, "before", by("A", minute))
		must(t, before.Release(ctx))
		x := hold(t, l, "key", by("A", minute))
		var y *lease.Lease
		waits := goErr(func() (err error) {
			y, err = l.Hold(deadline(t, patience), "key", by("B", minute))
			return err
		})
		eventually(t, "B waits", func() bool { return l.Waiters() == 1 })
		must(t, l.Pause(ctx))
		h.seed.Store(2)
		l.HashChanged()
		ends(t, x, lease.ErrLost)
		within(t, "the Hold that waited meets a pause", waits, lifecycle.ErrPaused)
		must(t, l.Resume(ctx))
		y = hold(t, l, "key", by("B", minute))
		if _, ok, err := l.Take(ctx, "key", "A", time.Minute); ok || err != nil {
			t.Errorf("two holders have one key: %v, %v", ok, err)
		}
		must(t, y.Release(ctx))
		for _, key := range []string{"key", "before"} {
			again := hold(t, l, key, by("A", minute))
			if !again.Dirty() {
				t.Errorf("what A has read under the lease of %q is of another store, and the new lease is not dirty", key)
			}
			must(t, again.Release(ctx))
		}
	})
}

// A file that is missing at Resume is made anew, and what was held is held again. A directory that is missing is not.
func TestResumeMakesAMissingFileAnew(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var path string
		l := open(t, engine, func(c *lease.Config) { path = c.Database.Path })
		x := hold(t, l, "key", by("A", minute))
		must(t, l.Pause(ctx))
		must(t, os.Remove(path))
		must(t, l.Resume(ctx))
		must(t, x.Check(ctx))
		must(t, l.Pause(ctx))
		must(t, os.Remove(path))
		must(t, os.Mkdir(path, 0o700))
		if err := l.Resume(ctx); err == nil {
			t.Error("a Resume with a directory in the file's place returned nil")
		}
		if s := l.State(); s != lifecycle.Paused {
			t.Errorf("the leases are %v after a Resume that failed", s)
		}
		must(t, os.Remove(path))
		must(t, l.Resume(ctx))
		must(t, x.Check(ctx))
	})
}

package lifecycle_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// TestStorm lets readers, writers, pausers and resumers loose on one store.
// Every Pause that returns nil must leave nothing open at that moment of rest,
// and at the end everything that was opened must have been closed.
func TestStorm(t *testing.T) {
	for _, policy := range []lifecycle.Policy{lifecycle.Fail, lifecycle.Wait} {
		t.Run(policy.String(), func(t *testing.T) { storm(t, policy, tier.Duration(2*time.Second, time.Minute, 30*time.Minute)) })
	}
}

func storm(t *testing.T, policy lifecycle.Policy, long time.Duration) {
	defer goleak.VerifyNone(t)
	d := newFake(t)
	s, err := lifecycle.Open(context.Background(), severingDriver{d}, lifecycle.Config[*fakeConn]{
		MaxReaders: 3, Timeout: time.Second, Grace: 2 * time.Millisecond, WhenPaused: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	var (
		stop    = make(chan struct{})
		wg      sync.WaitGroup
		results sync.Map
		pauses  atomic.Int64
		quiet   sync.RWMutex // Resume takes it shared; a check takes it alone
	)
	spawn := func(n int, f func(r *rand.Rand) error) {
		for i := range n {
			wg.Go(func() {
				states, unsubscribe := s.Subscribe()
				defer unsubscribe()
				r := rand.New(rand.NewPCG(uint64(i), 7))
				for {
					select {
					case <-stop:
						return
					default:
					}
					err := f(r)
					if errors.Is(err, lifecycle.ErrPaused) { // else refusals take all the time
						select {
						case <-states:
						case <-stop:
						}
					}
					for _, known := range []error{lifecycle.ErrPaused, lifecycle.ErrSuperseded, lifecycle.ErrInterrupted,
						context.DeadlineExceeded, context.Canceled, nil} {
						if errors.Is(err, known) {
							n, _ := results.LoadOrStore(known, new(atomic.Int64))
							n.(*atomic.Int64).Add(1)
							err = nil
							break
						}
					}
					if err != nil {
						t.Errorf("an error without a type: %v", err)
						return
					}
				}
			})
		}
	}
	work := func(r *rand.Rand) func(*fakeConn) error {
		return func(c *fakeConn) error {
			if r.IntN(20) == 0 {
				return c.run(time0(r.IntN(5)))
			}
			return c.run(ended)
		}
	}
	withCtx := func(r *rand.Rand, f func(context.Context) error) error {
		ctx := context.Background()
		if r.IntN(3) == 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(4000))*time.Microsecond)
			defer cancel()
		}
		return f(ctx)
	}
	spawn(5, func(r *rand.Rand) error {
		return withCtx(r, func(ctx context.Context) error { return s.Read(ctx, work(r)) })
	})
	spawn(3, func(r *rand.Rand) error {
		return withCtx(r, func(ctx context.Context) error { return s.Write(ctx, work(r)) })
	})
	spawn(2, func(r *rand.Rand) error {
		return withCtx(r, func(ctx context.Context) error {
			quiet.RLock()
			defer quiet.RUnlock()
			return s.Resume(ctx)
		})
	})
	spawn(2, func(r *rand.Rand) error {
		return withCtx(r, func(ctx context.Context) error {
			if r.IntN(2) == 0 {
				return s.Pause(ctx)
			}
			quiet.Lock()
			defer quiet.Unlock()
			err := s.Pause(ctx)
			if err == nil {
				pauses.Add(1)
				d.nothingHeld(t)
			}
			return err
		})
	})
	f := s.Foreign()
	spawn(1, func(r *rand.Rand) error {
		return withCtx(r, func(ctx context.Context) error {
			c, _, err := f.Begin(ctx)
			if err != nil {
				return err
			}
			return f.End(work(r)(c))
		})
	})
	time.AfterFunc(long, func() { close(stop) })
	wg.Wait()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	d.nothingHeld(t)
	if o, c := d.opened.Load(), d.closed.Load(); o != c {
		t.Errorf("%d connections opened, %d closed", o, c)
	}
	if pauses.Load() == 0 {
		t.Error("no Pause was checked")
	}
	results.Range(func(err, n any) bool { t.Logf("%v: %d", err, n.(*atomic.Int64).Load()); return true })
	t.Logf("%d pauses checked; %+v", pauses.Load(), s.Stats())
}

// time0 is a statement's end after so many milliseconds.
func time0(ms int) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(time.Duration(ms)*time.Millisecond, func() { close(c) })
	return c
}

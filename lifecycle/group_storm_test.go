package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// slowFake is a driver that takes a random while, in virtual time, to open.
func slowFake(t testing.TB, r *rand.Rand) *fakeDriver {
	d := newFake(t)
	var mu sync.Mutex
	d.onOpen = func(ctx context.Context, _ lifecycle.OpenInfo) error {
		mu.Lock()
		wait := time.Duration(r.IntN(3000)) * time.Microsecond
		mu.Unlock()
		select {
		case <-time.After(wait):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return d
}

// shapes are ways of putting four stores together.
var shapes = []struct {
	name string
	make func(s []lifecycle.Pausable) lifecycle.Pausable
}{
	{"Sequence", func(s []lifecycle.Pausable) lifecycle.Pausable { return lifecycle.Sequence(s...) }},
	{"Parallel", func(s []lifecycle.Pausable) lifecycle.Pausable { return lifecycle.Parallel(s...) }},
	{"nested", func(s []lifecycle.Pausable) lifecycle.Pausable {
		return lifecycle.Sequence(s[0], lifecycle.Parallel(s[1], lifecycle.NewController(s[2])), lifecycle.Named("last", s[3]))
	}},
	{"with roll-back", func(s []lifecycle.Pausable) lifecycle.Pausable {
		cfg := lifecycle.GroupConfig{Rollback: true}
		return cfg.Sequence(s[0], cfg.Parallel(s[1], s[2]), s[3])
	}},
	{"Controller", func(s []lifecycle.Pausable) lifecycle.Pausable {
		return lifecycle.NewController(lifecycle.Sequence(s[0], lifecycle.Parallel(s[1], s[2]), s[3]))
	}},
}

// TestGroupOverlapsNeverEndMixed has Pause and Resume of four stores with work
// in them overlap. Plain composition leaves some of the stores paused and some
// active after every third overlap; a group must not, ever.
func TestGroupOverlapsNeverEndMixed(t *testing.T) {
	overlaps := tier.Count(400, 20_000, 1_000_000)
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			for done, seed := 0, uint64(0); done < overlaps && !t.Failed(); done, seed = done+100, seed+1 {
				synctest.Test(t, func(t *testing.T) { overlap(t, shape.make, seed, 100) })
			}
		})
	}
}

func overlap(t *testing.T, shape func([]lifecycle.Pausable) lifecycle.Pausable, seed uint64, rounds int) {
	r := rand.New(rand.NewPCG(seed, 11))
	var all []*lifecycle.Connections[*fakeConn]
	for i := range 4 {
		s, err := lifecycle.Open(bg, slowFake(t, rand.New(rand.NewPCG(seed, uint64(i)))), lifecycle.Config[*fakeConn]{Name: fmt.Sprintf("store %d", i+1)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	group := shape(pausables(all))
	stop := make(chan struct{})
	var work sync.WaitGroup
	for i, s := range all {
		r := rand.New(rand.NewPCG(seed, uint64(10+i)))
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(r.IntN(1000)) * time.Microsecond):
				}
				end := make(chan struct{})
				time.AfterFunc(time.Duration(r.IntN(4000))*time.Microsecond, func() { close(end) })
				_ = s.Read(bg, func(c *fakeConn) error { return c.run(end) })
			}
		})
	}
	for round := range rounds {
		n := 2 + r.IntN(4)
		ordered := r.IntN(3) > 0 // else they come at the same instant
		results := make([]*result, n)
		pauses := make([]bool, n)
		for i := range n {
			pauses[i] = r.IntN(2) == 0
			if i == n-1 && n == 2 {
				pauses[i] = !pauses[0]
			}
			call := group.Resume
			if pauses[i] {
				call = group.Pause
			}
			results[i] = start(func() error { return call(bg) })
			if ordered {
				time.Sleep(time.Duration(1+r.IntN(3000)) * time.Microsecond)
			}
		}
		last, known := pauses[n-1], ordered
		for i, c := range results {
			switch err := c.wait(); {
			case err == nil:
				if !ordered { // who was the last can be told by its result only
					known = true
				}
			case !errors.Is(err, lifecycle.ErrSuperseded):
				t.Errorf("seed %d, round %d: call %d of %d failed with %v; it may be overtaken, and nothing else", seed, round, i+1, n, err)
			case ordered && pauses[i] == last && allLike(pauses[i:], last):
				t.Errorf("seed %d, round %d: call %d of %d was overtaken, though only calls that want the same came after it", seed, round, i+1, n)
			}
		}
		if !ordered {
			last = all[0].State() == lifecycle.Paused
		}
		target := lifecycle.Active
		if last {
			target = lifecycle.Paused
		}
		var states []lifecycle.State
		mixed := false
		for _, s := range all {
			states = append(states, s.State())
			mixed = mixed || s.State() != target
		}
		whole := group.(interface{ State() lifecycle.State }).State()
		if mixed || whole != target || !known {
			t.Fatalf("seed %d, round %d: the stores are %v and the group %v; all must be %v, as the last of %d overlapping calls wanted",
				seed, round, states, whole, target, n)
		}
	}
	close(stop)
	work.Wait()
	noError(t, group.Pause(bg), "Pause")
	for _, s := range all {
		noError(t, s.Close(bg), "Close")
	}
}

func allLike(pauses []bool, like bool) bool {
	for _, p := range pauses {
		if p != like {
			return false
		}
	}
	return true
}

// TestHoldNeverOvertakesAPauseThatSomebodyWaitsFor has nobody call Resume: so
// nothing may overtake a Pause, however many Holds come with it.
func TestHoldNeverOvertakesAPauseThatSomebodyWaitsFor(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, err := lifecycle.Open(bg, newFake(t), lifecycle.Config[*fakeConn]{})
	if err != nil {
		t.Fatal(err)
	}
	c := lifecycle.NewController(lifecycle.Sequence(s))
	rounds := tier.Count(200, 50_000, 1_000_000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range rounds {
				l, err := c.Hold(bg)
				if err != nil {
					t.Errorf("Hold: %v", err)
					return
				}
				l.Release()
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range rounds {
				if err := c.Pause(bg); err != nil {
					t.Errorf("Pause: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	noError(t, c.Pause(bg), "Pause")
	wantState(t, s, lifecycle.Paused, "Pause returned nil")
}

// TestLeaseStorm lets leases, pausers and resumers loose on a Controller over
// nested groups. What runs under a lease whose context has not ended must not
// be refused, and at rest nothing may be left: no connection, no goroutine.
func TestLeaseStorm(t *testing.T) {
	defer goleak.VerifyNone(t)
	long := tier.Duration(time.Second, time.Minute, 30*time.Minute)
	var drivers []*fakeDriver
	var all []*lifecycle.Connections[*fakeConn]
	for i := range 4 {
		d := newFake(t)
		s, err := lifecycle.Open(bg, severingDriver{d}, lifecycle.Config[*fakeConn]{
			Name: fmt.Sprintf("store %d", i+1), MaxReaders: 8, Timeout: time.Second, Grace: 2 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		drivers, all = append(drivers, d), append(all, s)
	}
	c := lifecycle.ControllerConfig{Timeout: time.Second, Grace: time.Millisecond, LeaseTTL: 50 * time.Millisecond, RetryLimit: 20 * time.Millisecond}.
		NewController(lifecycle.Sequence(all[0], lifecycle.Parallel(all[1], lifecycle.NewController(all[2])), lifecycle.Named("last", all[3])))

	var (
		stop                           = make(chan struct{})
		wg                             sync.WaitGroup
		leases, reads, pauses, resumes atomic.Int64
	)
	spawn := func(n int, f func(ctx context.Context, r *rand.Rand) error) {
		for i := range n {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 13))
				for {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := bg, context.CancelFunc(func() {})
					if r.IntN(3) == 0 {
						ctx, cancel = context.WithTimeout(bg, time.Duration(r.IntN(5000))*time.Microsecond)
					}
					err := f(ctx, r)
					cancel()
					if err != nil && !errors.Is(err, lifecycle.ErrSuperseded) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("an error without a type: %v", err)
						return
					}
				}
			})
		}
	}
	spawn(4, func(ctx context.Context, r *rand.Rand) error {
		lease, err := c.Hold(lifecycle.WithLabel(ctx, "storm"))
		if err != nil {
			return err
		}
		leases.Add(1)
		defer lease.Release()
		for range r.IntN(20) {
			s := all[r.IntN(len(all))]
			err := s.Read(bg, func(c *fakeConn) error { return c.run(ended) })
			if err != nil && lease.Context().Err() == nil {
				t.Errorf("refused under a live lease whose context has not ended: %v", err)
			}
			reads.Add(1)
		}
		if r.IntN(50) == 0 { // forgets it
			<-lease.Context().Done()
		}
		if r.IntN(10) == 0 {
			lease.Release()
		}
		return nil
	})
	spawn(2, func(ctx context.Context, r *rand.Rand) error {
		err := c.Pause(ctx)
		if err == nil {
			pauses.Add(1)
		}
		<-time0(r.IntN(3))
		return err
	})
	spawn(1, func(ctx context.Context, r *rand.Rand) error {
		err := c.Resume(ctx)
		if err == nil {
			resumes.Add(1)
		}
		<-time0(r.IntN(5))
		return err
	})
	time.AfterFunc(long, func() { close(stop) })
	wg.Wait()
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	noError(t, c.Pause(ctx), "at the end nobody holds anything")
	wantState(t, c, lifecycle.Paused, "Pause returned nil")
	for i, d := range drivers {
		d.nothingHeld(t)
		wantState(t, all[i], lifecycle.Paused, "Pause returned nil")
		if o, c := d.opened.Load(), d.closed.Load(); o != c {
			t.Errorf("%d connections opened, %d closed", o, c)
		}
	}
	if leases.Load() == 0 || pauses.Load() == 0 || resumes.Load() == 0 {
		t.Error("the storm proves nothing: somebody never got anything")
	}
	t.Logf("%d leases with %d reads, %d pauses, %d resumes", leases.Load(), reads.Load(), pauses.Load(), resumes.Load())
}

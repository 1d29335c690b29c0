package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// A pause may come, and be over, at any moment of what goes on in the
// background. Whatever the order: who has a lease has the row, and a row that
// nobody has a lease of is free.

// stage keeps one step waiting, and lets another one fail.
type stage struct {
	mu      sync.Mutex
	failing lease.Step
	failure error
	step    lease.Step
	err     error
	reached chan struct{}
	release chan struct{}
}

// next keeps the next such step waiting, until the returned function is called with what becomes of it.
func (s *stage) next(step lease.Step) (goOn func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step, s.reached, s.release = step, make(chan struct{}), make(chan struct{})
	release := s.release
	return func(err error) { s.mu.Lock(); s.err = err; s.mu.Unlock(); close(release) }
}

// fail has every such step fail, and no other.
func (s *stage) fail(step lease.Step, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing, s.failure = step, err
}

func (s *stage) at(step lease.Step) error {
	s.mu.Lock()
	if s.step != step {
		defer s.mu.Unlock()
		if step == s.failing {
			return s.failure
		}
		return nil
	}
	s.step = ""
	reached, release := s.reached, s.release
	s.mu.Unlock()
	close(reached)
	<-release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// isReached fails the test where no such step has come.
func (s *stage) isReached(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case <-s.reached:
	default:
		t.Fatal("the step has not come that was to be kept waiting")
	}
}

func staged(t *testing.T) (*lease.Locks, *stage) {
	t.Helper()
	s := new(stage)
	l, err := lease.Staged(ctx, "memory", s.at)
	must(t, err)
	return closing(t, l), s
}

// long is renewed once a minute, of time that costs nothing.
var long = by("alice", lease.Options{Duration: time.Hour, Renew: time.Minute})

// interruption is a pause and the resume after it. release is called before
// the pause has given anything back.
type interruption struct {
	name string
	run  func(t *testing.T, l *lease.Locks, s *stage, release func())
}

// resumed begins a Resume, which may wait for what the test still keeps waiting.
func resumed(t *testing.T, l *lease.Locks) {
	t.Helper()
	errs := goErr(func() error { return l.Resume(ctx) })
	synctest.Wait()
	if l.State() != lifecycle.Active {
		t.Fatalf("the store is %v after Resume", l.State())
	}
	t.Cleanup(func() { within(t, "Resume", errs, nil) })
}

var interruptions = []interruption{
	{"whole", func(t *testing.T, l *lease.Locks, s *stage, release func()) {
		occupied(t, l, func() <-chan error {
			errs := goErr(func() error { return l.Pause(ctx) })
			synctest.Wait()
			release()
			return errs
		}, nil)
		resumed(t, l)
	}},
	{"overtaken before it has released anything", func(t *testing.T, l *lease.Locks, s *stage, release func()) {
		occupied(t, l, func() <-chan error {
			errs := goErr(func() error { return l.Pause(ctx) })
			synctest.Wait()
			release()
			resumed(t, l)
			return errs
		}, lifecycle.ErrSuperseded)
	}},
}

// occupied runs f while a pause cannot go on, and waits for what f has begun.
func occupied(t *testing.T, l *lease.Locks, f func() <-chan error, want error) {
	t.Helper()
	leave := make(chan struct{})
	busy := goErr(func() error { return l.Occupy(ctx, func() { <-leave }) })
	synctest.Wait()
	errs := f()
	close(leave)
	within(t, "the operation that the pause waits for", busy, nil)
	synctest.Wait()
	select {
	case err := <-errs:
		if !errors.Is(err, want) {
			t.Errorf("Pause: %v, want %v", err, want)
		}
	default: // rest: it waits for what the test keeps waiting
		t.Cleanup(func() { within(t, "Pause", errs, want) })
	}
}

// free fails the test where anybody still has the key.
func free(t *testing.T, l *lease.Locks) {
	t.Helper()
	synctest.Wait()
	if n := l.Claims(); n != 0 || l.Renewing() {
		t.Errorf("nobody has a lease, and there are %d claims, renewing: %v", n, l.Renewing())
	}
	if _, ok, err := l.Take(ctx, "key", "bob", time.Minute); !ok || err != nil {
		t.Errorf("nobody has a lease, and the key is not free (%v)", err)
	}
}

// What the background was at when a pause came is worth nothing, or is known
// to whoever comes after, however late it is: a release frees the key.
func TestReleaseFreesTheKeyHoweverLateTheBackgroundIs(t *testing.T) {
	late := []struct {
		name  string
		begin func(t *testing.T, l *lease.Locks, s *stage) (goOn func(error))
	}{
		{"a renewal before its transaction", func(t *testing.T, l *lease.Locks, s *stage) func(error) {
			goOn := s.next(lease.Planned)
			time.Sleep(long.Renew)
			return goOn
		}},
		{"a renewal after its transaction", func(t *testing.T, l *lease.Locks, s *stage) func(error) {
			goOn := s.next(lease.Written)
			time.Sleep(long.Renew)
			return goOn
		}},
		{"a taking again before its transaction", func(t *testing.T, l *lease.Locks, s *stage) func(error) {
			must(t, l.Pause(ctx))
			goOn := s.next(lease.Planned)
			resumed(t, l)
			return goOn
		}},
		{"a taking again after its transaction", func(t *testing.T, l *lease.Locks, s *stage) func(error) {
			must(t, l.Pause(ctx))
			goOn := s.next(lease.Written)
			resumed(t, l)
			return goOn
		}},
	}
	for _, late := range late {
		for _, in := range interruptions {
			name := late.name + ", pause " + in.name
			t.Run(name+", released after", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, s := staged(t)
					x := hold(t, l, "key", long)
					goOn := late.begin(t, l, s)
					s.isReached(t)
					in.run(t, l, s, func() {})
					released := goErr(func() error { return x.Release(ctx) })
					synctest.Wait()
					goOn(nil)
					within(t, "Release", released, nil)
					free(t, l)
				})
			})
			t.Run(name+", released during and held again", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, s := staged(t)
					x := hold(t, l, "key", long)
					goOn := late.begin(t, l, s)
					s.isReached(t)
					in.run(t, l, s, func() {
						errs := goErr(func() error { return x.Release(ctx) })
						t.Cleanup(func() { within(t, "Release", errs, nil) })
						synctest.Wait()
					})
					y := hold(t, l, "key", long)
					goOn(nil)
					synctest.Wait()
					wantState(t, y, lease.Held)
					must(t, y.Check(ctx))
					must(t, y.Release(ctx))
					free(t, l)
				})
			})
			t.Run(name+", kept", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, s := staged(t)
					x := hold(t, l, "key", long)
					goOn := late.begin(t, l, s)
					s.isReached(t)
					in.run(t, l, s, func() {})
					goOn(nil)
					time.Sleep(2 * long.Duration)
					wantState(t, x, lease.Held)
					must(t, x.Check(ctx))
					if x.Generation() != 1 || x.Dirty() {
						t.Errorf("generation %d, dirty %v; nobody else had the key: want 1 and false", x.Generation(), x.Dirty())
					}
					must(t, x.Release(ctx))
					free(t, l)
				})
			})
		}
	}
}

// A Hold may learn that it has the key when a pause has given that back already, or was overtaken.
func TestHoldLearnsLateThatItHasTheKey(t *testing.T) {
	for _, in := range interruptions {
		t.Run(in.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, s := staged(t)
				goOn := s.next(lease.Written)
				var x *lease.Lease
				held := goErr(func() (err error) { x, err = l.Hold(ctx, "key", long); return err })
				s.isReached(t)
				in.run(t, l, s, func() {})
				goOn(nil)
				within(t, "Hold", held, nil)
				synctest.Wait()
				wantState(t, x, lease.Held)
				must(t, x.Check(ctx))
				must(t, x.Release(ctx))
				free(t, l)
			})
		})
	}
}

// A pause that could not release, and one that was overtaken meanwhile, leave
// nothing taken that nobody wants: the next life releases it.
func TestWhatAPauseCouldNotReleaseIsReleasedAtResume(t *testing.T) {
	failure := errors.New("the disk is full")
	for _, overtaken := range []bool{false, true} {
		for _, when := range []string{"before", "during", "after"} {
			t.Run(fmt.Sprintf("overtaken=%v/released=%s", overtaken, when), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, s := staged(t)
					x := hold(t, l, "key", long)
					release := func(now string) {
						if now == when {
							must(t, x.Release(ctx))
							synctest.Wait()
						}
					}
					goOn := s.next(lease.Giving)
					occupied(t, l, func() <-chan error {
						errs := goErr(func() error { return l.Pause(ctx) })
						synctest.Wait()
						release("before")
						return errs
					}, map[bool]error{true: lifecycle.ErrSuperseded}[overtaken])
					s.isReached(t)
					release("during")
					if when == "after" {
						wantState(t, x, lease.Paused) // from now on somebody else may get it at any moment
					}
					if overtaken {
						resumes := goErr(func() error { return l.Resume(ctx) })
						t.Cleanup(func() { within(t, "Resume", resumes, nil) })
						synctest.Wait()
					}
					goOn(failure)
					synctest.Wait()
					if !overtaken {
						if when == "after" {
							wantState(t, x, lease.Paused)
						}
						must(t, l.Resume(ctx))
					}
					if when == "after" {
						wantState(t, x, lease.Held)
						must(t, x.Check(ctx))
					}
					release("after")
					free(t, l)
				})
			})
		}
	}
}

// Nobody waits for a release that the pause could not even try, since it could not open the database for it.
func TestReleaseDoesNotWaitForAPauseThatCannotRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := staged(t)
		failure := errors.New("too many open files")
		x := hold(t, l, "key", long)
		s.fail(lease.Ending, errors.New("unfit"))
		time.Sleep(long.Renew) // the renewal leaves no writer behind
		synctest.Wait()
		s.fail(lease.Opening, failure)
		goOn := s.next(lease.Planned)
		released := goErr(func() error { return x.Release(ctx) })
		s.isReached(t)
		paused := goErr(func() error { return l.Pause(ctx) })
		within(t, "Release", released, failure)
		goOn(nil)
		within(t, "Pause", paused, failure)
		s.fail("", nil)
		must(t, l.Resume(ctx))
		free(t, l)
	})
}

// Release returns when the key is free, also where it was taken anew while an earlier release was on its way.
func TestReleaseOfWhatWasTakenAnewFreesTheKey(t *testing.T) {
	for _, step := range []lease.Step{lease.Planned, lease.Written} {
		t.Run(string(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, s := staged(t)
				x := hold(t, l, "key", long)
				goOn := s.next(step)
				first := goErr(func() error { return x.Release(ctx) })
				s.isReached(t)
				y := hold(t, l, "key", long)
				second := goErr(func() error {
					err := y.Release(ctx)
					if _, ok, took := l.Take(ctx, "key", "bob", time.Minute); !ok {
						t.Errorf("Release has returned %v, and the key is not free (%v)", err, took)
					}
					return err
				})
				synctest.Wait()
				goOn(nil)
				within(t, "the first release", first, nil)
				within(t, "the second release", second, nil)
			})
		})
	}
}

// A release shares its transaction with renewals. One of those that has no time left takes it none.
func TestReleaseBesideALeaseThatRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := staged(t)
		ending := hold(t, l, "another", by("carol", lease.Options{Duration: time.Second, Renew: time.Second - time.Millisecond}))
		x := hold(t, l, "key", long)
		time.Sleep(time.Second - 2*time.Millisecond)
		goOn := s.next(lease.Planned)
		released := goErr(func() error { return x.Release(ctx) })
		s.isReached(t)
		time.Sleep(time.Second) // for the other there is no time left
		goOn(nil)
		within(t, "Release", released, nil)
		ends(t, ending, lease.ErrLost)
		free(t, l)
	})
}

// Whatever waits wherever, and whatever fails: in the end no key stays taken.
// Unlike on a file, every step may take long here, and nothing takes time.
func TestStormOfOrders(t *testing.T) {
	for seed := range uint64(tier.Count(50, 1000, 20_000)) {
		synctest.Test(t, func(t *testing.T) { stormOfOrders(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func stormOfOrders(t *testing.T, seed uint64) {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 2))
	die := func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }
	nap := func() {
		if n := die(40); n < 12 {
			time.Sleep(time.Duration(n) * time.Millisecond)
		}
	}
	failure := errors.New("a failure of the disk")
	l, err := lease.Staged(ctx, "memory", func(step lease.Step) error {
		nap()
		if step == lease.Giving && die(4) == 0 {
			return failure
		}
		return nil
	})
	must(t, err)
	closing(t, l)
	stop := make(chan struct{})
	var pauses, work sync.WaitGroup
	for range 2 {
		pauses.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(die(8)) * time.Millisecond):
				}
				call := l.Pause
				if die(3) > 0 {
					call = l.Resume
				}
				if err := call(ctx); err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
					t.Errorf("a pause or a resume: %v", err)
				}
			}
		})
	}
	holders := map[uint64]string{} // of the generations
	wait := lifecycle.WithPolicy(deadline(t, patience), lifecycle.Wait)
	for i := range 4 {
		holder := fmt.Sprint("holder ", i%3) // two of them are the same one's
		work.Go(func() {
			for range 5 {
				brief, cancel := context.WithCancel(wait)
				if die(8) == 0 {
					time.AfterFunc(time.Duration(die(10))*time.Millisecond, cancel)
				}
				x, err := l.Hold(brief, "key", by(holder, lease.Options{Duration: 2 * patience, Renew: 3 * time.Millisecond}))
				cancel()
				if errors.Is(err, context.Canceled) {
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", holder, err)
					return
				}
				generation := x.Generation()
				if err := x.Check(wait); err == nil {
					mu.Lock()
					if other, used := holders[generation]; used && other != holder {
						t.Errorf("generation %d was %s's and %s's", generation, other, holder)
					}
					holders[generation] = holder
					mu.Unlock()
				} else if errors.Is(err, lease.ErrLost) {
					t.Errorf("%s lost its lease: %v", holder, err)
				} else if errors.Is(err, lease.ErrDirty) {
					x.Clean(generation)
				}
				nap()
				if err := x.Release(ctx); err != nil && !errors.Is(err, failure) {
					t.Errorf("%s: %v", holder, err)
				}
				nap()
			}
		})
	}
	work.Wait()
	close(stop)
	pauses.Wait()
	must(t, l.Resume(ctx))
	time.Sleep(time.Second)
	free(t, l)
}

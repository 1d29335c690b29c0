package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// lone makes one member and its journal.
func lone(t testing.TB) (*part, *journal) {
	j := &journal{}
	return parts(t, j, 1)[0], j
}

// deaf is what a member does that takes its time and does not listen to its context.
func deaf(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return nil }
}

func broken(context.Context) error { return errBroken }

func TestControllerDrivesToTheStateThatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		c := lifecycle.NewController(p)
		for range 3 {
			noError(t, c.Pause(bg), "Pause")
			wantState(t, c, lifecycle.Paused, "Pause returned nil")
		}
		for range 3 {
			noError(t, c.Resume(bg), "Resume")
			wantState(t, c, lifecycle.Active, "Resume returned nil")
		}
		if got := j.take(); got != "pause a, resume a" {
			t.Errorf("what is so already is not asked for again; told: %s", got)
		}
	})
}

func TestControllerGoesThroughTheFirstTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		noError(t, lifecycle.NewController(p).Resume(bg), "Resume")
		if got := j.take(); got != "resume a" {
			t.Errorf("a new Controller does not know what state its Pausable is in, so its first call goes through; told: %q", got)
		}
	})
}

func TestControllerLatestIntentWins(t *testing.T) {
	for _, first := range []string{"pause", "resume"} {
		bubble(t, first, func(t *testing.T) {
			p, j := lone(t)
			c := lifecycle.ControllerConfig{Name: "app"}.NewController(p)
			p.does(deaf(time.Second), deaf(time.Second))
			one, other := c.Pause, c.Resume
			if first == "resume" {
				one, other = other, one
			}
			overtaken := start(func() error { return one(bg) })
			time.Sleep(300 * time.Millisecond)
			p.does(nil, nil)
			last := start(func() error { return other(bg) })
			err := overtaken.wait()
			want(t, err, lifecycle.ErrSuperseded)
			if overtaken.took != 300*time.Millisecond || !strings.HasPrefix(err.Error(), "app: "+first) {
				t.Errorf("the overtaken call returns at once and says whose it was; got %q after %v", err, overtaken.took)
			}
			noError(t, last.wait(), "the latest intent wins")
			if got, fine := j.take(), map[string]string{"pause": "pause a, resume a", "resume": "resume a, pause a"}[first]; got != fine {
				t.Errorf("told: %s, instead of: %s", got, fine)
			}
			if p.isPaused() != (first == "resume") {
				t.Error("the Pausable is not in the state that was asked for last")
			}
		})
	}
}

func TestControllerAsksAgainForAPauseThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := lone(t)
		var at []time.Duration
		began := time.Now()
		p.does(func(context.Context) error {
			at = append(at, time.Since(began))
			if len(at) <= 6 {
				return errBroken
			}
			return nil
		}, nil)
		c := lifecycle.ControllerConfig{RetryLimit: 100 * time.Millisecond}.NewController(p)
		r := start(func() error { return c.Pause(bg) })
		want(t, r.wait(), errBroken)
		if r.took != 0 {
			t.Errorf("the caller got the error after %v, not when the first attempt failed", r.took)
		}
		wantState(t, c, lifecycle.Pausing, "a pause that failed is asked again")
		time.Sleep(time.Hour)
		wantState(t, c, lifecycle.Paused, "a failed Pause is asked again until it succeeds")
		if got := fmt.Sprint(at); got != "[0s 10ms 30ms 70ms 150ms 250ms 350ms]" {
			t.Errorf("asked at %v; the wait between attempts begins with 10 ms, doubles up to the RetryLimit, and ends with success", got)
		}
	})
}

func TestControllerBeginsItsBackOffAnew(t *testing.T) {
	for _, between := range []string{"a pause that succeeded", "a resume"} {
		bubble(t, between, func(t *testing.T) {
			p, j := lone(t)
			p.does(broken, nil)
			c := lifecycle.NewController(p)
			want(t, c.Pause(bg), errBroken)
			time.Sleep(time.Hour) // a second between two attempts by now
			if between != "a resume" {
				p.does(nil, nil)
				noError(t, c.Pause(bg), "Pause")
			}
			noError(t, c.Resume(bg), "Resume")
			p.does(broken, nil)
			j.take()
			want(t, c.Pause(bg), errBroken)
			time.Sleep(11 * time.Millisecond)
			told(t, j, "pause a, pause a", "after "+between+" the first wait is 10 ms again")
			noError(t, c.Resume(bg), "Resume")
		})
	}
}

func TestControllerStopsAskingWhenSomethingElseIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		p.does(broken, nil)
		c := lifecycle.NewController(p)
		want(t, c.Pause(bg), errBroken)
		time.Sleep(15 * time.Millisecond)
		noError(t, c.Resume(bg), "Resume")
		time.Sleep(time.Hour)
		if got := j.take(); got != "pause a, pause a, resume a" {
			t.Errorf("after a Resume the failed pause is not asked again; told: %s", got)
		}
		wantState(t, c, lifecycle.Active, "active is what was wanted last")
	})
}

func TestControllerPauseThatIsAskedForAgainDoesNotWaitForTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := lone(t)
		p.does(broken, nil)
		c := lifecycle.ControllerConfig{RetryLimit: time.Hour}.NewController(p)
		want(t, c.Pause(bg), errBroken)
		time.Sleep(time.Minute)
		p.does(nil, nil)
		r := start(func() error { return c.Pause(bg) })
		noError(t, r.wait(), "Pause")
		if r.took != 0 {
			t.Errorf("a caller who asks again ends the wait between two attempts; it took %v", r.took)
		}
	})
}

func TestControllerHeldErrorSaysWhyTheAttemptBeforeFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := lone(t)
		p.does(broken, nil)
		c := lifecycle.NewController(p)
		want(t, c.Pause(bg), errBroken)
		p.does(deaf(time.Hour), nil)
		err := c.Pause(within(t, time.Second))
		wantHeld(t, err, lifecycle.StepMembers, "the caller's time ended while the Pausable was asked")
		want(t, err, context.DeadlineExceeded, errBroken)
		time.Sleep(2 * time.Hour)
	})
}

func TestControllerDoesNotRetryAResumeThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		p.does(nil, broken)
		c := lifecycle.ControllerConfig{Name: "app"}.NewController(p)
		noError(t, c.Pause(bg), "Pause")
		j.take()
		err := c.Resume(bg)
		want(t, err, errBroken)
		if err.Error() != "app: resume a: broken" {
			t.Errorf("the error names the Controller, the call and the Pausable; got %q", err)
		}
		wantState(t, c, lifecycle.Paused, "a failed Resume leaves it paused")
		time.Sleep(time.Hour)
		if got := j.take(); got != "resume a" {
			t.Errorf("a failed Resume is not retried by itself; told: %s", got)
		}
		p.does(nil, nil)
		noError(t, c.Resume(bg), "a failed Resume may be tried again")
		want(t, c.Pause(bg))
		wantState(t, c, lifecycle.Paused, "Pause")
	})
}

func TestControllerPauseAfterAFailedResumeGoesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		p.does(nil, broken)
		c := lifecycle.NewController(p)
		noError(t, c.Pause(bg), "Pause")
		want(t, c.Resume(bg), errBroken)
		j.take()
		noError(t, c.Pause(bg), "Pause")
		if got := j.take(); got != "pause a" {
			t.Errorf("a failed Resume may have left something open, so the Pause after it goes through; told: %q", got)
		}
	})
}

func TestControllerCallersLeaveAtTheirOwnDeadlines(t *testing.T) {
	for _, op := range []string{"pause", "resume"} {
		bubble(t, op, func(t *testing.T) {
			p, _ := lone(t)
			c := lifecycle.ControllerConfig{Name: "app", Timeout: 3 * time.Second}.NewController(p)
			p.does(deaf(10*time.Second), deaf(10*time.Second))
			call := c.Pause
			if op == "resume" {
				call = c.Resume
			}
			first := start(func() error { return call(within(t, time.Second)) })
			second := start(func() error { return call(bg) })
			third := start(func() error { return call(within(t, time.Minute)) })
			want(t, first.wait(), context.DeadlineExceeded)
			want(t, second.wait(), context.DeadlineExceeded)
			if first.took != time.Second || second.took != 3*time.Second {
				t.Errorf("the callers left after %v and %v; each leaves at its own deadline, or after the Timeout", first.took, second.took)
			}
			if held := (*lifecycle.HeldError)(nil); errors.As(first.err, &held) != (op == "pause") {
				t.Errorf("it is a Pause, and no Resume, that returns a *HeldError; got %v", first.err)
			}
			if !strings.HasPrefix(first.err.Error(), "app: ") {
				t.Errorf("the error does not name the Controller: %v", first.err)
			}
			noError(t, third.wait(), "who has time gets what the Pausable returned")
		})
	}
}

func TestControllerResumeThatEveryoneLeftIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		c := lifecycle.NewController(p)
		noError(t, c.Pause(bg), "Pause")
		p.does(nil, deaf(10*time.Second)) // and successful
		j.take()
		want(t, c.Resume(within(t, time.Second)), context.DeadlineExceeded)
		time.Sleep(time.Hour)
		wantState(t, c, lifecycle.Paused, "an error of Resume means that it is not active by this call")
		if got := j.take(); got != "resume a, pause a" || !p.isPaused() {
			t.Errorf("what succeeds when nobody waits for it any more is given back; told: %s", got)
		}
	})
}

func TestControllerResumeWithAnEndedContextDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		c := lifecycle.NewController(p)
		noError(t, c.Pause(bg), "Pause")
		j.take()
		want(t, c.Resume(endedCtx()), context.Canceled)
		synctest.Wait()
		if got := j.take(); got != "" {
			t.Errorf("a Resume that nobody waits for opens nothing; told: %s", got)
		}
		wantState(t, c, lifecycle.Paused, "nothing was done")
	})
}

// The cause of a context's end does not hide that it has ended.
func TestGroupAndControllerErrorsMatchTheContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := lone(t)
		boom := errors.New("boom")
		ctx, cancel := context.WithCancelCause(bg)
		cancel(boom)
		c := lifecycle.NewController(p)
		g := lifecycle.Sequence(c)
		noError(t, g.Pause(bg), "Pause")
		_, err := c.Hold(ctx)
		for _, err := range []error{g.Resume(ctx), c.Resume(ctx), err} {
			want(t, err, context.Canceled)
			want(t, err, boom)
		}
	})
}

func TestControllerPauseGoesOnAfterItsCallerLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stores(t, &fakeDriver{stuck: true}, 1, lifecycle.Config[*fakeConn]{Name: "state"})[0]
		end := make(chan struct{})
		read := hold(s, "load room list", end)
		c := lifecycle.NewController(lifecycle.Named("stores", lifecycle.Sequence(s)))
		err := c.Pause(within(t, time.Second))
		var held *lifecycle.HeldError
		if !errors.As(err, &held) || len(held.Holders) != 1 || held.Holders[0].Label != "load room list" {
			t.Errorf("the *HeldError names the operations that run in the Pausable; got %v", err)
		}
		time.Sleep(20 * time.Second)
		wantState(t, c, lifecycle.Pausing, "something is still held")
		close(end)
		_ = read.wait()
		time.Sleep(time.Minute)
		wantState(t, c, lifecycle.Paused, "the Controller goes on by itself until nothing is held")
		wantState(t, s, lifecycle.Paused, "the Controller goes on by itself until nothing is held")
	})
}

func TestControllerPauseWithTimeAfterOneWithoutGivesItToThePausable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := lone(t)
		p.does(untilEnd, nil)
		c := lifecycle.NewController(p)
		want(t, c.Pause(within(t, time.Millisecond)), context.DeadlineExceeded)
		p.does(func(ctx context.Context) error { time.Sleep(time.Second); return ctx.Err() }, nil)
		noError(t, c.Pause(within(t, time.Minute)), "the second caller has time: the first one's is not what counts any more")
	})
}

func TestControllerSurvivesAPausableThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := lone(t)
		p.does(nil, func(context.Context) error { panic("oh") })
		c := lifecycle.NewController(p)
		var panicked *lifecycle.PanicError
		if err := c.Resume(bg); !errors.As(err, &panicked) {
			t.Errorf("a panic is an error; got %v", err)
		}
		p.does(nil, nil)
		noError(t, c.Resume(bg), "Resume")
	})
}

func TestControllerOfNobodyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var config *lifecycle.ConfigError
		if err := lifecycle.NewController(nil).Resume(bg); !errors.As(err, &config) {
			t.Errorf("a nil Pausable is a *ConfigError, not a crash; got %v", err)
		}
	})
}

func TestControllersAndGroupsNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := parts(t, j, 3)
		inner := lifecycle.ControllerConfig{Name: "inner"}.NewController(lifecycle.Parallel(p[1]))
		outer := lifecycle.NewController(lifecycle.Sequence(p[0], lifecycle.Named("mid", lifecycle.NewController(inner)), p[2]))
		noError(t, outer.Pause(bg), "Pause")
		noError(t, outer.Resume(bg), "Resume")
		if got := j.take(); got != "pause a, pause b, pause c, resume c, resume b, resume a" {
			t.Errorf("told: %s", got)
		}
		lease, err := inner.Hold(lifecycle.WithLabel(bg, "sync token"))
		noError(t, err, "Hold")
		err = outer.Pause(within(t, time.Second))
		var held *lifecycle.HeldError
		if !errors.As(err, &held) || len(held.Leases) != 1 || held.Leases[0].Label != "sync token" {
			t.Errorf("a *HeldError lists the leases of inner Controllers; got %v", err)
		}
		want(t, context.Cause(lease.Context()), lifecycle.ErrPaused)
		lease.Release()
		time.Sleep(time.Hour)
		for _, m := range p {
			if !m.isPaused() {
				t.Errorf("%s is not paused, though the lease was released and the pause goes on by itself", m.name)
			}
		}
	})
}

func TestControllerDeliversItsStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		observer := lifecycle.ObserverFunc(func(e lifecycle.Event) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf("%s %v-%v %t", e.Store, e.From, e.To, e.Err != nil))
		})
		p, _ := lone(t)
		p.does(broken, nil)
		c := lifecycle.ControllerConfig{Name: "app", Observer: observer}.NewController(p)
		states, stop := c.Subscribe()
		want(t, c.Pause(bg), errBroken)
		p.does(nil, nil)
		time.Sleep(time.Hour)
		if s := <-states; s != lifecycle.Paused {
			t.Errorf("a subscriber gets the latest state, which is paused; got %v", s)
		}
		stop()
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(seen, "; "); got != "app active-pausing false; app pausing-pausing true; app pausing-paused false" {
			t.Errorf("the observer is told of every change and of every attempt that failed, in order; told: %s", got)
		}
	})
}

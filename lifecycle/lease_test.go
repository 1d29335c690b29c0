package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// mustHold takes a lease.
func mustHold(t testing.TB, c *lifecycle.Controller, ctx context.Context) *lifecycle.Lease {
	t.Helper()
	l, err := c.Hold(ctx)
	if err != nil {
		t.Fatalf("Hold: %v", err)
	}
	if l.Context().Err() != nil {
		t.Errorf("the context of a new lease has ended: %v", context.Cause(l.Context()))
	}
	return l
}

// paused makes a Controller over one member, and pauses it.
func paused(t testing.TB, cfg lifecycle.ControllerConfig) (*lifecycle.Controller, *part, *journal) {
	t.Helper()
	p, j := lone(t)
	c := cfg.NewController(p)
	noError(t, c.Pause(bg), "Pause")
	j.take()
	return c, p, j
}

func told(t testing.TB, j *journal, want, promise string) {
	t.Helper()
	synctest.Wait()
	if got := j.take(); got != want {
		t.Errorf("%s; told %q instead of %q", promise, got, want)
	}
}

func TestHoldResumesAndPausesAgainAtZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{})
		for range 3 {
			one := mustHold(t, c, bg)
			wantState(t, c, lifecycle.Active, "Hold resumes")
			two := mustHold(t, c, bg)
			one.Release()
			one.Release()
			synctest.Wait()
			wantState(t, c, lifecycle.Active, "leases are counted, and releasing one twice counts once")
			if two.Context().Err() != nil {
				t.Error("a sibling's lease ended with the other's")
			}
			three := mustHold(t, c, bg)
			two.Release()
			told(t, j, "resume a", "siblings share one Resume")
			three.Release()
			told(t, j, "pause a", "at zero it is paused again, because that is still what is wanted")
			wantState(t, c, lifecycle.Paused, "at zero it is paused again")
			want(t, context.Cause(one.Context()), context.Canceled)
		}
	})
}

func TestHoldsThatComeTogetherShareOneResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, j := paused(t, lifecycle.ControllerConfig{})
		p.does(nil, deaf(time.Second))
		var holds []*result
		for range 20 {
			holds = append(holds, start(func() error {
				l, err := c.Hold(bg)
				if err == nil {
					l.Release() // at once: those who have not got theirs yet must not meet a pause between
				}
				return err
			}))
		}
		for _, h := range holds {
			noError(t, h.wait(), "Hold")
		}
		told(t, j, "resume a, pause a", "20 Holds at once need one Resume, and one Pause after the last")
	})
}

func TestHoldWhileActiveIsWantedChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{})
		noError(t, c.Resume(bg), "Resume")
		j.take()
		mustHold(t, c, bg).Release()
		told(t, j, "", "what is wanted active stays active when a lease ends")
		wantState(t, c, lifecycle.Active, "active is wanted")
	})
}

func TestHoldBeforeAnythingWasWantedLeavesItActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		c := lifecycle.NewController(p)
		mustHold(t, c, bg).Release()
		told(t, j, "resume a", "nobody ever wanted it paused")
	})
}

func TestResumeWhileALeaseIsHeldKeepsItActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{})
		l := mustHold(t, c, bg)
		noError(t, c.Resume(bg), "Resume")
		l.Release()
		told(t, j, "resume a", "an explicit Resume makes active the wanted state, whoever resumed before")
		wantState(t, c, lifecycle.Active, "active is wanted")
	})
}

func TestResumeThatJoinsAHoldMakesItLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, j := paused(t, lifecycle.ControllerConfig{})
		p.does(nil, deaf(time.Second))
		hold := start(func() error {
			l, err := c.Hold(bg)
			if err == nil {
				l.Release()
			}
			return err
		})
		synctest.Wait()
		noError(t, c.Resume(bg), "Resume")
		noError(t, hold.wait(), "Hold")
		told(t, j, "resume a", "the Resume joined the Hold's, and what it wants outlasts the lease")
		wantState(t, c, lifecycle.Active, "active is wanted")
	})
}

func TestResumeThatLeavesBeforeItsHoldDoesNotMakeItLast(t *testing.T) {
	for _, order := range []string{"Resume first", "Hold first"} {
		bubble(t, order, func(t *testing.T) {
			c, p, j := paused(t, lifecycle.ControllerConfig{})
			p.does(nil, deaf(2*time.Second))
			resume := func() *result {
				r := start(func() error { return c.Resume(within(t, time.Second)) })
				synctest.Wait()
				return r
			}
			var left *result
			if order == "Resume first" {
				left = resume()
			}
			hold := start(func() error {
				l, err := c.Hold(bg)
				if err == nil {
					defer l.Release()
					time.Sleep(time.Second)
				}
				return err
			})
			synctest.Wait()
			if order == "Hold first" {
				left = resume()
			}
			want(t, left.wait(), context.DeadlineExceeded)
			noError(t, hold.wait(), "the Hold waited for the Resume, whoever left it")
			told(t, j, "resume a, pause a", "an error of Resume means: not active by this call; so at zero it is paused again")
			wantState(t, c, lifecycle.Paused, "paused is wanted")
		})
	}
}

func TestHoldAfterAResumeThatFailedPausesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, j := paused(t, lifecycle.ControllerConfig{})
		p.does(nil, broken)
		want(t, c.Resume(bg), errBroken)
		p.does(nil, nil)
		mustHold(t, c, bg).Release()
		told(t, j, "resume a, resume a, pause a", "an error of Resume means: not active by this call, nor by a later Hold")
	})
}

func TestHoldAfterAFirstResumeThatFailedPausesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := lone(t)
		c := lifecycle.NewController(p)
		p.does(nil, broken)
		want(t, c.Resume(bg), errBroken)
		p.does(nil, nil)
		mustHold(t, c, bg).Release()
		told(t, j, "resume a, resume a, pause a", "an error of Resume means: not active by this call, nor by a later Hold")
	})
}

func TestHoldWhileSomebodyWaitsForAPauseComesAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, j := paused(t, lifecycle.ControllerConfig{})
		noError(t, c.Resume(bg), "Resume")
		j.take()
		p.does(deaf(time.Second), nil)
		pause := start(func() error { return c.Pause(bg) })
		synctest.Wait()
		hold := start(func() error { mustHold(t, c, bg); return nil })
		noError(t, pause.wait(), "an explicit Pause is not overtaken by a Hold")
		noError(t, hold.wait(), "Hold")
		told(t, j, "pause a, resume a", "the Hold waits for that Pause first")
		wantState(t, c, lifecycle.Active, "the lease is held")
	})
}

func TestHoldThatAPauseOvertakesComesAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, j := paused(t, lifecycle.ControllerConfig{})
		p.does(nil, deaf(time.Second))
		hold := start(func() error {
			l, err := c.Hold(bg)
			if err == nil {
				l.Release()
			}
			return err
		})
		time.Sleep(time.Millisecond)
		noError(t, c.Pause(bg), "Pause")
		noError(t, hold.wait(), "a Hold that has not got its lease yet comes after the Pause, as one that begins during it")
		told(t, j, "resume a, pause a, resume a, pause a", "the Hold's Resume was overtaken and tried again")
		wantState(t, c, lifecycle.Paused, "paused is wanted")
	})
}

func TestHoldWaitsForAPauseNoLongerThanItsTime(t *testing.T) {
	for name, limit := range map[string]time.Duration{"context": time.Second, "Timeout": 5 * time.Second} {
		bubble(t, name, func(t *testing.T) {
			c, p, _ := paused(t, lifecycle.ControllerConfig{Timeout: 5 * time.Second})
			noError(t, c.Resume(bg), "Resume")
			p.does(deaf(time.Hour), nil)
			pause := start(func() error { return c.Pause(within(t, 2*time.Hour)) })
			synctest.Wait()
			ctx := bg
			if name == "context" {
				ctx = within(t, limit)
			}
			hold := start(func() error { _, err := c.Hold(ctx); return err })
			want(t, hold.wait(), lifecycle.ErrPaused, context.DeadlineExceeded)
			if hold.took != limit {
				t.Errorf("it waited for %v; its %s allows %v", hold.took, name, limit)
			}
			noError(t, pause.wait(), "Pause")
		})
	}
}

func TestHoldGoesAheadWhenTheLastCallerOfThePauseHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := paused(t, lifecycle.ControllerConfig{})
		forgotten := mustHold(t, c, bg)
		pause := start(func() error { return c.Pause(within(t, time.Second)) })
		synctest.Wait()
		hold := start(func() error { _, err := c.Hold(bg); return err })
		wantHeld(t, pause.wait(), lifecycle.StepLeases, "a lease was held")
		noError(t, hold.wait(), "nobody waits for the Pause any more")
		if hold.took != time.Second {
			t.Errorf("the Hold took %v, and the Pause before it a second", hold.took)
		}
		forgotten.Release()
		time.Sleep(time.Hour) // the other has expired
		wantState(t, c, lifecycle.Paused, "at zero it is paused, as the Pause wanted")
	})
}

func TestPauseLetsLeasesBeForItsGrace(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  lifecycle.ControllerConfig
		time time.Duration
		want time.Duration
	}{
		"half of the Timeout":        {lifecycle.ControllerConfig{Timeout: 10 * time.Second}, 0, 5 * time.Second},
		"the Grace":                  {lifecycle.ControllerConfig{Grace: time.Second}, time.Minute, time.Second},
		"four fifths of the time":    {lifecycle.ControllerConfig{Grace: time.Hour, LeaseTTL: time.Hour}, time.Minute, 48 * time.Second},
		"nothing without time":       {lifecycle.ControllerConfig{}, -1, 0},
		"four fifths of the default": {lifecycle.ControllerConfig{Grace: time.Hour}, 0, 4 * time.Second},
	} {
		bubble(t, name, func(t *testing.T) {
			c, _, j := paused(t, test.cfg)
			leases := []*lifecycle.Lease{mustHold(t, c, bg), mustHold(t, c, bg)}
			j.take()
			ctx := bg
			if test.time != 0 {
				ctx = within(t, test.time)
			}
			began := time.Now()
			pause := start(func() error { return c.Pause(ctx) })
			for _, l := range leases {
				<-l.Context().Done()
				if took := time.Since(began); took != test.want {
					t.Errorf("the lease's context ended after %v, not after %v", took, test.want)
				}
				want(t, context.Cause(l.Context()), lifecycle.ErrPaused)
				told(t, j, "", "a lease whose context has ended is still held: nothing is paused under it")
				l.Release()
			}
			if test.want > 0 {
				noError(t, pause.wait(), "all leases were released in time")
			}
			told(t, j, "pause a", "it is paused when the last lease is released")
		})
	}
}

func TestPauseEndsNoContextOfALeaseThatIsReleasedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := paused(t, lifecycle.ControllerConfig{})
		l := mustHold(t, c, bg)
		pause := start(func() error { return c.Pause(bg) })
		time.Sleep(time.Second)
		if l.Context().Err() != nil || pause.returned() {
			t.Error("a lease is work in flight: within the grace it is let finish, and waited for")
		}
		l.Release()
		noError(t, pause.wait(), "Pause")
		if pause.took != time.Second {
			t.Errorf("the release wakes the Pause; it took %v", pause.took)
		}
	})
}

func TestPauseWhoseTimeEndsListsTheLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := paused(t, lifecycle.ControllerConfig{Name: "app", LeaseTTL: time.Minute})
		began := time.Now()
		mustHold(t, c, lifecycle.WithLabel(bg, "push"))
		time.Sleep(time.Second)
		mustHold(t, c, lifecycle.WithLabel(bg, "backup"))
		err := c.Pause(within(t, time.Second))
		held := wantHeld(t, err, lifecycle.StepLeases, "leases are held")
		want(t, err, context.DeadlineExceeded)
		if held == nil {
			return
		}
		if len(held.Leases) != 2 || held.Leases[0].Label != "push" || held.Leases[1].Label != "backup" {
			t.Fatalf("the error lists every lease with its label, the oldest first; got %v", held.Leases)
		}
		if l := held.Leases[0]; !l.Since.Equal(began) || !l.Expires.Equal(began.Add(time.Minute)) {
			t.Errorf("the error says since when and until when a lease is held; got %+v", l)
		}
		if text := err.Error(); !strings.HasPrefix(text, "app: ") || !strings.Contains(text, `lease "push"`) {
			t.Errorf("got %q", text)
		}
		time.Sleep(time.Hour)
		wantState(t, c, lifecycle.Paused, "the pause goes on by itself, and forgotten leases expire")
	})
}

func TestPauseThatHasItsLeasesBackIsInTheMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := paused(t, lifecycle.ControllerConfig{})
		l := mustHold(t, c, bg)
		p.does(deaf(time.Hour), nil)
		pause := start(func() error { return c.Pause(within(t, time.Second)) })
		synctest.Wait()
		l.Release()
		if held := wantHeld(t, pause.wait(), lifecycle.StepMembers, "the lease was released, and the Pausable takes too long"); held != nil && len(held.Leases) > 0 {
			t.Errorf("the error lists leases that are not held any more: %v", held.Leases)
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestResumeDuringAPauseThatWaitsForLeasesKeepsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{})
		l := mustHold(t, c, bg)
		j.take()
		pause := start(func() error { return c.Pause(bg) })
		time.Sleep(time.Second)
		noError(t, c.Resume(bg), "Resume")
		want(t, pause.wait(), lifecycle.ErrSuperseded)
		time.Sleep(10 * time.Second)
		if l.Context().Err() != nil {
			t.Error("an overtaken pause ends no lease's context")
		}
		l.Release()
		time.Sleep(time.Hour)
		wantState(t, c, lifecycle.Active, "active is wanted")
	})
}

func TestLeaseThatIsForgottenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{LeaseTTL: time.Minute})
		l := mustHold(t, c, bg)
		time.Sleep(59 * time.Second)
		wantState(t, c, lifecycle.Active, "the lease is held")
		time.Sleep(time.Second)
		told(t, j, "resume a, pause a", "expiry counts as release")
		want(t, context.Cause(l.Context()), lifecycle.ErrLeaseExpired)
		l.Release()
		told(t, j, "", "releasing what has expired does nothing")
	})
}

func TestLeaseExpiryOfOneKeepsItsSiblings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{LeaseTTL: time.Minute})
		one := mustHold(t, c, bg)
		time.Sleep(30 * time.Second)
		two := mustHold(t, c, bg)
		time.Sleep(45 * time.Second)
		if one.Context().Err() == nil || two.Context().Err() != nil {
			t.Error("each lease has a time of its own")
		}
		told(t, j, "resume a", "a sibling is still held")
		one.Release() // must not count for its sibling
		told(t, j, "", "a lease that has expired is not released a second time")
		time.Sleep(time.Minute)
		told(t, j, "pause a", "all have expired")
	})
}

// Home Assistant's recorder paused a database under its users, because a
// forgotten lease expired after a real Resume (#5799).
func TestLeaseExpiryAfterARealResumeDoesNotPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{LeaseTTL: time.Minute})
		mustHold(t, c, bg) // forgotten
		time.Sleep(30 * time.Second)
		noError(t, c.Resume(bg), "Resume")
		time.Sleep(time.Hour)
		told(t, j, "resume a", "a stale expiry must not pause what was really resumed")
		wantState(t, c, lifecycle.Active, "active is wanted")
	})
}

func TestLeaseExpiryDoesNotReachTheNextCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{LeaseTTL: time.Minute})
		released := mustHold(t, c, bg)
		time.Sleep(30 * time.Second)
		released.Release()
		synctest.Wait()
		j.take()
		l := mustHold(t, c, bg)
		time.Sleep(45 * time.Second)
		told(t, j, "resume a", "the time of a lease that was released is over; it ends no later one")
		l.Release()
	})
}

func TestLeaseOfNoTimeAtAllExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := paused(t, lifecycle.ControllerConfig{LeaseTTL: time.Nanosecond})
		for range 100 {
			if l, err := c.Hold(bg); err != nil {
				t.Error(err)
			} else {
				<-l.Context().Done()
			}
		}
		synctest.Wait()
		wantState(t, c, lifecycle.Paused, "all have expired")
	})
}

func TestLeaseContextDescendsFromTheOneGivenToHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{LeaseTTL: time.Minute})
		type key struct{}
		ctx, cancel := context.WithCancelCause(context.WithValue(bg, key{}, "x"))
		l := mustHold(t, c, ctx)
		if l.Context().Value(key{}) != "x" {
			t.Error("the lease's context has not the values of the one given to Hold")
		}
		cancel(errBroken)
		want(t, context.Cause(l.Context()), errBroken)
		told(t, j, "resume a", "the lease is held until it is released, also when its context has ended")
		l.Release()
		told(t, j, "pause a", "released")
	})
}

func TestHoldWhoseResumeFailsCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, j := paused(t, lifecycle.ControllerConfig{Name: "app"})
		p.does(nil, broken)
		l, err := c.Hold(bg)
		want(t, err, errBroken)
		if l != nil || !strings.HasPrefix(err.Error(), "app: hold: ") {
			t.Errorf("got %v and %v", l, err)
		}
		told(t, j, "resume a, pause a", "the attempt may have left something open, which is given back")
		wantState(t, c, lifecycle.Paused, "a Hold whose Resume fails leaves it paused")
		p.does(nil, nil)
		mustHold(t, c, bg).Release()
		told(t, j, "resume a, pause a", "the Hold that failed is not counted")
	})
}

func TestHoldWithAnEndedContextDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, j := paused(t, lifecycle.ControllerConfig{})
		_, err := c.Hold(endedCtx())
		want(t, err, context.Canceled)
		told(t, j, "", "a Hold whose context has ended resumes nothing")
		noError(t, c.Resume(bg), "Resume")
		if l, err := c.Hold(endedCtx()); l != nil || err == nil {
			t.Errorf("an ended context gets no lease, also where it is active; got %v, %v", l, err)
		}
		noError(t, c.Pause(bg), "nothing was counted")
	})
}

func TestHoldWhoseContextEndsLeavesItPaused(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, p, j := paused(t, lifecycle.ControllerConfig{})
			p.does(nil, func(ctx context.Context) error {
				if deaf {
					time.Sleep(time.Minute)
					return nil
				}
				return untilEnd(ctx)
			})
			hold := start(func() error { _, err := c.Hold(within(t, time.Second)); return err })
			want(t, hold.wait(), context.DeadlineExceeded)
			time.Sleep(time.Hour)
			told(t, j, "resume a, pause a", "what the Hold's Resume left open is given back")
			wantState(t, c, lifecycle.Paused, "nothing was counted")
		})
	}
}

func TestHoldOfNestedControllersReachesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s, err := lifecycle.Open(bg, d, lifecycle.Config[*fakeConn]{})
		if err != nil {
			t.Fatal(err)
		}
		c := lifecycle.NewController(lifecycle.Sequence(lifecycle.NewController(s)))
		noError(t, c.Pause(bg), "Pause")
		d.nothingHeld(t)
		l := mustHold(t, c, bg)
		noError(t, s.Read(l.Context(), statement), "a lease keeps the store active")
		pause := start(func() error { return c.Pause(bg) })
		synctest.Wait()
		noError(t, s.Read(l.Context(), statement), "a lease is work in flight: what runs under it is not refused while a Pause waits for it")
		l.Release()
		noError(t, pause.wait(), "Pause")
		d.nothingHeld(t)
		if err := s.Read(bg, statement); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("got %v", err)
		}
	})
}

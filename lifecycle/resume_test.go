package lifecycle_test

// What Resume, Close, Open and StartPaused promise.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestAfterReopenRunsBeforeAnybodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		var s *store
		var hooked *fakeConn
		let := make(chan struct{})
		s = openPaused(t, d, config{WhenPaused: lifecycle.Wait, MaxReaders: 1,
			AfterReopen: func(_ context.Context, c *fakeConn) error {
				hooked = c
				d.note("hook")
				<-let
				return c.run(ended)
			}})
		read := begin(func() error {
			return s.Read(background, func(c *fakeConn) error {
				d.note("work")
				if c != hooked {
					t.Error("the reader that the hook ran on is not used")
				}
				return c.run(ended)
			})
		})
		r := resume(s)
		waiting(t, r, "the hook has not returned")
		waiting(t, read, "nobody gets in before the hook has returned")
		wantState(t, s, lifecycle.Resuming, "while the hook runs")
		close(let)
		wantNil(t, returned(t, r, "Resume"), "Resume")
		wantNil(t, returned(t, read, "Read"), "Read")
		wantSteps(t, d.took(), []string{"validate", "open read", "validated", "hook", "work"}, "the order of a Resume")
	})
}

// W-22: what the driver says about the file fails the Resume.
func TestW22FailedResumeLeavesItPausedAndMayBeRetried(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fail  func(d *fullDriver, hook *error)
		steps []string
	}{
		"Validate": {func(d *fullDriver, _ *error) { d.validate = func(context.Context) error { return boom } },
			[]string{"validate"}},
		"Open": {func(d *fullDriver, _ *error) {
			d.onOpen = func(context.Context, lifecycle.OpenInfo) error { d.note("open"); return boom }
		},
			[]string{"validate", "open"}},
		"Validated": {func(d *fullDriver, _ *error) {
			d.validated = func() (lifecycle.Change, error) { return 0, boom }
		}, []string{"validate", "open read", "validated", "close read"}},
		"AfterReopen": {func(_ *fullDriver, hook *error) { *hook = boom },
			[]string{"validate", "open read", "validated", "close read"}},
		"Reset after the hook": {func(d *fullDriver, _ *error) { d.onReset = func(*fakeConn) error { return boom } },
			[]string{"validate", "open read", "validated", "close read"}},
		"a panic in Validate": {func(d *fullDriver, _ *error) { d.validate = func(context.Context) error { panic(boom) } },
			[]string{"validate"}},
		"a panic in Open": {func(d *fullDriver, _ *error) {
			d.onOpen = func(context.Context, lifecycle.OpenInfo) error { d.note("open"); panic(boom) }
		},
			[]string{"validate", "open"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				var hook error
				s := open(t, d, config{Name: "rooms", WhenPaused: lifecycle.Wait, Timeout: time.Second,
					AfterReopen:   func(context.Context, *fakeConn) error { return hook },
					BeforeRelease: func(context.Context, *fakeConn) error { d.note("before release"); return nil }})
				wantNil(t, s.Pause(background), "Pause")
				before := s.Generation()
				d.took()
				validate, validated, onOpen := d.validate, d.validated, d.onOpen
				c.fail(d, &hook)
				for range 3 {
					err := s.Resume(background)
					wantErr(t, err, boom, "a Resume that failed")
					var typed *lifecycle.StateError
					if !errors.As(err, &typed) || typed.Store != "rooms" || typed.Op != "resume" {
						t.Errorf("%v; want the store and the operation named", err)
					}
					wantState(t, s, lifecycle.Paused, "a failure leaves the store paused")
					d.nothingHeld(t)
					wantSteps(t, d.took(), c.steps, "the steps of the failed Resume, and nothing after that: what was not resumed is not the hook's")
				}
				wantErr(t, s.Read(background, nothing), lifecycle.ErrPaused, "a Read under Wait, after a Resume that failed")
				d.validate, d.validated, d.onOpen, d.onReset, hook = validate, validated, onOpen, nil, nil
				wantNil(t, s.Resume(background), "Resume may be tried again")
				wantState(t, s, lifecycle.Active, "Resume may be tried again")
				if s.Generation() <= before {
					t.Error("the generation has not grown")
				}
			})
		})
	}
}

// W-23: what OpenInfo says is enough to give every connection its settings.
func TestW23EveryConnectionIsOpenedByTheDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		var infos []lifecycle.OpenInfo
		d.onOpen = func(_ context.Context, i lifecycle.OpenInfo) error { infos = append(infos, i); return nil }
		s := open(t, d, config{MaxReaders: 2})
		for gen := uint64(1); gen <= 3; gen++ {
			wantNil(t, s.Write(background, nothing), "Write")
			a, b := inGo(background, s.Read), inGo(background, s.Read)
			wantNil(t, errors.Join(a.release(), b.release(), foreign(s)(background, nothing)), "work")
			want := []lifecycle.OpenInfo{{Role: lifecycle.Reader}, {Role: lifecycle.Writer}, {Role: lifecycle.Reader}, {Role: lifecycle.Foreign}}
			for i := range want {
				want[i].Generation, want[i].Resume = gen, gen > 1
			}
			if fmt.Sprint(infos) != fmt.Sprint(want) {
				t.Errorf("opened %v; want %v", infos, want)
			}
			infos = nil
			wantNil(t, s.Pause(background), "Pause")
			wantNil(t, s.Resume(background), "Resume")
			infos = infos[:1]
		}
	})
}

func TestStartPausedOpensNothingAndValidatesAtTheFirstResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		var info lifecycle.OpenInfo
		d.onOpen = func(_ context.Context, i lifecycle.OpenInfo) error { info = i; d.note("open"); return nil }
		hooks := 0
		s := openPaused(t, d, config{AfterReopen: func(context.Context, *fakeConn) error { hooks++; return nil }})
		wantState(t, s, lifecycle.Paused, "StartPaused")
		wantErr(t, s.Read(background, nothing), lifecycle.ErrPaused, "a Read")
		wantNil(t, s.Pause(background), "Pause")
		wantSteps(t, d.took(), nil, "nothing is opened")
		wantNil(t, s.Resume(background), "the first Resume")
		wantSteps(t, d.took(), []string{"validate", "open", "validated"}, "the first Resume validates")
		if !info.Resume || hooks != 1 {
			t.Errorf("OpenInfo %+v, %d hooks; the first Resume of a store that started paused is one", info, hooks)
		}
	})
}

func TestFirstOpeningIsNoResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		d.onOpen = func(_ context.Context, i lifecycle.OpenInfo) error { d.note(fmt.Sprint("open ", i.Resume)); return nil }
		s := open(t, d, config{AfterReopen: func(context.Context, *fakeConn) error { t.Error("AfterReopen ran at Open"); return nil }})
		wantSteps(t, d.took(), []string{"open false"}, "Open opens the first reader and has nothing to compare it with")
		wantState(t, s, lifecycle.Active, "after Open")
	})
}

func TestOpenThatFailsLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		boom := errors.New("boom")
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { return boom }
		s, err := lifecycle.Open(background, d, config{})
		wantErr(t, err, boom, "Open says why")
		if s != nil {
			t.Error("Open returned a store and an error")
		}
		d.onOpen = func(ctx context.Context, _ lifecycle.OpenInfo) error { <-ctx.Done(); return ctx.Err() }
		start := time.Now()
		_, err = lifecycle.Open(within(t, time.Second), d, config{})
		wantErr(t, err, context.DeadlineExceeded, "ctx bounds Open")
		wantAfter(t, start, time.Second, "Open")
		_, err = lifecycle.Open(background, d, config{Timeout: 2 * time.Second})
		wantErr(t, err, context.DeadlineExceeded, "Timeout bounds Open")
		wantAfter(t, start, 3*time.Second, "Open")
		_, err = lifecycle.Open(endedCtx(), d, config{})
		wantErr(t, err, context.Canceled, "Open with a context that has ended")
		d.allGone(t)
	})
}

func TestOpenRefusesWhatCanNotBe(t *testing.T) {
	for _, tc := range []struct {
		field string
		cfg   config
	}{
		{"MaxReaders", config{MaxReaders: -1}}, {"MaxReaders", config{MaxReaders: 1 << 32}}, {"Timeout", config{Timeout: -1}},
		{"Grace", config{Grace: -1}}, {"IdleTimeout", config{IdleTimeout: -1}}, {"WhenPaused", config{WhenPaused: 7}},
	} {
		field, cfg := tc.field, tc.cfg
		_, err := lifecycle.Open(background, newFake(t), cfg)
		var typed *lifecycle.ConfigError
		if !errors.As(err, &typed) || typed.Field != field {
			t.Errorf("%s: %v; want a *ConfigError that names it", field, err)
		}
	}
}

func TestResumeIsBoundedEvenIfOpenDoesNotReturn(t *testing.T) {
	for _, by := range []string{"context", "Timeout"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				let := make(chan struct{})
				d.onOpen = func(context.Context, lifecycle.OpenInfo) error { <-let; return nil }
				s := openPaused(t, d, config{})
				ctx, want := background, 5*time.Second
				if by == "context" {
					ctx, want = within(t, 300*time.Millisecond), 300*time.Millisecond
				}
				start := time.Now()
				wantErr(t, s.Resume(ctx), context.DeadlineExceeded, "Resume")
				wantAfter(t, start, want, "a caller leaves at its deadline")
				close(let)
				synctest.Wait()
				wantState(t, s, lifecycle.Paused, "an error means that it is not active by this call")
				d.nothingHeld(t)
				wantNil(t, s.Resume(background), "the next Resume")
			})
		})
	}
}

func TestResumeBelongsToAllWhoWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		let := make(chan struct{})
		d.onOpen = func(ctx context.Context, _ lifecycle.OpenInfo) error {
			select {
			case <-let:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		s := openPaused(t, d, config{})
		patient := resume(s)
		wantErr(t, s.Resume(within(t, time.Second)), context.DeadlineExceeded, "one of two callers leaves")
		waiting(t, patient, "Open has not returned")
		close(let)
		wantNil(t, returned(t, patient, "the patient Resume"), "the attempt is cancelled only when the last has left")
		wantState(t, s, lifecycle.Active, "the patient Resume")
	})
}

// A caller that leaves in the moment in which the store becomes active must not say that it has failed.
func TestResumeNeverFailsAndIsActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		slow := make(chan struct{})
		s := openPaused(t, d, config{Observer: lifecycle.ObserverFunc(func(e lifecycle.Event) {
			if e.To == lifecycle.Active {
				<-slow
			}
		})})
		r := begin(func() error { return s.Resume(within(t, time.Second)) })
		time.Sleep(time.Minute)
		synctest.Wait()
		active := s.State() == lifecycle.Active
		close(slow)
		err := <-r
		if (err == nil) != active || (err == nil) != (s.State() == lifecycle.Active) {
			t.Errorf("Resume returned %v and the store is %v; an error means that it is not active by this call", err, s.State())
		}
	})
}

func TestResumeWithAnEndedContextOvertakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		h := inGo(background, s.Read)
		p := pause(s)
		wantErr(t, s.Resume(endedCtx()), context.Canceled, "Resume with an ended context")
		waiting(t, p, "the Pause was not overtaken")
		wantNil(t, h.release(), "the reader")
		wantNil(t, returned(t, p, "Pause"), "Pause")
		wantErr(t, s.Resume(endedCtx()), context.Canceled, "Resume with an ended context")
		wantState(t, s, lifecycle.Paused, "nothing was opened")
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, fullSevering{d}, config{})
		r, w := inGo(background, s.Read), inStatement(background, s.Write)
		d.took()
		c := begin(func() error { return s.Close(background) })
		waiting(t, c, "the same drain")
		everyKind(s, func(name string, op func(context.Context) error) {
			wantErr(t, op(background), lifecycle.ErrClosed, name+" during a Close")
		})
		wantNil(t, r.release(), "the reader")
		start := time.Now()
		wantNil(t, <-c, "Close")
		wantAfter(t, start, 2500*time.Millisecond, "the same grace")
		wantErr(t, <-w.result, lifecycle.ErrInterrupted, "the writer")
		wantSteps(t, d.took(), []string{"close read", "checkpoint write", "identify write", "close write"}, "the same steps")
	})
}

func TestCloseOfAPausedStoreAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, d, config{BeforeRelease: func(context.Context, *fakeConn) error { d.note("hook"); return nil }})
		wantNil(t, s.Pause(background), "Pause")
		d.took()
		wantNil(t, s.Close(background), "Close")
		wantState(t, s, lifecycle.Closed, "Close")
		wantSteps(t, d.took(), nil, "there is nothing to do")
	})
}

// A Resume that failed may have been unable to close what it had opened: whoever closes the store is told.
func TestFailedCloseOfAFailedResumeIsReportedByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s, err := lifecycle.Open(background, d, config{StartPaused: true})
		wantNil(t, err, "Open")
		boom := errors.New("boom")
		d.validated = func() (lifecycle.Change, error) { return 0, lifecycle.ErrReplaced }
		d.onClose = func(*fakeConn) error { return boom }
		wantErr(t, s.Resume(background), lifecycle.ErrReplaced, "Resume")
		synctest.Wait()
		wantErr(t, s.Close(background), boom, "Close")
		wantNil(t, s.Close(background), "an error is reported once")
	})
}

func TestErrorsOfTheDriverAreRecognised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, want := range []error{lifecycle.ErrMissing, lifecycle.ErrReplaced, lifecycle.ErrSchemaNewer, lifecycle.ErrInaccessible, os.ErrNotExist} {
			d := newFull(t)
			s := openPaused(t, d, config{})
			d.validate = func(context.Context) error { return fmt.Errorf("rooms.db: %w", want) }
			wantErr(t, s.Resume(background), want, "Resume passes on what the driver says")
			d.onOpen = func(context.Context, lifecycle.OpenInfo) error { return fmt.Errorf("rooms.db: %w", want) }
			d.validate = nil
			wantErr(t, s.Resume(background), want, "Resume passes on what the driver says")
		}
	})
}

func TestErrorOfOpenReachesTheCallerWhoNeedsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{Name: "rooms"})
		h := inGo(background, s.Read)
		boom := errors.New("too many open files")
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { return boom }
		everyKind(s, func(name string, op func(context.Context) error) {
			err := op(background)
			wantErr(t, err, boom, name)
			var typed *lifecycle.StateError
			if !errors.As(err, &typed) || typed.Store != "rooms" || typed.Op != name {
				t.Errorf("%v does not name the store and the operation", err)
			}
		})
		d.onOpen = nil
		wantNil(t, h.release(), "the reader that was open")
		everyKind(s, func(name string, op func(context.Context) error) { wantNil(t, op(background), name) })
	})
}

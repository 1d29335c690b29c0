package lifecycle_test

// Promises 3, 6 and 8: the order of the steps, what fails a pause and what
// does not, what may be repeated, and what the report says.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// W-10: the checkpoint runs after the readers are closed, on the last connection.
func TestW10StepsComeInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, d, config{
			Verify: true,
			BeforeRelease: func(_ context.Context, c *fakeConn) error {
				d.note(fmt.Sprintf("hook %v of %d", c.role, d.open.Load()))
				return c.run(ended)
			},
		})
		wantNil(t, s.Write(background, nothing), "Write")
		a, b := inGo(background, s.Read), inGo(background, s.Read)
		f := s.Foreign()
		_, _, err := f.Begin(background)
		wantNil(t, errors.Join(err, f.End(nil), a.release(), b.release()), "work")
		d.took()
		wantNil(t, s.Pause(background), "Pause")
		wantSteps(t, d.took(), []string{"hook write of 4", "close read", "close read", "close foreign",
			"checkpoint write", "identify write", "close write", "verify"},
			"hook with everything open, readers one after another, checkpoint, identity, the writer strictly last, proof")
		rep := s.Report()
		if rep.ReadersClosed != 3 || !rep.WriterClosed || rep.Op != "pause" || rep.Generation != 1 || rep.Err != nil || len(rep.Warnings) > 0 {
			t.Errorf("the report is %+v", rep)
		}
		wantSteps(t, d.took(), nil, "afterwards nothing happens")

		wantNil(t, s.Resume(background), "Resume")
		wantSteps(t, d.took(), []string{"validate", "open read", "validated"}, "Resume validates before anything is opened, and again after")
		wantNil(t, s.Pause(background), "Pause without a writer")
		wantSteps(t, d.took(), []string{"open write", "hook write of 2", "close read", "checkpoint write", "identify write", "close write", "verify"},
			"the writer is opened for the hook if need be")
	})
}

func TestWithoutAWriterTheLastReaderIsKeptForTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, d, config{})
		a, b, c := inGo(background, s.Read), inGo(background, s.Read), inGo(background, foreign(s))
		wantNil(t, errors.Join(a.release(), b.release(), c.release()), "reads")
		d.took()
		wantNil(t, s.Pause(background), "Pause")
		steps := d.took()
		n := len(steps)
		if n < 4 || !slices.Equal(steps[n-3:], []string{"checkpoint read", "identify read", "close read"}) {
			t.Errorf("steps %v; want the checkpoint, the identity, and then the close, of the last reader", steps)
		}
		if s.Report().WriterClosed || s.Report().ReadersClosed != n-2 {
			t.Errorf("the report is %+v", s.Report())
		}
	})
}

// foreign is a Foreign operation as an operation.
func foreign(s *store) operation {
	return func(ctx context.Context, fn func(*fakeConn) error) error {
		f := s.Foreign()
		c, _, err := f.Begin(ctx)
		if err != nil {
			return err
		}
		return f.End(fn(c))
	}
}

// The only reader may be in its clean-up, on its way back, when the pause begins.
func TestReaderInItsCleanUpIsKeptForTheCheckpointToo(t *testing.T) {
	for _, who := range []string{"read", "foreign", "read before a hook", "foreign before a hook"} {
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				var cfg config
				if strings.HasSuffix(who, "hook") {
					cfg.BeforeRelease = func(context.Context, *fakeConn) error { d.note("hook"); return nil }
				}
				s := open(t, d, cfg)
				in, let := make(chan struct{}), make(chan struct{})
				d.onReset = func(*fakeConn) error { close(in); <-let; return nil }
				op := operation(s.Read)
				if strings.HasPrefix(who, "foreign") {
					op = foreign(s)
				}
				r := begin(func() error { return op(background, nothing) })
				<-in
				d.onReset = nil
				d.took()
				p := pause(s)
				waiting(t, p, "a connection is being cleaned")
				if got := d.took(); len(got) > 0 {
					t.Errorf("%v before the clean-up has ended; a ROLLBACK is work in flight", got)
				}
				close(let)
				wantNil(t, returned(t, r, "the operation"), "the operation")
				wantNil(t, returned(t, p, "Pause"), "Pause")
				steps := d.took()
				if !slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(s, "checkpoint") }) {
					t.Errorf("steps %v; there was a connection, so there is a checkpoint and an identity", steps)
				}
			})
		})
	}
}

// Readers that wait, or come, at the moment of the pause have a place in the
// pool, or the reader itself, for an instant. In real time: it is a matter of goroutines, not of clocks.
func TestReaderIsKeptForTheCheckpointWhoeverComesLate(t *testing.T) {
	d := newFull(t)
	s := open(t, d, config{MaxReaders: 1})
	for n := range tier.Count(1000, 20_000, 500_000) {
		began, end := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Read(background, func(*fakeConn) error { close(began); <-end; return nil }) })
		<-began
		for range 3 {
			wg.Go(func() { _ = s.Read(background, nothing) })
		}
		for range n % 7 {
			runtime.Gosched()
		}
		d.took()
		wg.Go(func() { close(end) })
		wantNil(t, s.Pause(background), "Pause")
		want := []string{"checkpoint read", "identify read", "close read"}
		if steps := d.took(); !slices.Equal(steps, want) {
			t.Fatalf("the steps of pause %d are %v; want %v: there was a connection, so there is a checkpoint and an identity", n, steps, want)
		}
		wg.Wait()
		wantNil(t, s.Resume(background), "Resume")
	}
}

// The bound of a checkpoint is known before its timer runs, and ends it however
// the driver looks at its context.
func TestCheckpointIsBoundHoweverItLooks(t *testing.T) {
	type key struct{}
	for how, wait := range map[string]func(context.Context){
		"Done": func(ctx context.Context) { <-ctx.Done() },
		"Err": func(ctx context.Context) {
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
		},
		"derived": func(ctx context.Context) {
			derived, cancel := context.WithCancel(context.WithValue(ctx, key{}, 1))
			defer cancel()
			<-derived.Done()
		},
		"AfterFunc": func(ctx context.Context) {
			done := make(chan struct{})
			context.AfterFunc(ctx, func() { close(done) })
			<-done
		},
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				s := open(t, d, config{Timeout: 5 * time.Second})
				start := time.Now()
				var kept context.Context
				d.checkpoint = func(ctx context.Context, _ *fakeConn) (r lifecycle.CheckpointResult, err error) {
					kept = ctx
					end, has := ctx.Deadline()
					if err := ctx.Err(); err != nil || !has || end.Sub(start) != 4*time.Second {
						t.Errorf("it begins with %v, and ends after %v, %v; want four fifths of the time", err, end.Sub(start), has)
					}
					wait(ctx)
					if ctx.Err() != context.DeadlineExceeded || context.Cause(ctx) != context.DeadlineExceeded {
						t.Errorf("it ended with %v, %v", ctx.Err(), context.Cause(ctx))
					}
					return r, ctx.Err()
				}
				wantNil(t, s.Pause(background), "Pause")
				if took := s.Report().Checkpoint; took != 4*time.Second {
					t.Errorf("the checkpoint took %v; its bound was 4s", took)
				}
				select {
				case <-kept.Done():
				default:
					t.Error("the context outlives the checkpoint")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, d, config{})
		var kept context.Context
		d.checkpoint = func(ctx context.Context, _ *fakeConn) (r lifecycle.CheckpointResult, err error) { kept = ctx; return }
		wantNil(t, s.Pause(background), "Pause")
		if kept.Err() != context.Canceled {
			t.Errorf("a context that nobody has looked at ends with %v when the checkpoint is over", kept.Err())
		}
		<-kept.Done()
	})
}

func TestFailedCheckpointIsAWarning(t *testing.T) {
	boom := errors.New("disk full")
	for name, c := range map[string]struct {
		result lifecycle.CheckpointResult
		err    error
		panics bool
		want   string
	}{
		"error": {err: boom, want: "disk full"},
		"busy":  {result: lifecycle.CheckpointResult{Ran: true, Busy: true, Log: 9, Checkpointed: 4}, want: "busy"},
		"panic": {panics: true, want: "panic: ouch"},
		"fine":  {result: lifecycle.CheckpointResult{Mode: "truncate", Ran: true, Log: 3, Checkpointed: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				d.leftovers = []string{"rooms.db-wal"}
				d.checkpoint = func(context.Context, *fakeConn) (lifecycle.CheckpointResult, error) {
					time.Sleep(3 * time.Millisecond)
					if c.panics {
						panic("ouch")
					}
					return c.result, c.err
				}
				s := open(t, d, config{})
				wantNil(t, s.Pause(background), "a checkpoint that fails or is busy is a warning, not an error")
				rep := s.Report()
				if c.want == "" && len(rep.Warnings) > 0 || c.want != "" && (len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0], c.want)) {
					t.Errorf("warnings %v; want one that says %q", rep.Warnings, c.want)
				}
				if rep.CheckpointResult != c.result || rep.Checkpoint != 3*time.Millisecond || rep.Release() != 3*time.Millisecond {
					t.Errorf("the report is %+v", rep)
				}
				if !slices.Equal(rep.Leftovers, d.leftovers) {
					t.Errorf("leftovers %v; want what the driver left behind", rep.Leftovers)
				}
			})
		})
	}
}

// What is left where nothing was open any more, nobody could have written back: that is no proof that all is well.
func TestALogThatNobodyCouldWriteBackIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		d.leftovers = []string{"rooms.db-wal"}
		d.onReset = func(*fakeConn) error { return errors.New("unfit") }
		s := open(t, d, config{})
		wantNil(t, s.Read(background, func(*fakeConn) error { return nil }), "a read whose connection is closed after it")
		if n := d.open.Load(); n != 0 {
			t.Fatalf("%d connections are open", n)
		}
		wantNil(t, s.Pause(background), "Pause")
		if rep := s.Report(); len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0], "no connection was open") {
			t.Errorf("warnings %v; want one that says that nobody could write back", rep.Warnings)
		}
	})
}

func TestFailedIdentityIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		d.identify = func(*fakeConn) error { return errors.New("no table") }
		s := open(t, d, config{})
		wantNil(t, s.Pause(background), "Pause")
		if w := s.Report().Warnings; len(w) != 1 || !strings.Contains(w[0], "no table") {
			t.Errorf("warnings %v", w)
		}
	})
}

func TestFailedCloseIsAnErrorOfPause(t *testing.T) {
	for _, role := range []lifecycle.Role{lifecycle.Reader, lifecycle.Writer, lifecycle.Foreign} {
		for _, how := range []string{"error", "panic"} {
			t.Run(role.String()+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newFake(t)
					boom := errors.New("boom")
					s := open(t, d, config{})
					wantNil(t, s.Write(background, nothing), "Write")
					wantNil(t, foreign(s)(background, nothing), "Begin")
					d.onClose = func(c *fakeConn) error {
						switch {
						case c.role != role:
							return nil
						case how == "panic":
							panic(boom)
						default:
							return boom
						}
					}
					wantErr(t, s.Pause(background), boom, "a close that fails is an error")
					wantState(t, s, lifecycle.Paused, "it was released all the same, as far as that goes")
					wantErr(t, s.Report().Err, boom, "the report says what Pause returned")
					d.onClose = nil
					wantNil(t, s.Pause(background), "Pause of what is paused")
					wantNil(t, s.Resume(background), "Resume")
					wantNil(t, s.Pause(background), "an error is reported once")
				})
			})
		}
	}
}

// A connection that is closed outside a pause, because it was unfit, has a pause to report to.
func TestFailedCloseOutsideAPauseIsReportedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		d.onReset = func(*fakeConn) error { return errors.New("unfit") }
		for name, op := range map[string]operation{"read": s.Read, "write": s.Write, "foreign": foreign(s)} {
			boom := errors.New("boom")
			d.onClose = func(*fakeConn) error { return boom }
			wantNil(t, op(background, nothing), name)
			d.onClose = nil
			wantErr(t, s.Pause(background), boom, "the close of an unfit connection failed: "+name)
			wantNil(t, s.Resume(background), "Resume")
		}
		d.onReset = nil
	})
}

// Nobody waits any more for the pause that a late holder belonged to; the next one tells.
func TestFailedCloseOfALateHolderIsReportedByTheNextPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		h := inGo(background, s.Read)
		p := pause(s)
		wantNil(t, s.Resume(background), "Resume")
		wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
		boom := errors.New("boom")
		d.onClose = func(*fakeConn) error { return boom }
		wantNil(t, h.release(), "the late holder")
		synctest.Wait()
		d.onClose = nil
		wantErr(t, s.Pause(background), boom, "the close of a late holder's connection failed")
		wantNil(t, s.Resume(background), "Resume")
		wantNil(t, s.Pause(background), "an error is reported once")
	})
}

// A reader that turned out unfit is being closed outside the pool.
func TestSlowCloseOfAnUnfitReaderHoldsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		let := make(chan struct{})
		d.onReset = func(*fakeConn) error { return errors.New("unfit") }
		d.onClose = func(*fakeConn) error { <-let; return nil }
		r := begin(func() error { return s.Read(background, nothing) })
		wantHeld(t, s.Pause(within(t, time.Second)), lifecycle.StepReaders, "Pause while an unfit reader is being closed")
		close(let)
		wantNil(t, returned(t, r, "Read"), "Read")
		synctest.Wait()
		wantState(t, s, lifecycle.Paused, "by itself")
		d.onReset = nil
	})
}

func TestUnfitConnectionIsClosedAndNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 1})
		for name, op := range map[string]operation{"read": s.Read, "write": s.Write, "foreign": foreign(s)} {
			for _, how := range []string{"error", "panic"} {
				var conns []*fakeConn
				remember := func(c *fakeConn) error { conns = append(conns, c); return nil }
				d.onReset = func(*fakeConn) error {
					if how == "panic" {
						panic("unfit")
					}
					return errors.New("unfit")
				}
				wantNil(t, op(background, remember), name+": the operation itself was fine")
				d.onReset = nil
				wantNil(t, op(background, remember), name+" after an unfit connection")
				if conns[0] == conns[1] || !conns[0].closed {
					t.Errorf("%s, %s in Reset: an unfit connection is closed, and nobody gets it", name, how)
				}
			}
		}
	})
}

func TestBeforeRelease(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		hook func(ctx context.Context, c *fakeConn) error
		want error
	}{
		"an error":         {func(context.Context, *fakeConn) error { return boom }, boom},
		"a panic":          {func(context.Context, *fakeConn) error { panic(boom) }, boom},
		"the time is over": {func(ctx context.Context, _ *fakeConn) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				s := open(t, d, config{BeforeRelease: c.hook, Timeout: time.Second})
				wantErr(t, s.Pause(background), c.want, "Pause returns the hook's error")
				synctest.Wait()
				wantState(t, s, lifecycle.Paused, "but releases all the same")
				d.nothingHeld(t)
				wantNil(t, s.Pause(background), "Pause of what is paused")
				wantErr(t, s.Report().Err, c.want, "the report has the hook's error")
				if name == "the time is over" && s.Report().Hook != time.Second {
					t.Errorf("the report tells of %v for the hook", s.Report().Hook)
				}
				wantNil(t, s.Resume(background), "Resume")
				err := s.Close(background)
				wantErr(t, err, c.want, "Close returns the hook's error")
				synctest.Wait()
			})
		})
	}
}

// Promise 5: what has nothing to do when the time is over does not fail for that.
func TestBeforeReleaseGetsAWriterThoughTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		ran := 0
		s := open(t, d, config{BeforeRelease: func(ctx context.Context, _ *fakeConn) error {
			if ran++; ctx.Err() == nil {
				t.Error("the hook's context has not ended with the pause's")
			}
			return nil
		}})
		d.onOpen = func(ctx context.Context, _ lifecycle.OpenInfo) error { return ctx.Err() }
		_ = s.Pause(endedCtx())
		wantNil(t, s.Pause(background), "a later Pause")
		wantNil(t, s.Report().Err, "the report")
		if ran != 1 {
			t.Errorf("the hook ran %d times", ran)
		}
		d.onOpen = nil
	})
}

func TestBeforeReleaseWhoseWriterCanNotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		boom := errors.New("boom")
		s := open(t, d, config{BeforeRelease: func(context.Context, *fakeConn) error { t.Error("the hook ran without a writer"); return nil }})
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { return boom }
		wantErr(t, s.Pause(background), boom, "Pause")
		wantState(t, s, lifecycle.Paused, "it released all the same")
		d.nothingHeld(t)
		d.onOpen = nil
	})
}

// Promise 6.
func TestPauseAndResumeAndCloseMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, d, config{})
		for range 3 {
			for range 10 {
				wantNil(t, s.Resume(background), "Resume of what runs")
				wantNil(t, s.Resume(endedCtx()), "Resume of what runs, whatever the context says")
			}
			if n := d.open.Load(); n != 1 {
				t.Errorf("%d connections are open; resuming what runs does nothing", n)
			}
			for range 10 {
				wantNil(t, s.Pause(background), "Pause of what is paused")
			}
			d.took()
			for range 10 {
				wantNil(t, s.Pause(endedCtx()), "Pause of what is paused, whatever the context says")
			}
			wantSteps(t, d.took(), nil, "pausing what is paused does nothing")
			wantNil(t, s.Resume(background), "Resume")
		}
		for range 10 {
			wantNil(t, s.Close(background), "Close of what is closed")
			wantNil(t, s.Pause(background), "Pause of what is closed")
			wantErr(t, s.Resume(background), lifecycle.ErrClosed, "Resume of what is closed")
		}
		if st := s.Stats(); st.State != lifecycle.Closed || st.Readers != 0 || st.WriterOpen {
			t.Errorf("stats of a closed store: %+v", st)
		}
	})
}

func TestOverlappingCallsTowardsOneGoalJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, d, config{})
		h := inGo(background, s.Read)
		var calls []<-chan error
		for range 100 {
			calls = append(calls, pause(s))
		}
		wantNil(t, h.release(), "the reader")
		for _, c := range calls {
			wantNil(t, returned(t, c, "an overlapping Pause"), "Pause")
		}
		if st := s.Stats(); st.Pauses != 1 {
			t.Errorf("%d pauses for overlapping calls; want 1", st.Pauses)
		}
		d.took()
		let := make(chan struct{})
		d.validate = func(context.Context) error { <-let; return nil }
		calls = nil
		for range 100 {
			calls = append(calls, resume(s))
		}
		close(let)
		for _, c := range calls {
			wantNil(t, returned(t, c, "an overlapping Resume"), "Resume")
		}
		wantSteps(t, d.took(), []string{"validate", "open read", "validated"}, "overlapping Resumes join")
		d.validate = nil
	})
}

// W-14: however calls overlap, there is one state at the end, and every nil was true when it was returned.
func TestW14HundredOverlappingPausesAndResumesEndInOneState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		for range tier.Count(20, 500, 5000) {
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					var err error
					if i%2 == 0 {
						err = s.Pause(background)
					} else {
						err = s.Resume(background)
					}
					if err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
						t.Errorf("an overlapping call returned %v; want nil or ErrSuperseded", err)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			switch state := s.State(); state {
			case lifecycle.Active:
				wantNil(t, s.Read(background, statement), "a Read of an active store")
				if st := s.Stats(); st.OldReaders != 0 || d.open.Load() != int64(st.Readers) {
					t.Errorf("%d connections are open; stats %+v", d.open.Load(), st)
				}
			case lifecycle.Paused:
				d.nothingHeld(t)
			default:
				t.Errorf("at rest the state is %v; want active or paused", state)
			}
			wantNil(t, s.Pause(background), "Pause")
			d.nothingHeld(t)
			wantNil(t, s.Resume(background), "Resume")
		}
	})
}

func TestReportOfAResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		d.validated = func() (lifecycle.Change, error) { return lifecycle.ChangeYes, nil }
		cfg := config{Name: "rooms", AfterReopen: func(context.Context, *fakeConn) error { time.Sleep(3 * time.Second); return nil }}
		s := open(t, d, cfg)
		if rep := s.Report(); rep.Op != "resume" || rep.Reopen != 0 {
			t.Errorf("the report of the first opening is %+v", rep)
		}
		wantNil(t, s.Pause(background), "Pause")
		d.validate = func(context.Context) error { time.Sleep(time.Second); return nil }
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { time.Sleep(2 * time.Second); return nil }
		start := time.Now()
		wantNil(t, s.Resume(within(t, time.Minute)), "Resume")
		rep := *s.Report()
		want := lifecycle.Report{Store: "rooms", Op: "resume", Generation: 2, Start: start, Total: 6 * time.Second,
			Validate: time.Second, Open: 2 * time.Second, Reopen: 3 * time.Second, Changed: lifecycle.ChangeYes}
		if fmt.Sprintf("%+v", rep) != fmt.Sprintf("%+v", want) {
			t.Errorf("the report is\n%+v\nwant\n%+v", rep, want)
		}
	})
}

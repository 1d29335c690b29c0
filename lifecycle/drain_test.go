package lifecycle_test

// Promise 2: work in flight is let finish; then it is interrupted; then severed.

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// W-01: the end of the last operation wakes the pause; nothing polls.
func TestW01PauseReturnsWhenTheLastOperationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		start := time.Now()
		var all []*held
		for range 2 {
			all = append(all, inStatement(background, s.Read))
		}
		all = append(all, inStatement(background, s.Write))
		p := pause(s)
		for _, h := range all {
			waiting(t, p, "work in flight is let finish")
			time.Sleep(7 * time.Millisecond)
			wantNil(t, h.release(), "work in flight is let finish")
		}
		wantNil(t, <-p, "Pause")
		wantAfter(t, start, 21*time.Millisecond, "Pause returns at the instant at which the last operation ends")
		if n := d.interrupts.Load(); n != 0 {
			t.Errorf("%d interrupts within the grace", n)
		}
	})
}

// W-02: time-out, grace and deadline are the caller's to choose.
func TestW02InterruptsStartAtTheGraceOrFourFifthsOfTheTime(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  config
		ctx  time.Duration
		want time.Duration
	}{
		"by default at half of the default Timeout":         {want: 2500 * time.Millisecond},
		"half of the Timeout":                               {cfg: config{Timeout: time.Second}, want: 500 * time.Millisecond},
		"the Grace":                                         {cfg: config{Grace: time.Second}, want: time.Second},
		"a Grace beyond the Timeout":                        {cfg: config{Grace: time.Hour}, want: 4 * time.Second},
		"the context has less time":                         {ctx: 800 * time.Millisecond, want: 640 * time.Millisecond},
		"the context has more time: the Grace stays":        {ctx: time.Hour, want: 2500 * time.Millisecond},
		"the context has more time than a long Grace":       {cfg: config{Grace: 10 * time.Minute}, ctx: time.Hour, want: 10 * time.Minute},
		"the context goes before the Timeout in both sides": {cfg: config{Timeout: time.Second, Grace: time.Minute}, ctx: 100 * time.Second, want: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				s := open(t, d, c.cfg)
				r, w := inStatement(background, s.Read), inStatement(background, s.Write)
				ctx := background
				if c.ctx > 0 {
					ctx = within(t, c.ctx)
				}
				start := time.Now()
				wantNil(t, s.Pause(ctx), "Pause of an operation that an interrupt ends")
				wantAfter(t, start, c.want, "interrupts start at the earlier of the Grace and four fifths of the time")
				wantErr(t, <-r.result, lifecycle.ErrInterrupted, "the interrupted Read")
				wantErr(t, <-w.result, lifecycle.ErrInterrupted, "the interrupted Write")
				if rep := s.Report(); rep.Interrupts != 2 || rep.Severed != 0 || rep.Drain != c.want {
					t.Errorf("the report tells of %d interrupted, %d severed, a drain of %v", rep.Interrupts, rep.Severed, rep.Drain)
				}
				if st := s.Stats(); st.Interrupts != 2 {
					t.Errorf("Stats tells of %d interrupts", st.Interrupts)
				}
			})
		})
	}
}

// An interrupt that arrives between two statements is lost, so it is repeated.
func TestInterruptsAreRepeatedWithBackOffUntilTheOperationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &noting{fakeDriver: newFake(t), start: time.Now()}
		d.stuck = true
		s, err := lifecycle.Open(background, d, config{Grace: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		h := inStatement(background, s.Read)
		p := pause(s)
		time.Sleep(1250 * time.Millisecond)
		wantNil(t, h.release(), "a statement that ended well in spite of interrupts")
		wantNil(t, <-p, "Pause")
		time.Sleep(time.Minute)
		var want []time.Duration
		at, step := time.Second, time.Millisecond
		for at < 1250*time.Millisecond {
			want = append(want, at)
			at += step
			step = min(2*step, 50*time.Millisecond)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.at) != len(want) {
			t.Fatalf("interrupted at %v; want %v: from the grace on, after 1, 2, 4 … 50 ms, until the operation ends", d.at, want)
		}
		for i := range want {
			if d.at[i] != want[i] {
				t.Fatalf("interrupted at %v; want %v", d.at, want)
			}
		}
		wantNil(t, s.Close(background), "Close")
		d.allGone(t)
	})
}

// noting notes when interrupts came.
type noting struct {
	*fakeDriver
	start time.Time
	mu    sync.Mutex
	at    []time.Duration
}

func (d *noting) Interrupt(c *fakeConn) {
	d.mu.Lock()
	d.at = append(d.at, time.Since(d.start))
	d.mu.Unlock()
	d.fakeDriver.Interrupt(c)
}

func TestOfSeveralCallersTheShortestTimeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{Timeout: 100 * time.Second})
		h := inStatement(background, s.Read)
		start := time.Now()
		long, short := begin(func() error { return s.Pause(within(t, time.Minute)) }), begin(func() error { return s.Pause(within(t, time.Second)) })
		longest := pause(s)
		for _, p := range []<-chan error{long, short, longest} {
			wantNil(t, <-p, "Pause")
			wantAfter(t, start, 800*time.Millisecond, "four fifths of the shortest time of those who wait")
		}
		wantErr(t, <-h.result, lifecycle.ErrInterrupted, "the interrupted Read")
	})
}

func TestLaterShorterCallerMovesInterruptsForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{Timeout: 100 * time.Second})
		h := inStatement(background, s.Read)
		start := time.Now()
		long := pause(s)
		time.Sleep(time.Second)
		wantNil(t, s.Pause(within(t, time.Second)), "the shorter Pause")
		wantAfter(t, start, 1600*time.Millisecond, "four fifths of the two seconds between the first call and the earliest deadline")
		wantNil(t, returned(t, long, "the longer Pause, which the same release serves"), "Pause")
		wantErr(t, <-h.result, lifecycle.ErrInterrupted, "the interrupted Read")
	})
}

func TestWhatHoldsAtTheDeadlineIsSevered(t *testing.T) {
	for name, c := range map[string]struct{ ctx, want time.Duration }{
		"the Timeout":                          {0, 5 * time.Second},
		"a shorter context":                    {time.Second, time.Second},
		"a longer context goes before Timeout": {time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				s := open(t, fullSevering{d}, config{})
				r, w := inGo(background, s.Read), inGo(background, s.Write)
				f := s.Foreign()
				_, _, err := f.Begin(background)
				wantNil(t, err, "Begin")
				ctx := background
				if c.ctx > 0 {
					ctx = within(t, c.ctx)
				}
				start := time.Now()
				err = s.Pause(ctx)
				wantAfter(t, start, c.want, "Pause comes back at its deadline")
				if err != nil { // severing and the end of the waiting come at the same instant
					var h *lifecycle.HeldError
					if !errors.As(err, &h) || len(h.Holders) != 3 {
						t.Errorf("%v; want a *HeldError that names all three, severed in the same moment or not", err)
					}
				}
				synctest.Wait()
				wantState(t, s, lifecycle.Paused, "severed connections hold nothing, although the callbacks still run")
				d.nothingHeld(t)
				if rep := s.Report(); rep.Severed != 3 || rep.Total != c.want {
					t.Errorf("the report tells of %d severed after %v; want 3 after %v", rep.Severed, rep.Total, c.want)
				}
				if n := s.Stats().Severed; n != 3 {
					t.Errorf("Stats tells of %d severed; want 3", n)
				}
				wantErr(t, r.conn.run(ended), lifecycle.ErrInterrupted, "the owner's next call on a severed connection")
				wantErr(t, w.conn.run(ended), lifecycle.ErrInterrupted, "the owner's next call on a severed connection")
				wantNil(t, r.release(), "a callback that returns nil returned nil")
				wantNil(t, w.release(), "a callback that returns nil returned nil")
				wantErr(t, f.End(errors.New("x")), lifecycle.ErrInterrupted, "the error of a severed Foreign operation")
			})
		})
	}
}

// The zombie of a severed connection harms nobody, however late it comes back.
func TestZombieOfASeveredConnectionHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, severingDriver{d}, config{MaxReaders: 1, Timeout: time.Second})
		r, w := inGo(background, s.Read), inGo(background, s.Write)
		_ = s.Pause(background)
		synctest.Wait()
		wantState(t, s, lifecycle.Paused, "severed connections hold nothing")
		if n := len(s.Holders()); n != 0 {
			t.Errorf("%d holders although everything was severed", n)
		}
		wantNil(t, s.Resume(background), "Resume")
		w2 := inGo(background, s.Write)
		r2 := inGo(background, s.Read)
		wantNil(t, w.release(), "the zombie writer")
		wantNil(t, r.release(), "the zombie reader")
		queued := begin(func() error { return s.Write(background, nothing) })
		waiting(t, queued, "the zombie's return must not give the new writer's gate away")
		queuedR := begin(func() error { return s.Read(background, nothing) })
		waiting(t, queuedR, "the zombie's return must not give the new reader's place away")
		wantNil(t, r2.release(), "the new reader")
		wantNil(t, w2.release(), "the new writer")
		wantNil(t, returned(t, queued, "the queued writer"), "Write")
		wantNil(t, returned(t, queuedR, "the queued reader"), "Read")
		wantNil(t, s.Pause(background), "Pause")
		d.nothingHeld(t)
	})
}

// A statement that is inside the connection keeps it from being severed until it leaves.
func TestSeveringWaitsForTheCallThatIsInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		d.stuck = true
		s := open(t, severingDriver{d}, config{Timeout: time.Second})
		r, w := inStatement(background, s.Read), inStatement(background, s.Write)
		err := s.Pause(background)
		h := wantHeld(t, err, lifecycle.StepDrain, "Pause while calls are inside the connections")
		if len(h.Holders) != 2 {
			t.Errorf("holders %v; want two", h.Holders)
		}
		time.Sleep(time.Minute)
		wantState(t, s, lifecycle.Pausing, "until the calls have left")
		wantErr(t, r.release(), lifecycle.ErrInterrupted, "the severed Read")
		wantState(t, s, lifecycle.Pausing, "until the last call has left")
		wantErr(t, w.release(), lifecycle.ErrInterrupted, "the severed Write")
		synctest.Wait()
		wantState(t, s, lifecycle.Paused, "without anybody asking")
		d.nothingHeld(t)
	})
}

func TestEndedContextInterruptsAndSeversAtOnce(t *testing.T) {
	for _, how := range []string{"ended before", "cancelled while waiting"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				s := open(t, severingDriver{d}, config{})
				r, w := inStatement(background, s.Read), inGo(background, s.Write)
				start := time.Now()
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				if how == "ended before" {
					cancel()
				}
				p := begin(func() error { return s.Pause(ctx) })
				if how != "ended before" {
					waiting(t, p, "within the grace")
					cancel()
				}
				err := returned(t, p, "a Pause whose context has ended")
				wantErr(t, err, context.Canceled, "Pause matches its context's error")
				wantHeld(t, err, lifecycle.StepDrain, "Pause that has not waited")
				wantErr(t, <-r.result, lifecycle.ErrInterrupted, "a Read under a pause without time")
				synctest.Wait()
				wantState(t, s, lifecycle.Paused, "what could not be interrupted was severed")
				wantNil(t, w.release(), "the severed writer's callback")
				wantAfter(t, start, 0, "all of that")
			})
		})
	}
}

func TestContextThatWasOvertakenInterruptsNobody(t *testing.T) {
	for _, how := range []string{"ended before", "cancelled while waiting"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				s := open(t, severingDriver{d}, config{})
				h := inStatement(background, s.Read)
				ctx, cancel := context.WithCancelCause(background)
				if how == "ended before" {
					cancel(lifecycle.ErrSuperseded)
				}
				p := begin(func() error { return s.Pause(ctx) })
				cancel(lifecycle.ErrSuperseded)
				wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "a Pause whose context ended because a group was overtaken")
				time.Sleep(time.Hour)
				if n := d.interrupts.Load(); n != 0 {
					t.Errorf("%d interrupts for a group that was overtaken", n)
				}
				wantState(t, s, lifecycle.Pausing, "the pause itself was not overtaken")
				start := time.Now()
				wantNil(t, s.Pause(background), "the next Pause")
				wantErr(t, <-h.result, lifecycle.ErrInterrupted, "the Read")
				wantAfter(t, start, 2500*time.Millisecond, "the next Pause has a grace of its own")
			})
		})
	}
}

func TestCallbackThatReturnedNilReturnedNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		for name, op := range map[string]operation{"Read": s.Read, "Write": s.Write} {
			h := &held{end: make(chan struct{}), result: make(chan error, 1)}
			h.start(background, op, func(c *fakeConn) error {
				_ = c.run(h.end) // a COMMIT that succeeded, and an interrupt that came right after it
				return nil
			})
			wantNil(t, s.Pause(background), "Pause")
			wantNil(t, <-h.result, name+": what was committed is acknowledged, interrupted or not")
			wantNil(t, s.Resume(background), "Resume")
		}
		if d.interrupts.Load() == 0 {
			t.Error("nothing was interrupted, so nothing was shown")
		}
	})
}

func TestErrorOfAnInterruptedOperationMatchesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{Name: "rooms"})
		h := inStatement(background, s.Write)
		wantNil(t, s.Pause(background), "Pause")
		err := <-h.result
		wantErr(t, err, lifecycle.ErrInterrupted, "an interrupted operation")
		wantErr(t, err, errFakeInterrupt, "the callback's own error stays visible")
		if errors.Is(err, context.Canceled) || errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("%v: its own context had not ended, and it was not refused", err)
		}
	})
}

// W-27: a long operation on the writer delays the pause for its grace, no longer.
func TestW27LongWriteIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{Grace: 100 * time.Millisecond})
		h := inStatement(lifecycle.WithLabel(background, "vacuum"), s.Write)
		start := time.Now()
		wantNil(t, s.Pause(background), "Pause beside a VACUUM")
		wantAfter(t, start, 100*time.Millisecond, "the VACUUM is interrupted")
		wantErr(t, <-h.result, lifecycle.ErrInterrupted, "the VACUUM")
	})
}

// W-08: an operation whose caller has cancelled it is waited for until it has left its connection.
func TestW08CancelledOperationIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		d.stuck = true
		s := open(t, d, config{})
		for _, op := range []operation{s.Read, s.Write} {
			ctx, cancel := context.WithCancel(background)
			h := inStatement(ctx, op)
			cancel()
			synctest.Wait()
			p := pause(s)
			waiting(t, p, "the statement still runs, although nobody wants its result")
			wantNil(t, h.release(), "the statement that ended well")
			wantNil(t, returned(t, p, "Pause"), "Pause")
			wantNil(t, s.Resume(background), "Resume")
		}
	})
}

// A reader may be opened for somebody who does not wait for it any more. The
// pause lets the opening end, and learns the instant at which the reader has come to the pool.
func TestPauseEndsWithTheOpeningForSomebodyWhoHasLeft(t *testing.T) {
	for _, leaves := range []string{"before the pause", "with the pause", "with the Resume that is overtaken"} {
		t.Run("who leaves "+leaves, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				slow := func(context.Context, lifecycle.OpenInfo) error { time.Sleep(time.Second); return nil } // whatever its context says
				var s *store
				start := time.Now()
				if leaves == "with the Resume that is overtaken" {
					d.onOpen = slow
					s = openPaused(t, d, config{})
					r := resume(s)
					defer func() { wantErr(t, <-r, lifecycle.ErrSuperseded, "the overtaken Resume") }()
				} else {
					s = open(t, d, config{MaxReaders: 2})
					h := inGo(background, s.Read)
					d.onOpen = slow
					ctx, cancel := context.WithCancel(background)
					r := begin(func() error { return s.Read(ctx, nothing) })
					want := lifecycle.ErrPaused
					if leaves == "before the pause" {
						cancel()
						want = context.Canceled
						wantErr(t, returned(t, r, "its context ended"), want, "a Read whose connection opens slowly")
					} else {
						defer func() { wantErr(t, <-r, want, "a Read whose connection opens slowly") }()
					}
					defer cancel()
					d.onReset = func(*fakeConn) error { return errors.New("unfit") } // so that the new one is the last
					wantNil(t, h.release(), "the other reader")
				}
				p := pause(s)
				time.Sleep(time.Second - time.Nanosecond)
				waiting(t, p, "a connection under construction is part of the drain")
				wantNil(t, <-p, "Pause")
				wantAfter(t, start, time.Second, "Pause returns at the instant at which the opening ends")
				d.nothingHeld(t)
				if n := s.Report().ReadersClosed; n != int(d.opened.Load()) {
					t.Errorf("the report tells of %d readers that were closed; want %d", n, d.opened.Load())
				}
				if steps := d.took(); leaves != "with the Resume that is overtaken" && !slices.Contains(steps, "checkpoint read") {
					t.Errorf("steps %v; what was opened for somebody who has left is idle by then, so there is a reader for the checkpoint", steps)
				}
			})
		})
	}
}

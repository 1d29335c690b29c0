package lifecycle_test

// Promise 7: the latest intent wins, both ways, and there is never a second writer.

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestResumeWaitsForNoStuckReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 1})
		h := inStatement(background, s.Read)
		start := time.Now()
		p := pause(s)
		wantNil(t, s.Resume(background), "Resume beside a stuck reader")
		wantErr(t, returned(t, p, "the overtaken Pause"), lifecycle.ErrSuperseded, "the overtaken Pause returns at once")
		wantAfter(t, start, 0, "all of that")
		wantNil(t, s.Read(background, func(c *fakeConn) error {
			if c.gen != 2 || c == h.conn {
				t.Errorf("served by generation %d; want the new one", c.gen)
			}
			return nil
		}), "new readers are served at once, by a new generation")
		if st := s.Stats(); st.Readers != 1 || st.OldReaders != 1 || st.Generation != 2 {
			t.Errorf("stats %+v; want one reader of each generation", st)
		}
		time.Sleep(time.Hour)
		if n := d.interrupts.Load(); n != 0 {
			t.Errorf("%d interrupts from a pause that was overtaken", n)
		}
		wantNil(t, h.release(), "the old reader, which is legitimate again")
		synctest.Wait()
		if st := s.Stats(); st.OldReaders != 0 || d.open.Load() != 1 {
			t.Errorf("stats %+v, %d open; a late holder's connection is closed when it lets go", st, d.open.Load())
		}
	})
}

func TestNextPauseStartsItsOwnGraceForAnOldReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{Grace: time.Second})
		old := inStatement(lifecycle.WithLabel(background, "old"), s.Read)
		p := pause(s)
		time.Sleep(900 * time.Millisecond)
		wantNil(t, s.Resume(background), "Resume")
		wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
		young := inStatement(lifecycle.WithLabel(background, "young"), s.Read)
		time.Sleep(time.Minute)
		start := time.Now()
		p = pause(s)
		time.Sleep(999 * time.Millisecond)
		holders := s.Holders()
		slices.SortFunc(holders, func(a, b lifecycle.Holder) int { return int(a.Generation) - int(b.Generation) })
		if len(holders) != 2 || holders[0].Label != "old" || holders[0].Generation != 1 || holders[1].Label != "young" || holders[1].Generation != 2 {
			t.Errorf("holders %v; want those of all generations", holders)
		}
		wantNil(t, <-p, "a Pause waits for the same remainder, of all generations")
		wantAfter(t, start, time.Second, "its own grace")
		wantErr(t, <-old.result, lifecycle.ErrInterrupted, "the old reader")
		wantErr(t, <-young.result, lifecycle.ErrInterrupted, "the young reader")
		d.nothingHeld(t)
	})
}

func TestOpenWriterIsHandedOverToTheResumeThatOvertakes(t *testing.T) {
	for _, writer := range []string{"idle", "busy"} {
		t.Run(writer, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				s := open(t, d, config{})
				wantNil(t, s.Write(background, nothing), "Write")
				r := inGo(background, s.Read)
				var w *held
				if writer == "busy" {
					w = inStatement(background, s.Write)
				}
				p := pause(s)
				d.took()
				start := time.Now()
				wantNil(t, s.Resume(background), "Resume")
				wantAfter(t, start, 0, "Resume waits for no stuck reader or writer")
				wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
				queued := begin(func() error { return s.Write(background, statement) })
				if w != nil {
					waiting(t, queued, "a new writer waits for the old one: there is never a second")
					if !s.Stats().WriterInUse {
						t.Error("Stats does not show the old writer")
					}
					wantNil(t, w.release(), "the old writer")
				}
				wantNil(t, returned(t, queued, "the new writer"), "Write")
				wantSteps(t, d.took(), []string{"validate", "open read", "validated"}, "an open writer is handed over, not reopened")
				wantNil(t, r.release(), "the stuck reader")
				w2 := inGo(background, s.Write)
				h := wantHeld(t, s.Pause(endedCtx()), lifecycle.StepDrain, "Pause")
				if len(h.Holders) != 1 || h.Holders[0].Generation != 2 {
					t.Errorf("holders %v; the operation belongs to the generation that it began in", h.Holders)
				}
				wantNil(t, w2.release(), "the writer")
			})
		})
	}
}

// From the point on at which the releaser has the gate and all readers are
// closed, a Resume lets it finish and opens anew.
func TestResumeAfterThePointOfNoReturnOpensAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		in, let := make(chan struct{}), make(chan struct{})
		d.checkpoint = func(ctx context.Context, _ *fakeConn) (lifecycle.CheckpointResult, error) {
			close(in)
			<-ctx.Done() // a Resume tells the checkpoint to give up
			<-let
			return lifecycle.CheckpointResult{}, ctx.Err()
		}
		s := open(t, d, config{})
		wantNil(t, s.Write(background, nothing), "Write")
		d.took()
		p := pause(s)
		<-in
		r := resume(s)
		waiting(t, r, "the releaser is past its point of no return")
		wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause returns at once all the same")
		close(let)
		wantNil(t, returned(t, r, "Resume"), "Resume")
		wantSteps(t, d.took(), []string{"close read", "checkpoint write", "identify write", "close write", "validate", "open read", "validated"},
			"the old connections are gone before the new are opened")
		wantNil(t, s.Write(background, statement), "Write")
		d.checkpoint = nil
	})
}

func TestPauseTakesOverWhatAResumeIsOpening(t *testing.T) {
	for _, open := range []string{"gives up when its context ends", "does not give up"} {
		t.Run("an Open that "+open, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				let := make(chan struct{})
				d.onOpen = func(ctx context.Context, _ lifecycle.OpenInfo) error {
					if open == "does not give up" {
						<-let
						return nil
					}
					select {
					case <-let:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				s := openPaused(t, d, config{BeforeRelease: func(context.Context, *fakeConn) error {
					t.Error("BeforeRelease ran for a store that has not been active")
					return nil
				}})
				start := time.Now()
				r := resume(s)
				wantState(t, s, lifecycle.Resuming, "while Open is blocked")
				p := pause(s)
				wantErr(t, returned(t, r, "the overtaken Resume"), lifecycle.ErrSuperseded, "the overtaken Resume")
				if open == "does not give up" {
					waiting(t, p, "a connection under construction is part of the drain")
					h := wantHeld(t, s.Pause(within(t, time.Second)), lifecycle.StepOpen, "Pause while Open is blocked")
					if len(h.Holders) > 0 {
						t.Errorf("holders %v although nobody holds anything", h.Holders)
					}
					close(let)
				} else {
					wantAfter(t, start, 0, "Open's context ends with the Resume")
				}
				wantNil(t, returned(t, p, "Pause"), "Pause")
				wantState(t, s, lifecycle.Paused, "after the Pause")
				d.nothingHeld(t)
				d.onOpen = nil
			})
		})
	}
}

func openPaused(t *testing.T, driver lifecycle.Driver[*fakeConn], cfg config) *store {
	cfg.StartPaused = true
	return open(t, driver, cfg)
}

func TestCloseOvertakesAResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		d.onOpen = func(ctx context.Context, _ lifecycle.OpenInfo) error { <-ctx.Done(); return ctx.Err() }
		s := openPaused(t, d, config{})
		r := resume(s)
		wantNil(t, s.Close(background), "Close during a Resume")
		wantErr(t, returned(t, r, "the overtaken Resume"), lifecycle.ErrSuperseded, "the overtaken Resume")
		wantErr(t, s.Resume(background), lifecycle.ErrClosed, "Resume of what is closed")
	})
}

func TestCloseJoinsAPauseAndMakesItFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		s := open(t, d, config{})
		h := inGo(background, s.Read)
		p := pause(s)
		c := begin(func() error { return s.Close(background) })
		wantErr(t, s.Resume(background), lifecycle.ErrClosed, "a Close can not be overtaken")
		wantHeld(t, s.Close(within(t, time.Second)), lifecycle.StepDrain, "Close while a reader stays: the same HeldError")
		wantNil(t, h.release(), "the reader")
		wantNil(t, returned(t, p, "the Pause"), "Pause")
		wantNil(t, returned(t, c, "the Close"), "Close")
		wantState(t, s, lifecycle.Closed, "for good")
		if op := s.Report().Op; op != "close" {
			t.Errorf("the report is of a %q", op)
		}
	})
}

// A26: readers who never let go must not add up without bound.
func TestReadersOfAllGenerationsTogetherAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 2, Grace: time.Hour, Timeout: 2 * time.Hour})
		var all []*held
		for i := range 4 {
			for range 2 {
				all = append(all, inGo(background, s.Read))
			}
			p := pause(s)
			err := s.Resume(background)
			wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
			if i < 3 {
				wantNil(t, err, "Resume beside stuck readers")
				continue
			}
			h := wantHeld(t, err, lifecycle.StepOpen, "readers of all generations together are limited to 4 × MaxReaders")
			if len(h.Holders) != 8 {
				t.Errorf("%d holders are named; want 8", len(h.Holders))
			}
		}
		if n := d.open.Load(); n != 8 {
			t.Errorf("%d readers are open; want at most 4 × 2", n)
		}
		wantErr(t, s.Read(background, nothing), lifecycle.ErrPaused, "a store whose Resume failed is not active")
		wantNil(t, errors.Join(all[0].release(), all[1].release()), "two readers")
		synctest.Wait()
		wantNil(t, s.Resume(background), "Resume may be tried again when some have let go")
		for _, h := range all[2:] {
			wantNil(t, h.release(), "a stuck reader")
		}
		synctest.Wait()
		if st := s.Stats(); st.OldReaders != 0 || st.Readers != 1 {
			t.Errorf("stats %+v; late holders' connections are closed when they let go", st)
		}
	})
}

// A Resume whose callers have all left has failed, whatever it does afterwards:
// one that comes next must not lose what it opened.
func TestDesertedResumeLeaksNothing(t *testing.T) {
	for _, next := range []string{"resume", "pause", "nothing"} {
		t.Run("then "+next, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				let := make(chan struct{})
				first := true
				s := openPaused(t, d, config{AfterReopen: func(context.Context, *fakeConn) error {
					if first {
						first = false
						<-let // whatever the context says
					}
					return nil
				}})
				err := s.Resume(within(t, time.Second))
				wantErr(t, err, context.DeadlineExceeded, "a Resume whose time ended")
				var r <-chan error
				switch next {
				case "resume":
					r = resume(s)
				case "pause":
					r = pause(s)
				}
				if now := s.State(); now == lifecycle.Active {
					t.Error("active, although the only Resume has failed")
				}
				close(let)
				if r != nil {
					wantNil(t, returned(t, r, next), next)
				}
				synctest.Wait()
				if next == "resume" {
					wantState(t, s, lifecycle.Active, "the second Resume")
					if d.open.Load() != 1 {
						t.Errorf("%d connections are open; want the first reader alone", d.open.Load())
					}
				} else {
					wantState(t, s, lifecycle.Paused, "it becomes active only if somebody still waits for it")
					d.nothingHeld(t)
				}
			})
		})
	}
}

// The releaser may find that it was overtaken in any of its steps; nothing of an old generation stays open then.
func TestPauseOvertakenBeforeItsReleasingBeginsLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		var s *store
		slow := make(chan struct{})
		s = open(t, d, config{Observer: lifecycle.ObserverFunc(func(e lifecycle.Event) {
			if e.To == lifecycle.Paused && e.Report != nil {
				<-slow
			}
		})})
		p := pause(s) // the engine's goroutine is in the observer now, and the state is Paused
		r := resume(s)
		p2 := pause(s)
		r2 := resume(s)
		close(slow)
		wantNil(t, returned(t, p, "Pause"), "the first Pause")
		wantErr(t, returned(t, r, "Resume"), lifecycle.ErrSuperseded, "the overtaken Resume")
		wantErr(t, returned(t, p2, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
		wantNil(t, returned(t, r2, "Resume"), "the last intent")
		wantState(t, s, lifecycle.Active, "the last intent")
		if n := d.open.Load(); n != 1 {
			t.Errorf("%d connections are open; want 1", n)
		}
	})
}

// Foreign connections of an old generation are closed like readers.
func TestForeignConnectionsOfAnOldGenerationAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		idle, busy := s.Foreign(), s.Foreign()
		_, fresh, err := idle.Begin(background)
		wantNil(t, errors.Join(err, idle.End(nil)), "Begin and End")
		if !fresh {
			t.Error("the first connection is not fresh")
		}
		old, _, err := busy.Begin(background)
		wantNil(t, err, "Begin")
		p := pause(s)
		wantNil(t, s.Resume(background), "Resume")
		wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
		synctest.Wait()
		if n := d.open.Load(); n != 2 {
			t.Errorf("%d connections are open; want the busy Foreign one and the new reader", n)
		}
		wantNil(t, old.run(ended), "the busy one, which is legitimate again")
		wantNil(t, busy.End(nil), "End")
		synctest.Wait()
		if n := d.open.Load(); n != 1 {
			t.Errorf("%d connections are open; a late holder's connection is closed when it lets go", n)
		}
		for _, f := range []*lifecycle.ForeignConn[*fakeConn]{idle, busy} {
			_, fresh, err = f.Begin(background)
			wantNil(t, errors.Join(err, f.End(nil), f.Close()), "the handle outlives the pause")
			if !fresh {
				t.Error("a connection of a new life is fresh: what was kept about the old one is void")
			}
		}
	})
}

// Many pauses and resumes beside operations that are interrupted, each in turn overtaken at another moment.
func TestOvertakingAtEveryMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		slowly := func() { time.Sleep(time.Millisecond) }
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { slowly(); return nil }
		d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) { slowly(); return }
		d.validate = func(context.Context) error { slowly(); return nil }
		hook := func(context.Context, *fakeConn) error { slowly(); return nil }
		s := open(t, fullSevering{d}, config{BeforeRelease: hook, AfterReopen: hook, Grace: 2 * time.Millisecond})
		work := func(stop chan struct{}, op operation) {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_ = op(background, func(c *fakeConn) error { return c.run(time0(3)) })
				time.Sleep(100 * time.Microsecond)
			}
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { work(stop, s.Read) })
			wg.Go(func() { work(stop, s.Write) })
			wg.Go(func() { work(stop, foreign(s)) })
		}
		for after := time.Duration(0); after < 12*time.Millisecond; after += 50 * time.Microsecond {
			a := pause(s)
			time.Sleep(after)
			wantNil(t, s.Resume(background), "the later Resume")
			if err := <-a; err != nil {
				wantErr(t, err, lifecycle.ErrSuperseded, "the overtaken Pause")
			}
			wantState(t, s, lifecycle.Active, "after Resume returned nil")
			b := pause(s)
			time.Sleep(after / 2)
			c := resume(s)
			time.Sleep(after / 3)
			wantNil(t, s.Pause(background), "the later Pause")
			d.nothingHeld(t)
			for _, call := range []<-chan error{b, c} {
				if err := <-call; err != nil {
					wantErr(t, err, lifecycle.ErrSuperseded, "an overtaken call")
				}
			}
			wantNil(t, s.Resume(background), "Resume")
		}
		close(stop)
		wg.Wait()
	})
}

// A Resume may overtake a Pause that has closed everything already. What that
// did is told all the same, and a close that failed by the next Pause.
func TestPauseOvertakenAfterThePointOfNoReturnKeepsItsReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		var o events
		in, let := make(chan struct{}), make(chan struct{})
		d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) {
			close(in)
			<-let
			return r, nil
		}
		boom := errors.New("boom")
		d.onClose = func(c *fakeConn) error {
			if c.role == lifecycle.Writer {
				return boom
			}
			return nil
		}
		s := open(t, d, config{Observer: &o})
		wantNil(t, s.Write(background, nothing), "Write")
		p := pause(s)
		<-in
		r := resume(s)
		wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
		o.took()
		time.Sleep(time.Second)
		close(let)
		wantNil(t, returned(t, r, "Resume"), "Resume")
		d.checkpoint, d.onClose = nil, nil
		var told *lifecycle.Report
		for _, e := range o.all {
			if e.Report != nil && e.Report.Op == "pause" {
				told = e.Report
				wantErr(t, e.Err, lifecycle.ErrSuperseded, "the event says that it was overtaken")
			}
		}
		if told == nil || !told.WriterClosed || told.Total != time.Second {
			t.Errorf("the observer was told %+v of the pause", told)
		} else {
			wantErr(t, told.Err, boom, "its report")
		}
		wantErr(t, s.Pause(background), boom, "the next Pause tells of a close that failed")
		wantNil(t, s.Resume(background), "Resume")
		wantNil(t, s.Pause(background), "an error is reported once")
	})
}

// A pause that was overtaken while it severs decides nothing any more.
func TestOvertakenPauseSeversNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slowSever{severingDriver: severingDriver{newFake(t)}, in: make(chan struct{}), let: make(chan struct{})}
		s, err := lifecycle.Open(background, d, config{MaxReaders: 2})
		wantNil(t, err, "Open")
		a, b := inGo(background, s.Read), inGo(background, s.Read)
		p := begin(func() error { return s.Pause(within(t, time.Second)) })
		<-d.in
		r := resume(s)
		close(d.let)
		wantNil(t, returned(t, r, "Resume"), "Resume")
		<-p
		wantNil(t, errors.Join(a.release(), b.release()), "the readers")
		if n := d.severs.Load(); n != 1 {
			t.Errorf("%d connections were severed; the second one's turn came after the pause was overtaken", n)
		}
		wantNil(t, s.Close(background), "Close")
		d.allGone(t)
	})
}

type slowSever struct {
	severingDriver
	severs  atomic.Int64
	in, let chan struct{}
}

func (d *slowSever) Sever(c *fakeConn, done func(error)) {
	if d.severs.Add(1) == 1 {
		close(d.in)
		<-d.let
	}
	d.severingDriver.Sever(c, done)
}

// Connections that are being closed are no stuck readers: Resume waits for them instead of giving up.
func TestResumeIsNotRefusedForReadersThatAreBeingClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		d.onClose = func(*fakeConn) error { time.Sleep(time.Second); return nil }
		s := open(t, d, config{MaxReaders: 1, Timeout: time.Minute})
		w := inGo(background, s.Write)
		for range 10 {
			p := pause(s)
			wantNil(t, s.Resume(background), "Resume while idle readers of earlier generations are being closed")
			wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "Pause")
			if n := d.open.Load(); n > 5 {
				t.Errorf("%d connections are open; want at most four readers and the writer", n)
			}
		}
		wantNil(t, w.release(), "the writer")
	})
}

// A Pause that waits for a Resume to leave says what it waits for.
func TestPauseThatWaitsForAResumeIsInItsOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		s := openPaused(t, newFake(t), config{AfterReopen: func(context.Context, *fakeConn) error { <-let; return nil }})
		r := resume(s)
		wantHeld(t, s.Pause(within(t, time.Second)), lifecycle.StepOpen, "AfterReopen has not returned")
		wantErr(t, returned(t, r, "Resume"), lifecycle.ErrSuperseded, "Resume")
		close(let)
		wantNil(t, s.Pause(background), "Pause")
	})
}

package lifecycle_test

// Foreign connections: handles that outlive pauses, pooled by somebody else.

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestForeignHandleOutlivesPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		f := s.Foreign()
		if d.open.Load() != 1 {
			t.Error("Foreign opened something")
		}
		var last *fakeConn
		for life := range 3 {
			for n := range 3 {
				c, fresh, err := f.Begin(background)
				wantNil(t, err, "Begin")
				if fresh != (n == 0) || fresh != (c != last) {
					t.Errorf("life %d, Begin %d: fresh is %v; it is for the first connection of every life", life, n, fresh)
				}
				last = c
				wantNil(t, errors.Join(c.run(ended), f.End(nil)), "an operation")
			}
			wantNil(t, s.Pause(background), "an idle Foreign connection holds nothing up")
			d.nothingHeld(t)
			_, _, err := f.Begin(background)
			wantErr(t, err, lifecycle.ErrPaused, "Begin while paused")
			wantNil(t, s.Resume(background), "Resume")
		}
		wantNil(t, f.Close(), "Close of a handle without a connection")
		_, _, err := f.Begin(background)
		wantNil(t, errors.Join(err, f.End(nil)), "Begin")
		wantNil(t, errors.Join(f.Close(), f.Close()), "Close, twice")
		if n := d.open.Load(); n != 1 {
			t.Errorf("%d connections are open after Close; want the reader", n)
		}
		_, fresh, err := f.Begin(background)
		wantNil(t, errors.Join(err, f.End(nil), f.Close()), "the handle may be used again")
		if !fresh {
			t.Error("the connection after Close is not fresh")
		}
	})
}

func TestForeignOperationIsInFlightBetweenBeginAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{Grace: time.Second})
		f := s.Foreign()
		c, _, err := f.Begin(lifecycle.WithLabel(background, "rows"))
		wantNil(t, err, "Begin")
		if h := s.Holders(); len(h) != 1 || h[0].Role != lifecycle.Foreign || h[0].Label != "rows" {
			t.Errorf("holders %v", h)
		}
		start := time.Now()
		p := pause(s)
		waiting(t, p, "an operation is in flight")
		wantErr(t, c.run(make(chan struct{})), errFakeInterrupt, "the statement, which is interrupted")
		wantAfter(t, start, time.Second, "after the grace")
		wantErr(t, f.End(errFakeInterrupt), lifecycle.ErrInterrupted, "End says that it was interrupted")
		wantNil(t, returned(t, p, "Pause"), "Pause")
		if !c.closed {
			t.Error("the connection is open")
		}
	})
}

func TestForeignConnectionThatIsUnfitIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		f := s.Foreign()
		c, _, err := f.Begin(background)
		wantNil(t, err, "Begin")
		d.onReset = func(*fakeConn) error { return errors.New("unfit") }
		wantNil(t, f.End(nil), "End")
		d.onReset = nil
		again, fresh, err := f.Begin(background)
		wantNil(t, errors.Join(err, f.End(nil), f.Close()), "Begin")
		if !fresh || again == c || !c.closed {
			t.Error("an unfit connection is closed and replaced by a fresh one")
		}
	})
}

// An idle Foreign connection is free for a pause to close only when its clean-up has ended.
func TestForeignCloseMayMeetAPause(t *testing.T) {
	d := newFake(t)
	s := open(t, d, config{})
	for range tier.Count(300, 5000, 50000) {
		f := s.Foreign()
		_, _, err := f.Begin(background)
		wantNil(t, err, "Begin")
		done := make(chan error)
		go func() { done <- errors.Join(f.End(nil), f.Close()) }()
		wantNil(t, s.Pause(background), "Pause")
		d.nothingHeld(t)
		wantNil(t, <-done, "End and Close beside a Pause")
		wantNil(t, s.Resume(background), "Resume")
	}
}

// Begin may be on its way to a connection that a pause is just about to close:
// whichever of the two comes first, the connection is closed.
func TestForeignBeginMayMeetAPause(t *testing.T) {
	d := newFake(t)
	// The hook gives one who was late by a moment the time to begin after the
	// drain, and slow closes the time to end before the pool is closed.
	d.onReset = func(*fakeConn) error { time.Sleep(20 * time.Microsecond); return nil }
	d.onClose = func(*fakeConn) error { time.Sleep(200 * time.Microsecond); return nil }
	s := open(t, d, config{BeforeRelease: func(context.Context, *fakeConn) error { time.Sleep(50 * time.Microsecond); return nil }})
	var handles []*lifecycle.ForeignConn[*fakeConn]
	for range 4 {
		handles = append(handles, s.Foreign())
	}
	for n := range tier.Count(300, 10000, 100000) {
		for _, f := range handles {
			_, _, err := f.Begin(background)
			wantNil(t, errors.Join(err, f.End(nil)), "the first operation of a life")
		}
		var wg sync.WaitGroup
		for _, f := range handles {
			wg.Go(func() {
				for range 10 { // the later ones meet the pause
					if _, _, err := f.Begin(background); err != nil {
						return
					}
					_ = f.End(nil)
				}
			})
		}
		if n%2 == 0 {
			runtime.Gosched()
		}
		wantNil(t, s.Pause(background), "Pause beside Begin and End")
		d.nothingHeld(t)
		wg.Wait()
		wantNil(t, s.Resume(background), "Resume")
		if t.Failed() {
			break
		}
	}
}

// What limits them is whoever pools them: MaxReaders is about readers.
func TestForeignConnectionsLeaveRoomForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{MaxReaders: 1, Timeout: time.Hour})
		var all []*lifecycle.ForeignConn[*fakeConn]
		for range 10 {
			f := s.Foreign()
			_, _, err := f.Begin(background)
			wantNil(t, err, "Begin")
			all = append(all, f)
		}
		p := pause(s)
		wantNil(t, s.Resume(background), "Resume beside ten Foreign operations")
		wantErr(t, returned(t, p, "Pause"), lifecycle.ErrSuperseded, "Pause")
		for _, f := range all {
			wantNil(t, f.End(nil), "End")
		}
	})
}

func TestForeignHandleBearsMisuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		f := s.Foreign()
		boom := errors.New("boom")
		wantErr(t, f.End(boom), boom, "End without Begin passes the error on")
		_, _, err := f.Begin(background)
		wantNil(t, errors.Join(err, f.Close(), f.End(nil)), "Close before End")
		if n := d.open.Load(); n != 1 {
			t.Errorf("%d connections are open; want the reader alone: Close between Begin and End closes at End", n)
		}
	})
}

// A Foreign operation that writes is one of the store's writers.
func TestForeignWritesTakeTurnsWithWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		a, b := s.Foreign(), s.Foreign()
		_, _, err := a.BeginWrite(background)
		wantNil(t, err, "BeginWrite")
		inWrite, leave := make(chan struct{}), make(chan struct{})
		write := begin(func() error {
			return s.Write(background, func(*fakeConn) error { close(inWrite); <-leave; return nil })
		})
		waiting(t, write, "a Foreign write is under way")
		_, _, err = b.Begin(background)
		wantNil(t, err, "a Foreign read beside them")
		promote := begin(func() error { return b.Promote(background) })
		waiting(t, promote, "the Write comes first")
		wantNil(t, a.End(nil), "End")
		<-inWrite
		waiting(t, promote, "the Write is under way")
		close(leave)
		wantNil(t, returned(t, write, "Write"), "Write")
		wantNil(t, returned(t, promote, "Promote"), "Promote")
		wantNil(t, b.Promote(background), "Promote of what is a writer already")
		wantNil(t, b.End(nil), "End")
		wantNil(t, s.Write(background, func(*fakeConn) error { return nil }), "the gate is free again")
	})
}

// A connection that is severed gives the gate on, whether its holder ever comes back or not.
func TestForeignWriteThatIsSeveredLeavesTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, severingDriver{d}, config{Grace: time.Second, Timeout: 3 * time.Second})
		for _, promoted := range []bool{false, true} {
			f := s.Foreign()
			if promoted {
				_, _, err := f.Begin(background)
				wantNil(t, errors.Join(err, f.Promote(background)), "Begin and Promote")
			} else {
				_, _, err := f.BeginWrite(background)
				wantNil(t, err, "BeginWrite")
			}
			if err := s.Pause(background); err != nil { // it may end a moment after its deadline
				wantNil(t, s.Pause(background), "Pause")
			}
			d.nothingHeld(t)
			wantNil(t, s.Resume(background), "Resume")
			wantNil(t, s.Write(background, func(*fakeConn) error { return nil }), "Write in the next life")
			wantErr(t, f.End(errFakeInterrupt), lifecycle.ErrInterrupted, "End")
			wantNil(t, s.Write(background, func(*fakeConn) error { return nil }), "Write after End")
			wantNil(t, f.Close(), "Close")
		}
	})
}

// An operation in flight is not kept from its end by the pause that waits for it.
func TestForeignPromoteDoesNotWaitForAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{WhenPaused: lifecycle.Wait})
		f := s.Foreign()
		_, _, err := f.Begin(background)
		wantNil(t, err, "Begin")
		p := pause(s)
		waiting(t, p, "an operation is in flight")
		wantNil(t, f.Promote(background), "Promote during the Pause")
		wantNil(t, f.End(nil), "End")
		wantNil(t, returned(t, p, "Pause"), "Pause")
	})
}

// Whoever can tell that he would wait for himself is asked before he waits.
func TestForeignOnWaitEndsABegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{WhenPaused: lifecycle.Wait})
		myself := errors.New("that is me")
		f, other := s.Foreign(), s.Foreign()
		f.OnWait(func() error { return myself })
		_, _, err := other.BeginWrite(background)
		wantNil(t, err, "BeginWrite")
		_, _, err = f.BeginWrite(background)
		wantErr(t, err, myself, "BeginWrite, which would wait for a writer")
		_, _, err = f.Begin(background)
		wantNil(t, errors.Join(err, f.End(nil)), "Begin, which waits for nobody")
		p := pause(s)
		waiting(t, p, "a write is in flight")
		_, _, err = f.Begin(background)
		wantErr(t, err, myself, "Begin, which would wait for the Resume")
		_, _, err = f.Begin(lifecycle.WithPolicy(background, lifecycle.Fail))
		wantErr(t, err, lifecycle.ErrPaused, "Begin that fails by itself")
		wantNil(t, other.End(nil), "End")
		wantNil(t, returned(t, p, "Pause"), "Pause")
	})
}

// The context of one call is not that of what it leaves in flight.
func TestForeignOperationOutlivesTheContextOfItsBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		f := s.Foreign()
		ctx, cancel := context.WithCancel(background)
		c, _, err := f.Begin(ctx)
		wantNil(t, err, "Begin")
		cancel()
		synctest.Wait()
		wantNil(t, errors.Join(c.run(ended), f.End(nil)), "a statement after its end")
		_, _, err = f.Begin(ctx)
		wantErr(t, err, context.Canceled, "Begin with a context that has ended")
	})
}

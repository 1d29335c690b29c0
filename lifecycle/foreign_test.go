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

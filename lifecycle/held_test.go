package lifecycle_test

// Promises 4 and 5: nil only if nothing is held; otherwise every holder is
// named, and the pause goes on by itself.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// W-04: a pause that has not released everything says so, and names who holds what.
func TestW04HeldErrorNamesEveryHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{Name: "rooms", TrackHolders: true})
		began := time.Now()
		r := inGo(lifecycle.WithLabel(background, "load room list"), s.Read)
		time.Sleep(time.Second)
		w := inGo(lifecycle.WithLabel(background, "sync"), s.Write)
		f := s.Foreign()
		_, _, err := f.Begin(background)
		wantNil(t, err, "Begin")
		ctx := within(t, time.Second)
		err = s.Pause(ctx)
		wantErr(t, err, context.DeadlineExceeded, "a Pause whose time ended")
		h := wantHeld(t, err, lifecycle.StepDrain, "Pause")
		if h.Store != "rooms" {
			t.Errorf("the store is %q", h.Store)
		}
		if len(h.Holders) != 3 {
			t.Fatalf("holders %v; want three", h.Holders)
		}
		slices.SortFunc(h.Holders, func(a, b lifecycle.Holder) int { return int(a.Role) - int(b.Role) })
		for i, want := range []lifecycle.Holder{
			{Role: lifecycle.Reader, Label: "load room list", Since: began, Held: 2 * time.Second},
			{Role: lifecycle.Writer, Label: "sync", Since: began.Add(time.Second), Held: time.Second},
			{Role: lifecycle.Foreign, Since: began.Add(time.Second), Held: time.Second},
		} {
			got := h.Holders[i]
			site := got.CallSite
			want.Store, want.Generation, want.Interrupted, want.CallSite = "rooms", 1, true, site
			if got != want {
				t.Errorf("a holder is\n %+v; want\n %+v", got, want)
			}
			if !strings.Contains(site, "lifecycle_test.") || !strings.Contains(site, "_test.go:") {
				t.Errorf("the call site of %v is %q; want the caller, outside the library", got.Role, site)
			}
		}
		for _, word := range []string{"rooms", "load room list", "sync", "drain", "read", "write", "generation 1", "interrupted"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("the error does not say %q: %v", word, err)
			}
		}
		if n := len(s.Holders()); n != 3 {
			t.Errorf("Holders lists %d of 3", n)
		}

		wantState(t, s, lifecycle.Pausing, "until the last holder lets go")
		wantNil(t, r.release(), "the reader")
		wantNil(t, w.release(), "the writer")
		wantState(t, s, lifecycle.Pausing, "until the last holder lets go")
		wantNil(t, f.End(nil), "End")
		synctest.Wait()
		wantState(t, s, lifecycle.Paused, "the rest is done without anybody asking again")
		d.nothingHeld(t)
		wantNil(t, s.Pause(background), "Pause of what has become paused by itself")
	})
}

// W-04: a second Pause can be used to wait longer. W-13: a caller that leaves harms nothing.
func TestW04LaterPauseWaitsForTheSameRemainder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		h := inGo(background, s.Read)
		for range 3 {
			start := time.Now()
			wantHeld(t, s.Pause(within(t, time.Second)), lifecycle.StepDrain, "Pause while a reader stays")
			wantAfter(t, start, time.Second, "each Pause waits for its own time")
		}
		p := pause(s)
		waiting(t, p, "a later Pause waits for what is left")
		wantNil(t, h.release(), "the reader")
		wantNil(t, returned(t, p, "the later Pause"), "Pause")
		d.nothingHeld(t)
	})
}

// W-03: waiting for the writer is bounded like everything else.
func TestW03WaitingForTheWriterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		w := inGo(background, s.Write)
		start := time.Now()
		h := wantHeld(t, s.Pause(within(t, 800*time.Millisecond)), lifecycle.StepDrain, "Pause while a writer stays")
		wantAfter(t, start, 800*time.Millisecond, "Pause")
		if len(h.Holders) != 1 || h.Holders[0].Role != lifecycle.Writer {
			t.Errorf("holders %v; want the writer", h.Holders)
		}
		wantNil(t, w.release(), "the writer")
	})
}

func TestHeldErrorNamesTheStepThatTookTooLong(t *testing.T) {
	for _, step := range []lifecycle.Step{lifecycle.StepOpen, lifecycle.StepHook, lifecycle.StepReaders,
		lifecycle.StepCheckpoint, lifecycle.StepWriter, lifecycle.StepVerify} {
		t.Run(string(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				let := make(chan struct{})
				block := func(at lifecycle.Step) error {
					if at == step {
						<-let // whatever the context says
					}
					return nil
				}
				cfg := config{Verify: true, BeforeRelease: func(context.Context, *fakeConn) error { return block(lifecycle.StepHook) }}
				d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) {
					return r, block(lifecycle.StepCheckpoint)
				}
				d.verify = func(context.Context) error { return block(lifecycle.StepVerify) }
				d.onClose = func(c *fakeConn) error {
					if c.role == lifecycle.Writer {
						return block(lifecycle.StepWriter)
					}
					return block(lifecycle.StepReaders)
				}
				s := open(t, d, cfg)
				wantNil(t, s.Write(background, nothing), "Write")
				var r <-chan error
				if step == lifecycle.StepOpen {
					h := inGo(background, s.Read)
					d.onOpen = func(context.Context, lifecycle.OpenInfo) error { return block(lifecycle.StepOpen) }
					r = begin(func() error { return s.Read(background, nothing) })
					wantNil(t, h.release(), "the other reader")
				}
				start := time.Now()
				h := wantHeld(t, s.Pause(within(t, time.Second)), step, "a Pause in which a step took too long")
				wantAfter(t, start, time.Second, "a context bounds the waiting in every step")
				if len(h.Holders) != 0 {
					t.Errorf("holders %v although no operation runs", h.Holders)
				}
				wantState(t, s, lifecycle.Pausing, "the step goes on")
				time.Sleep(time.Minute)
				close(let)
				synctest.Wait()
				wantState(t, s, lifecycle.Paused, "the releasing half runs to its end, whatever the caller's context says")
				d.nothingHeld(t)
				if r != nil {
					wantErr(t, returned(t, r, "the Read that waited for a connection"), lifecycle.ErrPaused, "new work")
				}
				if s.Report().Err != nil {
					t.Errorf("the report says %v", s.Report().Err)
				}
			})
		})
	}
}

// W-09: nil means that the driver's Close has returned, for every connection.
func TestW09PauseWaitsForTheRealClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		closing, let := 0, make(chan struct{})
		d.onClose = func(*fakeConn) error {
			closing++
			<-let
			return nil
		}
		s := open(t, d, config{})
		wantNil(t, s.Write(background, nothing), "Write")
		p := pause(s)
		for i := range 2 {
			waiting(t, p, "a Close has not returned yet")
			if closing != i+1 {
				t.Errorf("%d connections are being closed; want %d: one after another", closing, i+1)
			}
			let <- struct{}{}
		}
		wantNil(t, returned(t, p, "Pause"), "Pause")
	})
}

func TestVerifyHoldsThePauseUntilTheSystemAgrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		seen := errors.New("descriptor 7 is open on rooms.db-wal")
		var tries atomic.Int64
		var clean atomic.Bool
		d.verify = func(context.Context) error {
			tries.Add(1)
			if !clean.Load() {
				return seen
			}
			return nil
		}
		s := open(t, d, config{Verify: true})
		err := s.Pause(within(t, time.Second))
		wantHeld(t, err, lifecycle.StepVerify, "Pause while the system still shows something")
		wantErr(t, err, seen, "HeldError names what was seen")
		wantErr(t, err, context.DeadlineExceeded, "HeldError matches the context's error")
		wantState(t, s, lifecycle.Pausing, "until the system agrees")
		if n := tries.Load(); n < 2 || n > 100 {
			t.Errorf("asked %d times within a second; want a few, with back-off", n)
		}
		clean.Store(true)
		wantNil(t, s.Pause(background), "Pause when the system agrees")
		wantState(t, s, lifecycle.Paused, "Pause when the system agrees")
		if s.Report().Verify < time.Second {
			t.Errorf("the report tells of %v for the proof", s.Report().Verify)
		}

		clean.Store(false)
		wantNil(t, s.Resume(background), "Resume")
		p := pause(s)
		waiting(t, p, "the system still shows something")
		wantNil(t, s.Resume(background), "a Resume overtakes a pause that only waits for the proof")
		wantErr(t, returned(t, p, "the overtaken Pause"), lifecycle.ErrSuperseded, "the overtaken Pause")
		clean.Store(true)
	})
}

func TestVerifyIsAskedOnlyWhereItIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		d.verify = func(context.Context) error { t.Error("asked"); return nil }
		s := open(t, d, config{})
		wantNil(t, s.Pause(background), "Pause")
	})
}

// Who leaves after the severing, because a later step takes long, is told who took the time.
func TestHeldErrorNamesWhoWasSevered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		let := make(chan struct{})
		d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) { <-let; return }
		s := open(t, fullSevering{d}, config{})
		r, w := inGo(lifecycle.WithLabel(background, "the leak"), s.Read), inGo(lifecycle.WithLabel(background, "another"), foreign(s))
		wantNil(t, s.Write(background, nothing), "Write")
		long := begin(func() error { return s.Pause(within(t, time.Hour)) })
		_ = s.Pause(within(t, time.Second))
		synctest.Wait()
		h := wantHeld(t, s.Pause(within(t, time.Second)), lifecycle.StepCheckpoint, "a Pause whose checkpoint takes long")
		if len(h.Holders) != 2 || !h.Holders[0].Severed || !h.Holders[0].Interrupted || !h.Holders[1].Severed {
			t.Errorf("holders %v; want the two that were severed", h.Holders)
		}
		if !strings.Contains(h.Error(), "the leak") || !strings.Contains(h.Error(), "severed") {
			t.Errorf("%v", h)
		}
		close(let)
		wantNil(t, returned(t, long, "the long Pause"), "Pause")
		wantNil(t, r.release(), "the zombie")
		wantNil(t, w.release(), "the zombie")
	})
}

// Naming holders waits for no interrupt that a driver is stuck in.
func TestHoldersAreNamedWhileAnInterruptIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &stuckInterrupt{newFake(t), make(chan struct{})}
		s, err := lifecycle.Open(background, d, config{Timeout: time.Second})
		wantNil(t, err, "Open")
		h := inGo(lifecycle.WithLabel(background, "one opcode"), s.Read)
		held := wantHeld(t, s.Pause(background), lifecycle.StepDrain, "Pause")
		if len(held.Holders) != 1 || held.Holders[0].Label != "one opcode" || !held.Holders[0].Interrupted || held.Holders[0].Held != time.Second {
			t.Errorf("holders %+v", held.Holders)
		}
		close(h.end)
		waiting(t, h.result, "the operation can not leave while it is being interrupted")
		close(d.let)
		wantNil(t, returned(t, h.result, "the operation"), "Read")
		synctest.Wait()
		wantState(t, s, lifecycle.Paused, "by itself")
		wantNil(t, s.Close(background), "Close")
		d.allGone(t)
	})
}

type stuckInterrupt struct {
	*fakeDriver
	let chan struct{}
}

func (d *stuckInterrupt) Interrupt(c *fakeConn) {
	<-d.let
	d.fakeDriver.Interrupt(c)
}

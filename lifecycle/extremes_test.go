package lifecycle_test

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// A time that never comes, as programs write it, is no time that has come.
func TestTimesWithoutAnEndInterruptNobodyEarly(t *testing.T) {
	for name, cfg := range map[string]config{"context": {Grace: time.Second}, "Timeout": {Timeout: math.MaxInt64, Grace: time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				var bound time.Duration
				d.checkpoint = func(ctx context.Context, _ *fakeConn) (lifecycle.CheckpointResult, error) {
					end, _ := ctx.Deadline()
					bound = time.Until(end)
					return lifecycle.CheckpointResult{}, nil
				}
				s := open(t, d, cfg)
				r := inStatement(background, s.Read)
				ctx := background
				if name == "context" {
					forever, cancel := context.WithTimeout(background, math.MaxInt64)
					defer cancel()
					ctx = forever
				}
				p := begin(func() error { return s.Pause(ctx) })
				waiting(t, p, "a read is in flight")
				if n := fakeOf(d).interrupts.Load(); n != 0 {
					t.Errorf("%d interrupts before the grace", n)
				}
				wantNil(t, r.release(), "the read")
				wantNil(t, returned(t, p, "Pause"), "Pause")
				if bound < time.Hour {
					t.Errorf("the checkpoint had %v", bound)
				}
			})
		})
	}
}

// nilError is an error that panics when it is asked, as a nil of a pointer type may.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestErrorThatPanicsIsAWarningLikeAnother(t *testing.T) {
	d := newFull(t)
	d.checkpoint = func(context.Context, *fakeConn) (lifecycle.CheckpointResult, error) {
		return lifecycle.CheckpointResult{}, (*nilError)(nil)
	}
	s := open(t, d, config{})
	wantNil(t, s.Pause(background), "Pause")
	if w := s.Report().Warnings; len(w) != 1 {
		t.Errorf("warnings %q; want the checkpoint's", w)
	}
}

// leavingDescriber leaves its goroutine instead of describing.
type leavingDescriber struct {
	*fakeDriver
	on atomic.Bool
}

func (d *leavingDescriber) Describe(*fakeConn) string {
	if d.on.Load() {
		runtime.Goexit()
	}
	return "described"
}

func TestDescriberThatLeavesHarmsNobody(t *testing.T) {
	d := &leavingDescriber{fakeDriver: newFake(t)}
	s, err := lifecycle.Open(background, lifecycle.Driver[*fakeConn](d), config{Grace: 10 * time.Millisecond, Timeout: 50 * time.Millisecond})
	wantNil(t, err, "Open")
	began, end := make(chan struct{}), make(chan struct{})
	read := inBackground(func() error { return s.Read(background, func(*fakeConn) error { close(began); <-end; return nil }) })
	<-began
	if h := s.Holders(); len(h) != 1 || h[0].Label != "described" {
		t.Errorf("holders %v", h)
	}
	d.on.Store(true)
	if h := s.Holders(); len(h) != 1 || h[0].Label != "" {
		t.Errorf("holders %v", h)
	}
	if err := s.Pause(background); err == nil {
		t.Error("Pause returned nil although a read that cannot be interrupted holds on")
	}
	close(end)
	wantNil(t, <-read, "the read")
	wantNil(t, s.Close(background), "Close")
	d.nothingHeld(t)
}

func inBackground(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

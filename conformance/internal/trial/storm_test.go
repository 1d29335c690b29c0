package trial

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// tap is a store of which only the pausing is there.
type tap struct {
	state          atomic.Int32
	pauses         atomic.Int64
	failed, refuse error // what Pause and Resume return
}

func (s *tap) State() lifecycle.State { return lifecycle.State(s.state.Load()) }

func (s *tap) Pause(context.Context) error {
	s.pauses.Add(1)
	s.state.Store(int32(lifecycle.Paused))
	return s.failed
}

func (s *tap) Resume(context.Context) error {
	if s.refuse == nil {
		s.state.Store(int32(lifecycle.Active))
	}
	return s.refuse
}

func opened() *tap {
	s := &tap{}
	s.state.Store(int32(lifecycle.Active))
	return s
}

// TestStorm: a storm goes on until it is enough, and leaves the store active; what no pause has to return is a finding.
func TestStorm(t *testing.T) {
	s := opened()
	pauses := 0
	r := run(time.Minute, func(t *T) {
		pauses = t.Storm(s, rand.New(rand.NewPCG(1, 2)), func(pauses int) bool { return pauses >= 30 })
	})
	if len(r.Findings) != 0 || pauses != 30 || s.pauses.Load() != 30 || s.State() != lifecycle.Active {
		t.Errorf("after a storm of 30 pauses, which was %d and did %d, the store is %v; findings %v", pauses, s.pauses.Load(), s.State(), r.Findings)
	}
	for _, allowed := range []error{lifecycle.ErrSuperseded, context.DeadlineExceeded, &lifecycle.HeldError{}} {
		s := opened()
		s.failed = allowed
		if r := run(time.Minute, func(t *T) {
			t.Storm(s, rand.New(rand.NewPCG(1, 2)), func(pauses int) bool { return pauses >= 3 })
		}); len(r.Findings) != 0 {
			t.Errorf("a Pause that returned %v is a finding: %v", allowed, r.Findings)
		}
	}
	for want, change := range map[string]func(*tap){
		"Pause returned: oh":  func(s *tap) { s.failed = errors.New("oh") },
		"Resume returned: oh": func(s *tap) { s.refuse = errors.New("oh") },
	} {
		s := opened()
		change(s)
		saw(t, run(time.Minute, func(t *T) {
			t.Storm(s, rand.New(rand.NewPCG(1, 2)), func(pauses int) bool { return pauses >= 3 })
		}), want)
	}
}

// TestThrough: an operation is repeated for as long as a pause is in its way, and for nothing else.
func TestThrough(t *testing.T) {
	calls, stopped := 0, 0
	r := run(time.Minute, func(t *T) {
		t.Through("Get", func() error {
			calls++
			return []error{lifecycle.ErrPaused, lifecycle.ErrInterrupted, nil}[calls-1]
		}, func() { stopped++ })
	})
	if calls != 3 || stopped != 2 || len(r.Findings) != 0 {
		t.Errorf("an operation that two pauses were in the way of was called %d times, of which %d were said not to be done; findings %v", calls, stopped, r.Findings)
	}
	saw(t, run(time.Minute, func(t *T) { t.Through("Get", func() error { return errors.New("oh") }, func() {}) }), "Get, under a storm of pauses, returned: oh")
}

// TestCutOff: what was to be cut off is paused once, and has ended when the store is active again.
func TestCutOff(t *testing.T) {
	for _, end := range []error{nil, lifecycle.ErrPaused, errors.New("oh")} {
		s, ended := opened(), false
		var got error
		r := run(time.Minute, func(t *T) {
			got = t.CutOff(s, "Set", time.Millisecond, func() error {
				t.Eventually("a pause comes", func() bool { return s.pauses.Load() > 0 })
				ended = true
				return end
			})
		})
		if got != end || !ended || s.pauses.Load() != 1 || s.State() != lifecycle.Active {
			t.Errorf("CutOff returned %v, of what returned %v, has ended: %v, after %d pauses, with the store %v", got, end, ended, s.pauses.Load(), s.State())
		}
		if OfPause(end) || end == nil {
			if len(r.Findings) != 0 {
				t.Errorf("an operation that returned %v is a finding: %v", end, r.Findings)
			}
			continue
		}
		saw(t, r, "Set that a pause has cut off returned: oh")
	}
}

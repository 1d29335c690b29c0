package trial

// What cases do to a store that can be paused: pauses at any moment, and what is asked of it meanwhile.

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Pausable is a store, as far as it can be paused.
type Pausable interface {
	lifecycle.Pausable
	State() lifecycle.State
}

// OfPause tells whether an operation returned this because a pause was in its way: it has not happened.
func OfPause(err error) bool {
	return errors.Is(err, lifecycle.ErrPaused) || errors.Is(err, lifecycle.ErrInterrupted)
}

// Through repeats an operation until no pause was in its way, or the case is over. notDone is called after each time that one was.
func (t *T) Through(what string, do func() error, notDone func()) {
	for !t.Over() {
		err := do()
		if err == nil {
			return
		}
		if !OfPause(err) {
			t.Fatal("%s, under a storm of pauses, returned: %v", what, err)
		}
		notDone()
		time.Sleep(20 * time.Microsecond)
	}
}

// Storm pauses and resumes in all ways that there are until that is enough, or a
// good part of the case's time is over, and leaves the store active. It returns how many pauses there were.
func (t *T) Storm(s Pausable, r *rand.Rand, enough func(pauses int) bool) (pauses int) {
	begun := time.Now()
	for !enough(pauses) && !t.Over() && time.Since(begun) < t.cs.Limit/4 {
		pauses++
		ctx, cancel := t.Ctx, context.CancelFunc(func() {})
		var overtaking <-chan struct{}
		switch r.IntN(6) {
		case 0: // whose time is over before it begins: interrupts and severs at once
			ctx, cancel = context.WithDeadline(t.Ctx, time.Now().Add(-time.Second))
		case 1, 2:
			ctx, cancel = context.WithTimeout(t.Ctx, time.Duration(r.IntN(3000))*time.Microsecond)
		case 3: // overtaken by a Resume
			after := time.Duration(r.IntN(1000)) * time.Microsecond
			overtaking = t.Go(func() { time.Sleep(after); _ = s.Resume(t.Ctx) })
		}
		err := s.Pause(ctx)
		cancel()
		if err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
			t.held("Pause", err)
		}
		if overtaking != nil {
			<-overtaking
		}
		if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond) // paused for a while
		}
		t.resumed(s)
		time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond) // work for a while
	}
	return pauses
}

// held checks that a Pause that has not done its work says who holds it up, or that its time was over.
func (t *T) held(what string, err error) {
	if held := (*lifecycle.HeldError)(nil); err != nil && !errors.As(err, &held) && !errors.Is(err, context.DeadlineExceeded) {
		t.Broken("%s returned: %v", what, err)
	}
}

// resumed resumes until the store is active: a pause may not be at its end yet.
func (t *T) resumed(s Pausable) {
	t.Eventually("a store that was paused can be resumed", func() bool {
		err := s.Resume(t.Ctx)
		if held := (*lifecycle.HeldError)(nil); err != nil && !errors.As(err, &held) && !errors.Is(err, lifecycle.ErrSuperseded) {
			t.Fatal("Resume returned: %v", err)
		}
		return err == nil && s.State() == lifecycle.Active
	})
}

// CutOff does something, pauses at some moment in the midst of it, resumes, and
// returns what it has returned: nil, or an error of the pause. It takes about as
// long as took says, so that the moment is one of its work; which one does not matter.
func (t *T) CutOff(s Pausable, what string, took time.Duration, do func() error) error {
	result := make(chan error, 1)
	t.Go(func() { result <- do() })
	time.Sleep(rand.N(took + time.Microsecond))
	ctx, cancel := context.WithTimeout(t.Ctx, time.Millisecond)
	err := s.Pause(ctx)
	cancel()
	t.held("Pause during "+what, err)
	err = Receive(t, "the end of "+what+" that a pause has cut off", result)
	t.resumed(s)
	if err != nil && !OfPause(err) {
		t.Broken("%s that a pause has cut off returned: %v", what, err)
	}
	return err
}

package storekit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// swap is Restore's part in the store's lifecycle. It keeps a Resume away from
// the files while a Restore replaces them, has a Pause wait for the copy that a
// Restore makes and looks at, and tells Restore whether somebody wanted
// something else meanwhile.
type swap struct {
	one  turn        // one Restore at a time
	busy turn        // whose it is may touch the files
	kept atomic.Bool // there may be a file that a Restore has kept, to be removed when the store is active
	name string      // the store's

	mu      sync.Mutex
	number  uint64        // of the last Pause, Resume or Close of the store's users
	wants   error         // what is to be said for it: nil after a Resume, else lifecycle.ErrPaused or ErrClosed
	began   time.Time     // of the preparing
	prepare chan struct{} // a Restore holds files of its own, until it is closed; nil where none does
}

func (s *swap) init() {
	s.one, s.busy = make(turn, 1), make(turn, 1)
	s.kept.Store(true) // by a Restore that was killed
}

// turn is a mutex that is waited for under a context: a channel with room for one.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turn) give() { <-t }

// intend notes what a user of the store wants from now on. undo takes that back, where he was told that it is not to be.
func (s *swap) intend(wants error) (undo func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.wants
	s.number++
	number := s.number
	s.wants = wants
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.number == number {
			s.wants = before
		}
	}
}

// intent is what somebody wanted last, and its number.
func (s *swap) intent() (number uint64, wants error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number, s.wants
}

// still says whether nobody has wanted anything since number: nil, or what is to be said.
func (s *swap) still(number uint64) error {
	now, wants := s.intent()
	switch {
	case now == number:
		return nil
	case wants != nil:
		return wants
	default:
		return lifecycle.ErrSuperseded // paused and resumed
	}
}

// preparing notes that a Restore holds files of its own, until done. It is
// called inside an operation of the database: a pause waits for that first, and
// then finds what to wait for here.
func (s *swap) preparing() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := make(chan struct{})
	s.prepare, s.began = over, time.Now()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.prepare = nil
		close(over)
	}
}

// member stands behind the database: it is resumed before that, and paused
// after it, when every Restore that prepares has been told by the database's pause.
func (s *swap) member() lifecycle.Pausable {
	return restoring{lifecycle.Func{PauseFunc: s.rest, ResumeFunc: func(ctx context.Context) error {
		return s.during(ctx, func() error { return nil })
	}}, s}
}

// rest waits until no Restore holds files of its own.
func (s *swap) rest(ctx context.Context) error {
	s.mu.Lock()
	over := s.prepare
	s.mu.Unlock()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return &lifecycle.HeldError{Store: s.name, Step: lifecycle.StepDrain, Holders: s.holders(), Cause: context.Cause(ctx)}
	}
}

// holders names the Restore that prepares.
func (s *swap) holders() []lifecycle.Holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepare == nil {
		return nil
	}
	return []lifecycle.Holder{{Store: s.name, Role: lifecycle.Foreign, Label: "restore", Since: s.began, Held: time.Since(s.began)}}
}

// restoring is the member with what it can say of itself.
type restoring struct {
	lifecycle.Pausable
	s *swap
}

// Name is for the errors of the group.
func (r restoring) Name() string { return r.s.name + ": restore" }

// Holders names the Restore that a pause would wait for.
func (r restoring) Holders() []lifecycle.Holder { return r.s.holders() }

// during runs f while nobody else touches the files.
func (s *swap) during(ctx context.Context, f func() error) error {
	if err := s.busy.take(ctx); err != nil {
		return err
	}
	defer s.busy.give()
	return f()
}

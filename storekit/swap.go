package storekit

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// swap keeps a Resume away from the files while a Restore replaces them, and
// tells Restore whether somebody wanted something else meanwhile.
type swap struct {
	one     sync.Mutex    // one Restore at a time
	busy    chan struct{} // has room for one: who has put something in may touch the files
	intents atomic.Uint64 // counts the Pauses, Resumes and Closes of the store's users
	kept    atomic.Bool   // there may be a file that a Restore has kept, to be removed when the store is active
}

func (s *swap) init() {
	s.busy = make(chan struct{}, 1)
	s.kept.Store(true) // by a Restore that was killed
}

// member is resumed before the database, as it stands behind it.
func (s *swap) member() lifecycle.Pausable {
	return lifecycle.Func{ResumeFunc: func(ctx context.Context) error {
		return s.during(ctx, func() error { return nil })
	}}
}

// during runs f while nobody else touches the files.
func (s *swap) during(ctx context.Context, f func() error) error {
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.busy }()
	return f()
}

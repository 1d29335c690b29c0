package eventcache

// How a linked chunk comes from a store: from its end backwards, as far as it is needed.

import (
	"context"
	"fmt"
)

// Loader loads a linked chunk from a store. It has no state of its own, and may be
// used by many goroutines, if each has its own LinkedChunk.
//
// A store that is paused between two calls is no matter; one that is paused when a
// method is called returns its error, what was loaded stays as it is, and the call can be repeated.
type Loader struct {
	Store    Chunks
	List     LinkedChunkID
	Capacity int // how many events a new chunk takes; DefaultCapacity for 0
}

// Load returns the linked chunk with its last chunk loaded. It is one without
// chunks where nothing is stored. The error matches ErrBroken where what is stored is no chain.
func (l Loader) Load(ctx context.Context) (*LinkedChunk, error) {
	last, highest, err := l.Store.LoadLastChunk(ctx, l.List)
	if err != nil {
		return nil, fmt.Errorf("eventcache: load the end of a linked chunk: %w", err)
	}
	chunk, err := FromLastChunk(l.Capacity, last, highest)
	if err != nil {
		return nil, fmt.Errorf("eventcache: load the end of a linked chunk: %w", err)
	}
	return chunk, nil
}

// LoadPrevious loads the chunk before the first one that is loaded, if there is
// one, and returns whether there is still something before that.
//
// The store has to have the updates that concern the first chunk. The error matches
// ErrNotPrevious if it does not, or if somebody else has changed it meanwhile, and ErrBroken
// where what is stored is no chain. to is unchanged then.
func (l Loader) LoadPrevious(ctx context.Context, to *LinkedChunk) (more bool, err error) {
	before := to.LazyPrevious()
	if before == 0 {
		return false, nil
	}
	first, _ := to.FirstChunk()
	previous, err := l.Store.LoadPreviousChunk(ctx, l.List, first.ID)
	switch {
	case err != nil:
	case previous == nil:
		err = fmt.Errorf("%w: the store has none before chunk %d", ErrNotPrevious, first.ID)
	default:
		err = to.PrependChunk(*previous)
	}
	if err != nil {
		return true, fmt.Errorf("eventcache: load chunk %d: %w", before, err)
	}
	return to.LazyPrevious() != 0, nil
}

// LoadAll loads everything that is not loaded yet, as LoadPrevious does. What was loaded before an error stays loaded.
func (l Loader) LoadAll(ctx context.Context, to *LinkedChunk) error {
	for {
		more, err := l.LoadPrevious(ctx, to)
		if err != nil || !more {
			return err
		}
	}
}

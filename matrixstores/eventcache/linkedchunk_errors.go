package eventcache

import "errors"

// Why a LinkedChunk could not do what it was asked for, besides what Store.Apply
// returns as well. Nothing was changed.
var (
	// ErrChunkIsItems is returned when what can be done to a gap is asked for a chunk of events.
	ErrChunkIsItems = errors.New("the chunk is no gap")

	// ErrChunkNotEmpty is returned when a chunk is to be removed that has events.
	ErrChunkNotEmpty = errors.New("the chunk has events")

	// ErrOnlyChunk is returned when the only chunk that is loaded is to be removed.
	ErrOnlyChunk = errors.New("the chunk is the only one that is loaded")

	// ErrNotPrevious is returned when a chunk is to be prepended, or was loaded
	// for that, which is not the one before the first: the store has not got all updates
	// yet, or somebody else has changed it. In the second case the linked chunk has to be loaded anew.
	ErrNotPrevious = errors.New("the chunk is not the one before the first that is loaded")
)

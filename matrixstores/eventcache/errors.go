package eventcache

import (
	"errors"
	"fmt"
)

// What an event, or a name, was refused for. Nothing was changed.
var (
	// ErrNoEventID is returned for an event without an id that is to be stored.
	ErrNoEventID = errors.New("the event has no id")

	// ErrNotJSON is returned for an event whose Raw is no JSON object.
	ErrNotJSON = errors.New("the event is no JSON object")

	// ErrRelation is returned for an event of which only one of RelatesTo and RelType is set.
	ErrRelation = errors.New("a relation needs an event and a type")

	// ErrLinkedChunkID is returned for a LinkedChunkID that names nothing: without a room, of
	// no kind, a thread without a root.
	ErrLinkedChunkID = errors.New("this is no name of a linked chunk")

	// ErrNoRoomID is returned for an empty room id.
	ErrNoRoomID = errors.New("the room has no id")
)

// Which condition an update did not meet. Store.Apply returns them within an *UpdateError.
var (
	// ErrUnknownChunk is returned when an update names a chunk that is not there.
	ErrUnknownChunk = errors.New("there is no such chunk")

	// ErrChunkExists is returned when the number of a new chunk is in use.
	ErrChunkExists = errors.New("there is such a chunk already")

	// ErrChunkID is returned when the number of a new chunk is 0, or more than MaxChunkID.
	ErrChunkID = errors.New("this is no number of a chunk")

	// ErrChunkIsGap is returned when an update of items names a gap.
	ErrChunkIsGap = errors.New("the chunk is a gap")

	// ErrLinks is returned when the neighbours that are named for a new chunk are not next to each other.
	ErrLinks = errors.New("the neighbours of the new chunk are not next to each other")

	// ErrPosition is returned when there is nothing at a position, or when items are pushed to another place than the end.
	ErrPosition = errors.New("there is no such position")

	// ErrUpdate is returned for an update of no known type, such as nil.
	ErrUpdate = errors.New("this is no update")
)

// ErrBroken is returned when what is stored is no chain of chunks: one that
// has no end, an item in no chunk. No update makes one; it takes a damaged file, or somebody
// else who has written into it. ClearRoom, or Clear, makes the linked chunk usable again.
var ErrBroken = errors.New("the stored linked chunk is damaged")

// UpdateError is returned by Store.Apply, and by a LinkedChunk, for an update that does not fit to
// what is there.
type UpdateError struct {
	Number int    // which of the updates, from 0
	Update string // its Name
	Chunk  ChunkID
	Index  int // the index in the chunk where there is one, or the number of the item that is at fault; -1 otherwise
	Err    error
}

// Error names the update, the place, and the condition. It contains nothing of an event.
func (e *UpdateError) Error() string {
	at := fmt.Sprintf("chunk %d", e.Chunk)
	if e.Index >= 0 {
		at += fmt.Sprintf(", item %d", e.Index)
	}
	return fmt.Sprintf("eventcache: update %d (%s, %s): %v", e.Number, e.Update, at, e.Err)
}

// Unwrap returns the condition.
func (e *UpdateError) Unwrap() error { return e.Err }

package eventcache

import (
	"context"
	"io"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores"
)

// Store is an event cache. What it promises as a whole stands in the
// documentation of the package, and what pausing does to it in matrixstores.Store.
type Store interface {
	matrixstores.Store
	Chunks
	Events
	Rooms
	Transfer
}

// Chunks are the linked chunks of a store.
type Chunks interface {
	// Apply makes the updates happen to a linked chunk, all or none, in their
	// order. The linked chunk comes into being with its first chunk; a thread is
	// remembered by that, too (RememberThread). The errors are an *UpdateError, and ErrLinkedChunkID.
	Apply(ctx context.Context, list LinkedChunkID, updates []Update) error

	// LoadAllChunks returns all chunks in the order of the chain, from the first
	// to the last. There are none in a linked chunk that is not there. ErrBroken
	// says that they are no chain.
	LoadAllChunks(ctx context.Context, list LinkedChunkID) ([]Chunk, error)

	// LoadAllMetadata returns the same chunks without what is in them.
	LoadAllMetadata(ctx context.Context, list LinkedChunkID) ([]ChunkMetadata, error)

	// LoadLastChunk returns the last chunk, nil where there is none, and the
	// highest number that a chunk has, 0 where there is none: a new chunk gets a
	// higher one. ErrBroken says that there are chunks and none is the last.
	LoadLastChunk(ctx context.Context, list LinkedChunkID) (last *Chunk, highest ChunkID, err error)

	// LoadPreviousChunk returns the chunk before another one, nil where that is
	// the first, or is not there.
	LoadPreviousChunk(ctx context.Context, list LinkedChunkID, before ChunkID) (*Chunk, error)

	// FindDuplicates returns which of these events are in the linked chunk, and
	// where: ordered by chunk number, then index. An event that is there twice is returned twice,
	// an id that is asked for twice is answered once. Any number of ids may be asked for.
	FindDuplicates(ctx context.Context, list LinkedChunkID, ids []id.EventID) ([]Place, error)
}

// Events are the events of a store, in linked chunks or not.
type Events interface {
	// SaveEvents stores events for a room that are in no linked chunk, or
	// replaces those that are there, in all linked chunks of the room; their
	// positions stay. All or none. The errors are ErrNoEventID, ErrNotJSON, ErrRelation, ErrNoRoomID.
	SaveEvents(ctx context.Context, room id.RoomID, events ...Event) error

	// FindEvent returns an event of the room, wherever it is.
	FindEvent(ctx context.Context, room id.RoomID, event id.EventID) (e Event, found bool, err error)

	// FindRelations returns the events of the room that relate to this one,
	// directly, in the order in which they were first stored, each with its
	// position in the timeline of the room. With nil as types all are
	// returned, otherwise those that relate in one of these ways: none for an empty slice.
	FindRelations(ctx context.Context, room id.RoomID, to id.EventID, types []event.RelationType) ([]Related, error)

	// FindEvents returns the events of the room that the filter lets through, in
	// the order in which they were first stored.
	FindEvents(ctx context.Context, room id.RoomID, f Filter) ([]Event, error)
}

// Rooms is what a store knows of its rooms as a whole.
type Rooms interface {
	// RememberThread makes a thread known to the room, whether it has events or
	// not. Repeating it does nothing.
	RememberThread(ctx context.Context, room id.RoomID, root id.EventID) error

	// Threads returns the roots of the threads that the room knows, in the order
	// in which they became known.
	Threads(ctx context.Context, room id.RoomID) ([]id.EventID, error)

	// ClearRoom removes everything of a room: its events and all its linked
	// chunks, of every kind. A room that is not known is cleared already.
	ClearRoom(ctx context.Context, room id.RoomID) error

	// ClearAll removes everything.
	ClearAll(ctx context.Context) error

	// RoomStats returns how much there is of a room; zeros where it is not known.
	RoomStats(ctx context.Context, room id.RoomID) (RoomStats, error)

	// AllRoomStats returns the same for every room that has something, ordered by Room.
	AllRoomStats(ctx context.Context) ([]RoomStats, error)

	// CleanUp removes events that no linked chunk refers to any more, and that
	// were last stored before the policy's time. It works in small
	// transactions, each of which stays done when a pause or ctx ends it, and returns how many it has removed.
	CleanUp(ctx context.Context, p CleanUpPolicy) (removed int, err error)
}

// Transfer takes a room out of a store and into another one.
type Transfer interface {
	// Export writes everything of a room as JSON lines, as of one moment. A room
	// that is not known has one line. A pause that comes meanwhile is not held up
	// for longer than by any other operation, and ends it with lifecycle.ErrInterrupted;
	// w then has a beginning, which Import refuses.
	Export(ctx context.Context, room id.RoomID, w io.Writer) error

	// Import puts an export in the place of everything that the store has of that room, or
	// changes nothing. It returns the room. The error matches ErrExport for what is no whole export.
	Import(ctx context.Context, r io.Reader) (id.RoomID, error)
}

// Chunk is a chunk as it is stored: a gap, or events.
type Chunk struct {
	ID       ChunkID
	Previous ChunkID // 0: it is the first
	Next     ChunkID // 0: it is the last
	Gap      *Gap    // not nil: it is a gap, and has no items
	Items    []Event
}

// ChunkMetadata is a chunk without what is in it.
type ChunkMetadata struct {
	ID       ChunkID
	Previous ChunkID
	Next     ChunkID
	IsGap    bool
	Items    int // 0 for a gap
}

// Place is where an event is.
type Place struct {
	Event id.EventID
	At    Position
}

// Related is an event that relates to another one.
type Related struct {
	Event Event

	// At is its position in the timeline of its room, the first one if it is there
	// twice (by chunk number, then index). Nil: it is not there.
	At *Position
}

// Filter says which events FindEvents returns. Its parts must all fit; an empty one fits every event.
type Filter struct {
	Type    string
	Session id.SessionID
}

// RoomStats is how much a store has of a room.
type RoomStats struct {
	Room   id.RoomID
	Lists  int   // linked chunks that have chunks
	Chunks int   // of all of them
	Events int   // each counted once
	Bytes  int64 // of their Raw; a store may take more or less for it
}

// CleanUpPolicy says which events are removed that nothing refers to.
type CleanUpPolicy struct {
	// OlderThan is for how long an event is kept that is in no linked chunk,
	// from when it was last stored. Events of the future are kept. It must not be negative.
	OlderThan time.Duration

	// Every is how often a store does it by itself. 0: never.
	Every time.Duration
}

// DefaultCleanUp keeps what nothing refers to for 30 days, and looks once a day.
func DefaultCleanUp() CleanUpPolicy {
	return CleanUpPolicy{OlderThan: 30 * 24 * time.Hour, Every: 24 * time.Hour}
}

package eventcache

import (
	"encoding/binary"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// Kind says which list of events a linked chunk is.
type Kind uint8

// The kinds of linked chunks. Their numbers are stored, and never change.
const (
	KindRoom    Kind = 1 // the timeline of a room
	KindThread  Kind = 2 // the timeline of a thread
	KindPinned  Kind = 3 // the pinned events of a room
	KindFocused Kind = 4 // what surrounds one event
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case KindRoom:
		return "room"
	case KindThread:
		return "thread"
	case KindPinned:
		return "pinned"
	case KindFocused:
		return "focused"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// LinkedChunkID names a linked chunk. It is comparable, and made by Room,
// Thread, Pinned or Focused; the zero value names none (ErrLinkedChunkID).
type LinkedChunkID struct {
	Kind  Kind
	Room  id.RoomID
	Event id.EventID // the root of a thread, or the event that is looked at; "" for the other kinds
}

// Room names the timeline of a room.
func Room(room id.RoomID) LinkedChunkID { return LinkedChunkID{Kind: KindRoom, Room: room} }

// Thread names the timeline of the thread that begins with root.
func Thread(room id.RoomID, root id.EventID) LinkedChunkID {
	return LinkedChunkID{Kind: KindThread, Room: room, Event: root}
}

// Pinned names the pinned events of a room.
func Pinned(room id.RoomID) LinkedChunkID { return LinkedChunkID{Kind: KindPinned, Room: room} }

// Focused names what surrounds an event.
func Focused(room id.RoomID, event id.EventID) LinkedChunkID {
	return LinkedChunkID{Kind: KindFocused, Room: room, Event: event}
}

// Check returns an error that matches ErrLinkedChunkID where the name is none.
func (l LinkedChunkID) Check() error {
	switch {
	case l.Kind < KindRoom || l.Kind > KindFocused:
		return fmt.Errorf("%w: %v", ErrLinkedChunkID, l.Kind)
	case l.Room == "":
		return fmt.Errorf("%w: it has no room", ErrLinkedChunkID)
	case (l.Kind == KindThread || l.Kind == KindFocused) != (l.Event != ""):
		return fmt.Errorf("%w: a %v with the event %q", ErrLinkedChunkID, l.Kind, l.Event)
	}
	return nil
}

// String is for people: it is not the same for every name, and not a key.
func (l LinkedChunkID) String() string {
	if l.Event != "" {
		return fmt.Sprintf("%v %s %s", l.Kind, l.Room, l.Event)
	}
	return fmt.Sprintf("%v %s", l.Kind, l.Room)
}

// Key returns the name as bytes, for a store to keep and to hash. Two names have
// the same key only if they are equal, whatever bytes a server has put into them.
func (l LinkedChunkID) Key() []byte {
	b := make([]byte, 0, 1+binary.MaxVarintLen64+len(l.Room)+len(l.Event))
	b = append(b, byte(l.Kind))
	b = binary.AppendUvarint(b, uint64(len(l.Room)))
	b = append(b, l.Room...)
	return append(b, l.Event...)
}

// errKey is returned by ParseKey, which is asked only for what Key has made.
var errKey = errors.New("eventcache: these bytes are no key of a linked chunk")

// ParseKey returns the name that Key was called for. What Key cannot have made is an error.
func ParseKey(key []byte) (LinkedChunkID, error) {
	if len(key) == 0 {
		return LinkedChunkID{}, errKey
	}
	n, used := binary.Uvarint(key[1:])
	rest := key[1:]
	if used <= 0 || n > uint64(len(rest)-used) || used > 1 && rest[used-1] == 0 { // the last: longer than it need be
		return LinkedChunkID{}, errKey
	}
	rest = rest[used:]
	l := LinkedChunkID{Kind: Kind(key[0]), Room: id.RoomID(rest[:n]), Event: id.EventID(rest[n:])}
	if err := l.Check(); err != nil {
		return LinkedChunkID{}, fmt.Errorf("%w: %w", errKey, err)
	}
	return l, nil
}

// ChunkID numbers the chunks of one linked chunk. Numbers begin at 1 and tell
// nothing about the order; 0 is no chunk. The largest is MaxChunkID.
type ChunkID uint64

// MaxChunkID is the largest number of a chunk, which SQL can still store.
const MaxChunkID ChunkID = 1<<63 - 1

// Position is a place in a linked chunk: an item, counted from 0, of a chunk.
// Positions are live: what is inserted or removed before an item moves it.
type Position struct {
	Chunk ChunkID
	Index int
}

// String returns chunk and index.
func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Chunk, p.Index) }

package eventcache

// What a client has of a linked chunk in memory, and how it is read. What
// changes it is in linkedchunk_change.go, and how it comes from a store in loader.go.

import (
	"fmt"
	"iter"
	"slices"
)

// DefaultCapacity is how many events a chunk takes unless another number was given.
const DefaultCapacity = 128

// LinkedChunk is a list of events with gaps, as a client works on it: all of it, or its end, with what is
// before that left in the store (LazyPrevious).
//
// Its methods say what is asked for: push, insert, replace, remove. Each
// yields the updates that make the same happen in a store, which are gathered until
// Updates takes them. Every one of them meets its conditions there, provided that
// all are applied, in their order. What a method cannot do is an *UpdateError; it has
// changed nothing then, and yields nothing.
//
// The same event may be in it twice; Chunks.FindDuplicates helps a client that
// does not want that. What is inserted before other events of a chunk makes those be pushed again, as they are
// here: whoever changes an event in the store (Events.SaveEvents) has to replace it here, too, or an
// old version of it comes back with that.
//
// Looking a chunk up, pushing an event and removing a chunk take constant time; what
// changes the middle of a chunk takes time in proportion to that chunk, however long the list is.
//
// A LinkedChunk is not safe for concurrent use, and must not be changed
// while one of its sequences is read.
type LinkedChunk struct {
	capacity    int
	first, last *node
	numbered    map[ChunkID]*node
	before      ChunkID // the chunk before the first, which is not loaded
	highest     ChunkID // number of a chunk, loaded or not
	items       int
	updates     []Update
}

// node is a chunk. One that was taken out of the chain keeps its neighbours, so
// that a sequence that has come to it goes on.
type node struct {
	id             ChunkID
	previous, next *node
	gap            *Gap
	items          []Event
}

// NewLinkedChunk returns a linked chunk without chunks: that of a room of which
// nothing is stored. A chunk takes capacity events, or DefaultCapacity for 0 and less.
func NewLinkedChunk(capacity int) *LinkedChunk {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	return &LinkedChunk{capacity: capacity, numbered: map[ChunkID]*node{}}
}

// FromLastChunk returns a linked chunk of which only the end is loaded, as
// Chunks.LoadLastChunk returns it; nil is one without chunks. New chunks get numbers above highest. The chunk
// may be longer than capacity. The error matches ErrBroken for a chunk that is not the last one of a chain.
func FromLastChunk(capacity int, last *Chunk, highest ChunkID) (*LinkedChunk, error) {
	l := NewLinkedChunk(capacity)
	if highest > MaxChunkID {
		return nil, fmt.Errorf("%w: %d is the highest number of a chunk", ErrBroken, highest)
	}
	l.highest = highest
	if last == nil {
		return l, nil
	}
	if err := checkLoaded(last); err != nil {
		return nil, err
	}
	if last.Next != 0 {
		return nil, fmt.Errorf("%w: chunk %d is not the last one, chunk %d follows", ErrBroken, last.ID, last.Next)
	}
	l.load(last)
	return l, nil
}

// PrependChunk puts the chunk in that is before the first one, as
// Chunks.LoadPreviousChunk returns it. It yields no updates.
//
// The error matches ErrNotPrevious for another chunk, and ErrBroken for one that is
// part of no chain, such as a cycle.
func (l *LinkedChunk) PrependChunk(c Chunk) error {
	if err := checkLoaded(&c); err != nil {
		return err
	}
	if l.before == 0 || c.ID != l.before || c.Next != l.first.id {
		return fmt.Errorf("%w: chunk %d, which is followed by chunk %d", ErrNotPrevious, c.ID, c.Next)
	}
	for _, id := range []ChunkID{c.ID, c.Previous} {
		if l.numbered[id] != nil {
			return fmt.Errorf("%w: chunk %d is before itself", ErrBroken, id)
		}
	}
	l.load(&c)
	return nil
}

// checkLoaded refuses what is no chunk of a chain, whatever else is there.
func checkLoaded(c *Chunk) error {
	switch {
	case c.ID == 0 || c.ID > MaxChunkID || c.Previous > MaxChunkID:
		return fmt.Errorf("%w: chunk %d after chunk %d", ErrBroken, c.ID, c.Previous)
	case c.Previous == c.ID || c.Next == c.ID:
		return fmt.Errorf("%w: chunk %d is its own neighbour", ErrBroken, c.ID)
	case c.Gap != nil && len(c.Items) > 0:
		return fmt.Errorf("%w: chunk %d is a gap with events", ErrBroken, c.ID)
	}
	return nil
}

// load puts a chunk in front of the others. The store may keep its slices.
func (l *LinkedChunk) load(c *Chunk) {
	n := &node{id: c.ID, next: l.first, items: slices.Clone(c.Items)}
	if c.Gap != nil {
		gap := *c.Gap
		n.gap = &gap
	}
	if l.first == nil {
		l.last = n
	} else {
		l.first.previous = n
	}
	l.first = n
	l.numbered[n.id] = n
	l.before = c.Previous
	l.highest = max(l.highest, c.ID, c.Previous)
	l.items += len(n.items)
}

// Updates returns the updates since it was called last, in their order, for
// Chunks.Apply; nil when there are none. They belong to the caller. Where a store cannot apply
// them, the linked chunk has to be loaded anew: it is ahead of the store from then on.
func (l *LinkedChunk) Updates() []Update {
	taken := l.updates
	l.updates = nil
	return taken
}

// Len returns how many events are loaded.
func (l *LinkedChunk) Len() int { return l.items }

// NumChunks returns how many chunks are loaded.
func (l *LinkedChunk) NumChunks() int { return len(l.numbered) }

// LazyPrevious returns the number of the chunk before the first one, which is not
// loaded; 0 where the first one is the first of all.
func (l *LinkedChunk) LazyPrevious() ChunkID { return l.before }

// view returns a chunk as a store has it.
func (l *LinkedChunk) view(n *node) Chunk {
	c := Chunk{ID: n.id, Previous: l.before, Gap: n.gap, Items: slices.Clip(n.items)}
	if n.previous != nil {
		c.Previous = n.previous.id
	}
	if n.next != nil {
		c.Next = n.next.id
	}
	return c
}

// Chunk returns a chunk that is loaded. Like all chunks that a LinkedChunk
// returns, it must not be changed, and is right until the LinkedChunk is changed.
func (l *LinkedChunk) Chunk(id ChunkID) (c Chunk, found bool) {
	if n := l.numbered[id]; n != nil {
		return l.view(n), true
	}
	return Chunk{}, false
}

// FirstChunk returns the first chunk that is loaded.
func (l *LinkedChunk) FirstChunk() (c Chunk, found bool) {
	if l.first == nil {
		return Chunk{}, false
	}
	return l.view(l.first), true
}

// LastChunk returns the last chunk.
func (l *LinkedChunk) LastChunk() (c Chunk, found bool) {
	if l.last == nil {
		return Chunk{}, false
	}
	return l.view(l.last), true
}

// Item returns the event at a position.
func (l *LinkedChunk) Item(at Position) (e Event, found bool) {
	n := l.numbered[at.Chunk]
	if n == nil || at.Index < 0 || at.Index >= len(n.items) {
		return Event{}, false
	}
	return n.items[at.Index], true
}

// Find looks from the end backwards for an event that match accepts, among those that are loaded.
func (l *LinkedChunk) Find(match func(Event) bool) (at Position, e Event, found bool) {
	for at, e := range l.ItemsBackward() {
		if match(e) {
			return at, e, true
		}
	}
	return Position{}, Event{}, false
}

// Chunks are the chunks that are loaded, from the first to the last.
func (l *LinkedChunk) Chunks() iter.Seq[Chunk] {
	return func(yield func(Chunk) bool) {
		for n := l.first; n != nil; n = n.next {
			if !yield(l.view(n)) {
				return
			}
		}
	}
}

// ChunksBackward are the chunks that are loaded, from the last to the first.
func (l *LinkedChunk) ChunksBackward() iter.Seq[Chunk] {
	return func(yield func(Chunk) bool) {
		for n := l.last; n != nil; n = n.previous {
			if !yield(l.view(n)) {
				return
			}
		}
	}
}

// Items are the events that are loaded, from the first to the last, gaps left out.
func (l *LinkedChunk) Items() iter.Seq2[Position, Event] {
	return func(yield func(Position, Event) bool) {
		for n := l.first; n != nil; n = n.next {
			for i := 0; i < len(n.items); i++ {
				if !yield(Position{n.id, i}, n.items[i]) {
					return
				}
			}
		}
	}
}

// ItemsBackward are the events that are loaded, from the last to the first, gaps left out.
func (l *LinkedChunk) ItemsBackward() iter.Seq2[Position, Event] {
	return func(yield func(Position, Event) bool) {
		for n := l.last; n != nil; n = n.previous {
			for i := len(n.items) - 1; i >= 0 && i < len(n.items); i-- {
				if !yield(Position{n.id, i}, n.items[i]) {
					return
				}
			}
		}
	}
}

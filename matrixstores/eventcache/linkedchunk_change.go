package eventcache

// What can be done to a LinkedChunk, and the updates that each yields.
//
// Every method first finds out whether it can do all of it, numbers for new chunks
// included, and then does it.

import "slices"

// PushItemsBack puts events at the end: into the last chunk as long as it has room,
// then into new ones. The slice stays the caller's.
//
// The error matches ErrNoEventID, ErrNotJSON or ErrRelation, with the number of the event
// as Index, for an event that cannot be stored, and ErrChunkID where there are no numbers left.
func (l *LinkedChunk) PushItemsBack(events ...Event) error {
	at := Position{}
	if l.last != nil {
		at = Position{l.last.id, len(l.last.items)}
	}
	if err := checkEvents(PushItems{}, at.Chunk, events); err != nil {
		return err
	}
	if len(events) == 0 {
		return nil
	}
	room := 0
	if l.last != nil && l.last.gap == nil {
		room = l.room(len(l.last.items))
	}
	if err := l.spare(NewItemsChunk{}, l.chunksFor(len(events)-room)); err != nil {
		return err
	}
	n := l.last
	if n == nil || n.gap != nil {
		n = l.link(n, nil)
	}
	l.push(n, slices.Clone(events))
	return nil
}

// PushGapBack puts a gap at the end, and returns its number. The error matches
// ErrChunkID where there are no numbers left.
func (l *LinkedChunk) PushGapBack(gap Gap) (ChunkID, error) {
	if err := l.spare(NewGapChunk{}, 1); err != nil {
		return 0, err
	}
	return l.link(l.last, &gap).id, nil
}

// InsertItemsAt puts events before the one at a position, or behind the last one of
// a chunk where the position is that, and returns where the first of them is now; without events it
// does nothing. What the chunk has no room for gets new ones, behind it. The slice stays the caller's.
//
// The error matches ErrUnknownChunk, ErrChunkIsGap or ErrPosition, or is one of PushItemsBack's.
func (l *LinkedChunk) InsertItemsAt(at Position, events ...Event) (Position, error) {
	n, err := l.events(PushItems{}, at, 1)
	if err != nil {
		return Position{}, err
	}
	if err := checkEvents(PushItems{}, at.Chunk, events); err != nil {
		return Position{}, err
	}
	if len(events) == 0 {
		return at, nil
	}
	detached := len(n.items) - at.Index
	if err := l.spare(NewItemsChunk{}, l.chunksFor(len(events)+detached-l.room(at.Index))); err != nil {
		return Position{}, err
	}
	behind := l.detach(n, at.Index)
	last, first := l.push(n, slices.Clone(events))
	l.reattach(last, behind)
	return first, nil
}

// InsertGapAt puts a gap before the event at a position, or behind the last one of
// a chunk where the position is that, and returns the gap's number. In the middle it
// splits the chunk; before its first event it does not.
//
// The error matches ErrUnknownChunk, ErrChunkIsGap, ErrPosition, or ErrChunkID where there are no numbers left.
func (l *LinkedChunk) InsertGapAt(at Position, gap Gap) (ChunkID, error) {
	n, err := l.events(NewGapChunk{}, at, 1)
	if err != nil {
		return 0, err
	}
	var detached int
	if at.Index > 0 {
		detached = len(n.items) - at.Index
	}
	if err := l.spare(NewGapChunk{}, 1+l.chunksFor(detached)); err != nil {
		return 0, err
	}
	if at.Index == 0 {
		return l.link(n.previous, &gap).id, nil
	}
	behind := l.detach(n, at.Index)
	inserted := l.link(n, &gap)
	l.reattach(inserted, behind)
	return inserted.id, nil
}

// ReplaceItemAt puts another event, or another version of it, in the place of the
// one at a position. The error matches ErrUnknownChunk, ErrChunkIsGap, ErrPosition, or says why the event cannot be stored.
func (l *LinkedChunk) ReplaceItemAt(at Position, e Event) error {
	n, err := l.events(ReplaceItem{}, at, 0)
	if err != nil {
		return err
	}
	if err := e.Check(); err != nil {
		return misfit(ReplaceItem{}, at.Chunk, at.Index, err)
	}
	n.items[at.Index] = e
	l.yield(ReplaceItem{At: at, Item: e})
	return nil
}

// RemoveItemAt takes the event at a position out, and returns it. A chunk that
// has no events then is removed as well, unless it is the only one that is loaded: that
// one stays, for more events to come. The error matches ErrUnknownChunk, ErrChunkIsGap or ErrPosition.
func (l *LinkedChunk) RemoveItemAt(at Position) (Event, error) {
	n, err := l.events(RemoveItem{}, at, 0)
	if err != nil {
		return Event{}, err
	}
	e := n.items[at.Index]
	n.items = slices.Delete(n.items, at.Index, at.Index+1)
	l.items--
	l.yield(RemoveItem{At: at})
	if len(n.items) == 0 && len(l.numbered) > 1 {
		l.unlink(n)
	}
	return e, nil
}

// ReplaceGapAt puts events in the place of a gap, in chunks of their own, and returns
// where the first of them is. Without events there is an empty chunk in the
// place of the gap (RemoveEmptyChunk leaves none). The slice stays the caller's.
//
// The error matches ErrUnknownChunk or ErrChunkIsItems, or is one of PushItemsBack's.
func (l *LinkedChunk) ReplaceGapAt(gap ChunkID, events ...Event) (Position, error) {
	n := l.numbered[gap]
	switch {
	case n == nil:
		return Position{}, misfit(RemoveChunk{}, gap, -1, ErrUnknownChunk)
	case n.gap == nil:
		return Position{}, misfit(RemoveChunk{}, gap, -1, ErrChunkIsItems)
	}
	if err := checkEvents(PushItems{}, gap, events); err != nil {
		return Position{}, err
	}
	if err := l.spare(NewItemsChunk{}, max(1, l.chunksFor(len(events)))); err != nil {
		return Position{}, err
	}
	first := l.link(n, nil)
	l.push(first, slices.Clone(events))
	l.unlink(n)
	return Position{Chunk: first.id}, nil
}

// RemoveEmptyChunk removes a gap, or a chunk without events. The error matches
// ErrUnknownChunk, ErrChunkNotEmpty or ErrOnlyChunk.
func (l *LinkedChunk) RemoveEmptyChunk(chunk ChunkID) error {
	n := l.numbered[chunk]
	var err error
	switch {
	case n == nil:
		err = ErrUnknownChunk
	case len(n.items) > 0:
		err = ErrChunkNotEmpty
	case len(l.numbered) == 1:
		err = ErrOnlyChunk
	default:
		l.unlink(n)
		return nil
	}
	return misfit(RemoveChunk{}, chunk, -1, err)
}

// Clear removes all chunks, those that are not loaded included. Their numbers are not used again.
func (l *LinkedChunk) Clear() {
	l.first, l.last, l.before, l.items = nil, nil, 0, 0
	l.numbered = map[ChunkID]*node{}
	l.yield(Clear{})
}

func (l *LinkedChunk) yield(u Update) { l.updates = append(l.updates, u) }

// misfit returns what is wrong with what would have been the first update of its kind.
func misfit(u Update, chunk ChunkID, index int, err error) error {
	return &UpdateError{Update: u.Name(), Chunk: chunk, Index: index, Err: err}
}

// events returns the chunk of a position, which is at most beyond behind the last event.
func (l *LinkedChunk) events(u Update, at Position, beyond int) (*node, error) {
	n := l.numbered[at.Chunk]
	var err error
	switch {
	case n == nil:
		err = ErrUnknownChunk
	case n.gap != nil:
		err = ErrChunkIsGap
	case at.Index < 0 || at.Index >= len(n.items)+beyond:
		err = ErrPosition
	default:
		return n, nil
	}
	return nil, misfit(u, at.Chunk, at.Index, err)
}

// checkEvents says which event cannot be stored.
func checkEvents(u Update, chunk ChunkID, events []Event) error {
	for i := range events {
		if err := events[i].Check(); err != nil {
			return misfit(u, chunk, i, err)
		}
	}
	return nil
}

// room returns how many events a chunk takes that has n. One that was loaded may have more than it takes.
func (l *LinkedChunk) room(n int) int { return max(0, l.capacity-n) }

// chunksFor returns how many new chunks n events need.
func (l *LinkedChunk) chunksFor(n int) int {
	if n <= 0 {
		return 0
	}
	return (n-1)/l.capacity + 1 // rounded up
}

// spare says whether there are numbers for n more chunks.
func (l *LinkedChunk) spare(u Update, n int) error {
	if ChunkID(n) > MaxChunkID-l.highest {
		return misfit(u, l.highest, -1, ErrChunkID)
	}
	return nil
}

// link makes a new chunk behind p, or in front of all where p is nil: a gap, or one of events.
func (l *LinkedChunk) link(p *node, gap *Gap) *node {
	l.highest++
	n := &node{id: l.highest, previous: p, next: l.first, gap: gap}
	if p != nil {
		n.next = p.next
		p.next = n
	} else {
		l.first = n
	}
	if n.next != nil {
		n.next.previous = n
	} else {
		l.last = n
	}
	l.numbered[n.id] = n
	c := l.view(n)
	if gap != nil {
		l.yield(NewGapChunk{Previous: c.Previous, New: c.ID, Next: c.Next, Gap: *gap})
	} else {
		l.yield(NewItemsChunk{Previous: c.Previous, New: c.ID, Next: c.Next})
	}
	return n
}

// unlink takes a chunk without events out of the chain, which is not the only one.
func (l *LinkedChunk) unlink(n *node) {
	if n.previous != nil {
		n.previous.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.previous = n.previous
	} else {
		l.last = n.previous
	}
	delete(l.numbered, n.id)
	l.yield(RemoveChunk{Chunk: n.id})
}

// push puts events, which nobody else will change, at the end of a chunk, and into new ones behind it. It
// returns the last of these chunks, and where the first event is.
func (l *LinkedChunk) push(n *node, events []Event) (last *node, first Position) {
	first = Position{n.id, len(n.items)}
	for i := 0; i < len(events); {
		k := min(l.room(len(n.items)), len(events)-i)
		if k == 0 {
			n = l.link(n, nil)
			if i == 0 {
				first = Position{Chunk: n.id}
			}
			continue
		}
		at := Position{n.id, len(n.items)}
		n.items = append(n.items, events[i:i+k]...)
		l.items += k
		l.yield(PushItems{At: at, Items: events[i : i+k : i+k]})
		i += k
	}
	return n, first
}

// detach takes the events from an index on out of a chunk, where there are any.
func (l *LinkedChunk) detach(n *node, index int) []Event {
	if index == len(n.items) {
		return nil
	}
	detached := slices.Clone(n.items[index:])
	n.items = slices.Delete(n.items, index, len(n.items))
	l.items -= len(detached)
	l.yield(DetachLastItems{At: Position{n.id, index}})
	return detached
}

// reattach pushes what was detached again: at the end of a chunk, or behind a gap.
func (l *LinkedChunk) reattach(n *node, detached []Event) {
	if len(detached) == 0 {
		return
	}
	l.yield(StartReattachItems{})
	if n.gap != nil {
		n = l.link(n, nil)
	}
	l.push(n, detached)
	l.yield(EndReattachItems{})
}

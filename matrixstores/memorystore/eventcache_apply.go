package memorystore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// How updates are applied, each with its conditions: all updates of one call are
// one transaction, and the first that does not fit takes all of them back.

// Apply applies updates; see eventcache.Chunks.
func (s *EventCache) Apply(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	return s.write(ctx, "apply updates", list.Check(), func(t *memory.Txn) error {
		a := applier{t: t, list: list, now: s.now()}
		for i, u := range updates {
			if err := a.apply(u); err != nil {
				var refused *eventcache.UpdateError
				if errors.As(err, &refused) {
					refused.Number = i
				}
				return err
			}
		}
		return nil
	})
}

// applier is one Apply.
type applier struct {
	t    *memory.Txn
	list eventcache.LinkedChunkID
	now  int64
}

func refuse(u eventcache.Update, chunk eventcache.ChunkID, index int, err error) error {
	return &eventcache.UpdateError{Update: u.Name(), Chunk: chunk, Index: index, Err: err}
}

func (a *applier) apply(u eventcache.Update) error {
	switch u := u.(type) {
	case eventcache.NewItemsChunk:
		return a.link(u, u.Previous, u.New, u.Next, nil)
	case eventcache.NewGapChunk:
		return a.link(u, u.Previous, u.New, u.Next, &u.Gap)
	case eventcache.RemoveChunk:
		return a.remove(u)
	case eventcache.PushItems:
		return a.push(u)
	case eventcache.ReplaceItem:
		return a.replace(u)
	case eventcache.RemoveItem:
		c, err := a.at(u, u.At, 0)
		if err != nil {
			return err
		}
		if err := a.count(c, c.items[u.At.Index], -1); err != nil {
			return err
		}
		return a.put(c, slices.Delete(slices.Clone(c.items), u.At.Index, u.At.Index+1))
	case eventcache.DetachLastItems:
		c, err := a.at(u, u.At, 1)
		if err != nil {
			return err
		}
		for _, event := range c.items[u.At.Index:] {
			if err := a.count(c, event, -1); err != nil {
				return err
			}
		}
		return a.put(c, slices.Clip(c.items[:u.At.Index]))
	case eventcache.StartReattachItems, eventcache.EndReattachItems:
		return nil
	case eventcache.Clear:
		return clearList(a.t, a.list)
	default: // whose Name must not be called: it may be a nil pointer
		return &eventcache.UpdateError{Update: fmt.Sprintf("%T", u), Index: -1, Err: eventcache.ErrUpdate}
	}
}

func (a *applier) chunk(n eventcache.ChunkID) (*chunkRow, error) {
	if n == 0 {
		return nil, nil
	}
	c, _, err := chunks.First(a.t, "id", chunkKey(a.list, n))
	return c, err
}

// put stores a chunk with other items.
func (a *applier) put(c *chunkRow, items []id.EventID) error {
	changed := *c
	changed.items = items
	return chunks.Insert(a.t, &changed)
}

// link puts a new chunk between two neighbours.
func (a *applier) link(u eventcache.Update, previous, number, next eventcache.ChunkID, gap *eventcache.Gap) error {
	refused := func(err error) error { return refuse(u, number, -1, err) }
	if number == 0 || number > eventcache.MaxChunkID {
		return refused(eventcache.ErrChunkID)
	}
	there, err1 := a.chunk(number)
	before, err2 := a.chunk(previous)
	behind, err3 := a.chunk(next)
	_, some, err4 := chunks.First(a.t, "last", inList(a.list))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	switch {
	case there != nil:
		return refused(eventcache.ErrChunkExists)
	case previous != 0 && before == nil, next != 0 && behind == nil:
		return refused(eventcache.ErrUnknownChunk)
	case before != nil && before.next != next, behind != nil && behind.previous != previous, before == nil && behind == nil && some:
		return refused(eventcache.ErrLinks)
	}
	if before != nil {
		changed := *before
		changed.next = number
		if err := chunks.Insert(a.t, &changed); err != nil {
			return err
		}
	}
	if behind != nil {
		changed := *behind
		changed.previous = number
		if err := chunks.Insert(a.t, &changed); err != nil {
			return err
		}
	}
	if gap != nil {
		own := *gap
		gap = &own
	}
	if err := remember(a.t, a.list); err != nil {
		return err
	}
	return chunks.Insert(a.t, &chunkRow{list: a.list, id: number, previous: previous, next: next, gap: gap})
}

// remove takes a chunk out of the chain.
func (a *applier) remove(u eventcache.RemoveChunk) error {
	c, err := a.chunk(u.Chunk)
	if err != nil {
		return err
	}
	if c == nil {
		return refuse(u, u.Chunk, -1, eventcache.ErrUnknownChunk)
	}
	before, err1 := a.chunk(c.previous)
	behind, err2 := a.chunk(c.next)
	if err := errors.Join(err1, err2, removeChunk(a.t, c)); err != nil {
		return err
	}
	if before != nil {
		changed := *before
		changed.next = c.next
		if err := chunks.Insert(a.t, &changed); err != nil {
			return err
		}
	}
	if behind != nil {
		changed := *behind
		changed.previous = c.previous
		return chunks.Insert(a.t, &changed)
	}
	return nil
}

// removeChunk removes a chunk, and its events' places, without a look at its neighbours.
func removeChunk(t *memory.Txn, c *chunkRow) error {
	for _, event := range c.items {
		err := places.Delete(t, &placeRow{list: c.list, event: event, chunk: c.id})
		if err != nil && !errors.Is(err, memory.ErrNotFound) { // one that is there twice
			return err
		}
	}
	return chunks.Delete(t, c)
}

// clearList removes all chunks of a linked chunk.
func clearList(t *memory.Txn, list eventcache.LinkedChunkID) error {
	for c, err := range chunks.Get(t, "id_prefix", inList(list)) {
		if err == nil {
			err = removeChunk(t, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// at returns the chunk of a position that is at most so far behind its last item.
func (a *applier) at(u eventcache.Update, at eventcache.Position, beyond int) (*chunkRow, error) {
	c, err := a.chunk(at.Chunk)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, refuse(u, at.Chunk, at.Index, eventcache.ErrUnknownChunk)
	case c.gap != nil:
		return nil, refuse(u, at.Chunk, at.Index, eventcache.ErrChunkIsGap)
	case at.Index < 0 || at.Index >= len(c.items)+beyond:
		return nil, refuse(u, at.Chunk, at.Index, eventcache.ErrPosition)
	}
	return c, nil
}

func (a *applier) push(u eventcache.PushItems) error {
	if len(u.Items) == 0 {
		return nil
	}
	c, err := a.at(u, u.At, 1)
	if err != nil {
		return err
	}
	if u.At.Index != len(c.items) {
		return refuse(u, u.At.Chunk, u.At.Index, eventcache.ErrPosition)
	}
	ids := make([]id.EventID, len(u.Items))
	for i := range u.Items {
		if err := u.Items[i].Check(); err != nil {
			return refuse(u, u.At.Chunk, i, err)
		}
		ids[i] = u.Items[i].ID
	}
	if err := save(a.t, a.list.Room, a.now, u.Items); err != nil {
		return err
	}
	for _, event := range ids {
		if err := a.count(c, event, 1); err != nil {
			return err
		}
	}
	// The row that is replaced may share the array: of all that do, only the newest is ever appended to, and
	// what is behind the others' ends none of them shows. Whatever makes a chunk shorter has to clip it.
	return a.put(c, append(c.items, ids...))
}

func (a *applier) replace(u eventcache.ReplaceItem) error {
	c, err := a.at(u, u.At, 0)
	if err != nil {
		return err
	}
	if err := u.Item.Check(); err != nil {
		return refuse(u, u.At.Chunk, u.At.Index, err)
	}
	if err := save(a.t, a.list.Room, a.now, []eventcache.Event{u.Item}); err != nil {
		return err
	}
	if err := errors.Join(a.count(c, c.items[u.At.Index], -1), a.count(c, u.Item.ID, 1)); err != nil {
		return err
	}
	items := slices.Clone(c.items)
	items[u.At.Index] = u.Item.ID
	return a.put(c, items)
}

// count notes that an event is in a chunk so many times more.
func (a *applier) count(c *chunkRow, event id.EventID, more int) error {
	return countPlace(a.t, c, event, more)
}

func countPlace(t *memory.Txn, c *chunkRow, event id.EventID, more int) error {
	place := placeRow{list: c.list, event: event, chunk: c.id, times: more}
	was, there, err := places.First(t, "id", placesKey(c.list, event).number(uint64(c.id)))
	if err != nil {
		return err
	}
	if there {
		place.times += was.times
	}
	if place.times == 0 {
		return places.Delete(t, &place)
	}
	return places.Insert(t, &place)
}

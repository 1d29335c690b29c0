package eventcachetest

// How the model applies updates: each with the conditions that eventcache's update.go says.

import (
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// apply applies one update, or says what it does not meet, without its number.
func (r *modelRoom) apply(list eventcache.LinkedChunkID, update eventcache.Update, now time.Time) *eventcache.UpdateError {
	chunks := r.lists[list]
	find := func(chunk eventcache.ChunkID) int {
		return slices.IndexFunc(chunks, func(c modelChunk) bool { return c.id == chunk })
	}
	fail := func(chunk eventcache.ChunkID, index int, err error) *eventcache.UpdateError {
		return &eventcache.UpdateError{Update: update.Name(), Chunk: chunk, Index: index, Err: err}
	}
	// place returns the chunk of a position that is at most so far behind its last event.
	place := func(at eventcache.Position, beyond int) (*modelChunk, *eventcache.UpdateError) {
		i := find(at.Chunk)
		switch {
		case i < 0:
			return nil, fail(at.Chunk, at.Index, eventcache.ErrUnknownChunk)
		case chunks[i].gap != nil:
			return nil, fail(at.Chunk, at.Index, eventcache.ErrChunkIsGap)
		case at.Index < 0 || at.Index >= len(chunks[i].items)+beyond:
			return nil, fail(at.Chunk, at.Index, eventcache.ErrPosition)
		}
		return &chunks[i], nil
	}
	link := func(previous, number, next eventcache.ChunkID, gap *eventcache.Gap) *eventcache.UpdateError {
		i, j := -1, len(chunks) // between which two it is to be
		if previous != 0 {
			i = find(previous)
		}
		if next != 0 {
			j = find(next)
		}
		switch {
		case number == 0 || number > eventcache.MaxChunkID:
			return fail(number, -1, eventcache.ErrChunkID)
		case find(number) >= 0:
			return fail(number, -1, eventcache.ErrChunkExists)
		case previous != 0 && i < 0, next != 0 && j < 0:
			return fail(number, -1, eventcache.ErrUnknownChunk)
		case j != i+1:
			return fail(number, -1, eventcache.ErrLinks)
		}
		if list.Kind == eventcache.KindThread {
			r.remember(list.Event)
		}
		r.lists[list] = slices.Insert(chunks, j, modelChunk{id: number, gap: gap})
		return nil
	}

	switch u := update.(type) {
	case eventcache.NewItemsChunk:
		return link(u.Previous, u.New, u.Next, nil)
	case eventcache.NewGapChunk:
		return link(u.Previous, u.New, u.Next, &u.Gap)
	case eventcache.RemoveChunk:
		i := find(u.Chunk)
		if i < 0 {
			return fail(u.Chunk, -1, eventcache.ErrUnknownChunk)
		}
		if r.lists[list] = slices.Delete(chunks, i, i+1); len(r.lists[list]) == 0 {
			delete(r.lists, list)
		}
	case eventcache.PushItems:
		if len(u.Items) == 0 {
			return nil
		}
		c, wrong := place(u.At, 1)
		if wrong != nil {
			return wrong
		}
		if u.At.Index != len(c.items) {
			return fail(u.At.Chunk, u.At.Index, eventcache.ErrPosition)
		}
		for i, e := range u.Items {
			if err := e.Check(); err != nil {
				return fail(u.At.Chunk, i, err)
			}
			r.put(e, now)
			c.items = append(c.items, e.ID)
		}
	case eventcache.ReplaceItem:
		c, wrong := place(u.At, 0)
		if wrong != nil {
			return wrong
		}
		if err := u.Item.Check(); err != nil {
			return fail(u.At.Chunk, u.At.Index, err)
		}
		r.put(u.Item, now)
		c.items[u.At.Index] = u.Item.ID
	case eventcache.RemoveItem:
		c, wrong := place(u.At, 0)
		if wrong != nil {
			return wrong
		}
		c.items = slices.Delete(c.items, u.At.Index, u.At.Index+1)
	case eventcache.DetachLastItems:
		c, wrong := place(u.At, 1)
		if wrong != nil {
			return wrong
		}
		c.items = slices.Clip(c.items[:u.At.Index])
	case eventcache.StartReattachItems, eventcache.EndReattachItems:
	case eventcache.Clear:
		delete(r.lists, list)
	default: // whose Name must not be called: it may be a nil pointer
		return &eventcache.UpdateError{Update: fmt.Sprintf("%T", update), Index: -1, Err: eventcache.ErrUpdate}
	}
	return nil
}

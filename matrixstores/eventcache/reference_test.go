package eventcache_test

// A store of linked chunks in the plainest way: what the doc comments of update.go and
// store.go say, in slices, without a thought of speed.

import (
	"context"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

type reference struct {
	lists  map[eventcache.LinkedChunkID][]eventcache.Chunk // in the order of the chain; of the events only the ids are right
	events map[id.RoomID]map[id.EventID]eventcache.Event
}

func newReference() *reference {
	return &reference{lists: map[eventcache.LinkedChunkID][]eventcache.Chunk{}, events: map[id.RoomID]map[id.EventID]eventcache.Event{}}
}

func (r *reference) Apply(_ context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	if err := list.Check(); err != nil {
		return err
	}
	a := &applying{events: map[id.EventID]eventcache.Event{}}
	for _, c := range r.lists[list] {
		c.Items = slices.Clone(c.Items)
		a.chunks = append(a.chunks, c)
	}
	for i, u := range updates {
		if err := a.apply(u); err != nil {
			err.Number = i
			return err
		}
	}
	r.lists[list] = a.chunks
	if r.events[list.Room] == nil {
		r.events[list.Room] = map[id.EventID]eventcache.Event{}
	}
	for _, e := range a.events {
		r.events[list.Room][e.ID] = e
	}
	return nil
}

// applying is a list to which updates are being applied. It is thrown away if one does not fit.
type applying struct {
	chunks []eventcache.Chunk
	events map[id.EventID]eventcache.Event
}

func (a *applying) index(chunk eventcache.ChunkID) int {
	return slices.IndexFunc(a.chunks, func(c eventcache.Chunk) bool { return c.ID == chunk })
}

func (a *applying) apply(update eventcache.Update) *eventcache.UpdateError {
	if update == nil {
		return &eventcache.UpdateError{Update: "nil", Index: -1, Err: eventcache.ErrUpdate}
	}
	fail := func(chunk eventcache.ChunkID, index int, err error) *eventcache.UpdateError {
		return &eventcache.UpdateError{Update: update.Name(), Chunk: chunk, Index: index, Err: err}
	}
	// items returns the events at a position that is at most beyond behind the last one.
	items := func(at eventcache.Position, beyond int) (*eventcache.Chunk, *eventcache.UpdateError) {
		i := a.index(at.Chunk)
		switch {
		case i < 0:
			return nil, fail(at.Chunk, at.Index, eventcache.ErrUnknownChunk)
		case a.chunks[i].Gap != nil:
			return nil, fail(at.Chunk, at.Index, eventcache.ErrChunkIsGap)
		case at.Index < 0 || at.Index >= len(a.chunks[i].Items)+beyond:
			return nil, fail(at.Chunk, at.Index, eventcache.ErrPosition)
		}
		return &a.chunks[i], nil
	}
	link := func(previous, next eventcache.ChunkID, c eventcache.Chunk) *eventcache.UpdateError {
		switch {
		case c.ID == 0 || c.ID > eventcache.MaxChunkID:
			return fail(c.ID, -1, eventcache.ErrChunkID)
		case a.index(c.ID) >= 0:
			return fail(c.ID, -1, eventcache.ErrChunkExists)
		case previous != 0 && a.index(previous) < 0 || next != 0 && a.index(next) < 0:
			return fail(c.ID, -1, eventcache.ErrUnknownChunk)
		}
		at := a.index(previous) + 1 // 0 for the first
		if follows := (next == 0 && at == len(a.chunks)) || (next != 0 && a.index(next) == at); !follows {
			return fail(c.ID, -1, eventcache.ErrLinks)
		}
		a.chunks = slices.Insert(a.chunks, at, c)
		return nil
	}

	switch u := update.(type) {
	case eventcache.NewItemsChunk:
		return link(u.Previous, u.Next, eventcache.Chunk{ID: u.New})
	case eventcache.NewGapChunk:
		return link(u.Previous, u.Next, eventcache.Chunk{ID: u.New, Gap: &u.Gap})
	case eventcache.RemoveChunk:
		i := a.index(u.Chunk)
		if i < 0 {
			return fail(u.Chunk, -1, eventcache.ErrUnknownChunk)
		}
		a.chunks = slices.Delete(a.chunks, i, i+1)
	case eventcache.PushItems:
		if len(u.Items) == 0 {
			return nil
		}
		c, err := items(u.At, 1)
		if err != nil {
			return err
		}
		if u.At.Index != len(c.Items) {
			return fail(u.At.Chunk, u.At.Index, eventcache.ErrPosition)
		}
		for i, e := range u.Items {
			if err := e.Check(); err != nil {
				return fail(u.At.Chunk, i, err)
			}
			a.events[e.ID] = e
		}
		c.Items = append(c.Items, u.Items...)
	case eventcache.ReplaceItem:
		c, err := items(u.At, 0)
		if err != nil {
			return err
		}
		if err := u.Item.Check(); err != nil {
			return fail(u.At.Chunk, u.At.Index, err)
		}
		a.events[u.Item.ID] = u.Item
		c.Items[u.At.Index] = u.Item
	case eventcache.RemoveItem:
		c, err := items(u.At, 0)
		if err != nil {
			return err
		}
		c.Items = slices.Delete(c.Items, u.At.Index, u.At.Index+1)
	case eventcache.DetachLastItems:
		c, err := items(u.At, 1)
		if err != nil {
			return err
		}
		c.Items = c.Items[:u.At.Index]
	case eventcache.StartReattachItems, eventcache.EndReattachItems:
	case eventcache.Clear:
		a.chunks = nil
	default:
		return fail(0, -1, fmt.Errorf("%w: %T", eventcache.ErrUpdate, update))
	}
	return nil
}

func (r *reference) LoadAllChunks(_ context.Context, list eventcache.LinkedChunkID) ([]eventcache.Chunk, error) {
	all := slices.Clone(r.lists[list])
	for i := range all {
		if i > 0 {
			all[i].Previous = all[i-1].ID
		}
		if i+1 < len(all) {
			all[i].Next = all[i+1].ID
		}
		all[i].Items = slices.Clone(all[i].Items)
		for n, e := range all[i].Items {
			all[i].Items[n] = r.events[list.Room][e.ID]
		}
	}
	return all, nil
}

func (r *reference) LoadAllMetadata(ctx context.Context, list eventcache.LinkedChunkID) (all []eventcache.ChunkMetadata, err error) {
	chunks, err := r.LoadAllChunks(ctx, list)
	for _, c := range chunks {
		all = append(all, eventcache.ChunkMetadata{ID: c.ID, Previous: c.Previous, Next: c.Next, IsGap: c.Gap != nil, Items: len(c.Items)})
	}
	return all, err
}

func (r *reference) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
	chunks, err := r.LoadAllChunks(ctx, list)
	var highest eventcache.ChunkID
	for _, c := range chunks {
		highest = max(highest, c.ID)
	}
	if len(chunks) == 0 {
		return nil, 0, err
	}
	return &chunks[len(chunks)-1], highest, err
}

func (r *reference) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
	chunks, err := r.LoadAllChunks(ctx, list)
	for i := range chunks {
		if chunks[i].Next == before && before != 0 {
			return &chunks[i], err
		}
	}
	return nil, err
}

func (r *reference) FindDuplicates(ctx context.Context, list eventcache.LinkedChunkID, ids []id.EventID) (found []eventcache.Place, err error) {
	chunks, err := r.LoadAllChunks(ctx, list)
	slices.SortFunc(chunks, func(a, b eventcache.Chunk) int { return int(a.ID) - int(b.ID) })
	for _, c := range chunks {
		for i, e := range c.Items {
			if slices.Contains(ids, e.ID) {
				found = append(found, eventcache.Place{Event: e.ID, At: eventcache.Position{Chunk: c.ID, Index: i}})
			}
		}
	}
	return found, err
}

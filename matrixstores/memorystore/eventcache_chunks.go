package memorystore

import (
	"cmp"
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// How linked chunks are loaded: eventcache.Chunks, as far as it reads.

// load makes a chunk of a row.
func load(t *memory.Txn, c *chunkRow) (*eventcache.Chunk, error) {
	chunk := &eventcache.Chunk{ID: c.id, Previous: c.previous, Next: c.next}
	if c.gap != nil {
		gap := *c.gap
		chunk.Gap = &gap
	}
	for _, event := range c.items {
		e, found, err := events.First(t, "id", eventKey(c.list.Room, event))
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, broken("an event of chunk %d is not there", c.id)
		}
		chunk.Items = append(chunk.Items, e.Event)
	}
	return chunk, nil
}

// chain returns the chunks of a linked chunk, from the first to the last.
func chain(t *memory.Txn, list eventcache.LinkedChunkID) (all []*chunkRow, err error) {
	c, found, err := chunks.First(t, "last", inList(list))
	for found && err == nil {
		if all = append(all, c); c.previous == 0 {
			break
		}
		if c, found, err = chunks.First(t, "id", chunkKey(list, c.previous)); err == nil && !found {
			err = broken("a chunk is missing")
		}
	}
	slices.Reverse(all)
	return all, err
}

// LoadAllChunks returns all chunks; see eventcache.Chunks.
func (s *EventCache) LoadAllChunks(ctx context.Context, list eventcache.LinkedChunkID) (all []eventcache.Chunk, err error) {
	err = s.read(ctx, "load all chunks", list.Check(), func(t *memory.Txn) error {
		rows, err := chain(t, list)
		if err != nil {
			return err
		}
		for _, row := range rows {
			c, err := load(t, row)
			if err != nil {
				return err
			}
			all = append(all, *c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// LoadAllMetadata returns all chunks without what is in them; see eventcache.Chunks.
func (s *EventCache) LoadAllMetadata(ctx context.Context, list eventcache.LinkedChunkID) (all []eventcache.ChunkMetadata, err error) {
	err = s.read(ctx, "load the metadata of all chunks", list.Check(), func(t *memory.Txn) error {
		rows, err := chain(t, list)
		for _, c := range rows {
			all = append(all, eventcache.ChunkMetadata{ID: c.id, Previous: c.previous, Next: c.next, IsGap: c.gap != nil, Items: len(c.items)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// LoadLastChunk returns the last chunk; see eventcache.Chunks.
func (s *EventCache) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (last *eventcache.Chunk, highest eventcache.ChunkID, err error) {
	err = s.read(ctx, "load the last chunk", list.Check(), func(t *memory.Txn) error {
		row, found, err := chunks.First(t, "last", inList(list))
		if err != nil || !found {
			return err
		}
		top, _, err := chunks.Last(t, "id_prefix", inList(list))
		if err != nil {
			return err
		}
		highest = top.id
		last, err = load(t, row)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return last, highest, nil
}

// LoadPreviousChunk returns the chunk before another one; see eventcache.Chunks.
func (s *EventCache) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (previous *eventcache.Chunk, err error) {
	err = s.read(ctx, "load the chunk before", list.Check(), func(t *memory.Txn) error {
		c, found, err := chunks.First(t, "id", chunkKey(list, before))
		if err != nil || !found || c.previous == 0 {
			return err
		}
		if c, found, err = chunks.First(t, "id", chunkKey(list, c.previous)); err == nil && found {
			previous, err = load(t, c)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return previous, nil
}

// FindDuplicates returns where events are in a linked chunk; see eventcache.Chunks.
func (s *EventCache) FindDuplicates(ctx context.Context, list eventcache.LinkedChunkID, ids []id.EventID) (found []eventcache.Place, err error) {
	err = s.read(ctx, "find duplicates", list.Check(), func(t *memory.Txn) error {
		asked := make(map[id.EventID]struct{}, len(ids))
		for _, event := range ids {
			if _, again := asked[event]; again {
				continue
			}
			asked[event] = struct{}{}
			at, err := placesOf(t, list, event)
			if err != nil {
				return err
			}
			found = append(found, at...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b eventcache.Place) int {
		return cmp.Or(cmp.Compare(a.At.Chunk, b.At.Chunk), cmp.Compare(a.At.Index, b.At.Index))
	})
	return found, nil
}

// placesOf returns where an event is in a linked chunk, by chunk number, then index.
func placesOf(t *memory.Txn, list eventcache.LinkedChunkID, event id.EventID) (found []eventcache.Place, err error) {
	for p, err := range places.Get(t, "id_prefix", placesKey(list, event)) {
		if err != nil {
			return nil, err
		}
		c, there, err := chunks.First(t, "id", chunkKey(list, p.chunk))
		if err != nil || !there {
			return nil, cmp.Or(err, broken("an event is in a chunk that is not there"))
		}
		for i, other := range c.items {
			if other == event {
				found = append(found, eventcache.Place{Event: event, At: eventcache.Position{Chunk: c.id, Index: i}})
			}
		}
	}
	return found, nil
}

package sqlitestore

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// How linked chunks are loaded: eventcache.Chunks, as far as it reads. All of a
// linked chunk takes two queries, and a part of it as many, however long it is.

const (
	selectLinks = `SELECT id, previous, next, gap, row FROM chunk WHERE list = ?`
	// Without statistics SQLite takes the primary key for as good, and would read all chunks of the list.
	selectLast      = `SELECT id, previous, next, gap, row FROM chunk INDEXED BY chunk_next WHERE list = ? AND next IS NULL`
	selectBefore    = `SELECT b.id, b.previous, b.next, b.gap, b.row FROM chunk a JOIN chunk b ON b.list = a.list AND b.id = a.previous WHERE a.list = ? AND a.id = ?`
	selectHighest   = `SELECT id FROM chunk WHERE list = ? ORDER BY id DESC LIMIT 1`
	selectItems     = `SELECT item.position, event.row, event.content FROM item JOIN event ON event.id = item.event WHERE item.list = ? AND item.chunk = ? ORDER BY item.position`
	selectAllItems  = `SELECT item.chunk, item.position, event.row, event.content FROM item JOIN event ON event.id = item.event WHERE item.list = ? ORDER BY item.chunk, item.position`
	selectAllCounts = `SELECT chunk, count(*) FROM item WHERE list = ? GROUP BY chunk`
)

// broken says what is wrong with the chunks of a linked chunk.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{eventcache.ErrBroken}, args...)...)
}

// scanChunk makes a chunk of a row, without its items.
func (t *tx) scanChunk(r *sqlite.Row) (c eventcache.Chunk, err error) {
	var previous, next *eventcache.ChunkID
	var gap, row []byte
	if err := r.Scan(&c.ID, &previous, &next, &gap, &row); err != nil {
		return c, err
	}
	c.Previous, c.Next = orNone(previous), orNone(next)
	if gap != nil {
		token, err := t.codec.Open(placeOf("chunk", "gap", row), gap)
		if err != nil {
			return c, err
		}
		c.Gap = &eventcache.Gap{Token: string(token)}
	}
	return c, nil
}

// chain brings the chunks of a linked chunk in order, from the first to the last.
func chain(chunks []eventcache.Chunk) ([]eventcache.Chunk, error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	byID := make(map[eventcache.ChunkID]int, len(chunks))
	first := -1
	for i, c := range chunks {
		byID[c.ID] = i
		if c.Previous == 0 {
			if first >= 0 {
				return nil, broken("chunks %d and %d are both the first", chunks[first].ID, c.ID)
			}
			first = i
		}
	}
	if first < 0 {
		return nil, broken("no chunk is the first")
	}
	ordered := make([]eventcache.Chunk, 0, len(chunks))
	for at := chunks[first]; ; {
		ordered = append(ordered, at)
		if at.Next == 0 {
			break
		}
		i, there := byID[at.Next]
		if !there || chunks[i].Previous != at.ID || len(ordered) == len(chunks) {
			return nil, broken("chunk %d follows chunk %d, and does not", at.Next, at.ID)
		}
		at = chunks[i]
	}
	if len(ordered) < len(chunks) {
		return nil, broken("%d chunks are not in the chain", len(chunks)-len(ordered))
	}
	return ordered, nil
}

// loadAll returns the chunks of a linked chunk in the order of the chain, without items.
func (t *tx) loadAll(list int64) ([]eventcache.Chunk, error) {
	chunks, err := sqlite.Collect(t.c.Rows(t.ctx, selectLinks, list), t.scanChunk)
	if err != nil {
		return nil, err
	}
	return chain(chunks)
}

// LoadAllChunks returns all chunks; see eventcache.Chunks.
func (s Events) LoadAllChunks(ctx context.Context, list eventcache.LinkedChunkID) (chunks []eventcache.Chunk, err error) {
	err = s.inList(ctx, list, func(t *tx, n int64) error {
		if chunks, err = t.loadAll(n); err != nil {
			return err
		}
		byID := make(map[eventcache.ChunkID]*eventcache.Chunk, len(chunks))
		for i := range chunks {
			byID[chunks[i].ID] = &chunks[i]
		}
		var number eventcache.ChunkID
		var position int
		var row, content []byte
		for r, err := range t.c.Rows(ctx, selectAllItems, n) {
			if err == nil {
				err = r.Scan(&number, &position, &row, &content)
			}
			if err != nil {
				return err
			}
			c := byID[number]
			if c == nil || c.Gap != nil || position != len(c.Items) {
				return broken("item %d of chunk %d is in no chunk, or out of place", position, number)
			}
			e, err := t.openEvent(row, content)
			if err != nil {
				return err
			}
			c.Items = append(c.Items, e)
		}
		return nil
	})
	if err != nil {
		return nil, s.failed("load all chunks", err)
	}
	return chunks, nil
}

// inList calls fn with the number of a linked chunk, and does not where that is not known.
func (s Events) inList(ctx context.Context, list eventcache.LinkedChunkID, fn func(t *tx, n int64) error) error {
	if err := list.Check(); err != nil {
		return err
	}
	return s.view(ctx, func(t *tx) error {
		n, _, err := t.list(list)
		if err != nil || n == 0 {
			return err
		}
		return fn(t, n)
	})
}

// LoadAllMetadata returns all chunks without what is in them; see eventcache.Chunks.
func (s Events) LoadAllMetadata(ctx context.Context, list eventcache.LinkedChunkID) (all []eventcache.ChunkMetadata, err error) {
	err = s.inList(ctx, list, func(t *tx, n int64) error {
		chunks, err := t.loadAll(n)
		if err != nil {
			return err
		}
		counts := make(map[eventcache.ChunkID]int, len(chunks))
		for r, err := range t.c.Rows(ctx, selectAllCounts, n) {
			var number eventcache.ChunkID
			var count int
			if err == nil {
				err = r.Scan(&number, &count)
			}
			if err != nil {
				return err
			}
			counts[number] = count
		}
		all = make([]eventcache.ChunkMetadata, 0, len(chunks))
		for _, c := range chunks {
			all = append(all, eventcache.ChunkMetadata{ID: c.ID, Previous: c.Previous, Next: c.Next, IsGap: c.Gap != nil, Items: counts[c.ID]})
		}
		return nil
	})
	if err != nil {
		return nil, s.failed("load the metadata of all chunks", err)
	}
	return all, nil
}

// LoadLastChunk returns the last chunk; see eventcache.Chunks.
func (s Events) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (last *eventcache.Chunk, highest eventcache.ChunkID, err error) {
	err = s.inList(ctx, list, func(t *tx, n int64) error {
		number, err := t.number(selectHighest, n)
		if err != nil || number == 0 {
			return err
		}
		highest = eventcache.ChunkID(number)
		if last, err = t.loadOne(n, selectLast, n); err == nil && last == nil {
			err = broken("there are chunks, and none is the last")
		}
		return err
	})
	if err != nil {
		return nil, 0, s.failed("load the last chunk", err)
	}
	return last, highest, nil
}

// LoadPreviousChunk returns the chunk before another one; see eventcache.Chunks.
func (s Events) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (previous *eventcache.Chunk, err error) {
	err = s.inList(ctx, list, func(t *tx, n int64) error {
		if before > eventcache.MaxChunkID {
			return nil
		}
		if previous, err = t.loadOne(n, selectBefore, n, int64(before)); err == nil && previous != nil && previous.Next != before {
			err = broken("chunk %d comes before chunk %d, and does not", previous.ID, before)
		}
		return err
	})
	if err != nil {
		return nil, s.failed("load the chunk before", err)
	}
	return previous, nil
}

// loadOne returns the one chunk that a query finds, with its items; nil where it finds none.
func (t *tx) loadOne(list int64, query string, args ...any) (*eventcache.Chunk, error) {
	found, err := sqlite.Collect(t.c.Rows(t.ctx, query, args...), t.scanChunk)
	switch {
	case err != nil || len(found) == 0:
		return nil, err
	case len(found) > 1:
		return nil, broken("chunks %d and %d are both the last", found[0].ID, found[1].ID)
	}
	c := &found[0]
	err = t.eachItem(list, c, func(e eventcache.Event) { c.Items = append(c.Items, e) })
	if err != nil {
		return nil, err
	}
	return c, nil
}

// itemIDs returns the ids of the events in a chunk.
func (t *tx) itemIDs(list int64, chunk *eventcache.Chunk) (ids []id.EventID, err error) {
	err = t.eachItem(list, chunk, func(e eventcache.Event) { ids = append(ids, e.ID) })
	return ids, err
}

// eachItem calls fn with the events in a chunk, in their order.
func (t *tx) eachItem(list int64, c *eventcache.Chunk, fn func(eventcache.Event)) error {
	next := 0
	var position int
	var row, content []byte
	for r, err := range t.c.Rows(t.ctx, selectItems, list, int64(c.ID)) {
		if err == nil {
			err = r.Scan(&position, &row, &content)
		}
		if err != nil {
			return err
		}
		if c.Gap != nil || position != next {
			return broken("item %d of chunk %d is out of place", position, c.ID)
		}
		e, err := t.openEvent(row, content)
		if err != nil {
			return err
		}
		fn(e)
		next++
	}
	return nil
}

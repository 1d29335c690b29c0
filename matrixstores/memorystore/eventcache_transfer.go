package memorystore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// A room out of a store and into another one: eventcache.Transfer.
//
// Neither is an operation for as long as it lasts, since a writer or a reader may
// be as slow as it likes and in memory nobody can be cut off. Rows never change: so an
// export is of the moment at which they were gathered, and an import is one transaction
// of what was read before.

// exported are the rows of a room.
type exported struct {
	life   uint64 // of the store, in which they were gathered
	events []*eventRow
	roots  []id.EventID
	lists  [][]*chunkRow // the chains of its linked chunks
}

// Export writes a room; see eventcache.Transfer.
func (s *EventCache) Export(ctx context.Context, room id.RoomID, w io.Writer) error {
	const op = "export a room"
	var rows exported
	err := s.read(ctx, op, checkRoom(room), func(t *memory.Txn) (err error) {
		rows, err = gather(t, room)
		rows.life = s.Generation()
		return err
	})
	if err != nil {
		return err
	}
	enc := eventcache.NewEncoder(w, room)
	err = rows.write(func(line eventcache.ExportLine) error {
		if err := s.interruption(ctx, rows.life); err != nil {
			return err
		}
		return enc.Write(line)
	})
	if err == nil {
		err = s.interruption(ctx, rows.life)
	}
	if err == nil {
		err = enc.End()
	}
	return s.failed(op, err)
}

// interruption returns why an operation would have been interrupted that began in this life of the store.
func (b *base) interruption(ctx context.Context, life uint64) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w: %w", lifecycle.ErrInterrupted, ctx.Err(), context.Cause(ctx))
	case b.State() != lifecycle.Active || b.Generation() != life:
		return lifecycle.ErrInterrupted
	}
	return nil
}

func gather(t *memory.Txn, room id.RoomID) (all exported, err error) {
	for e, err := range events.Get(t, "number_prefix", inRoom(room)) {
		if err != nil {
			return all, err
		}
		all.events = append(all.events, e)
	}
	if all.roots, err = threadsOf(t, room); err != nil {
		return all, err
	}
	var last eventcache.LinkedChunkID
	for c, err := range chunks.Get(t, "id_prefix", inRoom(room)) {
		if err != nil {
			return all, err
		}
		if c.list == last {
			continue
		}
		last = c.list
		rows, err := chain(t, last)
		if err != nil {
			return all, err
		}
		if len(rows) > 0 {
			all.lists = append(all.lists, rows)
		}
	}
	return all, nil
}

// write hands the lines of an export out, one after the other.
func (all *exported) write(line func(eventcache.ExportLine) error) error {
	for _, e := range all.events {
		if err := line(eventcache.ExportEvent{Event: e.Event}); err != nil {
			return err
		}
	}
	for _, root := range all.roots {
		if err := line(eventcache.ExportThread{Root: root}); err != nil {
			return err
		}
	}
	for _, rows := range all.lists {
		if err := line(eventcache.ExportList{List: rows[0].list}); err != nil {
			return err
		}
		for _, c := range rows {
			if err := line(eventcache.ExportChunk{ID: c.id, Previous: c.previous, Next: c.next, Gap: c.gap}); err != nil {
				return err
			}
			if err := line(eventcache.ExportItems{At: eventcache.Position{Chunk: c.id}, Events: c.items}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Import reads a room; see eventcache.Transfer.
func (s *EventCache) Import(ctx context.Context, r io.Reader) (room id.RoomID, err error) {
	const op = "import a room"
	if err := s.admitted(ctx); err != nil { // before anything is taken from the reader
		return "", s.failed(op, err)
	}
	room, lines, err := readAll(ctx, r)
	err = s.write(ctx, op, err, func(t *memory.Txn) error {
		if err := clearRoom(t, room); err != nil {
			return err
		}
		return importAll(t, room, s.now(), lines)
	})
	if err != nil {
		return "", err
	}
	return room, nil
}

func readAll(ctx context.Context, r io.Reader) (room id.RoomID, lines []eventcache.ExportLine, err error) {
	dec := eventcache.NewDecoder(r)
	if room, err = dec.Room(); err != nil {
		return "", nil, err
	}
	for ctx.Err() == nil {
		line, err := dec.Next()
		if errors.Is(err, io.EOF) {
			return room, lines, nil
		}
		if err != nil {
			return "", nil, err
		}
		lines = append(lines, line)
	}
	return "", nil, fmt.Errorf("%w: %w: %w", lifecycle.ErrInterrupted, ctx.Err(), context.Cause(ctx))
}

func importAll(t *memory.Txn, room id.RoomID, now int64, lines []eventcache.ExportLine) error {
	var list eventcache.LinkedChunkID
	var chunk *chunkRow // which is stored when all of it has come
	store := func() error {
		if chunk == nil {
			return nil
		}
		for _, event := range chunk.items {
			if err := countPlace(t, chunk, event, 1); err != nil {
				return err
			}
		}
		return chunks.Insert(t, chunk)
	}
	for _, line := range lines {
		var err error
		switch l := line.(type) {
		case eventcache.ExportEvent:
			err = save(t, room, now, []eventcache.Event{l.Event})
		case eventcache.ExportThread:
			err = remember(t, eventcache.Thread(room, l.Root))
		case eventcache.ExportList:
			list = l.List
			err = remember(t, list)
		case eventcache.ExportChunk:
			err = store()
			chunk = &chunkRow{list: list, id: l.ID, previous: l.Previous, next: l.Next, gap: l.Gap}
		case eventcache.ExportItems:
			chunk.items = append(chunk.items, l.Events...)
		}
		if err != nil {
			return err
		}
	}
	return store()
}

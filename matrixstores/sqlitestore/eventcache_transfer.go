package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// A room out of a store and into another one: eventcache.Transfer.

const (
	selectNumbers = `SELECT id FROM event WHERE room = ?`
	selectLists   = `SELECT id, row, name FROM list WHERE room = ?`
)

// Export writes a room; see eventcache.Transfer.
func (s Events) Export(ctx context.Context, room id.RoomID, w io.Writer) error {
	err := checkRoom(room)
	if err == nil {
		enc := eventcache.NewEncoder(w, room)
		err = s.view(ctx, func(t *tx) error {
			if err := t.export(room, enc); err != nil {
				return err
			}
			return enc.End()
		})
	}
	return s.failed("export a room", err)
}

func (t *tx) export(room id.RoomID, enc *eventcache.Encoder) error {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return err
	}
	numbers, err := sqlite.Collect(t.c.Rows(t.ctx, selectNumbers, n), func(r *sqlite.Row) (n int64, err error) { return n, r.Scan(&n) })
	if err != nil {
		return err
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		var row, content []byte
		if err := t.c.QueryRow(t.ctx, selectEventNo, number).Scan(&row, &content); err != nil {
			return err
		}
		e, err := t.openEvent(row, content)
		if err == nil {
			err = enc.Write(eventcache.ExportEvent{Event: e})
		}
		if err != nil {
			return err
		}
	}
	lists, err := t.lists(n)
	if err != nil {
		return err
	}
	for _, l := range lists {
		if l.name.Kind == eventcache.KindThread {
			if err := enc.Write(eventcache.ExportThread{Root: l.name.Event}); err != nil {
				return err
			}
		}
	}
	for _, l := range lists {
		if err := t.exportList(l, enc); err != nil {
			return err
		}
	}
	return nil
}

type numberedList struct {
	number int64
	name   eventcache.LinkedChunkID
}

// lists returns the linked chunks of a room, in the order in which they became known.
func (t *tx) lists(room int64) ([]numberedList, error) {
	lists, err := sqlite.Collect(t.c.Rows(t.ctx, selectLists, room), func(r *sqlite.Row) (l numberedList, err error) {
		var row, name []byte
		if err = r.Scan(&l.number, &row, &name); err == nil {
			l.name, err = t.listName(row, name)
		}
		return l, err
	})
	slices.SortFunc(lists, func(a, b numberedList) int { return cmp.Compare(a.number, b.number) })
	return lists, err
}

func (t *tx) exportList(l numberedList, enc *eventcache.Encoder) error {
	chunks, err := t.loadAll(l.number)
	if err == nil {
		err = enc.Write(eventcache.ExportList{List: l.name})
	}
	for i := range chunks {
		c := &chunks[i]
		if err != nil {
			return err
		}
		if err = enc.Write(eventcache.ExportChunk{ID: c.ID, Previous: c.Previous, Next: c.Next, Gap: c.Gap}); err != nil {
			return err
		}
		var ids []id.EventID
		if ids, err = t.itemIDs(l.number, c); err == nil {
			err = enc.Write(eventcache.ExportItems{At: eventcache.Position{Chunk: c.ID}, Events: ids})
		}
	}
	return err
}

// Import reads a room; see eventcache.Transfer. It is one transaction, which a
// slow reader makes a long one.
func (s Events) Import(ctx context.Context, r io.Reader) (room id.RoomID, err error) {
	if err := s.admitted(ctx); err != nil { // before anything is taken from the reader
		return "", s.failed("import a room", err)
	}
	dec := eventcache.NewDecoder(r)
	if room, err = dec.Room(); err == nil {
		err = s.update(ctx, func(t *tx) error { return t.importAll(room, dec) })
	}
	if err != nil {
		return "", s.failed("import a room", err)
	}
	return room, nil
}

func (t *tx) importAll(room id.RoomID, dec *eventcache.Decoder) error {
	if err := t.clearRoom(room); err != nil {
		return err
	}
	var number, list int64
	made := false // of an empty export nothing is made
	events := map[id.EventID]int64{}
	for {
		line, err := dec.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && !made {
			made = true
			number, err = t.makeRoom(room)
		}
		if err != nil {
			return err
		}
		switch l := line.(type) {
		case eventcache.ExportEvent:
			events[l.Event.ID], err = t.save(number, &l.Event)
		case eventcache.ExportThread:
			_, _, err = t.makeList(eventcache.Thread(room, l.Root))
		case eventcache.ExportList:
			list, _, err = t.makeList(l.List)
		case eventcache.ExportChunk:
			err = t.insertChunk(list, l.ID, l.Previous, l.Next, l.Gap)
		case eventcache.ExportItems:
			for i, event := range l.Events {
				if err == nil {
					err = t.exec(insertItem, list, int64(l.At.Chunk), l.At.Index+i, events[event])
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

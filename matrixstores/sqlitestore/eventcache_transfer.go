package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
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
		err = s.view(ctx, func(t *tx) error { return t.export(room, enc) })
		if err == nil { // outside: what an export of a small room writes, it writes now
			err = enc.End()
		}
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

// importAhead is how much of an export is read before the transaction begins, in bytes.
const importAhead = 64 << 20

// Import reads a room; see eventcache.Transfer. It is one transaction, which begins when all of the export was read: so a reader may be
// as slow as it likes. Of an export of more than 64 MiB the rest is read within it.
func (s Events) Import(ctx context.Context, r io.Reader) (room id.RoomID, err error) {
	err = s.admitted(ctx) // before anything is taken from the reader
	if err == nil {
		in := newImporter(r)
		if room, err = in.readAhead(ctx, s.ahead); err == nil {
			err = s.update(ctx, func(t *tx) error { return t.importAll(room, in) })
		}
	}
	if err != nil {
		return "", s.failed("import a room", err)
	}
	return room, nil
}

// importer hands out the lines of an export, of which it has read the first ones ahead.
type importer struct {
	dec   *eventcache.Decoder
	read  countingReader
	lines []eventcache.ExportLine
	all   bool // of the export is in lines
}

func newImporter(r io.Reader) *importer {
	in := &importer{read: countingReader{r: r}}
	in.dec = eventcache.NewDecoder(&in.read)
	return in
}

// readAhead reads all of an export, or about so many bytes of it.
func (in *importer) readAhead(ctx context.Context, most int64) (room id.RoomID, err error) {
	room, err = in.dec.Room()
	for err == nil && in.read.n <= most {
		if ctx.Err() != nil {
			return "", fmt.Errorf("%w: %w: %w", lifecycle.ErrInterrupted, ctx.Err(), context.Cause(ctx))
		}
		var line eventcache.ExportLine
		switch line, err = in.dec.Next(); {
		case err == nil:
			in.lines = append(in.lines, line)
		case errors.Is(err, io.EOF):
			in.all = true
			return room, nil
		}
	}
	return room, err
}

// each calls fn with every line.
func (in *importer) each(fn func(eventcache.ExportLine) error) error {
	for _, line := range in.lines {
		if err := fn(line); err != nil {
			return err
		}
	}
	for !in.all {
		line, err := in.dec.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (t *tx) importAll(room id.RoomID, in *importer) error {
	if err := t.clearRoom(room); err != nil {
		return err
	}
	var number, list int64
	made := false // of an empty export nothing is made
	events := map[id.EventID]int64{}
	return in.each(func(line eventcache.ExportLine) (err error) {
		if !made {
			made = true
			if number, err = t.makeRoom(room); err != nil {
				return err
			}
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
		return err
	})
}

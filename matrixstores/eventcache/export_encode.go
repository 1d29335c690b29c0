package eventcache

// Writing an export. See export.go for the format.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"maunium.net/go/mautrix/id"
)

// Encoder writes an export of a room, line after line. It keeps the ids of
// the room's events in memory, and about one line. It is not safe for concurrent use.
//
// After an error all its methods return that error, and what was written is no export.
type Encoder struct {
	w     *bufio.Writer
	rules *exportRules
	limit int         // of a line: MaxExportLine, but in tests
	begun bool        // whether the first line was written
	list  *ExportList // given, and not written yet: without chunks it never is
	err   error
}

// errEnded is what an Encoder says that has written its last line.
var errEnded = errors.New("eventcache: the export has been ended")

// NewEncoder returns an Encoder of an export of room. It writes nothing yet.
func NewEncoder(w io.Writer, room id.RoomID) *Encoder {
	e := &Encoder{w: bufio.NewWriterSize(w, 64<<10), limit: MaxExportLine}
	if e.rules, e.err = newExportRules(room); e.err != nil {
		e.err = refuse(e.err)
	}
	return e
}

// Write writes what one line says; the lines are to come in the order of the
// types of ExportLine. A list is written with its first chunk; one without chunks is left out, and so are
// items that are none. Items are written as several lines where there are many.
//
// The error matches ErrExport, and says why, for what could not be read again: an
// event that Event.Check refuses or that comes twice or that is too long, chunks that are no chain, items of no
// event. Others are those of the writer.
func (e *Encoder) Write(line ExportLine) error {
	if e.err != nil {
		return e.err
	}
	switch l := line.(type) {
	case ExportList:
		e.list = &l
	case ExportChunk:
		if e.list != nil {
			e.write(*e.list)
			e.list = nil
		}
		e.write(l)
	case ExportItems:
		for at, events := l.At, l.Events; len(events) > 0 && e.err == nil; {
			n := fits(events)
			e.write(ExportItems{At: at, Events: events[:n]})
			at.Index, events = at.Index+n, events[n:]
		}
	default:
		e.write(line)
	}
	return e.err
}

// fits returns how many of these events stand in one line: at least one.
func fits(events []id.EventID) int {
	size := 0
	for i, event := range events {
		size += len(event)
		if i > 0 && (i == itemsPerLine || size > idBytesInLine) {
			return i
		}
	}
	return len(events)
}

// write writes one line as it is.
func (e *Encoder) write(line ExportLine) {
	if e.err != nil {
		return
	}
	if l, is := line.(ExportEvent); is && len(l.Event.Raw) > e.limit {
		e.err = refuse(fmt.Errorf("an event of %d bytes needs a line that is too long", len(l.Event.Raw)))
		return
	}
	if e.err = e.rules.take(line); e.err != nil {
		e.err = refuse(e.err)
		return
	}
	b, err := asLine(line)
	if err != nil {
		e.err = refuse(err)
		return
	}
	if e.begin(false); e.err == nil {
		e.put(b)
	}
}

// begin writes the first line, once; with the end in it where that is all.
func (e *Encoder) begin(all bool) {
	if e.begun {
		return
	}
	e.begun = true
	version, room := exportVersion, exactText(e.rules.room)
	header := lineJSON{Version: &version, Room: &room}
	if all {
		header.End = &e.rules.counts
	}
	b, err := json.Marshal(header)
	if err != nil {
		e.err = refuse(err)
		return
	}
	e.put(b)
}

func (e *Encoder) put(line []byte) {
	if len(line) > e.limit {
		e.err = refuse(fmt.Errorf("a line of %d bytes is too long", len(line)))
		return
	}
	for _, b := range [][]byte{line, {'\n'}} {
		if _, err := e.w.Write(b); err != nil {
			e.err = fmt.Errorf("eventcache: write an export: %w", err)
			return
		}
	}
}

// End writes the last line, and everything that was not written yet. Without it there is no whole export.
func (e *Encoder) End() error {
	if e.err != nil {
		return e.err
	}
	if err := e.rules.endOfList(); err != nil {
		e.err = refuse(err)
		return e.err
	}
	if e.begun {
		b, err := json.Marshal(lineJSON{End: &e.rules.counts})
		if err != nil {
			e.err = refuse(err)
			return e.err
		}
		e.put(b)
	} else {
		e.begin(true)
	}
	if e.err != nil {
		return e.err
	}
	if err := e.w.Flush(); err != nil {
		e.err = fmt.Errorf("eventcache: write an export: %w", err)
		return e.err
	}
	e.err = errEnded
	return nil
}

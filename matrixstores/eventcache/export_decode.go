package eventcache

// Reading an export, of which anybody may have written anything. See export.go for the format.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

// Decoder reads an export of a room, line after line. It keeps the ids of
// the room's events in memory, and one line. It is not safe for concurrent use.
//
// What it returns may be stored as it comes, in a transaction: it is known to be a
// whole export only when Next returns io.EOF.
type Decoder struct {
	r      *bufio.Reader
	limit  int    // of a line: MaxExportLine, but in tests
	number int    // of the line that was read last, from 1
	buf    []byte // that line
	rules  *exportRules
	end    *exportCounts // what the last line says
	err    error
}

// NewDecoder returns a Decoder of an export. It reads nothing yet.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, 64<<10), limit: MaxExportLine}
}

// Room returns the room that the export is of. It reads the first line if that was
// not read yet. Its errors are those of Next.
func (d *Decoder) Room() (id.RoomID, error) {
	if d.rules == nil && d.err == nil {
		d.err = d.header()
	}
	if d.rules == nil {
		return "", d.err
	}
	return d.rules.room, nil
}

// Next returns what the next line says; the lines come in the order of the
// types of ExportLine, and nothing of what they say is shared with the Decoder. It returns io.EOF
// after the last line, where everything is there and nothing else.
//
// The error matches ErrExport, and says why, for what is no whole export. Others are those of the
// reader. After an error Next returns that error.
func (d *Decoder) Next() (ExportLine, error) {
	if _, err := d.Room(); err != nil {
		return nil, err
	}
	if d.err != nil {
		return nil, d.err
	}
	line, err := d.next()
	if err != nil {
		d.err = err
		return nil, err
	}
	return line, nil
}

// header reads the first line.
func (d *Decoder) header() error {
	if err := d.read(); err != nil {
		return err
	}
	// A later version may have parts that this one does not know.
	var version struct {
		Version *int `json:"quiesce_event_cache"`
	}
	switch err := json.Unmarshal(d.buf, &version); {
	case err != nil:
		return d.refuse(errMalformed)
	case version.Version == nil:
		return d.refuse(errors.New("it does not begin as an export does"))
	case *version.Version != exportVersion:
		return d.refuse(fmt.Errorf("version %d is not known, only %d is", *version.Version, exportVersion))
	}
	j, err := d.parse()
	if err != nil {
		return err
	}
	if j.Room == nil || j.Event != nil || j.Thread != nil || j.List != nil || j.Chunk != nil || j.Items != nil {
		return d.refuse(errLine)
	}
	rules, err := newExportRules(id.RoomID(*j.Room))
	if err != nil {
		return d.refuse(err)
	}
	d.rules, d.end = rules, j.End
	return nil
}

func (d *Decoder) next() (ExportLine, error) {
	if d.end != nil {
		return nil, d.whole()
	}
	if err := d.read(); err != nil {
		return nil, err
	}
	j, err := d.parse()
	if err != nil {
		return nil, err
	}
	if j.End != nil && *j == (lineJSON{End: j.End}) {
		d.end = j.End
		return nil, d.whole()
	}
	line, err := j.line(d.rules.room)
	if err == nil {
		err = d.rules.take(line)
	}
	if err != nil {
		return nil, d.refuse(err)
	}
	return line, nil
}

// whole returns io.EOF where the last line is one, and nothing follows.
func (d *Decoder) whole() error {
	if err := d.rules.endOfList(); err != nil {
		return d.refuse(err)
	}
	if *d.end != d.rules.counts {
		return d.refuse(errors.New("its last line counts otherwise than what came: a part is missing"))
	}
	switch _, err := d.r.ReadByte(); {
	case err == nil:
		return d.refuse(errors.New("there is something after its last line"))
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("eventcache: read an export: %w", err)
	}
	return io.EOF
}

// read reads a line into buf.
func (d *Decoder) read() error {
	d.buf = d.buf[:0]
	d.number++
	for {
		part, err := d.r.ReadSlice('\n')
		if len(bytes.TrimSuffix(part, []byte{'\n'}))+len(d.buf) > d.limit {
			return d.refuse(fmt.Errorf("it has more than %d bytes", d.limit))
		}
		d.buf = append(d.buf, part...)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if len(d.buf) > 0 {
				return nil // only the last line may be without an end; no other is whole then
			}
			return d.refuse(errors.New("there is no last line: it is cut off"))
		default:
			return fmt.Errorf("eventcache: read an export: %w", err)
		}
	}
}

var errMalformed = errors.New("it is no JSON object of the format")

// parse reads the line as JSON. What encoding/json says of it is left out: it
// may quote what is in the line.
func (d *Decoder) parse() (*lineJSON, error) {
	if !utf8.Valid(d.buf) { // encoding/json would put something else in its place
		return nil, d.refuse(errors.New("it is no UTF-8"))
	}
	var j lineJSON
	dec := json.NewDecoder(bytes.NewReader(d.buf))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return nil, d.refuse(errMalformed)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, d.refuse(errMalformed)
	}
	return &j, nil
}

func (d *Decoder) refuse(err error) error {
	return fmt.Errorf("%w: line %d: %w", ErrExport, d.number, err)
}

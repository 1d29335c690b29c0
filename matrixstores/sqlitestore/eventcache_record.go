package sqlitestore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// An event as one value: a version, then its fields, each behind its length, and
// at last its JSON. So nothing of the JSON is read when an event is, and it comes
// back byte for byte.

const recordVersion = 1

// The fields in front of the JSON.
const recordFields = 6

var (
	errRecord        = errors.New("it is no stored event")
	errRecordVersion = errors.New("the stored event is of a version that this program does not know")
)

// damaged is the error for a value that could be opened and makes no sense.
func damaged(at secret.Place, err error) error {
	return &codec.DecodeError{Table: at.Table, Column: at.Column, Err: err}
}

// appendRecord appends the event as a record.
func appendRecord(dst []byte, e *eventcache.Event) ([]byte, error) {
	var meta []byte
	if e.Meta != nil {
		var err error
		if meta, err = json.Marshal(e.Meta); err != nil {
			return nil, fmt.Errorf("%w: its Meta cannot be stored: %w", eventcache.ErrNotJSON, err)
		}
	}
	dst = append(dst, recordVersion)
	dst = appendField(dst, e.ID)
	dst = appendField(dst, e.Type)
	dst = appendField(dst, e.Session)
	dst = appendField(dst, e.RelatesTo)
	dst = appendField(dst, e.RelType)
	dst = appendField(dst, meta)
	return append(dst, e.Raw...), nil
}

func appendField[S ~string | ~[]byte](dst []byte, s S) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// parseRecord is the event of a record, whose bytes it keeps.
func parseRecord(b []byte) (e eventcache.Event, err error) {
	if len(b) == 0 || b[0] != recordVersion {
		return e, errRecordVersion
	}
	var fields [recordFields][]byte
	b = b[1:]
	for i := range fields {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return e, errRecord
		}
		fields[i], b = b[used:used+int(n)], b[used+int(n):]
	}
	e = eventcache.Event{
		ID: id.EventID(fields[0]), Type: typeText(fields[1]), Session: id.SessionID(fields[2]),
		RelatesTo: id.EventID(fields[3]), RelType: event.RelationType(fields[4]), Raw: json.RawMessage(b),
	}
	if meta := fields[5]; len(meta) > 0 {
		e.Meta = &eventcache.Meta{}
		if err := json.Unmarshal(meta, e.Meta); err != nil {
			return eventcache.Event{}, errRecord
		}
	}
	return e, nil
}

// typeText is string(b), without a copy of what most events are.
func typeText(b []byte) string {
	switch string(b) {
	case "m.room.message":
		return "m.room.message"
	case "m.room.encrypted":
		return "m.room.encrypted"
	case "m.reaction":
		return "m.reaction"
	case "m.room.member":
		return "m.room.member"
	}
	return string(b)
}

func contentPlace(row []byte) secret.Place { return placeOf("event", "content", row) }

// openEvent makes an event of what is stored.
func (t *tx) openEvent(row, content []byte) (eventcache.Event, error) {
	at := contentPlace(row)
	plain, err := t.codec.Open(at, content)
	if err != nil {
		return eventcache.Event{}, err
	}
	e, err := parseRecord(plain)
	if err != nil {
		return e, damaged(at, err)
	}
	return e, nil
}

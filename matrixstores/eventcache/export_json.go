package eventcache

// How the values of an export, and a Meta, are written as JSON so that they are
// the same when they are read again, whatever bytes are in them. encoding/json alone
// would put U+FFFD in the place of bytes that are no UTF-8, and would rewrite JSON that is in
// JSON.

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// sealedBytes is how bytes are written that cannot stand in JSON as they are.
type sealedBytes struct {
	Base64 []byte `json:"base64"`
}

// exactText is a string of any bytes.
type exactText string

func (t exactText) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(sealedBytes{[]byte(t)})
}

var errText = errors.New("eventcache: neither a string nor base64")

func (t *exactText) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		return json.Unmarshal(b, (*string)(t))
	case '{':
		var s sealedBytes
		if err := json.Unmarshal(b, &s); err != nil {
			return errText
		}
		*t = exactText(s.Base64)
		return nil
	default:
		return errText
	}
}

// maxLevels is in how many levels JSON may be nested that is put into other JSON as it is. encoding/json reads and writes no
// more than 10,000, and a line has some of its own around what it carries.
const maxLevels = 9_000

// deep says whether JSON is nested in more than maxLevels.
func deep(j []byte) bool {
	if bytes.Count(j, []byte{'{'})+bytes.Count(j, []byte{'['}) <= maxLevels {
		return false // as nearly always
	}
	level, text := 0, false
	for i := 0; i < len(j); i++ {
		switch c := j[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{', c == '[':
			if level++; level > maxLevels {
				return true
			}
		case c == '}', c == ']':
			level--
		}
	}
	return false
}

// exactJSON is JSON within JSON, or any other bytes in its place.
type exactJSON []byte

var sealedPrefix = []byte(`{"base64":`)

// MarshalJSON leaves as it is what json.Marshal will not touch either, and what
// cannot be taken for sealed bytes.
func (j exactJSON) MarshalJSON() ([]byte, error) {
	if bytes.HasPrefix(j, sealedPrefix) || !utf8.Valid(j) || bytes.ContainsAny(j, "<>&\u2028\u2029") || deep(j) {
		return json.Marshal(sealedBytes{j})
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, j); err != nil || !bytes.Equal(compact.Bytes(), j) {
		return json.Marshal(sealedBytes{j})
	}
	return j, nil
}

func (j *exactJSON) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, sealedPrefix) {
		*j = bytes.Clone(b)
		return nil
	}
	var s sealedBytes
	if err := json.Unmarshal(b, &s); err != nil {
		return errText
	}
	*j = s.Base64
	return nil
}

// metaJSON, and the types below, are Meta and its parts with exact values.
type metaJSON struct {
	Timestamp     int64              `json:"timestamp,omitempty"`
	Decrypted     *decryptedJSON     `json:"decrypted,omitempty"`
	Undecryptable *undecryptableJSON `json:"undecryptable,omitempty"`
	PushActions   *[]exactJSON       `json:"push_actions,omitempty"`
	Thread        *threadJSON        `json:"thread,omitempty"`
}

type decryptedJSON struct {
	Sender       exactText `json:"sender,omitempty"`
	SenderDevice exactText `json:"sender_device,omitempty"`
	SenderKey    exactText `json:"sender_key,omitempty"`
	Algorithm    exactText `json:"algorithm,omitempty"`
	Trust        exactText `json:"trust,omitempty"`
	Original     exactJSON `json:"original,omitempty"`
}

type undecryptableJSON struct {
	Reason exactText `json:"reason"`
}

type threadJSON struct {
	Latest exactText `json:"latest,omitempty"`
	Count  int       `json:"count"`
}

// MarshalJSON writes a Meta so that UnmarshalJSON makes the same one of it, even
// where its strings are no UTF-8, its JSON is none, or its push actions are determined and none.
func (m Meta) MarshalJSON() ([]byte, error) {
	out := metaJSON{Timestamp: m.Timestamp}
	if d := m.Decrypted; d != nil {
		out.Decrypted = &decryptedJSON{
			Sender: exactText(d.Sender), SenderDevice: exactText(d.SenderDevice), SenderKey: exactText(d.SenderKey),
			Algorithm: exactText(d.Algorithm), Trust: exactText(d.Trust), Original: exactJSON(d.Original),
		}
	}
	if u := m.Undecryptable; u != nil {
		out.Undecryptable = &undecryptableJSON{Reason: exactText(u.Reason)}
	}
	if m.PushActions != nil {
		actions := make([]exactJSON, len(m.PushActions))
		for i, action := range m.PushActions {
			actions[i] = exactJSON(action)
		}
		out.PushActions = &actions
	}
	if t := m.Thread; t != nil {
		out.Thread = &threadJSON{Latest: exactText(t.Latest), Count: t.Count}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (m *Meta) UnmarshalJSON(b []byte) error {
	var in metaJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*m = Meta{Timestamp: in.Timestamp}
	if d := in.Decrypted; d != nil {
		m.Decrypted = &Decrypted{
			Sender: id.UserID(d.Sender), SenderDevice: id.DeviceID(d.SenderDevice), SenderKey: id.SenderKey(d.SenderKey),
			Algorithm: id.Algorithm(d.Algorithm), Trust: string(d.Trust), Original: json.RawMessage(d.Original),
		}
	}
	if u := in.Undecryptable; u != nil {
		m.Undecryptable = &Undecryptable{Reason: string(u.Reason)}
	}
	if in.PushActions != nil {
		m.PushActions = make([]json.RawMessage, len(*in.PushActions))
		for i, action := range *in.PushActions {
			m.PushActions[i] = json.RawMessage(action)
		}
	}
	if t := in.Thread; t != nil {
		m.Thread = &ThreadSummary{Latest: id.EventID(t.Latest), Count: t.Count}
	}
	return nil
}

// lineJSON is any line: exactly one of its parts is there, or the header's two,
// with the end in it where that is all.
type lineJSON struct {
	Version *int          `json:"quiesce_event_cache,omitempty"`
	Room    *exactText    `json:"room,omitempty"`
	Event   *eventJSON    `json:"event,omitempty"`
	Thread  *exactText    `json:"thread,omitempty"`
	List    *listJSON     `json:"list,omitempty"`
	Chunk   *chunkJSON    `json:"chunk,omitempty"`
	Items   *itemsJSON    `json:"items,omitempty"`
	End     *exportCounts `json:"end,omitempty"`
}

type eventJSON struct {
	ID        exactText       `json:"id"`
	Type      exactText       `json:"type,omitempty"`
	Session   exactText       `json:"session,omitempty"`
	RelatesTo exactText       `json:"relates_to,omitempty"`
	RelType   exactText       `json:"rel_type,omitempty"`
	Meta      *Meta           `json:"meta,omitempty"`
	RawBase64 []byte          `json:"raw_base64,omitempty"`
	Raw       json.RawMessage `json:"raw,omitempty"` // only read: written, it would be rewritten
}

type listJSON struct {
	Kind  string    `json:"kind"`
	Event exactText `json:"event,omitempty"`
}

type chunkJSON struct {
	ID       ChunkID    `json:"id"`
	Previous ChunkID    `json:"previous"`
	Next     ChunkID    `json:"next"`
	Gap      *exactText `json:"gap,omitempty"`
}

type itemsJSON struct {
	Chunk  ChunkID     `json:"chunk"`
	Index  int         `json:"index"`
	Events []exactText `json:"events"`
}

// asLine returns the line as JSON, without its end.
func asLine(line ExportLine) ([]byte, error) {
	switch l := line.(type) {
	case ExportEvent:
		return eventLine(&l.Event)
	case ExportThread:
		root := exactText(l.Root)
		return json.Marshal(lineJSON{Thread: &root})
	case ExportList:
		return json.Marshal(lineJSON{List: &listJSON{Kind: l.List.Kind.String(), Event: exactText(l.List.Event)}})
	case ExportChunk:
		out := chunkJSON{ID: l.ID, Previous: l.Previous, Next: l.Next}
		if l.Gap != nil {
			token := exactText(l.Gap.Token)
			out.Gap = &token
		}
		return json.Marshal(lineJSON{Chunk: &out})
	case ExportItems:
		out := itemsJSON{Chunk: l.At.Chunk, Index: l.At.Index, Events: make([]exactText, len(l.Events))}
		for i, event := range l.Events {
			out.Events[i] = exactText(event)
		}
		return json.Marshal(lineJSON{Items: &out})
	default:
		return nil, errors.New("a line of no known type")
	}
}

// eventLine puts the event's JSON into the line as it is, where a reader will find
// the same bytes: encoding/json rewrites what it is given.
func eventLine(e *Event) ([]byte, error) {
	out := eventJSON{
		ID: exactText(e.ID), Type: exactText(e.Type), Session: exactText(e.Session),
		RelatesTo: exactText(e.RelatesTo), RelType: exactText(e.RelType), Meta: e.Meta,
	}
	asIs := len(e.Raw) > 0 && e.Raw[0] == '{' && e.Raw[len(e.Raw)-1] == '}' && utf8.Valid(e.Raw) && !bytes.ContainsAny(e.Raw, "\n\r") && !deep(e.Raw)
	if !asIs {
		out.RawBase64 = e.Raw
	}
	head, err := json.Marshal(lineJSON{Event: &out})
	if err != nil || !asIs {
		return head, err
	}
	const end = "}}"
	b := make([]byte, 0, len(head)+len(`,"raw":`)+len(e.Raw))
	b = append(b, head[:len(head)-len(end)]...)
	b = append(b, `,"raw":`...)
	b = append(b, e.Raw...)
	return append(b, end...), nil
}

var errLine = errors.New("a line says nothing, or more than one thing")

// line returns what the JSON says of a room: one of the types of ExportLine.
func (j *lineJSON) line(room id.RoomID) (ExportLine, error) {
	var found []ExportLine
	if e := j.Event; e != nil {
		if (e.Raw == nil) == (e.RawBase64 == nil) {
			return nil, ErrNotJSON
		}
		raw := e.Raw
		if raw == nil {
			raw = e.RawBase64
		}
		found = append(found, ExportEvent{Event{
			ID: id.EventID(e.ID), Type: string(e.Type), Session: id.SessionID(e.Session),
			RelatesTo: id.EventID(e.RelatesTo), RelType: event.RelationType(e.RelType), Meta: e.Meta, Raw: raw,
		}})
	}
	if j.Thread != nil {
		found = append(found, ExportThread{id.EventID(*j.Thread)})
	}
	if l := j.List; l != nil {
		list := LinkedChunkID{Room: room, Event: id.EventID(l.Event)}
		for kind := KindRoom; kind <= KindFocused; kind++ {
			if kind.String() == l.Kind {
				list.Kind = kind
			}
		}
		found = append(found, ExportList{list})
	}
	if c := j.Chunk; c != nil {
		chunk := ExportChunk{ID: c.ID, Previous: c.Previous, Next: c.Next}
		if c.Gap != nil {
			chunk.Gap = &Gap{Token: string(*c.Gap)}
		}
		found = append(found, chunk)
	}
	if i := j.Items; i != nil {
		items := ExportItems{At: Position{Chunk: i.Chunk, Index: i.Index}, Events: make([]id.EventID, len(i.Events))}
		for n, event := range i.Events {
			items.Events[n] = id.EventID(event)
		}
		found = append(found, items)
	}
	if len(found) != 1 || j.Version != nil || j.Room != nil || j.End != nil {
		return nil, errLine
	}
	return found[0], nil
}

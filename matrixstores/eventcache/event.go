package eventcache

import (
	"bytes"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Event is an event as the client knows it: its JSON, and what it is found by.
// Parse fills it from the JSON alone. A store keeps every field as it is given.
// An Event that was given to a store, or came from one, must not be changed: its
// byte slices may be shared.
type Event struct {
	// ID is the event's id. Without one an event cannot be stored (ErrNoEventID).
	ID id.EventID

	// Type is the type of the event as it can be read: of one that could not be
	// decrypted, m.room.encrypted. It may be unknown, and then it is empty.
	Type string

	// Session is the Megolm session that the event was encrypted with, be it decrypted or not. Empty: none.
	Session id.SessionID

	// RelatesTo and RelType say which event it relates to, and how. Either both
	// are set or none: a reply alone is no relation.
	RelatesTo id.EventID
	RelType   event.RelationType

	// Raw is the event, one JSON object (ErrNotJSON), as the server sent it or as it was decrypted.
	Raw json.RawMessage

	// Meta is what the client knows besides. It may be nil.
	Meta *Meta
}

// Meta is what a client knows of an event, besides what the event says itself.
type Meta struct {
	// Timestamp is when the event was sent, as far as the client believes it, in
	// milliseconds since 1970. 0: unknown.
	Timestamp int64 `json:"timestamp,omitempty"`

	// Decrypted tells how Raw was decrypted. Nil: it was not encrypted, or still is.
	Decrypted *Decrypted `json:"decrypted,omitempty"`

	// Undecryptable tells why an encrypted event could not be decrypted.
	Undecryptable *Undecryptable `json:"undecryptable,omitempty"`

	// PushActions are the actions of the push rules that the event fits, as the
	// specification writes them. Nil: not determined.
	PushActions []json.RawMessage `json:"push_actions,omitempty"`

	// Thread sums up the thread that begins with this event.
	Thread *ThreadSummary `json:"thread,omitempty"`
}

// Decrypted says who has encrypted an event that could be decrypted.
type Decrypted struct {
	Sender       id.UserID       `json:"sender,omitempty"`
	SenderDevice id.DeviceID     `json:"sender_device,omitempty"`
	SenderKey    id.SenderKey    `json:"sender_key,omitempty"`
	Algorithm    id.Algorithm    `json:"algorithm,omitempty"`
	Trust        string          `json:"trust,omitempty"`    // of the device, at the time of decryption, in the client's own words
	Original     json.RawMessage `json:"original,omitempty"` // the event as it was sent, where the client keeps it
}

// Undecryptable says why an event could not be decrypted.
type Undecryptable struct {
	Reason string `json:"reason"` // in the client's own words, such as a withheld code
}

// ThreadSummary sums up a thread.
type ThreadSummary struct {
	Latest id.EventID `json:"latest,omitempty"`
	Count  int        `json:"count"`
}

// Parse makes an Event of an event's JSON: its id, its type, its session, and what
// it relates to. Raw is kept, not copied. What is missing, or has another JSON
// type than the specification says, is left empty; the error matches ErrNotJSON
// where raw is no JSON object at all. A relation needs rel_type and
// event_id both, in content["m.relates_to"].
func Parse(raw json.RawMessage) (Event, error) {
	e := Event{Raw: raw}
	if err := e.checkRaw(); err != nil {
		return Event{}, err
	}
	var content, session, relates, to, rel []byte
	for name, value := range members(raw) {
		switch string(name) {
		case "event_id":
			e.ID = id.EventID(text(value))
		case "type":
			e.Type = text(value)
		case "content":
			content = value
		}
	}
	for name, value := range members(content) {
		switch string(name) {
		case "session_id":
			session = value
		case "m.relates_to":
			relates = value
		}
	}
	for name, value := range members(relates) {
		switch string(name) {
		case "event_id":
			to = value
		case "rel_type":
			rel = value
		}
	}
	if e.Type == event.EventEncrypted.Type {
		e.Session = id.SessionID(text(session))
	}
	if to, rel := text(to), text(rel); to != "" && rel != "" {
		e.RelatesTo, e.RelType = id.EventID(to), event.RelationType(rel)
	}
	return e, nil
}

// Check returns why a store cannot keep the event: an error that matches
// ErrNoEventID, ErrNotJSON or ErrRelation, or nil.
func (e *Event) Check() error {
	switch {
	case e.ID == "":
		return ErrNoEventID
	case (e.RelatesTo == "") != (e.RelType == ""):
		return ErrRelation
	}
	return e.checkRaw()
}

func (e *Event) checkRaw() error {
	if trimmed := bytes.TrimLeft(e.Raw, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(e.Raw) {
		return fmt.Errorf("%w: %d bytes", ErrNotJSON, len(e.Raw))
	}
	return nil
}

// Mautrix returns the event as mautrix knows it, in a room. Its content is not
// parsed yet: see event.Content.ParseRaw.
func (e *Event) Mautrix(room id.RoomID) (*event.Event, error) {
	var evt event.Event
	if err := json.Unmarshal(e.Raw, &evt); err != nil {
		return nil, fmt.Errorf("eventcache: the event is none that mautrix can read: %w", err)
	}
	evt.RoomID = room
	if e.ID != "" {
		evt.ID = e.ID
	}
	return &evt, nil
}

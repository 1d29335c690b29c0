package state

import (
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// ReceiptThread says which thread a receipt is about. It is comparable. The zero
// value is Unthreaded: the receipt is about all of them.
type ReceiptThread struct {
	kind threadKind
	root id.EventID
}

type threadKind uint8

// The kinds of receipts' threads. Their numbers are stored, and never change.
const (
	threadNone threadKind = iota
	threadMain
	threadRoot
)

// Unthreaded is the thread of a receipt that names none.
var Unthreaded = ReceiptThread{}

// MainThread is the timeline of a room without its threads.
var MainThread = ReceiptThread{kind: threadMain}

// Thread returns the thread that begins with root. Where root is empty, that is Unthreaded.
func Thread(root id.EventID) ReceiptThread {
	if root == "" {
		return Unthreaded
	}
	return ReceiptThread{kind: threadRoot, root: root}
}

// ParseThread returns the thread of a receipt's thread_id: none for an empty one, the main timeline for "main".
func ParseThread(threadID event.ThreadID) ReceiptThread {
	if threadID == event.ReadReceiptThreadMain {
		return MainThread
	}
	return Thread(threadID)
}

// ID returns the thread_id that a receipt has for it; empty for Unthreaded.
func (t ReceiptThread) ID() event.ThreadID {
	if t.kind == threadMain {
		return event.ReadReceiptThreadMain
	}
	return t.root
}

// Root returns the root of the thread; empty for the other kinds.
func (t ReceiptThread) Root() id.EventID { return t.root }

// Key returns the thread as bytes, for a store to keep and to hash. Two threads have the same key only if they are equal.
func (t ReceiptThread) Key() []byte { return append([]byte{byte(t.kind)}, t.root...) }

// ParseThreadKey returns the thread that Key was called for; the error matches ErrBroken where there is none.
func ParseThreadKey(key []byte) (ReceiptThread, error) {
	if len(key) > 0 {
		t := ReceiptThread{kind: threadKind(key[0]), root: id.EventID(key[1:])}
		if t.kind <= threadRoot && (t.kind == threadRoot) == (t.root != "") {
			return t, nil
		}
	}
	return ReceiptThread{}, fmt.Errorf("%w: the thread of a receipt", ErrBroken)
}

// String returns "unthreaded", "main" or the root, quoted.
func (t ReceiptThread) String() string {
	switch t.kind {
	case threadMain:
		return "main"
	case threadRoot:
		return fmt.Sprintf("%q", string(t.root))
	default:
		return "unthreaded"
	}
}

// MarshalText writes the receipt's thread_id.
func (t ReceiptThread) MarshalText() ([]byte, error) { return []byte(t.ID()), nil }

// UnmarshalText reads the receipt's thread_id.
func (t *ReceiptThread) UnmarshalText(text []byte) error {
	*t = ParseThread(event.ThreadID(text))
	return nil
}

// Receipt says that a user has read up to an event.
type Receipt struct {
	Event  id.EventID        `json:"event"`
	Type   event.ReceiptType `json:"type"`
	Thread ReceiptThread     `json:"thread"`
	User   id.UserID         `json:"user"`

	// Timestamp is when he did, in milliseconds since 1970. 0: unknown.
	Timestamp int64 `json:"ts,omitempty"`

	// Extra are the other fields of the receipt, as they came. It is usually nil.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
}

// check returns why a receipt cannot be stored.
func (r *Receipt) check() error {
	switch {
	case r.Event == "":
		return ErrNoEventID
	case r.User == "":
		return ErrNoUserID
	case r.Type == "":
		return ErrNoEventType
	}
	if err := checkText(string(r.Event), string(r.Type), string(r.Thread.root), string(r.User)); err != nil {
		return err
	}
	for name, raw := range r.Extra {
		if err := checkText(name); err != nil {
			return err
		}
		if !json.Valid(raw) {
			return ErrNotJSON
		}
	}
	return nil
}

// ParseReceipts reads the content of an m.receipt event. What is no receipt in it is left out; the
// receipts are ordered by event, type, user and thread. The error matches ErrNotJSON where the content is no JSON object.
func ParseReceipts(content json.RawMessage) ([]Receipt, error) {
	events, err := parseObject(content)
	if err != nil {
		return nil, err
	}
	var receipts []Receipt
	for _, evt := range sortedKeys(events) {
		types := object(events[evt])
		for _, t := range sortedKeys(types) {
			users := object(types[t])
			for _, user := range sortedKeys(users) {
				fields := object(users[user])
				if fields == nil {
					continue
				}
				r := Receipt{Event: id.EventID(evt), Type: event.ReceiptType(t), User: id.UserID(user)}
				r.Thread = ParseThread(event.ThreadID(textOf(fields["thread_id"])))
				r.Timestamp = integer(fields["ts"])
				delete(fields, "thread_id")
				delete(fields, "ts")
				if len(fields) > 0 {
					r.Extra = fields
				}
				if r.check() == nil {
					receipts = append(receipts, r)
				}
			}
		}
	}
	return receipts, nil
}

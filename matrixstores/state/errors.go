package state

import (
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// What is missing in what was to be stored. Nothing was changed.
var (
	// ErrNoRoomID is returned for an empty room id.
	ErrNoRoomID = errors.New("the room has no id")

	// ErrNoUserID is returned for an empty user id.
	ErrNoUserID = errors.New("the user has no id")

	// ErrNoEventID is returned for an empty event id, where one is needed: of a receipt, a redaction, the root of a thread.
	ErrNoEventID = errors.New("the event has no id")

	// ErrNoEventType is returned for a state event or account data without a type.
	ErrNoEventType = errors.New("the event has no type")

	// ErrNoStateKey is returned by Changes.AddState and Changes.AddStripped for an event without a state key. An empty one is one.
	ErrNoStateKey = errors.New("the event has no state key")

	// ErrNoTransactionID is returned for a request without a transaction id.
	ErrNoTransactionID = errors.New("the request has no transaction id")
)

// What is wrong with what was to be stored, or asked. Nothing was changed.
var (
	// ErrNotJSON is returned for an event that is no JSON object, and for a field of a global profile that is no JSON.
	ErrNotJSON = errors.New("this is no valid JSON")

	// ErrNotUTF8 is returned for an identifier or a text that is not valid UTF-8.
	ErrNotUTF8 = errors.New("the text is not valid UTF-8")

	// ErrDuplicate is returned when a request is saved whose room and transaction id are those of one that is there.
	ErrDuplicate = errors.New("there is a request with this transaction id already")

	// ErrKind is returned for a request, a reason or a key of no known kind, such as nil.
	ErrKind = errors.New("this kind is not known")

	// ErrStatus is returned for the status of a thread subscription that is none of the three.
	ErrStatus = errors.New("this is no status of a thread subscription")

	// ErrBumpStamp is returned for a bump stamp larger than MaxBumpStamp.
	ErrBumpStamp = errors.New("the bump stamp is too large")

	// ErrRoomInfo is returned for a RoomInfo that names another room than the one
	// it is given for, of no known state, or for a room that a Changes gives both a RoomInfo and a RoomUpdate.
	ErrRoomInfo = errors.New("this is no information about the room")

	// ErrCursor is returned for a Cursor that did not come from the same question.
	ErrCursor = errors.New("the cursor belongs to another list")

	// ErrOrder is returned for an Order that is none.
	ErrOrder = errors.New("this is no order of rooms")

	// ErrValueKey is returned for the zero value of a ValueKey or a Key.
	ErrValueKey = errors.New("this is no key of a value")
)

// What is wrong with what is stored.
var (
	// ErrBroken is returned when something that is stored cannot be read. It
	// takes a damaged file, or somebody else who has written into it.
	ErrBroken = errors.New("what is stored is damaged")

	// ErrNewer is returned when a stored record has a form that this program does not know yet.
	ErrNewer = errors.New("what is stored is newer than this program")

	// ErrContent is returned when the content of an event is not what its type says. Servers pass on anything.
	ErrContent = errors.New("the content of the event is not what its type says")

	// ErrRedaction is returned, within a *RedactionError, when an event that is to be redacted, or the redaction, is malformed.
	ErrRedaction = errors.New("the event cannot be redacted")
)

// ChangesError is returned by Changes.Check, and so by Store.SaveChanges, for
// what cannot be stored. It names the place, and nothing of any event.
type ChangesError struct {
	Field string    // of Changes
	Room  id.RoomID // where the field is one of rooms
	Key   string    // within it: a user, an event type, …; may be empty
	Err   error
}

// Error names the place, quoted, and what is wrong.
func (e *ChangesError) Error() string {
	at := e.Field
	if e.Room != "" {
		at += fmt.Sprintf(", room %q", string(e.Room))
	}
	if e.Key != "" {
		at += fmt.Sprintf(", %q", e.Key)
	}
	return fmt.Sprintf("state: changes: %s: %v", at, e.Err)
}

// Unwrap returns what is wrong.
func (e *ChangesError) Unwrap() error { return e.Err }

// RedactionError is returned where an event cannot be redacted. It matches ErrRedaction.
type RedactionError struct {
	Room   id.RoomID  // may be empty
	Event  id.EventID // that was to be redacted; may be empty
	Reason string     // contains nothing of the event
}

// Error names the event and the reason.
func (e *RedactionError) Error() string {
	return fmt.Sprintf("state: redact %q in %q: %s", string(e.Event), string(e.Room), e.Reason)
}

// Is says that it matches ErrRedaction.
func (e *RedactionError) Is(target error) bool { return target == ErrRedaction }

package state

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores"
)

// Store is a state store. What it promises as a whole stands in the documentation
// of the package, and what pausing does to it in matrixstores.Store.
type Store interface {
	matrixstores.Store
	Saver
	Values
	CustomValues
	AccountData
	PresenceEvents
	StateEvents
	Members
	Profiles
	DisplayNames
	Receipts
	RoomInfos
	SendQueue
	DependentQueue
	ThreadSubscriptions
	GlobalProfiles
}

// Saver is what is stored in bundles, and removed with its room.
type Saver interface {
	// SaveChanges stores a Changes, whole or not at all: see Changes for what it does, and in which order. The
	// errors are a *ChangesError and a *RedactionError. An empty Changes does nothing. c is not kept, and may be used again;
	// the raw events in it may be kept.
	SaveChanges(ctx context.Context, c *Changes) error

	// RemoveRoom removes everything of a room, in one transaction: its RoomInfo,
	// state events and members of both kinds, profiles, account data, receipts,
	// display names, both queues, thread subscriptions, and the values
	// whose keys belong to it (ValueKey.Room). What belongs to users or to the account
	// stays. A room that is not known is removed already.
	RemoveRoom(ctx context.Context, room id.RoomID) error
}

// Values are single values under typed keys. Use Get, Set and Remove with a Key;
// these methods are what they stand on.
type Values interface {
	// Value returns the value of a key, which belongs to the caller.
	Value(ctx context.Context, key ValueKey) (data []byte, found bool, err error)

	// SetValue sets the value of a key. The data are copied. The errors are ErrValueKey and ErrNotUTF8.
	SetValue(ctx context.Context, key ValueKey, data []byte) error

	// RemoveValue removes a key.
	RemoveValue(ctx context.Context, key ValueKey) error
}

// CustomValues are values under keys of the application's own. Both are any
// bytes, also none. They are apart from Values.
type CustomValues interface {
	// CustomValue returns the value of a key, which belongs to the caller.
	CustomValue(ctx context.Context, key []byte) (value []byte, found bool, err error)

	// SetCustomValue sets the value of a key, and does not read the one that it replaces.
	SetCustomValue(ctx context.Context, key, value []byte) error

	// SwapCustomValue sets the value of a key, and returns the one that it replaces, in one transaction.
	SwapCustomValue(ctx context.Context, key, value []byte) (previous []byte, had bool, err error)

	// RemoveCustomValue removes a key, and returns its value, in one transaction.
	RemoveCustomValue(ctx context.Context, key []byte) (previous []byte, had bool, err error)
}

// AccountData is what a user keeps on the server for his clients. It is
// written by SaveChanges.
type AccountData interface {
	// AccountData returns the event of a type, as it came. Raw is nil where there is none.
	AccountData(ctx context.Context, eventType string) (raw json.RawMessage, err error)

	// RoomAccountData returns the same of a room.
	RoomAccountData(ctx context.Context, room id.RoomID, eventType string) (raw json.RawMessage, err error)
}

// PresenceEvents is who is there. It is written by SaveChanges.
type PresenceEvents interface {
	// Presence returns the last presence event of a user. Raw is nil where there is none.
	Presence(ctx context.Context, user id.UserID) (raw json.RawMessage, err error)

	// Presences returns the last presence events of these users, in their order; without those of whom
	// there is none. Who is named twice is answered once.
	Presences(ctx context.Context, users []id.UserID) ([]json.RawMessage, error)
}

// StateEvents are the state events of rooms, one for each type and state key. They
// are written by SaveChanges. ReadState and its kin read them as what their type says.
type StateEvents interface {
	// StateEvent returns the event of a type and a state key.
	StateEvent(ctx context.Context, room id.RoomID, eventType, stateKey string) (e StateEvent, found bool, err error)

	// StateEvents returns the events of a type with all their state keys, in the order
	// of first storing. Stripped events and others are both in it, where there are both.
	StateEvents(ctx context.Context, room id.RoomID, eventType string) ([]StateEvent, error)

	// StateEventsForKeys returns the events of a type that have one of these
	// state keys, in the order of the keys; without those that are not there. What is named twice is answered once.
	StateEventsForKeys(ctx context.Context, room id.RoomID, eventType string, stateKeys []string) ([]StateEvent, error)
}

// StateEvent is a state event as it is stored.
type StateEvent struct {
	Type     string
	StateKey string

	// Stripped says that it came with an invite or a knock: nobody has
	// checked it, and it may lack an id, a time, and more.
	Stripped bool

	// Raw is the event, one JSON object, as it came; or, when it was redacted, what is
	// left of it, with the redaction in unsigned.redacted_because.
	Raw json.RawMessage
}

// Members are the members of rooms, by what the last m.room.member event of
// each says. They are written by SaveChanges. A member event that has no membership
// (ParseMember) is a state event only, and the member stays as he was.
type Members interface {
	// Member returns one member.
	Member(ctx context.Context, room id.RoomID, user id.UserID) (m Member, found bool, err error)

	// UserIDs returns the members whose membership is in the set, in the order
	// of first storing. 0 is no filter: all, also those whose membership is none of the five.
	UserIDs(ctx context.Context, room id.RoomID, filter Memberships) ([]id.UserID, error)

	// Members returns a page of the members whose membership is in the set, in the order of first storing.
	// The order does not depend on what a member does meanwhile; who comes in comes last. So
	// nobody is returned twice, unless he was removed with his room and came again. ErrCursor is
	// returned for a cursor that came from elsewhere.
	Members(ctx context.Context, room id.RoomID, filter Memberships, page Page) (MemberPage, error)

	// RoomsOf returns the rooms in which the user is a member with a membership in the set,
	// in the order in which he was first stored as their member. 0 is no filter.
	RoomsOf(ctx context.Context, user id.UserID, filter Memberships) ([]id.RoomID, error)
}

// Profiles are the profiles that users have in rooms. They are written by SaveChanges.
type Profiles interface {
	// Profile returns the profile of a user in a room.
	Profile(ctx context.Context, room id.RoomID, user id.UserID) (p Profile, found bool, err error)

	// Profiles returns the profiles of these users in a room; without those of whom there is none.
	Profiles(ctx context.Context, room id.RoomID, users []id.UserID) (map[id.UserID]Profile, error)
}

// DisplayNames tells which users of a room have the same name, or one that looks like it: those are the names with
// the same NameKey.
//
// A store knows the names of the members who have joined or are invited (MemberName), and keeps them current.
// Besides, a Changes can give users for a name (Changes.AmbiguityMaps). Both count.
type DisplayNames interface {
	// UsersWithDisplayName returns who has the name, ordered by user id.
	UsersWithDisplayName(ctx context.Context, room id.RoomID, name string) ([]id.UserID, error)

	// UsersWithDisplayNames returns the same for many names. The keys are the names as they were
	// asked for; those that nobody has are absent.
	UsersWithDisplayNames(ctx context.Context, room id.RoomID, names []string) (map[string][]id.UserID, error)
}

// Receipts are how far users have read. They are written by SaveChanges. A user has one
// for each type and thread, independent of each other.
type Receipts interface {
	// UserReceipt returns the receipt of a user.
	UserReceipt(ctx context.Context, room id.RoomID, t event.ReceiptType, thread ReceiptThread, user id.UserID) (r Receipt, found bool, err error)

	// EventReceipts returns the receipts that are at an event, ordered by user id.
	EventReceipts(ctx context.Context, room id.RoomID, t event.ReceiptType, thread ReceiptThread, event id.EventID) ([]Receipt, error)
}

// RoomInfos is what is known of rooms as a whole. It is written by SaveChanges.
type RoomInfos interface {
	// RoomInfo returns what is known of a room; nil where there is no RoomInfo.
	RoomInfo(ctx context.Context, room id.RoomID) (*RoomInfo, error)

	// IsEncrypted says whether messages to the room are to be encrypted with Megolm: its RoomInfo
	// remembers that, or its m.room.encryption event says so. It opens no RoomInfo: a client asks before each message.
	IsEncrypted(ctx context.Context, room id.RoomID) (bool, error)

	// RoomInfos returns all of them, in the order of first storing.
	RoomInfos(ctx context.Context) ([]*RoomInfo, error)

	// Rooms returns a page of the rooms that the filter lets through. Only those of the page
	// are opened, except under the order ByName, which opens all. A room that moves meanwhile
	// may be returned twice, or not. The errors are ErrOrder and ErrCursor.
	Rooms(ctx context.Context, filter RoomFilter, order Order, page Page) (RoomPage, error)
}

// SendQueue is what a client has yet to send, room by room.
type SendQueue interface {
	// SaveRequest appends a request to the queue of a room. The errors are ErrDuplicate, ErrKind,
	// ErrNoRoomID, ErrNoTransactionID, ErrNotJSON and ErrNotUTF8.
	SaveRequest(ctx context.Context, room id.RoomID, r QueuedRequest) error

	// UpdateRequest replaces what is to be sent, and clears the error. Its place stays.
	// updated is false where there is no such request.
	UpdateRequest(ctx context.Context, room id.RoomID, transaction string, r Request) (updated bool, err error)

	// RemoveRequest removes a request. Those that depend on it stay. removed is false where there is no such request.
	RemoveRequest(ctx context.Context, room id.RoomID, transaction string) (removed bool, err error)

	// Requests returns the queue of a room: those with a higher priority first, then in the order in which they were saved.
	Requests(ctx context.Context, room id.RoomID) ([]QueuedRequest, error)

	// SetRequestError says why a request cannot be sent; nil: it can. Where there is no such request nothing happens.
	SetRequestError(ctx context.Context, room id.RoomID, transaction string, reason WedgeError) error

	// RoomsWithRequests returns the rooms whose queues are not empty, ordered by id. Requests with an error count.
	RoomsWithRequests(ctx context.Context) ([]id.RoomID, error)
}

// DependentQueue is what a client wants to do with what it has yet to send.
type DependentQueue interface {
	// SaveDependent appends a request to those of a room that depend on another
	// one. That need not be there. The errors are those of SaveRequest; ErrDuplicate
	// is for its own transaction id among the dependent requests of the room.
	SaveDependent(ctx context.Context, room id.RoomID, r DependentRequest) error

	// MarkDependentsReady tells all requests of the room that depend on this one
	// what it has become on the server, and returns how many there are. Which kind of key it is does not matter.
	MarkDependentsReady(ctx context.Context, room id.RoomID, parent string, key SentKey) (count int, err error)

	// UpdateDependent replaces what is to be done. updated is false where there is no such request.
	UpdateDependent(ctx context.Context, room id.RoomID, own string, d Dependent) (updated bool, err error)

	// RemoveDependent removes a request. removed is false where there is no such request.
	RemoveDependent(ctx context.Context, room id.RoomID, own string) (removed bool, err error)

	// Dependents returns those of a room, ready or not, in the order in which they were saved.
	Dependents(ctx context.Context, room id.RoomID) ([]DependentRequest, error)
}

// ThreadSubscriptions is which threads a user follows.
type ThreadSubscriptions interface {
	// SaveSubscriptions merges these subscriptions into those that are stored
	// (MergeSubscription), in their order, all in one transaction. The errors are ErrNoRoomID, ErrNoEventID,
	// ErrStatus, ErrBumpStamp and ErrNotUTF8.
	SaveSubscriptions(ctx context.Context, subscriptions []ThreadSubscription) error

	// Subscription returns the subscription of a thread.
	Subscription(ctx context.Context, room id.RoomID, root id.EventID) (s Subscription, found bool, err error)

	// RemoveSubscription removes the subscription of a thread.
	RemoveSubscription(ctx context.Context, room id.RoomID, root id.EventID) error
}

// GlobalProfiles are the profiles that users have wherever they have no other. They are written by SaveChanges.
type GlobalProfiles interface {
	// GlobalProfile returns the profile of a user. It is nil where there is none, and not nil where it is known to have no fields.
	GlobalProfile(ctx context.Context, user id.UserID) (GlobalProfile, error)

	// GlobalProfiles returns the profiles of these users; without those of whom there is none.
	GlobalProfiles(ctx context.Context, users []id.UserID) (map[id.UserID]GlobalProfile, error)
}

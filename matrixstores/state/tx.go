package state

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"
)

// Tx is what a store gives to Changes.Apply: a transaction in which everything
// happens or nothing. Each method is one simple step; what belongs together, and in which order, is Apply's
// business. What was put is what the next method finds. What a method returns belongs to Apply, except for raw
// JSON. What it is given belongs to the caller of SaveChanges: raw JSON may be kept, anything else is copied, best as its JSON.
//
// Absent is no error, as in Store. An error ends Apply, and rolls the transaction back.
type Tx interface {
	// SetValue sets a value, as Values does.
	SetValue(key ValueKey, data []byte) error

	// PutAccountData, PutRoomAccountData and PutPresence replace an event; AccountData and RoomAccountData return one, nil where there is none.
	PutAccountData(eventType string, raw json.RawMessage) error
	AccountData(eventType string) (json.RawMessage, error)
	PutRoomAccountData(room id.RoomID, eventType string, raw json.RawMessage) error
	RoomAccountData(room id.RoomID, eventType string) (json.RawMessage, error)
	PutPresence(user id.UserID, raw json.RawMessage) error

	// RoomInfo returns a RoomInfo, nil where there is none. PutRoomInfo stores one, as what its MarshalJSON returns, with its Flags
	// and what the orders of rooms need. DirectRooms returns the rooms that have FlagDirect, in any order.
	RoomInfo(room id.RoomID) (*RoomInfo, error)
	PutRoomInfo(info *RoomInfo) error
	DirectRooms() ([]id.RoomID, error)

	// RemoveState removes the state events and the members of a room that are stripped, or those that are not.
	RemoveState(room id.RoomID, stripped bool) error

	// RemoveMembers removes the members of a room whose membership is in the set, and their m.room.member events. 0: all.
	RemoveMembers(room id.RoomID, filter Memberships) error

	// PutState replaces the state event with the same type and state key, whether stripped or not. eventID, which may be empty, is the
	// one under which StateByID finds it, unless it is stripped. StateEvent finds any.
	PutState(room id.RoomID, e StateEvent, eventID id.EventID) error
	StateEvent(room id.RoomID, eventType, stateKey string) (e StateEvent, found bool, err error)
	StateByID(room id.RoomID, event id.EventID) (e StateEvent, found bool, err error)

	// PutMember replaces a member. nameKey is the NameKey of the name that counts for DisplayNames, empty for none.
	PutMember(room id.RoomID, m Member, nameKey string) error

	// Member returns a member. Members returns the first n of those whose membership is in the set, in
	// the order of first storing; CountMembers how many there are.
	Member(room id.RoomID, user id.UserID) (m Member, found bool, err error)
	Members(room id.RoomID, filter Memberships, n int) ([]Member, error)
	CountMembers(room id.RoomID, filter Memberships) (int64, error)

	// PutProfile replaces, and DeleteProfile removes, the profile of a user in a room.
	PutProfile(room id.RoomID, user id.UserID, p Profile) error
	DeleteProfile(room id.RoomID, user id.UserID) error
	Profile(room id.RoomID, user id.UserID) (p Profile, found bool, err error)

	// ProfilesFrom returns the users whose profiles in a room came from an event (Profile.EventID), in any order. None come from one without an id.
	ProfilesFrom(room id.RoomID, event id.EventID) ([]id.UserID, error)

	// PutReceipt replaces the receipt of the same user, type and thread.
	PutReceipt(room id.RoomID, r Receipt) error

	// PutNames replaces the users that were given for a name, by its NameKey. They are in order, each once. Without users it removes the entry.
	// The names of members (PutMember) are apart from it.
	PutNames(room id.RoomID, nameKey string, users []id.UserID) error

	// PutGlobalProfile replaces, and DeleteGlobalProfile removes, a profile. GlobalProfile returns one, nil where there is none.
	PutGlobalProfile(user id.UserID, p GlobalProfile) error
	DeleteGlobalProfile(user id.UserID) error
	GlobalProfile(user id.UserID) (GlobalProfile, error)
}

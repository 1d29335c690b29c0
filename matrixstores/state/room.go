package state

import (
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// RoomInfoVersion is the form in which this program writes a RoomInfo.
const RoomInfoVersion = 1

// RoomInfo is what a client needs of a room, without its members and its timeline.
// A store keeps it current (Apply), and gives it out as a copy. The fields that a store does not
// set itself, the client does, with a RoomUpdate or a whole RoomInfo.
//
// It is stored as JSON. Fields of it that this program does not know are kept.
type RoomInfo struct {
	// Version is the form in which it is stored: it grows when an older program could not read it any more (ErrNewer).
	Version int `json:"version"`

	ID    id.RoomID `json:"room_id"`
	State RoomState `json:"state"`

	// Counts are as the server says. Of encrypted rooms it cannot know all.
	Counts Counts `json:"counts"`

	Summary Summary `json:"summary"`

	// MembersKnown says that all members were fetched, EncryptionKnown that whether the room is encrypted is
	// known: Encryption is then nil because it is not.
	MembersKnown    bool `json:"members_known,omitempty"`
	EncryptionKnown bool `json:"encryption_known,omitempty"`

	// PrevBatch is where the timeline of the last sync began, to ask the server for what was before.
	PrevBatch string   `json:"prev_batch,omitempty"`
	Synced    SyncedTo `json:"synced"`

	// Latest is the event to show in a list, or what is about to become one. Nil: none is known.
	Latest *LatestEvent `json:"latest,omitempty"`

	// Read sums up what is unread, as the client counts it.
	Read ReadSummary `json:"read"`

	// Recency says when something happened last that moves the room up: usually in milliseconds
	// since 1970, but a server may count it in its own way. It never decreases. 0: unknown.
	Recency int64 `json:"recency,omitempty"`

	// DisplayName is what to call the room. A store computes it with every change.
	DisplayName DisplayName `json:"display_name"`

	// From the state events.
	Name              string                        `json:"name,omitempty"`
	Topic             string                        `json:"topic,omitempty"`
	AvatarURL         id.ContentURIString           `json:"avatar_url,omitempty"`
	CanonicalAlias    id.RoomAlias                  `json:"canonical_alias,omitempty"`
	AltAliases        []id.RoomAlias                `json:"alt_aliases,omitempty"`
	Create            *Create                       `json:"create,omitempty"` // nil: not known
	JoinRules         *event.JoinRulesEventContent  `json:"join_rules,omitempty"`
	HistoryVisibility event.HistoryVisibility       `json:"history_visibility,omitempty"`
	GuestAccess       event.GuestAccess             `json:"guest_access,omitempty"`
	Encryption        *event.EncryptionEventContent `json:"encryption,omitempty"` // it is never cleared: encryption cannot be undone
	Tombstone         *event.TombstoneEventContent  `json:"tombstone,omitempty"`
	Pinned            []id.EventID                  `json:"pinned,omitempty"`
	ServiceMembers    []id.UserID                   `json:"service_members,omitempty"` // who does not count for the DisplayName: m.member_hints, or, where it has no list, what it was called before
	MaxPowerLevel     *int64                        `json:"max_power_level,omitempty"` // of any user; since room version 12 the creators stand above it. Nil: not known

	// From the account data.
	DirectTargets []id.UserID `json:"direct_targets,omitempty"` // whose direct chat it is
	Tags          Tags        `json:"tags"`
	MarkedUnread  bool        `json:"marked_unread,omitempty"`
	FullyRead     id.EventID  `json:"fully_read,omitempty"`

	// Extra are the fields that this program does not know, as they were stored.
	Extra map[string]json.RawMessage `json:"-"`
}

// NewRoomInfo returns what is known of a room at first: its state.
func NewRoomInfo(room id.RoomID, state RoomState) *RoomInfo {
	return &RoomInfo{Version: RoomInfoVersion, ID: room, State: state}
}

// RoomState is what the user of a client is in a room.
type RoomState uint8

// The states. Their numbers are stored, and never change.
const (
	Joined  RoomState = 1
	Invited RoomState = 2
	Left    RoomState = 3
	Knocked RoomState = 4
	Banned  RoomState = 5
)

var roomStateNames = [...]string{"", "joined", "invited", "left", "knocked", "banned"}

// String returns the state's name.
func (s RoomState) String() string {
	if s < Joined || s > Banned {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return roomStateNames[s]
}

// stripped says whether what is known of such a room is stripped state.
func (s RoomState) stripped() bool { return s == Invited || s == Knocked }

// MarshalText writes the state's name.
func (s RoomState) MarshalText() ([]byte, error) {
	if s < Joined || s > Banned {
		return nil, fmt.Errorf("%w: %v", ErrRoomInfo, s)
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads the state's name.
func (s *RoomState) UnmarshalText(text []byte) error {
	for i, name := range roomStateNames {
		if i > 0 && name == string(text) {
			*s = RoomState(i)
			return nil
		}
	}
	return fmt.Errorf("%w: a room's state %q", ErrBroken, text)
}

// RoomStateOf returns the state of the user's own membership; ok is false for one that is none of the five.
func RoomStateOf(m event.Membership) (s RoomState, ok bool) {
	switch m {
	case event.MembershipJoin:
		return Joined, true
	case event.MembershipInvite:
		return Invited, true
	case event.MembershipLeave:
		return Left, true
	case event.MembershipKnock:
		return Knocked, true
	case event.MembershipBan:
		return Banned, true
	}
	return 0, false
}

// RoomStates is a set of states. As a filter the zero value lets any through.
type RoomStates uint8

// StatesOf returns the set of these states.
func StatesOf(states ...RoomState) RoomStates {
	var set RoomStates
	for _, s := range states {
		set |= 1 << s
	}
	return set
}

// Has says whether the set, as a filter, lets a state through.
func (ss RoomStates) Has(s RoomState) bool { return ss == 0 || ss&(1<<s) != 0 }

// Counts are how many unread events there are of which the user is to be told.
type Counts struct {
	Notifications int64 `json:"notifications"`
	Highlights    int64 `json:"highlights"` // those of them that mention him, or the like
}

// Summary is who is in a room, as far as a list needs it.
type Summary struct {
	Heroes  []Hero `json:"heroes,omitempty"`  // whose names make the name of the room, if it has no other
	Joined  *int64 `json:"joined,omitempty"`  // how many; nil: unknown
	Invited *int64 `json:"invited,omitempty"` // how many; nil: unknown
}

// Hero is a member whose name is a part of the room's.
type Hero struct {
	User      id.UserID           `json:"user_id"`
	Name      string              `json:"name,omitempty"` // a store looks it up
	AvatarURL id.ContentURIString `json:"avatar_url,omitempty"`
}

// SyncedTo is how much of a room the client was told.
type SyncedTo uint8

// The steps, of which a room only goes up. Their numbers are stored, and never change.
const (
	SyncedNothing SyncedTo = 0 // the room is known, its state is not
	SyncedPartly  SyncedTo = 1 // some of its state
	SyncedFully   SyncedTo = 2 // all of its state
)

// LatestEvent is the event to show for a room.
type LatestEvent struct {
	Kind          LatestKind      `json:"kind"`
	EventID       id.EventID      `json:"event_id,omitempty"`       // of LatestRemote
	TransactionID string          `json:"transaction_id,omitempty"` // of the others
	Sender        id.UserID       `json:"sender,omitempty"`
	Timestamp     int64           `json:"ts,omitempty"`  // in milliseconds since 1970
	Raw           json.RawMessage `json:"raw,omitempty"` // the event, or the content that is to be sent; decrypted, if the client has done that
}

// LatestKind says what the event to show is. Its texts are stored, and never change.
type LatestKind string

// The kinds of latest events.
const (
	LatestRemote      LatestKind = "remote"       // it came from the server
	LatestSending     LatestKind = "sending"      // it is in the send queue
	LatestCannotSend  LatestKind = "cannot_send"  // it is in the send queue with an error
	LatestInvite      LatestKind = "invite"       // the room is one that the user was invited to
	LatestSentWaiting LatestKind = "sent_waiting" // it was sent, and has not come back yet
)

// ReadSummary is what is unread in a room, as the client counts it.
type ReadSummary struct {
	Unread        int64        `json:"unread,omitempty"`
	Notifications int64        `json:"notifications,omitempty"`
	Mentions      int64        `json:"mentions,omitempty"`
	LatestActive  id.EventID   `json:"latest_active,omitempty"` // the event with the receipt that counts
	Pending       []id.EventID `json:"pending,omitempty"`       // with receipts, and not in the timeline yet
}

// Create is how a room began.
type Create struct {
	Version     id.RoomVersion     `json:"room_version"` // "1" where the event says nothing
	Type        event.RoomType     `json:"type,omitempty"`
	Creators    []id.UserID        `json:"creators,omitempty"` // the sender of the event first, then those it names
	Predecessor *event.Predecessor `json:"predecessor,omitempty"`
	Federated   bool               `json:"federated"`
}

// Tags are the tags of a room that matter to a list.
type Tags struct {
	Favourite   *Tag `json:"favourite,omitempty"`
	LowPriority *Tag `json:"low_priority,omitempty"`
}

// Tag is one tag of a room.
type Tag struct {
	Order *float64 `json:"order,omitempty"` // from 0 to 1 among the rooms with the tag; nil: none, and behind the others
}

// DisplayName is what to call a room, and where that came from.
type DisplayName struct {
	Kind NameKind `json:"kind,omitempty"`
	Name string   `json:"name,omitempty"` // for NameEmpty: nothing; for NameWas: who was there
}

// NameKind says where a room's name came from. Its texts are stored, and never change.
type NameKind string

// The kinds of names.
const (
	NameUnknown    NameKind = ""           // it was not computed yet
	NameGiven      NameKind = "name"       // the room's own name
	NameAlias      NameKind = "alias"      // its canonical alias
	NameCalculated NameKind = "calculated" // from the names of its members
	NameWas        NameKind = "was"        // nobody else is there any more; these were
	NameEmpty      NameKind = "empty"      // nobody else is, or was, there
)

// String returns what to show: the name, "Empty room (was …)" or "Empty room"; "" for NameUnknown.
func (n DisplayName) String() string {
	switch n.Kind {
	case NameWas:
		return "Empty room (was " + n.Name + ")"
	case NameEmpty:
		return "Empty room"
	default:
		return n.Name
	}
}

// Flags returns what the room can be filtered by.
func (info *RoomInfo) Flags() RoomFlags {
	var flags RoomFlags
	set := func(flag RoomFlags, is bool) {
		if is {
			flags |= flag
		}
	}
	set(FlagDirect, len(info.DirectTargets) > 0)
	set(FlagSpace, info.Create != nil && info.Create.Type == event.RoomTypeSpace)
	set(FlagFavourite, info.Tags.Favourite != nil)
	set(FlagLowPriority, info.Tags.LowPriority != nil)
	set(FlagMarkedUnread, info.MarkedUnread)
	set(FlagUnread, info.Counts.Notifications > 0 || info.MarkedUnread)
	set(FlagEncrypted, info.Encryption != nil)
	set(FlagTombstoned, info.Tombstone != nil)
	return flags
}

// RoomVersion returns the version of the room; "1" where it is not known.
func (info *RoomInfo) RoomVersion() id.RoomVersion {
	if info == nil || info.Create == nil || info.Create.Version == "" {
		return id.RoomV1
	}
	return info.Create.Version
}

// Check returns why it cannot be stored: an error that matches ErrRoomInfo, ErrNoRoomID, ErrNotJSON or ErrNotUTF8; or nil.
func (info *RoomInfo) Check() error {
	if info == nil {
		return fmt.Errorf("%w: it is nil", ErrRoomInfo)
	}
	if err := checkRoom(info.ID); err != nil {
		return err
	}
	if info.State < Joined || info.State > Banned {
		return fmt.Errorf("%w: %v", ErrRoomInfo, info.State)
	}
	if info.Version < 0 || info.Version > RoomInfoVersion {
		return fmt.Errorf("%w: version %d", ErrRoomInfo, info.Version)
	}
	if info.Latest != nil && info.Latest.Raw != nil && !json.Valid(info.Latest.Raw) {
		return ErrNotJSON
	}
	for _, raw := range info.Extra {
		if !json.Valid(raw) {
			return ErrNotJSON
		}
	}
	return checkAllText(info)
}

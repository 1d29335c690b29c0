package state

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"
)

// Changes is what a client has learnt, to be stored in one transaction
// (Saver.SaveChanges). Its fields may be set by hand, or with the Add methods, which make the maps as they are
// needed. The zero value is empty.
//
// What is not mentioned stays as it is: an absent field never clears what is stored.
//
// It is applied in the order of the fields here, from SyncToken to Presence; then, for one room after
// another, ordered by id:
//
//  1. RoomInfos, or Updates: before the room's new state is stored, an Invited one removes
//     the state events and members that are not stripped, any other the stripped ones. An update
//     without a State removes nothing.
//  2. RemoveMembers, with the events that they came from; then DeleteProfiles.
//  3. Profiles, which replace those of the same users, with a member event or without.
//  4. State, which replaces what has the same type and key. If there is any, the room's
//     stripped state events and members are removed before. A member event
//     changes the member, too, if it has a membership (ParseMember).
//  5. Stripped, which replaces what has the same type and key, and changes members likewise.
//  6. Receipts, each of which replaces that of the same user, type and thread, whatever its time.
//  7. Redactions: the state event of the room that has the id, and is not stripped, is replaced by
//     what is left of it (Redact, by the rules of the room's version), also where it
//     came in this same Changes. So the member and the room's information follow; and a profile that came from the
//     event does, also where another event has replaced that one. Ids of unknown events, and of events that are redacted already, are passed over. What cannot be
//     redacted is a *RedactionError, and nothing of the Changes is stored.
//  8. AmbiguityMaps: the users that were given for these names are replaced. No users: the entry is removed.
//  9. The RoomInfo, unless it was given whole: RoomInfo.Apply brings it up to date
//     with all this, and then its DisplayName is computed anew. Where the room was an Invited or Knocked
//     one and is not any more, or has become one, what came from state events before is forgotten, except that it is encrypted. Where there is no RoomInfo yet, an update
//     with a State makes one; nothing else does.
//
// At last come GlobalProfiles.
type Changes struct {
	// User is whose client this is. It is needed for RoomInfo.DisplayName, in which he does not count. If it is empty, he is not known.
	User id.UserID

	// SyncToken is where the next sync begins. Empty: unchanged. It is the value of the key SyncToken.
	SyncToken string

	// AccountData are events by their type. m.direct also changes RoomInfo.DirectTargets, of every room.
	AccountData map[string]json.RawMessage

	// RoomAccountData are events by room and type.
	RoomAccountData map[id.RoomID]map[string]json.RawMessage

	// Presence are the presence events of users.
	Presence map[id.UserID]json.RawMessage

	// RoomInfos are given whole, and stored as they are. A room cannot be in Updates as well (ErrRoomInfo).
	RoomInfos map[id.RoomID]*RoomInfo

	// Updates are what a client was told of rooms besides their events.
	Updates map[id.RoomID]*RoomUpdate

	// RemoveMembers are rooms in which the members are forgotten whose membership is in the set, before those of State are stored. 0: all of them. It is for
	// lists of members that are fetched anew.
	RemoveMembers map[id.RoomID]Memberships

	// DeleteProfiles are users whose profiles in a room are removed.
	DeleteProfiles map[id.RoomID][]id.UserID

	// Profiles are profiles by room and user.
	Profiles map[id.RoomID]map[id.UserID]Profile

	// State are state events by room, type and state key. What an event itself says of its type and key does not matter.
	State map[id.RoomID]map[string]map[string]json.RawMessage

	// Stripped are stripped state events by room, type and state key.
	Stripped map[id.RoomID]map[string]map[string]json.RawMessage

	// Receipts are by room.
	Receipts map[id.RoomID][]Receipt

	// Redactions are redaction events by room and by the id of the event that they redact.
	Redactions map[id.RoomID]map[id.EventID]json.RawMessage

	// AmbiguityMaps are users by room and name, for clients that find out themselves which names are ambiguous. No client has to: see
	// DisplayNames. Names with the same NameKey are one name; of two such, the last in order counts.
	AmbiguityMaps map[id.RoomID]map[string][]id.UserID

	// GlobalProfiles are what has changed in users' profiles.
	GlobalProfiles map[id.UserID]ProfileUpdate
}

// RoomUpdate is what a client was told of a room besides its events. What it does not mention stays as it is.
type RoomUpdate struct {
	// State is what the user is in the room. 0: unchanged.
	State RoomState

	// Counts are the unread notifications. Nil: unchanged.
	Counts *Counts

	// Heroes, Joined and Invited are the summary. Nil: unchanged. An empty list of heroes is one: there are none.
	Heroes  []Hero
	Joined  *int64
	Invited *int64

	// PrevBatch is where the timeline begins. Empty: unchanged.
	PrevBatch string

	// Synced is how much of the room was told. It only goes up.
	Synced SyncedTo

	// MembersKnown and EncryptionKnown say that all members were fetched, and that the server was asked
	// whether the room is encrypted. MembersMissing says that members may be missing again. All false: unchanged.
	MembersKnown, MembersMissing, EncryptionKnown bool

	// Latest is the event to show. Nil: unchanged.
	Latest *LatestEvent

	// Read is what is unread, as the client counts it. Nil: unchanged.
	Read *ReadSummary

	// Recency is when something has happened. A smaller one than that of the room is none. FirstRecency
	// counts only where the room has none yet.
	Recency, FirstRecency int64
}

// Empty says whether there is nothing in it. Whose client it is does not count.
func (c *Changes) Empty() bool {
	return c == nil || c.SyncToken == "" && len(c.AccountData) == 0 && len(c.RoomAccountData) == 0 && len(c.Presence) == 0 &&
		len(c.RoomInfos) == 0 && len(c.Updates) == 0 && len(c.RemoveMembers) == 0 && len(c.DeleteProfiles) == 0 && len(c.State) == 0 && len(c.Profiles) == 0 &&
		len(c.Stripped) == 0 && len(c.Receipts) == 0 && len(c.Redactions) == 0 && len(c.AmbiguityMaps) == 0 && len(c.GlobalProfiles) == 0
}

// AddState adds a state event; its type and state key are read from it. The errors are ErrNotJSON, ErrNoEventType and ErrNoStateKey.
func (c *Changes) AddState(room id.RoomID, raw json.RawMessage) error {
	eventType, key, err := typeAndKey(raw)
	if err != nil {
		return err
	}
	c.PutState(room, eventType, key, raw)
	return nil
}

// PutState is AddState for an event whose type and key are known: it reads nothing.
func (c *Changes) PutState(room id.RoomID, eventType, key string, raw json.RawMessage) {
	put2(&c.State, room, eventType, key, raw)
}

// AddStripped adds a stripped state event, as AddState does.
func (c *Changes) AddStripped(room id.RoomID, raw json.RawMessage) error {
	eventType, key, err := typeAndKey(raw)
	if err != nil {
		return err
	}
	put2(&c.Stripped, room, eventType, key, raw)
	return nil
}

// AddAccountData adds an event of the account data; its type is read from it. The errors are ErrNotJSON and ErrNoEventType.
func (c *Changes) AddAccountData(raw json.RawMessage) error {
	eventType, _, err := typeOf(raw)
	if err != nil {
		return err
	}
	put(&c.AccountData, eventType, raw)
	return nil
}

// AddRoomAccountData adds an event of a room's account data, as AddAccountData does.
func (c *Changes) AddRoomAccountData(room id.RoomID, raw json.RawMessage) error {
	eventType, _, err := typeOf(raw)
	if err != nil {
		return err
	}
	put1(&c.RoomAccountData, room, eventType, raw)
	return nil
}

// AddPresence adds a presence event; whose it is is read from it. The errors are ErrNotJSON and ErrNoUserID.
func (c *Changes) AddPresence(raw json.RawMessage) error {
	fields, err := parseObject(raw)
	if err != nil {
		return err
	}
	sender := textOf(fields["sender"])
	if sender == "" {
		return ErrNoUserID
	}
	put(&c.Presence, id.UserID(sender), raw)
	return nil
}

// AddRoomInfo adds a RoomInfo.
func (c *Changes) AddRoomInfo(info *RoomInfo) { put(&c.RoomInfos, info.ID, info) }

// Update returns the update of a room, and makes one where there is none yet.
func (c *Changes) Update(room id.RoomID) *RoomUpdate {
	if c.Updates[room] == nil {
		put(&c.Updates, room, &RoomUpdate{})
	}
	return c.Updates[room]
}

// AddProfile adds the profile of a user.
func (c *Changes) AddProfile(room id.RoomID, user id.UserID, p Profile) {
	put1(&c.Profiles, room, user, p)
}

// DeleteProfile removes the profile of a user, unless one is added.
func (c *Changes) DeleteProfile(room id.RoomID, user id.UserID) {
	put(&c.DeleteProfiles, room, append(c.DeleteProfiles[room], user))
}

// AddReceipts adds receipts.
func (c *Changes) AddReceipts(room id.RoomID, receipts ...Receipt) {
	put(&c.Receipts, room, append(c.Receipts[room], receipts...))
}

// AddRedaction adds a redaction; what it redacts is read from it, be it from content.redacts, where it has
// been since room version 11, or from redacts. The errors are ErrNotJSON and ErrNoEventID.
func (c *Changes) AddRedaction(room id.RoomID, raw json.RawMessage) error {
	fields, err := parseObject(raw)
	if err != nil {
		return err
	}
	redacts := textOf(object(fields["content"])["redacts"])
	if redacts == "" {
		redacts = textOf(fields["redacts"])
	}
	if redacts == "" {
		return ErrNoEventID
	}
	put1(&c.Redactions, room, id.EventID(redacts), raw)
	return nil
}

// SetUsersWithName adds an entry of AmbiguityMaps. Without users it removes the entry.
func (c *Changes) SetUsersWithName(room id.RoomID, name string, users ...id.UserID) {
	put1(&c.AmbiguityMaps, room, name, users)
}

// UpdateProfile adds what has changed in a user's global profile, behind what was added already.
func (c *Changes) UpdateProfile(user id.UserID, u ProfileUpdate) {
	put(&c.GlobalProfiles, user, c.GlobalProfiles[user].then(u))
}

func typeOf(raw json.RawMessage) (eventType string, fields map[string]json.RawMessage, err error) {
	if fields, err = parseObject(raw); err != nil {
		return "", nil, err
	}
	if eventType = textOf(fields["type"]); eventType == "" {
		return "", nil, ErrNoEventType
	}
	return eventType, fields, nil
}

func typeAndKey(raw json.RawMessage) (eventType, key string, err error) {
	eventType, fields, err := typeOf(raw)
	if err != nil {
		return "", "", err
	}
	k := fields["state_key"]
	if len(k) == 0 || k[0] != '"' {
		return "", "", ErrNoStateKey
	}
	return eventType, textOf(k), nil
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

func put1[A, B comparable, V any](m *map[A]map[B]V, a A, b B, v V) {
	inner := (*m)[a]
	put(&inner, b, v)
	put(m, a, inner)
}

func put2[A, B, C comparable, V any](m *map[A]map[B]map[C]V, a A, b B, c C, v V) {
	inner := (*m)[a]
	put1(&inner, b, c, v)
	put(m, a, inner)
}

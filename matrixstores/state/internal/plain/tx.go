package plain

import (
	"encoding/json"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// tx is a state.Tx on a copy of the data.
type tx struct{ *data }

var _ state.Tx = tx{}

func (t tx) SetValue(key state.ValueKey, v []byte) error {
	t.values[string(key.Bytes())] = slices.Clone(v)
	return nil
}

func (t tx) PutAccountData(eventType string, raw json.RawMessage) error {
	t.accountData[eventType] = raw
	return nil
}

func (t tx) AccountData(eventType string) (json.RawMessage, error) {
	return t.accountData[eventType], nil
}

func (t tx) PutRoomAccountData(room id.RoomID, eventType string, raw json.RawMessage) error {
	t.roomAccountData[roomKey{string(room), eventType}] = raw
	return nil
}

func (t tx) RoomAccountData(room id.RoomID, eventType string) (json.RawMessage, error) {
	return t.roomAccountData[roomKey{string(room), eventType}], nil
}

func (t tx) PutPresence(user id.UserID, raw json.RawMessage) error {
	t.presence[user] = raw
	return nil
}

func (t tx) RoomInfo(room id.RoomID) (*state.RoomInfo, error) {
	row, found := t.infos[room]
	if !found {
		return nil, nil
	}
	var info state.RoomInfo
	return &info, json.Unmarshal(row.v, &info)
}

func (t tx) PutRoomInfo(info *state.RoomInfo) error {
	row, err := info.MarshalJSON()
	place(t.data, t.infos, info.ID, row)
	return err
}

func (t tx) DirectRooms() (rooms []id.RoomID, err error) {
	for room := range t.infos {
		info, err := t.RoomInfo(room)
		if err != nil {
			return nil, err
		}
		if info.Flags()&state.FlagDirect != 0 {
			rooms = append(rooms, room)
		}
	}
	return rooms, nil
}

func (t tx) RemoveState(room id.RoomID, stripped bool) error {
	maps.DeleteFunc(t.state, func(k stateKey, row stored[state.StateEvent]) bool {
		return k.room == string(room) && row.v.Stripped == stripped
	})
	maps.DeleteFunc(t.members, func(k roomKey, row stored[memberRow]) bool {
		return k.room == string(room) && row.v.m.Stripped == stripped
	})
	return nil
}

func (t tx) RemoveMembers(room id.RoomID, filter state.Memberships) error {
	maps.DeleteFunc(t.members, func(k roomKey, row stored[memberRow]) bool {
		remove := k.room == string(room) && filter.Has(row.v.m.Membership)
		if remove {
			delete(t.state, stateKey{k.room, "m.room.member", k.key})
		}
		return remove
	})
	return nil
}

func (t tx) PutState(room id.RoomID, e state.StateEvent, eventID id.EventID) error {
	key := stateKey{string(room), e.Type, e.StateKey}
	maps.DeleteFunc(t.ids, func(_ roomKey, k stateKey) bool { return k == key })
	place(t.data, t.state, key, e)
	if eventID != "" && !e.Stripped {
		t.ids[roomKey{string(room), string(eventID)}] = key
	}
	return nil
}

func (t tx) StateEvent(room id.RoomID, eventType, key string) (state.StateEvent, bool, error) {
	row, found := t.state[stateKey{string(room), eventType, key}]
	return row.v, found, nil
}

func (t tx) StateByID(room id.RoomID, event id.EventID) (state.StateEvent, bool, error) {
	key, found := t.ids[roomKey{string(room), string(event)}]
	row, there := t.state[key]
	return row.v, found && there && !row.v.Stripped, nil
}

func (t tx) PutMember(room id.RoomID, m state.Member, nameKey string) error {
	place(t.data, t.members, roomKey{string(room), string(m.User)}, memberRow{m, nameKey})
	return nil
}

func (t tx) Member(room id.RoomID, user id.UserID) (state.Member, bool, error) {
	row, found := t.members[roomKey{string(room), string(user)}]
	return row.v.m, found, nil
}

func (t tx) Members(room id.RoomID, filter state.Memberships, n int) ([]state.Member, error) {
	all := t.membersOf(room, filter)
	return all[:min(n, len(all))], nil
}

func (t tx) CountMembers(room id.RoomID, filter state.Memberships) (int64, error) {
	return int64(len(t.membersOf(room, filter))), nil
}

func (t tx) PutProfile(room id.RoomID, user id.UserID, p state.Profile) error {
	t.profiles[roomKey{string(room), string(user)}] = p
	return nil
}

func (t tx) DeleteProfile(room id.RoomID, user id.UserID) error {
	delete(t.profiles, roomKey{string(room), string(user)})
	return nil
}

func (t tx) Profile(room id.RoomID, user id.UserID) (state.Profile, bool, error) {
	p, found := t.profiles[roomKey{string(room), string(user)}]
	return p, found, nil
}

func (t tx) ProfilesFrom(room id.RoomID, evt id.EventID) (users []id.UserID, err error) {
	for k, p := range t.profiles {
		if k.room == string(room) && evt != "" && p.EventID == evt {
			users = append(users, id.UserID(k.key))
		}
	}
	return users, nil
}

func (t tx) PutReceipt(room id.RoomID, r state.Receipt) error {
	t.receipts[receiptKey{room, r.User, r.Type, r.Thread}] = r
	return nil
}

func (t tx) PutNames(room id.RoomID, nameKey string, users []id.UserID) error {
	if len(users) == 0 {
		delete(t.names, roomKey{string(room), nameKey})
		return nil
	}
	t.names[roomKey{string(room), nameKey}] = users
	return nil
}

func (t tx) PutGlobalProfile(user id.UserID, p state.GlobalProfile) error {
	t.globals[user] = p
	return nil
}

func (t tx) DeleteGlobalProfile(user id.UserID) error {
	delete(t.globals, user)
	return nil
}

func (t tx) GlobalProfile(user id.UserID) (state.GlobalProfile, error) { return t.globals[user], nil }

package memorystore

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// stateTx is one transaction on the state store. It is the state.Tx of
// SaveChanges, and what the reading methods stand on.
type stateTx struct {
	s *StateStore
	t *memory.Txn
}

var _ state.Tx = (*stateTx)(nil)

// number returns the number of a row, which what replaces it keeps.
func (t *stateTx) number(was uint64, there bool) uint64 {
	if there {
		return was
	}
	return t.s.stored.Add(1)
}

// remove removes a row, if it is there.
func remove[T any](t *stateTx, in memory.Table[T], row T) error {
	if err := in.Delete(t.t, row); err != nil && !errors.Is(err, memory.ErrNotFound) {
		return err
	}
	return nil
}

// SetValue is a step of SaveChanges.
func (t *stateTx) SetValue(k state.ValueKey, data []byte) error {
	return values.Insert(t.t, &valueRow{k, bytes.Clone(data)})
}

func (t *stateTx) account(room id.RoomID, eventType string) (json.RawMessage, error) {
	row, there, err := accounts.First(t.t, "id", roomKey(room, eventType))
	if err != nil || !there {
		return nil, err
	}
	return row.raw, nil
}

// PutAccountData is a step of SaveChanges.
func (t *stateTx) PutAccountData(eventType string, raw json.RawMessage) error {
	return accounts.Insert(t.t, &accountRow{eventType: eventType, raw: raw})
}

// AccountData is a step of SaveChanges.
func (t *stateTx) AccountData(eventType string) (json.RawMessage, error) {
	return t.account("", eventType)
}

// PutRoomAccountData is a step of SaveChanges.
func (t *stateTx) PutRoomAccountData(room id.RoomID, eventType string, raw json.RawMessage) error {
	return accounts.Insert(t.t, &accountRow{room, eventType, raw})
}

// RoomAccountData is a step of SaveChanges.
func (t *stateTx) RoomAccountData(room id.RoomID, eventType string) (json.RawMessage, error) {
	if room == "" {
		return nil, nil
	}
	return t.account(room, eventType)
}

// PutPresence is a step of SaveChanges.
func (t *stateTx) PutPresence(user id.UserID, raw json.RawMessage) error {
	return presences.Insert(t.t, &bytesRow{string(user), raw})
}

func (r *infoRow) open() (*state.RoomInfo, error) {
	info := &state.RoomInfo{}
	if err := info.UnmarshalJSON(r.data); err != nil {
		return nil, err
	}
	return info, nil
}

// RoomInfo is a step of SaveChanges.
func (t *stateTx) RoomInfo(room id.RoomID) (*state.RoomInfo, error) {
	row, there, err := infos.First(t.t, "id", inRoom(room))
	if err != nil || !there {
		return nil, err
	}
	return row.open()
}

// PutRoomInfo is a step of SaveChanges.
func (t *stateTx) PutRoomInfo(info *state.RoomInfo) error {
	data, err := info.MarshalJSON()
	if err != nil {
		return err
	}
	row := &infoRow{
		room: info.ID, data: data, state: info.State, flags: info.Flags(), encrypted: info.IsEncrypted(), recency: info.Recency,
		notifications: int64(info.Counts.Notifications), highlights: int64(info.Counts.Highlights),
	}
	was, there, err := infos.First(t.t, "id", inRoom(info.ID))
	if err != nil {
		return err
	}
	if there {
		row.n = was.n
	}
	row.n = t.number(row.n, there)
	return infos.Insert(t.t, row)
}

// DirectRooms is a step of SaveChanges.
func (t *stateTx) DirectRooms() (found []id.RoomID, err error) {
	for row, err := range infos.Get(t.t, "direct") {
		if err != nil {
			return nil, err
		}
		found = append(found, row.room)
	}
	return found, nil
}

// RemoveState is a step of SaveChanges.
func (t *stateTx) RemoveState(room id.RoomID, stripped bool) error {
	for row, err := range stateEvents.Get(t.t, "id_prefix", inRoom(room)) {
		if err == nil && row.Stripped == stripped {
			err = stateEvents.Delete(t.t, row)
		}
		if err != nil {
			return err
		}
	}
	for row, err := range members.Get(t.t, "id_prefix", inRoom(room)) {
		if err == nil && row.Stripped == stripped {
			err = members.Delete(t.t, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// RemoveMembers is a step of SaveChanges.
func (t *stateTx) RemoveMembers(room id.RoomID, filter state.Memberships) error {
	for row, err := range members.Get(t.t, "id_prefix", inRoom(room)) {
		if err == nil && filter.Has(row.Membership) {
			e := state.StateEvent{Type: event.StateMember.Type, StateKey: string(row.User)}
			if err = remove(t, stateEvents, &stateRow{room: room, StateEvent: e}); err == nil {
				err = members.Delete(t.t, row)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// PutState is a step of SaveChanges.
func (t *stateTx) PutState(room id.RoomID, e state.StateEvent, eventID id.EventID) error {
	if e.Stripped {
		eventID = ""
	}
	row := &stateRow{room: room, StateEvent: e, eventID: eventID}
	was, there, err := stateEvents.First(t.t, "id", roomKey(room, e.Type, e.StateKey))
	if err != nil {
		return err
	}
	if there {
		row.n = was.n
	}
	row.n = t.number(row.n, there)
	return stateEvents.Insert(t.t, row)
}

func (t *stateTx) stateBy(index string, k key) (state.StateEvent, bool, error) {
	row, there, err := stateEvents.First(t.t, index, k)
	if err != nil || !there {
		return state.StateEvent{}, false, err
	}
	return row.StateEvent, true, nil
}

// StateEvent is a step of SaveChanges.
func (t *stateTx) StateEvent(room id.RoomID, eventType, stateKey string) (state.StateEvent, bool, error) {
	return t.stateBy("id", roomKey(room, eventType, stateKey))
}

// StateByID is a step of SaveChanges.
func (t *stateTx) StateByID(room id.RoomID, event id.EventID) (state.StateEvent, bool, error) {
	return t.stateBy("event_prefix", roomKey(room, string(event)))
}

// PutMember is a step of SaveChanges.
func (t *stateTx) PutMember(room id.RoomID, m state.Member, nameKey string) error {
	row := &memberRow{room: room, Member: m, nameKey: nameKey}
	was, there, err := members.First(t.t, "id", roomKey(room, string(m.User)))
	if err != nil {
		return err
	}
	if there {
		row.n = was.n
	}
	row.n = t.number(row.n, there)
	return members.Insert(t.t, row)
}

// Member is a step of SaveChanges.
func (t *stateTx) Member(room id.RoomID, user id.UserID) (state.Member, bool, error) {
	row, there, err := members.First(t.t, "id", roomKey(room, string(user)))
	if err != nil || !there {
		return state.Member{}, false, err
	}
	return row.Member, true, nil
}

// each calls fn for the members of a set, in the order of first storing, behind the one with the number after, until fn returns false.
func (t *stateTx) each(room id.RoomID, filter state.Memberships, after uint64, fn func(*memberRow) bool) error {
	if after == 1<<64-1 {
		return nil
	}
	for row, err := range members.LowerBound(t.t, "age", inRoom(room).number(after+1)) {
		if err != nil {
			return err
		}
		if row.room != room {
			return nil
		}
		if filter.Has(row.Membership) && !fn(row) {
			return nil
		}
	}
	return nil
}

// Members is a step of SaveChanges.
func (t *stateTx) Members(room id.RoomID, filter state.Memberships, n int) (found []state.Member, err error) {
	if n < 1 {
		return nil, nil
	}
	err = t.each(room, filter, 0, func(row *memberRow) bool {
		found = append(found, row.Member)
		return len(found) < n
	})
	return found, err
}

// CountMembers is a step of SaveChanges.
func (t *stateTx) CountMembers(room id.RoomID, filter state.Memberships) (n int64, err error) {
	err = t.each(room, filter, 0, func(*memberRow) bool { n++; return true })
	return n, err
}

// PutProfile is a step of SaveChanges.
func (t *stateTx) PutProfile(room id.RoomID, user id.UserID, p state.Profile) error {
	data, err := plainJSON(p)
	if err != nil {
		return err
	}
	return profiles.Insert(t.t, &profileRow{room, user, p.EventID, data})
}

// DeleteProfile is a step of SaveChanges.
func (t *stateTx) DeleteProfile(room id.RoomID, user id.UserID) error {
	return remove(t, profiles, &profileRow{room: room, user: user})
}

// ProfilesFrom is a step of SaveChanges.
func (t *stateTx) ProfilesFrom(room id.RoomID, event id.EventID) (users []id.UserID, err error) {
	for row, err := range profiles.Get(t.t, "event_prefix", roomKey(room, string(event))) {
		if err != nil {
			return nil, err
		}
		users = append(users, row.user)
	}
	return users, nil
}

// Profile is a step of SaveChanges.
func (t *stateTx) Profile(room id.RoomID, user id.UserID) (p state.Profile, found bool, err error) {
	row, there, err := profiles.First(t.t, "id", roomKey(room, string(user)))
	if err != nil || !there {
		return p, false, err
	}
	err = json.Unmarshal(row.data, &p)
	return p, err == nil, err
}

// PutReceipt is a step of SaveChanges.
func (t *stateTx) PutReceipt(room id.RoomID, r state.Receipt) error {
	r.Extra = maps.Clone(r.Extra)
	return receipts.Insert(t.t, &receiptRow{room, r})
}

// PutNames is a step of SaveChanges.
func (t *stateTx) PutNames(room id.RoomID, nameKey string, users []id.UserID) error {
	if len(users) == 0 {
		return remove(t, names, &namesRow{room: room, key: nameKey})
	}
	return names.Insert(t.t, &namesRow{room, nameKey, slices.Clone(users)})
}

// PutGlobalProfile is a step of SaveChanges.
func (t *stateTx) PutGlobalProfile(user id.UserID, p state.GlobalProfile) error {
	data, err := plainJSON(p)
	if err != nil {
		return err
	}
	return globals.Insert(t.t, &bytesRow{string(user), data})
}

// DeleteGlobalProfile is a step of SaveChanges.
func (t *stateTx) DeleteGlobalProfile(user id.UserID) error {
	return remove(t, globals, &bytesRow{key: string(user)})
}

// GlobalProfile is a step of SaveChanges.
func (t *stateTx) GlobalProfile(user id.UserID) (p state.GlobalProfile, err error) {
	row, there, err := globals.First(t.t, "id", textKey(string(user)))
	if err != nil || !there {
		return nil, err
	}
	err = json.Unmarshal(row.value, &p)
	return p, err
}

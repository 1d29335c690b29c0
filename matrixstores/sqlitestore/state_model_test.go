package sqlitestore_test

// A state store on maps, that does everything the simplest way: what the one in SQLite answers is compared with it.

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// stateStoreData is what is compared: a state.Store without its life.
type stateStoreData interface {
	state.Saver
	state.Values
	state.CustomValues
	state.AccountData
	state.PresenceEvents
	state.StateEvents
	state.Members
	state.Profiles
	state.DisplayNames
	state.Receipts
	state.RoomInfos
	state.SendQueue
	state.DependentQueue
	state.ThreadSubscriptions
	state.GlobalProfiles
}

var _ stateStoreData = (*stateModel)(nil)

const everyRoom id.RoomID = "every room"

// rows are a table: a row keeps its number when it is replaced.
type rows[V any] map[string]numberedRow[V]

type numberedRow[V any] struct {
	n    int
	room id.RoomID
	v    V
}

func at(parts ...any) string { return fmt.Sprintf("%q", parts) }

func (r rows[V]) get(key string) (V, bool) {
	row, found := r[key]
	return row.v, found
}

// list returns the rows of a room that fit; all those of everyRoom.
func (r rows[V]) list(room id.RoomID, fits func(V) bool) (out []V) {
	for _, row := range slices.SortedFunc(maps.Values(r), func(a, b numberedRow[V]) int { return cmp.Compare(a.n, b.n) }) {
		if (room == everyRoom || row.room == room) && (fits == nil || fits(row.v)) {
			out = append(out, row.v)
		}
	}
	return out
}

func (r rows[V]) drop(room id.RoomID, fits func(V) bool) {
	maps.DeleteFunc(r, func(_ string, row numberedRow[V]) bool { return row.room == room && (fits == nil || fits(row.v)) })
}

func set[V any](m *stateModel, r rows[V], room id.RoomID, key string, v V) {
	row, found := r[key]
	if !found {
		m.n++
		row = numberedRow[V]{n: m.n, room: room}
	}
	row.v = v
	r[key] = row
}

type modelMember struct {
	state.Member
	name string
	room id.RoomID
}

type modelProfile struct {
	state.Profile
	user id.UserID
}

type modelState struct {
	state.StateEvent
	id id.EventID
}

type stateModel struct {
	n             int
	values        rows[[]byte]
	custom        rows[[]byte]
	account       rows[json.RawMessage]
	presence      rows[json.RawMessage]
	infos         rows[[]byte]
	state         rows[modelState]
	members       rows[modelMember]
	profiles      rows[modelProfile]
	receipts      rows[state.Receipt]
	names         rows[[]id.UserID]
	globals       rows[state.GlobalProfile]
	queue         rows[state.QueuedRequest]
	dependents    rows[state.DependentRequest]
	subscriptions rows[state.Subscription]
}

func newStateModel() *stateModel {
	return &stateModel{
		values: rows[[]byte]{}, custom: rows[[]byte]{}, account: rows[json.RawMessage]{}, presence: rows[json.RawMessage]{},
		infos: rows[[]byte]{}, state: rows[modelState]{}, members: rows[modelMember]{}, profiles: rows[modelProfile]{},
		receipts: rows[state.Receipt]{}, names: rows[[]id.UserID]{}, globals: rows[state.GlobalProfile]{},
		queue: rows[state.QueuedRequest]{}, dependents: rows[state.DependentRequest]{}, subscriptions: rows[state.Subscription]{},
	}
}

func (m *stateModel) clone() *stateModel {
	c := *m
	c.values, c.custom, c.account, c.presence = maps.Clone(m.values), maps.Clone(m.custom), maps.Clone(m.account), maps.Clone(m.presence)
	c.infos, c.state, c.members, c.profiles = maps.Clone(m.infos), maps.Clone(m.state), maps.Clone(m.members), maps.Clone(m.profiles)
	c.receipts, c.names, c.globals, c.queue = maps.Clone(m.receipts), maps.Clone(m.names), maps.Clone(m.globals), maps.Clone(m.queue)
	c.dependents, c.subscriptions = maps.Clone(m.dependents), maps.Clone(m.subscriptions)
	return &c
}

func (m *stateModel) SaveChanges(_ context.Context, c *state.Changes) error {
	if err := c.Check(); err != nil {
		return err
	}
	next := m.clone()
	if err := c.Apply(modelTx{next}); err != nil {
		return err
	}
	*m = *next
	return nil
}

func (m *stateModel) RemoveRoom(_ context.Context, room id.RoomID) error {
	if room == "" {
		return nil
	}
	m.values.drop(room, nil)
	m.account.drop(room, nil)
	m.infos.drop(room, nil)
	m.state.drop(room, nil)
	m.members.drop(room, nil)
	m.profiles.drop(room, nil)
	m.receipts.drop(room, nil)
	m.names.drop(room, nil)
	m.queue.drop(room, nil)
	m.dependents.drop(room, nil)
	m.subscriptions.drop(room, nil)
	return nil
}

// modelTx is what Apply changes a copy of the model by.
type modelTx struct{ *stateModel }

func (m modelTx) SetValue(key state.ValueKey, data []byte) error {
	set(m.stateModel, m.values, key.Room(), string(key.Bytes()), slices.Clone(data))
	return nil
}

func (m modelTx) PutAccountData(eventType string, raw json.RawMessage) error {
	set(m.stateModel, m.account, "", at(eventType), raw)
	return nil
}

func (m modelTx) AccountData(eventType string) (json.RawMessage, error) {
	raw, _ := m.account.get(at(eventType))
	return raw, nil
}

func (m modelTx) PutRoomAccountData(room id.RoomID, eventType string, raw json.RawMessage) error {
	set(m.stateModel, m.account, room, at(room, eventType), raw)
	return nil
}

func (m modelTx) RoomAccountData(room id.RoomID, eventType string) (json.RawMessage, error) {
	raw, _ := m.account.get(at(room, eventType))
	return raw, nil
}

func (m modelTx) PutPresence(user id.UserID, raw json.RawMessage) error {
	set(m.stateModel, m.presence, "", at(user), raw)
	return nil
}

func (m modelTx) RoomInfo(room id.RoomID) (*state.RoomInfo, error) {
	data, found := m.infos.get(at(room))
	if !found {
		return nil, nil
	}
	var info state.RoomInfo
	return &info, json.Unmarshal(data, &info)
}

func (m modelTx) PutRoomInfo(info *state.RoomInfo) error {
	data, err := info.MarshalJSON()
	set(m.stateModel, m.infos, info.ID, at(info.ID), data)
	return err
}

func (m modelTx) DirectRooms() (rooms []id.RoomID, err error) {
	for _, row := range m.infos {
		var info state.RoomInfo
		if err := json.Unmarshal(row.v, &info); err != nil {
			return nil, err
		}
		if info.Flags()&state.FlagDirect != 0 {
			rooms = append(rooms, info.ID)
		}
	}
	return rooms, nil
}

func (m modelTx) RemoveState(room id.RoomID, stripped bool) error {
	m.state.drop(room, func(e modelState) bool { return e.Stripped == stripped })
	m.members.drop(room, func(u modelMember) bool { return u.Stripped == stripped })
	return nil
}

func (m modelTx) RemoveMembers(room id.RoomID, filter state.Memberships) error {
	m.members.drop(room, func(u modelMember) bool {
		remove := filter.Has(u.Membership)
		if remove {
			delete(m.state, at(room, "m.room.member", u.User))
		}
		return remove
	})
	return nil
}

func (m modelTx) PutState(room id.RoomID, e state.StateEvent, eventID id.EventID) error {
	set(m.stateModel, m.state, room, at(room, e.Type, e.StateKey), modelState{e, eventID})
	return nil
}

func (m modelTx) StateEvent(room id.RoomID, eventType, key string) (state.StateEvent, bool, error) {
	e, found := m.state.get(at(room, eventType, key))
	return e.StateEvent, found, nil
}

func (m modelTx) StateByID(room id.RoomID, evt id.EventID) (state.StateEvent, bool, error) {
	all := m.state.list(room, func(e modelState) bool { return e.id == evt && !e.Stripped })
	if len(all) == 0 {
		return state.StateEvent{}, false, nil
	}
	return all[0].StateEvent, true, nil
}

func (m modelTx) PutMember(room id.RoomID, u state.Member, name string) error {
	set(m.stateModel, m.members, room, at(room, u.User), modelMember{u, name, room})
	return nil
}

func (m modelTx) Member(room id.RoomID, user id.UserID) (state.Member, bool, error) {
	u, found := m.members.get(at(room, user))
	return u.Member, found, nil
}

func (m *stateModel) membersOf(room id.RoomID, filter state.Memberships) (out []state.Member) {
	for _, u := range m.members.list(room, func(u modelMember) bool { return filter.Has(u.Membership) }) {
		out = append(out, u.Member)
	}
	return out
}

func (m modelTx) Members(room id.RoomID, filter state.Memberships, n int) ([]state.Member, error) {
	all := m.membersOf(room, filter)
	return all[:min(n, len(all))], nil
}

func (m modelTx) CountMembers(room id.RoomID, filter state.Memberships) (int64, error) {
	return int64(len(m.membersOf(room, filter))), nil
}

func (m modelTx) PutProfile(room id.RoomID, user id.UserID, p state.Profile) error {
	set(m.stateModel, m.profiles, room, at(room, user), modelProfile{p, user})
	return nil
}

func (m modelTx) DeleteProfile(room id.RoomID, user id.UserID) error {
	delete(m.profiles, at(room, user))
	return nil
}

func (m modelTx) Profile(room id.RoomID, user id.UserID) (state.Profile, bool, error) {
	p, found := m.profiles.get(at(room, user))
	return p.Profile, found, nil
}

func (m modelTx) ProfilesFrom(room id.RoomID, evt id.EventID) (users []id.UserID, err error) {
	for _, p := range m.profiles.list(room, func(p modelProfile) bool { return evt != "" && p.EventID == evt }) {
		users = append(users, p.user)
	}
	return users, nil
}

func (m modelTx) PutReceipt(room id.RoomID, r state.Receipt) error {
	set(m.stateModel, m.receipts, room, at(room, r.User, r.Type, r.Thread.Key()), r)
	return nil
}

func (m modelTx) PutNames(room id.RoomID, name string, users []id.UserID) error {
	delete(m.names, at(room, name))
	if len(users) > 0 {
		set(m.stateModel, m.names, room, at(room, name), slices.Clone(users))
	}
	return nil
}

func (m modelTx) PutGlobalProfile(user id.UserID, p state.GlobalProfile) error {
	set(m.stateModel, m.globals, "", at(user), maps.Clone(p))
	return nil
}

func (m modelTx) DeleteGlobalProfile(user id.UserID) error {
	delete(m.globals, at(user))
	return nil
}

func (m modelTx) GlobalProfile(user id.UserID) (state.GlobalProfile, error) {
	p, _ := m.globals.get(at(user))
	return p, nil
}

// The reading methods.

func (m *stateModel) Value(_ context.Context, key state.ValueKey) ([]byte, bool, error) {
	v, found := m.values.get(string(key.Bytes()))
	return v, found, nil
}

func (m *stateModel) SetValue(_ context.Context, key state.ValueKey, data []byte) error {
	if err := key.Check(); err != nil {
		return err
	}
	return modelTx{m}.SetValue(key, data)
}

func (m *stateModel) RemoveValue(_ context.Context, key state.ValueKey) error {
	delete(m.values, string(key.Bytes()))
	return nil
}

func (m *stateModel) CustomValue(_ context.Context, key []byte) ([]byte, bool, error) {
	v, found := m.custom.get(string(key))
	return v, found, nil
}

func (m *stateModel) SetCustomValue(_ context.Context, key, value []byte) error {
	set(m, m.custom, "", string(key), slices.Clone(value))
	return nil
}

func (m *stateModel) SwapCustomValue(ctx context.Context, key, value []byte) ([]byte, bool, error) {
	v, found, _ := m.CustomValue(ctx, key)
	return v, found, m.SetCustomValue(ctx, key, value)
}

func (m *stateModel) RemoveCustomValue(ctx context.Context, key []byte) ([]byte, bool, error) {
	v, found, _ := m.CustomValue(ctx, key)
	delete(m.custom, string(key))
	return v, found, nil
}

func (m *stateModel) AccountData(_ context.Context, eventType string) (json.RawMessage, error) {
	return modelTx{m}.AccountData(eventType)
}

func (m *stateModel) RoomAccountData(_ context.Context, room id.RoomID, eventType string) (json.RawMessage, error) {
	return modelTx{m}.RoomAccountData(room, eventType)
}

func (m *stateModel) Presence(_ context.Context, user id.UserID) (json.RawMessage, error) {
	raw, _ := m.presence.get(at(user))
	return raw, nil
}

func (m *stateModel) Presences(_ context.Context, users []id.UserID) (out []json.RawMessage, err error) {
	for i, user := range users {
		if raw, found := m.presence.get(at(user)); found && !slices.Contains(users[:i], user) {
			out = append(out, raw)
		}
	}
	return out, nil
}

func (m *stateModel) StateEvent(_ context.Context, room id.RoomID, eventType, key string) (state.StateEvent, bool, error) {
	return modelTx{m}.StateEvent(room, eventType, key)
}

func (m *stateModel) StateEvents(_ context.Context, room id.RoomID, eventType string) (out []state.StateEvent, err error) {
	for _, e := range m.state.list(room, func(e modelState) bool { return e.Type == eventType }) {
		out = append(out, e.StateEvent)
	}
	return out, nil
}

func (m *stateModel) StateEventsForKeys(_ context.Context, room id.RoomID, eventType string, keys []string) (out []state.StateEvent, err error) {
	for i, key := range keys {
		if e, found := m.state.get(at(room, eventType, key)); found && !slices.Contains(keys[:i], key) {
			out = append(out, e.StateEvent)
		}
	}
	return out, nil
}

func (m *stateModel) Member(_ context.Context, room id.RoomID, user id.UserID) (state.Member, bool, error) {
	return modelTx{m}.Member(room, user)
}

func (m *stateModel) UserIDs(_ context.Context, room id.RoomID, filter state.Memberships) (out []id.UserID, err error) {
	for _, u := range m.membersOf(room, filter) {
		out = append(out, u.User)
	}
	return out, nil
}

func (m *stateModel) Members(_ context.Context, room id.RoomID, filter state.Memberships, _ state.Page) (state.MemberPage, error) {
	return state.MemberPage{Members: m.membersOf(room, filter)}, nil
}

func (m *stateModel) RoomsOf(_ context.Context, user id.UserID, filter state.Memberships) (out []id.RoomID, err error) {
	for _, u := range m.members.list(everyRoom, func(u modelMember) bool { return u.User == user && filter.Has(u.Membership) }) {
		out = append(out, u.room)
	}
	return out, nil
}

func (m *stateModel) Profile(_ context.Context, room id.RoomID, user id.UserID) (state.Profile, bool, error) {
	return modelTx{m}.Profile(room, user)
}

func (m *stateModel) Profiles(_ context.Context, room id.RoomID, users []id.UserID) (map[id.UserID]state.Profile, error) {
	out := map[id.UserID]state.Profile{}
	for _, user := range users {
		if p, found := m.profiles.get(at(room, user)); found {
			out[user] = p.Profile
		}
	}
	return out, nil
}

func (m *stateModel) UsersWithDisplayName(_ context.Context, room id.RoomID, name string) ([]id.UserID, error) {
	given, _ := m.names.get(at(room, state.NameKey(name)))
	users := slices.Clone(given)
	for _, u := range m.members.list(room, func(u modelMember) bool { return u.name == state.NameKey(name) }) {
		users = append(users, u.User)
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

func (m *stateModel) UsersWithDisplayNames(ctx context.Context, room id.RoomID, names []string) (map[string][]id.UserID, error) {
	out := map[string][]id.UserID{}
	for _, name := range names {
		if users, _ := m.UsersWithDisplayName(ctx, room, name); len(users) > 0 {
			out[name] = users
		}
	}
	return out, nil
}

func (m *stateModel) UserReceipt(_ context.Context, room id.RoomID, t event.ReceiptType, thread state.ReceiptThread, user id.UserID) (state.Receipt, bool, error) {
	r, found := m.receipts.get(at(room, user, t, thread.Key()))
	return r, found, nil
}

func (m *stateModel) EventReceipts(_ context.Context, room id.RoomID, t event.ReceiptType, thread state.ReceiptThread, evt id.EventID) ([]state.Receipt, error) {
	out := m.receipts.list(room, func(r state.Receipt) bool { return r.Type == t && r.Thread == thread && r.Event == evt })
	slices.SortFunc(out, func(a, b state.Receipt) int { return strings.Compare(string(a.User), string(b.User)) })
	return out, nil
}

func (m *stateModel) RoomInfo(_ context.Context, room id.RoomID) (*state.RoomInfo, error) {
	return modelTx{m}.RoomInfo(room)
}

func (m *stateModel) IsEncrypted(_ context.Context, room id.RoomID) (bool, error) {
	info, err := modelTx{m}.RoomInfo(room)
	if err != nil || info.IsEncrypted() {
		return err == nil, err
	}
	e, _, err := modelTx{m}.StateEvent(room, event.StateEncryption.Type, "")
	return e.IsEncryption(), err
}

func (m *stateModel) RoomInfos(_ context.Context) (out []*state.RoomInfo, err error) {
	for _, data := range m.infos.list(everyRoom, nil) {
		info := &state.RoomInfo{}
		if err := json.Unmarshal(data, info); err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

func (m *stateModel) Rooms(ctx context.Context, filter state.RoomFilter, order state.Order, _ state.Page) (state.RoomPage, error) {
	all, err := m.RoomInfos(ctx)
	all = slices.DeleteFunc(all, func(info *state.RoomInfo) bool { return !filter.Fits(info) })
	slices.SortStableFunc(all, order.Compare)
	return state.RoomPage{Rooms: all}, err
}

func (m *stateModel) SaveRequest(_ context.Context, room id.RoomID, r state.QueuedRequest) error {
	if err := r.Check(); err != nil {
		return err
	}
	if _, there := m.queue.get(at(room, r.TransactionID)); there {
		return state.ErrDuplicate
	}
	set(m, m.queue, room, at(room, r.TransactionID), r)
	return nil
}

func (m *stateModel) UpdateRequest(_ context.Context, room id.RoomID, txn string, r state.Request) (bool, error) {
	q, found := m.queue.get(at(room, txn))
	if found {
		q.Request, q.Error = r, nil
		set(m, m.queue, room, at(room, txn), q)
	}
	return found, nil
}

func (m *stateModel) RemoveRequest(_ context.Context, room id.RoomID, txn string) (bool, error) {
	_, found := m.queue.get(at(room, txn))
	delete(m.queue, at(room, txn))
	return found, nil
}

func (m *stateModel) Requests(_ context.Context, room id.RoomID) ([]state.QueuedRequest, error) {
	all := m.queue.list(room, nil)
	slices.SortStableFunc(all, func(a, b state.QueuedRequest) int { return cmp.Compare(b.Priority, a.Priority) })
	return all, nil
}

func (m *stateModel) SetRequestError(_ context.Context, room id.RoomID, txn string, reason state.WedgeError) error {
	if q, found := m.queue.get(at(room, txn)); found {
		q.Error = reason
		set(m, m.queue, room, at(room, txn), q)
	}
	return nil
}

func (m *stateModel) RoomsWithRequests(context.Context) (out []id.RoomID, err error) {
	for _, row := range m.queue {
		out = append(out, row.room)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (m *stateModel) SaveDependent(_ context.Context, room id.RoomID, r state.DependentRequest) error {
	if err := r.Check(); err != nil {
		return err
	}
	if _, there := m.dependents.get(at(room, r.TransactionID)); there {
		return state.ErrDuplicate
	}
	set(m, m.dependents, room, at(room, r.TransactionID), r)
	return nil
}

func (m *stateModel) MarkDependentsReady(_ context.Context, room id.RoomID, parent string, key state.SentKey) (count int, err error) {
	for _, d := range m.dependents.list(room, func(d state.DependentRequest) bool { return d.Parent == parent }) {
		d.ParentKey = key
		set(m, m.dependents, room, at(room, d.TransactionID), d)
		count++
	}
	return count, nil
}

func (m *stateModel) UpdateDependent(_ context.Context, room id.RoomID, own string, what state.Dependent) (bool, error) {
	d, found := m.dependents.get(at(room, own))
	if found {
		d.Dependent = what
		set(m, m.dependents, room, at(room, own), d)
	}
	return found, nil
}

func (m *stateModel) RemoveDependent(_ context.Context, room id.RoomID, own string) (bool, error) {
	_, found := m.dependents.get(at(room, own))
	delete(m.dependents, at(room, own))
	return found, nil
}

func (m *stateModel) Dependents(_ context.Context, room id.RoomID) ([]state.DependentRequest, error) {
	return m.dependents.list(room, nil), nil
}

func (m *stateModel) SaveSubscriptions(_ context.Context, subs []state.ThreadSubscription) error {
	for _, s := range subs {
		if err := s.Check(); err != nil {
			return err
		}
	}
	for _, s := range subs {
		var stored *state.Subscription
		if old, found := m.subscriptions.get(at(s.Room, s.Root)); found {
			stored = &old
		}
		set(m, m.subscriptions, s.Room, at(s.Room, s.Root), state.MergeSubscription(stored, s.Subscription))
	}
	return nil
}

func (m *stateModel) Subscription(_ context.Context, room id.RoomID, root id.EventID) (state.Subscription, bool, error) {
	s, found := m.subscriptions.get(at(room, root))
	return s, found, nil
}

func (m *stateModel) RemoveSubscription(_ context.Context, room id.RoomID, root id.EventID) error {
	delete(m.subscriptions, at(room, root))
	return nil
}

func (m *stateModel) GlobalProfile(_ context.Context, user id.UserID) (state.GlobalProfile, error) {
	return modelTx{m}.GlobalProfile(user)
}

func (m *stateModel) GlobalProfiles(_ context.Context, users []id.UserID) (map[id.UserID]state.GlobalProfile, error) {
	out := map[id.UserID]state.GlobalProfile{}
	for _, user := range users {
		if p, found := m.globals.get(at(user)); found {
			out[user] = p
		}
	}
	return out, nil
}

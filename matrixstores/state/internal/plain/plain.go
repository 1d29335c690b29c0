// Package plain is a state store for the tests of the contract itself: maps under a
// lock, and nothing that such a test does not need. What is not here panics.
package plain

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// Store is the store. Fail, where it is not nil, is asked before every operation, and its error is the operation's.
type Store struct {
	state.Store // what is not here
	mu          sync.Mutex
	data        *data
	Fail        func(ctx context.Context, operation string) error
	Saved       int // how many SaveChanges have succeeded
}

// New makes an empty store.
func New() *Store { return &Store{data: newData()} }

type roomKey struct{ room, key string }
type stateKey struct{ room, eventType, key string }
type receiptKey struct {
	room   id.RoomID
	user   id.UserID
	t      event.ReceiptType
	thread state.ReceiptThread
}

type stored[V any] struct {
	v V
	n int // the order of first storing
}

type memberRow struct {
	m    state.Member
	name string
}

type data struct {
	n               int
	values          map[string][]byte
	accountData     map[string]json.RawMessage
	roomAccountData map[roomKey]json.RawMessage
	presence        map[id.UserID]json.RawMessage
	infos           map[id.RoomID]stored[[]byte]
	state           map[stateKey]stored[state.StateEvent]
	ids             map[roomKey]stateKey
	members         map[roomKey]stored[memberRow]
	profiles        map[roomKey]state.Profile
	receipts        map[receiptKey]state.Receipt
	names           map[roomKey][]id.UserID
	globals         map[id.UserID]state.GlobalProfile
}

func newData() *data {
	return &data{
		values: map[string][]byte{}, accountData: map[string]json.RawMessage{}, roomAccountData: map[roomKey]json.RawMessage{},
		presence: map[id.UserID]json.RawMessage{}, infos: map[id.RoomID]stored[[]byte]{}, state: map[stateKey]stored[state.StateEvent]{},
		ids: map[roomKey]stateKey{}, members: map[roomKey]stored[memberRow]{}, profiles: map[roomKey]state.Profile{},
		receipts: map[receiptKey]state.Receipt{}, names: map[roomKey][]id.UserID{}, globals: map[id.UserID]state.GlobalProfile{},
	}
}

func (d *data) clone() *data {
	c := *d
	c.values, c.accountData, c.roomAccountData = maps.Clone(d.values), maps.Clone(d.accountData), maps.Clone(d.roomAccountData)
	c.presence, c.infos, c.state, c.ids = maps.Clone(d.presence), maps.Clone(d.infos), maps.Clone(d.state), maps.Clone(d.ids)
	c.members, c.profiles, c.receipts = maps.Clone(d.members), maps.Clone(d.profiles), maps.Clone(d.receipts)
	c.names, c.globals = maps.Clone(d.names), maps.Clone(d.globals)
	return &c
}

func place[K comparable, V any](d *data, m map[K]stored[V], k K, v V) {
	old, is := m[k]
	if !is {
		d.n++
		old.n = d.n
	}
	m[k] = stored[V]{v, old.n}
}

// begin is what every operation begins with.
func (s *Store) begin(ctx context.Context, operation string) error {
	if s.Fail != nil {
		if err := s.Fail(ctx, operation); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func read[T any](ctx context.Context, s *Store, operation string, fn func(d *data) T) (T, error) {
	if err := s.begin(ctx, operation); err != nil {
		var zero T
		return zero, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fn(s.data), nil
}

// SaveChanges is Check, and then Apply on a copy that takes the place of what was there.
func (s *Store) SaveChanges(ctx context.Context, c *state.Changes) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := s.begin(ctx, "SaveChanges"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.data.clone()
	if err := c.Apply(tx{next}); err != nil {
		return err
	}
	s.data = next
	s.Saved++
	return nil
}

func (s *Store) Value(ctx context.Context, key state.ValueKey) (v []byte, found bool, err error) {
	v, err = read(ctx, s, "Value", func(d *data) []byte { return slices.Clone(d.values[string(key.Bytes())]) })
	return v, v != nil, err
}

func (s *Store) SetValue(ctx context.Context, key state.ValueKey, v []byte) error {
	if err := key.Check(); err != nil {
		return err
	}
	_, err := read(ctx, s, "SetValue", func(d *data) bool { d.values[string(key.Bytes())] = slices.Clone(v); return true })
	return err
}

func (s *Store) RemoveValue(ctx context.Context, key state.ValueKey) error {
	_, err := read(ctx, s, "RemoveValue", func(d *data) bool { delete(d.values, string(key.Bytes())); return true })
	return err
}

func (s *Store) AccountData(ctx context.Context, eventType string) (json.RawMessage, error) {
	return read(ctx, s, "AccountData", func(d *data) json.RawMessage { return d.accountData[eventType] })
}

func (s *Store) RoomAccountData(ctx context.Context, room id.RoomID, eventType string) (json.RawMessage, error) {
	return read(ctx, s, "RoomAccountData", func(d *data) json.RawMessage { return d.roomAccountData[roomKey{string(room), eventType}] })
}

func (s *Store) Presence(ctx context.Context, user id.UserID) (json.RawMessage, error) {
	return read(ctx, s, "Presence", func(d *data) json.RawMessage { return d.presence[user] })
}

func (s *Store) StateEvent(ctx context.Context, room id.RoomID, eventType, key string) (e state.StateEvent, found bool, err error) {
	row, err := read(ctx, s, "StateEvent", func(d *data) stored[state.StateEvent] {
		return d.state[stateKey{string(room), eventType, key}]
	})
	return row.v, row.n > 0, err
}

func (s *Store) StateEvents(ctx context.Context, room id.RoomID, eventType string) ([]state.StateEvent, error) {
	return read(ctx, s, "StateEvents", func(d *data) []state.StateEvent {
		return inOrder(d.state, func(k stateKey, _ state.StateEvent) bool { return k.room == string(room) && k.eventType == eventType })
	})
}

func (s *Store) StateEventsForKeys(ctx context.Context, room id.RoomID, eventType string, keys []string) ([]state.StateEvent, error) {
	return read(ctx, s, "StateEventsForKeys", func(d *data) (out []state.StateEvent) {
		seen := map[string]bool{}
		for _, key := range keys {
			if row, found := d.state[stateKey{string(room), eventType, key}]; found && !seen[key] {
				seen[key] = true
				out = append(out, row.v)
			}
		}
		return out
	})
}

func (s *Store) Member(ctx context.Context, room id.RoomID, user id.UserID) (m state.Member, found bool, err error) {
	row, err := read(ctx, s, "Member", func(d *data) stored[memberRow] { return d.members[roomKey{string(room), string(user)}] })
	return row.v.m, row.n > 0, err
}

func (s *Store) UserIDs(ctx context.Context, room id.RoomID, filter state.Memberships) ([]id.UserID, error) {
	return read(ctx, s, "UserIDs", func(d *data) (ids []id.UserID) {
		for _, m := range d.membersOf(room, filter) {
			ids = append(ids, m.User)
		}
		return ids
	})
}

func (s *Store) Members(ctx context.Context, room id.RoomID, filter state.Memberships, page state.Page) (state.MemberPage, error) {
	question := state.MembersQuestion(room, filter)
	_, from, err := cmp.Or(page.After, state.MakeCursor('m', question, "", 0)).Parse('m', question, 1)
	if err != nil {
		return state.MemberPage{}, err
	}
	return read(ctx, s, "Members", func(d *data) (p state.MemberPage) {
		all := d.membersOf(room, filter)
		all = all[min(int(from[0]), len(all)):]
		if p.Members = all; page.Limit > 0 && len(all) > page.Limit {
			p.Members, p.Next = all[:page.Limit], state.MakeCursor('m', question, "", from[0]+int64(page.Limit))
		}
		return p
	})
}

func (s *Store) RoomsOf(ctx context.Context, user id.UserID, filter state.Memberships) ([]id.RoomID, error) {
	return read(ctx, s, "RoomsOf", func(d *data) (rooms []id.RoomID) {
		keys := slices.DeleteFunc(slices.Collect(maps.Keys(d.members)), func(k roomKey) bool {
			return k.key != string(user) || !filter.Has(d.members[k].v.m.Membership)
		})
		slices.SortFunc(keys, func(a, b roomKey) int { return cmp.Compare(d.members[a].n, d.members[b].n) })
		for _, k := range keys {
			rooms = append(rooms, id.RoomID(k.room))
		}
		return rooms
	})
}

func (s *Store) Profile(ctx context.Context, room id.RoomID, user id.UserID) (p state.Profile, found bool, err error) {
	err = s.begin(ctx, "Profile")
	s.mu.Lock()
	defer s.mu.Unlock()
	p, found = s.data.profiles[roomKey{string(room), string(user)}]
	return p, found, err
}

func (s *Store) UsersWithDisplayName(ctx context.Context, room id.RoomID, name string) ([]id.UserID, error) {
	return read(ctx, s, "UsersWithDisplayName", func(d *data) []id.UserID {
		key := state.NameKey(name)
		users := slices.Clone(d.names[roomKey{string(room), key}])
		for k, row := range d.members {
			if k.room == string(room) && row.v.name == key {
				users = append(users, row.v.m.User)
			}
		}
		slices.Sort(users)
		return slices.Compact(users)
	})
}

func (s *Store) UserReceipt(ctx context.Context, room id.RoomID, t event.ReceiptType, thread state.ReceiptThread, user id.UserID) (r state.Receipt, found bool, err error) {
	r, err = read(ctx, s, "UserReceipt", func(d *data) state.Receipt { return d.receipts[receiptKey{room, user, t, thread}] })
	return r, r.Event != "", err
}

func (s *Store) RoomInfo(ctx context.Context, room id.RoomID) (info *state.RoomInfo, err error) {
	info, readErr := read(ctx, s, "RoomInfo", func(d *data) *state.RoomInfo { info, e := tx{d}.RoomInfo(room); err = e; return info })
	return info, cmp.Or(err, readErr)
}

func (s *Store) IsEncrypted(ctx context.Context, room id.RoomID) (is bool, err error) {
	info, err := s.RoomInfo(ctx, room)
	if err != nil || info.IsEncrypted() {
		return err == nil, err
	}
	e, _, err := s.StateEvent(ctx, room, event.StateEncryption.Type, "")
	return e.IsEncryption(), err
}

func (s *Store) RoomInfos(ctx context.Context) (infos []*state.RoomInfo, err error) {
	rows, err := read(ctx, s, "RoomInfos", func(d *data) [][]byte { return inOrder(d.infos, func(id.RoomID, []byte) bool { return true }) })
	for _, row := range rows {
		var info state.RoomInfo
		if err := json.Unmarshal(row, &info); err != nil {
			return nil, err
		}
		infos = append(infos, &info)
	}
	return infos, err
}

func (s *Store) GlobalProfile(ctx context.Context, user id.UserID) (state.GlobalProfile, error) {
	return read(ctx, s, "GlobalProfile", func(d *data) state.GlobalProfile { return d.globals[user] })
}

func inOrder[K comparable, V any](m map[K]stored[V], fits func(K, V) bool) (out []V) {
	var rows []stored[V]
	for k, row := range m {
		if fits(k, row.v) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b stored[V]) int { return cmp.Compare(a.n, b.n) })
	for _, row := range rows {
		out = append(out, row.v)
	}
	return out
}

func (d *data) membersOf(room id.RoomID, filter state.Memberships) (out []state.Member) {
	rows := inOrder(d.members, func(k roomKey, row memberRow) bool { return k.room == string(room) && filter.Has(row.m.Membership) })
	for _, row := range rows {
		out = append(out, row.m)
	}
	return out
}

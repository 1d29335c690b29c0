package mautrixstate

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// pending is a sync response that is being processed, and is not stored yet. What its handlers store through the
// Adapter, and whoever else does meanwhile, is added to it: so it is stored in the same
// transaction, and what comes later is not overwritten by what the response says.
type pending struct {
	mu      sync.RWMutex
	closed  bool           // it is being stored, and nothing can be added any more
	changes *state.Changes // the response, and what was added
	added   *state.Changes // that alone, for when the response is given up
	done    chan struct{}  // closed when it was stored, or given up
}

// put adds what build makes. taken is false where it comes too late.
func (p *pending) put(build func(c *state.Changes) error) (taken bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, nil
	}
	if err := build(p.added); err != nil {
		return true, err
	}
	return true, build(p.changes)
}

// close ends the adding, and returns the response with what was added, and that alone.
func (p *pending) close() (all, added *state.Changes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.changes, p.added
}

// view reads from a store as if a pending response, which may be nil, were stored already.
type view struct {
	store state.Store
	p     *pending
}

// event returns a state event that is pending; nil where there is none.
func (v view) event(room id.RoomID, eventType, key string) *state.StateEvent {
	if v.p == nil {
		return nil
	}
	v.p.mu.RLock()
	defer v.p.mu.RUnlock()
	e := state.StateEvent{Type: eventType, StateKey: key}
	var is bool
	if e.Raw, is = v.p.changes.Stripped[room][eventType][key]; is { // which is stored behind the others
		e.Stripped = true
		return &e
	}
	if e.Raw, is = v.p.changes.State[room][eventType][key]; is {
		return &e
	}
	return nil
}

// memberEvents returns the member events of a room that are pending, and say what a member is.
func (v view) memberEvents(room id.RoomID) map[id.UserID]state.Member {
	if v.p == nil {
		return nil
	}
	v.p.mu.RLock()
	defer v.p.mu.RUnlock()
	members := make(map[id.UserID]state.Member)
	const eventType = "m.room.member"
	for _, kind := range []struct {
		events   map[string]json.RawMessage
		stripped bool
	}{{v.p.changes.State[room][eventType], false}, {v.p.changes.Stripped[room][eventType], true}} {
		for key, raw := range kind.events {
			if m, ok := state.ParseMember(state.StateEvent{Type: eventType, StateKey: key, Raw: raw, Stripped: kind.stripped}); ok {
				members[m.User] = m
			}
		}
	}
	return members
}

// hidden says which state of a room does not hold any more of what the store has: stripped, or not.
func (v view) hidden(room id.RoomID) func(stripped bool) bool {
	if v.p == nil {
		return func(bool) bool { return false }
	}
	v.p.mu.RLock()
	defer v.p.mu.RUnlock()
	var is state.RoomState
	if u := v.p.changes.Updates[room]; u != nil {
		is = u.State
	}
	noStripped := is != 0 && is != state.Invited || len(v.p.changes.State[room]) > 0
	return func(stripped bool) bool { return stripped && noStripped || !stripped && is == state.Invited }
}

// removed says which members are about to be forgotten.
func (v view) removed(room id.RoomID) func(event.Membership) bool {
	if v.p != nil {
		v.p.mu.RLock()
		defer v.p.mu.RUnlock()
		if filter, removes := v.p.changes.RemoveMembers[room]; removes {
			return filter.Has
		}
	}
	return func(event.Membership) bool { return false }
}

// stateEvent returns a state event; nil where there is none.
func (v view) stateEvent(ctx context.Context, room id.RoomID, eventType, key string) (*state.StateEvent, error) {
	if e := v.event(room, eventType, key); e != nil {
		return e, nil
	}
	e, found, err := v.store.StateEvent(ctx, room, eventType, key)
	if err != nil || !found || v.hidden(room)(e.Stripped) {
		return nil, err
	}
	if eventType == event.StateMember.Type && v.p != nil {
		if m, ok := state.ParseMember(e); ok && v.removed(room)(m.Membership) {
			return nil, nil
		}
	}
	return &e, nil
}

// member returns a member; nil where there is none.
func (v view) member(ctx context.Context, room id.RoomID, user id.UserID) (*state.Member, error) {
	if e := v.event(room, event.StateMember.Type, string(user)); e != nil {
		if m, ok := state.ParseMember(*e); ok {
			return &m, nil
		} // otherwise it says nothing of the member, who stays as he was
	}
	m, found, err := v.store.Member(ctx, room, user)
	if err != nil || !found || v.hidden(room)(m.Stripped) || v.removed(room)(m.Membership) {
		return nil, err
	}
	return &m, nil
}

// members calls fn with each member whose membership is in the set.
func (v view) members(ctx context.Context, room id.RoomID, filter state.Memberships, fn func(m *state.Member)) error {
	page, err := v.store.Members(ctx, room, filter, state.Page{})
	if err != nil {
		return err
	}
	news, hidden, removed := v.memberEvents(room), v.hidden(room), v.removed(room)
	for i := range page.Members {
		m := &page.Members[i]
		if _, replaced := news[m.User]; !replaced && !hidden(m.Stripped) && !removed(m.Membership) {
			fn(m)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(news)) {
		if m := news[user]; filter.Has(m.Membership) {
			fn(&m)
		}
	}
	return nil
}

// roomsOf returns the rooms in which the user is one who has joined or is invited.
func (v view) roomsOf(ctx context.Context, user id.UserID) ([]id.RoomID, error) {
	rooms, err := v.store.RoomsOf(ctx, user, state.Active)
	if err != nil || v.p == nil {
		return rooms, err
	}
	v.p.mu.RLock()
	touched := slices.Concat(slices.Collect(maps.Keys(v.p.changes.State)), slices.Collect(maps.Keys(v.p.changes.Stripped)),
		slices.Collect(maps.Keys(v.p.changes.Updates)), slices.Collect(maps.Keys(v.p.changes.RemoveMembers)))
	v.p.mu.RUnlock()
	slices.Sort(touched)
	listed := make(map[id.RoomID]bool, len(rooms))
	for _, room := range rooms {
		listed[room] = true
	}
	gone := make(map[id.RoomID]bool)
	for _, room := range slices.Compact(touched) {
		// Where nothing of the user is pending, and the store has not listed the room, it need not be asked: he is not there.
		if !listed[room] && v.event(room, event.StateMember.Type, string(user)) == nil {
			continue
		}
		m, err := v.member(ctx, room, user)
		if err != nil {
			return nil, err
		}
		switch in := m != nil && state.Active.Has(m.Membership); {
		case in && !listed[room]:
			rooms = append(rooms, room)
		case !in && listed[room]:
			gone[room] = true
		}
	}
	return slices.DeleteFunc(rooms, func(room id.RoomID) bool { return gone[room] }), nil
}

// atTheDoor says whether the user sees a room only from outside, by its stripped state.
func (v view) atTheDoor(ctx context.Context, room id.RoomID) (bool, error) {
	if is := v.updated(room); is != 0 {
		return is == state.Invited || is == state.Knocked, nil
	}
	info, err := v.store.RoomInfo(ctx, room)
	return info != nil && (info.State == state.Invited || info.State == state.Knocked), err
}

// updated returns what a room is about to be for the user; 0 where that does not change.
func (v view) updated(room id.RoomID) state.RoomState {
	if v.p == nil {
		return 0
	}
	v.p.mu.RLock()
	defer v.p.mu.RUnlock()
	if u := v.p.changes.Updates[room]; u != nil {
		return u.State
	}
	return 0
}

// membersKnown says whether all members of a room were fetched, and whether there is any information about the room.
func (v view) membersKnown(ctx context.Context, room id.RoomID) (known, there bool, err error) {
	info, err := v.store.RoomInfo(ctx, room)
	if err != nil {
		return false, false, err
	}
	known, there = info != nil && info.MembersKnown, info != nil
	if v.p != nil {
		v.p.mu.RLock()
		defer v.p.mu.RUnlock()
		if u := v.p.changes.Updates[room]; u != nil {
			there = there || u.State != 0
			known = there && (known || u.MembersKnown) && !u.MembersMissing
		}
	}
	return known, there, nil
}

// usersWithName returns who has a name, as far as the store and the pending members tell.
func (v view) usersWithName(ctx context.Context, room id.RoomID, name string) ([]id.UserID, error) {
	users, err := v.store.UsersWithDisplayName(ctx, room, name)
	if err != nil {
		return nil, err
	}
	key := state.NameKey(name)
	for user, m := range v.memberEvents(room) {
		users = slices.DeleteFunc(users, func(u id.UserID) bool { return u == user })
		if state.Active.Has(m.Membership) && state.NameKey(state.MemberName(&m, nil)) == key {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users, nil
}

// setState makes a state event a part of a Changes, in the place of what it has already.
func setState(c *state.Changes, room id.RoomID, raw json.RawMessage, stripped bool) error {
	if stripped {
		return c.AddStripped(room, raw)
	}
	if err := c.AddState(room, raw); err != nil {
		return err
	}
	for eventType, keys := range c.Stripped[room] { // which are stored after the others, and would replace this one
		for key := range keys {
			if _, is := c.State[room][eventType][key]; is {
				delete(keys, key)
			}
		}
	}
	return nil
}

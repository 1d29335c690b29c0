package mautrixstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// IsInRoom says whether the user has joined the room.
func (a *Adapter) IsInRoom(ctx context.Context, room id.RoomID, user id.UserID) bool {
	return a.is(ctx, "IsInRoom", room, user, event.MembershipJoin)
}

// IsInvited says whether the user has joined the room, or is invited to it.
func (a *Adapter) IsInvited(ctx context.Context, room id.RoomID, user id.UserID) bool {
	return a.is(ctx, "IsInvited", room, user, event.MembershipJoin, event.MembershipInvite)
}

// IsMembership says whether the user's membership is one of these. Who is not known has left.
func (a *Adapter) IsMembership(ctx context.Context, room id.RoomID, user id.UserID, allowed ...event.Membership) bool {
	return a.is(ctx, "IsMembership", room, user, allowed...)
}

// is answers a question that has no error to answer with. It waits for a Resume and tries again where
// the store fails, as long as the context allows; then it answers what it has answered last, and else false.
func (a *Adapter) is(ctx context.Context, operation string, room id.RoomID, user id.UserID, allowed ...event.Membership) bool {
	var failing time.Time
	var err error
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var m event.Membership
		if m, err = a.membership(ctx, operation, room, user); err == nil {
			return contains(allowed, m)
		}
		if failing.IsZero() {
			failing = time.Now()
		}
		if errors.Is(err, lifecycle.ErrClosed) || ctx.Err() != nil || time.Since(failing) >= a.options.GiveUp || sleep(ctx, wait) != nil {
			break
		}
	}
	f := Failure{Operation: operation, Room: room, Err: err}
	var m event.Membership
	if m, f.FromCache = a.cache.get(room, user); f.FromCache {
		f.Answer = contains(allowed, m)
	}
	a.observe(f)
	return f.Answer
}

func contains(allowed []event.Membership, m event.Membership) bool {
	for _, a := range allowed {
		if a == m {
			return true
		}
	}
	return false
}

func (a *Adapter) membership(ctx context.Context, operation string, room id.RoomID, user id.UserID) (event.Membership, error) {
	m, err := a.member(ctx, operation, room, user)
	if err != nil {
		return "", err
	}
	is := event.MembershipLeave
	if m != nil {
		is = m.Membership
	}
	return is, nil
}

// member returns a member, nil where there is none, and remembers his membership.
func (a *Adapter) member(ctx context.Context, operation string, room id.RoomID, user id.UserID) (*state.Member, error) {
	m, err := load(ctx, a, operation, func(ctx context.Context, v view) (*state.Member, error) { return v.member(ctx, room, user) })
	if err == nil {
		is := event.MembershipLeave
		if m != nil {
			is = m.Membership
		}
		a.cache.put(room, user, is)
	}
	return m, err
}

// GetMember returns a member. Who is not known has left.
func (a *Adapter) GetMember(ctx context.Context, room id.RoomID, user id.UserID) (*event.MemberEventContent, error) {
	m, err := a.TryGetMember(ctx, room, user)
	if m == nil && err == nil {
		m = &event.MemberEventContent{Membership: event.MembershipLeave}
	}
	return m, err
}

// TryGetMember returns a member; nil where he is not known.
func (a *Adapter) TryGetMember(ctx context.Context, room id.RoomID, user id.UserID) (*event.MemberEventContent, error) {
	m, err := a.member(ctx, "TryGetMember", room, user)
	if err != nil || m == nil {
		return nil, err
	}
	return m.Content(), nil
}

// GetAllMembers returns all members that are known, whatever their membership.
func (a *Adapter) GetAllMembers(ctx context.Context, room id.RoomID) (map[id.UserID]*event.MemberEventContent, error) {
	return load(ctx, a, "GetAllMembers", func(ctx context.Context, v view) (map[id.UserID]*event.MemberEventContent, error) {
		members := make(map[id.UserID]*event.MemberEventContent)
		err := v.members(ctx, room, 0, func(m *state.Member) { members[m.User] = m.Content() })
		return members, err
	})
}

// GetRoomJoinedOrInvitedMembers returns the members who have joined or are invited, and nobody else.
func (a *Adapter) GetRoomJoinedOrInvitedMembers(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	return load(ctx, a, "GetRoomJoinedOrInvitedMembers", func(ctx context.Context, v view) (users []id.UserID, err error) {
		if v.p == nil {
			return v.store.UserIDs(ctx, room, state.Active)
		}
		err = v.members(ctx, room, state.Active, func(m *state.Member) { users = append(users, m.User) })
		return users, err
	})
}

// SetMembership changes the membership of a user, and leaves the rest of what is known of him.
func (a *Adapter) SetMembership(ctx context.Context, room id.RoomID, user id.UserID, membership event.Membership) error {
	const operation = "SetMembership"
	if err := check(room, user); err != nil {
		return fmt.Errorf("mautrixstate: %s: %w", operation, err)
	}
	value, err := json.Marshal(membership)
	if err != nil {
		return fmt.Errorf("mautrixstate: %s: %w", operation, err)
	}
	return a.update(ctx, operation, room, false, func(ctx context.Context, v view) (*event.Event, error) {
		old, err := v.stateEvent(ctx, room, event.StateMember.Type, string(user))
		if err != nil {
			return nil, err
		}
		from, content := origin{sender: user}, map[string]json.RawMessage{}
		if old != nil {
			var evt struct {
				Sender  id.UserID                  `json:"sender"`
				Content map[string]json.RawMessage `json:"content"`
			}
			if json.Unmarshal(old.Raw, &evt) == nil { // what cannot be read has nothing to keep
				if from = originOf(old); from.sender == "" {
					from.sender = user
				}
				for field, raw := range evt.Content {
					content[field] = raw
				}
			}
		}
		content["membership"] = value
		return synthetic(event.StateMember, string(user), from, content)
	})
}

// SetMember sets what is known of a member.
func (a *Adapter) SetMember(ctx context.Context, room id.RoomID, user id.UserID, member *event.MemberEventContent) error {
	const operation = "SetMember"
	if err := check(room, user); err != nil {
		return fmt.Errorf("mautrixstate: %s: %w", operation, err)
	}
	return set(ctx, a, operation, room, event.StateMember, string(user), user, member)
}

// origin is what of a state event tells where its content comes from.
type origin struct {
	id     id.EventID
	sender id.UserID
}

// originOf returns the origin of an event. That of a stripped one has no id: nobody has checked it.
func originOf(e *state.StateEvent) (o origin) {
	var evt struct {
		Sender id.UserID `json:"sender"`
	}
	if json.Unmarshal(e.Raw, &evt) == nil {
		o.sender = evt.Sender
	}
	if !e.Stripped {
		o.id = state.EventID(e.Raw)
	}
	return o
}

// synthetic makes a state event of what mautrix knows without one. It has the id of the event that its content comes from, so that a redaction of that one
// finds it; and else none, because no server has sent it.
func synthetic(t event.Type, key string, from origin, content any) (*event.Event, error) {
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", state.ErrContent, err)
	}
	return &event.Event{Type: t, StateKey: &key, ID: from.id, Sender: from.sender, Content: event.Content{VeryRaw: raw}}, nil
}

// stateChange is a state event that is to be stored, with what it says of a member.
type stateChange struct {
	raw      json.RawMessage
	stripped bool
	door     bool // it is stripped because the room is seen from outside
	m        state.Member
	isMember bool
}

// update stores one state event, and what it says of the user himself.
func (a *Adapter) update(ctx context.Context, operation string, room id.RoomID, stripped bool, makeEvent func(ctx context.Context, v view) (*event.Event, error)) error {
	var e stateChange
	err := a.put(ctx, operation, func(ctx context.Context, v view) error {
		evt, err := makeEvent(ctx, v)
		if err != nil {
			return err
		}
		e = stateChange{stripped: stripped}
		if e.raw, err = RawEvent(evt); err != nil {
			return err
		}
		e.m, e.isMember = state.ParseMember(state.StateEvent{StateKey: evt.GetStateKey(), Raw: e.raw, Stripped: stripped})
		e.isMember = e.isMember && evt.Type.Type == event.StateMember.Type
		if !stripped && !(e.isMember && e.m.User == a.user && leavesTheDoor(e.m.Membership)) {
			e.door, err = v.atTheDoor(ctx, room)
			e.stripped = e.door
		}
		return err
	}, func(c *state.Changes) error { return addEvent(c, a.user, room, e) })
	if err == nil && e.isMember {
		a.cache.put(room, e.m.User, e.m.Membership)
	}
	return err
}

// leavesTheDoor says whether a user with this membership does not see a room from outside any more.
func leavesTheDoor(m event.Membership) bool {
	is, known := state.RoomStateOf(m)
	return known && is != state.Invited && is != state.Knocked
}

// addEvent adds a state event with what follows from it.
func addEvent(c *state.Changes, own id.UserID, room id.RoomID, e stateChange) error {
	if e.isMember && e.m.User == own {
		is, known := state.RoomStateOf(e.m.Membership)
		// An invite is known by its stripped state. What says of an invite without it would remove the room's state, and have nothing in its place. And a
		// knock has its own stripped state: it would remove that of the invite, or of the knock that is known already.
		if known && (is != state.Invited || e.stripped) && !(is == state.Knocked && e.door) {
			c.Update(room).State = is
		}
		if is == state.Joined {
			delete(c.Stripped, room) // which a response may have that was an invite until now
		}
	}
	if err := setState(c, room, e.raw, e.stripped); err != nil {
		return err
	}
	if e.isMember && !e.stripped {
		if p, is := profileOf(&e.m, e.raw); is {
			c.AddProfile(room, e.m.User, p)
		}
	}
	return nil
}

// IsConfusableName returns who else among those who have joined or are invited has a name that looks like this one.
func (a *Adapter) IsConfusableName(ctx context.Context, room id.RoomID, current id.UserID, name string) ([]id.UserID, error) {
	return load(ctx, a, "IsConfusableName", func(ctx context.Context, v view) (others []id.UserID, err error) {
		users, err := v.usersWithName(ctx, room, name)
		for _, user := range users {
			if user != current {
				others = append(others, user)
			}
		}
		return others, err
	})
}

// ClearCachedMembers forgets the members of a room whose membership is one of these; all of them if none is given. It is
// then not known any more whether all members are.
func (a *Adapter) ClearCachedMembers(ctx context.Context, room id.RoomID, memberships ...event.Membership) error {
	return a.replaceMembers(ctx, "ClearCachedMembers", room, nil, memberships, true)
}

// ReplaceCachedMembers puts the members of these events in the place of those whose membership is one of these, or of all
// if none is given, in one transaction. In that case all members are known then. Events that are no member's are passed over, as are those that cannot be stored: the Observer is told.
func (a *Adapter) ReplaceCachedMembers(ctx context.Context, room id.RoomID, evts []*event.Event, onlyMemberships ...event.Membership) error {
	return a.replaceMembers(ctx, "ReplaceCachedMembers", room, evts, onlyMemberships, false)
}

func (a *Adapter) replaceMembers(ctx context.Context, operation string, room id.RoomID, evts []*event.Event, only []event.Membership, clear bool) error {
	if room == "" {
		return fmt.Errorf("mautrixstate: %s: %w", operation, state.ErrNoRoomID)
	}
	filter := state.MembershipsOf(only...)
	removes := len(only) == 0 || filter != 0
	known := !clear && len(only) == 0
	own := state.RoomState(0) // what the list says of the user
	var items []stateChange
	for _, evt := range evts {
		if evt == nil || evt.Type.Type != event.StateMember.Type {
			continue
		}
		raw, m, err := a.memberEvent(evt)
		if err != nil {
			a.observe(Failure{Operation: operation, Room: room, Event: evt.ID, Err: err})
			continue
		}
		items = append(items, stateChange{raw: raw, m: m, isMember: true})
		if is, ok := state.RoomStateOf(m.Membership); ok && is != state.Invited && m.User == a.user && known {
			own = is
		}
	}
	is, door := state.RoomState(0), false
	return a.put(ctx, operation, func(ctx context.Context, v view) (err error) {
		is, door = own, false
		if own == 0 || own == state.Knocked {
			if door, err = v.atTheDoor(ctx, room); err != nil {
				return err
			}
		}
		switch {
		case door:
			is = 0 // it stays what it is
		case own == 0 && known:
			is, err = v.stateFor(ctx, room, a.user)
		}
		return err
	}, func(c *state.Changes) error {
		if removes {
			removeMembers(c, room, filter)
		}
		u := c.Update(room)
		u.MembersKnown, u.MembersMissing = known, !known
		if known && u.State == 0 {
			u.State = is
		}
		for _, e := range items {
			e.stripped, e.door = door, door
			if err := addEvent(c, "", room, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// memberEvent reads a member's event. Lists of members may have no sender: then it is what the server says of the user himself.
func (a *Adapter) memberEvent(evt *event.Event) (json.RawMessage, state.Member, error) {
	if evt.Sender == "" {
		named := *evt
		named.Sender = id.UserID(evt.GetStateKey())
		evt = &named
	}
	raw, err := RawEvent(evt)
	if err != nil {
		return nil, state.Member{}, err
	}
	m, ok := state.ParseMember(state.StateEvent{StateKey: evt.GetStateKey(), Raw: raw})
	if !ok {
		return nil, state.Member{}, state.ErrContent
	}
	return raw, m, nil
}

// removeMembers makes a Changes forget members, also those that it has itself.
func removeMembers(c *state.Changes, room id.RoomID, filter state.Memberships) {
	if c.RemoveMembers == nil {
		c.RemoveMembers = make(map[id.RoomID]state.Memberships)
	}
	if before, is := c.RemoveMembers[room]; is && (before == 0 || filter == 0) {
		c.RemoveMembers[room] = 0
	} else {
		c.RemoveMembers[room] = before | filter
	}
	for _, events := range []map[string]json.RawMessage{c.State[room][event.StateMember.Type], c.Stripped[room][event.StateMember.Type]} {
		for key, raw := range events {
			if m, ok := state.ParseMember(state.StateEvent{StateKey: key, Raw: raw}); ok && filter.Has(m.Membership) {
				delete(events, key)
			}
		}
	}
}

// HasFetchedMembers says whether all members of a room were fetched.
func (a *Adapter) HasFetchedMembers(ctx context.Context, room id.RoomID) (bool, error) {
	return load(ctx, a, "HasFetchedMembers", func(ctx context.Context, v view) (bool, error) {
		known, _, err := v.membersKnown(ctx, room)
		return known, err
	})
}

// MarkMembersFetched notes that all members of a room were fetched.
func (a *Adapter) MarkMembersFetched(ctx context.Context, room id.RoomID) error {
	const operation = "MarkMembersFetched"
	if room == "" {
		return fmt.Errorf("mautrixstate: %s: %w", operation, state.ErrNoRoomID)
	}
	var is state.RoomState
	return a.put(ctx, operation, func(ctx context.Context, v view) (err error) {
		is, err = v.stateFor(ctx, room, a.user)
		return err
	}, func(c *state.Changes) error {
		u := c.Update(room)
		u.MembersKnown, u.MembersMissing = true, false
		if u.State == 0 {
			u.State = is
		}
		return nil
	})
}

// stateFor returns what the user is in a room of which there is no information yet, so that there can be; 0 where there is.
func (v view) stateFor(ctx context.Context, room id.RoomID, user id.UserID) (state.RoomState, error) {
	_, there, err := v.membersKnown(ctx, room)
	if err != nil || there {
		return 0, err
	}
	m, err := v.member(ctx, room, user)
	if err != nil {
		return 0, err
	}
	if m != nil {
		if is, known := state.RoomStateOf(m.Membership); known && is != state.Invited {
			return is, nil
		}
	}
	return state.Joined, nil // whose members can be fetched
}

// SetPowerLevels sets the power levels of a room.
func (a *Adapter) SetPowerLevels(ctx context.Context, room id.RoomID, levels *event.PowerLevelsEventContent) error {
	return set(ctx, a, "SetPowerLevels", room, event.StatePowerLevels, "", "", levels)
}

// GetPowerLevels returns the power levels of a room, with its create event, by which mautrix knows its creators; nil where they are not known.
func (a *Adapter) GetPowerLevels(ctx context.Context, room id.RoomID) (*event.PowerLevelsEventContent, error) {
	levels, err := get[event.PowerLevelsEventContent](ctx, a, "GetPowerLevels", room, event.StatePowerLevels)
	if err != nil || levels == nil {
		return nil, err
	}
	levels.CreateEvent, err = a.GetCreate(ctx, room)
	if err != nil {
		return nil, err
	}
	return levels, nil
}

// SetCreate sets the event that has made a room.
func (a *Adapter) SetCreate(ctx context.Context, evt *event.Event) error {
	const operation = "SetCreate"
	switch {
	case evt == nil || evt.Type.Type != event.StateCreate.Type:
		return fmt.Errorf("mautrixstate: %s: %w: this is no create event", operation, state.ErrContent)
	case evt.RoomID == "":
		return fmt.Errorf("mautrixstate: %s: %w", operation, state.ErrNoRoomID)
	}
	keyed := *evt
	keyed.StateKey = ptr("")
	return a.update(ctx, operation, evt.RoomID, false, func(context.Context, view) (*event.Event, error) { return &keyed, nil })
}

// GetCreate returns the event that has made a room, parsed; nil where it is not known.
func (a *Adapter) GetCreate(ctx context.Context, room id.RoomID) (*event.Event, error) {
	const operation = "GetCreate"
	e, err := load(ctx, a, operation, func(ctx context.Context, v view) (*state.StateEvent, error) {
		return v.stateEvent(ctx, room, event.StateCreate.Type, "")
	})
	if err != nil || e == nil {
		return nil, err
	}
	var evt event.Event
	if err := json.Unmarshal(e.Raw, &evt); err != nil {
		return nil, fmt.Errorf("mautrixstate: %s: %w: %w", operation, state.ErrContent, err)
	}
	evt.RoomID, evt.Type = room, event.StateCreate
	if err := evt.Content.ParseRaw(evt.Type); err != nil {
		return nil, fmt.Errorf("mautrixstate: %s: %w: %w", operation, state.ErrContent, err)
	}
	return &evt, nil
}

// SetJoinRules sets who may join a room.
func (a *Adapter) SetJoinRules(ctx context.Context, room id.RoomID, rules *event.JoinRulesEventContent) error {
	return set(ctx, a, "SetJoinRules", room, event.StateJoinRules, "", "", rules)
}

// GetJoinRules returns who may join a room; nil where that is not known.
func (a *Adapter) GetJoinRules(ctx context.Context, room id.RoomID) (*event.JoinRulesEventContent, error) {
	return get[event.JoinRulesEventContent](ctx, a, "GetJoinRules", room, event.StateJoinRules)
}

// SetEncryptionEvent sets how a room is encrypted.
func (a *Adapter) SetEncryptionEvent(ctx context.Context, room id.RoomID, content *event.EncryptionEventContent) error {
	return set(ctx, a, "SetEncryptionEvent", room, event.StateEncryption, "", "", content)
}

// GetEncryptionEvent returns how a room is encrypted; nil where it is not, as far as is known.
func (a *Adapter) GetEncryptionEvent(ctx context.Context, room id.RoomID) (*event.EncryptionEventContent, error) {
	return load(ctx, a, "GetEncryptionEvent", func(ctx context.Context, v view) (*event.EncryptionEventContent, error) {
		return v.encryption(ctx, room)
	})
}

// IsEncrypted says whether a room is encrypted with Megolm.
func (a *Adapter) IsEncrypted(ctx context.Context, room id.RoomID) (bool, error) {
	return load(ctx, a, "IsEncrypted", func(ctx context.Context, v view) (bool, error) {
		if v.p == nil {
			return v.store.IsEncrypted(ctx, room)
		}
		content, err := v.encryption(ctx, room)
		return content != nil && content.Algorithm == id.AlgorithmMegolmV1, err
	})
}

// encryption reads how a room is encrypted. An event that says nothing of it, because it was redacted for example, cannot make a room
// another one that was encrypted, nor can one that is gone with the room's state: what the room's information remembers counts then.
func (v view) encryption(ctx context.Context, room id.RoomID) (*event.EncryptionEventContent, error) {
	e, err := v.stateEvent(ctx, room, event.StateEncryption.Type, "")
	if err != nil {
		return nil, err
	}
	if e != nil {
		if content, err := (state.Typed[event.EncryptionEventContent]{StateEvent: *e}).Content(); err == nil && content.Algorithm != "" {
			return content, nil
		}
	}
	info, err := v.store.RoomInfo(ctx, room)
	if err != nil || info == nil {
		return nil, err
	}
	return info.Encryption, nil
}

// FindSharedRooms returns the encrypted rooms in which the user has joined or is invited, and the client's own user, too.
func (a *Adapter) FindSharedRooms(ctx context.Context, user id.UserID) ([]id.RoomID, error) {
	return load(ctx, a, "FindSharedRooms", func(ctx context.Context, v view) (shared []id.RoomID, err error) {
		rooms, err := v.roomsOf(ctx, user)
		if err != nil {
			return nil, err
		}
		for _, room := range rooms {
			own, err := v.member(ctx, room, a.user)
			if err != nil {
				return nil, err
			}
			if own != nil && !state.Active.Has(own.Membership) { // who is not known may be there: lists of members are loaded late
				continue
			}
			content, err := v.encryption(ctx, room)
			if err != nil {
				return nil, err
			}
			if content != nil {
				shared = append(shared, room)
			}
		}
		return shared, nil
	})
}

// UpdateState stores a state event. What a Syncer of this Adapter processes is stored with its response, and not twice. A failure is told to the Observer.
func (a *Adapter) UpdateState(ctx context.Context, evt *event.Event) {
	if evt == nil || evt.StateKey == nil {
		return
	}
	source := evt.Mautrix.EventSource
	if evt.Mautrix.IgnoreState || source != 0 && ctx.Value(syncContext{}) != nil && a.pending.Load() != nil {
		return // the response has what holds after it; or has this very event
	}
	err := check(evt.RoomID, "@")
	if err == nil {
		err = a.update(ctx, "UpdateState", evt.RoomID, source&event.SourceInvite != 0, func(context.Context, view) (*event.Event, error) { return evt, nil })
	}
	if err != nil {
		a.observe(Failure{Operation: "UpdateState", Room: evt.RoomID, Event: evt.ID, Err: err})
	}
}

// set stores a state event that mautrix knows by its content alone. sender is whose it is taken for.
func set[T any](ctx context.Context, a *Adapter, operation string, room id.RoomID, t event.Type, key string, sender id.UserID, content *T) error {
	if room == "" {
		return fmt.Errorf("mautrixstate: %s: %w", operation, state.ErrNoRoomID)
	}
	if content == nil {
		return fmt.Errorf("mautrixstate: %s: %w", operation, state.ErrContent)
	}
	return a.update(ctx, operation, room, false, func(ctx context.Context, v view) (*event.Event, error) {
		old, err := v.stateEvent(ctx, room, t.Type, key)
		if err != nil {
			return nil, err
		}
		from := origin{sender: sender}
		if old != nil && saysTheSame(old, content) {
			from = originOf(old)
		}
		return synthetic(t, key, from, content)
	})
}

// saysTheSame says whether a state event has this content, as far as mautrix reads it: then it is where the content comes from.
func saysTheSame[T any](e *state.StateEvent, content *T) bool {
	old, err := (state.Typed[T]{StateEvent: *e}).Content()
	if err != nil {
		return false
	}
	is, err := json.Marshal(old)
	if err != nil {
		return false
	}
	should, err := json.Marshal(content)
	return err == nil && string(is) == string(should)
}

// get returns the content of a state event with the empty state key; nil where there is none.
func get[T any](ctx context.Context, a *Adapter, operation string, room id.RoomID, t event.Type) (*T, error) {
	e, err := load(ctx, a, operation, func(ctx context.Context, v view) (*state.StateEvent, error) {
		return v.stateEvent(ctx, room, t.Type, "")
	})
	if err != nil || e == nil {
		return nil, err
	}
	content, err := (state.Typed[T]{StateEvent: *e}).Content()
	if err != nil {
		return nil, fmt.Errorf("mautrixstate: %s: %w", operation, err)
	}
	return content, nil
}

func check(room id.RoomID, user id.UserID) error {
	switch {
	case room == "":
		return state.ErrNoRoomID
	case user == "":
		return state.ErrNoUserID
	}
	return nil
}

package mautrixstate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// BadEvent is a part of a sync response that cannot be stored. It is left out, and nothing else is.
type BadEvent struct {
	Room    id.RoomID  // empty: it is of no room
	Section string     // of the response, such as "timeline"
	Type    string     // as far as it has one
	ID      id.EventID // as far as it has one
	Err     error      // why: one of those of package state
}

// Error names the event and says what is wrong with it. It contains nothing of it.
func (b BadEvent) Error() string {
	return fmt.Sprintf("sync: room %q, %s: event %q, type %q: %v", string(b.Room), b.Section, string(b.ID), b.Type, b.Err)
}

// Unwrap returns why.
func (b BadEvent) Unwrap() error { return b.Err }

// errNoEvent is why a null is left out that stands where an event should.
var errNoEvent = errors.New("there is no event")

// FromSync makes a Changes of a whole sync response, token included, so that storing it is one transaction. user is whose response it
// is. The Changes can always be stored, but for a redaction of an event that is malformed already in the store: parts that cannot be are left
// out, and returned. The response is not changed; the Changes has copies of what it takes.
//
// It has, of the rooms that were joined and left, the state before and in the timeline, or, where the response has it, that after; redactions in
// the timeline; profiles, of members who have spoken of themselves; summaries, unread counts, receipts, account data; the latest
// event to show, and the recency that it gives. Of rooms that the user is invited to, or knocks at, it has the stripped state. It has no timeline
// (that is for an event cache), and none of what is for the encryption.
//
// What mautrix does not keep of an event is not in it: fields on its top that the specification does not know.
//
// The response counts as received now: see FromSyncAt.
func FromSync(user id.UserID, resp *mautrix.RespSync) (*state.Changes, []BadEvent) {
	return FromSyncAt(user, resp, time.Now())
}

// FromSyncAt is FromSync for a response that was received at another time than now. No event counts as later than that for the recency of
// its room: the time in an event is what its sender says, and one whose clock is ahead would have his room on top for as long.
func FromSyncAt(user id.UserID, resp *mautrix.RespSync, received time.Time) (*state.Changes, []BadEvent) {
	r := reader{c: &state.Changes{User: user}, user: user, received: received.UnixMilli()}
	if resp == nil {
		return r.c, nil
	}
	r.c.SyncToken = resp.NextBatch

	r.section = "account_data"
	r.each(resp.AccountData.Events, func(evt *event.Event, raw json.RawMessage) error { return r.c.AddAccountData(raw) })
	r.section = "presence"
	r.each(resp.Presence.Events, func(evt *event.Event, raw json.RawMessage) error { return r.c.AddPresence(raw) })

	for _, room := range slices.Sorted(maps.Keys(resp.Rooms.Join)) {
		if joined := resp.Rooms.Join[room]; joined != nil && r.enter(room, "join") {
			r.joined(joined)
		}
	}
	for _, room := range slices.Sorted(maps.Keys(resp.Rooms.Leave)) {
		if left := resp.Rooms.Leave[room]; left != nil && r.enter(room, "leave") {
			r.left(left)
		}
	}
	for _, room := range slices.Sorted(maps.Keys(resp.Rooms.Invite)) {
		if invited := resp.Rooms.Invite[room]; invited != nil && r.enter(room, "invite") {
			r.outside(invited.State.Events, "invite_state", state.Invited)
		}
	}
	for _, room := range slices.Sorted(maps.Keys(resp.Rooms.Knock)) {
		if knocked := resp.Rooms.Knock[room]; knocked != nil && r.enter(room, "knock") {
			r.outside(knocked.State.Events, "knock_state", state.Knocked)
		}
	}
	return r.c, r.bad
}

// reader reads a response, room by room.
type reader struct {
	c        *state.Changes
	user     id.UserID
	received int64
	room     id.RoomID
	section  string
	own      event.Membership // what the state events of this room say of the user
	bad      []BadEvent
}

// enter begins with a room.
func (r *reader) enter(room id.RoomID, section string) bool {
	r.room, r.section, r.own = room, section, ""
	switch {
	case room == "":
		r.bad = append(r.bad, BadEvent{Section: section, Err: state.ErrNoRoomID})
		return false
	case !utf8.ValidString(string(room)):
		r.bad = append(r.bad, BadEvent{Section: section, Err: state.ErrNotUTF8})
		return false
	}
	return true
}

// each calls fn with the events of a section that can be stored, and notes those that cannot.
func (r *reader) each(events []*event.Event, fn func(evt *event.Event, raw json.RawMessage) error) {
	for _, evt := range events {
		raw, err := RawEvent(evt)
		if err == nil {
			err = fn(evt, raw)
		}
		if err != nil {
			bad := BadEvent{Room: r.room, Section: r.section, Err: err}
			if evt != nil {
				bad.Type, bad.ID = evt.Type.Type, evt.ID
			}
			r.bad = append(r.bad, bad)
		}
	}
}

func (r *reader) joined(joined *mautrix.SyncJoinedRoom) {
	u := r.c.Update(r.room)
	u.State, u.Synced, u.EncryptionKnown = state.Joined, state.SyncedFully, true
	if n := joined.UnreadNotifications; n != nil {
		u.Counts = &state.Counts{Notifications: int64(n.NotificationCount), Highlights: int64(n.HighlightCount)}
	}
	r.summary(u, joined.Summary)

	r.section = "state"
	r.each(joined.State.Events, r.state)
	r.timeline(u, joined.Timeline, joined.StateAfter == nil)
	if joined.StateAfter != nil {
		r.section = "state_after"
		r.each(joined.StateAfter.Events, r.state)
	}
	r.section = "ephemeral"
	r.each(joined.Ephemeral.Events, r.ephemeral)
	r.section = "account_data"
	r.each(joined.AccountData.Events, func(_ *event.Event, raw json.RawMessage) error { return r.c.AddRoomAccountData(r.room, raw) })
}

func (r *reader) left(left *mautrix.SyncLeftRoom) {
	u := r.c.Update(r.room)
	u.State = state.Left
	r.summary(u, left.Summary)
	r.section = "state"
	r.each(left.State.Events, r.state)
	r.timeline(u, left.Timeline, true)
	if r.own == event.MembershipBan {
		u.State = state.Banned
	}
}

// outside is a room that the user sees only from outside.
func (r *reader) outside(events []*event.Event, section string, is state.RoomState) {
	u := r.c.Update(r.room)
	u.State = is
	r.section = section
	r.each(events, func(evt *event.Event, raw json.RawMessage) error {
		if evt.Type.Type == event.StateMember.Type && evt.GetStateKey() == string(r.user) {
			u.Recency = max(u.Recency, r.happened(evt))
			if is == state.Invited {
				u.Latest = &state.LatestEvent{Kind: state.LatestInvite, EventID: evt.ID, Sender: evt.Sender, Timestamp: evt.Timestamp, Raw: raw}
			}
		}
		return r.c.AddStripped(r.room, raw)
	})
}

func (r *reader) summary(u *state.RoomUpdate, s mautrix.LazyLoadSummary) {
	if s.Heroes != nil {
		u.Heroes = []state.Hero{}
		for _, hero := range s.Heroes {
			if utf8.ValidString(string(hero)) {
				u.Heroes = append(u.Heroes, state.Hero{User: hero})
			}
		}
	}
	if s.JoinedMemberCount != nil {
		u.Joined = ptr(int64(*s.JoinedMemberCount))
	}
	if s.InvitedMemberCount != nil {
		u.Invited = ptr(int64(*s.InvitedMemberCount))
	}
}

// timeline takes in what the timeline says of the room, and, if the state is in it, that as well.
func (r *reader) timeline(u *state.RoomUpdate, t mautrix.SyncTimeline, withState bool) {
	if utf8.ValidString(t.PrevBatch) {
		u.PrevBatch = t.PrevBatch
	}
	u.MembersMissing = t.Limited // who has come and gone in the gap is not known
	r.section = "timeline"
	r.each(t.Events, func(evt *event.Event, raw json.RawMessage) error {
		u.FirstRecency = max(u.FirstRecency, r.happened(evt))
		switch {
		case evt.StateKey != nil:
			if withState {
				return r.state(evt, raw)
			}
		case evt.Type.Type == event.EventRedaction.Type:
			return r.c.AddRedaction(r.room, raw)
		case bumps[evt.Type.Type]:
			u.Recency = max(u.Recency, r.happened(evt))
			if !isEdit(evt) {
				u.Latest = &state.LatestEvent{Kind: state.LatestRemote, EventID: evt.ID, Sender: evt.Sender, Timestamp: evt.Timestamp, Raw: raw}
			}
		}
		return nil
	})
}

// happened returns when an event happened, which is not after it was received.
func (r *reader) happened(evt *event.Event) int64 { return min(evt.Timestamp, r.received) }

// bumps are the types of events that move a room up, and are shown in a list.
var bumps = map[string]bool{
	event.EventMessage.Type: true, event.EventEncrypted.Type: true, event.EventSticker.Type: true, event.CallInvite.Type: true,
	event.EventUnstablePollStart.Type: true, "m.poll.start": true, "m.call.notify": true,
}

// isEdit says whether an event replaces another one.
func isEdit(evt *event.Event) bool {
	relates, _ := evt.Content.Raw["m.relates_to"].(map[string]any)
	return relates["rel_type"] == string(event.RelReplace)
}

// state takes in a state event.
func (r *reader) state(evt *event.Event, raw json.RawMessage) error {
	if err := r.put(evt, raw); err != nil {
		return err
	}
	if evt.Type.Type != event.StateMember.Type {
		return nil
	}
	m, ok := state.ParseMember(state.StateEvent{StateKey: evt.GetStateKey(), Raw: raw})
	if !ok {
		return nil // a state event it is, and a member it changes not
	}
	if m.User == r.user {
		r.own = m.Membership
	}
	if p, is := profileOf(&m, raw); is {
		r.c.AddProfile(r.room, m.User, p)
	}
	return nil
}

// put is Changes.AddState for an event whose type and key are known: reading them from JSON again would take longer than all the rest.
func (r *reader) put(evt *event.Event, raw json.RawMessage) error {
	switch {
	case evt.Type.Type == "":
		return state.ErrNoEventType
	case evt.StateKey == nil:
		return state.ErrNoStateKey
	}
	r.c.PutState(r.room, evt.Type.Type, *evt.StateKey, raw)
	return nil
}

// profileOf returns the profile that a member event gives: where the user speaks of himself. One who leaves says nothing of it.
func profileOf(m *state.Member, raw json.RawMessage) (state.Profile, bool) {
	if m.Sender != m.User || m.Membership == event.MembershipLeave || m.Membership == event.MembershipBan {
		return state.Profile{}, false
	}
	p := state.Profile{Content: *m.Content(), EventID: m.EventID, Redacted: state.IsRedacted(raw)}
	return p, true
}

func (r *reader) ephemeral(evt *event.Event, raw json.RawMessage) error {
	if evt.Type.Type != event.EphemeralEventReceipt.Type {
		return nil // who is typing is not worth storing
	}
	var content struct {
		Content json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(raw, &content); err != nil {
		return state.ErrNotJSON
	}
	receipts, err := state.ParseReceipts(content.Content)
	if err == nil {
		r.c.AddReceipts(r.room, receipts...)
	}
	return err
}

// RawEvent returns an event of mautrix as JSON, with its content as it came, whatever was parsed of it meanwhile. It leaves the room out, as a sync response does.
// The errors are those of package state for what cannot be stored: ErrNotJSON, ErrNotUTF8.
func RawEvent(evt *event.Event) (json.RawMessage, error) {
	if evt == nil {
		return nil, errNoEvent
	}
	for _, s := range []string{evt.Type.Type, evt.GetStateKey(), string(evt.ID), string(evt.Sender), string(evt.Redacts)} {
		if !utf8.ValidString(s) {
			return nil, state.ErrNotUTF8
		}
	}
	content := evt.Content.VeryRaw
	if content == nil {
		var err error
		if content, err = evt.Content.MarshalJSON(); err != nil {
			return nil, fmt.Errorf("%w: %w", state.ErrNotJSON, err)
		}
	}
	content = bytes.TrimSpace(content)
	if string(content) == "null" { // mautrix takes it for an empty one, too
		content = json.RawMessage("{}")
	}
	if len(content) == 0 || content[0] != '{' {
		return nil, state.ErrNotJSON
	}
	out := rawEvent{
		Type: evt.Type.Type, ID: evt.ID, Sender: evt.Sender, StateKey: evt.StateKey, Timestamp: evt.Timestamp, Content: content, Redacts: evt.Redacts,
	}
	if !evt.Unsigned.IsEmpty() {
		out.Unsigned = &evt.Unsigned
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		return nil, fmt.Errorf("%w: %w", state.ErrNotJSON, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

type rawEvent struct {
	Type      string          `json:"type"`
	ID        id.EventID      `json:"event_id,omitempty"`
	Sender    id.UserID       `json:"sender,omitempty"`
	StateKey  *string         `json:"state_key,omitempty"`
	Timestamp int64           `json:"origin_server_ts,omitempty"`
	Content   json.RawMessage `json:"content"`
	Redacts   id.EventID      `json:"redacts,omitempty"`
	Unsigned  *event.Unsigned `json:"unsigned,omitempty"`
}

func ptr[T any](v T) *T { return &v }

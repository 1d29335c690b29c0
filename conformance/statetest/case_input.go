package statetest

// What servers, other clients and mistakes send: kept as it is, or refused by a typed error, with nothing changed.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var inputCases = []Case{
	{
		Name:    "names-in-every-script",
		Promise: "ids and names with any valid UTF-8 in them, in every script, with emoji, control characters and NUL, of any length, come back as they were, and are told from each other",
		Origins: from("bad input/ids in every script", "bad input/SQL in ids", "bad input/NUL in ids"), run: caseStrange,
	},
	{
		Name:    "what-cannot-be-stored",
		Promise: "what lacks an id, is not UTF-8, is no JSON or of no known kind is refused by the error that says so, from every method, and nothing has changed",
		Origins: from("bad input/ids that are not UTF-8", "bad input/empty ids", "bad input/events that are no JSON", "bad input/unknown kinds"), run: caseRefused,
	},
	{
		Name:    "asking-with-bad-names",
		Promise: "what is asked for under an id that cannot be is not there, which is no error",
		Origins: from("bad input/ids that are not UTF-8", "bad input/empty ids"), run: caseAskBad,
	},
	{
		Name:    "odd-events",
		Promise: "an event with any JSON in any place is stored byte for byte, and costs what is odd in it and nothing else",
		Origins: from("contract"), run: caseOdd,
	},
}

func contains(b []byte, text string) bool { return bytes.Contains(b, []byte(text)) }

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }

const notUTF8 = "\xff\xfe"

// badChanges are what Changes can not have.
var badChanges = []struct {
	what  string
	want  error
	build func(c *state.Changes)
}{
	{"a token that is not UTF-8", state.ErrNotUTF8, func(c *state.Changes) { c.SyncToken = notUTF8 }},
	{"account data without a type", state.ErrNoEventType, func(c *state.Changes) { c.AccountData = fieldsOf{"": raw(`{}`)} }},
	{"account data that are no JSON", state.ErrNotJSON, func(c *state.Changes) { c.AccountData = fieldsOf{"t": raw(`{`)} }},
	{"account data that are no object", state.ErrNotJSON, func(c *state.Changes) { c.AccountData = fieldsOf{"t": raw(`[]`)} }},
	{"account data of no room", state.ErrNoRoomID, func(c *state.Changes) { c.RoomAccountData = map[id.RoomID]fieldsOf{"": {"t": raw(`{}`)}} }},
	{"the presence of nobody", state.ErrNoUserID, func(c *state.Changes) { c.Presence = map[id.UserID]json.RawMessage{"": raw(`{}`)} }},
	{"a presence that is none", state.ErrNotJSON, func(c *state.Changes) { c.Presence = map[id.UserID]json.RawMessage{alice: nil} }},
	{"information about another room", state.ErrRoomInfo, func(c *state.Changes) {
		c.RoomInfos = map[id.RoomID]*state.RoomInfo{"!other:x": state.NewRoomInfo(kitchen, state.Joined)}
	}},
	{"information about a room that is also updated", state.ErrRoomInfo, func(c *state.Changes) {
		c.AddRoomInfo(state.NewRoomInfo("!twice:x", state.Joined))
		c.Update("!twice:x")
	}},
	{"a room of no state", state.ErrRoomInfo, func(c *state.Changes) { c.AddRoomInfo(state.NewRoomInfo("!x:x", 9)) }},
	{"an update that is none", state.ErrRoomInfo, func(c *state.Changes) { c.Updates = map[id.RoomID]*state.RoomUpdate{"!x:x": nil} }},
	{"a profile that is deleted of nobody", state.ErrNoUserID, func(c *state.Changes) { c.DeleteProfile(kitchen, "") }},
	{"a profile of nobody", state.ErrNoUserID, func(c *state.Changes) { c.AddProfile(kitchen, "", profileNamed("n")) }},
	{"a profile with a name that is not UTF-8", state.ErrNotUTF8, func(c *state.Changes) { c.AddProfile(kitchen, alice, profileNamed(notUTF8)) }},
	{"a state event of a room that is not UTF-8", state.ErrNotUTF8, func(c *state.Changes) { add(c, notUTF8, stateOf("$", "t", "", me, `{}`)) }},
	{"a state event of no room", state.ErrNoRoomID, func(c *state.Changes) { add(c, "", stateOf("$", "t", "", me, `{}`)) }},
	{"a state event with a key that is not UTF-8", state.ErrNotUTF8, func(c *state.Changes) {
		c.State = map[id.RoomID]map[string]fieldsOf{kitchen: {"t": {notUTF8: raw(`{}`)}}}
	}},
	{"a stripped event that is no object", state.ErrNotJSON, func(c *state.Changes) {
		c.Stripped = map[id.RoomID]map[string]fieldsOf{kitchen: {"t": {"": raw(`7`)}}}
	}},
	{"a receipt of nobody", state.ErrNoUserID, func(c *state.Changes) { c.AddReceipts(kitchen, state.Receipt{Event: "$", Type: event.ReceiptTypeRead}) }},
	{"a receipt at no event", state.ErrNoEventID, func(c *state.Changes) {
		c.AddReceipts(kitchen, state.Receipt{User: alice, Type: event.ReceiptTypeRead})
	}},
	{"a redaction of nothing", state.ErrNoEventID, func(c *state.Changes) {
		c.Redactions = map[id.RoomID]map[id.EventID]json.RawMessage{kitchen: {"": raw(`{}`)}}
	}},
	{"a redaction that is no object", state.ErrNotJSON, func(c *state.Changes) {
		c.Redactions = map[id.RoomID]map[id.EventID]json.RawMessage{kitchen: {"$1": raw(`""`)}}
	}},
	{"a name that is not UTF-8", state.ErrNotUTF8, func(c *state.Changes) { c.SetUsersWithName(kitchen, notUTF8, alice) }},
	{"a name of nobody", state.ErrNoUserID, func(c *state.Changes) { c.SetUsersWithName(kitchen, "n", "") }},
	{"a global profile of nobody", state.ErrNoUserID, func(c *state.Changes) { c.UpdateProfile("", state.ProfileUpdate{}) }},
	{"a field of a global profile that is no JSON", state.ErrNotJSON, func(c *state.Changes) {
		c.UpdateProfile(alice, state.ProfileUpdate{Set: fieldsOf{"f": raw(`x`)}})
	}},
}

func caseStrange(p *probe) {
	s := p.open()
	texts := append([]string{"A", "ａ", " a"}, strange...)
	s.save(func(c *state.Changes) {
		c.Presence, c.AccountData, c.RoomAccountData = map[id.UserID]json.RawMessage{}, fieldsOf{}, map[id.RoomID]fieldsOf{}
		for i, text := range texts {
			room, user := id.RoomID(text), id.UserID(text)
			join(c, room)
			add(c, room, stateOf(id.EventID(text), text, text, user, fmt.Sprintf(`{"n":%d}`, i)), memberOf(user, "join", text))
			c.AddProfile(room, user, profileNamed(text))
			c.AddReceipts(room, state.Receipt{Event: id.EventID(text), Type: event.ReceiptType(text), Thread: state.Thread(id.EventID(text)), User: user, Timestamp: int64(i)})
			c.SetUsersWithName(room, "given "+text, user)
			c.UpdateProfile(user, state.ProfileUpdate{Set: fieldsOf{text: raw(`%d`, i)}})
			c.Presence[user] = raw(`{"n":%d}`, i)
			c.AccountData[text] = raw(`{"n":%d}`, i)
			c.RoomAccountData[room] = fieldsOf{text: raw(`{"n":%d}`, i)}
		}
	})
	var subs []state.ThreadSubscription
	for i, text := range texts {
		room := id.RoomID(text)
		p.Must("SaveRequest", s.SaveRequest(p.Ctx, room, queued(text, i)))
		p.Must("SaveDependent", s.SaveDependent(p.Ctx, room, dependent(text, text, &state.ReactEvent{Key: text})))
		subs = append(subs, stamped(room, id.EventID(text), state.SubscribedManually, uint64(i)))
		p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, []byte(text), []byte(text)))
	}
	s.subscribe(subs...)
	s.again(func() {
		infos, err := s.RoomInfos(p.Ctx)
		p.Must("RoomInfos", err)
		if len(infos) != len(texts) {
			p.Fatal("of %d rooms there are %d", len(texts), len(infos))
		}
		for _, info := range infos {
			if !slices.Contains(texts, string(info.ID)) {
				p.Broken("a room is called %.40q", info.ID)
			}
		}
		users := make([]id.UserID, len(texts))
		for i, text := range texts {
			users[i] = id.UserID(text)
		}
		globals, err := s.GlobalProfiles(p.Ctx, users)
		p.Must("GlobalProfiles", err)
		if len(globals) != len(texts) {
			p.Broken("of %d global profiles there are %d", len(texts), len(globals))
		}
		is(p, "Presences", len(texts))(part(func(all []json.RawMessage) int { return len(all) })(s.Presences(p.Ctx, users)))
		for i, text := range texts {
			room, user, evt := id.RoomID(text), id.UserID(text), id.EventID(text)
			from := max(0, i-p.count(1, i, i, i)) // of all that are asked for with this one
			beside := texts[from:min(len(texts), i+p.count(2, len(texts), len(texts), len(texts)))]
			p.About(fmt.Sprintf("%.40q", text), func() {
				n := raw(`{"n":%d}`, i)
				is(p, "RoomInfo", room)(part(func(info *state.RoomInfo) id.RoomID {
					if info == nil {
						return ""
					}
					return info.ID
				})(s.RoomInfo(p.Ctx, room)))
				found(p, "StateEvent", state.StateEvent{Type: text, StateKey: text, Raw: stateOf(evt, text, text, user, string(n))}, true)(s.StateEvent(p.Ctx, room, text, text))
				is(p, "StateEventsForKeys", 1)(part(func(all []state.StateEvent) int { return len(all) })(s.StateEventsForKeys(p.Ctx, room, text, beside)))
				found(p, "Member", member(user, "join", text, false), true)(s.Member(p.Ctx, room, user))
				is(p, "RoomsOf", []id.RoomID{room})(s.RoomsOf(p.Ctx, user, 0))
				is(p, "UserIDs", []id.UserID{user})(s.UserIDs(p.Ctx, room, 0))
				is(p, "Profiles", map[id.UserID]state.Profile{user: profileNamed(text)})(s.Profiles(p.Ctx, room, users[from:from+len(beside)]))
				is(p, "UsersWithDisplayName", []id.UserID{user})(s.UsersWithDisplayName(p.Ctx, room, text))
				is(p, "UsersWithDisplayName of a given name", []id.UserID{user})(s.UsersWithDisplayName(p.Ctx, room, "given "+text))
				is(p, "EventReceipts", 1)(part(func(all []state.Receipt) int { return len(all) })(s.EventReceipts(p.Ctx, room, event.ReceiptType(text), state.Thread(evt), evt)))
				is(p, "Presence", n)(s.Presence(p.Ctx, user))
				is(p, "AccountData", n)(s.AccountData(p.Ctx, text))
				is(p, "RoomAccountData", n)(s.RoomAccountData(p.Ctx, room, text))
				s.queue(room, queued(text, i))
				is(p, "Dependents", []state.DependentRequest{dependent(text, text, &state.ReactEvent{Key: text})})(s.Dependents(p.Ctx, room))
				found(p, "Subscription", state.Subscription{Status: state.SubscribedManually}.WithStamp(uint64(i)), true)(s.Subscription(p.Ctx, room, evt))
				found(p, "CustomValue", []byte(text), true)(s.CustomValue(p.Ctx, []byte(text)))
				is(p, "GlobalProfile", state.GlobalProfile{text: raw(`%d`, i)})(s.GlobalProfile(p.Ctx, user))
			})
		}
	})
	for _, text := range texts {
		is(p, "RemoveRequest", true)(s.RemoveRequest(p.Ctx, id.RoomID(text), text))
		p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, id.RoomID(text)))
	}
	is(p, "RoomInfos", []*state.RoomInfo(nil))(s.RoomInfos(p.Ctx))
}

func caseRefused(p *probe) {
	s := p.open()
	full(s)
	before := ask(s.Store, 0)
	for _, bad := range badChanges {
		c := &state.Changes{User: me}
		bad.build(c)
		p.Is("SaveChanges with "+bad.what, s.SaveChanges(p.Ctx, c), bad.want)
	}
	request := func(txn string, what state.Request) state.QueuedRequest {
		return state.QueuedRequest{TransactionID: txn, Request: what}
	}
	ok := message("text")
	for _, refused := range []struct {
		what string
		err  error
		want error
	}{
		{"SetValue without a key", s.SetValue(p.Ctx, state.ValueKey{}, nil), state.ErrValueKey},
		{"SetValue of a draft in no room", s.SetValue(p.Ctx, state.Draft("").ValueKey, nil), state.ErrValueKey},
		{"SetValue in a room that is not UTF-8", s.SetValue(p.Ctx, state.Draft(notUTF8).ValueKey, nil), state.ErrNotUTF8},
		{"Set of what is not UTF-8", state.Set(p.Ctx, s, state.SyncToken(), notUTF8), state.ErrNotUTF8},
		{"SaveRequest in no room", s.SaveRequest(p.Ctx, "", request("new", ok)), state.ErrNoRoomID},
		{"SaveRequest in a room that is not UTF-8", s.SaveRequest(p.Ctx, notUTF8, request("new", ok)), state.ErrNotUTF8},
		{"SaveRequest without an id", s.SaveRequest(p.Ctx, kitchen, request("", ok)), state.ErrNoTransactionID},
		{"SaveRequest with an id that is not UTF-8", s.SaveRequest(p.Ctx, kitchen, request(notUTF8, ok)), state.ErrNotUTF8},
		{"SaveRequest of nothing", s.SaveRequest(p.Ctx, kitchen, request("new", nil)), state.ErrKind},
		{"SaveRequest of nil", s.SaveRequest(p.Ctx, kitchen, request("new", (*state.EventRequest)(nil))), state.ErrKind},
		{"SaveRequest of no JSON", s.SaveRequest(p.Ctx, kitchen, request("new", &state.EventRequest{Type: "t", Content: raw(`{`)})), state.ErrNotJSON},
		{"SaveRequest of a type that is not UTF-8", s.SaveRequest(p.Ctx, kitchen, request("new", &state.EventRequest{Type: notUTF8, Content: raw(`{}`)})), state.ErrNotUTF8},
		{"UpdateRequest with nothing", second(s.UpdateRequest(p.Ctx, kitchen, "t1", nil)), state.ErrKind},
		{"UpdateRequest with no JSON", second(s.UpdateRequest(p.Ctx, kitchen, "t1", &state.EventRequest{Type: "t", Content: raw(`1`)})), state.ErrNotJSON},
		{"SetRequestError to what is not UTF-8", s.SetRequestError(p.Ctx, kitchen, "t1", &state.OtherWedge{Message: notUTF8}), state.ErrNotUTF8},
		{"SaveDependent in no room", s.SaveDependent(p.Ctx, "", dependent("new", "p", &state.RedactEvent{})), state.ErrNoRoomID},
		{"SaveDependent without an id", s.SaveDependent(p.Ctx, kitchen, dependent("", "p", &state.RedactEvent{})), state.ErrNoTransactionID},
		{"SaveDependent without a parent", s.SaveDependent(p.Ctx, kitchen, dependent("new", "", &state.RedactEvent{})), state.ErrNoTransactionID},
		{"SaveDependent of nothing", s.SaveDependent(p.Ctx, kitchen, dependent("new", "p", nil)), state.ErrKind},
		{"UpdateDependent with nothing", second(s.UpdateDependent(p.Ctx, kitchen, "t1", nil)), state.ErrKind},
		{"MarkDependentsReady with nothing", second(s.MarkDependentsReady(p.Ctx, kitchen, "t1", nil)), state.ErrKind},
		{"SaveSubscriptions in no room", s.SaveSubscriptions(p.Ctx, []state.ThreadSubscription{thread(kitchen, "$new", state.Unsubscribed), thread("", "$1", state.Unsubscribed)}), state.ErrNoRoomID},
		{"SaveSubscriptions of no thread", s.SaveSubscriptions(p.Ctx, []state.ThreadSubscription{thread(kitchen, "$new", state.Unsubscribed), thread(kitchen, "", state.Unsubscribed)}), state.ErrNoEventID},
		{"SaveSubscriptions of no status", s.SaveSubscriptions(p.Ctx, []state.ThreadSubscription{thread(kitchen, "$new", state.Unsubscribed), thread(kitchen, "$1", "subscribed")}), state.ErrStatus},
		{"SaveSubscriptions of what is not UTF-8", s.SaveSubscriptions(p.Ctx, []state.ThreadSubscription{thread(kitchen, notUTF8, state.Unsubscribed)}), state.ErrNotUTF8},
	} {
		p.Is(refused.what, refused.err, refused.want)
	}
	s.unchanged("what was refused", before)
	if _, there, err := s.Subscription(p.Ctx, kitchen, "$new"); err != nil || there {
		p.Broken("a subscription that was given with one that was refused is stored: %v", err)
	}
	s.nap()
	s.unchanged("what was refused, and a pause", before)
}

func caseAskBad(p *probe) {
	s := p.open()
	full(s)
	for _, bad := range []string{"", notUTF8} {
		room, user, evt := id.RoomID(bad), id.UserID(bad), id.EventID(bad)
		for what, is := range content(p, s.Store, room) {
			if is != (what == "no members") {
				p.Broken("of the room %q, %s: %v", bad, what, is)
			}
		}
		found(p, "Member", state.Member{}, false)(s.Member(p.Ctx, "!a:x", user))
		found(p, "StateEvent", state.StateEvent{}, false)(s.StateEvent(p.Ctx, "!a:x", bad, bad))
		found(p, "UserReceipt", state.Receipt{}, false)(s.UserReceipt(p.Ctx, "!a:x", event.ReceiptType(bad), state.Unthreaded, user))
		found(p, "Subscription", state.Subscription{}, false)(s.Subscription(p.Ctx, "!a:x", evt))
		is(p, "Presences", []json.RawMessage(nil))(s.Presences(p.Ctx, []id.UserID{user}))
		is(p, "GlobalProfiles", map[id.UserID]state.GlobalProfile(nil))(s.GlobalProfiles(p.Ctx, []id.UserID{user}))
		is(p, "RemoveRequest", false)(s.RemoveRequest(p.Ctx, room, bad))
		is(p, "UpdateRequest", false)(s.UpdateRequest(p.Ctx, room, bad, message("")))
		is(p, "RemoveDependent", false)(s.RemoveDependent(p.Ctx, room, bad))
		p.Must("RemoveSubscription", s.RemoveSubscription(p.Ctx, room, evt))
		p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, room))
	}
	if _, there, err := s.Value(p.Ctx, state.ValueKey{}); err != nil || there {
		p.Broken("under no key there is something: %v, %v", there, err)
	}
}

func caseOdd(p *probe) {
	s := p.open()
	contents := []string{`{}`, `null`, `7`, `"text"`, `[]`, `{"membership":7}`, `{"membership":"join","displayname":[]}`, `{"name":{},"topic":7,"alias":[],"users":"x","pinned":[7,null,"$1"]}`}
	types := []string{
		"m.room.member", "m.room.create", "m.room.name", "m.room.topic", "m.room.avatar", "m.room.canonical_alias", "m.room.join_rules", "m.room.history_visibility",
		"m.room.guest_access", "m.room.encryption", "m.room.tombstone", "m.room.pinned_events", "m.room.power_levels", "own",
	}
	var want []state.StateEvent
	s.save(func(c *state.Changes) {
		join(c, kitchen)
		for i, t := range types {
			for j, text := range append(contents, "") {
				key := map[bool]string{true: "", false: fmt.Sprintf("@u%d", j)}[j == i%len(contents)]
				e := raw(` { "type":%q, "content":%s,"sender":{},"event_id":[], "n":1.0e2, "type":%q}`, t, text, t)
				if text == "" {
					e, key = raw(`{}`), "nothing"
				}
				if c.State == nil {
					c.State = map[id.RoomID]map[string]map[string]json.RawMessage{}
				}
				putEvent(c.State, kitchen, t, key, e)
				want = append(want, state.StateEvent{Type: t, StateKey: key, Raw: e})
			}
		}
	})
	s.again(func() {
		for _, e := range want {
			found(p, "StateEvent", e, true)(s.StateEvent(p.Ctx, kitchen, e.Type, e.StateKey))
		}
		info, err := s.RoomInfo(p.Ctx, kitchen)
		p.Must("RoomInfo", err)
		if info == nil || info.State != state.Joined {
			p.Broken("a room with odd events is %s", show(info))
		}
		is(p, "UserIDs who have joined", []id.UserID{"@u6"})(s.UserIDs(p.Ctx, kitchen, state.Join))
	})
}

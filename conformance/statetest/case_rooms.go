package statetest

// Rooms: what is known of them, lists of them, and their removal.

import (
	"encoding/json"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var roomCases = []Case{
	{
		Name:    "room-infos",
		Promise: "what is known of rooms is there for one and for all, in the order of first storing; a room that was told nothing of has none",
		Origins: from(seed(24), "ST-13", "4.2/room_infos"), run: caseInfos,
	},
	{
		Name:    "rooms-are-current",
		Promise: "what is known of a room follows its state events, account data and summary; what was stored before the room was known counts, and what is unknown to this program stays",
		Origins: from("contract"), run: caseCurrent,
	},
	{
		Name:    "encrypted-rooms",
		Promise: "a room is encrypted as soon as an event says so, known or not, and stays so when its state is gone; one with another algorithm, or without a word, is not",
		Origins: from("contract", "DIV-02"), run: caseEncrypted,
	},
	{
		Name:    "lists-of-rooms",
		Promise: "rooms come in every order, through every filter, in pages of any size; a cursor is refused for another order or filter",
		Origins: from("contract", "bad input/cursors from elsewhere"), run: caseLists,
	},
	{
		Name:    "remove-a-room",
		Promise: "with a room goes everything of it, its values, queues and thread subscriptions included, and nothing of another room, of users or of the account; it can come again, and is new",
		Origins: from(seed(16), "ST-24", "GAP-ST/thread subscriptions in remove_room"),
		Differs: "the values of the room, such as drafts, are removed, too; nothing is compacted",
		run:     caseRemoveRoom,
	},
	{
		Name:    "asking-creates-nothing",
		Promise: "asking about rooms, and removing and changing what is not there, makes nothing",
		Origins: from("DIV-06", "ST-26", "ST-29", "ST-30"), run: caseAsking,
	},
	{
		Name:    "size-and-compact",
		Promise: "a store takes some room, more with more in it; Compact changes nothing but that",
		Origins: from("ST-43", "ST-44", "GAP-ST/optimize", "GAP-ST/get_size"), run: caseSize,
	},
}

func caseInfos(p *probe) {
	s := p.open()
	is(p, "RoomInfos", []*state.RoomInfo(nil))(s.RoomInfos(p.Ctx))
	whole := state.NewRoomInfo(garden, state.Knocked)
	whole.Topic, whole.Recency, whole.Extra = "a topic", 7, map[string]json.RawMessage{"from.the.future": raw(`{"<":1.0}`)}
	s.save(func(c *state.Changes) {
		join(c, kitchen)
		c.AddRoomInfo(whole)
		add(c, "!state.only:x", memberOf(alice, "join", "a"))
	})
	s.again(func() {
		is(p, "RoomInfo", whole)(s.RoomInfo(p.Ctx, garden))
		is(p, "RoomInfo of a room of which there are state events alone", (*state.RoomInfo)(nil))(s.RoomInfo(p.Ctx, "!state.only:x"))
		is(p, "RoomInfo of an unknown room", (*state.RoomInfo)(nil))(s.RoomInfo(p.Ctx, "!none:x"))
		all, err := s.RoomInfos(p.Ctx)
		p.Must("RoomInfos", err)
		if len(all) != 2 || all[0].ID != garden || all[1].ID != kitchen || all[1].State != state.Joined || !same(all[0], whole) {
			p.Broken("RoomInfos returned %s", show(all))
		}
	})
	s.save(func(c *state.Changes) { c.Update(garden).State = state.Banned })
	all, err := s.RoomInfos(p.Ctx)
	p.Must("RoomInfos", err)
	if len(all) != 2 || all[0].ID != garden || all[0].State != state.Banned || string(all[0].Extra["from.the.future"]) != `{"<":1.0}` {
		p.Broken("after an update RoomInfos returned %s", show(all))
	}
}

func caseCurrent(p *probe) {
	s := p.open()
	s.save(func(c *state.Changes) {
		p.Must("AddAccountData", c.AddAccountData(raw(`{"type":"m.direct","content":{%q:[%q]}}`, alice, kitchen)))
		add(c, kitchen, stateOf("$t", "m.room.topic", "", me, `{"topic":"before the room was known"}`))
	})
	s.save(func(c *state.Changes) {
		u := c.Update(kitchen)
		u.State, u.Counts, u.Heroes, u.PrevBatch, u.Recency = state.Joined, &state.Counts{Notifications: 3, Highlights: 1}, []state.Hero{{User: alice}}, "prev", 5
		u.Joined = ptr(int64(2))
		add(c, kitchen, memberOf(me, "join", "me"), memberOf(alice, "join", "Alice"), stateOf("$e", "m.room.encryption", "", me, `{"algorithm":"m.megolm.v1.aes-sha2"}`))
		p.Must("AddRoomAccountData", c.AddRoomAccountData(kitchen, raw(`{"type":"m.marked_unread","content":{"unread":true}}`)))
	})
	s.save(func(c *state.Changes) { c.Update(kitchen).Recency = 3 }) // older, and nothing else
	check := func(name string, unread bool, topic string) {
		info, err := s.RoomInfo(p.Ctx, kitchen)
		p.Must("RoomInfo", err)
		if info == nil || info.Topic != topic || info.Counts != (state.Counts{Notifications: 3, Highlights: 1}) || info.PrevBatch != "prev" || info.Recency != 5 ||
			info.Encryption == nil || info.MarkedUnread != unread || !same(info.DirectTargets, []id.UserID{alice}) || info.DisplayName.String() != name {
			p.Broken("the room is %s", show(info))
		}
	}
	s.again(func() { check("Alice", true, "before the room was known") })
	s.save(func(c *state.Changes) {
		add(c, kitchen, memberOf(alice, "join", "Alicia"), stateOf("$t2", "m.room.topic", "", me, `{"topic":"new"}`))
		p.Must("AddRoomAccountData", c.AddRoomAccountData(kitchen, raw(`{"type":"m.marked_unread","content":{"unread":false}}`)))
	})
	s.again(func() { check("Alicia", false, "new") })
	s.save(func(c *state.Changes) {
		p.Must("AddAccountData", c.AddAccountData(raw(`{"type":"m.direct","content":{}}`)))
	})
	info, err := s.RoomInfo(p.Ctx, kitchen)
	p.Must("RoomInfo", err)
	if len(info.DirectTargets) != 0 {
		p.Broken("a room that is no direct chat any more is one with %q", info.DirectTargets)
	}
}

func caseEncrypted(p *probe) {
	const known, unknown, other, plain, none = kitchen, id.RoomID("!state.only:x"), id.RoomID("!other:x"), garden, id.RoomID("!none:x")
	s := p.open()
	encryption := func(algorithm string) json.RawMessage {
		return stateOf("$e", "m.room.encryption", "", me, fmt.Sprintf(`{"algorithm":%q}`, algorithm))
	}
	s.save(func(c *state.Changes) {
		join(c, known, plain)
		add(c, known, encryption("m.megolm.v1.aes-sha2"))
		add(c, unknown, encryption("m.megolm.v1.aes-sha2"))
		add(c, other, encryption("org.example"))
	})
	check := func() {
		for room, want := range map[id.RoomID]bool{known: true, unknown: true, other: false, plain: false, none: false} {
			is(p, "IsEncrypted of "+string(room), want)(s.IsEncrypted(p.Ctx, room))
		}
	}
	s.again(check)
	s.save(func(c *state.Changes) { c.Update(known).State, c.Update(plain).State = state.Left, state.Left })
	s.save(func(c *state.Changes) { c.Update(known).State = state.Invited }) // which removes the state from inside
	if _, found, err := s.StateEvent(p.Ctx, known, "m.room.encryption", ""); found || err != nil {
		p.Broken("the state of a room that was left is there beside that of the invite: %v", err)
	}
	s.again(check)
}

func caseLists(p *probe) {
	s := p.open()
	const n = 17
	m := newStateModel()
	for i := range n {
		c := &state.Changes{User: me}
		room := id.RoomID(fmt.Sprintf("!room%02d:x", i*7%n))
		info := state.NewRoomInfo(room, state.RoomState(1+i%5))
		info.Recency, info.Counts, info.MarkedUnread = int64(i%6), state.Counts{Notifications: int64(i % 3), Highlights: int64(i % 2)}, i%4 == 0
		info.DisplayName = state.DisplayName{Kind: state.NameGiven, Name: []string{"Émile", "emil", "Zoe", "ann", "Ann", "\u202e"}[i%6]}
		if i%3 == 0 {
			info.DirectTargets = []id.UserID{alice}
		}
		c.AddRoomInfo(info)
		p.Must("SaveChanges", s.SaveChanges(p.Ctx, c))
		p.Must("the model", m.SaveChanges(p.Ctx, c))
	}
	var cursors []state.Cursor
	type question struct {
		order  state.Order
		filter state.RoomFilter
	}
	var questions []question
	for _, order := range allOrders {
		for _, filter := range roomFilters {
			want, err := m.Rooms(p.Ctx, filter, order, state.Page{})
			p.Must("the model", err)
			for _, limit := range []int{0, 1, 3, n} {
				got, err := allPages(limit, func(page state.Page) ([]*state.RoomInfo, state.Cursor, error) {
					got, err := s.Rooms(p.Ctx, filter, order, page)
					return got.Rooms, got.Next, err
				})
				p.Must("Rooms", err)
				if !slices.EqualFunc(got, want.Rooms, func(a, b *state.RoomInfo) bool { return a.ID == b.ID }) {
					p.Broken("Rooms by %v, filter %+v, in pages of %d: %s, and should be %s", order, filter, limit, show(got), show(want.Rooms))
				}
			}
			page, err := s.Rooms(p.Ctx, filter, order, state.Page{Limit: 1})
			p.Must("Rooms", err)
			if page.Next != "" {
				cursors, questions = append(cursors, page.Next), append(questions, question{order, filter})
			}
		}
	}
	s.nap()
	for i, cursor := range cursors {
		for j, q := range questions {
			err := second(s.Rooms(p.Ctx, q.filter, q.order, state.Page{After: cursor}))
			if i == j {
				p.Must("Rooms behind a cursor", err)
			} else {
				p.Is(fmt.Sprintf("the cursor of %+v for %+v", questions[i], q), err, state.ErrCursor)
			}
		}
		p.Is("a cursor of rooms, for members,", second(s.Members(p.Ctx, kitchen, 0, state.Page{After: cursor})), state.ErrCursor)
	}
	p.Is("Rooms in no order", second(s.Rooms(p.Ctx, state.RoomFilter{}, 99, state.Page{})), state.ErrOrder)
}

// furnish puts something of everything into a room.
func furnish(s *subject, room id.RoomID) {
	p := s.p
	s.save(func(c *state.Changes) {
		join(c, room)
		p.Must("AddRoomAccountData", c.AddRoomAccountData(room, raw(`{"type":"m.tag","content":{}}`)))
		addStripped(c, room, stateOf("$s", "own", "stripped", me, `{}`), memberOf(carol, "invite", "carol"))
		add(c, room, memberOf(alice, "join", "alice"), stateOf("$t", "m.room.topic", "", me, `{"topic":"t"}`))
		c.AddProfile(room, alice, profileNamed("alice"))
		c.AddReceipts(room, state.Receipt{Event: "$1", Type: event.ReceiptTypeRead, Thread: state.Thread("$root"), User: alice, Timestamp: 1})
		c.SetUsersWithName(room, "given", alice)
	})
	s.save(func(c *state.Changes) {
		addStripped(c, room, memberOf(carol, "invite", "carol"))
		p.Must("AddPresence", c.AddPresence(raw(`{"type":"m.presence","sender":%q}`, alice)))
		c.UpdateProfile(alice, state.ProfileUpdate{Set: map[string]json.RawMessage{"displayname": raw(`"a"`)}})
	})
	p.Must("SaveRequest", s.SaveRequest(p.Ctx, room, state.QueuedRequest{TransactionID: "t", CreatedAt: 1, Request: &state.RedactionRequest{Redacts: "$1"}}))
	p.Must("SaveDependent", s.SaveDependent(p.Ctx, room, state.DependentRequest{TransactionID: "d", CreatedAt: 1, Parent: "t", Dependent: &state.ReactEvent{Key: "k"}}))
	p.Must("SaveSubscriptions", s.SaveSubscriptions(p.Ctx, []state.ThreadSubscription{{Room: room, Root: "$root", Subscription: state.Subscription{Status: state.SubscribedManually}}}))
	p.Must("Set", state.Set(p.Ctx, s, state.Draft(room), state.ComposerDraft{PlainText: "draft"}))
	p.Must("Set", state.Set(p.Ctx, s, state.ThreadDraft(room, "$root"), state.ComposerDraft{PlainText: "draft"}))
	p.Must("Set", state.Set(p.Ctx, s, state.SeenKnockRequests(room), map[id.EventID]id.UserID{"$k": carol}))
}

// content is everything that furnish has put into a room.
func content(p *probe, s state.Store, room id.RoomID) map[string]bool {
	there := map[string]bool{}
	note := func(what string, is bool, err error) {
		p.Must(what, err)
		there[what] = is
	}
	info, err := s.RoomInfo(p.Ctx, room)
	note("the room's information", info != nil, err)
	tag, err := s.RoomAccountData(p.Ctx, room, "m.tag")
	note("account data", tag != nil, err)
	events, err := s.StateEvents(p.Ctx, room, "m.room.member")
	note("member events of both kinds", len(events) == 2, err)
	_, topic, err := s.StateEvent(p.Ctx, room, "m.room.topic", "")
	note("the topic", topic, err)
	users, err := s.UserIDs(p.Ctx, room, 0)
	note("members of both kinds", len(users) == 2, err)
	note("no members", len(users) == 0 && len(events) == 0, nil)
	rooms, err := s.RoomsOf(p.Ctx, alice, 0)
	note("the room as one of alice's", slices.Contains(rooms, room), err)
	_, profile, err := s.Profile(p.Ctx, room, alice)
	note("the profile", profile, err)
	_, receipt, err := s.UserReceipt(p.Ctx, room, event.ReceiptTypeRead, state.Thread("$root"), alice)
	note("the receipt", receipt, err)
	receipts, err := s.EventReceipts(p.Ctx, room, event.ReceiptTypeRead, state.Thread("$root"), "$1")
	note("the receipt at its event", len(receipts) > 0, err)
	for _, name := range []string{"alice", "given"} {
		named, err := s.UsersWithDisplayName(p.Ctx, room, name)
		note("who is called "+name, len(named) > 0, err)
	}
	queue, err := s.Requests(p.Ctx, room)
	note("the send queue", len(queue) > 0, err)
	waiting, err := s.RoomsWithRequests(p.Ctx)
	note("the room as one with requests", slices.Contains(waiting, room), err)
	dependents, err := s.Dependents(p.Ctx, room)
	note("the dependent queue", len(dependents) > 0, err)
	_, sub, err := s.Subscription(p.Ctx, room, "$root")
	note("the thread subscription", sub, err)
	for _, key := range []state.ValueKey{state.Draft(room).ValueKey, state.ThreadDraft(room, "$root").ValueKey, state.SeenKnockRequests(room).ValueKey} {
		_, is, err := s.Value(p.Ctx, key)
		note(fmt.Sprintf("the value %q", key.Bytes()), is, err)
	}
	return there
}

func caseRemoveRoom(p *probe) {
	s := p.open()
	similar := []id.RoomID{kitchen, garden, kitchen + "\x00", kitchen[:len(kitchen)-1]}
	for _, room := range similar {
		furnish(s, room)
	}
	all := func(room id.RoomID, want bool) {
		for what, is := range content(p, s.Store, room) {
			if is != (want != (what == "no members")) {
				p.Broken("of the room %q, %s: %v", room, what, is)
			}
		}
	}
	p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, kitchen))
	p.Must("RemoveRoom of what is not there", s.RemoveRoom(p.Ctx, "!none:x"))
	p.Must("RemoveRoom without a name", s.RemoveRoom(p.Ctx, ""))
	s.again(func() {
		all(kitchen, false)
		for _, room := range similar[1:] {
			all(room, true)
		}
		is(p, "RoomInfos", 3)(part(func(all []*state.RoomInfo) int { return len(all) })(s.RoomInfos(p.Ctx)))
		presence, err := s.Presence(p.Ctx, alice)
		p.Must("Presence", err)
		global, err := s.GlobalProfile(p.Ctx, alice)
		p.Must("GlobalProfile", err)
		if presence == nil || global == nil {
			p.Broken("with a room the presence or the global profile of a user was removed: %s, %s", presence, show(global))
		}
	})
	furnish(s, kitchen)
	infos, err := s.RoomInfos(p.Ctx)
	p.Must("RoomInfos", err)
	if len(infos) != 4 || infos[3].ID != kitchen {
		p.Broken("a room that was removed and came again is not the last one of %s", show(infos))
	}
	for _, room := range similar {
		all(room, true)
		p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, room))
		all(room, false)
	}
	is(p, "RoomInfos", []*state.RoomInfo(nil))(s.RoomInfos(p.Ctx))
}

func caseAsking(p *probe) {
	s := p.open()
	furnish(s, kitchen)
	size := func() int64 {
		n, err := s.Bytes(p.Ctx)
		p.Must("Bytes", err)
		return n
	}
	p.Must("Compact", s.Compact(p.Ctx))
	before, bytes := ask(s.Store, 0), size()
	for i := range 50 {
		room := id.RoomID(fmt.Sprint("!unknown", i))
		content(p, s.Store, room)
		_, err := s.UpdateRequest(p.Ctx, room, "t", &state.RedactionRequest{Redacts: "$1"})
		p.Must("UpdateRequest", err)
		p.Must("SetRequestError", s.SetRequestError(p.Ctx, room, "t", &state.MissingMedia{}))
		_, err = s.RemoveRequest(p.Ctx, room, "t")
		p.Must("RemoveRequest", err)
		_, err = s.MarkDependentsReady(p.Ctx, room, "t", &state.SentEvent{EventID: "$1"})
		p.Must("MarkDependentsReady", err)
		_, err = s.UpdateDependent(p.Ctx, room, "t", &state.ReactEvent{Key: "k"})
		p.Must("UpdateDependent", err)
		_, err = s.RemoveDependent(p.Ctx, room, "t")
		p.Must("RemoveDependent", err)
		p.Must("RemoveSubscription", s.RemoveSubscription(p.Ctx, room, "$1"))
		p.Must("Remove", state.Remove(p.Ctx, s, state.Draft(room)))
	}
	is(p, "RoomsWithRequests", []id.RoomID{kitchen})(s.RoomsWithRequests(p.Ctx))
	s.unchanged("asking", before)
	s.nap()
	p.Must("Compact", s.Compact(p.Ctx))
	if after := size(); after > bytes {
		p.Broken("asking about rooms has made a store of %d bytes one of %d", bytes, after)
	}
}

func caseSize(p *probe) {
	s := p.open()
	size := func() int64 {
		n, err := s.Bytes(p.Ctx)
		p.Must("Bytes", err)
		return n
	}
	furnish(s, kitchen)
	small := size()
	s.save(func(c *state.Changes) {
		for i, user := range ids[id.UserID]("@somebody%d:example.org", 1000) {
			add(c, garden, memberOf(user, "join", fmt.Sprint("somebody ", i)))
		}
	})
	if large := size(); small <= 0 || large < small+100_000 {
		p.Broken("a room takes %d bytes, and with another one that has 1000 members the store takes %d", small, large)
	}
	p.Must("Compact", s.Compact(p.Ctx))
	is(p, "UserIDs after Compact", 1000)(part(func(all []id.UserID) int { return len(all) })(s.UserIDs(p.Ctx, garden, state.Join)))
	p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, garden))
	before := ask(s.Store, 0)
	full := size()
	p.Must("Compact", s.Compact(p.Ctx))
	s.nap()
	if left := size(); left > full {
		p.Broken("Compact has made a store of %d bytes one of %d", full, left)
	}
	s.unchanged("Compact", before)
	for what, is := range content(p, s.Store, kitchen) {
		if is == (what == "no members") {
			p.Broken("after Compact, %s: %v", what, is)
		}
	}
}

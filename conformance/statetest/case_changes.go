package statetest

// What a change does to account data, presence, state events and their redactions: as a whole, or not at all.

import (
	"encoding/json"
	"errors"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var changeCases = []Case{
	{
		Name:    "a-whole-response",
		Promise: "everything that one change has is there after it, each where it belongs",
		Origins: from(seed(2), "ST-04", "ST-05", "ST-07", "ST-10", "ST-13", "ST-16", "ST-17", "ST-18", "typed readers"), run: casePopulated,
	},
	{
		Name:    "account-data",
		Promise: "account data, of the account and of a room, are replaced by type, and come back byte for byte",
		Origins: from("ST-16", "ST-17", "4.2/account_data", "4.2/room_account_data"), run: caseAccountData,
	},
	{
		Name:    "presence",
		Promise: "the last presence of a user is there, of many in the order asked, without those of whom there is none",
		Origins: from(seed(18), "ST-05", "ST-06", "4.2/presence"), run: casePresence,
	},
	{
		Name:    "state-events",
		Promise: "a state event is replaced by room, type and key, and found alone, with all keys, or by some; what is asked for twice is answered once",
		Origins: from(seed(12), "ST-07", "ST-08", "ST-09", "4.2/state", "typed readers"), run: caseStateEvents,
	},
	{
		Name:    "stripped-and-not",
		Promise: "an invite removes the state that is not stripped, with its members; a state event, or any other state of the room, the stripped one; what is of both kinds is answered with both",
		Origins: from(seed(15), "DIV-02", "4.2/stripped_state", "4.2/room_infos", "GAP-ST/get_state_events with mixed kinds", "ST-08", "ST-12"),
		Differs: "events and members of both kinds are returned together, where there are both (matrix-rust-sdk's store in memory returns the stripped ones alone)",
		run:     caseKinds,
	},
	{
		Name:    "redactions",
		Promise: "a redacted state event is what the version of its room leaves of it, with the redaction in it; so are the member, the profile and the room; unknown ids are passed over",
		Origins: from(seed(1), "4.2/redactions"), run: caseRedactions,
	},
	{
		Name:    "all-or-nothing",
		Promise: "a change with a redaction that cannot be done, or with anything that cannot be stored, changes nothing at all, and its error says where",
		Origins: from("GAP-ST/rollback on failing redaction", "ST-04", "4.2/redactions"), run: caseAtomic,
	},
	{
		Name:    "an-empty-change",
		Promise: "a change without anything in it, or none, changes nothing and makes nothing; an absent field never clears what is stored",
		Origins: from("contract"), run: caseEmpty,
	},
}

func casePopulated(p *probe) {
	s := p.open()
	s.save(func(c *state.Changes) {
		c.SyncToken = "token"
		p.Must("AddAccountData", c.AddAccountData(raw(`{"type":"m.push_rules","content":{"global":{}}}`)))
		p.Must("AddPresence", c.AddPresence(raw(`{"type":"m.presence","sender":%q,"content":{"presence":"online"}}`, me)))
		p.Must("AddRoomAccountData", c.AddRoomAccountData(kitchen, raw(`{"type":"m.tag","content":{"tags":{"m.favourite":{"order":0.5}}}}`)))
		join(c, kitchen)
		c.Update(garden).State = state.Invited
		add(c, kitchen, stateOf("$name", "m.room.name", "", me, `{"name":"the kitchen"}`), stateOf("$topic", "m.room.topic", "", me, `{"topic":"a topic"}`),
			memberOf(me, "join", "same"), memberOf(alice, "invite", "same"))
		c.AddProfile(kitchen, me, state.Profile{EventID: "$p", Content: event.MemberEventContent{Membership: "join", Displayname: "same"}})
		addStripped(c, garden, memberOf(bob, "join", "bob"))
		c.AddReceipts(kitchen, state.Receipt{Event: "$read", Type: event.ReceiptTypeRead, User: me, Timestamp: 1436451550453})
	})
	s.again(func() {
		found(p, "the sync token", "token", true)(state.Get(p.Ctx, s, state.SyncToken()))
		rules, err := state.ReadAccountData[map[string]any](p.Ctx, s, event.AccountDataPushRules)
		p.Must("ReadAccountData", err)
		if rules == nil || (*rules)["global"] == nil {
			p.Broken("the push rules are %s", show(rules))
		}
		tags, err := state.ReadRoomAccountData[event.TagEventContent](p.Ctx, s, kitchen, event.AccountDataRoomTags)
		p.Must("ReadRoomAccountData", err)
		if tags == nil || len(tags.Tags) != 1 {
			p.Broken("the tags of the room are %s", show(tags))
		}
		is(p, "Presence", raw(`{"type":"m.presence","sender":%q,"content":{"presence":"online"}}`, me))(s.Presence(p.Ctx, me))
		is(p, "RoomInfos", 2)(part(func(all []*state.RoomInfo) int { return len(all) })(s.RoomInfos(p.Ctx)))
		topic, err := state.ReadState[event.TopicEventContent](p.Ctx, s, kitchen, event.StateTopic)
		p.Must("ReadState", err)
		if topic == nil {
			p.Fatal("there is no topic")
		}
		content, err := topic.Content()
		p.Must("Content", err)
		if content.Topic != "a topic" {
			p.Broken("the topic is %q", content.Topic)
		}
		topics, err := state.ReadStates[event.TopicEventContent](p.Ctx, s, kitchen, event.StateTopic)
		p.Must("ReadStates", err)
		byKey, err := state.ReadStatesForKeys[event.MemberEventContent](p.Ctx, s, kitchen, event.StateMember, []string{string(alice), string(bob)})
		p.Must("ReadStatesForKeys", err)
		mine, err := state.ReadMember(p.Ctx, s, kitchen, me)
		p.Must("ReadMember", err)
		other, err := state.ReadStateForKey[event.MemberEventContent](p.Ctx, s, kitchen, event.StateMember, string(bob))
		p.Must("ReadStateForKey", err)
		if len(topics) != 1 || len(byKey) != 1 || mine == nil || other != nil {
			p.Broken("there are %d topics, %d members of two, mine: %v, bob's: %v", len(topics), len(byKey), mine != nil, other != nil)
		}
		info, err := s.RoomInfo(p.Ctx, kitchen)
		p.Must("RoomInfo", err)
		if info == nil || info.Name != "the kitchen" || info.Topic != "a topic" || info.Tags.Favourite == nil || info.DisplayName.String() != "the kitchen" {
			p.Broken("the room is %s", show(info))
		}
		for filter, want := range map[state.Memberships][]id.UserID{0: {alice, me}, state.Invite: {alice}, state.Join: {me}} {
			is(p, "UserIDs "+filter.String(), want)(s.UserIDs(p.Ctx, kitchen, filter))
		}
		is(p, "UsersWithDisplayName", []id.UserID{alice, me})(s.UsersWithDisplayName(p.Ctx, kitchen, "same"))
		found(p, "Profile", "same", true)(nameIn(s.Profile(p.Ctx, kitchen, me)))
		found(p, "UserReceipt", id.EventID("$read"), true)(eventIn(s.UserReceipt(p.Ctx, kitchen, event.ReceiptTypeRead, state.Unthreaded, me)))
		is(p, "EventReceipts", 1)(part(func(all []state.Receipt) int { return len(all) })(s.EventReceipts(p.Ctx, kitchen, event.ReceiptTypeRead, state.Unthreaded, "$read")))
	})
}

func nameIn(p state.Profile, found bool, err error) (string, bool, error) {
	return p.Content.Displayname, found, err
}

func eventIn(r state.Receipt, found bool, err error) (id.EventID, bool, error) {
	return r.Event, found, err
}

func caseAccountData(p *probe) {
	s := p.open()
	none := json.RawMessage(nil)
	is(p, "AccountData", none)(s.AccountData(p.Ctx, "a"))
	odd := raw(` {"type" : "a","content":{"<>":"& ","n":1.0e2}} `)
	s.save(func(c *state.Changes) {
		p.Must("AddAccountData", c.AddAccountData(raw(`{"type":"a","content":{}}`)))
		p.Must("AddAccountData", c.AddAccountData(raw(`{"type":"b","content":{}}`)))
		p.Must("AddRoomAccountData", c.AddRoomAccountData(kitchen, odd))
	})
	s.save(func(c *state.Changes) { p.Must("AddAccountData", c.AddAccountData(odd)) })
	s.again(func() {
		is(p, "AccountData", odd)(s.AccountData(p.Ctx, "a"))
		is(p, "AccountData of another type", raw(`{"type":"b","content":{}}`))(s.AccountData(p.Ctx, "b"))
		is(p, "RoomAccountData", odd)(s.RoomAccountData(p.Ctx, kitchen, "a"))
		is(p, "RoomAccountData of another type", none)(s.RoomAccountData(p.Ctx, kitchen, "b"))
		is(p, "RoomAccountData of another room", none)(s.RoomAccountData(p.Ctx, garden, "a"))
	})
}

func casePresence(p *probe) {
	s := p.open()
	presence := func(user id.UserID, n int) json.RawMessage {
		return raw(`{"type":"m.presence","sender":%q,"n":%d}`, user, n)
	}
	for n := range 2 {
		s.save(func(c *state.Changes) {
			for _, user := range []id.UserID{alice, bob}[:2-n] {
				p.Must("AddPresence", c.AddPresence(presence(user, n)))
			}
		})
	}
	s.again(func() {
		is(p, "Presence", presence(alice, 1))(s.Presence(p.Ctx, alice))
		is(p, "Presence of somebody unknown", json.RawMessage(nil))(s.Presence(p.Ctx, carol))
		is(p, "Presences", []json.RawMessage{presence(bob, 0), presence(alice, 1)})(s.Presences(p.Ctx, []id.UserID{bob, carol, alice, bob}))
		is(p, "Presences of nobody", []json.RawMessage(nil))(s.Presences(p.Ctx, nil))
	})
}

func caseStateEvents(p *probe) {
	s := p.open()
	levels := stateOf("$levels", "m.room.power_levels", "", me, `{"users":{"@me:example.org":100}}`)
	got, err := state.ReadState[event.PowerLevelsEventContent](p.Ctx, s, kitchen, event.StatePowerLevels)
	p.Must("ReadState", err)
	if got != nil {
		p.Broken("there are power levels in a room that nobody knows")
	}
	own := func(key string, n int) json.RawMessage { return stateOf("", "own", key, me, raw2(n)) }
	s.save(func(c *state.Changes) {
		add(c, kitchen, levels, own("b", 1), own("a", 1), own("", 1))
		add(c, garden, own("a", 7))
	})
	s.save(func(c *state.Changes) { add(c, kitchen, own("a", 2), own("c", 2)) })
	event := func(key string, n int) state.StateEvent {
		return state.StateEvent{Type: "own", StateKey: key, Raw: own(key, n)}
	}
	s.again(func() {
		levels, err := state.ReadState[map[string]any](p.Ctx, s, kitchen, event2("m.room.power_levels"))
		p.Must("ReadState", err)
		if levels == nil {
			p.Broken("there are no power levels")
		}
		found(p, "StateEvent", event("a", 2), true)(s.StateEvent(p.Ctx, kitchen, "own", "a"))
		found(p, "StateEvent of another key", state.StateEvent{}, false)(s.StateEvent(p.Ctx, kitchen, "own", "d"))
		found(p, "StateEvent of another type", state.StateEvent{}, false)(s.StateEvent(p.Ctx, kitchen, "ow", "na"))
		is(p, "StateEvents", []state.StateEvent{event("", 1), event("a", 2), event("b", 1), event("c", 2)})(s.StateEvents(p.Ctx, kitchen, "own"))
		is(p, "StateEvents of another room", []state.StateEvent{event("a", 7)})(s.StateEvents(p.Ctx, garden, "own"))
		is(p, "StateEventsForKeys", []state.StateEvent{event("c", 2), event("", 1), event("a", 2)})(s.StateEventsForKeys(p.Ctx, kitchen, "own", []string{"c", "d", "", "a", "c"}))
		is(p, "StateEventsForKeys without keys", []state.StateEvent(nil))(s.StateEventsForKeys(p.Ctx, kitchen, "own", nil))
	})
}

func raw2(n int) string { return string(raw(`{"n":%d}`, n)) }

func event2(eventType string) event.Type {
	return event.Type{Type: eventType, Class: event.StateEventType}
}

func caseKinds(p *probe) {
	s := p.open()
	kinds := func(what string, want ...bool) {
		events, err := s.StateEvents(p.Ctx, kitchen, "m.room.member")
		p.Must("StateEvents", err)
		page, err := s.Members(p.Ctx, kitchen, 0, state.Page{})
		p.Must("Members", err)
		users, err := s.UserIDs(p.Ctx, kitchen, 0)
		p.Must("UserIDs", err)
		var events2, members2 []bool
		for _, e := range events {
			events2 = append(events2, e.Stripped)
		}
		for _, m := range page.Members {
			members2 = append(members2, m.Stripped)
		}
		if !same(events2, want) || !same(members2, want) || len(users) != len(want) {
			p.Broken("%s: stripped are the events %v, the members %v, of %d; and should be %v", what, events2, members2, len(users), want)
		}
	}
	for _, whole := range []bool{false, true} {
		become := func(c *state.Changes, is state.RoomState) {
			if whole {
				c.AddRoomInfo(state.NewRoomInfo(kitchen, is))
			} else {
				c.Update(kitchen).State = is
			}
		}
		s.save(func(c *state.Changes) {
			become(c, state.Left)
			add(c, kitchen, memberOf(alice, "join", "alice"), stateOf("$t", "m.room.topic", "", me, `{"topic":"secret"}`))
		})
		kinds("a room that was left", false)
		s.save(func(c *state.Changes) {
			become(c, state.Invited)
			addStripped(c, kitchen, memberOf(alice, "join", "alice"))
		})
		s.again(func() {
			kinds("an invite to it", true)
			found(p, "a topic from before the invite", state.StateEvent{}, false)(s.StateEvent(p.Ctx, kitchen, "m.room.topic", ""))
			is(p, "RoomInfos", 1)(part(func(all []*state.RoomInfo) int { return len(all) })(s.RoomInfos(p.Ctx)))
		})
		s.save(func(c *state.Changes) { become(c, state.Joined) })
		kinds("a room that was joined", []bool{}...)
		s.save(func(c *state.Changes) {
			become(c, state.Invited)
			addStripped(c, kitchen, memberOf(alice, "join", "alice"), memberOf(bob, "invite", "bob"))
		})
		s.save(func(c *state.Changes) { add(c, kitchen, memberOf(bob, "join", "bob")) })
		kinds("a state event for an invite", false)
		s.save(func(c *state.Changes) { addStripped(c, kitchen, memberOf(carol, "join", "carol")) })
		kinds("both kinds, in the order of first storing", false, true)
		p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, kitchen))
	}
}

func caseRedactions(p *probe) {
	for version, keepsAliases := range map[string]bool{"1": true, "11": false} {
		p.About("in a room of version "+version, func() {
			s := p.open()
			topic := stateOf("$topic", "m.room.topic", "", me, `{"topic":"secret"}`)
			aliases := stateOf("$aliases", "m.room.aliases", "x", me, `{"aliases":["#a:x"],"more":"secret"}`)
			s.save(func(c *state.Changes) {
				join(c, kitchen, garden)
				add(c, kitchen, stateOf("$create", "m.room.create", "", me, `{"room_version":"`+version+`"}`), topic, aliases, memberOf(alice, "join", "secret"))
				c.AddProfile(kitchen, alice, state.Profile{EventID: "$join of " + id.EventID(alice), Content: event.MemberEventContent{Membership: "join", Displayname: "secret"}})
				add(c, garden, topic)
			})
			found(p, "the topic before", state.StateEvent{Type: "m.room.topic", Raw: topic}, true)(s.StateEvent(p.Ctx, kitchen, "m.room.topic", ""))
			s.save(func(c *state.Changes) {
				for _, evt := range []id.EventID{"$topic", "$aliases", "$join of " + id.EventID(alice), "$unknown"} {
					p.Must("AddRedaction", c.AddRedaction(kitchen, raw(`{"type":"m.room.redaction","event_id":"$why","redacts":%q,"content":{"reason":"r"}}`, evt)))
				}
			})
			s.again(func() {
				e, there, err := s.StateEvent(p.Ctx, kitchen, "m.room.topic", "")
				p.Must("StateEvent", err)
				if !there || !state.IsRedacted(e.Raw) || contains(e.Raw, "secret") || !contains(e.Raw, "$why") {
					p.Broken("the redacted topic is %s", e.Raw)
				}
				e, _, err = s.StateEvent(p.Ctx, kitchen, "m.room.aliases", "x")
				p.Must("StateEvent", err)
				if contains(e.Raw, "#a:x") != keepsAliases || contains(e.Raw, "secret") {
					p.Broken("of the aliases is left %s", e.Raw)
				}
				m, _, err := s.Member(p.Ctx, kitchen, alice)
				p.Must("Member", err)
				if m.DisplayName != "" || m.Membership != "join" {
					p.Broken("the redacted member is %s", show(m))
				}
				prof, _, err := s.Profile(p.Ctx, kitchen, alice)
				p.Must("Profile", err)
				if !prof.Redacted || prof.Content.Displayname != "" {
					p.Broken("the redacted profile is %s", show(prof))
				}
				is(p, "who has the redacted name", []id.UserID(nil))(s.UsersWithDisplayName(p.Ctx, kitchen, "secret"))
				info, err := s.RoomInfo(p.Ctx, kitchen)
				p.Must("RoomInfo", err)
				if info.Topic != "" {
					p.Broken("the room has the redacted topic %q", info.Topic)
				}
				found(p, "the topic with the same id in another room", state.StateEvent{Type: "m.room.topic", Raw: topic}, true)(s.StateEvent(p.Ctx, garden, "m.room.topic", ""))
			})
			// What comes in the same change is redacted, too; what is redacted already stays.
			before, _, err := s.StateEvent(p.Ctx, kitchen, "m.room.topic", "")
			p.Must("StateEvent", err)
			s.save(func(c *state.Changes) {
				add(c, kitchen, stateOf("$name", "m.room.name", "", me, `{"name":"secret"}`))
				c.AddRedaction(kitchen, raw(`{"event_id":"$later","redacts":"$topic"}`))
				c.AddRedaction(kitchen, raw(`{"event_id":"$later","redacts":"$name"}`))
			})
			found(p, "what was redacted twice", before, true)(s.StateEvent(p.Ctx, kitchen, "m.room.topic", ""))
			e, _, err := s.StateEvent(p.Ctx, kitchen, "m.room.name", "")
			p.Must("StateEvent", err)
			if contains(e.Raw, "secret") {
				p.Broken("what came with its redaction is %s", e.Raw)
			}
		})
	}
}

func caseAtomic(p *probe) {
	s := p.open()
	s.save(func(c *state.Changes) {
		c.SyncToken = "before"
		join(c, kitchen)
		add(c, kitchen, stateOf("$odd", "m.room.topic", "", me, `"no object"`), stateOf("$name", "m.room.name", "", me, `{"name":"before"}`))
	})
	before := ask(s.Store, 0)
	whole := func(c *state.Changes) {
		c.SyncToken = "after"
		p.Must("AddAccountData", c.AddAccountData(raw(`{"type":"m.direct","content":{}}`)))
		join(c, "!a:x", "!b:x")
		add(c, "!a:x", memberOf(alice, "join", "Ann"))
		add(c, kitchen, stateOf("$name2", "m.room.name", "", me, `{"name":"after"}`))
		c.AddReceipts("!b:x", state.Receipt{Event: "$1", Type: event.ReceiptTypeRead, User: alice})
		c.UpdateProfile(alice, state.ProfileUpdate{Set: map[string]json.RawMessage{"displayname": raw(`"a"`)}})
	}
	c := &state.Changes{User: me}
	whole(c)
	p.Must("AddRedaction", c.AddRedaction(kitchen, raw(`{"event_id":"$r","redacts":"$odd"}`)))
	err := s.SaveChanges(p.Ctx, c)
	p.Is("SaveChanges with a redaction that cannot be done", err, state.ErrRedaction)
	if r := (*state.RedactionError)(nil); !errors.As(err, &r) || r.Room != kitchen || r.Event != "$odd" {
		p.Broken("the error of a redaction that cannot be done is %v, which does not say where", err)
	}
	s.unchanged("a change with a redaction that cannot be done", before)
	found(p, "the sync token", "before", true)(state.Get(p.Ctx, s, state.SyncToken()))
	e, _, err := s.StateEvent(p.Ctx, kitchen, "m.room.name", "")
	p.Must("StateEvent", err)
	if !contains(e.Raw, "before") {
		p.Broken("a change that was refused has changed the name to %s", e.Raw)
	}
	for _, bad := range badChanges {
		c := &state.Changes{User: me}
		whole(c)
		bad.build(c)
		err := s.SaveChanges(p.Ctx, c)
		p.Is("SaveChanges with "+bad.what, err, bad.want)
		if at := (*state.ChangesError)(nil); !errors.As(err, &at) || at.Field == "" {
			p.Broken("the error of a change with %s is %v, which does not say where", bad.what, err)
		}
	}
	s.unchanged("changes that cannot be stored", before)
	c = &state.Changes{User: me}
	whole(c)
	p.Must("SaveChanges of what was not at fault", s.SaveChanges(p.Ctx, c))
	found(p, "the sync token", "after", true)(state.Get(p.Ctx, s, state.SyncToken()))
}

func caseEmpty(p *probe) {
	s := p.open()
	full(s)
	before := ask(s.Store, 0)
	for _, c := range []*state.Changes{{}, {User: me}, nil, {RoomInfos: map[id.RoomID]*state.RoomInfo{}, State: map[id.RoomID]map[string]map[string]json.RawMessage{"!new:x": {}}}} {
		p.Must("SaveChanges", s.SaveChanges(p.Ctx, c))
	}
	s.unchanged("an empty change", before)
	s.save(func(c *state.Changes) { c.SyncToken = "another" })
	delete(before, askedFor(state.SyncToken().ValueKey))
	s.unchanged("a change that has a token alone", before)
	found(p, "the sync token", "another", true)(state.Get(p.Ctx, s, state.SyncToken()))
}

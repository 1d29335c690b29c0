package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/internal/plain"
)

const room, other id.RoomID = "!room", "!other"

// raw makes a state event. Without an id it has none.
func raw(eventType, key string, eventID id.EventID, sender id.UserID, content string) json.RawMessage {
	evt := map[string]any{"type": eventType, "state_key": key, "sender": sender, "content": json.RawMessage(content)}
	if eventID != "" {
		evt["event_id"] = eventID
	}
	data, err := json.Marshal(evt)
	if err != nil {
		panic(err)
	}
	return data
}

// member makes an m.room.member event that the user has sent himself.
func member(user id.UserID, membership, name string) json.RawMessage {
	return raw("m.room.member", string(user), id.EventID("$"+string(user)+membership+name), user, fmt.Sprintf(`{"membership":%q,"displayname":%q}`, membership, name))
}

type fixture struct {
	*testing.T
	ctx context.Context
	*plain.Store
}

func newFixture(t *testing.T) fixture { return fixture{t, context.Background(), plain.New()} }

// save builds a Changes and saves it.
func (f fixture) save(build func(c *state.Changes)) {
	f.Helper()
	c := &state.Changes{User: "@me:x"}
	build(c)
	if err := f.SaveChanges(f.ctx, c); err != nil {
		f.Fatal(err)
	}
}

func (f fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// stateOf returns whether there is a state event, and whether it is stripped: "", "stripped" or "normal".
func (f fixture) stateOf(room id.RoomID, eventType, key string) string {
	f.Helper()
	e, found, err := f.StateEvent(f.ctx, room, eventType, key)
	f.must(err)
	return map[bool]string{true: map[bool]string{true: "stripped", false: "normal"}[e.Stripped]}[found]
}

func (f fixture) memberOf(room id.RoomID, user id.UserID) string {
	f.Helper()
	m, found, err := f.Member(f.ctx, room, user)
	f.must(err)
	return map[bool]string{true: map[bool]string{true: "stripped ", false: ""}[m.Stripped] + string(m.Membership) + " " + m.DisplayName}[found]
}

func (f fixture) named(room id.RoomID, name string) string {
	f.Helper()
	users, err := f.UsersWithDisplayName(f.ctx, room, name)
	f.must(err)
	return fmt.Sprint(users)
}

func (f fixture) info(room id.RoomID) *state.RoomInfo {
	f.Helper()
	info, err := f.RoomInfo(f.ctx, room)
	f.must(err)
	return info
}

func (f fixture) want(what, got, want string) {
	f.Helper()
	if got != want {
		f.Errorf("%s: %q, and should be %q", what, got, want)
	}
}

func TestStrippedStateGivesWayToTheRealOneAndTheOtherWayRound(t *testing.T) {
	normal := func(c *state.Changes) {
		_ = c.AddState(room, member("@a:x", "join", "A"))
		_ = c.AddState(room, raw("m.room.name", "", "$n", "@a:x", `{"name":"N"}`))
	}
	stripped := func(c *state.Changes) {
		_ = c.AddStripped(room, member("@b:x", "invite", "B"))
		_ = c.AddStripped(room, raw("m.room.topic", "", "", "@a:x", `{"topic":"T"}`))
	}
	with := func(s state.RoomState) func(*state.Changes) {
		return func(c *state.Changes) { c.AddRoomInfo(state.NewRoomInfo(room, s)) }
	}
	update := func(s state.RoomState) func(*state.Changes) {
		return func(c *state.Changes) { c.Update(room).State = s }
	}
	for _, c := range []struct {
		name                                    string
		steps                                   [][]func(*state.Changes)
		nameEvent, topicEvent, memberA, memberB string
	}{
		{"an invite removes what was joined", [][]func(*state.Changes){{normal}, {with(state.Invited)}}, "", "", "", ""},
		{"an invite's update does, too", [][]func(*state.Changes){{normal}, {update(state.Invited)}}, "", "", "", ""},
		{"an invite keeps stripped state", [][]func(*state.Changes){{stripped}, {with(state.Invited)}}, "", "stripped", "", "stripped invite B"},
		{"an invite with its state", [][]func(*state.Changes){{normal}, {with(state.Invited), stripped}}, "", "stripped", "", "stripped invite B"},
		{"joining removes stripped state", [][]func(*state.Changes){{stripped}, {with(state.Joined)}}, "", "", "", ""},
		{"leaving does, too", [][]func(*state.Changes){{stripped}, {update(state.Left)}}, "", "", "", ""},
		{"a knock has its own", [][]func(*state.Changes){{stripped}, {with(state.Knocked), stripped}}, "", "stripped", "", "stripped invite B"},
		{"state events remove stripped ones", [][]func(*state.Changes){{stripped}, {normal}}, "normal", "", "join A", ""},
		{"stripped events alone remove nothing", [][]func(*state.Changes){{normal}, {stripped}}, "normal", "stripped", "join A", "stripped invite B"},
		{"an update without a state removes nothing", [][]func(*state.Changes){{normal}, {stripped}, {update(0)}}, "normal", "stripped", "join A", "stripped invite B"},
		{"both in one change", [][]func(*state.Changes){{normal, stripped}}, "normal", "stripped", "join A", "stripped invite B"},
	} {
		f := newFixture(t)
		for _, step := range c.steps {
			f.save(func(changes *state.Changes) {
				for _, build := range step {
					build(changes)
				}
			})
		}
		f.want(c.name+", name", f.stateOf(room, "m.room.name", ""), c.nameEvent)
		f.want(c.name+", topic", f.stateOf(room, "m.room.topic", ""), c.topicEvent)
		f.want(c.name+", first member", f.memberOf(room, "@a:x"), c.memberA)
		f.want(c.name+", second member", f.memberOf(room, "@b:x"), c.memberB)
	}
}

func TestAMemberEventWithoutAMembershipChangesNoMember(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) { f.must(c.AddState(room, member("@a:x", "join", "A"))) })
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, raw("m.room.member", "@a:x", "$odd", "@a:x", `{"membership":7}`)))
		f.must(c.AddState(room, raw("m.room.member", "", "$odder", "@a:x", `{"membership":"join"}`)))
		c.AddProfile(room, "@a:x", state.Profile{EventID: "$p"})
	})
	f.want("the member", f.memberOf(room, "@a:x"), "join A")
	e, _, err := f.StateEvent(f.ctx, room, "m.room.member", "@a:x")
	f.must(err)
	f.want("its event", string(state.EventID(e.Raw)), "$odd")
	if _, found, err := f.Profile(f.ctx, room, "@a:x"); !found || err != nil {
		t.Errorf("the profile that came along was not stored: %v", err)
	}
}

func TestAGivenProfileIsStoredWithAMemberEventOrWithout(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		c.AddProfile(room, "@a:x", state.Profile{EventID: "$1"})
		c.AddProfile(room, "@b:x", state.Profile{EventID: "$2"})
		c.AddProfile(room, "@c:x", state.Profile{EventID: "$3"})
	})
	f.save(func(c *state.Changes) {
		c.DeleteProfile(room, "@a:x")
		c.DeleteProfile(room, "@b:x")
		c.AddProfile(room, "@b:x", state.Profile{EventID: "$4"})
	})
	for user, want := range map[id.UserID]id.EventID{"@a:x": "", "@b:x": "$4", "@c:x": "$3"} {
		p, _, err := f.Profile(f.ctx, room, user)
		f.must(err)
		f.want("the profile of "+string(user), string(p.EventID), string(want))
	}
}

func TestTheStoreKnowsWhoHasWhichName(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, member("@a:x", "join", "Alice")))
		f.must(c.AddState(room, member("@b:x", "invite", "Аlice"))) // in Cyrillic
		f.must(c.AddState(room, member("@c:x", "leave", "Alice")))
		f.must(c.AddState(room, member("@d:x", "join", "")))
		f.must(c.AddState(other, member("@e:x", "join", "Alice")))
	})
	f.want("who is called Alice", f.named(room, "ALICE"), "[@a:x @b:x]")
	f.want("who has no name", f.named(room, "D"), "[@d:x]")

	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, member("@a:x", "join", "Bob")))
		f.must(c.AddState(room, member("@b:x", "leave", "Alice")))
	})
	f.want("after both have changed", f.named(room, "Alice"), "[]")
	f.want("the new name", f.named(room, "bob"), "[@a:x]")

	// Somebody else speaks about him: his own profile counts.
	f.save(func(c *state.Changes) {
		c.AddProfile(room, "@a:x", state.Profile{Content: event.MemberEventContent{Displayname: "Bob"}})
		f.must(c.AddState(room, raw("m.room.member", "@a:x", "$1", "@admin:x", `{"membership":"invite","displayname":"Fool"}`)))
	})
	f.want("what others call him", f.named(room, "Fool"), "[]")
	f.want("what he calls himself", f.named(room, "Bob"), "[@a:x]")
	f.save(func(c *state.Changes) {
		c.AddProfile(room, "@a:x", state.Profile{Content: event.MemberEventContent{Displayname: "Carl"}})
	})
	f.want("after his profile alone has changed", f.named(room, "Carl"), "[@a:x]")
	f.save(func(c *state.Changes) { c.DeleteProfile(room, "@a:x") })
	f.want("after his profile is gone", f.named(room, "Fool"), "[@a:x]")
	f.want("the name in the profile that is gone", f.named(room, "Carl"), "[]")

	f.save(func(c *state.Changes) { c.Update(room).State = state.Invited })
	f.want("after the room's members are gone", f.named(room, "Fool"), "[]")
}

func TestUsersCanBeGivenForAName(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, member("@m:x", "join", "Alice")))
		c.SetUsersWithName(room, "Alice", "@b:x", "@a:x", "@b:x", "@m:x")
		c.SetUsersWithName(room, "\u200B", "@z:x")
	})
	f.want("given and known", f.named(room, "alice"), "[@a:x @b:x @m:x]")
	f.want("a name of nothing visible", f.named(room, "\u200B"), "[@z:x]")
	f.want("another such name", f.named(room, "\u200B\u200B"), "[]")
	f.save(func(c *state.Changes) { c.SetUsersWithName(room, "ALICE", "@c:x") })
	f.want("replaced", f.named(room, "alice"), "[@c:x @m:x]")
	f.save(func(c *state.Changes) { c.SetUsersWithName(room, "a l i c e"); c.SetUsersWithName(room, "\u200B") })
	f.want("removed", f.named(room, "alice"), "[@m:x]")
	f.want("the invisible one removed", f.named(room, "\u200B"), "[]")
}

func TestARedactionReachesEverythingThatCameFromTheEvent(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		c.Update(room).State = state.Joined
		f.must(c.AddState(room, raw("m.room.create", "", "$c", "@a:x", `{"room_version":"9"}`)))
		f.must(c.AddState(room, raw("m.room.name", "", "$n", "@a:x", `{"name":"Secret"}`)))
		f.must(c.AddState(room, raw("m.room.member", "@a:x", "$m", "@a:x", `{"membership":"join","displayname":"Secret","join_authorised_via_users_server":"@v:x"}`)))
		c.AddProfile(room, "@a:x", state.Profile{EventID: "$m", Content: event.MemberEventContent{Membership: "join", Displayname: "Secret"}})
		f.must(c.AddStripped(room, raw("m.room.topic", "", "$t", "@a:x", `{"topic":"T"}`)))
		f.must(c.AddState(other, raw("m.room.name", "", "$n", "@a:x", `{"name":"Other"}`)))
	})
	f.want("the room's name before", f.info(room).DisplayName.String(), "Secret")
	redaction := func(of string) json.RawMessage {
		return json.RawMessage(`{"type":"m.room.redaction","event_id":"$r","redacts":"` + of + `","content":{}}`)
	}
	f.save(func(c *state.Changes) {
		for _, of := range []string{"$n", "$m", "$t", "$unknown"} {
			f.must(c.AddRedaction(room, redaction(of)))
		}
		f.must(c.AddRedaction("!unknown", redaction("$n")))
	})
	f.want("the room's name after", f.info(room).Name, "")
	f.want("the member", f.memberOf(room, "@a:x"), "join ")
	f.want("who has the name", f.named(room, "Secret"), "[]")
	f.want("who has the name of one without", f.named(room, "a"), "[@a:x]")
	p, _, err := f.Profile(f.ctx, room, "@a:x")
	f.must(err)
	if p.Content.Displayname != "" || !p.Redacted || p.Content.Membership != "join" {
		t.Errorf("the profile came from the event, and is %+v", p)
	}
	e, _, err := f.StateEvent(f.ctx, room, "m.room.member", "@a:x")
	f.must(err)
	want := map[string]any{"membership": "join", "join_authorised_via_users_server": "@v:x"}
	if diff := cmp.Diff(any(want), decoded(t, e.Raw).(map[string]any)["content"]); diff != "" {
		t.Errorf("the room has version 9, and keeps something else (-should +does):\n%s", diff)
	}
	if got := decoded(t, e.Raw).(map[string]any)["unsigned"]; cmp.Diff(any(map[string]any{"redacted_because": decoded(t, redaction("$m"))}), got) != "" {
		t.Errorf("the redaction is not kept with the event: %v", got)
	}
	name, _, err := f.StateEvent(f.ctx, room, "m.room.topic", "")
	f.must(err)
	if state.IsRedacted(name.Raw) {
		t.Error("a stripped event was redacted: its id proves nothing")
	}
	if name, _, _ = f.StateEvent(f.ctx, other, "m.room.name", ""); state.IsRedacted(name.Raw) {
		t.Error("the redaction has reached another room")
	}
	if f.info("!unknown") != nil {
		t.Error("the redaction in an unknown room has made the room known")
	}
}

// The profile is what is left of the user's own word when the event that it came from has been replaced, by his leaving for example.
func TestARedactionReachesTheProfileAlsoWhereTheEventWasReplaced(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		u := c.Update(room)
		u.State, u.Heroes, u.Joined = state.Joined, []state.Hero{{User: "@a:x"}}, ptr[int64](1)
		for user, from := range map[id.UserID]id.EventID{"@a:x": "$1", "@b:x": "$b"} {
			f.must(c.AddState(room, raw("m.room.member", string(user), from, user, `{"membership":"join","displayname":"Secret"}`)))
			c.AddProfile(room, user, state.Profile{EventID: from, Content: event.MemberEventContent{Membership: "join", Displayname: "Secret"}})
		}
		c.AddProfile(other, "@a:x", state.Profile{EventID: "$1", Content: event.MemberEventContent{Membership: "join", Displayname: "Other"}})
	})
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, raw("m.room.member", "@a:x", "$2", "@a:x", `{"membership":"leave"}`)))
	})
	f.save(func(c *state.Changes) {
		f.must(c.AddRedaction(room, json.RawMessage(`{"type":"m.room.redaction","event_id":"$r","redacts":"$1","content":{}}`)))
	})
	profile := func(room id.RoomID, user id.UserID) string {
		p, found, err := f.Profile(f.ctx, room, user)
		f.must(err)
		return fmt.Sprintf("%t %t %s %s %s", found, p.Redacted, p.EventID, p.Content.Membership, p.Content.Displayname)
	}
	f.want("the profile", profile(room, "@a:x"), "true true $1 join ")
	f.want("that of another user", profile(room, "@b:x"), "true false $b join Secret")
	f.want("that in another room", profile(other, "@a:x"), "true false $1 join Other")
	f.want("the member, of whom nothing was redacted", f.memberOf(room, "@a:x"), "leave ")
	f.want("how the room calls who was there", f.info(room).Summary.Heroes[0].Name, "")

	// Whoever speaks of him next: the name is gone.
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, raw("m.room.member", "@a:x", "$3", "@b:x", `{"membership":"invite"}`)))
	})
	f.want("who has the name", f.named(room, "Secret"), "[@b:x]")
}

func TestARedactionWorksOnWhatCameWithItAndOnlyOnce(t *testing.T) {
	f := newFixture(t)
	first := json.RawMessage(`{"type":"m.room.redaction","event_id":"$r1","content":{"redacts":"$n"}}`)
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, raw("m.room.create", "", "$c", "@a:x", `{"room_version":"11"}`)))
		f.must(c.AddState(room, raw("m.room.power_levels", "", "$n", "@a:x", `{"invite":1,"notifications":{}}`)))
		f.must(c.AddRedaction(room, first))
	})
	f.save(func(c *state.Changes) {
		f.must(c.AddRedaction(room, json.RawMessage(`{"type":"m.room.redaction","event_id":"$r2","redacts":"$n"}`)))
	})
	e, _, err := f.StateEvent(f.ctx, room, "m.room.power_levels", "")
	f.must(err)
	evt := decoded(t, e.Raw).(map[string]any)
	if diff := cmp.Diff(map[string]any{"content": map[string]any{"invite": 1.0}, "because": decoded(t, first)},
		map[string]any{"content": evt["content"], "because": evt["unsigned"].(map[string]any)["redacted_because"]}); diff != "" {
		t.Errorf("the version is in the create event that came along, and the first redaction stays (-should +is):\n%s", diff)
	}
}

func TestAFailingRedactionLeavesEverythingAsItWas(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		c.SyncToken = "before"
		f.must(c.AddState(room, json.RawMessage(`{"type":"m.room.name","state_key":"","event_id":"$n","content":"odd"}`)))
	})
	c := &state.Changes{SyncToken: "after"}
	f.must(c.AddState(room, member("@a:x", "join", "A")))
	f.must(c.AddRedaction(room, json.RawMessage(`{"redacts":"$n"}`)))
	err := f.SaveChanges(f.ctx, c)
	var typed *state.RedactionError
	if !errors.As(err, &typed) || typed.Room != room || typed.Event != "$n" {
		t.Fatalf("the error is %v, and should be a *RedactionError that names the event", err)
	}
	f.want("the member", f.memberOf(room, "@a:x"), "")
	token, _, err := state.Get(f.ctx, f, state.SyncToken())
	f.must(err)
	f.want("the token", token, "before")
}

func TestARoomInfoComesIntoBeingByAnUpdateAndCatchesUp(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		f.must(c.AddAccountData(json.RawMessage(`{"type":"m.direct","content":{"@a:x":["` + string(room) + `"]}}`)))
		f.must(c.AddRoomAccountData(room, json.RawMessage(`{"type":"m.tag","content":{"tags":{"m.favourite":{}}}}`)))
		f.must(c.AddState(room, raw("m.room.encryption", "", "$e", "@a:x", `{"algorithm":"m.megolm.v1.aes-sha2"}`)))
		f.must(c.AddState(room, raw("m.room.topic", "", "$t", "@a:x", `{"topic":"old"}`)))
		c.AddReceipts(room, state.Receipt{Event: "$t", Type: "m.read", User: "@a:x"})
		c.Update(room).Recency = 5
	})
	if f.info(room) != nil {
		t.Fatal("there is a RoomInfo, though nobody has said what the user is in the room")
	}
	f.save(func(c *state.Changes) {
		c.Update(room).State = state.Joined
		f.must(c.AddState(room, raw("m.room.topic", "", "$t", "@a:x", `{"topic":"new"}`)))
	})
	want := state.NewRoomInfo(room, state.Joined)
	want.Topic, want.Tags, want.DirectTargets = "new", state.Tags{Favourite: &state.Tag{}}, []id.UserID{"@a:x"}
	want.Encryption, want.EncryptionKnown = &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}, true
	want.DisplayName = state.DisplayName{Kind: state.NameEmpty}
	if diff := cmp.Diff(want, f.info(room)); diff != "" {
		t.Errorf("the new RoomInfo does not know what was stored before (-should +does):\n%s", diff)
	}
}

func TestWhatAnInviteSaysOfARoomIsForgottenInside(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		c.Update(room).State = state.Invited
		f.must(c.AddStripped(room, raw("m.room.name", "", "", "@a:x", `{"name":"Bank"}`)))
		f.must(c.AddStripped(room, raw("m.room.create", "", "", "@a:x", `{"room_version":"1"}`)))
		f.must(c.AddStripped(room, raw("m.room.encryption", "", "", "@a:x", `{"algorithm":"m.megolm.v1.aes-sha2"}`)))
	})
	f.want("the invite", f.info(room).DisplayName.String(), "Bank")
	f.save(func(c *state.Changes) {
		c.Update(room).State = state.Joined
		f.must(c.AddState(room, raw("m.room.create", "", "$c", "@b:x", `{"room_version":"11"}`)))
	})
	f.want("the room", f.info(room).DisplayName.String(), "Empty room")
	f.want("its version", string(f.info(room).RoomVersion()), "11")
	if f.info(room).Encryption == nil {
		t.Error("a room that was called encrypted is not any more: its messages would go out in the clear")
	}

	// Stripped events that were there before the room's information go as well.
	f.save(func(c *state.Changes) {
		f.must(c.AddStripped(other, raw("m.room.name", "", "", "@a:x", `{"name":"Bank"}`)))
	})
	f.save(func(c *state.Changes) { c.Update(other).State = state.Joined })
	f.want("a room that is joined at once", f.info(other).DisplayName.String(), "Empty room")
}

func TestARoomInfoThatIsGivenIsStoredAsItIs(t *testing.T) {
	f := newFixture(t)
	info := fullInfo()
	info.ID = room
	f.save(func(c *state.Changes) {
		c.AddRoomInfo(info)
		f.must(c.AddState(room, raw("m.room.topic", "", "$t", "@a:x", `{"topic":"new"}`)))
	})
	if diff := cmp.Diff(info, f.info(room)); diff != "" {
		t.Errorf("it was given whole, and is another one (-given +stored):\n%s", diff)
	}
	info.Name = "changed by its owner"
	if f.info(room).Name == info.Name {
		t.Error("the store shares it with whoever gave it")
	}
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, raw("m.room.topic", "", "$t", "@a:x", `{"topic":"new"}`)))
	})
	f.want("the topic after a state event alone", f.info(room).Topic, "new")
}

func TestDirectChatsAreWhatTheAccountDataSayLast(t *testing.T) {
	f := newFixture(t)
	targets := func() string {
		return fmt.Sprint(f.info(room).DirectTargets, f.info(other).DirectTargets)
	}
	f.save(func(c *state.Changes) {
		c.Update(room).State, c.Update(other).State = state.Joined, state.Joined
		f.must(c.AddAccountData(json.RawMessage(`{"type":"m.direct","content":{"@b:x":["!room","!gone"],"@a:x":["!room","!room",5],"@c:x":"odd"}}`)))
	})
	f.want("the targets", targets(), "[@a:x @b:x] []")
	if f.info("!gone") != nil {
		t.Error("an unknown room has become known because it is a direct chat")
	}
	f.save(func(c *state.Changes) {
		f.must(c.AddAccountData(json.RawMessage(`{"type":"m.direct","content":{"@a:x":["!other"]}}`)))
	})
	f.want("the targets after the second event", targets(), "[] [@a:x]")
	f.save(func(c *state.Changes) {
		f.must(c.AddAccountData(json.RawMessage(`{"type":"m.push_rules","content":{}}`)))
	})
	f.want("the targets after another event", targets(), "[] [@a:x]")
}

func TestMembersThatAreFetchedAnewTakeThePlaceOfTheOldOnes(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		for user, membership := range map[id.UserID]string{"@a:x": "join", "@b:x": "invite", "@c:x": "leave", "@d:x": "odd"} {
			f.must(c.AddState(room, member(user, membership, "N")))
			f.must(c.AddState(other, member(user, membership, "N")))
		}
	})
	f.save(func(c *state.Changes) {
		c.RemoveMembers = map[id.RoomID]state.Memberships{room: state.Join | state.Leave}
		f.must(c.AddState(room, member("@a:x", "join", "New")))
	})
	for user, want := range map[id.UserID]string{"@a:x": "join New", "@b:x": "invite N", "@c:x": "", "@d:x": "odd N"} {
		f.want(string(user), f.memberOf(room, user), want)
	}
	f.want("the event of a member who was forgotten", f.stateOf(room, "m.room.member", "@c:x"), "")
	f.want("who has the old name", f.named(room, "N"), "[@b:x]")
	f.save(func(c *state.Changes) { c.RemoveMembers = map[id.RoomID]state.Memberships{room: 0} })
	all, err := f.UserIDs(f.ctx, room, 0)
	f.must(err)
	f.want("after all were forgotten", fmt.Sprint(all), "[]")
	f.want("a member of another room", f.memberOf(other, "@a:x"), "join N")
}

func TestARoomIsCalledAfterItsMembers(t *testing.T) {
	f := newFixture(t)
	name := func() string { return f.info(room).DisplayName.String() }
	f.save(func(c *state.Changes) {
		u := c.Update(room)
		u.State, u.Heroes, u.Joined, u.Invited = state.Joined, []state.Hero{{User: "@b:x"}, {User: "@a:x"}}, ptr[int64](5), ptr[int64](0)
		f.must(c.AddState(room, member("@a:x", "join", "Alice")))
	})
	f.want("with heroes, one of whom is known", name(), "b, Alice and 2 others")
	f.save(func(c *state.Changes) { f.must(c.AddState(room, member("@b:x", "join", "Bob"))) })
	f.want("with both", name(), "Bob, Alice and 2 others")
	f.save(func(c *state.Changes) { f.must(c.AddState(room, raw("m.room.name", "", "$n", "@a:x", `{"name":"N"}`))) })
	f.want("with a name", name(), "N")
	f.save(func(c *state.Changes) { f.must(c.AddState(room, raw("m.room.name", "", "$n", "@a:x", `{"name":""}`))) })
	f.want("without it", name(), "Bob, Alice and 2 others")
	f.save(func(c *state.Changes) {
		c.Update(room).Joined = ptr[int64](1)
		f.must(c.AddState(room, member("@a:x", "leave", "Alice")))
	})
	f.want("when nobody is left", name(), "Empty room (was Bob and Alice)")

	// Without a summary the store looks at the members itself.
	f.save(func(c *state.Changes) {
		c.Update(other).State = state.Joined
		f.must(c.AddState(other, member("@me:x", "join", "Me")))
		for i := range 9 {
			f.must(c.AddState(other, member(id.UserID(fmt.Sprintf("@u%d:x", i)), "join", fmt.Sprintf("U%d", i))))
		}
		f.must(c.AddState(other, member("@gone:x", "leave", "Gone")))
	})
	f.want("without a summary", f.info(other).DisplayName.String(), "U0, U1, U2, U3, U4 and 4 others")
	f.save(func(c *state.Changes) {
		for i := range 9 {
			f.must(c.AddState(other, member(id.UserID(fmt.Sprintf("@u%d:x", i)), "ban", fmt.Sprintf("U%d", i))))
		}
	})
	f.want("without a summary, alone", f.info(other).DisplayName.String(), "Empty room (was Gone, U0, U1, U2 and U3)")

	const invite id.RoomID = "!invite"
	f.save(func(c *state.Changes) {
		c.Update(invite).State = state.Invited
		f.must(c.AddStripped(invite, raw("m.room.member", "@me:x", "", "@a:x", `{"membership":"invite"}`)))
		f.must(c.AddStripped(invite, raw("m.room.member", "@a:x", "", "@a:x", `{"membership":"join","displayname":"Alice"}`)))
	})
	f.want("an invite", f.info(invite).DisplayName.String(), "Alice")
}

func TestAHeroIsCalledAsHeIsNowAndByNoNameThatHeHasTakenBack(t *testing.T) {
	named := func(membership, name string) json.RawMessage {
		return raw("m.room.member", "@a:x", "$2", "@a:x", fmt.Sprintf(`{"membership":%q,"displayname":%q}`, membership, name))
	}
	redaction := json.RawMessage(`{"type":"m.room.redaction","event_id":"$r","redacts":"$1","content":{}}`)
	for _, c := range []struct {
		name string
		then []func(*state.Changes)
		want string
	}{
		{"who has another name now", []func(*state.Changes){func(c *state.Changes) { _ = c.AddState(room, named("join", "New")) }}, "New"},
		{"who has none any more", []func(*state.Changes){func(c *state.Changes) { _ = c.AddState(room, named("join", "")) }}, ""},
		{"who was invited again, without a name", []func(*state.Changes){func(c *state.Changes) { _ = c.AddState(room, named("invite", "")) }}, ""},
		{"who has left without a word", []func(*state.Changes){func(c *state.Changes) { _ = c.AddState(room, named("leave", "")) }}, "Old mxc"},
		{"who was forgotten", []func(*state.Changes){func(c *state.Changes) { c.RemoveMembers = map[id.RoomID]state.Memberships{room: 0} }}, "Old mxc"},
		{"whose event was redacted", []func(*state.Changes){func(c *state.Changes) { _ = c.AddRedaction(room, redaction) }}, ""},
		{"whose event was redacted while the room had a name, and who has left then", []func(*state.Changes){
			func(c *state.Changes) { _ = c.AddState(room, raw("m.room.name", "", "$n", "@a:x", `{"name":"N"}`)) },
			func(c *state.Changes) { _ = c.AddRedaction(room, redaction) },
			func(c *state.Changes) {
				_ = c.AddState(room, named("leave", ""))
				_ = c.AddState(room, raw("m.room.name", "", "$n", "@a:x", `{"name":""}`))
			},
		}, ""},
	} {
		f := newFixture(t)
		f.save(func(c *state.Changes) {
			u := c.Update(room)
			u.State, u.Heroes, u.Joined = state.Joined, []state.Hero{{User: "@a:x"}}, ptr[int64](5)
			f.must(c.AddState(room, raw("m.room.member", "@a:x", "$1", "@a:x", `{"membership":"join","displayname":"Old","avatar_url":"mxc"}`)))
		})
		for _, then := range c.then {
			f.save(then)
		}
		hero := f.info(room).Summary.Heroes[0]
		got := hero.Name
		if hero.AvatarURL != "" {
			got += " " + string(hero.AvatarURL)
		}
		f.want("the hero "+c.name, got, c.want)
	}
}

func TestServiceMembersAreThoseOfTheStableEventWhereThereIsOne(t *testing.T) {
	const stable, unstable = "m.member_hints", "io.element.functional_members"
	list := func(eventType, users string) func(*state.Changes) {
		return func(c *state.Changes) {
			content := `{"service_members":[` + users + `]}`
			if users == "-" {
				content = `{}`
			}
			_ = c.AddState(room, raw(eventType, "", id.EventID("$"+eventType), "@a:x", content))
		}
	}
	joined := func(c *state.Changes) { c.Update(room).State = state.Joined }
	for _, c := range []struct {
		name  string
		steps [][]func(*state.Changes)
		want  string
	}{
		{"both at once", [][]func(*state.Changes){{joined, list(stable, `"@s:x"`), list(unstable, `"@u:x"`)}}, "[@s:x]"},
		{"the unstable one later", [][]func(*state.Changes){{joined, list(stable, `"@s:x"`)}, {list(unstable, `"@u:x"`)}}, "[@s:x]"},
		{"the stable one later", [][]func(*state.Changes){{joined, list(unstable, `"@u:x"`)}, {list(stable, `"@s:x"`)}}, "[@s:x]"},
		{"the stable one says nobody", [][]func(*state.Changes){{joined, list(unstable, `"@u:x"`)}, {list(stable, ``)}}, "[]"},
		{"the stable one says nothing any more", [][]func(*state.Changes){{joined, list(unstable, `"@u:x"`)}, {list(stable, `"@s:x"`)}, {list(stable, "-")}}, "[@u:x]"},
		{"neither says anything any more", [][]func(*state.Changes){{joined, list(stable, `"@s:x"`)}, {list(stable, "-")}}, "[]"},
		{"both are there before the room is known", [][]func(*state.Changes){{list(stable, `"@s:x"`)}, {list(unstable, `"@u:x"`)}, {joined}}, "[@s:x]"},
		{"the stable one said nothing before the room is known", [][]func(*state.Changes){{list(stable, "-")}, {list(unstable, `"@u:x"`)}, {joined}}, "[@u:x]"},
	} {
		f := newFixture(t)
		for _, step := range c.steps {
			f.save(func(changes *state.Changes) {
				for _, build := range step {
					build(changes)
				}
			})
		}
		f.want(c.name, fmt.Sprint(f.info(room).ServiceMembers), c.want)
	}
}

func TestWhatIsStoredFirstStaysFirst(t *testing.T) {
	f := newFixture(t)
	users := func() string {
		all, err := f.UserIDs(f.ctx, room, 0)
		f.must(err)
		return fmt.Sprint(all)
	}
	f.save(func(c *state.Changes) {
		for _, user := range []id.UserID{"@c:x", "@b:x", "@d:x"} {
			f.must(c.AddState(room, member(user, "join", "")))
		}
	})
	f.want("those of one change", users(), "[@b:x @c:x @d:x]")
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, member("@a:x", "join", "")))
		f.must(c.AddState(room, member("@c:x", "leave", "")))
	})
	f.want("after the next", users(), "[@b:x @c:x @d:x @a:x]")
}

func TestChangesThatCannotBeStoredAreRefusedWithTheirPlace(t *testing.T) {
	ok := json.RawMessage(`{}`)
	info := func(change func(*state.RoomInfo)) *state.RoomInfo {
		i := state.NewRoomInfo(room, state.Joined)
		change(i)
		return i
	}
	type changes = state.Changes
	for _, c := range []struct {
		changes changes
		field   string
		want    error
	}{
		{changes{SyncToken: "\xff"}, "User, SyncToken", state.ErrNotUTF8},
		{changes{AccountData: map[string]json.RawMessage{"": ok}}, "AccountData", state.ErrNoEventType},
		{changes{AccountData: map[string]json.RawMessage{"a": nil}}, "AccountData", state.ErrNotJSON},
		{changes{AccountData: map[string]json.RawMessage{"\xff": ok}}, "AccountData", state.ErrNotUTF8},
		{changes{RoomAccountData: map[id.RoomID]map[string]json.RawMessage{"": {"a": ok}}}, "RoomAccountData", state.ErrNoRoomID},
		{changes{RoomAccountData: map[id.RoomID]map[string]json.RawMessage{room: {"a": json.RawMessage("[]")}}}, "RoomAccountData", state.ErrNotJSON},
		{changes{Presence: map[id.UserID]json.RawMessage{"": ok}}, "Presence", state.ErrNoUserID},
		{changes{RoomInfos: map[id.RoomID]*state.RoomInfo{room: nil}}, "RoomInfos", state.ErrRoomInfo},
		{changes{RoomInfos: map[id.RoomID]*state.RoomInfo{other: info(func(*state.RoomInfo) {})}}, "RoomInfos", state.ErrRoomInfo},
		{changes{RoomInfos: map[id.RoomID]*state.RoomInfo{room: info(func(i *state.RoomInfo) { i.State = 9 })}}, "RoomInfos", state.ErrRoomInfo},
		{changes{RoomInfos: map[id.RoomID]*state.RoomInfo{room: info(func(*state.RoomInfo) {})}, Updates: map[id.RoomID]*state.RoomUpdate{room: {}}}, "RoomInfos", state.ErrRoomInfo},
		{changes{Updates: map[id.RoomID]*state.RoomUpdate{room: nil}}, "Updates", state.ErrRoomInfo},
		{changes{Updates: map[id.RoomID]*state.RoomUpdate{room: {State: 9}}}, "Updates", state.ErrRoomInfo},
		{changes{Updates: map[id.RoomID]*state.RoomUpdate{room: {PrevBatch: "\xff"}}}, "Updates", state.ErrNotUTF8},
		{changes{Updates: map[id.RoomID]*state.RoomUpdate{room: {Latest: &state.LatestEvent{Raw: json.RawMessage("{")}}}}, "Updates", state.ErrNotJSON},
		{changes{RemoveMembers: map[id.RoomID]state.Memberships{"": 0}}, "RemoveMembers", state.ErrNoRoomID},
		{changes{DeleteProfiles: map[id.RoomID][]id.UserID{room: {""}}}, "DeleteProfiles", state.ErrNoUserID},
		{changes{State: map[id.RoomID]map[string]map[string]json.RawMessage{room: {"": {"": ok}}}}, "State", state.ErrNoEventType},
		{changes{State: map[id.RoomID]map[string]map[string]json.RawMessage{room: {"a": {"\xff": ok}}}}, "State", state.ErrNotUTF8},
		{changes{Stripped: map[id.RoomID]map[string]map[string]json.RawMessage{room: {"a": {"": json.RawMessage(`{"a":}`)}}}}, "Stripped", state.ErrNotJSON},
		{changes{Profiles: map[id.RoomID]map[id.UserID]state.Profile{room: {"@a": {EventID: "\xff"}}}}, "Profiles", state.ErrNotUTF8},
		{changes{Receipts: map[id.RoomID][]state.Receipt{room: {{Type: "m.read", User: "@a"}}}}, "Receipts", state.ErrNoEventID},
		{changes{Receipts: map[id.RoomID][]state.Receipt{room: {{Event: "$e", User: "@a"}}}}, "Receipts", state.ErrNoEventType},
		{changes{Receipts: map[id.RoomID][]state.Receipt{room: {{Event: "$e", Type: "m.read", User: "@a", Thread: state.Thread("\xff")}}}}, "Receipts", state.ErrNotUTF8},
		{changes{Redactions: map[id.RoomID]map[id.EventID]json.RawMessage{room: {"": ok}}}, "Redactions", state.ErrNoEventID},
		{changes{Redactions: map[id.RoomID]map[id.EventID]json.RawMessage{room: {"$e": json.RawMessage("5")}}}, "Redactions", state.ErrNotJSON},
		{changes{AmbiguityMaps: map[id.RoomID]map[string][]id.UserID{room: {"\xff": nil}}}, "AmbiguityMaps", state.ErrNotUTF8},
		{changes{AmbiguityMaps: map[id.RoomID]map[string][]id.UserID{room: {"a": {""}}}}, "AmbiguityMaps", state.ErrNoUserID},
		{changes{GlobalProfiles: map[id.UserID]state.ProfileUpdate{"@a": {Set: map[string]json.RawMessage{"x": nil}}}}, "GlobalProfiles", state.ErrNotJSON},
		{changes{GlobalProfiles: map[id.UserID]state.ProfileUpdate{"": {}}}, "GlobalProfiles", state.ErrNoUserID},
	} {
		err := c.changes.Check()
		var typed *state.ChangesError
		if !errors.Is(err, c.want) || !errors.As(err, &typed) || typed.Field != c.field {
			t.Errorf("%s: the error is %v, and should be a *ChangesError of this field that matches %v", c.field, err, c.want)
		}
		if c.changes.Empty() {
			t.Errorf("%s: a Changes with something in it is called empty", c.field)
		}
	}
	if c := (&changes{User: "@me:x"}); !c.Empty() || c.Check() != nil {
		t.Error("a Changes with nothing in it is not empty, or refused")
	}
}

func TestAnEventIsFiledUnderWhatItSaysOfItself(t *testing.T) {
	var c state.Changes
	for in, want := range map[string]error{
		`{"type":"a","state_key":"k"}`: nil,
		`{"type":"b","state_key":""}`:  nil,
		`{"type":"c"}`:                 state.ErrNoStateKey,
		`{"type":"c","state_key":1}`:   state.ErrNoStateKey,
		`{"state_key":""}`:             state.ErrNoEventType,
		`[]`:                           state.ErrNotJSON,
	} {
		for name, add := range map[string]func(id.RoomID, json.RawMessage) error{"AddState": c.AddState, "AddStripped": c.AddStripped} {
			if err := add(room, json.RawMessage(in)); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s(%s): the error is %v, and should match %v", name, in, err, want)
			}
		}
	}
	for types := range slices.Values([]map[string]map[string]json.RawMessage{c.State[room], c.Stripped[room]}) {
		if len(types) != 2 || types["a"]["k"] == nil || types["b"][""] == nil {
			t.Errorf("the events are filed under %v", types)
		}
	}
	for in, want := range map[string]error{`{"sender":"@a"}`: nil, `{"sender":5}`: state.ErrNoUserID, `5`: state.ErrNotJSON} {
		if err := c.AddPresence(json.RawMessage(in)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("AddPresence(%s): the error is %v, and should match %v", in, err, want)
		}
	}
	for in, want := range map[string]error{`{"redacts":"$a"}`: nil, `{"content":{"redacts":"$b"},"redacts":"$forged"}`: nil, `{"content":{"redacts":5}}`: state.ErrNoEventID, `5`: state.ErrNotJSON} {
		if err := c.AddRedaction(room, json.RawMessage(in)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("AddRedaction(%s): the error is %v, and should match %v", in, err, want)
		}
	}
	if r := c.Redactions[room]; len(r) != 2 || r["$a"] == nil || r["$b"] == nil {
		t.Errorf("the redactions are of %v", r)
	}
	for in, want := range map[string]error{`{"type":"a"}`: nil, `{"type":""}`: state.ErrNoEventType, `5`: state.ErrNotJSON} {
		if err := errors.Join(c.AddAccountData(json.RawMessage(in)), c.AddRoomAccountData(room, json.RawMessage(in))); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("AddAccountData(%s): the error is %v, and should match %v", in, err, want)
		}
	}
	if err := c.Check(); err != nil {
		t.Errorf("what the Add methods have filed is refused: %v", err)
	}
}

func TestSavingDoesNotChangeWhatIsSaved(t *testing.T) {
	f := newFixture(t)
	c := &state.Changes{User: "@me:x", SyncToken: "s"}
	c.Update(room).State = state.Joined
	c.Update(room).Heroes = []state.Hero{{User: "@b:x"}, {User: "@a:x"}}
	f.must(c.AddState(room, member("@a:x", "join", "A")))
	c.SetUsersWithName(room, "x", "@b:x", "@a:x")
	c.AddReceipts(room, state.Receipt{Event: "$e", Type: "m.read", User: "@a:x"})
	before := fmt.Sprintf("%+v %+v", *c, *c.Update(room))
	for range 2 {
		f.must(f.SaveChanges(f.ctx, c))
	}
	if after := fmt.Sprintf("%+v %+v", *c, *c.Update(room)); after != before {
		t.Errorf("a Changes was changed by being saved:\n%s\n%s", before, after)
	}
}

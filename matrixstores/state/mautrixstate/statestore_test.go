package mautrixstate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// save stores a Changes past the Adapter.
func (f *fixture) save(build func(c *state.Changes)) {
	f.Helper()
	c := &state.Changes{User: me}
	build(c)
	f.must(f.store.SaveChanges(f.ctx, c))
}

// TestARoomThatWasEncryptedIsSoAlsoWhereItsStateIsGone: who leaves an encrypted room and is invited to it again sees no encryption event; and
// yet what he sends there must be encrypted.
func TestARoomThatWasEncryptedIsSoAlsoWhereItsStateIsGone(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		for _, r := range []id.RoomID{room, other} {
			c.Update(r).State = state.Joined
			for _, user := range []id.UserID{me, "@a:x"} {
				f.must(c.AddState(r, []byte(fmt.Sprintf(`{"type":"m.room.member","state_key":%q,"sender":%[1]q,"content":{"membership":"join"}}`, user))))
			}
		}
		f.must(c.AddState(room, []byte(`{"type":"m.room.encryption","state_key":"","content":{"algorithm":"m.megolm.v1.aes-sha2"}}`)))
	})
	f.save(func(c *state.Changes) { c.Update(room).State, c.Update(other).State = state.Left, state.Left })
	f.save(func(c *state.Changes) {
		for _, r := range []id.RoomID{room, other} {
			c.Update(r).State = state.Invited
			f.must(c.AddStripped(r, []byte(`{"type":"m.room.member","state_key":"@a:x","sender":"@a:x","content":{"membership":"join"}}`)))
		}
	})
	if e, found, err := f.store.StateEvent(f.ctx, room, event.StateEncryption.Type, ""); found || err != nil {
		t.Fatalf("the encryption event is still there: this tests nothing: %+v (%v)", e, err)
	}
	for r, want := range map[id.RoomID]bool{room: true, other: false, "!unknown": false} {
		encrypted, err := f.IsEncrypted(f.ctx, r)
		f.must(err)
		f.want("that it is encrypted", fmt.Sprint(r, encrypted), fmt.Sprint(r, want))
	}
	shared, err := f.FindSharedRooms(f.ctx, "@a:x")
	f.must(err)
	f.want("the encrypted rooms that both are in", shared, "[!r]")
}

// TestSharedRoomsAmidABigResponseAreFoundWithoutLookingAtEachOfItsRooms: of a response of many rooms a handler asks for those that it shares with a user, as it
// does for each device list that has changed. The store is asked about the rooms in which the user is, and about no other.
func TestSharedRoomsAmidABigResponseAreFoundWithoutLookingAtEachOfItsRooms(t *testing.T) {
	f := newFixture(t)
	syncer := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	asked := map[string]int{}
	counting := false
	fail := f.store.Fail
	f.store.Fail = func(ctx context.Context, operation string) error { // called by the one goroutine that processes
		if counting {
			asked[operation]++
		}
		return fail(ctx, operation)
	}
	enc := `{"type":"m.room.encryption","state_key":"","event_id":"$e","sender":"@a:x","content":{"algorithm":"m.megolm.v1.aes-sha2"}}`
	member := func(user id.UserID, membership string) string {
		return fmt.Sprintf(`{"type":"m.room.member","state_key":%q,"event_id":"$m%[1]s","sender":%[1]q,"content":{"membership":%q}}`, user, membership)
	}
	const many = 500
	f.save(func(c *state.Changes) {
		for _, r := range []id.RoomID{"!stays", "!leaves", "!untouched", "!5"} {
			c.Update(r).State = state.Joined
			f.must(c.AddState(r, []byte(member("@a:x", "join"))))
			f.must(c.AddState(r, []byte(enc)))
		}
	})
	join := map[string]any{}
	add := func(r string, events ...string) {
		raw := make([]json.RawMessage, len(events))
		for i, e := range events {
			raw[i] = json.RawMessage(e)
		}
		join[r] = map[string]any{"state": map[string]any{"events": raw}}
	}
	for i := range many {
		add(fmt.Sprintf("!%d", i), enc, member("@b:x", "join"))
	}
	add("!stays", member("@b:x", "join"))
	add("!leaves", member("@a:x", "leave"))
	add("!comes", enc, member("@a:x", "invite"))
	text, err := json.Marshal(map[string]any{"next_batch": "1", "rooms": map[string]any{"join": join}})
	f.must(err)
	var shared []id.RoomID
	syncer.OnSync(func(ctx context.Context, _ *mautrix.RespSync, _ string) bool {
		counting = true
		shared, err = f.FindSharedRooms(ctx, "@a:x")
		counting = false
		return true
	})
	f.must(syncer.ProcessResponse(f.ctx, response(t, string(text)), ""))
	f.must(err)
	slices.Sort(shared)
	f.want("the shared rooms", shared, "[!5 !comes !stays !untouched]")
	total := 0
	for _, n := range asked {
		total += n
	}
	if total == 0 || total > 30 {
		t.Errorf("the store was asked %d times, of %d rooms of which 5 matter: %v", total, many, asked)
	}
}

// TestSettingAMembershipLosesNothingThatIsStoredMeanwhile: SetMembership leaves the rest of what is known of a member, be it stored a moment ago by somebody else, or with a response.
func TestSettingAMembershipLosesNothingThatIsStoredMeanwhile(t *testing.T) {
	const user, rounds = "@a:x", 200
	for how, store := range map[string]func(f *fixture, s *mautrixstate.Syncer, name string){
		"SetMember": func(f *fixture, _ *mautrixstate.Syncer, name string) {
			f.must(f.SetMember(f.ctx, room, user, &event.MemberEventContent{Membership: "join", Displayname: name}))
		},
		"UpdateState": func(f *fixture, _ *mautrixstate.Syncer, name string) {
			f.UpdateState(f.ctx, memberEvent(user, "join", name))
		},
		"a response": func(f *fixture, s *mautrixstate.Syncer, name string) {
			f.must(s.ProcessResponse(f.ctx, response(f.T, `{"next_batch":"n","rooms":{"join":{"!r":{"state":{"events":[
				{"type":"m.room.member","state_key":"@a:x","sender":"@a:x","event_id":"$`+name+`","content":{"membership":"join","displayname":"`+name+`"}}]}}}}}`), ""))
		},
	} {
		f := newFixture(t)
		fail := f.store.Fail
		f.store.Fail = func(ctx context.Context, operation string) error {
			runtime.Gosched() // so that what can come in between does
			return fail(ctx, operation)
		}
		s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() {
			defer close(done)
			for {
				for _, m := range []event.Membership{"leave", "join"} {
					select {
					case <-stop:
						return
					default:
					}
					if err := f.SetMembership(f.ctx, room, user, m); err != nil {
						done <- err
						return
					}
				}
			}
		}()
		lost := 0
		for i := range rounds {
			name := fmt.Sprint("name", i)
			store(f, s, name)
			m, err := f.GetMember(f.ctx, room, user)
			f.must(err)
			if m.Displayname != name {
				lost++
			}
		}
		close(stop)
		f.must(<-done)
		if lost > 0 {
			t.Errorf("of %d names that %s has stored %d were overwritten by older ones", rounds, how, lost)
		}
	}
}

// TestARedactionFindsTheEventOfWhichSomethingIsKept: what was changed without an event still has its content from one, and goes with it.
func TestARedactionFindsTheEventOfWhichSomethingIsKept(t *testing.T) {
	said := event.JoinRulesEventContent{JoinRule: "knock_restricted", Allow: []event.JoinRuleAllow{{Type: "m.room_membership", RoomID: other}}}
	for name, c := range map[string]struct {
		change func(f *fixture) error
		want   string
	}{
		"SetMembership":                  {func(f *fixture) error { return f.SetMembership(f.ctx, room, "@a:x", "leave") }, "leave  "},
		"SetMembership, and still there": {func(f *fixture) error { return f.SetMembership(f.ctx, room, "@a:x", "join") }, "join  "},
		"SetMember, which says the same": {func(f *fixture) error {
			return f.SetMember(f.ctx, room, "@a:x", &event.MemberEventContent{Membership: "join", Displayname: "Secret"})
		}, "join  "},
		"SetMember, which says something else": {func(f *fixture) error {
			return f.SetMember(f.ctx, room, "@a:x", &event.MemberEventContent{Membership: "join", Displayname: "New"})
		}, "join New New"},
		"SetJoinRules, which says the same": {func(f *fixture) error { return f.SetJoinRules(f.ctx, room, &said) }, "join  "},
	} {
		f := newFixture(t)
		rules, err := json.Marshal(said)
		f.must(err)
		f.save(func(c *state.Changes) {
			c.Update(room).State = state.Joined
			f.must(c.AddState(room, []byte(`{"type":"m.room.create","state_key":"","event_id":"$c","sender":"@a:x","content":{"room_version":"6"}}`)))
			f.must(c.AddState(room, []byte(`{"type":"m.room.member","state_key":"@a:x","event_id":"$m","sender":"@a:x","content":{"membership":"join","displayname":"Secret"}}`)))
			f.must(c.AddState(room, []byte(`{"type":"m.room.join_rules","state_key":"","event_id":"$j","sender":"@a:x","content":`+string(rules)+`}`)))
			c.AddProfile(room, "@a:x", state.Profile{EventID: "$m", Content: event.MemberEventContent{Membership: "join", Displayname: "Secret"}})
		})
		f.must(c.change(f))
		f.save(func(c *state.Changes) {
			for _, evt := range []string{"$m", "$j"} {
				f.must(c.AddRedaction(room, []byte(`{"type":"m.room.redaction","event_id":"$r","redacts":"`+evt+`","content":{}}`)))
			}
		})
		m, err := f.GetMember(f.ctx, room, "@a:x")
		f.must(err)
		p, _, err := f.store.Profile(f.ctx, room, "@a:x")
		f.must(err)
		f.want(name+", redacted", fmt.Sprintf("%s %s %s", m.Membership, m.Displayname, p.Content.Displayname), c.want)
		left, err := f.GetJoinRules(f.ctx, room)
		f.must(err)
		f.want(name+", whom the join rules allow", fmt.Sprintf("%s %d", left.JoinRule, len(left.Allow)), "knock_restricted 0")
	}
}

// TestAnInviteKeepsWhatItSaysUntilTheUserComesIn: what is set in a room that is seen from outside only is a part of what is seen there.
func TestAnInviteKeepsWhatItSaysUntilTheUserComesIn(t *testing.T) {
	for name, c := range map[string]struct {
		is     state.RoomState
		change func(f *fixture) error
		keeps  bool
		then   state.RoomState
	}{
		"the invite again": {state.Invited, func(f *fixture) error { return f.SetMembership(f.ctx, room, me, "invite") }, true, state.Invited},
		"somebody else": {state.Invited, func(f *fixture) error {
			return f.SetMember(f.ctx, room, "@b:x", &event.MemberEventContent{Membership: "join"})
		}, true, state.Invited},
		"a list of members": {state.Invited, func(f *fixture) error {
			return f.ReplaceCachedMembers(f.ctx, room, []*event.Event{memberEvent("@b:x", "join", "B")}, "join")
		}, true, state.Invited},
		"join rules": {state.Invited, func(f *fixture) error {
			return f.SetJoinRules(f.ctx, room, &event.JoinRulesEventContent{JoinRule: "public"})
		}, true, state.Invited},
		"a knock at an invite":         {state.Invited, func(f *fixture) error { return f.SetMembership(f.ctx, room, me, "knock") }, true, state.Invited},
		"the knock again":              {state.Knocked, func(f *fixture) error { return f.SetMembership(f.ctx, room, me, "knock") }, true, state.Knocked},
		"an invite to who has knocked": {state.Knocked, func(f *fixture) error { return f.SetMembership(f.ctx, room, me, "invite") }, true, state.Invited},
		"he joins":                     {state.Invited, func(f *fixture) error { return f.SetMembership(f.ctx, room, me, "join") }, false, state.Joined},
		"he refuses":                   {state.Invited, func(f *fixture) error { return f.SetMembership(f.ctx, room, me, "leave") }, false, state.Left},
		"he is banned":                 {state.Knocked, func(f *fixture) error { return f.SetMembership(f.ctx, room, me, "ban") }, false, state.Banned},
	} {
		f := newFixture(t)
		f.save(func(changes *state.Changes) {
			changes.Update(room).State = c.is
			f.must(changes.AddStripped(room, []byte(`{"type":"m.room.name","state_key":"","sender":"@a:x","content":{"name":"Bank"}}`)))
			f.must(changes.AddStripped(room, []byte(`{"type":"m.room.member","state_key":"@me:x","sender":"@a:x","content":{"membership":"invite"}}`)))
		})
		f.must(c.change(f))
		f.want(name+": what it has said is there", f.stored("m.room.name", ""), c.keeps)
		info, err := f.store.RoomInfo(f.ctx, room)
		f.must(err)
		f.want(name+": the room", info.State, c.then)
		wantName := map[bool]string{true: "Bank"}[c.keeps]
		f.want(name+": its name", info.Name, wantName)
	}
}

package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

func TestTypedReadersReadWhatTheTypeSays(t *testing.T) {
	f := newFixture(t)
	f.save(func(c *state.Changes) {
		f.must(c.AddState(room, raw("m.room.topic", "", "$t", "@a:x", `{"topic":"T"}`)))
		f.must(c.AddState(room, member("@a:x", "join", "A")))
		f.must(c.AddState(room, member("@b:x", "leave", "B")))
		f.must(c.AddState(room, raw("m.room.name", "", "$n", "@a:x", `{"name":5}`)))
		f.must(c.AddState(room, json.RawMessage(`{"type":"m.room.avatar","state_key":""}`)))
		f.must(c.AddAccountData(json.RawMessage(`{"type":"m.ignored_user_list","content":{"ignored_users":{"@z:x":{}}}}`)))
		f.must(c.AddRoomAccountData(room, json.RawMessage(`{"type":"m.fully_read","content":{"event_id":"$t"}}`)))
	})
	topic, err := state.ReadState[event.TopicEventContent](f.ctx, f, room, event.StateTopic)
	f.must(err)
	content, err := topic.Content()
	f.must(err)
	f.want("the topic", content.Topic, "T")

	m, err := state.ReadMember(f.ctx, f, room, "@a:x")
	f.must(err)
	who, err := m.Content()
	f.must(err)
	f.want("the member", fmt.Sprintln(who.Membership, who.Displayname, m.Stripped), "join A false\n")

	all, err := state.ReadStates[event.MemberEventContent](f.ctx, f, room, event.StateMember)
	f.must(err)
	f.want("all members", fmt.Sprint(len(all), all[0].StateKey, all[1].StateKey), "2@a:x@b:x")
	some, err := state.ReadStatesForKeys[event.MemberEventContent](f.ctx, f, room, event.StateMember, []string{"@z:x", "@b:x", "@b:x"})
	f.must(err)
	f.want("some members", fmt.Sprint(len(some), some[0].StateKey), "1@b:x")

	ignored, err := state.ReadAccountData[event.IgnoredUserListEventContent](f.ctx, f, event.AccountDataIgnoredUserList)
	f.must(err)
	f.want("account data", fmt.Sprint(ignored.IgnoredUsers), "map[@z:x:{}]")
	read, err := state.ReadRoomAccountData[event.FullyReadEventContent](f.ctx, f, room, event.AccountDataFullyRead)
	f.must(err)
	f.want("a room's account data", string(read.EventID), "$t")

	for _, bad := range []event.Type{event.StateRoomName, event.StateRoomAvatar} {
		e, err := state.ReadState[event.RoomNameEventContent](f.ctx, f, room, bad)
		f.must(err)
		if _, err := e.Content(); !errors.Is(err, state.ErrContent) {
			t.Errorf("the content of %s is read as what it is not: %v", bad.Type, err)
		}
	}
	none, err := state.ReadState[event.TopicEventContent](f.ctx, f, other, event.StateTopic)
	noData, dataErr := state.ReadAccountData[event.FullyReadEventContent](f.ctx, f, event.AccountDataFullyRead)
	if none != nil || err != nil || noData != nil || dataErr != nil {
		t.Errorf("what is not there is read as %v, %v (%v, %v)", none, noData, err, dataErr)
	}
}

func TestOrdersCompareRoomsByWhatTheySay(t *testing.T) {
	a, b := state.NewRoomInfo("!a", state.Joined), state.NewRoomInfo("!b", state.Joined)
	a.Recency, a.Counts, a.DisplayName = 1, state.Counts{Notifications: 2, Highlights: 1}, state.DisplayName{Kind: state.NameGiven, Name: "Zoo"}
	b.Recency, b.Counts, b.DisplayName = 2, state.Counts{Notifications: 1, Highlights: 1}, state.DisplayName{Kind: state.NameGiven, Name: "äh"}
	for o, first := range map[state.Order]string{state.ByRecency: "b", state.ByNotifications: "a", state.ByHighlights: "b", state.ByAge: "", state.ByName: "b"} {
		if got := map[int]string{-1: "a", 0: "", 1: "b"}[o.Compare(a, b)]; got != first || o.Check() != nil {
			t.Errorf("by %v, %q comes first, and should be %q", o, got, first)
		}
		if o.Compare(a, b) != -o.Compare(b, a) || o.Compare(a, a) != 0 {
			t.Errorf("by %v, the order depends on who is asked first", o)
		}
	}
	if err := state.Order(99).Check(); !errors.Is(err, state.ErrOrder) {
		t.Errorf("what is no order is one: %v", err)
	}
}

package memorystore_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// TestStateRedactsAProfileWhoseEventIsGone: a profile is found by the event that it came from, also where another event has replaced that one; and no other profile is.
func TestStateRedactsAProfileWhoseEventIsGone(t *testing.T) {
	ctx := t.Context()
	s, err := memorystore.OpenState(ctx, memorystore.StateConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(ctx) }()
	save := func(build func(c *state.Changes) error) {
		t.Helper()
		c := &state.Changes{}
		if err := build(c); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveChanges(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	const room id.RoomID = "!a"
	save(func(c *state.Changes) error {
		for user, from := range map[id.UserID]id.EventID{"@ann:x": "$1", "@bob:x": "$10", "@cat:x": ""} {
			c.AddProfile(room, user, state.Profile{Content: event.MemberEventContent{Displayname: "Secret"}, EventID: from})
		}
		c.AddProfile("!b", "@ann:x", state.Profile{Content: event.MemberEventContent{Displayname: "Secret"}, EventID: "$1"})
		return c.AddState(room, json.RawMessage(`{"type":"m.room.member","state_key":"@ann:x","event_id":"$2","sender":"@ann:x","content":{"membership":"leave"}}`))
	})
	save(func(c *state.Changes) error {
		return c.AddRedaction(room, json.RawMessage(`{"type":"m.room.redaction","event_id":"$r","redacts":"$1"}`))
	})
	for _, c := range []struct {
		room id.RoomID
		user id.UserID
		want string
	}{{room, "@ann:x", "true "}, {room, "@bob:x", "false Secret"}, {room, "@cat:x", "false Secret"}, {"!b", "@ann:x", "false Secret"}} {
		p, _, err := s.Profile(ctx, c.room, c.user)
		if got := fmt.Sprintf("%t %s", p.Redacted, p.Content.Displayname); err != nil || got != c.want {
			t.Errorf("the profile of %s in %s is %q (%v), and should be %q", c.user, c.room, got, err, c.want)
		}
	}
}

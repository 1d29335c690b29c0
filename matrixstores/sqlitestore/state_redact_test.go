package sqlitestore_test

import (
	"encoding/json"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestStateRedactsAProfileWhoseEventIsGone: a profile is found by the event that it came from, also where another event has replaced that one, or
// the room's state was removed; and no other profile is.
func TestStateRedactsAProfileWhoseEventIsGone(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, key secret.Secret) {
		s := openState(t, engine, key)
		users := []id.UserID{"@ann:x", "@bob:x", "@cat:x", "@dan:x"}
		for _, room := range []id.RoomID{"!a", "!b"} {
			save(t, s, func(c *state.Changes) {
				c.Update(room).State = state.Joined
				for _, user := range users {
					addState(t, c, room, memberEvent(user, "join", "Secret"))
					from := id.EventID("$" + user)
					if user == "@dan:x" {
						from = "" // it is not known
					}
					c.AddProfile(room, user, state.Profile{Content: event.MemberEventContent{Membership: "join", Displayname: "Secret"}, EventID: from})
				}
			})
		}
		save(t, s, func(c *state.Changes) {
			addState(t, c, "!a", stateEvent("m.room.member", "@ann:x", "$left", `{"membership":"leave"}`))
			c.AddProfile("!a", "@bob:x", state.Profile{Content: event.MemberEventContent{Membership: "join", Displayname: "New"}, EventID: "$new"})
		})
		save(t, s, func(c *state.Changes) { c.Update("!b").State = state.Invited })
		save(t, s, func(c *state.Changes) {
			for _, evt := range []string{"$@ann:x", "$@bob:x", "$@dan:x"} {
				redaction := json.RawMessage(`{"type":"m.room.redaction","event_id":"$r","redacts":"` + evt + `"}`)
				must(t, c.AddRedaction("!a", redaction))
				must(t, c.AddRedaction("!b", redaction))
			}
		})
		for room, names := range map[id.RoomID][]string{"!a": {"", "New", "Secret", "Secret"}, "!b": {"", "", "Secret", "Secret"}} {
			for i, user := range users {
				p, found, err := s.Profile(ctx, room, user)
				want(t, "the name in the profile of "+string(user)+" in "+string(room), p.Content.Displayname, names[i], err)
				want(t, "whether it was redacted", p.Redacted, names[i] == "", nil)
				want(t, "found", found, true, nil)
			}
		}
	})
}

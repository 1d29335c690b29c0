package sqlitestore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// statePlans are the statements that read a table from its beginning to its end, and why they may.
var statePlans = map[string]string{
	`SELECT n, row, data FROM room ORDER BY n`: "RoomInfos returns all rooms",
}

// TestStateFindsEverythingByAnIndex: no statement of the state store scans a table that grows, or sorts, with statistics or without. Lists of
// rooms are read along an index that is in their order, and has what they are filtered by.
func TestStateFindsEverythingByAnIndex(t *testing.T) {
	if !withCgo {
		t.Skip("one engine is enough, and the build with cgo runs it")
	}
	engine := &recorder{Engine: fastest(), texts: map[string]bool{}}
	compareWithModel(t, openState(t, engine, secret.Secret{}), 1, 150)
	s := openState(t, engine, key(1))
	fillState(t, s, "!a:x")
	storeMarks(t, s, func(place string) string { return place })
	must(t, s.RemoveRoom(ctx, "!a:x"))
	statements := engine.statements(stateTables)
	if len(statements) < 75 {
		t.Fatalf("only %d statements were seen: the engine does not see them all\n%s", len(statements), strings.Join(statements, "\n"))
	}
	t.Logf("%d statements", len(statements))

	s = openState(t, fastest(), secret.Secret{})
	fillMany(t, s)
	for _, statistics := range []bool{false, true} {
		if statistics {
			must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `ANALYZE`) }))
			must(t, s.Pause(ctx)) // so that every connection reads them
			must(t, s.Resume(ctx))
		}
		t.Run(fmt.Sprint("statistics=", statistics), func(t *testing.T) {
			checkPlans(t, s, statements, statePlans)
			for _, list := range statements {
				if strings.Contains(list, "recency, notifications, highlights, row, data FROM room") {
					checkRoomList(t, s, list)
				}
			}
		})
	}
	for statement := range statePlans {
		if !slices.Contains(statements, statement) {
			t.Errorf("%q is allowed, and does not exist", statement)
		}
	}
}

// checkRoomList fails for a list of rooms that is not read along the index of its order.
func checkRoomList(t *testing.T, s interface {
	View(context.Context, func(*sqlite.Conn) error) error
}, list string) {
	t.Helper()
	order := "INTEGER PRIMARY KEY"
	for _, index := range []string{"recency", "notifications", "highlights"} {
		if strings.Contains(list, "ORDER BY "+index) {
			order = "USING INDEX room_" + index
		}
	}
	must(t, s.View(ctx, func(c *sqlite.Conn) error {
		for r, err := range c.Rows(ctx, "EXPLAIN QUERY PLAN "+list, arguments(list)...) {
			if err != nil {
				return err
			}
			if detail := r.Value(3).(string); !strings.Contains(detail, order) {
				t.Errorf("%s\n\tis answered by: %s\n\twant: %s", list, detail, order)
			}
		}
		return nil
	}))
}

// fillMany fills every table with many rows.
func fillMany(t testing.TB, s stateStoreData) {
	t.Helper()
	c := chance{rand.New(rand.NewPCG(1, 1))}
	for i := range 200 {
		room := id.RoomID(fmt.Sprintf("!%d:x", i))
		if i < 20 {
			fillState(t, s, room)
		}
		save(t, s, func(change *state.Changes) {
			u := change.Update(room)
			u.State, u.Recency, u.Counts = state.Joined, int64(i), &state.Counts{Notifications: int64(i % 7), Highlights: int64(i % 3)}
			for j := range 20 {
				user := id.UserID(fmt.Sprintf("@%d:x", j))
				addState(t, change, room, memberEvent(user, pick(c, []string{"join", "invite", "leave"}), fmt.Sprint("name ", j%5)))
				change.AddReceipts(room, state.Receipt{Event: pick(c, stateIDs), Type: event.ReceiptTypeRead, User: user})
				change.AddProfile(room, user, state.Profile{})
			}
			change.Presence = map[id.UserID]json.RawMessage{id.UserID(room): json.RawMessage(`{}`)}
			change.UpdateProfile(id.UserID(room), state.ProfileUpdate{})
			change.SetUsersWithName(room, fmt.Sprint("name ", i), "@a:x")
		})
	}
}

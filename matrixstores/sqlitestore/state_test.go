package sqlitestore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// onState runs a test on every variant of the state store.
func onState(t *testing.T, test func(t *testing.T, s *sqlitestore.StateStore)) {
	t.Helper()
	onVariants(t, func(t *testing.T, engine sqlite.Engine, key secret.Secret) { test(t, openState(t, engine, key)) })
}

// fastest is the engine for what one engine is enough for.
func fastest() sqlite.Engine {
	if withCgo {
		return mattn.Engine()
	}
	return modernc.Engine()
}

// save builds a Changes, and saves it.
func save(t testing.TB, s state.Saver, build func(c *state.Changes)) {
	t.Helper()
	c := &state.Changes{User: "@me:x"}
	build(c)
	must(t, s.SaveChanges(ctx, c))
}

// stateEvent makes a state event.
func stateEvent(eventType, key string, evt id.EventID, content string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"type":%q,"state_key":%q,"event_id":%q,"sender":%q,"content":%s}`, eventType, key, evt, key, content))
}

// memberEvent makes a member event that the user has sent himself.
func memberEvent(user id.UserID, membership, name string) json.RawMessage {
	return stateEvent("m.room.member", string(user), id.EventID("$"+string(user)), fmt.Sprintf(`{"membership":%q,"displayname":%q}`, membership, name))
}

func addState(t testing.TB, c *state.Changes, room id.RoomID, events ...json.RawMessage) {
	t.Helper()
	for _, raw := range events {
		must(t, c.AddState(room, raw))
	}
}

func addStripped(t testing.TB, c *state.Changes, room id.RoomID, events ...json.RawMessage) {
	t.Helper()
	for _, raw := range events {
		must(t, c.AddStripped(room, raw))
	}
}

func want[T any](t testing.TB, what string, got, want T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is another (-want +got):\n%s", what, diff)
	}
}

// TestStateProfileIsWrittenWithoutAMemberEvent: a profile that was given is stored, with a member event in the same Changes or without (DIV-01).
func TestStateProfileIsWrittenWithoutAMemberEvent(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		p := state.Profile{Content: event.MemberEventContent{Membership: "join", Displayname: "Ann"}, EventID: "$p"}
		save(t, s, func(c *state.Changes) { c.AddProfile("!a", "@ann:x", p) })
		got, found, err := s.Profile(ctx, "!a", "@ann:x")
		want(t, "the profile", got, p, err)
		want(t, "found", found, true, nil)
	})
}

// TestStateGivesWayToTheOtherKind: an Invited room removes the state that is not stripped, any other, and state events, the stripped one (DIV-02).
func TestStateGivesWayToTheOtherKind(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		users := func(when string, wanted ...id.UserID) {
			t.Helper()
			got, err := s.UserIDs(ctx, "!a", 0)
			want(t, "who is known "+when, got, wanted, err)
			events, err := s.StateEvents(ctx, "!a", "m.room.member")
			want(t, "how many member events there are "+when, len(events), len(wanted), err)
		}
		save(t, s, func(c *state.Changes) { addState(t, c, "!a", memberEvent("@ann:x", "join", "Ann")) })
		save(t, s, func(c *state.Changes) {
			c.Update("!a").State = state.Invited
			addStripped(t, c, "!a", memberEvent("@bob:x", "join", "Bob"))
		})
		users("after an invite", "@bob:x")
		save(t, s, func(c *state.Changes) { addState(t, c, "!a", memberEvent("@cat:x", "join", "Cat")) })
		users("after state events", "@cat:x")
		save(t, s, func(c *state.Changes) { addStripped(t, c, "!a", memberEvent("@bob:x", "join", "Bob")) })
		users("with both", "@cat:x", "@bob:x")
		save(t, s, func(c *state.Changes) { c.Update("!a").State = state.Left })
		users("after leaving", "@cat:x")
	})
}

// TestStateNoUsersForANameRemoveTheEntry: DIV-03.
func TestStateNoUsersForANameRemoveTheEntry(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		save(t, s, func(c *state.Changes) { c.SetUsersWithName("!a", "Ann", "@b:x", "@a:x") })
		got, err := s.UsersWithDisplayNames(ctx, "!a", []string{"ann", "Ann", "Bob"})
		want(t, "who has the names", got, map[string][]id.UserID{"ann": {"@a:x", "@b:x"}, "Ann": {"@a:x", "@b:x"}}, err)
		save(t, s, func(c *state.Changes) { c.SetUsersWithName("!a", "ANN") })
		got, err = s.UsersWithDisplayNames(ctx, "!a", []string{"ann", "Ann", "Bob"})
		want(t, "who has the names", got, map[string][]id.UserID{}, err)
		want(t, "the rows of names", count(t, s, "name"), 0, nil)
	})
}

// TestStateStaysOverAPause: a pause and a resume change nothing of what is stored (DIV-04).
func TestStateStaysOverAPause(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		fillState(t, s, "!a:x")
		before := ask(s, 0)
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		want(t, "what is stored", ask(s, 0), before, nil)
	})
}

// TestStateRefusesARequestTwice: a second request with the same room and transaction id is ErrDuplicate, and changes nothing (DIV-05).
func TestStateRefusesARequestTwice(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		r := state.QueuedRequest{TransactionID: "t", Request: &state.RedactionRequest{Redacts: "$1"}, CreatedAt: 7}
		d := state.DependentRequest{TransactionID: "t", Parent: "p", Dependent: &state.RedactEvent{}, CreatedAt: 7}
		must(t, s.SaveRequest(ctx, "!a", r))
		must(t, s.SaveDependent(ctx, "!a", d))
		r2, d2 := r, d
		r2.Request, d2.Parent = &state.RedactionRequest{Redacts: "$2"}, "q"
		wantError(t, "SaveRequest, twice", s.SaveRequest(ctx, "!a", r2), state.ErrDuplicate)
		wantError(t, "SaveDependent, twice", s.SaveDependent(ctx, "!a", d2), state.ErrDuplicate)
		queue, err := s.Requests(ctx, "!a")
		want(t, "the queue", queue, []state.QueuedRequest{r}, err)
		dependents, err := s.Dependents(ctx, "!a")
		want(t, "the dependent requests", dependents, []state.DependentRequest{d}, err)
		must(t, s.SaveRequest(ctx, "!b", r2))
		must(t, s.SaveDependent(ctx, "!b", d2))
	})
}

// TestStateAskingCreatesNothing: questions about rooms, users and types that nobody knows leave no row (DIV-06), nor does a Changes that has nothing to remove.
func TestStateAskingCreatesNothing(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		ask(s, 1)
		save(t, s, func(c *state.Changes) {
			c.DeleteProfile("!a", "@ann:x")
			c.RemoveMembers = map[id.RoomID]state.Memberships{"!a": 0}
			must(t, c.AddRedaction("!a", json.RawMessage(`{"redacts":"$1"}`)))
			c.SetUsersWithName("!a", "Ann")
		})
		must(t, s.RemoveRoom(ctx, "!a"))
		must(t, s.SetRequestError(ctx, "!a", "t", &state.MissingMedia{}))
		for _, table := range stateTables {
			want(t, "the rows of "+table, count(t, s, table), 0, nil)
		}
	})
}

var stateTables = []string{
	"room_id", "type", "kv", "custom", "account_data", "room_account_data", "presence", "global_profile", "room", "state", "member",
	"profile", "receipt", "name", "send_queue", "dependent", "subscription",
}

func count(t testing.TB, s *sqlitestore.StateStore, table string) (n int) {
	t.Helper()
	must(t, s.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n) }))
	return n
}

// fillState puts something into every table.
func fillState(t testing.TB, s stateStoreData, room id.RoomID) {
	t.Helper()
	save(t, s, func(c *state.Changes) {
		c.SyncToken = "token"
		must(t, c.AddAccountData(json.RawMessage(fmt.Sprintf(`{"type":"m.direct","content":{"@bob:x":[%q]}}`, room))))
		must(t, c.AddRoomAccountData(room, json.RawMessage(`{"type":"m.tag","content":{"tags":{"m.favourite":{}}}}`)))
		must(t, c.AddPresence(json.RawMessage(`{"sender":"@bob:x"}`)))
		c.Update(room).State = state.Joined
		c.Update(room).Recency = 5
		addState(t, c, room, memberEvent("@me:x", "join", "me"), memberEvent("@bob:x", "join", "Bob"), stateEvent("m.room.topic", "", "$1", `{"topic":"t"}`))
		addStripped(t, c, room, memberEvent("@ann:x", "invite", "Ann"))
		c.AddProfile(room, "@bob:x", state.Profile{EventID: "$p"})
		c.AddReceipts(room, state.Receipt{Event: "$1", Type: event.ReceiptTypeRead, User: "@bob:x", Timestamp: 3})
		c.SetUsersWithName(room, "Ann", "@bob:x")
		c.UpdateProfile("@bob:x", state.ProfileUpdate{Set: map[string]json.RawMessage{"displayname": json.RawMessage(`"Bob"`)}})
	})
	must(t, s.SetCustomValue(ctx, []byte("k"), []byte("v")))
	must(t, state.Set(ctx, s, state.Draft(room), state.ComposerDraft{PlainText: "draft"}))
	must(t, s.SaveRequest(ctx, room, state.QueuedRequest{TransactionID: "t1", Request: &state.RedactionRequest{Redacts: "$1"}, Error: &state.MissingMedia{}}))
	must(t, s.SaveDependent(ctx, room, state.DependentRequest{TransactionID: "t2", Parent: "t1", Dependent: &state.ReactEvent{Key: "+"}}))
	_, err := s.MarkDependentsReady(ctx, room, "t1", &state.SentEvent{EventID: "$sent"})
	must(t, err)
	must(t, s.SaveSubscriptions(ctx, []state.ThreadSubscription{{Room: room, Root: "$1", Subscription: state.Subscription{Status: state.SubscribedManually}.WithStamp(3)}}))
}

// TestStateRemoveRoomLeavesNothingOfIt: of the room that was removed there is no row, and of the others each.
func TestStateRemoveRoomLeavesNothingOfIt(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		fillState(t, s, "!a:x")
		before := map[string]int{}
		for _, table := range stateTables {
			if before[table] = count(t, s, table); before[table] == 0 {
				t.Errorf("nothing is in %s: the test looks at nothing", table)
			}
		}
		fillState(t, s, "!b:x")
		must(t, s.RemoveRoom(ctx, "!b:x"))
		for _, table := range stateTables {
			want(t, "the rows of "+table, count(t, s, table), before[table], nil)
		}
		info, err := s.RoomInfo(ctx, "!b:x")
		want(t, "what is known of it", info, nil, err)
	})
}

// TestStateChangesAreStoredWholeOrNotAtAll: a Changes whose redaction fails has stored nothing, the token neither.
func TestStateChangesAreStoredWholeOrNotAtAll(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		fillState(t, s, "!a:x")
		before := ask(s, 0)
		c := &state.Changes{SyncToken: "next"}
		must(t, c.AddPresence(json.RawMessage(`{"sender":"@ann:x"}`)))
		c.Update("!b:x").State = state.Joined
		addState(t, c, "!a:x", memberEvent("@new:x", "join", "New"), stateEvent("org.example.broken", "", "$broken", `"no object"`))
		must(t, c.AddRedaction("!a:x", json.RawMessage(`{"redacts":"$broken"}`)))
		err := s.SaveChanges(ctx, c)
		wantError(t, "SaveChanges", err, state.ErrRedaction)
		var failed *state.RedactionError
		if !errors.As(err, &failed) || failed.Room != "!a:x" || failed.Event != "$broken" {
			t.Errorf("SaveChanges returned %v, want a RedactionError that names room and event", err)
		}
		want(t, "what is stored", ask(s, 0), before, nil)

		c.Redactions = nil
		c.Presence[""] = json.RawMessage(`{}`)
		wantError(t, "SaveChanges of a presence without a user", s.SaveChanges(ctx, c), state.ErrNoUserID)
		want(t, "what is stored", ask(s, 0), before, nil)
	})
}

// TestStateStaysInTheFile: what was stored is there after closing, and opening again, and a caller's transaction that is rolled back leaves nothing.
func TestStateStaysInTheFile(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, key secret.Secret) {
		path := filepath.Join(t.TempDir(), "state.db")
		s := openStateAt(t, path, engine, key)
		fillState(t, s, "!a:x")
		before := ask(s, 0)
		failed := errors.New("the caller has changed his mind")
		err := s.Update(ctx, func(c *sqlite.Conn) error {
			fillState(t, s.In(c), "!b:x")
			if info, err := s.In(c).RoomInfo(ctx, "!b:x"); err != nil || info == nil {
				t.Errorf("in the caller's transaction RoomInfo returns %v (%v)", info, err)
			}
			return failed
		})
		wantError(t, "Update", err, failed)
		must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
		must(t, s.Close(ctx))
		want(t, "what is stored", ask(openStateAt(t, path, engine, key), 0), before, nil)
	})
}

// TestStatePagesOfMembers: nobody is missing in pages, or twice, whatever happens between two of them: who has come last comes last, also where others have gone.
func TestStatePagesOfMembers(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		save(t, s, func(c *state.Changes) {
			addState(t, c, "!a", memberEvent("@a:x", "join", "a"), memberEvent("@b:x", "invite", "b"), memberEvent("@c:x", "leave", "c"))
		})
		whole, err := s.Members(ctx, "!a", 0, state.Page{Limit: 3})
		want(t, "what is behind a page that has all", whole.Next, "", err)
		first, err := s.Members(ctx, "!a", 0, state.Page{Limit: 2})
		want(t, "the first page", len(first.Members), 2, err)
		save(t, s, func(c *state.Changes) {
			c.RemoveMembers = map[id.RoomID]state.Memberships{"!a": state.Invite | state.Leave}
			addState(t, c, "!a", memberEvent("@a:x", "ban", "a"), memberEvent("@d:x", "join", "d"))
		})
		second, err := s.Members(ctx, "!a", 0, state.Page{Limit: 2, After: first.Next})
		must(t, err)
		if len(second.Members) != 1 || second.Members[0].User != "@d:x" || second.Next != "" {
			t.Errorf("the second page is %+v, want @d:x alone", second)
		}
	})
}

// TestStateRefusesCursorsFromElsewhere: a cursor is good for the order that it came from, and no text is one.
func TestStateRefusesCursorsFromElsewhere(t *testing.T) {
	s := openState(t, fastest(), secret.Secret{})
	save(t, s, func(c *state.Changes) {
		for _, room := range stateRooms {
			c.Update(room).State = state.Joined
		}
	})
	var cursors []state.Cursor
	for _, order := range allOrders {
		page, err := s.Rooms(ctx, state.RoomFilter{}, order, state.Page{Limit: 1})
		must(t, err)
		cursors = append(cursors, page.Next)
	}
	for i, order := range allOrders {
		for j, cursor := range append(cursors, "m", "\x00", "no cursor", state.MakeCursor('m', 1, "", 1)) {
			_, err := s.Rooms(ctx, state.RoomFilter{}, order, state.Page{After: cursor})
			if i == j {
				must(t, err)
			} else if !errors.Is(err, state.ErrCursor) {
				t.Errorf("Rooms in the order %v with the cursor %q: %v, want ErrCursor", order, cursor, err)
			}
			if _, err := s.Members(ctx, "!none", 0, state.Page{After: cursor}); j < len(cursors) && !errors.Is(err, state.ErrCursor) {
				t.Errorf("Members with the cursor %q: %v, want ErrCursor", cursor, err)
			}
		}
	}
	_, err := s.Rooms(ctx, state.RoomFilter{}, 9, state.Page{})
	wantError(t, "Rooms in no order", err, state.ErrOrder)
}

// TestStateRefusesWhatHasNoName: what lacks an id, or is not UTF-8, is refused by its error, and nothing is stored.
func TestStateRefusesWhatHasNoName(t *testing.T) {
	onState(t, func(t *testing.T, s *sqlitestore.StateStore) {
		request := state.QueuedRequest{TransactionID: "t", Request: &state.RedactionRequest{Redacts: "$1"}}
		dependent := state.DependentRequest{TransactionID: "t", Parent: "p", Dependent: &state.RedactEvent{}}
		sub := state.ThreadSubscription{Room: "!a", Root: "$1", Subscription: state.Subscription{Status: state.Unsubscribed}}
		noKind, noTxn, noRoot, large := request, request, sub, sub
		noKind.Request, noTxn.TransactionID, noRoot.Root, large.Subscription = nil, "", "", sub.WithStamp(1<<63)
		_, ready := s.MarkDependentsReady(ctx, "!a", "p", nil)
		_, updated := s.UpdateRequest(ctx, "!a", "t", nil)
		for what, c := range map[string]struct{ got, want error }{
			"a request without a room":   {s.SaveRequest(ctx, "", request), state.ErrNoRoomID},
			"a request's room":           {s.SaveRequest(ctx, "\xff", request), state.ErrNotUTF8},
			"a request of no kind":       {s.SaveRequest(ctx, "!a", noKind), state.ErrKind},
			"a request without an id":    {s.SaveRequest(ctx, "!a", noTxn), state.ErrNoTransactionID},
			"a dependent without a room": {s.SaveDependent(ctx, "", dependent), state.ErrNoRoomID},
			"a dependent's room":         {s.SaveDependent(ctx, "\xff", dependent), state.ErrNotUTF8},
			"a key of no kind":           {ready, state.ErrKind},
			"an update of no kind":       {updated, state.ErrKind},
			"a thread without a root":    {s.SaveSubscriptions(ctx, []state.ThreadSubscription{sub, noRoot}), state.ErrNoEventID},
			"a stamp that is too large":  {s.SaveSubscriptions(ctx, []state.ThreadSubscription{sub, large}), state.ErrBumpStamp},
			"no key of a value":          {s.SetValue(ctx, state.ValueKey{}, nil), state.ErrValueKey},
			"the key of a value":         {s.SetValue(ctx, state.FilterID("\xff").ValueKey, nil), state.ErrNotUTF8},
			"the room of account data":   {s.SaveChanges(ctx, &state.Changes{RoomAccountData: map[id.RoomID]map[string]json.RawMessage{"": nil}}), state.ErrNoRoomID},
		} {
			wantError(t, what, c.got, c.want)
		}
		for _, table := range stateTables {
			want(t, "the rows of "+table, count(t, s, table), 0, nil)
		}
	})
}

// TestStateTakesAnyNumberOfKeys: a hundred thousand at once, in every method that takes a list, and in a Changes.
func TestStateTakesAnyNumberOfKeys(t *testing.T) {
	s := openState(t, fastest(), key(1))
	many := tier.Count(40_000, 100_000, 100_000) // SQLite allows 32,766 parameters
	users, keys, names := make([]id.UserID, many), make([]string, many), make([]string, many)
	for i := range many {
		users[i] = id.UserID(fmt.Sprintf("@user%06d:x", i))
		keys[i], names[i] = string(users[i]), fmt.Sprintf("zoe %d", i)
	}
	const stored = 1000 // of them, in one Changes
	save(t, s, func(c *state.Changes) {
		for i := range stored {
			n := i * (many / stored)
			addState(t, c, "!a", memberEvent(users[n], "join", names[n]))
			c.AddProfile("!a", users[n], state.Profile{EventID: "$p"})
			c.UpdateProfile(users[n], state.ProfileUpdate{})
			must(t, c.AddPresence(json.RawMessage(`{"sender":"`+keys[n]+`"}`)))
		}
	})
	events, err := s.StateEventsForKeys(ctx, "!a", "m.room.member", keys)
	want(t, "how many state events", len(events), stored, err)
	profiles, err := s.Profiles(ctx, "!a", users)
	want(t, "how many profiles", len(profiles), stored, err)
	globals, err := s.GlobalProfiles(ctx, users)
	want(t, "how many global profiles", len(globals), stored, err)
	presences, err := s.Presences(ctx, users)
	want(t, "how many presences", len(presences), stored, err)
	named, err := s.UsersWithDisplayNames(ctx, "!a", names)
	want(t, "how many names", len(named), stored, err)
}

// TestStateHidesEveryText: no text that was ever stored is in any file of an encrypted store, neither as it is nor in hexadecimal; in a plain one they all are.
func TestStateHidesEveryText(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, key secret.Secret) {
		dir := t.TempDir()
		s := openStateAt(t, filepath.Join(dir, "state.db"), engine, key)
		var marks []string
		mark := func(place string) string {
			text := fmt.Sprintf("Zq%02dXvMark", len(marks))
			marks = append(marks, place+"\x00"+text)
			return text
		}
		storeMarks(t, s, mark)
		content := map[string][]byte{}
		read := func() {
			entries, err := os.ReadDir(dir)
			must(t, err)
			for _, e := range entries {
				b, err := os.ReadFile(filepath.Join(dir, e.Name()))
				must(t, err)
				content[e.Name()] = append(content[e.Name()], b...)
			}
		}
		read()
		must(t, s.Pause(ctx))
		read()
		for _, m := range marks {
			place, text, _ := bytes.Cut([]byte(m), []byte{0})
			found := false
			for name, b := range content {
				if bytes.Contains(b, text) || bytes.Contains(b, fmt.Appendf(nil, "%x", text)) || bytes.Contains(b, fmt.Appendf(nil, "%X", text)) {
					if found = true; !key.None() {
						t.Errorf("%s is in %s in clear", place, name)
					}
				}
			}
			if key.None() && !found {
				t.Errorf("%s is in no file of the plain store: the test looks at nothing", place)
			}
		}
	})
}

// storeMarks stores a text in each place that can have one.
func storeMarks(t *testing.T, s *sqlitestore.StateStore, mark func(place string) string) {
	t.Helper()
	room, user := id.RoomID("!"+mark("room")), id.UserID("@"+mark("user"))
	body := func(place string) string { return `{"` + mark(place+", key") + `":"` + mark(place+", value") + `"}` }
	evt := func(place string, key string) json.RawMessage {
		return stateEvent(mark(place+", type"), key, id.EventID("$"+mark(place+", id")), body(place))
	}
	save(t, s, func(c *state.Changes) {
		c.SyncToken = mark("sync token")
		must(t, c.AddAccountData(evt("account data", "")))
		must(t, c.AddRoomAccountData(room, evt("room account data", "")))
		must(t, c.AddPresence(json.RawMessage(`{"sender":"`+mark("presence, user")+`","content":`+body("presence")+`}`)))
		u := c.Update(room)
		u.State, u.PrevBatch, u.Heroes = state.Joined, mark("prev batch"), []state.Hero{{User: id.UserID(mark("hero"))}}
		u.Latest = &state.LatestEvent{Kind: state.LatestSending, TransactionID: mark("latest event"), Raw: json.RawMessage(body("latest event"))}
		addState(t, c, room, evt("state", mark("state key")), memberEvent(id.UserID(mark("member")), "join", mark("member, name")))
		addStripped(t, c, room, evt("stripped", ""), memberEvent(id.UserID(mark("stripped member")), mark("membership"), ""))
		c.AddProfile(room, id.UserID(mark("profile, user")), state.Profile{EventID: id.EventID(mark("profile, event")), Content: event.MemberEventContent{Displayname: mark("profile, name")}})
		c.AddReceipts(room, state.Receipt{
			Event: id.EventID(mark("receipt, event")), Type: event.ReceiptType(mark("receipt, type")), Thread: state.Thread(id.EventID(mark("receipt, thread"))), User: id.UserID(mark("receipt, user")),
			Extra: map[string]json.RawMessage{mark("receipt, extra"): json.RawMessage(body("receipt, extra"))},
		})
		c.SetUsersWithName(room, "1", id.UserID(mark("name, user")))
		c.UpdateProfile(id.UserID(mark("global profile, user")), state.ProfileUpdate{Set: map[string]json.RawMessage{mark("global profile, field"): json.RawMessage(body("global profile"))}})
	})
	must(t, s.SetCustomValue(ctx, []byte(mark("custom key")), []byte(mark("custom value"))))
	must(t, state.Set(ctx, s, state.FilterID(mark("filter")), mark("filter, id")))
	must(t, state.Set(ctx, s, state.ThreadDraft(id.RoomID(mark("draft, room")), id.EventID(mark("draft, thread"))), state.ComposerDraft{PlainText: mark("draft")}))
	txn := mark("request, transaction")
	must(t, s.SaveRequest(ctx, room, state.QueuedRequest{
		TransactionID: txn, Request: &state.EventRequest{Type: mark("request, type"), Content: json.RawMessage(body("request"))}, Error: &state.OtherWedge{Message: mark("request, error")},
	}))
	must(t, s.SetRequestError(ctx, room, txn, &state.OtherWedge{Message: mark("request, second error")}))
	parent, own := mark("dependent, parent"), mark("dependent, transaction")
	must(t, s.SaveDependent(ctx, room, state.DependentRequest{
		TransactionID: own, Parent: parent, Dependent: &state.ReactEvent{Key: mark("reaction")}, ParentKey: &state.SentEvent{EventID: id.EventID(mark("sent"))},
	}))
	_, err := s.MarkDependentsReady(ctx, room, parent, &state.SentEvent{EventID: id.EventID(mark("sent, again"))})
	must(t, err)
	_, err = s.UpdateDependent(ctx, room, own, &state.ReactEvent{Key: mark("another reaction")})
	must(t, err)
	must(t, s.SaveSubscriptions(ctx, []state.ThreadSubscription{{Room: room, Root: id.EventID(mark("thread")), Subscription: state.Subscription{Status: state.Unsubscribed}}}))
	must(t, state.Set(ctx, s, state.UserAvatar(user), id.ContentURIString(mark("avatar"))))
}

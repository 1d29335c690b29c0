package mautrixstate_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/internal/plain"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

const me id.UserID = "@me:x"

// response reads a sync response as mautrix does.
func response(t testing.TB, text string) *mautrix.RespSync {
	t.Helper()
	var resp mautrix.RespSync
	if err := json.Unmarshal([]byte(text), &resp); err != nil {
		t.Fatal(err)
	}
	return &resp
}

// clean returns JSON that can be compared.
func clean(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const whole = `{"next_batch":"s2",
"account_data":{"events":[{"type":"m.direct","content":{"@a:x":["!j"]}},{"type":"m.push_rules","content":{"global":{}}}]},
"presence":{"events":[{"type":"m.presence","sender":"@a:x","content":{"presence":"online"}}]},
"to_device":{"events":[{"type":"m.room_key","sender":"@a:x","content":{}}]},
"rooms":{
 "join":{"!j":{
   "summary":{"m.heroes":["@a:x","@b:x"],"m.joined_member_count":3,"m.invited_member_count":1},
   "state":{"events":[
     {"type":"m.room.create","state_key":"","event_id":"$c","sender":"@a:x","origin_server_ts":1,"content":{"room_version":"11"}},
     {"type":"m.room.name","state_key":"","event_id":"$n1","sender":"@a:x","content":{"name":"Old","org.x":"<&>"}},
     {"type":"m.room.member","state_key":"@a:x","event_id":"$ma","sender":"@a:x","content":{"membership":"join","displayname":"Alice"}},
     {"type":"m.room.member","state_key":"@b:x","event_id":"$mb","sender":"@a:x","content":{"membership":"invite","displayname":"Fool"}}]},
   "timeline":{"limited":true,"prev_batch":"p1","events":[
     {"type":"m.room.name","state_key":"","event_id":"$n2","sender":"@a:x","origin_server_ts":10,"content":{"name":"New"},"unsigned":{"prev_content":{"name":"Old"}}},
     {"type":"m.room.message","event_id":"$m1","sender":"@a:x","origin_server_ts":20,"content":{"body":"hi"}},
     {"type":"m.room.message","event_id":"$m2","sender":"@a:x","origin_server_ts":30,"content":{"body":"* ho","m.relates_to":{"rel_type":"m.replace","event_id":"$m1"}}},
     {"type":"m.reaction","event_id":"$m3","sender":"@a:x","origin_server_ts":40,"content":{}},
     {"type":"m.room.redaction","event_id":"$r1","sender":"@a:x","origin_server_ts":50,"content":{"redacts":"$n2"}},
     {"type":"m.room.redaction","event_id":"$r2","sender":"@a:x","redacts":"$old","content":{}}]},
   "ephemeral":{"events":[
     {"type":"m.typing","content":{"user_ids":["@a:x"]}},
     {"type":"m.receipt","content":{"$m1":{"m.read":{"@a:x":{"ts":5,"thread_id":"main"}}}}}]},
   "account_data":{"events":[{"type":"m.tag","content":{"tags":{"m.favourite":{"order":0.1}}}}]},
   "unread_notifications":{"highlight_count":1,"notification_count":2}}},
 "invite":{"!i":{"invite_state":{"events":[
     {"type":"m.room.name","state_key":"","sender":"@a:x","content":{"name":"Inv"}},
     {"type":"m.room.member","state_key":"@me:x","sender":"@a:x","origin_server_ts":7,"content":{"membership":"invite"}}]}}},
 "knock":{"!k":{"knock_state":{"events":[{"type":"m.room.name","state_key":"","sender":"@a:x","content":{"name":"Kn"}}]}}},
 "leave":{
   "!l":{"timeline":{"events":[{"type":"m.room.member","state_key":"@me:x","event_id":"$l","sender":"@me:x","content":{"membership":"leave"}}]}},
   "!b":{"state":{"events":[{"type":"m.room.member","state_key":"@me:x","event_id":"$b","sender":"@a:x","content":{"membership":"ban","reason":"spam"}}]}}}}}`

func TestAWholeResponseIsOneChange(t *testing.T) {
	resp := response(t, whole)
	before, err := json.Marshal(resp)
	if err != nil {
		t.Fatal(err)
	}
	c, bad := mautrixstate.FromSync(me, resp)
	if len(bad) > 0 {
		t.Errorf("parts of a good response are left out: %v", bad)
	}
	if after, _ := json.Marshal(resp); string(after) != string(before) {
		t.Error("the response was changed")
	}
	if c.SyncToken != "s2" || c.User != me {
		t.Errorf("the token is %q, the user %q", c.SyncToken, c.User)
	}
	type updates = map[id.RoomID]*state.RoomUpdate
	wantUpdates := updates{
		"!j": {State: state.Joined, Counts: &state.Counts{Notifications: 2, Highlights: 1}, Heroes: []state.Hero{{User: "@a:x"}, {User: "@b:x"}},
			Joined: ptr[int64](3), Invited: ptr[int64](1), PrevBatch: "p1", Synced: state.SyncedFully, MembersMissing: true, EncryptionKnown: true,
			Latest: &state.LatestEvent{Kind: state.LatestRemote, EventID: "$m1", Sender: "@a:x", Timestamp: 20}, Recency: 30, FirstRecency: 50},
		"!i": {State: state.Invited, Recency: 7, Latest: &state.LatestEvent{Kind: state.LatestInvite, Sender: "@a:x", Timestamp: 7}},
		"!k": {State: state.Knocked}, "!l": {State: state.Left}, "!b": {State: state.Banned},
	}
	for _, u := range c.Updates {
		if u.Latest != nil {
			u.Latest.Raw = nil
		}
	}
	if diff := cmp.Diff(wantUpdates, c.Updates); diff != "" {
		t.Errorf("the updates of the rooms (-should +are):\n%s", diff)
	}
	for where, want := range map[string]string{
		clean(t, c.State["!j"]["m.room.name"][""]):                                    `{"content":{"name":"New"},"event_id":"$n2","origin_server_ts":10,"sender":"@a:x","state_key":"","type":"m.room.name","unsigned":{"prev_content":{"name":"Old"}}}`,
		clean(t, c.State["!j"]["m.room.member"]["@b:x"]):                              `{"content":{"displayname":"Fool","membership":"invite"},"event_id":"$mb","sender":"@a:x","state_key":"@b:x","type":"m.room.member"}`,
		clean(t, c.Stripped["!i"]["m.room.name"][""]):                                 `{"content":{"name":"Inv"},"sender":"@a:x","state_key":"","type":"m.room.name"}`,
		clean(t, c.Stripped["!k"]["m.room.name"][""]):                                 `{"content":{"name":"Kn"},"sender":"@a:x","state_key":"","type":"m.room.name"}`,
		clean(t, c.AccountData["m.direct"]):                                           `{"content":{"@a:x":["!j"]},"type":"m.direct"}`,
		clean(t, c.RoomAccountData["!j"]["m.tag"]):                                    `{"content":{"tags":{"m.favourite":{"order":0.1}}},"type":"m.tag"}`,
		clean(t, c.Presence["@a:x"]):                                                  `{"content":{"presence":"online"},"sender":"@a:x","type":"m.presence"}`,
		clean(t, c.Redactions["!j"]["$n2"]):                                           `{"content":{"redacts":"$n2"},"event_id":"$r1","origin_server_ts":50,"sender":"@a:x","type":"m.room.redaction"}`,
		clean(t, c.Redactions["!j"]["$old"]):                                          `{"content":{},"event_id":"$r2","redacts":"$old","sender":"@a:x","type":"m.room.redaction"}`,
		c.Profiles["!j"]["@a:x"].Content.Displayname:                                  "Alice",
		c.Profiles["!j"]["@b:x"].Content.Displayname:                                  "", // others do not name him
		string(c.Receipts["!j"][0].Event) + " " + c.Receipts["!j"][0].Thread.String(): "$m1 main",
	} {
		if where != want {
			t.Errorf("it has\n%s\nand should have\n%s", where, want)
		}
	}
	if err := c.Check(); err != nil {
		t.Errorf("it is refused: %v", err)
	}
}

func TestAResponseIsStoredAndTheNextOneGoesOn(t *testing.T) {
	ctx, s := context.Background(), plain.New()
	save := func(text string) {
		t.Helper()
		c, bad := mautrixstate.FromSync(me, response(t, text))
		if len(bad) > 0 {
			t.Fatalf("%v", bad)
		}
		if err := s.SaveChanges(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	info := func(room id.RoomID) *state.RoomInfo {
		t.Helper()
		i, err := s.RoomInfo(ctx, room)
		if err != nil || i == nil {
			t.Fatalf("the room %q is not known: %v", room, err)
		}
		return i
	}
	save(whole)
	j := info("!j")
	if j.Name != "" || j.DisplayName.String() != "Alice, Fool and 1 other" || j.MembersKnown || len(j.DirectTargets) != 1 || j.Tags.Favourite == nil || j.Recency != 30 {
		t.Errorf("the joined room, whose name was redacted in the same response, is %+v", j)
	}
	if got := info("!i").DisplayName.String(); got != "Inv" {
		t.Errorf("the invite is called %q", got)
	}
	for room, want := range map[id.RoomID]state.RoomState{"!i": state.Invited, "!k": state.Knocked, "!l": state.Left, "!b": state.Banned} {
		if got := info(room).State; got != want {
			t.Errorf("the room %s is %v, and should be %v", room, got, want)
		}
	}
	save(`{"next_batch":"s3","rooms":{"join":{"!i":{"state":{"events":[{"type":"m.room.topic","state_key":"","event_id":"$t","sender":"@a:x","content":{"topic":"T"}}]},
		"timeline":{"events":[{"type":"m.room.member","state_key":"@me:x","event_id":"$j","sender":"@me:x","origin_server_ts":99,"content":{"membership":"join","displayname":"Me"}}]}}}}}`)
	i := info("!i")
	if i.State != state.Joined || i.Name != "" || i.Topic != "T" || i.Recency != 7 {
		t.Errorf("the invite was accepted, and is %+v", i)
	}
	if j := info("!j"); j.Counts.Notifications != 2 || j.Topic != "" || j.Recency != 30 {
		t.Errorf("a room that the second response does not mention has changed: %+v", j)
	}
	if token, _, err := state.Get(ctx, s, state.SyncToken()); err != nil || token != "s3" {
		t.Errorf("the token is %q (%v)", token, err)
	}
}

func TestStateAfterTakesThePlaceOfTheStateInTheTimeline(t *testing.T) {
	c, bad := mautrixstate.FromSync(me, response(t, `{"next_batch":"s","rooms":{"join":{"!j":{
		"state_after":{"events":[{"type":"m.room.name","state_key":"","event_id":"$2","sender":"@a:x","content":{"name":"After"}}]},
		"timeline":{"events":[
		  {"type":"m.room.name","state_key":"","event_id":"$1","sender":"@a:x","content":{"name":"Lost the race"}},
		  {"type":"m.room.topic","state_key":"","event_id":"$3","sender":"@a:x","content":{"topic":"Lost"}},
		  {"type":"m.room.redaction","event_id":"$4","sender":"@a:x","content":{"redacts":"$9"}}]}}}}}`))
	if len(bad) > 0 || len(c.State["!j"]) != 1 || !strings.Contains(string(c.State["!j"]["m.room.name"][""]), "After") {
		t.Errorf("the state is %s (%v)", c.State["!j"], bad)
	}
	if len(c.Redactions["!j"]) != 1 {
		t.Error("the redaction in the timeline is lost")
	}
}

func TestABadEventDoesNotLoseTheOthers(t *testing.T) {
	resp := response(t, `{"next_batch":"s",
	 "account_data":{"events":[null,{"content":{}},{"type":"good","content":null}]},
	 "presence":{"events":[{"type":"m.presence","content":{}},{"type":"m.presence","sender":"@a:x","content":{}}]},
	 "rooms":{"join":{"":{},"!null":null,"!j":{
	   "state":{"events":[null,{"type":"no.key","content":{}},{"state_key":"","content":{}},{"type":"good","state_key":"","content":{}},
	     {"type":"m.room.member","state_key":"@a:x","sender":"@a:x","content":{"membership":{}}},
	     {"type":"m.room.member","state_key":"","sender":"@a:x","content":{"membership":"join"}},
	     {"type":"m.room.name","state_key":"","event_id":"$n","content":{"name":["not a name"]}}]},
	   "timeline":{"events":[{"type":"m.room.redaction","content":{}},null,{"type":"m.room.message","event_id":"$m","origin_server_ts":5,"content":{}}]},
	   "ephemeral":{"events":[{"type":"m.receipt","content":{"$e":{"m.read":{"@a:x":5,"@b:x":{}}}}}]},
	   "account_data":{"events":[{"content":{}},{"type":"good","content":{}}]}}},
	  "invite":{"!i":{"invite_state":{"events":[null,{"type":"good","content":{}},{"type":"good","state_key":"","content":{}}]}}}}}`)
	resp.Rooms.Join["!j"].State.Events = append(resp.Rooms.Join["!j"].State.Events,
		&event.Event{Type: event.StateTopic, StateKey: ptr("\xff"), Content: event.Content{VeryRaw: json.RawMessage(`{}`)}},
		&event.Event{Type: event.StateTopic, StateKey: ptr("x"), Content: event.Content{VeryRaw: json.RawMessage(`{"a"`)}},
		&event.Event{Type: event.StateTopic, StateKey: ptr("y"), Content: event.Content{VeryRaw: json.RawMessage(`[]`)}},
		&event.Event{Type: event.StateTopic, StateKey: ptr("z"), Content: event.Content{Parsed: &event.TopicEventContent{Topic: "built by hand"}}})
	resp.Rooms.Join["!\xff"] = &mautrix.SyncJoinedRoom{}

	c, bad := mautrixstate.FromSync(me, resp)
	if err := c.Check(); err != nil {
		t.Fatalf("what is left is refused: %v", err)
	}
	if len(bad) != 16 {
		t.Errorf("%d parts are left out, and should be 16: %v", len(bad), bad)
	}
	for _, b := range bad {
		if b.Error() == "" || b.Err == nil || !errors.Is(b, b.Err) {
			t.Errorf("what is left out has no reason: %#v", b)
		}
	}
	s := plain.New()
	if err := s.SaveChanges(context.Background(), c); err != nil {
		t.Fatalf("what is left cannot be stored: %v", err)
	}
	for what, is := range map[string]bool{
		"global account data":                   c.AccountData["good"] != nil,
		"presence":                              c.Presence["@a:x"] != nil,
		"state":                                 c.State["!j"]["good"][""] != nil,
		"a state event built by hand":           c.State["!j"]["m.room.topic"]["z"] != nil,
		"a member event that changes no member": c.State["!j"]["m.room.member"]["@a:x"] != nil,
		"a name that is none, as a state event": c.State["!j"]["m.room.name"][""] != nil,
		"the latest event":                      c.Updates["!j"].Latest != nil && c.Updates["!j"].Latest.EventID == "$m",
		"the receipt beside a bad one":          len(c.Receipts["!j"]) == 1,
		"room account data":                     c.RoomAccountData["!j"]["good"] != nil,
		"stripped state":                        c.Stripped["!i"]["good"][""] != nil,
	} {
		if !is {
			t.Errorf("a bad event has lost a good one: %s", what)
		}
	}
	if c, bad := mautrixstate.FromSync(me, nil); !c.Empty() || bad != nil {
		t.Error("no response has something in it")
	}
}

func TestARawEventIsTheContentAsItCameWhateverWasParsed(t *testing.T) {
	var evt event.Event
	if err := json.Unmarshal([]byte(`{"type":"m.room.topic","state_key":"","event_id":"$t","room_id":"!r","content":{"topic":"<T>","org.x":{"b":1,"a":2}}}`), &evt); err != nil {
		t.Fatal(err)
	}
	evt.Type.Class = event.StateEventType
	if err := evt.Content.ParseRaw(evt.Type); err != nil {
		t.Fatal(err)
	}
	evt.Content.Parsed.(*event.TopicEventContent).Topic = "changed by a handler"
	raw, err := mautrixstate.RawEvent(&evt)
	if want := `{"type":"m.room.topic","event_id":"$t","state_key":"","content":{"topic":"<T>","org.x":{"b":1,"a":2}}}`; err != nil || string(raw) != want {
		t.Errorf("the event is\n%s (%v)\nand should be\n%s", raw, err, want)
	}
}

func FuzzFromSync(f *testing.F) {
	f.Add(whole)
	f.Add(`{"rooms":{"join":{"!a":{"state":{"events":[{"type":"m.room.member","state_key":"x","content":{"membership":"join"}}]}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var resp mautrix.RespSync
		if json.Unmarshal([]byte(text), &resp) != nil {
			t.Skip()
		}
		c, _ := mautrixstate.FromSync(me, &resp)
		if err := c.Check(); err != nil {
			t.Fatalf("%s makes a Changes that is refused: %v", text, err)
		}
		if err := plain.New().SaveChanges(context.Background(), c); err != nil {
			t.Fatalf("%s makes a Changes that cannot be stored: %v", text, err)
		}
	})
}

func ptr[T any](v T) *T { return &v }

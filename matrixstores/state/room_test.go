package state_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

func ptr[T any](v T) *T { return &v }

// fullInfo has something in every field.
func fullInfo() *state.RoomInfo {
	return &state.RoomInfo{
		Version: state.RoomInfoVersion, ID: "!r", State: state.Invited, Counts: state.Counts{Notifications: 3, Highlights: 1},
		Summary:      state.Summary{Heroes: []state.Hero{{User: "@a:b", Name: "A", AvatarURL: "mxc://a"}}, Joined: ptr[int64](2), Invited: ptr[int64](0)},
		MembersKnown: true, EncryptionKnown: true, PrevBatch: "p", Synced: state.SyncedFully,
		Latest:  &state.LatestEvent{Kind: state.LatestRemote, EventID: "$e", TransactionID: "t", Sender: "@a:b", Timestamp: 5, Raw: json.RawMessage(`{"a":"<b>"}`)},
		Read:    state.ReadSummary{Unread: 1, Notifications: 2, Mentions: 3, LatestActive: "$e", Pending: []id.EventID{"$f"}},
		Recency: 7, DisplayName: state.DisplayName{Kind: state.NameGiven, Name: "N"},
		Name: "N", Topic: "T", AvatarURL: "mxc://b", CanonicalAlias: "#a:b", AltAliases: []id.RoomAlias{"#c:d"},
		Create:            &state.Create{Version: "12", Type: event.RoomTypeSpace, Creators: []id.UserID{"@a:b"}, Predecessor: &event.Predecessor{RoomID: "!o", EventID: "$o"}, Federated: true},
		JoinRules:         &event.JoinRulesEventContent{JoinRule: "restricted", Allow: []event.JoinRuleAllow{{RoomID: "!s", Type: "m.room_membership"}}},
		HistoryVisibility: "shared", GuestAccess: "forbidden",
		Encryption: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1, RotationPeriodMillis: 1, RotationPeriodMessages: 2},
		Tombstone:  &event.TombstoneEventContent{Body: "gone", ReplacementRoom: "!n"}, Pinned: []id.EventID{"$p"}, ServiceMembers: []id.UserID{"@bot:b"},
		MaxPowerLevel: ptr[int64](100), DirectTargets: []id.UserID{"@a:b"},
		Tags: state.Tags{Favourite: &state.Tag{Order: ptr(0.5)}, LowPriority: &state.Tag{}}, MarkedUnread: true, FullyRead: "$r",
		Extra: map[string]json.RawMessage{"from_the_future": json.RawMessage(`{"x":[1,2]}`)},
	}
}

func TestARoomInfoComesBackFromItsStoredFormWithWhatThisProgramDoesNotKnow(t *testing.T) {
	for _, info := range []*state.RoomInfo{fullInfo(), state.NewRoomInfo("!r", state.Joined)} {
		data, err := info.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back state.RoomInfo
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(info, &back); diff != "" {
			t.Errorf("it comes back as another one (-stored +read):\n%s", diff)
		}
	}

	var back state.RoomInfo
	for in, want := range map[string]error{
		`{"version":2,"room_id":5}`:                   state.ErrNewer,
		`{"version":1,"room_id":"!r","state":"odd"}`:  state.ErrBroken,
		`{"version":1,"room_id":7,"state":"joined"}`:  state.ErrBroken,
		`{"version":1,"room_id":"!r","state":"left"`:  state.ErrBroken,
		`{"version":1,"room_id":"!r","state":"left"}`: nil,
	} {
		err := back.UnmarshalJSON([]byte(in))
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: the error is %v, and should match %v", in, err, want)
		}
	}
	if err := json.Unmarshal([]byte(`{"version":1,"room_id":"!r","state":"left","name":"N","new":"<&>"}`), &back); err != nil || back.Name != "N" || string(back.Extra["new"]) != `"<&>"` {
		t.Errorf("a newer program's field is lost: %+v (%v)", back, err)
	}
	data, err := (&state.RoomInfo{ID: "!r", State: state.Left, Extra: map[string]json.RawMessage{"name": json.RawMessage(`"forged"`)}}).MarshalJSON()
	if err != nil || strings.Contains(string(data), "forged") {
		t.Errorf("an extra field takes the place of a known one: %s (%v)", data, err)
	}
}

func TestARoomInfoThatIsNoneIsRefused(t *testing.T) {
	if err := fullInfo().Check(); err != nil {
		t.Errorf("a whole one is refused: %v", err)
	}
	for _, c := range []struct {
		name   string
		change func(*state.RoomInfo)
		want   error
	}{
		{"no id", func(i *state.RoomInfo) { i.ID = "" }, state.ErrNoRoomID},
		{"no state", func(i *state.RoomInfo) { i.State = 0 }, state.ErrRoomInfo},
		{"no known state", func(i *state.RoomInfo) { i.State = 6 }, state.ErrRoomInfo},
		{"a newer version", func(i *state.RoomInfo) { i.Version++ }, state.ErrRoomInfo},
		{"a bad id", func(i *state.RoomInfo) { i.ID = "!\xff" }, state.ErrNotUTF8},
		{"a bad name", func(i *state.RoomInfo) { i.Name = "\xff" }, state.ErrNotUTF8},
		{"a bad hero", func(i *state.RoomInfo) { i.Summary.Heroes[0].Name = "\xff" }, state.ErrNotUTF8},
		{"a bad algorithm", func(i *state.RoomInfo) { i.Encryption.Algorithm = "\xff" }, state.ErrNotUTF8},
		{"a bad event", func(i *state.RoomInfo) { i.Latest.Raw = json.RawMessage(`{`) }, state.ErrNotJSON},
		{"a bad extra field", func(i *state.RoomInfo) { i.Extra["x"] = nil }, state.ErrNotJSON},
	} {
		info := fullInfo()
		c.change(info)
		if err := info.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: the error is %v, and should match %v", c.name, err, c.want)
		}
	}
	var none *state.RoomInfo
	if err := none.Check(); !errors.Is(err, state.ErrRoomInfo) {
		t.Errorf("nil: the error is %v", err)
	}
}

func evt(eventType, content string) state.StateEvent {
	return state.StateEvent{Type: eventType, Raw: json.RawMessage(`{"type":"` + eventType + `","state_key":"","sender":"@s:x","event_id":"$` + eventType + `","content":` + content + `}`)}
}

func TestARoomInfoFollowsTheStateEvents(t *testing.T) {
	type info = state.RoomInfo
	for _, c := range []struct {
		name  string
		event state.StateEvent
		want  func(*info) // what changes
		then  state.StateEvent
		after func(*info) // what changes by the second event, from the beginning
	}{
		{"name", evt("m.room.name", `{"name":"N"}`), func(i *info) { i.Name = "N" }, evt("m.room.name", `{}`), func(i *info) {}},
		{"name of another type", evt("m.room.name", `{"name":["N"]}`), func(i *info) {}, evt("m.room.name", `5`), func(i *info) {}},
		{"topic", evt("m.room.topic", `{"topic":"T"}`), func(i *info) { i.Topic = "T" }, evt("m.room.topic", `{"topic":""}`), func(i *info) {}},
		{"avatar", evt("m.room.avatar", `{"url":"mxc://a"}`), func(i *info) { i.AvatarURL = "mxc://a" }, evt("m.room.avatar", `{}`), func(i *info) {}},
		{"alias", evt("m.room.canonical_alias", `{"alias":"#a:b","alt_aliases":["#c:d",5]}`),
			func(i *info) { i.CanonicalAlias, i.AltAliases = "#a:b", []id.RoomAlias{"#c:d"} }, evt("m.room.canonical_alias", `{}`), func(i *info) {}},
		{"create", evt("m.room.create", `{"room_version":"9","type":"m.space","creator":"@old:x","m.federate":false,"predecessor":{"room_id":"!o","event_id":"$o"},"additional_creators":["@no:x"]}`),
			func(i *info) {
				i.Create = &state.Create{Version: "9", Type: "m.space", Creators: []id.UserID{"@s:x"}, Predecessor: &event.Predecessor{RoomID: "!o", EventID: "$o"}}
			},
			evt("m.room.create", `{"room_version":"10"}`), // a room is made once
			func(i *info) {
				i.Create = &state.Create{Version: "9", Type: "m.space", Creators: []id.UserID{"@s:x"}, Predecessor: &event.Predecessor{RoomID: "!o", EventID: "$o"}}
			}},
		{"create, version 12", evt("m.room.create", `{"room_version":"12","additional_creators":["@t:x"]}`),
			func(i *info) {
				i.Create = &state.Create{Version: "12", Creators: []id.UserID{"@s:x", "@t:x"}, Federated: true}
			},
			evt("m.room.name", `{}`), func(i *info) {
				i.Create = &state.Create{Version: "12", Creators: []id.UserID{"@s:x", "@t:x"}, Federated: true}
			}},
		{"create, old and poor", state.StateEvent{Type: "m.room.create", Raw: json.RawMessage(`{"content":{"creator":"@old:x"}}`)},
			func(i *info) {
				i.Create = &state.Create{Version: "1", Creators: []id.UserID{"@old:x"}, Federated: true}
			}, evt("m.room.name", `{}`), func(i *info) {
				i.Create = &state.Create{Version: "1", Creators: []id.UserID{"@old:x"}, Federated: true}
			}},
		{"join rules", evt("m.room.join_rules", `{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"!s"},7]}`),
			func(i *info) {
				i.JoinRules = &event.JoinRulesEventContent{JoinRule: "restricted", Allow: []event.JoinRuleAllow{{RoomID: "!s", Type: "m.room_membership"}}}
			}, evt("m.room.join_rules", `{}`), func(i *info) {}},
		{"history visibility", evt("m.room.history_visibility", `{"history_visibility":"joined"}`), func(i *info) { i.HistoryVisibility = "joined" }, evt("m.room.history_visibility", `{}`), func(i *info) {}},
		{"guest access", evt("m.room.guest_access", `{"guest_access":"can_join"}`), func(i *info) { i.GuestAccess = "can_join" }, evt("m.room.guest_access", `{}`), func(i *info) {}},
		{"encryption", evt("m.room.encryption", `{"algorithm":"m.megolm.v1.aes-sha2","rotation_period_ms":5,"rotation_period_msgs":"6"}`),
			func(i *info) {
				i.Encryption, i.EncryptionKnown = &event.EncryptionEventContent{Algorithm: "m.megolm.v1.aes-sha2", RotationPeriodMillis: 5, RotationPeriodMessages: 6}, true
			},
			evt("m.room.encryption", `{}`), // encryption cannot be undone
			func(i *info) {
				i.Encryption, i.EncryptionKnown = &event.EncryptionEventContent{Algorithm: "m.megolm.v1.aes-sha2", RotationPeriodMillis: 5, RotationPeriodMessages: 6}, true
			}},
		{"tombstone", evt("m.room.tombstone", `{"body":"moved","replacement_room":"!n"}`),
			func(i *info) { i.Tombstone = &event.TombstoneEventContent{Body: "moved", ReplacementRoom: "!n"} }, evt("m.room.tombstone", `{}`), func(i *info) {}},
		{"pinned", evt("m.room.pinned_events", `{"pinned":["$a",null,"$b"]}`), func(i *info) { i.Pinned = []id.EventID{"$a", "$b"} }, evt("m.room.pinned_events", `{"pinned":{}}`), func(i *info) {}},
		{"power levels", evt("m.room.power_levels", `{"users":{"@a:b":50,"@c:d":"100","@e:f":[]},"users_default":1}`), func(i *info) { i.MaxPowerLevel = ptr[int64](100) },
			evt("m.room.power_levels", `{"users_default":-5}`), func(i *info) { i.MaxPowerLevel = ptr[int64](-5) }},
		{"power levels beyond all bounds", evt("m.room.power_levels", `{"users":{"@a:b":1e300}}`), func(i *info) { i.MaxPowerLevel = ptr[int64](1<<63 - 1) },
			evt("m.room.power_levels", `{}`), func(i *info) { i.MaxPowerLevel = ptr[int64](0) }},
		{"service members", evt("io.element.functional_members", `{"service_members":["@bot:x"]}`), func(i *info) { i.ServiceMembers = []id.UserID{"@bot:x"} },
			evt("m.member_hints", `{}`), func(i *info) {}},
		{"something else", evt("org.example", `{"name":"x"}`), func(i *info) {}, evt("m.room.member", `{"membership":"join"}`), func(i *info) {}},
		{"another state key", state.StateEvent{Type: "m.room.name", StateKey: "x", Raw: json.RawMessage(`{"content":{"name":"x"}}`)}, func(i *info) {}, evt("m.room.name", `{`), func(i *info) {}},
	} {
		got, want := state.NewRoomInfo("!r", state.Joined), state.NewRoomInfo("!r", state.Joined)
		got.ApplyState(c.event)
		c.want(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-should +is):\n%s", c.name, diff)
		}
		got.ApplyState(c.then)
		want = state.NewRoomInfo("!r", state.Joined)
		c.after(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, after the second event (-should +is):\n%s", c.name, diff)
		}
	}
}

func TestAnUpdateChangesWhatItMentions(t *testing.T) {
	info := fullInfo()
	before := fullInfo()
	info.Apply(state.RoomChanges{Update: &state.RoomUpdate{}})
	if diff := cmp.Diff(before, info); diff != "" {
		t.Errorf("an empty update has changed something (-before +after):\n%s", diff)
	}

	heroes := []state.Hero{{User: "@z:b"}, {User: "@a:b"}}
	info.Apply(state.RoomChanges{Update: &state.RoomUpdate{
		State: state.Left, Counts: &state.Counts{}, Heroes: heroes, Joined: ptr[int64](9), PrevBatch: "q", Synced: state.SyncedPartly,
		MembersMissing: true, Latest: &state.LatestEvent{Kind: state.LatestSending, TransactionID: "t"}, Read: &state.ReadSummary{Unread: 5}, Recency: 6,
	}})
	want := fullInfo()
	want.Name, want.Topic, want.AvatarURL, want.CanonicalAlias, want.AltAliases = "", "", "", "", nil // it was an invite, which anybody may have written
	want.Create, want.JoinRules, want.HistoryVisibility, want.GuestAccess = nil, nil, "", ""
	want.Tombstone, want.Pinned, want.ServiceMembers, want.MaxPowerLevel = nil, nil, nil, nil
	want.State, want.Counts, want.PrevBatch, want.MembersKnown = state.Left, state.Counts{}, "q", false
	want.Summary = state.Summary{Joined: ptr[int64](9), Invited: ptr[int64](0), Heroes: []state.Hero{{User: "@z:b"}, {User: "@a:b", Name: "A", AvatarURL: "mxc://a"}}}
	want.Latest, want.Read = &state.LatestEvent{Kind: state.LatestSending, TransactionID: "t"}, state.ReadSummary{Unread: 5}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("an update has changed something else: what is known of a room and its recency only go up (-should +is):\n%s", diff)
	}
	if heroes[1].Name != "" {
		t.Error("the update itself was changed")
	}

	info.Apply(state.RoomChanges{Update: &state.RoomUpdate{Heroes: []state.Hero{}, Recency: 8, FirstRecency: 20, MembersKnown: true}})
	if len(info.Summary.Heroes) != 0 || info.Recency != 8 || !info.MembersKnown {
		t.Errorf("an empty list of heroes, a newer recency, and that all members are known, come to %+v, %d, %v", info.Summary.Heroes, info.Recency, info.MembersKnown)
	}
}

func TestTheFirstRecencyCountsUntilThereIsAnother(t *testing.T) {
	info := state.NewRoomInfo("!r", state.Joined)
	for _, c := range []struct{ recency, first, want int64 }{{0, -3, 0}, {0, 5, 5}, {0, 9, 5}, {7, 20, 7}, {3, 0, 7}} {
		info.Apply(state.RoomChanges{Update: &state.RoomUpdate{Recency: c.recency, FirstRecency: c.first}})
		if info.Recency != c.want {
			t.Errorf("after %+v the recency is %d", c, info.Recency)
		}
	}
}

func TestARoomInfoFollowsTheAccountData(t *testing.T) {
	type info = state.RoomInfo
	data := func(events ...string) map[string]json.RawMessage {
		m := map[string]json.RawMessage{}
		for i := 0; i < len(events); i += 2 {
			m[events[i]] = json.RawMessage(`{"type":"` + events[i] + `","content":` + events[i+1] + `}`)
		}
		return m
	}
	for _, c := range []struct {
		name string
		c    state.RoomChanges
		want func(*info)
	}{
		{"tags", state.RoomChanges{AccountData: data("m.tag", `{"tags":{"m.favourite":{"order":0.25},"m.lowpriority":{"order":"0.5"},"u.x":{}}}`)},
			func(i *info) {
				i.Tags = state.Tags{Favourite: &state.Tag{Order: ptr(0.25)}, LowPriority: &state.Tag{Order: ptr(0.5)}}
			}},
		{"tags without order", state.RoomChanges{AccountData: data("m.tag", `{"tags":{"m.favourite":null,"m.lowpriority":{"order":[]}}}`)},
			func(i *info) { i.Tags = state.Tags{Favourite: &state.Tag{}, LowPriority: &state.Tag{}} }},
		{"no tags", state.RoomChanges{AccountData: data("m.tag", `{}`)}, func(i *info) {}},
		{"marked unread", state.RoomChanges{AccountData: data("m.marked_unread", `{"unread":true}`)}, func(i *info) { i.MarkedUnread = true }},
		{"marked unread, by its old name", state.RoomChanges{AccountData: data("com.famedly.marked_unread", `{"unread":true}`)}, func(i *info) { i.MarkedUnread = true }},
		{"marked unread, both", state.RoomChanges{AccountData: data("com.famedly.marked_unread", `{"unread":false}`, "m.marked_unread", `{"unread":true}`)}, func(i *info) { i.MarkedUnread = true }},
		{"fully read", state.RoomChanges{AccountData: data("m.fully_read", `{"event_id":"$r"}`)}, func(i *info) { i.FullyRead = "$r" }},
		{"fully read, without an event", state.RoomChanges{AccountData: data("m.fully_read", `{}`)}, func(i *info) {}},
		{"direct", state.RoomChanges{DirectChanged: true, DirectTargets: []id.UserID{"@a:b"}}, func(i *info) { i.DirectTargets = []id.UserID{"@a:b"} }},
		{"nothing of direct", state.RoomChanges{DirectTargets: []id.UserID{"@a:b"}}, func(i *info) {}},
		{"something else", state.RoomChanges{AccountData: data("org.example", `{}`)}, func(i *info) {}},
	} {
		got, want := state.NewRoomInfo("!r", state.Joined), state.NewRoomInfo("!r", state.Joined)
		got.Apply(c.c)
		c.want(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-should +is):\n%s", c.name, diff)
		}
	}
}

func TestTheLatestEventIsRedactedAsAnyOther(t *testing.T) {
	info := state.NewRoomInfo("!r", state.Joined)
	raw := json.RawMessage(`{"type":"m.room.message","event_id":"$e","content":{"body":"secret"}}`)
	info.Latest = &state.LatestEvent{Kind: state.LatestRemote, EventID: "$e", Raw: raw}
	info.Apply(state.RoomChanges{Redactions: map[id.EventID]json.RawMessage{"$other": because}})
	if string(info.Latest.Raw) != string(raw) {
		t.Error("the redaction of another event has changed it")
	}
	info.Apply(state.RoomChanges{Redactions: map[id.EventID]json.RawMessage{"$e": because}})
	if strings.Contains(string(info.Latest.Raw), "secret") || !state.IsRedacted(info.Latest.Raw) || info.Latest.EventID != "$e" {
		t.Errorf("the latest event was redacted, and is %s", info.Latest.Raw)
	}
	info.Latest = &state.LatestEvent{Kind: state.LatestRemote, EventID: "$e", Raw: json.RawMessage(`{"content":"secret"}`)}
	info.Apply(state.RoomChanges{Redactions: map[id.EventID]json.RawMessage{"$e": because}})
	if info.Latest != nil {
		t.Error("the latest event cannot be redacted, and is still there: nothing that was to be redacted may be kept")
	}
}

func TestAFilterLetsRoomsThroughByTheirStateAndFlags(t *testing.T) {
	info := fullInfo()
	all := state.FlagDirect | state.FlagSpace | state.FlagFavourite | state.FlagLowPriority | state.FlagMarkedUnread | state.FlagUnread | state.FlagEncrypted | state.FlagTombstoned
	if got := info.Flags(); got != all {
		t.Errorf("the flags of a room that has everything are %b", got)
	}
	if got := state.NewRoomInfo("!r", state.Joined).Flags(); got != 0 {
		t.Errorf("the flags of a room that has nothing are %b", got)
	}
	unread := state.NewRoomInfo("!r", state.Joined)
	unread.Counts.Notifications = 1
	for _, c := range []struct {
		f    state.RoomFilter
		info *state.RoomInfo
		fits bool
	}{
		{state.RoomFilter{}, info, true},
		{state.RoomFilter{States: state.StatesOf(state.Invited, state.Joined)}, info, true},
		{state.RoomFilter{States: state.StatesOf(state.Joined)}, info, false},
		{state.RoomFilter{With: state.FlagSpace | state.FlagDirect}, info, true},
		{state.RoomFilter{With: state.FlagUnread | state.FlagDirect}, unread, false},
		{state.RoomFilter{With: state.FlagUnread, Without: state.FlagMarkedUnread}, unread, true},
		{state.RoomFilter{Without: state.FlagSpace}, info, false},
	} {
		if got := c.f.Fits(c.info); got != c.fits {
			t.Errorf("the filter %+v lets the room through: %v, and should be %v", c.f, got, c.fits)
		}
	}
}

func TestARoomIsCalledAsTheSpecificationSays(t *testing.T) {
	heroes := func(names ...string) (out []state.Hero) {
		for _, name := range names {
			user, name, named := strings.Cut(name, "=")
			if !named {
				name, user = user, "@"+strings.ToLower(user)+":example.org"
			}
			out = append(out, state.Hero{User: id.UserID(user), Name: name})
		}
		return out
	}
	const me = "@me:example.org"
	for _, c := range []struct {
		name   string
		info   state.RoomInfo
		heroes []state.Hero
		active int64
		kind   state.NameKind
		want   string
	}{
		{"its name", state.RoomInfo{Name: " The Room ", CanonicalAlias: "#a:b"}, heroes("Alice"), 2, state.NameGiven, "The Room"},
		{"its alias", state.RoomInfo{Name: "  ", CanonicalAlias: "#a:b"}, heroes("Alice"), 2, state.NameAlias, "#a:b"},
		{"one", state.RoomInfo{}, heroes("Alice"), 2, state.NameCalculated, "Alice"},
		{"two", state.RoomInfo{}, heroes("Alice", "Bob"), 3, state.NameCalculated, "Alice and Bob"},
		{"three", state.RoomInfo{}, heroes("Alice", "Bob", "Charlie"), 4, state.NameCalculated, "Alice, Bob and Charlie"},
		{"of two with one name", state.RoomInfo{}, heroes("Alice", "@c1:x=Charlie", "@c2:x=charlie"), 4, state.NameCalculated, "Alice, Charlie (@c1:x) and charlie (@c2:x)"},
		{"many", state.RoomInfo{}, heroes("Alice", "Bob"), 1237, state.NameCalculated, "Alice, Bob and 1234 others"},
		{"one more", state.RoomInfo{}, heroes("Alice", "Bob"), 4, state.NameCalculated, "Alice, Bob and 1 other"},
		{"one and many", state.RoomInfo{}, heroes("Alice"), 5, state.NameCalculated, "Alice and 3 others"},
		{"more heroes than members", state.RoomInfo{}, heroes("Alice", "Bob"), 2, state.NameCalculated, "Alice and Bob"},
		{"the first five", state.RoomInfo{}, heroes("A", "B", "C", "D", "E", "F", "G"), 8, state.NameCalculated, "A, B, C, D, E and 2 others"},
		{"without the user", state.RoomInfo{}, heroes("Me", "Alice"), 2, state.NameCalculated, "Alice"},
		{"the user alone", state.RoomInfo{}, heroes("Me"), 1, state.NameEmpty, "Empty room"},
		{"nobody", state.RoomInfo{}, nil, 0, state.NameEmpty, "Empty room"},
		{"who was there", state.RoomInfo{}, heroes("Alice"), 1, state.NameWas, "Empty room (was Alice)"},
		{"two who were there", state.RoomInfo{}, heroes("Alice", "Bob"), 0, state.NameWas, "Empty room (was Alice and Bob)"},
		{"no names", state.RoomInfo{}, nil, 8, state.NameCalculated, "7 others"},
		{"no name", state.RoomInfo{}, nil, 2, state.NameCalculated, "1 other"},
		{"a member without a name", state.RoomInfo{}, heroes("@dan:example.org="), 2, state.NameCalculated, "dan"},
		{"an id that is none", state.RoomInfo{}, heroes("odd="), 2, state.NameCalculated, "odd"},
		{"with a bot", state.RoomInfo{ServiceMembers: []id.UserID{"@bot:example.org"}}, heroes("Bot", "Alice"), 3, state.NameCalculated, "Alice"},
		{"with a bot alone", state.RoomInfo{ServiceMembers: []id.UserID{"@bot:example.org"}}, heroes("Bot"), 2, state.NameEmpty, "Empty room"},
		{"in other scripts", state.RoomInfo{}, heroes("@a:x=אליס", "@b:x=爱丽丝 😀"), 3, state.NameCalculated, "אליס and 爱丽丝 😀"},
	} {
		got := c.info.ComputeDisplayName(me, c.heroes, c.active)
		if got.Kind != c.kind || got.String() != c.want {
			t.Errorf("%s: it is called %q (%s), and should be %q (%s)", c.name, got, got.Kind, c.want, c.kind)
		}
	}
	if got := (state.DisplayName{}).String(); got != "" {
		t.Errorf("a name that was not computed yet reads %q", got)
	}
}

func FuzzApplyState(f *testing.F) {
	for _, eventType := range []string{"m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.encryption", "m.room.pinned_events", "m.room.canonical_alias"} {
		f.Add(eventType, `{"users":{"a":1},"allow":[{}],"pinned":["x"],"predecessor":{},"alias":5}`)
	}
	f.Fuzz(func(t *testing.T, eventType, content string) {
		info := state.NewRoomInfo("!r", state.Joined)
		info.Apply(state.RoomChanges{
			State:       []state.StateEvent{{Type: eventType, Raw: json.RawMessage(`{"content":` + content + `}`)}},
			AccountData: map[string]json.RawMessage{eventType: json.RawMessage(`{"content":` + content + `}`)},
		})
		data, err := json.Marshal(info)
		if err != nil {
			t.Fatalf("%s %s makes a room that cannot be stored: %v", eventType, content, err)
		}
		var back state.RoomInfo
		if err := json.Unmarshal(data, &back); err != nil || cmp.Diff(info, &back) != "" {
			t.Fatalf("%s %s makes a room that comes back as another one (%v):\n%s", eventType, content, err, cmp.Diff(info, &back))
		}
		if err := info.Check(); err != nil {
			t.Fatalf("%s %s makes a room that is refused: %v", eventType, content, err)
		}
	})
}

package state_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

func TestAMemberIsWhatItsEventSaysAsFarAsThatCanBeRead(t *testing.T) {
	for _, c := range []struct {
		name string
		e    state.StateEvent
		want state.Member
		ok   bool
	}{
		{"whole", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{"event_id":"$e","sender":"@c:d","content":{"membership":"invite","displayname":"A","avatar_url":"mxc://x","is_direct":true,"reason":"r"}}`)},
			state.Member{User: "@a:b", Membership: "invite", DisplayName: "A", AvatarURL: "mxc://x", Sender: "@c:d", EventID: "$e", IsDirect: true, Reason: "r"}, true},
		{"stripped, and poor", state.StateEvent{StateKey: "@a:b", Stripped: true, Raw: json.RawMessage(`{"content":{"membership":"join"}}`)},
			state.Member{User: "@a:b", Membership: "join", Stripped: true}, true},
		{"fields of other types", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{"event_id":1,"sender":[],"content":{"membership":"join","displayname":{},"avatar_url":null,"is_direct":"yes","reason":7}}`)},
			state.Member{User: "@a:b", Membership: "join"}, true},
		{"unknown membership", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{"content":{"membership":"hovering"}}`)},
			state.Member{User: "@a:b", Membership: "hovering"}, true},
		{"no membership", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{"content":{}}`)}, state.Member{}, false},
		{"a number", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{"content":{"membership":1}}`)}, state.Member{}, false},
		{"no content", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{}`)}, state.Member{}, false},
		{"a content that is none", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{"content":"join"}`)}, state.Member{}, false},
		{"no user", state.StateEvent{Raw: json.RawMessage(`{"content":{"membership":"join"}}`)}, state.Member{}, false},
		{"no JSON", state.StateEvent{StateKey: "@a:b", Raw: json.RawMessage(`{`)}, state.Member{}, false},
	} {
		m, ok := state.ParseMember(c.e)
		if diff := cmp.Diff(c.want, m); ok != c.ok || diff != "" {
			t.Errorf("%s: it is a member: %v, and should be %v (-should +is):\n%s", c.name, ok, c.ok, diff)
		}
	}
}

func TestNobodyNamesSomebodyElse(t *testing.T) {
	profile := &state.Profile{Content: event.MemberEventContent{Displayname: "Own"}}
	for _, c := range []struct {
		name    string
		m       state.Member
		profile *state.Profile
		want    string
	}{
		{"said by himself", state.Member{User: "@a:b", Sender: "@a:b", DisplayName: "New"}, profile, "New"},
		{"said by another one", state.Member{User: "@a:b", Sender: "@c:d", DisplayName: "Fool"}, profile, "Own"},
		{"said by another one, without a profile", state.Member{User: "@a:b", Sender: "@c:d", DisplayName: "Guest"}, nil, "Guest"},
		{"without a name", state.Member{User: "@a:b", Sender: "@a:b"}, profile, "a"},
		{"with an empty profile", state.Member{User: "@a:b", Sender: "@c:d", DisplayName: "Fool"}, &state.Profile{}, "a"},
	} {
		if got := state.MemberName(&c.m, c.profile); got != c.want {
			t.Errorf("%s: the name is %q, and should be %q", c.name, got, c.want)
		}
	}
}

func TestASetOfMembershipsLetsThroughWhatItNames(t *testing.T) {
	known := []event.Membership{"join", "invite", "knock", "leave", "ban"}
	for filter, want := range map[state.Memberships][]event.Membership{
		0:              append(known, "odd", ""),
		state.Active:   {"join", "invite"},
		state.AnyKnown: known,
		state.Ban:      {"ban"},
		state.MembershipsOf("leave", "odd", "knock"): {"knock", "leave"},
	} {
		var got []event.Membership
		for _, m := range append(known, "odd", "") {
			if filter.Has(m) {
				got = append(got, m)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the filter %v lets others through (-should +does):\n%s", filter, diff)
		}
	}
}

func TestReceiptsAreReadOneByOne(t *testing.T) {
	got, err := state.ParseReceipts(json.RawMessage(`{
		"$2":{"m.read":{"@b:x":{"ts":20,"thread_id":"main"},"@a:x":{"ts":1.5,"thread_id":"$root","org.x":[1]}},"m.read.private":{"@a:x":{}}},
		"$1":{"m.read":{"@a:x":{"ts":"7"},"@bad:x":5,"":{"ts":1}},"":{"@a:x":{}}, "m.odd":[]},
		"":{"m.read":{"@a:x":{}}}, "$3":7}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []state.Receipt{
		{Event: "$1", Type: "m.read", User: "@a:x", Timestamp: 7},
		{Event: "$2", Type: "m.read", Thread: state.Thread("$root"), User: "@a:x", Timestamp: 1, Extra: map[string]json.RawMessage{"org.x": json.RawMessage(`[1]`)}},
		{Event: "$2", Type: "m.read", Thread: state.MainThread, User: "@b:x", Timestamp: 20},
		{Event: "$2", Type: "m.read.private", User: "@a:x"},
	}
	same := cmp.Comparer(func(a, b state.ReceiptThread) bool { return a == b })
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("other receipts are read (-should +are):\n%s", diff)
	}
	for _, r := range got {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back state.Receipt
		if err := json.Unmarshal(data, &back); err != nil || cmp.Diff(r, back, same) != "" {
			t.Errorf("the receipt %+v comes back from JSON as %+v (%v)", r, back, err)
		}
	}
	if _, err := state.ParseReceipts(json.RawMessage(`[]`)); !errors.Is(err, state.ErrNotJSON) {
		t.Errorf("a list is read as receipts: %v", err)
	}
}

func TestThreadsOfReceiptsHaveDifferentKeysAndComeBack(t *testing.T) {
	threads := []state.ReceiptThread{
		state.Unthreaded, state.MainThread, state.Thread("$a"), state.Thread("main"), state.Thread("\x01"), state.Thread("\x00"), state.Thread("$a\x00"),
	}
	keys := map[string]bool{}
	for _, thread := range threads {
		keys[string(thread.Key())] = true
		back, err := state.ParseThreadKey(thread.Key())
		if err != nil || back != thread {
			t.Errorf("the thread %v comes back as %v (%v)", thread, back, err)
		}
	}
	if len(keys) != len(threads) {
		t.Errorf("%d threads have %d keys", len(threads), len(keys))
	}
	for _, bad := range []string{"", "\x03x", "\x02", "\x01x", "\x00x"} {
		if _, err := state.ParseThreadKey([]byte(bad)); !errors.Is(err, state.ErrBroken) {
			t.Errorf("%q is read as the key of a thread: %v", bad, err)
		}
	}
	if state.ParseThread("") != state.Unthreaded || state.ParseThread("main") != state.MainThread || state.ParseThread("$x") != state.Thread("$x") || state.Thread("") != state.Unthreaded {
		t.Error("the thread_id of a receipt is read as another thread")
	}
}

func TestACursorIsGoodForItsListOnly(t *testing.T) {
	c := state.MakeCursor('r', 7, "näme\x00", -1, 1<<62, 0)
	if want := state.Cursor("r\x04\x0e\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00näme\x00"); c != want {
		t.Errorf("the cursor is %q, want %q, byte for byte: clients have kept some", c, want)
	}
	text, numbers, err := c.Parse('r', 7, 3)
	if err != nil || text != "näme\x00" || cmp.Diff(numbers, []int64{-1, 1 << 62, 0}) != "" {
		t.Errorf("the cursor comes back as %q, %v (%v)", text, numbers, err)
	}
	for name, bad := range map[string]state.Cursor{"nothing": "", "one byte": "r", "another list": state.MakeCursor('m', 7, "", 1, 2, 3),
		"another question": state.MakeCursor('r', 8, "", 1, 2, 3), "other numbers": state.MakeCursor('r', 7, "", 1), "cut": c[:3]} {
		if _, _, err := bad.Parse('r', 7, 3); !errors.Is(err, state.ErrCursor) {
			t.Errorf("%s is a cursor: %v", name, err)
		}
	}
}

func TestAGlobalProfileIsMergedFieldByField(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	stored := state.GlobalProfile{"displayname": raw(`"A"`), "m.tz": raw(`"X"`)}
	for _, c := range []struct {
		name string
		u    state.ProfileUpdate
		in   state.GlobalProfile
		want state.GlobalProfile
		drop bool
	}{
		{"a new one", state.ProfileUpdate{Set: stored}, nil, stored, false},
		{"nothing", state.ProfileUpdate{}, stored, stored, false},
		{"removes what is not there", state.ProfileUpdate{Remove: []string{"x"}}, nil, state.GlobalProfile{}, false},
		{"sets and removes", state.ProfileUpdate{Set: state.GlobalProfile{"avatar_url": raw(`"u"`)}, Remove: []string{"m.tz"}}, stored,
			state.GlobalProfile{"displayname": raw(`"A"`), "avatar_url": raw(`"u"`)}, false},
		{"set wins", state.ProfileUpdate{Set: state.GlobalProfile{"m.tz": raw(`1`)}, Remove: []string{"m.tz", "displayname"}}, stored, state.GlobalProfile{"m.tz": raw(`1`)}, false},
		{"drops", state.ProfileUpdate{Drop: true, Remove: []string{"x"}}, stored, nil, true},
		{"replaces", state.ProfileUpdate{Drop: true, Set: state.GlobalProfile{"x": raw(`1`)}}, stored, state.GlobalProfile{"x": raw(`1`)}, false},
	} {
		got, drop := c.u.Merge(c.in)
		if diff := cmp.Diff(c.want, got); diff != "" || drop != c.drop {
			t.Errorf("%s: drop is %v, and the profile another one (-should +is):\n%s", c.name, drop, diff)
		}
	}
	if stored.DisplayName() != "A" || len(stored) != 2 {
		t.Error("merging has changed what was stored")
	}

	var c state.Changes
	c.UpdateProfile("@a:b", state.ProfileUpdate{Set: stored, Remove: []string{"y"}})
	c.UpdateProfile("@a:b", state.ProfileUpdate{Drop: true})
	c.UpdateProfile("@a:b", state.ProfileUpdate{Set: state.GlobalProfile{"x": raw(`1`), "y": raw(`2`)}})
	c.UpdateProfile("@a:b", state.ProfileUpdate{Remove: []string{"x"}})
	got, _ := c.GlobalProfiles["@a:b"].Merge(stored)
	if diff := cmp.Diff(state.GlobalProfile{"y": raw(`2`)}, got); diff != "" {
		t.Errorf("four updates after another are not the four (-should +is):\n%s", diff)
	}
}

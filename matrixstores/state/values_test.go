package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/internal/plain"
)

// roundTrip sets, gets, replaces and removes one value.
func roundTrip[T any](t *testing.T, k state.Key[T], v, other T) {
	t.Helper()
	ctx, s := context.Background(), plain.New()
	if _, found, err := state.Get(ctx, s, k); found || err != nil {
		t.Errorf("%v is there before it was set: %v", k, err)
	}
	for _, want := range []T{v, other} {
		if err := state.Set(ctx, s, k, want); err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		got, found, err := state.Get(ctx, s, k)
		if err != nil || !found {
			t.Fatalf("%v is not there after it was set: %v", k, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v comes back as something else (-set +got):\n%s", k, diff)
		}
	}
	if err := state.Remove(ctx, s, k); err != nil {
		t.Errorf("%v: %v", k, err)
	}
	if _, found, err := state.Get(ctx, s, k); found || err != nil {
		t.Errorf("%v is there after it was removed: %v", k, err)
	}
}

func TestEachOfTheTwelveValuesComesBackAsItWas(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123)
	html, to := "<b>x</b>", "to"
	roundTrip(t, state.SyncToken(), "s1_2", "")
	roundTrip(t, state.Versions(),
		state.Fetched(state.ServerVersions{Versions: []string{"v1.11"}, UnstableFeatures: map[string]bool{"org.x": true}}, now),
		state.Forever(state.ServerVersions{}))
	roundTrip(t, state.WellKnownFile(),
		state.Fetched(&state.WellKnown{Homeserver: "https://x", IdentityServer: "https://y", TileServer: "https://z",
			RTCFoci: []state.RTCFocus{{Type: "livekit", Raw: json.RawMessage(`{"type":"livekit","a":"<b>"}`)}}}, now),
		state.Fetched[*state.WellKnown](nil, now))
	roundTrip(t, state.FilterID("a:b"), "1", "2")
	roundTrip(t, state.UserAvatar("@a:b"), "mxc://x/y", "")
	roundTrip(t, state.VisitedRooms("@a:b"), []id.RoomID{"!a", "!b"}, []id.RoomID{})
	roundTrip(t, state.ReportedUndecryptable(),
		state.BloomFilter{Bits: []byte{0, 255}, Items: 1, Capacity: 2, FalsePositiveRate: 0.01, Growth: 2}, state.BloomFilter{})
	roundTrip(t, state.OneTimeKeyAlreadyUploaded(), true, false)
	roundTrip(t, state.Draft("!r"), state.ComposerDraft{
		PlainText: "x \x00 \u202e 😀", HTML: &html, Type: state.DraftReply, Event: "$e",
		Attachments: []state.DraftAttachment{{Kind: state.AttachedVideo, Filename: "a", MimeType: "video/x", Size: 3, Data: []byte{1, 0, 255},
			Width: 4, Height: 5, BlurHash: "b", Duration: time.Second, Waveform: []int{1},
			Thumbnail: &state.DraftThumbnail{MimeType: "image/x", Data: []byte{9}, Width: 1, Height: 2, Size: 1}}},
	}, state.ComposerDraft{Type: state.DraftMessage})
	roundTrip(t, state.ThreadDraft("!r", "$t"), state.ComposerDraft{PlainText: "x", Type: state.DraftEdit, Event: "$e"}, state.ComposerDraft{})
	roundTrip(t, state.SeenKnockRequests("!r"), map[id.EventID]id.UserID{"$e": "@a:b"}, map[id.EventID]id.UserID{})
	roundTrip(t, state.CatchUpTokens(), []state.CatchUpToken{{From: "a", To: &to}, {From: "b"}}, []state.CatchUpToken{})
	roundTrip(t, state.ServerCapabilities(),
		state.Fetched(state.Capabilities{"m.change_password": json.RawMessage(`{"enabled":false}`)}, now), state.Fetched(state.Capabilities{}, now))
}

func TestKeysOfValuesAreDifferentWhateverIsInThem(t *testing.T) {
	odd := []string{"", "a", "a:b", "a:", ":", "\x00", "a\x00", "\x01a", "!r", "aa", "\xff"}
	keys := map[string]state.ValueKey{}
	add := func(k state.ValueKey) {
		if other, is := keys[string(k.Bytes())]; is && other != k {
			t.Errorf("%#v and %#v have the same bytes", k, other)
		}
		keys[string(k.Bytes())] = k
	}
	for _, k := range []state.ValueKey{
		state.SyncToken().ValueKey, state.Versions().ValueKey, state.WellKnownFile().ValueKey, state.ReportedUndecryptable().ValueKey,
		state.OneTimeKeyAlreadyUploaded().ValueKey, state.CatchUpTokens().ValueKey, state.ServerCapabilities().ValueKey,
	} {
		add(k)
	}
	for _, a := range odd {
		add(state.FilterID(a).ValueKey)
		add(state.UserAvatar(id.UserID(a)).ValueKey)
		add(state.VisitedRooms(id.UserID(a)).ValueKey)
		add(state.SeenKnockRequests(id.RoomID(a)).ValueKey)
		for _, b := range odd {
			add(state.ThreadDraft(id.RoomID(a), id.EventID(b)).ValueKey)
		}
	}
	if want := 7 + len(odd)*(4+len(odd)); len(keys) != want {
		t.Errorf("there are %d different keys, and should be %d", len(keys), want)
	}
}

func TestOnlyTheKeysOfRoomsBelongToARoom(t *testing.T) {
	if room := state.Draft("!r").Room(); room != "!r" {
		t.Errorf("a draft belongs to the room %q; it would stay when its room is removed", room)
	}
	if room := state.SeenKnockRequests("!r").Room(); room != "!r" {
		t.Errorf("knock requests belong to the room %q", room)
	}
	if room := state.VisitedRooms("@a:b").Room(); room != "" {
		t.Errorf("the rooms that a user has visited belong to the room %q; they would go with it", room)
	}
}

func TestAValueIsRefusedThatCannotComeBack(t *testing.T) {
	ctx, s := context.Background(), plain.New()
	for name, c := range map[string]struct{ got, want error }{
		"no key":          {state.Set(ctx, s, state.Key[string]{}, "x"), state.ErrValueKey},
		"no room":         {state.Set(ctx, s, state.Draft(""), state.ComposerDraft{}), state.ErrValueKey},
		"a bad text":      {state.Set(ctx, s, state.Draft("!r"), state.ComposerDraft{PlainText: "\xff"}), state.ErrNotUTF8},
		"a bad map key":   {state.Set(ctx, s, state.SeenKnockRequests("!r"), map[id.EventID]id.UserID{"\xff": "x"}), state.ErrNotUTF8},
		"a bad list":      {state.Set(ctx, s, state.VisitedRooms("@a:b"), []id.RoomID{"\xff"}), state.ErrNotUTF8},
		"a bad room id":   {state.Set(ctx, s, state.Draft("\xff"), state.ComposerDraft{}), state.ErrNotUTF8},
		"a bad user id":   {state.Set(ctx, s, state.UserAvatar("\xff"), ""), state.ErrNotUTF8},
		"the other error": {state.Set(ctx, s, state.SyncToken(), "\xc0"), state.ErrNotUTF8},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: the error is %v, and should match %v", name, c.got, c.want)
		}
	}
	if err := s.SetValue(ctx, state.Draft("!r").ValueKey, []byte("5")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := state.Get(ctx, s, state.Draft("!r")); !errors.Is(err, state.ErrBroken) {
		t.Errorf("what is no draft is read as one: %v", err)
	}
}

func TestAValueExpiresAfterADay(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	e := state.Fetched("x", at)
	for _, c := range []struct {
		now     time.Time
		expired bool
	}{{at, false}, {at.Add(24*time.Hour - time.Millisecond), false}, {at.Add(24 * time.Hour), true}, {at.Add(-48 * time.Hour), false}} {
		if e.Expired(c.now) != c.expired {
			t.Errorf("%v after it was fetched, expired is %v", c.now.Sub(at), !c.expired)
		}
	}
	for in, want := range map[string]state.Expiring[string]{
		`{"value":"x"}`:                     {Value: "x"},
		`{"value":"x","fetched_at":null}`:   {Value: "x", Forever: true},
		`{"value":"x","fetched_at":12.75}`:  {Value: "x", FetchedAt: 12},
		`{"value":"x","fetched_at":"oops"}`: {Value: "x"},
	} {
		var got state.Expiring[string]
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s is read as %+v (%v), and should be %+v", in, got, err, want)
		}
	}
	if !(state.Expiring[string]{}).Expired(at) || state.Forever("x").Expired(at.AddDate(100, 0, 0)) {
		t.Error("what has no time has not expired, or what never expires has")
	}
}

func TestAServerThatKnowsNoVersionSpeaksTheFirst(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, []string{"v1.0"}},
		{[]string{"x", "v1", "r0.1", "v1.x", "v1.2.3", "v-1.2", ""}, []string{"v1.0"}},
		{[]string{"r0.6.1", "odd", "v1.11"}, []string{"r0.6.1", "v1.11"}},
	} {
		if got := (state.ServerVersions{Versions: c.in}).OrDefault(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("of the versions %q, %q are known, and should be %q", c.in, got, c.want)
		}
	}
	c := state.Capabilities{"a": json.RawMessage(`{"enabled":true}`), "b": json.RawMessage(`{"enabled":false}`), "c": json.RawMessage(`5`)}
	if got := fmt.Sprint(c.Enabled("a", false), c.Enabled("b", true), c.Enabled("c", true), c.Enabled("d", false)); got != "true false true false" {
		t.Errorf("the capabilities are %s", got)
	}
}

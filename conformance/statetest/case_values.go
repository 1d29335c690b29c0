package statetest

// Single values: those under typed keys, and the application's own.

import (
	"encoding/json"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var valueCases = []Case{
	{
		Name:    "typed-values",
		Promise: "the value of each of the twelve keys comes back as it was set, is replaced, and is gone when it was removed",
		Origins: from(seed(4), seed(5), seed(6), seed(7), seed(9), seed(10), "ST-01", "ST-02", "ST-03", "GAP-ST/six kv keys",
			"4.3/SyncToken", "4.3/SupportedVersions", "4.3/WellKnown", "4.3/Filter", "4.3/UserAvatarUrl", "4.3/RecentlyVisitedRooms", "4.3/UtdHookManagerData",
			"4.3/OneTimeKeyAlreadyUploaded", "4.3/ComposerDraft", "4.3/SeenKnockRequests", "4.3/ThreadSubscriptionsCatchupTokens", "4.3/HomeserverCapabilities"),
		Differs: "a key has the type of its value, so there is no pair of a key and a value that do not belong together",
		run:     caseTypedValues,
	},
	{
		Name:    "the-sync-token",
		Promise: "the sync token that a change has is the value of its key, which may be set and removed as any other; a change without one leaves it",
		Origins: from(seed(8), "4.2/sync_token", "4.3/SyncToken"), run: caseSyncToken,
	},
	{
		Name:    "no-well-known-file",
		Promise: "that there is no well-known file is a value, other than that nothing is known of it",
		Origins: from(seed(7), "4.3/WellKnown"), run: caseNoWellKnown,
	},
	{
		Name:    "keys-that-look-alike",
		Promise: "values of other keys, users, rooms and threads are others, whatever is in their names",
		Origins: from("contract", "bad input/ids in every script"), run: caseKeysAlike,
	},
	{
		Name:    "custom-values",
		Promise: "a custom value, any bytes under any bytes, comes back as it was set, and replacing and removing it return what was there before",
		Origins: from(seed(14), "ST-20", "ST-21", "ST-22", "ST-23", "GAP-ST/remove_custom_value", "GAP-ST/previous value of set_custom_value", "GAP-ST/set_custom_value_no_read"), run: caseCustom,
	},
	{
		Name:    "values-belong-to-the-caller",
		Promise: "bytes that were given to a store, or came from it, may be changed by their owner without changing what is stored",
		Origins: from("contract"), run: caseOwners,
	},
}

// typedValue is a value of a key, and another one.
type typedValue struct {
	name   string
	set    func(s state.Values, second bool) error
	get    func(s state.Values) (text string, found bool, err error)
	remove func(s state.Values) error
	want   [2]string
}

// valueOf makes a typedValue.
func valueOf[T any](key state.Key[T], first, second T) typedValue {
	text := func(v T) string {
		data, err := json.Marshal(v)
		return fmt.Sprint(string(data), err)
	}
	return typedValue{
		name: key.String(),
		set: func(s state.Values, other bool) error {
			if other {
				return state.Set(ctx, s, key, second)
			}
			return state.Set(ctx, s, key, first)
		},
		get: func(s state.Values) (string, bool, error) {
			v, found, err := state.Get(ctx, s, key)
			return text(v), found, err
		},
		remove: func(s state.Values) error { return state.Remove(ctx, s, key) },
		want:   [2]string{text(first), text(second)},
	}
}

// typedValues has every key.
func typedValues(now time.Time) []typedValue {
	draft := state.ComposerDraft{PlainText: "<text> & \x00"}
	return []typedValue{
		valueOf(state.SyncToken(), "token", "another"),
		valueOf(state.Versions(), state.Fetched(state.ServerVersions{Versions: []string{"v1.11"}, UnstableFeatures: map[string]bool{"org.matrix.msc3916": true}}, now), state.Forever(state.ServerVersions{})),
		valueOf(state.WellKnownFile(), state.Fetched(&state.WellKnown{Homeserver: "https://example.org", RTCFoci: []state.RTCFocus{{Type: "livekit", Raw: raw(`{"type":"livekit"}`)}}}, now), state.Fetched[*state.WellKnown](nil, now)),
		valueOf(state.FilterID("sync"), "1", "2"),
		valueOf(state.UserAvatar(me), "mxc://example.org/a", "mxc://example.org/b"),
		valueOf(state.VisitedRooms(me), []id.RoomID{garden, kitchen}, nil),
		valueOf(state.ReportedUndecryptable(), state.BloomFilter{Bits: []byte{0, 1, 255}, Items: 3, Capacity: 1000, FalsePositiveRate: 0.01, Growth: 2}, state.BloomFilter{}),
		valueOf(state.OneTimeKeyAlreadyUploaded(), true, false),
		valueOf(state.Draft(kitchen), draft, state.ComposerDraft{PlainText: "later"}),
		valueOf(state.ThreadDraft(kitchen, "$root"), draft, state.ComposerDraft{PlainText: "in the thread"}),
		valueOf(state.SeenKnockRequests(kitchen), map[id.EventID]id.UserID{"$knock": alice}, map[id.EventID]id.UserID{}),
		valueOf(state.CatchUpTokens(), []state.CatchUpToken{{From: "a", To: ptr("b")}, {From: "c"}}, []state.CatchUpToken{}),
		valueOf(state.ServerCapabilities(), state.Fetched(state.Capabilities{"m.change_password": raw(`{"enabled":false}`)}, now), state.Fetched(state.Capabilities{}, now)),
	}
}

func caseTypedValues(p *probe) {
	s := p.open()
	all := typedValues(p.Clock.Now())
	for second := range 2 {
		for _, v := range all {
			p.About(v.name, func() {
				text, there, err := v.get(s)
				p.Must("Get", err)
				if there != (second == 1) || there && text != v.want[0] {
					p.Broken("before it was set for the %d. time it is %s, %v", second+1, text, there)
				}
				p.Must("Set", v.set(s, second == 1))
			})
		}
		s.again(func() {
			for _, v := range all {
				found(p, "Get of the "+v.name, v.want[second], true)(v.get(s))
			}
		})
	}
	for i, v := range all {
		p.Must("Remove", v.remove(s))
		p.Must("Remove of what is not there", v.remove(s))
		for j, other := range all {
			if _, there, err := other.get(s); err != nil || there != (j > i) {
				p.Broken("after the %s was removed, the %s is there: %v, %v", v.name, other.name, there, err)
			}
		}
	}
}

func caseSyncToken(p *probe) {
	s := p.open()
	token := func(want string, there bool) {
		found(p, "the sync token", want, there)(state.Get(p.Ctx, s, state.SyncToken()))
	}
	token("", false)
	s.save(func(c *state.Changes) { c.SyncToken = "one" })
	s.save(func(c *state.Changes) { join(c, kitchen) })
	s.again(func() { token("one", true) })
	p.Must("Set", state.Set(p.Ctx, s, state.SyncToken(), "two"))
	token("two", true)
	s.save(func(c *state.Changes) { c.SyncToken = "three" })
	token("three", true)
	p.Must("Remove", state.Remove(p.Ctx, s, state.SyncToken()))
	token("", false)
}

func caseNoWellKnown(p *probe) {
	s, key := p.open(), state.WellKnownFile()
	_, there, err := state.Get(p.Ctx, s, key)
	p.Must("Get", err)
	if there {
		p.Broken("a well-known file that nothing was told of is there")
	}
	p.Must("Set", state.Set(p.Ctx, s, key, state.Fetched[*state.WellKnown](nil, p.Clock.Now())))
	s.again(func() {
		v, there, err := state.Get(p.Ctx, s, key)
		p.Must("Get", err)
		if !there || v.Value != nil || v.Expired(p.Clock.Now()) || !v.Expired(p.Clock.Now().Add(state.TimeToLive)) {
			p.Broken("that there is none is read as %+v, found %v", v, there)
		}
	})
}

func caseKeysAlike(p *probe) {
	s := p.open()
	all := []state.Key[state.ComposerDraft]{
		state.Draft("!a"), state.Draft("!a:b"), state.ThreadDraft("!a", ":b"), state.ThreadDraft("!a", "!a"), state.ThreadDraft("!a:", "b"),
		state.Draft("!a\x00"), state.ThreadDraft("!a", "\x00"), state.Draft("!A"),
	}
	for _, text := range strange {
		all = append(all, state.Draft(id.RoomID(text)+"!"), state.ThreadDraft(id.RoomID(text), id.EventID(text)))
	}
	for i, key := range all {
		p.Must("Set", state.Set(p.Ctx, s, key, state.ComposerDraft{PlainText: fmt.Sprint(i)}))
	}
	for i, name := range []string{"n", "n\x00", "N", ""} {
		p.Must("Set", state.Set(p.Ctx, s, state.FilterID(name), fmt.Sprint("filter", i)))
		p.Must("Set", state.Set(p.Ctx, s, state.UserAvatar(id.UserID(name)), id.ContentURIString(fmt.Sprint("avatar", i))))
	}
	s.again(func() {
		for i, key := range all {
			found(p, fmt.Sprintf("the draft %q", key.Bytes()), state.ComposerDraft{PlainText: fmt.Sprint(i)}, true)(state.Get(p.Ctx, s, key))
		}
		for i, name := range []string{"n", "n\x00", "N", ""} {
			found(p, "the filter "+name, fmt.Sprint("filter", i), true)(state.Get(p.Ctx, s, state.FilterID(name)))
			found(p, "the avatar "+name, id.ContentURIString(fmt.Sprint("avatar", i)), true)(state.Get(p.Ctx, s, state.UserAvatar(id.UserID(name))))
		}
	})
}

func caseCustom(p *probe) {
	s := p.open()
	contents := [][]byte{[]byte("k"), {}, {0xff, 0}, []byte("k\x00"), []byte("sync_token")}
	for i, key := range contents {
		found(p, "CustomValue", []byte(nil), false)(s.CustomValue(p.Ctx, key))
		found(p, "RemoveCustomValue of what is not there", []byte(nil), false)(s.RemoveCustomValue(p.Ctx, key))
		found(p, "the first SwapCustomValue", []byte(nil), false)(s.SwapCustomValue(p.Ctx, key, []byte{byte(i), 0xfe}))
		found(p, "the second SwapCustomValue", []byte{byte(i), 0xfe}, true)(s.SwapCustomValue(p.Ctx, key, []byte{}))
		found(p, "the third SwapCustomValue", []byte{}, true)(s.SwapCustomValue(p.Ctx, key, []byte{byte(i)}))
	}
	s.again(func() {
		for i, key := range contents {
			found(p, fmt.Sprintf("CustomValue %q", key), []byte{byte(i)}, true)(s.CustomValue(p.Ctx, key))
		}
	})
	if v, there, err := state.Get(p.Ctx, s, state.SyncToken()); err != nil || there {
		p.Broken("a custom value is the sync token %q, %v", v, err)
	}
	for i, key := range contents {
		p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, key, []byte("set")))
		found(p, "CustomValue", []byte("set"), true)(s.CustomValue(p.Ctx, key))
		found(p, "RemoveCustomValue", []byte("set"), true)(s.RemoveCustomValue(p.Ctx, key))
		found(p, "CustomValue of what was removed", []byte(nil), false)(s.CustomValue(p.Ctx, key))
		for _, other := range contents[i+1:] {
			if _, there, err := s.CustomValue(p.Ctx, other); err != nil || !there {
				p.Broken("with the custom value %q, %q was removed: %v", key, other, err)
			}
		}
	}
}

func caseOwners(p *probe) {
	s := p.open()
	key, value := []byte("key"), []byte("value")
	users := []id.UserID{alice, bob}
	info := state.NewRoomInfo(kitchen, state.Joined)
	info.Pinned = []id.EventID{"$1"}
	p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, key, value))
	p.Must("SetValue", s.SetValue(p.Ctx, state.SyncToken().ValueKey, value))
	reaction := &state.ReactEvent{Key: "value"}
	p.Must("SaveDependent", s.SaveDependent(p.Ctx, kitchen, state.DependentRequest{TransactionID: "t", Parent: "p", Dependent: reaction}))
	s.save(func(c *state.Changes) {
		c.AddRoomInfo(info)
		c.SetUsersWithName(kitchen, "name", users...)
		c.AmbiguityMaps[kitchen]["name"] = users
	})
	info.Pinned[0], users[0], users[1] = "$changed", "@changed:x", "@changed:x"
	reaction.Key = "changed"
	clear(key)
	clear(value)
	for range 2 {
		v, _, err := s.CustomValue(p.Ctx, []byte("key"))
		p.Must("CustomValue", err)
		w, _, err := s.Value(p.Ctx, state.SyncToken().ValueKey)
		p.Must("Value", err)
		stored, err := s.RoomInfo(p.Ctx, kitchen)
		p.Must("RoomInfo", err)
		named, err := s.UsersWithDisplayName(p.Ctx, kitchen, "name")
		p.Must("UsersWithDisplayName", err)
		dependents, err := s.Dependents(p.Ctx, kitchen)
		p.Must("Dependents", err)
		if string(v) != "value" || string(w) != "value" || stored == nil || len(stored.Pinned) != 1 || stored.Pinned[0] != "$1" || !same(named, []id.UserID{alice, bob}) ||
			len(dependents) != 1 || !same(dependents[0].Dependent, state.Dependent(&state.ReactEvent{Key: "value"})) {
			p.Fatal("what somebody else has changed is stored: %q %q %s %s %s", v, w, show(stored), show(named), show(dependents))
		}
		clear(v)
		clear(w)
		stored.Pinned[0], named[0] = "$changed", "@changed:x"
		dependents[0].Dependent.(*state.ReactEvent).Key = "changed"
	}
}

package statetest

// Thread subscriptions, and global profiles.

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var threadCases = []Case{
	{
		Name:    "thread-subscriptions",
		Promise: "a subscription of a thread is replaced, found alone, and removed; that there is none to remove is no error",
		Origins: from(seed(25), "ST-36", "ST-37", "ST-38"), run: caseSubscriptions,
	},
	{
		Name:    "newer-bump-stamps",
		Promise: "of two subscriptions with bump stamps the one with the larger stamp counts, of others the later one; many are merged in their order, in one transaction",
		Origins: from(seed(26), "ST-36"), run: caseStamps,
	},
}

var profileCases = []Case{
	{
		Name:    "global-profiles",
		Promise: "a global profile is merged field by field: fields that are not named stay, and those that are removed go, whether they were there or not",
		Origins: from(seed(27), "ST-39", "4.2/global_profiles"), run: caseGlobal,
	},
	{
		Name:    "dropped-profiles",
		Promise: "a global profile that is dropped is gone, and one without any fields is there",
		Origins: from("GAP-ST/Dropped profile update", "4.2/global_profiles"), run: caseDropped,
	},
	{
		Name:    "many-global-profiles",
		Promise: "many global profiles are asked for at once, without those of whom there is none",
		Origins: from(seed(28), "ST-40"), run: caseGlobals,
	},
}

func (s *subject) subscribe(all ...state.ThreadSubscription) {
	s.p.Must("SaveSubscriptions", s.SaveSubscriptions(s.p.Ctx, all))
}

func thread(room id.RoomID, root id.EventID, status state.SubscriptionStatus) state.ThreadSubscription {
	return state.ThreadSubscription{Room: room, Root: root, Subscription: state.Subscription{Status: status}}
}

func stamped(room id.RoomID, root id.EventID, status state.SubscriptionStatus, stamp uint64) state.ThreadSubscription {
	return state.ThreadSubscription{Room: room, Root: root, Subscription: state.Subscription{Status: status}.WithStamp(stamp)}
}

func caseSubscriptions(p *probe) {
	s := p.open()
	sub := func(room id.RoomID, root id.EventID, want state.SubscriptionStatus) {
		found(p, "Subscription", state.Subscription{Status: want}, want != "")(s.Subscription(p.Ctx, room, root))
	}
	sub(kitchen, "$1", "")
	s.subscribe(thread(kitchen, "$1", state.SubscribedAutomatically), thread(kitchen, "$2", state.Unsubscribed), thread(garden, "$1", state.SubscribedManually))
	s.again(func() {
		sub(kitchen, "$1", state.SubscribedAutomatically)
		sub(kitchen, "$2", state.Unsubscribed)
		sub(garden, "$1", state.SubscribedManually)
		sub(garden, "$2", "")
	})
	s.subscribe(thread(kitchen, "$1", state.SubscribedManually))
	sub(kitchen, "$1", state.SubscribedManually)
	for range 2 {
		p.Must("RemoveSubscription", s.RemoveSubscription(p.Ctx, kitchen, "$1"))
		s.again(func() {
			sub(kitchen, "$1", "")
			sub(kitchen, "$2", state.Unsubscribed)
			sub(garden, "$1", state.SubscribedManually)
		})
	}
}

func caseStamps(p *probe) {
	s := p.open()
	const auto, manual, un = state.SubscribedAutomatically, state.SubscribedManually, state.Unsubscribed
	plain := func(status state.SubscriptionStatus) state.Subscription { return state.Subscription{Status: status} }
	at := func(status state.SubscriptionStatus, stamp uint64) state.Subscription {
		return plain(status).WithStamp(stamp)
	}
	rows := []struct{ stored, news, want state.Subscription }{
		{plain(auto), plain(un), plain(un)},
		{at(auto, 5), plain(manual), at(manual, 5)},
		{plain(auto), at(manual, 5), at(manual, 5)},
		{at(auto, 5), at(manual, 6), at(manual, 6)},
		{at(auto, 5), at(manual, 5), at(auto, 5)},
		{at(auto, 5), at(manual, 4), at(auto, 5)},
		{at(auto, 0), at(un, 0), at(auto, 0)},
		{at(auto, state.MaxBumpStamp-1), at(un, state.MaxBumpStamp), at(un, state.MaxBumpStamp)},
	}
	var first, then []state.ThreadSubscription
	roots := ids[id.EventID]("$%d", len(rows))
	for i, row := range rows {
		first = append(first, state.ThreadSubscription{Room: kitchen, Root: roots[i], Subscription: row.stored})
		then = append(then, state.ThreadSubscription{Room: kitchen, Root: roots[i], Subscription: row.news})
	}
	s.subscribe(first...)
	s.subscribe(then...)
	// In one call, in its order.
	s.subscribe(stamped(garden, "$", auto, 3), stamped(garden, "$", manual, 7), stamped(garden, "$", un, 4), thread(garden, "$plain", auto), thread(garden, "$plain", un))
	s.again(func() {
		for i, row := range rows {
			found(p, "Subscription of "+show(row), row.want, true)(s.Subscription(p.Ctx, kitchen, roots[i]))
		}
		found(p, "Subscription after three at once", at(manual, 7), true)(s.Subscription(p.Ctx, garden, "$"))
		found(p, "Subscription after two at once", plain(un), true)(s.Subscription(p.Ctx, garden, "$plain"))
	})
	p.Is("a stamp that is too large", s.SaveSubscriptions(p.Ctx, []state.ThreadSubscription{thread(garden, "$new", auto), stamped(garden, "$", un, state.MaxBumpStamp+1)}), state.ErrBumpStamp)
	found(p, "what was given with one that is too large", state.Subscription{}, false)(s.Subscription(p.Ctx, garden, "$new"))
}

func (s *subject) profile(user id.UserID, u state.ProfileUpdate) {
	s.save(func(c *state.Changes) { c.UpdateProfile(user, u) })
}

type fieldsOf = map[string]json.RawMessage

func caseGlobal(p *probe) {
	s := p.open()
	is(p, "GlobalProfile", state.GlobalProfile(nil))(s.GlobalProfile(p.Ctx, alice))
	s.profile(alice, state.ProfileUpdate{Set: fieldsOf{"displayname": raw(`"<Alice>"`), "own": raw(`{"n":1.0}`)}, Remove: []string{"absent"}})
	s.again(func() {
		is(p, "GlobalProfile", state.GlobalProfile{"displayname": raw(`"<Alice>"`), "own": raw(`{"n":1.0}`)})(s.GlobalProfile(p.Ctx, alice))
	})
	s.profile(alice, state.ProfileUpdate{Set: fieldsOf{"m.tz": raw(`"Europe/Berlin"`)}, Remove: []string{"own", "absent"}})
	s.again(func() {
		is(p, "GlobalProfile", state.GlobalProfile{"displayname": raw(`"<Alice>"`), "m.tz": raw(`"Europe/Berlin"`)})(s.GlobalProfile(p.Ctx, alice))
	})
}

func caseDropped(p *probe) {
	s := p.open()
	s.profile(alice, state.ProfileUpdate{Set: fieldsOf{"a": raw(`1`)}})
	s.profile(bob, state.ProfileUpdate{Set: fieldsOf{"a": raw(`1`)}})
	s.profile(carol, state.ProfileUpdate{Set: fieldsOf{"a": raw(`1`)}})
	s.save(func(c *state.Changes) {
		c.UpdateProfile(alice, state.ProfileUpdate{Drop: true})
		c.UpdateProfile(bob, state.ProfileUpdate{Remove: []string{"a"}})
		c.UpdateProfile(carol, state.ProfileUpdate{Drop: true})
		c.UpdateProfile(carol, state.ProfileUpdate{Set: fieldsOf{"b": raw(`2`)}})
		c.UpdateProfile("@nobody:x", state.ProfileUpdate{Drop: true})
	})
	s.again(func() {
		for user, want := range map[id.UserID]state.GlobalProfile{alice: nil, "@nobody:x": nil, bob: {}, carol: {"b": raw(`2`)}} {
			got, err := s.GlobalProfile(p.Ctx, user)
			p.Must("GlobalProfile", err)
			if (got == nil) != (want == nil) || !same(got, want) {
				p.Broken("the profile of %s is %s (nil: %v), and should be %s", user, show(got), got == nil, show(want))
			}
		}
	})
}

func caseGlobals(p *probe) {
	s := p.open()
	for _, user := range []id.UserID{alice, bob} {
		s.profile(user, state.ProfileUpdate{Set: fieldsOf{"displayname": raw(`%q`, user)}})
	}
	s.again(func() {
		all, err := s.GlobalProfiles(p.Ctx, []id.UserID{carol, bob, alice, bob})
		p.Must("GlobalProfiles", err)
		if len(all) != 2 || all[alice].DisplayName() != string(alice) || all[bob].DisplayName() != string(bob) {
			p.Broken("GlobalProfiles returned %s", show(all))
		}
		is(p, "GlobalProfiles of nobody", map[id.UserID]state.GlobalProfile(nil))(s.GlobalProfiles(p.Ctx, nil))
	})
}

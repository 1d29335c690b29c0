package statetest

// Any number of keys at once.

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var manyCases = []Case{
	{
		Name:    "many-keys",
		Promise: "any number of keys may be asked for at once, in every method that takes several, and written in one change; what is not there is left out",
		Origins: from("GAP-ST/> 16383 keys", "ST-06", "ST-09", "ST-11", "ST-15", "ST-36", "ST-40"), run: caseMany,
	},
}

func caseMany(p *probe) {
	s := p.open()
	n := p.count(200, 100_000, 100_000, 100_000)
	const every = 100 // one of so many is there
	all := ids[string]("name %d", n)
	users, there := make([]id.UserID, n), make([]id.UserID, 0, n/every)
	s.save(func(c *state.Changes) {
		c.Presence, c.Stripped = map[id.UserID]json.RawMessage{}, nil
		for i, name := range all {
			user := id.UserID(name)
			users[i] = user
			if i%every != 0 {
				continue
			}
			there = append(there, user)
			add(c, kitchen, memberOf(user, "join", name))
			c.AddProfile(kitchen, user, profileNamed(name))
			c.Presence[user] = raw(`{"n":%d}`, i)
			c.UpdateProfile(user, state.ProfileUpdate{Set: fieldsOf{"n": raw(`%d`, i)}})
		}
	})
	is(p, "the number of UserIDs", len(there))(part(func(all []id.UserID) int { return len(all) })(s.UserIDs(p.Ctx, kitchen, 0)))
	presences, err := s.Presences(p.Ctx, users)
	p.Must("Presences", err)
	events, err := s.StateEventsForKeys(p.Ctx, kitchen, "m.room.member", all)
	p.Must("StateEventsForKeys", err)
	profiles, err := s.Profiles(p.Ctx, kitchen, users)
	p.Must("Profiles", err)
	globals, err := s.GlobalProfiles(p.Ctx, users)
	p.Must("GlobalProfiles", err)
	named, err := s.UsersWithDisplayNames(p.Ctx, kitchen, all)
	p.Must("UsersWithDisplayNames", err)
	if len(presences) != len(there) || len(events) != len(there) || len(profiles) != len(there) || len(globals) != len(there) || len(named) != len(there) {
		p.Fatal("of %d keys %d are there; found are %d presences, %d events, %d profiles, %d global profiles, %d names", n, len(there),
			len(presences), len(events), len(profiles), len(globals), len(named))
	}
	for i, user := range there {
		want := raw(`{"n":%d}`, i*every)
		if !same(presences[i], want) || events[i].StateKey != string(user) || !same(profiles[user], profileNamed(string(user))) ||
			!same(globals[user], state.GlobalProfile{"n": raw(`%d`, i*every)}) || !same(named[string(user)], []id.UserID{user}) {
			p.Fatal("of %d keys, %q has the presence %s, the event %s, the profile %s, the global profile %s, the name of %q", n, user, presences[i],
				events[i].Raw, show(profiles[user]), show(globals[user]), named[string(user)])
		}
	}
	// Written at once: in the short tier fewer than are asked for, since each costs a row.
	write := min(n, p.count(200, 2000, 100_000, 100_000))
	var subs []state.ThreadSubscription
	for i := range write {
		subs = append(subs, stamped(kitchen, id.EventID(all[i]), state.SubscribedManually, uint64(i)))
	}
	s.subscribe(subs...)
	s.save(func(c *state.Changes) {
		c.RemoveMembers = map[id.RoomID]state.Memberships{kitchen: 0}
		for _, user := range users[:write] {
			add(c, garden, memberOf(user, "join", string(user)))
			c.DeleteProfile(kitchen, user)
		}
		c.SetUsersWithName(garden, "everybody", users[:write]...)
	})
	found(p, "Subscription", subs[write-1].Subscription, true)(s.Subscription(p.Ctx, kitchen, subs[write-1].Root))
	count := part(func(all []id.UserID) int { return len(all) })
	is(p, "the number of UserIDs who were forgotten", 0)(count(s.UserIDs(p.Ctx, kitchen, 0)))
	is(p, "the number of UserIDs", write)(count(s.UserIDs(p.Ctx, garden, 0)))
	is(p, "the number of users with one name", write)(count(s.UsersWithDisplayName(p.Ctx, garden, "everybody")))
	found(p, "a profile that was deleted with many", state.Profile{}, false)(s.Profile(p.Ctx, kitchen, users[0]))
	p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, garden))
	is(p, "the number of UserIDs of a room that was removed", 0)(count(s.UserIDs(p.Ctx, garden, 0)))
}

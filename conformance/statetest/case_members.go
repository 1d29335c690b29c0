package statetest

// Members, their profiles and their names.

import (
	"encoding/json"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var memberCases = []Case{
	{
		Name:    "members",
		Promise: "a member is what his last event says that has a membership; members come in the order of first storing, by any set of memberships, 0 for all of them",
		Origins: from(seed(3), "ST-12", "4.2/state"), run: caseMembers,
	},
	{
		Name:    "stripped-members",
		Promise: "stripped members are members, and are told apart",
		Origins: from(seed(11), "ST-12", "4.2/stripped_state"), run: caseStripped,
	},
	{
		Name:    "pages-of-members",
		Promise: "a list of members in pages of any size is the whole list, whatever a member does in between; its cursor is refused for another room or filter",
		Origins: from("contract", "bad input/cursors from elsewhere"), run: casePages,
	},
	{
		Name:    "rooms-of-a-user",
		Promise: "the rooms of a user are those in which his membership is in the set",
		Origins: from("contract"), run: caseRoomsOf,
	},
	{
		Name:    "members-fetched-anew",
		Promise: "members who are to be forgotten are forgotten with their events, by membership or all, before those who come in the same change",
		Origins: from("contract"), run: caseForget,
	},
	{
		Name:    "profiles",
		Promise: "a given profile is stored with a member event in the same change or without, and many are asked for at once, without those of whom there is none",
		Origins: from(seed(3), "DIV-01", "ST-10", "ST-11", "4.2/profiles"), run: caseProfiles,
	},
	{
		Name:    "profiles-are-deleted-first",
		Promise: "of a profile that is deleted and given in the same change the given one is left; events and members stay",
		Origins: from(seed(17), "4.2/profiles_to_delete"), run: caseProfileRemoval,
	},
	{
		Name:    "names",
		Promise: "who has a name, or one that looks like it, is known from the members who are there or invited, and from what a change says besides; no users remove the entry",
		Origins: from(seed(19), "ST-14", "ST-15", "DIV-03", "4.2/ambiguity_maps", "GAP-ST/removal of display names", "GAP-ST/raw+normalised merge", "bad input/names that look alike"),
		Differs: "a store knows the names of members by itself, and there is one entry for all names that look alike",
		run:     caseNames,
	},
}

func caseMembers(p *probe) {
	s := p.open()
	found(p, "Member", state.Member{}, false)(s.Member(p.Ctx, kitchen, alice))
	is(p, "UserIDs of an unknown room", []id.UserID(nil))(s.UserIDs(p.Ctx, kitchen, 0))
	memberships := []string{"join", "invite", "knock", "leave", "ban", "own"}
	users := ids[id.UserID]("@u%d:x", len(memberships))
	s.save(func(c *state.Changes) {
		for i, m := range memberships {
			add(c, kitchen, memberOf(users[i], m, "first"))
		}
		add(c, garden, memberOf(users[0], "ban", "first"))
	})
	s.save(func(c *state.Changes) {
		add(c, kitchen, memberOf(users[0], "join", "second"), stateOf("$", "m.room.member", string(users[1]), users[1], `{"displayname":"says no membership"}`))
	})
	s.again(func() {
		found(p, "Member", member(users[0], "join", "second", false), true)(s.Member(p.Ctx, kitchen, users[0]))
		found(p, "a member whose last event has no membership", member(users[1], "invite", "first", false), true)(s.Member(p.Ctx, kitchen, users[1]))
		found(p, "Member of another room", member(users[0], "ban", "first", false), true)(s.Member(p.Ctx, garden, users[0]))
		for filter, want := range map[state.Memberships][]id.UserID{
			0: users, state.Join: users[:1], state.Active: users[:2], state.Knock | state.Ban: {users[2], users[4]}, state.Leave: users[3:4], state.AnyKnown: users[:5],
		} {
			is(p, "UserIDs "+filter.String(), want)(s.UserIDs(p.Ctx, kitchen, filter))
			page, err := s.Members(p.Ctx, kitchen, filter, state.Page{})
			p.Must("Members", err)
			var got []id.UserID
			for _, m := range page.Members {
				got = append(got, m.User)
			}
			if !slices.Equal(got, want) || page.Next != "" {
				p.Broken("Members %v returned %q, %q, and should have returned %q", filter, got, page.Next, want)
			}
		}
	})
}

func caseStripped(p *probe) {
	s := p.open()
	s.save(func(c *state.Changes) {
		c.Update(kitchen).State = state.Invited
		addStripped(c, kitchen, memberOf(me, "invite", "me"), memberOf(alice, "join", "alice"))
	})
	s.again(func() {
		found(p, "a stripped member", member(me, "invite", "me", true), true)(s.Member(p.Ctx, kitchen, me))
		is(p, "UserIDs", []id.UserID{alice, me})(s.UserIDs(p.Ctx, kitchen, state.Active))
		is(p, "UserIDs who have joined", []id.UserID{alice})(s.UserIDs(p.Ctx, kitchen, state.Join))
		found(p, "Profile", state.Profile{}, false)(s.Profile(p.Ctx, kitchen, alice))
		for user, want := range map[id.UserID]bool{alice: true, me: true, bob: false} {
			e, err := state.ReadMember(p.Ctx, s, kitchen, user)
			p.Must("ReadMember", err)
			if (e != nil) != want || e != nil && !e.Stripped {
				p.Broken("the member event of %s is %s", user, show(e))
			}
		}
	})
}

func casePages(p *probe) {
	s := p.open()
	users := ids[id.UserID]("@user%02d:x", 23)
	s.save(func(c *state.Changes) {
		for i, user := range users {
			add(c, kitchen, memberOf(user, []string{"join", "invite"}[i%2], "n"))
			add(c, garden, memberOf(user, "join", "n"))
		}
	})
	for _, limit := range []int{1, 4, 22, 23, 24, 0, -1} {
		for filter, want := range map[state.Memberships]int{0: 23, state.Join: 12} {
			all, err := allPages(max(limit, 0), func(page state.Page) ([]state.Member, state.Cursor, error) {
				got, err := s.Members(p.Ctx, kitchen, filter, page)
				return got.Members, got.Next, err
			})
			p.Must("Members in pages", err)
			seen := map[id.UserID]bool{}
			for _, m := range all {
				seen[m.User] = true
			}
			if len(all) != want || len(seen) != want {
				p.Broken("in pages of %d there are %d members, %d of them others, and should be %d", limit, len(all), len(seen), want)
			}
		}
	}
	first, err := s.Members(p.Ctx, kitchen, 0, state.Page{Limit: 5})
	p.Must("Members", err)
	s.save(func(c *state.Changes) {
		add(c, kitchen, memberOf(users[2], "leave", "n"), memberOf(users[7], "ban", "n"), memberOf("@aaa:x", "join", "new"))
	})
	s.again(func() {
		rest, err := s.Members(p.Ctx, kitchen, 0, state.Page{After: first.Next})
		p.Must("Members", err)
		if len(first.Members) != 5 || len(rest.Members) != 19 || rest.Members[0].User != users[5] || rest.Members[18].User != "@aaa:x" || rest.Members[2].Membership != "ban" {
			p.Broken("behind a page of %d, while members came and went, there are %s", len(first.Members), show(rest.Members))
		}
	})
	for what, ask := range map[string]func() error{
		"another room":   func() error { return second(s.Members(p.Ctx, garden, 0, state.Page{After: first.Next})) },
		"another filter": func() error { return second(s.Members(p.Ctx, kitchen, state.Join, state.Page{After: first.Next})) },
		"another list": func() error {
			return second(s.Rooms(p.Ctx, state.RoomFilter{}, state.ByRecency, state.Page{After: first.Next}))
		},
		"an unknown room": func() error { return second(s.Members(p.Ctx, "!none:x", 0, state.Page{After: first.Next})) },
	} {
		p.Is("a cursor that is given for "+what, ask(), state.ErrCursor)
	}
	for _, text := range []state.Cursor{"m", "\x00", "no cursor", first.Next[:1]} {
		p.Is("a cursor that is none", second(s.Members(p.Ctx, kitchen, 0, state.Page{After: text})), state.ErrCursor)
	}
}

func caseRoomsOf(p *probe) {
	s := p.open()
	rooms := ids[id.RoomID]("!r%d:x", 4)
	for i, membership := range []string{"join", "invite", "leave", "own"} {
		s.save(func(c *state.Changes) { add(c, rooms[i], memberOf(alice, membership, "a"), memberOf(bob, "join", "b")) })
	}
	s.again(func() {
		for filter, want := range map[state.Memberships][]id.RoomID{0: rooms, state.Join: rooms[:1], state.Active: rooms[:2], state.Leave: rooms[2:3], state.AnyKnown: rooms[:3]} {
			is(p, "RoomsOf "+filter.String(), want)(s.RoomsOf(p.Ctx, alice, filter))
		}
		is(p, "RoomsOf nobody", []id.RoomID(nil))(s.RoomsOf(p.Ctx, carol, 0))
	})
}

func caseForget(p *probe) {
	s := p.open()
	fill := func() {
		s.save(func(c *state.Changes) {
			add(c, kitchen, memberOf(alice, "join", "a"), memberOf(bob, "leave", "b"), stateOf("$t", "m.room.topic", "", me, `{"topic":"t"}`))
			add(c, garden, memberOf(alice, "join", "a"))
		})
	}
	for filter, left := range map[state.Memberships][]id.UserID{state.Join: {bob, carol}, state.Leave: {alice, carol}, 0: {carol}, state.Ban: {alice, bob, carol}} {
		p.About("forgetting "+filter.String(), func() {
			fill()
			s.save(func(c *state.Changes) {
				c.RemoveMembers = map[id.RoomID]state.Memberships{kitchen: filter}
				add(c, kitchen, memberOf(carol, "join", "c"))
			})
			is(p, "UserIDs", left)(s.UserIDs(p.Ctx, kitchen, 0))
			is(p, "events of members", len(left))(part(func(all []state.StateEvent) int { return len(all) })(s.StateEvents(p.Ctx, kitchen, "m.room.member")))
			is(p, "other events", 1)(part(func(all []state.StateEvent) int { return len(all) })(s.StateEvents(p.Ctx, kitchen, "m.room.topic")))
			is(p, "UserIDs of another room", []id.UserID{alice})(s.UserIDs(p.Ctx, garden, 0))
			p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, kitchen))
		})
	}
}

func profileNamed(name string) state.Profile {
	return state.Profile{EventID: "$p", Content: event.MemberEventContent{Membership: "join", Displayname: name, AvatarURL: "mxc://x/" + id.ContentURIString(name)}}
}

func caseProfiles(p *probe) {
	s := p.open()
	s.save(func(c *state.Changes) {
		add(c, kitchen, memberOf(alice, "join", "alice"))
		c.AddProfile(kitchen, alice, profileNamed("alice"))
		c.AddProfile(kitchen, bob, profileNamed("bob")) // without an event
		c.AddProfile(garden, alice, profileNamed("gardener"))
	})
	s.save(func(c *state.Changes) { add(c, kitchen, memberOf(bob, "join", "bob")) })
	s.again(func() {
		found(p, "Profile", profileNamed("alice"), true)(s.Profile(p.Ctx, kitchen, alice))
		found(p, "Profile that came without a member event", profileNamed("bob"), true)(s.Profile(p.Ctx, kitchen, bob))
		found(p, "Profile of somebody unknown", state.Profile{}, false)(s.Profile(p.Ctx, kitchen, carol))
		for _, asked := range [][]id.UserID{nil, {alice}, {bob, alice, bob}, {carol, alice, bob}} {
			want := map[id.UserID]state.Profile{}
			for _, user := range asked {
				if name := map[id.UserID]string{alice: "alice", bob: "bob"}[user]; name != "" {
					want[user] = profileNamed(name)
				}
			}
			is(p, "Profiles", want)(s.Profiles(p.Ctx, kitchen, asked))
		}
		is(p, "Profiles of another room", map[id.UserID]state.Profile{alice: profileNamed("gardener")})(s.Profiles(p.Ctx, garden, []id.UserID{alice, bob}))
	})
}

func caseProfileRemoval(p *probe) {
	s := p.open()
	s.save(func(c *state.Changes) {
		for _, user := range []id.UserID{alice, bob, carol} {
			add(c, kitchen, memberOf(user, "join", "old"))
			c.AddProfile(kitchen, user, profileNamed("old"))
		}
	})
	s.save(func(c *state.Changes) {
		c.DeleteProfile(kitchen, alice)
		c.DeleteProfile(kitchen, bob)
		c.DeleteProfile(kitchen, "@nobody:x")
		c.DeleteProfile("!none:x", alice)
		c.AddProfile(kitchen, bob, profileNamed("new"))
	})
	s.again(func() {
		found(p, "a deleted profile", state.Profile{}, false)(s.Profile(p.Ctx, kitchen, alice))
		found(p, "a profile that was deleted and given", profileNamed("new"), true)(s.Profile(p.Ctx, kitchen, bob))
		found(p, "another profile", profileNamed("old"), true)(s.Profile(p.Ctx, kitchen, carol))
		for _, user := range []id.UserID{alice, bob} {
			found(p, "the member", member(user, "join", "old", false), true)(s.Member(p.Ctx, kitchen, user))
			found(p, "his event", state.StateEvent{Type: "m.room.member", StateKey: string(user), Raw: json.RawMessage(memberOf(user, "join", "old"))}, true)(s.StateEvent(p.Ctx, kitchen, "m.room.member", string(user)))
		}
	})
}

func caseNames(p *probe) {
	s := p.open()
	who := func(name string, want ...id.UserID) {
		is(p, "who is called "+quoted(name), want)(s.UsersWithDisplayName(p.Ctx, kitchen, name))
	}
	who("Ann")
	s.save(func(c *state.Changes) {
		add(c, kitchen, memberOf(alice, "join", "Ann"), memberOf(bob, "invite", "аnn"), memberOf(carol, "leave", "Ann"), memberOf(me, "join", ""))
		add(c, garden, memberOf(carol, "join", "Ann"))
		c.SetUsersWithName(kitchen, "Given", carol, alice, carol)
		c.SetUsersWithName(kitchen, "ANN", me)
	})
	s.again(func() {
		for _, name := range []string{"Ann", "ann", "A\u0301nn", "Аnn", "\u200bAnn"} {
			who(name, alice, bob, me)
		}
		who("given", alice, carol)
		who("me", me)
		who("nobody")
		is(p, "UsersWithDisplayNames", map[string][]id.UserID{"Ann": {alice, bob, me}, "given": {alice, carol}, "GIVEN": {alice, carol}})(
			s.UsersWithDisplayNames(p.Ctx, kitchen, []string{"Ann", "nobody", "given", "GIVEN", "Ann"}))
		is(p, "UsersWithDisplayNames of none", map[string][]id.UserID(nil))(s.UsersWithDisplayNames(p.Ctx, kitchen, nil))
		is(p, "UsersWithDisplayName of another room", []id.UserID{carol})(s.UsersWithDisplayName(p.Ctx, garden, "Ann"))
	})
	s.save(func(c *state.Changes) {
		c.SetUsersWithName(kitchen, "given")
		c.SetUsersWithName(kitchen, "Ann") // what members are called stays
		c.SetUsersWithName(kitchen, "never")
	})
	s.again(func() {
		who("Given")
		who("Ann", alice, bob)
		who("never")
	})
	s.save(func(c *state.Changes) { add(c, kitchen, memberOf(alice, "join", "Zoe"), memberOf(bob, "ban", "Ann")) })
	who("Ann")
	who("Zoe", alice)
	// What somebody else says of a user is not his name.
	s.save(func(c *state.Changes) {
		c.AddProfile(kitchen, bob, profileNamed("Bob"))
		add(c, kitchen, stateOf("$i", "m.room.member", string(bob), alice, `{"membership":"invite","displayname":"Zoe"}`))
	})
	who("Zoe", alice)
	who("Bob", bob)
}

package statetest

// Changes and removals one after another, whoever makes them.

import (
	"fmt"
	"sync/atomic"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var serialCases = []Case{
	{
		Name:    "changes-one-after-another",
		Promise: "changes that several make at once happen one after another, each on what the one before has left, and nobody sees a part of one",
		Origins: from(guard(1), guard(3), "ST-04"),
		Differs: "the store itself lets one after another in; there is no guard to be given, which could be another one's",
		run:     caseSerial,
	},
	{
		Name:    "removals-one-after-another",
		Promise: "a room that is removed while others change it is there as a whole, or not at all",
		Origins: from(guard(2), guard(4), "ST-24"),
		Differs: "as above",
		run:     caseSerialRemoval,
	},
}

func caseSerial(p *probe) {
	s := p.open()
	const writers = 4
	rounds := p.count(10, 25, 200, 2000)
	s.save(func(c *state.Changes) { join(c, kitchen, garden) })
	var over atomic.Bool
	var running atomic.Int32
	running.Store(writers)
	var all []func()
	for w := range writers {
		all = append(all, func() {
			defer func() { over.Store(running.Add(-1) == 0) }()
			for i := range rounds {
				if p.Over() {
					return
				}
				s.save(func(c *state.Changes) {
					mark := fmt.Sprint(w, " ", i)
					// What is merged with what is stored loses nothing.
					c.UpdateProfile(alice, state.ProfileUpdate{Set: fieldsOf{fmt.Sprint("of ", w): raw(`%d`, i)}})
					c.SyncToken = mark
					add(c, kitchen, stateOf("$t", "m.room.topic", "", me, `{"topic":"`+mark+`"}`))
					add(c, garden, stateOf("$t", "m.room.topic", "", me, `{"topic":"`+mark+`"}`))
				})
				_, err := s.UpdateRequest(p.Ctx, kitchen, "none", message(""))
				p.Must("UpdateRequest", err)
				p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, []byte{byte(w)}, []byte{byte(i)}))
				found(p, "what a writer himself has stored", []byte{byte(i)}, true)(s.CustomValue(p.Ctx, []byte{byte(w)}))
			}
		})
	}
	all = append(all, func() {
		for !over.Load() && !p.Over() {
			infos, err := s.RoomInfos(p.Ctx)
			p.Must("RoomInfos", err)
			if len(infos) != 2 || infos[0].Topic != infos[1].Topic {
				p.Broken("a part of a change is seen: %s", show(infos))
			}
		}
	})
	p.All(all...)
	profile, err := s.GlobalProfile(p.Ctx, alice)
	p.Must("GlobalProfile", err)
	for w := range writers {
		if got := string(profile[fmt.Sprint("of ", w)]); got != fmt.Sprint(rounds-1) && !p.Failed() {
			p.Broken("of what writer %d has stored at last, %d, is left %q: changes have run into each other", w, rounds-1, got)
		}
	}
	info, err := s.RoomInfo(p.Ctx, kitchen)
	p.Must("RoomInfo", err)
	found(p, "the token of the last change", info.Topic, true)(state.Get(p.Ctx, s, state.SyncToken()))
}

func caseSerialRemoval(p *probe) {
	s := p.open()
	rounds := p.count(10, 20, 200, 2000)
	change := func() {
		s.save(func(c *state.Changes) {
			join(c, kitchen)
			add(c, kitchen, memberOf(alice, "join", "alice"), stateOf("$t", "m.room.topic", "", me, `{"topic":"t"}`))
			c.AddProfile(kitchen, alice, profileNamed("alice"))
			c.AddReceipts(kitchen, state.Receipt{Event: "$1", Type: event.ReceiptTypeRead, User: alice})
			c.SetUsersWithName(kitchen, "given", alice)
		})
	}
	for range rounds {
		if p.Over() {
			return
		}
		p.All(change, func() { p.Must("RemoveRoom", s.RemoveRoom(p.Ctx, kitchen)) }, change)
		info, err := s.RoomInfo(p.Ctx, kitchen)
		p.Must("RoomInfo", err)
		_, member, err := s.Member(p.Ctx, kitchen, alice)
		p.Must("Member", err)
		_, topic, err := s.StateEvent(p.Ctx, kitchen, "m.room.topic", "")
		p.Must("StateEvent", err)
		_, profile, err := s.Profile(p.Ctx, kitchen, alice)
		p.Must("Profile", err)
		_, receipt, err := s.UserReceipt(p.Ctx, kitchen, event.ReceiptTypeRead, state.Unthreaded, alice)
		p.Must("UserReceipt", err)
		given, err := s.UsersWithDisplayName(p.Ctx, kitchen, "given")
		p.Must("UsersWithDisplayName", err)
		named, err := s.UsersWithDisplayName(p.Ctx, kitchen, "alice")
		p.Must("UsersWithDisplayName", err)
		for what, is := range map[string]bool{"the member": member, "the topic": topic, "the profile": profile, "the receipt": receipt, "the given name": len(given) > 0, "the name": len(named) > 0} {
			if is != (info != nil) {
				p.Broken("a room that was removed and changed at once is there in parts: the room: %v, %s: %v", info != nil, what, is)
			}
		}
		rooms, err := s.RoomsOf(p.Ctx, alice, 0)
		p.Must("RoomsOf", err)
		if (len(rooms) == 1) != (info != nil) {
			p.Broken("a room that was removed and changed at once is there: %v; the rooms of its member are %q", info != nil, []id.RoomID(rooms))
		}
	}
}

package statetest

// mautrix on the store: its three interfaces, and what its own stores do wrong.

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

var mautrixCases = []Case{
	{
		Name:    "mautrix-members",
		Promise: "as a mautrix.StateStore it gives back the members that it was told of, who is not known has left, and joined or invited means just that",
		Origins: from("contract", "mautrix/10 members"), run: caseMautrixMembers,
	},
	{
		Name:    "mautrix-clearing",
		Promise: "clearing the members of a room without memberships clears all, with memberships only those; replacing them says that all are known",
		Origins: from("mautrix/10 clear"), run: caseMautrixClear,
	},
	{
		Name:    "mautrix-rooms",
		Promise: "power levels, the create event, join rules and encryption of a room that nothing is known of can be set, and are then there; before they are nil without an error",
		Origins: from("contract", "mautrix/9"), run: caseMautrixRooms,
	},
	{
		Name:    "mautrix-shared-rooms",
		Promise: "as the StateStore of mautrix/crypto it knows which rooms are encrypted, and which of those are shared with a user",
		Origins: from("contract", "mautrix/10 shared"), run: caseMautrixShared,
	},
	{
		Name:    "mautrix-confusable-names",
		Promise: "names that look alike are found, among those who have joined or are invited, without the user who asks",
		Origins: from("contract"), run: caseMautrixNames,
	},
	{
		Name:    "mautrix-sync",
		Promise: "as a mautrix.SyncStore it returns the token that is stored, at the first time too; a token whose response was not processed is not stored, one that could not be stored is not returned; the filter's id stays",
		Origins: from("mautrix/1", "mautrix/2", "mautrix/3", "contract"), run: caseMautrixSync,
	},
	{
		Name:    "mautrix-tokens-of-many",
		Promise: "tokens, filters and members may be saved and loaded from several goroutines at once",
		Origins: from("mautrix/4"), run: caseMautrixMany,
	},
	{
		Name:    "mautrix-without-an-error",
		Promise: "a method that returns no error tries again where the store fails, then answers what was known, then false, and tells the observer; as UpdateState does",
		Origins: from("mautrix/5"), run: caseMautrixBool,
	},
	{
		Name:    "mautrix-while-paused",
		Promise: "whatever mautrix asks while the store is paused waits for the Resume, for as long as its context allows, whatever policy the store has",
		Origins: from("contract", "mautrix/5"), Needs: needs(conformance.Gate), run: caseMautrixPaused,
	},
}

// bridge is what mautrix asks: its three interfaces.
type bridge interface {
	mautrix.StateStore
	mautrix.StateStoreUpdater
	mautrix.SyncStore
	GetEncryptionEvent(context.Context, id.RoomID) (*event.EncryptionEventContent, error)
	FindSharedRooms(context.Context, id.UserID) ([]id.RoomID, error)
}

var _ bridge = (*mautrixstate.Adapter)(nil)

// toldTo is an observer, and what it was told.
type toldTo struct {
	mu   sync.Mutex
	told []mautrixstate.Failure
}

func (o *toldTo) observe(f mautrixstate.Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, f)
}

// take returns what it was told since it was last asked.
func (o *toldTo) take() []mautrixstate.Failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.told
	o.told = nil
	return told
}

func (p *probe) bridge(s state.Store, o mautrixstate.Options) bridge {
	if p.h.bridge != nil {
		return p.h.bridge(s, me, o)
	}
	return mautrixstate.New(s, me, o)
}

func (s *subject) mautrix() bridge { return s.p.bridge(s.Store, mautrixstate.Options{}) }

func named(membership event.Membership, name string) *event.MemberEventContent {
	return &event.MemberEventContent{Membership: membership, Displayname: name}
}

func sorted(users []id.UserID, err error) ([]id.UserID, error) {
	slices.Sort(users)
	return users, err
}

func caseMautrixMembers(p *probe) {
	s := p.open()
	b := s.mautrix()
	left, err := b.GetMember(p.Ctx, kitchen, alice)
	p.Must("GetMember", err)
	if left == nil || left.Membership != event.MembershipLeave {
		p.Broken("somebody unknown is %s, and should have left", show(left))
	}
	is(p, "TryGetMember of somebody unknown", (*event.MemberEventContent)(nil))(b.TryGetMember(p.Ctx, kitchen, alice))
	memberships := []event.Membership{event.MembershipJoin, event.MembershipInvite, event.MembershipKnock, event.MembershipLeave, event.MembershipBan}
	users := ids[id.UserID]("@u%d:x", len(memberships))
	for i, m := range memberships {
		p.Must("SetMember", b.SetMember(p.Ctx, kitchen, users[i], named(m, "n")))
	}
	p.Must("SetMember", b.SetMember(p.Ctx, garden, alice, named(event.MembershipJoin, "n")))
	check := func() {
		for i, m := range memberships {
			is(p, "GetMember", named(m, "n"))(b.GetMember(p.Ctx, kitchen, users[i]))
			if got, want := b.IsInRoom(p.Ctx, kitchen, users[i]), m == event.MembershipJoin; got != want {
				p.Broken("IsInRoom of one whose membership is %q is %v", m, got)
			}
			if got, want := b.IsInvited(p.Ctx, kitchen, users[i]), i < 2; got != want {
				p.Broken("IsInvited of one whose membership is %q is %v", m, got)
			}
			if !b.IsMembership(p.Ctx, kitchen, users[i], event.MembershipKnock, m) || b.IsMembership(p.Ctx, kitchen, users[i]) {
				p.Broken("IsMembership of one whose membership is %q is wrong", m)
			}
		}
		is(p, "GetRoomJoinedOrInvitedMembers", users[:2])(sorted(b.GetRoomJoinedOrInvitedMembers(p.Ctx, kitchen)))
		is(p, "how many GetAllMembers returns", len(users))(part(func(all map[id.UserID]*event.MemberEventContent) int { return len(all) })(b.GetAllMembers(p.Ctx, kitchen)))
	}
	check()
	s.nap()
	check()
	p.Must("SetMembership", b.SetMembership(p.Ctx, kitchen, users[0], event.MembershipLeave))
	is(p, "GetMember after SetMembership", named(event.MembershipLeave, "n"))(b.GetMember(p.Ctx, kitchen, users[0]))
	is(p, "GetRoomJoinedOrInvitedMembers after one has left", users[1:2])(b.GetRoomJoinedOrInvitedMembers(p.Ctx, kitchen))
	key := string(users[0])
	b.UpdateState(p.Ctx, &event.Event{Type: event.StateMember, StateKey: &key, RoomID: kitchen, Sender: users[0], ID: "$1", Content: event.Content{Parsed: named(event.MembershipJoin, "again")}})
	is(p, "GetMember after UpdateState", named(event.MembershipJoin, "again"))(b.GetMember(p.Ctx, kitchen, users[0]))
	found(p, "the member in the store", "again", true)(func(m state.Member, found bool, err error) (string, bool, error) {
		return m.DisplayName, found, err
	}(s.Member(p.Ctx, kitchen, users[0])))
}

func caseMautrixClear(p *probe) {
	s := p.open()
	b := s.mautrix()
	s.save(func(c *state.Changes) { join(c, kitchen) })
	fill := func() {
		for user, m := range map[id.UserID]event.Membership{alice: event.MembershipJoin, bob: event.MembershipLeave, carol: event.MembershipBan} {
			p.Must("SetMember", b.SetMember(p.Ctx, kitchen, user, named(m, "n")))
		}
	}
	for _, clear := range []struct {
		only []event.Membership
		left []id.UserID
	}{
		{nil, nil}, {[]event.Membership{event.MembershipLeave}, []id.UserID{alice, carol}},
		{[]event.Membership{event.MembershipJoin, event.MembershipBan}, []id.UserID{bob}}, {[]event.Membership{"unknown"}, []id.UserID{alice, bob, carol}},
	} {
		fill()
		p.Must("MarkMembersFetched", b.MarkMembersFetched(p.Ctx, kitchen))
		is(p, "HasFetchedMembers", true)(b.HasFetchedMembers(p.Ctx, kitchen))
		p.Must("ClearCachedMembers", b.ClearCachedMembers(p.Ctx, kitchen, clear.only...))
		is(p, "who is left after "+show(clear.only)+" were cleared", clear.left)(sorted(s.UserIDs(p.Ctx, kitchen, 0)))
		is(p, "HasFetchedMembers after clearing", false)(b.HasFetchedMembers(p.Ctx, kitchen))
	}
	key := string(me)
	evt := &event.Event{Type: event.StateMember, StateKey: &key, RoomID: kitchen, Sender: me, ID: "$1", Content: event.Content{Parsed: named(event.MembershipJoin, "me")}}
	p.Must("ReplaceCachedMembers", b.ReplaceCachedMembers(p.Ctx, kitchen, []*event.Event{evt}))
	is(p, "who is there after all were replaced", []id.UserID{me})(s.UserIDs(p.Ctx, kitchen, 0))
	is(p, "HasFetchedMembers after replacing", true)(b.HasFetchedMembers(p.Ctx, kitchen))
}

func caseMautrixRooms(p *probe) {
	s := p.open()
	b := s.mautrix()
	is(p, "GetPowerLevels", (*event.PowerLevelsEventContent)(nil))(b.GetPowerLevels(p.Ctx, kitchen))
	is(p, "GetJoinRules", (*event.JoinRulesEventContent)(nil))(b.GetJoinRules(p.Ctx, kitchen))
	is(p, "GetCreate", (*event.Event)(nil))(b.GetCreate(p.Ctx, kitchen))
	is(p, "GetEncryptionEvent", (*event.EncryptionEventContent)(nil))(b.GetEncryptionEvent(p.Ctx, kitchen))
	is(p, "IsEncrypted", false)(b.IsEncrypted(p.Ctx, kitchen))
	p.Must("SetJoinRules", b.SetJoinRules(p.Ctx, kitchen, &event.JoinRulesEventContent{JoinRule: event.JoinRuleKnock}))
	p.Must("SetPowerLevels", b.SetPowerLevels(p.Ctx, kitchen, &event.PowerLevelsEventContent{Users: map[id.UserID]int{alice: 50}}))
	p.Must("SetCreate", b.SetCreate(p.Ctx, &event.Event{Type: event.StateCreate, RoomID: kitchen, Sender: alice, ID: "$c", Content: event.Content{Parsed: &event.CreateEventContent{RoomVersion: "11"}}}))
	p.Must("SetEncryptionEvent", b.SetEncryptionEvent(p.Ctx, kitchen, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1, RotationPeriodMessages: 7}))
	check := func() {
		rules, err := b.GetJoinRules(p.Ctx, kitchen)
		p.Must("GetJoinRules", err)
		levels, err := b.GetPowerLevels(p.Ctx, kitchen)
		p.Must("GetPowerLevels", err)
		create, err := b.GetCreate(p.Ctx, kitchen)
		p.Must("GetCreate", err)
		encryption, err := b.GetEncryptionEvent(p.Ctx, kitchen)
		p.Must("GetEncryptionEvent", err)
		if rules == nil || rules.JoinRule != event.JoinRuleKnock || levels == nil || levels.GetUserLevel(alice) != 50 || create == nil || create.Sender != alice ||
			create.Content.AsCreate().RoomVersion != "11" || encryption == nil || encryption.RotationPeriodMessages != 7 {
			p.Broken("the room has the join rules %s, levels %s, create event %s, encryption %s", show(rules), show(levels), show(create), show(encryption))
		}
		is(p, "IsEncrypted", true)(b.IsEncrypted(p.Ctx, kitchen))
		is(p, "IsEncrypted of another room", false)(b.IsEncrypted(p.Ctx, garden))
	}
	check()
	s.nap()
	check()
	p.Is("SetJoinRules of nothing", b.SetJoinRules(p.Ctx, kitchen, nil), state.ErrContent)
	p.Is("SetMember in no room", b.SetMember(p.Ctx, "", alice, named(event.MembershipJoin, "")), state.ErrNoRoomID)
	check()
}

func caseMautrixShared(p *probe) {
	s := p.open()
	b := s.mautrix()
	rooms := ids[id.RoomID]("!r%d:x", 6)
	for i, room := range rooms {
		own, his, encrypted := event.MembershipJoin, event.MembershipJoin, true
		switch i {
		case 1:
			his = event.MembershipInvite
		case 2:
			his = event.MembershipLeave
		case 3:
			encrypted = false
		case 4:
			own = event.MembershipLeave
		case 5:
			own = event.MembershipInvite
		}
		p.Must("SetMember", b.SetMember(p.Ctx, room, me, named(own, "me")))
		p.Must("SetMember", b.SetMember(p.Ctx, room, alice, named(his, "alice")))
		if encrypted {
			p.Must("SetEncryptionEvent", b.SetEncryptionEvent(p.Ctx, room, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}))
		}
	}
	shared := func() {
		got, err := b.FindSharedRooms(p.Ctx, alice)
		p.Must("FindSharedRooms", err)
		slices.Sort(got)
		if want := []id.RoomID{rooms[0], rooms[1], rooms[5]}; !slices.Equal(got, want) {
			p.Broken("FindSharedRooms returned %q, and should have returned %q", got, want)
		}
		is(p, "FindSharedRooms with nobody", []id.RoomID(nil))(b.FindSharedRooms(p.Ctx, carol))
	}
	shared()
	s.nap()
	shared()
}

func caseMautrixNames(p *probe) {
	s := p.open()
	b := s.mautrix()
	for user, m := range map[id.UserID]*event.MemberEventContent{
		alice: named(event.MembershipJoin, "Ann"), bob: named(event.MembershipInvite, "Аnn"), carol: named(event.MembershipLeave, "Ann"), me: named(event.MembershipJoin, "ann"),
	} {
		p.Must("SetMember", b.SetMember(p.Ctx, kitchen, user, m))
	}
	is(p, "IsConfusableName", []id.UserID{alice, bob})(sorted(b.IsConfusableName(p.Ctx, kitchen, me, "ANN")))
	is(p, "IsConfusableName of another name", []id.UserID(nil))(b.IsConfusableName(p.Ctx, kitchen, me, "Bob"))
}

// failing is a store that fails on demand.
type failing struct {
	state.Store
	err atomic.Pointer[error]
}

func (f *failing) fail(err error) {
	if err == nil {
		f.err.Store(nil)
	} else {
		f.err.Store(&err)
	}
}

func (f *failing) now() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *failing) SaveChanges(ctx context.Context, c *state.Changes) error {
	if err := f.now(); err != nil {
		return err
	}
	return f.Store.SaveChanges(ctx, c)
}

func (f *failing) Member(ctx context.Context, room id.RoomID, user id.UserID) (state.Member, bool, error) {
	if err := f.now(); err != nil {
		return state.Member{}, false, err
	}
	return f.Store.Member(ctx, room, user)
}

func caseMautrixSync(p *probe) {
	s := p.open()
	store := &failing{Store: s.Store}
	b := p.bridge(store, mautrixstate.Options{})
	is(p, "LoadNextBatch of a new store", "")(b.LoadNextBatch(p.Ctx, me))
	is(p, "LoadFilterID of a new store", "")(b.LoadFilterID(p.Ctx, me))
	p.Must("SaveFilterID", b.SaveFilterID(p.Ctx, me, "filter"))
	p.Must("SaveNextBatch", b.SaveNextBatch(p.Ctx, me, "one"))
	found(p, "a token whose response was not processed", "", false)(state.Get(p.Ctx, s, state.SyncToken()))
	p.Must("SaveNextBatch", b.SaveNextBatch(p.Ctx, me, "two")) // so that the first response was processed
	is(p, "LoadNextBatch", "one")(b.LoadNextBatch(p.Ctx, me))
	s.again(func() {
		b := p.bridge(s.Store, mautrixstate.Options{})
		is(p, "the first LoadNextBatch after the start", "one")(b.LoadNextBatch(p.Ctx, me))
		is(p, "the second LoadNextBatch", "one")(b.LoadNextBatch(p.Ctx, me))
		is(p, "LoadFilterID", "filter")(b.LoadFilterID(p.Ctx, me))
	})
	store.Store = s.Store
	b = p.bridge(store, mautrixstate.Options{})
	p.Must("SaveNextBatch", b.SaveNextBatch(p.Ctx, me, "two"))
	oh := errors.New("oh")
	store.fail(oh)
	p.Is("SaveNextBatch that cannot be stored", b.SaveNextBatch(p.Ctx, me, "three"), oh)
	store.fail(nil)
	is(p, "LoadNextBatch of a token that could not be stored", "one")(b.LoadNextBatch(p.Ctx, me))
	p.Is("LoadNextBatch of another user", second(b.LoadNextBatch(p.Ctx, alice)), mautrixstate.ErrOtherUser)
	p.Is("SaveNextBatch of another user", b.SaveNextBatch(p.Ctx, alice, "x"), mautrixstate.ErrOtherUser)
}

func caseMautrixMany(p *probe) {
	s := p.open()
	b := s.mautrix()
	var all []func()
	for i := range 4 {
		all = append(all, func() {
			for range p.count(10, 20, 200, 2000) {
				p.Must("SaveNextBatch", b.SaveNextBatch(p.Ctx, me, "token"))
				p.Must("SaveFilterID", b.SaveFilterID(p.Ctx, me, "filter"))
				token, err := b.LoadNextBatch(p.Ctx, me)
				p.Must("LoadNextBatch", err)
				if token != "" && token != "token" {
					p.Broken("LoadNextBatch returned %q", token)
				}
				is(p, "LoadFilterID", "filter")(b.LoadFilterID(p.Ctx, me))
				user := ids[id.UserID]("@u%d:x", 4)[i]
				p.Must("SetMembership", b.SetMembership(p.Ctx, kitchen, user, event.MembershipJoin))
				if !b.IsInRoom(p.Ctx, kitchen, user) {
					p.Broken("whoever was just set to have joined has not")
				}
			}
		})
	}
	p.All(all...)
	is(p, "GetRoomJoinedOrInvitedMembers", ids[id.UserID]("@u%d:x", 4))(sorted(b.GetRoomJoinedOrInvitedMembers(p.Ctx, kitchen)))
}

func caseMautrixBool(p *probe) {
	s := p.open()
	store, o := &failing{Store: s.Store}, &toldTo{}
	b := p.bridge(store, mautrixstate.Options{Observe: o.observe, GiveUp: 20 * time.Millisecond})
	p.Must("SetMember", b.SetMember(p.Ctx, kitchen, alice, named(event.MembershipJoin, "n")))
	s.save(func(c *state.Changes) { add(c, kitchen, memberOf(bob, "join", "b")) }) // who was not asked for
	oh := errors.New("oh")
	store.fail(oh)
	for user, known := range map[id.UserID]bool{alice: true, bob: false} {
		for method, ask := range map[string]func() bool{
			"IsInRoom":     func() bool { return b.IsInRoom(p.Ctx, kitchen, user) },
			"IsInvited":    func() bool { return b.IsInvited(p.Ctx, kitchen, user) },
			"IsMembership": func() bool { return b.IsMembership(p.Ctx, kitchen, user, event.MembershipJoin) },
		} {
			got := ask()
			if got != known {
				p.Broken("%s, of a store that fails, where the answer was known: %v, is %v", method, known, got)
			}
			told := o.take()
			if len(told) != 1 || told[0].Operation != method || told[0].FromCache != known || told[0].Answer != known || !errors.Is(told[0].Err, oh) {
				p.Broken("of %s that a store has failed for, the observer was told %+v", method, told)
			}
		}
	}
	key := string(carol)
	b.UpdateState(p.Ctx, &event.Event{Type: event.StateMember, StateKey: &key, RoomID: kitchen, Sender: carol, ID: "$1", Content: event.Content{Parsed: named(event.MembershipJoin, "c")}})
	if told := o.take(); len(told) != 1 || told[0].Operation != "UpdateState" || told[0].Room != kitchen || told[0].Event != "$1" || !errors.Is(told[0].Err, oh) {
		p.Broken("of an UpdateState that the store has failed for, the observer was told %+v", told)
	}
	// What fails for a while is tried again.
	b = p.bridge(store, mautrixstate.Options{Observe: o.observe, GiveUp: time.Hour})
	asked := p.Go(func() {
		if !b.IsInRoom(p.Ctx, kitchen, bob) {
			p.Broken("IsInRoom, of a store that works again, is false")
		}
	})
	store.fail(nil)
	<-asked
	if told := o.take(); len(told) != 0 {
		p.Broken("of what went well at last, the observer was told %+v", told)
	}
}

func caseMautrixPaused(p *probe) {
	s := p.open()
	o := &toldTo{}
	b := p.bridge(s.Store, mautrixstate.Options{Observe: o.observe, GiveUp: time.Nanosecond})
	p.Must("SetMember", b.SetMember(p.Ctx, kitchen, alice, named(event.MembershipJoin, "n")))
	p.Must("SetEncryptionEvent", b.SetEncryptionEvent(p.Ctx, kitchen, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}))
	s.save(func(c *state.Changes) { c.SyncToken = "token" })
	key := string(carol)
	asks := map[string]func(ctx context.Context) error{
		"SetMember": func(ctx context.Context) error {
			return b.SetMember(ctx, kitchen, bob, named(event.MembershipInvite, "b"))
		},
		"GetMember":        func(ctx context.Context) error { return second(b.GetMember(ctx, kitchen, alice)) },
		"GetAllMembers":    func(ctx context.Context) error { return second(b.GetAllMembers(ctx, kitchen)) },
		"IsEncrypted":      func(ctx context.Context) error { return second(b.IsEncrypted(ctx, kitchen)) },
		"FindSharedRooms":  func(ctx context.Context) error { return second(b.FindSharedRooms(ctx, alice)) },
		"LoadNextBatch":    func(ctx context.Context) error { return second(b.LoadNextBatch(ctx, me)) },
		"SaveFilterID":     func(ctx context.Context) error { return b.SaveFilterID(ctx, me, "f") },
		"IsConfusableName": func(ctx context.Context) error { return second(b.IsConfusableName(ctx, kitchen, me, "n")) },
		"IsInRoom": func(ctx context.Context) error {
			if !b.IsInRoom(ctx, kitchen, alice) {
				return errors.New("it is false")
			}
			return nil
		},
		"UpdateState": func(ctx context.Context) error {
			b.UpdateState(ctx, &event.Event{Type: event.StateMember, StateKey: &key, RoomID: kitchen, Sender: carol, ID: "$1", Content: event.Content{Parsed: named(event.MembershipJoin, "c")}})
			return nil
		},
	}
	type result struct {
		method string
		err    error
	}
	p.Must("Pause", s.Pause(p.Ctx))
	results := make(chan result, len(asks))
	for method, ask := range asks {
		p.Go(func() { results <- result{method, ask(p.Ctx)} })
	}
	select {
	case r := <-results:
		p.Fatal("%s returned (%v) while the store was paused, and should wait", r.method, r.err)
	case <-time.After(20 * time.Millisecond):
	}
	// Whose context ends does not wait any longer, and answers what was known.
	ended, cancel := context.WithCancel(p.Ctx)
	impatient := make(chan error, 1)
	p.Go(func() { impatient <- second(b.GetMember(ended, kitchen, alice)) })
	known := make(chan bool, 2)
	p.Go(func() { known <- b.IsInRoom(ended, kitchen, alice) })
	cancel()
	p.Is("GetMember whose context has ended", trial.Receive(p.T, "the end of GetMember", impatient), context.Canceled)
	if !trial.Receive(p.T, "the end of IsInRoom", known) {
		p.Broken("IsInRoom whose context has ended is false, and the last answer was true")
	}
	if told := o.take(); len(told) != 1 || told[0].Operation != "IsInRoom" || !told[0].FromCache || !told[0].Answer {
		p.Broken("of an IsInRoom whose context has ended, the observer was told %+v", told)
	}
	p.Must("Resume", s.Resume(p.Ctx))
	for range cap(results) {
		r := trial.Receive(p.T, "the end of what mautrix has asked", results)
		p.Is(r.method+" after it has waited", r.err, nil)
	}
	if told := o.take(); len(told) != 0 {
		p.Broken("of what has waited for a Resume, the observer was told %+v", told)
	}
	is(p, "GetRoomJoinedOrInvitedMembers", []id.UserID{alice, bob, carol})(sorted(b.GetRoomJoinedOrInvitedMembers(p.Ctx, kitchen)))
}

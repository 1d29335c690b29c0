package mautrixstate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/internal/plain"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

const (
	room  id.RoomID = "!r"
	other id.RoomID = "!o"
)

var watchdog = 30 * time.Second

// fixture is an Adapter over a store that can be made to fail.
type fixture struct {
	*testing.T
	ctx   context.Context
	store *plain.Store
	*mautrixstate.Adapter

	mu       sync.Mutex
	failures []mautrixstate.Failure
	fail     atomic.Pointer[error]
	asked    chan string // an operation that the store has refused; a slow reader misses some
}

func newFixture(t *testing.T) *fixture {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	f := &fixture{T: t, ctx: ctx, store: plain.New(), asked: make(chan string, 1)}
	f.store.Fail = func(_ context.Context, operation string) error {
		if err := f.fail.Load(); err != nil {
			select {
			case f.asked <- operation:
			default:
			}
			return *err
		}
		return nil
	}
	f.Adapter = mautrixstate.New(f.store, me, mautrixstate.Options{Observe: f.observe, GiveUp: time.Millisecond})
	return f
}

func (f *fixture) observe(failure mautrixstate.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, failure)
}

func (f *fixture) observed() []mautrixstate.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.failures)
}

// failWith makes every operation of the store fail; nil makes it work again.
func (f *fixture) failWith(err error) {
	if err == nil {
		f.fail.Store(nil)
		return
	}
	f.fail.Store(&err)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) want(what string, got, want any) {
	f.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		f.Errorf("%s: %s, and should be %s", what, g, w)
	}
}

func (f *fixture) users(room id.RoomID) string {
	f.Helper()
	users, err := f.GetRoomJoinedOrInvitedMembers(f.ctx, room)
	f.must(err)
	slices.Sort(users)
	return fmt.Sprint(users)
}

func (f *fixture) all(room id.RoomID) string {
	f.Helper()
	members, err := f.GetAllMembers(f.ctx, room)
	f.must(err)
	var out []string
	for _, user := range slices.Sorted(maps.Keys(members)) {
		out = append(out, fmt.Sprintf("%s=%s/%s", user, members[user].Membership, members[user].Displayname))
	}
	return fmt.Sprint(out)
}

func memberEvent(user id.UserID, membership event.Membership, name string) *event.Event {
	return &event.Event{
		Type: event.StateMember, StateKey: ptr(string(user)), RoomID: room, Sender: user,
		Content: event.Content{Parsed: &event.MemberEventContent{Membership: membership, Displayname: name}},
	}
}

func TestMembersAreWhatWasSet(t *testing.T) {
	f := newFixture(t)
	m, err := f.GetMember(f.ctx, room, "@a:x")
	f.must(err)
	f.want("who is not known has left", m.Membership, "leave")
	if m, err := f.TryGetMember(f.ctx, room, "@a:x"); m != nil || err != nil {
		t.Errorf("who is not known is %+v (%v)", m, err)
	}
	f.must(f.SetMember(f.ctx, room, "@a:x", &event.MemberEventContent{Membership: "join", Displayname: "A", AvatarURL: "mxc://a", Reason: "r"}))
	f.must(f.SetMembership(f.ctx, room, "@b:x", "invite"))
	f.must(f.SetMembership(f.ctx, room, "@c:x", "leave"))
	f.must(f.SetMembership(f.ctx, room, "@a:x", "ban"))
	f.must(f.SetMembership(f.ctx, room, "@d:x", "join"))
	f.must(f.SetMembership(f.ctx, other, "@e:x", "join"))
	m, err = f.TryGetMember(f.ctx, room, "@a:x")
	f.must(err)
	if diff := cmp.Diff(&event.MemberEventContent{Membership: "ban", Displayname: "A", AvatarURL: "mxc://a", Reason: "r"}, m); diff != "" {
		t.Errorf("a change of the membership has changed more (-should +is):\n%s", diff)
	}
	f.want("joined or invited, and nobody else", f.users(room), "[@b:x @d:x]")
	f.want("all", f.all(room), "[@a:x=ban/A @b:x=invite/ @c:x=leave/ @d:x=join/]")
	for user, want := range map[id.UserID]string{"@a:x": "false false true", "@b:x": "false true false", "@c:x": "false false false", "@d:x": "true true false", "@z:x": "false false false"} {
		f.want(string(user), fmt.Sprint(f.IsInRoom(f.ctx, room, user), f.IsInvited(f.ctx, room, user), f.IsMembership(f.ctx, room, user, "ban", "knock")), want)
	}
	f.want("who is not known", f.IsMembership(f.ctx, room, "@z:x", "leave"), true)

	for name, err := range map[string]error{
		"no room": f.SetMember(f.ctx, "", "@a:x", &event.MemberEventContent{}), "no user": f.SetMembership(f.ctx, room, "", "join"),
		"no content": f.SetMember(f.ctx, room, "@a:x", nil), "a bad id": f.SetMembership(f.ctx, room, "@\xff", "join"),
	} {
		if err == nil {
			t.Errorf("%s is stored", name)
		}
	}
}

func TestClearingWithoutMembershipsClearsAll(t *testing.T) {
	f := newFixture(t)
	fill := func() {
		for user, m := range map[id.UserID]event.Membership{"@a:x": "join", "@b:x": "invite", "@c:x": "ban", "@d:x": "odd"} {
			f.must(f.SetMembership(f.ctx, room, user, m))
			f.must(f.SetMembership(f.ctx, other, user, m))
		}
		f.must(f.MarkMembersFetched(f.ctx, room))
	}
	for _, c := range []struct {
		only []event.Membership
		want string
	}{
		{nil, "[]"},
		{[]event.Membership{"join", "ban"}, "[@b:x=invite/ @d:x=odd/]"},
		{[]event.Membership{"unheard of"}, "[@a:x=join/ @b:x=invite/ @c:x=ban/ @d:x=odd/]"},
	} {
		fill()
		f.must(f.ClearCachedMembers(f.ctx, room, c.only...))
		f.want(fmt.Sprintf("after clearing %q", c.only), f.all(room), c.want)
		f.want("of another room", f.all(other), "[@a:x=join/ @b:x=invite/ @c:x=ban/ @d:x=odd/]")
		known, err := f.HasFetchedMembers(f.ctx, room)
		f.must(err)
		f.want("all members are known", known, false)
	}
}

func TestReplacingMembersIsOneTransaction(t *testing.T) {
	f := newFixture(t)
	f.must(f.SetMembership(f.ctx, room, "@old:x", "join"))
	f.must(f.SetMembership(f.ctx, room, "@gone:x", "leave"))
	saved := f.store.Saved
	poor := memberEvent("@poor:x", "join", "Poor")
	poor.Sender = "" // as in a list of joined members
	f.must(f.ReplaceCachedMembers(f.ctx, room, []*event.Event{
		memberEvent("@a:x", "join", "A"), nil, {Type: event.StateTopic, StateKey: ptr("")}, memberEvent("@b:x", "", "none"), poor, memberEvent(me, "join", "Me"),
	}))
	f.want("the transactions", f.store.Saved-saved, 1)
	f.want("the members", f.all(room), "[@a:x=join/A @me:x=join/Me @poor:x=join/Poor]")
	known, err := f.HasFetchedMembers(f.ctx, room)
	f.must(err)
	f.want("all are known", known, true)
	f.want("what was left out is told", len(f.observed()), 1)
	others, err := f.IsConfusableName(f.ctx, room, "@new:x", "pOOr")
	f.must(err)
	f.want("who has the name", others, "[@poor:x]")

	f.must(f.ReplaceCachedMembers(f.ctx, room, []*event.Event{memberEvent("@c:x", "join", "C")}, "join"))
	f.want("those who have joined", f.all(room), "[@c:x=join/C]")
	known, err = f.HasFetchedMembers(f.ctx, room)
	f.must(err)
	f.want("all are known after some were replaced", known, false)
	if err := f.ReplaceCachedMembers(f.ctx, "", nil); !errors.Is(err, state.ErrNoRoomID) {
		t.Errorf("members of no room are replaced: %v", err)
	}
	info, err := f.store.RoomInfo(f.ctx, room)
	f.must(err)
	f.want("what the user is in the room", info.State, state.Joined)
}

func TestARoomsStateIsWhatWasSet(t *testing.T) {
	f := newFixture(t)
	rules, err := f.GetJoinRules(f.ctx, room)
	f.want("no join rules", fmt.Sprint(rules, err), "<nil> <nil>")
	f.must(f.SetJoinRules(f.ctx, room, &event.JoinRulesEventContent{JoinRule: event.JoinRuleRestricted, Allow: []event.JoinRuleAllow{{RoomID: other, Type: "m.room_membership"}}}))
	rules, err = f.GetJoinRules(f.ctx, room)
	f.must(err)
	f.want("join rules", *rules, "{restricted [{!o m.room_membership}]}")

	levels, err := f.GetPowerLevels(f.ctx, room)
	f.want("no power levels", fmt.Sprint(levels == nil, err), "true <nil>")
	f.must(f.SetPowerLevels(f.ctx, room, &event.PowerLevelsEventContent{Users: map[id.UserID]int{"@a:x": 50}, UsersDefault: 3}))
	levels, err = f.GetPowerLevels(f.ctx, room)
	f.must(err)
	f.want("power levels", fmt.Sprint(levels.GetUserLevel("@a:x"), levels.GetUserLevel("@b:x")), "50 3")

	create, err := f.GetCreate(f.ctx, room)
	f.want("no create event", fmt.Sprint(create == nil, err), "true <nil>")
	f.must(f.SetCreate(f.ctx, &event.Event{Type: event.StateCreate, RoomID: room, ID: "$c", Sender: "@c:x", Timestamp: 5, Content: event.Content{
		VeryRaw: json.RawMessage(`{"room_version":"12","additional_creators":["@d:x"]}`)}}))
	create, err = f.GetCreate(f.ctx, room)
	f.must(err)
	f.want("the create event", fmt.Sprint(create.RoomID, create.ID, create.Sender, create.Timestamp, create.Type.Class == event.StateEventType, create.Content.AsCreate().RoomVersion), "!r$c@c:x5 true12")
	levels, err = f.GetPowerLevels(f.ctx, room)
	f.must(err)
	f.want("the power of the creators", fmt.Sprint(levels.GetUserLevel("@c:x"), levels.GetUserLevel("@d:x"), levels.GetUserLevel("@b:x")), fmt.Sprint(math.MaxInt, math.MaxInt, 3))

	f.want("refused", errors.Join(
		f.SetCreate(f.ctx, &event.Event{Type: event.StateTopic, RoomID: room}), f.SetCreate(f.ctx, &event.Event{Type: event.StateCreate}), f.SetCreate(f.ctx, nil),
		f.SetPowerLevels(f.ctx, "", levels), f.SetPowerLevels(f.ctx, room, nil)) != nil, true)
}

func TestARoomIsEncryptedIfItsStateSaysSo(t *testing.T) {
	f := newFixture(t)
	is := func(room id.RoomID) string {
		t.Helper()
		encrypted, err := f.IsEncrypted(f.ctx, room)
		f.must(err)
		content, err := f.GetEncryptionEvent(f.ctx, room)
		f.must(err)
		return fmt.Sprint(encrypted, content != nil)
	}
	f.want("unknown", is(room), "false false")
	f.must(f.SetEncryptionEvent(f.ctx, room, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1, RotationPeriodMillis: 9}))
	f.must(f.SetEncryptionEvent(f.ctx, other, &event.EncryptionEventContent{Algorithm: "org.example"}))
	f.want("by Megolm", is(room), "true true")
	f.want("otherwise", is(other), "false true")

	// A redacted event cannot make a room another one that was encrypted, if the store knows the room.
	f.must(f.MarkMembersFetched(f.ctx, room))
	f.UpdateState(f.ctx, &event.Event{Type: event.StateEncryption, StateKey: ptr(""), RoomID: room, ID: "$e", Content: event.Content{VeryRaw: json.RawMessage(`{}`)}})
	f.want("after the event was emptied", is(room), "true true")
}

func TestSharedRoomsAreEncryptedOnesThatBothAreIn(t *testing.T) {
	f := newFixture(t)
	for i, c := range []struct {
		encrypted bool
		his, mine event.Membership
	}{
		{true, "join", "join"}, {true, "invite", "join"}, {true, "join", ""}, // it is not known that I am not there
		{false, "join", "join"}, {true, "leave", "join"}, {true, "ban", "join"}, {true, "join", "leave"}, {true, "", "join"},
	} {
		r := id.RoomID(fmt.Sprintf("!%d", i))
		if c.encrypted {
			f.must(f.SetEncryptionEvent(f.ctx, r, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}))
		}
		for user, m := range map[id.UserID]event.Membership{"@a:x": c.his, me: c.mine} {
			if m != "" {
				f.must(f.SetMembership(f.ctx, r, user, m))
			}
		}
	}
	rooms, err := f.FindSharedRooms(f.ctx, "@a:x")
	f.must(err)
	f.want("the shared rooms", rooms, "[!0 !1 !2]")
	rooms, err = f.FindSharedRooms(f.ctx, "@nobody:x")
	f.must(err)
	f.want("with nobody", rooms, "[]")
}

func TestStateEventsAreStoredByWhereTheyCameFrom(t *testing.T) {
	f := newFixture(t)
	update := func(source event.Source, ignore bool, evt *event.Event) {
		evt.Mautrix.EventSource, evt.Mautrix.IgnoreState = source, ignore
		f.UpdateState(f.ctx, evt)
	}
	topic := func(text string) *event.Event {
		return &event.Event{Type: event.StateTopic, StateKey: ptr(""), RoomID: room, Content: event.Content{VeryRaw: json.RawMessage(`{"topic":"` + text + `"}`)}}
	}
	get := func() string {
		t.Helper()
		e, found, err := f.store.StateEvent(f.ctx, room, "m.room.topic", "")
		f.must(err)
		if !found {
			return "none"
		}
		content, err := (state.Typed[event.TopicEventContent]{StateEvent: e}).Content()
		f.must(err)
		return fmt.Sprint(content.Topic, e.Stripped)
	}
	update(event.SourceInvite|event.SourceState, false, topic("invite"))
	f.want("of an invite", get(), "invitetrue")
	update(event.SourceJoin|event.SourceTimeline, false, topic("new"))
	f.want("of the timeline", get(), "newfalse")
	update(event.SourceJoin|event.SourceTimeline, true, topic("lost"))
	f.want("of a timeline beside the state after it", get(), "newfalse")
	f.UpdateState(f.ctx, &event.Event{Type: event.EventMessage, RoomID: room})
	f.UpdateState(f.ctx, nil)
	f.want("the failures", f.observed(), "[]")
	for _, bad := range []*event.Event{
		{Type: event.StateTopic, StateKey: ptr("")},
		{Type: event.StateTopic, StateKey: ptr("\xff"), RoomID: room},
		{StateKey: ptr(""), RoomID: room},
	} {
		before := len(f.observed())
		f.UpdateState(f.ctx, bad)
		if got := f.observed(); len(got) != before+1 || got[before].Operation != "UpdateState" || got[before].Err == nil {
			t.Errorf("%+v could not be stored, and nobody was told: %v", bad, got)
		}
	}
	mautrix.UpdateStateStore(f.ctx, f.Adapter, memberEvent(me, "join", "Me"))
	info, err := f.store.RoomInfo(f.ctx, room)
	f.must(err)
	if info == nil || info.State != state.Joined {
		t.Errorf("the user has joined the room, and what is known of it is %+v", info)
	}
}

func TestEveryMethodWaitsForTheResume(t *testing.T) {
	for name, call := range map[string]func(f *fixture) error{
		"IsInRoom": func(f *fixture) error {
			if !f.IsInRoom(f.ctx, room, "@a:x") {
				return errors.New("it says no")
			}
			return nil
		},
		"GetMember":          func(f *fixture) error { _, err := f.GetMember(f.ctx, room, "@a:x"); return err },
		"SetMembership":      func(f *fixture) error { return f.SetMembership(f.ctx, room, "@a:x", "join") },
		"ClearCachedMembers": func(f *fixture) error { return f.ClearCachedMembers(f.ctx, room) },
		"IsEncrypted":        func(f *fixture) error { _, err := f.IsEncrypted(f.ctx, room); return err },
		"FindSharedRooms":    func(f *fixture) error { _, err := f.FindSharedRooms(f.ctx, "@a:x"); return err },
		"LoadNextBatch":      func(f *fixture) error { _, err := f.LoadNextBatch(f.ctx, me); return err },
		"SaveFilterID":       func(f *fixture) error { return f.SaveFilterID(f.ctx, me, "1") },
		"UpdateState":        func(f *fixture) error { f.UpdateState(f.ctx, memberEvent("@a:x", "join", "")); return nil },
	} {
		for _, refusal := range []error{lifecycle.ErrPaused, fmt.Errorf("store: %w", lifecycle.ErrInterrupted)} {
			f := newFixture(t)
			f.must(f.SetMembership(f.ctx, room, "@a:x", "join"))
			f.failWith(refusal)
			done := make(chan error, 1)
			go func() { done <- call(f) }()
			select {
			case <-f.asked:
			case err := <-done:
				t.Errorf("%s has not asked the store: %v", name, err)
				continue
			}
			select {
			case err := <-done:
				t.Errorf("%s has not waited for the Resume: %v", name, err)
			default:
			}
			f.failWith(nil)
			if err := <-done; err != nil {
				t.Errorf("%s failed after the Resume: %v", name, err)
			}
			f.want(name+": failures", f.observed(), "[]")
		}
	}
}

func TestWaitingEndsWithTheContextAndWithTheStore(t *testing.T) {
	f := newFixture(t)
	f.failWith(lifecycle.ErrPaused)
	ctx, cancel := context.WithCancel(f.ctx)
	done := make(chan error, 1)
	go func() { _, err := f.GetMember(ctx, room, "@a:x"); done <- err }()
	<-f.asked
	cancel()
	if err := <-done; !errors.Is(err, lifecycle.ErrPaused) || !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, and should say that the store is paused and the context has ended", err)
	}
	f.failWith(lifecycle.ErrClosed)
	if _, err := f.GetMember(f.ctx, room, "@a:x"); !errors.Is(err, lifecycle.ErrClosed) {
		t.Errorf("the error is %v, and should match ErrClosed", err)
	}
}

func TestWhoCannotAnswerAnswersFromMemoryAndTells(t *testing.T) {
	f := newFixture(t)
	f.must(f.SetMembership(f.ctx, room, "@a:x", "join"))
	broken := errors.New("the disk is full of holes")
	f.failWith(broken)
	f.want("known", f.IsInRoom(f.ctx, room, "@a:x"), true)
	f.want("known not to be", f.IsMembership(f.ctx, room, "@a:x", "ban"), false)
	f.want("unknown", f.IsInvited(f.ctx, room, "@b:x"), false)
	f.failWith(lifecycle.ErrPaused)
	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	f.want("paused, and not waited for", f.IsInRoom(ended, room, "@a:x"), true)
	f.failWith(lifecycle.ErrClosed)
	f.want("closed", f.IsInRoom(f.ctx, room, "@a:x"), true)
	got := f.observed()
	if len(got) != 5 {
		t.Fatalf("the Observer was told %d times of 5: %v", len(got), got)
	}
	for i, want := range []mautrixstate.Failure{
		{Operation: "IsInRoom", Room: room, Err: broken, FromCache: true, Answer: true},
		{Operation: "IsMembership", Room: room, Err: broken, FromCache: true},
		{Operation: "IsInvited", Room: room, Err: broken},
		{Operation: "IsInRoom", Room: room, Err: lifecycle.ErrPaused, FromCache: true, Answer: true},
		{Operation: "IsInRoom", Room: room, Err: lifecycle.ErrClosed, FromCache: true, Answer: true},
	} {
		if !errors.Is(got[i], want.Err) {
			t.Errorf("failure %d is %v, and should match %v", i, got[i].Err, want.Err)
		}
		if diff := cmp.Diff(want, got[i], cmpopts.IgnoreFields(mautrixstate.Failure{}, "Err")); diff != "" {
			t.Errorf("failure %d (-should +is):\n%s", i, diff)
		}
	}
}

func TestAFailureThatPassesIsNotNoticed(t *testing.T) {
	f := newFixture(t)
	f.Adapter = mautrixstate.New(f.store, me, mautrixstate.Options{Observe: f.observe})
	f.must(f.SetMembership(f.ctx, room, "@a:x", "join"))
	f.failWith(errors.New("passes"))
	done := make(chan bool, 1)
	go func() { done <- f.IsInRoom(f.ctx, room, "@a:x") }()
	<-f.asked
	f.failWith(nil)
	f.want("the answer", <-done, true)
	f.want("the failures", f.observed(), "[]")
}

func TestTheCacheIsBounded(t *testing.T) {
	f := newFixture(t)
	f.Adapter = mautrixstate.New(f.store, me, mautrixstate.Options{GiveUp: time.Millisecond, CacheSize: 3})
	for i := range 10 {
		f.must(f.SetMembership(f.ctx, room, id.UserID(fmt.Sprintf("@%d:x", i)), "join"))
	}
	f.failWith(errors.New("broken"))
	known := 0
	for i := range 10 {
		if f.IsInRoom(f.ctx, room, id.UserID(fmt.Sprintf("@%d:x", i))) {
			known++
		}
	}
	f.want("those who are remembered", known, 3)
}

func TestATokenIsStoredOnlyWhenItsResponseWasProcessed(t *testing.T) {
	f := newFixture(t)
	load := func() string {
		t.Helper()
		token, err := mautrixstate.New(f.store, me, mautrixstate.Options{}).LoadNextBatch(f.ctx, me) // as after a restart
		f.must(err)
		return token
	}
	f.want("at first", load(), "")
	f.must(f.SaveNextBatch(f.ctx, me, "1"))
	f.want("while the first response is being processed", load(), "")
	f.must(f.SaveNextBatch(f.ctx, me, "2"))
	f.want("while the second is", load(), "1")
	f.failWith(errors.New("broken"))
	if err := f.SaveNextBatch(f.ctx, me, "3"); err == nil {
		t.Error("a token that could not be stored is no error")
	}
	f.failWith(nil)
	f.want("after a failure", load(), "1")
	f.must(f.SaveNextBatch(f.ctx, me, "3"))
	f.want("after it", load(), "2")

	// A sync that begins anew gets the last response again, and must not take it as processed.
	token, err := f.LoadNextBatch(f.ctx, me)
	f.must(err)
	f.want("the same adapter", token, "2")
	f.must(f.SaveNextBatch(f.ctx, me, "3, and more"))
	f.want("while the third is being processed again", load(), "2")

	if err := errors.Join(f.SaveNextBatch(f.ctx, "@b:x", "4"), f.SaveFilterID(f.ctx, "@b:x", "4")); !errors.Is(err, mautrixstate.ErrOtherUser) {
		t.Errorf("another user's token is stored: %v", err)
	}
	if _, err := f.LoadNextBatch(f.ctx, "@b:x"); !errors.Is(err, mautrixstate.ErrOtherUser) {
		t.Errorf("another user gets the token: %v", err)
	}
	if _, err := f.LoadFilterID(f.ctx, "@b:x"); !errors.Is(err, mautrixstate.ErrOtherUser) {
		t.Errorf("another user gets the filter: %v", err)
	}
}

func TestAFilterIsKnownUntilItIsAnotherOne(t *testing.T) {
	f := newFixture(t)
	filter := func(limit int) string {
		t.Helper()
		a := mautrixstate.New(f.store, me, mautrixstate.Options{})
		s := mautrixstate.NewSyncer(a, mautrixstate.SyncerOptions{})
		s.FilterJSON = &mautrix.Filter{Room: &mautrix.RoomFilter{Timeline: &mautrix.FilterPart{Limit: limit}}}
		filterID, err := a.LoadFilterID(f.ctx, me)
		f.must(err)
		if filterID == "" {
			f.must(a.SaveFilterID(f.ctx, me, fmt.Sprint("id", limit)))
		}
		return filterID
	}
	f.want("the filters", fmt.Sprint(filter(1), filter(1), filter(2), filter(2), filter(1)), "id1id2id1")
}

func TestTheAdapterMayBeUsedFromManyGoroutines(t *testing.T) {
	f := newFixture(t)
	mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				user := id.UserID(fmt.Sprintf("@%d:x", j))
				_ = f.SaveNextBatch(f.ctx, me, fmt.Sprint(i))
				_, _ = f.LoadNextBatch(f.ctx, me)
				_ = f.SetMembership(f.ctx, room, user, "join")
				_ = f.IsInRoom(f.ctx, room, user)
				_, _ = f.GetAllMembers(f.ctx, room)
			}
		})
	}
	wg.Wait()
	f.want("the failures", f.observed(), "[]")
}

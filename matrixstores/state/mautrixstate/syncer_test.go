package mautrixstate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// join is a response in which something happens in the room.
func join(t testing.TB, token, state string) *mautrix.RespSync {
	return response(t, fmt.Sprintf(`{"next_batch":%q,"rooms":{"join":{"!r":{"state":{"events":[%s]}}}}}`, token, state))
}

const (
	encrypted = `{"type":"m.room.encryption","state_key":"","event_id":"$e","sender":"@a:x","content":{"algorithm":"m.megolm.v1.aes-sha2"}}`
	aliceIn   = `{"type":"m.room.member","state_key":"@a:x","event_id":"$a","sender":"@a:x","content":{"membership":"join","displayname":"Alice"}}`
	bobLeft   = `{"type":"m.room.member","state_key":"@b:x","event_id":"$b","sender":"@b:x","content":{"membership":"leave"}}`
)

// token returns what is stored, whatever the adapter remembers.
func (f *fixture) token() string {
	f.Helper()
	token, _, err := state.Get(f.ctx, f.store, state.SyncToken())
	f.must(err)
	return token
}

func (f *fixture) stored(eventType, key string) bool {
	f.Helper()
	_, found, err := f.store.StateEvent(f.ctx, room, eventType, key)
	f.must(err)
	return found
}

func TestAResponseAndItsTokenAreStoredTogetherWhenAllHandlersHaveReturned(t *testing.T) {
	f := newFixture(t)
	f.must(f.SetMembership(f.ctx, room, "@b:x", "join"))
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{BeforeCommit: func(ctx context.Context, resp *mautrix.RespSync) error {
		f.want("stored before the crypto store's writes", f.stored("m.room.encryption", ""), false)
		return ctx.Err()
	}})
	handled := 0
	s.OnSync(func(ctx context.Context, resp *mautrix.RespSync, since string) bool {
		resp.Rooms.Join["!r"].State.Events = append(resp.Rooms.Join["!r"].State.Events, nil) // mautrix would not survive it
		resp.Rooms.Join["!r"].State.Events = resp.Rooms.Join["!r"].State.Events[:3]
		return true
	})
	s.OnEvent(func(ctx context.Context, evt *event.Event) {
		handled++
		f.want("the token", f.token(), "")
		f.want("stored while handlers run", f.stored("m.room.encryption", ""), false)
		is, err := f.IsEncrypted(ctx, room)
		f.must(err)
		f.want("encrypted, for a handler", is, true)
		f.want("the members, for a handler", f.all(room), "[@a:x=join/Alice @b:x=leave/]")
		f.want("joined, for a handler", fmt.Sprint(f.IsInRoom(ctx, room, "@a:x"), f.IsInRoom(ctx, room, "@b:x")), "true false")
		f.want("joined or invited, for a handler", f.users(room), "[@a:x]")
		shared, err := f.FindSharedRooms(ctx, "@a:x")
		f.must(err)
		f.want("the shared rooms, for a handler", shared, "[!r]")
		shared, err = f.FindSharedRooms(ctx, "@b:x")
		f.must(err)
		f.want("those with one who has left", shared, "[]")
		others, err := f.IsConfusableName(ctx, room, "@z:x", "alice")
		f.must(err)
		f.want("who has the name, for a handler", others, "[@a:x]")
		mautrix.UpdateStateStore(ctx, f.Adapter, evt) // as mautrix's own handler does
	})
	saved := f.store.Saved
	f.must(f.SaveNextBatch(f.ctx, me, "s1"))
	f.must(s.ProcessResponse(f.ctx, join(t, "s1", "null,"+encrypted+","+aliceIn+","+bobLeft), ""))
	f.want("the handled events", handled, 3)
	f.want("the transactions", f.store.Saved-saved, 1)
	f.want("the token", f.token(), "s1")
	f.want("stored", f.stored("m.room.encryption", ""), true)
	f.want("the members", f.all(room), "[@a:x=join/Alice @b:x=leave/]")
	if failures := f.observed(); len(failures) != 1 || failures[0].Operation != "sync" {
		t.Errorf("the null in the response was not told: %v", failures)
	}
}

func TestWhatHandlersStoreIsAPartOfTheSameTransactionAndComesAfterTheResponse(t *testing.T) {
	f := newFixture(t)
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	s.OnEventType(event.StateMember, func(ctx context.Context, evt *event.Event) {
		if evt.GetStateKey() != string(me) {
			return
		}
		// What client.JoinRoom does, when the server has said yes.
		f.must(f.SetMembership(ctx, evt.RoomID, me, event.MembershipJoin))
		f.must(f.SetPowerLevels(ctx, evt.RoomID, &event.PowerLevelsEventContent{UsersDefault: 7}))
		f.must(f.ReplaceCachedMembers(ctx, evt.RoomID, []*event.Event{memberEvent(me, "join", "Me"), memberEvent("@c:x", "join", "C")}))
		known, err := f.HasFetchedMembers(ctx, evt.RoomID)
		f.must(err)
		f.want("all members are known, for a handler", known, true)
		f.want("the members, for a handler", f.all(evt.RoomID), "[@c:x=join/C @me:x=join/Me]")
		levels, err := f.GetPowerLevels(ctx, evt.RoomID)
		f.must(err)
		f.want("the power levels, for a handler", levels.UsersDefault, 7)
		f.want("stored", f.token(), "")
	})
	saved := f.store.Saved
	f.must(s.ProcessResponse(f.ctx, response(t, `{"next_batch":"s1","rooms":{"invite":{"!r":{"invite_state":{"events":[
		{"type":"m.room.name","state_key":"","sender":"@a:x","content":{"name":"Bank"}},
		{"type":"m.room.member","state_key":"@me:x","sender":"@a:x","content":{"membership":"invite"}}]}}}}}`), ""))
	f.want("the transactions", f.store.Saved-saved, 1)
	f.want("the members", f.all(room), "[@c:x=join/C @me:x=join/Me]")
	f.want("joined", f.IsInRoom(f.ctx, room, me), true)
	f.want("what an invite has said", f.stored("m.room.name", ""), false)
	info, err := f.store.RoomInfo(f.ctx, room)
	f.must(err)
	f.want("the room", info.State, state.Joined)
	f.want("the failures", f.observed(), "[]")
}

func TestHandlersOfAnInviteSeeTheRoomFromOutside(t *testing.T) {
	f := newFixture(t)
	f.must(f.SetMembership(f.ctx, room, me, "leave"))
	f.must(f.SetMember(f.ctx, room, "@old:x", &event.MemberEventContent{Membership: "join", Displayname: "Old"}))
	f.must(f.SetJoinRules(f.ctx, room, &event.JoinRulesEventContent{JoinRule: "public"}))
	seen := func(ctx context.Context) string {
		t.Helper()
		rules, err := f.GetJoinRules(ctx, room)
		f.must(err)
		return fmt.Sprint(f.all(room), rules == nil, f.IsInRoom(ctx, room, "@old:x"), f.IsInvited(ctx, room, me), f.users(room))
	}
	const outside = "[@a:x=join/Alice @me:x=invite/]true false true[@a:x @me:x]"
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	handled := false
	s.OnEventType(event.StateMember, func(ctx context.Context, _ *event.Event) {
		handled = true
		f.want("for a handler", seen(ctx), outside)
	})
	f.must(s.ProcessResponse(f.ctx, response(t, `{"next_batch":"s1","rooms":{"invite":{"!r":{"invite_state":{"events":[
		{"type":"m.room.member","state_key":"@a:x","sender":"@a:x","content":{"membership":"join","displayname":"Alice"}},
		{"type":"m.room.member","state_key":"@me:x","sender":"@a:x","content":{"membership":"invite"}}]}}}}}`), ""))
	f.want("a handler was called", handled, true)
	f.want("when it is stored", seen(f.ctx), outside)
}

func TestAResponseThatWasNotProcessedIsNotStored(t *testing.T) {
	broken := errors.New("the crypto store cannot be written")
	for _, c := range []struct {
		name     string
		options  mautrixstate.SyncerOptions
		panics   bool
		storeErr error
		stored   bool
	}{
		{"a handler has panicked", mautrixstate.SyncerOptions{}, true, nil, false},
		{"a handler has panicked, and that is to be skipped", mautrixstate.SyncerOptions{SkipPanics: true}, true, nil, true},
		{"the hook has failed", mautrixstate.SyncerOptions{BeforeCommit: func(context.Context, *mautrix.RespSync) error { return broken }}, false, nil, false},
	} {
		f := newFixture(t)
		s := mautrixstate.NewSyncer(f.Adapter, c.options)
		s.OnEvent(func(ctx context.Context, evt *event.Event) {
			f.must(f.SetMembership(ctx, other, "@kept:x", "join"))
			if c.panics {
				panic("a handler's mistake")
			}
		})
		err := s.ProcessResponse(f.ctx, join(t, "s1", encrypted), "")
		if (err == nil) != c.stored {
			t.Errorf("%s: the error is %v", c.name, err)
		}
		f.want(c.name+": stored", f.stored("m.room.encryption", ""), c.stored)
		f.want(c.name+": the token", f.token(), map[bool]string{true: "s1"}[c.stored])
		f.want(c.name+": what a handler was told is stored", f.users(other), "[@kept:x]")

		// The adapter is as before, and the next response is processed.
		f.must(mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{}).ProcessResponse(f.ctx, join(t, "s2", aliceIn), "s1"))
		f.want(c.name+": the next token", f.token(), "s2")
	}
}

func TestAStoreThatFailsKeepsTheResponseFromBeingStored(t *testing.T) {
	f := newFixture(t)
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{BeforeCommit: func(context.Context, *mautrix.RespSync) error {
		f.failWith(errors.New("broken"))
		return nil
	}})
	if err := s.ProcessResponse(f.ctx, join(t, "s1", encrypted), ""); err == nil {
		t.Error("a response that could not be stored is no error, and would never come again")
	}
	f.failWith(nil)
	f.want("the token", f.token(), "")
}

func TestHandlersFinishAndTheResponseIsStoredThoughTheSyncIsCancelled(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(f.ctx)
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	s.OnEvent(func(inside context.Context, evt *event.Event) {
		cancel()
		f.must(inside.Err())
		_, err := f.IsEncrypted(inside, room)
		f.must(err)
	})
	f.must(s.ProcessResponse(ctx, join(t, "s1", encrypted), ""))
	f.want("the token", f.token(), "s1")
}

func TestAResponseIsStoredAfterTheResumeOrGivenUpWithTheSync(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		f := newFixture(t)
		ctx, cancel := context.WithCancel(f.ctx)
		s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{BeforeCommit: func(context.Context, *mautrix.RespSync) error {
			f.failWith(lifecycle.ErrPaused)
			return nil
		}})
		done := make(chan error, 1)
		go func() { done <- s.ProcessResponse(ctx, join(t, "s1", encrypted), "") }()
		<-f.asked
		if cancelled {
			cancel()
			if err := <-done; !errors.Is(err, lifecycle.ErrPaused) || !errors.Is(err, context.Canceled) {
				t.Errorf("the error is %v, and should say that the store is paused and the sync is over", err)
			}
			f.failWith(nil)
			f.want("the token", f.token(), "")
		} else {
			f.failWith(nil)
			f.must(<-done)
			f.want("the token after the Resume", f.token(), "s1")
		}
		cancel()
	}
}

func TestAHandlerThatWaitsForTheResumeIsLetGoWithTheSync(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(f.ctx)
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	var got atomic.Pointer[error]
	s.OnEvent(func(inside context.Context, evt *event.Event) {
		f.failWith(lifecycle.ErrPaused)
		_, err := f.GetMember(inside, other, "@a:x")
		got.Store(&err)
	})
	done := make(chan error, 1)
	go func() { done <- s.ProcessResponse(ctx, join(t, "s1", encrypted), "") }()
	<-f.asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, and should match that of the sync", err)
	}
	if err := *got.Load(); !errors.Is(err, context.Canceled) || !errors.Is(err, lifecycle.ErrPaused) {
		t.Errorf("the handler got %v", err)
	}
	f.failWith(nil)
	f.want("the token", f.token(), "")
}

func TestARedactionThatCannotBeAppliedIsNotInTheWay(t *testing.T) {
	f := newFixture(t)
	c := &state.Changes{}
	f.must(c.AddState(room, json.RawMessage(`{"type":"m.room.topic","state_key":"","event_id":"$odd","content":"no object"}`)))
	f.must(f.store.SaveChanges(f.ctx, c))
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	f.must(s.ProcessResponse(f.ctx, response(t, `{"next_batch":"s1","rooms":{"join":{"!r":{"timeline":{"events":[
		{"type":"m.room.redaction","event_id":"$r","sender":"@a:x","content":{"redacts":"$odd"}}]}}}}}`), ""))
	f.want("the token", f.token(), "s1")
	if got := f.observed(); len(got) != 1 || !errors.Is(got[0], state.ErrRedaction) || got[0].Event != "$odd" {
		t.Errorf("the Observer was told %v", got)
	}
}

func TestResponsesComeOneAfterAnother(t *testing.T) {
	f := newFixture(t)
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{})
	s.OnEvent(func(ctx context.Context, evt *event.Event) {
		if err := s.ProcessResponse(ctx, join(t, "s2", ""), "s1"); !errors.Is(err, mautrixstate.ErrProcessing) {
			t.Errorf("a response within another one: %v", err)
		}
	})
	f.must(s.ProcessResponse(f.ctx, join(t, "s1", encrypted), ""))
	f.want("the token", f.token(), "s1")
}

// homeserver answers syncs: each token is followed by the next number, whose topic is that number.
func homeserver(t *testing.T, last int) (*httptest.Server, *[]string) {
	t.Helper()
	var asked []string
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_matrix/client/v3/user/{user}/filter", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"filter_id":"1"}`) })
	mux.HandleFunc("GET /_matrix/client/v3/sync", func(w http.ResponseWriter, r *http.Request) {
		since := r.URL.Query().Get("since")
		asked = append(asked, since)
		n := 0
		_, _ = fmt.Sscanf(since, "s%d", &n)
		n++
		if n > last {
			<-r.Context().Done()
			return
		}
		fmt.Fprintf(w, `{"next_batch":"s%d","rooms":{"join":{"!r":{"timeline":{"events":[
			{"type":"m.room.topic","state_key":"","event_id":"$%d","sender":"@a:x","content":{"topic":"%d"}}]}}}}}`, n, n, n)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, &asked
}

func TestAClientOfMautrixSkipsNoResponse(t *testing.T) {
	f := newFixture(t)
	server, asked := homeserver(t, 9)
	broken := errors.New("killed")
	var topics []string
	for run := range 4 { // each begins anew on the same store, as after a kill
		a := mautrixstate.New(f.store, me, mautrixstate.Options{Observe: f.observe})
		s := mautrixstate.NewSyncer(a, mautrixstate.SyncerOptions{BeforeCommit: func(_ context.Context, resp *mautrix.RespSync) error {
			if run < 3 && resp.NextBatch == fmt.Sprintf("s%d", 2*run+2) {
				return broken
			}
			return nil
		}})
		client, err := mautrix.NewClient(server.URL, me, "token")
		f.must(err)
		client.Store, client.StateStore, client.Syncer, client.Client = a, a, s, server.Client()
		ctx, cancel := context.WithCancel(f.ctx)
		s.OnEvent(client.StateStoreSyncHandler)
		s.OnEventType(event.StateTopic, func(_ context.Context, evt *event.Event) {
			topics = append(topics, evt.Content.AsTopic().Topic)
			if evt.Content.AsTopic().Topic == "9" {
				cancel()
			}
		})
		err = client.SyncWithContext(ctx)
		if run < 3 && !errors.Is(err, broken) || run == 3 && !errors.Is(err, context.Canceled) {
			t.Fatalf("run %d has ended with %v", run, err)
		}
		cancel()
		topic, _, err := f.store.StateEvent(f.ctx, room, "m.room.topic", "")
		f.must(err)
		if token := f.token(); token != "" && !strings.Contains(string(topic.Raw), `"topic":"`+strings.TrimPrefix(token, "s")+`"`) {
			t.Errorf("run %d: the token is %q, and the state %s", run, token, topic.Raw)
		}
	}
	f.want("the token", f.token(), "s9")
	f.want("the transactions", f.store.Saved, 9)
	f.want("the responses that handlers have seen", topics, "[1 2 2 3 4 4 5 6 6 7 8 9]")
	if !slices.Contains(*asked, "s8") || f.failures != nil {
		t.Errorf("asked for %q, failures %v", *asked, f.failures)
	}
}

func TestAnyIDOfAUserIsHandledOrRefused(t *testing.T) {
	f := newFixture(t)
	for _, user := range []id.UserID{"@ünïcödé:x", "@\x00:x", "@\u202ertl:x", "@😀:x", "no id at all", "@:x"} {
		f.must(f.SetMember(f.ctx, room, user, &event.MemberEventContent{Membership: "join", Displayname: string(user)}))
		if !f.IsInRoom(f.ctx, room, user) {
			t.Errorf("the user %q was stored, and is not there", user)
		}
	}
	if err := f.SetMember(f.ctx, room, "@\xff:x", &event.MemberEventContent{Membership: "join"}); !errors.Is(err, state.ErrNotUTF8) {
		t.Errorf("what is not UTF-8 is stored: %v", err)
	}
}

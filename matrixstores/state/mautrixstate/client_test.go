package mautrixstate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// pausesAmidSyncs is how often the store of a client is paused. In the short tier those are paused less whose
// engine and whose encryption another one has, too.
func pausesAmidSyncs(variant int) int {
	return tier.Count([]int{100, 100, 20, 20, 100}[variant], 200, 2000)
}

// TestAClientOnAStoreThatPausesAppliesEachResponseOnce: the store is paused while the client waits for the server, while it is in a
// handler, and while it is about to store a response. After every Resume the token and the state agree. Every tenth time the client's sync ends
// while the store is paused, and a new client goes on after the Resume.
func TestAClientOnAStoreThatPausesAppliesEachResponseOnce(t *testing.T) {
	for i, variant := range onStores {
		pauses := pausesAmidSyncs(i)
		t.Run(variant.name, func(t *testing.T) {
			if variant.cgo && !withCgo {
				t.Skip("the mattn engine needs cgo, and this is a build without; the other build runs it")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 4*watchdog)
			defer cancel()
			store, err := variant.open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := store.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()

			// The sync says where it is, and is overtaken by the pause or not, as it happens.
			points := map[string]chan struct{}{"at the server": make(chan struct{}), "in a handler": make(chan struct{}), "before the commit": make(chan struct{})}
			point := func(where string) {
				select {
				case points[where] <- struct{}{}:
				default:
				}
			}
			server := newScript(t, point)
			start := func() (stop func() error) {
				syncing, cancel := context.WithCancel(ctx)
				ended := make(chan error, 1)
				go func() { ended <- syncOn(syncing, store, server.URL, server.Client(), point) }()
				return func() error {
					cancel()
					err := <-ended
					if err == nil || errors.Is(err, context.Canceled) {
						return nil
					}
					return err
				}
			}

			stop := start()
			restarts := 0
			places := []string{"at the server", "in a handler", "before the commit"}
			for i := range pauses {
				select {
				case <-points[places[i%len(places)]]:
				case <-ctx.Done():
					t.Fatalf("pause %d: the client has not come %s; its sync has ended with: %v", i, places[i%len(places)], stop())
				}
				if err := store.Pause(ctx); err != nil {
					t.Fatalf("pause %d, %s: %v", i, places[i%len(places)], err)
				}
				if _, _, err := state.Get(lifecycle.WithPolicy(ctx, lifecycle.Fail), store, state.SyncToken()); !errors.Is(err, lifecycle.ErrPaused) {
					t.Fatalf("the store is paused, and answers with %v", err)
				}
				stopped := i%10 == 9
				if stopped {
					if err := stop(); err != nil && !errors.Is(err, lifecycle.ErrPaused) {
						t.Fatalf("pause %d: the sync has ended with %v", i, err)
					}
					restarts++
				}
				if err := store.Resume(ctx); err != nil {
					t.Fatalf("resume %d: %v", i, err)
				}
				server.silence.Lock() // otherwise the sync may be ahead of every look at what it has stored
				_, err := applied(ctx, store)
				server.silence.Unlock()
				if err != nil {
					t.Fatalf("after resume %d: %v", i, err)
				}
				if stopped {
					stop = start()
				}
			}
			server.last.Store(server.answered.Load() + 3)
			select {
			case <-server.atEnd:
			case <-ctx.Done():
				t.Fatalf("the client has not come to the last response: %v", stop())
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			n, err := applied(ctx, store)
			if err != nil {
				t.Fatal(err)
			}
			if int64(n) != server.last.Load() {
				t.Errorf("the last response is %d, and the store has the token of response %d", server.last.Load(), n)
			}
			t.Logf("%d responses, %d pauses, %d of them with an end of the sync", n, pauses, restarts)
		})
	}
}

// TestAHandlerIsLetGoWithTheSyncHoweverLongAStoreWaits: a store may let its callers wait for a Resume for as long as it likes. A sync that is
// ended while it is paused is over all the same.
func TestAHandlerIsLetGoWithTheSyncHoweverLongAStoreWaits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), watchdog)
	defer cancel()
	store, err := memorystore.OpenState(ctx, memorystore.StateConfig{Config: memorystore.Config{Strict: true, Timeout: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	a := mautrixstate.New(store, me, mautrixstate.Options{})
	s := mautrixstate.NewSyncer(a, mautrixstate.SyncerOptions{})
	syncing, end := context.WithCancel(ctx)
	handled := false
	s.OnEvent(func(inside context.Context, evt *event.Event) {
		if err := store.Pause(ctx); err != nil {
			t.Error(err)
		}
		time.AfterFunc(time.Millisecond, end)
		_, err := a.GetMember(inside, room, "@a:x")
		if handled = true; !errors.Is(err, lifecycle.ErrPaused) || !errors.Is(err, context.Canceled) {
			t.Errorf("the handler got %v, and should be told that the store is paused and the sync over", err)
		}
	})
	if err := s.ProcessResponse(syncing, join(t, "s1", encrypted), ""); !errors.Is(err, context.Canceled) || !handled {
		t.Errorf("a response that cannot be stored has ended with %v", err)
	}
	if ctx.Err() != nil {
		t.Error("it was the watchdog that has ended it")
	}
}

// TestACommitThatFailsEndsTheSyncAndTheNextOneRepeatsTheResponse: mautrix returns the error of a response that was not stored from
// SyncWithContext, and does not go on to the next one. The same client, told to sync again, gets it again.
func TestACommitThatFailsEndsTheSyncAndTheNextOneRepeatsTheResponse(t *testing.T) {
	f := newFixture(t)
	server, asked := homeserver(t, 3)
	broken := errors.New("the disk is full")
	var order []string
	fails := true
	s := mautrixstate.NewSyncer(f.Adapter, mautrixstate.SyncerOptions{BeforeCommit: func(_ context.Context, resp *mautrix.RespSync) error {
		order = append(order, "hook "+resp.NextBatch+" after "+f.token())
		if resp.NextBatch == "s2" && fails {
			f.failWith(broken)
		}
		return nil
	}})
	client, err := mautrix.NewClient(server.URL, me, "token")
	f.must(err)
	client.Store, client.StateStore, client.Syncer, client.Client = f.Adapter, f.Adapter, s, server.Client()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	s.OnEventType(event.StateTopic, func(_ context.Context, evt *event.Event) {
		order = append(order, "handler "+evt.Content.AsTopic().Topic)
		if evt.Content.AsTopic().Topic == "3" {
			cancel()
		}
	})
	if err := client.SyncWithContext(ctx); !errors.Is(err, broken) {
		t.Fatalf("the sync has ended with %v, and should with that of the store", err)
	}
	f.failWith(nil)
	f.want("the token", f.token(), "s1")
	fails = false
	if err := client.SyncWithContext(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.want("the token", f.token(), "s3")
	f.want("what the server was asked for", fmt.Sprintf("%q", *asked), `["" "s1" "s1" "s2"]`)
	f.want("what has happened", fmt.Sprintf("%q", order), `["handler 1" "hook s1 after " "handler 2" "hook s2 after s1" "handler 2" "hook s2 after s1" "handler 3" "hook s3 after s2"]`)
}

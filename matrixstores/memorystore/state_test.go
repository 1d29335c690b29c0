package memorystore_test

import (
	"context"
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance/statetest"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// TestStateContract: the state store gives the answers of the contract, whether a pause means something or not.
func TestStateContract(t *testing.T) {
	onModes(t, func(t *testing.T, strict bool) {
		statetest.Run(t, func() *statetest.Harness {
			return &statetest.Harness{
				Brief: true, // memory has no limit of keys, which is what the case of many is for in the short tier
				Open: func(ctx context.Context, _ string, o statetest.Options) (state.Store, error) {
					return memorystore.OpenState(ctx, memorystore.StateConfig{Config: memorystore.Config{
						Strict: strict, Clock: o.Clock, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
					}})
				},
				Without: without(strict),
			}
		})
	})
}

// TestStrictStateObeysTheGate: a strict state store refuses work while it is paused, and has kept everything after the Resume.
func TestStrictStateObeysTheGate(t *testing.T) {
	ctx := t.Context()
	s, err := memorystore.OpenState(ctx, memorystore.StateConfig{Config: memorystore.Config{Strict: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	c := &state.Changes{SyncToken: "token"}
	c.Update(id.RoomID("!a:example.org")).State = state.Joined
	if err := s.SaveChanges(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveChanges(ctx, c); !isPaused(err) {
		t.Errorf("SaveChanges while paused: %v", err)
	}
	if _, err := s.RoomInfos(ctx); !isPaused(err) {
		t.Errorf("RoomInfos while paused: %v", err)
	}
	if err := s.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	token, found, err := state.Get(ctx, s, state.SyncToken())
	if err != nil || !found || token != "token" {
		t.Errorf("after the Resume the sync token is %q (%v, %v)", token, found, err)
	}
	if infos, err := s.RoomInfos(ctx); err != nil || len(infos) != 1 {
		t.Errorf("after the Resume there are %d rooms (%v)", len(infos), err)
	}
}

func isPaused(err error) bool { return errors.Is(err, lifecycle.ErrPaused) }

package mautrixstate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// ErrOtherUser is returned where something of another user is asked for, or to be stored, than the one that the Adapter is for.
var ErrOtherUser = errors.New("the adapter is for another user")

func (a *Adapter) mine(operation string, user id.UserID) error {
	if user != a.user {
		return fmt.Errorf("mautrixstate: %s: %w", operation, ErrOtherUser)
	}
	return nil
}

// SaveNextBatch remembers where the next sync begins. mautrix calls it before it processes the response: a Syncer of this Adapter stores
// the token with that. Without one, the token that was remembered before is stored now, whose response has been
// processed by then; after a restart the last response comes again.
func (a *Adapter) SaveNextBatch(ctx context.Context, user id.UserID, token string) error {
	const operation = "SaveNextBatch"
	if err := a.mine(operation, user); err != nil {
		return err
	}
	processed := a.next.Load()
	if a.syncer.Load() == nil && processed != nil && *processed != token {
		c := &state.Changes{User: a.user, SyncToken: *processed}
		if err := a.do(ctx, operation, func(ctx context.Context) error { return a.store.SaveChanges(ctx, c) }); err != nil {
			return err
		}
	}
	a.next.Store(&token)
	return nil
}

// LoadNextBatch returns the token that is stored; empty where there is none.
func (a *Adapter) LoadNextBatch(ctx context.Context, user id.UserID) (string, error) {
	const operation = "LoadNextBatch"
	if err := a.mine(operation, user); err != nil {
		return "", err
	}
	a.next.Store(nil) // a sync that begins anew has processed nothing
	return loadValue(ctx, a, operation, state.SyncToken())
}

// SaveFilterID stores the id of the filter that the server has got from the client.
func (a *Adapter) SaveFilterID(ctx context.Context, user id.UserID, filterID string) error {
	const operation = "SaveFilterID"
	if err := a.mine(operation, user); err != nil {
		return err
	}
	key := a.filterKey()
	return a.do(ctx, operation, func(ctx context.Context) error { return state.Set(ctx, a.store, key, filterID) })
}

// LoadFilterID returns the id of the filter; empty where the server has not got it. Where a Syncer of this
// Adapter has another filter than when the id was stored, the server has not got that one.
func (a *Adapter) LoadFilterID(ctx context.Context, user id.UserID) (string, error) {
	const operation = "LoadFilterID"
	if err := a.mine(operation, user); err != nil {
		return "", err
	}
	return loadValue(ctx, a, operation, a.filterKey())
}

// filterKey names the filter by what is in it.
func (a *Adapter) filterKey() state.Key[string] {
	name := "mautrix"
	if s := a.syncer.Load(); s != nil {
		if filter, err := json.Marshal(s.GetFilterJSON(a.user)); err == nil { // one that is none is not sent either
			sum := sha256.Sum256(filter)
			name += " " + hex.EncodeToString(sum[:8])
		}
	}
	return state.FilterID(name)
}

func loadValue[T any](ctx context.Context, a *Adapter, operation string, key state.Key[T]) (T, error) {
	return load(ctx, a, operation, func(ctx context.Context, v view) (T, error) {
		value, _, err := state.Get(ctx, v.store, key)
		return value, err
	})
}

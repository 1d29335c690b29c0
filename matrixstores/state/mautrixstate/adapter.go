package mautrixstate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// Options says how an Adapter behaves. The zero value is usable.
type Options struct {
	// Observe is told of failures that mautrix cannot be told of, or only logs, and of what was left out of a sync response. It may be nil. It must not
	// call the Adapter.
	Observe func(Failure)

	// GiveUp is for how long a method without an error tries again where the store fails for another reason than a pause. Default 10 s.
	GiveUp time.Duration

	// CacheSize is of how many members the membership is remembered, for methods without an error on a store that fails. Default 10,000.
	CacheSize int

	// Now is the clock by which a Syncer knows when a response was received: see FromSyncAt. Default time.Now.
	Now func() time.Time
}

// Failure is something that went wrong where nobody could be told.
type Failure struct {
	Operation string // the method, or "sync"
	Room      id.RoomID
	Event     id.EventID
	Err       error

	// Answered says how a method without an error has answered: from the cache, or false.
	FromCache, Answer bool
}

// Error says what went wrong.
func (f Failure) Error() string {
	return fmt.Sprintf("mautrixstate: %s: room %q: %v", f.Operation, string(f.Room), f.Err)
}

// Unwrap returns why.
func (f Failure) Unwrap() error { return f.Err }

// Adapter serves mautrix from a state store. Its methods may be called from any number of goroutines.
type Adapter struct {
	store   state.Store
	user    id.UserID
	options Options
	cache   cache

	writing chan struct{} // has room for one: who stores something, from what he reads for it on

	syncer  atomic.Pointer[Syncer]
	pending atomic.Pointer[pending] // the response that is being processed
	next    atomic.Pointer[string]  // the token that SaveNextBatch has remembered
}

var (
	_ mautrix.StateStore        = (*Adapter)(nil)
	_ mautrix.StateStoreUpdater = (*Adapter)(nil)
	_ mautrix.SyncStore         = (*Adapter)(nil)
	_ cryptoStateStore          = (*Adapter)(nil)
)

// cryptoStateStore is StateStore of mautrix/crypto, which cannot be imported without a build tag or libolm.
type cryptoStateStore interface {
	IsEncrypted(context.Context, id.RoomID) (bool, error)
	GetEncryptionEvent(context.Context, id.RoomID) (*event.EncryptionEventContent, error)
	FindSharedRooms(context.Context, id.UserID) ([]id.RoomID, error)
}

// New makes an Adapter for the client of a user. The store remains usable beside it.
func New(store state.Store, user id.UserID, o Options) *Adapter {
	if o.GiveUp <= 0 {
		o.GiveUp = 10 * time.Second
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 10_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Adapter{store: store, user: user, options: o, cache: cache{max: o.CacheSize}, writing: make(chan struct{}, 1)}
}

// Store returns the store.
func (a *Adapter) Store() state.Store { return a.store }

func (a *Adapter) observe(f Failure) {
	if a.options.Observe != nil {
		a.options.Observe(f)
	}
}

// do calls fn until it does not fail because of a pause, or the context ends. What a pause has interrupted has changed nothing.
func (a *Adapter) do(ctx context.Context, operation string, fn func(ctx context.Context) error) error {
	refused := lifecycle.WithPolicy(ctx, lifecycle.Fail) // and not waiting, because ctx need not end when the sync does
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := fn(refused)
		if err == nil {
			return nil
		}
		if paused(err) {
			ended := a.resumed(ctx, wait)
			if ended == nil {
				continue
			}
			err = fmt.Errorf("%w (%w)", err, ended)
		}
		return fmt.Errorf("mautrixstate: %s: %w", operation, err)
	}
}

// resumed waits for the Resume, by asking for something small, and for a little while in any case, so that no store that is paused again
// and again keeps us busy. It returns an error if the context has ended, or, under one of a response that is being processed, that of the sync: a handler's
// own context does not end with the sync, but it must not be waited for while the store is paused and nobody wants the sync any more.
func (a *Adapter) resumed(ctx context.Context, d time.Duration) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	if outer, _ := ctx.Value(syncContext{}).(context.Context); outer != nil {
		defer context.AfterFunc(outer, cancel)()
	}
	// Whatever it answers: the operation is tried again, and tells what is wrong.
	_, _, _ = a.store.Value(lifecycle.WithPolicy(waiting, lifecycle.Wait), state.SyncToken().ValueKey)
	return sleep(ctx, d)
}

// paused says whether an operation has failed because of a pause, and may be tried again.
func paused(err error) bool {
	return errors.Is(err, lifecycle.ErrPaused) || errors.Is(err, lifecycle.ErrInterrupted)
}

// sleep waits a little. It returns an error if the context has ended, or, under one of a response that is being processed, that of the sync.
func sleep(ctx context.Context, d time.Duration) error {
	var sync <-chan struct{}
	outer, _ := ctx.Value(syncContext{}).(context.Context)
	if outer != nil {
		sync = outer.Done()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-sync:
		return outer.Err()
	}
}

// syncContext is the key of the context under which a response is being processed.
type syncContext struct{}

// load calls fn, and returns what it returns.
func load[T any](ctx context.Context, a *Adapter, operation string, fn func(ctx context.Context, v view) (T, error)) (out T, err error) {
	err = a.do(ctx, operation, func(ctx context.Context) (err error) {
		out, err = fn(ctx, view{a.store, a.pending.Load()})
		return err
	})
	return out, err
}

// put stores what build makes: at once, or with the response that is being processed. build may be called twice, and must do the same then.
//
// read is called before, and build may depend on what it finds: nothing comes in between that the Adapter stores, or its Syncer. It may be called again, too.
func (a *Adapter) put(ctx context.Context, operation string, read func(ctx context.Context, v view) error, build func(c *state.Changes) error) error {
	for {
		var storing <-chan struct{}
		err := a.do(ctx, operation, func(ctx context.Context) (err error) {
			storing, err = a.putOnce(ctx, read, build)
			return err
		})
		if err != nil || storing == nil {
			return err
		}
		select {
		case <-storing: // then it does not replace what comes now
		case <-ctx.Done():
			return fmt.Errorf("mautrixstate: %s: %w", operation, ctx.Err())
		}
	}
}

// putOnce is put for where nothing is in the way. storing is not nil where it comes too late for a response that is being stored: it is closed when that is done.
func (a *Adapter) putOnce(ctx context.Context, read func(ctx context.Context, v view) error, build func(c *state.Changes) error) (storing <-chan struct{}, err error) {
	done, err := a.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	p := a.pending.Load()
	if err := read(ctx, view{a.store, p}); err != nil {
		return nil, err
	}
	if p != nil {
		taken, err := p.put(build)
		if err != nil || taken {
			return nil, err
		}
		return p.done, nil
	}
	c := &state.Changes{User: a.user}
	if err := build(c); err != nil {
		return nil, err
	}
	return nil, a.store.SaveChanges(ctx, c)
}

// alone waits until nobody else stores anything through the Adapter. Nobody does until done is called.
func (a *Adapter) alone(ctx context.Context) (done func(), err error) {
	select {
	case a.writing <- struct{}{}:
		return func() { <-a.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

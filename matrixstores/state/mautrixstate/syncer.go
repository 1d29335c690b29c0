package mautrixstate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// SyncerOptions says how a Syncer behaves. The zero value is usable.
type SyncerOptions struct {
	// BeforeCommit is called when all handlers have returned, and before the response is stored: for what must not be behind it, such as the writes
	// of a crypto store. Its error keeps the response from being stored, and ends the sync. It may be nil.
	BeforeCommit func(ctx context.Context, resp *mautrix.RespSync) error

	// SkipPanics stores a response whose handlers have panicked, too: what they have not seen they never will. Otherwise the response
	// comes again at the next start, and panics again if it is to blame.
	SkipPanics bool
}

// Syncer is a mautrix.DefaultSyncer that stores what it has processed: the state in a response, what its handlers have stored
// through the Adapter, and the token of the next one, in one transaction, when all handlers have returned. So a response is stored exactly once,
// and its handlers may see it again after a kill.
//
// Handlers run under a context that does not end with that of the sync: one that is cancelled lets them finish, and
// the response be stored, unless the store is paused.
type Syncer struct {
	*mautrix.DefaultSyncer
	adapter *Adapter
	options SyncerOptions
}

var (
	_ mautrix.Syncer             = (*Syncer)(nil)
	_ mautrix.ExtensibleSyncer   = (*Syncer)(nil)
	_ mautrix.DispatchableSyncer = (*Syncer)(nil)
)

// NewSyncer makes a Syncer, and the only one, of an Adapter.
func NewSyncer(a *Adapter, o SyncerOptions) *Syncer {
	s := &Syncer{DefaultSyncer: mautrix.NewDefaultSyncer(), adapter: a, options: o}
	a.syncer.Store(s)
	return s
}

// ErrProcessing is returned by ProcessResponse while it runs already: the responses of one client come one after another.
var ErrProcessing = errors.New("a response is being processed already")

// ProcessResponse calls the handlers, and then stores the response. It returns the error of a handler that has panicked, of BeforeCommit, or of the store;
// then the response was not stored, and comes again. What handlers have stored through the Adapter is kept all the same.
func (s *Syncer) ProcessResponse(ctx context.Context, resp *mautrix.RespSync, since string) error {
	a := s.adapter
	changes, bad := FromSyncAt(a.user, resp, a.options.Now()) // before the handlers, some of which change the response
	for _, b := range bad {
		a.observe(Failure{Operation: "sync", Room: b.Room, Event: b.ID, Err: b})
	}
	withoutNil(resp)

	p := &pending{changes: changes, added: &state.Changes{User: a.user}, done: make(chan struct{})}
	if !a.pending.CompareAndSwap(nil, p) {
		return fmt.Errorf("mautrixstate: sync: %w", ErrProcessing)
	}
	defer func() {
		a.pending.Store(nil)
		close(p.done)
	}()

	inside := context.WithValue(context.WithoutCancel(ctx), syncContext{}, ctx)
	err := s.DefaultSyncer.ProcessResponse(inside, resp, since)
	if err != nil && s.options.SkipPanics {
		a.observe(Failure{Operation: "sync", Err: err})
		err = nil
	}
	if err == nil && s.options.BeforeCommit != nil {
		if err = s.options.BeforeCommit(inside, resp); err != nil {
			err = fmt.Errorf("mautrixstate: sync: before the response is stored: %w", err)
		}
	}
	all, added := p.close()
	if err == nil {
		if err = a.commit(ctx, all); err == nil {
			return nil
		}
	}
	if !added.Empty() { // whoever stored it was told that it is
		if e := a.commit(ctx, added); e != nil {
			err = errors.Join(err, fmt.Errorf("what handlers have stored is lost: %w", e))
		}
	}
	return err
}

// commit stores a response. A context that has ended does not keep it from that; a pause does, until the Resume, or until the context ends. A redaction
// that cannot be applied is left out: it would be in the way of this response for ever.
func (a *Adapter) commit(ctx context.Context, c *state.Changes) error {
	for {
		// Not interrupted half-way: the response was processed, and this is the last step.
		err := a.save(lifecycle.WithPolicy(context.WithoutCancel(ctx), lifecycle.Fail), c)
		if redaction := (*state.RedactionError)(nil); errors.As(err, &redaction) && c.Redactions[redaction.Room][redaction.Event] != nil {
			delete(c.Redactions[redaction.Room], redaction.Event)
			a.observe(Failure{Operation: "sync", Room: redaction.Room, Event: redaction.Event, Err: err})
			continue
		}
		if !paused(err) {
			return wrap(err)
		}
		if ctx.Err() != nil {
			return wrap(errors.Join(err, ctx.Err()))
		}
		// Wait for the Resume, by asking for something small.
		_ = sleep(ctx, time.Millisecond) // so that no store that is interrupted again and again keeps us busy
		if _, _, err := a.store.Value(lifecycle.WithPolicy(ctx, lifecycle.Wait), state.SyncToken().ValueKey); err != nil && !paused(err) {
			return wrap(err)
		}
	}
}

func (a *Adapter) save(ctx context.Context, c *state.Changes) error {
	done, err := a.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	return a.store.SaveChanges(ctx, c)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("mautrixstate: sync: %w", err)
}

// withoutNil takes out of a response what mautrix would not survive: a null where an event, or a room, should be.
func withoutNil(resp *mautrix.RespSync) {
	drop := func(l *mautrix.SyncEventsList) {
		l.Events = slices.DeleteFunc(l.Events, func(evt *event.Event) bool { return evt == nil })
	}
	drop(&resp.AccountData)
	drop(&resp.Presence)
	drop(&resp.ToDevice)
	for room, joined := range resp.Rooms.Join {
		if joined == nil {
			delete(resp.Rooms.Join, room)
			continue
		}
		drop(&joined.State)
		drop(&joined.Timeline.SyncEventsList)
		drop(&joined.Ephemeral)
		drop(&joined.AccountData)
		if joined.StateAfter != nil {
			drop(joined.StateAfter)
		}
	}
	for room, left := range resp.Rooms.Leave {
		if left == nil {
			delete(resp.Rooms.Leave, room)
			continue
		}
		drop(&left.State)
		drop(&left.Timeline.SyncEventsList)
	}
	for room, invited := range resp.Rooms.Invite {
		if invited == nil {
			delete(resp.Rooms.Invite, room)
			continue
		}
		drop(&invited.State)
	}
	for room, knocked := range resp.Rooms.Knock {
		if knocked == nil {
			delete(resp.Rooms.Knock, room)
			continue
		}
		drop(&knocked.State)
	}
}

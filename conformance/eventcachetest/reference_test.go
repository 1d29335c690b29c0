package eventcachetest

// The store that the suite itself is tried on: the model behind a gate. It is to be
// obviously right. In memory its pausing does nothing; strict_test.go has one that refuses
// work while it is paused, and keeps its contents in a file.

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// gate lets operations in. One that runs has the contents for itself.
type gate interface {
	lifecycle.Pausable
	Close(ctx context.Context) error
	State() lifecycle.State
	read(ctx context.Context, fn func() error) error
	write(ctx context.Context, fn func() error) error
}

// plain is the store.
type plain struct {
	gate
	m      *model
	c      contents // the model, or what broken_test.go has made of it
	leases map[string]plainLease
}

type plainLease struct {
	Holder     string
	Generation uint64
	Until      time.Time
}

// open is the gate of a store whose pausing does nothing.
type openGate struct {
	mu     sync.Mutex
	closed bool
	end    context.CancelFunc // of what the store does by itself
}

func (g *openGate) write(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return lifecycle.ErrClosed
	}
	return fn()
}

func (g *openGate) read(ctx context.Context, fn func() error) error { return g.write(ctx, fn) }

func (g *openGate) Pause(context.Context) error { return nil }

func (g *openGate) Resume(ctx context.Context) error {
	return g.write(ctx, func() error { return nil })
}

func (g *openGate) Close(context.Context) error {
	g.end()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return nil
}

func (g *openGate) State() lifecycle.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return lifecycle.Closed
	}
	return lifecycle.Active
}

func openPlain(o Options) *plain {
	ctx, cancel := context.WithCancel(context.Background())
	m := newModel(o.Clock)
	s := &plain{gate: &openGate{end: cancel}, m: m, c: m, leases: map[string]plainLease{}}
	s.cleanUpItself(ctx, o.CleanUp)
	return s
}

// cleanUpItself cleans up as often as the policy says, until ctx ends.
func (s *plain) cleanUpItself(ctx context.Context, policy eventcache.CleanUpPolicy) {
	if policy.Every <= 0 {
		return
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(policy.Every):
				_, _ = s.CleanUp(ctx, policy)
			}
		}
	}()
}

func (s *plain) Bytes(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, func() error {
		for _, r := range s.m.rooms {
			for _, e := range r.events {
				n += int64(len(e.Raw))
			}
		}
		return nil
	})
	return n, err
}

func (s *plain) Compact(ctx context.Context) error {
	return s.write(ctx, func() error { return nil })
}

func (s *plain) TakeLease(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error) {
	err = s.write(ctx, func() error {
		now := time.Now()
		l := s.leases[key]
		if l.Holder != holder && now.Before(l.Until) {
			return nil
		}
		if l.Holder != holder || l.Generation == 0 {
			l.Generation++
		}
		l.Holder, l.Until = holder, now.Add(d)
		s.leases[key] = l
		generation, taken = l.Generation, true
		return nil
	})
	return generation, taken, err
}

func (s *plain) Apply(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	return s.write(ctx, func() error { return s.c.Apply(ctx, list, updates) })
}

func (s *plain) LoadAllChunks(ctx context.Context, list eventcache.LinkedChunkID) (all []eventcache.Chunk, err error) {
	err = s.read(ctx, func() (err error) { all, err = s.c.LoadAllChunks(ctx, list); return err })
	return all, err
}

func (s *plain) LoadAllMetadata(ctx context.Context, list eventcache.LinkedChunkID) (all []eventcache.ChunkMetadata, err error) {
	err = s.read(ctx, func() (err error) { all, err = s.c.LoadAllMetadata(ctx, list); return err })
	return all, err
}

func (s *plain) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (last *eventcache.Chunk, highest eventcache.ChunkID, err error) {
	err = s.read(ctx, func() (err error) { last, highest, err = s.c.LoadLastChunk(ctx, list); return err })
	return last, highest, err
}

func (s *plain) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (previous *eventcache.Chunk, err error) {
	err = s.read(ctx, func() (err error) { previous, err = s.c.LoadPreviousChunk(ctx, list, before); return err })
	return previous, err
}

func (s *plain) FindDuplicates(ctx context.Context, list eventcache.LinkedChunkID, ids []id.EventID) (all []eventcache.Place, err error) {
	err = s.read(ctx, func() (err error) { all, err = s.c.FindDuplicates(ctx, list, ids); return err })
	return all, err
}

func (s *plain) SaveEvents(ctx context.Context, room id.RoomID, events ...eventcache.Event) error {
	return s.write(ctx, func() error { return s.c.SaveEvents(ctx, room, events...) })
}

func (s *plain) FindEvent(ctx context.Context, room id.RoomID, which id.EventID) (e eventcache.Event, found bool, err error) {
	err = s.read(ctx, func() (err error) { e, found, err = s.c.FindEvent(ctx, room, which); return err })
	return e, found, err
}

func (s *plain) FindRelations(ctx context.Context, room id.RoomID, to id.EventID, types []event.RelationType) (all []eventcache.Related, err error) {
	err = s.read(ctx, func() (err error) { all, err = s.c.FindRelations(ctx, room, to, types); return err })
	return all, err
}

func (s *plain) FindEvents(ctx context.Context, room id.RoomID, f eventcache.Filter) (all []eventcache.Event, err error) {
	err = s.read(ctx, func() (err error) { all, err = s.c.FindEvents(ctx, room, f); return err })
	return all, err
}

func (s *plain) RememberThread(ctx context.Context, room id.RoomID, root id.EventID) error {
	return s.write(ctx, func() error { return s.c.RememberThread(ctx, room, root) })
}

func (s *plain) Threads(ctx context.Context, room id.RoomID) (all []id.EventID, err error) {
	err = s.read(ctx, func() (err error) { all, err = s.c.Threads(ctx, room); return err })
	return all, err
}

func (s *plain) ClearRoom(ctx context.Context, room id.RoomID) error {
	return s.write(ctx, func() error { return s.c.ClearRoom(ctx, room) })
}

func (s *plain) ClearAll(ctx context.Context) error {
	return s.write(ctx, func() error { return s.c.ClearAll(ctx) })
}

func (s *plain) RoomStats(ctx context.Context, room id.RoomID) (stats eventcache.RoomStats, err error) {
	err = s.read(ctx, func() (err error) { stats, err = s.c.RoomStats(ctx, room); return err })
	return stats, err
}

func (s *plain) AllRoomStats(ctx context.Context) (all []eventcache.RoomStats, err error) {
	err = s.read(ctx, func() (err error) { all, err = s.c.AllRoomStats(ctx); return err })
	return all, err
}

func (s *plain) CleanUp(ctx context.Context, policy eventcache.CleanUpPolicy) (removed int, err error) {
	err = s.write(ctx, func() (err error) { removed, err = s.c.CleanUp(ctx, policy); return err })
	return removed, err
}

// Export takes the room as it is at one moment: w may take its time.
func (s *plain) Export(ctx context.Context, room id.RoomID, w io.Writer) error {
	var whole bytes.Buffer
	if err := s.read(ctx, func() error { return s.c.Export(ctx, room, &whole) }); err != nil {
		return err
	}
	_, err := w.Write(whole.Bytes())
	return err
}

// Import reads first: r may take its time.
func (s *plain) Import(ctx context.Context, r io.Reader) (room id.RoomID, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	err = s.write(ctx, func() (err error) { room, err = s.c.Import(ctx, bytes.NewReader(text)); return err })
	return room, err
}

// plainHarness opens stores that wrap changes.
func plainHarness(wrap func(*plain, Options) eventcache.Store) *Harness {
	return &Harness{
		Open: func(_ context.Context, _ string, o Options) (eventcache.Store, error) {
			s := openPlain(o)
			if wrap == nil {
				return s, nil
			}
			return wrap(s, o), nil
		},
		Without: map[conformance.Capability]string{
			conformance.Gate:       "its pause does nothing",
			conformance.Files:      "it is in memory",
			conformance.Encryption: "it is in memory",
		},
	}
}

package eventcachetest

// The store that the suite itself is tried on: the model under a mutex. It is to be obviously right.

import (
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

// plain is a store in memory, whose pausing does nothing.
type plain struct {
	mu     sync.Mutex
	m      *model
	leases map[string]*plainLease
	closed bool
	stop   chan struct{} // ends what cleans up by itself
}

type plainLease struct {
	holder     string
	generation uint64
	until      time.Time
}

func openPlain(o Options) *plain {
	s := &plain{m: newModel(o.Clock), leases: map[string]*plainLease{}, stop: make(chan struct{})}
	if o.CleanUp.Every > 0 {
		go s.cleanUp(o.CleanUp)
	}
	return s
}

func (s *plain) cleanUp(policy eventcache.CleanUpPolicy) {
	for {
		select {
		case <-s.stop:
			return
		case <-time.After(policy.Every):
			_, _ = s.CleanUp(context.Background(), policy)
		}
	}
}

// enter begins an operation. It is ended by s.mu.Unlock where it returned nil.
func (s *plain) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return lifecycle.ErrClosed
	}
	return nil
}

func (s *plain) Pause(context.Context) error { return nil }

func (s *plain) Resume(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Unlock()
	return nil
}

func (s *plain) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		close(s.stop)
	}
	s.closed = true
	return nil
}

func (s *plain) State() lifecycle.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return lifecycle.Closed
	}
	return lifecycle.Active
}

func (s *plain) Bytes(ctx context.Context) (n int64, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	stats, err := s.m.AllRoomStats(ctx)
	for _, room := range stats {
		n += room.Bytes + int64(room.Chunks)
	}
	return n + 1, err
}

func (s *plain) Compact(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Unlock()
	return nil
}

func (s *plain) TakeLease(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, false, err
	}
	defer s.mu.Unlock()
	l := s.leases[key]
	switch {
	case l == nil:
		l = &plainLease{holder, 1, time.Time{}}
		s.leases[key] = l
	case l.holder != holder && time.Now().Before(l.until):
		return 0, false, nil
	case l.holder != holder:
		l.holder = holder
		l.generation++
	}
	l.until = time.Now().Add(d)
	return l.generation, true, nil
}

func (s *plain) Apply(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.m.Apply(ctx, list, updates)
}

func (s *plain) LoadAllChunks(ctx context.Context, list eventcache.LinkedChunkID) ([]eventcache.Chunk, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.LoadAllChunks(ctx, list)
}

func (s *plain) LoadAllMetadata(ctx context.Context, list eventcache.LinkedChunkID) ([]eventcache.ChunkMetadata, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.LoadAllMetadata(ctx, list)
}

func (s *plain) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
	if err := s.enter(ctx); err != nil {
		return nil, 0, err
	}
	defer s.mu.Unlock()
	return s.m.LoadLastChunk(ctx, list)
}

func (s *plain) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.LoadPreviousChunk(ctx, list, before)
}

func (s *plain) FindDuplicates(ctx context.Context, list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.FindDuplicates(ctx, list, ids)
}

func (s *plain) SaveEvents(ctx context.Context, room id.RoomID, events ...eventcache.Event) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.m.SaveEvents(ctx, room, events...)
}

func (s *plain) FindEvent(ctx context.Context, room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
	if err := s.enter(ctx); err != nil {
		return eventcache.Event{}, false, err
	}
	defer s.mu.Unlock()
	return s.m.FindEvent(ctx, room, which)
}

func (s *plain) FindRelations(ctx context.Context, room id.RoomID, to id.EventID, types []event.RelationType) ([]eventcache.Related, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.FindRelations(ctx, room, to, types)
}

func (s *plain) FindEvents(ctx context.Context, room id.RoomID, f eventcache.Filter) ([]eventcache.Event, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.FindEvents(ctx, room, f)
}

func (s *plain) RememberThread(ctx context.Context, room id.RoomID, root id.EventID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.m.RememberThread(ctx, room, root)
}

func (s *plain) Threads(ctx context.Context, room id.RoomID) ([]id.EventID, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.Threads(ctx, room)
}

func (s *plain) ClearRoom(ctx context.Context, room id.RoomID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.m.ClearRoom(ctx, room)
}

func (s *plain) ClearAll(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.m.ClearAll(ctx)
}

func (s *plain) RoomStats(ctx context.Context, room id.RoomID) (eventcache.RoomStats, error) {
	if err := s.enter(ctx); err != nil {
		return eventcache.RoomStats{}, err
	}
	defer s.mu.Unlock()
	return s.m.RoomStats(ctx, room)
}

func (s *plain) AllRoomStats(ctx context.Context) ([]eventcache.RoomStats, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.m.AllRoomStats(ctx)
}

func (s *plain) CleanUp(ctx context.Context, policy eventcache.CleanUpPolicy) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	return s.m.CleanUp(ctx, policy)
}

// Export copies the room first: w may take its time.
func (s *plain) Export(ctx context.Context, room id.RoomID, w io.Writer) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	moment := newModel(s.m.now)
	moment.put(room, s.m.room(room).clone())
	s.mu.Unlock()
	return moment.Export(ctx, room, w)
}

// Import reads first: r may take its time.
func (s *plain) Import(ctx context.Context, r io.Reader) (id.RoomID, error) {
	if err := s.enter(ctx); err != nil {
		return "", err
	}
	read := newModel(s.m.now)
	s.mu.Unlock()
	room, err := read.Import(ctx, r)
	if err != nil {
		return "", err
	}
	if err := s.enter(ctx); err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	s.m.put(room, read.room(room))
	return room, nil
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

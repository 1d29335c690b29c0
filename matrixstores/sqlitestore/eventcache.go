package sqlitestore

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

// EventCacheConfig is what an EventCache is opened with.
type EventCacheConfig struct {
	Config

	// CleanUp is what the store removes by itself, and how often. Nil:
	// eventcache.DefaultCleanUp. With an Every of 0 it removes nothing by itself.
	CleanUp *eventcache.CleanUpPolicy
}

// EventCache is an eventcache.Store in SQLite.
type EventCache struct {
	base
	Events
}

// Events are the events and linked chunks of an EventCache: with transactions of
// their own, or as parts of one of the caller's (EventCache.In).
type Events struct {
	db    kv.DB
	codec *codec.Codec
	now   func() int64
	name  string
	ahead int64 // importAhead, but in tests
}

var (
	_ eventcache.Store = (*EventCache)(nil)
	_ interface {
		eventcache.Chunks
		eventcache.Events
		eventcache.Rooms
		eventcache.Transfer
	} = Events{}
)

//go:embed schema/eventcache/*.sql
var eventCacheSchema embed.FS

var eventCacheKind = kind{
	name: "events", applicationID: 0x71457674, // qEvt
	schema: eventCacheSchema, dir: "schema/eventcache",
	sealed: []storekit.SealedColumn{
		{Table: "room", Column: "name", Row: "row"},
		{Table: "event", Column: "content", Row: "row"},
		{Table: "list", Column: "name", Row: "row"},
		{Table: "chunk", Column: "gap", Row: "row"},
	},
}

// OpenEventCache opens an event cache, and makes it where there is none.
func OpenEventCache(ctx context.Context, cfg EventCacheConfig) (*EventCache, error) {
	policy := eventcache.DefaultCleanUp()
	if cfg.CleanUp != nil {
		policy = *cfg.CleanUp
	}
	if policy.OlderThan < 0 || policy.Every < 0 {
		return nil, fmt.Errorf("sqlitestore: open the event cache: %w: %w", storekit.ErrConfig, errNegative)
	}
	cfg.Config.Database.IncrementalVacuum = true
	b, err := cfg.Config.open(ctx, eventCacheKind)
	if err != nil {
		return nil, err
	}
	s := &EventCache{base: b, Events: Events{db: b.Store, codec: b.Codec(), now: b.now, name: b.Name(), ahead: importAhead}}
	if policy.Every > 0 {
		_, err := s.Job(job.Job{Name: s.Name() + ": clean up", Every: policy.Every, First: policy.Every / 8, Run: func(ctx context.Context) error {
			_, err := s.CleanUp(ctx, policy)
			return err
		}})
		if err != nil {
			return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}
	return s, nil
}

// In returns the events as part of the transaction that is open on c: reading
// methods join it, the others are a savepoint in it. It lasts as long as c may be used.
func (s *EventCache) In(c *sqlite.Conn) Events {
	e := s.Events
	e.db = storekit.Within(c)
	return e
}

// failed names the store and the operation that err comes from.
func (s Events) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", s.name, op, err)
}

// checkRoom refuses what names no room.
func checkRoom(room id.RoomID) error {
	if room == "" {
		return eventcache.ErrNoRoomID
	}
	return nil
}

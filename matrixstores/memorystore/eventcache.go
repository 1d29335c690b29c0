package memorystore

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit/job"
)

// EventCacheConfig is what an EventCache is opened with. The zero value is usable.
type EventCacheConfig struct {
	Config

	// CleanUp is what the store removes by itself, and how often. Nil:
	// eventcache.DefaultCleanUp. With an Every of 0 it removes nothing by itself.
	CleanUp *eventcache.CleanUpPolicy
}

// EventCache is an eventcache.Store in memory.
type EventCache struct{ base }

var _ eventcache.Store = (*EventCache)(nil)

// The rows. They are shared by all who have seen them, and never changed.
type (
	// roomRow is a room that something was stored for.
	roomRow struct {
		room   id.RoomID
		next   uint64 // the number of the next event that is stored first
		thread uint64 // the number of the next thread that becomes known
	}

	eventRow struct {
		room   id.RoomID
		number uint64 // in the order in which the room's events were first stored
		stored int64  // when it was last stored, in milliseconds
		eventcache.Event
	}

	threadRow struct {
		room   id.RoomID
		number uint64
		root   id.EventID
	}

	// chunkRow is a chunk with the ids of what is in it.
	chunkRow struct {
		list           eventcache.LinkedChunkID
		id             eventcache.ChunkID
		previous, next eventcache.ChunkID
		gap            *eventcache.Gap
		items          []id.EventID
	}

	// placeRow says that an event is in a chunk, and how often. Where in it, the chunk knows.
	placeRow struct {
		list  eventcache.LinkedChunkID
		event id.EventID
		chunk eventcache.ChunkID
		times int
	}
)

const (
	rooms   memory.Table[*roomRow]   = "room"
	events  memory.Table[*eventRow]  = "event"
	threads memory.Table[*threadRow] = "thread"
	chunks  memory.Table[*chunkRow]  = "chunk"
	places  memory.Table[*placeRow]  = "place"
)

func inRoom(room id.RoomID) key                           { return key{}.text(string(room)) }
func eventKey(room id.RoomID, event id.EventID) key       { return inRoom(room).text(string(event)) }
func typeKey(room id.RoomID, eventType string) key        { return inRoom(room).text(eventType) }
func sessionKey(room id.RoomID, session id.SessionID) key { return inRoom(room).text(string(session)) }
func inList(list eventcache.LinkedChunkID) key {
	return inRoom(list.Room).number(uint64(list.Kind)).text(string(list.Event))
}
func chunkKey(list eventcache.LinkedChunkID, chunk eventcache.ChunkID) key {
	return inList(list).number(uint64(chunk))
}
func placesKey(list eventcache.LinkedChunkID, event id.EventID) key {
	return inList(list).text(string(event))
}

var eventCacheSchema = schemaOf(
	table("room", index("id", func(r *roomRow) key { return inRoom(r.room) })),
	table("event",
		index("id", func(r *eventRow) key { return eventKey(r.room, r.ID) }),
		index("number", func(r *eventRow) key { return inRoom(r.room).number(r.number) }),
		index("type", func(r *eventRow) key { return typeKey(r.room, r.Type).number(r.number) }),
		index("session", func(r *eventRow) key {
			if r.Session == "" {
				return nil
			}
			return sessionKey(r.room, r.Session).number(r.number)
		}),
		index("relation", func(r *eventRow) key {
			if r.RelatesTo == "" {
				return nil
			}
			return eventKey(r.room, r.RelatesTo).number(r.number)
		}),
		index("stored", func(r *eventRow) key { return append(key{}.signed(r.stored), eventKey(r.room, r.ID)...) })),
	table("thread",
		index("id", func(r *threadRow) key { return eventKey(r.room, r.root) }),
		index("number", func(r *threadRow) key { return inRoom(r.room).number(r.number) })),
	table("chunk",
		index("id", func(r *chunkRow) key { return chunkKey(r.list, r.id) }),
		index("last", func(r *chunkRow) key {
			if r.next != 0 {
				return nil
			}
			return inList(r.list)
		})),
	table("place",
		index("id", func(r *placeRow) key { return placesKey(r.list, r.event).number(uint64(r.chunk)) }),
		index("event", func(r *placeRow) key {
			return append(eventKey(r.list.Room, r.event), placesKey(r.list, r.event).number(uint64(r.chunk))...)
		})),
)

// OpenEventCache makes an empty event cache.
func OpenEventCache(ctx context.Context, cfg EventCacheConfig) (*EventCache, error) {
	policy := eventcache.DefaultCleanUp()
	if cfg.CleanUp != nil {
		policy = *cfg.CleanUp
	}
	if policy.OlderThan < 0 || policy.Every < 0 {
		return nil, &lifecycle.ConfigError{Field: "CleanUp", Reason: errNegative.Error()}
	}
	b, err := cfg.Config.open(ctx, "events", eventCacheSchema)
	if err != nil {
		return nil, err
	}
	s := &EventCache{b}
	if policy.Every > 0 {
		_, err := s.jobs.Start(job.Job{Name: s.Name() + ": clean up", Every: policy.Every, First: policy.Every / 8, Run: func(ctx context.Context) error {
			_, err := s.CleanUp(ctx, policy)
			return err
		}})
		if err != nil {
			return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}
	return s, nil
}

// read runs fn on a snapshot, and names the operation in its error.
func (s *EventCache) read(ctx context.Context, op string, check error, fn func(*memory.Txn) error) error {
	if check == nil {
		check = s.db.Read(ctx, fn)
	}
	return s.failed(op, check)
}

func (s *EventCache) write(ctx context.Context, op string, check error, fn func(*memory.Txn) error) error {
	if check == nil {
		check = s.db.Write(ctx, fn)
	}
	return s.failed(op, check)
}

// checkRoom refuses what names no room.
func checkRoom(room id.RoomID) error {
	if room == "" {
		return eventcache.ErrNoRoomID
	}
	return nil
}

// errNegative is returned for a policy whose time is negative.
var errNegative = errors.New("a time of the clean-up policy is negative")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{eventcache.ErrBroken}, args...)...)
}

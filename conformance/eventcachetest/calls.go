package eventcachetest

// Every method of a store that a pause, a close or the end of a context can be in
// the way of, with arguments for which it has something to do.

import (
	"bytes"
	"context"
	"io"
	"time"

	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// call calls one method.
type call struct {
	method string
	do     func(ctx context.Context, s eventcache.Store) error
}

// lifeMethods are the methods of a store that calls leaves out.
var lifeMethods = []string{"Pause", "Resume", "Close", "State"}

// calls returns all of them. Called for a store that prepared has filled, each has
// something to do, in whatever order and however often.
func calls() []call {
	room, other := eventcache.Room(roomA), eventcache.Thread(roomB, "$called")
	return []call{
		{"Apply", func(ctx context.Context, s eventcache.Store) error {
			return s.Apply(ctx, other, []eventcache.Update{eventcache.Clear{}, items(0, 1, 0), push(1, 0, ev("$called"))})
		}},
		{"LoadAllChunks", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadAllChunks(ctx, room)) }},
		{"LoadAllMetadata", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadAllMetadata(ctx, room)) }},
		{"LoadLastChunk", func(ctx context.Context, s eventcache.Store) error { return third(s.LoadLastChunk(ctx, room)) }},
		{"LoadPreviousChunk", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadPreviousChunk(ctx, room, 2)) }},
		{"FindDuplicates", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindDuplicates(ctx, room, evIDs("$shared", "$in0")))
		}},
		{"SaveEvents", func(ctx context.Context, s eventcache.Store) error { return s.SaveEvents(ctx, roomB, ev("$called")) }},
		{"FindEvent", func(ctx context.Context, s eventcache.Store) error { return third(s.FindEvent(ctx, roomA, "$shared")) }},
		{"FindRelations", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindRelations(ctx, roomA, "$shared", []event.RelationType{"m.x"}))
		}},
		{"FindEvents", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindEvents(ctx, roomA, eventcache.Filter{Session: "s"}))
		}},
		{"RememberThread", func(ctx context.Context, s eventcache.Store) error { return s.RememberThread(ctx, roomB, "$called") }},
		{"Threads", func(ctx context.Context, s eventcache.Store) error { return second(s.Threads(ctx, roomA)) }},
		{"ClearRoom", func(ctx context.Context, s eventcache.Store) error { return s.ClearRoom(ctx, roomB) }},
		{"ClearAll", func(ctx context.Context, s eventcache.Store) error { return s.ClearAll(ctx) }},
		{"RoomStats", func(ctx context.Context, s eventcache.Store) error { return second(s.RoomStats(ctx, roomA)) }},
		{"AllRoomStats", func(ctx context.Context, s eventcache.Store) error { return second(s.AllRoomStats(ctx)) }},
		{"CleanUp", func(ctx context.Context, s eventcache.Store) error {
			return second(s.CleanUp(ctx, eventcache.CleanUpPolicy{}))
		}},
		{"Export", func(ctx context.Context, s eventcache.Store) error { return s.Export(ctx, roomA, io.Discard) }},
		{"Import", func(ctx context.Context, s eventcache.Store) error {
			return second(s.Import(ctx, bytes.NewReader(exportOf(eventcache.Room(roomB), ev("$called")))))
		}},
		{"TakeLease", func(ctx context.Context, s eventcache.Store) error {
			return third(s.TakeLease(ctx, "called", "holder", time.Minute))
		}},
		{"Bytes", func(ctx context.Context, s eventcache.Store) error { return second(s.Bytes(ctx)) }},
		{"Compact", func(ctx context.Context, s eventcache.Store) error { return s.Compact(ctx) }},
	}
}

// prepared is a store in which calls have something to do.
func prepared(s *subject) {
	everyKind(s, roomA)
	everyKind(s, roomB)
	s.p.Clock.Add(time.Hour) // there are saved events to be cleaned up
}

// exportOf is an export of a room with one linked chunk.
func exportOf(list eventcache.LinkedChunkID, events ...eventcache.Event) []byte {
	m := newModel(func() time.Time { return time.Time{} })
	var b bytes.Buffer
	err := m.Apply(context.Background(), list, []eventcache.Update{items(0, 1, 0), push(1, 0, events...)})
	if err == nil {
		err = m.Export(context.Background(), list.Room, &b)
	}
	if err != nil {
		panic(err) // the suite's own fault
	}
	return b.Bytes()
}

// waiting is a context under which work waits for a Resume.
func waiting(ctx context.Context) context.Context { return lifecycle.WithPolicy(ctx, lifecycle.Wait) }

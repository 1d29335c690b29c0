package eventcachetest

// Every method of a store that a pause, a close or the end of a context can be in
// the way of, with arguments for which it has something to do, and, where there
// are such, with some for which it has nothing to do: a store that is paused
// says so to whoever asks for nothing, too.

import (
	"bytes"
	"context"
	"io"
	"math"
	"time"

	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// call calls one method. What it says of its arguments comes behind " of ".
type call struct {
	method string
	do     func(ctx context.Context, s eventcache.Store) error
}

// lifeMethods are the methods of a store that calls leaves out.
var lifeMethods = []string{"Pause", "Resume", "Close", "State"}

// calls returns all of them. They may be made in whatever order and however often, on a
// store that prepared has filled: there those that have something to do still have it.
func calls() []call {
	room, other, unknown := eventcache.Room(roomA), eventcache.Thread(roomB, "$called"), eventcache.Pinned("!unknown:example.org")
	return []call{
		{"Apply", func(ctx context.Context, s eventcache.Store) error {
			return s.Apply(ctx, other, []eventcache.Update{eventcache.Clear{}, items(0, 1, 0), push(1, 0, ev("$called"))})
		}},
		{"Apply of nothing", func(ctx context.Context, s eventcache.Store) error { return s.Apply(ctx, other, nil) }},
		{"Apply of what changes nothing", func(ctx context.Context, s eventcache.Store) error {
			return s.Apply(ctx, unknown, []eventcache.Update{eventcache.StartReattachItems{}, push(1, 0), eventcache.EndReattachItems{}})
		}},
		{"LoadAllChunks", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadAllChunks(ctx, room)) }},
		{"LoadAllChunks of none", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadAllChunks(ctx, unknown)) }},
		{"LoadAllMetadata", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadAllMetadata(ctx, room)) }},
		{"LoadLastChunk", func(ctx context.Context, s eventcache.Store) error { return third(s.LoadLastChunk(ctx, room)) }},
		{"LoadPreviousChunk", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadPreviousChunk(ctx, room, 2)) }},
		{"LoadPreviousChunk of the number 0", func(ctx context.Context, s eventcache.Store) error { return second(s.LoadPreviousChunk(ctx, room, 0)) }},
		{"FindDuplicates", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindDuplicates(ctx, room, evIDs("$shared", "$in0")))
		}},
		{"FindDuplicates of nothing", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindDuplicates(ctx, room, nil))
		}},
		{"SaveEvents", func(ctx context.Context, s eventcache.Store) error { return s.SaveEvents(ctx, roomB, ev("$called")) }},
		{"SaveEvents of nothing", func(ctx context.Context, s eventcache.Store) error { return s.SaveEvents(ctx, roomB) }},
		{"FindEvent", func(ctx context.Context, s eventcache.Store) error { return third(s.FindEvent(ctx, roomA, "$shared")) }},
		{"FindRelations", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindRelations(ctx, roomA, "$shared", []event.RelationType{"m.x"}))
		}},
		{"FindEvent of no id", func(ctx context.Context, s eventcache.Store) error { return third(s.FindEvent(ctx, roomA, "")) }},
		{"FindRelations of no type", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindRelations(ctx, roomA, "$shared", []event.RelationType{}))
		}},
		{"FindRelations of no event", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindRelations(ctx, roomA, "", nil))
		}},
		{"FindEvents", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindEvents(ctx, roomA, eventcache.Filter{Session: "s"}))
		}},
		{"FindEvents of an unknown room", func(ctx context.Context, s eventcache.Store) error {
			return second(s.FindEvents(ctx, unknown.Room, eventcache.Filter{}))
		}},
		{"RememberThread", func(ctx context.Context, s eventcache.Store) error { return s.RememberThread(ctx, roomB, "$called") }},
		{"Threads", func(ctx context.Context, s eventcache.Store) error { return second(s.Threads(ctx, roomA)) }},
		{"ClearRoom", func(ctx context.Context, s eventcache.Store) error { return s.ClearRoom(ctx, roomB) }},
		{"ClearRoom of an unknown room", func(ctx context.Context, s eventcache.Store) error { return s.ClearRoom(ctx, unknown.Room) }},
		{"ClearAll", func(ctx context.Context, s eventcache.Store) error { return s.ClearAll(ctx) }},
		{"RoomStats", func(ctx context.Context, s eventcache.Store) error { return second(s.RoomStats(ctx, roomA)) }},
		{"AllRoomStats", func(ctx context.Context, s eventcache.Store) error { return second(s.AllRoomStats(ctx)) }},
		{"CleanUp", func(ctx context.Context, s eventcache.Store) error {
			return second(s.CleanUp(ctx, eventcache.CleanUpPolicy{}))
		}},
		{"CleanUp of nothing", func(ctx context.Context, s eventcache.Store) error {
			return second(s.CleanUp(ctx, eventcache.CleanUpPolicy{OlderThan: math.MaxInt64}))
		}},
		{"Export", func(ctx context.Context, s eventcache.Store) error { return s.Export(ctx, roomA, io.Discard) }},
		{"Import", func(ctx context.Context, s eventcache.Store) error {
			return second(s.Import(ctx, bytes.NewReader(exportOf(eventcache.Room(roomB), ev("$called")))))
		}},
		{"TakeLease", func(ctx context.Context, s eventcache.Store) error {
			return third(s.TakeLease(ctx, "called", "holder", time.Minute))
		}},
		{"TakeLease of no time", func(ctx context.Context, s eventcache.Store) error {
			return third(s.TakeLease(ctx, "released", "holder", 0))
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

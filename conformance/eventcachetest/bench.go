package eventcachetest

// The workloads of matrix-rust-sdk's benchmarks that are about an event cache, so that
// figures of both can be set beside each other when they come from one machine.

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// benchLarge is the environment variable that adds the sizes beyond 10,000 events.
const benchLarge = "QUIESCE_BENCH_LARGE"

// Bench measures a store, in sub-benchmarks with the same names for every store, so
// that their tables can be compared with benchstat. They are named after the rows of
// matrix-rust-sdk's benchmarks:
//
//	BE-02/events=1000                     building a linked chunk (80 events at a time, then a gap), one Apply of all, and Clear;
//	                                      the events stay known, so that from the second time on they are replaced
//	BE-02/events=1000/without-a-store     the same without the store
//	BE-03/events=1000                     loading such a linked chunk from its end, chunk by chunk
//	BE-04/events=1000                     its metadata
//	BE-05/rooms=10                        ClearAll, and then one Apply for each room, of 1,000 events
//	BE-06/relations=100/types=nil         FindEvent, and FindRelations, among thousands of other events;
//	BE-06/relations=100/types=replace     with a filter that lets all of them through
//
// There are 10 to 10,000 events, and 100,000 with QUIESCE_BENCH_LARGE=1 in the environment. Besides
// ns/op they report ns/event, events/s and, from Bytes, bytes/event: what the store takes with the events in it, less what it took without.
func Bench(b *testing.B, newHarness func() *Harness) {
	if err := newHarness().check(); err != nil {
		b.Fatal(err)
	}
	sizes := []int{10, 100, 1000, 10_000}
	if os.Getenv(benchLarge) == "1" {
		sizes = append(sizes, 100_000)
	}
	run := func(name string, do func(*bench)) {
		b.Run(name, func(b *testing.B) {
			store, err := newHarness().Open(b.Context(), b.TempDir(), Options{Clock: time.Now, Timeout: 30 * time.Second, Grace: 10 * time.Second})
			if err != nil {
				b.Fatal(err)
			}
			x := &bench{B: b, s: store, list: eventcache.Room(roomA)}
			b.Cleanup(func() { x.check("Close", store.Close(context.Background())) })
			x.empty = x.bytes()
			b.ReportAllocs()
			do(x)
		})
	}
	for _, n := range sizes {
		run(fmt.Sprintf("BE-02/events=%d", n), func(b *bench) { b.write(n) })
		b.Run(fmt.Sprintf("BE-02/events=%d/without-a-store", n), func(b *testing.B) {
			b.ReportAllocs()
			x, events := &bench{B: b}, messages(n)
			for b.Loop() {
				x.linked(events)
			}
			x.report(n)
		})
	}
	for _, n := range sizes {
		run(fmt.Sprintf("BE-03/events=%d", n), func(b *bench) { b.read(n) })
	}
	for _, n := range sizes {
		run(fmt.Sprintf("BE-04/events=%d", n), func(b *bench) { b.metadata(n) })
	}
	for _, n := range []int{1, 10, 100} {
		run(fmt.Sprintf("BE-05/rooms=%d", n), func(b *bench) { b.rooms(n) })
	}
	for _, n := range []int{10, 100, 1000} {
		for _, types := range []struct {
			name  string
			types []event.RelationType
		}{{"nil", nil}, {"replace", []event.RelationType{event.RelReplace}}} {
			run(fmt.Sprintf("BE-06/relations=%d/types=%s", n, types.name), func(b *bench) { b.relations(n, types.types) })
		}
	}
}

type bench struct {
	*testing.B
	s     eventcache.Store
	list  eventcache.LinkedChunkID
	empty int64 // bytes
}

func (b *bench) check(what string, err error) {
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (b *bench) bytes() int64 {
	n, err := b.s.Bytes(b.Context())
	b.check("Bytes", err)
	return n
}

func (b *bench) apply(list eventcache.LinkedChunkID, updates ...eventcache.Update) {
	b.check("Apply", b.s.Apply(b.Context(), list, updates))
}

// report says what one of n events costs.
func (b *bench) report(n int) {
	each := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(n)
	b.ReportMetric(each, "ns/event")
	b.ReportMetric(1e9/each, "events/s")
}

// reportSize says how much the store takes for each of n events, which must be in it.
func (b *bench) reportSize(n int) {
	b.ReportMetric(float64(b.bytes()-b.empty)/float64(n), "bytes/event")
}

// messages are text messages as a server sends them.
func messages(n int) []eventcache.Event {
	all := make([]eventcache.Event, n)
	for i := range all {
		all[i] = message(id.EventID(fmt.Sprintf("$ev%d", i)), fmt.Sprintf("foo %d", i), "")
	}
	return all
}

func message(which id.EventID, text, relation string) eventcache.Event {
	e, err := eventcache.Parse(fmt.Appendf(nil, `{"content":{"body":%q,"msgtype":"m.text"%s},"event_id":%q,"origin_server_ts":1767225600000,"room_id":%q,"sender":"@mnt_io:matrix.org","type":"m.room.message"}`,
		text, relation, which, roomA))
	if err != nil {
		panic(err) // the suite's own fault
	}
	return e
}

// linked is a client's list of these events: 80 at a time, and then a gap.
func (b *bench) linked(events []eventcache.Event) []eventcache.Update {
	l := eventcache.NewLinkedChunk(eventcache.DefaultCapacity)
	for i := 0; i < len(events); i += 80 {
		b.check("PushItemsBack", l.PushItemsBack(events[i:min(i+80, len(events))]...))
		_, err := l.PushGapBack(eventcache.Gap{Token: fmt.Sprintf("gap%d", i/80)})
		b.check("PushGapBack", err)
	}
	return l.Updates()
}

func (b *bench) write(n int) {
	events := messages(n)
	for b.Loop() {
		b.apply(b.list, b.linked(events)...)
		b.apply(b.list, eventcache.Clear{})
	}
	b.report(n)
	b.apply(b.list, b.linked(events)...)
	b.reportSize(n)
}

func (b *bench) read(n int) {
	b.apply(b.list, b.linked(messages(n))...)
	b.reportSize(n)
	loader := eventcache.Loader{Store: b.s, List: b.list}
	for b.Loop() {
		l, err := loader.Load(b.Context())
		b.check("Load", err)
		b.check("LoadAll", loader.LoadAll(b.Context(), l))
		if l.Len() != n {
			b.Fatalf("%d events were loaded, of %d", l.Len(), n)
		}
	}
	b.report(n)
}

func (b *bench) metadata(n int) {
	b.apply(b.list, b.linked(messages(n))...)
	for b.Loop() {
		all, err := b.s.LoadAllMetadata(b.Context(), b.list)
		b.check("LoadAllMetadata", err)
		if len(all) == 0 {
			b.Fatal("there are no chunks")
		}
	}
	b.report(n)
}

func (b *bench) rooms(n int) {
	const each = 1000
	updates := b.linked(messages(each))
	for b.Loop() {
		b.check("ClearAll", b.s.ClearAll(b.Context()))
		for i := range n {
			room := id.RoomID(fmt.Sprintf("!room%d:example.com", i))
			if i%10 == 0 { // those of a newer version have a hash for a name
				room = id.RoomID(fmt.Sprintf("!%043d", i))
			}
			b.apply(eventcache.Room(room), updates...)
		}
	}
	b.report(n * each)
	b.reportSize(n * each)
}

func (b *bench) relations(n int, types []event.RelationType) {
	const unrelated = 1000
	target, other := id.EventID("$target"), id.EventID("$other target")
	all := append(messages(unrelated), message(target, "target", ""), message(other, "other", ""))
	for i := range n {
		all = append(all, message(id.EventID(fmt.Sprintf("$edit%d", i)), fmt.Sprintf("* edit %d", i), fmt.Sprintf(`,"m.relates_to":{"rel_type":"m.replace","event_id":%q}`, target)))
	}
	for i := range unrelated {
		all = append(all, message(id.EventID(fmt.Sprintf("$reaction%d", i)), "", fmt.Sprintf(`,"m.relates_to":{"rel_type":"m.annotation","event_id":%q,"key":"👍"}`, other)))
	}
	b.apply(b.list, b.linked(all)...)
	b.reportSize(len(all))
	b.apply(eventcache.Room(roomB), b.linked(messages(unrelated))...)
	for b.Loop() {
		_, found, err := b.s.FindEvent(b.Context(), roomA, target)
		b.check("FindEvent", err)
		relations, err := b.s.FindRelations(b.Context(), roomA, target, types)
		b.check("FindRelations", err)
		if !found || len(relations) != n {
			b.Fatalf("the event was found: %v, with %d relations of %d", found, len(relations), n)
		}
	}
	b.report(n)
}

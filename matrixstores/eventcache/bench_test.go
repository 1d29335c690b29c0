package eventcache_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// messages returns n events, each with about a kilobyte of JSON.
func messages(n int) []eventcache.Event {
	events := make([]eventcache.Event, n)
	body := strings.Repeat("x", 700)
	for i := range events {
		id := id.EventID(fmt.Sprintf("$%043d", i))
		events[i] = eventcache.Event{ID: id, Type: "m.room.message", Raw: json.RawMessage(fmt.Sprintf(
			`{"event_id":%q,"type":"m.room.message","sender":"@alice:example.org","origin_server_ts":1700000000000,"content":{"msgtype":"m.text","body":%q},"unsigned":{"age":5}}`, id, body))}
	}
	return events
}

// BenchmarkLinkedChunk: an event costs the same however long the list is. ns/event and B/event are
// what that is; the size stands in the name.
func BenchmarkLinkedChunk(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		events := messages(n)
		list := func() *eventcache.LinkedChunk {
			l := eventcache.NewLinkedChunk(0)
			for i := 0; i < n; i += 80 { // as a sync brings them
				if err := l.PushItemsBack(events[i:min(i+80, n)]...); err != nil {
					b.Fatal(err)
				}
				if _, err := l.PushGapBack(eventcache.Gap{}); err != nil {
					b.Fatal(err)
				}
			}
			return l
		}
		perEvent := func(b *testing.B, count int) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/event")
			b.ReportMetric(0, "ns/op")
		}
		b.Run(fmt.Sprintf("Push/%d", n), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				list()
			}
			runtime.ReadMemStats(&after)
			perEvent(b, n)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(n), "B/event")
		})
		whole := list()
		b.Run(fmt.Sprintf("Items/%d", n), func(b *testing.B) {
			for b.Loop() {
				seen := 0
				for range whole.Items() {
					seen++
				}
				if seen != n {
					b.Fatal(seen)
				}
			}
			perEvent(b, n)
		})
		b.Run(fmt.Sprintf("InsertAndRemove/%d", n), func(b *testing.B) {
			at := eventcache.Position{Chunk: eventcache.ChunkID(whole.NumChunks()/4*2 + 1), Index: 40}
			for b.Loop() {
				if _, err := whole.InsertItemsAt(at, events[0]); err != nil {
					b.Fatal(err)
				}
				if _, err := whole.RemoveItemAt(at); err != nil {
					b.Fatal(err)
				}
				whole.Updates()
			}
			perEvent(b, 1)
		})
	}
}

func BenchmarkParse(b *testing.B) {
	raw := messages(1)[0].Raw
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eventcache.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

package memorystore_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// BenchmarkEventCachePush: 80 events per push, as a sync brings them, to chunks of the
// usual capacity and to one that takes everything. What an event costs does not depend on how many there are.
func BenchmarkEventCachePush(b *testing.B) {
	for _, capacity := range []int{eventcache.DefaultCapacity, 1 << 20} {
		for _, n := range []int{1_000, 10_000, 100_000}[:tier.Count(2, 3, 3)] {
			b.Run(fmt.Sprintf("capacity=%d/events=%d", capacity, n), func(b *testing.B) {
				all := make([]eventcache.Event, n)
				for i := range all {
					all[i] = message(i, 700)
				}
				ctx := context.Background()
				list := eventcache.Room(room)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for b.Loop() {
					s, err := memorystore.OpenEventCache(ctx, memorystore.EventCacheConfig{})
					must(b, err)
					l := eventcache.NewLinkedChunk(capacity)
					for i := 0; i < n; i += 80 {
						must(b, l.PushItemsBack(all[i:min(i+80, n)]...))
						must(b, s.Apply(ctx, list, l.Updates()))
					}
					must(b, s.Close(ctx))
				}
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(n), "B/event")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkEventCacheLoad: a timeline from its end backwards, chunk by chunk.
func BenchmarkEventCacheLoad(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000}[:tier.Count(2, 3, 3)] {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			ctx := context.Background()
			s := openEventCache(b, memorystore.EventCacheConfig{})
			l := eventcache.NewLinkedChunk(0)
			for i := 0; i < n; i += 80 {
				for at := i; at < min(i+80, n); at++ {
					must(b, l.PushItemsBack(message(at, 700)))
				}
				_, err := l.PushGapBack(eventcache.Gap{})
				must(b, err)
			}
			must(b, s.Apply(ctx, eventcache.Room(room), l.Updates()))
			for b.Loop() {
				loader := eventcache.Loader{Store: s, List: eventcache.Room(room)}
				l, err := loader.Load(ctx)
				must(b, err)
				must(b, loader.LoadAll(ctx, l))
				if l.Len() != n {
					b.Fatal(l.Len())
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkMedia: adding, getting and streaming contents of several sizes, and cleaning.
func BenchmarkMedia(b *testing.B) {
	ctx := context.Background()
	for _, size := range []int{64 << 10, 1 << 20, 20 << 20}[:tier.Count(2, 3, 3)] {
		m := openMedia(b, memorystore.MediaConfig{})
		must(b, m.SetPolicy(ctx, media.NoLimits()))
		data, r := make([]byte, size), media.File("mxc://example.org/a")
		bench := func(what string, f func()) {
			b.Run(fmt.Sprintf("%s/size=%dKiB", what, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
			})
		}
		bench("add", func() {
			_, err := m.Add(ctx, r, data, media.AddOptions{})
			must(b, err)
		})
		bench("get", func() {
			_, _, err := m.Get(ctx, r)
			must(b, err)
		})
		buffer := make([]byte, 64<<10)
		bench("stream-in", func() {
			w, err := m.Create(ctx, r, media.AddOptions{})
			must(b, err)
			for left := data; len(left) > 0; left = left[min(len(left), len(buffer)):] {
				_, err = w.Write(left[:min(len(left), len(buffer))])
				must(b, err)
			}
			_, err = w.Commit()
			must(b, err)
		})
		bench("stream-out", func() {
			in, err := m.Open(ctx, r)
			must(b, err)
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, in, buffer)
			must(b, err)
		})
	}
}

package sqlitestore_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
)

// BenchmarkMedia: adding, getting and cleaning contents of several sizes, at
// once and as streams. 20 MiB is for the tier full.
func BenchmarkMedia(b *testing.B) {
	onMedia(b, func(b *testing.B, cfg sqlitestore.MediaConfig) {
		cfg.Database.Verify = false
		cfg.Clock = nil
		for _, size := range []int{64 << 10, 1 << 20, 20 << 20}[:tier.Count(2, 3, 3)] {
			cfg.Database.Path = b.TempDir() + "/media.db"
			s := openMedia(b, cfg)
			must(b, s.SetPolicy(ctx, media.NoLimits()))
			data := pattern(1, size)
			name := func(what string) string { return fmt.Sprintf("%s/size=%dKiB", what, size>>10) }
			bench := func(what string, f func(i int)) {
				b.Run(name(what), func(b *testing.B) {
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						f(i)
					}
				})
			}
			const names = 8
			bench("add", func(i int) { addMedia(b, s, file(i%names), data) })
			bench("get", func(int) {
				if got, _, err := s.Get(ctx, file(0)); err != nil || len(got) != size {
					b.Fatal(len(got), err)
				}
			})
			bench("stream-in", func(i int) { commit(b, write(b, s, file(i%names), data, 64<<10, media.AddOptions{})) })
			buffer := make([]byte, 64<<10)
			bench("stream-out", func(int) {
				in, err := s.Open(ctx, file(0))
				must(b, err)
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, in, buffer)
				if err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
			})
			b.Run(name("clean"), func(b *testing.B) {
				count := max(2, 8<<20/size)
				must(b, s.SetPolicy(ctx, media.NoLimits()))
				_, err := s.Stats(ctx)
				must(b, err)
				removed := 0
				for b.Loop() {
					b.StopTimer()
					must(b, s.SetPolicy(ctx, media.NoLimits()))
					for i := range count {
						addMedia(b, s, file(i), data)
					}
					must(b, s.SetPolicy(ctx, media.NoLimits().WithMaxCacheSize(0)))
					b.StartTimer()
					cleaned, err := s.Clean(ctx)
					if err != nil || cleaned.Removed < count {
						b.Fatal(cleaned, err)
					}
					removed += cleaned.Removed
				}
				b.ReportMetric(float64(b.Elapsed())/float64(removed), "ns/removed")
			})
			must(b, s.Close(ctx))
		}
	})
	_ = time.Now
}

package codec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// versus reports time(one) / time(other) as "ratio": the sides alternate,
// since absolute times wander, and the median of the pairs' ratios is taken.
func versus(b *testing.B, one, other func()) {
	b.Helper()
	measure := func(f func()) time.Duration {
		start := time.Now()
		f()
		return time.Since(start)
	}
	measure(one) // both warm
	measure(other)
	var ratios []float64
	var ones []time.Duration
	for i := 0; b.Loop(); i++ {
		var t1, t2 time.Duration
		if i%2 == 0 {
			t1, t2 = measure(one), measure(other)
		} else {
			t2, t1 = measure(other), measure(one)
		}
		ones = append(ones, t1)
		ratios = append(ratios, float64(t1)/float64(t2))
	}
	slices.Sort(ratios)
	slices.Sort(ones)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(ones[len(ones)/2]), "ns/op") // of the one side
}

type document struct {
	Type    string            `json:"type"`
	Sender  string            `json:"sender"`
	Content map[string]string `json:"content"`
}

var kilobyte = document{"m.room.message", "@alice:example.org", map[string]string{"msgtype": "m.text", "body": strings.Repeat("milk and bread, ", 58)}}

// BenchmarkJSON: 1 KiB; the difference of raw and sealed is what the cipher costs.
func BenchmarkJSON(b *testing.B) {
	for name, c := range map[string]*codec.Codec{"raw": nil, "sealed": codec.New(newCipher(b))} {
		stored := got[[]byte](b)(c.SealJSON(place, kilobyte))
		b.Run("Seal/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = got[[]byte](b)(c.SealJSON(place, kilobyte))
			}
		})
		b.Run("Open/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = got[document](b)(codec.JSON[document](c, place, stored))
			}
		})
	}
}

// BenchmarkKey: the table's key is derived once, and found from then on.
func BenchmarkKey(b *testing.B) {
	c, dst := codec.New(newCipher(b)), make([]byte, 0, 64)
	key := []byte("!abcdefghijklmnop:example.org")
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.AppendKey(dst, "note", key)
		}
	})
	b.Run("String", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.KeyString("note", "!abcdefghijklmnop:example.org")
		}
	})
}

// BenchmarkKeys: what making the parameter costs.
func BenchmarkKeys(b *testing.B) {
	keys := titles(100_000)
	for name, c := range map[string]*codec.Codec{"raw": nil, "hashed": codec.New(newCipher(b))} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = got[string](b)(codec.KeyList(c, "note", keys))
			}
		})
	}
}

// BenchmarkManyKeys: a query for some of 100,000 rows, against chunks of placeholders.
func BenchmarkManyKeys(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		keys := titles(100_000)
		db := open(b, engine, schema)
		must(b, db.Update(ctx, func(conn *sqlite.Conn) error {
			_, err := conn.Exec(ctx, `WITH `+codec.Listed+` INSERT INTO note SELECT key, n FROM listed`, codec.List(keys))
			return err
		}))
		for _, n := range []int{1, 10, 100, 1000, 16_383, 100_000} {
			b.Run(fmt.Sprint("keys=", n), func(b *testing.B) {
				must(b, db.View(ctx, func(conn *sqlite.Conn) error {
					check := func(found int, err error) {
						if err != nil || found != n {
							b.Fatalf("%d of %d were found: %v", found, n, err)
						}
					}
					versus(b, func() {
						found := 0
						for row, err := range conn.Rows(ctx, `SELECT n FROM note WHERE title IN `+codec.In, codec.List(keys[:n])) {
							must(b, err)
							_ = row.Value(0)
							found++
						}
						check(found, nil)
					}, func() { check(chunked(conn, keys[:n])) })
					return nil
				}))
			})
		}
	})
}

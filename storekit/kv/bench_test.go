package kv_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

const benchKeys = 2000

// filled returns a table with benchKeys keys of values of a size.
func filled(b *testing.B, db *sqlite.DB, c *codec.Codec, size int) (*kv.Table, []string) {
	b.Helper()
	table, values := kv.New(db, c, "bench"), map[string][]byte{}
	var keys []string
	for i := range benchKeys {
		keys = append(keys, fmt.Sprint("some.key.", i))
		values[keys[i]] = bytes.Repeat([]byte{1}, size)
	}
	must(b, table.SetMany(ctx, values))
	return table, keys
}

func BenchmarkGet(b *testing.B) {
	onBoth(b, func(b *testing.B, on both) {
		table, keys := filled(b, open(b, on.engine), on.codec, 1024)
		b.ReportAllocs()
		for b.Loop() {
			_ = got[[]byte](b)(table.Get(ctx, keys[rand.IntN(benchKeys)]))
		}
	})
}

func BenchmarkSet(b *testing.B) {
	onBoth(b, func(b *testing.B, on both) {
		table, keys := filled(b, open(b, on.engine), on.codec, 1024)
		value := make([]byte, 1024)
		b.ReportAllocs()
		for b.Loop() {
			must(b, table.Set(ctx, keys[rand.IntN(benchKeys)], value))
		}
	})
}

// BenchmarkGetMany: 1,000 keys in one call.
func BenchmarkGetMany(b *testing.B) {
	onBoth(b, func(b *testing.B, on both) {
		table, keys := filled(b, open(b, on.engine), on.codec, 1024)
		b.ReportAllocs()
		for b.Loop() {
			if found := got[map[string][]byte](b)(table.GetMany(ctx, keys[:1000])); len(found) != 1000 {
				b.Fatal(len(found))
			}
		}
	})
}

// BenchmarkSetMany: 1,000 keys in one transaction.
func BenchmarkSetMany(b *testing.B) {
	onBoth(b, func(b *testing.B, on both) {
		table, keys := filled(b, open(b, on.engine), on.codec, 1024)
		values := map[string][]byte{}
		for _, k := range keys[:1000] {
			values[k] = make([]byte, 1024)
		}
		b.ReportAllocs()
		for b.Loop() {
			must(b, table.SetMany(ctx, values))
		}
	})
}

// withoutRowid is the table as it might have been.
const withoutRowid = `CREATE TABLE storekit_kv (namespace BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, name BLOB, row BLOB NOT NULL UNIQUE,
	PRIMARY KEY (namespace, key)) STRICT, WITHOUT ROWID`

// BenchmarkSchema: time with a rowid / time without, as "ratio". The sides
// alternate, and the median of the blocks' ratios is taken.
func BenchmarkSchema(b *testing.B) {
	onBoth(b, func(b *testing.B, on both) {
		for _, size := range []int{32, 1024, 16 << 10} {
			other, err := sqlite.Open(ctx, sqlite.Config{Engine: on.engine, Path: filepath.Join(b.TempDir(), "other.db")})
			must(b, err)
			script(b, other, withoutRowid)
			with, keys := filled(b, open(b, on.engine), on.codec, size)
			without, _ := filled(b, other, on.codec, size)
			value := make([]byte, size)
			versus := func(name string, f func(table *kv.Table)) {
				b.Run(fmt.Sprint(name, "/value=", size), func(b *testing.B) {
					measure := func(table *kv.Table) float64 {
						start := time.Now()
						for range 20 {
							f(table)
						}
						return float64(time.Since(start))
					}
					var ratios []float64
					for i := 0; b.Loop(); i++ {
						var t1, t2 float64
						if i%2 == 0 {
							t1, t2 = measure(with), measure(without)
						} else {
							t2, t1 = measure(without), measure(with)
						}
						ratios = append(ratios, t1/t2)
					}
					slices.Sort(ratios)
					b.ReportMetric(ratios[len(ratios)/2], "ratio")
					b.ReportMetric(0, "ns/op") // of a block of both sides: it says nothing
				})
			}
			versus("Get", func(table *kv.Table) { _ = got[[]byte](b)(table.Get(ctx, keys[rand.IntN(benchKeys)])) })
			versus("Set", func(table *kv.Table) { must(b, table.Set(ctx, keys[rand.IntN(benchKeys)], value)) })
			versus("GetMany", func(table *kv.Table) { _ = got[map[string][]byte](b)(table.GetMany(ctx, keys[:100])) })
			versus("Insert", func(table *kv.Table) { must(b, table.Set(ctx, fmt.Sprint(rand.Uint64()), value)) })
			must(b, other.Close(ctx))
		}
	})
}

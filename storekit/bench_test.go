package storekit_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit"
)

// BenchmarkOpenStore: Open of an existing store whose migrations have run, and
// its first read, against opening the same kind of file with the bare driver,
// and its first read. Both have to read the file: SQLite itself opens nothing before.
func BenchmarkOpenStore(b *testing.B) {
	for _, kind := range []string{"plain", "key"} {
		b.Run(kind, func(b *testing.B) {
			onEngines(b, func(b *testing.B, engine sqlite.Engine) {
				cfg := config(b, engine)
				if kind == "key" {
					cfg = sealed(cfg)
				}
				cfg.Database.Verify = false
				bare := cfg
				bare.Database.Path = filepath.Join(b.TempDir(), "bare.db")
				for _, c := range []storekit.Config{cfg, bare} {
					s, err := storekit.Open(ctx, c)
					must(b, err)
					add(b, s, "text")
					must(b, s.Close(ctx))
				}
				var ratios, opens []float64
				for b.Loop() {
					start := time.Now()
					s, err := storekit.Open(ctx, cfg)
					must(b, err)
					must(b, s.View(ctx, func(c *sqlite.Conn) error {
						var text []byte
						return c.QueryRow(ctx, `SELECT text FROM note`).Scan(&text)
					}))
					open := time.Since(start)
					must(b, s.Close(ctx))

					start = time.Now()
					raw, err := engine.Open(bare.Database.Path, sqlite.OpenOptions{})
					must(b, err)
					must(b, readOne(raw))
					floor := time.Since(start)
					must(b, raw.Close())
					opens = append(opens, float64(open.Microseconds()))
					ratios = append(ratios, float64(open)/float64(floor))
				}
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(median(opens), "µs/open")
				b.ReportMetric(0, "ns/op")
			})
		})
	}
}

func readOne(raw sqlite.Raw) error {
	rows, err := raw.QueryContext(context.Background(), `SELECT text FROM note`, nil)
	if err != nil {
		return err
	}
	values := make([]driver.Value, 1)
	for err == nil {
		err = rows.Next(values)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return rows.Close()
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

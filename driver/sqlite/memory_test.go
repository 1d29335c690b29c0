package sqlite_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// TestPausedStoresCostLittle: what a paused database keeps is its configuration and what the next
// Resume has to find. The core's part is measured in lifecycle; this is the whole.
func TestPausedStoresCostLittle(t *testing.T) {
	const most = 1 << 10
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, startPaused := range map[string]bool{"paused after some use": false, "started paused": true} {
			t.Run(name, func(t *testing.T) {
				n := tier.Count(200, 1000, 10_000)
				dir := t.TempDir()
				dbs := make([]*sqlite.DB, n)
				pause := func(i int) {
					db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: filepath.Join(dir, fmt.Sprint(i)), StartPaused: startPaused})
					must(t, err)
					dbs[i] = db
					if startPaused {
						return
					}
					use := func(c *sqlite.Conn) error { return c.ExecScript(ctx, `SELECT 1`) }
					must(t, db.Update(ctx, use))
					must(t, db.View(ctx, use))
					must(t, db.Pause(ctx))
				}
				heap := func() uint64 {
					var m runtime.MemStats
					for range 3 {
						runtime.GC()
					}
					runtime.ReadMemStats(&m)
					return m.HeapAlloc
				}
				pause(0) // whatever is made once
				before, goroutines := heap(), runtime.NumGoroutine()
				for i := 1; i < n; i++ {
					pause(i)
				}
				each := int64(heap()-before) / int64(n-1)
				t.Logf("%d bytes for each of %d databases with paths of %d bytes", each, n, len(dbs[n-1].Path()))
				if each >= most {
					t.Errorf("a paused database keeps %d bytes; the promise is less than %d", each, most)
				}
				if more := runtime.NumGoroutine() - goroutines; more > 0 {
					t.Errorf("%d goroutines for %d paused databases; the promise is none", more, n)
				}
				for _, db := range dbs {
					must(t, db.Close(ctx))
				}
			})
		}
	})
}

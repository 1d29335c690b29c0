package sqlite_test

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// TestPausedStoresCostLittle: what a paused database keeps is its configuration and what the next
// Resume has to find. The core's part is measured in lifecycle; this is the whole, its path included.
func TestPausedStoresCostLittle(t *testing.T) {
	const most = 1 << 10
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		for _, used := range []bool{true, false} {
			t.Run(fmt.Sprintf("used=%v", used), func(t *testing.T) {
				n := tier.Count(150, 1000, 10_000)
				var dbs []*sqlite.DB
				pause := func(n int) {
					for range n {
						path := filepath.Join(dir, fmt.Sprint(len(dbs)))
						db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, StartPaused: !used})
						must(t, err)
						dbs = append(dbs, db)
						if used {
							use := func(c *sqlite.Conn) error { return c.ExecScript(ctx, `SELECT 1`) }
							must(t, db.Update(ctx, use))
							must(t, db.View(ctx, use))
							must(t, db.Pause(ctx))
						}
					}
				}
				pause(150) // whatever is made once, by the runtime too
				goroutines := runtime.NumGoroutine()
				var batches [3]int64 // of which the smallest counts: what all share, the engine's own tables too, grows by leaps
				for i := range batches {
					before := heap()
					pause(n)
					batches[i] = int64(heap()-before) / int64(n)
				}
				slices.Sort(batches[:])
				each := batches[0]
				t.Logf("%d bytes for each of %d paused databases (three times %d: %v), of which %d are its path", each, len(dbs), n, batches, len(dbs[n].Path()))
				if each >= most {
					t.Errorf("a paused database keeps %d bytes; the promise is less than %d", each, most)
				}
				if more := runtime.NumGoroutine() - goroutines; more > 0 {
					t.Errorf("%d goroutines for %d paused databases; the promise is none", more, len(dbs))
				}
				for _, db := range dbs {
					must(t, db.Close(ctx))
				}
			})
		}
	})
}

// heap is what is reachable. What has a finalizer goes one collection later, when that has run.
func heap() uint64 {
	least := uint64(math.MaxUint64)
	for range 6 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc)
	}
	return least
}

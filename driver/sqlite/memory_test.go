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
// Resume has to find. The core's part is measured in lifecycle; this is the whole, its path included.
func TestPausedStoresCostLittle(t *testing.T) {
	const most = 1 << 10
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		for _, used := range []bool{true, false} {
			t.Run(fmt.Sprintf("used=%v", used), func(t *testing.T) {
				n := tier.Count(300, 1000, 10_000)
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
				pause(100) // whatever is made once, by the runtime too
				before, goroutines := heap(), runtime.NumGoroutine()
				pause(n)
				each := int64(heap()-before) / int64(n)
				t.Logf("%d bytes for each of %d paused databases, of which %d are its path", each, n, len(dbs[n].Path()))
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

func heap() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

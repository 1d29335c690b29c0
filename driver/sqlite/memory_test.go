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
	const most = 4 << 10
	n := tier.Count(100, 1000, 10_000)
	dir := t.TempDir()
	dbs := make([]*sqlite.DB, n)
	pause := func(i int) {
		db, err := sqlite.Open(ctx, sqlite.Config{Engine: engines[0], Path: filepath.Join(dir, fmt.Sprint(i)), MaxReaders: 2})
		must(t, err)
		must(t, db.Pause(ctx))
		dbs[i] = db
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	pause(0) // whatever is made once
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := 1; i < n; i++ {
		pause(i)
	}
	each := int64(heap()-before) / int64(n-1)
	t.Logf("%d bytes for each of %d paused databases; %d goroutines more", each, n, runtime.NumGoroutine()-goroutines)
	if each > most {
		t.Errorf("a paused database keeps %d bytes; the promise is at most %d", each, most)
	}
	for _, db := range dbs {
		must(t, db.Close(ctx))
	}
}

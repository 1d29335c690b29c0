package sqlitestore_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/eventcachetest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestEventCacheContract: the event cache gives the answers of the contract, on both engines, encrypted or not. No statement
// that it ever prepares for that scans a table that grows.
func TestEventCacheContract(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, s secret.Secret) {
		recorder := newRecorder()
		plans := s.None() && engine.Name() == recorder.Name() // one engine is enough
		if plans {
			engine = recorder
		}
		eventcachetest.Run(t, func() *eventcachetest.Harness { return eventCacheHarness(engine, s) })
		if plans {
			t.Run("plans", func(t *testing.T) { checkEventCachePlans(t, recorder.statements(eventCacheTables)) })
		}
	})
}

func eventCacheHarness(engine sqlite.Engine, s secret.Secret) *eventcachetest.Harness {
	path := func(dir string) string { return filepath.Join(dir, "events.db") }
	h := &eventcachetest.Harness{
		Brief: !s.None() || engine.Name() != fastest().Name(), // what needs many is tested in plain, on one engine
		Open: func(ctx context.Context, dir string, o eventcachetest.Options) (eventcache.Store, error) {
			cfg := sqlitestore.EventCacheConfig{CleanUp: &o.CleanUp, Config: sqlitestore.Config{
				Database: sqlite.Config{Engine: engine, Path: path(dir), Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, Verify: true},
				Clock:    o.Clock, Secret: s,
			}}
			hurried(&cfg.Database)
			return sqlitestore.OpenEventCache(ctx, cfg)
		},
		Files: func(dir string) []string {
			p := path(dir)
			return []string{p, p + "-wal", p + "-shm", p + "-journal", p + "-leases", p + "-leases-wal", p + "-leases-shm"}
		},
	}
	if s.None() {
		h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
	}
	return h
}

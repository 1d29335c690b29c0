package sqlitestore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestEventCacheConformance: an event cache keeps every promise of pausing; see keepsPromises for what runs when.
func TestEventCacheConformance(t *testing.T) { keepsPromises(t, "modernc", eventCacheLifecycle) }

// keepsPromises runs the suite of package conformance on a store, encrypted and plain, on every engine. In the short tier it is
// encrypted and on one engine: of the four stores, which do this with the same driver, two are checked on each.
func keepsPromises(t *testing.T, short string, lifecycle func(sqlite.Engine, secret.Secret) func() *conformance.Harness) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		if isShort() && withCgo && engine.Name() != short {
			t.Skipf("in the short tier this store is checked on %s", short)
		}
		for i := range tier.Count(1, 3, 30) {
			t.Run(fmt.Sprint("encrypted/run=", i+1), func(t *testing.T) { conformance.Run(t, lifecycle(engine, key(1))) })
		}
		for i := range tier.Count(0, 1, 10) {
			t.Run(fmt.Sprint("plain/run=", i+1), func(t *testing.T) { conformance.Run(t, lifecycle(engine, secret.Secret{})) })
		}
	})
}

// eventCacheLifecycle shows an event cache to the suite of package conformance: a key is an event's id, a value is in its JSON.
func eventCacheLifecycle(engine sqlite.Engine, s secret.Secret) func() *conformance.Harness {
	path := func(dir string) string { return filepath.Join(dir, "events.db") }
	version := func(dir string, version int) error {
		raw, err := engine.Open(path(dir), sqlite.OpenOptions{})
		if err != nil {
			return err
		}
		_, err = raw.ExecContext(ctx, fmt.Sprint(`PRAGMA user_version = `, version), nil)
		return errors.Join(err, raw.Close())
	}
	return func() *conformance.Harness {
		h := &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				store, err := sqlitestore.OpenEventCache(ctx, sqlitestore.EventCacheConfig{
					Config: sqlitestore.Config{Database: lifecycleConfig(engine, path(dir), o), Secret: s},
				})
				return cacheOfEvents{store}, err
			},
			Files:  filesOf(path),
			Remain: func(dir string) []string { return []string{path(dir) + "-leases"} },
			Newer:  func(_ context.Context, dir string) error { return version(dir, 2) },
			Older:  func(_ context.Context, dir string) error { return version(dir, 1) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				return s.(cacheOfEvents).Check(ctx, storekit.CheckOptions{Sealed: true})
			},
		}
		if s.None() {
			h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
		}
		return h
	}
}

// lifecycleConfig is a database as a case of the suite wants it.
func lifecycleConfig(engine sqlite.Engine, path string, o conformance.Options) sqlite.Config {
	hook := func(fn func(context.Context) error) func(context.Context, *sqlite.Conn) error {
		if fn == nil {
			return nil
		}
		return func(ctx context.Context, _ *sqlite.Conn) error { return fn(ctx) }
	}
	return sqlite.Config{
		Engine: engine, Path: path, Verify: true, BusyTimeout: 2 * time.Second,
		MaxReaders: o.MaxReaders, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
		BeforeRelease: hook(o.BeforeRelease), AfterReopen: hook(o.AfterReopen),
		CacheSize: 1_234_000, // one that SQLite has not by itself
	}
}

// filesOf are the files that a store may have.
func filesOf(path func(dir string) string) func(dir string) []string {
	return func(dir string) []string {
		p := path(dir)
		return []string{p, p + "-wal", p + "-shm", p + "-journal", p + "-leases", p + "-leases-wal", p + "-leases-shm", p + "-leases-journal"}
	}
}

// settings are what every connection has to be told.
func settings(ctx context.Context, c *sqlite.Conn) (string, error) {
	var cache, foreign int
	err := errors.Join(c.QueryRow(ctx, `PRAGMA cache_size`).Scan(&cache), c.QueryRow(ctx, `PRAGMA foreign_keys`).Scan(&foreign))
	return fmt.Sprint(cache, " ", foreign), err
}

// leak leaves an iteration behind.
func leak(ctx context.Context, c *sqlite.Conn) error {
	for _, err := range c.Rows(ctx, `SELECT name FROM sqlite_schema`) {
		return err // and the rest is never read
	}
	return nil
}

type cacheOfEvents struct{ *sqlitestore.EventCache }

func (s cacheOfEvents) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s cacheOfEvents) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s cacheOfEvents) tx(ctx context.Context, c *sqlite.Conn) conformance.Tx {
	const room = "!suite:example.org"
	in := s.In(c)
	return conformance.Tx{
		Get: func(key string) (value string, err error) {
			e, found, err := in.FindEvent(ctx, room, id.EventID(key))
			if err != nil || !found {
				return "", err
			}
			var body struct{ Value string }
			err = json.Unmarshal(e.Raw, &body)
			return body.Value, err
		},
		Put: func(key, value string) error {
			raw, err := json.Marshal(struct{ Value string }{value})
			if err != nil {
				return err
			}
			return in.SaveEvents(ctx, room, eventcache.Event{ID: id.EventID(key), Raw: raw})
		},
		Setting: func() (string, error) { return settings(ctx, c) },
		Leak:    func() error { return leak(ctx, c) },
	}
}

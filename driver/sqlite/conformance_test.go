package sqlite_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// TestConformance: both engines keep every promise, a hundred times in a row in the tier soak.
func TestConformance(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for i := range tier.Count(1, 3, 100) {
			t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) { conformance.Run(t, harnessOf(engine)) })
		}
	})
}

// TestConformanceCheck is the same without a test around it.
func TestConformanceCheck(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		if conformance.IsChild() {
			os.Exit(conformance.ChildMain(harnessOf(engine)))
		}
		if tier.Count(1, 3, 100) == 1 && withCgo && engine.Name() == "modernc" {
			t.Skip("the tier short checks one engine, the faster; TestConformance runs the same cases on both")
		}
		for range tier.Count(1, 3, 100) {
			err := conformance.Check(t.Context(), func() *conformance.Harness {
				h := harnessOf(engine)()
				h.Command = conformance.TestCommand(t)
				return h
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkConformance(b *testing.B) {
	for _, engine := range engines {
		b.Run("engine="+engine.Name(), func(b *testing.B) { conformance.Bench(b, harnessOf(engine)) })
	}
}

// harnessOf shows an ordinary key-value store on this package to the suite.
func harnessOf(engine sqlite.Engine) func() *conformance.Harness {
	path := func(dir string) string { return filepath.Join(dir, "store.db") }
	version := func(ctx context.Context, dir string, version int) error {
		db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path(dir), Name: "newer"})
		if errors.Is(err, sqlite.ErrInUse) { // by the paused store of this process: a second one is refused
			return setVersionForeignly(path(dir), engine, version)
		}
		if err != nil {
			return err
		}
		return errors.Join(db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, fmt.Sprint("PRAGMA user_version = ", version)) }), db.Close(ctx))
	}
	return func() *conformance.Harness {
		return &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				return openStore(ctx, engine, path(dir), o)
			},
			Files: func(dir string) []string {
				p := path(dir)
				return []string{p, p + "-wal", p + "-shm", p + "-journal"}
			},
			Newer: func(ctx context.Context, dir string) error { return version(ctx, dir, 8) },
			Older: func(ctx context.Context, dir string) error { return version(ctx, dir, 7) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				var result string
				err := s.(store).View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `PRAGMA integrity_check`).Scan(&result) })
				if err == nil && result != "ok" {
					err = fmt.Errorf("integrity_check: %s", result)
				}
				return err
			},
			Without: map[conformance.Capability]string{
				conformance.Encryption: "a cipher is storekit's business; this driver stores what it is given",
			},
		}
	}
}

// setVersionForeignly changes the version beside the store of this process, by the engine alone.
func setVersionForeignly(path string, engine sqlite.Engine, version int) error {
	raw, err := engine.Open(path, sqlite.OpenOptions{})
	if err != nil {
		return err
	}
	_, err = raw.ExecContext(context.Background(), fmt.Sprint("PRAGMA user_version = ", version), nil)
	return errors.Join(err, raw.Close())
}

// store is a key-value store, written as an application would.
type store struct{ *sqlite.DB }

func openStore(ctx context.Context, engine sqlite.Engine, path string, o conformance.Options) (conformance.Store, error) {
	hook := func(fn func(context.Context) error) func(context.Context, *sqlite.Conn) error {
		if fn == nil {
			return nil
		}
		return func(ctx context.Context, _ *sqlite.Conn) error { return fn(ctx) }
	}
	if o.Step != nil {
		engine = stepping{engine, o.Step}
	}
	db, err := sqlite.Open(ctx, sqlite.Config{
		Engine: engine, Path: path, SchemaVersion: 7, Verify: true, BusyTimeout: 2 * time.Second,
		MaxReaders: o.MaxReaders, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
		BeforeRelease: hook(o.BeforeRelease), AfterReopen: hook(o.AfterReopen), SingleWriter: true,
		CacheSize: 1_234_000, // one that SQLite has not by itself
	})
	if err != nil || o.StartPaused {
		return store{db}, err
	}
	err = db.Write(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, `CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL); PRAGMA user_version = 7`)
	})
	if err != nil {
		return nil, errors.Join(err, db.Close(ctx))
	}
	return store{db}, nil
}

func (s store) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(c *sqlite.Conn) error { return fn(tx(ctx, c)) })
}

func (s store) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(c *sqlite.Conn) error { return fn(tx(ctx, c)) })
}

func tx(ctx context.Context, c *sqlite.Conn) conformance.Tx {
	return conformance.Tx{
		Get: func(key string) (value string, err error) {
			err = c.QueryRow(ctx, `SELECT value FROM kv WHERE key = ?`, key).Scan(&value)
			if errors.Is(err, sqlite.ErrNoRows) {
				return "", nil
			}
			return value, err
		},
		Put: func(key, value string) error {
			_, err := c.Exec(ctx, `INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
			return err
		},
		Setting: func() (string, error) {
			var cache, keys, limit int
			err := errors.Join(c.QueryRow(ctx, `PRAGMA cache_size`).Scan(&cache), c.QueryRow(ctx, `PRAGMA foreign_keys`).Scan(&keys),
				c.QueryRow(ctx, `PRAGMA journal_size_limit`).Scan(&limit))
			return fmt.Sprint("cache_size ", cache, ", foreign_keys ", keys, ", journal_size_limit ", limit), err
		},
		Leak: func() error {
			for _, err := range c.Rows(ctx, `SELECT key FROM kv`) {
				return err // the rest is never read
			}
			return nil
		},
	}
}

// stepping is an engine that tells when a connection is closed: these are the
// moments between the steps of a pause.
type stepping struct {
	sqlite.Engine
	step func(string)
}

func (e stepping) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	raw, err := e.Engine.Open(path, o)
	if err != nil {
		return nil, err
	}
	return steppingRaw{raw, e.step}, nil
}

type steppingRaw struct {
	sqlite.Raw
	step func(string)
}

func (r steppingRaw) Close() error {
	r.step("before a connection is closed")
	err := r.Raw.Close()
	r.step("after a connection was closed")
	return err
}

func (r steppingRaw) Unwrap() driver.Conn { return r.Raw.Unwrap() }

package storekit_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestConformance: a store that is nothing but the kit, encrypted, with leases,
// and with its keys forgotten at every pause, keeps every promise.
func TestConformance(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for i := range tier.Count(1, 3, 30) {
			t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) { conformance.Run(t, harnessOf(engine)) })
		}
	})
}

func BenchmarkConformance(b *testing.B) {
	for _, engine := range engines {
		b.Run("engine="+engine.Name(), func(b *testing.B) { conformance.Bench(b, harnessOf(engine)) })
	}
}

// harnessOf shows a store of the kit to the suite: its key-value table.
func harnessOf(engine sqlite.Engine) func() *conformance.Harness {
	path := func(dir string) string { return filepath.Join(dir, "store.db") }
	version := func(dir string, version int) error {
		raw, err := engine.Open(path(dir), sqlite.OpenOptions{})
		if err != nil {
			return err
		}
		_, err = raw.ExecContext(ctx, fmt.Sprint(`PRAGMA user_version = `, version), nil)
		return errors.Join(err, raw.Close())
	}
	return func() *conformance.Harness {
		return &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				s, err := storekit.Open(ctx, configOf(engine, path(dir), o))
				return kit{s}, err
			},
			Files: func(dir string) []string {
				p := path(dir)
				return []string{p, p + "-wal", p + "-shm", p + "-journal", p + "-leases", p + "-leases-wal", p + "-leases-shm", p + "-leases-journal"}
			},
			Remain: func(dir string) []string { return []string{path(dir) + "-leases"} },
			Newer:  func(_ context.Context, dir string) error { return version(dir, 2) },
			Older:  func(_ context.Context, dir string) error { return version(dir, 1) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				return s.(kit).Check(ctx, storekit.CheckOptions{Sealed: true})
			},
		}
	}
}

func configOf(engine sqlite.Engine, path string, o conformance.Options) storekit.Config {
	hook := func(fn func(context.Context) error) func(context.Context, *sqlite.Conn) error {
		if fn == nil {
			return nil
		}
		return func(ctx context.Context, _ *sqlite.Conn) error { return fn(ctx) }
	}
	return storekit.Config{
		Database: sqlite.Config{
			Engine: engine, Path: path, Verify: true, BusyTimeout: 2 * time.Second,
			MaxReaders: o.MaxReaders, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
			BeforeRelease: hook(o.BeforeRelease), AfterReopen: hook(o.AfterReopen),
			CacheSize: 1_234_000, // one that SQLite has not by itself
		},
		Migrations: []storekit.Migration{{Version: 1, SQL: `CREATE TABLE mine (x)`}},
		Secret:     secret.Ask(func(context.Context) (secret.Secret, error) { return key(1), nil }), ForgetKeyOnPause: true, Leases: true,
	}
}

// kit is the store as the suite sees it.
type kit struct{ *storekit.Store }

func (k kit) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return k.View(ctx, func(c *sqlite.Conn) error { return fn(k.tx(ctx, c)) })
}

func (k kit) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return k.Update(ctx, func(c *sqlite.Conn) error { return fn(k.tx(ctx, c)) })
}

func (k kit) tx(ctx context.Context, c *sqlite.Conn) conformance.Tx {
	in := k.KV("suite").In(c)
	return conformance.Tx{
		Get: func(key string) (string, error) {
			value, err := in.Get(ctx, key)
			if errors.Is(err, kv.ErrNotFound) {
				return "", nil
			}
			return string(value), err
		},
		Put: func(key, value string) error { return in.Set(ctx, key, []byte(value)) },
		Setting: func() (string, error) {
			var cache, limit int
			err := errors.Join(c.QueryRow(ctx, `PRAGMA cache_size`).Scan(&cache), c.QueryRow(ctx, `PRAGMA journal_size_limit`).Scan(&limit))
			return fmt.Sprint(cache, " ", limit), err
		},
		Leak: func() error {
			for _, err := range c.Rows(ctx, `SELECT row FROM storekit_kv`) {
				return err // and the rest is never read
			}
			return nil
		},
	}
}

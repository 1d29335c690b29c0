package sqlstore

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqldb"
)

func TestConformance(t *testing.T)      { conformance.Run(t, harness) }
func BenchmarkConformance(b *testing.B) { conformance.Bench(b, harness) }

func harness() *conformance.Harness {
	path := func(dir string) string { return filepath.Join(dir, "app.db") }
	return &conformance.Harness{
		Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
			s, err := Open(ctx, path(dir), sqldb.Config{Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused})
			return adapter{s}, err
		},
		Files: func(dir string) []string { return []string{path(dir), path(dir) + "-wal", path(dir) + "-shm"} },
		Without: map[conformance.Capability]string{
			conformance.Hooks:      "sqldb has none",
			conformance.Identity:   "sqldb knows the file, not what is in it; driver/sqlite does",
			conformance.Schema:     "this store has one schema for ever",
			conformance.Encryption: "the driver stores what it is given",
		},
	}
}

// adapter shows the store's own transactions as the suite's.
type adapter struct{ *Store }

func (a adapter) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return a.View(ctx, func(tx *sql.Tx) error { return fn(show(ctx, tx)) })
}

func (a adapter) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return a.Update(ctx, func(tx *sql.Tx) error { return fn(show(ctx, tx)) })
}

func show(ctx context.Context, tx *sql.Tx) conformance.Tx {
	return conformance.Tx{
		Get: func(key string) (string, error) { return Get(ctx, tx, key) },
		Put: func(key, value string) error { return Put(ctx, tx, key, value) },
		Setting: func() (on string, err error) {
			err = tx.QueryRowContext(ctx, `PRAGMA foreign_keys`).Scan(&on)
			return on, err
		},
		Leak: func() error {
			_, err := tx.QueryContext(ctx, `SELECT key FROM kv`) // never read, never closed
			return err
		},
	}
}

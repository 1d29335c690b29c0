package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/internal/holders"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// TestConformance: a store on a bare driver, of which this package knows
// nothing but its name, keeps every promise that such a store can make.
func TestConformance(t *testing.T) {
	onDrivers(t, func(t *testing.T, driver string) {
		for i := range tier.Count(1, 3, 100) {
			t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) { conformance.Run(t, harnessOf(driver)) })
		}
	})
}

// sourceOf is a data source name with what a store of an application's would set.
func sourceOf(driver, path string) string {
	if driver == "sqlite3" {
		return "file:" + path + "?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=1&_busy_timeout=5000"
	}
	return "file:" + path + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=foreign_keys(1)"
}

// filesOf are all files of a database.
func filesOf(path string) []string {
	return []string{path, path + "-wal", path + "-shm", path + "-journal"}
}

// nothingHeld is the operating system's proof.
func nothingHeld(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		report, err := holders.Self(ctx, path)
		if err != nil {
			return err
		}
		return report.Err()
	}
}

func harnessOf(driver string) func() *conformance.Harness {
	path := func(dir string) string { return filepath.Join(dir, "store.db") }
	return func() *conformance.Harness {
		return &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				return openStore(ctx, driver, path(dir), o)
			},
			Files: func(dir string) []string { return filesOf(path(dir)) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				var result string
				err := s.(store).SQL().QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&result)
				if err == nil && result != "ok" {
					err = fmt.Errorf("integrity_check: %s", result)
				}
				return err
			},
			Without: map[conformance.Capability]string{
				conformance.Hooks:      "there is no hook; Config.Setup runs on every connection",
				conformance.Identity:   "nothing is known of the database but its driver; driver/sqlite recognises it",
				conformance.Schema:     "nothing is known of the database but its driver; driver/sqlite checks its version",
				conformance.Encryption: "this is the driver's business",
			},
		}
	}
}

// store is a key-value store, written as an application on database/sql would.
type store struct{ *sqldb.Store }

func openStore(ctx context.Context, driver, path string, o conformance.Options) (conformance.Store, error) {
	s, err := sqldb.OpenDriver(ctx, driver, sourceOf(driver, path), sqldb.Config{
		Name: "store.db", Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
		Path: path, Verify: nothingHeld(path), Options: sqldb.Options{SingleWriter: true},
	})
	if err != nil || o.StartPaused {
		return store{s}, err
	}
	if _, err := s.SQL().ExecContext(ctx, `CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL)`); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return store{s}, nil
}

func (s store) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.in(ctx, &sql.TxOptions{ReadOnly: true}, fn)
}

func (s store) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.in(ctx, nil, fn)
}

func (s store) in(ctx context.Context, o *sql.TxOptions, fn func(conformance.Tx) error) (err error) {
	tx, err := s.SQL().BeginTx(ctx, o)
	if err != nil && s.State() == lifecycle.Closed {
		return errors.Join(lifecycle.ErrClosed, err) // database/sql says "database is closed", and has no error to match
	}
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // a panic, which goes on
			_ = tx.Rollback()
		}
	}()
	err = fn(txOf(ctx, tx))
	done = true
	if err != nil {
		if undo := tx.Rollback(); !errors.Is(undo, sql.ErrTxDone) { // it has ended with ctx
			err = errors.Join(err, undo)
		}
		return err
	}
	return tx.Commit()
}

func txOf(ctx context.Context, tx *sql.Tx) conformance.Tx {
	return conformance.Tx{
		Get: func(key string) (value string, err error) {
			err = tx.QueryRowContext(ctx, `SELECT value FROM kv WHERE key = ?`, key).Scan(&value)
			if errors.Is(err, sql.ErrNoRows) {
				return "", nil
			}
			return value, err
		},
		Put: func(key, value string) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
			return err
		},
		Setting: func() (string, error) {
			var keys, sync int
			err := errors.Join(tx.QueryRowContext(ctx, `PRAGMA foreign_keys`).Scan(&keys), tx.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&sync))
			return fmt.Sprint("foreign_keys ", keys, ", synchronous ", sync), err
		},
		Leak: func() error {
			rows, err := tx.QueryContext(ctx, `SELECT key FROM kv`)
			if err == nil {
				rows.Next() // the rest is never read, and nothing closed
			}
			return err
		},
	}
}

package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/internal/holders"
	"github.com/quiesce-go/quiesce/internal/sqlkeys"
	"github.com/quiesce-go/quiesce/internal/tier"
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

// store is a key-value store on nothing but the facade.
type store struct {
	*sqldb.Store
	sqlkeys.Keys
}

func openStore(ctx context.Context, driver, path string, o conformance.Options) (conformance.Store, error) {
	s, err := sqldb.OpenDriver(ctx, driver, sourceOf(driver, path), sqldb.Config{
		Name: "store.db", Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
		Path: path, Verify: nothingHeld(path), Options: sqldb.Options{SingleWriter: true},
	})
	if err != nil {
		return nil, err
	}
	keys := store{s, sqlkeys.Keys{DB: s.SQL(), Of: s, Settings: []string{"foreign_keys", "synchronous"}}}
	if o.StartPaused {
		return keys, nil
	}
	if _, err := s.SQL().ExecContext(ctx, `CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL)`); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return keys, nil
}

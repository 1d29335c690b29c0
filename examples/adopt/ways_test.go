package adopt

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The ways to a *sql.DB that pauses. Every library is tried on each of them.

var ctx = context.Background()

// patience is the Timeout of every store: what a loaded machine may take. It is no measurement.
const patience = 2 * time.Minute

// database is what a library gets.
type database struct {
	*sql.DB
	sqlx  *sqlx.DB
	store interface {
		lifecycle.Pausable
		Close(context.Context) error
		Holders() []lifecycle.Holder
	}
}

var ways = []struct {
	name string
	cgo  bool
	open func(path string) (database, error)
}{
	{"OpenSQL/modernc", false, func(path string) (database, error) { return openSQL(modernc.Engine(), path) }},
	{"OpenSQL/mattn", true, func(path string) (database, error) { return openSQL(mattn.Engine(), path) }},
	{"OpenDriver/modernc", false, func(path string) (database, error) {
		return openDriver("sqlite", "file:"+path+"?_pragma=busy_timeout(120000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_txlock=immediate&_time_format=sqlite", path)
	}},
	{"OpenDriver/mattn", true, func(path string) (database, error) {
		return openDriver("sqlite3", "file:"+path+"?_busy_timeout=120000&_journal=WAL&_sync=NORMAL&_fk=1&_txlock=immediate", path)
	}},
}

func openSQL(engine sqlite.Engine, path string) (database, error) {
	db, store, err := sqlite.OpenSQL(ctx, sqlite.Config{
		Engine: engine, Path: path, WhenPaused: lifecycle.Wait, SingleWriter: true, Verify: true, Timeout: patience, BusyTimeout: patience,
	})
	if err != nil {
		return database{}, err
	}
	return database{db, store.SQLX(), store}, nil
}

// openDriver has SQLite's own drivers do what they do without quiesce; the
// proof that nothing is held is asked for by the program.
func openDriver(driver, source, path string) (database, error) {
	store, err := sqldb.OpenDriver(ctx, driver, source, sqldb.Config{
		WhenPaused: lifecycle.Wait, Timeout: patience,
		Verify: func(ctx context.Context) error {
			held, err := sqlite.HeldBySelf(ctx, path)
			return errors.Join(err, held.Err())
		},
	})
	if err != nil {
		return database{}, err
	}
	return database{store.SQL(), sqlx.NewDb(store.SQL(), "sqlite3"), store}, nil
}

// onEveryWay runs a test on a fresh database for every way that this build has.
func onEveryWay(t *testing.T, test func(t *testing.T, db database)) {
	for _, way := range ways {
		t.Run(strings.ReplaceAll(way.name, "/", "="), func(t *testing.T) {
			if way.cgo && !withCgo {
				t.Skip("mattn needs cgo, and this is a build without; the other build runs it")
			}
			path := filepath.Join(t.TempDir(), "app.db")
			db, err := way.open(path)
			must(t, err)
			t.Cleanup(func() {
				if err := db.store.Close(ctx); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test(t, db)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// equal fails the test where something is missing at its end, or too much.
func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

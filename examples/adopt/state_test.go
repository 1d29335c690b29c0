package adopt

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"
	"time"

	modernc "modernc.org/sqlite"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	quiescemodernc "github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// What docs/adopt.md says of the state of a connection, and of functions.

func pauseResume(t testing.TB, store lifecycle.Pausable) {
	t.Helper()
	must(t, store.Pause(ctx))
	must(t, store.Resume(ctx))
}

func TestSettingsOfAConnectionOutliveAPause(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		other := filepath.Join(t.TempDir(), "other.db")
		conn, err := d.Conn(ctx)
		must(t, err)
		defer conn.Close()
		_, err = conn.ExecContext(ctx, `PRAGMA foreign_keys = OFF`)
		must(t, err)
		_, err = conn.ExecContext(ctx, `ATTACH ? AS other`, other)
		must(t, err)
		_, err = conn.ExecContext(ctx, `CREATE TABLE other.t (id INTEGER PRIMARY KEY); INSERT INTO other.t VALUES (7)`)
		must(t, err)
		pauseResume(t, d.store)
		held, err := sqlite.HeldBySelf(ctx, other)
		must(t, err)
		equal(t, "holders of the attached file after the Resume, before its first use", held.Err(), nil)

		var fk, id, last int
		must(t, conn.QueryRowContext(ctx, `PRAGMA foreign_keys`).Scan(&fk))
		must(t, conn.QueryRowContext(ctx, `SELECT id FROM other.t`).Scan(&id))
		must(t, conn.QueryRowContext(ctx, `SELECT last_insert_rowid()`).Scan(&last))
		equal(t, "foreign_keys", fk, 0)
		equal(t, "the attached row", id, 7)
		equal(t, "last_insert_rowid(), which does not survive", last, 0)
	})
}

func TestTemporaryTablesAreInFlight(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		conn, err := d.Conn(ctx)
		must(t, err)
		defer conn.Close()
		_, err = conn.ExecContext(ctx, `CREATE TEMP TABLE draft (text)`)
		must(t, err)
		equal(t, "operations in flight", len(d.store.Holders()), 1)
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		var held *lifecycle.HeldError
		if err := d.store.Pause(short); err != nil && !errors.As(err, &held) {
			t.Fatal(err)
		}
		must(t, d.store.Pause(ctx))
		must(t, d.store.Resume(ctx))
		if _, err := conn.ExecContext(ctx, `SELECT 1`); !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("the first use after the table was lost: %v, want ErrInterrupted", err)
		}
		if _, err := conn.ExecContext(ctx, `SELECT 1`); err != nil {
			t.Errorf("the second use: %v", err)
		}
	})
}

// TestFunctionsOfTheDriver: the driver's functions come with OpenDriver, not with OpenSQL.
func TestFunctionsOfTheDriver(t *testing.T) {
	must(t, modernc.RegisterScalarFunction("adopt_answer", 0, func(*modernc.FunctionContext, []driver.Value) (driver.Value, error) { return int64(42), nil }))
	answer := func(db *sql.DB) (n int, err error) {
		err = db.QueryRow(`SELECT adopt_answer()`).Scan(&n)
		return n, err
	}
	withDriver, err := sqldb.OpenDriver(ctx, "sqlite", filepath.Join(t.TempDir(), "app.db"), sqldb.Config{})
	must(t, err)
	defer func() { must(t, withDriver.Close(ctx)) }()
	pauseResume(t, withDriver)
	n, err := answer(withDriver.SQL())
	must(t, err)
	equal(t, "the answer", n, 42)

	db, store, err := sqlite.OpenSQL(ctx, sqlite.Config{Engine: quiescemodernc.Engine(), Path: filepath.Join(t.TempDir(), "app.db")})
	must(t, err)
	defer func() { must(t, store.Close(ctx)) }()
	if _, err := answer(db); err == nil {
		t.Error("the function is there: docs/adopt.md says that it is not")
	}
}

func TestReadOnlyTransactionsTakeNoTurn(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		if _, single := d.store.(*sqlite.DB); !single {
			t.Skip("opened without SingleWriter")
		}
		_, err := d.Exec(notesSchema)
		must(t, err)
		writing, err := d.BeginTx(ctx, nil)
		must(t, err)
		reading, err := d.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		must(t, err)
		_, err = NewQueries(reading).CountNotes(ctx, "ann")
		must(t, err)
		if _, err := reading.Exec(`DELETE FROM note`); !errors.Is(err, sqldb.ErrReadOnly) {
			t.Errorf("a DELETE in a transaction that only reads: %v, want ErrReadOnly", err)
		}
		must(t, reading.Commit())
		must(t, writing.Commit())
	})
}

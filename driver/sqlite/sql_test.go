package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The database/sql side of a DB: what an application that holds a *sql.DB sees of pauses.

// openSQL opens a store with an empty table t (v).
func openSQL(t testing.TB, engine sqlite.Engine, change func(*sqlite.Config)) (*sql.DB, *sqlite.DB) {
	t.Helper()
	store := open(t, engine, change)
	db := store.SQL()
	_, err := db.Exec(`CREATE TABLE t (v)`)
	must(t, err)
	return db, store
}

func countSQL(t testing.TB, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (n int) {
	t.Helper()
	must(t, q.QueryRowContext(ctx, `SELECT count(*) FROM t`).Scan(&n))
	return n
}

func TestSQLWorksAcrossPauses(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, store := openSQL(t, engine, nil)
		insert, err := db.Prepare(`INSERT INTO t VALUES (?)`)
		must(t, err)
		defer func() { must(t, insert.Close()) }()
		pinned, err := db.Conn(ctx)
		must(t, err)
		defer func() { must(t, pinned.Close()) }()
		for n := range 5 {
			_, err := insert.Exec(n)
			must(t, err)
			_, err = pinned.ExecContext(ctx, `INSERT INTO t VALUES (?)`, n)
			must(t, err)
			if got := countSQL(t, db); got != 2*n+2 {
				t.Errorf("%d rows in life %d", got, n)
			}
			must(t, store.Pause(ctx)) // and Verify finds nothing held
			_, err = insert.Exec(n)
			if !errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("a prepared statement while paused: %v", err)
			}
			if err := db.PingContext(ctx); !errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("Ping while paused: %v", err)
			}
			must(t, store.Resume(ctx))
		}
	})
}

func TestSQLWaitsForTheResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, store := openSQL(t, engine, func(c *sqlite.Config) { c.WhenPaused = lifecycle.Wait })
		must(t, store.Pause(ctx))
		done := goErr(func() error { _, err := db.Exec(`INSERT INTO t VALUES (1)`); return err })
		select {
		case err := <-done:
			t.Fatalf("a write ended while paused: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		must(t, store.Resume(ctx))
		within(t, "the write", done, nil)
	})
}

func TestSQLPauseWaitsForRowsAndTransactions(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, store := openSQL(t, engine, func(c *sqlite.Config) { c.Grace = 20 * time.Second; c.Timeout = 40 * time.Second })
		for n := range 100 {
			_, err := db.Exec(`INSERT INTO t VALUES (?)`, n)
			must(t, err)
		}
		rows, err := db.Query(`SELECT v FROM t`)
		must(t, err)
		tx, err := db.Begin()
		must(t, err)
		_, err = tx.Exec(`INSERT INTO t VALUES (100)`)
		must(t, err)
		paused := goErr(func() error { return store.Pause(ctx) })
		eventually(t, "the store pauses", func() bool { return store.State() == lifecycle.Pausing })
		n := 0
		for rows.Next() {
			n++
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
		if n != 100 {
			t.Errorf("%d rows were read while the pause waited, want 100", n)
		}
		select {
		case err := <-paused:
			t.Fatalf("Pause returned %v with a transaction open", err)
		default:
		}
		_, err = tx.Exec(`INSERT INTO t VALUES (101)`)
		must(t, err)
		must(t, tx.Commit())
		within(t, "Pause", paused, nil)
		must(t, store.Resume(ctx))
		if got := countSQL(t, db); got != 102 {
			t.Errorf("%d rows, want 102", got)
		}
	})
}

func TestSQLPauseCutsWhatDoesNotEnd(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, store := openSQL(t, engine, func(c *sqlite.Config) { c.Grace = 20 * time.Millisecond; c.Timeout = 60 * time.Millisecond })
		_, err := db.Exec(`INSERT INTO t VALUES (1), (2), (3)`)
		must(t, err)
		rows, err := db.Query(`SELECT v FROM t`)
		must(t, err)
		rows.Next()
		tx, err := db.Begin()
		must(t, err)
		_, err = tx.Exec(`INSERT INTO t VALUES (4)`)
		must(t, err)
		stmt, err := tx.Prepare(`INSERT INTO t VALUES (?)`)
		must(t, err)
		err = store.Pause(ctx)
		var held *lifecycle.HeldError
		switch {
		case err == nil:
		case !errors.As(err, &held):
			t.Fatalf("Pause: %v", err)
		default:
			t.Log(err)
			must(t, store.Pause(ctx)) // it goes on by itself
		}
		cut := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, lifecycle.ErrInterrupted) {
				t.Errorf("%s: %v, want ErrInterrupted", what, err)
			}
		}
		if rows.Next() {
			t.Error("rows of a closed connection have a next one")
		}
		cut("rows.Err", rows.Err())
		_, err = tx.Exec(`INSERT INTO t VALUES (5)`)
		cut("Exec in the transaction, while paused", err)
		_, err = stmt.Exec(5)
		cut("a statement of the transaction", err)
		must(t, store.Resume(ctx))
		_, err = tx.Exec(`INSERT INTO t VALUES (6)`)
		cut("Exec in the transaction, after the Resume", err)
		cut("Commit", tx.Commit())
		if got := countSQL(t, db); got != 3 {
			t.Errorf("%d rows, want 3: the transaction was rolled back", got)
		}
	})
}

func TestSQLInterruptsARunningStatement(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, store := openSQL(t, engine, func(c *sqlite.Config) { c.Grace = 20 * time.Millisecond })
		endless := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n`
		done := goErr(func() error { var n int; return db.QueryRow(endless).Scan(&n) })
		eventually(t, "the query has begun", func() bool { return len(store.Holders()) > 0 })
		if h := store.Holders()[0]; h.Label == "" {
			t.Errorf("the holder %v has no label; want the text", h)
		}
		must(t, store.Pause(ctx))
		within(t, "the query", done, lifecycle.ErrInterrupted)
		must(t, store.Resume(ctx))
		if got := countSQL(t, db); got != 0 {
			t.Errorf("%d rows", got)
		}
	})
}

func TestSQLContextEndsAStatement(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, _ := openSQL(t, engine, nil)
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		var n int
		err := db.QueryRowContext(short, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n`).Scan(&n)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's error", err)
		}
		if got := countSQL(t, db); got != 0 {
			t.Errorf("%d rows", got)
		}
	})
}

func TestSQLUnderLoadHoldsNothingInAnyPause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, single := range []bool{false, true} {
			db, store := openSQL(t, engine, func(c *sqlite.Config) {
				c.WhenPaused, c.SingleWriter, c.Timeout, c.BusyTimeout = lifecycle.Wait, single, 20*time.Second, 20*time.Second
			})
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var written [2]int
			for w := range 2 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						tx, err := db.BeginTx(ctx, nil)
						if err != nil {
							t.Errorf("Begin: %v", err)
							return
						}
						if _, err := tx.Exec(`INSERT INTO t VALUES (?)`, w); err != nil {
							t.Errorf("Exec: %v", err)
							_ = tx.Rollback()
							return
						}
						if err := tx.Commit(); err != nil {
							t.Errorf("Commit: %v", err)
							return
						}
						written[w]++
					}
				})
			}
			for range 2 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						var n int
						if err := db.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil {
							t.Errorf("Query: %v", err)
							return
						}
					}
				})
			}
			for range 20 {
				time.Sleep(2 * time.Millisecond)
				must(t, store.Pause(ctx)) // and Verify finds nothing held
				must(t, store.Resume(ctx))
			}
			close(stop)
			wg.Wait()
			if got := countSQL(t, db); got != written[0]+written[1] {
				t.Errorf("%d rows, %d+%d were acknowledged", got, written[0], written[1])
			}
		}
	})
}

// A prepared statement of a text without one would end a program on mattn: its driver follows a null pointer.
func TestSQLPreparedTextWithoutAStatement(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, _ := openSQL(t, engine, nil)
		for _, text := range []string{"", " ", "-- nothing", "/* nothing */ ;"} {
			st, err := db.Prepare(text)
			if err != nil {
				continue // an engine may say so at once
			}
			_, err = st.Exec()
			t.Logf("%s: Exec of %q: %v", engine.Name(), text, err)
			rows, err := st.Query()
			t.Logf("%s: Query of %q: %v", engine.Name(), text, err)
			if err == nil {
				if rows.Next() {
					t.Errorf("%q has a row", text)
				}
				must(t, rows.Close())
			}
			must(t, st.Close())
		}
		if n := countSQL(t, db); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
}

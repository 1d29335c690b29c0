package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The pool of database/sql, and whoever waits for it, for the store or for another writer.

func TestSQLPoolOfEveryShape(t *testing.T) {
	shapes := map[string]func(*sql.DB){
		"one connection":       func(db *sql.DB) { db.SetMaxOpenConns(1) },
		"none idle":            func(db *sql.DB) { db.SetMaxIdleConns(0) },
		"short lives":          func(db *sql.DB) { db.SetConnMaxLifetime(time.Microsecond) },
		"short idleness":       func(db *sql.DB) { db.SetConnMaxIdleTime(time.Microsecond) },
		"one, and short lives": func(db *sql.DB) { db.SetMaxOpenConns(1); db.SetConnMaxLifetime(time.Microsecond) },
	}
	for shape, set := range shapes {
		t.Run(shape, func(t *testing.T) {
			onSQL(t, sqlSettings{grace: patienceOfTests, timeout: 2 * patienceOfTests, busy: patienceOfTests, single: true}, func(t *testing.T, s *sqlStore) {
				set(s.DB)
				insert, err := s.Prepare(`INSERT INTO t VALUES (?)`)
				must(t, err)
				const each = 10
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for n := range each {
							if _, err := insert.Exec(n); err != nil {
								t.Errorf("Exec: %v", err)
							}
							if err := s.QueryRow(`SELECT count(*) FROM t`).Scan(new(int)); err != nil {
								t.Errorf("Query: %v", err)
							}
						}
					})
				}
				for range 3 {
					must(t, s.Pause(ctx))
					time.Sleep(time.Millisecond) // those who wait gather
					must(t, s.Resume(ctx))
				}
				wg.Wait()
				wantCount(t, s, 4*each)
				must(t, insert.Close())
			})
		})
	}
}

func TestSQLWaitersFailWhereThePolicySaysSo(t *testing.T) {
	onSQL(t, sqlSettings{fail: true}, func(t *testing.T, s *sqlStore) {
		s.SetMaxOpenConns(1)
		must(t, s.Pause(ctx))
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := s.Exec(`INSERT INTO t VALUES (1)`); !errors.Is(err, lifecycle.ErrPaused) {
					t.Errorf("Exec while paused: %v", err)
				}
				if _, err := s.Begin(); !errors.Is(err, lifecycle.ErrPaused) {
					t.Errorf("Begin while paused: %v", err)
				}
			})
		}
		wg.Wait()
		must(t, s.Resume(ctx))
		wantCount(t, s, 0)
	})
}

func TestSQLCloseOfTheDBLeavesTheStore(t *testing.T) {
	for _, paused := range []bool{false, true} {
		onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
			execSQL(t, s, `INSERT INTO t VALUES ('kept')`)
			if paused {
				must(t, s.Pause(ctx))
			}
			must(t, s.Close())
			if _, err := s.Exec(`INSERT INTO t VALUES (1)`); err == nil || err.Error() != "sql: database is closed" {
				t.Errorf("Exec after Close: %v", err)
			}
			if paused {
				must(t, s.Resume(ctx))
			}
			if s.store != nil && readRow(t, s.store) != "kept" {
				t.Error("the store does not work without its *sql.DB")
			}
			s.cycle(t)
		})
	}
}

func TestSQLCloseOfTheStoreEndsTheWaiting(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		execSQL(t, c, `INSERT INTO t VALUES (1)`)
		must(t, s.Pause(ctx))
		waiters := []<-chan error{
			goErr(func() error { _, err := s.Exec(`INSERT INTO t VALUES (1)`); return err }),
			goErr(func() error { _, err := s.Begin(); return err }),
			goErr(func() error { return c.PingContext(ctx) }),
		}
		for _, w := range waiters {
			waits(t, "a query while paused", w)
		}
		must(t, s.shut(ctx))
		for _, w := range waiters {
			within(t, "a query of a store that was closed", w, lifecycle.ErrClosed)
		}
	})
}

func TestSQLSecondConnectionInsideATransaction(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		for _, begin := range []string{"BeginTx", "BEGIN"} {
			c := s.pin(t)
			end := func() { execSQL(t, c, `ROLLBACK`) }
			var inside queryer = c
			if begin == "BeginTx" {
				tx, err := c.BeginTx(ctx, nil)
				must(t, err)
				inside, end = tx, func() { must(t, tx.Rollback()) }
			} else {
				execSQL(t, c, begin)
			}
			execSQL(t, inside, `INSERT INTO t VALUES ('inside')`)
			paused := s.pausing(t)
			_, err := s.Exec(`INSERT INTO t VALUES (1)`)
			var nested *sqldb.NestedError
			if !errors.As(err, &nested) || !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("a second connection: %v, want a NestedError", err)
			} else if !strings.Contains(nested.Error(), "INSERT INTO t VALUES ( 'inside' )") {
				t.Errorf("%q does not name what the transaction did last", nested)
			}
			short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			within(t, "another goroutine's", goErr(func() error { _, err := s.ExecContext(short, `INSERT INTO t VALUES (1)`); return err }), context.DeadlineExceeded)
			cancel()
			holders := s.holders()
			if !slices.ContainsFunc(holders, func(h lifecycle.Holder) bool { return strings.Contains(h.Label, "'inside'") }) {
				t.Errorf("the holders %v do not name the transaction", holders)
			}
			end()
			within(t, "Pause", paused, nil)
			must(t, s.Resume(ctx))
			must(t, c.Close())
		}
	})
}

func TestSQLHeldErrorNamesTheText(t *testing.T) {
	onSQL(t, hastySQL, func(t *testing.T, s *sqlStore) {
		tx, err := s.Begin()
		must(t, err)
		execSQL(t, tx, `INSERT INTO t VALUES ('held')`)
		held := s.cut(t)
		if held != nil && !strings.Contains(held.Error(), "'held'") {
			t.Errorf("%v does not name the transaction", held)
		}
		interrupted(t, "Commit", tx.Commit())
		must(t, s.Resume(ctx))
	})
}

func TestSQLSingleWriterRefusesToWaitForItself(t *testing.T) {
	onSQL(t, sqlSettings{single: true, grace: patienceOfTests, timeout: 2 * patienceOfTests}, func(t *testing.T, s *sqlStore) {
		tx, err := s.Begin()
		must(t, err)
		execSQL(t, tx, `INSERT INTO t VALUES ('inside')`)
		_, ofExec := s.Exec(`INSERT INTO t VALUES (1)`)
		_, ofBegin := s.Begin()
		for what, err := range map[string]error{"Exec": ofExec, "Begin": ofBegin} {
			var nested *sqldb.NestedError
			if !errors.As(err, &nested) || !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("%s inside the writer's transaction: %v, want a NestedError", what, err)
			}
		}
		wantCount(t, s, 0) // a reader goes beside it
		must(t, tx.Commit())
		execSQL(t, s, `INSERT INTO t VALUES (1)`)
		wantCount(t, s, 2)
	})
}

func TestSQLSingleWriterMeetsNoLock(t *testing.T) {
	onSQL(t, sqlSettings{single: true, busy: time.Millisecond, grace: patienceOfTests, timeout: 2 * patienceOfTests}, func(t *testing.T, s *sqlStore) {
		s.SetMaxIdleConns(8)
		each := tier.Count(10, 200, 1000)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for range each {
					if err := writeOnce(s.DB, w); err != nil {
						t.Errorf("a transaction: %v", err)
					}
				}
			})
		}
		want := 8 * each
		if s.store != nil {
			want += each
			wg.Go(func() {
				for range each {
					if err := s.store.Update(ctx, func(c *sqlite.Conn) error { _, err := c.Exec(ctx, `INSERT INTO t VALUES (0)`); return err }); err != nil {
						t.Errorf("Update: %v", err)
					}
				}
			})
		}
		s.cycle(t)
		wg.Wait()
		wantCount(t, s, want)
	})
}

// writeOnce reads and then writes, which without a lock from the start on may
// meet what another has written meanwhile.
func writeOnce(db *sql.DB, w int) error {
	if w%4 == 3 {
		_, err := db.Exec(`INSERT INTO t VALUES (1)`)
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // an error after Commit
	if err := tx.QueryRow(`SELECT count(*) FROM t`).Scan(new(int)); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO t VALUES (1)`); err != nil {
		return err
	}
	return tx.Commit()
}

func TestSQLWritesInDisguiseTakeTheirTurn(t *testing.T) {
	onSQL(t, sqlSettings{single: true, busy: time.Millisecond, grace: patienceOfTests, timeout: 2 * patienceOfTests}, func(t *testing.T, s *sqlStore) {
		if s.store == nil {
			t.Skip("the bare drivers cannot be asked what a statement does")
		}
		for _, text := range []string{
			`WITH n(v) AS (VALUES (1)) INSERT INTO t SELECT v FROM n`, `INSERT INTO t VALUES (1) RETURNING v`, `PRAGMA user_version = 7`,
			`EXPLAIN SELECT 1; INSERT INTO t VALUES (1)`, `-- comment` + "\n" + `DELETE FROM t WHERE v = 9`, `SAVEPOINT x; RELEASE x`,
		} {
			for _, how := range []string{"Exec", "Query", "prepared", "read-only"} {
				tx, err := s.Begin()
				must(t, err)
				execSQL(t, tx, `INSERT INTO t VALUES ('first')`)
				run := goErr(func() error { return runSQL(s.DB, how, text) })
				if how == "read-only" {
					if !strings.Contains(text, "SAVEPOINT") {
						within(t, text, run, sqldb.ErrReadOnly)
					}
					must(t, tx.Commit())
					continue
				}
				waits(t, how+" "+text, run)
				must(t, tx.Commit())
				within(t, how+" "+text, run, nil)
			}
		}
	})
}

func runSQL(db *sql.DB, how, text string) error {
	switch how {
	case "Exec":
		_, err := db.Exec(text)
		return err
	case "Query":
		rows, err := db.Query(text)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return errors.Join(rows.Err(), rows.Close())
	case "prepared":
		if strings.Contains(text, "; ") {
			text = `DELETE FROM t WHERE v = 10` // a script cannot be prepared
		}
		st, err := db.Prepare(text)
		if err != nil {
			return err
		}
		_, err = st.Exec()
		return errors.Join(err, st.Close())
	default:
		tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		_, err = tx.Exec(text)
		return errors.Join(err, tx.Rollback())
	}
}

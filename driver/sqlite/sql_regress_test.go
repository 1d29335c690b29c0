package sqlite_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Faults that a review of the database/sql side has found: statements, writers, and whose transaction it is.

// cuttingSQL is for tests that cut, and must end where the cut fails.
var cuttingSQL = sqlSettings{grace: 5 * time.Millisecond, timeout: time.Second, busy: 50 * time.Millisecond}

// oneWriterSQL is for tests in which a writer may wait for another in vain.
var oneWriterSQL = sqlSettings{single: true, grace: 100 * time.Millisecond, timeout: time.Second, busy: 50 * time.Millisecond}

// execSoon executes what must not wait for anybody, and says so where it does.
func execSoon(t *testing.T, what string, q queryer, text string, args ...any) {
	t.Helper()
	if _, err := q.ExecContext(deadline(t, 500*time.Millisecond), text, args...); err != nil {
		t.Errorf("%s: %s: %v", what, text, err)
	}
}

// mustWait is waits for a test that cannot go on otherwise.
func mustWait(t *testing.T, what string, errs <-chan error) {
	t.Helper()
	select {
	case err := <-errs:
		t.Fatalf("%s has ended: %v; want it to wait", what, err)
	case <-time.After(10 * time.Millisecond):
	}
}

// Repeated as a whole, its first statement would have been executed a dozen times.
func TestSQLScriptIsNotRepeatedAfterALock(t *testing.T) {
	ways := map[string]func(c *sql.Conn, script string) error{
		"exec": func(c *sql.Conn, script string) error { _, err := c.ExecContext(ctx, script); return err },
		"args": func(c *sql.Conn, script string) error { _, err := c.ExecContext(ctx, script+` + ?`, 1); return err },
		"query": func(c *sql.Conn, script string) error {
			rows, err := c.QueryContext(ctx, script)
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			return errors.Join(rows.Err(), rows.Close())
		},
	}
	onSQL(t, cuttingSQL, func(t *testing.T, s *sqlStore) {
		other := filepath.Join(t.TempDir(), "other.db")
		locker, err := openBareSQL(t, s.engine, other).Conn(ctx)
		must(t, err)
		t.Cleanup(func() { must(t, locker.Close()) })
		c := s.pin(t)
		execSQL(t, c, `ATTACH '`+other+`' AS o`)
		execSQL(t, c, `PRAGMA busy_timeout = 0`)
		for how, run := range ways {
			execSQL(t, locker, `BEGIN IMMEDIATE`)
			err := run(c, `INSERT INTO t VALUES (1); INSERT INTO o.t SELECT 2`)
			execSQL(t, locker, `ROLLBACK`)
			if code, _ := s.engine.ErrorCode(err); code&0xff != 5 {
				t.Errorf("%s of a script that meets a lock: %v, want SQLITE_BUSY", how, err)
			}
			if n := countSQL(t, c); n != 1 {
				t.Errorf("%s: the statement before the one that met a lock was executed %d times", how, n)
			}
			execSQL(t, c, `DELETE FROM t`)
		}
	})
}

// The connection that Unwrap gave away was closed while Raw's function was using it, which panics.
func TestSQLRawConnectionIsNotClosedUnderItsUser(t *testing.T) {
	onSQL(t, cuttingSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		must(t, c.Raw(func(dc any) (err error) {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("the connection was used inside Raw: panic: %v", v)
				}
			}()
			under := dc.(interface{ Unwrap() driver.Conn }).Unwrap()
			must(t, queryRaw(under))
			if err := s.Pause(deadline(t, 15*time.Millisecond)); err == nil {
				t.Error("Pause returned nil during Raw")
			}
			time.Sleep(10 * time.Millisecond) // it goes on by itself
			if s.State() == lifecycle.Paused {
				t.Error("the store is paused during Raw")
			}
			for until := time.Now().Add(300 * time.Millisecond); ; time.Sleep(time.Millisecond) {
				err = queryRaw(under)
				if code, _ := s.engine.ErrorCode(err); code&0xff == 9 && time.Now().Before(until) {
					continue // interrupted, which the pause may do
				}
				return err
			}
		}))
		must(t, c.Close())
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		wantCount(t, s, 0)
	})
}

func queryRaw(conn driver.Conn) error {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, `SELECT 1`, nil)
	if err != nil {
		return err
	}
	err = rows.Next(make([]driver.Value, 1))
	return errors.Join(err, rows.Close())
}

// mattn leaves the statement unfinished, and what it has written uncommitted.
func TestSQLPreparedReturningIsCommitted(t *testing.T) {
	const insert = `INSERT INTO t VALUES (?) RETURNING v`
	cases := map[string]func(t *testing.T, s *sqlStore) (rows int){
		"other writers go on": func(t *testing.T, s *sqlStore) int {
			st, err := s.pin(t).PrepareContext(ctx, insert)
			must(t, err)
			_, err = st.Exec(1)
			must(t, err)
			wantCount(t, s, 1)
			execSoon(t, "beside it", s, `INSERT INTO t VALUES (2)`)
			s.cycle(t)
			_, err = st.Exec(3)
			must(t, err)
			must(t, st.Close())
			return 3
		},
		"a later Rollback leaves it": func(t *testing.T, s *sqlStore) int {
			c := s.pin(t)
			st, err := c.PrepareContext(ctx, insert)
			must(t, err)
			_, err = st.Exec(1)
			must(t, err)
			tx, err := c.BeginTx(ctx, nil)
			must(t, err)
			execSQL(t, tx, `INSERT INTO t VALUES (2)`)
			must(t, tx.Rollback())
			must(t, st.Close())
			return 1
		},
		"Commit works": func(t *testing.T, s *sqlStore) int {
			tx, err := s.Begin()
			must(t, err)
			st, err := tx.Prepare(insert)
			must(t, err)
			_, err = st.Exec(1)
			must(t, err)
			if err := tx.Commit(); err != nil {
				t.Errorf("Commit: %v", err)
			}
			return 1
		},
	}
	for what, run := range cases {
		t.Run(what, func(t *testing.T) {
			for _, set := range []sqlSettings{cuttingSQL, oneWriterSQL} {
				onSQL(t, set, func(t *testing.T, s *sqlStore) { wantCount(t, s, run(t, s)) })
			}
		})
	}
}

// What keeps a connection in flight does not keep it writing.
func TestSQLTemporaryTableHoldsNoWriterUp(t *testing.T) {
	onSQL(t, oneWriterSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		execSQL(t, c, `CREATE TEMP TABLE x (v)`)
		execSoon(t, "another writer", s, `INSERT INTO t VALUES (1)`)
		execSoon(t, "its owner", c, `INSERT INTO x VALUES (2)`)
		execSoon(t, "its owner", c, `INSERT INTO t SELECT v FROM x`)
		execSoon(t, "another writer", s, `INSERT INTO t VALUES (3)`)
		execSQL(t, c, `DROP TABLE x`)
		wantCount(t, s, 3)
	})
}

// The write beside the rows is over when Exec returns.
func TestSQLOpenRowsHoldNoWriterUp(t *testing.T) {
	onSQL(t, oneWriterSQL, func(t *testing.T, s *sqlStore) {
		execSQL(t, s, `INSERT INTO t VALUES (1), (2)`)
		c := s.pin(t)
		rows, err := c.QueryContext(ctx, `SELECT v FROM t`)
		must(t, err)
		if !rows.Next() {
			t.Fatal("no row")
		}
		execSQL(t, c, `INSERT INTO t VALUES (3)`)
		execSoon(t, "another writer", s, `INSERT INTO t VALUES (4)`)
		must(t, rows.Close())
		wantCount(t, s, 4)
	})
}

// SQLite takes BEGIN for a statement that reads; what follows it writes, on a snapshot that must still be the latest.
func TestSQLPreparedBeginTakesItsTurn(t *testing.T) {
	onSQL(t, oneWriterSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		begin, err := c.PrepareContext(ctx, `BEGIN`)
		must(t, err)
		_, err = begin.Exec()
		must(t, err)
		wantCount(t, s, 0)
		if n := countSQL(t, c); n != 0 {
			t.Errorf("%d rows inside", n)
		}
		soon := deadline(t, 2*time.Second)
		other := goErr(func() error { _, err := s.ExecContext(soon, `INSERT INTO t VALUES (1)`); return err })
		mustWait(t, "another writer", other)
		execSoon(t, "inside", c, `INSERT INTO t VALUES (2)`)
		execSQL(t, c, `COMMIT`)
		within(t, "another writer", other, nil)
		wantCount(t, s, 2)
		must(t, begin.Close())
	})
}

// SQLite rolls back when it interrupts a write: what comes after it would run on its own.
func TestSQLNothingRunsOnAfterAnInterruptedWrite(t *testing.T) {
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3000000) INSERT INTO t SELECT i FROM n`
	onSQL(t, cuttingSQL, func(t *testing.T, s *sqlStore) {
		for _, text := range []bool{false, true} {
			for _, commit := range []bool{false, true} {
				c := s.pin(t)
				var inside queryer = c
				end := func() error {
					_, err := c.ExecContext(ctx, map[bool]string{true: `COMMIT`, false: `ROLLBACK`}[commit])
					return err
				}
				if text {
					execSQL(t, c, `BEGIN`)
				} else {
					tx, err := c.BeginTx(ctx, nil)
					must(t, err)
					inside, end = tx, tx.Rollback
					if commit {
						end = tx.Commit
					}
				}
				execSQL(t, inside, `INSERT INTO t VALUES ('before')`)
				rows, err := inside.QueryContext(deadline(t, 10*time.Millisecond), many+` RETURNING v`)
				if err == nil {
					for rows.Next() {
					}
					err = errors.Join(rows.Err(), rows.Close())
				}
				if err == nil {
					t.Fatal("the context has not ended the statement")
				}
				for range 2 {
					if _, err := inside.ExecContext(ctx, `INSERT INTO t VALUES ('after')`); err == nil {
						t.Errorf("text %v: a statement was executed after the transaction's end", text)
					}
				}
				if err := end(); commit != (err != nil) {
					t.Errorf("text %v, commit %v: the end of the transaction: %v", text, commit, err)
				}
				wantCount(t, s, 0)
				execSQL(t, c, `DELETE FROM t`)
				must(t, c.Close())
			}
		}
	})
}

// The goroutine that is told that it waits for itself looks at a transaction which another one uses: a matter for the race detector.
func TestSQLNestedErrorBesideAnotherUserOfTheTransaction(t *testing.T) {
	set := cuttingSQL
	set.grace = time.Millisecond
	onSQL(t, set, func(t *testing.T, s *sqlStore) {
		tx, err := s.Begin()
		must(t, err)
		must(t, tx.QueryRow(`SELECT 1`).Scan(new(int)))
		short := deadline(t, 60*time.Millisecond)
		paused := goErr(func() error { return s.Pause(short) })
		eventually(t, "the pause has begun", func() bool { return s.State() != lifecycle.Active })
		used := goErr(func() error {
			time.Sleep(95 * time.Millisecond) // about when it is told
			for range 20 {
				_, _ = tx.Exec(`SELECT 1`) // it is cut
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		_, err = s.ExecContext(deadline(t, 2*time.Second), `INSERT INTO t VALUES (1)`)
		var nested *sqldb.NestedError
		if !errors.As(err, &nested) {
			t.Errorf("a second connection: %v, want a NestedError", err)
		}
		must(t, <-used)
		if err := tx.Rollback(); err != nil {
			t.Errorf("Rollback: %v", err)
		}
		<-paused
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		wantCount(t, s, 0)
	})
}

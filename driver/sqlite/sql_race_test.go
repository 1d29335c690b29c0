package sqlite_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	moderncsqlite "modernc.org/sqlite"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Pauses that race with what they interrupt.

// In a race nothing is waited for: the first interrupt comes at once.
var racingSQL = sqlSettings{grace: time.Nanosecond, timeout: time.Minute}

func TestSQLInterruptedCommitIsOneOrTheOther(t *testing.T) {
	onSQL(t, racingSQL, func(t *testing.T, s *sqlStore) {
		committed := 0
		for n := range tier.Count(20, 200, 1000) {
			tx, err := s.Begin()
			must(t, err)
			execSQL(t, tx, `INSERT INTO t VALUES (?)`, n)
			paused := goErr(func() error { return s.Pause(ctx) })
			<-at(n*7, time.Millisecond, func() { err = tx.Commit() })
			must(t, <-paused)
			must(t, s.Resume(ctx))
			there := one[int](t, s, `SELECT count(*) FROM t WHERE v = ?`, n)
			switch {
			case err == nil:
				committed++
			default:
				interrupted(t, "Commit", err)
			}
			if (there == 1) != (err == nil) {
				t.Errorf("Commit: %v, and %d rows are there", err, there)
			}
		}
		wantCount(t, s, committed)
		t.Logf("%d were committed", committed)
	})
}

func TestSQLInterruptsNeverShortenAResult(t *testing.T) {
	const many = 200
	onSQL(t, racingSQL, func(t *testing.T, s *sqlStore) {
		execSQL(t, s, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?) INSERT INTO t SELECT i FROM n`, many)
		execSQL(t, s, `CREATE TABLE w (round, v)`)
		read, err := s.Prepare(`SELECT v FROM t ORDER BY v`)
		must(t, err)
		jobs := []func(n int) error{
			func(int) error { return readAll(many)(s.Query(`SELECT v FROM t ORDER BY v`)) },
			func(int) error { return readAll(many)(read.Query()) },
			func(n int) error {
				_, err := s.Exec(`INSERT INTO w SELECT ?, v FROM t`, n)
				return err
			},
			func(int) error {
				tx, err := s.Begin()
				if err != nil {
					return err
				}
				return errors.Join(readAll(many)(tx.Query(`SELECT v FROM t ORDER BY v`)), tx.Rollback())
			},
		}
		ended := 0
		for n := range tier.Count(30, 300, 2000) {
			job := jobs[n%len(jobs)]
			paused := make(chan error, 1)
			done := at(n*11, 2*time.Millisecond, func() { paused <- s.Pause(ctx) })
			result := goErr(func() error { return job(n) })
			<-done
			must(t, <-paused)
			must(t, s.Resume(ctx))
			err := <-result
			if err != nil {
				interrupted(t, "a statement", err)
			} else {
				ended++
			}
			want := 0
			if err == nil && n%len(jobs) == 2 {
				want = many
			}
			got := one[int](t, s, `SELECT count(*) FROM w WHERE round = ?`, n)
			if err != nil && !s.asks && got == many {
				continue // modernc itself answers with its context's error when a statement that had ended meets it
			}
			if got != want {
				t.Errorf("a write returned %v and has written %d rows, want %d", err, got, want)
			}
		}
		t.Logf("%d were not interrupted", ended)
		must(t, read.Close())
	})
}

// readAll reads rows that have to be all that there are, or end with an error.
func readAll(want int) func(*sql.Rows, error) error {
	return func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if n != want {
			return errors.New("a result is short, without an error")
		}
		return nil
	}
}

func TestSQLRawConnectionIsInFlight(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		for _, end := range []string{"return to the pool", "next use"} {
			c, err := s.Conn(ctx)
			must(t, err)
			var paused <-chan error
			must(t, c.Raw(func(dc any) error {
				under := dc.(interface{ Unwrap() driver.Conn }).Unwrap()
				if under == nil {
					return errors.New("there is no connection below")
				}
				paused = s.pausing(t)
				waits(t, "Pause during Raw", paused)
				_, err := under.(driver.ExecerContext).ExecContext(ctx, `INSERT INTO t VALUES (1)`, nil)
				return err
			}))
			if end == "next use" {
				next := goErr(func() error { return c.PingContext(ctx) })
				within(t, "Pause", paused, nil)
				must(t, s.Resume(ctx))
				within(t, "the next use", next, nil)
				must(t, c.Close())
				continue
			}
			must(t, c.Close())
			within(t, "Pause", paused, nil)
			must(t, s.Resume(ctx))
		}
		wantCount(t, s, 2)
		if s.engine.Name() == "modernc" {
			const lengthOfSQL = 1 // SQLITE_LIMIT_SQL_LENGTH
			c := s.pin(t)
			before, err := moderncsqlite.Limit(c, lengthOfSQL, 1000)
			must(t, err)
			if after, err := moderncsqlite.Limit(c, lengthOfSQL, -1); err != nil || after != 1000 || before == after {
				t.Errorf("Limit through the facade: %d, before %d, %v", after, before, err)
			}
		}
	})
}

func TestSQLRawWhilePausedHasNothingBelow(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		must(t, s.Pause(ctx))
		must(t, c.Raw(func(dc any) error {
			if under := dc.(interface{ Unwrap() driver.Conn }).Unwrap(); under != nil {
				return errors.New("a connection was opened while paused")
			}
			return nil
		}))
		must(t, s.Resume(ctx))
		execSQL(t, c, `INSERT INTO t VALUES (1)`)
	})
}

func TestSQLReadOnlyTransactionRefusesWrites(t *testing.T) {
	set := patientSQL
	set.single = true
	onSQL(t, set, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		insert, err := c.PrepareContext(ctx, `INSERT INTO t VALUES (?)`)
		must(t, err)
		execSQL(t, c, `INSERT INTO t VALUES (0)`)
		tx, err := c.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		must(t, err)
		_, ofExec := tx.Exec(`INSERT INTO t VALUES (1)`)
		_, ofStmt := tx.Stmt(insert).Exec(1)
		ofQuery := tx.QueryRow(`DELETE FROM t RETURNING v`).Scan(new(int))
		for what, err := range map[string]error{"Exec": ofExec, "a statement": ofStmt, "Query": ofQuery} {
			if !errors.Is(err, sqldb.ErrReadOnly) {
				t.Errorf("%s in a read-only transaction: %v, want ErrReadOnly", what, err)
			}
		}
		if n := one[int](t, tx, `SELECT count(*) FROM t`); n != 1 {
			t.Errorf("the read-only transaction sees %d rows, want 1", n)
		}
		other := goErr(func() error { _, err := s.Exec(`INSERT INTO t VALUES (2)`); return err })
		within(t, "a writer beside it", other, nil)
		if n := one[int](t, tx, `SELECT count(*) FROM t`); n != 1 {
			t.Errorf("the read-only transaction sees %d rows, want its own snapshot: 1", n)
		}
		must(t, tx.Commit())
		_, err = insert.Exec(3)
		must(t, err)
		wantCount(t, s, 3)
		must(t, insert.Close())
	})
}

// What database/sql does by itself when the context of a transaction ends comes beside everything else.
func TestSQLContextOfATransactionEndsDuringAPause(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		for range 10 {
			short := deadline(t, 2*time.Millisecond)
			tx, err := s.BeginTx(short, nil)
			if err == nil {
				_, err = tx.Exec(`INSERT INTO t VALUES (1)`)
			}
			if err != nil && short.Err() == nil {
				t.Fatal(err)
			}
			must(t, s.Pause(ctx)) // which only the context's end lets go on
			must(t, s.Resume(ctx))
			wantCount(t, s, 0)
		}
		if s.State() != lifecycle.Active {
			t.Errorf("the store is %v", s.State())
		}
	})
}

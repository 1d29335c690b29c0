package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Faults that a review of the database/sql side has found: the state of connections.

// atEaseSQL is for tests in which a pause waits for what is in flight, and what is not must not be touched.
var atEaseSQL = sqlSettings{grace: 500 * time.Millisecond, timeout: 2 * time.Second, busy: 50 * time.Millisecond}

// nothingInFlight checks that a pause finds nothing to wait for, and takes nothing from q.
func nothingInFlight(t *testing.T, s *sqlStore, what string, q queryer) {
	t.Helper()
	if err := s.Pause(deadline(t, time.Second)); err != nil {
		t.Errorf("%s: Pause: %v", what, err)
	}
	must(t, s.Resume(ctx))
	if _, err := q.ExecContext(deadline(t, time.Second), `SELECT 1`); err != nil { // the pause has waited, and interrupted it
		t.Errorf("%s: the use after the pause: %v", what, err)
	}
}

// toldOnce checks that what was on a connection is not lost without a word.
func toldOnce(t *testing.T, s *sqlStore, q queryer, text string) {
	t.Helper()
	s.cut(t)
	must(t, s.Resume(ctx))
	_, err := q.ExecContext(ctx, text)
	interrupted(t, text, err)
	if _, err = q.ExecContext(ctx, text); err == nil || errors.Is(err, lifecycle.ErrInterrupted) {
		t.Errorf("%s: the second use: %v, want the engine's own error", text, err)
	}
	execSQL(t, q, `SELECT 1`)
}

// A goroutine whose transaction was cut waits for nobody once its connection is closed.
func TestSQLCutTransactionLeavesNoMarkOnItsGoroutine(t *testing.T) {
	onSQL(t, cuttingSQL, func(t *testing.T, s *sqlStore) {
		s.SetMaxIdleConns(-1) // so that Close closes
		c := s.pin(t)
		execSQL(t, c, `BEGIN`)
		s.cut(t)
		must(t, c.Close())
		resumed := goErr(func() error { time.Sleep(200 * time.Millisecond); return s.Resume(ctx) }) // the waiting is looked at after 100
		if _, err := s.ExecContext(deadline(t, time.Second), `INSERT INTO t VALUES (1)`); err != nil {
			t.Errorf("no transaction is open, and: %v", err)
		}
		within(t, "Resume", resumed, nil)
		wantCount(t, s, 1)
	})
}

// Whoever would have had to roll back is gone; the next user of the pool has begun nothing.
func TestSQLCutTransactionDoesNotOutliveItsOwner(t *testing.T) {
	onSQL(t, cuttingSQL, func(t *testing.T, s *sqlStore) {
		s.SetMaxOpenConns(1)
		for _, used := range []bool{false, true} {
			for _, whilePaused := range []bool{false, true} {
				c := s.pin(t)
				execSQL(t, c, `BEGIN`)
				execSQL(t, c, `INSERT INTO t VALUES ('lost')`)
				s.cut(t)
				if !whilePaused {
					must(t, s.Resume(ctx))
				}
				if used {
					_, err := c.ExecContext(ctx, `INSERT INTO t VALUES ('lost')`)
					interrupted(t, "Exec", err)
				}
				must(t, c.Close())
				if whilePaused {
					must(t, s.Resume(ctx))
				}
				for range 2 {
					execSoon(t, "the next user", s, `INSERT INTO t VALUES (1)`)
				}
				nothingInFlight(t, s, "the next user", s)
			}
		}
		_, err := s.Exec(`DELETE FROM t WHERE v = 1`)
		must(t, err)
		wantCount(t, s, 0)
	})
}

// A temporary table that was never there has nothing to lose.
func TestSQLRolledBackTemporaryTableIsNotInFlight(t *testing.T) {
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		tx, err := c.BeginTx(ctx, nil)
		must(t, err)
		execSQL(t, tx, `CREATE TEMP TABLE x (v)`)
		must(t, tx.Rollback())
		nothingInFlight(t, s, "Rollback", c)
		for _, text := range [][]string{
			{`BEGIN`, `CREATE TEMP TABLE x (v)`, `ROLLBACK`},
			{`BEGIN`, `SAVEPOINT a`, `CREATE TEMP TABLE x (v)`, `ROLLBACK TO a`, `COMMIT`},
			{`BEGIN; CREATE TEMP TABLE x (v); ROLLBACK`},
		} {
			for _, stmt := range text {
				execSQL(t, c, stmt)
			}
			nothingInFlight(t, s, fmt.Sprint(text), c)
		}
	})
}

// The bare modernc connection cannot be asked for transactions, but for its temporary tables.
func TestSQLDroppedTemporaryTableIsNotInFlight(t *testing.T) {
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		execSQL(t, c, `CREATE TEMP TABLE x (v)`)
		execSQL(t, c, `DROP TABLE x`)
		nothingInFlight(t, s, "DROP", c)
		execSQL(t, c, `CREATE TEMP TABLE x (v)`)
		execSQL(t, c, `BEGIN`)
		execSQL(t, c, `DROP TABLE x`)
		execSQL(t, c, `COMMIT`)
		nothingInFlight(t, s, "DROP and COMMIT", c)
	})
}

// The table is there again, with its rows.
func TestSQLTemporaryTableWhoseDropWasRolledBackIsInFlight(t *testing.T) {
	ends := [][]string{{`BEGIN`, `DROP TABLE x`, `ROLLBACK`}, {`SAVEPOINT a`, `DROP TABLE x`, `ROLLBACK TO a`, `RELEASE a`}}
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		for _, texts := range ends {
			c := s.pin(t)
			execSQL(t, c, `CREATE TEMP TABLE x (v)`)
			for _, text := range texts {
				execSQL(t, c, text)
			}
			soon := deadline(t, 2*time.Second)
			paused := goErr(func() error { return s.Pause(soon) })
			mustWait(t, "Pause with the temporary table", paused)
			execSQL(t, c, `INSERT INTO x VALUES (1)`)
			execSQL(t, c, `DROP TABLE x`)
			within(t, "Pause", paused, nil)
			must(t, s.Resume(ctx))
			must(t, c.Close())
		}
	})
	onSQL(t, cuttingSQL, func(t *testing.T, s *sqlStore) {
		for _, texts := range ends {
			c := s.pin(t)
			execSQL(t, c, `CREATE TEMP TABLE x (v)`)
			for _, text := range texts {
				execSQL(t, c, text)
			}
			toldOnce(t, s, c, `SELECT * FROM x`)
			must(t, c.Close())
		}
	})
}

// A database in memory is gone with its connection, as temporary tables are.
func TestSQLAttachedMemoryIsNotLostWithoutAWord(t *testing.T) {
	onSQL(t, cuttingSQL, func(t *testing.T, s *sqlStore) {
		attach := func(c queryer, n int) {
			switch n {
			case 0:
				execSQL(t, c, `ATTACH ':memory:' AS m0`)
			case 1:
				execSQL(t, c, `ATTACH '' AS m1`)
			default:
				execSQL(t, c, `ATTACH ? AS m2`, ":memory:")
			}
			execSQL(t, c, fmt.Sprintf(`CREATE TABLE m%d.x (v)`, n))
		}
		for n := range 3 {
			c := s.pin(t)
			attach(c, n)
			toldOnce(t, s, c, fmt.Sprintf(`SELECT * FROM m%d.x`, n))
			must(t, c.Close())
		}
	})
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		execSQL(t, c, `ATTACH ':memory:' AS m`)
		soon := deadline(t, 2*time.Second)
		paused := goErr(func() error { return s.Pause(soon) })
		mustWait(t, "Pause with a database in memory", paused)
		execSQL(t, c, `DETACH m`)
		within(t, "Pause", paused, nil)
		must(t, s.Resume(ctx))
		execSQL(t, c, `SELECT 1`)
	})
}

// Both have the same text; the names are in the arguments.
func TestSQLTwoDatabasesAttachedByParameterOutliveAPause(t *testing.T) {
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		dir := t.TempDir()
		c := s.pin(t)
		for _, name := range []string{"a", "b", "c"} {
			path := makeDB(t, s.engine, filepath.Join(dir, name))
			execSQL(t, c, `ATTACH ? AS ?`, path, name)
			execSQL(t, c, `UPDATE `+name+`.t SET v = ?`, name)
		}
		execSQL(t, c, `DETACH ?`, "b")
		for range 2 {
			s.cycle(t)
			for _, name := range []string{"a", "c"} {
				if got := one[string](t, c, `SELECT v FROM `+name+`.t`); got != name {
					t.Errorf("%s is the database of %q after a pause", name, got)
				}
			}
			if _, err := c.ExecContext(ctx, `SELECT v FROM b.t`); err == nil {
				t.Error("a database that was detached is there after a pause")
			}
		}
	})
}

// SQLite ignores this pragma in a transaction; so must whoever restores it.
func TestSQLForeignKeysInsideAScriptsTransactionStay(t *testing.T) {
	const script = `BEGIN; PRAGMA foreign_keys=OFF; COMMIT`
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		for how, run := range map[string]func() error{
			"Exec": func() error { _, err := c.ExecContext(ctx, script); return err },
			"Query": func() error {
				rows, err := c.QueryContext(ctx, script)
				if err != nil {
					return err
				}
				for rows.Next() {
				}
				return errors.Join(rows.Err(), rows.Close())
			},
		} {
			execSQL(t, c, `PRAGMA foreign_keys=ON`)
			must(t, run())
			for _, when := range []string{"before", "after"} {
				if got := one[int](t, c, `PRAGMA foreign_keys`); got != 1 {
					t.Errorf("%s: foreign_keys is %d %s a pause, want 1", how, got, when)
				}
				s.cycle(t)
			}
		}
	})
}

// WAL and DELETE stand in the file; the others belong to a connection.
func TestSQLJournalModeOfABareDriverOutlivesAPause(t *testing.T) {
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		if s.store != nil {
			t.Skip("a store's own journal mode is WAL")
		}
		c := s.pin(t)
		if mode := one[string](t, c, `PRAGMA journal_mode=DELETE`); mode != "delete" {
			t.Fatalf("journal_mode is %s", mode)
		}
		for _, want := range []string{"memory", "truncate", "delete"} {
			if mode := one[string](t, c, `PRAGMA journal_mode=`+want); mode != want {
				t.Fatalf("journal_mode is %s, want %s", mode, want)
			}
			for range 2 {
				s.cycle(t)
				if mode := one[string](t, c, `PRAGMA journal_mode`); mode != want {
					t.Errorf("journal_mode is %s after a pause, want %s", mode, want)
				}
			}
		}
	})
}

// A connection that cannot be restored is not kept: every use of the pool would fail for ever, with an error that says something else.
func TestSQLAttachedFileThatIsGoneFailsOnce(t *testing.T) {
	onSQL(t, atEaseSQL, func(t *testing.T, s *sqlStore) {
		s.SetMaxOpenConns(1)
		other := makeDB(t, s.engine, filepath.Join(t.TempDir(), "other.db"))
		execSQL(t, s, `ATTACH '`+other+`' AS o`)
		must(t, s.Pause(ctx))
		must(t, os.Remove(other))
		must(t, os.Mkdir(other, 0o700)) // so that none is made in its place
		must(t, s.Resume(ctx))
		use := func() error {
			_, err := s.ExecContext(deadline(t, time.Second), `INSERT INTO t VALUES (1)`)
			return err
		}
		switch err := use(); {
		case err == nil:
			t.Error("the use after the pause does not say that an attached database is missing")
		case errors.Is(err, lifecycle.ErrInterrupted):
			t.Errorf("the use after the pause: %v, and nothing was interrupted", err)
		}
		for range 2 {
			if err := use(); err != nil {
				t.Errorf("a later use: %v", err)
			}
		}
		wantCount(t, s, 2)
	})
}

// A transaction of text that SQLite has ended by itself is over for whoever looks for nested calls, too.
func TestSQLTransactionThatSQLiteEndsLeavesNoMark(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		if !s.asks {
			t.Skip("the driver's connection cannot be asked whether a transaction is open; the other kinds of store are")
		}
		c, err := s.Conn(ctx)
		must(t, err)
		for _, text := range []string{`CREATE TABLE u (v UNIQUE)`, `INSERT INTO u VALUES (1)`, `BEGIN`} {
			_, err := c.ExecContext(ctx, text)
			must(t, err)
		}
		if _, err := c.ExecContext(ctx, `INSERT OR ROLLBACK INTO u VALUES (1)`); err == nil {
			t.Fatal("the constraint holds nothing")
		}
		must(t, s.Pause(ctx)) // nothing is in flight
		soon := deadline(t, 300*time.Millisecond)
		if _, err := s.ExecContext(soon, `INSERT INTO u VALUES (2)`); errors.Is(err, lifecycle.ErrNested) {
			t.Errorf("a call that is inside nothing, while paused: %v", err)
		}
		must(t, s.Resume(ctx))
		must(t, c.Close())
	})
}

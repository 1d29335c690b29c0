package sqlite_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// State that SQL text gives to a connection, across pauses.

func TestSQLSettingsOutliveAPause(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		execSQL(t, s, `CREATE TABLE parent (id INTEGER PRIMARY KEY)`)
		execSQL(t, s, `CREATE TABLE child (p REFERENCES parent(id) ON DELETE CASCADE)`)
		execSQL(t, s, `INSERT INTO parent VALUES (1), (2)`)
		execSQL(t, s, `INSERT INTO child VALUES (1), (2)`)
		c := s.pin(t)
		for _, text := range []string{
			`PRAGMA foreign_keys=OFF`, `/* why */ pragma main . cache_size = 77; PRAGMA recursive_triggers(1);`, `PRAGMA "query_only" = 'on'`, `PRAGMA query_only = 0`,
		} {
			execSQL(t, c, text)
		}
		rows, err := c.QueryContext(ctx, `PRAGMA busy_timeout = 12`)
		must(t, err)
		for rows.Next() {
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
		for range 2 {
			s.cycle(t)
			for pragma, want := range map[string]int{"foreign_keys": 0, "cache_size": 77, "recursive_triggers": 1, "busy_timeout": 12, "query_only": 0} {
				if got := one[int](t, c, `PRAGMA `+pragma); got != want {
					t.Errorf("%s is %d after a pause, want %d", pragma, got, want)
				}
			}
		}
		execSQL(t, c, `DELETE FROM parent WHERE id = 1`)
		if n := one[int](t, c, `SELECT count(*) FROM child`); n != 2 {
			t.Errorf("%d children are left, want 2: with foreign keys off nothing cascades", n)
		}
		if one[int](t, s, `PRAGMA foreign_keys`) != 1 {
			t.Error("the setting of one connection has reached another")
		}
		execSQL(t, c, `PRAGMA foreign_keys=ON`)
		s.cycle(t)
		execSQL(t, c, `DELETE FROM parent WHERE id = 2`)
		if n := one[int](t, c, `SELECT count(*) FROM child`); n != 1 {
			t.Errorf("%d children are left, want 1", n)
		}
	})
}

func TestSQLAttachedDatabasesOutliveAPause(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a.db"), filepath.Join(dir, "b'.db")
		c := s.pin(t)
		attach := func(schema, path string) {
			execSQL(t, c, `ATTACH '`+strings.ReplaceAll(path, `'`, `''`)+`' AS `+schema)
		}
		// Stored connections have mode=rw for what they attach, too.
		makeDB(t, s.engine, a)
		makeDB(t, s.engine, b)
		execSQL(t, c, `ATTACH DATABASE ? AS "One"`, a)
		execSQL(t, c, `PRAGMA one.cache_size = 55; ATTACH '`+strings.ReplaceAll(b, `'`, `''`)+`' AS two; PRAGMA two.cache_size = 66`)
		attach("three", b)
		execSQL(t, c, `DETACH three`)
		for range 2 {
			must(t, s.Pause(ctx))
			released(t, a, b)
			must(t, s.Resume(ctx))
			for schema, want := range map[string]int{"one": 55, "two": 66} {
				if got := one[int](t, c, `PRAGMA `+schema+`.cache_size`); got != want {
					t.Errorf("cache_size of %s is %d after a pause, want %d", schema, got, want)
				}
				execSQL(t, c, `INSERT INTO `+schema+`.t VALUES (1)`)
			}
		}
		execSQL(t, c, `DETACH "one"; SELECT 1`)
		s.cycle(t)
		for schema, attached := range map[string]bool{"one": false, "two": true, "three": false} {
			if _, err := c.ExecContext(ctx, `SELECT * FROM `+schema+`.t`); attached != (err == nil) {
				t.Errorf("%s after a pause: %v; attached: %v", schema, err, attached)
			}
		}
	})
}

// begins are the ways to begin a transaction without database/sql, and to end it.
var begins = []struct{ begin, commit, rollback string }{
	{`BEGIN`, `COMMIT`, `ROLLBACK`},
	{"-- why\nbegin immediate;", `END TRANSACTION`, `rollback transaction`},
	{`SAVEPOINT a; SAVEPOINT b`, `RELEASE b; RELEASE SAVEPOINT a`, `ROLLBACK`},
	{`BEGIN; INSERT INTO t VALUES ('script')`, `DELETE FROM t WHERE v = 'script'; COMMIT`, `ROLLBACK`},
}

func TestSQLPauseWaitsForTransactionsOfText(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		for i, text := range begins {
			execSQL(t, c, text.begin)
			execSQL(t, c, `INSERT INTO t VALUES (1)`)
			paused := s.pausing(t)
			waits(t, "Pause after "+text.begin, paused)
			execSQL(t, c, `INSERT INTO t VALUES (2)`)
			execSQL(t, c, text.commit)
			within(t, "Pause", paused, nil)
			must(t, s.Resume(ctx))
			wantCount(t, s, 2*i+2)
		}
	})
}

func TestSQLTransactionsOfTextThatWereCut(t *testing.T) {
	onSQL(t, hastySQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		for _, text := range begins {
			for _, paused := range []bool{true, false} {
				for _, commit := range []bool{true, false} {
					execSQL(t, c, text.begin)
					execSQL(t, c, `INSERT INTO t VALUES (1)`)
					s.cut(t)
					if !paused {
						must(t, s.Resume(ctx))
					}
					for range 2 {
						_, err := c.ExecContext(ctx, `INSERT INTO t VALUES (2)`)
						interrupted(t, "Exec", err)
						_, err = c.QueryContext(ctx, `SELECT 1`)
						interrupted(t, "Query", err)
						_, err = c.PrepareContext(ctx, `SELECT 1`)
						interrupted(t, "Prepare", err)
						_, err = c.ExecContext(ctx, `ROLLBACK TO a`)
						interrupted(t, "ROLLBACK TO", err)
					}
					if commit {
						_, err := c.ExecContext(ctx, `COMMIT`)
						interrupted(t, "COMMIT", err)
					} else {
						execSQL(t, c, text.rollback)
					}
					if paused {
						must(t, s.Resume(ctx))
					}
					execSQL(t, c, `DELETE FROM t WHERE v = 3; INSERT INTO t VALUES (3)`)
					wantCount(t, s, 1)
				}
			}
		}
	})
}

func TestSQLTransactionsOfTextThroughQuery(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		query := func(text string) {
			rows, err := c.QueryContext(ctx, text)
			must(t, err)
			for rows.Next() {
			}
			must(t, errors.Join(rows.Err(), rows.Close()))
		}
		query(`BEGIN`)
		execSQL(t, c, `INSERT INTO t VALUES (1)`)
		paused := s.pausing(t)
		waits(t, "Pause after BEGIN through Query", paused)
		query(`COMMIT`)
		within(t, "Pause", paused, nil)
		must(t, s.Resume(ctx))
		wantCount(t, s, 1)
		if !s.asks {
			return
		}
		query(`CREATE TEMP TABLE x (v)`)
		paused = s.pausing(t)
		waits(t, "Pause with a temporary table made through Query", paused)
		query(`DROP TABLE x`)
		within(t, "Pause", paused, nil)
		must(t, s.Resume(ctx))
	})
}

// What ran before the statement that failed has been done.
func TestSQLTransactionsOfScriptsThatFail(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		c := s.pin(t)
		scripts := map[string]func() error{
			"Exec": func() error { _, err := c.ExecContext(ctx, `BEGIN; INSERT INTO missing VALUES (1)`); return err },
		}
		if s.asks {
			scripts["Query"] = func() error { _, err := c.QueryContext(ctx, `BEGIN; SELECT * FROM missing`); return err } //nolint:rowserrcheck // it fails
			scripts["Exec with arguments"] = func() error {
				_, err := c.ExecContext(ctx, `BEGIN; INSERT INTO t VALUES (?); INSERT INTO missing VALUES (?)`, 1, 2)
				return err
			}
		}
		for what, run := range scripts {
			if err := run(); err == nil {
				t.Fatalf("%s: no error", what)
			}
			execSQL(t, c, `DELETE FROM t; INSERT INTO t VALUES (1)`)
			paused := s.pausing(t)
			waits(t, "Pause in the transaction that "+what+" began", paused)
			execSQL(t, c, `COMMIT`)
			within(t, "Pause", paused, nil)
			must(t, s.Resume(ctx))
			wantCount(t, s, 1)
		}
	})
}

func TestSQLTemporaryTablesKeepTheirConnectionInFlight(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		if !s.asks {
			t.Skip("whether a temporary table is left is asked where transactions can be asked for")
		}
		c := s.pin(t)
		for _, text := range []string{`CREATE TEMP TABLE x (v)`, `CREATE TABLE temp.x (v)`, `CREATE TABLE y (v); CREATE TEMPORARY TABLE x AS SELECT 1 AS v; DROP TABLE y`, `CREATE TEMP VIEW x AS SELECT 1 AS v`} {
			execSQL(t, c, text)
			paused := s.pausing(t)
			waits(t, "Pause after "+text, paused)
			execSQL(t, c, `SELECT v FROM x`)
			execSQL(t, c, map[bool]string{true: `DROP VIEW x`, false: `DROP TABLE x`}[strings.Contains(text, "VIEW")])
			within(t, "Pause", paused, nil)
			must(t, s.Resume(ctx))
		}
	})
}

func TestSQLTemporaryTablesThatWereCutAreToldOnce(t *testing.T) {
	onSQL(t, hastySQL, func(t *testing.T, s *sqlStore) {
		for _, paused := range []bool{true, false} {
			c := s.pin(t)
			execSQL(t, c, `CREATE TEMP TABLE x (v)`)
			execSQL(t, c, `INSERT INTO x VALUES (1)`)
			s.cut(t)
			if !paused {
				must(t, s.Resume(ctx))
			}
			_, err := c.ExecContext(ctx, `INSERT INTO x VALUES (2)`)
			interrupted(t, "the first use", err)
			if paused {
				must(t, s.Resume(ctx))
			}
			if _, err = c.ExecContext(ctx, `SELECT * FROM x`); err == nil || errors.Is(err, lifecycle.ErrInterrupted) {
				t.Errorf("the second use: %v, want the engine's own error: no such table", err)
			}
			execSQL(t, c, `INSERT INTO t VALUES (1)`)
			must(t, c.Close())
			s.cycle(t)
		}
	})
}

func TestSQLLeaksHoldNothingUp(t *testing.T) {
	onSQL(t, hastySQL, func(t *testing.T, s *sqlStore) {
		execSQL(t, s, `INSERT INTO t VALUES (1), (2), (3)`)
		pinned, err := s.Conn(ctx) // as dbutil does; it is not in flight
		must(t, err)
		execSQL(t, pinned, `PRAGMA foreign_keys = OFF`)
		s.cycle(t)
		for range 2 {
			rows, err := s.Query(`SELECT v FROM t`)
			must(t, err)
			if !rows.Next() {
				t.Fatal("no row")
			}
			tx, err := s.Begin()
			must(t, err)
			execSQL(t, tx, `INSERT INTO t VALUES (4)`)
			inTx, err := tx.Query(`SELECT v FROM t`)
			must(t, err)
			st, err := pinned.PrepareContext(ctx, `INSERT INTO t VALUES (?)`)
			must(t, err)
			s.cut(t)
			must(t, s.Resume(ctx))
			execSQL(t, s, `DELETE FROM t WHERE v = 5`)
			_, err = st.Exec(5)
			must(t, err) // the statement of a pinned connection works on
			s.cycle(t)
			wantCount(t, s, 4)
			if rows.Next() || inTx.Next() {
				t.Error("rows that were cut have a next one")
			}
			interrupted(t, "rows", rows.Err())
			interrupted(t, "rows of a transaction", inTx.Err())
			interrupted(t, "Commit", tx.Commit())
			must(t, st.Close())
		}
		must(t, pinned.Close())
	})
}

func TestSQLErrorsAreTheDriversOwn(t *testing.T) {
	onSQL(t, patientSQL, func(t *testing.T, s *sqlStore) {
		execSQL(t, s, `CREATE UNIQUE INDEX i ON t (v)`)
		execSQL(t, s, `INSERT INTO t VALUES (1)`)
		st, err := s.Prepare(`INSERT INTO t VALUES (?)`)
		must(t, err)
		tx, err := s.Begin()
		must(t, err)
		_, ofDB := s.Exec(`INSERT INTO t VALUES (?)`, 1)
		_, ofTx := tx.Exec(`INSERT INTO t VALUES (1)`)
		must(t, tx.Rollback())
		_, ofStmt := st.Exec(1)
		ofRow := s.QueryRow(`INSERT INTO t VALUES (1) RETURNING v`).Scan(new(sql.NullInt64))
		for what, err := range map[string]error{"DB": ofDB, "Tx": ofTx, "Stmt": ofStmt, "Row": ofRow} {
			if !isDriversOwn(s.engine, err) {
				t.Errorf("%s: %T %v is not the driver's own error", what, err, err)
			}
			if code, ok := s.engine.ErrorCode(err); !ok || code != 2067 {
				t.Errorf("%s: %v has the code %d, want SQLITE_CONSTRAINT_UNIQUE", what, err, code)
			}
		}
		must(t, st.Close())
	})
}

package sqlite_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestExecTellsWhatItDid(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (id INTEGER PRIMARY KEY, v)`)
		for _, test := range []struct {
			sql  string
			want sqlite.Result
		}{
			{`INSERT INTO t (v) VALUES (4), (5)`, sqlite.Result{LastInsertID: 5, RowsAffected: 2}},
			{`INSERT INTO t (v) VALUES (4), (5), (6) RETURNING id`, sqlite.Result{LastInsertID: 6, RowsAffected: 3}},
			{`WITH n(i) AS (VALUES (7)) INSERT INTO t SELECT i, i FROM n`, sqlite.Result{LastInsertID: 7, RowsAffected: 1}},
			{`UPDATE t SET v = 0 WHERE id < 3`, sqlite.Result{LastInsertID: 3, RowsAffected: 2}},
			{`DELETE FROM t WHERE id = 77`, sqlite.Result{LastInsertID: 3}},
			{`CREATE TABLE u (v)`, sqlite.Result{}},
			{`SELECT * FROM t`, sqlite.Result{}},
			{`WITH n(i) AS (VALUES (7)) SELECT i FROM n`, sqlite.Result{}},
			{`PRAGMA user_version = 7`, sqlite.Result{}},
		} {
			for _, how := range []string{"prepared", "kept"} {
				must(t, c.ExecScript(t.Context(), `DROP TABLE IF EXISTS u; DELETE FROM t; INSERT INTO t (v) VALUES (1), (2), (3)`))
				got, err := c.Exec(t.Context(), test.sql)
				must(t, err)
				if got != test.want {
					t.Errorf("%s, %s: %+v, want %+v", test.sql, how, got, test.want)
				}
			}
		}
	})
}

// mattn's own Exec leaves such statements at their first row, and a later COMMIT fails.
func TestAStatementThatReturnsRowsDoesNotHinderTheCommit(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (id INTEGER PRIMARY KEY, v)`)
		for range 3 {
			must(t, c.Update(t.Context(), func(c *sqlite.Conn) error {
				for _, sql := range []string{`INSERT INTO t (v) VALUES (1), (2) RETURNING id`, `SELECT * FROM t`, `PRAGMA table_info(t)`} {
					if _, err := c.Exec(t.Context(), sql); err != nil {
						return err
					}
				}
				for range c.Rows(t.Context(), `INSERT INTO t (v) VALUES (3), (4) RETURNING id`) {
					break
				}
				var id int
				return c.QueryRow(t.Context(), `INSERT INTO t (v) VALUES (5), (6) RETURNING id`).Scan(&id)
			}))
		}
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 18 {
			t.Errorf("%d rows are committed, want 18: a statement was not run to its end", n)
		}
		must(t, c.ExecScript(t.Context(), `VACUUM`)) // fails while any statement is unfinished
	})
}

func TestTextsThatTheEnginesTreatDifferentlyAreRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v)`)
		for _, test := range []struct {
			sql  string
			args []any
			want error
		}{
			{"", nil, sqlite.ErrNotOneStatement},
			{" -- nothing\n ; ", nil, sqlite.ErrNotOneStatement},
			{"INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", nil, sqlite.ErrNotOneStatement},
			{"INSERT INTO t VALUES (1); garbage", nil, sqlite.ErrNotOneStatement},
			{"INSERT INTO t VALUES (1)\x00; DROP TABLE t", nil, sqlite.ErrNotOneStatement},
			{"INSERT INTO t VALUES (?)", nil, sqlite.ErrParameters},
			{"INSERT INTO t VALUES (?)", []any{1, 2}, sqlite.ErrParameters},
			{"INSERT INTO t VALUES (?2)", []any{1}, sqlite.ErrParameters},
			{"INSERT INTO t VALUES (:v)", []any{1}, sqlite.ErrParameters},
			{"INSERT INTO t VALUES ($1)", []any{1}, sqlite.ErrParameters},
			{"INSERT INTO t VALUES (?)", []any{struct{}{}}, sqlite.ErrParameters},
			{"INSERT INTO t VALUES (?)", []any{uint64(1 << 63)}, sqlite.ErrParameters},
			{"BEGIN", nil, sqlite.ErrTransactionControl},
			{"; commit", nil, sqlite.ErrTransactionControl},
		} {
			_, err := c.Exec(t.Context(), test.sql, test.args...)
			if !errors.Is(err, test.want) {
				t.Errorf("Exec(%q, %v): %v, want %v", test.sql, test.args, err, test.want)
			}
			if err := c.Each(t.Context(), test.sql, func(*sqlite.Row) error { return nil }, test.args...); !errors.Is(err, test.want) {
				t.Errorf("Each(%q, %v): %v, want %v", test.sql, test.args, err, test.want)
			}
			if err := c.QueryRow(t.Context(), test.sql, test.args...).Scan(); !errors.Is(err, test.want) {
				t.Errorf("QueryRow(%q, %v): %v, want %v", test.sql, test.args, err, test.want)
			}
		}
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("%d rows were written by statements that were refused", n)
		}
		// What surrounds one statement does not matter.
		for _, sql := range []string{"INSERT INTO t VALUES (?);", ";;\nINSERT INTO t VALUES (?1) -- a comment", "/* a */ INSERT INTO t VALUES (?) ; /* b */ ; "} {
			_, err := c.Exec(t.Context(), sql, 1)
			must(t, err)
		}
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 3 {
			t.Errorf("%d rows, want 3", n)
		}
	})
}

func TestAScriptRunsUpToItsFirstError(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `
			CREATE TABLE t (v); -- with a trigger, which has semicolons inside
			CREATE TABLE log (v);
			CREATE TRIGGER copy AFTER INSERT ON t BEGIN
				INSERT INTO log VALUES (new.v);
				UPDATE log SET v = CASE WHEN v > 10 THEN 10 ELSE v END;
			END;
			INSERT INTO t VALUES (1);;
			INSERT INTO t VALUES (11)`)
		if sum := scanOne[int](t, c, `SELECT sum(v) FROM log`); sum != 11 {
			t.Errorf("the trigger logged %d, want 11", sum)
		}
		err := c.ExecScript(t.Context(), `INSERT INTO t VALUES (2); INSERT INTO missing VALUES (3); INSERT INTO t VALUES (4)`)
		if err == nil || scanOne[int](t, c, `SELECT count(*) FROM t`) != 3 {
			t.Errorf("the script ended with %v and %d rows, want an error and the 3 rows before it", err, scanOne[int](t, c, `SELECT count(*) FROM t`))
		}
		err = c.Update(t.Context(), func(c *sqlite.Conn) error {
			return c.ExecScript(t.Context(), `DELETE FROM t; COMMIT; INSERT INTO t VALUES (5)`)
		})
		if !errors.Is(err, sqlite.ErrTransactionControl) || scanOne[int](t, c, `SELECT count(*) FROM t`) != 3 {
			t.Errorf("a script with COMMIT inside Update: %v; want it refused and everything undone", err)
		}
	})
}

func TestVeryLongStatements(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		long := `SELECT length('` + strings.Repeat("ä", 400_000) + `')`
		for range 2 {
			if n := scanOne[int](t, c, long); n != 400_000 {
				t.Errorf("the text arrived with %d characters", n)
			}
		}
		if kept, _ := c.Kept(); kept > 10 {
			t.Errorf("%d statements are kept", kept)
		}
		_, err := c.Exec(t.Context(), long+" garbage garbage")
		var e *sqlite.Error
		if !errors.As(err, &e) || len(e.Error()) > 1000 {
			t.Errorf("the error of a long statement is not shortened: %d bytes", len(fmt.Sprint(err)))
		}
	})
}

func TestRowsAreClosedHoweverTheLoopEnds(t *testing.T) {
	const query = `SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3`
	errStop := errors.New("stop")
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		ends := map[string]func(){
			"break": func() {
				for _, err := range c.Rows(t.Context(), query) {
					must(t, err)
					break
				}
			},
			"panic": func() {
				defer func() {
					if p := recover(); p != "out" {
						t.Errorf("recovered %v, want the loop's own panic", p)
					}
				}()
				for range c.Rows(t.Context(), query) {
					panic("out")
				}
			},
			"Goexit": func() {
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range c.Rows(t.Context(), query) {
						runtime.Goexit()
					}
				}()
				<-done
			},
			"error": func() {
				if err := c.Each(t.Context(), query, func(*sqlite.Row) error { return errStop }); err != errStop {
					t.Errorf("Each returned %v, want the callback's own error", err)
				}
			},
			"scan error": func() {
				if err := c.QueryRow(t.Context(), query).Scan(new(chan int)); err == nil {
					t.Error("a channel was scanned into")
				}
			},
			"end": func() {
				n := 0
				must(t, c.Each(t.Context(), query, func(*sqlite.Row) error { n++; return nil }))
				if n != 3 {
					t.Errorf("%d rows, want 3", n)
				}
			},
		}
		for name, end := range ends {
			end()
			if open := c.OpenIterations(); open != 0 {
				t.Errorf("after %s %d iterations are open", name, open)
			}
			if _, busy := c.Kept(); busy != 0 {
				t.Errorf("after %s %d statements are in use", name, busy)
			}
		}
	})
}

func TestOneStatementTwiceAtOnce(t *testing.T) {
	const query = `SELECT value FROM json_each('[1,2,3]')`
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		var pairs []string
		for outer, err := range c.Rows(t.Context(), query) {
			must(t, err)
			for inner, err := range c.Rows(t.Context(), query) {
				must(t, err)
				pairs = append(pairs, fmt.Sprint(outer.Value(0), inner.Value(0)))
			}
			if n := scanOne[int](t, c, query); n != 1 {
				t.Errorf("the statement inside its own iteration returned %d", n)
			}
		}
		if got := strings.Join(pairs, ","); got != "1 1,1 2,1 3,2 1,2 2,2 3,3 1,3 2,3 3" {
			t.Errorf("nested iterations of one statement disturb each other: %s", got)
		}
	})
}

// reentrant runs a statement of the connection that is scanning it, or binding it.
type reentrant struct {
	c   *sqlite.Conn
	sql string
	sum int64
}

func (r *reentrant) Scan(v any) error {
	var inner int64
	if err := r.c.QueryRow(context.Background(), r.sql, int64(5)).Scan(&inner); err != nil {
		return err
	}
	r.sum = v.(int64) + inner
	return nil
}

func TestScannersMayUseTheConnection(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		const query = `SELECT ?1 + 1`
		r := &reentrant{c: c, sql: query}
		var after int64
		must(t, c.QueryRow(t.Context(), `SELECT ?1, ?1 + 1`, int64(1)).Scan(r, &after))
		if r.sum != 7 || after != 2 {
			t.Errorf("sum %d, after %d; want 7 and 2", r.sum, after)
		}
		must(t, c.QueryRow(t.Context(), query, int64(1)).Scan(r))
		if r.sum != 8 {
			t.Errorf("sum %d, want 8: the same statement inside its own Scan", r.sum)
		}
	})
}

// More statements than the cache holds, some of them in use: those in use stay.
func TestStatementsInUseAreNotClosed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := openConn(t, engine, filepath.Join(t.TempDir(), "test.db"), sqlite.OpenOptions{Create: true}, sqlite.ConnOptions{StmtCache: 3})
		c.SetOp(t.Context())
		query := func(n int) string { return fmt.Sprintf(`SELECT value + %d FROM json_each('[1,2]')`, n) }
		var nest func(depth int) int
		nest = func(depth int) (sum int) {
			if depth == 8 {
				for n := 100; n < 120; n++ {
					sum += scanOne[int](t, c, query(n)) - n - 1
				}
				return sum + 1
			}
			for row, err := range c.Rows(t.Context(), query(depth)) {
				must(t, err)
				var v int
				must(t, row.Scan(&v))
				if v != depth+1 && v != depth+2 {
					t.Errorf("depth %d reads %d", depth, v)
				}
				sum += nest(depth + 1)
			}
			return sum
		}
		if sum := nest(0); sum != 1<<8 {
			t.Errorf("%d innermost runs, want %d", sum, 1<<8)
		}
		for n := range 10 {
			scanOne[int](t, c, query(n))
		}
		if kept, busy := c.Kept(); kept > 3 || busy != 0 {
			t.Errorf("%d statements are kept and %d in use, want at most 3 and 0", kept, busy)
		}
	})
}

// A change of the schema changes what kept statements return.
func TestKeptStatementsFollowTheSchema(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (a DATETIME); INSERT INTO t VALUES ('2024-01-02')`)
		for want := 1; want < 5; want++ {
			for row, err := range c.Rows(t.Context(), `SELECT * FROM t`) {
				must(t, err)
				if n := len(row.Columns()); n != want {
					t.Errorf("%d columns, want %d", n, want)
				}
				if v := row.Value(0); v != "2024-01-02" {
					t.Errorf("the text became %v (%T)", v, v)
				}
			}
			must(t, c.ExecScript(t.Context(), fmt.Sprintf(`ALTER TABLE t ADD COLUMN c%d`, want)))
		}
	})
}

func TestARowIsScannedOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		row := c.QueryRow(t.Context(), `SELECT ?`, 7)
		if n := scanOne[int](t, c, `SELECT ?`, 8); n != 8 { // between the two halves of another query
			t.Errorf("%d, want 8", n)
		}
		var n int
		if err := row.Scan(&n); err != nil || n != 7 {
			t.Errorf("%d, %v; want 7", n, err)
		}
		if err := row.Scan(&n); !errors.Is(err, sqlite.ErrReleased) {
			t.Errorf("the second Scan: %v, want ErrReleased: its arguments are gone", err)
		}
	})
}

// What was handed to an operation is worthless after it.
func TestNothingIsUsableAfterItsOperation(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		const query = `SELECT 1 UNION ALL SELECT 2`
		rows := c.Rows(t.Context(), query)
		next, stop := iter.Pull2(c.Rows(t.Context(), query))
		defer stop()
		if _, err, ok := next(); err != nil || !ok {
			t.Fatalf("first row: %v, %v", err, ok)
		}
		if c.OpenIterations() != 1 {
			t.Fatal("the leaked iteration is not open, so this tests nothing")
		}
		must(t, c.Reset())
		if c.OpenIterations() != 0 {
			t.Error("reset left an iteration open")
		}
		if _, err := c.Exec(t.Context(), query); !errors.Is(err, sqlite.ErrReleased) {
			t.Errorf("Exec between operations: %v, want ErrReleased", err)
		}

		c.SetOp(t.Context()) // the next user
		for row, err := range c.Rows(t.Context(), query) {
			must(t, err)
			if _, err, ok := next(); ok && !errors.Is(err, sqlite.ErrReleased) {
				t.Errorf("the iteration of an earlier operation got %v, want ErrReleased", err)
			}
			for _, err := range rows {
				if !errors.Is(err, sqlite.ErrReleased) {
					t.Errorf("rows of an earlier operation: %v, want ErrReleased", err)
				}
			}
			_ = row
		}
		stop()
		must(t, c.Reset())
		must(t, c.Reset()) // an operation that never called setOp
	})
}

// panicking panics where a text says so, as modernc's translated C may.
type panicking struct{ sqlite.Raw }

func (p panicking) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if strings.Contains(text, "panic") {
		panic("engine")
	}
	return p.Raw.PrepareContext(ctx, text)
}

// A connection that a panic came out of is not handed on, and everything on it is closed all the same.
func TestAPanicInTheEngineMakesTheConnectionUnfit(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "test.db")
		raw, err := engine.Open(path, sqlite.OpenOptions{Create: true})
		must(t, err)
		c := sqlite.NewConn(engine, panicking{raw}, path, sqlite.ConnOptions{})
		c.SetOp(t.Context())
		must(t, c.ExecScript(t.Context(), `PRAGMA journal_mode = wal; CREATE TABLE t (v); INSERT INTO t VALUES (1), (2)`))
		for range c.Rows(t.Context(), `SELECT v FROM t`) {
			func() {
				defer func() {
					if p := recover(); p != "engine" {
						t.Errorf("recovered %v, want the engine's panic, which is not ours to hide", p)
					}
				}()
				_, _ = c.Exec(t.Context(), `SELECT 'panic'`)
			}()
			break
		}
		if err := c.Reset(); err == nil {
			t.Error("reset found the connection fit")
		}
		must(t, c.CloseConn())
		if held := descriptors(t, c.Path()); len(held) != 0 {
			t.Errorf("still open: %v", held)
		}
	})
}

// A pause may sever a connection in the moment between an operation getting it
// and Begin: then the operation must not bring it back to life, closed as it is.
func TestASeveredConnectionStaysSevered(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v)`)
		must(t, c.Reset())
		closed := make(chan error, 1)
		c.Sever(func(err error) { closed <- err })
		must(t, <-closed)
		c.SetOp(t.Context())
		if _, err := c.Exec(t.Context(), `INSERT INTO t VALUES (1)`); !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("a statement on a severed connection: %v, want ErrInterrupted", err)
		}
		if err := c.View(t.Context(), func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("View on a severed connection: %v, want ErrInterrupted", err)
		}
	})
}

// panics is a destination that panics.
type panics struct{}

func (panics) Scan(any) error { panic("the destination's own") }

// However an iteration ends, its statement is free for the next: otherwise
// every further use would prepare it anew.
func TestStatementsAreFreeAfterOddEnds(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v); INSERT INTO t VALUES (1), (2), (3)`)
		free := func(how string) {
			t.Helper()
			if _, busy := c.Kept(); busy != 0 {
				t.Errorf("%d statements are still in use after %s", busy, how)
			}
			usable(t, c)
		}
		func() {
			defer func() { _ = recover() }()
			_ = c.QueryRow(t.Context(), `SELECT v FROM t`).Scan(panics{})
		}()
		free("a destination that panicked")

		// An interrupted statement inside an iteration ends that too.
		for _, err := range c.Rows(t.Context(), `SELECT v FROM t`) {
			if err != nil {
				break
			}
			ended, cancel := context.WithCancel(t.Context())
			_ = c.Update(t.Context(), func(c *sqlite.Conn) error {
				go func() {
					for !c.Watched() {
						runtime.Gosched()
					}
					cancel()
				}()
				_, err := c.Exec(ended, slowWrite)
				return err
			})
			cancel()
		}
		free("an iteration that was ended from inside")

		next, stop := iter.Pull2(c.Rows(t.Context(), `SELECT v FROM t`))
		next()
		must(t, c.Reset())
		free("an iteration that was left open")
		c.SetOp(t.Context())
		stop()
	})
}

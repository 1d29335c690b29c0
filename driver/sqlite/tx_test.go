package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func insert(c *sqlite.Conn, v any) error {
	return second(c.Exec(context.Background(), `INSERT INTO t VALUES (?)`, v))
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	errOwn := errors.New("own")
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v UNIQUE)`)
		update := func(f func(c *sqlite.Conn) error) error {
			return c.Update(t.Context(), func(c *sqlite.Conn) error {
				must(t, insert(c, "x"))
				return f(c)
			})
		}
		if err := update(func(*sqlite.Conn) error { return errOwn }); err != errOwn {
			t.Errorf("Update returned %v, want the callback's own error as it is", err)
		}
		func() {
			defer func() {
				if p := recover(); p != "out" {
					t.Errorf("recovered %v, want the callback's panic", p)
				}
			}()
			_ = update(func(*sqlite.Conn) error { panic("out") })
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = update(func(*sqlite.Conn) error { runtime.Goexit(); return nil })
		}()
		<-done
		if err := update(func(c *sqlite.Conn) error { return insert(c, "x") }); !errors.Is(err, sqlite.ErrUnique) {
			t.Errorf("a constraint: %v", err)
		}
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("%d rows of transactions that failed are there", n)
		}
		// An error that is not passed on costs only its statement.
		must(t, update(func(c *sqlite.Conn) error {
			if err := insert(c, "x"); !errors.Is(err, sqlite.ErrConstraint) {
				t.Errorf("the second x: %v", err)
			}
			return insert(c, "y")
		}))
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
		must(t, c.Reset())
	})
}

func TestTransactionsNestOnlyWhereThatMeansSomething(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v)`)
		ctx := t.Context()
		nothing := func(*sqlite.Conn) error { return nil }
		must(t, c.Update(ctx, func(c *sqlite.Conn) error {
			if err := c.Update(ctx, nothing); !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("Update in Update: %v, want ErrNested", err)
			}
			return c.View(ctx, func(c *sqlite.Conn) error { return insert(c, 1) }) // joins the write transaction
		}))
		must(t, c.View(ctx, func(c *sqlite.Conn) error {
			if err := c.Update(ctx, nothing); !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("Update in View: %v, want ErrNested", err)
			}
			for _, sql := range []string{`INSERT INTO t VALUES (2)`, `DELETE FROM t RETURNING v`, `DROP TABLE t`} {
				if _, err := c.Exec(ctx, sql); !errors.Is(err, sqlite.ErrReadOnly) {
					t.Errorf("%s in View: %v, want ErrReadOnly", sql, err)
				}
			}
			return c.View(ctx, func(c *sqlite.Conn) error { return c.View(ctx, nothing) })
		}))
		if err := c.Savepoint(ctx, nothing); !errors.Is(err, sqlite.ErrNoTransaction) {
			t.Errorf("Savepoint without Update: %v, want ErrNoTransaction", err)
		}
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
		readOnly := openConn(t, engine, c.Path(), sqlite.OpenOptions{}, sqlite.ConnOptions{ReadOnly: true})
		readOnly.SetOp(ctx)
		if err := readOnly.Update(ctx, nothing); !errors.Is(err, sqlite.ErrReadOnly) {
			t.Errorf("Update on a reader: %v, want ErrReadOnly", err)
		}
	})
}

func TestSavepointsUndoTheirPart(t *testing.T) {
	errOwn := errors.New("own")
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v UNIQUE)`)
		ctx := t.Context()
		must(t, c.Update(ctx, func(c *sqlite.Conn) error {
			must(t, insert(c, "outer"))
			must(t, c.Savepoint(ctx, func(c *sqlite.Conn) error { return insert(c, "kept") }))
			if err := c.Savepoint(ctx, func(c *sqlite.Conn) error {
				must(t, insert(c, "undone"))
				must(t, c.Savepoint(ctx, func(c *sqlite.Conn) error { return insert(c, "undone with it") }))
				for range c.Rows(ctx, `SELECT v FROM t`) {
					return errOwn
				}
				return nil
			}); err != errOwn {
				t.Errorf("Savepoint returned %v, want the callback's own error", err)
			}
			func() {
				defer func() { _ = recover() }()
				_ = c.Savepoint(ctx, func(c *sqlite.Conn) error { must(t, insert(c, "panicked")); panic("out") })
			}()
			// Its context ends inside: what it did is undone, the transaction goes on.
			inner, cancel := context.WithCancel(ctx)
			if err := c.Savepoint(inner, func(c *sqlite.Conn) error { cancel(); return insert(c, "too late") }); !errors.Is(err, context.Canceled) {
				t.Errorf("a savepoint whose context ended: %v, want context.Canceled", err)
			}
			if _, err := c.Exec(ctx, `RELEASE quiesce_1`); !errors.Is(err, sqlite.ErrTransactionControl) {
				t.Errorf("releasing a savepoint by text, when that text is prepared: %v", err)
			}
			return insert(c, "after")
		}))
		got, err := sqlite.Collect(c.Rows(ctx, `SELECT v FROM t ORDER BY rowid`), func(row *sqlite.Row) (v string, err error) { return v, row.Scan(&v) })
		must(t, err)
		if fmt.Sprint(got) != "[outer kept after]" {
			t.Errorf("committed: %v, want outer, kept, after", got)
		}
	})
}

// An interrupted write rolls everything back, and SQLite would run the next
// one alone and commit it. Nothing of the three may be there.
func TestAnInterruptedWriteLeavesTheFileUnchanged(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v); INSERT INTO t VALUES ('before')`)
		for _, swallow := range []bool{false, true} {
			watchdog(t, "Update", func() {
				var first, third error
				err := c.Update(t.Context(), func(c *sqlite.Conn) error {
					must(t, insert(c, "first"))
					stop := pester(c)
					_, first = c.Exec(t.Context(), slowWrite)
					stop()
					third = insert(c, "third")
					if swallow {
						return nil
					}
					return first
				})
				for what, err := range map[string]error{"the interrupted write": first, "the write after it": third, "the transaction": err} {
					if !errors.Is(err, lifecycle.ErrInterrupted) {
						t.Errorf("%s ended with %v, want ErrInterrupted", what, err)
					}
				}
			})
			usable(t, c)
			if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 1 {
				t.Errorf("%d rows, want the one from before: a part of the transaction was committed", n)
			}
		}
	})
}

// The same without an interrupt: SQL can end a transaction with an error, too.
func TestNothingRunsOutsideATransactionThatIsOver(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v UNIQUE); INSERT INTO t VALUES (1);
			CREATE TRIGGER bomb BEFORE INSERT ON t WHEN new.v = 'bomb' BEGIN SELECT RAISE(ROLLBACK, 'bomb'); END`)
		for _, end := range []string{`INSERT OR ROLLBACK INTO t VALUES (1)`, `INSERT INTO t VALUES ('bomb')`} {
			err := c.Update(t.Context(), func(c *sqlite.Conn) error {
				must(t, insert(c, 2))
				_, first := c.Exec(t.Context(), end)
				if !errors.Is(first, sqlite.ErrConstraint) {
					t.Errorf("%s: %v", end, first)
				}
				if err := insert(c, 3); !errors.Is(err, sqlite.ErrConstraint) {
					t.Errorf("the statement after the end: %v, want what ended the transaction", err)
				}
				if err := c.Savepoint(t.Context(), func(c *sqlite.Conn) error { return insert(c, 4) }); err == nil {
					t.Error("a savepoint after the end began something")
				}
				return nil
			})
			if !errors.Is(err, sqlite.ErrConstraint) {
				t.Errorf("the commit: %v, want what ended the transaction", err)
			}
			if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 1 {
				t.Errorf("%s: %d rows, want 1", end, n)
			}
		}
	})
}

func TestTransactionsEndWithTheirCallback(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v)`)
		must(t, c.Update(t.Context(), func(c *sqlite.Conn) error {
			for _, sql := range []string{`COMMIT`, `ROLLBACK`, `END`, `BEGIN`, `SAVEPOINT a`, `RELEASE a`, ` ; /* now */ commit transaction`, `-- x
				ROLLBACK`, "\uFEFFEND"} {
				for range 2 {
					if _, err := c.Exec(t.Context(), sql); !errors.Is(err, sqlite.ErrTransactionControl) {
						t.Errorf("%q: %v, want ErrTransactionControl", sql, err)
					}
				}
				if err := c.ExecScript(t.Context(), `SELECT 1; `+sql); !errors.Is(err, sqlite.ErrTransactionControl) {
					t.Errorf("%q in a script: %v, want ErrTransactionControl", sql, err)
				}
			}
			return insert(c, 1)
		}))
	})
}

// A commit that succeeded is acknowledged, and one that did not has changed
// nothing: interrupts (1,000 in the tier full), spread over the time that a commit takes.
func TestACommitIsAcknowledgedExactlyWhenItHappened(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `PRAGMA synchronous = normal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (v)`)
		var committing time.Time
		update := func(at func()) error {
			return c.Update(t.Context(), func(c *sqlite.Conn) error {
				_, err := c.Exec(context.Background(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100)
					INSERT INTO t SELECT zeroblob(1000) || i FROM n`)
				committing = time.Now()
				at()
				return err
			})
		}
		took, acknowledged := time.Hour, 0
		for range 5 {
			must(t, update(func() {}))
			took = min(took, time.Since(committing))
			acknowledged++
		}
		for i := range interruptRounds() {
			var fired <-chan struct{}
			stop := func() {}
			err := update(func() { fired = at(i, took, func() { c.Interrupt(); stop = pester(c) }) })
			<-fired
			stop()
			if err == nil {
				acknowledged++
			} else if !errors.Is(err, lifecycle.ErrInterrupted) {
				t.Fatalf("round %d: %v, want nil or ErrInterrupted", i, err)
			}
			usable(t, c)
			if n := scanOne[int](t, c, `SELECT max(rowid) FROM t`); n != 100*acknowledged {
				t.Fatalf("round %d: %d commits were acknowledged, %d rows of 100 each are there", i, acknowledged, n)
			}
		}
		t.Logf("%d of %d were committed", acknowledged, 5+interruptRounds())
	})
}

// Waiting for another connection's lock can be given up at any time, and ends with ErrBusy.
func TestWaitingForALockEnds(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "test.db")
		open := func(timeout time.Duration) *sqlite.Conn {
			c := openConn(t, engine, path, sqlite.OpenOptions{Create: true}, sqlite.ConnOptions{BusyTimeout: timeout})
			c.SetOp(context.Background())
			return c
		}
		holder := open(0)
		must(t, holder.ExecScript(t.Context(), `PRAGMA journal_mode=wal; CREATE TABLE t (v)`))
		must(t, holder.BeginImmediate(t.Context()))

		impatient, patient := open(0), open(time.Hour)
		update := func(c *sqlite.Conn, ctx context.Context) error {
			return c.Update(ctx, func(c *sqlite.Conn) error { return insert(c, 1) })
		}
		if err := update(impatient, t.Context()); !errors.Is(err, sqlite.ErrBusy) {
			t.Errorf("without a busy timeout: %v, want ErrBusy", err)
		}
		if err := insert(impatient, 1); !errors.Is(err, sqlite.ErrBusy) {
			t.Errorf("a statement outside a transaction: %v, want ErrBusy", err)
		}
		short := open(5 * time.Millisecond)
		if err := update(short, t.Context()); !errors.Is(err, sqlite.ErrBusy) {
			t.Errorf("after the busy timeout: %v, want ErrBusy", err)
		}
		why := errors.New("why")
		for how, want := range map[string]error{"context": why, "interrupt": lifecycle.ErrInterrupted, "sever": lifecycle.ErrInterrupted} {
			watchdog(t, "waiting", func() {
				c := patient
				ctx, cancel := context.WithCancelCause(t.Context())
				done := make(chan error, 1)
				if how == "sever" {
					c = open(time.Hour)
				}
				go func() { done <- update(c, ctx) }()
				runtime.Gosched()
				switch how {
				case "context":
					cancel(why)
				case "interrupt":
					c.Interrupt()
				case "sever":
					c.Sever(func(error) {})
				}
				if err := <-done; !errors.Is(err, want) || errors.Is(err, sqlite.ErrBusy) {
					t.Errorf("ended by %s: %v, want %v", how, err, want)
				}
				cancel(nil)
				if how != "sever" {
					usable(t, c)
				}
			})
		}
		watchdog(t, "waiting for a lock that is given up", func() {
			done := make(chan error, 1)
			go func() { done <- update(patient, t.Context()) }()
			must(t, holder.Finish(func(c *sqlite.Conn) error { return insert(c, 0) }))
			must(t, <-done)
		})
		if n := scanOne[int](t, holder, `SELECT count(*) FROM t`); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	})
}

// Several reads inside View see one content, whatever is committed meanwhile.
func TestViewIsOfOneMoment(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		w := connOn(t, engine, `CREATE TABLE t (v)`)
		r := openConn(t, engine, w.Path(), sqlite.OpenOptions{}, sqlite.ConnOptions{ReadOnly: true})
		r.SetOp(t.Context())
		must(t, r.View(t.Context(), func(r *sqlite.Conn) error {
			for want := range 3 {
				if n := scanOne[int](t, r, `SELECT count(*) FROM t`); n != 0 {
					t.Errorf("the view sees %d of the %d rows that were committed since", n, want)
				}
				must(t, insert(w, 1))
			}
			return nil
		}))
		if n := scanOne[int](t, r, `SELECT count(*) FROM t`); n != 3 {
			t.Errorf("after the view %d rows are seen, want 3", n)
		}
	})
}

// What an operation leaves behind, reset takes away.
func TestResetRollsBack(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v)`)
		must(t, c.BeginImmediate(t.Context()))
		must(t, insert(c, 1))
		must(t, c.Reset())
		c.SetOp(t.Context())
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("%d rows of a transaction that nobody committed", n)
		}
		must(t, c.Update(t.Context(), func(c *sqlite.Conn) error { return insert(c, 1) }))
		must(t, c.Reset())
		must(t, c.CloseConn())
	})
}

// Reset runs after every operation, so it must cost nothing when there is nothing to do.
func TestResetOfACleanConnectionAllocatesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		if n := testing.AllocsPerRun(100, func() {
			c.SetOp(t.Context())
			must(t, c.Reset())
		}); n != 0 {
			t.Errorf("setOp and reset allocate %v times", n)
		}
	})
}

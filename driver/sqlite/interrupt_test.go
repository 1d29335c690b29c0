package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// pester interrupts c, as a pause does, until the function that it returns is
// called, which waits until no interrupt is under way any more.
func pester(c *sqlite.Conn) (stop func()) {
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			c.Interrupt()
			runtime.Gosched()
		}
	}()
	return func() { over.Store(true); <-done }
}

// at calls f after a part of d, in parts of 200 that few rounds spread over, too, and closes the channel that it
// returns. It spins: a timer would be too coarse for a statement's own time.
func at(part int, d time.Duration, f func()) <-chan struct{} {
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		for time.Since(start) < d*time.Duration(part*73%200)/200 {
			runtime.Gosched()
		}
		f()
	}()
	return done
}

// The connection's next user must notice nothing of what was sent to the one before.
func usable(t *testing.T, c *sqlite.Conn) {
	t.Helper()
	if err := c.Reset(); err != nil {
		t.Fatalf("reset: %v", err)
	}
	c.SetOp(context.Background())
	n := 0
	if err := c.Each(context.Background(), `SELECT value FROM json_each('[1,2,3]')`, func(*sqlite.Row) error { n++; return nil }); err != nil || n != 3 {
		t.Fatalf("the connection's next user read %d of 3 rows: %v", n, err)
	}
}

// An interrupted statement fails with ErrInterrupted, or had completed: there
// is no third way. Interrupts of every kind, 1,000 of each in the tier full,
// spread over the time that the statement takes and beyond.
func TestAnInterruptedStatementFailsOrIsComplete(t *testing.T) {
	const rows = 300
	kinds := map[string]func(ctx context.Context, c *sqlite.Conn) (complete bool, err error){
		"first step": func(ctx context.Context, c *sqlite.Conn) (bool, error) {
			var n int
			err := c.QueryRow(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300) SELECT count(*) FROM n`).Scan(&n)
			return n == rows, err
		},
		"later step": func(ctx context.Context, c *sqlite.Conn) (bool, error) {
			n, last := 0, 0
			err := c.Each(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300) SELECT i FROM n`, func(row *sqlite.Row) error {
				n++
				return row.Scan(&last)
			})
			return n == rows && last == rows, err
		},
		"write": func(ctx context.Context, c *sqlite.Conn) (bool, error) {
			r, err := c.Exec(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300) INSERT INTO t (v) SELECT i FROM n`)
			return r.RowsAffected == rows, err
		},
		"write that returns rows": func(ctx context.Context, c *sqlite.Conn) (bool, error) {
			n := 0
			err := c.Each(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300) INSERT INTO t (v) SELECT i FROM n RETURNING v`,
				func(*sqlite.Row) error { n++; return nil })
			return n == rows, err
		},
		"transaction": func(ctx context.Context, c *sqlite.Conn) (bool, error) {
			err := c.Update(ctx, func(c *sqlite.Conn) error {
				for range 3 {
					if _, err := c.Exec(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100) INSERT INTO t (v) SELECT i FROM n`); err != nil {
						return err
					}
				}
				return nil
			})
			return err == nil, err
		},
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, run := range kinds {
			for how, want := range map[string]error{"interrupt": lifecycle.ErrInterrupted, "context": context.Canceled} {
				t.Run(name+" by "+how, func(t *testing.T) {
					c := connOn(t, engine, `PRAGMA synchronous = off; CREATE TABLE t (v)`)
					took := time.Hour
					for range 5 {
						alone := time.Now()
						_, err := run(t.Context(), c)
						must(t, err)
						took = min(took, time.Since(alone))
					}
					failed := 0
					rounds := interruptRounds()
					for i := range rounds {
						before := scanOne[int](t, c, `SELECT count(*) FROM t`)
						ctx, cancel := context.WithCancel(context.Background())
						stop := func() {}
						fire := cancel
						if how == "interrupt" {
							fire = func() { stop = pester(c) }
						}
						fired := at(i, took*3/2, fire)
						complete, err := run(ctx, c)
						<-fired
						stop()
						cancel()
						switch {
						case err != nil && !errors.Is(err, want):
							t.Fatalf("round %d: %v, want one that matches %v", i, err, want)
						case err == nil && !complete:
							t.Fatalf("round %d: no error, and yet the result is short", i)
						case err != nil:
							failed++
						}
						usable(t, c)
						after := scanOne[int](t, c, `SELECT count(*) FROM t`)
						wrote := strings.Contains(name, "write") || name == "transaction"
						switch {
						case wrote && err == nil && after != before+rows:
							t.Fatalf("round %d: %d rows were acknowledged and %d written", i, rows, after-before)
						case wrote && err != nil && after != before && !(complete || name == "write that returns rows" && after == before+rows):
							t.Fatalf("round %d: %d rows written by a statement that failed with %v", i, after-before, err)
						}
						if after > 3*rows {
							_, err := c.Exec(context.Background(), `DELETE FROM t`)
							must(t, err)
						}
					}
					t.Logf("%d of %d failed, the others were complete", failed, rounds)
				})
			}
		}
	})
}

// A long statement ends soon after, at whatever step it is.
func TestALongStatementIsStoppedAtAnyStep(t *testing.T) {
	run := map[string]func(ctx context.Context, c *sqlite.Conn, running chan<- struct{}) error{
		"first step": func(ctx context.Context, c *sqlite.Conn, running chan<- struct{}) error {
			close(running)
			return c.QueryRow(ctx, slowRead).Scan(new(int))
		},
		"later step": func(ctx context.Context, c *sqlite.Conn, running chan<- struct{}) error {
			return c.Each(ctx, slowLater, func(*sqlite.Row) error { close(running); return nil })
		},
		"write": func(ctx context.Context, c *sqlite.Conn, running chan<- struct{}) error {
			close(running)
			_, err := c.Exec(ctx, slowWrite)
			return err
		},
		"transaction": func(ctx context.Context, c *sqlite.Conn, running chan<- struct{}) error {
			return c.Update(ctx, func(c *sqlite.Conn) error {
				close(running)
				_, err := c.Exec(ctx, slowWrite)
				return err
			})
		},
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, run := range run {
			t.Run(name, func(t *testing.T) {
				c := connOn(t, engine, `CREATE TABLE t (v)`)
				watchdog(t, "the statement", func() {
					running := make(chan struct{})
					stop := make(chan func())
					go func() { <-running; stop <- pester(c) }()
					err := run(t.Context(), c, running)
					(<-stop)()
					if !errors.Is(err, lifecycle.ErrInterrupted) {
						t.Errorf("interrupted: %v, want ErrInterrupted", err)
					}
				})
				usable(t, c)
				watchdog(t, "the statement", func() {
					ctx, cancel := context.WithCancelCause(t.Context())
					why := errors.New("why")
					running := make(chan struct{})
					go func() { <-running; cancel(why) }()
					err := run(ctx, c, running)
					if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || errors.Is(err, lifecycle.ErrInterrupted) {
						t.Errorf("its context ended: %v, want the context's error and its cause, and not ErrInterrupted", err)
					}
				})
				usable(t, c)
				if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 0 {
					t.Errorf("%d rows of interrupted writes are there", n)
				}
			})
		}
	})
}

// After an interrupt every further statement of the operation fails, until reset.
func TestAnInterruptHoldsUntilReset(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v)`)
		ctx, cancel := context.WithCancel(t.Context())
		must(t, c.Reset())
		c.SetOp(ctx)
		cancel()
		c.Interrupt() // finds nothing running
		for what, err := range map[string]error{
			"Exec":     second(c.Exec(ctx, `INSERT INTO t VALUES (1)`)),
			"QueryRow": c.QueryRow(context.Background(), `SELECT 1`).Scan(new(int)),
			"Update":   c.Update(context.Background(), func(*sqlite.Conn) error { return nil }),
			"View":     c.View(context.Background(), func(*sqlite.Conn) error { return nil }),
		} {
			if !errors.Is(err, lifecycle.ErrInterrupted) {
				t.Errorf("%s after an interrupt: %v, want ErrInterrupted", what, err)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s after the operation's context ended: %v, want its error too", what, err)
			}
		}
		usable(t, c)
	})
}

// A context that ends after its statement has ended hits nobody: not the next
// statement, and not an iteration around it.
func TestALateContextHitsNobody(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		const query = `SELECT value FROM json_each('[1,2,3,4,5,6,7,8]')`
		for i := range 300 {
			ctx, cancel := context.WithCancel(context.Background())
			fire := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				<-fire
				cancel()
			})
			if i%2 == 0 {
				close(fire) // races with the statement
			}
			err := c.QueryRow(ctx, `SELECT 1`).Scan(new(int))
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if i%2 == 1 {
				close(fire) // races with the next statement
			}
			n := 0
			if err := c.Each(context.Background(), query, func(*sqlite.Row) error { n++; return nil }); err != nil || n != 8 {
				t.Fatalf("round %d: the statement after it read %d of 8 rows: %v", i, n, err)
			}
			wg.Wait()
		}
	})
}

// Contexts inside a transaction: what the statement was decides what is lost.
func TestAStatementsContextEndsTheStatement(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v)`)
		const write = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?1) INSERT INTO t (v) SELECT i FROM n`
		stopped := func(c *sqlite.Conn, sql string, args ...any) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				for !c.Watched() {
					runtime.Gosched()
				}
				cancel()
			}()
			_, err := c.Exec(ctx, sql, args...)
			return err
		}
		watchdog(t, "the transaction", func() {
			err := c.Update(t.Context(), func(c *sqlite.Conn) error {
				if _, err := c.Exec(t.Context(), `INSERT INTO t VALUES ('kept')`); err != nil {
					return err
				}
				if err := stopped(c, slowRead); !errors.Is(err, context.Canceled) {
					t.Errorf("the read: %v, want context.Canceled", err)
				}
				_, err := c.Exec(t.Context(), `INSERT INTO t VALUES ('kept too')`)
				return err
			})
			if err != nil {
				t.Errorf("a stopped read ended the transaction around it: %v", err)
			}
			err = c.Update(t.Context(), func(c *sqlite.Conn) error {
				if _, err := c.Exec(t.Context(), `INSERT INTO t VALUES ('lost')`); err != nil {
					return err
				}
				if _, err := c.Exec(t.Context(), write, 1); err != nil { // prepared now, so that it is not stopped while it is prepared, which costs nothing
					return err
				}
				if err := stopped(c, write, 300_000_000); !errors.Is(err, context.Canceled) {
					t.Errorf("the write: %v, want context.Canceled", err)
				}
				_, err := c.Exec(t.Context(), `INSERT INTO t VALUES ('lost too')`)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the statement after a stopped write: %v, want the error that ended the transaction", err)
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the commit of a transaction that is over: %v, want the error that ended it", err)
			}
		})
		if n := scanOne[int](t, c, `SELECT count(*) FROM t`); n != 2 {
			t.Errorf("%d rows are there, want the 2 of the first transaction", n)
		}
	})
}

// A severed connection is closed between two calls, with its statements closed before it.
func TestSeverClosesUnderAnOpenIteration(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v); INSERT INTO t VALUES (1), (2), (3)`)
		closed := make(chan error, 2)
		n := 0
		var after error
		err := c.Update(t.Context(), func(c *sqlite.Conn) error {
			if _, err := c.Exec(t.Context(), `INSERT INTO t VALUES (4)`); err != nil {
				return err
			}
			for _, err := range c.Rows(t.Context(), `SELECT v FROM t`) {
				if err != nil {
					after = second(c.Exec(t.Context(), `INSERT INTO t VALUES (5)`))
					return err
				}
				if n++; n == 2 {
					c.Sever(func(err error) { closed <- err })
					if err := <-closed; err != nil { // closed before Sever returned, since no call was inside
						t.Errorf("closing: %v", err)
					}
				}
			}
			return nil
		})
		if n != 2 || !errors.Is(err, lifecycle.ErrInterrupted) || !errors.Is(after, lifecycle.ErrInterrupted) {
			t.Errorf("%d rows, then %v, and a later statement %v; want 2, ErrInterrupted, ErrInterrupted", n, err, after)
		}
		if held := descriptors(t, c.Path()); len(held) != 0 {
			t.Errorf("still open after the last connection was closed: %v", held)
		}
		left, _ := filepath.Glob(c.Path() + "-*")
		if len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		select {
		case err := <-closed:
			t.Errorf("done was called twice, the second time with %v", err)
		default:
		}

		again := openConn(t, engine, c.Path(), sqlite.OpenOptions{}, sqlite.ConnOptions{})
		again.SetOp(t.Context())
		if n := scanOne[int](t, again, `SELECT count(*) FROM t`); n != 3 {
			t.Errorf("%d rows, want the 3 that were committed before the severed transaction", n)
		}
	})
}

// A call that is inside is interrupted until it leaves, and closes the connection then.
func TestSeverWaitsForTheCallThatIsInside(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for i := range 20 {
			c := connOn(t, engine, `CREATE TABLE t (v)`)
			var err, closing error
			watchdog(t, "a severed statement", func() {
				closed := make(chan error, 1)
				go func() {
					for range i * 50 {
						runtime.Gosched()
					}
					c.Sever(func(err error) { closed <- err })
				}()
				_, err = c.Exec(t.Context(), slowWrite)
				closing = <-closed
			})
			if !errors.Is(err, lifecycle.ErrInterrupted) || closing != nil {
				t.Errorf("the statement ended with %v, closing with %v; want ErrInterrupted and nil", err, closing)
			}
			if held := descriptors(t, c.Path()); len(held) != 0 {
				t.Errorf("still open: %v", held)
			}
			must(t, os.Remove(c.Path()))
		}
	})
}

// An interrupt that found nothing running must not spoil the close after it:
// the flag would keep the last connection from removing -wal and -shm.
func TestAnInterruptBeforeCloseLeavesNoFilesBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, how := range []string{"statement", "iteration", "nothing"} {
			c := connOn(t, engine, `CREATE TABLE t (v); INSERT INTO t VALUES (1), (2)`)
			watchdog(t, how, func() {
				stop := func() {}
				switch how {
				case "statement":
					stop = pester(c)
					_, _ = c.Exec(t.Context(), slowRead)
				case "iteration":
					for _, err := range c.Rows(t.Context(), slowLater) {
						if err == nil {
							stop = pester(c)
						}
					}
				default:
					c.Interrupt()
				}
				stop()
				must(t, c.Reset())
				must(t, c.CloseConn())
			})
			if left, _ := filepath.Glob(c.Path() + "-*"); len(left) != 0 {
				t.Errorf("interrupted during %s: %v left behind", how, left)
			}
			if held := descriptors(t, c.Path()); len(held) != 0 {
				t.Errorf("still open: %v", held)
			}
		}
	})
}

// descriptors lists what this process has open of the file and its side files.
func descriptors(t *testing.T, path string) (held []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc/self/fd here: %v", err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, path) {
			held = append(held, fmt.Sprintf("%s -> %s", e.Name(), target))
		}
	}
	return held
}

func second[T any](_ T, err error) error { return err }

// interruptRounds is how many interrupts of one kind are tried on one engine.
func interruptRounds() int { return tier.Count(80, 1000, 10_000) }

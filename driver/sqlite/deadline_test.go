package sqlite_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

const endless = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) `

// slowOpcode returns an operation that spends about d in one opcode, which nobody can interrupt.
func slowOpcode(t testing.TB, db *sqlite.DB, d time.Duration) func(*sqlite.Conn) error {
	t.Helper()
	run := func(c *sqlite.Conn, n int) error {
		var got int
		return c.QueryRow(ctx, `SELECT length(replace(hex(zeroblob(?)), '0', 'ab'))`, n).Scan(&got)
	}
	n, took := 1<<18, time.Duration(0)
	for took < 5*time.Millisecond && n < 1<<26 {
		n *= 2
		must(t, db.Read(ctx, func(c *sqlite.Conn) error {
			start := time.Now()
			defer func() { took = time.Since(start) }()
			return run(c, n)
		}))
	}
	most := int(min(int64(d)*int64(n)/int64(took), 200<<20))
	return func(c *sqlite.Conn) error { return run(c, most) }
}

// endlessOperation is one that only an interrupt ends.
type endlessOperation struct {
	name string
	run  func(db *sqlite.DB, ctx context.Context, began func()) error
}

var endlessOperations = []endlessOperation{
	{"a long first step", func(db *sqlite.DB, ctx context.Context, began func()) error {
		return db.View(ctx, func(c *sqlite.Conn) error {
			began()
			var n int
			return c.QueryRow(ctx, endless+`SELECT count(*) FROM n`).Scan(&n)
		})
	}},
	{"a long later step", func(db *sqlite.DB, ctx context.Context, began func()) error {
		return db.Read(ctx, func(c *sqlite.Conn) error {
			return c.Each(ctx, endless+`SELECT i FROM n WHERE i = 1 OR i < 0`, func(*sqlite.Row) error { began(); return nil })
		})
	}},
	{"an iteration without end", func(db *sqlite.DB, ctx context.Context, began func()) error {
		var once sync.Once
		return db.View(ctx, func(c *sqlite.Conn) error {
			return c.Each(ctx, endless+`SELECT i FROM n`, func(*sqlite.Row) error { once.Do(began); return nil })
		})
	}},
	{"a long write", func(db *sqlite.DB, ctx context.Context, began func()) error {
		return db.Update(ctx, func(c *sqlite.Conn) error {
			if err := setRow(c, "lost"); err != nil {
				return err
			}
			began()
			_, err := c.Exec(ctx, endless+`INSERT INTO t SELECT i FROM n`)
			return err
		})
	}},
	{"many short statements", func(db *sqlite.DB, ctx context.Context, began func()) error {
		return db.View(ctx, func(c *sqlite.Conn) error {
			began()
			for {
				var v string
				if err := c.QueryRow(ctx, `SELECT v FROM t`).Scan(&v); err != nil {
					return err
				}
			}
		})
	}},
}

// Work that does not end is interrupted after the grace, wherever it is, and the pause ends well.
func TestPauseInterruptsAfterTheGrace(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, op := range endlessOperations {
			t.Run(op.name, func(t *testing.T) {
				db := openWithRow(t, engine, func(c *sqlite.Config) { c.Grace, c.Timeout = 10*time.Millisecond, patienceOfTests })
				began := make(chan struct{})
				errs := goErr(func() error { return op.run(db, ctx, func() { close(began) }) })
				<-began
				must(t, db.Pause(ctx))
				nothingHeld(t, db)
				within(t, "the operation", errs, lifecycle.ErrInterrupted)
				if n := db.Report().Interrupts; n != 1 {
					t.Errorf("the report says %d interrupts, want 1", n)
				}
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q: an interrupted write leaves nothing", got)
				}
			})
		}
	})
}

// A context that has ended already interrupts and severs at once.
func TestPauseWithAnEndedContext(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, op := range endlessOperations {
			t.Run(op.name, func(t *testing.T) {
				db := openWithRow(t, engine, nil)
				began := make(chan struct{})
				errs := goErr(func() error { return op.run(db, ctx, func() { close(began) }) })
				<-began
				ended, cancel := context.WithCancel(ctx)
				cancel()
				if err := db.Pause(ended); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("Pause: %v, want nil or a HeldError with the context's error", err)
				}
				within(t, "the operation", errs, lifecycle.ErrInterrupted)
				awaitState(t, db, lifecycle.Paused)
				nothingHeld(t, db)
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q", got)
				}
			})
		}
	})
}

// The end of an operation's own context stops it at any step.
func TestAnOperationEndsWithItsContext(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, op := range endlessOperations {
			t.Run(op.name, func(t *testing.T) {
				db := openWithRow(t, engine, nil)
				began := make(chan struct{})
				short, cancel := context.WithCancel(ctx)
				errs := goErr(func() error { return op.run(db, short, func() { close(began) }) })
				<-began
				cancel()
				within(t, "the operation", errs, context.Canceled)
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q", got)
				}
			})
		}
	})
}

// A holder that does nothing at all, beyond the deadline: Pause severs it and
// nothing is held; the holder meets ErrInterrupted when it goes on.
func TestAHolderBeyondTheDeadlineIsSevered(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, hold := range map[string]func(db *sqlite.DB, ctx context.Context, b *blocker) error{
			"between two statements": func(db *sqlite.DB, ctx context.Context, b *blocker) error {
				return db.View(ctx, func(c *sqlite.Conn) error {
					b.hold()
					var v string
					return c.QueryRow(ctx, `SELECT v FROM t`).Scan(&v)
				})
			},
			"in the middle of an iteration": func(db *sqlite.DB, ctx context.Context, b *blocker) error {
				var once sync.Once
				return db.Read(ctx, func(c *sqlite.Conn) error {
					return c.Each(ctx, endless+`SELECT i FROM n`, func(*sqlite.Row) error { once.Do(b.hold); return nil })
				})
			},
			"in the middle of a write": func(db *sqlite.DB, ctx context.Context, b *blocker) error {
				return db.Update(ctx, func(c *sqlite.Conn) error {
					if err := setRow(c, "lost"); err != nil {
						return err
					}
					b.hold()
					return setRow(c, "lost too")
				})
			},
			"a write that would end well": func(db *sqlite.DB, ctx context.Context, b *blocker) error {
				return db.Update(ctx, func(c *sqlite.Conn) error {
					err := setRow(c, "lost")
					b.hold()
					return err
				})
			},
		} {
			t.Run(name, func(t *testing.T) {
				db := openWithRow(t, engine, nil)
				b := newBlocker()
				errs := goErr(func() error { return hold(db, lifecycle.WithLabel(ctx, "the leak"), b) })
				<-b.began
				err := db.Pause(deadline(t, 50*time.Millisecond))
				held := (*lifecycle.HeldError)(nil)
				if err != nil && (!errors.As(err, &held) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the leak")) {
					t.Errorf("Pause: %v, want nil or a HeldError that names the leak", err)
				}
				must(t, db.Pause(ctx)) // what is left needs nobody
				nothingHeld(t, db)
				if n := db.Stats().Severed; n != 1 {
					t.Errorf("%d connections were severed, want 1", n)
				}
				must(t, db.Resume(ctx)) // beside the holder, which has not noticed yet
				close(b.release)
				within(t, "the holder", errs, lifecycle.ErrInterrupted)
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q: a severed write leaves nothing", got)
				}
			})
		}
	})
}

// What nobody can interrupt, one long opcode, is named, and let go when it ends.
func TestAnUninterruptibleHolderIsNamed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		opcode := slowOpcode(t, db, 400*time.Millisecond)
		began := make(chan struct{})
		errs := goErr(func() error {
			return db.Read(lifecycle.WithLabel(ctx, "one opcode"), func(c *sqlite.Conn) error { close(began); return opcode(c) })
		})
		<-began
		err := db.Pause(deadline(t, 30*time.Millisecond))
		held := (*lifecycle.HeldError)(nil)
		if !errors.As(err, &held) {
			t.Logf("the opcode was faster than the deadline: Pause returned %v", err)
		} else if len(held.Holders) != 1 || held.Holders[0].Label != "one opcode" {
			t.Errorf("the HeldError names %v, want the one holder", held.Holders)
		}
		must(t, db.Resume(ctx)) // waits for no stuck reader
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
		select {
		case <-errs:
		case <-time.After(patienceOfTests):
			t.Fatal("the opcode does not end")
		}
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
	})
}

// A Pause from inside an operation could only wait for itself.
func TestPauseInsideAnOperation(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		must(t, db.View(ctx, func(c *sqlite.Conn) error {
			if err := db.Pause(db.Inside(ctx, c)); !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("Pause with a context of Inside: %v, want ErrNested", err)
			}
			if err := db.Pause(deadline(t, 50*time.Millisecond)); !errors.Is(err, lifecycle.ErrNested) && !errors.As(err, new(*lifecycle.HeldError)) {
				t.Errorf("Pause inside a View: %v, want ErrNested or a HeldError", err)
			}
			if err := db.Close(db.Inside(ctx, c)); !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("Close with a context of Inside: %v, want ErrNested", err)
			}
			return nil
		}))
		// On another goroutine nothing tells that it belongs to the operation: it ends at its deadline.
		err := db.View(lifecycle.WithLabel(ctx, "waits for its own Pause"), func(*sqlite.Conn) error {
			return <-goErr(func() error { return db.Pause(deadline(t, 50*time.Millisecond)) })
		})
		if held := (*lifecycle.HeldError)(nil); !errors.As(err, &held) || len(held.Holders) != 1 || held.Holders[0].Label != "waits for its own Pause" {
			t.Errorf("a Pause that an operation waits for: %v, want a HeldError that names the operation", err)
		}
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
		must(t, db.Resume(ctx))
	})
}

// Reads and writes inside one another end, one way or the other.
func TestOperationsInsideOperations(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		must(t, db.View(ctx, func(c *sqlite.Conn) error {
			return db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "written inside a read") })
		}))
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			if got := readRow(t, db); got != "written inside a read" {
				t.Errorf("read %q", got)
			}
			in := db.Inside(ctx, c)
			if err := db.Update(in, func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("Update inside Update: %v, want ErrNested", err)
			}
			if err := db.Update(deadline(t, time.Minute), func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrNested) {
				t.Errorf("Update inside Update, on its own stack: %v, want ErrNested", err)
			}
			return db.Read(in, func(same *sqlite.Conn) error {
				if same != c {
					t.Error("a Read with a context of Inside gets another connection")
				}
				return nil
			})
		}))
	})
}

// A panic rolls back, gives the connection back and goes on.
func TestAPanicRollsBackAndGoesOn(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		for range 5 { // more than there are connections
			for _, op := range []func(context.Context, func(*sqlite.Conn) error) error{db.View, db.Update, db.Read, db.Write} {
				func() {
					defer func() {
						if v := recover(); v != "theirs" {
							t.Errorf("recovered %v, want the callback's panic", v)
						}
					}()
					_ = op(ctx, func(c *sqlite.Conn) error {
						_ = c.Update(ctx, func(c *sqlite.Conn) error { _ = setRow(c, "lost"); panic("theirs") })
						_ = setRow(c, "lost")
						panic("theirs")
					})
				}()
			}
		}
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
	})
}

package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// TestNoCallBesideAnother: database/sql promises a driver that a connection is
// used by one goroutine at a time, and that nothing of it is used after its
// Close. A pause that severs connections in the middle of whatever their owners
// do keeps that promise, for everything that a driver can have.
func TestNoCallBesideAnother(t *testing.T) {
	for _, of := range []struct {
		name string
		wrap func(*aloneConn) driver.Conn
	}{
		{"interrupts", func(c *aloneConn) driver.Conn { return interruptible{c} }},
		{"contexts", func(c *aloneConn) driver.Conn { return c }},
	} {
		t.Run("stopped by "+of.name, func(t *testing.T) {
			a := &alone{}
			f := &fake{wrap: func(c *fakeConn) driver.Conn { return of.wrap(&aloneConn{alone: a, f: c.f}) }}
			db, store := open(t, f, func(c *sqldb.Config) { c.SingleWriter = true })
			severed := storm(t, db, store, tier.Count(100, 1000, 10_000))
			a.mu.Lock()
			defer a.mu.Unlock()
			for _, fault := range a.faults {
				t.Error(fault)
			}
			if severed == 0 || a.calls.Load() == 0 {
				t.Errorf("%d connections severed, %d calls: this has tested nothing", severed, a.calls.Load())
			}
		})
	}
}

// storm pauses so often, with no time to finish for anybody, and goes on until that
// has taken a connection from its owner: on a busy machine the first hundred pauses
// may all come between two operations. It returns how many were taken.
func storm(t *testing.T, db *sql.DB, store *sqldb.Store, pauses int) (severed int) {
	var owners sync.WaitGroup
	stop := make(chan struct{})
	for range 6 {
		owners.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					use(db)
				}
			}
		})
	}
	at, ended := context.WithCancel(ctx)
	ended()
	giveUp := time.Now().Add(time.Minute)
	for n := 0; n < pauses || severed == 0 && time.Now().Before(giveUp); n++ {
		for range rand.IntN(200) {
			runtime.Gosched()
		}
		_ = store.Pause(at) // an ended context interrupts and severs at once
		must(t, store.Pause(ctx))
		severed += store.Report().Severed
		must(t, store.Resume(ctx))
	}
	close(stop)
	owners.Wait()
	return severed
}

// use does what programs do with a database. Its errors are the pauses'.
func use(db *sql.DB) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	switch rand.IntN(5) {
	case 0:
		_, _ = db.ExecContext(ctx, `INSERT ?`, 1)
	case 1:
		rows, err := db.QueryContext(ctx, `SELECT 3`)
		if err != nil {
			return
		}
		for rows.Next() {
			_, _ = rows.ColumnTypes()
		}
		_ = rows.Close()
	case 2:
		stmt, err := db.PrepareContext(ctx, `INSERT ?`)
		if err != nil {
			return
		}
		_, _ = stmt.ExecContext(ctx, 2)
		_ = stmt.Close()
	case 3:
		_ = db.PingContext(ctx)
	default:
		tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: rand.IntN(2) == 0})
		if err != nil {
			return
		}
		_, _ = tx.Exec(`INSERT ?`, 3)
		if rand.IntN(2) == 0 {
			_ = tx.Rollback()
		} else {
			_ = tx.Commit()
		}
	}
}

// alone is a driver that wants to be.
type alone struct {
	calls  atomic.Int64
	mu     sync.Mutex
	faults []string
}

func (a *alone) fault(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.faults, text) {
		a.faults = append(a.faults, text)
	}
}

// aloneConn has everything that a connection can have but an Interrupt.
type aloneConn struct {
	*alone
	f      *fake
	inside atomic.Pointer[string]
	closed atomic.Bool
	open   int // plain, so that the race detector sees what the checks miss
}

// only is called at the beginning of every method; what it returns at its end.
func (c *aloneConn) only(method string) func() {
	c.calls.Add(1)
	c.open++
	if !c.inside.CompareAndSwap(nil, &method) {
		if other := c.inside.Load(); other != nil {
			c.fault(method + " is called while " + *other + " runs")
		}
		return func() {}
	}
	if c.closed.Load() {
		c.fault(method + " is called after Close")
	}
	for range rand.IntN(8) {
		runtime.Gosched()
	}
	return func() { c.open--; c.inside.Store(nil) }
}

func (c *aloneConn) Prepare(text string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), text)
}

func (c *aloneConn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	defer c.only("Prepare")()
	return &aloneStmt{c}, nil
}

func (c *aloneConn) Close() error {
	defer c.only("Close")()
	c.closed.Store(true)
	c.f.set(func() { c.f.open-- })
	return nil
}

func (c *aloneConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *aloneConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	defer c.only("BeginTx")()
	return c, nil
}

func (c *aloneConn) Commit() error   { defer c.only("Commit")(); return nil }
func (c *aloneConn) Rollback() error { defer c.only("Rollback")(); return nil }

func (c *aloneConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	defer c.only("Exec")()
	return driver.RowsAffected(1), nil
}

func (c *aloneConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	defer c.only("Query")()
	return &aloneRows{c: c, left: 3}, nil
}

func (c *aloneConn) Ping(context.Context) error         { defer c.only("Ping")(); return nil }
func (c *aloneConn) ResetSession(context.Context) error { defer c.only("ResetSession")(); return nil }
func (c *aloneConn) IsValid() bool                      { defer c.only("IsValid")(); return true }
func (c *aloneConn) CheckNamedValue(*driver.NamedValue) error {
	defer c.only("CheckNamedValue")()
	return nil
}

// interruptible is one that can be stopped without a context.
type interruptible struct{ *aloneConn }

func (c interruptible) Interrupt() {
	if c.closed.Load() {
		c.fault("Interrupt is called after Close")
	}
}

type aloneStmt struct{ c *aloneConn }

func (s *aloneStmt) Close() error  { defer s.c.only("Stmt.Close")(); return nil }
func (s *aloneStmt) NumInput() int { defer s.c.only("Stmt.NumInput")(); return -1 }

func (s *aloneStmt) Exec([]driver.Value) (driver.Result, error) {
	defer s.c.only("Stmt.Exec")()
	return driver.RowsAffected(1), nil
}

func (s *aloneStmt) Query([]driver.Value) (driver.Rows, error) {
	defer s.c.only("Stmt.Query")()
	return &aloneRows{c: s.c, left: 3}, nil
}

func (s *aloneStmt) CheckNamedValue(*driver.NamedValue) error {
	defer s.c.only("Stmt.CheckNamedValue")()
	return nil
}

type aloneRows struct {
	c    *aloneConn
	left int
}

func (r *aloneRows) Columns() []string { defer r.c.only("Rows.Columns")(); return []string{"n"} }
func (r *aloneRows) Close() error      { defer r.c.only("Rows.Close")(); return nil }

func (r *aloneRows) ColumnTypeDatabaseTypeName(int) string {
	defer r.c.only("Rows.ColumnType")()
	return "INTEGER"
}

func (r *aloneRows) Next(dest []driver.Value) error {
	defer r.c.only("Rows.Next")()
	if r.left == 0 {
		return io.EOF
	}
	if r.left--; r.left == 1 && rand.IntN(10) == 0 {
		return errors.New("fake: failed")
	}
	dest[0] = int64(r.left)
	return nil
}

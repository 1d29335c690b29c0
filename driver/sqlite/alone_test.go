package sqlite_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// TestNoCallBesideAnother: a connection of SQLite's, its statements, rows and
// backups are used by one goroutine at a time, and nothing of it is used after
// its Close. A pause that severs connections in the middle of whatever their
// owners do keeps that.
func TestNoCallBesideAnother(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		a := &alone{Engine: engine}
		db := open(t, a, func(c *sqlite.Config) { c.Verify, c.StatementCache = false, 3 })
		must(t, db.Update(ctx, func(c *sqlite.Conn) error {
			return c.ExecScript(ctx, `CREATE TABLE t (v);
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t SELECT i FROM n`)
		}))
		var owners sync.WaitGroup
		stop := make(chan struct{})
		for i := range 5 {
			path := filepath.Join(t.TempDir(), "copy.db")
			owners.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						useConn(db, i, path)
					}
				}
			})
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		severed := 0
		giveUp := time.Now().Add(time.Minute)
		for n := 0; n < tier.Count(80, 1000, 10_000) || severed == 0 && time.Now().Before(giveUp); n++ {
			for range rand.IntN(300) {
				runtime.Gosched()
			}
			_ = db.Pause(ended) // interrupts and severs at once
			must(t, db.Pause(ctx))
			severed += db.Report().Severed
			must(t, db.Resume(ctx))
		}
		close(stop)
		owners.Wait()
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, fault := range a.faults {
			t.Error(fault)
		}
		t.Logf("%d connections severed, %d calls", severed, a.calls.Load())
		if severed == 0 || a.calls.Load() == 0 {
			t.Error("no connection was severed, or none was used: this has tested nothing")
		}
	})
}

// useConn does what programs do with a connection. Its errors are the pauses'.
func useConn(db *sqlite.DB, owner int, path string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	switch rand.IntN(6) {
	case 0:
		_ = db.View(ctx, func(c *sqlite.Conn) error {
			own, cancel := context.WithCancel(ctx)
			defer cancel()
			for row, err := range c.Rows(own, `SELECT v FROM t`) {
				if err != nil {
					return err
				}
				var v int
				_ = row.Scan(&v)
				switch _ = row.Columns(); {
				case v == 3:
					_ = c.QueryRow(ctx, `SELECT count(*) FROM t WHERE v > ?`, v).Scan(&v)
				case v == 5 && rand.IntN(2) == 0:
					return nil
				case v == 7 && rand.IntN(2) == 0:
					cancel()
				case v > 10:
					return errors.New("enough")
				}
				runtime.Gosched()
			}
			return nil
		})
	case 1:
		_ = db.Update(ctx, func(c *sqlite.Conn) error {
			_, err := c.Exec(ctx, `UPDATE t SET v = v WHERE v = ?`, owner)
			runtime.Gosched()
			return errors.Join(err, c.Savepoint(ctx, func(c *sqlite.Conn) error {
				runtime.Gosched()
				_, err := c.Exec(ctx, `UPDATE t SET v = v WHERE v < ?`, owner)
				if rand.IntN(2) == 0 {
					err = errors.New("taken back")
				}
				return err
			}))
		})
	case 2:
		_ = db.Read(ctx, func(c *sqlite.Conn) error {
			_, err := sqlite.Collect(c.Rows(ctx, `SELECT v FROM t LIMIT 20`), func(r *sqlite.Row) (v int, err error) { return v, r.Scan(&v) })
			return err
		})
	case 3:
		_ = db.Backup(ctx, path, sqlite.BackupOptions{Pages: 1, Progress: func(int, int) {
			if runtime.Gosched(); rand.IntN(4) == 0 {
				cancel()
			}
		}})
	case 4:
		_ = db.Write(ctx, func(c *sqlite.Conn) error {
			runtime.Gosched()
			return c.ExecScript(ctx, `PRAGMA user_version = 4; UPDATE t SET v = v WHERE v = 1; SELECT v FROM t`)
		})
	default:
		_ = db.Read(ctx, func(c *sqlite.Conn) error {
			runtime.Gosched()
			return c.Each(ctx, `SELECT v FROM t`, func(*sqlite.Row) error { runtime.Gosched(); return nil })
		})
	}
}

// alone is an engine that wants to be.
type alone struct {
	sqlite.Engine
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

// Open opens a connection that notices who is beside whom.
func (a *alone) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	raw, err := a.Engine.Open(path, o)
	if err != nil {
		return nil, err
	}
	return &aloneRaw{Raw: raw, alone: a}, nil
}

// aloneRaw has what driver/sqlite uses of a connection.
type aloneRaw struct {
	sqlite.Raw
	alone  *alone
	inside atomic.Pointer[string]
	closed atomic.Bool
	calls  int // plain, so that the race detector sees what the checks miss
}

// only is called at the beginning of every method; what it returns at its end.
func (r *aloneRaw) only(method string) func() {
	r.alone.calls.Add(1)
	r.calls++
	if !r.inside.CompareAndSwap(nil, &method) {
		if other := r.inside.Load(); other != nil {
			r.alone.fault(method + " is called while " + *other + " runs")
		}
		return func() {}
	}
	if r.closed.Load() {
		r.alone.fault(method + " is called after Close")
	}
	for range rand.IntN(4) {
		runtime.Gosched()
	}
	return func() { r.inside.Store(nil) }
}

func (r *aloneRaw) Interrupt() {
	if r.closed.Load() {
		r.alone.fault("Interrupt is called after Close")
	}
	r.Raw.Interrupt()
}

func (r *aloneRaw) Close() error {
	defer r.only("Close")()
	r.closed.Store(true)
	return r.Raw.Close()
}

func (r *aloneRaw) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	defer r.only("Prepare")()
	stmt, err := r.Raw.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return &aloneStmt{stmt, r}, nil
}

func (r *aloneRaw) Autocommit() bool { defer r.only("Autocommit")(); return r.Raw.Autocommit() }

func (r *aloneRaw) NoCheckpointOnClose() error {
	defer r.only("NoCheckpointOnClose")()
	return r.Raw.NoCheckpointOnClose()
}

func (r *aloneRaw) Changes() (rows, id int64) { defer r.only("Changes")(); return r.Raw.Changes() }

func (r *aloneRaw) Parameters(s driver.Stmt) int {
	defer r.only("Parameters")()
	return r.Raw.Parameters(s.(*aloneStmt).Stmt)
}

func (r *aloneRaw) ReadOnly(s driver.Stmt) bool {
	defer r.only("ReadOnly")()
	return r.Raw.ReadOnly(s.(*aloneStmt).Stmt)
}

func (r *aloneRaw) Plain(rows driver.Rows) {
	defer r.only("Plain")()
	r.Raw.Plain(rows.(*aloneRows).Rows)
}

// Unwrap is for Backup, of which this is the destination then: its calls are the source's until it has ended.
func (r *aloneRaw) Unwrap() driver.Conn { defer r.only("Unwrap")(); return r.Raw.Unwrap() }

func (r *aloneRaw) Backup(dst driver.Conn) (sqlite.Backup, error) {
	defer r.only("Backup")()
	b, err := r.Raw.Backup(dst)
	if err != nil {
		return nil, err
	}
	return &aloneBackup{b, r}, nil
}

type aloneBackup struct {
	sqlite.Backup
	r *aloneRaw
}

func (b *aloneBackup) Step(n int) (bool, error) {
	defer b.r.only("Backup.Step")()
	return b.Backup.Step(n)
}
func (b *aloneBackup) Pages() (left, all int) {
	defer b.r.only("Backup.Pages")()
	return b.Backup.Pages()
}
func (b *aloneBackup) Finish() error { defer b.r.only("Backup.Finish")(); return b.Backup.Finish() }

type aloneStmt struct {
	driver.Stmt
	r *aloneRaw
}

func (s *aloneStmt) Close() error  { defer s.r.only("Stmt.Close")(); return s.Stmt.Close() }
func (s *aloneStmt) NumInput() int { defer s.r.only("Stmt.NumInput")(); return s.Stmt.NumInput() }

func (s *aloneStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	defer s.r.only("Stmt.Exec")()
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *aloneStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	defer s.r.only("Stmt.Query")()
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return &aloneRows{rows, s.r}, nil
}

type aloneRows struct {
	driver.Rows
	r *aloneRaw
}

func (r *aloneRows) Columns() []string { defer r.r.only("Rows.Columns")(); return r.Rows.Columns() }
func (r *aloneRows) Close() error      { defer r.r.only("Rows.Close")(); return r.Rows.Close() }
func (r *aloneRows) Next(dest []driver.Value) error {
	defer r.r.only("Rows.Next")()
	return r.Rows.Next(dest)
}

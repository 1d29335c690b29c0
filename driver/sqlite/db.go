package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// DB is an SQLite database that pauses: a pool of readers and one writer
// behind one handle, which stays valid over any number of pauses.
//
// Pause, Resume, Close, State, Subscribe, Report, Stats, Holders, Generation
// and Inside are those of lifecycle.Connections, and so are Read and Write,
// which hand out a connection without a transaction. View and Update are what
// an application usually wants. All methods may be called from any number of goroutines.
type DB struct {
	*lifecycle.Connections[*Conn]
	driver *storeDriver

	opening   atomic.Pointer[opening] // nil once Open has succeeded
	optimized atomic.Int64            // when PRAGMA optimize ran last, in nanoseconds
	observed  lifecycle.Observer      // the user's, or nil
	facade    atomic.Pointer[facade]  // of SQL and SQLX
}

// opening is what an Open that fails has to undo, once.
type opening struct {
	once sync.Once
	made made
}

// View calls fn with a reader inside one read transaction: what it reads is of
// one moment. fn must not keep the connection.
func (db *DB) View(ctx context.Context, fn func(*Conn) error) error {
	return db.Read(ctx, func(c *Conn) error { return c.View(ctx, fn) })
}

// Update calls fn with the writer inside one write transaction (BEGIN
// IMMEDIATE), which is committed when fn returns nil and rolled back when it
// returns an error or panics. The lock of another process is waited for within
// Config.BusyTimeout, then ErrBusy is returned; a pause ends that waiting. An
// Update that returned nil is committed. fn must not keep the connection.
func (db *DB) Update(ctx context.Context, fn func(*Conn) error) error {
	return db.WriteAfter(ctx, beginImmediate, func(c *Conn) error { return c.finish(fn) })
}

func beginImmediate(ctx context.Context, c *Conn, pauseBegan <-chan struct{}) error {
	c.giveUp = pauseBegan
	err := c.beginImmediate(ctx)
	c.giveUp = nil
	return err
}

// Resume opens the database again, as lifecycle.Connections.Resume does.
// Besides the errors named there it returns ErrBusy when another process
// holds the file for longer than Config.BusyTimeout, ErrNotADatabase and ErrCorrupt.
func (db *DB) Resume(ctx context.Context) error {
	err := db.Connections.Resume(ctx)
	if err == nil {
		db.optimizeLater()
	}
	return err
}

// Close is Pause for good, as lifecycle.Connections.Close. When it returned
// nil, this process may open the file again.
func (db *DB) Close(ctx context.Context) error {
	err := db.Connections.Close(ctx)
	if err == nil || db.State() == lifecycle.Closed {
		db.unclaim()
	}
	return errors.Join(err, db.closeSQL())
}

func (db *DB) unclaim() {
	if o := db.opening.Load(); o != nil {
		o.once.Do(func() { o.made.undo(db.driver) })
	}
	openFiles.release(db.driver.files())
}

// Path returns the absolute path of the database file.
func (db *DB) Path() string { return db.driver.path() }

// Engine returns the name of the engine.
func (db *DB) Engine() string { return db.driver.engine.Name() }

// Size returns the size of the database in bytes, without the log, as far as
// it is committed.
func (db *DB) Size(ctx context.Context) (int64, error) {
	var pages, size int64
	err := db.Read(ctx, func(c *Conn) error {
		return errors.Join(
			c.QueryRow(ctx, `PRAGMA page_count`).Scan(&pages),
			c.QueryRow(ctx, `PRAGMA page_size`).Scan(&size))
	})
	return pages * size, err
}

// dbObserver passes events on, and gives the file free when a Close whose
// caller has left comes to its end.
type dbObserver DB

// Observe is called by the core.
func (o *dbObserver) Observe(e lifecycle.Event) {
	db := (*DB)(o)
	switch e.To {
	case lifecycle.Active:
		db.driver.activated()
	case lifecycle.Closed:
		db.unclaim()
	}
	if db.observed != nil {
		db.observed.Observe(e)
	}
}

// optimizeLater runs PRAGMA optimize in the background, at most once a day. A
// pause stops it at once.
func (db *DB) optimizeLater() {
	last := db.optimized.Load()
	if db.driver.settings().noOptimize || time.Duration(timeNow()-last) < 24*time.Hour || !db.optimized.CompareAndSwap(last, timeNow()) {
		return
	}
	began := db.PauseBegan()
	go func() {
		ctx, cancel := context.WithCancel(lifecycle.WithLabel(lifecycle.WithPolicy(context.Background(), lifecycle.Fail), "optimize"))
		defer cancel()
		go func() {
			select {
			case <-began:
				cancel()
			case <-ctx.Done():
			}
		}()
		// Whether it ran or not: it is advice to the query planner, and comes again tomorrow.
		_ = db.Write(ctx, func(c *Conn) error { return c.ExecScript(ctx, optimizeStatement) })
	}()
}

func timeNow() int64 { return time.Now().UnixNano() }

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/guard"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// connect opens one connection and gives it all its settings. check looks at
// the content before Setup, a hook that may write, runs. Whoever holds the file
// exclusively is waited for in Go, within the busy timeout: what meets the lock
// may be the open or any of the settings.
func (d *storeDriver) connect(ctx context.Context, role lifecycle.Role, check func(*Conn) error) (c *Conn, err error) {
	err = whileBusy(ctx, d.settings().busyTimeout, func() (err error) {
		c, err = d.connectOnce(ctx, role, check)
		return err
	})
	return c, err
}

func (d *storeDriver) connectOnce(ctx context.Context, role lifecycle.Role, check func(*Conn) error) (c *Conn, err error) {
	set := d.settings()
	raw, err := d.engine.Open(d.path(), OpenOptions{Exclusive: set.exclusive})
	if err != nil {
		return nil, openError(&d.main, wrapError(d.engine, d.path(), "open", "", err))
	}
	c = newConn(d.engine, raw, d.path(), connOptions{
		StmtCache: set.statementCache, BusyTimeout: set.busyTimeout,
	})
	ready := false
	defer func() { // also where a hook called runtime.Goexit
		if !ready {
			err = errors.Join(err, c.close())
			c = nil
		}
	}()
	c.setOp(context.Background())
	err = d.setUp(ctx, c, role, check)
	if err = errors.Join(err, c.reset()); err != nil {
		return c, openError(&d.main, err)
	}
	ready = true
	return c, nil
}

// setUp applies every setting that belongs to a connection, to every
// connection. SQLite forgets them all when a connection is closed.
func (d *storeDriver) setUp(ctx context.Context, c *Conn, role lifecycle.Role, check func(*Conn) error) error {
	set := d.settings()
	for i, f := range d.files() {
		if i > 0 {
			uri, err := OpenOptions{Exclusive: set.exclusive}.URI(f.path)
			if err != nil {
				return openError(f, err)
			}
			if _, err := c.Exec(ctx, `ATTACH DATABASE ? AS `+f.schema(), uri); err != nil {
				return openError(f, err)
			}
		}
		if err := c.ExecScript(ctx, set.script(f.schema())); err != nil {
			return openError(f, err)
		}
	}
	if err := check(c); err != nil {
		return err
	}
	// What the check has asked is not asked again, and a pause would have to finalize it.
	if err := c.inside("set up", "", c.stmts.closeAll); err != nil {
		return err
	}
	if d.setup != nil {
		if err := guard.Recovered(func() error { return d.setup(ctx, c) }); err != nil {
			return fmt.Errorf("setup: %w", err)
		}
	}
	if role == lifecycle.Reader {
		return c.readsOnly(ctx)
	}
	return nil
}

// readsOnly makes a reader of the connection. Not mode=ro: a read-only
// connection that closes last leaves -wal and -shm behind.
func (c *Conn) readsOnly(ctx context.Context) error {
	c.readOnly = true
	return c.ExecScript(ctx, `PRAGMA query_only = 1`)
}

// writable runs f on a reader that may write meanwhile. On an error the
// connection is not used again.
func (c *Conn) writable(ctx context.Context, f func(context.Context, *Conn) error) error {
	if err := c.ExecScript(ctx, `PRAGMA query_only = 0`); err != nil {
		return err
	}
	c.readOnly = false
	if err := f(ctx, c); err != nil {
		return err
	}
	return c.readsOnly(ctx)
}

// script is what every connection runs for a database on it.
func (s settings) script(schema string) string {
	var b strings.Builder
	set := func(format string, args ...any) { fmt.Fprintf(&b, "PRAGMA "+format+";\n", args...) }
	if schema == mainSchema {
		set("foreign_keys = %d", map[bool]int{true: 0, false: 1}[s.noForeignKeys])
	}
	set("%s.cache_size = -%d", schema, s.cacheSize/1024)
	set("%s.synchronous = %s", schema, synchronousNames[s.synchronous])
	set("%s.journal_size_limit = %d", schema, s.journalSizeLimit)
	set("%s.mmap_size = %d", schema, s.mmapSize)
	return b.String()
}

// openError says what a refusal of SQLite means for the file.
func openError(f *file, err error) error {
	var known *OpenError
	if errors.As(err, &known) {
		return err
	}
	e := &OpenError{Path: f.path, Err: err}
	switch {
	case errors.Is(err, ErrNotADatabase):
		e.Hint = "it is no SQLite database, or an encrypted one"
	case errors.Is(err, ErrCorrupt):
		e.Hint = "restore it from a back-up, or try sqlite3's .recover"
	case errors.Is(err, ErrReadOnly):
		e.Err = errors.Join(lifecycle.ErrInaccessible, err)
		e.Hint = "this process may not write to it"
	case errors.Is(err, ErrCantOpen):
		if cause := f.whyNot(); cause != nil {
			e.Err = errors.Join(cause, err)
		}
	case errors.Is(err, ErrBusy):
		e.Hint = "another process holds it exclusively"
	}
	return e
}

// whileBusy calls attempt until it returns anything but ErrBusy: what opens,
// prepares or wipes a database waits so for somebody else's lock, with back-off,
// up to the time-out and the end of ctx. Statements of an operation wait by
// Conn.patiently, which a pause can end too.
func whileBusy(ctx context.Context, timeout time.Duration, attempt func() error) error {
	until := time.Now().Add(timeout)
	delay := guard.Backoff{}
	for {
		err := attempt()
		left := time.Until(until)
		if !errors.Is(err, ErrBusy) || left <= 0 {
			return err
		}
		timer := time.NewTimer(min(delay.Next(), left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

package sqlite

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// A transaction is over when SQLite says so (sqlite3_get_autocommit), not when
// we think so: an interrupted INSERT, UPDATE or DELETE rolls everything back,
// and what comes next would run in autocommit. So SQLite is asked after every
// error, and a dead transaction answers every later statement with the error
// that ended it.

type transactionKind uint8

const (
	noTransaction transactionKind = iota
	reading
	writing
)

type transaction struct {
	kind  transactionKind
	depth int   // 1, and one more for every savepoint
	dead  error // what ended it early
}

// View runs f in a read transaction: every statement sees the same content,
// and several are cheaper than one by one. Inside View or Update it joins the
// transaction that is open.
func (c *Conn) View(ctx context.Context, f func(*Conn) error) error {
	joins := false
	err := c.inside("begin", "", func() error {
		if joins = c.tx.kind != noTransaction; joins {
			return nil
		}
		return c.start(ctx, ctlBegin, reading)
	})
	switch {
	case err != nil:
		return err
	case joins:
		return f(c)
	default:
		return c.run(ctx, f)
	}
}

// Update runs f in a write transaction that is committed when f returns nil,
// and rolled back when it returns an error or panics. Waiting for another
// process's lock happens before f runs, for at most the busy timeout (ErrBusy)
// and until ctx ends or the operation is interrupted. Update inside View or
// Update returns lifecycle.ErrNested; Savepoint nests.
func (c *Conn) Update(ctx context.Context, f func(*Conn) error) error {
	if err := c.beginImmediate(ctx); err != nil {
		return err
	}
	return c.run(ctx, f)
}

// finish is the second half of Update, for an operation whose first half was beginImmediate.
func (c *Conn) finish(f func(*Conn) error) error { return c.run(c.opCtx, f) }

// run runs f in the transaction that was begun, and ends that.
func (c *Conn) run(ctx context.Context, f func(*Conn) error) error {
	returned := false
	defer func() {
		if !returned { // a panic or runtime.Goexit, which goes on
			_ = c.endTransaction(ctx, errAborted)
		}
	}()
	err := f(c)
	returned = true
	return c.endTransaction(ctx, err)
}

var errAborted = errors.New("aborted")

// beginImmediate begins a write transaction. While another connection holds
// the lock it waits, outside the engine, so that it can be given up at any time.
func (c *Conn) beginImmediate(ctx context.Context) error {
	return c.patiently(ctx, "begin", "", func() error {
		if c.readOnly {
			return c.refuse("begin", "", ErrReadOnly)
		}
		return c.start(ctx, ctlBeginImmediate, writing)
	})
}

// start begins a transaction. Inside the guard.
func (c *Conn) start(ctx context.Context, how control, kind transactionKind) error {
	if c.tx.kind != noTransaction {
		return c.refuse("begin", "", lifecycle.ErrNested)
	}
	if err := c.controlled(ctx, "begin", how); err != nil {
		return err
	}
	c.tx = transaction{kind: kind, depth: 1}
	return nil
}

// endTransaction ends it: it commits where err is nil, and otherwise
// rolls back and returns err. A commit that succeeded is acknowledged, even if
// an interrupt came meanwhile; one that an interrupt came before has failed.
func (c *Conn) endTransaction(ctx context.Context, err error) error {
	if err == nil {
		if err = c.patiently(ctx, "commit", "", func() error { return c.commit(ctx) }); err == nil {
			return nil
		}
	}
	if c.guard.Severed() {
		return err // closing the connection has rolled back
	}
	return joinErrors(err, c.inside("rollback", "", c.undo))
}

// commit commits. Inside the guard.
func (c *Conn) commit(ctx context.Context) error {
	c.closeOpen(1)
	if c.tx.kind == reading && c.tx.dead == nil {
		return c.undo() // all that was asked for was read: there is nothing that an interrupt could take back
	}
	if c.guard.Poked() {
		c.closeOpen(0) // see rollback
	}
	if err := c.controlled(ctx, "commit", ctlCommit); err != nil {
		return err
	}
	c.tx = transaction{}
	return nil
}

// undo rolls back and forgets the transaction. Inside the guard.
func (c *Conn) undo() error {
	c.guard.Shield()
	defer c.guard.Unshield()
	c.closeOpen(1)
	if err := c.rollback(); err != nil {
		return err
	}
	c.tx = transaction{}
	return nil
}

// rollback rolls back what is open, if anything. Inside the guard and the
// shield: an interrupted ROLLBACK leaves the transaction open.
func (c *Conn) rollback() error {
	if c.tx.kind == noTransaction || c.tx.dead != nil && c.raw.Autocommit() {
		return nil
	}
	if c.guard.Poked() {
		c.closeOpen(0) // an interrupt stays in force while any statement is open, and would stop the ROLLBACK
	}
	err := c.control("rollback", ctlRollback)
	if err != nil && c.raw.Autocommit() {
		return nil // SQLite had done it by itself
	}
	return err
}

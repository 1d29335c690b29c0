package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/internal/sqltext"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// A transaction is in flight until its end, whoever began it: BeginTx, or
// BEGIN as text. One that a pause cut answers ErrInterrupted to everything,
// also while the store is paused, until somebody ends it: what comes after it
// would otherwise run on its own.

// ErrReadOnly is returned for a statement that writes in a transaction that
// was begun with ReadOnly, where writers take turns (SingleWriter).
var ErrReadOnly = errors.New("sqldb: the transaction is read-only")

var errInterrupted = fmt.Errorf("sqldb: %w", lifecycle.ErrInterrupted)

// transaction is the one of a virtual connection.
type transaction struct {
	open      bool
	api       bool   // begun by BeginTx
	readOnly  bool   // … for reading only, where writers take turns
	cut       error  // it was taken away before its end: the answer to everything
	savepoint string // where its driver cannot be asked: the savepoint that began it
}

// tx is what database/sql gets.
type tx struct{ c *conn }

// Begin begins a transaction.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx begins a transaction.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	write := c.f.SingleWriter && !opts.ReadOnly
	if err := c.begin(ctx, write); err != nil {
		return nil, err
	}
	if err := c.s.beginTx(ctx, opts, write); err != nil {
		c.settled(err, true)
		return nil, c.end(err)
	}
	c.tx = transaction{open: true, api: true, readOnly: c.f.SingleWriter && opts.ReadOnly}
	c.f.entered(c)
	return tx{c}, nil
}

// Commit commits.
func (t tx) Commit() error { return t.c.endTx(true) }

// Rollback rolls back.
func (t tx) Rollback() error { return t.c.endTx(false) }

// endTx ends the transaction. Whatever it returns, it is over.
func (c *conn) endTx(commit bool) error {
	if c.s != nil && c.s.guard.Severed() {
		c.forget()
	}
	if !c.tx.open {
		return sql.ErrTxDone
	}
	cut := c.tx.cut
	c.f.left(c)
	c.tx = transaction{}
	var err error
	switch {
	case c.s == nil: // its connection is closed
	case commit && cut == nil:
		err = c.s.commit()
	default:
		err = c.s.call(c.s.undo)
	}
	if err != nil && cut != nil { // the engine may have rolled back by itself; closing does in any case
		err = nil
		c.rows, c.writers, c.temp = 0, 0, false
		c.drop()
	}
	if commit && cut != nil {
		err = cut
	}
	if c.temp || c.changed {
		c.look(context.Background())
	}
	return c.end(err)
}

// endsCutTransaction is for a text that ends a transaction which cannot go on:
// it was cut, or is about to be.
func (c *conn) endsCutTransaction(query string) (done bool, err error) {
	if !c.tx.open || c.tx.api {
		return false, nil
	}
	if c.s != nil && c.s.guard.Severed() {
		c.forget()
	}
	if c.tx.cut == nil && !c.s.guard.Interrupted() {
		return false, nil
	}
	if !ends(query) {
		return false, nil
	}
	commit := !sqltext.IsWord(sqltext.Verb(query), "ROLLBACK")
	if commit && c.tx.cut == nil {
		c.tx.cut = errInterrupted
	}
	return true, c.endTx(commit)
}

// beginTx begins a transaction by the driver's own means. One that is to write
// takes SQLite's lock at once: its first write would otherwise meet whatever
// another process has written since its first read.
func (s *Session) beginTx(ctx context.Context, opts driver.TxOptions, write bool) error {
	sc := s.scope(ctx)
	err := s.patiently(ctx, func() error {
		return s.call(func() (err error) {
			if s.guard.Interrupted() {
				return lifecycle.ErrInterrupted
			}
			sc.calling()
			defer sc.called()
			switch {
			case write && s.can.autocommit != nil && s.can.exec != nil && opts.Isolation == 0:
				if _, err = s.can.exec.ExecContext(sc.ctx, "BEGIN IMMEDIATE", nil); err == nil {
					s.tx = textTx{s}
				}
			case s.can.begin != nil:
				s.tx, err = s.can.begin.BeginTx(sc.ctx, opts)
			case opts.ReadOnly || opts.Isolation != 0:
				err = errors.New("sqldb: the driver does not support transaction options")
			default:
				//lint:ignore SA1019 what a driver of the old kind has
				s.tx, err = s.conn.Begin()
			}
			if err != nil {
				s.tx = nil
				return s.explain(err, &sc)
			}
			s.inTx.Store(true)
			s.txEnd, sc.stop = sc.stop, nil // its driver may watch the context until the end of the transaction
			return nil
		})
	})
	sc.end()
	return err
}

func (s *Session) endTxContext() {
	if s.txEnd != nil {
		s.txEnd()
		s.txEnd = nil
	}
}

// textTx is a transaction that was begun by text.
type textTx struct{ s *Session }

// Commit commits.
func (t textTx) Commit() error { return t.s.run("COMMIT") }

// Rollback rolls back.
func (t textTx) Rollback() error { return t.s.run("ROLLBACK") }

// commit commits, or rolls back and says why. A commit that succeeded is
// acknowledged, whatever came meanwhile; one that an interrupt came before has failed.
func (s *Session) commit() error {
	return s.call(func() error {
		if s.guard.Interrupted() || s.tx == nil {
			return errors.Join(errInterrupted, s.undo())
		}
		if s.guard.Poked() {
			s.closeRows() // an interrupt stays in force while any statement is open
		}
		err := s.tx.Commit()
		if err != nil {
			err = s.explain(err, nil)
			_ = s.undo() // database/sql takes the transaction for ended
			return err
		}
		s.tx = nil
		s.began.Store(false)
		s.inTx.Store(false)
		s.endTxContext()
		return nil
	})
}

// undo rolls back. Inside the guard.
func (s *Session) undo() error {
	s.guard.Shield()
	defer s.guard.Unshield()
	return s.rollback()
}

// settled looks, after an error, whether the transaction is still there: SQLite
// ends it by itself when it interrupts a write. What comes next would run outside of it.
func (c *conn) settled(err error, reads bool) {
	if err == nil || !c.tx.open || c.tx.cut != nil || c.s == nil || c.s.guard.Severed() {
		return
	}
	asked := c.s.can.autocommit != nil
	if asked && !c.s.autocommit() || !asked && reads {
		return
	}
	switch {
	case errors.Is(err, lifecycle.ErrInterrupted), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		c.tx.cut = fmt.Errorf("sqldb: the transaction is over: %w", err) // where nobody can be asked, it may be
	case asked:
		c.isOpen(false)
	}
}

// autocommit asks the engine whether no transaction is open.
func (s *Session) autocommit() (auto bool) {
	_ = s.call(func() error {
		auto = s.can.autocommit()
		return nil
	})
	return auto
}

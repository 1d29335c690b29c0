package memory

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Txn is the transaction of one Read or Write: a snapshot, and for a Write the
// changes on top of it, which the Txn itself sees at once and everybody else
// after the commit. It is for the callback that it was handed to, and returns
// ErrReleased afterwards. The goroutines of one callback may share it.
//
// A table's indexes are named as in the schema, and every table has the index
// "id". With no arguments a statement means all rows, in the order of the
// index; with arguments, those whose index value equals them. The suffix
// "_prefix" on an index's name makes it those whose value begins with them,
// where the indexer supports that.
//
// When an Insert, Delete or DeleteAll fails, other than with ErrNotFound,
// ErrReadOnly or ErrNilRow, half of its work may have been done. The
// transaction is dead then: every later statement and the commit return that
// first error.
type Txn struct {
	ctx   context.Context
	conn  *conn
	write bool

	mu   sync.Mutex // held during a statement, never while a row is in the caller's hands
	mem  *memdb.Txn // nil after the end
	dead error      // why nothing more is done: ErrReleased, or the first failed change
}

// enter begins a statement: it returns nil with mu held.
func (t *Txn) enter(op, table string) error {
	t.mu.Lock()
	err := t.refusal()
	if err != nil {
		t.mu.Unlock()
		return t.wrap(op, table, err)
	}
	return nil
}

// refusal says why nothing more is done. mu is held.
func (t *Txn) refusal() error {
	if t.dead != nil {
		return t.dead
	}
	return t.interruption()
}

// interruption is sticky: neither a context nor, until Reset, a connection takes it back.
func (t *Txn) interruption() error {
	if err := t.ctx.Err(); err != nil {
		cause := context.Cause(t.ctx)
		if errors.Is(cause, err) {
			return fmt.Errorf("%w: %w", lifecycle.ErrInterrupted, cause)
		}
		return fmt.Errorf("%w: %w: %w", lifecycle.ErrInterrupted, err, cause)
	}
	if t.conn.interrupted.Load() {
		return lifecycle.ErrInterrupted
	}
	return nil
}

// wrap names the database and the statement, unless err says already which one failed.
func (t *Txn) wrap(op, table string, err error) error {
	if named := (*lifecycle.StateError)(nil); errors.As(err, &named) {
		return err
	}
	if table != "" {
		op += " " + table
	}
	return &lifecycle.StateError{Store: t.conn.name, Op: op, Err: err}
}

// First returns the first row that matches, or nil if there is none.
func (t *Txn) First(table, index string, args ...any) (any, error) {
	return t.one("first", table, func() (any, error) { return t.mem.First(table, index, args...) })
}

// Last returns the last row that matches, or nil if there is none.
func (t *Txn) Last(table, index string, args ...any) (any, error) {
	return t.one("last", table, func() (any, error) { return t.mem.Last(table, index, args...) })
}

// LongestPrefix returns the row whose value in a unique index is the longest
// prefix of the arguments, or nil if there is none. index ends with "_prefix".
// It needs an indexer whose values end with no terminator, which StringFieldIndex is not.
func (t *Txn) LongestPrefix(table, index string, args ...any) (any, error) {
	return t.one("longest prefix", table, func() (any, error) { return t.mem.LongestPrefix(table, index, args...) })
}

// one runs a statement that returns at most one row.
func (t *Txn) one(op, table string, read func() (any, error)) (any, error) {
	if err := t.enter(op, table); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	row, err := read()
	if err != nil {
		return nil, t.wrap(op, table, err)
	}
	return row, nil
}

// Insert stores a row. It replaces the row with the same id, if there is one.
// The row must not be changed any more.
func (t *Txn) Insert(table string, row any) error {
	return t.change("insert", table, func() error {
		if isNil(row) {
			return ErrNilRow
		}
		return t.mem.Insert(table, row)
	})
}

// Delete removes the row that has the id of the given one, whatever else is
// in that. It returns ErrNotFound if there is none.
func (t *Txn) Delete(table string, row any) error {
	return t.change("delete", table, func() error {
		if isNil(row) {
			return ErrNilRow
		}
		return t.mem.Delete(table, row)
	})
}

// DeleteAll removes the rows that match, and returns how many these were.
func (t *Txn) DeleteAll(table, index string, args ...any) (n int, err error) {
	err = t.change("delete all", table, func() error {
		n, err = t.deleteAll(table, index, args)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// deleteAll does what memdb's own does, with a look at interrupts, and takes a
// row that stands in the index several times for one.
func (t *Txn) deleteAll(table, index string, args []any) (n int, err error) {
	found, err := t.mem.Get(table, index, args...) // a snapshot: deleting does not move it
	if err != nil {
		return 0, err
	}
	for row := found.Next(); row != nil; row = found.Next() {
		if err := t.interruption(); err != nil {
			return 0, err
		}
		switch err := t.mem.Delete(table, row); {
		case err == nil:
			n++
		case !errors.Is(err, ErrNotFound):
			return 0, err
		}
	}
	return n, nil
}

// change runs a statement that changes something. A failure, or a panic in an indexer, is the transaction's death.
func (t *Txn) change(op, table string, do func() error) error {
	if err := t.enter(op, table); err != nil {
		return err
	}
	defer t.mu.Unlock()
	if !t.write {
		return t.wrap(op, table, ErrReadOnly)
	}
	t.dead = errUnfinished
	err := do()
	t.dead = nil
	if err == nil {
		return nil
	}
	err = t.wrap(op, table, err)
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNilRow) {
		t.dead = err
	}
	return err
}

// isNil tells the rows that go-memdb's indexers would panic over.
func isNil(row any) bool {
	if row == nil {
		return true
	}
	v := reflect.ValueOf(row)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// commit makes the changes everybody's, unless the transaction is dead or interrupted.
func (t *Txn) commit() error {
	if err := t.enter("commit", ""); err != nil {
		return err
	}
	defer t.mu.Unlock()
	t.mem.Commit()
	return nil
}

// end rolls back what is not committed, and lets go of the snapshot. It waits
// for a statement that another goroutine is in.
func (t *Txn) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mem.Abort()
	t.mem = nil
	t.dead = ErrReleased
}

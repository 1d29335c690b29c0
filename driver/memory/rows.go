package memory

import (
	"iter"

	"github.com/hashicorp/go-memdb"
)

// The statements that return many rows are sequences for range, so that there is
// nothing to close, and every row is a point where an interrupt is noticed.

// Get returns the rows that match, in the order of the index.
//
// The sequence begins when it is ranged over, anew each time, with the rows of
// that moment: what the loop's body inserts and deletes does not move it. An
// error comes once, with a nil row, as the last element. It may come after
// rows: a loop that does not look at it may take a part for the whole. The same
// holds for the other statements that return a sequence.
func (t *Txn) Get(table, index string, args ...any) iter.Seq2[any, error] {
	return t.rows("get", table, func() (memdb.ResultIterator, error) { return t.mem.Get(table, index, args...) })
}

// GetReverse returns the rows that match, in the reverse order of the index.
func (t *Txn) GetReverse(table, index string, args ...any) iter.Seq2[any, error] {
	return t.rows("get reverse", table, func() (memdb.ResultIterator, error) { return t.mem.GetReverse(table, index, args...) })
}

// LowerBound returns the rows whose index value is not less than the
// arguments, in the order of the index.
func (t *Txn) LowerBound(table, index string, args ...any) iter.Seq2[any, error] {
	return t.rows("lower bound", table, func() (memdb.ResultIterator, error) { return t.mem.LowerBound(table, index, args...) })
}

// ReverseLowerBound returns the rows whose index value is not greater than the
// arguments, in the reverse order of the index.
func (t *Txn) ReverseLowerBound(table, index string, args ...any) iter.Seq2[any, error] {
	return t.rows("reverse lower bound", table, func() (memdb.ResultIterator, error) {
		return t.mem.ReverseLowerBound(table, index, args...)
	})
}

// rows asks for leave before every row.
func (t *Txn) rows(op, table string, open func() (memdb.ResultIterator, error)) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		var found memdb.ResultIterator
		_, err := t.one(op, table, func() (_ any, err error) {
			found, err = open()
			return nil, err
		})
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			if err := t.enter(op, table); err != nil {
				yield(nil, err)
				return
			}
			row := found.Next()
			t.mu.Unlock()
			if row == nil || !yield(row, nil) {
				return
			}
		}
	}
}

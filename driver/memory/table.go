package memory

import (
	"fmt"
	"iter"
	"reflect"
)

// Table is the name of a table whose rows are all of type T. It gives the
// statements of Txn that type, and may be a constant:
//
//	const users memory.Table[*User] = "users"
//
// Its methods are those of Txn otherwise. A row of another type, which only
// statements without a Table can have inserted, is ErrRowType.
type Table[T any] string

// First returns the first row that matches. found tells whether there is one.
func (name Table[T]) First(t *Txn, index string, args ...any) (row T, found bool, err error) {
	got, err := t.First(string(name), index, args...)
	return name.typed(t, "first", got, err)
}

// Last returns the last row that matches. found tells whether there is one.
func (name Table[T]) Last(t *Txn, index string, args ...any) (row T, found bool, err error) {
	got, err := t.Last(string(name), index, args...)
	return name.typed(t, "last", got, err)
}

// LongestPrefix returns the row with the longest prefix, as Txn.LongestPrefix does. found tells whether there is one.
func (name Table[T]) LongestPrefix(t *Txn, index string, args ...any) (row T, found bool, err error) {
	got, err := t.LongestPrefix(string(name), index, args...)
	return name.typed(t, "longest prefix", got, err)
}

// Get returns the rows that match, in the order of the index. An error comes as the last element.
func (name Table[T]) Get(t *Txn, index string, args ...any) iter.Seq2[T, error] {
	return name.rows(t, "get", t.Get(string(name), index, args...))
}

// GetReverse returns the rows that match, in the reverse order of the index. An error comes as the last element.
func (name Table[T]) GetReverse(t *Txn, index string, args ...any) iter.Seq2[T, error] {
	return name.rows(t, "get reverse", t.GetReverse(string(name), index, args...))
}

// LowerBound returns the rows whose index value is not less than the
// arguments, in the order of the index. An error comes as the last element.
func (name Table[T]) LowerBound(t *Txn, index string, args ...any) iter.Seq2[T, error] {
	return name.rows(t, "lower bound", t.LowerBound(string(name), index, args...))
}

// ReverseLowerBound returns the rows whose index value is not greater than the
// arguments, in the reverse order of the index. An error comes as the last element.
func (name Table[T]) ReverseLowerBound(t *Txn, index string, args ...any) iter.Seq2[T, error] {
	return name.rows(t, "reverse lower bound", t.ReverseLowerBound(string(name), index, args...))
}

// Insert stores a row. It replaces the row with the same id, if there is one.
func (name Table[T]) Insert(t *Txn, row T) error { return t.Insert(string(name), row) }

// Delete removes the row that has the id of the given one. It returns ErrNotFound if there is none.
func (name Table[T]) Delete(t *Txn, row T) error { return t.Delete(string(name), row) }

// DeleteAll removes the rows that match, and returns how many these were.
func (name Table[T]) DeleteAll(t *Txn, index string, args ...any) (int, error) {
	return t.DeleteAll(string(name), index, args...)
}

func (name Table[T]) typed(t *Txn, op string, row any, err error) (T, bool, error) {
	var none T
	if err != nil || row == nil {
		return none, false, err
	}
	typed, ok := row.(T)
	if !ok {
		return none, false, t.wrap(op, string(name), fmt.Errorf("%w: %T, not %v", ErrRowType, row, reflect.TypeFor[T]()))
	}
	return typed, true, nil
}

func (name Table[T]) rows(t *Txn, op string, rows iter.Seq2[any, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			typed, _, err := name.typed(t, op, row, err)
			if !yield(typed, err) || err != nil {
				return
			}
		}
	}
}

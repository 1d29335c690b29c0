package memorystore

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/go-memdb"
)

// Keys of indexes. Those of go-memdb end a string with a NUL, which an id may
// contain: here every part of a key stands behind its length, so that no key
// is the beginning of another one, and numbers at the end are in their order.

// key is made of parts.
type key []byte

func (k key) text(s string) key {
	k = binary.AppendUvarint(k, uint64(len(s)))
	return append(k, s...)
}

// number is to be the last part, or in front of other numbers: it has no length.
func (k key) number(n uint64) key { return binary.BigEndian.AppendUint64(k, n) }

// signed keeps the order of numbers that may be negative.
func (k key) signed(n int64) key { return k.number(uint64(n) ^ 1<<63) }

// indexer gives rows of one type the keys of one index. A row without a key is not in it.
type indexer[T any] func(row T) key

// FromObject is called by go-memdb.
func (f indexer[T]) FromObject(row any) (bool, []byte, error) {
	r, ok := row.(T)
	if !ok {
		return false, nil, fmt.Errorf("memorystore: a row is a %T", row)
	}
	k := f(r)
	return k != nil, k, nil
}

// FromArgs is called by go-memdb. The one argument is a key.
func (f indexer[T]) FromArgs(args ...any) ([]byte, error) {
	if len(args) == 1 {
		if k, ok := args[0].(key); ok {
			return k, nil
		}
	}
	return nil, fmt.Errorf("memorystore: an index is asked for %v", args)
}

// PrefixFromArgs is called by go-memdb, for the beginning of a key.
func (f indexer[T]) PrefixFromArgs(args ...any) ([]byte, error) { return f.FromArgs(args...) }

// index is an index whose keys are unique. That is what makes them be in order.
func index[T any](name string, f indexer[T]) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: name, Unique: true, AllowMissing: name != "id", Indexer: f}
}

// table is a table with these indexes, the first of which has to be "id".
func table(name string, indexes ...*memdb.IndexSchema) *memdb.TableSchema {
	t := &memdb.TableSchema{Name: name, Indexes: map[string]*memdb.IndexSchema{}}
	for _, i := range indexes {
		t.Indexes[i.Name] = i
	}
	return t
}

func schemaOf(tables ...*memdb.TableSchema) *memdb.DBSchema {
	s := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range tables {
		s.Tables[t.Name] = t
	}
	return s
}

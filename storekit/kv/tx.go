package kv

import (
	"context"
	"errors"
	"iter"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// Tx is a Table on one connection, for as long as the caller has that: it may
// not be kept, and is used by one goroutine at a time. After an error the
// caller should roll back, as after any statement.
type Tx struct {
	t *Table
	c *sqlite.Conn
}

const (
	// The row id is written where the row is new, and where somebody who is not in
	// the same transaction has replaced the row in between. Not otherwise: it
	// costs an index that did not change.
	update = `UPDATE storekit_kv SET value = ?, name = ? WHERE namespace = ? AND key = ? AND row = ?`
	upsert = `INSERT INTO storekit_kv (namespace, key, value, name, row) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, name = excluded.name, row = excluded.row`
	upsertRaw = `INSERT INTO storekit_kv (namespace, key, value, row) VALUES (?, ?, ?, ?)
		ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value`

	selectOne = `SELECT value, name, row FROM storekit_kv WHERE namespace = ? AND key = ?`
	selectRow = `SELECT row FROM storekit_kv WHERE namespace = ? AND key = ?`
	selectAll = `SELECT key, value, name, row FROM storekit_kv WHERE namespace = ?`
	count     = `SELECT count(*) FROM storekit_kv WHERE namespace = ?`
	deleteOne = `DELETE FROM storekit_kv WHERE namespace = ? AND key = ?`
	deleteAll = `DELETE FROM storekit_kv WHERE namespace = ?`

	join       = ` FROM listed CROSS JOIN storekit_kv AS kv ON kv.key = listed.key AND kv.namespace = ?`
	selectMany = `WITH ` + codec.Listed + ` SELECT listed.n, value, name, row` + join
	selectRows = `WITH ` + codec.Listed + ` SELECT listed.n, row` + join
	deleteMany = `DELETE FROM storekit_kv WHERE namespace = ? AND key IN ` + codec.In
)

// Get returns the value of a key, or ErrNotFound. It belongs to the caller.
func (tx Tx) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := tx.get(ctx, key)
	return value, named("get", err)
}

func (tx Tx) get(ctx context.Context, key string) ([]byte, error) {
	namespace, stored, err := tx.t.storedKeys(key)
	if err != nil {
		return nil, err
	}
	var s content
	err = tx.c.QueryRow(ctx, selectOne, namespace, stored).Scan(&s.value, &s.name, &s.row)
	if errors.Is(err, sqlite.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return tx.t.open(key, s)
}

// Set sets the value of a key, whether it was there or not.
func (tx Tx) Set(ctx context.Context, key string, value []byte) error {
	return named("set", tx.set(ctx, key, value))
}

func (tx Tx) set(ctx context.Context, key string, value []byte) error {
	namespace, stored, err := tx.t.storedKeys(key)
	if err != nil {
		return err
	}
	var row []byte
	if tx.t.codec.Encrypted() {
		err := tx.c.QueryRow(ctx, selectRow, namespace, stored).Scan(&row)
		if err != nil && !errors.Is(err, sqlite.ErrNoRows) {
			return err
		}
	}
	return tx.put(ctx, namespace, stored, key, value, row)
}

// put writes a value into the row that is there, or where row is nil into a new one.
func (tx Tx) put(ctx context.Context, namespace, stored []byte, key string, value, row []byte) error {
	s, err := tx.t.seal(key, value, row)
	if err != nil {
		return err
	}
	if !tx.t.codec.Encrypted() {
		_, err = tx.c.Exec(ctx, upsertRaw, namespace, stored, s.value, s.row)
		return err
	}
	if row != nil {
		result, err := tx.c.Exec(ctx, update, s.value, s.name, namespace, stored, row)
		if err != nil || result.RowsAffected > 0 {
			return err
		}
	}
	_, err = tx.c.Exec(ctx, upsert, namespace, stored, s.value, s.name, s.row)
	return err
}

// Delete deletes a key, and says whether it was there.
func (tx Tx) Delete(ctx context.Context, key string) (bool, error) {
	namespace, stored, err := tx.t.storedKeys(key)
	if err != nil {
		return false, named("delete", err)
	}
	result, err := tx.c.Exec(ctx, deleteOne, namespace, stored)
	return result.RowsAffected > 0, named("delete", err)
}

// Clear deletes all keys of the namespace.
func (tx Tx) Clear(ctx context.Context) error {
	namespace, err := tx.t.storedNamespace()
	if err == nil {
		_, err = tx.c.Exec(ctx, deleteAll, namespace)
	}
	return named("clear", err)
}

// Len returns how many keys the namespace has.
func (tx Tx) Len(ctx context.Context) (n int, err error) {
	namespace, err := tx.t.storedNamespace()
	if err == nil {
		err = tx.c.QueryRow(ctx, count, namespace).Scan(&n)
	}
	return n, named("count", err)
}

// All iterates over the namespace, in no particular order. An error ends it.
// What the loop's body writes, the loop may see or not.
func (tx Tx) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		namespace, err := tx.t.storedNamespace()
		if err != nil {
			yield(Entry{}, named("list", err))
			return
		}
		for row, err := range tx.c.Rows(ctx, selectAll, namespace) {
			var e Entry
			if err == nil {
				e, err = tx.entry(row)
			}
			if err != nil {
				yield(Entry{}, named("list", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// entry makes an entry of a row of selectAll.
func (tx Tx) entry(row *sqlite.Row) (e Entry, err error) {
	var s content
	if err := row.Scan(&e.Key, &s.value, &s.name, &s.row); err != nil {
		return e, err
	}
	if tx.t.codec.Encrypted() {
		if e.Key, err = tx.t.openName(s); err != nil {
			return e, err
		}
	}
	e.Value, err = tx.t.codec.Open(valueAt(s.row), s.value)
	return e, err
}

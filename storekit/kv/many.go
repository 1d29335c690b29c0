package kv

import (
	"context"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// Any number of keys at once. They are read and deleted by one statement; they
// are written one by one, so that no more than one sealed value is in memory.

// GetMany returns the values of the keys that are there.
func (tx Tx) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	values := make(map[string][]byte)
	var s content
	err := tx.each(ctx, selectMany, keys, func(row *sqlite.Row) error {
		var n int
		if err := row.Scan(&n, &s.value, &s.name, &s.row); err != nil {
			return err
		}
		value, err := tx.t.open(keys[n], s)
		values[keys[n]] = value
		return err
	})
	if err != nil {
		return nil, named("get many", err)
	}
	return values, nil
}

// SetMany sets the values of all keys. After an error some of them may be set:
// the caller rolls back.
func (tx Tx) SetMany(ctx context.Context, values map[string][]byte) error {
	return named("set many", tx.setMany(ctx, values))
}

func (tx Tx) setMany(ctx context.Context, values map[string][]byte) error {
	namespace, err := tx.t.storedNamespace()
	if err != nil {
		return err
	}
	rows, err := tx.rows(ctx, values)
	if err != nil {
		return err
	}
	for key, value := range values {
		_, stored, err := tx.t.storedKeys(key)
		if err != nil {
			return err
		}
		if err := tx.put(ctx, namespace, stored, key, value, rows[key]); err != nil {
			return err
		}
	}
	return nil
}

// rows returns the row ids of the keys that are there, in an encrypted store, which seals for them.
func (tx Tx) rows(ctx context.Context, values map[string][]byte) (map[string][]byte, error) {
	if !tx.t.codec.Encrypted() {
		return nil, nil
	}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	rows := make(map[string][]byte)
	err := tx.each(ctx, selectRows, keys, func(row *sqlite.Row) error {
		var n int
		var id []byte
		if err := row.Scan(&n, &id); err != nil {
			return err
		}
		rows[keys[n]] = id
		return nil
	})
	return rows, err
}

// DeleteMany deletes keys, and says how many of them were there.
func (tx Tx) DeleteMany(ctx context.Context, keys []string) (int, error) {
	namespace, list, err := tx.t.storedList(keys)
	if err != nil {
		return 0, named("delete many", err)
	}
	result, err := tx.c.Exec(ctx, deleteMany, namespace, list)
	return int(result.RowsAffected), named("delete many", err)
}

// each calls f for every row that a statement finds for many keys.
func (tx Tx) each(ctx context.Context, query string, keys []string, f func(*sqlite.Row) error) error {
	namespace, list, err := tx.t.storedList(keys)
	if err != nil {
		return err
	}
	return tx.c.Each(ctx, query, f, list, namespace)
}

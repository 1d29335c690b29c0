package kv

import (
	"context"
	"iter"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// DB is the database that a Table is in: a *sqlite.DB, or a store built on one.
// Its methods are called with the context that the Table's method was given.
type DB interface {
	View(ctx context.Context, fn func(*sqlite.Conn) error) error
	Update(ctx context.Context, fn func(*sqlite.Conn) error) error
}

// Store is what a Table and a Tx have in common: keys and values, each call on
// its own or all in one transaction.
type Store interface {
	// Get returns the value of a key, or ErrNotFound. It belongs to the caller.
	Get(ctx context.Context, key string) ([]byte, error)

	// Set sets the value of a key, whether it was there or not.
	Set(ctx context.Context, key string, value []byte) error

	// Delete deletes a key, and says whether it was there.
	Delete(ctx context.Context, key string) (bool, error)

	// GetMany returns the values of the keys that are there.
	GetMany(ctx context.Context, keys []string) (map[string][]byte, error)

	// SetMany sets the values of all keys.
	SetMany(ctx context.Context, values map[string][]byte) error

	// DeleteMany deletes keys, and says how many of them were there.
	DeleteMany(ctx context.Context, keys []string) (int, error)

	// Clear deletes all keys of the namespace.
	Clear(ctx context.Context) error

	// Len returns how many keys the namespace has.
	Len(ctx context.Context) (int, error)

	// All iterates over the namespace, in no particular order. An error ends it.
	All(ctx context.Context) iter.Seq2[Entry, error]
}

// Entry is a key with its value, which belongs to whoever gets it.
type Entry struct {
	Key   string
	Value []byte
}

// Table is one namespace of the keys and values in a database. Besides the
// errors that its methods name, they return those of the database (refused while
// paused, for example) and secret.ErrLocked; and, where they read, a
// *codec.DecodeError for a row that is damaged or was changed.
type Table struct {
	db        DB
	codec     *codec.Codec
	namespace string
}

var (
	_ Store = (*Table)(nil)
	_ Store = Tx{}
)

// New returns the table of a namespace in db, whose keys and values are stored
// as c says. It does nothing yet, so it may be called while db is paused, and c
// may still wait for its cipher. All tables of a database need the same codec, or the codec's equal.
// Where db is nil only In works.
func New(db DB, c *codec.Codec, namespace string) *Table {
	return &Table{db, c, namespace}
}

// In returns the table on a connection that the caller has: what it does is
// part of the caller's transaction, begun with Update or, to read, with View.
func (t *Table) In(c *sqlite.Conn) Tx { return Tx{t, c} }

// Get returns the value of a key, or ErrNotFound. It belongs to the caller.
func (t *Table) Get(ctx context.Context, key string) (value []byte, err error) {
	err = t.view(ctx, func(tx Tx) error {
		value, err = tx.Get(ctx, key)
		return err
	})
	return value, err
}

// Set sets the value of a key, whether it was there or not.
func (t *Table) Set(ctx context.Context, key string, value []byte) error {
	return t.update(ctx, func(tx Tx) error { return tx.Set(ctx, key, value) })
}

// Delete deletes a key, and says whether it was there.
func (t *Table) Delete(ctx context.Context, key string) (there bool, err error) {
	err = t.update(ctx, func(tx Tx) error {
		there, err = tx.Delete(ctx, key)
		return err
	})
	return there && err == nil, err
}

// GetMany returns the values of the keys that are there, all of one moment.
func (t *Table) GetMany(ctx context.Context, keys []string) (values map[string][]byte, err error) {
	err = t.view(ctx, func(tx Tx) error {
		values, err = tx.GetMany(ctx, keys)
		return err
	})
	return values, err
}

// SetMany sets the values of all keys, or of none.
func (t *Table) SetMany(ctx context.Context, values map[string][]byte) error {
	return t.update(ctx, func(tx Tx) error { return tx.SetMany(ctx, values) })
}

// DeleteMany deletes all keys, or none, and says how many of them were there.
func (t *Table) DeleteMany(ctx context.Context, keys []string) (n int, err error) {
	err = t.update(ctx, func(tx Tx) error {
		n, err = tx.DeleteMany(ctx, keys)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Clear deletes all keys of the namespace.
func (t *Table) Clear(ctx context.Context) error {
	return t.update(ctx, func(tx Tx) error { return tx.Clear(ctx) })
}

// Len returns how many keys the namespace has.
func (t *Table) Len(ctx context.Context) (n int, err error) {
	err = t.view(ctx, func(tx Tx) error {
		n, err = tx.Len(ctx)
		return err
	})
	return n, err
}

// All iterates over the namespace as it is at the beginning, in no particular
// order. The whole loop is one operation of the database, which a pause waits
// for and in the end severs: a long one is better ended early. What its body
// writes through the Table is another operation, and the loop does not see it.
func (t *Table) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		left := false
		err := t.view(ctx, func(tx Tx) error {
			for entry, err := range tx.All(ctx) {
				if err != nil {
					return err
				}
				if !yield(entry, nil) {
					left = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !left {
			yield(Entry{}, err)
		}
	}
}

func (t *Table) view(ctx context.Context, fn func(Tx) error) error {
	if t.db == nil {
		return named("read", ErrNoDB)
	}
	return t.db.View(ctx, func(c *sqlite.Conn) error { return fn(t.In(c)) })
}

func (t *Table) update(ctx context.Context, fn func(Tx) error) error {
	if t.db == nil {
		return named("write", ErrNoDB)
	}
	return t.db.Update(ctx, func(c *sqlite.Conn) error { return fn(t.In(c)) })
}

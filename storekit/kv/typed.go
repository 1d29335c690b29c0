package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/quiesce-go/quiesce/storekit/codec"
)

// Typed is a Table, or a Tx, whose values are of type T, stored as JSON. Its
// methods are theirs, with the same promises. A value that is no T is a
// *codec.DecodeError that names the place inside the document.
type Typed[T any] struct{ store Store }

// TypedEntry is a key with its value.
type TypedEntry[T any] struct {
	Key   string
	Value T
}

// JSON returns a table of values of type T: kv.JSON[Settings](table), and in a
// transaction kv.JSON[Settings](table.In(c)).
func JSON[T any](s Store) Typed[T] { return Typed[T]{s} }

// Get returns the value of a key, or ErrNotFound.
func (t Typed[T]) Get(ctx context.Context, key string) (T, error) {
	document, err := t.store.Get(ctx, key)
	if err != nil {
		return *new(T), err
	}
	v, err := decode[T](document)
	return v, named("get", err)
}

// Set sets the value of a key, whether it was there or not. Besides the table's
// errors it returns those of json.Marshal.
func (t Typed[T]) Set(ctx context.Context, key string, value T) error {
	document, err := encode(value)
	if err != nil {
		return named("set", err)
	}
	return t.store.Set(ctx, key, document)
}

// Delete deletes a key, and says whether it was there.
func (t Typed[T]) Delete(ctx context.Context, key string) (bool, error) {
	return t.store.Delete(ctx, key)
}

// GetMany returns the values of the keys that are there.
func (t Typed[T]) GetMany(ctx context.Context, keys []string) (map[string]T, error) {
	documents, err := t.store.GetMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	values := make(map[string]T, len(documents))
	for key, document := range documents {
		if values[key], err = decode[T](document); err != nil {
			return nil, named("get many", err)
		}
	}
	return values, nil
}

// SetMany sets the values of all keys, or, in a transaction that is rolled back after an error, of none.
func (t Typed[T]) SetMany(ctx context.Context, values map[string]T) error {
	documents := make(map[string][]byte, len(values))
	for key, value := range values {
		document, err := encode(value)
		if err != nil {
			return named("set many", err)
		}
		documents[key] = document
	}
	return t.store.SetMany(ctx, documents)
}

// DeleteMany deletes keys, and says how many of them were there.
func (t Typed[T]) DeleteMany(ctx context.Context, keys []string) (int, error) {
	return t.store.DeleteMany(ctx, keys)
}

// All iterates over the namespace, in no particular order. An error ends it.
func (t Typed[T]) All(ctx context.Context) iter.Seq2[TypedEntry[T], error] {
	return func(yield func(TypedEntry[T], error) bool) {
		for entry, err := range t.store.All(ctx) {
			typed := TypedEntry[T]{Key: entry.Key}
			if err == nil {
				typed.Value, err = decode[T](entry.Value)
				err = named("list", err)
			}
			if err != nil {
				yield(TypedEntry[T]{}, err)
				return
			}
			if !yield(typed, nil) {
				return
			}
		}
	}
}

func encode(value any) ([]byte, error) {
	document, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", valueAt(nil), err)
	}
	return document, nil
}

func decode[T any](document []byte) (T, error) {
	var v T
	if err := codec.DecodeJSON(valueAt(nil), document, &v); err != nil {
		return *new(T), err
	}
	return v, nil
}

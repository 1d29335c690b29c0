package kv

import (
	"errors"
	"fmt"
)

// ErrNotFound is returned by Get for a key that is not there.
var ErrNotFound = errors.New("there is no such key")

// ErrNoDB is returned by the methods of a Table that was made without a database, on which only In works.
var ErrNoDB = errors.New("the table has no database of its own, only In")

// named says in an error what was done. The key may be secret and is not named.
func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kv: %s: %w", what, err)
}

//go:build !cgo

package sqlite_test

import (
	"errors"

	moderncsqlite "modernc.org/sqlite"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// isDriversOwn says whether err is the driver's error itself, as programs look at it: with and without errors.As.
func isDriversOwn(_ sqlite.Engine, err error) bool {
	var e *moderncsqlite.Error
	own, ok := err.(*moderncsqlite.Error) //nolint:errorlint // what programs do
	return ok && errors.As(err, &e) && e == own
}

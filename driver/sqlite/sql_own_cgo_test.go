//go:build cgo

package sqlite_test

import (
	"errors"

	sqlite3 "github.com/mattn/go-sqlite3"
	moderncsqlite "modernc.org/sqlite"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// isDriversOwn says whether err is the driver's error itself, as programs look at it: with and without errors.As.
func isDriversOwn(engine sqlite.Engine, err error) bool {
	if engine.Name() == "mattn" {
		var e sqlite3.Error
		own, ok := err.(sqlite3.Error) //nolint:errorlint // what programs do
		return ok && errors.As(err, &e) && e.ExtendedCode == own.ExtendedCode
	}
	var e *moderncsqlite.Error
	own, ok := err.(*moderncsqlite.Error) //nolint:errorlint // what programs do
	return ok && errors.As(err, &e) && e == own
}

// Package mattn is the SQLite engine of github.com/mattn/go-sqlite3. It needs
// cgo; without it the package compiles and Open returns an error that matches
// ErrNoCgo.
package mattn

import (
	"errors"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// ErrNoCgo is returned by Open in a program that was built without cgo. Use the modernc engine there.
var ErrNoCgo = errors.New("the mattn engine needs a build with cgo")

// Engine returns the engine. It is stateless: every call returns the same.
func Engine() sqlite.Engine { return engine{} }

type engine struct{}

// Name returns "mattn".
func (engine) Name() string { return "mattn" }

package memory

import (
	"errors"

	"github.com/hashicorp/go-memdb"
)

// What a statement was refused for. Statements, and Read and Write themselves,
// return these within a lifecycle.StateError that names the database and the
// statement; errors.Is finds them. What lifecycle declares (ErrPaused,
// ErrClosed, ErrInterrupted, ErrNested, …) is returned under its own name.
var (
	// ErrReadOnly is returned for a statement that would change something in a Read.
	ErrReadOnly = errors.New("the transaction is read-only")

	// ErrReleased is returned when a Txn, or an iteration of it, is used after
	// the callback that it was handed to had returned.
	ErrReleased = errors.New("used after its operation had ended")

	// ErrNotFound is returned by Delete when no row of the table has the id of
	// the given one. It is go-memdb's. The statements that read have no error for that: they return no row.
	ErrNotFound = memdb.ErrNotFound

	// ErrRowType is returned by a Table when a row is not of its type.
	ErrRowType = errors.New("the row has another type")

	// ErrNilRow is returned by Insert and Delete for a nil row.
	ErrNilRow = errors.New("the row is nil")
)

// errUnfinished stands for a statement that panicked in somebody's indexer.
var errUnfinished = errors.New("a statement panicked")

// Package sqlite opens SQLite databases that can give back everything they
// hold: connections, descriptors, maps and locks. The engine below it is one
// of the two packages mattn (cgo) and modernc (pure Go); importing sqlite
// alone compiles neither.
package sqlite

import "database/sql/driver"

// Engine opens physical connections. Both engines answer alike: the same
// values for the same columns, the same result codes.
type Engine interface {
	// Name is the engine's name, for reports: "mattn" or "modernc".
	Name() string

	// Open opens one physical connection, with no busy timeout: whoever has
	// to wait for a lock waits in Go, where waiting can be given up.
	Open(path string, o OpenOptions) (Raw, error)

	// ErrorCode returns the extended result code of SQLite that err carries, if any.
	ErrorCode(err error) (extended int, ok bool)
}

// OpenOptions says how Engine.Open opens a file.
type OpenOptions struct {
	Create    bool // make the file where it is missing; without it a missing file is an error
	Exclusive bool // keep other processes out until the last connection is closed (vfs=unix-excl); all connections of a process must agree
	Immutable bool // read the file alone: no locks, no log, no writing
}

// Raw is one physical connection: what a driver hands to database/sql, and
// what SQLite can do but the drivers do not offer. Only Interrupt may be
// called beside another call, and never beside or after Close. Statements and
// rows have to be closed before their connection: otherwise mattn keeps every
// descriptor and modernc panics.
type Raw interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger

	// Interrupt makes the statements that run, at whatever step they are,
	// return SQLITE_INTERRUPT. It does not wait for them. Where nothing runs it
	// stays in force until the next statement starts with no other one open.
	Interrupt()

	// Autocommit says whether no transaction is open.
	Autocommit() bool

	// NoCheckpointOnClose keeps Close from writing the log back when this is
	// the last connection: -wal and -shm then stay behind.
	NoCheckpointOnClose() error

	// Changes returns how many rows the last INSERT, UPDATE or DELETE changed, and the rowid of the last INSERT.
	Changes() (rows, lastInsertID int64)

	// Parameters returns how many parameters a statement prepared on this connection has.
	Parameters(stmt driver.Stmt) int

	// ReadOnly says whether a statement prepared on this connection leaves the database as it is.
	ReadOnly(stmt driver.Stmt) bool

	// Plain turns the driver's conversions by declared column type off for
	// rows that were just returned by a statement of this connection, so that
	// both engines hand over what is stored: int64, float64, string, []byte or nil.
	Plain(rows driver.Rows)

	// Backup begins to copy the main database of this connection over that of
	// dst, which is what Unwrap of another connection of the same engine
	// returns, and belongs to the backup until that is finished.
	Backup(dst driver.Conn) (Backup, error)

	// Unwrap returns the driver's own connection.
	Unwrap() driver.Conn
}

// Backup is a copy that is being made. Its calls are calls into both
// connections, and it has to be finished before either is closed: otherwise
// SQLite keeps every descriptor.
type Backup interface {
	// Step copies so many pages more. It says whether that were the last.
	Step(pages int) (done bool, err error)

	// Pages returns how many pages are left, and how many there are, as of the last Step.
	Pages() (left, all int)

	// Finish ends it. Where the last page was not copied, dst is as it was.
	Finish() error
}

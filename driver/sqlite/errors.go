package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a statement failed with. Both engines give the same answer to
// errors.Is; the exact result code stands in Error.
var (
	// ErrNoRows is returned by QueryRow's Scan when the statement returned no row. It is sql.ErrNoRows.
	ErrNoRows = sql.ErrNoRows

	// ErrBusy is returned when another connection or process holds a lock that
	// is needed, after the waiting that was asked for (SQLITE_BUSY).
	ErrBusy = errors.New("the database is busy")

	// ErrCorrupt is returned when the content of the file is damaged (SQLITE_CORRUPT).
	ErrCorrupt = errors.New("the database is corrupt")

	// ErrNotADatabase is returned when the file is no SQLite database, or an encrypted one (SQLITE_NOTADB).
	ErrNotADatabase = errors.New("the file is not a database")

	// ErrReadOnly is returned for a write where none is possible: on a reader
	// connection, on a read-only file (SQLITE_READONLY).
	ErrReadOnly = errors.New("the database is read-only here")

	// ErrFull is returned when the disk, or the database's size limit, is full (SQLITE_FULL).
	ErrFull = errors.New("the disk is full")

	// ErrCantOpen is returned when the file could not be opened or made (SQLITE_CANTOPEN).
	ErrCantOpen = errors.New("the file cannot be opened")

	// ErrConstraint is returned when a constraint of the schema refused the change (SQLITE_CONSTRAINT).
	ErrConstraint = errors.New("a constraint was violated")

	// ErrUnique is returned, besides ErrConstraint, when a UNIQUE or PRIMARY KEY constraint refused the change.
	ErrUnique = errors.New("a unique constraint was violated")

	// ErrInUse is returned by Open when this process has the file open already,
	// by Resume when it has under another name what came to the path meanwhile,
	// by Backup for a destination that is such a file, and by Wipe when any process has it open.
	ErrInUse = errors.New("the file is in use")
)

// What a call was refused for before SQLite saw it.
var (
	// ErrTransactionControl is returned for BEGIN, COMMIT, END, ROLLBACK,
	// SAVEPOINT and RELEASE as text. Transactions begin and end with View,
	// Update and Savepoint, so that no statement runs outside the one that it was meant for.
	ErrTransactionControl = errors.New("transactions are begun and ended by View, Update and Savepoint, not by text")

	// ErrNotOneStatement is returned for a text with no statement, or with
	// several, where one is expected. ExecScript takes several.
	ErrNotOneStatement = errors.New("the text must be one statement")

	// ErrParameters is returned when a statement and its arguments do not fit
	// together. Named parameters are not supported, because the engines number
	// them differently: use ? or ?1.
	ErrParameters = errors.New("parameters and arguments do not fit")

	// ErrReleased is returned when a connection, or an iteration on it, is used
	// outside the operation that it was handed to.
	ErrReleased = errors.New("used after its operation had ended")
)

// The result codes that something here depends on (https://www.sqlite.org/rescode.html).
const (
	codeBusy       = 5
	codeReadOnly   = 8
	codeInterrupt  = 9
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codeNotADB     = 26

	codeConstraintPrimaryKey = codeConstraint | 6<<8
	codeConstraintUnique     = codeConstraint | 8<<8
	codeConstraintRowID      = codeConstraint | 10<<8
)

// Error is what a statement, or another call into SQLite, failed with. It
// matches, with errors.Is, the sentinel of its code, and
// lifecycle.ErrInterrupted or the context's error where one of these ended it.
type Error struct {
	Op       string // what was done: "exec", "query", "begin", "commit", …
	SQL      string // the statement, shortened; never its arguments
	Path     string // the file
	Code     int    // SQLite's primary result code, 0 where the error is not SQLite's
	Extended int    // SQLite's extended result code
	Err      error  // the engine's error, or what the call was refused for

	cause error // why it was stopped: lifecycle.ErrInterrupted, a context's error, or nil
}

// Error names the operation, the file, the statement and the reason.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("sqlite: " + e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	if e.Err != nil && e.Err != e.cause {
		b.WriteString(": " + e.Err.Error())
	}
	if e.SQL != "" {
		fmt.Fprintf(&b, " [%s]", e.SQL)
	}
	return b.String()
}

// Unwrap returns what errors.Is and errors.As look through.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.cause}
}

// Is matches the sentinel of the result code.
func (e *Error) Is(target error) bool {
	switch e.Code {
	case codeBusy:
		return target == ErrBusy
	case codeReadOnly:
		return target == ErrReadOnly
	case codeCorrupt:
		return target == ErrCorrupt
	case codeFull:
		return target == ErrFull
	case codeCantOpen:
		return target == ErrCantOpen
	case codeNotADB:
		return target == ErrNotADatabase
	case codeConstraint:
		switch e.Extended {
		case codeConstraintUnique, codeConstraintPrimaryKey, codeConstraintRowID:
			return target == ErrConstraint || target == ErrUnique
		}
		return target == ErrConstraint
	}
	return false
}

// wrapError makes an Error of what an engine returned.
func wrapError(engine Engine, path, op, sql string, err error) *Error {
	e := &Error{Op: op, SQL: shorten(sql), Path: path, Err: err}
	if code, ok := engine.ErrorCode(err); ok {
		e.Code, e.Extended = code&0xff, code
	}
	return e
}

// shorten keeps enough of a statement to recognise it.
func shorten(sql string) string {
	const most = 200
	sql = strings.TrimSpace(sql)
	if len(sql) <= most {
		return sql
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(sql[cut]) {
		cut--
	}
	return sql[:cut] + "…"
}

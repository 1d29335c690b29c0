//go:build cgo

package mattn

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// Open opens path. The driver runs PRAGMA synchronous itself, which reads the
// file, so SQLITE_BUSY may come from here while another process holds it exclusively.
func (engine) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	uri, err := o.URI(path)
	if err != nil {
		return nil, err
	}
	conn, err := (&sqlite3.SQLiteDriver{}).Open(uri + "&_busy_timeout=0") // 5000 without it, and SQLite's own waiting cannot be interrupted
	if err != nil {
		return nil, err
	}
	c, err := wrap(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// Driver returns a driver like the one that opens the connections.
func (engine) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// ErrorCode returns the extended result code that the driver recorded.
func (engine) ErrorCode(err error) (int, bool) {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	if e.ExtendedCode != 0 {
		return int(e.ExtendedCode), true
	}
	return int(e.Code), true
}

// raw adds to the driver's connection what only the handle below it can do.
type raw struct {
	*sqlite3.SQLiteConn
	handle unsafe.Pointer // sqlite3*, kept as a pointer: as a uintptr it could not become one again without upsetting go vet
}

// wrap finds the handle, which the driver does not export. It refuses a driver
// that hides it, because a connection that cannot be interrupted would break
// every promise about pausing.
func wrap(conn driver.Conn) (*raw, error) {
	c, ok := conn.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, fmt.Errorf("this version of go-sqlite3 opens a %T instead of a *sqlite3.SQLiteConn", conn)
	}
	handle, err := handleOf(c)
	if err != nil {
		return nil, err
	}
	r := &raw{c, handle}
	if !autocommit(r.handle) || !c.AutoCommit() {
		return nil, errors.New("this version of go-sqlite3 keeps something else than its handle in SQLiteConn.db")
	}
	return r, nil
}

func handleOf(c *sqlite3.SQLiteConn) (unsafe.Pointer, error) {
	field := reflect.ValueOf(c).Elem().FieldByName("db")
	if !field.IsValid() || field.Kind() != reflect.Pointer || field.IsNil() {
		return nil, errors.New("this version of go-sqlite3 hides its handle (SQLiteConn.db): connections could not be interrupted")
	}
	return field.UnsafePointer(), nil
}

// Interrupt calls sqlite3_interrupt.
func (r *raw) Interrupt() { interrupt(r.handle) }

// Autocommit calls sqlite3_get_autocommit.
func (r *raw) Autocommit() bool { return autocommit(r.handle) }

// NoCheckpointOnClose sets SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE.
func (r *raw) NoCheckpointOnClose() error {
	if rc := noCheckpointOnClose(r.handle); rc != 0 {
		return sqlite3.ErrNo(rc)
	}
	return nil
}

// Changes calls sqlite3_changes64 and sqlite3_last_insert_rowid.
func (r *raw) Changes() (rows, lastInsertID int64) { return changes(r.handle) }

// Parameters returns how many parameters stmt has.
func (r *raw) Parameters(stmt driver.Stmt) int { return stmt.NumInput() }

// ReadOnly calls sqlite3_stmt_readonly.
func (r *raw) ReadOnly(stmt driver.Stmt) bool {
	s, ok := stmt.(*sqlite3.SQLiteStmt)
	return ok && s.Readonly()
}

// Plain empties the slice of declared types that the driver decides by. The
// driver hands out its own slice, one per prepared statement, and fills it
// anew only when the schema changes.
func (r *raw) Plain(rows driver.Rows) {
	if rows, ok := rows.(*sqlite3.SQLiteRows); ok {
		clear(rows.DeclTypes())
	}
}

// Unwrap returns the *sqlite3.SQLiteConn.
func (r *raw) Unwrap() driver.Conn { return r.SQLiteConn }

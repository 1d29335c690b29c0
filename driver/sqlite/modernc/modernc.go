// Package modernc is the SQLite engine of modernc.org/sqlite: SQLite in Go, no cgo.
package modernc

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"modernc.org/libc"
	moderncsqlite "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// Engine returns the engine. It is stateless: every call returns the same.
func Engine() sqlite.Engine { return engine{} }

type engine struct{}

// Name returns "modernc".
func (engine) Name() string { return "modernc" }

// Open opens path.
func (engine) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	uri, err := o.URI(path)
	if err != nil {
		return nil, err
	}
	conn, err := (&moderncsqlite.Driver{}).Open(uri + "&_busy_timeout=0&_time_format=sqlite")
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
func (engine) Driver() driver.Driver { return &moderncsqlite.Driver{} }

// ErrorCode returns the result code that the driver recorded, which is the extended one.
func (engine) ErrorCode(err error) (int, bool) {
	var e *moderncsqlite.Error
	if errors.As(err, &e) {
		return e.Code(), true
	}
	var code resultError
	if errors.As(err, &code) {
		return int(code), true
	}
	return 0, false
}

// conn is what the driver's unexported connection can do.
type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// raw adds to the driver's connection what only the handle below it can do.
type raw struct {
	conn
	handle    uintptr // sqlite3*
	pstmt     int     // which field of the driver's statement is the sqlite3_stmt*
	rows      reflect.Type
	decltypes uintptr // the offset, in the driver's rows, of the declared types
}

// wrap finds what the driver does not export: its handles, and the declared
// types that its rows convert by. It refuses a driver that hides them, because
// a connection that cannot be interrupted would break every promise about pausing.
func wrap(c driver.Conn) (*raw, error) {
	full, ok := c.(conn)
	if !ok {
		return nil, fmt.Errorf("this version of modernc.org/sqlite opens a %T that misses a method", c)
	}
	db, ok := field(c, "db", reflect.Uintptr)
	if !ok || db.Uint() == 0 {
		return nil, errors.New("this version of modernc.org/sqlite hides its handle (conn.db): connections could not be interrupted")
	}
	r := &raw{conn: full, handle: uintptr(db.Uint())}
	if !r.Autocommit() {
		return nil, errors.New("this version of modernc.org/sqlite keeps something else than its handle in conn.db")
	}
	return r, r.probe()
}

// probe looks into a statement and its rows.
func (r *raw) probe() (err error) {
	stmt, err := r.Prepare("SELECT ?1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	pstmt, ok := fieldOf(stmt, "pstmt", reflect.Uintptr)
	if !ok {
		return errors.New("this version of modernc.org/sqlite hides the handle of its statements (stmt.pstmt)")
	}
	r.pstmt = pstmt.Index[0]
	if n := r.Parameters(stmt); n != 1 {
		return fmt.Errorf("this version of modernc.org/sqlite keeps something else in stmt.pstmt: it counts %d parameters of one", n)
	}
	queryer, ok := stmt.(driver.StmtQueryContext)
	if !ok {
		return fmt.Errorf("this version of modernc.org/sqlite prepares a %T that takes no context", stmt)
	}
	rows, err := queryer.QueryContext(context.Background(), []driver.NamedValue{{Ordinal: 1, Value: int64(1)}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types, ok := fieldOf(rows, "decltypes", reflect.Slice)
	if !ok || types.Type != reflect.TypeFor[[]string]() {
		return errors.New("this version of modernc.org/sqlite hides the declared types of its rows (rows.decltypes): values would depend on the engine")
	}
	r.rows, r.decltypes = reflect.TypeOf(rows), types.Offset
	return nil
}

// fieldOf describes a field of the struct that v points to.
func fieldOf(v any, name string, kind reflect.Kind) (reflect.StructField, bool) {
	t := reflect.TypeOf(v)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return reflect.StructField{}, false
	}
	f, ok := t.Elem().FieldByName(name)
	return f, ok && f.Type.Kind() == kind && len(f.Index) == 1
}

func field(v any, name string, kind reflect.Kind) (reflect.Value, bool) {
	f, ok := fieldOf(v, name, kind)
	if !ok {
		return reflect.Value{}, false
	}
	return reflect.ValueOf(v).Elem().FieldByIndex(f.Index), true
}

// withTLS gives f a thread of its own in the translated C. One must not be
// used by two goroutines at once, and an interrupt comes from another
// goroutine than everything else; making one costs about 0.1 µs.
func withTLS[T any](f func(*libc.TLS) T) T {
	tls := libc.NewTLS()
	defer tls.Close()
	return f(tls)
}

// Interrupt calls sqlite3_interrupt.
func (r *raw) Interrupt() {
	tls := libc.NewTLS()
	defer tls.Close()
	lib.Xsqlite3_interrupt(tls, r.handle)
}

// Autocommit calls sqlite3_get_autocommit.
func (r *raw) Autocommit() bool {
	return withTLS(func(tls *libc.TLS) bool { return lib.Xsqlite3_get_autocommit(tls, r.handle) != 0 })
}

// NoCheckpointOnClose sets SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE.
func (r *raw) NoCheckpointOnClose() error {
	rc := withTLS(func(tls *libc.TLS) int32 {
		args := libc.NewVaList(int32(1), uintptr(0))
		defer libc.Xfree(tls, args)
		return lib.Xsqlite3_db_config(tls, r.handle, lib.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, args)
	})
	if rc != lib.SQLITE_OK {
		return fmt.Errorf("sqlite3_db_config(SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE) returned %d", rc)
	}
	return nil
}

// Changes calls sqlite3_changes64 and sqlite3_last_insert_rowid.
func (r *raw) Changes() (rows, lastInsertID int64) {
	tls := libc.NewTLS()
	defer tls.Close()
	return lib.Xsqlite3_changes64(tls, r.handle), lib.Xsqlite3_last_insert_rowid(tls, r.handle)
}

// Parameters calls sqlite3_bind_parameter_count; the driver itself says -1 of every statement.
func (r *raw) Parameters(stmt driver.Stmt) int {
	return int(withTLS(func(tls *libc.TLS) int32 { return lib.Xsqlite3_bind_parameter_count(tls, r.handleOf(stmt)) }))
}

// ReadOnly calls sqlite3_stmt_readonly.
func (r *raw) ReadOnly(stmt driver.Stmt) bool {
	return withTLS(func(tls *libc.TLS) bool { return lib.Xsqlite3_stmt_readonly(tls, r.handleOf(stmt)) != 0 })
}

// handleOf returns the sqlite3_stmt*, which is 0 where stmt holds several statements, or none.
func (r *raw) handleOf(stmt driver.Stmt) uintptr {
	return uintptr(reflect.ValueOf(stmt).Elem().Field(r.pstmt).Uint())
}

// Plain empties the declared types that the driver's rows convert by.
func (r *raw) Plain(rows driver.Rows) {
	if reflect.TypeOf(rows) != r.rows {
		return
	}
	types := (*[]string)(unsafe.Add(reflect.ValueOf(rows).UnsafePointer(), r.decltypes))
	clear(*types)
}

// Unwrap returns the driver's own connection.
func (r *raw) Unwrap() driver.Conn { return r.conn }

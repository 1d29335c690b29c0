package modernc

import (
	"database/sql/driver"
	"fmt"
	"reflect"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// backup is SQLite's own. The driver's opens and closes the destination by
// itself, which then could not be set up.
type backup struct{ handle uintptr }

// Backup calls sqlite3_backup_init.
func (r *raw) Backup(dst driver.Conn) (sqlite.Backup, error) {
	db, ok := field(dst, "db", reflect.Uintptr)
	if !ok || db.Uint() == 0 {
		return nil, fmt.Errorf("the destination is a %T without a handle (conn.db)", dst)
	}
	tls := libc.NewTLS()
	defer tls.Close()
	main, err := libc.CString("main")
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(tls, main)
	handle := lib.Xsqlite3_backup_init(tls, uintptr(db.Uint()), main, r.handle, main)
	if handle == 0 {
		return nil, resultError(lib.Xsqlite3_extended_errcode(tls, uintptr(db.Uint())))
	}
	return &backup{handle}, nil
}

// Step calls sqlite3_backup_step.
func (b *backup) Step(pages int) (done bool, err error) {
	rc := withTLS(func(tls *libc.TLS) int32 { return lib.Xsqlite3_backup_step(tls, b.handle, int32(pages)) })
	switch rc {
	case lib.SQLITE_OK:
		return false, nil
	case lib.SQLITE_DONE:
		return true, nil
	default:
		return false, resultError(rc)
	}
}

// Pages calls sqlite3_backup_remaining and sqlite3_backup_pagecount.
func (b *backup) Pages() (left, all int) {
	tls := libc.NewTLS()
	defer tls.Close()
	return int(lib.Xsqlite3_backup_remaining(tls, b.handle)), int(lib.Xsqlite3_backup_pagecount(tls, b.handle))
}

// Finish calls sqlite3_backup_finish, which repeats the error of the last step.
func (b *backup) Finish() error {
	rc := withTLS(func(tls *libc.TLS) int32 { return lib.Xsqlite3_backup_finish(tls, b.handle) })
	if rc != lib.SQLITE_OK {
		return resultError(rc)
	}
	return nil
}

// resultError is a result code as an error; the driver's own cannot be made here.
type resultError int32

func (e resultError) Error() string {
	text := withTLS(func(tls *libc.TLS) string { return libc.GoString(lib.Xsqlite3_errstr(tls, int32(e))) })
	return fmt.Sprintf("%s (%d)", text, int32(e))
}

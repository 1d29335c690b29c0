//go:build cgo

package mattn

import (
	"database/sql/driver"
	"fmt"
	"unsafe"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// backup is SQLite's own. The driver's says of SQLITE_BUSY what it says of a
// step that went well, and its finalizer would end a forgotten one at any time, beside other calls.
type backup struct{ handle unsafe.Pointer }

// Backup calls sqlite3_backup_init.
func (r *raw) Backup(dst driver.Conn) (sqlite.Backup, error) {
	c, ok := dst.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, fmt.Errorf("the destination is a %T instead of a *sqlite3.SQLiteConn", dst)
	}
	to, err := handleOf(c)
	if err != nil {
		return nil, err
	}
	handle, rc := backupInit(to, r.handle)
	if handle == nil {
		return nil, resultError(rc)
	}
	return &backup{handle}, nil
}

// Step calls sqlite3_backup_step.
func (b *backup) Step(pages int) (done bool, err error) {
	const sqliteDone = 101
	switch rc := backupStep(b.handle, pages); rc {
	case 0:
		return false, nil
	case sqliteDone:
		return true, nil
	default:
		return false, resultError(rc)
	}
}

// Pages calls sqlite3_backup_remaining and sqlite3_backup_pagecount.
func (b *backup) Pages() (left, all int) { return backupPages(b.handle) }

// Finish calls sqlite3_backup_finish, which repeats the error of the last step.
func (b *backup) Finish() error {
	if rc := backupFinish(b.handle); rc != 0 {
		return resultError(rc)
	}
	return nil
}

// resultError is the driver's error of a result code.
func resultError(rc int) error {
	return sqlite3.Error{Code: sqlite3.ErrNo(rc & 0xff), ExtendedCode: sqlite3.ErrNoExtended(rc)}
}

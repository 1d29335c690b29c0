//go:build cgo

package mattn

// The few calls of SQLite that the driver does not export. They are declared
// here and resolved when the program is linked, against the SQLite that the
// driver brings along (or the system's, with the driver's tag libsqlite3).

/*
#cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
#include <stddef.h>

extern void sqlite3_interrupt(void*);
extern int sqlite3_get_autocommit(void*);
extern int sqlite3_db_config(void*, int op, ...);
extern long long sqlite3_changes64(void*);
extern long long sqlite3_last_insert_rowid(void*);

// cgo cannot call a variadic function.
static int quiesce_no_checkpoint_on_close(void *db) {
	const int SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE = 1006;
	return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}
*/
import "C"

import "unsafe"

func interrupt(db unsafe.Pointer) { C.sqlite3_interrupt(db) }

func autocommit(db unsafe.Pointer) bool { return C.sqlite3_get_autocommit(db) != 0 }

func noCheckpointOnClose(db unsafe.Pointer) int { return int(C.quiesce_no_checkpoint_on_close(db)) }

func changes(db unsafe.Pointer) (rows, lastInsertID int64) {
	return int64(C.sqlite3_changes64(db)), int64(C.sqlite3_last_insert_rowid(db))
}

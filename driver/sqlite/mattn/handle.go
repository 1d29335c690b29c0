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
extern int sqlite3_extended_errcode(void*);
extern void *sqlite3_backup_init(void*, const char*, void*, const char*);
extern int sqlite3_backup_step(void*, int);
extern int sqlite3_backup_remaining(void*);
extern int sqlite3_backup_pagecount(void*);
extern int sqlite3_backup_finish(void*);

// cgo cannot call a variadic function.
static int quiesce_no_checkpoint_on_close(void *db) {
	const int SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE = 1006;
	return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

static void *quiesce_backup_init(void *dst, void *src) {
	return sqlite3_backup_init(dst, "main", src, "main");
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

// backupInit returns NULL, and what it failed with, where it fails.
func backupInit(dst, src unsafe.Pointer) (backup unsafe.Pointer, rc int) {
	if backup = C.quiesce_backup_init(dst, src); backup == nil {
		rc = int(C.sqlite3_extended_errcode(dst))
	}
	return backup, rc
}

func backupStep(backup unsafe.Pointer, pages int) int {
	return int(C.sqlite3_backup_step(backup, C.int(pages)))
}

func backupPages(backup unsafe.Pointer) (left, all int) {
	return int(C.sqlite3_backup_remaining(backup)), int(C.sqlite3_backup_pagecount(backup))
}

func backupFinish(backup unsafe.Pointer) int { return int(C.sqlite3_backup_finish(backup)) }

package holders

// The bytes that SQLite locks, as fixed by its file format: os.h and os_unix.c of
// SQLite, and https://sqlite.org/walformat.html#wal_locks. Versions must agree
// on them to share a file, so they do not change.

import (
	"strconv"
	"strings"
)

type lockRange struct {
	start, end int64 // inclusive
	name       string
}

const (
	pendingByte = 0x40000000 // the first byte that SQLite locks on the main file
	sharedLast  = pendingByte + 511
	shmFirst    = 120 // WAL_WRITE_LOCK
	shmReaders  = 123 // WAL_READ_LOCK(0), of five
	shmLast     = 128 // the dead man's switch: held as long as the -shm is in use
)

var dbRanges = []lockRange{
	{pendingByte, pendingByte, "pending"},
	{pendingByte + 1, pendingByte + 1, "reserved"},
	{pendingByte + 2, sharedLast, "shared"},
}

var shmRanges = []lockRange{
	{shmFirst, shmFirst, "wal-write"},
	{121, 121, "wal-ckpt"},
	{122, 122, "wal-recover"},
	{shmReaders, shmReaders, "wal-read-0"},
	{124, 124, "wal-read-1"},
	{125, 125, "wal-read-2"},
	{126, 126, "wal-read-3"},
	{127, 127, "wal-read-4"},
	{shmLast, shmLast, "dms"},
}

// lockRanges returns the ranges that SQLite locks on a file, nil for the -wal and the journal.
func lockRanges(file string) []lockRange {
	switch file {
	case "db":
		return dbRanges
	case "shm":
		return shmRanges
	}
	return nil
}

// LockName returns what SQLite calls the bytes start to end (inclusive, -1 is
// the end of the file) of a database's file, "db" or "shm": pending, reserved and shared,
// wal-write, wal-ckpt, wal-recover, wal-read-0 to wal-read-4, dms. The
// kernel merges neighbouring locks of one owner, so several names may be
// joined with "+", and neighbouring read marks are written "wal-read-0..4".
// It is empty for bytes that SQLite does not lock.
func LockName(file string, start, end int64) string {
	var parts []string
	firstReader, lastReader := int64(-1), int64(-1)
	for _, r := range lockRanges(file) {
		if r.end < start || (end != -1 && r.start > end) {
			continue
		}
		if file == "shm" && r.start >= shmReaders && r.start < shmLast {
			lastReader = r.start - shmReaders
			if firstReader >= 0 {
				parts[len(parts)-1] = "wal-read-" + strconv.FormatInt(firstReader, 10) + ".." + strconv.FormatInt(lastReader, 10)
				continue
			}
			firstReader = lastReader
		}
		parts = append(parts, r.name)
	}
	return strings.Join(parts, "+")
}

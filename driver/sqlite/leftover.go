package sqlite

import (
	"context"
	"path/filepath"
	"time"
)

// What a pause leaves beside a file, and how a later Resume tells that log from
// another: SQLite would play any log that fits into the file, whosever it is.

// afterState is what lay in the directory when nothing was held any more.
type afterState struct {
	taken time.Time
	db    content
	log   *leftLog // nil where there was no log, which is the rule
}

// leftLog is a log that stayed, and whose it is: when a Resume that took
// another file has failed, that is not the file which the store had last.
type leftLog struct {
	fileState
	of       fileID
	identity identity
}

func (a afterState) wal() fileState {
	if a.log == nil {
		return fileState{}
	}
	return a.log.fileState
}

// clockWentBack tells whether the system's clock was set back since: then a
// log may be younger than it looks. The monotonic clock tells how much time has gone by at least.
func (a afterState) clockWentBack() bool {
	now := time.Now()
	return now.Round(0).Sub(a.taken.Round(0)) < now.Sub(a.taken)-clockStep/2
}

func (f *file) lookAfter(wal fileStat) {
	f.after, f.swapped = afterState{taken: time.Now()}, false
	db, _ := statFile(f.path)
	f.after.db = db.content
	if wal.exists {
		f.after.log = &leftLog{wal.fileState, f.was.fileID, f.identity}
	}
}

// leftovers lists the side files that are there, and what the log is.
func (f *file) leftovers() (left []string, wal fileStat) {
	for _, suffix := range sideFiles {
		st, _ := statFile(f.side(suffix))
		if suffix == "-wal" {
			wal = st
		}
		if st.exists {
			left = append(left, filepath.Base(f.path)+suffix)
		}
	}
	return left, wal
}

// isOldLog tells whether the log beside the file belongs to another content
// than the file's. A log that others have written meanwhile is younger than
// the pause; what a pause has left is not, and is known. An old log that was
// copied there meanwhile, with a new time, cannot be told.
func (d *storeDriver) isOldLog(ctx context.Context, f *file, st, wal fileStat) bool {
	paused := f.after.wal()
	younger := max(wal.modified, wal.changed) >= max(st.changed, st.modified)
	switch {
	case wal.same(paused.fileID) && !wal.touched(paused.content): // what the pause has left
		if !st.same(f.after.log.of) {
			return true
		}
	case !st.same(f.was.fileID): // accepted where it comes with a log of its own
		return !younger
	case f.swapped && younger: // it was accepted with that, by a Resume that failed
		return false
	default:
		return wal.modified < stampOf(f.after.taken.Add(-stepOf(wal.modified))) && !f.after.clockWentBack()
	}
	if !st.touched(f.after.db) {
		return false
	}
	// The file was written to and its log was not: somebody has written the log
	// back, or copied another database over the file.
	id, err := d.identityWithoutLog(ctx, f)
	was := f.after.log.identity
	return err != nil || was.has && !id.is(was)
}

// clockStep is more than the step in which most file systems count time.
const clockStep = 20 * time.Millisecond

// stepOf is more than the step in which the file system counts that these
// times are of: FAT, and ext4 with small inodes, count whole seconds.
func stepOf(times ...stamp) time.Duration {
	for _, t := range times {
		if t%stamp(time.Second) != 0 {
			return clockStep
		}
	}
	return 2*time.Second + clockStep
}

package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// file is one database of a store, and what a Resume has to find of it.
type file struct {
	schema string // "main", or the name it is attached under
	path   string

	// Kept over a pause. Guarded by the driver's mutex.
	known    bool       // it was open before: the rest is valid
	stat     fileStat   // taken right before the last connection was closed
	pausedAt time.Time  // when that was
	identity identity   // read from the content
	after    afterState // taken right after
}

// sideFiles are the names that SQLite adds to a database's.
var sideFiles = [...]string{"-wal", "-shm", "-journal"}

// afterState is what lay in the directory when nothing was held any more.
type afterState struct {
	taken    time.Time
	db, wal  fileStat
	leftover []string // names of side files that stayed
}

func (f *file) lookAfter() {
	f.after = afterState{taken: time.Now()}
	f.after.db, _ = statFile(f.path)
	f.after.wal, _ = statFile(f.path + "-wal")
	for _, suffix := range sideFiles {
		if st, err := statFile(f.path + suffix); err == nil && st.exists {
			f.after.leftover = append(f.after.leftover, filepath.Base(f.path)+suffix)
		}
	}
}

// errOldLog is why a log beside a database is refused.
var errOldLog = errors.New("an older log (-wal) lies beside it, and SQLite would mix the two")

// check compares what lies in the directory with what was paused, before
// SQLite opens anything: SQLite itself would make a missing file anew, open an
// empty one, and play an old log into a new file, all without a complaint.
func (f *file) check(acceptReplaced bool) error {
	st, err := statFile(f.path)
	switch {
	case err != nil:
		return err
	case !st.exists:
		return &OpenError{Path: f.path, Err: lifecycle.ErrMissing, Hint: "a Resume never makes a database; put it back, or open it anew"}
	}
	if err := writable(f.path); err != nil {
		return &OpenError{Path: f.path, Err: errors.Join(lifecycle.ErrInaccessible, err)}
	}
	replaced := func(format string, args ...any) error {
		return &OpenError{Path: f.path, Err: fmt.Errorf("%w: "+format, append([]any{lifecycle.ErrReplaced}, args...)...)}
	}
	wal, err := statFile(f.path + "-wal")
	if err != nil {
		return err
	}
	same := !f.known || st.same(f.stat)
	if wal.exists && wal.size > 0 && f.known {
		// A log that others wrote meanwhile is younger than the pause.
		if !same && wal.modified.Before(later(st.changed, st.modified)) || same && !f.after.wal.exists && wal.modified.Before(f.pausedAt.Add(-clockStep)) {
			return replaced("%w", errOldLog)
		}
	}
	if !f.known || acceptReplaced {
		return nil
	}
	if !same {
		return replaced("the file is another one than the one that was paused")
	}
	if st.size == 0 && f.stat.size > 0 {
		return replaced("the file is empty")
	}
	return nil
}

// clockStep is more than the step in which file systems count time.
const clockStep = 20 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// changed tells whether somebody wrote since the pause. That nobody did can
// only be told where the last write was long enough before: file systems count time in steps.
func (f *file) changed() lifecycle.Change {
	if !f.known || f.after.taken.IsZero() {
		return lifecycle.ChangeUnknown
	}
	db, err1 := statFile(f.path)
	wal, err2 := statFile(f.path + "-wal")
	if err1 != nil || err2 != nil {
		return lifecycle.ChangeUnknown
	}
	// SQLite makes an empty log as soon as it opens the file.
	touched := func(before, now fileStat) bool {
		return before.size != now.size || before.exists && now.exists && !before.modified.Equal(now.modified)
	}
	if touched(f.after.db, db) || touched(f.after.wal, wal) || !db.same(f.after.db) {
		return lifecycle.ChangeYes
	}
	if f.after.taken.Sub(later(f.after.db.modified, f.after.wal.modified)) < clockStep {
		return lifecycle.ChangeUnknown
	}
	return lifecycle.ChangeNo
}

// made remembers what Open put into the file system, so that an Open that
// fails leaves nothing behind.
type made struct{ files, dirs []string }

// create makes the file where it is missing. SQLite itself would make it
// readable for everybody. The descriptor is closed before SQLite sees the file.
func (m *made) create(path string) (isNew bool, err error) {
	if err := m.mkdir(filepath.Dir(path)); err != nil {
		return false, err
	}
	st, err := statFile(path)
	if err != nil {
		return false, err
	}
	if st.exists {
		return st.size == 0, nil
	}
	// A log without a database belongs to one that was deleted; SQLite would play it into ours.
	if wal, err := statFile(path + "-wal"); err == nil && wal.exists && wal.size > 0 {
		return false, &OpenError{Path: path, Err: fmt.Errorf("%w: the database is gone, but its log (-wal) is there", lifecycle.ErrMissing),
			Hint: "put the database back, or delete the log"}
	}
	fd, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil // somebody else was faster
	}
	if err != nil {
		return false, &OpenError{Path: path, Err: classify(err), Hint: "the file cannot be made"}
	}
	m.files = append(m.files, path)
	return true, fd.Close()
}

func (m *made) mkdir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &OpenError{Path: dir, Err: ErrDirectory, Hint: "a file is where the directory should be"}
	case !errors.Is(err, fs.ErrNotExist):
		return &OpenError{Path: dir, Err: errors.Join(ErrDirectory, classify(err))}
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := m.mkdir(parent); err != nil {
			return err
		}
	}
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return &OpenError{Path: dir, Err: errors.Join(ErrDirectory, classify(err)), Hint: "the directory cannot be made"}
	}
	m.dirs = append(m.dirs, dir)
	return nil
}

// undo removes what was made. It keeps a directory that somebody else uses by now.
func (m *made) undo() {
	for _, path := range m.files {
		for _, suffix := range sideFiles {
			_ = os.Remove(path + suffix)
		}
		_ = os.Remove(path)
	}
	for i := len(m.dirs) - 1; i >= 0; i-- {
		_ = os.Remove(m.dirs[i])
	}
	*m = made{}
}

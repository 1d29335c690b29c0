package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// file is one database of a store, and what a Resume has to find of it.
type file struct {
	schema  string // "main", or the name it is attached under
	path    string
	next    *file  // of the store, or nil
	claimed string // its key in the registry of open files, or ""; guarded by that
	inode   inode  // under which the registry knows it too, or zero; guarded likewise

	// Kept over a pause. Guarded by the driver's mutex.
	was      fileStat   // taken before the first connection was opened, and again right before the last was closed
	identity identity   // read from the content
	after    afterState // taken when nothing was held any more
	link     *string    // path without symbolic links, as it was before the first connection was opened, where that differs; guarded too
	resolved bool       // link is valid
	known    bool       // it was open before: the rest is valid
	swapped  bool       // since then another file has taken its place, and was accepted
	settled  bool       // the first was was taken long enough after the last write, see fileStat.untouched
}

// sideFiles are the names that SQLite adds to a database's.
var sideFiles = [...]string{"-wal", "-shm", "-journal"}

// side is the name of a side file. SQLite puts them beside the file itself, not
// beside a symbolic link to it, and resolves links when it opens a connection.
func (f *file) side(suffix string) string {
	if !f.resolved {
		f.resolve()
	}
	if f.link != nil {
		return *f.link + suffix
	}
	return f.path + suffix
}

// resolve looks for symbolic links. It costs a call of the system for every directory above.
func (f *file) resolve() {
	f.link, f.resolved = nil, true
	if real := realPath(f.path); real != f.path {
		f.link = &real
	}
}

// afterState is what lay in the directory when nothing was held any more.
type afterState struct {
	taken time.Time
	db    content
	log   *fileState // nil where there was no log, which is the rule
}

func (a afterState) wal() fileState {
	if a.log == nil {
		return fileState{}
	}
	return *a.log
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
		f.after.log = &wal.fileState
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

// errOldLog is why a log beside a database is refused.
var errOldLog = errors.New("an older log (-wal) lies beside it, and SQLite would mix the two")

// check compares what lies in the directory with what was paused, before
// SQLite opens anything: SQLite itself would make a missing file anew, open an
// empty one, and play an old log into a new file, all without a complaint.
func (d *storeDriver) check(ctx context.Context, f *file) error {
	st, err := statFile(f.path)
	switch {
	case err != nil && f.known && errors.Is(err, ErrDirectory):
		return errors.Join(lifecycle.ErrReplaced, err)
	case err != nil:
		return err
	case !st.exists:
		return &OpenError{Path: f.path, Err: lifecycle.ErrMissing, Hint: "a Resume never makes a database; put it back, or open it anew"}
	}
	if err := writable(f.path); err != nil {
		return &OpenError{Path: f.path, Err: errors.Join(lifecycle.ErrInaccessible, err)}
	}
	f.resolve()
	wal, err := statFile(f.side("-wal"))
	switch {
	case err != nil:
		return err
	case !f.known:
		return nil
	}
	replaced := func(format string, args ...any) error {
		return &OpenError{Path: f.path, Err: fmt.Errorf("%w: "+format, append([]any{lifecycle.ErrReplaced}, args...)...)}
	}
	accept := d.acceptsReplaced()
	if !st.same(f.was.fileID) && !accept {
		return replaced("the file is another one than the one that was paused")
	}
	if wal.exists && wal.size > 0 && d.isOldLog(ctx, f, st, wal) {
		if ctx.Err() != nil { // which may be all that was found
			return &OpenError{Path: f.path, Err: context.Cause(ctx)}
		}
		return replaced("%w", errOldLog)
	}
	if st.size == 0 && f.was.size > 0 && !accept {
		return replaced("the file is empty")
	}
	return nil
}

// isOldLog tells whether the log beside the file belongs to another content
// than the file's. A log that others have written meanwhile is younger than
// the pause; what a pause has left is not, and is known. An old log that was
// copied there meanwhile, with a new time, cannot be told.
func (d *storeDriver) isOldLog(ctx context.Context, f *file, st, wal fileStat) bool {
	paused := f.after.wal()
	left := wal.same(paused.fileID) && !wal.touched(paused.content)
	switch {
	case !st.same(f.was.fileID): // accepted where it comes with a log of its own
		return left || max(wal.modified, wal.changed) < max(st.changed, st.modified)
	case !left:
		return wal.modified < stampOf(f.after.taken.Add(-stepOf(wal.modified))) && !f.after.clockWentBack()
	case !st.touched(f.after.db):
		return false
	}
	// The file was written to and its log was not: somebody has written the log
	// back, or copied another database over the file.
	id, err := d.identityWithoutLog(ctx, f)
	return err != nil || f.identity.has && !id.is(f.identity)
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

// whyNot finds out what SQLite does not say: why the file could not be opened.
func (f *file) whyNot() error {
	st, err := statFile(f.path)
	switch {
	case err != nil:
		return err
	case !st.exists:
		return lifecycle.ErrMissing
	}
	err = writable(f.path)
	if err == nil {
		err = writableDir(filepath.Dir(realPath(f.path))) // for the side files
	}
	if err != nil {
		return errors.Join(lifecycle.ErrInaccessible, err)
	}
	return nil
}

// changed tells whether somebody wrote since the pause. That nobody did can
// only be told where the last write was long enough before: file systems count time in steps.
func (f *file) changed() lifecycle.Change {
	if !f.known || f.after.taken.IsZero() {
		return lifecycle.ChangeUnknown
	}
	db, err1 := statFile(f.path)
	wal, err2 := statFile(f.side("-wal"))
	if err1 != nil || err2 != nil {
		return lifecycle.ChangeUnknown
	}
	logWas := f.after.wal()
	if db.touched(f.after.db) || wal.touched(logWas.content) || f.swapped {
		return lifecycle.ChangeYes
	}
	if stampOf(f.after.taken.Add(-stepOf(f.after.db.modified, logWas.modified))) < max(f.after.db.modified, logWas.modified) {
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
	if st.exists && st.size > 0 {
		return false, nil
	}
	// A log without a database belongs to one that was deleted or emptied, and may be all that is left of it; SQLite would delete it.
	if wal, err := statFile(realPath(path) + "-wal"); err == nil && wal.exists && wal.size > 0 {
		return false, &OpenError{Path: path, Err: fmt.Errorf("%w: the database is gone, but its log (-wal) is there", lifecycle.ErrMissing),
			Hint: "put the database back, or delete the log"}
	}
	if st.exists {
		return true, nil
	}
	fd, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if st, err := statFile(path); err != nil || st.exists {
			return st.size == 0, err // somebody else was faster
		}
		return false, &OpenError{Path: path, Err: ErrDirectory, Hint: "it is a symbolic link to a file that does not exist"}
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
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
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

// undo removes what was made. It keeps a file or a directory that another process uses by now.
func (m *made) undo(d *storeDriver) {
	for _, path := range m.files {
		f := &file{schema: mainSchema, path: path}
		if st, err := statFile(path); err == nil && st.size > 0 {
			if err := d.wipe(context.Background(), []*file{f}, 0); errors.Is(err, ErrInUse) {
				continue
			}
		}
		_ = remove(f) // also where there was no locking it: nothing that was made may remain
	}
	for i := len(m.dirs) - 1; i >= 0; i-- {
		_ = os.Remove(m.dirs[i])
	}
	*m = made{}
}

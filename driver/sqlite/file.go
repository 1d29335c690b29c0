package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"unique"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// file is one database of a store, and what a Resume has to find of it.
type file struct {
	as      unique.Handle[string] // schema; half of what a string would cost a paused store
	path    string
	next    *file  // of the store, or nil
	claimed string // its key in the registry of open files, or ""; guarded by that
	inode   inode  // under which the registry knows it too, or zero; guarded likewise

	// Kept over a pause. Guarded by the driver's mutex.
	was      fileStat   // taken before the first connection was opened, and again right before the last was closed
	identity identity   // read from the content
	resolved bool       // link is valid
	known    bool       // it was open before: the rest is valid
	swapped  bool       // since then another file has taken its place, and was accepted
	settled  bool       // the first was was taken long enough after the last write, see fileStat.untouched
	after    afterState // taken when nothing was held any more
	link     *string    // path without symbolic links, as it was before the first connection was opened, where that differs; guarded too
}

// mainSchema is SQLite's name for the database that a connection was opened with.
const mainSchema = "main"

func newFile(schema, path string) *file { return &file{as: unique.Make(schema), path: path} }

// schema is SQLite's name for the file on a connection: "main", or the name that it is attached under.
func (f *file) schema() string { return f.as.Value() }

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
		f := newFile(mainSchema, path)
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

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// fileStat is what the file system says of a file. It is asked with os.Stat
// and never by opening the file: closing any descriptor of a file drops the
// POSIX locks that SQLite holds on it in this process.
type fileStat struct {
	exists   bool
	dev, ino uint64
	birth    time.Time // zero where the platform does not tell
	size     int64
	modified time.Time
	changed  time.Time // of the inode: content, name, owner; zero where the platform does not tell
}

// same tells whether both are the same file, as far as can be told: ext4 gives
// the inode of a deleted file to the next one, and birth times have steps of 4 ms.
func (s fileStat) same(other fileStat) bool {
	return s.exists == other.exists && s.dev == other.dev && s.ino == other.ino && s.birth.Equal(other.birth)
}

// touched tells whether the content may have been changed since before. An
// empty file is as good as none: SQLite makes an empty log as soon as it opens a database.
func (s fileStat) touched(before fileStat) bool {
	return s.size != before.size || s.exists && before.exists && !s.modified.Equal(before.modified)
}

// untouched tells, of a file that SQLite writes, that nobody has written to it
// since before. It is sure of that only where the last write was long enough
// before that moment: settled says so. Elsewhere, and where the platform tells no time of change, it says no.
func (s fileStat) untouched(before fileStat, settled bool) bool {
	return settled && s.exists && !s.changed.IsZero() && s.same(before) && !s.touched(before) && s.changed.Equal(before.changed)
}

// settled tells whether a write after the moment at, when s was taken, shows in the file's times: they have steps.
func (s fileStat) settled(at time.Time) bool {
	return at.Sub(later(s.modified, s.changed)) >= clockStep
}

// statFile asks for path. That it is missing is no error.
func statFile(path string) (fileStat, error) {
	if st, ok := quickStat(path); ok {
		return st, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fileStat{}, nil
	case err != nil:
		return fileStat{}, &OpenError{Path: path, Err: classify(err)}
	case info.IsDir():
		return fileStat{}, &OpenError{Path: path, Err: ErrDirectory, Hint: "it is a directory; give the path of a file in it"}
	case !info.Mode().IsRegular():
		return fileStat{}, &OpenError{Path: path, Err: ErrDirectory, Hint: "it is not a regular file"}
	}
	st := fileStat{exists: true, size: info.Size(), modified: info.ModTime()}
	st.fill(info)
	return st, nil
}

// classify makes the system's refusal match lifecycle.ErrInaccessible.
func classify(err error) error {
	if errors.Is(err, fs.ErrPermission) || isReadOnlyFS(err) {
		return errors.Join(lifecycle.ErrInaccessible, err)
	}
	return err
}

package sqlite

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"syscall"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// fileStat is what the file system says of a file. It is asked with os.Stat
// and never by opening the file: closing any descriptor of a file drops the
// POSIX locks that SQLite holds on it in this process.
type fileStat struct {
	fileState
	changed stamp // of the inode: content, name, owner; 0 where the platform does not tell
}

// fileID tells which file it is, as far as can be told: ext4 gives the inode of
// a deleted file to the next one, and birth times have steps of 4 ms.
type fileID struct {
	dev, ino uint64
	birth    stamp // 0 where the platform does not tell
	exists   bool
}

// fileState is what tells whether a file was written to.
type fileState struct {
	fileID
	size     int64
	modified stamp
}

func (id fileID) same(other fileID) bool { return id == other }

// touched tells whether the content may have been changed since before. An
// empty file is as good as none: SQLite makes an empty log as soon as it opens a database.
func (s fileState) touched(before fileState) bool {
	return s.size != before.size || s.exists && before.exists && s.modified != before.modified
}

// stamp is a time of a file, in nanoseconds since 1970: a third of a time.Time, of which a paused store keeps several.
type stamp int64

// stampOf makes the latest and the earliest stamp of what is beyond them, centuries away.
func stampOf(t time.Time) stamp {
	const furthest = math.MaxInt64/1_000_000_000 - 1
	switch s := t.Unix(); {
	case s > furthest:
		return math.MaxInt64
	case s < -furthest:
		return math.MinInt64
	}
	return stamp(t.UnixNano())
}

// statFile asks for path. That it is missing is no error.
func statFile(path string) (fileStat, error) {
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
	var st fileStat
	st.exists, st.size, st.modified = true, info.Size(), stampOf(info.ModTime())
	st.fill(path, info)
	return st, nil
}

// classify makes the system's refusal match lifecycle.ErrInaccessible.
func classify(err error) error {
	if errors.Is(err, fs.ErrPermission) || isReadOnlyFS(err) {
		return errors.Join(lifecycle.ErrInaccessible, err)
	}
	return err
}

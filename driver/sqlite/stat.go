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

// content is what tells whether a file was written to. It is zero where there is no file.
type content struct {
	size     int64
	modified stamp
}

// fileState is both.
type fileState struct {
	fileID
	content
}

func (id fileID) same(other fileID) bool { return id == other }

// touched tells whether the content may have been changed since before. An
// empty file is as good as none: SQLite makes an empty log as soon as it opens a database.
func (c content) touched(before content) bool {
	return c.size != before.size || c.modified != 0 && before.modified != 0 && c.modified != before.modified
}

// stamp is a time of a file, in nanoseconds since 1970: a third of a time.Time, of which a paused store keeps several.
type stamp int64

// stampOf makes the latest and the earliest stamp of what is beyond them,
// centuries away. It makes no 0, which is no time.
func stampOf(t time.Time) stamp {
	const furthest = math.MaxInt64/1_000_000_000 - 1
	switch s := t.Unix(); {
	case s > furthest:
		return math.MaxInt64
	case s < -furthest:
		return math.MinInt64
	}
	if ns := t.UnixNano(); ns != 0 {
		return stamp(ns)
	}
	return 1
}

// untouched tells, of a file that SQLite writes, that nobody has written to it
// since before. It is sure of that only where the last write was long enough
// before that moment: settled says so. Elsewhere, and where the platform tells no time of change, it says no.
func (s fileStat) untouched(before fileStat, settled bool) bool {
	return settled && s.exists && s.changed != 0 && s.same(before.fileID) && !s.touched(before.content) && s.changed == before.changed
}

// settled tells whether a write after the moment at, when s was taken, shows in the file's times: they have steps.
func (s fileStat) settled(at time.Time) bool {
	return stampOf(at)-max(s.modified, s.changed) >= stamp(stepOf(s.modified, s.changed))
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
	var st fileStat
	st.exists, st.size, st.modified = true, info.Size(), stampOf(info.ModTime())
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

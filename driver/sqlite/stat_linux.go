package sqlite

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// quickStat asks for everything at once. It leaves to os.Stat what is neither a regular file nor missing.
func quickStat(path string) (st fileStat, ok bool) {
	var stx unix.Statx_t
	ask := func() error {
		return unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &stx)
	}
	err := ask()
	for errors.Is(err, unix.EINTR) { // as package os does: on some file systems the runtime's signals interrupt
		err = ask()
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fileStat{}, true
	case err != nil, stx.Mode&unix.S_IFMT != unix.S_IFREG, stx.Mask&unix.STATX_BASIC_STATS != unix.STATX_BASIC_STATS:
		return fileStat{}, false
	}
	stamp := func(t unix.StatxTimestamp) stamp { return stampOf(time.Unix(t.Sec, int64(t.Nsec))) }
	st.exists, st.dev, st.ino, st.size = true, unix.Mkdev(stx.Dev_major, stx.Dev_minor), stx.Ino, int64(stx.Size)
	st.modified, st.changed = stamp(stx.Mtime), stamp(stx.Ctime)
	if stx.Mask&unix.STATX_BTIME != 0 {
		st.birth = stamp(stx.Btime)
	}
	return st, true
}

// fill is for a kernel without statx, which tells no birth time either.
func (s *fileStat) fill(info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.dev, s.ino = uint64(st.Dev), st.Ino
		s.changed = stampOf(time.Unix(st.Ctim.Unix()))
	}
}

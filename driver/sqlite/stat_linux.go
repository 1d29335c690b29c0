package sqlite

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func (s *fileStat) fill(path string, info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.dev, s.ino = uint64(st.Dev), st.Ino
		s.changed = stampOf(time.Unix(st.Ctim.Unix()))
	}
	var stx unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BTIME|unix.STATX_INO, &stx) == nil &&
		stx.Mask&unix.STATX_BTIME != 0 && stx.Ino == s.ino {
		s.birth = stampOf(time.Unix(stx.Btime.Sec, int64(stx.Btime.Nsec)))
	}
}

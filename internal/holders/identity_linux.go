package holders

import "golang.org/x/sys/unix"

// identify returns the identity of the file at path, following links.
func identify(path string) (fileID, error) { return identifyAt(unix.AT_FDCWD, path) }

// identifyAt is identify for a path relative to an open directory. It follows
// the magic links of /proc/PID/fd, too. It asks the system not to talk to a file server: a
// descriptor on a network mount that has gone away must not hang a pause.
func identifyAt(dir int, path string) (fileID, error) {
	var st unix.Statx_t
	err := unix.Statx(dir, path, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_INO, &st)
	if err == unix.ENOSYS || err == unix.EPERM {
		// Kernels before 4.11, and seccomp filters that do not know statx.
		var old unix.Stat_t
		err := unix.Fstatat(dir, path, &old, 0)
		return fileID{dev: uint64(old.Dev), ino: old.Ino}, err
	}
	return fileID{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino}, err
}

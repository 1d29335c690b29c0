package sqlite

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNew gives a file a name that nothing has.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system can
		return renameAfterLook(from, to)
	}
	return err
}

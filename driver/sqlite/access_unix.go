//go:build unix

package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	exclusiveSupported = true
	deleteWhileOpen    = true
)

func isReadOnlyFS(err error) bool { return errors.Is(err, unix.EROFS) }

// writable asks whether this process may read and write path, without opening it.
func writable(path string) error { return unix.Access(path, unix.R_OK|unix.W_OK) }

// writableDir asks whether this process may make files in dir.
func writableDir(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }

// syncDir makes what was renamed in dir survive a loss of power. A file system
// that cannot do that for a directory says EINVAL, and keeps order by itself.
func syncDir(dir string) error {
	fd, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = fd.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, fd.Close())
}

//go:build unix

package sqlite

import (
	"errors"

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

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package conformance

import (
	"fmt"
	"os"
	"syscall"
)

// takeExclusive locks the whole file in both ways that the system has, and lets
// go. It must run in a process that has nothing else to do with the file.
func takeExclusive(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("flock(LOCK_EX): %w", err)
	}
	all := syscall.Flock_t{Type: syscall.F_WRLCK} // from the start, to the end wherever that is
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &all); err != nil {
		return fmt.Errorf("fcntl(F_SETLK, F_WRLCK): %w", err)
	}
	return nil
}

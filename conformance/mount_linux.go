package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// A full disk and a read-only one are made of a small tmpfs, in a child with
// a mount namespace of its own: nobody else sees it, and it goes with the
// child. Without privileges a user namespace serves, where the system allows it.

const smallFileSystem = 4 << 20

// apart gives the child its own mounts.
var apart = func(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
}

func mountSmall(dir string) error {
	// Private first, so that nothing of this reaches anybody else's mounts.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount anything here: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallFileSystem)); err != nil {
		return fmt.Errorf("mount a small tmpfs here: %w", err)
	}
	return nil
}

// remount makes the file system read-only, or writable again.
func remount(dir string, readOnly bool) error {
	flags := uintptr(syscall.MS_REMOUNT)
	if readOnly {
		flags |= syscall.MS_RDONLY
	}
	return syscall.Mount("", dir, "", flags, fmt.Sprintf("size=%d", smallFileSystem))
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }

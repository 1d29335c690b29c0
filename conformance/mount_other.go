//go:build !linux

package conformance

import (
	"errors"
	"os/exec"
	"syscall"
)

var errNoMount = errors.New("make a file system for one process: this system has none")

// apart is nil: a child cannot have a file system of its own here.
var apart func(*exec.Cmd)

func mountSmall(string) error    { return errNoMount }
func remount(string, bool) error { return errNoMount }
func isFull(err error) bool      { return errors.Is(err, syscall.ENOSPC) }

//go:build !unix

package main

import "os/exec"

// apart does nothing here: a child that Ctrl-C ends is asked again by nobody, and the demo says so.
func apart(*exec.Cmd) {}

//go:build unix

package holders

// Asking lsof. Linux never does, but its tests run it there.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// lsofPlaces are where lsof may be although PATH does not say so: a daemon's PATH on macOS lacks sbin.
var lsofPlaces = []string{"lsof", "/usr/sbin/lsof", "/usr/local/sbin/lsof"}

func lsofSelf(ctx context.Context, w *wanted) (Report, error) {
	return lsof(ctx, w, "-a", "-p", strconv.Itoa(os.Getpid()))
}

func lsof(ctx context.Context, w *wanted, args ...string) (Report, error) {
	var program string
	var err error
	for _, place := range lsofPlaces {
		if program, err = exec.LookPath(place); err == nil {
			break
		}
	}
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	// -n -P -l: no names for hosts, ports, users. -w: no warnings.
	cmd := exec.CommandContext(ctx, program, append([]string{"-nPlw", "-F", lsofFields}, args...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &complaint, time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return Report{}, ctx.Err()
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || out.Len() == 0) {
		// It exits with 1 for many small reasons. A process always has some file open,
		// so no output at all is a failure and not the answer "nothing".
		if errors.Is(err, errors.ErrUnsupported) || !exited {
			return Report{}, fmt.Errorf("%w: %w", ErrUnsupported, err) // iOS lets nobody start programs
		}
		return Report{}, fmt.Errorf("holders: lsof: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return Report{Holders: parseLsof(out.String(), w, os.Getpid())}, nil
}

package sqlite

import (
	"context"
	"os/exec"

	"github.com/quiesce-go/quiesce/internal/holders"
)

// What holds a database: descriptors, maps and locks on it and on its -wal,
// -shm and -journal, as the operating system tells.
type (
	// Held lists who holds what.
	Held = holders.Report
	// Holder is one thing that is held.
	Holder = holders.Holder
	// Lock is a lock that is held on a range of bytes.
	Lock = holders.Lock
	// ProbeResult is what a child process found out about a file.
	ProbeResult = holders.ProbeResult
)

// HeldBySelf returns what this process holds on the databases at paths. It
// opens nothing and may be called at any time. Where the system cannot tell,
// the error matches errors.ErrUnsupported.
func HeldBySelf(ctx context.Context, paths ...string) (Held, error) {
	return holders.Self(ctx, paths...)
}

// HeldByAll returns what every process holds on the databases at paths, and
// which processes may not be looked at.
func HeldByAll(ctx context.Context, paths ...string) (Held, error) { return holders.All(ctx, paths...) }

// Probe runs cmd, which is "quiesce probe" of this module's program, and returns
// which locks a process other than this one meets at paths, and whether it
// could take an exclusive one. A process cannot find that out about itself.
func Probe(ctx context.Context, cmd *exec.Cmd, paths ...string) ([]ProbeResult, error) {
	return holders.ProbeCommand(ctx, cmd, paths...)
}

// canVerify tells at Open, rather than at the first Pause, that there will be no proof.
func canVerify(ctx context.Context, path string) error {
	if _, err := holders.Self(ctx, path); err != nil {
		return &OpenError{Path: path, Err: err, Hint: "Config.Verify needs a system that can tell what a process holds"}
	}
	return nil
}

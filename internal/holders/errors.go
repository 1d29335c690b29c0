package holders

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnsupported is returned where the platform has no way to tell: no
	// /proc, no lsof, or a system without both. It wraps errors.ErrUnsupported.
	ErrUnsupported = fmt.Errorf("holders: %w here", errors.ErrUnsupported)

	// ErrHeldHere is returned by Probe and ProbeExclusive when the calling process
	// itself has the database open: probing would drop its POSIX locks.
	ErrHeldHere = errors.New("holders: this process has the database open; a probe would drop its locks")
)

// HeldError says that a database is still held, or that nobody can tell.
// Report.Err returns it; match it with errors.As.
type HeldError struct {
	Report Report
}

// mentioned is how many holders an error message names: enough to see the
// pattern, few enough for a log line.
const mentioned = 8

// Error names the first holders, counts the rest, and says what is unknown.
func (e *HeldError) Error() string {
	var parts []string
	for i, h := range e.Report.Holders {
		if i == mentioned {
			parts = append(parts, fmt.Sprintf("and %d more", len(e.Report.Holders)-mentioned))
			break
		}
		parts = append(parts, h.String())
	}
	var b strings.Builder
	if len(parts) > 0 {
		b.WriteString("still held: " + strings.Join(parts, ", "))
	}
	if n := len(e.Report.Unreadable); n > 0 {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "unknown: %d of the processes may not be read, first %s", n, e.Report.Unreadable[0])
	}
	return b.String()
}

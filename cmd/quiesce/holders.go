package main

// Who holds a database, as a table or as JSON.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

type holdersCmd struct {
	Paths  []string `arg:"" name:"path" help:"Database files. What belongs to them (-wal, -shm, -journal) is looked at, too."`
	JSON   bool     `help:"Print one JSON object."`
	Strict bool     `help:"Exit with 3 when nothing was found, but some processes may not be looked at."`
}

// exitUnknown says, with --strict, that no holder was found among the processes that may be looked at.
const exitUnknown = 3

// Help documents what flags do not say.
func (c *holdersCmd) Help() string {
	return `Lists every descriptor, memory map and file lock that any process has on the databases and on the files beside them,
also under another name, and also when the file was deleted. It opens none of these files and takes no lock.

Processes of other users may usually not be looked at; what they hold is unknown, and is never taken for nothing.

Exit status: 0 if no holder was found; 1 if one was; 2 for an error: a file that is not there, a system that
cannot tell; with --strict 3 instead of 0 if some processes may not be looked at (run it as root to know).

With --json: paths (absolute, links resolved), holders (each pid, command, self, kind: descriptor, map or lock, path, file: db, wal,
shm or journal, fd, deleted, size of a map, and lock: type, mode, start, end, name), unreadable (each pid, command, reason), free.`
}

// holdersReport is what --json prints.
type holdersReport struct {
	sqlite.Held
	Free bool `json:"free"` // it is known that nobody holds anything
}

// Run asks and prints.
func (c *holdersCmd) Run(s *surroundings) error {
	held, err := sqlite.HeldByAll(s.ctx, c.Paths...)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return &usageError{fmt.Errorf("this system cannot tell what processes hold: %w", err)}
	case err != nil:
		return &usageError{err}
	}
	if err := missing(held); err != nil {
		return &usageError{err}
	}
	if c.JSON {
		err = json.NewEncoder(s.stdout).Encode(holdersReport{held, held.Empty()})
	} else {
		err = printHolders(s.stdout, held)
	}
	switch {
	case err != nil:
		return &usageError{err}
	case len(held.Holders) > 0:
		return status(exitWrong)
	case c.Strict && len(held.Unreadable) > 0:
		return status(exitUnknown)
	}
	return nil
}

// missing is the error for a path at which there is nothing, neither a file nor
// a deleted one that somebody holds: a mistyped name must not read as free.
func missing(held sqlite.Held) error {
	var errs []error
	for _, path := range held.Paths {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !heldAt(held, path) {
			errs = append(errs, fmt.Errorf("%s: no such file, and nobody holds one that was deleted there", path))
		}
	}
	return errors.Join(errs...)
}

func heldAt(held sqlite.Held, path string) bool {
	for _, h := range held.Holders {
		if suffix, ok := strings.CutPrefix(h.Path, path); ok && (suffix == "" || suffix[0] == '-') {
			return true
		}
	}
	return false
}

// namedUnreadable is how many processes that may not be looked at are named.
const namedUnreadable = 5

func printHolders(w io.Writer, held sqlite.Held) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(held.Holders) > 0 {
		fmt.Fprintln(t, "PID\tCOMMAND\tHOLDS\tFD\tWHAT\tPATH")
	}
	processes := map[int]bool{}
	for _, h := range held.Holders {
		processes[h.PID] = true
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", unless(h.PID, 0, "?"), plain(h.Command), h.Kind, unless(h.FD, -1, "-"), what(h), where(h))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var err error
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	if len(held.Holders) > 0 {
		say("\nheld: %s, %s and %s by %s", plural(held.Descriptors(), "descriptor"), plural(held.Locks(), "lock"), plural(held.Maps(), "map"),
			pluralOf(len(processes), "process", "processes"))
	}
	if n := len(held.Unreadable); n > 0 {
		if len(held.Holders) == 0 {
			say("no holder was found of %s, as far as can be seen", strings.Join(quoted(held.Paths), ", "))
		}
		say("unknown: %s may not be looked at", pluralOf(n, "process", "processes"))
		for i, p := range held.Unreadable {
			if i == namedUnreadable {
				say("  and %d more", n-i)
				break
			}
			say("  %s", p)
		}
	}
	if held.Empty() {
		say("free: nobody holds %s", strings.Join(quoted(held.Paths), ", "))
	}
	return err
}

func what(h sqlite.Holder) string {
	switch {
	case h.Lock != nil:
		return h.Lock.String()
	case h.Size > 0:
		return fmt.Sprintf("%d bytes", h.Size)
	}
	return "-"
}

func where(h sqlite.Holder) string {
	if h.Deleted {
		return plain(h.Path) + " (deleted)"
	}
	return plain(h.Path)
}

// plain keeps a name with control characters from forging lines or moving a terminal's cursor.
func plain(s string) string {
	if s == "" {
		return "?"
	}
	if q := strconv.Quote(s); q[1:len(q)-1] != s {
		return q
	}
	return s
}

func quoted(paths []string) []string {
	var all []string
	for _, p := range paths {
		all = append(all, plain(p))
	}
	return all
}

func unless(n, none int, instead string) string {
	if n == none {
		return instead
	}
	return strconv.Itoa(n)
}

func plural(n int, one string) string { return pluralOf(n, one, one+"s") }

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

package main

// The demo's command line.

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
)

type demoCmd struct {
	Dir     string  `help:"Make the database here, as ${demo_file}, and keep it; one of an earlier demo is continued. Default: a temporary directory." placeholder:"DIR"`
	Engine  string  `help:"SQLite engine: modernc (Go only) or mattn (needs cgo)." enum:"modernc,mattn" default:"modernc"`
	Readers int     `help:"Readers that are busy all the time, 1 to 64." default:"4"`
	Seconds float64 `help:"How long the load runs between all pauses together; the pauses come on top. The database grows by about a megabyte a second." default:"5"`
	Pauses  int     `help:"Pauses, spread evenly over that time. Default: two per second." placeholder:"N"`
	JSON    bool    `help:"Print one JSON object per pause and one for the whole, a line each."`
}

// Validate is called by kong.
func (c *demoCmd) Validate() error {
	switch {
	case c.Readers < 1 || c.Readers > 64:
		return errors.New("--readers must be between 1 and 64")
	case !(c.Seconds > 0) || c.Seconds > 86400: // also not a number
		return errors.New("--seconds must be more than 0 and at most 86400")
	case c.Pauses < 0 || c.Pauses > 1_000_000:
		return errors.New("--pauses must be between 1 and 1000000")
	}
	return nil
}

// Help documents what flags do not say.
func (c *demoCmd) Help() string { return demoHelp }

const demoHelp = `Makes a database of rooms and messages and keeps one writer and some readers busy. Meanwhile it pauses the
store again and again. In every pause it asks the operating system what this process still holds of the database's files, and has
another process lock them. After every resume it reads again what was acknowledged before the pause; at the end it reads everything,
and runs PRAGMA integrity_check.

Ctrl-C ends it early, with the same checks and the same exit status.

Exit status: 0 if nothing was held in any pause and nothing was lost; 1 if something was, or the demo could not be run
to its end; 2 if it could not begin (flags, the directory, the engine).

With --json, times are in nanoseconds, and what the system cannot tell is null. Each pause: type ("pause"), pause (its number),
in_flight (operations that ran when it began), drain_ns, readers_ns, checkpoint_ns, writer_ns, verify_ns (the steps), total_ns and
resume_ns (the calls), paused_ns (between them), held_before and held (each descriptors, locks and maps), holders (each in words),
leftovers (of -wal and -shm), lock_bytes_free (another process could lock every byte that SQLite locks), exclusive_lock (an SQLite
in another process had the database for itself), interrupts, rows (acknowledged before, and read again after), lost, problem, ok.
The last line: type ("summary"), engine, sqlite, path, temporary, seconds, interrupted, pauses, held_open and held_max (the most
while open and in a pause), held_closed, exclusive_locks (pauses in which another process had the lock), unproved (why the system
cannot tell), reads, writes (transactions), rows, lost, extra (rows that nobody acknowledged), integrity_check, pause_p50_ns,
pause_max_ns, resume_p50_ns, resume_max_ns, problems, ok.`

// Run runs the demo.
func (c *demoCmd) Run(s *surroundings) error {
	self, err := thisProgram()
	if err != nil {
		return err
	}
	d := &demo{
		dir: c.Dir, engine: modernc.Engine(), readers: c.Readers, pauses: c.Pauses,
		length:    time.Duration(c.Seconds * float64(time.Second)),
		neighbour: neighbour{self}, ask: sqlite.HeldBySelf,
	}
	if c.Engine == "mattn" {
		d.engine = mattn.Engine()
	}
	if d.pauses == 0 {
		d.pauses = max(1, int(2*c.Seconds))
	}
	if c.JSON {
		d.out = newJSONPrinter(s.stdout)
	} else {
		d.out = newTextPrinter(s.stdout, terminalWidth(s.stdout))
	}
	sum, err := d.run(s.ctx)
	if errors.Is(err, syscall.EPIPE) { // nobody reads any more: quiesce demo | head
		return status(exitWrong)
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if !sum.OK {
		return status(exitWrong)
	}
	return nil
}

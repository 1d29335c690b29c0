package main

// The demo from its flags to its exit status.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/lifecycle"
)

type demoCmd struct {
	Dir     string  `help:"Make the database here, as ${demo_file}, and keep it; one of an earlier demo is continued. Default: a temporary directory." placeholder:"DIR"`
	Engine  string  `help:"SQLite engine: modernc (Go only) or mattn (needs cgo)." enum:"modernc,mattn" default:"modernc"`
	Readers int     `help:"Readers that are busy all the time, 1 to 64." default:"4"`
	Seconds float64 `help:"How long the load runs. The database grows by about a megabyte a second." default:"5"`
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

// demo is one run.
type demo struct {
	dir       string // "": temporary
	engine    sqlite.Engine
	readers   int
	pauses    int
	length    time.Duration
	timeout   time.Duration // of a pause; 0: the store's default
	neighbour neighbour
	out       printer
	ask       func(ctx context.Context, paths ...string) (sqlite.Held, error) // what this process holds
	opened    func(*sqlite.DB)                                                // for tests: called when the store is open

	db   *sqlite.DB
	load *load
	sum  summary
	seen mark // read again so far
}

// run returns an error for a demo that could not begin; everything else is in the summary.
func (d *demo) run(ctx context.Context) (sum *summary, err error) {
	dir := d.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "quiesce-demo-"); err != nil {
			return nil, &usageError{err}
		}
		defer func() {
			if gone := os.RemoveAll(dir); gone != nil && err == nil {
				err = fmt.Errorf("removing the temporary directory: %w", gone)
			}
		}()
	}
	// Ctrl-C ends the load, and not what has to be done after it.
	work := context.WithoutCancel(ctx)
	info, err := d.open(work, dir)
	if err != nil {
		return nil, &usageError{err}
	}
	d.sum = summary{
		Type: "summary", Engine: info.Engine, SQLite: info.SQLite, Path: info.Path, Temporary: info.Temporary,
		Open: info.Held, Unproved: info.Unproved, Problems: []string{},
	}
	if d.opened != nil {
		d.opened(d.db)
	}
	began := time.Now()
	d.load = start(work, d.db, d.seen, d.readers)
	d.load.ready()
	if d.contrast(work, info) {
		d.out.opened(info)
		d.cycles(ctx, work)
	}
	last, failure := d.load.stop()
	d.sum.Seconds = time.Since(began).Seconds()
	d.sum.Interrupted = ctx.Err() != nil
	d.sum.Reads, d.sum.Writes = d.load.reads.Load(), d.load.writes.Load()
	d.problem(failure)
	d.end(work, last)
	d.out.summary(&d.sum)
	return &d.sum, d.out.err()
}

// problem notes what went wrong, if anything.
func (d *demo) problem(err error) {
	if err != nil {
		d.sum.Problems = append(d.sum.Problems, err.Error())
	}
}

// open opens the store, with rows in it.
func (d *demo) open(ctx context.Context, dir string) (*opening, error) {
	path, err := filepath.Abs(filepath.Join(dir, fileName))
	if err != nil {
		return nil, err
	}
	cfg := sqlite.Config{
		Engine: d.engine, Path: path, MaxReaders: d.readers, ApplicationID: applicationID, SchemaVersion: schemaVersion,
		WhenPaused: lifecycle.Wait, Timeout: d.timeout, Verify: true,
	}
	info := &opening{Engine: d.engine.Name(), Path: path, Temporary: d.dir == "", Readers: d.readers, Pauses: d.pauses, Length: d.length}
	if _, err := d.ask(ctx, path); err != nil {
		info.Unproved, cfg.Verify = err.Error(), false
	}
	if err := d.alone(ctx, path); err != nil {
		return nil, err
	}
	if d.db, err = sqlite.Open(ctx, cfg); err != nil {
		return nil, explain(err, path)
	}
	if err := d.fill(ctx, info); err != nil {
		return nil, errors.Join(err, d.db.Close(ctx))
	}
	return info, nil
}

// alone makes sure that no other process is at work on an earlier demo's database.
func (d *demo) alone(ctx context.Context, path string) error {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return nil // there is no database yet, or Open will say what is wrong
	}
	if r, err := d.neighbour.lock(ctx, path); err == nil && !r.Locked {
		return fmt.Errorf("%s is in use by another process: end that, or choose another --dir (\"quiesce holders %s\" tells who it is)", path, path)
	}
	return nil
}

// explain turns what Open says into what a user of the demo can do.
func explain(err error, path string) error {
	switch {
	case errors.Is(err, mattn.ErrNoCgo):
		return fmt.Errorf("%w, and this one has none: use --engine modernc, or build with CGO_ENABLED=1 and a C compiler", mattn.ErrNoCgo)
	case errors.Is(err, sqlite.ErrApplicationID), errors.Is(err, sqlite.ErrNotADatabase), errors.Is(err, lifecycle.ErrSchemaNewer), errors.Is(err, sqlite.ErrCorrupt):
		return fmt.Errorf("%s is not a database of this demo, and was left as it is: choose another --dir (%w)", path, err)
	}
	return err
}

// fill makes the first rows, or reads again what an earlier demo has left.
func (d *demo) fill(ctx context.Context, info *opening) (err error) {
	if d.seen, err = prepare(ctx, d.db); err != nil {
		return err
	}
	info.Found = d.seen.seq
	lost, err := check(ctx, d.db, mark{}, d.seen)
	if err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%s: %d rows of an earlier demo are lost or changed: remove the file, or choose another --dir", info.Path, lost)
	}
	if d.seen.seq < firstMessages {
		err = d.db.Update(ctx, func(c *sqlite.Conn) (err error) {
			d.seen, err = add(ctx, c, d.seen, int(firstMessages-d.seen.seq))
			return err
		})
	}
	if err != nil {
		return err
	}
	return d.db.Read(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT sqlite_version()`).Scan(&info.SQLite) })
}

// contrast shows what is held while the store is open and busy, so that the
// zeros of the pauses mean something. It reports whether there is anything to go on with.
func (d *demo) contrast(ctx context.Context, info *opening) bool {
	if info.Unproved == "" {
		held, err := d.ask(ctx, info.Path)
		if err != nil {
			d.problem(err)
			return false
		}
		c := count(held)
		info.Held = c.asSeen(c)
		d.sum.Open = info.Held
		if c.Descriptors == 0 || runtime.GOOS == "linux" && !info.Held.all() {
			d.problem(fmt.Errorf("the open store shows %s descriptors/locks/maps: zeros in a pause would prove nothing", c))
		}
	}
	lock, err := d.neighbour.lock(ctx, info.Path)
	if err != nil {
		d.problem(err)
		return false
	}
	info.Refused = lock.Refused
	if lock.Locked {
		d.problem(errors.New("another process got the exclusive lock while the store was open: that it gets it in a pause proves nothing"))
	}
	return true
}

// cycles pauses and resumes, until the number or the user's patience is at its end.
func (d *demo) cycles(ctx, work context.Context) {
	every := d.length / time.Duration(d.pauses)
	var pauses, resumes []time.Duration
	for n := 1; n <= d.pauses && d.wait(ctx, n, every); n++ {
		r := d.cycle(work, n)
		pauses, resumes = append(pauses, r.Total), append(resumes, r.Resume)
		d.sum.Pauses = n
		d.sum.Open = d.sum.Open.atLeast(r.Open)
		d.sum.HeldMax = d.sum.HeldMax.atLeast(r.Held)
		if r.Exclusive {
			d.sum.Exclusive++
		}
		d.out.paused(r)
		if !r.OK {
			d.problem(fmt.Errorf("pause %d: %s", n, r.Problem))
			break
		}
	}
	d.sum.PauseP50, d.sum.PauseMax = middle(pauses)
	d.sum.ResumeP50, d.sum.ResumeMax = middle(resumes)
}

// wait lets the load run until pause n. It reports whether to go on.
func (d *demo) wait(ctx context.Context, n int, length time.Duration) bool {
	ends := time.NewTimer(length)
	defer ends.Stop()
	var tick <-chan time.Time // nil, and silent, where nobody watches
	if every := d.out.every(); every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		tick = ticker.C
	}
	until := time.Now().Add(length)
	for d.out.err() == nil {
		select {
		case <-ends.C:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		case <-d.load.ctx.Done():
			return false
		case <-tick:
			d.out.progress(progress{n, d.pauses, d.load.reads.Load(), d.load.writes.Load(), d.load.last().seq, time.Until(until)})
		}
	}
	return false
}

// end checks everything, closes, and looks once more at what is held.
func (d *demo) end(ctx context.Context, last mark) {
	s := &d.sum
	if d.db.State() != lifecycle.Active {
		d.problem(d.db.Resume(ctx))
	}
	d.problem(checkEnd(ctx, d.db, last, s))
	if err := d.db.Close(ctx); err != nil {
		d.problem(err)
	}
	if s.Unproved == "" {
		held, err := d.ask(ctx, s.Path)
		if err != nil {
			d.problem(err)
		} else if s.HeldClose = d.counted(held); s.HeldClose.some() {
			d.problem(fmt.Errorf("after the end: %w", held.Err()))
		}
	}
	s.OK = len(s.Problems) == 0
}

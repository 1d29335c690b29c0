package main

// A demo from its beginning to its summary.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

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

package main

// One pause under load: what it took, what was left, and whether everything is there afterwards.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// cycle pauses, proves, resumes and reads again. What is not as promised is in the record's Problem.
func (d *demo) cycle(ctx context.Context, n int) *pauseRecord {
	r := &pauseRecord{Type: "pause", Number: n, Holders: []string{}, Leftovers: []string{}}
	var problems []string
	wrong := func(err error) {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	_, err := d.held(ctx, &r.Open)
	wrong(err)
	stats := d.db.Stats()
	r.InFlight = stats.ReadersInUse
	if stats.WriterInUse {
		r.InFlight++
	}

	began := time.Now()
	paused := d.db.Pause(ctx)
	at := time.Now()
	r.Total = at.Sub(began)
	acked := d.load.last()
	if paused != nil {
		wrong(paused)
	} else {
		rep := d.db.Report()
		r.Drain, r.Readers, r.Checkpoint, r.Writer, r.Verify = rep.Drain, rep.Readers, rep.Checkpoint, rep.Writer, rep.Verify
		r.Interrupts = rep.Interrupts
		r.Leftovers = append(r.Leftovers, rep.Leftovers...)
		for _, w := range rep.Warnings {
			wrong(errors.New(w))
		}
	}
	held, err := d.held(ctx, &r.Held)
	wrong(err)
	for _, h := range held.Holders {
		r.Holders = append(r.Holders, h.String())
	}
	if len(r.Holders) > 0 {
		wrong(fmt.Errorf("held: %s", strings.Join(r.Holders, ", ")))
	}
	if len(r.Leftovers) > 0 {
		wrong(fmt.Errorf("left beside the database: %s", strings.Join(r.Leftovers, ", ")))
	}
	wrong(d.askNeighbour(ctx, r))
	r.Paused = time.Since(at)

	again := time.Now()
	resumed := d.db.Resume(ctx)
	r.Resume = time.Since(again)
	wrong(resumed)
	if resumed == nil {
		r.Rows = acked.seq
		r.Lost, err = check(ctx, d.db, d.seen, acked)
		wrong(err)
		if r.Lost > 0 {
			wrong(fmt.Errorf("%d committed rows are lost or changed", r.Lost))
		}
		d.seen = acked
	}
	r.Problem = strings.Join(problems, "; ")
	r.OK = len(problems) == 0
	return r
}

// held asks the operating system, where it can tell, and counts into into.
func (d *demo) held(ctx context.Context, into **heldCount) (sqlite.Held, error) {
	if d.sum.Unproved != "" {
		return sqlite.Held{}, nil
	}
	held, err := d.ask(ctx, d.db.Path())
	if err == nil {
		*into = d.counted(held)
	}
	return held, err
}

// counted counts, where zeros mean something.
func (d *demo) counted(held sqlite.Held) *heldCount {
	if d.sum.Open == nil {
		return count(held)
	}
	return count(held).asSeen(d.sum.Open)
}

// askNeighbour has another process take the locks.
func (d *demo) askNeighbour(ctx context.Context, r *pauseRecord) error {
	var err error
	if r.BytesFree, err = d.neighbour.free(ctx, d.db.Path()); err != nil {
		return err
	}
	lock, err := d.neighbour.lock(ctx, d.db.Path())
	if err != nil {
		return err
	}
	r.Exclusive = lock.Locked
	switch {
	case r.BytesFree != nil && !*r.BytesFree:
		return errors.New("another process found the bytes that SQLite locks taken")
	case !r.Exclusive:
		return fmt.Errorf("another process was refused the exclusive lock: %s", lock.Refused)
	}
	return nil
}

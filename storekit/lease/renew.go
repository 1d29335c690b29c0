package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// renewer is the one goroutine that renews what is held, takes again what was
// held before a pause, and releases what nobody wants any more. It is there
// while there is such a thing, and ends when a pause begins.
type renewer struct {
	began <-chan struct{} // a pause, or a close
	wake  chan struct{}
	first chan struct{} // closed when everything was tried once
	done  chan struct{}
}

// keep has the renewer look at the claims. It returns false where there can be
// none, since a pause has begun. l.mu is held.
func (l *Locks) keep() bool {
	if l.stopping() {
		return false
	}
	began := l.store.PauseBegan()
	if r := l.renewer; r != nil && r.began == began {
		select {
		case r.wake <- struct{}{}:
		default:
		}
		return true
	}
	l.renewer = &renewer{began, make(chan struct{}, 1), make(chan struct{}), make(chan struct{})}
	go l.renew(l.renewer)
	return true
}

func (l *Locks) renew(r *renewer) {
	defer close(r.done)
	tried := false
	defer func() {
		if !tried {
			close(r.first)
		}
	}()
	for {
		jobs, rest, limit := l.jobs(r)
		if jobs == nil && rest == 0 {
			return
		}
		if len(jobs) > 0 {
			l.do(jobs, limit)
		}
		if !tried {
			tried = true
			close(r.first)
		}
		if len(jobs) > 0 {
			continue
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-r.began:
		}
		timer.Stop()
	}
}

// job is one thing to do for one claim.
type job struct {
	c      *claim
	what   work
	q      request
	writes int64  // of a release
	gen    uint64 // of a renewal
	got    row
	ok     bool
}

type work uint8

const (
	renewal work = iota
	taking
	releasing
)

// jobs returns what is to be done now, within limit, or how long there is
// nothing to do. Neither means that the renewer is over.
func (l *Locks) jobs(r *renewer) (jobs []*job, rest, limit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-r.began:
		if l.renewer == r {
			l.renewer = nil
		}
		return nil, 0, 0
	default:
	}
	now := l.clock.now()
	limit = time.Minute
	var early []*job
	for _, c := range l.claims {
		if c.held && c.until.reached(now) {
			l.lose(c, lostFor(c.failed))
		}
		if !c.held && len(c.leases) == 0 {
			continue
		}
		j := &job{c: c, q: c.request(0), writes: c.writes, gen: c.generation}
		switch {
		case !c.wanted():
			c.held, c.releasing = false, true
			j.what = releasing
		case !c.held:
			j.what = taking
			c.seen.allow(&j.q)
		}
		if c.held {
			limit = min(limit, c.until.mono-now.mono)
		}
		if j.what == releasing || c.next <= now.mono {
			c.taking = j.what == taking
			jobs = append(jobs, j)
			continue
		}
		next := c.next
		if c.held {
			next = min(next, c.until.mono)
			if c.next-now.mono < c.every/4 {
				early = append(early, j)
			}
		}
		if rest == 0 || next-now.mono < rest {
			rest = next - now.mono
		}
	}
	if len(jobs) > 0 { // one write for what would be several soon, and from now on is due together
		jobs = append(jobs, early...)
	}
	if len(jobs) == 0 && rest == 0 && l.renewer == r {
		l.renewer = nil
	}
	return jobs, rest, limit
}

// lostFor is why a lease is lost whose time went by.
func lostFor(failed error) error {
	if failed == nil {
		return fmt.Errorf("%w: it was not renewed in time", ErrLost)
	}
	return fmt.Errorf("%w: it could not be renewed: %w", ErrLost, failed)
}

var errTaken = fmt.Errorf("%w: another holder has taken it", ErrLost)

// do does all jobs in one transaction. It gives up when a lease runs out
// meanwhile, so that its owner is told in time.
func (l *Locks) do(jobs []*job, limit time.Duration) {
	ctx := lifecycle.WithLabel(lifecycle.WithPolicy(context.Background(), lifecycle.Fail), "lease renewal")
	ctx, cancel := context.WithTimeout(ctx, max(limit, time.Millisecond))
	defer cancel()
	var began instant
	var epoch uint64
	err := l.store.update(ctx, func(t rows) (err error) {
		l.mu.Lock()
		epoch = l.epoch
		l.mu.Unlock()
		began = l.clock.now()
		for _, j := range jobs {
			j.q.now = began.wall
			switch j.what {
			case renewal:
				j.got, j.ok, err = t.renew(ctx, j.q, j.gen)
			case taking:
				j.got, j.ok, err = t.take(ctx, j.q)
			case releasing:
				j.ok, err = t.release(ctx, j.q.key, j.q.holder, j.writes)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.mono()
	l.writes++
	for _, j := range jobs {
		if j.what == taking {
			j.c.taking = false
		}
		if err != nil {
			l.undone(j, err, now)
		} else {
			l.did(j, began, now, l.epoch != epoch)
		}
		l.settle(j.c)
	}
}

// did notes what became of a job. l.mu is held.
func (l *Locks) did(j *job, began instant, now time.Duration, released bool) {
	c := j.c
	switch {
	case j.what == releasing:
		c.releasing = false
		l.pass(c.storedKey)
		if c.idle() {
			l.drop(c, nil)
		}
		c.end(nil)
	case released: // by a pause, after which a claim is what that made of it
	case j.what == renewal && c.held && !j.ok && c.generation == j.gen:
		l.lose(c, errTaken)
	case j.what == renewal && !c.held: // released meanwhile, or lost
	case j.ok:
		c.took(j.got, began, false)
	case j.what == taking:
		c.seen.note(j.got, began.mono, now)
		c.next = now + c.backOff.next()
		if c.seen.stale {
			c.next = now
		}
	}
}

// undone notes that a job failed. l.mu is held.
func (l *Locks) undone(j *job, err error, now time.Duration) {
	c := j.c
	switch {
	case j.what != releasing:
		c.failed = err
		c.next = now + min(c.every, c.backOff.next())
	case errors.Is(err, lifecycle.ErrPaused) && !c.wanted(): // the pause does it
		c.releasing, c.held = false, true
	default: // it expires
		c.releasing = false
		if c.idle() {
			l.drop(c, err)
		}
		c.end(err)
	}
}

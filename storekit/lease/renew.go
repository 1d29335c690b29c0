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
//
// The renewer of the next life begins when that of the one before has ended. A
// pause may be over, or overtaken, while that is still on its way into its transaction, or
// out of it: what it then wrote, or only noted, would be news to the other.
type renewer struct {
	began <-chan struct{} // a pause, or a close
	prior <-chan struct{} // the renewer before has ended; nil if there was none
	wake  chan struct{}
	first chan struct{} // closed when everything was tried once
	done  chan struct{}
}

// keep has the renewer look at the claims. It returns false where there can be
// none, since a pause has begun. l.mu is held.
func (l *Locks) keep() bool {
	began, living := l.living()
	if !living {
		return false
	}
	before := l.renewer
	if before != nil && before.began == began {
		select {
		case before.wake <- struct{}{}:
		default:
		}
		return true
	}
	l.renewer = &renewer{began: began, wake: make(chan struct{}, 1), first: make(chan struct{}), done: make(chan struct{})}
	if before != nil {
		l.renewer.prior = before.done
	}
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
	if r.prior != nil {
		<-r.prior
		r.prior = nil
	}
	for {
		jobs, rest, limit := l.jobs(r)
		if jobs == nil && rest == 0 {
			return
		}
		if len(jobs) > 0 {
			l.do(r, jobs, limit)
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
	writes int64  // that the row is known to have
	gen    uint64 // of a renewal
	epoch  uint64 // when it was planned
	got    row
	ok     bool
}

type work uint8

const (
	nothing work = iota
	renewal
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
		j := &job{c: c, what: renewal, q: c.request(0), writes: c.writes, gen: c.generation, epoch: l.epoch}
		switch {
		case !c.wanted():
			c.held = false
			j.what = releasing
		case !c.held:
			j.what = taking
			c.seen.allow(&j.q)
		}
		if c.held {
			limit = min(limit, c.until.mono-now.mono)
		}
		if j.what == releasing || c.next <= now.mono {
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
	for _, j := range jobs {
		j.c.doing = j.what
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
// meanwhile, so that its owner is told in time. It does nothing where a pause has begun since the jobs were planned: they
// are of a life that is over, even if the store has a new one already.
func (l *Locks) do(r *renewer, jobs []*job, limit time.Duration) {
	ctx := lifecycle.WithLabel(lifecycle.WithPolicy(context.Background(), lifecycle.Fail), "lease renewal")
	ctx, cancel := context.WithTimeout(ctx, max(limit, time.Millisecond))
	defer cancel()
	var began instant
	err := l.store.update(ctx, func(t rows) (err error) {
		select {
		case <-r.began:
			return lifecycle.ErrPaused
		default:
		}
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
		j.c.doing = nothing
		if err != nil {
			l.undone(j, err, now)
		} else {
			l.did(j, began, now)
		}
		l.settle(j.c)
	}
}

// did notes what became of a job. l.mu is held.
func (l *Locks) did(j *job, began instant, now time.Duration) {
	c := j.c
	switch {
	case j.what == releasing:
		l.pass(c.key)
		if !c.held { // else it was taken anew
			c.end(nil)
		}
	case j.epoch != l.epoch: // a pause has released it, after which a claim is what that made of it
	case j.what == renewal && !j.ok:
		if c.held && c.generation == j.gen && c.writes == j.writes {
			l.lose(c, errTaken)
		}
	case j.what == renewal && !c.held && j.got.writes <= c.writes: // it was lost since
	case j.ok: // also what was lost by the clock meanwhile: it is there to be released
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
	paused := errors.Is(err, lifecycle.ErrPaused) || errors.Is(err, lifecycle.ErrInterrupted)
	switch {
	case j.what == releasing && j.epoch != l.epoch: // the pause did it
		c.end(nil)
	case j.what == releasing && (paused || errors.Is(err, context.DeadlineExceeded)): // the pause does it, or the next transaction
		c.held = true
	case j.what == releasing: // it expires
		c.end(err)
	case !paused:
		c.failed = err
		c.next = now + min(c.every, c.backOff.next())
	}
}

package sqlitestore

import (
	"context"
	"maps"
	"sync"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/job"
)

// Reading does not write. When something was read stands in memory until the
// next write transaction takes it along, or FlushEvery has passed, or the store
// pauses. There is a timer only while there is something to be stored.

type accesses struct {
	mu      sync.Mutex
	pending map[contentID]int64 // in milliseconds
	stored  uint64              // grows when something is taken out of pending
	planned bool                // a job is going to store them
}

// setAccess leaves what another process has stored in the meantime, which is later; but not what is of the future: a clock was set back.
const setAccess = `UPDATE media SET last_access = ?1 WHERE content = ?2 AND last_access NOT BETWEEN ?1 AND ?3`

// later is what setAccess leaves in a row.
func later(inRow, pending, now int64) int64 {
	if pending <= inRow && inRow <= now {
		return inRow
	}
	return pending
}

// accessed notes that a content was read.
func (m *Media) accessed(id contentID) {
	a := &m.accesses
	a.mu.Lock()
	if a.pending == nil {
		a.pending = map[contentID]int64{}
	}
	a.pending[id] = m.now() // under the lock, so that the later one is kept
	plan := !a.planned
	a.planned = true
	a.mu.Unlock()
	if plan {
		m.planFlush()
	}
}

// planFlush starts a job that runs once. A pause keeps it for the next life,
// where it finds that BeforeRelease has done its work.
func (m *Media) planFlush() {
	// The only error is that the store was closed, which has stored everything.
	_, _ = m.Job(job.Job{Name: m.Name() + ": store last accesses", First: m.cfg.FlushEvery, Run: m.flush})
}

func (m *Media) flush(ctx context.Context) error {
	if m.accesses.some() {
		if err := m.storeAccesses(ctx); err != nil {
			return err // and the job tries again
		}
	}
	if m.accesses.unplan() {
		m.planFlush()
	}
	return job.ErrDone
}

// storeAccesses stores what is pending now.
func (m *Media) storeAccesses(ctx context.Context) error {
	return m.update(ctx, func(*sqlite.Conn) error { return nil })
}

// beforeRelease stores what is pending with the last transaction of a life. Where
// that is not possible any more it stays for the next one: it is not worth a pause.
func (m *Media) beforeRelease(ctx context.Context, writer *sqlite.Conn) error {
	if !m.accesses.some() {
		return nil
	}
	var stored map[contentID]int64
	err := writer.Update(ctx, func(c *sqlite.Conn) (err error) {
		stored, err = m.accesses.store(ctx, c, m.now())
		return err
	})
	if err == nil {
		m.accesses.forget(stored)
	}
	return nil
}

func (a *accesses) some() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending) > 0
}

// store writes what is pending, which stays pending until it is committed, and forget is told.
func (a *accesses) store(ctx context.Context, c *sqlite.Conn, now int64) (stored map[contentID]int64, err error) {
	a.mu.Lock()
	if len(a.pending) > 0 {
		stored = maps.Clone(a.pending)
	}
	a.mu.Unlock()
	for id, at := range stored {
		if _, err := c.Exec(ctx, setAccess, at, id[:], now); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// forget takes out what is stored, unless it was read again meanwhile.
func (a *accesses) forget(stored map[contentID]int64) {
	if len(stored) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, at := range stored {
		if a.pending[id] == at {
			delete(a.pending, id)
		}
	}
	a.stored++
}

// unplan ends a job, and says whether there has to be another one.
func (a *accesses) unplan() (again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.planned = len(a.pending) > 0
	return a.planned
}

// turn changes when something was stored: whoever has read a row then asks again.
func (a *accesses) turn() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stored
}

// of returns the last access of a content that was read from its row at a turn.
// Where ok is false the row may be out of date by now.
func (a *accesses) of(id contentID, inRow, now int64, turn uint64) (at int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, pending := a.pending[id]; pending {
		return later(inRow, at, now), true
	}
	return inRow, a.stored == turn
}

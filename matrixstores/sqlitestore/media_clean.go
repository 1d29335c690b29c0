package sqlitestore

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// Cleaning goes in small transactions, each of which removes some contents that
// the policy does not allow. What to remove, an index tells in the order that is
// needed; how much there is together, the table total. So it costs what it removes.

const (
	selectTooLarge = `SELECT id, content, size FROM media INDEXED BY media_large WHERE ignore_policy = 0 AND size > ? LIMIT ?`
	selectExpired  = `SELECT id, content, size FROM media INDEXED BY media_unread WHERE ignore_policy = 0 AND last_access <= ? ORDER BY last_access, id LIMIT ?`
	selectTotals   = `SELECT ignore_policy, contents, bytes FROM total`
	selectTotal    = `SELECT bytes FROM total WHERE ignore_policy = 0`

	freePages  = `PRAGMA freelist_count`
	vacuumMode = `PRAGMA auto_vacuum`
	giveBack   = `PRAGMA incremental_vacuum(256)`
)

// What one transaction removes: so many contents, and no more when they have so many bytes.
const (
	removeContents = 64
	removeBytes    = 16 << 20
)

// Clean removes what the policy does not allow; see media.Retention. Uploads
// that have expired go with it, and free pages are given back to the file system in small steps.
func (m *Media) Clean(ctx context.Context) (media.Cleaned, error) {
	cleaned, err := m.clean(ctx)
	return cleaned, m.failed("clean", err)
}

func (m *Media) clean(ctx context.Context) (cleaned media.Cleaned, err error) {
	p := m.Policy()
	if !m.cleaning.TryLock() {
		return cleaned, m.admitted(ctx)
	}
	defer m.cleaning.Unlock()
	if !p.HasLimits() {
		return cleaned, m.admitted(ctx)
	}
	cleaned.Ran = true
	if err := m.sweep(ctx); err != nil {
		return cleaned, err
	}
	var turn uint64
	var ended time.Time
	for w := (walk{m: m, policy: p, now: m.clock()}); !w.over; {
		before := w
		err := m.update(ctx, func(c *sqlite.Conn) error {
			w = before
			if err := w.some(ctx, c); err != nil || !w.over {
				return err
			}
			turn, ended = m.retention.turn(), time.UnixMilli(m.now()).UTC()
			return m.KV(mediaNamespace).In(c).Set(ctx, cleanedKey, strconv.AppendInt(nil, ended.UnixMilli(), 10))
		})
		if err != nil {
			return cleaned, err
		}
		cleaned.Removed += w.removed - before.removed
		cleaned.Bytes += w.bytes - before.bytes
	}
	m.retention.setCleaned(turn, &ended)
	return cleaned, m.giveBack(ctx)
}

// walk is how far a cleaning is.
type walk struct {
	m       *Media
	policy  media.Policy
	now     time.Time
	step    int
	over    bool
	removed int
	bytes   int64
}

// some removes some of what is not allowed, or finds that nothing is left.
func (w *walk) some(ctx context.Context, c *sqlite.Conn) error {
	steps := []func(context.Context, *sqlite.Conn, int) ([]victim, error){tooLarge(w.policy), expired(w.policy, w.now), tooMuch(w.policy)}
	removed, bytes := 0, int64(0)
	for ; w.step < len(steps); w.step++ {
		for step := steps[w.step]; step != nil; {
			if removed >= removeContents || bytes >= removeBytes {
				return nil
			}
			victims, err := step(ctx, c, removeContents-removed)
			if err != nil {
				return err
			}
			if len(victims) == 0 {
				break
			}
			for _, v := range victims {
				if bytes >= removeBytes {
					return nil
				}
				if err := v.drop(ctx, c); err != nil {
					return err
				}
				removed, bytes = removed+1, bytes+v.size
				w.removed, w.bytes = w.removed+1, w.bytes+v.size
			}
		}
	}
	w.over = true
	return nil
}

// victim is a content that is to be removed.
type victim struct {
	ref
	size int64
}

func victims(ctx context.Context, c *sqlite.Conn, query string, args ...any) ([]victim, error) {
	return sqlite.Collect(c.Rows(ctx, query, args...), func(r *sqlite.Row) (v victim, err error) {
		err = v.scan(r, &v.size)
		return v, err
	})
}

// The steps, in the order in which they are taken. Each returns some contents
// that have to go, and nil where the policy has no such limit.

func tooLarge(p media.Policy) func(context.Context, *sqlite.Conn, int) ([]victim, error) {
	limit, limited := p.FileLimit()
	if !limited {
		return nil
	}
	return func(ctx context.Context, c *sqlite.Conn, most int) ([]victim, error) {
		return victims(ctx, c, selectTooLarge, limit, most)
	}
}

func expired(p media.Policy, now time.Time) func(context.Context, *sqlite.Conn, int) ([]victim, error) {
	if p.LastAccessExpiry == nil {
		return nil
	}
	return func(ctx context.Context, c *sqlite.Conn, most int) ([]victim, error) {
		return victims(ctx, c, selectExpired, now.Add(-*p.LastAccessExpiry).UnixMilli(), most)
	}
}

// tooMuch takes the oldest as long as all together are too much: what remains
// are the newest ones that fit, up to the first one that does not.
func tooMuch(p media.Policy) func(context.Context, *sqlite.Conn, int) ([]victim, error) {
	if p.MaxCacheSize == nil {
		return nil
	}
	return func(ctx context.Context, c *sqlite.Conn, most int) ([]victim, error) {
		var total int64
		if err := c.QueryRow(ctx, selectTotal).Scan(&total); err != nil || !p.TooMuch(total) {
			return nil, err
		}
		oldest, err := victims(ctx, c, selectExpired, int64(math.MaxInt64), most)
		for i, v := range oldest {
			if total -= v.size; !p.TooMuch(total) {
				return oldest[:i+1], err
			}
		}
		return oldest, err
	}
}

// giveBack gives free pages back to the file system, in small transactions. It
// may be left half-way: the next cleaning, or Compact, goes on.
func (m *Media) giveBack(ctx context.Context) error {
	ctx = lifecycle.WithPolicy(ctx, lifecycle.Fail) // there is nothing to wait for
	for more := true; more; {
		err := m.update(ctx, func(c *sqlite.Conn) error {
			var mode, before, after int64
			if err := errors.Join(c.QueryRow(ctx, vacuumMode).Scan(&mode), c.QueryRow(ctx, freePages).Scan(&before)); err != nil {
				return err
			}
			const incremental = 2
			if more = mode == incremental && before > 0; !more {
				return nil
			}
			if err := c.Each(ctx, giveBack, func(*sqlite.Row) error { return nil }); err != nil {
				return err
			}
			err := c.QueryRow(ctx, freePages).Scan(&after)
			more = after > 0 && after < before
			return err
		})
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, lifecycle.ErrPaused), errors.Is(err, lifecycle.ErrInterrupted), errors.Is(err, lifecycle.ErrClosed):
			return nil
		default:
			return err
		}
	}
	return nil
}

// opportunity is called where the store may clean by itself. It does not wait.
func (m *Media) opportunity() {
	now := m.clock()
	clean := m.retention.cleanupDue(now) && m.due.CompareAndSwap(false, true)
	if clean || m.uploads.due(now, m.cfg.UploadExpiry) {
		m.tidying.Now()
	}
}

// tidy is the job: it runs once in every life, and when there was an
// opportunity. A cleaning that fails is tried again at the next one.
func (m *Media) tidy(ctx context.Context) error {
	if !m.due.Swap(false) || !m.retention.cleanupDue(m.clock()) {
		return m.sweep(ctx)
	}
	cleaned, err := m.clean(ctx)
	m.cut.Removed += cleaned.Removed
	m.cut.Bytes += cleaned.Bytes
	switch {
	case err != nil && ctx.Err() != nil: // a pause, after which it goes on
		m.due.Store(true)
		return err
	case !cleaned.Ran: // somebody else does
		return nil
	}
	cleaned.Removed, cleaned.Bytes = m.cut.Removed, m.cut.Bytes
	m.cut = media.Cleaned{}
	if m.cfg.Cleaned != nil {
		m.cfg.Cleaned(cleaned, m.failed("clean", err))
	}
	return nil
}

// Stats counts what is there; see media.Retention.
func (m *Media) Stats(ctx context.Context) (s media.Stats, err error) {
	err = m.View(ctx, func(c *sqlite.Conn) error {
		s = media.Stats{}
		for r, err := range c.Rows(ctx, selectTotals) {
			var ignoring bool
			var contents int
			var bytes int64
			if err == nil {
				err = r.Scan(&ignoring, &contents, &bytes)
			}
			if err != nil {
				return err
			}
			s.Contents += contents
			s.Bytes += bytes
			if ignoring {
				s.Ignoring = contents
			}
		}
		all, err := allUploads(ctx, c)
		s.Uploads = m.uploads.count(all)
		return err
	})
	if err != nil {
		return media.Stats{}, m.failed("stats", err)
	}
	return s, nil
}

package sqlitestore

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// What a Writer has stored and not committed is removed by its Close. Where a
// pause or a kill came in between, it is removed later: what this store knows
// to be nobody's, soon after Resume; and what nobody has written to for
// UploadExpiry, since it may be another process's that still works.

type uploads struct {
	mu      sync.Mutex
	live    map[contentID]weak.Pointer[mediaWriter] // those whose Writers are in use; one that was forgotten is not kept alive
	dropped map[contentID]struct{}                  // to be removed
	swept   time.Time                               // when it was last looked for what has expired
}

const (
	selectUploads = `SELECT content, touched FROM upload`
	markUpload    = `UPDATE upload SET touched = ? WHERE content = ?`
	removeUpload  = `DELETE FROM upload WHERE content = ?`
	selectTop     = `SELECT row FROM chunk WHERE row BETWEEN ? AND ? ORDER BY row DESC LIMIT 1`
)

// beingRemoved is what stands in touched of an upload of which a part may be removed already: nobody can commit it any more.
const beingRemoved = int64(math.MinInt64)

func (u *uploads) begin(w *mediaWriter) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.live == nil {
		u.live = map[contentID]weak.Pointer[mediaWriter]{}
	}
	u.live[w.chunks.id] = weak.Make(w)
}

func (u *uploads) end(id contentID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.live, id)
}

func (u *uploads) discardLater(id contentID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.dropped == nil {
		u.dropped = map[contentID]struct{}{}
	}
	u.dropped[id] = struct{}{}
}

func (u *uploads) discarded(id contentID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.dropped, id)
}

// toDiscard returns what is to be removed.
func (u *uploads) toDiscard() []contentID {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.dropped))
}

// due says whether it is time to look for what has expired.
func (u *uploads) due(now time.Time, expiry time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.Before(u.swept) || now.Sub(u.swept) >= expiry
}

// upload is a row of the table upload.
type upload struct {
	id      contentID
	touched int64
}

func allUploads(ctx context.Context, c *sqlite.Conn) ([]upload, error) {
	return sqlite.Collect(c.Rows(ctx, selectUploads), func(r *sqlite.Row) (up upload, err error) {
		var id []byte
		err = r.Scan(&id, &up.touched)
		copy(up.id[:], id)
		return up, err
	})
}

// sort says what is to be done with uploads: those that nobody needs are removed,
// those of Writers in use touched, and so are those of the future, where a clock was set back.
// dropped are those that were to be removed before all were read: what has no row is gone.
func (u *uploads) sort(all []upload, dropped []contentID, now time.Time, expiry time.Duration) (remove, touch []contentID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.swept = now
	for id, w := range u.live {
		if w.Value() == nil {
			delete(u.live, id)
		}
	}
	for _, id := range dropped {
		if !slices.ContainsFunc(all, func(up upload) bool { return up.id == id }) {
			delete(u.dropped, id)
		}
	}
	for _, up := range all {
		_, live := u.live[up.id]
		_, dropped := u.dropped[up.id]
		switch {
		case dropped, up.touched == beingRemoved, !live && up.touched <= now.Add(-expiry).UnixMilli():
			remove = append(remove, up.id)
		case live, up.touched > now.UnixMilli():
			touch = append(touch, up.id)
		}
	}
	return remove, touch
}

// count returns how many uploads there are, of which all have rows.
func (u *uploads) count(all []upload) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.live)
	for _, up := range all {
		_, live := u.live[up.id]
		_, dropped := u.dropped[up.id]
		if !live && !dropped && up.touched != beingRemoved {
			n++
		}
	}
	return n
}

// sweep removes the uploads that nobody needs. Where there is none it does not write.
func (m *Media) sweep(ctx context.Context) error {
	var all []upload
	dropped := m.uploads.toDiscard()
	err := m.View(ctx, func(c *sqlite.Conn) (err error) {
		all, err = allUploads(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	now := m.clock()
	remove, touch := m.uploads.sort(all, dropped, now, m.cfg.UploadExpiry)
	for _, id := range remove {
		if err := m.dropUpload(ctx, id); err != nil {
			return err
		}
	}
	if len(touch) == 0 {
		return nil
	}
	return m.update(ctx, func(c *sqlite.Conn) error {
		for _, id := range touch {
			if _, err := c.Exec(ctx, touchUpload, now.UnixMilli(), id[:], beingRemoved); err != nil {
				return err
			}
		}
		return nil
	})
}

// discard removes an upload that its Writer has given up, or what is left of it, and has it done later where that fails.
func (m *Media) discard(ctx context.Context, id contentID) error {
	// Not under the Writer's context, which may have ended, and without waiting for a Resume.
	err := m.dropUpload(lifecycle.WithPolicy(context.WithoutCancel(ctx), lifecycle.Fail), id)
	if err != nil {
		m.uploads.discardLater(id)
		m.tidying.Now()
	}
	return err
}

// dropUpload removes an upload, and its chunks, unless it was committed meanwhile: then they are a content's. However
// large it is, its transactions are small, each of which stays done; what is left, the next sweep finds.
func (m *Media) dropUpload(ctx context.Context, id contentID) error {
	for over := false; !over; {
		err := m.update(ctx, func(c *sqlite.Conn) (err error) {
			over, err = m.dropSome(ctx, c, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	m.uploads.discarded(id)
	return nil
}

// dropSome removes the last chunks of an upload, which nobody can commit then, and at the end its row.
func (m *Media) dropSome(ctx context.Context, c *sqlite.Conn, id contentID) (over bool, err error) {
	res, err := c.Exec(ctx, markUpload, beingRemoved, id[:])
	if err != nil || res.RowsAffected == 0 {
		return true, err
	}
	var top []byte
	err = c.QueryRow(ctx, selectTop, id.chunkRow(0), id.chunkRow(math.MaxUint32)).Scan(&top)
	if err != nil && !errors.Is(err, sqlite.ErrNoRows) {
		return false, err
	}
	if err == nil {
		from := int64(binary.BigEndian.Uint32(top[len(id):])) + 1 - m.removeChunks
		if _, err := c.Exec(ctx, deleteChunks, id.chunkRow(max(from, 0)), top); err != nil || from > 0 {
			return false, err
		}
	}
	_, err = c.Exec(ctx, removeUpload, id[:])
	return true, err
}

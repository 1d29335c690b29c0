package sqlitestore

import (
	"context"
	"sync"
	"time"
	"weak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
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

const selectUploads = `SELECT content, touched FROM upload`

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
func (u *uploads) sort(all []upload, now time.Time, expiry time.Duration) (remove, touch []contentID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.swept = now
	for id, w := range u.live {
		if w.Value() == nil {
			delete(u.live, id)
		}
	}
	for _, up := range all {
		_, live := u.live[up.id]
		_, dropped := u.dropped[up.id]
		switch {
		case dropped, !live && up.touched <= now.Add(-expiry).UnixMilli():
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
		if !live && !dropped {
			n++
		}
	}
	return n
}

// sweep removes the uploads that nobody needs. Where there is none it does not write.
func (m *Media) sweep(ctx context.Context) error {
	var all []upload
	err := m.View(ctx, func(c *sqlite.Conn) (err error) {
		all, err = allUploads(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	now := m.clock()
	remove, touch := m.uploads.sort(all, now, m.cfg.UploadExpiry)
	for _, id := range remove {
		if err := m.update(ctx, func(c *sqlite.Conn) error { return dropUpload(ctx, c, id) }); err != nil {
			return err
		}
		m.uploads.discarded(id)
	}
	if len(touch) == 0 {
		return nil
	}
	return m.update(ctx, func(c *sqlite.Conn) error {
		for _, id := range touch {
			if _, err := c.Exec(ctx, touchUpload, now.UnixMilli(), id[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropUpload removes an upload, and its chunks, unless it was committed meanwhile: then they are a content's.
func dropUpload(ctx context.Context, c *sqlite.Conn, id contentID) error {
	res, err := c.Exec(ctx, endUpload, id[:])
	if err != nil || res.RowsAffected == 0 {
		return err
	}
	return dropChunks(ctx, c, id)
}

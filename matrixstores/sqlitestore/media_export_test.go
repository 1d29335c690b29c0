package sqlitestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// Planned says whether a job is to store accesses.
func (m *Media) Planned() bool {
	m.accesses.mu.Lock()
	defer m.accesses.mu.Unlock()
	return m.accesses.planned
}

// RemoveChunks says how many chunks of an upload one transaction removes.
func (m *Media) RemoveChunks(n int64) { m.removeChunks = n }

// ForgetWriters makes the uploads of this store those of another process.
func (m *Media) ForgetWriters() {
	m.uploads.mu.Lock()
	defer m.uploads.mu.Unlock()
	clear(m.uploads.live)
}

// ToDiscard counts the uploads that the store knows it has to remove.
func (m *Media) ToDiscard() int { return len(m.uploads.toDiscard()) }

// AddIn is Add in a transaction of the caller's.
func (m *Media) AddIn(ctx context.Context, c *sqlite.Conn, r media.Request, data []byte, o media.AddOptions) (bool, error) {
	return m.addIn(ctx, c, r, data, o)
}

// GetIn is Get in a transaction of the caller's.
func (m *Media) GetIn(ctx context.Context, c *sqlite.Conn, r media.Request) (data []byte, found bool, err error) {
	row, found, err := m.find(ctx, c, r)
	if err == nil && found {
		data, err = m.readAll(ctx, c, row)
	}
	return data, found, err
}

// CheckTotals counts what the store believes to know without counting, and
// looks for chunks that are nobody's.
func (m *Media) CheckTotals(ctx context.Context) error {
	return m.View(ctx, func(c *sqlite.Conn) error {
		var wrong, lost int
		err := errors.Join(
			c.QueryRow(ctx, `SELECT /* of a test */ count(*) FROM total AS t WHERE contents <> (SELECT count(*) FROM media AS m WHERE m.ignore_policy = t.ignore_policy)
				OR bytes <> (SELECT coalesce(sum(size), 0) FROM media AS m WHERE m.ignore_policy = t.ignore_policy)`).Scan(&wrong),
			c.QueryRow(ctx, `SELECT /* of a test */ count(*) FROM chunk WHERE substr(row, 1, 16) NOT IN (SELECT content FROM media UNION ALL SELECT content FROM upload)`).Scan(&lost))
		if err == nil && wrong > 0 {
			err = fmt.Errorf("the totals are not those of the contents")
		}
		if err == nil && lost > 0 {
			err = fmt.Errorf("%d chunks belong to nothing", lost)
		}
		return err
	})
}

// RowOf returns what the row of a request is found by.
func (m *Media) RowOf(ctx context.Context, c *sqlite.Conn, r media.Request) (content, uri, format []byte, err error) {
	if uri, format, err = m.keys(r); err != nil {
		return nil, nil, nil, err
	}
	found, _, err := refOf(ctx, c, uri, format)
	return found.id[:], uri, format, err
}

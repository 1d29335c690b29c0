package sqlitestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// A content is cut into chunks, each sealed for its content and its number: so one
// that is missing, at another's place, or of another content is noticed, and
// a stream needs one of them at a time.

const (
	insertChunk  = `INSERT INTO chunk (row, data) VALUES (?, ?)`
	selectChunk  = `SELECT data FROM chunk WHERE row = ?`
	selectChunks = `SELECT row, data FROM chunk WHERE row BETWEEN ? AND ? ORDER BY row`
	deleteChunks = `DELETE FROM chunk WHERE row BETWEEN ? AND ?`
)

// chunkWriter stores the chunks of one content. Its buffer is used again for every one.
type chunkWriter struct {
	m      *Media
	id     contentID
	sealed []byte
}

func (w *chunkWriter) put(ctx context.Context, c *sqlite.Conn, number int64, plain []byte) (err error) {
	row := w.id.chunkRow(number)
	if w.sealed, err = w.m.seal(w.sealed[:0], chunkPlace(row), plain); err != nil {
		return err
	}
	_, err = c.Exec(ctx, insertChunk, row, w.sealed)
	return err
}

// putAll stores all of data.
func (w *chunkWriter) putAll(ctx context.Context, c *sqlite.Conn, data []byte) error {
	for number := int64(0); len(data) > 0; number++ {
		n := min(len(data), chunkSize)
		if err := w.put(ctx, c, number, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// errMissing is the error for a chunk that should be there.
func errMissing(number, of int64) error {
	return fmt.Errorf("%w: chunk %d of %d is missing", media.ErrBroken, number+1, of)
}

// errLength is the error for a chunk that is genuine, but not what there should be.
func errLength(number int64, length int, want int64) error {
	return fmt.Errorf("%w: chunk %d has %d bytes, and should have %d", media.ErrBroken, number+1, length, want)
}

// readAll returns the whole content.
func (m *Media) readAll(ctx context.Context, c *sqlite.Conn, found content) ([]byte, error) {
	const trusted = 64 << 20 // a damaged size shall not ask for all memory
	data := make([]byte, 0, min(found.size, trusted))
	next, all := int64(0), found.chunks()
	for r, err := range c.Rows(ctx, selectChunks, found.id.chunkRow(0), found.id.chunkRow(all)) {
		if err != nil {
			return nil, err
		}
		var row, stored []byte
		if err := r.Scan(&row, &stored); err != nil {
			return nil, err
		}
		if !bytes.Equal(row, found.id.chunkRow(next)) {
			break
		}
		before := len(data)
		if data, err = m.open(data, chunkPlace(row), stored); err != nil {
			return nil, err
		}
		if want := found.length(next); int64(len(data)-before) != want {
			return nil, errLength(next, len(data)-before, want)
		}
		next++
	}
	if next != all {
		return nil, errMissing(next, all)
	}
	return data, nil
}

// readChunk returns what is stored of one chunk. It is nil where there is none.
func (m *Media) readChunk(ctx context.Context, c *sqlite.Conn, row []byte) (stored []byte, err error) {
	err = c.QueryRow(ctx, selectChunk, row).Scan(&stored)
	if errors.Is(err, sqlite.ErrNoRows) {
		return nil, nil
	}
	return stored, err
}

// dropChunks removes whatever chunks a content has.
func dropChunks(ctx context.Context, c *sqlite.Conn, id contentID) error {
	_, err := c.Exec(ctx, deleteChunks, id.chunkRow(0), id.chunkRow(math.MaxUint32))
	return err
}

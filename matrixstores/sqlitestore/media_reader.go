package sqlitestore

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// mediaReader reads one chunk in one transaction. It keeps that chunk, but asks
// in each Read whether the content is still there.
type mediaReader struct {
	m   *Media
	ctx context.Context
	content
	at     int64  // the position
	number int64  // of the chunk in plain
	plain  []byte // empty where there is none
	closed bool
}

// Open opens a content to be read; see media.Streams.
func (m *Media) Open(ctx context.Context, r media.Request) (media.Reader, error) {
	if err := r.Check(); err != nil {
		return nil, m.failed("open", err)
	}
	var row content
	var found bool
	err := m.View(ctx, func(c *sqlite.Conn) (err error) {
		row, found, err = m.find(ctx, c, r)
		return err
	})
	if err != nil {
		return nil, m.failed("open", err)
	}
	if found {
		m.accessed(row.id)
	}
	m.opportunity()
	if !found {
		return nil, nil
	}
	return &mediaReader{m: m, ctx: ctx, content: row}, nil
}

// Read reads from one chunk; see media.Reader.
func (r *mediaReader) Read(p []byte) (n int, err error) {
	if r.closed {
		return 0, r.m.failed("read", media.ErrReaderClosed)
	}
	if len(p) == 0 || r.at >= r.size {
		switch err := r.m.admittedFast(r.ctx); {
		case err != nil:
			return 0, r.m.failed("read", err)
		case len(p) == 0:
			return 0, nil
		}
		return 0, io.EOF
	}
	err = r.m.View(r.ctx, func(c *sqlite.Conn) error {
		n, err = r.read(c, p)
		return err
	})
	if err != nil {
		return 0, r.m.failed("read", err)
	}
	r.at += int64(n)
	return n, nil
}

func (r *mediaReader) read(c *sqlite.Conn, p []byte) (n int, err error) {
	number, offset := r.at/r.chunk, r.at%r.chunk
	if number == r.number && len(r.plain) > 0 {
		if err := r.there(c); err != nil {
			return 0, err
		}
		return copy(p, r.plain[offset:]), nil
	}
	row, want := r.id.chunkRow(number), r.length(number)
	stored, err := r.m.readChunk(r.ctx, c, row)
	if err != nil {
		return 0, err
	}
	if stored == nil {
		if err := r.there(c); err != nil {
			return 0, err
		}
		return 0, errMissing(number, r.chunks())
	}
	into, direct := r.plain[:0], offset == 0 && int64(len(p)) >= want
	if direct {
		into = p[:0:want]
	}
	plain, err := r.m.open(into, chunkPlace(row), stored)
	if err == nil && int64(len(plain)) != want {
		err = errLength(number, len(plain), want)
	}
	if err != nil {
		r.plain = nil
		return 0, err
	}
	if direct {
		return copy(p, plain), nil // which is p already
	}
	r.number, r.plain = number, plain
	return copy(p, plain[offset:]), nil
}

// there returns ErrGone where the content is not there any more.
func (r *mediaReader) there(c *sqlite.Conn) error {
	var there bool
	err := c.QueryRow(r.ctx, existsContent, r.id[:]).Scan(&there)
	if err == nil && !there {
		err = media.ErrGone
	}
	return err
}

// Seek sets the position of the next Read. It asks nothing of the database.
func (r *mediaReader) Seek(offset int64, whence int) (int64, error) {
	if r.closed {
		return 0, r.m.failed("seek", media.ErrReaderClosed)
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, r.m.failed("seek", fmt.Errorf("%w: whence is %d", fs.ErrInvalid, whence))
	}
	if offset < 0 {
		return 0, r.m.failed("seek", fmt.Errorf("%w: the position is negative", fs.ErrInvalid))
	}
	r.at = offset
	return offset, nil
}

// Size returns the size of the content in bytes.
func (r *mediaReader) Size() int64 { return r.size }

// Close ends the reading.
func (r *mediaReader) Close() error {
	r.closed, r.plain = true, nil
	return nil
}

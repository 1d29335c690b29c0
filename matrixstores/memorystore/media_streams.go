package memorystore

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"sync"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// Streams: media.Streams. What is written is kept in pieces, so that nothing is
// copied when it grows, and becomes a content as it is.

const pieceSize = 64 << 10

// pieces are bytes in pieces of pieceSize.
type pieces struct {
	all  [][]byte
	size int64
}

// append copies p.
func (s *pieces) append(p []byte) {
	s.size += int64(len(p))
	for len(p) > 0 {
		last := len(s.all) - 1
		if last < 0 || len(s.all[last]) == pieceSize {
			capacity := pieceSize
			if last < 0 {
				capacity = min(len(p), pieceSize) // what is small needs no more
			}
			s.all = append(s.all, make([]byte, 0, capacity))
			last++
		}
		n := min(len(p), pieceSize-len(s.all[last]))
		s.all[last] = append(s.all[last], p[:n]...)
		p = p[n:]
	}
}

// piecesOf copies data.
func piecesOf(data []byte) (s pieces) {
	s.append(data)
	return s
}

// writers are the uploads that were begun and not committed, by number, and how many bytes each has. A Writer is not
// among them: nobody has to close one. The bytes of one that was forgotten are free at once; it counts until the next cleaning.
type writers struct {
	mu        sync.Mutex
	last      uint64
	open      map[uint64]int64
	bytes     int64
	forgotten []uint64
}

func (w *writers) count() (n int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open), w.bytes
}

func (w *writers) begin() (number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	w.open[w.last] = 0
	return w.last
}

// grow notes that an upload has so many bytes more.
func (w *writers) grow(number uint64, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[number] += bytes
	w.bytes += bytes
}

// end may be called any number of times.
func (w *writers) end(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= w.open[number]
	delete(w.open, number)
}

// forget is called when nobody has the Writer any more, which may have ended.
func (w *writers) forget(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if bytes, open := w.open[number]; open {
		w.bytes -= bytes
		w.open[number] = 0
		w.forgotten = append(w.forgotten, number)
	}
}

// sweep counts those that were forgotten no longer.
func (w *writers) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, number := range w.forgotten {
		delete(w.open, number)
	}
	w.forgotten = nil
}

// writer is one upload.
type writer struct {
	m       *Media
	number  uint64
	ctx     context.Context
	request media.Request
	opts    media.AddOptions
	written pieces
	ended   error // what every call returns from now on
}

// Create begins to store a content; see media.Streams.
func (m *Media) Create(ctx context.Context, r media.Request, o media.AddOptions) (media.Writer, error) {
	err := r.Check()
	if err == nil {
		err = m.admitted(ctx)
	}
	if err != nil {
		return nil, m.failed("create", err)
	}
	w := &writer{m: m, number: m.writers.begin(), ctx: ctx, request: r, opts: o}
	runtime.AddCleanup(w, m.writers.forget, w.number)
	return w, nil
}

// Write takes in more; see media.Writer.
func (w *writer) Write(p []byte) (n int, err error) {
	if w.ended != nil {
		return 0, w.m.failed("write", w.ended)
	}
	if !w.opts.IgnorePolicy && w.m.retention.tooLarge(w.written.size+int64(len(p))) {
		err := w.m.write(w.ctx, "write", nil, func(c *change) error { return c.removeAt(w.request) })
		if err != nil {
			return 0, err
		}
		w.end(media.ErrTooLarge)
		return 0, w.m.failed("write", w.ended)
	}
	if err := w.m.admitted(w.ctx); err != nil {
		return 0, w.m.failed("write", err)
	}
	w.written.append(p)
	w.m.writers.grow(w.number, int64(len(p)))
	runtime.KeepAlive(w) // what has ended must not grow
	return len(p), nil
}

// Commit makes the content visible; see media.Writer.
func (w *writer) Commit() (stored bool, err error) {
	if w.ended != nil {
		return false, w.m.failed("commit", w.ended)
	}
	err = w.m.write(w.ctx, "commit", nil, func(c *change) error {
		stored, err = w.m.put(c, w.request, w.written.size, func() [][]byte { return w.written.all }, w.opts)
		return err
	})
	if err != nil {
		return false, err
	}
	w.end(media.ErrWriterClosed)
	if stored {
		w.m.opportunity()
	}
	return stored, nil
}

// Close discards what was not committed; see media.Writer.
func (w *writer) Close() error {
	w.end(media.ErrWriterClosed)
	return nil
}

func (w *writer) end(why error) {
	w.m.writers.end(w.number)
	w.written, w.ended = pieces{}, why
}

// reader reads one content. It has the row, but asks in each Read whether that is still there.
type reader struct {
	m      *Media
	ctx    context.Context
	row    *contentRow
	at     int64
	closed bool
}

// Open opens a content to be read; see media.Streams.
func (m *Media) Open(ctx context.Context, r media.Request) (media.Reader, error) {
	var opened *reader
	err := m.read(ctx, "open", r.Check(), func(t *memory.Txn) error {
		row, there, err := contents.First(t, "id", mediaKey(r))
		if err == nil && there {
			opened = &reader{m: m, ctx: ctx, row: row}
			m.accesses.note(row.number, m.now())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	m.opportunity()
	if opened == nil {
		return nil, nil
	}
	return opened, nil
}

// Read reads from one piece; see media.Reader.
func (r *reader) Read(p []byte) (n int, err error) {
	if r.closed {
		return 0, r.m.failed("read", media.ErrReaderClosed)
	}
	err = r.m.db.Read(r.ctx, func(t *memory.Txn) error {
		switch {
		case len(p) == 0:
			return nil
		case r.at >= r.row.size:
			return io.EOF
		}
		_, there, err := contents.First(t, "number", key{}.number(r.row.number))
		if err == nil && !there {
			err = media.ErrGone
		}
		return err
	})
	switch {
	case err == io.EOF:
		return 0, io.EOF
	case err != nil:
		return 0, r.m.failed("read", err)
	case len(p) == 0:
		return 0, nil
	}
	n = copy(p, r.row.data[r.at/pieceSize][r.at%pieceSize:])
	r.at += int64(n)
	return n, nil
}

// Seek sets the position of the next Read.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch {
	case r.closed:
		return 0, r.m.failed("seek", media.ErrReaderClosed)
	case whence == io.SeekStart:
	case whence == io.SeekCurrent:
		offset += r.at
	case whence == io.SeekEnd:
		offset += r.row.size
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
func (r *reader) Size() int64 { return r.row.size }

// Close ends the reading.
func (r *reader) Close() error {
	r.closed = true
	return nil
}

package sqlitestore

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// ErrUploadExpired is returned by a Writer whose upload another process has
// removed, because it took it for that of a process that was killed.
var ErrUploadExpired = errors.New("the upload was removed because nobody had written to it for too long")

const (
	beginUpload = `INSERT INTO upload (content, touched) VALUES (?, ?)`
	touchUpload = `UPDATE upload SET touched = ?1 WHERE content = ?2 AND touched <> ?3`
	endUpload   = `DELETE FROM upload WHERE content = ?1 AND touched <> ?2`
)

// chunksAtOnce is how many chunks of one Write go in one transaction: so a large
// one does not keep other writers, or a pause, waiting.
const chunksAtOnce = 16

// mediaWriter writes whole chunks as they come, under the upload's own content
// id, which Commit makes a content's. What is small is in the database only from Commit on.
type mediaWriter struct {
	m    *Media
	ctx  context.Context
	opts media.AddOptions
	info
	chunks chunkWriter
	number int64  // of chunks that are stored
	rest   []byte // what is not stored yet, up to a whole chunk
	begun  bool   // there is a row in upload
	left   bool   // giveUp has left some chunks
	ended  error  // what every call returns from now on
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
	w := &mediaWriter{m: m, ctx: ctx, opts: o, info: info{request: r, chunk: chunkSize}, chunks: chunkWriter{m: m, id: newContentID()}}
	m.uploads.begin(w)
	return w, nil
}

// Write takes in more; see media.Writer.
func (w *mediaWriter) Write(p []byte) (n int, err error) {
	if w.ended != nil {
		return 0, w.m.failed("write", w.ended)
	}
	if err := w.m.admittedFast(w.ctx); err != nil {
		return 0, w.m.failed("write", err)
	}
	if !w.opts.IgnorePolicy && w.m.retention.tooLarge(w.size+int64(len(p))) || w.size+int64(len(p)) > chunkSize*maxChunks {
		return 0, w.m.failed("write", w.refuse())
	}
	for {
		taken := min(len(p), chunkSize-len(w.rest))
		w.rest = append(w.rest, p[:taken]...)
		w.take(&p, &n, taken)
		if len(p) == 0 {
			return n, nil
		}
		direct := min(len(p)/chunkSize, chunksAtOnce-1) * chunkSize
		if err := w.store(w.rest, p[:direct]); err != nil {
			return n, w.m.failed("write", err)
		}
		w.rest = w.rest[:0]
		w.take(&p, &n, direct)
	}
}

func (w *mediaWriter) take(p *[]byte, n *int, taken int) {
	*p = (*p)[taken:]
	*n += taken
	w.size += int64(taken)
}

// store brings whole chunks into the database.
func (w *mediaWriter) store(first, more []byte) error {
	next := w.number
	err := w.m.update(w.ctx, func(c *sqlite.Conn) error {
		next = w.number
		if err := w.touch(c); err != nil {
			return err
		}
		for plain := first; plain != nil; next++ {
			if err := w.chunks.put(w.ctx, c, next, plain); err != nil {
				return err
			}
			if plain = nil; len(more) > 0 {
				plain, more = more[:chunkSize], more[chunkSize:]
			}
		}
		return nil
	})
	if err != nil {
		w.expired(err)
		return err
	}
	w.number, w.begun = next, true
	return nil
}

// touch keeps the upload from being taken for one that nobody writes to.
func (w *mediaWriter) touch(c *sqlite.Conn) error {
	if !w.begun {
		_, err := c.Exec(w.ctx, beginUpload, w.chunks.id[:], w.m.now())
		return err
	}
	res, err := c.Exec(w.ctx, touchUpload, w.m.now(), w.chunks.id[:], beingRemoved)
	if err == nil && res.RowsAffected == 0 {
		err = ErrUploadExpired
	}
	return err
}

// expired remembers the error that a Writer does not recover from.
func (w *mediaWriter) expired(err error) {
	if errors.Is(err, ErrUploadExpired) {
		w.begun = false
		w.end(ErrUploadExpired)
	}
}

// refuse removes what is too large, and what it was to replace.
func (w *mediaWriter) refuse() error {
	if err := w.m.update(w.ctx, w.giveUp); err != nil {
		return err
	}
	w.end(media.ErrTooLarge)
	w.discardRest()
	return media.ErrTooLarge
}

// giveUp begins to remove what is in the database of the upload, and removes what it was to replace.
func (w *mediaWriter) giveUp(c *sqlite.Conn) error {
	w.left = false
	if w.begun {
		over, err := w.m.dropSome(w.ctx, c, w.chunks.id)
		if err != nil {
			return err
		}
		w.left = !over
	}
	return w.m.removeIn(w.ctx, c, w.request)
}

// discardRest removes what giveUp has left.
func (w *mediaWriter) discardRest() {
	if w.left {
		_ = w.m.discard(w.ctx, w.chunks.id) // the upload has ended, whatever is left of it for later
	}
}

// Commit makes the content visible; see media.Writer.
func (w *mediaWriter) Commit() (stored bool, err error) {
	if w.ended != nil {
		return false, w.m.failed("commit", w.ended)
	}
	err = w.m.update(w.ctx, func(c *sqlite.Conn) error {
		stored = w.opts.IgnorePolicy || !w.m.retention.tooLarge(w.size)
		if !stored {
			return w.giveUp(c)
		}
		return w.commit(c)
	})
	if err != nil {
		w.expired(err)
		return false, w.m.failed("commit", err)
	}
	w.end(media.ErrWriterClosed)
	if stored {
		w.m.opportunity()
	} else {
		w.discardRest()
	}
	return stored, nil
}

func (w *mediaWriter) commit(c *sqlite.Conn) error {
	if w.begun {
		res, err := c.Exec(w.ctx, endUpload, w.chunks.id[:], beingRemoved)
		if err == nil && res.RowsAffected == 0 {
			err = ErrUploadExpired
		}
		if err != nil {
			return err
		}
	}
	if len(w.rest) > 0 {
		if err := w.chunks.put(w.ctx, c, w.number, w.rest); err != nil {
			return err
		}
	}
	return w.m.place(w.ctx, c, w.chunks.id, w.info, w.opts)
}

// end gives up what the Writer holds in memory.
func (w *mediaWriter) end(why error) {
	w.ended, w.rest, w.chunks.sealed = why, nil, nil
	w.m.uploads.end(w.chunks.id)
}

// Close discards what was not committed; see media.Writer.
func (w *mediaWriter) Close() error {
	open := w.ended == nil
	w.ended = media.ErrWriterClosed
	if !open {
		return nil
	}
	w.end(media.ErrWriterClosed)
	if !w.begun {
		return nil
	}
	err := w.m.discard(w.ctx, w.chunks.id)
	if errors.Is(err, lifecycle.ErrPaused) || errors.Is(err, lifecycle.ErrInterrupted) || errors.Is(err, lifecycle.ErrClosed) {
		return nil
	}
	return w.m.failed("discard", err)
}

package secret

import (
	"fmt"
	"io"
	"sync"
)

// SealWriter seals what is written to it, chunk by chunk, into another writer.
// Close writes the last chunk; a stream that was not closed is ErrTruncated to its reader.
type SealWriter struct {
	mu     sync.Mutex
	w      io.Writer
	chunks *chunks
	plain  []byte // less than a chunk, or a whole one that may be the last
	sealed []byte
	err    error // what ended it
}

// SealWriter returns a writer that seals into w for a place. The newest key of
// this moment seals the whole stream. Nothing is written before the first whole chunk or Close.
func (c *Cipher) SealWriter(w io.Writer, at Place) (*SealWriter, error) {
	var header []byte
	err := c.use(func(k *keys) error {
		header = appendPrefix(make([]byte, 0, streamHeader), streamVersion, k.newest().number)
		c.random(header[prefixSize:streamHeader])
		header = header[:streamHeader]
		return nil
	})
	var s *chunks
	if err == nil {
		at.Row = append([]byte(nil), at.Row...)
		s, err = newChunks(c, at, header)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: seal stream %s: %w", at, err)
	}
	return &SealWriter{w: w, chunks: s, plain: make([]byte, 0, chunkSize), sealed: append(make([]byte, 0, streamHeader+chunkSize+tagSize), header...)}, nil
}

// Write takes all of p, or returns what ended the stream: the other writer's
// error, ErrLocked, ErrStreamClosed. There is no going on after an error.
func (w *SealWriter) Write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(p) > 0 {
		if w.err == nil && len(w.plain) == chunkSize {
			w.flush(false)
		}
		if w.err != nil {
			return n, w.err
		}
		took := min(chunkSize-len(w.plain), len(p))
		w.plain = append(w.plain, p[:took]...)
		n, p = n+took, p[took:]
	}
	return n, w.err
}

// Close seals and writes the last chunk. It does not close the other writer.
// A second Close returns nil if the first did.
func (w *SealWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.flush(true)
	}
	if w.err == nil {
		w.err = ErrStreamClosed
	}
	clear(w.plain[:cap(w.plain)])
	w.plain = w.plain[:0]
	if w.err == ErrStreamClosed {
		return nil
	}
	return w.err
}

// flush writes a chunk, and the header before the first one.
func (w *SealWriter) flush(last bool) {
	sealed, err := w.chunks.seal(w.sealed, w.plain, last)
	if err == nil {
		var n int
		if n, err = w.w.Write(sealed); err == nil && n < len(sealed) {
			err = io.ErrShortWrite
		}
	}
	if err != nil {
		w.err = fmt.Errorf("secret: seal stream %s: %w", w.chunks.at, err)
		return
	}
	w.plain, w.sealed = w.plain[:0], w.sealed[:0]
}

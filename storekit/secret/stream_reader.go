package secret

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// OpenReader reads the plain text of a sealed stream. It returns only what was
// found genuine; that nothing is missing is known at io.EOF and not before.
type OpenReader struct {
	mu     sync.Mutex
	r      io.Reader
	chunks *chunks
	at     Place
	cipher *Cipher
	sealed []byte // a chunk and one byte: the byte tells that it is not the last
	have   int    // how much of it was read
	plain  []byte // the opened chunk
	unread []byte // a part of plain
	err    error
}

// OpenReader returns a reader of what a SealWriter has written for the same
// place. Nothing is read before the first Read. The errors of Read are those of
// the other reader, ErrLocked, ErrTampered, ErrTruncated, ErrVersion and ErrUnknownKey.
func (c *Cipher) OpenReader(r io.Reader, at Place) *OpenReader {
	at.Row = append([]byte(nil), at.Row...)
	return &OpenReader{r: r, cipher: c, at: at}
}

// Read reads from the opened chunk, and opens the next one when that is empty.
func (r *OpenReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.unread) == 0 {
		if r.err == nil {
			r.fill()
		}
		if r.err != nil && len(r.unread) == 0 {
			clear(r.plain[:cap(r.plain)])
			return 0, r.err
		}
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// fill opens the next chunk, and sets err to io.EOF behind the last.
func (r *OpenReader) fill() {
	last, err := r.next()
	switch {
	case err != nil:
		r.err = fmt.Errorf("secret: open stream %s: %w", r.at, err)
	case last:
		r.err = io.EOF
	}
}

func (r *OpenReader) next() (last bool, err error) {
	if r.chunks == nil {
		if err := r.begin(); err != nil {
			return false, err
		}
	}
	n, err := io.ReadFull(r.r, r.sealed[r.have:])
	r.have += n
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		last = true
	case err != nil:
		return false, err
	}
	sealed := r.sealed[:r.have]
	if !last {
		sealed = sealed[:chunkSize+tagSize]
	}
	// Only an empty stream has an empty chunk: there is one form for each text.
	if len(sealed) == tagSize && r.chunks.next > 0 {
		return last, ErrTampered
	}
	plain, err := r.chunks.open(r.plain[:0], sealed, last)
	if err != nil {
		if last && errors.Is(err, ErrTampered) {
			if _, whole := r.chunks.open(r.plain[:0], sealed, false); whole == nil {
				return last, ErrTruncated
			}
		}
		return last, err
	}
	r.unread = plain
	r.have = copy(r.sealed, r.sealed[len(sealed):r.have])
	return last, nil
}

// begin reads the header.
func (r *OpenReader) begin() error {
	header := make([]byte, streamHeader)
	n, err := io.ReadFull(r.r, header)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		if _, err := parsePrefix(header[:n], streamVersion); err != nil && n > 0 {
			return err
		}
		return ErrTampered
	case err != nil:
		return err
	}
	if r.chunks, err = newChunks(r.cipher, r.at, header); err != nil {
		return err
	}
	r.sealed = make([]byte, chunkSize+tagSize+1)
	r.plain = make([]byte, 0, chunkSize)
	return nil
}

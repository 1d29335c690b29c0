package secret

import (
	"encoding/binary"
	"fmt"
)

// A stream: version, number of the key, 19 random bytes, chunks. The nonce of
// a chunk is the random bytes, its number, and whether it is the last (the
// construction called STREAM): a chunk opens only in its stream, at its place.
const (
	streamVersion = 2
	randomSize    = nonceSize - 4 - 1
	streamHeader  = prefixSize + randomSize
	chunkSize     = 64 << 10
	maxChunks     = 1 << 32
)

// StreamSize returns how long a sealed stream of n plain bytes is.
func StreamSize(n int64) int64 {
	chunks := max(1, n/chunkSize)
	if n > chunkSize && n%chunkSize != 0 {
		chunks++
	}
	return streamHeader + n + chunks*tagSize
}

// chunks seals or opens the chunks of one stream in order.
type chunks struct {
	cipher *Cipher
	at     Place
	number uint32 // of the key
	bound  []byte
	nonce  [nonceSize]byte
	next   uint64
}

func newChunks(c *Cipher, at Place, header []byte) (*chunks, error) {
	number, err := parsePrefix(header, streamVersion)
	if err != nil {
		return nil, err
	}
	s := &chunks{cipher: c, at: at, number: number, bound: at.bind(nil, header[:prefixSize])}
	copy(s.nonce[:], header[prefixSize:])
	return s, nil
}

// with sets the nonce and runs f with the key. The keys are looked up for
// each chunk, so that Forget need not wait for a stream that is read slowly.
func (s *chunks) with(last bool, f func(d *dataKey) error) error {
	if s.next >= maxChunks {
		return ErrTooLarge
	}
	binary.BigEndian.PutUint32(s.nonce[randomSize:], uint32(s.next))
	s.nonce[nonceSize-1] = 0
	if last {
		s.nonce[nonceSize-1] = 1
	}
	return s.cipher.use(func(k *keys) error {
		d := k.find(s.number)
		if d == nil {
			return fmt.Errorf("%w: number %d", ErrUnknownKey, s.number)
		}
		return f(d)
	})
}

// seal appends to dst, which has the room and lies elsewhere.
func (s *chunks) seal(dst, plain []byte, last bool) (sealed []byte, err error) {
	err = s.with(last, func(d *dataKey) error {
		sealed = d.aead.Seal(dst, s.nonce[:], plain, s.bound)
		s.next++
		return nil
	})
	return sealed, err
}

func (s *chunks) open(dst, sealed []byte, last bool) (plain []byte, err error) {
	err = s.with(last, func(d *dataKey) error {
		if plain, err = d.aead.Open(dst, s.nonce[:], sealed, s.bound); err != nil {
			return ErrTampered
		}
		s.next++
		return nil
	})
	return plain, err
}

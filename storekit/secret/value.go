package secret

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"
)

// A sealed value: version, number of the key, nonce, ciphertext, tag.
const (
	valueVersion = 1
	prefixSize   = 1 + 4 // version and number, in values and streams
	maxValue     = 1 << 30
)

// Overhead is how much longer a sealed value is than its plain text.
const Overhead = prefixSize + nonceSize + tagSize

// Place is where a sealed value belongs. What was sealed for one place opens
// at no other. Row should be random and stay with the row (NewRowID): an
// integer primary key that is used again after a deletion would fit an old value.
type Place struct {
	Table  string
	Column string
	Row    []byte
}

// String names table and column; the row is not printed.
func (p Place) String() string { return p.Table + "." + p.Column }

// NewRowID returns 16 random bytes to identify a row by.
func NewRowID() (id [16]byte) {
	randomBytes(id[:])
	return id
}

// bind appends the associated data: the prefix of what is sealed, and the
// place, each part behind its length, so that no two places look alike.
func (p Place) bind(b []byte, prefix []byte) []byte {
	b = append(b, prefix...)
	b = binary.AppendUvarint(b, uint64(len(p.Table)))
	b = append(b, p.Table...)
	b = binary.AppendUvarint(b, uint64(len(p.Column)))
	b = append(b, p.Column...)
	b = binary.AppendUvarint(b, uint64(len(p.Row)))
	return append(b, p.Row...)
}

// bound are buffers for associated data, which would else be allocated by each call.
var bound = sync.Pool{New: func() any { b := make([]byte, 0, 256); return &b }}

// putBound keeps no buffer that a huge row has made.
func putBound(b *[]byte) {
	if cap(*b) <= 4<<10 {
		bound.Put(b)
	}
}

// Prefix returns what every value begins with that the newest key seals: a walk
// over a table finds by it what a rotation has still to do. The error is ErrLocked.
func (c *Cipher) Prefix() ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.keys == nil {
		return nil, fmt.Errorf("secret: %w", ErrLocked)
	}
	return appendPrefix(nil, valueVersion, c.keys.newest().number), nil
}

func appendPrefix(b []byte, version byte, number uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, version), number)
}

// Seal appends the sealed plain text to dst. It is len(plain)+Overhead bytes
// long. dst and plain may be parts of the same memory. The errors are ErrLocked and ErrTooLarge.
func (c *Cipher) Seal(dst, plain []byte, at Place) ([]byte, error) {
	if len(plain) > maxValue {
		return nil, fmt.Errorf("secret: seal %s: %w: %d bytes", at, ErrTooLarge, len(plain))
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.keys == nil {
		return nil, fmt.Errorf("secret: seal %s: %w", at, ErrLocked)
	}
	out := room(dst, len(plain)+Overhead, plain, at.Row)
	start, k := len(out), c.keys.newest()
	out = appendPrefix(out, valueVersion, k.number)
	nonce := out[len(out) : len(out)+nonceSize]
	c.random(nonce)
	ad := bound.Get().(*[]byte)
	defer putBound(ad)
	*ad = at.bind((*ad)[:0], out[start:])
	return k.aead.Seal(out[:len(out)+nonceSize], nonce, plain, *ad), nil
}

// Open appends the plain text of what Seal returned to dst. dst and sealed may
// be parts of the same memory. The errors are ErrLocked, ErrTampered,
// ErrVersion and ErrUnknownKey; after one, nothing behind len(dst) is to be used.
func (c *Cipher) Open(dst, sealed []byte, at Place) ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	plain, err := c.openValue(dst, sealed, at)
	if err != nil {
		return nil, fmt.Errorf("secret: open %s: %w", at, err)
	}
	return plain, nil
}

func (c *Cipher) openValue(dst, sealed []byte, at Place) ([]byte, error) {
	if c.keys == nil {
		return nil, ErrLocked
	}
	number, err := parsePrefix(sealed, valueVersion)
	if err != nil {
		return nil, err
	}
	if len(sealed) < Overhead || len(sealed) > maxValue+Overhead {
		return nil, ErrTampered
	}
	k := c.keys.find(number)
	if k == nil {
		return nil, fmt.Errorf("%w: number %d", ErrUnknownKey, number)
	}
	ad := bound.Get().(*[]byte)
	defer putBound(ad)
	*ad = at.bind((*ad)[:0], sealed[:prefixSize])
	out := room(dst, len(sealed)-Overhead, sealed, at.Row)
	plain, err := k.aead.Open(out, sealed[prefixSize:prefixSize+nonceSize], sealed[prefixSize+nonceSize:], *ad)
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

func parsePrefix(sealed []byte, version byte) (uint32, error) {
	switch {
	case len(sealed) == 0:
		return 0, ErrTampered
	case sealed[0] != version:
		return 0, fmt.Errorf("%w: version %d", ErrVersion, sealed[0])
	case len(sealed) < prefixSize:
		return 0, ErrTampered
	}
	return binary.BigEndian.Uint32(sealed[1:]), nil
}

// room returns dst with capacity for n bytes more. It copies where these would
// lie over what is still to be read, which the cipher below answers with a panic.
func room(dst []byte, n int, read ...[]byte) []byte {
	if cap(dst)-len(dst) >= n {
		free, clash := dst[len(dst):len(dst)+n], false
		for _, r := range read {
			clash = clash || overlap(free, r)
		}
		if !clash {
			return dst
		}
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	a0, b0 := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return a0 < b0+uintptr(len(b)) && b0 < a0+uintptr(len(a))
}

// Reseal returns sealed as the newest key would have sealed it, and whether
// that is different from what it was given. It first opens it, except where the
// newest key has sealed it already: so a walk over all rows may be repeated after a kill.
func (c *Cipher) Reseal(sealed []byte, at Place) (resealed []byte, changed bool, err error) {
	current, err := c.Current(sealed)
	if err != nil || current {
		return sealed, false, err
	}
	plain, err := c.Open(nil, sealed, at)
	if err != nil {
		return sealed, false, err
	}
	defer clear(plain)
	resealed, err = c.Seal(nil, plain, at)
	if err != nil {
		return sealed, false, err
	}
	return resealed, true, nil
}

// Current says whether the newest key has sealed this value or stream, of
// which the first five bytes are enough. It believes what stands there: only opening proves it.
func (c *Cipher) Current(sealed []byte) (bool, error) {
	version := byte(valueVersion)
	if len(sealed) > 0 && sealed[0] == streamVersion {
		version = streamVersion
	}
	number, err := parsePrefix(sealed, version)
	var current bool
	if err == nil {
		err = c.use(func(k *keys) error {
			current = k.newest().number == number
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("secret: %w", err)
	}
	return current, nil
}

// Keys returns the numbers of the data keys, the oldest first.
func (c *Cipher) Keys() (numbers []uint32, err error) {
	err = c.use(func(k *keys) error {
		for _, d := range k.ring {
			numbers = append(numbers, d.number)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return numbers, nil
}

package secret

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/crypto/chacha20poly1305"
	"lukechampine.com/blake3"
)

// keys is everything secret that a cipher holds while it is unlocked. The
// cipher's lock keeps it from being wiped while somebody is using it.
type keys struct {
	ring []*dataKey // oldest first; the last one seals
	seed [keySize]byte

	adding sync.Mutex
	tables atomic.Pointer[map[string]*tableKey] // replaced, never changed
}

// dataKey seals values.
type dataKey struct {
	number uint32
	key    [keySize]byte
	aead   aead
}

// tableKey is a BLAKE3 key in the form that compression takes.
type tableKey [8]uint32

// maxTables bounds the cache, should somebody use names without number; beyond it, keys are derived each time.
const maxTables = 1024

// newKeys reads what a box held: numbers and keys, ascending, and the seed.
func newKeys(plain []byte) (*keys, error) {
	k := new(keys)
	split := len(plain) - keySize
	last := uint32(0)
	for entry := plain[:split]; len(entry) >= ringEntry; entry = entry[ringEntry:] {
		number := binary.BigEndian.Uint32(entry)
		if number <= last {
			return nil, fmt.Errorf("secret: %w: its keys are not in order", ErrHeader)
		}
		last = number
		d, err := newDataKey(number, entry[4:ringEntry])
		if err != nil {
			return nil, err
		}
		k.ring = append(k.ring, d)
	}
	copy(k.seed[:], plain[split:])
	return k, nil
}

func newDataKey(number uint32, key []byte) (*dataKey, error) {
	d := &dataKey{number: number}
	copy(d.key[:], key)
	var err error
	d.aead, err = newAEAD(key)
	return d, err
}

func (k *keys) marshal() []byte {
	plain := make([]byte, 0, len(k.ring)*ringEntry+keySize)
	for _, d := range k.ring {
		plain = binary.BigEndian.AppendUint32(plain, d.number)
		plain = append(plain, d.key[:]...)
	}
	return append(plain, k.seed[:]...)
}

func (k *keys) newest() *dataKey { return k.ring[len(k.ring)-1] }

func (k *keys) find(number uint32) *dataKey {
	for i := len(k.ring) - 1; i >= 0; i-- {
		if k.ring[i].number == number {
			return k.ring[i]
		}
	}
	return nil
}

// fingerprint tells ciphers apart without telling anything about their keys. Rotation does not change it.
func (k *keys) fingerprint() (print [16]byte) {
	blake3.DeriveKey(print[:], contextPrint, k.seed[:])
	return print
}

// table returns the key of a table, derived once.
func (k *keys) table(name string) *tableKey {
	if known := k.tables.Load(); known != nil {
		if t, ok := (*known)[name]; ok {
			return t
		}
	}
	t := k.deriveTable(name)
	k.adding.Lock()
	defer k.adding.Unlock()
	next := map[string]*tableKey{}
	if known := k.tables.Load(); known != nil {
		if first, ok := (*known)[name]; ok {
			clear(t[:])
			return first
		}
		if len(*known) >= maxTables {
			return t
		}
		next = maps.Clone(*known)
	}
	next[name] = t
	k.tables.Store(&next)
	return t
}

func (k *keys) deriveTable(name string) *tableKey {
	material := append(bytes.Clone(k.seed[:]), name...)
	defer clear(material)
	var raw [keySize]byte
	blake3.DeriveKey(raw[:], contextTable, material)
	defer clear(raw[:])
	t := new(tableKey)
	for i := range t {
		t[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return t
}

// wipe overwrites all that is reachable. Nobody may be using it any more.
func (k *keys) wipe() {
	for _, d := range k.ring {
		d.wipe()
	}
	clear(k.seed[:])
	if known := k.tables.Swap(nil); known != nil {
		for _, t := range *known {
			clear(t[:])
		}
	}
}

func (d *dataKey) wipe() {
	clear(d.key[:])
	d.aead.wipe()
}

// aead is XChaCha20-Poly1305 with a copy of its key that can be found again.
type aead struct{ cipher.AEAD }

// newAEAD fails only where the program runs in FIPS 140-only mode.
func newAEAD(key []byte) (aead, error) {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		return aead{}, fmt.Errorf("secret: %w", err)
	}
	return aead{a}, nil
}

// wipe overwrites the key inside x/crypto's cipher, which has no method for
// it. The value is a pointer to nothing but the 32 bytes; where a version of
// x/crypto changes that, the copy stays until the garbage collector's memory is
// used again, and a test fails.
func (a aead) wipe() { clear(a.memory()) }

func (a aead) memory() []byte {
	v := reflect.ValueOf(a.AEAD)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct || v.Elem().NumField() != 1 || v.Elem().Type().Size() != keySize || v.Elem().Field(0).Type() != reflect.TypeFor[[keySize]byte]() {
		return nil
	}
	return unsafe.Slice((*byte)(v.UnsafePointer()), keySize)
}

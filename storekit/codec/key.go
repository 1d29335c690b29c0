package codec

import (
	"unsafe"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Key returns what is stored, and looked up, for a key of a table: its hash
// (secret.HashSize bytes), or where nothing is encrypted the key itself, not a
// copy. table is the domain of the hash: columns whose equal keys shall not be
// told to be equal give different ones. The error is secret.ErrLocked.
func (c *Codec) Key(table string, key []byte) ([]byte, error) {
	if !c.Encrypted() {
		return present(key), nil
	}
	return c.AppendKey(make([]byte, 0, secret.HashSize), table, key)
}

// KeyString is Key for a string. Any bytes are allowed in it.
func (c *Codec) KeyString(table, key string) ([]byte, error) {
	if !c.Encrypted() {
		return []byte(key), nil
	}
	return c.Key(table, unsafe.Slice(unsafe.StringData(key), len(key))) // which only reads them
}

// AppendKey appends what Key returns to dst, and allocates nothing where there is room.
func (c *Codec) AppendKey(dst []byte, table string, key []byte) ([]byte, error) {
	if !c.Encrypted() {
		return append(present(dst), key...), nil
	}
	cipher, err := c.get()
	if err != nil {
		return nil, err
	}
	hash, err := cipher.HashKey(table, key)
	if err != nil {
		return nil, c.locked(err)
	}
	return append(dst, hash[:]...), nil
}

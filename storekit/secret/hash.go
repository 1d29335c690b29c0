package secret

import (
	"encoding/binary"
	"fmt"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/guts"
)

// HashSize is the length of a hashed key.
const HashSize = 32

// HashKey returns the keyed hash of a key, the same for the same table and key
// as long as the store lives. Equal keys can be told to be equal by anybody who
// sees the hashes; nothing else can. The error is ErrLocked.
func (c *Cipher) HashKey(table string, key []byte) (hash [HashSize]byte, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.keys == nil {
		return hash, fmt.Errorf("secret: hash a key of %s: %w", table, ErrLocked)
	}
	return keyedHash(c.keys.table(table), key), nil
}

// keyedHash is BLAKE3's keyed mode. A hasher has 3 KiB to clear and its own
// copy of the key; nearly every key fits one chunk and needs neither.
func keyedHash(t *tableKey, key []byte) (hash [HashSize]byte) {
	if len(key) > guts.ChunkSize {
		return longKeyedHash(t, key)
	}
	node := guts.CompressChunk(key, (*[8]uint32)(t), 0, guts.FlagKeyedHash)
	node.Flags |= guts.FlagRoot
	out := guts.WordsToBytes(guts.CompressNode(node))
	copy(hash[:], out[:])
	return hash
}

func longKeyedHash(t *tableKey, key []byte) (hash [HashSize]byte) {
	var raw [keySize]byte
	defer clear(raw[:])
	for i, word := range t {
		binary.LittleEndian.PutUint32(raw[4*i:], word)
	}
	h := blake3.New(HashSize, raw[:])
	_, _ = h.Write(key)
	h.Sum(hash[:0])
	return hash
}

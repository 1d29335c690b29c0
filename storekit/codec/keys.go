package codec

import (
	"encoding/hex"
	"strings"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// In is what stands behind IN to find many keys. It has one parameter, a List:
//
//	c.Rows(ctx, `SELECT title, text FROM note WHERE title IN `+codec.In, codec.List(titles))
//	c.Exec(ctx, `DELETE FROM note WHERE title IN `+codec.In, codec.List(titles))
//
// For a single key "=" takes less than half the time.
const In = `(SELECT unhex(value) FROM json_each(?))`

// Listed defines a table listed (n, key) of the keys of a List, its one
// parameter, for a statement that begins with WITH: n counts them from 0, in
// their order, and a key that is there twice has two rows. It is made once,
// before it is joined. CROSS JOIN keeps SQLite from reading the other table
// first, which it would be free to do:
//
//	`WITH ` + codec.Listed + ` SELECT n, text FROM listed CROSS JOIN note ON title = listed.key`
//	`WITH ` + codec.Listed + ` INSERT INTO seen (title) SELECT key FROM listed WHERE true ON CONFLICT DO NOTHING`
const Listed = `listed (n, key) AS MATERIALIZED (SELECT key, unhex(value) FROM json_each(?))`

// List returns the parameter of In and Listed: a JSON array of the keys in
// hexadecimal, since JSON cannot carry every byte. Keys of any bytes and any
// number are allowed, none included. It is twice as long as they are, and limited, as every
// text in SQLite, to 1,000,000,000 bytes. The keys are taken as they are stored: see KeyList.
func List[K ~string | ~[]byte](keys []K) string {
	var size int
	for _, key := range keys {
		size += len(key)
	}
	list := newList(len(keys), size)
	var raw []byte
	for _, key := range keys {
		raw = append(raw[:0], key...)
		list.add(raw)
	}
	return list.String()
}

// KeyList is List for keys of a table that are stored as Key returns them. The
// error is secret.ErrLocked.
func KeyList[K ~string | ~[]byte](c *Codec, table string, keys []K) (string, error) {
	if !c.Encrypted() {
		return List(keys), nil
	}
	cipher, err := c.get()
	if err != nil {
		return "", err
	}
	list := newList(len(keys), len(keys)*secret.HashSize)
	var raw []byte
	for _, key := range keys {
		raw = append(raw[:0], key...)
		hash, err := cipher.HashKey(table, raw)
		if err != nil {
			return "", c.locked(err)
		}
		list.add(hash[:])
	}
	return list.String(), nil
}

// list is such an array in the making.
type list struct {
	text    strings.Builder
	scratch []byte
}

// newList makes room for n keys of together size bytes.
func newList(n, size int) *list {
	l := new(list)
	l.text.Grow(2*size + len(`"",`)*n + len(`[]`))
	l.text.WriteByte('[')
	return l
}

func (l *list) add(key []byte) {
	l.scratch = l.scratch[:0]
	if l.text.Len() > 1 {
		l.scratch = append(l.scratch, ',')
	}
	l.scratch = append(hex.AppendEncode(append(l.scratch, '"'), key), '"')
	l.text.Write(l.scratch)
}

// String ends the array.
func (l *list) String() string {
	l.text.WriteByte(']')
	return l.text.String()
}

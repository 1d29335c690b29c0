package crypto

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// How records are kept: a version, then the fields, each text behind its length. One function per
// type names its fields, for both directions, so that writing and reading cannot disagree.

// Record is what a store keeps as bytes: Encode makes them, Decode reads them. Only
// the types of this package are records.
type Record interface{ fields(c *coder) }

const recordVersion = 1

// Encode appends a record to dst. Everything in it is copied.
func Encode(dst []byte, r Record) []byte {
	c := coder{out: append(dst, recordVersion)}
	r.fields(&c)
	return c.out
}

// Decode reads what Encode has made. Nothing in r refers to b then. The errors are ErrBroken and ErrNewer; r is not to be used after one.
func Decode(b []byte, r Record) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: a record is empty", ErrBroken)
	case b[0] != recordVersion:
		return fmt.Errorf("%w: a record of version %d", ErrNewer, b[0])
	}
	c := coder{in: b[1:], reads: true}
	r.fields(&c)
	if c.bad || len(c.in) > 0 {
		return fmt.Errorf("%w: a record of %d bytes", ErrBroken, len(b))
	}
	return nil
}

// coder goes through the fields of one record, and writes or reads them.
type coder struct {
	out   []byte
	in    []byte
	reads bool
	bad   bool
}

func (c *coder) uint(v *uint64) {
	if !c.reads {
		c.out = binary.AppendUvarint(c.out, *v)
		return
	}
	n, used := binary.Uvarint(c.in)
	if used <= 0 {
		c.bad, c.in = true, nil
		return
	}
	*v, c.in = n, c.in[used:]
}

// next is a part behind its length. What it returns still belongs to the input.
func (c *coder) next() []byte {
	var n uint64
	c.uint(&n)
	if n > uint64(len(c.in)) {
		c.bad, c.in = true, nil
		return nil
	}
	part := c.in[:n]
	c.in = c.in[n:]
	return part
}

// bytes are none or some: an empty slice comes back as nil.
func (c *coder) bytes(v *[]byte) {
	if c.reads {
		*v = append([]byte(nil), c.next()...)
		return
	}
	c.out = binary.AppendUvarint(c.out, uint64(len(*v)))
	c.out = append(c.out, *v...)
}

func text[T ~string](c *coder, v *T) {
	if c.reads {
		*v = T(c.next())
		return
	}
	c.out = binary.AppendUvarint(c.out, uint64(len(*v)))
	c.out = append(c.out, *v...)
}

func texts[T ~string](c *coder, v *[]T) {
	n := uint64(len(*v))
	c.uint(&n)
	if c.reads {
		if n > uint64(len(c.in)) { // each takes a byte at least
			c.bad, c.in = true, nil
			return
		}
		*v = nil
		if n > 0 {
			*v = make([]T, n)
		}
	}
	for i := range *v {
		text(c, &(*v)[i])
	}
}

// number is a signed one.
func number[T ~int | ~int64](c *coder, v *T) {
	n := uint64(*v)<<1 ^ uint64(int64(*v)>>63) // small ones are short, whatever their sign
	c.uint(&n)
	if c.reads {
		*v = T(int64(n>>1) ^ -int64(n&1))
	}
}

// flags are up to 64 of them.
func (c *coder) flags(all ...*bool) {
	var bits uint64
	for i, f := range all {
		if *f {
			bits |= 1 << i
		}
	}
	c.uint(&bits)
	if c.reads {
		for i, f := range all {
			*f = bits&(1<<i) != 0
		}
	}
}

// time is kept as Millis tells.
func (c *coder) time(v *time.Time) {
	ms := Millis(*v)
	number(c, &ms)
	if c.reads {
		*v = FromMillis(ms)
	}
}

// duration is kept in milliseconds.
func (c *coder) duration(v *time.Duration) {
	ms := v.Milliseconds()
	number(c, &ms)
	if c.reads {
		*v = time.Duration(ms) * time.Millisecond
	}
}

// noTime is how the zero time is kept. It is before every other one.
const noTime = math.MinInt64

// Millis is a time as a store keeps it: in milliseconds since 1970. The zero time is the smallest number.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMilli()
}

// FromMillis is the time that Millis has made a number of, in UTC.
func FromMillis(ms int64) time.Time {
	if ms == noTime {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

package secret

import (
	"bytes"
	"encoding/binary"
	"testing"

	"lukechampine.com/blake3"
)

// putParams changes the costs in a header, and gives it a checksum that fits.
func putParams(raw []byte, p Params) {
	binary.BigEndian.PutUint32(raw[6:], p.Time)
	binary.BigEndian.PutUint32(raw[10:], p.Memory)
	raw[14] = p.Threads
	fixSum(raw)
}

func fixSum(raw []byte) {
	if end := len(raw) - sumSize; end >= 0 {
		sum := blake3.Sum256(raw[:end])
		copy(raw[end:], sum[:])
	}
}

// fuzzCipher has the same keys in every process, as the seeds need.
func fuzzCipher(t testing.TB) (*Cipher, *kept) {
	k := new(kept)
	c, err := create(ctx, key(1), k.store, counter())
	must(t, err)
	return c, k
}

// FuzzOpen: no bytes make Open panic, and what it accepts is what Seal made.
func FuzzOpen(f *testing.F) {
	c, _ := fuzzCipher(f)
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(f, err)
	f.Add(sealed, []byte("row-1"))
	f.Add(sealed[:len(sealed)-1], []byte("row-1"))
	f.Add([]byte{valueVersion, 0, 0, 0, 1}, []byte{})
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, raw, row []byte) {
		at := Place{Table: "note", Column: "text", Row: row}
		plain, err := c.Open(raw[:0], bytes.Clone(raw), at)
		if err == nil && (string(plain) != "text" || string(row) != "row-1") {
			t.Errorf("accepted %x at %q", raw, row)
		}
		again, err := c.Seal(nil, raw, at)
		must(t, err)
		back, err := c.Open(nil, again, at)
		if err != nil || !bytes.Equal(back, raw) {
			t.Errorf("sealed and opened: %v", err)
		}
		_, _, _ = c.Reseal(raw, at)
		_, _ = c.Current(raw)
	})
}

// FuzzHeader: no header makes Open panic, take more memory than the limits
// allow, or open with a key that it was not made with.
func FuzzHeader(f *testing.F) {
	_, k := fuzzCipher(f)
	withPassphrase := new(kept)
	_, err := create(ctx, passphrase("x"), withPassphrase.store, counter())
	must(f, err)
	f.Add(k.header)
	f.Add(withPassphrase.header)
	f.Add(k.header[:40])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.Clone(raw)
		for range 2 { // as it is, and with a checksum that lets it come further
			h, err := parseHeader(raw)
			if err == nil && h.kind == kindPassphrase {
				if err := h.params.check(); err != nil {
					t.Error(err)
				}
			}
			if _, err := Open(ctx, raw, key(1)); err == nil && !bytes.Equal(raw, k.header) {
				t.Errorf("opened %x", raw)
			}
			fixSum(raw)
		}
	})
}

// FuzzStream: no bytes make a reader panic, and it gives out only what was sealed.
func FuzzStream(f *testing.F) {
	c, _ := fuzzCipher(f)
	plain := pattern(chunkSize + 100)
	sealed := sealStream(f, c, plain, place)
	short := sealStream(f, c, []byte("text"), place)
	// Long inputs make a slow fuzzer: it gets an edit of the long stream instead.
	f.Add(short, uint32(0), uint32(0))
	f.Add([]byte{}, uint32(0), uint32(len(sealed)))
	f.Add([]byte{1}, uint32(3), uint32(1))
	f.Add([]byte{}, uint32(streamHeader), uint32(chunkSize+tagSize))
	f.Fuzz(func(t *testing.T, insert []byte, at, cut uint32) {
		if got, err := openStream(c, insert, place); err == nil && string(got) != "text" && len(got) > 0 {
			t.Errorf("accepted %x", insert)
		}
		start := min(int(at), len(sealed))
		end := start + min(int(cut), len(sealed)-start)
		edited := append(append(bytes.Clone(sealed[:start]), insert...), sealed[end:]...)
		got, err := openStream(c, edited, place)
		if !bytes.HasPrefix(plain, got) && !bytes.Equal(edited, short) {
			t.Error("gave out what was not sealed")
		}
		if err == nil && !bytes.Equal(edited, sealed) && !bytes.Equal(edited, short) {
			t.Error("accepted an edited stream")
		}
	})
}

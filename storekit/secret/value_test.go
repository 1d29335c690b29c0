package secret

import (
	"bytes"
	"fmt"
	"testing"

	"lukechampine.com/blake3"
)

func TestAValueIsAtMost48BytesLonger(t *testing.T) {
	if Overhead > 48 {
		t.Errorf("%d bytes", Overhead)
	}
	c, _ := newCipher(t, key(1))
	for _, n := range []int{0, 1, 63, 64, 1024, 100_000} {
		plain := bytes.Repeat([]byte{7}, n)
		sealed, err := c.Seal([]byte("before"), plain, place)
		must(t, err)
		if len(sealed) != len("before")+n+Overhead {
			t.Errorf("%d bytes became %d", n, len(sealed))
		}
		got, err := c.Open([]byte("front"), sealed[len("before"):], place)
		if err != nil || string(got) != "front"+string(plain) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestAValueOpensNowhereElse is EN-14: values swapped between rows went unnoticed.
func TestAValueOpensNowhereElse(t *testing.T) {
	c, _ := newCipher(t, key(1))
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(t, err)
	for _, p := range []Place{
		{}, {"note", "text", []byte("row-2")}, {"note", "text", nil}, {"note", "title", []byte("row-1")}, {"tag", "text", []byte("row-1")},
		{"notetext", "", []byte("row-1")}, {"note", "textrow-1", nil}, {"not", "etext", []byte("row-1")}, {"note\x04text", "", []byte("row-1")},
	} {
		_, err := c.Open(nil, sealed, p)
		wantError(t, fmt.Sprintf("%s %q", p, p.Row), err, ErrTampered)
	}
	other, _ := newCipher(t, key(1))
	_, err = other.Open(nil, sealed, place)
	wantError(t, "another store with the same secret", err, ErrTampered)
}

func TestEveryChangedBitIsNoticed(t *testing.T) {
	c, _ := newCipher(t, key(1))
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(t, err)
	for i := range sealed {
		for bit := range 8 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << bit
			want := ErrTampered
			switch {
			case i == 0:
				want = ErrVersion
			case i < prefixSize:
				want = ErrUnknownKey
			}
			_, err := c.Open(nil, bad, place)
			wantError(t, fmt.Sprintf("bit %d of byte %d", bit, i), err, want)
		}
		_, err := c.Open(nil, sealed[:i], place)
		wantError(t, fmt.Sprintf("the first %d bytes", i), err, ErrTampered)
	}
	_, err = c.Open(nil, append(sealed, 0), place)
	wantError(t, "a byte more", err, ErrTampered)
}

// TestBuffersMayOverlap: x/crypto panics where they overlap in part.
func TestBuffersMayOverlap(t *testing.T) {
	c, _ := newCipher(t, key(1))
	for shift := range 2 * Overhead {
		buf := make([]byte, 4096)
		plain := buf[shift : shift+100]
		for i := range plain {
			plain[i] = byte(i)
		}
		want := bytes.Clone(plain)
		at := Place{Table: "t", Column: "c", Row: plain[:8]}
		fixed := Place{Table: "t", Column: "c", Row: want[:8]}
		sealed, err := c.Seal(buf[:0], plain, at)
		must(t, err)
		got, err := c.Open(sealed[:shift], sealed, fixed)
		if err != nil || !bytes.Equal(got[shift:], want) {
			t.Fatalf("shifted by %d: %v", shift, err)
		}
	}
}

func TestEqualTextsDoNotLookEqual(t *testing.T) {
	c, _ := newCipher(t, key(1))
	seen := map[string]bool{}
	for range 1000 {
		sealed, err := c.Seal(nil, []byte("yes"), place)
		must(t, err)
		seen[string(sealed)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ones of 1000", len(seen))
	}
}

func TestSealAllocatesTheResultAndLittleElse(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	c, _ := newCipher(t, key(1))
	plain, dst := make([]byte, 1024), make([]byte, 0, 2048)
	// The two are x/crypto's own.
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Seal(dst, plain, place) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = c.HashKey("note", plain) }); n > 0 {
		t.Errorf("HashKey allocates %v times", n)
	}
}

func TestHashes(t *testing.T) {
	c, _ := newCipher(t, key(1))
	other, _ := newCipher(t, key(1))
	hash := func(c *Cipher, table, key string) [HashSize]byte {
		h, err := c.HashKey(table, []byte(key))
		must(t, err)
		return h
	}
	a := hash(c, "note", "a")
	if a != hash(c, "note", "a") {
		t.Error("equal keys must have equal hashes, or nothing is found")
	}
	for name, b := range map[string][HashSize]byte{"key": hash(c, "note", "b"), "table": hash(c, "tag", "a"), "store": hash(other, "note", "a"), "split": hash(c, "notea", "")} {
		if a == b {
			t.Errorf("another %s, and the same hash", name)
		}
	}
	for i := range 2 * maxTables {
		table := fmt.Sprint(i % (maxTables + 10))
		if hash(c, table, "a") == a {
			t.Fatal("the hash of another table")
		}
	}
	if n := len(*c.keys.tables.Load()); n > maxTables {
		t.Errorf("%d tables are kept: names without number would fill the memory", n)
	}
}

// TestHashIsBLAKE3sKeyedHash: the short way gives what the library's hasher gives.
func TestHashIsBLAKE3sKeyedHash(t *testing.T) {
	raw := make([]byte, keySize)
	table := new(tableKey)
	for i := range table {
		table[i] = uint32(i) * 0x01010101
		copy(raw[4*i:], []byte{byte(i), byte(i), byte(i), byte(i)})
	}
	for _, n := range []int{0, 1, 63, 64, 65, 128, 1023, 1024, 1025, 2048, 5000} {
		key := bytes.Repeat([]byte{0xa5}, n)
		h := blake3.New(HashSize, raw)
		h.Write(key)
		if got := keyedHash(table, key); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("%d bytes: not BLAKE3", n)
		}
	}
}

func TestPrefixTellsWhatTheNewestKeyHasSealed(t *testing.T) {
	c, k := newCipher(t, key(1))
	for range 3 {
		prefix, err := c.Prefix()
		must(t, err)
		old, err := c.Seal(nil, []byte("text"), place)
		must(t, err)
		if !bytes.HasPrefix(old, prefix) {
			t.Errorf("%x does not begin with %x", old, prefix)
		}
		must(t, c.Rotate(ctx, key(1), k.store))
		next, err := c.Prefix()
		must(t, err)
		if bytes.HasPrefix(old, next) {
			t.Errorf("what the old key has sealed begins like what the new one does: %x", next)
		}
	}
	c.Forget()
	_, err := c.Prefix()
	wantError(t, "after Forget", err, ErrLocked)
}

package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew; only for a new version of the format, beside the old vectors")

// vectors hold the format: what they have sealed, every later version must open.
// They were made by this test with -update, with a source of random bytes that counts 1, 2, 3, …
type vectors struct {
	Comment          string
	Key              string // 32 bytes
	HeaderKey        string
	Passphrase       string
	HeaderPassphrase string
	HeaderRotated    string // of Key: a second data key was added
	Values           []valueVector
	Hashes           []hashVector
	Streams          []streamVector
}

type valueVector struct{ Table, Column, Row, Plain, Sealed string }
type hashVector struct{ Table, Key, Hash string }
type streamVector struct {
	Size   int    // of the plain text: byte i is i/251
	Sealed string // where it is short
	SHA256 string // of the sealed stream
}

func TestVectors(t *testing.T) {
	file := filepath.Join("testdata", "vectors.json")
	made := makeVectors(t)
	raw, err := json.MarshalIndent(made, "", "  ")
	must(t, err)
	raw = append(raw, '\n')
	if *update {
		must(t, os.WriteFile(file, raw, 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")), raw) {
		t.Error("sealing gives other bytes than the vectors: the format has changed, and stores that exist cannot be opened")
	}

	// Opening, with nothing but the file.
	var v vectors
	must(t, json.Unmarshal(want, &v))
	p, err := Open(ctx, unhex(t, v.HeaderPassphrase), Passphrase([]byte(v.Passphrase)))
	must(t, err)
	for _, header := range []string{v.HeaderKey, v.HeaderRotated} {
		c, err := Open(ctx, unhex(t, header), Key(unhex(t, v.Key)))
		must(t, err)
		if c.print != p.print {
			t.Error("the headers are not of the same keys")
		}
		for _, value := range v.Values {
			got, err := c.Open(nil, unhex(t, value.Sealed), Place{value.Table, value.Column, unhex(t, value.Row)})
			if err != nil || string(got) != value.Plain {
				t.Errorf("%+v: %q, %v", value, got, err)
			}
		}
		for _, h := range v.Hashes {
			got, err := c.HashKey(h.Table, []byte(h.Key))
			if err != nil || hex.EncodeToString(got[:]) != h.Hash {
				t.Errorf("%+v: %x, %v", h, got, err)
			}
		}
		for _, s := range v.Streams {
			if s.Sealed == "" {
				continue
			}
			got, err := openStream(c, unhex(t, s.Sealed), place)
			if err != nil || !bytes.Equal(got, pattern(s.Size)) {
				t.Errorf("stream of %d: %v", s.Size, err)
			}
		}
	}
}

func makeVectors(t *testing.T) vectors {
	v := vectors{Comment: "made by TestVectors -update; see vectors_test.go", Key: hex.EncodeToString(bytes.Repeat([]byte{1}, keySize)), Passphrase: "correct horse battery staple"}
	k, p := new(kept), new(kept)
	_, err := create(ctx, PassphraseWith([]byte(v.Passphrase), cheap), p.store, counter())
	must(t, err)
	c, err := create(ctx, key(1), k.store, counter())
	must(t, err)
	v.HeaderKey, v.HeaderPassphrase = hex.EncodeToString(k.header), hex.EncodeToString(p.header)
	for _, value := range []valueVector{
		{Table: "note", Column: "text", Row: "00112233445566778899aabbccddeeff", Plain: "a text"},
		{Table: "note", Column: "text", Row: "00112233445566778899aabbccddeeff"},
		{Plain: "at no place"},
	} {
		sealed, err := c.Seal(nil, []byte(value.Plain), Place{value.Table, value.Column, unhex(t, value.Row)})
		must(t, err)
		value.Sealed = hex.EncodeToString(sealed)
		v.Values = append(v.Values, value)
	}
	long := string(bytes.Repeat([]byte("long "), 300))
	for _, h := range []hashVector{{Table: "note", Key: "a"}, {Table: "tag", Key: "a"}, {}, {Table: "note", Key: long}} {
		hash, err := c.HashKey(h.Table, []byte(h.Key))
		must(t, err)
		h.Hash = hex.EncodeToString(hash[:])
		v.Hashes = append(v.Hashes, h)
	}
	for _, n := range []int{0, 100, chunkSize, 2*chunkSize + 1} {
		sealed := sealStream(t, c, pattern(n), place)
		sum := sha256.Sum256(sealed)
		s := streamVector{Size: n, SHA256: hex.EncodeToString(sum[:])}
		if n <= 100 {
			s.Sealed = hex.EncodeToString(sealed)
		}
		v.Streams = append(v.Streams, s)
	}
	must(t, c.Rotate(ctx, key(1), k.store))
	v.HeaderRotated = hex.EncodeToString(k.header)
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

// TestTheFormatIsTheDocumentedOne opens a value with x/crypto alone, by what docs/encryption.md says.
func TestTheFormatIsTheDocumentedOne(t *testing.T) {
	c, _ := newCipher(t, key(1))
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(t, err)
	x, err := chacha20poly1305.NewX(c.keys.newest().key[:])
	must(t, err)
	ad := []byte("\x01\x00\x00\x00\x01" + "\x04note" + "\x04text" + "\x05row-1")
	plain, err := x.Open(nil, sealed[5:29], sealed[29:], ad)
	if err != nil || string(plain) != "text" {
		t.Errorf("a value: %q, %v", plain, err)
	}
	stream := sealStream(t, c, pattern(chunkSize+1), place)
	ad[0] = 2
	for i, chunk := range [][]byte{stream[24 : 24+65536+16], stream[24+65536+16:]} {
		nonce := append(bytes.Clone(stream[5:24]), 0, 0, 0, byte(i), byte(i))
		if _, err := x.Open(nil, nonce, chunk, ad); err != nil {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
}

package secret

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

var ctx = context.Background()

// cheap are the least costs that are allowed: the tests derive many keys.
var cheap = Params{Time: 1, Memory: minMemory, Threads: 1}

func passphrase(text string) Secret { return PassphraseWith([]byte(text), cheap) }

func key(b byte) Secret {
	k := make([]byte, keySize)
	for i := range k {
		k[i] = b
	}
	return Key(k)
}

// kept is a store that has nothing but a header.
type kept struct{ header []byte }

func (k *kept) store(old, header []byte) error {
	if !bytes.Equal(old, k.header) {
		return ErrStale
	}
	k.header = header
	return nil
}

func newCipher(t testing.TB, s Secret) (*Cipher, *kept) {
	t.Helper()
	k := new(kept)
	c, err := Create(ctx, s, k.store)
	must(t, err)
	return c, k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

var place = Place{Table: "note", Column: "text", Row: []byte("row-1")}

// counter is a source of "random" bytes that are the same each time.
func counter() func([]byte) {
	n := byte(0)
	return func(b []byte) {
		for i := range b {
			n++
			b[i] = n
		}
	}
}

package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestEverySecretThatDoesNotFitIsATypedError: and of a kind of its own, for the program has to say something different to its user.
func TestEverySecretThatDoesNotFitIsATypedError(t *testing.T) {
	_, withKey := newCipher(t, key(1))
	_, withPassphrase := newCipher(t, passphrase("correct"))
	denied := errors.New("the keychain is locked")
	ask := func(s Secret, err error) Secret {
		return Ask(func(context.Context) (Secret, error) { return s, err })
	}
	for _, c := range []struct {
		name   string
		header []byte
		secret Secret
		want   error
	}{
		{"the right key", withKey.header, key(1), nil},
		{"the right passphrase", withPassphrase.header, passphrase("correct"), nil},
		{"the right passphrase with other costs", withPassphrase.header, Passphrase([]byte("correct")), nil},
		{"a function that has the key", withKey.header, ask(key(1), nil), nil},
		{"another key", withKey.header, key(2), ErrWrongSecret},
		{"another passphrase", withPassphrase.header, passphrase("Correct"), ErrWrongSecret},
		{"a passphrase for a key", withKey.header, passphrase("correct"), ErrWrongSecret},
		{"a key for a passphrase", withPassphrase.header, key(1), ErrWrongSecret},
		{"none", withKey.header, Secret{}, ErrSecretNeeded},
		{"a function that has none", withKey.header, ask(Secret{}, nil), ErrSecretNeeded},
		{"a superfluous one", nil, key(1), ErrSuperfluousSecret},
		{"neither header nor secret", nil, Secret{}, ErrHeader},
		{"a short key", withKey.header, Key([]byte("short")), ErrUnusableSecret},
		{"an empty passphrase", withPassphrase.header, passphrase(""), ErrUnusableSecret},
		{"a function that returns a function", withKey.header, ask(ask(key(1), nil), nil), ErrUnusableSecret},
		{"no function", withKey.header, Ask(nil), ErrUnusableSecret},
		{"a function that fails", withKey.header, ask(Secret{}, denied), denied},
	} {
		cipher, err := Open(ctx, c.header, c.secret)
		wantError(t, c.name, err, c.want)
		if (cipher == nil) != (err != nil) {
			t.Errorf("%s: a cipher and an error, or neither", c.name)
		}
	}
	plain, err := Needed(nil, Secret{})
	if plain || err != nil {
		t.Errorf("a plain store without a secret: %v, %v; it opens without a cipher", plain, err)
	}
}

func TestCreateNeedsASecretAndSomebodyToStoreTheHeader(t *testing.T) {
	full := errors.New("disk full")
	k := new(kept)
	for _, c := range []struct {
		name   string
		secret Secret
		store  Save
		want   error
	}{
		{"no secret", Secret{}, k.store, ErrSecretNeeded},
		{"a short key", Key([]byte("short")), k.store, ErrUnusableSecret},
		{"no costs", PassphraseWith([]byte("x"), Params{}), k.store, ErrParams},
		{"the header is not stored", key(1), func(_, _ []byte) error { return full }, full},
	} {
		cipher, err := Create(ctx, c.secret, c.store)
		wantError(t, c.name, err, c.want)
		if cipher != nil {
			t.Errorf("%s: there is a cipher whose header nobody has", c.name)
		}
	}
	if _, err := Create(ctx, key(1), nil); err == nil {
		t.Error("without a function to store the header, what is sealed is lost")
	}
}

// TestAHeaderCannotAskForAllMemory: it is believed before the secret has proved it.
func TestAHeaderCannotAskForAllMemory(t *testing.T) {
	for _, p := range []Params{
		{}, {Time: 1, Memory: 1 << 31, Threads: 1}, {Time: 1 << 31, Memory: minMemory, Threads: 1}, {Time: 1, Memory: minMemory, Threads: 255},
		{Time: 0, Memory: minMemory, Threads: 1}, {Time: 1, Memory: 8, Threads: 1}, {Time: 1, Memory: minMemory, Threads: 0},
	} {
		_, k := newCipher(t, passphrase("x"))
		raw := bytes.Clone(k.header)
		putParams(raw, p)
		_, err := Open(ctx, raw, passphrase("x"))
		wantError(t, fmt.Sprint(p), err, ErrParams)
	}
	for _, p := range []Params{DefaultParams(), LowMemoryParams(), cheap} {
		must(t, p.check())
	}
}

func TestADamagedHeaderIsToldFromAWrongSecret(t *testing.T) {
	_, k := newCipher(t, key(1))
	for i := range k.header {
		raw := bytes.Clone(k.header)
		raw[i] ^= 0x10
		want := ErrHeader
		if i == len(magic) {
			want = ErrVersion
		}
		_, err := Open(ctx, raw, key(1))
		wantError(t, fmt.Sprintf("byte %d changed", i), err, want)
		_, err = Open(ctx, k.header[:i], key(1))
		if err == nil {
			t.Errorf("a header of %d bytes was accepted", i)
		}
	}
}

// TestAHeaderIsBoundAsAWhole: with a checksum that fits, the seal still tells.
func TestAHeaderIsBoundAsAWhole(t *testing.T) {
	_, k := newCipher(t, passphrase("x"))
	raw := bytes.Clone(k.header)
	putParams(raw, Params{Time: 2, Memory: minMemory, Threads: 1})
	_, err := Open(ctx, raw, passphrase("x"))
	wantError(t, "other costs", err, ErrWrongSecret)
}

func TestSecretsDoNotPrint(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if out := fmt.Sprintf(verb, passphrase("hunter2")); strings.Contains(out, "hunter2") || strings.Contains(out, "68756e") || strings.Contains(out, "104 117") {
			t.Errorf("%s prints %s: secrets end up in logs", verb, out)
		}
	}
}

func TestCalibrateAsksForNoLessThanItsStart(t *testing.T) {
	p, err := Calibrate(ctx, Params{Time: 2, Memory: minMemory, Threads: 1}, 0)
	must(t, err)
	if p.Time != 2 {
		t.Errorf("%d passes, fewer than the start's", p.Time)
	}
	_, err = Calibrate(ctx, Params{}, 0)
	wantError(t, "no costs", err, ErrParams)
}

func TestWaitingForADerivationIsBounded(t *testing.T) {
	_, k := newCipher(t, passphrase("x"))
	deriving <- struct{}{}
	defer func() { <-deriving }()
	short, cancel := context.WithCancel(ctx)
	cancel()
	_, err := Open(short, k.header, passphrase("x"))
	wantError(t, "another derivation runs", err, context.Canceled)
}

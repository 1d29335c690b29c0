package secret

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
)

func TestTheSecretChangesWithoutRewritingData(t *testing.T) {
	c, k := newCipher(t, passphrase("old"))
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(t, err)
	before := k.header
	wantError(t, "the old secret is checked", c.ChangeSecret(ctx, passphrase("guess"), key(2), k.store), ErrWrongSecret)
	wantError(t, "the new one is needed", c.ChangeSecret(ctx, passphrase("old"), Secret{}, k.store), ErrSecretNeeded)
	if !bytes.Equal(before, k.header) {
		t.Fatal("a refused change has stored a header")
	}
	must(t, c.ChangeSecret(ctx, passphrase("old"), key(2), k.store))
	_, err = Open(ctx, k.header, passphrase("old"))
	wantError(t, "the old secret", err, ErrWrongSecret)
	again, err := Open(ctx, k.header, key(2))
	must(t, err)
	for _, c := range []*Cipher{c, again} {
		plain, err := c.Open(nil, sealed, place)
		if err != nil || string(plain) != "text" {
			t.Errorf("after the change: %q, %v", plain, err)
		}
	}
}

func TestAFailedStoreChangesNothing(t *testing.T) {
	full := errors.New("disk full")
	fail := func(_, _ []byte) error { return full }
	c, k := newCipher(t, key(1))
	wantError(t, "rotate", c.Rotate(ctx, key(1), fail), full)
	wantError(t, "drop", c.DropOldKeys(ctx, key(1), fail), full)
	wantError(t, "change", c.ChangeSecret(ctx, key(1), key(2), fail), full)
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(t, err)
	again, err := Open(ctx, k.header, key(1))
	must(t, err)
	if _, err := again.Open(nil, sealed, place); err != nil {
		t.Errorf("sealed with a key that no header has: %v", err)
	}
}

func TestRotation(t *testing.T) {
	c, k := newCipher(t, passphrase("x"))
	var sealed [][]byte
	for range 3 {
		s, err := c.Seal(nil, []byte("text"), place)
		must(t, err)
		sealed = append(sealed, s)
		must(t, c.Rotate(ctx, PassphraseWith([]byte("x"), DefaultParams()), k.store))
	}
	h, err := parseHeader(k.header)
	must(t, err)
	if h.params != cheap {
		t.Errorf("rotation changed the costs to %v", h.params)
	}
	before, err := c.HashKey("note", []byte("a"))
	must(t, err)
	c, err = Open(ctx, k.header, passphrase("x"))
	must(t, err)
	after, err := c.HashKey("note", []byte("a"))
	must(t, err)
	if before != after {
		t.Error("rotation changed the hashes: nothing can be found any more")
	}
	if numbers, err := c.Keys(); err != nil || !slices.Equal(numbers, []uint32{1, 2, 3, 4}) {
		t.Errorf("keys %v, %v", numbers, err)
	}
	for i, old := range sealed {
		fresh, changed, err := c.Reseal(old, place)
		must(t, err)
		_, again, err := c.Reseal(fresh, place)
		must(t, err)
		if !changed || again {
			t.Errorf("value %d: resealed %v, and again %v; a walk that is repeated must find nothing to do", i, changed, again)
		}
		sealed[i] = fresh
	}
	stale, err := c.Seal(nil, nil, place)
	must(t, err)
	stale[prefixSize-1] = 1
	must(t, c.DropOldKeys(ctx, passphrase("x"), k.store))
	_, err = c.Open(nil, stale, place)
	wantError(t, "a dropped key", err, ErrUnknownKey)
	c, err = Open(ctx, k.header, passphrase("x"))
	must(t, err)
	for i, s := range sealed {
		if plain, err := c.Open(nil, s, place); err != nil || string(plain) != "text" {
			t.Errorf("value %d: %q, %v", i, plain, err)
		}
	}
}

// TestTwoProcessesLoseNoKey: the second knows only the header before the first one's rotation.
func TestTwoProcessesLoseNoKey(t *testing.T) {
	c, k := newCipher(t, key(1))
	other, err := Open(ctx, k.header, key(1))
	must(t, err)
	must(t, c.Rotate(ctx, key(1), k.store))
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(t, err)
	wantError(t, "a change of the old header", other.ChangeSecret(ctx, key(1), key(2), k.store), ErrStale)
	_, err = other.Open(nil, sealed, place)
	wantError(t, "the other's new key", err, ErrUnknownKey)
	must(t, other.Unlock(ctx, k.header, key(1)))
	must(t, other.ChangeSecret(ctx, key(1), key(2), k.store))
	if plain, err := other.Open(nil, sealed, place); err != nil || string(plain) != "text" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestAHeaderHoldsSoManyKeys(t *testing.T) {
	c, k := newCipher(t, key(1))
	for range maxKeys - 1 {
		must(t, c.Rotate(ctx, key(1), k.store))
	}
	wantError(t, "one more", c.Rotate(ctx, key(1), k.store), ErrTooManyKeys)
	must(t, c.DropOldKeys(ctx, key(1), k.store))
	must(t, c.Rotate(ctx, key(1), k.store))
}

func TestForgetWipesAndUnlockBringsBack(t *testing.T) {
	c, k := newCipher(t, key(1))
	sealed, err := c.Seal(nil, []byte("text"), place)
	must(t, err)
	_, err = c.HashKey("note", nil)
	must(t, err)
	held, table := c.keys, c.keys.table("note")
	raw := held.newest().aead.memory()
	if !bytes.Equal(raw, held.newest().key[:]) {
		t.Fatal("x/crypto's copy of the key is not where it was: keys.go must learn its new place")
	}
	c.Forget()
	c.Forget()
	for name, b := range map[string][]byte{"key": held.newest().key[:], "x/crypto's key": raw, "seed": held.seed[:]} {
		if !bytes.Equal(b, make([]byte, keySize)) {
			t.Errorf("the %s is still in memory", name)
		}
	}
	if *table != (tableKey{}) {
		t.Error("the key of a table is still in memory")
	}
	w := func(err error) { t.Helper(); wantError(t, "forgotten", err, ErrLocked) }
	_, err = c.Seal(nil, nil, place)
	w(err)
	_, err = c.Open(nil, sealed, place)
	w(err)
	_, err = c.HashKey("note", nil)
	w(err)
	_, _, err = c.Reseal(sealed, place)
	w(err)
	_, err = c.Keys()
	w(err)
	_, err = c.SealWriter(nil, place)
	w(err)
	w(c.Rotate(ctx, key(1), k.store))
	w(c.DropOldKeys(ctx, key(1), k.store))
	w(c.ChangeSecret(ctx, key(1), key(2), k.store))

	_, other := newCipher(t, key(1))
	wantError(t, "another store's header", c.Unlock(ctx, other.header, key(1)), ErrOtherStore)
	wantError(t, "another key", c.Unlock(ctx, k.header, key(2)), ErrWrongSecret)
	wantError(t, "no key", c.Unlock(ctx, k.header, Secret{}), ErrSecretNeeded)
	if !c.Locked() {
		t.Error("a refused Unlock has unlocked")
	}
	must(t, c.Unlock(ctx, k.header, key(1)))
	if plain, err := c.Open(nil, sealed, place); err != nil || string(plain) != "text" {
		t.Errorf("after Unlock: %q, %v", plain, err)
	}
}

func TestForgettingDuringARotationLosesNoKey(t *testing.T) {
	c, k := newCipher(t, key(1))
	must(t, c.Rotate(ctx, key(1), func(old, h []byte) error { c.Forget(); return k.store(old, h) }))
	if !c.Locked() {
		t.Error("the end of the rotation has unlocked what was forgotten")
	}
	must(t, c.Unlock(ctx, k.header, key(1)))
	if numbers, _ := c.Keys(); !slices.Equal(numbers, []uint32{1, 2}) {
		t.Errorf("keys %v", numbers)
	}
}

// TestEverythingAtOnce is for the race detector, and for values sealed while keys are wiped.
func TestEverythingAtOnce(t *testing.T) {
	c, k := newCipher(t, key(1))
	var mu sync.Mutex // the store's: headers are read and written under it
	store := func(old, h []byte) error { mu.Lock(); defer mu.Unlock(); return k.store(old, h) }
	header := func() []byte { mu.Lock(); defer mu.Unlock(); return k.header }
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sealed, err := c.Seal(nil, []byte("text"), place)
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				plain, err := c.Open(nil, sealed, place)
				if err != nil && !errors.Is(err, ErrLocked) || err == nil && string(plain) != "text" {
					t.Errorf("%q, %v", plain, err)
					return
				}
				if _, err := c.HashKey("note", plain); err != nil && !errors.Is(err, ErrLocked) {
					t.Error(err)
				}
			}
		})
	}
	for i := range 60 {
		switch i % 4 {
		case 0:
			c.Forget()
		case 1:
			must(t, c.Unlock(ctx, header(), key(1)))
		case 2:
			if err := c.Rotate(ctx, key(1), store); err != nil && !errors.Is(err, ErrTooManyKeys) {
				t.Error(err)
			}
		case 3:
			must(t, c.ChangeSecret(ctx, key(1), key(1), store))
		}
	}
	close(stop)
	wg.Wait()
}

func TestHoldsTellsWhetherTheHeaderIsTheOneInUse(t *testing.T) {
	c, k := newCipher(t, key(1))
	old := k.header
	if !c.Holds(old) || c.Holds(nil) || c.Holds([]byte("another")) {
		t.Error("a fresh cipher holds its own header and no other")
	}
	must(t, c.Rotate(ctx, key(1), k.store))
	if c.Holds(old) || !c.Holds(k.header) {
		t.Error("after a rotation it holds the new header")
	}
	c.Forget()
	if c.Holds(k.header) {
		t.Error("what was forgotten is held no more")
	}
	must(t, c.Unlock(ctx, k.header, key(1)))
	if !c.Holds(k.header) {
		t.Error("what was unlocked is held again")
	}
}

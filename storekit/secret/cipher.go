package secret

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
)

// Cipher seals, opens and hashes for one store. Make one with Create or Open.
// It may be used from any number of goroutines.
type Cipher struct {
	random func([]byte) // crypto/rand's, except in the test that makes the vectors

	// mu is held for reading while a key is used, so that Forget wipes none
	// under a Seal, which would then seal with half a key of zeros.
	mu     sync.RWMutex
	keys   *keys    // nil: forgotten
	print  [16]byte // of the keys; not secret
	header []byte   // the one that was saved or opened last

	// changing lets headers be made one after another: of two that were made from
	// the same one, the later would lack the key that the earlier has added. Who
	// has put something in has his turn. It is no mutex, since a turn may take as
	// long as somebody types a passphrase, and a Resume waits for it.
	changing chan struct{}
}

func cipherOf(random func([]byte), k *keys, header []byte) *Cipher {
	return &Cipher{random: random, keys: k, print: k.fingerprint(), header: header, changing: make(chan struct{}, 1)}
}

// turn waits for the turn to change the header. done ends it.
func (c *Cipher) turn(ctx context.Context) (done func(), err error) {
	select {
	case c.changing <- struct{}{}:
		return func() { <-c.changing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("secret: wait for a change of the header: %w", context.Cause(ctx))
	}
}

// randomBytes never fails: crypto/rand ends the program where the system has no random bytes.
func randomBytes(b []byte) { _, _ = rand.Read(b) }

// Save replaces old, the header that a store has, by a new one: durably, and
// only if it still has old, for which ErrStale is the error to return. So two
// processes that change the header at a time lose no key. old is nil where
// Create makes the first one.
type Save func(old, header []byte) error

// Create makes a cipher with new keys. It calls save with the header, and
// returns the cipher only if that returned nil: without its header, data cannot be opened again.
func Create(ctx context.Context, s Secret, save Save) (*Cipher, error) {
	return create(ctx, s, save, randomBytes)
}

func create(ctx context.Context, s Secret, save Save, random func([]byte)) (*Cipher, error) {
	s, done, err := s.resolve(ctx)
	defer done()
	if err != nil {
		return nil, err
	}
	plain := make([]byte, ringEntry+keySize)
	defer clear(plain)
	random(plain)
	copy(plain, []byte{0, 0, 0, 1})
	k, err := newKeys(plain)
	if err != nil {
		return nil, err
	}
	header, err := wrap(ctx, k, s, random)
	if err == nil {
		err = save.call(nil, header)
	}
	if err != nil {
		k.wipe()
		return nil, err
	}
	return cipherOf(random, k, header), nil
}

// call hands out copies: what the cipher keeps must not change.
func (save Save) call(old, header []byte) error {
	if save == nil {
		return errors.New("secret: there is nobody to save the header")
	}
	if err := save(bytes.Clone(old), bytes.Clone(header)); err != nil {
		return fmt.Errorf("secret: save the header: %w", err)
	}
	return nil
}

// Open returns the cipher of a header. The errors are ErrSecretNeeded,
// ErrSuperfluousSecret (the header is empty), ErrWrongSecret, ErrUnusableSecret,
// ErrHeader, ErrVersion and ErrParams, and what a function given to Ask
// returned. ctx bounds the waiting for other derivations; one that has begun
// runs to its end.
func Open(ctx context.Context, header []byte, s Secret) (*Cipher, error) {
	k, err := open(ctx, header, s)
	if err != nil {
		return nil, err
	}
	return cipherOf(randomBytes, k, bytes.Clone(header)), nil
}

func open(ctx context.Context, header []byte, s Secret) (*keys, error) {
	needed, err := Needed(header, s)
	if err != nil {
		return nil, err
	}
	if !needed {
		return nil, fmt.Errorf("secret: %w: there is none", ErrHeader)
	}
	// Garbage is refused before anybody is asked for a passphrase.
	if _, err := parseHeader(header); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	s, done, err := s.resolve(ctx)
	defer done()
	if err != nil {
		return nil, err
	}
	return unwrap(ctx, header, s)
}

// Forget wipes the keys and returns when no call uses them any more.
// Everything that needs them returns ErrLocked until Unlock. It may be called
// any number of times. docs/encryption.md says what Go cannot promise here.
func (c *Cipher) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys != nil {
		c.keys.wipe()
		c.keys = nil
	}
}

// Locked says whether the keys were forgotten.
func (c *Cipher) Locked() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.keys == nil
}

// Unlock checks the secret against the header that the store has now, and
// brings the keys back. It may be called on a cipher that is not locked. On an
// error nothing has changed. The errors are those of Open, and ErrOtherStore.
// ctx bounds the waiting for a change of the header too.
func (c *Cipher) Unlock(ctx context.Context, header []byte, s Secret) error {
	return c.UnlockFrom(ctx, func() ([]byte, Secret, error) { return header, s, nil })
}

// UnlockFrom is Unlock with what get returns. get is called while nobody
// changes the header, so that it finds the header and the secret that belong
// together: a Save that notes the new secret does so before anybody's get. get must not call what changes the header.
func (c *Cipher) UnlockFrom(ctx context.Context, get func() (header []byte, s Secret, err error)) error {
	done, err := c.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	header, s, err := get()
	if err != nil {
		return err
	}
	k, err := open(ctx, header, s)
	if err != nil {
		return err
	}
	if k.fingerprint() != c.print {
		k.wipe()
		return fmt.Errorf("secret: %w", ErrOtherStore)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys != nil {
		c.keys.wipe()
	}
	c.keys, c.header = k, bytes.Clone(header)
	return nil
}

// use runs f with the keys.
func (c *Cipher) use(f func(k *keys) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.keys == nil {
		return ErrLocked
	}
	return f(c.keys)
}

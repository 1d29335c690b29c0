package codec

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// ErrPlain is returned by Use when the codec stores everything as it is: a
// cipher that came later would leave a store of both kinds.
var ErrPlain = errors.New("the store is not encrypted")

// Codec keeps the keys and values of one store. The zero value, and nil, store
// everything as it is. It must not be copied after first use.
type Codec struct {
	sealed bool // known from the beginning, and for good
	cipher atomic.Pointer[secret.Cipher]
	why    atomic.Pointer[error] // it is locked, where somebody has said
}

// New returns a codec that seals and hashes with c. Without c it is what Sealed returns.
func New(c *secret.Cipher) *Codec {
	codec := Sealed()
	codec.cipher.Store(c)
	return codec
}

// Sealed returns a codec for an encrypted store whose cipher is not there yet,
// for example because the store starts paused. Until Use everything returns secret.ErrLocked.
func Sealed() *Codec { return &Codec{sealed: true} }

// Use gives the codec its cipher, or another one, at once for all goroutines.
// With nil it has none, and returns secret.ErrLocked again. A codec that
// stores everything as it is returns ErrPlain and stays so.
func (c *Codec) Use(cipher *secret.Cipher) error {
	if !c.Encrypted() {
		return fmt.Errorf("codec: use a cipher: %w", ErrPlain)
	}
	c.cipher.Store(cipher)
	return nil
}

// Lock takes the cipher away, until Use: everything returns an error that
// matches secret.ErrLocked and why. It is for a store that forgets its keys
// while it is paused; an operation that a pause has cut finds out by it what has
// happened. The keys are the cipher's to forget, after Lock. A codec that stores
// everything as it is stays as it is.
func (c *Codec) Lock(why error) {
	if !c.Encrypted() {
		return
	}
	c.why.Store(&why)
	c.cipher.Store(nil)
}

// Encrypted says whether values are sealed and keys are hashed, also while the
// cipher is not there. It never changes.
func (c *Codec) Encrypted() bool { return c != nil && c.sealed }

// get returns the cipher of a codec that is encrypted.
func (c *Codec) get() (*secret.Cipher, error) {
	if cipher := c.cipher.Load(); cipher != nil {
		return cipher, nil
	}
	return nil, c.locked(fmt.Errorf("codec: the cipher is not there: %w", secret.ErrLocked))
}

// locked adds to the error of a cipher without keys why it has none.
func (c *Codec) locked(err error) error {
	if err == nil {
		return nil
	}
	if why := c.why.Load(); why != nil && errors.Is(err, secret.ErrLocked) && !errors.Is(err, *why) {
		return fmt.Errorf("%w: %w", err, *why)
	}
	return err
}

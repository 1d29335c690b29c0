package codec

import (
	"errors"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Seal returns what is to be stored for plain. Where nothing is encrypted that
// is plain itself, not a copy, and at is not looked at. The errors are
// secret.ErrLocked and secret.ErrTooLarge.
func (c *Codec) Seal(at secret.Place, plain []byte) ([]byte, error) {
	if !c.Encrypted() {
		return present(plain), nil
	}
	return c.AppendSeal(nil, at, plain)
}

// AppendSeal appends what Seal returns to dst.
func (c *Codec) AppendSeal(dst []byte, at secret.Place, plain []byte) ([]byte, error) {
	if !c.Encrypted() {
		return append(present(dst), plain...), nil
	}
	cipher, err := c.get()
	if err != nil {
		return nil, err
	}
	sealed, err := cipher.Seal(dst, plain, at)
	return sealed, c.locked(err)
}

// Open returns the plain text of what Seal returned. Where nothing is encrypted
// that is stored itself, not a copy. The errors are secret.ErrLocked, and a
// *DecodeError that matches secret.ErrTampered, secret.ErrVersion or secret.ErrUnknownKey.
func (c *Codec) Open(at secret.Place, stored []byte) ([]byte, error) {
	if !c.Encrypted() {
		return present(stored), nil
	}
	return c.AppendOpen(nil, at, stored)
}

// AppendOpen appends what Open returns to dst. After an error nothing behind len(dst) is to be used.
func (c *Codec) AppendOpen(dst []byte, at secret.Place, stored []byte) ([]byte, error) {
	if !c.Encrypted() {
		return append(present(dst), stored...), nil
	}
	cipher, err := c.get()
	if err != nil {
		return nil, err
	}
	plain, err := cipher.Open(dst, stored, at)
	switch {
	case err == nil:
		return present(plain), nil
	case errors.Is(err, secret.ErrLocked):
		return nil, c.locked(err) // nothing is wrong with the value
	case errors.Unwrap(err) != nil:
		err = errors.Unwrap(err) // without the place, which DecodeError names
	}
	return nil, &DecodeError{Table: at.Table, Column: at.Column, Err: err}
}

// present makes of nil, which would be stored as NULL, an empty slice.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

package secret

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// ChangeSecret makes a header for another secret. No data is rewritten: the
// data keys stay. Whoever has an old header and the old secret can therefore
// still open the data; Rotate and Reseal are for that. old is checked. save
// must not call Unlock or a method that changes the header. Should it fail, the
// old secret goes on. ctx bounds the waiting for another change. After ErrStale, Unlock with the header that is there, and try again.
func (c *Cipher) ChangeSecret(ctx context.Context, old, next Secret, save Save) error {
	end, err := c.turn(ctx)
	if err != nil {
		return err
	}
	defer end()
	k, _, done, err := c.begin(ctx, old)
	if err != nil {
		return err
	}
	defer k.wipe()
	defer done()
	s, wipeNext, err := next.resolve(ctx)
	defer wipeNext()
	if err != nil {
		return err
	}
	return c.replace(ctx, k, s, save)
}

// Rotate adds a data key, with which everything is sealed from then on. What
// the older ones have sealed can still be opened, and is brought over by
// Reseal. Hashes do not change. save is called as in ChangeSecret, before
// anything is sealed with the new key.
func (c *Cipher) Rotate(ctx context.Context, s Secret, save Save) error {
	return c.changeRing(ctx, s, save, func(k *keys) error {
		if len(k.ring) >= maxKeys || k.newest().number == ^uint32(0) {
			return fmt.Errorf("secret: %w: %d", ErrTooManyKeys, len(k.ring))
		}
		key := make([]byte, keySize)
		defer clear(key)
		c.random(key)
		d, err := newDataKey(k.newest().number+1, key)
		if err != nil {
			return err
		}
		k.ring = append(k.ring, d)
		return nil
	})
}

// DropOldKeys leaves the newest data key only. What older ones have sealed is
// lost for good (ErrUnknownKey): first, Reseal everything. save is called as in ChangeSecret.
func (c *Cipher) DropOldKeys(ctx context.Context, s Secret, save Save) error {
	return c.changeRing(ctx, s, save, func(k *keys) error {
		for _, d := range k.ring[:len(k.ring)-1] {
			d.wipe()
		}
		k.ring = slices.Clone(k.ring[len(k.ring)-1:])
		return nil
	})
}

func (c *Cipher) changeRing(ctx context.Context, s Secret, save Save, change func(*keys) error) error {
	end, err := c.turn(ctx)
	if err != nil {
		return err
	}
	defer end()
	k, s, done, err := c.begin(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	defer k.wipe()
	if err := change(k); err != nil {
		return err
	}
	// The costs stay those of the header, whatever the secret at hand says.
	h, err := parseHeader(c.stored())
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	s.params = h.params
	return c.replace(ctx, k, s, save)
}

// begin opens the header anew, which checks the secret and gives a copy of the keys that may be changed.
func (c *Cipher) begin(ctx context.Context, s Secret) (k *keys, resolved Secret, done func(), err error) {
	if c.Locked() {
		return nil, s, nil, fmt.Errorf("secret: change: %w", ErrLocked)
	}
	resolved, done, err = s.resolve(ctx)
	if err == nil {
		k, err = unwrap(ctx, c.stored(), resolved)
	}
	if err != nil {
		done()
	}
	return k, resolved, done, err
}

// Holds says whether the cipher is unlocked, with the keys of this header. It is
// false where the header has to be given to Unlock.
func (c *Cipher) Holds(header []byte) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.keys != nil && bytes.Equal(c.header, header)
}

func (c *Cipher) stored() []byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.header
}

// replace saves the header of k, and then uses k's ring.
func (c *Cipher) replace(ctx context.Context, k *keys, s Secret, save Save) error {
	header, err := wrap(ctx, k, s, c.random)
	if err != nil {
		return err
	}
	if err := save.call(c.stored(), header); err != nil {
		return err
	}
	plain := k.marshal()
	defer clear(plain)
	fresh, err := newKeys(plain)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = header
	if c.keys == nil { // forgotten meanwhile: Unlock will read the new header
		fresh.wipe()
		return nil
	}
	c.keys.wipe()
	c.keys = fresh
	return nil
}

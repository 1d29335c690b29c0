package secret

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Whoever waits for a change of the header to end waits as long as his context
// lets him: a change may wait for somebody who types a passphrase.
func TestWaitingForAChangeEndsWithTheContext(t *testing.T) {
	ctx := context.Background()
	c, k := newCipher(t, key(1))
	in, out := make(chan struct{}), make(chan struct{})
	changed := make(chan error, 1)
	go func() {
		changed <- c.ChangeSecret(ctx, key(1), key(2), func(old, header []byte) error {
			close(in)
			<-out
			return k.store(old, header)
		})
	}()
	<-in
	header := c.stored()
	for name, call := range map[string]func(context.Context) error{
		"Unlock":       func(ctx context.Context) error { return c.Unlock(ctx, header, key(1)) },
		"ChangeSecret": func(ctx context.Context) error { return c.ChangeSecret(ctx, key(1), key(3), k.store) },
		"Rotate":       func(ctx context.Context) error { return c.Rotate(ctx, key(1), k.store) },
		"DropOldKeys":  func(ctx context.Context) error { return c.DropOldKeys(ctx, key(1), k.store) },
	} {
		soon, cancel := context.WithTimeout(ctx, time.Millisecond)
		wantError(t, name, call(soon), context.DeadlineExceeded)
		cancel()
	}
	close(out)
	must(t, <-changed)
	must(t, c.Unlock(ctx, c.stored(), key(2)))
}

// UnlockFrom asks for the header and the secret when no change is between the
// two of them, and for nothing where it cannot have its turn.
func TestUnlockFromMeetsNoChangeHalfWay(t *testing.T) {
	ctx := context.Background()
	c, k := newCipher(t, key(1))
	stored, with := c.stored(), key(1) // without a lock: it is the turn that guards them
	in, out := make(chan struct{}), make(chan struct{})
	changed, unlocked := make(chan error, 1), make(chan error, 1)
	go func() {
		changed <- c.ChangeSecret(ctx, key(1), key(2), func(old, header []byte) error {
			err := k.store(old, header)
			stored = header
			close(in)
			<-out
			with = key(2)
			return err
		})
	}()
	<-in
	go func() {
		unlocked <- c.UnlockFrom(ctx, func() ([]byte, Secret, error) { return stored, with, nil })
	}()
	close(out)
	must(t, <-changed)
	must(t, <-unlocked)
	wrong := errors.New("it cannot be read")
	wantError(t, "what get returns", c.UnlockFrom(ctx, func() ([]byte, Secret, error) { return nil, Secret{}, wrong }), wrong)
	if c.Locked() {
		t.Error("an Unlock that failed has changed something")
	}
}

package secret

import (
	"context"
	"fmt"
	"slices"
)

// Secret is what the user of a store has to give: a passphrase, a key, or a
// function that gets one of these. The zero value is no secret. It prints as its kind only.
type Secret struct {
	kind   kind
	bytes  []byte
	params Params
	ask    func(context.Context) (Secret, error)
}

type kind byte

// The first two stand in headers.
const (
	kindNone       kind = 0
	kindPassphrase kind = 1
	kindKey        kind = 2
	kindAsk        kind = 255
)

func (k kind) String() string {
	switch k {
	case kindNone:
		return "no secret"
	case kindPassphrase:
		return "a passphrase"
	case kindKey:
		return "a key"
	case kindAsk:
		return "a function"
	}
	return fmt.Sprintf("a secret of kind %d", byte(k))
}

// Passphrase is a secret that somebody remembers. The bytes are taken as they
// are: whoever accepts them from several keyboards should normalise the text
// first (Unicode NFC). They are copied.
func Passphrase(passphrase []byte) Secret { return PassphraseWith(passphrase, DefaultParams()) }

// PassphraseWith is a passphrase with other costs. They count where a header
// is made: in Create and as the new secret of ChangeSecret. A header that exists keeps its own.
func PassphraseWith(passphrase []byte, params Params) Secret {
	return Secret{kind: kindPassphrase, bytes: slices.Clone(passphrase), params: params}
}

// Key is a secret of 32 random bytes. They are copied.
func Key(key []byte) Secret { return Secret{kind: kindKey, bytes: slices.Clone(key)} }

// Ask is a secret that is got when it is needed: from the platform's keychain,
// or from the user. The function returns a Key or a Passphrase. It is called by
// Create, Open and every method that takes a secret, once for each call, and what it returned is wiped.
func Ask(ask func(ctx context.Context) (Secret, error)) Secret {
	return Secret{kind: kindAsk, ask: ask}
}

// None says whether s is no secret at all.
func (s Secret) None() bool { return s.kind == kindNone }

// Asked says whether s is got when it is needed, and not kept meanwhile.
func (s Secret) Asked() bool { return s.kind == kindAsk }

// Wipe overwrites the copy that this secret and its copies hold. It is unusable afterwards.
func (s Secret) Wipe() { clear(s.bytes) }

// Format prints the kind, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.kind.String()) }

// resolve asks. The second result wipes what was asked for.
func (s Secret) resolve(ctx context.Context) (Secret, func(), error) {
	done := func() {}
	if s.kind == kindAsk {
		if s.ask == nil {
			return s, done, fmt.Errorf("secret: %w: the function is nil", ErrUnusableSecret)
		}
		var err error
		if s, err = s.ask(ctx); err != nil {
			return s, done, fmt.Errorf("secret: ask: %w", err)
		}
		done = s.Wipe
	}
	switch {
	case s.kind == kindNone:
		return s, done, fmt.Errorf("secret: %w", ErrSecretNeeded)
	case s.kind == kindPassphrase && len(s.bytes) == 0:
		return s, done, fmt.Errorf("secret: %w: the passphrase is empty", ErrUnusableSecret)
	case s.kind == kindKey && len(s.bytes) != keySize:
		return s, done, fmt.Errorf("secret: %w: the key has %d bytes, not %d", ErrUnusableSecret, len(s.bytes), keySize)
	case s.kind == kindAsk:
		return s, done, fmt.Errorf("secret: %w: the function returned a function", ErrUnusableSecret)
	}
	return s, done, nil
}

package secret

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
	"lukechampine.com/blake3"
)

// A header is what a store keeps beside its data: how the secret becomes a
// key, and the data keys, sealed with that key. docs/encryption.md has it byte by byte.
//
//	"qsec" version kind [time memory threads salt] nonce box checksum
//
// The checksum needs no secret: it tells damage from a wrong secret, and
// spares garbage the cost of Argon2id.
const (
	magic         = "qsec"
	headerVersion = 1
	keySize       = chacha20poly1305.KeySize
	nonceSize     = chacha20poly1305.NonceSizeX
	tagSize       = chacha20poly1305.Overhead
	saltSize      = 16
	paramsSize    = 4 + 4 + 1 + saltSize
	sumSize       = 8
	maxKeys       = 16
	ringEntry     = 4 + keySize
)

// header is a parsed header; its slices are parts of what was parsed.
type header struct {
	kind   kind
	params Params
	salt   []byte
	bound  []byte // what the box is bound to: everything before the nonce
	nonce  []byte
	box    []byte
}

func parseHeader(raw []byte) (h header, err error) {
	bad := func(why string) (header, error) { return header{}, fmt.Errorf("%w: %s", ErrHeader, why) }
	if len(raw) < len(magic)+2 || string(raw[:len(magic)]) != magic {
		return bad("it does not begin like one")
	}
	if v := raw[len(magic)]; v != headerVersion {
		return header{}, fmt.Errorf("%w: header version %d", ErrVersion, v)
	}
	if len(raw) < len(magic)+2+nonceSize+tagSize+sumSize {
		return bad("it is too short")
	}
	end := len(raw) - sumSize
	if sum := blake3.Sum256(raw[:end]); !bytes.Equal(sum[:sumSize], raw[end:]) {
		return bad("its checksum is wrong")
	}
	h.kind = kind(raw[len(magic)+1])
	rest := raw[len(magic)+2 : end]
	switch h.kind {
	case kindKey:
	case kindPassphrase:
		if len(rest) < paramsSize+nonceSize+tagSize {
			return bad("it is too short")
		}
		h.params = Params{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:]), rest[8]}
		h.salt = rest[9:paramsSize]
		rest = rest[paramsSize:]
		if err := h.params.check(); err != nil {
			return header{}, err
		}
	default:
		return bad("it asks for " + h.kind.String())
	}
	keys := len(rest) - nonceSize - tagSize - keySize
	if keys < ringEntry || keys%ringEntry != 0 || keys/ringEntry > maxKeys {
		return bad("its length is none that a header has")
	}
	h.bound = raw[:end-len(rest)]
	h.nonce, h.box = rest[:nonceSize], rest[nonceSize:]
	return h, nil
}

const (
	contextWrap  = "quiesce-go/quiesce storekit/secret 2026-11 key that wraps the data keys v1"
	contextTable = "quiesce-go/quiesce storekit/secret 2026-11 key that hashes the keys of a table v1"
	contextPrint = "quiesce-go/quiesce storekit/secret 2026-11 fingerprint of a cipher v1"
)

// wrapKey makes the key of the box. A key and a passphrase never give the
// same one, since the kind is a part of what it is derived from.
func wrapKey(ctx context.Context, s Secret, p Params, salt []byte) ([]byte, error) {
	material := s.bytes
	if s.kind == kindPassphrase {
		var err error
		if material, err = p.derive(ctx, s.bytes, salt); err != nil {
			return nil, err
		}
		defer clear(material)
	}
	material = append([]byte{byte(s.kind)}, material...)
	defer clear(material)
	key := make([]byte, keySize)
	blake3.DeriveKey(key, contextWrap, material)
	return key, nil
}

// unwrap opens a header with a secret that was resolved.
func unwrap(ctx context.Context, raw []byte, s Secret) (*keys, error) {
	h, err := parseHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if s.kind != h.kind {
		return nil, fmt.Errorf("secret: %w: %s was given, the header asks for %s", ErrWrongSecret, s.kind, h.kind)
	}
	key, err := wrapKey(ctx, s, h.params, h.salt)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	defer clear(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	defer aead.wipe()
	plain, err := aead.Open(nil, h.nonce, h.box, h.bound)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", ErrWrongSecret)
	}
	defer clear(plain)
	return newKeys(plain)
}

// wrap makes a header. fill is the source of random bytes.
func wrap(ctx context.Context, k *keys, s Secret, fill func([]byte)) ([]byte, error) {
	raw := append([]byte(magic), headerVersion, byte(s.kind))
	var salt []byte
	if s.kind == kindPassphrase {
		raw = binary.BigEndian.AppendUint32(raw, s.params.Time)
		raw = binary.BigEndian.AppendUint32(raw, s.params.Memory)
		raw = append(raw, s.params.Threads)
		salt = make([]byte, saltSize)
		fill(salt)
		raw = append(raw, salt...)
	}
	key, err := wrapKey(ctx, s, s.params, salt)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	defer clear(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	defer aead.wipe()
	plain := k.marshal()
	defer clear(plain)
	nonce := make([]byte, nonceSize)
	fill(nonce)
	box := aead.Seal(nil, nonce, plain, raw)
	raw = append(append(raw, nonce...), box...)
	sum := blake3.Sum256(raw)
	return append(raw, sum[:sumSize]...), nil
}

// Needed says, for what a store has found and was given, whether it has to
// open a cipher. header is empty where the store has none.
//
//	header  secret  result
//	none    none    false: a plain store
//	some    some    true: Open
//	some    none    ErrSecretNeeded
//	none    some    ErrSuperfluousSecret
//
// A store that is only being made asks nobody: with a secret it calls Create.
func Needed(header []byte, s Secret) (bool, error) {
	switch {
	case len(header) == 0 && s.None():
		return false, nil
	case len(header) == 0:
		return false, fmt.Errorf("secret: %w", ErrSuperfluousSecret)
	case s.None():
		return false, fmt.Errorf("secret: %w", ErrSecretNeeded)
	}
	return true, nil
}

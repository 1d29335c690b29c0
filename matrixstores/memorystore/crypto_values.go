package memorystore

import (
	"bytes"
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// Cross-signing, secrets, rooms, verifications, and values of the application's own.

// SaveCrossSigningKey stores a key; see crypto.CrossSigning.
func (s *Crypto) SaveCrossSigningKey(ctx context.Context, user id.UserID, usage id.CrossSigningUsage, k id.Ed25519) error {
	r := &crypto.CrossSigningKey{UserID: user, Usage: usage, CrossSigningKey: id.CrossSigningKey{Key: k, First: k}}
	return s.write(ctx, "save a cross-signing key", r.Check(), func(t *cryptoTx) error {
		at := keyOf(string(user), string(usage))
		was, err := record[crypto.CrossSigningKey](t, cryptoKeys, "id", at)
		if err != nil {
			return err
		}
		if was != nil {
			r.First = was.First
		}
		return t.putIn(cryptoKeys, at, keyOf(user), crypto.Encode(nil, r))
	})
}

// CrossSigningKeys returns those of a user; see crypto.CrossSigning.
func (s *Crypto) CrossSigningKeys(ctx context.Context, user id.UserID) (map[id.CrossSigningUsage]id.CrossSigningKey, error) {
	all, err := readRecords[crypto.CrossSigningKey](ctx, s, "get cross-signing keys", cryptoKeys, "group_prefix", keyOf(user))
	if err != nil {
		return nil, err
	}
	keys := map[id.CrossSigningUsage]id.CrossSigningKey{}
	for _, k := range all {
		keys[k.Usage] = k.CrossSigningKey
	}
	return keys, nil
}

func signatureKey(s *crypto.Signature) key {
	return keyOf(string(s.SignedUser), string(s.SignedKey), string(s.Signer), string(s.SignerKey))
}

// SaveSignature stores a signature; see crypto.CrossSigning.
func (s *Crypto) SaveSignature(ctx context.Context, sig crypto.Signature) error {
	return s.write(ctx, "save a signature", sig.Check(), func(t *cryptoTx) error {
		row := &cryptoRow{id: signatureKey(&sig), data: crypto.Encode(nil, &sig)}
		return t.put(cryptoSignatures, row, func(row *cryptoRow) { row.group = keyOf(string(sig.Signer), string(sig.SignerKey)).number(row.n) })
	})
}

// IsSignedBy tells who has signed a key; see crypto.CrossSigning.
func (s *Crypto) IsSignedBy(ctx context.Context, sig crypto.Signature) (bool, error) {
	return s.there(ctx, "ask for a signature", cryptoSignatures, signatureKey(&sig))
}

// SignaturesBy returns the signatures of a key; see crypto.CrossSigning.
func (s *Crypto) SignaturesBy(ctx context.Context, user id.UserID, k id.Ed25519, signer id.UserID) (map[id.Ed25519]string, error) {
	all, err := readRecords[crypto.Signature](ctx, s, "get signatures", cryptoSignatures, "id_prefix", keyOf(string(user), string(k), string(signer)))
	if err != nil {
		return nil, err
	}
	signatures := map[id.Ed25519]string{}
	for _, sig := range all {
		signatures[sig.SignerKey] = sig.Signature
	}
	return signatures, nil
}

// DropSignaturesBy removes what a key has signed; see crypto.CrossSigning.
func (s *Crypto) DropSignaturesBy(ctx context.Context, signer id.UserID, k id.Ed25519) (dropped int64, err error) {
	err = s.write(ctx, "drop signatures", nil, func(t *cryptoTx) error {
		n, err := cryptoSignatures.DeleteAll(t.t, "group_prefix", keyOf(string(signer), string(k)))
		dropped = int64(n)
		return err
	})
	return orNil(dropped, err)
}

// put stores a row that is found by its key.
func (s *Crypto) put(ctx context.Context, op string, check error, in memory.Table[*cryptoRow], k key, data []byte) error {
	return s.write(ctx, op, check, func(t *cryptoTx) error {
		return t.put(in, &cryptoRow{id: k, data: bytes.Clone(data)}, nil)
	})
}

// get returns what put has stored.
func (s *Crypto) get(ctx context.Context, op string, in memory.Table[*cryptoRow], k key) (data []byte, found bool, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		row, there, err := in.First(t.t, "id", k)
		if there {
			data, found = append([]byte{}, row.data...), true
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return data, found, nil
}

// PutSecret stores a secret; see crypto.Secrets.
func (s *Crypto) PutSecret(ctx context.Context, name id.Secret, secret []byte) error {
	return s.put(ctx, "put a secret", crypto.CheckSecret(name), cryptoSecrets, keyOf(name), secret)
}

// Secret returns a secret; see crypto.Secrets.
func (s *Crypto) Secret(ctx context.Context, name id.Secret) (secret []byte, found bool, err error) {
	return s.get(ctx, "get a secret", cryptoSecrets, keyOf(name))
}

// DeleteSecret removes a secret; see crypto.Secrets.
func (s *Crypto) DeleteSecret(ctx context.Context, name id.Secret) error {
	_, err := s.remove(ctx, "delete a secret", cryptoSecrets, keyOf(name))
	return err
}

// InboxSecrets returns those with a name; see crypto.Secrets.
func (s *Crypto) InboxSecrets(ctx context.Context, name id.Secret) (secrets [][]byte, err error) {
	all, err := readRecords[crypto.InboxSecret](ctx, s, "get secrets of the inbox", cryptoInbox, "group_prefix", keyOf(name))
	for _, one := range all {
		secrets = append(secrets, one.Secret)
	}
	return secrets, err
}

// DeleteInboxSecrets removes them; see crypto.Secrets.
func (s *Crypto) DeleteInboxSecrets(ctx context.Context, name id.Secret) error {
	return s.write(ctx, "delete secrets of the inbox", nil, func(t *cryptoTx) error {
		_, err := cryptoInbox.DeleteAll(t.t, "group_prefix", keyOf(name))
		return err
	})
}

// RoomSettings returns those of a room; see crypto.Rooms.
func (s *Crypto) RoomSettings(ctx context.Context, room id.RoomID) (*crypto.RoomSettings, error) {
	return readRecord[crypto.RoomSettings](ctx, s, "get the settings of a room", cryptoSettings, "id", keyOf(room))
}

// RoomKeyBundle returns what a user has sent; see crypto.Rooms.
func (s *Crypto) RoomKeyBundle(ctx context.Context, room id.RoomID, sender id.UserID) (*crypto.RoomKeyBundle, error) {
	return readRecord[crypto.RoomKeyBundle](ctx, s, "get a bundle of room keys", cryptoBundles, "id", keyOf(string(room), string(sender)))
}

// PendingKeyBundle returns what is expected for a room; see crypto.Rooms.
func (s *Crypto) PendingKeyBundle(ctx context.Context, room id.RoomID) (*crypto.PendingKeyBundle, error) {
	return readRecord[crypto.PendingKeyBundle](ctx, s, "get a pending bundle", cryptoPending, "id", keyOf(room))
}

// PendingKeyBundles returns all that is expected; see crypto.Rooms.
func (s *Crypto) PendingKeyBundles(ctx context.Context) ([]crypto.PendingKeyBundle, error) {
	return readRecords[crypto.PendingKeyBundle](ctx, s, "get pending bundles", cryptoPending, "age", nil)
}

// HasDownloadedRoom tells what was downloaded; see crypto.Rooms.
func (s *Crypto) HasDownloadedRoom(ctx context.Context, room id.RoomID) (bool, error) {
	return s.there(ctx, "ask whether a room was downloaded", cryptoDownloads, keyOf(room))
}

// SaveVerification stores a verification; see crypto.Verifications.
func (s *Crypto) SaveVerification(ctx context.Context, v *crypto.Verification) error {
	return s.write(ctx, "save a verification", v.Check(), func(t *cryptoTx) error {
		row := &cryptoRow{id: keyOf(v.ID), data: crypto.Encode(nil, v)}
		return t.put(cryptoVerifications, row, func(row *cryptoRow) { row.group = keyOf(string(v.UserID), string(v.DeviceID)).number(^row.n) })
	})
}

// Verification returns one; see crypto.Verifications.
func (s *Crypto) Verification(ctx context.Context, transaction id.VerificationTransactionID) (*crypto.Verification, error) {
	return readRecord[crypto.Verification](ctx, s, "get a verification", cryptoVerifications, "id", keyOf(transaction))
}

// VerificationWith returns the one with a device; see crypto.Verifications.
func (s *Crypto) VerificationWith(ctx context.Context, user id.UserID, device id.DeviceID) (*crypto.Verification, error) {
	return readRecord[crypto.Verification](ctx, s, "find a verification", cryptoVerifications, "group_prefix", keyOf(string(user), string(device)))
}

// Verifications returns all of them; see crypto.Verifications.
func (s *Crypto) Verifications(ctx context.Context) ([]crypto.Verification, error) {
	return readRecords[crypto.Verification](ctx, s, "get verifications", cryptoVerifications, "age", nil)
}

// DeleteVerification removes one; see crypto.Verifications.
func (s *Crypto) DeleteVerification(ctx context.Context, transaction id.VerificationTransactionID) (deleted bool, err error) {
	return s.remove(ctx, "delete a verification", cryptoVerifications, keyOf(transaction))
}

// CustomValue returns a value; see crypto.CustomValues.
func (s *Crypto) CustomValue(ctx context.Context, k []byte) (value []byte, found bool, err error) {
	return s.get(ctx, "get a custom value", cryptoCustoms, textKey(string(k)))
}

// SetCustomValue sets a value; see crypto.CustomValues.
func (s *Crypto) SetCustomValue(ctx context.Context, k, value []byte) error {
	return s.put(ctx, "set a custom value", nil, cryptoCustoms, textKey(string(k)), value)
}

// RemoveCustomValue removes a value; see crypto.CustomValues.
func (s *Crypto) RemoveCustomValue(ctx context.Context, k []byte) error {
	_, err := s.remove(ctx, "remove a custom value", cryptoCustoms, textKey(string(k)))
	return err
}

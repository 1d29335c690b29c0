package sqlitestore

import (
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// Requests, secrets, rooms, verifications, and values of the application's own.

const (
	upsertKeyRequest = `INSERT INTO key_request (row, data, id, info, sent) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET row = excluded.row, data = excluded.data, info = excluded.info, sent = excluded.sent`
	selectKeyRequest = `SELECT row, data FROM key_request WHERE id = ?`
	selectRequestFor = `SELECT row, data FROM key_request WHERE info = ?`
	selectUnsent     = `SELECT n, row, data FROM key_request WHERE sent = 0 ORDER BY n`
	deleteKeyRequest = `DELETE FROM key_request WHERE id = ?`
	deleteRequestFor = `DELETE FROM key_request WHERE info = ? AND id <> ?`

	insertInbox = `INSERT INTO inbox (row, data, name, secret) VALUES (?, ?, ?, ?) ON CONFLICT (name, secret) DO NOTHING`
	selectInbox = `SELECT n, row, data FROM inbox WHERE name = ? ORDER BY n`
	deleteInbox = `DELETE FROM inbox WHERE name = ?`

	selectPending    = `SELECT n, row, data FROM pending_bundle ORDER BY n`
	insertDownloaded = `INSERT INTO downloaded (room) VALUES (?) ON CONFLICT (room) DO NOTHING`
	hasDownloaded    = `SELECT 1 FROM downloaded WHERE room = ?`

	upsertVerification = `INSERT INTO verification (row, data, key, device) VALUES (?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET row = excluded.row, data = excluded.data, device = excluded.device`
	selectVerifications    = `SELECT n, row, data FROM verification ORDER BY n`
	selectVerificationWith = `SELECT row, data FROM verification WHERE device = ? ORDER BY n DESC LIMIT 1`
)

// DeleteRequestFor is a step of SaveChanges.
func (t *cryptoTx) DeleteRequestFor(i crypto.RequestInfo, but string) error {
	keys, err := t.keys(domainRequestInfo, string(i.Key()), domainKeyRequest, but)
	if err != nil {
		return err
	}
	_, err = t.exec(deleteRequestFor, keys...)
	return err
}

// PutRequest is a step of SaveChanges.
func (t *cryptoTx) PutRequest(r *crypto.KeyRequest) error {
	args, err := t.keys(domainKeyRequest, r.ID, domainRequestInfo, string(r.Info.Key()))
	if err != nil {
		return err
	}
	return t.putRecord("key_request", upsertKeyRequest, r, append(args, flag(r.Sent))...)
}

// PutRoomSettings is a step of SaveChanges.
func (t *cryptoTx) PutRoomSettings(room id.RoomID, s *crypto.RoomSettings) error {
	return t.putKeyedRecord(roomSettingsTable, string(room), s)
}

// AddSecret is a step of SaveChanges.
func (t *cryptoTx) AddSecret(s *crypto.InboxSecret) error {
	keys, err := t.keys(domainInbox, string(s.Name), domainInboxSecret, string(s.Secret))
	if err != nil {
		return err
	}
	return t.putRecord("inbox", insertInbox, s, keys...)
}

func bundleText(room id.RoomID, sender id.UserID) string {
	return joined(string(room), string(sender))
}

// PutRoomKeyBundle is a step of SaveChanges.
func (t *cryptoTx) PutRoomKeyBundle(b *crypto.RoomKeyBundle) error {
	return t.putKeyedRecord(bundleTable, bundleText(b.RoomID, b.Sender), b)
}

// PutDownloadedRoom is a step of SaveChanges.
func (t *cryptoTx) PutDownloadedRoom(room id.RoomID) error {
	k, err := t.key(domainDownloaded, string(room))
	if err != nil {
		return err
	}
	_, err = t.exec(insertDownloaded, k)
	return err
}

// PutPendingKeyBundle is a step of SaveChanges.
func (t *cryptoTx) PutPendingKeyBundle(b *crypto.PendingKeyBundle) error {
	return t.putKeyedRecord(pendingTable, string(b.RoomID), b)
}

// DeletePendingKeyBundle is a step of SaveChanges.
func (t *cryptoTx) DeletePendingKeyBundle(room id.RoomID) error {
	return t.removeKeyed(pendingTable, string(room))
}

// KeyRequest returns one by its id; see crypto.KeyRequests.
func (s CryptoData) KeyRequest(ctx context.Context, request string) (*crypto.KeyRequest, error) {
	return findRecord[crypto.KeyRequest](ctx, s, "get a key request", "key_request", selectKeyRequest, domainKeyRequest, request)
}

// KeyRequestFor returns one by what it asks for; see crypto.KeyRequests.
func (s CryptoData) KeyRequestFor(ctx context.Context, info crypto.RequestInfo) (*crypto.KeyRequest, error) {
	return findRecord[crypto.KeyRequest](ctx, s, "find a key request", "key_request", selectRequestFor, domainRequestInfo, string(info.Key()))
}

// UnsentKeyRequests returns those that were not sent; see crypto.KeyRequests.
func (s CryptoData) UnsentKeyRequests(ctx context.Context) ([]crypto.KeyRequest, error) {
	return findRecords[crypto.KeyRequest](ctx, s, "get unsent key requests", "key_request", selectUnsent)
}

// DeleteKeyRequest removes one; see crypto.KeyRequests.
func (s CryptoData) DeleteKeyRequest(ctx context.Context, request string) error {
	_, err := s.run(ctx, "delete a key request", deleteKeyRequest, domainKeyRequest, request)
	return err
}

// putValue stores what has one key.
func (s CryptoData) putValue(ctx context.Context, op string, check error, in keyed, key string, value []byte) error {
	return s.write(ctx, op, check, func(t *cryptoTx) error { return t.putKeyed(in, key, value) })
}

// value returns what putValue has stored.
func (s CryptoData) value(ctx context.Context, op string, in keyed, key string) (value []byte, found bool, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		value, _, found, err = t.getKeyed(in, key)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return value, found, nil
}

// removeValue removes it, and tells whether it was there.
func (s CryptoData) removeValue(ctx context.Context, op string, in keyed, key string) (removed bool, err error) {
	n, err := s.run(ctx, op, in.remove, in.domain, key)
	return n > 0, err
}

// PutSecret stores a secret; see crypto.Secrets.
func (s CryptoData) PutSecret(ctx context.Context, name id.Secret, secret []byte) error {
	return s.putValue(ctx, "put a secret", crypto.CheckSecret(name), secretTable, string(name), secret)
}

// Secret returns a secret; see crypto.Secrets.
func (s CryptoData) Secret(ctx context.Context, name id.Secret) (secret []byte, found bool, err error) {
	return s.value(ctx, "get a secret", secretTable, string(name))
}

// DeleteSecret removes a secret; see crypto.Secrets.
func (s CryptoData) DeleteSecret(ctx context.Context, name id.Secret) error {
	_, err := s.removeValue(ctx, "delete a secret", secretTable, string(name))
	return err
}

// InboxSecrets returns those with a name; see crypto.Secrets.
func (s CryptoData) InboxSecrets(ctx context.Context, name id.Secret) (secrets [][]byte, err error) {
	all, err := findRecords[crypto.InboxSecret](ctx, s, "get secrets of the inbox", "inbox", selectInbox, domainInbox, string(name))
	for _, one := range all {
		secrets = append(secrets, one.Secret)
	}
	return secrets, err
}

// DeleteInboxSecrets removes them; see crypto.Secrets.
func (s CryptoData) DeleteInboxSecrets(ctx context.Context, name id.Secret) error {
	_, err := s.run(ctx, "delete secrets of the inbox", deleteInbox, domainInbox, string(name))
	return err
}

// RoomSettings returns those of a room; see crypto.Rooms.
func (s CryptoData) RoomSettings(ctx context.Context, room id.RoomID) (*crypto.RoomSettings, error) {
	return keyedRecord[crypto.RoomSettings](ctx, s, "get the settings of a room", roomSettingsTable, string(room))
}

// keyedRecord returns the record of a table that has one key.
func keyedRecord[T any, P interface {
	*T
	crypto.Record
}](ctx context.Context, s CryptoData, op string, in keyed, key string) (P, error) {
	return findRecord[T, P](ctx, s, op, in.table, in.get, in.domain, key)
}

// RoomKeyBundle returns what a user has sent; see crypto.Rooms.
func (s CryptoData) RoomKeyBundle(ctx context.Context, room id.RoomID, sender id.UserID) (*crypto.RoomKeyBundle, error) {
	return keyedRecord[crypto.RoomKeyBundle](ctx, s, "get a bundle of room keys", bundleTable, bundleText(room, sender))
}

// PendingKeyBundle returns what is expected for a room; see crypto.Rooms.
func (s CryptoData) PendingKeyBundle(ctx context.Context, room id.RoomID) (*crypto.PendingKeyBundle, error) {
	return keyedRecord[crypto.PendingKeyBundle](ctx, s, "get a pending bundle", pendingTable, string(room))
}

// PendingKeyBundles returns all that is expected; see crypto.Rooms.
func (s CryptoData) PendingKeyBundles(ctx context.Context) ([]crypto.PendingKeyBundle, error) {
	return findRecords[crypto.PendingKeyBundle](ctx, s, "get pending bundles", pendingTable.table, selectPending)
}

// HasDownloadedRoom tells what was downloaded; see crypto.Rooms.
func (s CryptoData) HasDownloadedRoom(ctx context.Context, room id.RoomID) (bool, error) {
	return s.there(ctx, "ask whether a room was downloaded", hasDownloaded, domainDownloaded, string(room))
}

func verificationDevice(user id.UserID, device id.DeviceID) string {
	return joined(string(user), string(device))
}

// SaveVerification stores a verification; see crypto.Verifications.
func (s CryptoData) SaveVerification(ctx context.Context, v *crypto.Verification) error {
	return s.write(ctx, "save a verification", v.Check(), func(t *cryptoTx) error {
		keys, err := t.keys(verificationTable.domain, string(v.ID), domainVerification, verificationDevice(v.UserID, v.DeviceID))
		if err != nil {
			return err
		}
		return t.putRecord(verificationTable.table, upsertVerification, v, keys...)
	})
}

// Verification returns one; see crypto.Verifications.
func (s CryptoData) Verification(ctx context.Context, transaction id.VerificationTransactionID) (*crypto.Verification, error) {
	return keyedRecord[crypto.Verification](ctx, s, "get a verification", verificationTable, string(transaction))
}

// VerificationWith returns the one with a device; see crypto.Verifications.
func (s CryptoData) VerificationWith(ctx context.Context, user id.UserID, device id.DeviceID) (*crypto.Verification, error) {
	return findRecord[crypto.Verification](ctx, s, "find a verification", verificationTable.table, selectVerificationWith,
		domainVerification, verificationDevice(user, device))
}

// Verifications returns all of them; see crypto.Verifications.
func (s CryptoData) Verifications(ctx context.Context) ([]crypto.Verification, error) {
	return findRecords[crypto.Verification](ctx, s, "get verifications", verificationTable.table, selectVerifications)
}

// DeleteVerification removes one; see crypto.Verifications.
func (s CryptoData) DeleteVerification(ctx context.Context, transaction id.VerificationTransactionID) (deleted bool, err error) {
	return s.removeValue(ctx, "delete a verification", verificationTable, string(transaction))
}

// CustomValue returns a value; see crypto.CustomValues.
func (s CryptoData) CustomValue(ctx context.Context, key []byte) (value []byte, found bool, err error) {
	return s.value(ctx, "get a custom value", cryptoCustomTable, string(key))
}

// SetCustomValue sets a value; see crypto.CustomValues.
func (s CryptoData) SetCustomValue(ctx context.Context, key, value []byte) error {
	return s.putValue(ctx, "set a custom value", nil, cryptoCustomTable, string(key), value)
}

// RemoveCustomValue removes a value; see crypto.CustomValues.
func (s CryptoData) RemoveCustomValue(ctx context.Context, key []byte) error {
	_, err := s.removeValue(ctx, "remove a custom value", cryptoCustomTable, string(key))
	return err
}

package sqlitestore

import (
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// Devices of users, who is tracked, identities, and who has signed whose keys.

const (
	upsertDevice = `INSERT INTO device (row, data, user, device, identity, active) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (user, device) DO UPDATE SET row = excluded.row, data = excluded.data, identity = excluded.identity, active = excluded.active`
	selectDevice   = `SELECT row, data FROM device WHERE user = ? AND device = ?`
	selectDevices  = `SELECT n, row, data FROM device WHERE user = ? AND active = 1 ORDER BY n`
	selectIdentity = `SELECT row, data FROM device WHERE identity = ? ORDER BY active DESC, n DESC LIMIT 1`
	deleteDevice   = `DELETE FROM device WHERE user = ? AND device = ?`

	upsertTracked = `INSERT INTO tracked_user (row, data, key, outdated) VALUES (?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET outdated = excluded.outdated WHERE outdated <> excluded.outdated`
	selectTracked  = `SELECT outdated, row, data FROM tracked_user ORDER BY n`
	selectOutdated = `SELECT n, row, data FROM tracked_user WHERE outdated = 1 ORDER BY n`
	filterTracked  = `WITH ` + codec.Listed + ` SELECT listed.n FROM listed CROSS JOIN tracked_user ON tracked_user.key = listed.key`
	hasTracked     = `SELECT n FROM tracked_user WHERE key = ?`
	markOutdated   = `UPDATE tracked_user SET outdated = 1 WHERE outdated = 0 AND key IN ` + codec.In

	upsertSigning = `INSERT INTO cross_signing (row, data, user, usage) VALUES (?, ?, ?, ?)
		ON CONFLICT (user, usage) DO UPDATE SET row = excluded.row, data = excluded.data`
	selectSigning  = `SELECT row, data FROM cross_signing WHERE user = ? AND usage = ?`
	selectSignings = `SELECT n, row, data FROM cross_signing WHERE user = ?`

	upsertSignature = `INSERT INTO signature (row, data, signed, signer) VALUES (?, ?, ?, ?)
		ON CONFLICT (signed, signer) DO UPDATE SET row = excluded.row, data = excluded.data`
	hasSignature     = `SELECT n FROM signature WHERE signed = ? AND signer = ?`
	selectSignatures = `SELECT n, row, data FROM signature WHERE signed = ?`
	deleteSignatures = `DELETE FROM signature WHERE signer = ?`
)

func deviceIdentity(user id.UserID, key id.IdentityKey) string {
	return joined(string(user), string(key))
}

// PutDevice is a step of SaveChanges.
func (t *cryptoTx) PutDevice(d *crypto.Device) error {
	args, err := t.keys(domainDeviceUser, string(d.UserID), domainDevice, string(d.DeviceID), domainDeviceIdentity, deviceIdentity(d.UserID, d.IdentityKey))
	if err != nil {
		return err
	}
	return t.putRecord("device", upsertDevice, d, append(args, flag(!d.Deleted))...)
}

// DeleteDevice is a step of SaveChanges.
func (t *cryptoTx) DeleteDevice(k crypto.DeviceKey) error {
	keys, err := t.keys(domainDeviceUser, string(k.UserID), domainDevice, string(k.DeviceID))
	if err != nil {
		return err
	}
	_, err = t.exec(deleteDevice, keys...)
	return err
}

// PutIdentity is a step of SaveChanges.
func (t *cryptoTx) PutIdentity(i *crypto.Identity) error {
	return t.putKeyedRecord(identityTable, string(i.UserID), i)
}

// Device returns a device; see crypto.Devices.
func (s CryptoData) Device(ctx context.Context, user id.UserID, device id.DeviceID) (*crypto.Device, error) {
	return findRecord[crypto.Device](ctx, s, "get a device", "device", selectDevice, domainDeviceUser, string(user), domainDevice, string(device))
}

// devices returns those of a user that are not marked as deleted.
func (t *cryptoTx) devices(user id.UserID) ([]crypto.Device, error) {
	k, err := t.key(domainDeviceUser, string(user))
	if err != nil {
		return nil, err
	}
	return recordsOf[crypto.Device](t, "device", selectDevices, k)
}

// Devices returns those of a user; see crypto.Devices.
func (s CryptoData) Devices(ctx context.Context, user id.UserID) (devices map[id.DeviceID]*crypto.Device, tracked bool, err error) {
	devices = map[id.DeviceID]*crypto.Device{}
	err = s.read(ctx, "get the devices of a user", func(t *cryptoTx) error {
		all, err := t.devices(user)
		if err != nil {
			return err
		}
		for i := range all {
			devices[all[i].DeviceID] = &all[i]
		}
		k, err := t.key(trackedTable.domain, string(user))
		if err != nil {
			return err
		}
		n, err := t.number(hasTracked, k)
		tracked = n != 0
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return devices, tracked, nil
}

// DeviceByKey returns the device with a key; see crypto.Devices.
func (s CryptoData) DeviceByKey(ctx context.Context, user id.UserID, key id.IdentityKey) (*crypto.Device, error) {
	return findRecord[crypto.Device](ctx, s, "find a device", "device", selectIdentity, domainDeviceIdentity, deviceIdentity(user, key))
}

// ReplaceDevices replaces those of a user; see crypto.Devices.
func (s CryptoData) ReplaceDevices(ctx context.Context, user id.UserID, devices []crypto.Device) error {
	devices, check := crypto.DevicesOf(user, devices)
	return s.write(ctx, "replace the devices of a user", check, func(t *cryptoTx) error {
		before, err := t.devices(user)
		if err != nil {
			return err
		}
		for _, gone := range crypto.Gone(before, devices) {
			gone.Deleted = true
			if err := t.PutDevice(&gone); err != nil {
				return err
			}
		}
		for i := range devices {
			if err := t.PutDevice(&devices[i]); err != nil {
				return err
			}
		}
		return t.putTracked(crypto.TrackedUser{UserID: user})
	})
}

// Identity returns the identity of a user; see crypto.Devices.
func (s CryptoData) Identity(ctx context.Context, user id.UserID) (*crypto.Identity, error) {
	return findRecord[crypto.Identity](ctx, s, "get an identity", identityTable.table, identityTable.get, identityTable.domain, string(user))
}

func (t *cryptoTx) putTracked(u crypto.TrackedUser) error {
	k, err := t.key(trackedTable.domain, string(u.UserID))
	if err != nil {
		return err
	}
	return t.putRecord(trackedTable.table, upsertTracked, &u, k, flag(u.Outdated))
}

// TrackedUsers returns all of them; see crypto.TrackedUsers.
func (s CryptoData) TrackedUsers(ctx context.Context) (all []crypto.TrackedUser, err error) {
	err = s.read(ctx, "get tracked users", func(t *cryptoTx) error {
		return t.c.Each(t.ctx, selectTracked, func(r *sqlite.Row) error {
			var outdated bool
			var row, data []byte
			if err := r.Scan(&outdated, &row, &data); err != nil {
				return err
			}
			plain, err := t.codec.Open(dataPlace(trackedTable.table, row), data)
			if err != nil {
				return err
			}
			var u crypto.TrackedUser
			err = decoded(plain, &u)
			u.Outdated = outdated
			all = append(all, u)
			return err
		})
	})
	return orNil(all, err)
}

// SaveTrackedUsers tracks users; see crypto.TrackedUsers.
func (s CryptoData) SaveTrackedUsers(ctx context.Context, users []crypto.TrackedUser) error {
	return s.write(ctx, "save tracked users", crypto.CheckAll(users, (*crypto.TrackedUser).Check), func(t *cryptoTx) error {
		for _, u := range users {
			if err := t.putTracked(u); err != nil {
				return err
			}
			t.arena = t.arena[:0] // nobody needs this key any more
		}
		return nil
	})
}

// FilterTracked returns who of them is tracked; see crypto.TrackedUsers.
func (s CryptoData) FilterTracked(ctx context.Context, users []id.UserID) (tracked []id.UserID, err error) {
	users = once(users)
	err = s.read(ctx, "filter tracked users", func(t *cryptoTx) error {
		list, err := codec.KeyList(t.codec, trackedTable.domain, users)
		if err != nil {
			return err
		}
		there := make([]bool, len(users))
		err = t.c.Each(t.ctx, filterTracked, func(r *sqlite.Row) error {
			var n int64
			err := r.Scan(&n)
			there[n] = err == nil
			return err
		}, list)
		for i, is := range there {
			if is {
				tracked = append(tracked, users[i])
			}
		}
		return err
	})
	return orNil(tracked, err)
}

// MarkOutdated marks those who are tracked; see crypto.TrackedUsers.
func (s CryptoData) MarkOutdated(ctx context.Context, users []id.UserID) error {
	return s.write(ctx, "mark users as outdated", nil, func(t *cryptoTx) error {
		list, err := codec.KeyList(t.codec, trackedTable.domain, users)
		if err != nil {
			return err
		}
		_, err = t.exec(markOutdated, list)
		return err
	})
}

// OutdatedUsers returns who is outdated; see crypto.TrackedUsers.
func (s CryptoData) OutdatedUsers(ctx context.Context) (users []id.UserID, err error) {
	all, err := findRecords[crypto.TrackedUser](ctx, s, "get outdated users", trackedTable.table, selectOutdated)
	for _, u := range all {
		users = append(users, u.UserID)
	}
	return users, err
}

// SaveCrossSigningKey stores a key; see crypto.CrossSigning.
func (s CryptoData) SaveCrossSigningKey(ctx context.Context, user id.UserID, usage id.CrossSigningUsage, key id.Ed25519) error {
	r := &crypto.CrossSigningKey{UserID: user, Usage: usage, CrossSigningKey: id.CrossSigningKey{Key: key, First: key}}
	return s.write(ctx, "save a cross-signing key", r.Check(), func(t *cryptoTx) error {
		keys, err := t.keys(domainSigningUser, string(user), domainSigningUsage, string(usage))
		if err != nil {
			return err
		}
		was, err := recordOf[crypto.CrossSigningKey](t, "cross_signing", selectSigning, keys...)
		if err != nil {
			return err
		}
		if was != nil {
			r.First = was.First
		}
		return t.putRecord("cross_signing", upsertSigning, r, keys...)
	})
}

// CrossSigningKeys returns those of a user; see crypto.CrossSigning.
func (s CryptoData) CrossSigningKeys(ctx context.Context, user id.UserID) (map[id.CrossSigningUsage]id.CrossSigningKey, error) {
	all, err := findRecords[crypto.CrossSigningKey](ctx, s, "get cross-signing keys", "cross_signing", selectSignings, domainSigningUser, string(user))
	if err != nil {
		return nil, err
	}
	keys := map[id.CrossSigningUsage]id.CrossSigningKey{}
	for _, k := range all {
		keys[k.Usage] = k.CrossSigningKey
	}
	return keys, nil
}

// signatureTexts are how a signature is found, each behind its domain.
func signatureTexts(s *crypto.Signature) []string {
	return []string{
		domainSigned, joined(string(s.SignedUser), string(s.SignedKey), string(s.Signer)),
		domainSigner, joined(string(s.Signer), string(s.SignerKey)),
	}
}

// SaveSignature stores a signature; see crypto.CrossSigning.
func (s CryptoData) SaveSignature(ctx context.Context, sig crypto.Signature) error {
	return s.write(ctx, "save a signature", sig.Check(), func(t *cryptoTx) error {
		keys, err := t.keys(signatureTexts(&sig)...)
		if err != nil {
			return err
		}
		return t.putRecord("signature", upsertSignature, &sig, keys...)
	})
}

// IsSignedBy tells who has signed a key; see crypto.CrossSigning.
func (s CryptoData) IsSignedBy(ctx context.Context, sig crypto.Signature) (bool, error) {
	return s.there(ctx, "ask for a signature", hasSignature, signatureTexts(&sig)...)
}

// SignaturesBy returns the signatures of a key; see crypto.CrossSigning.
func (s CryptoData) SignaturesBy(ctx context.Context, user id.UserID, key id.Ed25519, signer id.UserID) (map[id.Ed25519]string, error) {
	texts := signatureTexts(&crypto.Signature{SignedUser: user, SignedKey: key, Signer: signer})
	all, err := findRecords[crypto.Signature](ctx, s, "get signatures", "signature", selectSignatures, texts[:2]...)
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
func (s CryptoData) DropSignaturesBy(ctx context.Context, signer id.UserID, key id.Ed25519) (dropped int64, err error) {
	texts := signatureTexts(&crypto.Signature{Signer: signer, SignerKey: key})
	return s.run(ctx, "drop signatures", deleteSignatures, texts[2:]...)
}

package sqlitestore

import (
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// What there is one of: crypto.Accounts, and the keys of the backup.

// Which row of single it is in. These numbers are in files.
const (
	singleAccount int64 = 1 + iota
	singleIdentity
	singleNextBatch
	singleBackupKey
	singleBackupVersion
	singleDehydrated
)

const (
	selectSingle = `SELECT row, data FROM single WHERE id = ?`
	upsertSingle = `INSERT INTO single (row, data, id) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET row = excluded.row, data = excluded.data`
	deleteSingle = `DELETE FROM single WHERE id = ?`
)

func (t *cryptoTx) single(which int64) (data []byte, err error) {
	data, _, found, err := t.one("single", selectSingle, which)
	if err != nil || !found {
		return nil, err
	}
	return data, nil
}

func (t *cryptoTx) putSingle(which int64, data []byte) error {
	return t.put("single", upsertSingle, data, which)
}

// Account is a step of SaveChanges.
func (t *cryptoTx) Account() (*crypto.Account, error) {
	return recordOf[crypto.Account](t, "single", selectSingle, singleAccount)
}

// PutAccount is a step of SaveChanges.
func (t *cryptoTx) PutAccount(a *crypto.Account) error {
	return t.putRecord("single", upsertSingle, a, singleAccount)
}

// PutPrivateIdentity is a step of SaveChanges.
func (t *cryptoTx) PutPrivateIdentity(p *crypto.PrivateIdentity) error {
	return t.putRecord("single", upsertSingle, p, singleIdentity)
}

// PutNextBatch is a step of SaveChanges.
func (t *cryptoTx) PutNextBatch(token string) error {
	return t.putSingle(singleNextBatch, []byte(token))
}

// PutBackupDecryptionKey is a step of SaveChanges.
func (t *cryptoTx) PutBackupDecryptionKey(key []byte) error { return t.putSingle(singleBackupKey, key) }

// PutBackupVersion is a step of SaveChanges.
func (t *cryptoTx) PutBackupVersion(version id.KeyBackupVersion) error {
	return t.putSingle(singleBackupVersion, []byte(version))
}

// PutDehydratedDeviceKey is a step of SaveChanges.
func (t *cryptoTx) PutDehydratedDeviceKey(key []byte) error {
	return t.putSingle(singleDehydrated, key)
}

// readSingle returns what there is one of.
func (s CryptoData) readSingle(ctx context.Context, op string, which int64) (data []byte, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		data, err = t.single(which)
		return err
	})
	return orNil(data, err)
}

// Account returns the account; see crypto.Accounts.
func (s CryptoData) Account(ctx context.Context) (a *crypto.Account, err error) {
	err = s.read(ctx, "get the account", func(t *cryptoTx) error {
		a, err = t.Account()
		return err
	})
	return orNil(a, err)
}

// SaveAccount stores the account; see crypto.Accounts.
func (s CryptoData) SaveAccount(ctx context.Context, a *crypto.Account) error {
	return s.SaveChanges(ctx, &crypto.Changes{Account: a})
}

// OwnDevice returns the device of the account; see crypto.Accounts.
func (s CryptoData) OwnDevice(ctx context.Context) (d *crypto.Device, err error) {
	err = s.read(ctx, "get the own device", func(t *cryptoTx) error {
		a, err := t.Account()
		if err == nil && a == nil {
			err = crypto.ErrNoAccount
		}
		if err != nil {
			return err
		}
		keys, err := t.keys(domainDeviceUser, string(a.UserID), domainDevice, string(a.DeviceID))
		if err != nil {
			return err
		}
		d, err = recordOf[crypto.Device](t, "device", selectDevice, keys...)
		return err
	})
	return orNil(d, err)
}

// PrivateIdentity returns the private cross-signing keys; see crypto.Accounts.
func (s CryptoData) PrivateIdentity(ctx context.Context) (p *crypto.PrivateIdentity, err error) {
	err = s.read(ctx, "get the private identity", func(t *cryptoTx) error {
		p, err = recordOf[crypto.PrivateIdentity](t, "single", selectSingle, singleIdentity)
		return err
	})
	return orNil(p, err)
}

// NextBatch returns where the next sync begins; see crypto.Accounts.
func (s CryptoData) NextBatch(ctx context.Context) (string, error) {
	data, err := s.readSingle(ctx, "get the next batch", singleNextBatch)
	return string(data), err
}

// DehydratedDeviceKey returns the key of a dehydrated device; see crypto.Accounts.
func (s CryptoData) DehydratedDeviceKey(ctx context.Context) ([]byte, error) {
	return s.readSingle(ctx, "get the key of a dehydrated device", singleDehydrated)
}

// DeleteDehydratedDeviceKey removes it; see crypto.Accounts.
func (s CryptoData) DeleteDehydratedDeviceKey(ctx context.Context) error {
	return s.write(ctx, "delete the key of a dehydrated device", nil, func(t *cryptoTx) error {
		_, err := t.exec(deleteSingle, singleDehydrated)
		return err
	})
}

// BackupKeys returns what is known of the backup; see crypto.Backups.
func (s CryptoData) BackupKeys(ctx context.Context) (keys crypto.BackupKeys, err error) {
	err = s.read(ctx, "get the backup keys", func(t *cryptoTx) error {
		if keys.DecryptionKey, err = t.single(singleBackupKey); err != nil {
			return err
		}
		version, err := t.single(singleBackupVersion)
		keys.Version = id.KeyBackupVersion(version)
		return err
	})
	return orNil(keys, err)
}

package crypto

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Account is the Olm account of this device.
type Account struct {
	UserID      id.UserID
	DeviceID    id.DeviceID
	IdentityKey id.Curve25519
	SigningKey  id.Ed25519

	Shared           bool // the server has its keys
	UploadedKeys     int  // one-time keys that the server has, as far as is known
	KeyBackupVersion id.KeyBackupVersion

	Pickle []byte
	Extra  []byte // whatever else belongs to it
}

func (a *Account) fields(c *coder) {
	text(c, &a.UserID)
	text(c, &a.DeviceID)
	text(c, &a.IdentityKey)
	text(c, &a.SigningKey)
	c.flags(&a.Shared)
	number(c, &a.UploadedKeys)
	text(c, &a.KeyBackupVersion)
	c.bytes(&a.Pickle)
	c.bytes(&a.Extra)
}

// same tells whether two are the same account, in whatever state.
func (a *Account) same(b *Account) bool {
	return a.UserID == b.UserID && a.DeviceID == b.DeviceID && a.IdentityKey == b.IdentityKey && a.SigningKey == b.SigningKey
}

// PrivateIdentity are the private cross-signing keys of the account's user.
type PrivateIdentity struct {
	UserID id.UserID
	Pickle []byte
}

func (p *PrivateIdentity) fields(c *coder) {
	text(c, &p.UserID)
	c.bytes(&p.Pickle)
}

// BackupKeys is what is known of the server-side key backup. Each is empty until it was stored.
type BackupKeys struct {
	DecryptionKey []byte
	Version       id.KeyBackupVersion
}

// InboxSecret is a secret that another device has sent, and that was not used yet.
type InboxSecret struct {
	Name   id.Secret
	Secret []byte
}

func (s *InboxSecret) fields(c *coder) {
	text(c, &s.Name)
	c.bytes(&s.Secret)
}

// Verification is a verification that is under way.
type Verification struct {
	ID        id.VerificationTransactionID
	UserID    id.UserID // the other one
	DeviceID  id.DeviceID
	ExpiresAt time.Time
	Data      []byte // the transaction, as its library writes it
}

func (v *Verification) fields(c *coder) {
	text(c, &v.ID)
	text(c, &v.UserID)
	text(c, &v.DeviceID)
	c.time(&v.ExpiresAt)
	c.bytes(&v.Data)
}

package crypto

import (
	"maunium.net/go/mautrix/id"
)

// Device is a device of a user.
type Device struct {
	id.Device
	Data []byte // the device keys as they came, or whatever else belongs to it
}

func (d *Device) fields(c *coder) {
	text(c, &d.UserID)
	text(c, &d.DeviceID)
	text(c, &d.IdentityKey)
	text(c, &d.SigningKey)
	number(c, &d.Trust)
	c.flags(&d.Deleted)
	text(c, &d.Name)
	c.bytes(&d.Data)
}

// DevicesOf returns devices as those of a user, and finds what cannot be stored: ErrNoID. What was given is not changed.
func DevicesOf(user id.UserID, devices []Device) ([]Device, error) {
	of := make([]Device, len(devices))
	for i, d := range devices {
		d.UserID = user
		of[i] = d
	}
	if err := named("a user", user); err != nil {
		return nil, err
	}
	return of, CheckAll(of, (*Device).Check)
}

// Gone returns the devices that are not among those that there are now.
func Gone(before, now []Device) (gone []Device) {
	there := make(map[id.DeviceID]bool, len(now))
	for _, d := range now {
		there[d.DeviceID] = true
	}
	for _, d := range before {
		if !there[d.DeviceID] {
			gone = append(gone, d)
		}
	}
	return gone
}

// DeviceKey names a device.
type DeviceKey struct {
	UserID   id.UserID
	DeviceID id.DeviceID
}

// Identity is the public cross-signing identity of a user, be it the account's or another one.
type Identity struct {
	UserID id.UserID
	Data   []byte
}

func (i *Identity) fields(c *coder) {
	text(c, &i.UserID)
	c.bytes(&i.Data)
}

// TrackedUser is a user whose devices are kept up to date.
type TrackedUser struct {
	UserID   id.UserID
	Outdated bool // his devices have to be asked for
}

func (u *TrackedUser) fields(c *coder) {
	text(c, &u.UserID)
	c.flags(&u.Outdated)
}

// CrossSigningKey is a public cross-signing key of a user.
type CrossSigningKey struct {
	UserID id.UserID
	Usage  id.CrossSigningUsage
	id.CrossSigningKey
}

func (k *CrossSigningKey) fields(c *coder) {
	text(c, &k.UserID)
	text(c, &k.Usage)
	text(c, &k.Key)
	text(c, &k.First)
}

// Signature is a signature of a cross-signing key or a device's key.
type Signature struct {
	SignedUser id.UserID
	SignedKey  id.Ed25519
	Signer     id.UserID
	SignerKey  id.Ed25519
	Signature  string
}

func (s *Signature) fields(c *coder) {
	text(c, &s.SignedUser)
	text(c, &s.SignedKey)
	text(c, &s.Signer)
	text(c, &s.SignerKey)
	text(c, &s.Signature)
}

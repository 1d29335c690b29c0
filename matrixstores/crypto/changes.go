package crypto

import (
	"fmt"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"
)

// Changes is what a client has learnt or done, to be stored in one transaction
// (Saver.SaveChanges). The zero value is empty. What is not mentioned stays as it is: an absent field never clears what is stored.
// It is applied in the order of the fields.
type Changes struct {
	// Account replaces the account. Nil: unchanged. It may not be another one (ErrOtherAccount).
	Account *Account

	// PrivateIdentity replaces the private cross-signing keys. Nil: unchanged.
	PrivateIdentity *PrivateIdentity

	// NextBatch is where the next sync begins, as far as to-device events go. Empty: unchanged.
	NextBatch string

	// BackupDecryptionKey and BackupVersion are of the server-side key backup. Each, if it is empty, is unchanged.
	BackupDecryptionKey []byte
	BackupVersion       id.KeyBackupVersion

	// DehydratedDeviceKey is the key with which a dehydrated device is pickled. Empty: unchanged.
	DehydratedDeviceKey []byte

	// Devices, and Identities, that are new or have changed replace those that are there; then those that are deleted are removed.
	Devices    DeviceChanges
	Identities IdentityChanges

	// Sessions replace those with the same id.
	Sessions []Session

	// InboundGroupSessions replace those of the same room and id, with all that they say. That the session was withheld is forgotten.
	InboundGroupSessions []InboundGroupSession

	// OutboundGroupSessions replace those of the same rooms.
	OutboundGroupSessions []OutboundGroupSession

	// MessageHashes are added; those that are there keep their time.
	MessageHashes []MessageHash

	// KeyRequests replace those with the same id, and those that ask for the same thing.
	KeyRequests []KeyRequest

	// Withheld replace those of the same session. They are passed over where the session itself is there, also by
	// this Changes, and where it was redacted.
	Withheld []Withheld

	// RoomSettings replace those of the same rooms.
	RoomSettings map[id.RoomID]RoomSettings

	// Secrets go into the inbox. The same secret under the same name is there once.
	Secrets []InboxSecret

	// RoomKeyBundles replace those of the same room and sender.
	RoomKeyBundles []RoomKeyBundle

	// DownloadedRooms are rooms of which the key backup was downloaded as a whole.
	DownloadedRooms []id.RoomID

	// PendingKeyBundles replace those of the same rooms; nil removes one. Which room it is stands in the key.
	PendingKeyBundles map[id.RoomID]*PendingKeyBundle
}

// DeviceChanges are devices that are stored or removed.
type DeviceChanges struct {
	New, Changed []Device
	Deleted      []DeviceKey
}

// IdentityChanges are identities that are stored. Those that have not changed are not.
type IdentityChanges struct {
	New, Changed, Unchanged []Identity
}

// Empty says whether there is nothing to store in it.
func (c *Changes) Empty() bool {
	return c == nil || c.Account == nil && c.PrivateIdentity == nil && c.NextBatch == "" && len(c.BackupDecryptionKey) == 0 && c.BackupVersion == "" &&
		len(c.DehydratedDeviceKey) == 0 && len(c.Devices.New) == 0 && len(c.Devices.Changed) == 0 && len(c.Devices.Deleted) == 0 &&
		len(c.Identities.New) == 0 && len(c.Identities.Changed) == 0 && len(c.Sessions) == 0 && len(c.InboundGroupSessions) == 0 &&
		len(c.OutboundGroupSessions) == 0 && len(c.MessageHashes) == 0 && len(c.KeyRequests) == 0 && len(c.Withheld) == 0 &&
		len(c.RoomSettings) == 0 && len(c.Secrets) == 0 && len(c.RoomKeyBundles) == 0 && len(c.DownloadedRooms) == 0 && len(c.PendingKeyBundles) == 0
}

// Check finds what cannot be stored. The errors are ErrNoID and ErrNoPickle. Stores call it before they begin.
func (c *Changes) Check() error {
	if c == nil {
		return nil
	}
	if a := c.Account; a != nil {
		if err := a.Check(); err != nil {
			return err
		}
	}
	if p := c.PrivateIdentity; p != nil && len(p.Pickle) == 0 {
		return fmt.Errorf("%w: of the private identity", ErrNoPickle)
	}
	for _, list := range [][]Device{c.Devices.New, c.Devices.Changed} {
		if err := CheckAll(list, (*Device).Check); err != nil {
			return err
		}
	}
	for _, list := range [][]Identity{c.Identities.New, c.Identities.Changed} {
		if err := CheckAll(list, func(i *Identity) error { return named("an identity", i.UserID) }); err != nil {
			return err
		}
	}
	if err := CheckAll(c.Sessions, (*Session).Check); err != nil {
		return err
	}
	if err := CheckAll(c.InboundGroupSessions, (*InboundGroupSession).Check); err != nil {
		return err
	}
	if err := CheckAll(c.OutboundGroupSessions, (*OutboundGroupSession).Check); err != nil {
		return err
	}
	if err := CheckAll(c.MessageHashes, (*MessageHash).Check); err != nil {
		return err
	}
	if err := CheckAll(c.KeyRequests, (*KeyRequest).Check); err != nil {
		return err
	}
	if err := CheckAll(c.Withheld, func(w *Withheld) error { return named("a withheld session", string(w.RoomID), string(w.SessionID)) }); err != nil {
		return err
	}
	if err := CheckAll(c.Secrets, func(s *InboxSecret) error { return named("a secret", s.Name) }); err != nil {
		return err
	}
	if err := CheckAll(c.RoomKeyBundles, func(b *RoomKeyBundle) error {
		return named("a bundle of room keys", string(b.RoomID), string(b.Sender))
	}); err != nil {
		return err
	}
	rooms := slices.Concat(slices.Collect(maps.Keys(c.RoomSettings)), c.DownloadedRooms, slices.Collect(maps.Keys(c.PendingKeyBundles)))
	return CheckAll(rooms, func(r *id.RoomID) error { return named("a room", *r) })
}

// CheckAll returns the first error of check, called with each.
func CheckAll[T any](all []T, check func(*T) error) error {
	for i := range all {
		if err := check(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// named says of what an identifier is empty, if one is.
func named[T ~string](what string, ids ...T) error {
	for _, one := range ids {
		if one == "" {
			return fmt.Errorf("%w: of %s", ErrNoID, what)
		}
	}
	return nil
}

// Check finds what cannot be stored: ErrNoID, ErrNoPickle.
func (a *Account) Check() error {
	return pickled("the account", a.Pickle, string(a.UserID), string(a.DeviceID), string(a.IdentityKey))
}

// Check finds what cannot be stored: ErrNoID, ErrNoPickle.
func (s *Session) Check() error {
	return pickled("an Olm session", s.Pickle, string(s.ID), string(s.SenderKey))
}

// Check finds what cannot be stored: ErrNoID, ErrNoPickle. The sender may be unknown.
func (s *InboundGroupSession) Check() error {
	return pickled("an inbound group session", s.Pickle, string(s.RoomID), string(s.SessionID))
}

// Check finds what cannot be stored: ErrNoID, ErrNoPickle.
func (s *OutboundGroupSession) Check() error {
	return pickled("an outbound group session", s.Pickle, string(s.RoomID), string(s.SessionID))
}

func pickled(what string, pickle []byte, ids ...string) error {
	if err := named(what, ids...); err != nil {
		return err
	}
	if len(pickle) == 0 {
		return fmt.Errorf("%w: of %s", ErrNoPickle, what)
	}
	return nil
}

// Check finds what cannot be stored: ErrNoID.
func (h *MessageHash) Check() error { return named("a message hash", string(h.Hash)) }

// Check finds what cannot be stored: ErrNoID.
func (m *MessageIndex) Check() error { return named("a message index", m.SessionID) }

// Check finds what cannot be stored: ErrNoID.
func (d *Device) Check() error { return named("a device", string(d.UserID), string(d.DeviceID)) }

// Check finds what cannot be stored: ErrNoID.
func (s *Share) Check() error {
	return named("a share", string(s.UserID), string(s.IdentityKey), string(s.SessionID))
}

// Check finds what cannot be stored: ErrNoID.
func (k *CrossSigningKey) Check() error {
	return named("a cross-signing key", string(k.UserID), string(k.Usage), string(k.Key))
}

// Check finds what cannot be stored: ErrNoID.
func (s *Signature) Check() error {
	return named("a signature", string(s.SignedUser), string(s.SignedKey), string(s.Signer), string(s.SignerKey))
}

// Check finds what cannot be stored: ErrNoID.
func (v *Verification) Check() error { return named("a verification", v.ID) }

// Check finds what cannot be stored: ErrNoID.
func (u *TrackedUser) Check() error { return named("a tracked user", u.UserID) }

// CheckVersion finds that there is none: ErrNoID.
func CheckVersion(version id.KeyBackupVersion) error { return named("a key backup", version) }

// CheckSecret finds that there is no name: ErrNoID.
func CheckSecret(name id.Secret) error { return named("a secret", name) }

// Check finds what cannot be stored: ErrNoID, also where it asks for nothing.
func (r *KeyRequest) Check() error {
	if err := named("a request", r.ID); err != nil || r.Info.Secret != "" {
		return err
	}
	return named("what is requested", string(r.Info.RoomID), string(r.Info.SessionID))
}

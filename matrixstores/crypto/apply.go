package crypto

import (
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"
)

// Tx is what a store gives to Changes.Apply: a transaction in which everything happens or nothing. Each
// method is one simple step; what belongs together, and in which order, is Apply's business. What was put is what
// the next method finds. What a method is given belongs to the caller of SaveChanges, and is copied. An error ends Apply, and rolls the transaction back.
type Tx interface {
	// Account returns the account, nil where there is none.
	Account() (*Account, error)
	PutAccount(a *Account) error
	PutPrivateIdentity(p *PrivateIdentity) error
	PutNextBatch(token string) error
	PutBackupDecryptionKey(key []byte) error
	PutBackupVersion(version id.KeyBackupVersion) error
	PutDehydratedDeviceKey(key []byte) error

	PutDevice(d *Device) error
	DeleteDevice(k DeviceKey) error
	PutIdentity(i *Identity) error

	PutSession(s *Session) error
	PutInbound(s *InboundGroupSession) error
	HasInbound(k SessionKey) (bool, error)
	PutOutbound(s *OutboundGroupSession) error

	// AddMessageHash does nothing where it is there already.
	AddMessageHash(h *MessageHash) (added bool, err error)

	// DeleteRequestFor removes the request that asks for this, unless it has this id.
	DeleteRequestFor(i RequestInfo, but string) error
	PutRequest(r *KeyRequest) error

	Withheld(k SessionKey) (*Withheld, error)
	PutWithheld(w *Withheld) error
	DeleteWithheld(k SessionKey) error

	PutRoomSettings(room id.RoomID, s *RoomSettings) error

	// AddSecret does nothing where the same is there already.
	AddSecret(s *InboxSecret) error
	PutRoomKeyBundle(b *RoomKeyBundle) error
	PutDownloadedRoom(room id.RoomID) error
	PutPendingKeyBundle(b *PendingKeyBundle) error
	DeletePendingKeyBundle(room id.RoomID) error
}

// Apply stores a Changes, as its documentation says.
func (c *Changes) Apply(t Tx) error {
	for _, step := range []func(Tx) error{c.applyAccount, c.applyUsers, c.applySessions, c.applyRequests, c.applyRooms} {
		if err := step(t); err != nil {
			return err
		}
	}
	return nil
}

func (c *Changes) applyAccount(t Tx) error {
	if c.Account != nil {
		was, err := t.Account()
		if err != nil {
			return err
		}
		if was != nil && !was.same(c.Account) {
			return ErrOtherAccount
		}
		if err := t.PutAccount(c.Account); err != nil {
			return err
		}
	}
	if c.PrivateIdentity != nil {
		if err := t.PutPrivateIdentity(c.PrivateIdentity); err != nil {
			return err
		}
	}
	if c.NextBatch != "" {
		if err := t.PutNextBatch(c.NextBatch); err != nil {
			return err
		}
	}
	if len(c.BackupDecryptionKey) > 0 {
		if err := t.PutBackupDecryptionKey(c.BackupDecryptionKey); err != nil {
			return err
		}
	}
	if c.BackupVersion != "" {
		if err := t.PutBackupVersion(c.BackupVersion); err != nil {
			return err
		}
	}
	if len(c.DehydratedDeviceKey) > 0 {
		return t.PutDehydratedDeviceKey(c.DehydratedDeviceKey)
	}
	return nil
}

// putAll calls put with each, up to the first error.
func putAll[T any](all []T, put func(*T) error) error {
	for i := range all {
		if err := put(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Changes) applyUsers(t Tx) error {
	for _, list := range [][]Device{c.Devices.New, c.Devices.Changed} {
		if err := putAll(list, t.PutDevice); err != nil {
			return err
		}
	}
	for _, k := range c.Devices.Deleted {
		if err := t.DeleteDevice(k); err != nil {
			return err
		}
	}
	for _, list := range [][]Identity{c.Identities.New, c.Identities.Changed} {
		if err := putAll(list, t.PutIdentity); err != nil {
			return err
		}
	}
	return nil
}

func (c *Changes) applySessions(t Tx) error {
	if err := putAll(c.Sessions, t.PutSession); err != nil {
		return err
	}
	err := putAll(c.InboundGroupSessions, func(s *InboundGroupSession) error {
		if err := t.PutInbound(s); err != nil {
			return err
		}
		return t.DeleteWithheld(s.Key())
	})
	if err != nil {
		return err
	}
	if err := putAll(c.OutboundGroupSessions, t.PutOutbound); err != nil {
		return err
	}
	return putAll(c.MessageHashes, func(h *MessageHash) error {
		_, err := t.AddMessageHash(h)
		return err
	})
}

func (c *Changes) applyRequests(t Tx) error {
	err := putAll(c.KeyRequests, func(r *KeyRequest) error {
		if err := t.DeleteRequestFor(r.Info, r.ID); err != nil {
			return err
		}
		return t.PutRequest(r)
	})
	if err != nil {
		return err
	}
	return putAll(c.Withheld, func(w *Withheld) error {
		there, err := t.HasInbound(w.Key())
		if err != nil || there {
			return err
		}
		was, err := t.Withheld(w.Key())
		if err != nil || was != nil && was.Redacted() {
			return err
		}
		return t.PutWithheld(w)
	})
}

func (c *Changes) applyRooms(t Tx) error {
	for _, room := range slices.Sorted(maps.Keys(c.RoomSettings)) {
		settings := c.RoomSettings[room]
		if err := t.PutRoomSettings(room, &settings); err != nil {
			return err
		}
	}
	if err := putAll(c.Secrets, t.AddSecret); err != nil {
		return err
	}
	if err := putAll(c.RoomKeyBundles, t.PutRoomKeyBundle); err != nil {
		return err
	}
	for _, room := range c.DownloadedRooms {
		if err := t.PutDownloadedRoom(room); err != nil {
			return err
		}
	}
	for _, room := range slices.Sorted(maps.Keys(c.PendingKeyBundles)) {
		pending := c.PendingKeyBundles[room]
		if pending == nil {
			if err := t.DeletePendingKeyBundle(room); err != nil {
				return err
			}
			continue
		}
		b := *pending
		b.RoomID = room
		if err := t.PutPendingKeyBundle(&b); err != nil {
			return err
		}
	}
	return nil
}

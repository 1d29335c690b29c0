package memorystore

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// What is read of a crypto store besides Megolm sessions, and what is written by itself.

// orNil is nothing where there is an error.
func orNil[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// readRecord returns the record with a key, nil where there is none.
func readRecord[T any, P interface {
	*T
	crypto.Record
}](ctx context.Context, s *Crypto, op string, in memory.Table[*cryptoRow], index string, k key) (r P, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		r, err = record[T, P](t, in, index, k)
		return err
	})
	return orNil(r, err)
}

// readRecords returns the records that match.
func readRecords[T any, P interface {
	*T
	crypto.Record
}](ctx context.Context, s *Crypto, op string, in memory.Table[*cryptoRow], index string, k key) (all []T, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		all, err = recordsOf[T, P](t, in, index, k)
		return err
	})
	return orNil(all, err)
}

// there tells whether there is a row.
func (s *Crypto) there(ctx context.Context, op string, in memory.Table[*cryptoRow], k key) (there bool, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		there, err = t.has(in, "id", k)
		return err
	})
	return there && err == nil, err
}

// single returns what there is one of.
func (s *Crypto) single(ctx context.Context, op, name string) (data []byte, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		data, err = t.single(name)
		return err
	})
	return orNil(data, err)
}

// Account returns the account; see crypto.Accounts.
func (s *Crypto) Account(ctx context.Context) (a *crypto.Account, err error) {
	err = s.read(ctx, "get the account", func(t *cryptoTx) error {
		a, err = t.Account()
		return err
	})
	return orNil(a, err)
}

// SaveAccount stores the account; see crypto.Accounts.
func (s *Crypto) SaveAccount(ctx context.Context, a *crypto.Account) error {
	return s.SaveChanges(ctx, &crypto.Changes{Account: a})
}

// OwnDevice returns the device of the account; see crypto.Accounts.
func (s *Crypto) OwnDevice(ctx context.Context) (d *crypto.Device, err error) {
	err = s.read(ctx, "get the own device", func(t *cryptoTx) error {
		a, err := t.Account()
		if err == nil && a == nil {
			err = crypto.ErrNoAccount
		}
		if err != nil {
			return err
		}
		d, err = record[crypto.Device](t, cryptoDevices, "id", keyOf(string(a.UserID), string(a.DeviceID)))
		return err
	})
	return orNil(d, err)
}

// PrivateIdentity returns the private cross-signing keys; see crypto.Accounts.
func (s *Crypto) PrivateIdentity(ctx context.Context) (*crypto.PrivateIdentity, error) {
	return readRecord[crypto.PrivateIdentity](ctx, s, "get the private identity", cryptoSingles, "id", textKey(singleIdentity))
}

// NextBatch returns where the next sync begins; see crypto.Accounts.
func (s *Crypto) NextBatch(ctx context.Context) (string, error) {
	data, err := s.single(ctx, "get the next batch", singleNextBatch)
	return string(data), err
}

// DehydratedDeviceKey returns the key of a dehydrated device; see crypto.Accounts.
func (s *Crypto) DehydratedDeviceKey(ctx context.Context) ([]byte, error) {
	return s.single(ctx, "get the key of a dehydrated device", singleDehydrated)
}

// DeleteDehydratedDeviceKey removes it; see crypto.Accounts.
func (s *Crypto) DeleteDehydratedDeviceKey(ctx context.Context) error {
	_, err := s.remove(ctx, "delete the key of a dehydrated device", cryptoSingles, textKey(singleDehydrated))
	return err
}

// Sessions returns those with a device; see crypto.OlmSessions.
func (s *Crypto) Sessions(ctx context.Context, sender id.SenderKey) ([]crypto.Session, error) {
	return readRecords[crypto.Session](ctx, s, "get Olm sessions", cryptoSessions, "group_prefix", keyOf(sender))
}

// LatestSession returns the first one of Sessions; see crypto.OlmSessions.
func (s *Crypto) LatestSession(ctx context.Context, sender id.SenderKey) (*crypto.Session, error) {
	return readRecord[crypto.Session](ctx, s, "get the latest Olm session", cryptoSessions, "group_prefix", keyOf(sender))
}

// HasSession tells whether there is one; see crypto.OlmSessions.
func (s *Crypto) HasSession(ctx context.Context, sender id.SenderKey) (has bool, err error) {
	err = s.read(ctx, "ask for an Olm session", func(t *cryptoTx) error {
		has, err = t.has(cryptoSessions, "group_prefix", keyOf(sender))
		return err
	})
	return has && err == nil, err
}

// NewestSessionCreation tells when the newest one was made; see crypto.OlmSessions.
func (s *Crypto) NewestSessionCreation(ctx context.Context, sender id.SenderKey) (time.Time, error) {
	session, err := readRecord[crypto.Session](ctx, s, "get the newest Olm session", cryptoSessions, "other_prefix", keyOf(sender))
	if session == nil {
		return time.Time{}, err
	}
	return session.CreatedAt, err
}

// UpdateSession replaces one that is there; see crypto.OlmSessions.
func (s *Crypto) UpdateSession(ctx context.Context, session *crypto.Session) (updated bool, err error) {
	err = s.write(ctx, "update an Olm session", session.Check(), func(t *cryptoTx) error {
		if updated, err = t.has(cryptoSessions, "id", keyOf(session.ID)); err != nil || !updated {
			return err
		}
		return t.PutSession(session)
	})
	return updated && err == nil, err
}

// DeleteSession removes one; see crypto.OlmSessions.
func (s *Crypto) DeleteSession(ctx context.Context, session id.SessionID) error {
	_, err := s.remove(ctx, "delete an Olm session", cryptoSessions, keyOf(session))
	return err
}

// MessageHash tells when a message was received; see crypto.MessageHashes.
func (s *Crypto) MessageHash(ctx context.Context, sender id.SenderKey, hash []byte) (at time.Time, known bool, err error) {
	err = s.read(ctx, "get a message hash", func(t *cryptoTx) error {
		row, there, err := cryptoHashes.First(t.t, "id", keyOf(string(sender), string(hash)))
		if there {
			at, known = crypto.FromMillis(row.at), true
		}
		return err
	})
	return at, known && err == nil, err
}

// DeleteMessageHashes removes what is old; see crypto.MessageHashes.
func (s *Crypto) DeleteMessageHashes(ctx context.Context, before time.Time) (deleted int64, err error) {
	limit := crypto.Millis(before)
	err = s.write(ctx, "delete message hashes", nil, func(t *cryptoTx) error {
		var old []*hashRow
		for row, err := range cryptoHashes.Get(t.t, "at") {
			if err != nil {
				return err
			}
			if row.at >= limit {
				break
			}
			old = append(old, row)
		}
		for _, row := range old {
			if err := cryptoHashes.Delete(t.t, row); err != nil {
				return err
			}
			deleted++
		}
		return nil
	})
	return orNil(deleted, err)
}

// Device returns a device; see crypto.Devices.
func (s *Crypto) Device(ctx context.Context, user id.UserID, device id.DeviceID) (*crypto.Device, error) {
	return readRecord[crypto.Device](ctx, s, "get a device", cryptoDevices, "id", keyOf(string(user), string(device)))
}

// Devices returns those of a user; see crypto.Devices.
func (s *Crypto) Devices(ctx context.Context, user id.UserID) (devices map[id.DeviceID]*crypto.Device, tracked bool, err error) {
	devices = map[id.DeviceID]*crypto.Device{}
	err = s.read(ctx, "get the devices of a user", func(t *cryptoTx) error {
		all, err := recordsOf[crypto.Device](t, cryptoDevices, "group_prefix", keyOf(user))
		for i := range all {
			devices[all[i].DeviceID] = &all[i]
		}
		if err == nil {
			tracked, err = t.has(cryptoTracked, "id", keyOf(user))
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return devices, tracked, nil
}

// DeviceByKey returns the device with a key; see crypto.Devices.
func (s *Crypto) DeviceByKey(ctx context.Context, user id.UserID, identity id.IdentityKey) (*crypto.Device, error) {
	return readRecord[crypto.Device](ctx, s, "find a device", cryptoDevices, "other_prefix", keyOf(string(user), string(identity)))
}

// ReplaceDevices replaces those of a user; see crypto.Devices.
func (s *Crypto) ReplaceDevices(ctx context.Context, user id.UserID, devices []crypto.Device) error {
	devices, check := crypto.DevicesOf(user, devices)
	return s.write(ctx, "replace the devices of a user", check, func(t *cryptoTx) error {
		all, err := recordsOf[crypto.Device](t, cryptoDevices, "group_prefix", keyOf(user))
		if err != nil {
			return err
		}
		for _, gone := range crypto.Gone(all, devices) {
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
func (s *Crypto) Identity(ctx context.Context, user id.UserID) (*crypto.Identity, error) {
	return readRecord[crypto.Identity](ctx, s, "get an identity", cryptoIdentities, "id", keyOf(user))
}

func (t *cryptoTx) putTracked(u crypto.TrackedUser) error {
	row := &cryptoRow{id: keyOf(u.UserID), data: crypto.Encode(nil, &u)}
	return t.put(cryptoTracked, row, func(row *cryptoRow) { row.group = optionalKey(u.Outdated, key{}.number(row.n)) })
}

// TrackedUsers returns all of them; see crypto.TrackedUsers.
func (s *Crypto) TrackedUsers(ctx context.Context) ([]crypto.TrackedUser, error) {
	return readRecords[crypto.TrackedUser](ctx, s, "get tracked users", cryptoTracked, "age", nil)
}

// SaveTrackedUsers tracks users; see crypto.TrackedUsers.
func (s *Crypto) SaveTrackedUsers(ctx context.Context, users []crypto.TrackedUser) error {
	return s.write(ctx, "save tracked users", crypto.CheckAll(users, (*crypto.TrackedUser).Check), func(t *cryptoTx) error {
		for _, u := range users {
			if err := t.putTracked(u); err != nil {
				return err
			}
		}
		return nil
	})
}

// FilterTracked returns who of them is tracked; see crypto.TrackedUsers.
func (s *Crypto) FilterTracked(ctx context.Context, users []id.UserID) (tracked []id.UserID, err error) {
	err = s.read(ctx, "filter tracked users", func(t *cryptoTx) error {
		for _, user := range once(users) {
			there, err := t.has(cryptoTracked, "id", keyOf(user))
			if err != nil {
				return err
			}
			if there {
				tracked = append(tracked, user)
			}
		}
		return nil
	})
	return orNil(tracked, err)
}

// MarkOutdated marks those who are tracked; see crypto.TrackedUsers.
func (s *Crypto) MarkOutdated(ctx context.Context, users []id.UserID) error {
	return s.write(ctx, "mark users as outdated", nil, func(t *cryptoTx) error {
		for _, user := range users {
			there, err := t.has(cryptoTracked, "id", keyOf(user))
			if err == nil && there {
				err = t.putTracked(crypto.TrackedUser{UserID: user, Outdated: true})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// OutdatedUsers returns who is outdated; see crypto.TrackedUsers.
func (s *Crypto) OutdatedUsers(ctx context.Context) (users []id.UserID, err error) {
	all, err := readRecords[crypto.TrackedUser](ctx, s, "get outdated users", cryptoTracked, "group", nil)
	for _, u := range all {
		users = append(users, u.UserID)
	}
	return users, err
}

// KeyRequest returns one by its id; see crypto.KeyRequests.
func (s *Crypto) KeyRequest(ctx context.Context, request string) (*crypto.KeyRequest, error) {
	return readRecord[crypto.KeyRequest](ctx, s, "get a key request", cryptoRequests, "id", textKey(request))
}

// KeyRequestFor returns one by what it asks for; see crypto.KeyRequests.
func (s *Crypto) KeyRequestFor(ctx context.Context, info crypto.RequestInfo) (*crypto.KeyRequest, error) {
	return readRecord[crypto.KeyRequest](ctx, s, "find a key request", cryptoRequests, "other", textKey(string(info.Key())))
}

// UnsentKeyRequests returns those that were not sent; see crypto.KeyRequests.
func (s *Crypto) UnsentKeyRequests(ctx context.Context) ([]crypto.KeyRequest, error) {
	return readRecords[crypto.KeyRequest](ctx, s, "get unsent key requests", cryptoRequests, "group", nil)
}

// DeleteKeyRequest removes one; see crypto.KeyRequests.
func (s *Crypto) DeleteKeyRequest(ctx context.Context, request string) error {
	_, err := s.remove(ctx, "delete a key request", cryptoRequests, textKey(request))
	return err
}

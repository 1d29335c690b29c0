package memorystore

import (
	"bytes"
	"errors"
	"strconv"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// cryptoTx is one transaction on the crypto store. It is the crypto.Tx of
// SaveChanges, and what the reading methods stand on.
type cryptoTx struct {
	s *Crypto
	t *memory.Txn
}

var _ crypto.Tx = (*cryptoTx)(nil)

// put stores a row in the place of the one with its id, whose number it takes over. Where that is in an
// index, keys, which may be nil, sets those that have it.
func (t *cryptoTx) put(in memory.Table[*cryptoRow], row *cryptoRow, keys func(*cryptoRow)) error {
	was, there, err := in.First(t.t, "id", row.id)
	if err != nil {
		return err
	}
	if there {
		row.n = was.n
	} else {
		row.n = t.s.stored.Add(1)
	}
	if keys != nil {
		keys(row)
	}
	return in.Insert(t.t, row)
}

// delete removes the row with an id, and tells whether there was one.
func (t *cryptoTx) delete(in memory.Table[*cryptoRow], id key) (deleted bool, err error) {
	err = in.Delete(t.t, &cryptoRow{id: id})
	if errors.Is(err, memory.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (t *cryptoTx) has(in memory.Table[*cryptoRow], index string, k key) (bool, error) {
	_, there, err := in.First(t.t, index, k)
	return there, err
}

// record decodes the first row with a key.
func record[T any, P interface {
	*T
	crypto.Record
}](t *cryptoTx, in memory.Table[*cryptoRow], index string, k key) (P, error) {
	row, there, err := in.First(t.t, index, k)
	if err != nil || !there {
		return nil, err
	}
	r := P(new(T))
	return r, crypto.Decode(row.data, r)
}

// recordsOf decodes the rows that match, in the order of the index; k may be nil, for all.
func recordsOf[T any, P interface {
	*T
	crypto.Record
}](t *cryptoTx, in memory.Table[*cryptoRow], index string, k key) (all []T, err error) {
	var args []any
	if k != nil {
		args = []any{k}
	}
	for row, err := range in.Get(t.t, index, args...) {
		if err != nil {
			return nil, err
		}
		var r T
		if err := crypto.Decode(row.data, P(&r)); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// putRecord stores a record that is found by its id alone.
func (t *cryptoTx) putRecord(in memory.Table[*cryptoRow], id key, r crypto.Record) error {
	return t.put(in, &cryptoRow{id: id, data: crypto.Encode(nil, r)}, nil)
}

// What there is one of.
const (
	singleAccount       = "account"
	singleIdentity      = "private identity"
	singleNextBatch     = "next batch"
	singleBackupKey     = "backup key"
	singleBackupVersion = "backup version"
	singleDehydrated    = "dehydrated device key"
)

func (t *cryptoTx) single(name string) ([]byte, error) {
	row, there, err := cryptoSingles.First(t.t, "id", textKey(name))
	if err != nil || !there {
		return nil, err
	}
	return bytes.Clone(row.data), nil
}

func (t *cryptoTx) putSingle(name string, data []byte) error {
	return t.put(cryptoSingles, &cryptoRow{id: textKey(name), data: bytes.Clone(data)}, nil)
}

// Account is a step of SaveChanges.
func (t *cryptoTx) Account() (*crypto.Account, error) {
	return record[crypto.Account](t, cryptoSingles, "id", textKey(singleAccount))
}

// PutAccount is a step of SaveChanges.
func (t *cryptoTx) PutAccount(a *crypto.Account) error {
	return t.putRecord(cryptoSingles, textKey(singleAccount), a)
}

// PutPrivateIdentity is a step of SaveChanges.
func (t *cryptoTx) PutPrivateIdentity(p *crypto.PrivateIdentity) error {
	return t.putRecord(cryptoSingles, textKey(singleIdentity), p)
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

// PutDevice is a step of SaveChanges.
func (t *cryptoTx) PutDevice(d *crypto.Device) error {
	row := &cryptoRow{id: keyOf(string(d.UserID), string(d.DeviceID)), data: crypto.Encode(nil, d)}
	return t.put(cryptoDevices, row, func(row *cryptoRow) {
		deleted := uint64(0)
		if d.Deleted {
			deleted = 1
		}
		row.group = optionalKey(!d.Deleted, keyOf(d.UserID).number(row.n))
		row.other = keyOf(string(d.UserID), string(d.IdentityKey)).number(deleted).number(^row.n)
	})
}

// DeleteDevice is a step of SaveChanges.
func (t *cryptoTx) DeleteDevice(k crypto.DeviceKey) error {
	_, err := t.delete(cryptoDevices, keyOf(string(k.UserID), string(k.DeviceID)))
	return err
}

// PutIdentity is a step of SaveChanges.
func (t *cryptoTx) PutIdentity(i *crypto.Identity) error {
	return t.putRecord(cryptoIdentities, keyOf(i.UserID), i)
}

// PutSession is a step of SaveChanges.
func (t *cryptoTx) PutSession(s *crypto.Session) error {
	return t.put(cryptoSessions, &cryptoRow{id: keyOf(s.ID), data: crypto.Encode(nil, s)}, func(row *cryptoRow) {
		row.group = keyOf(s.SenderKey).falling(crypto.Millis(s.LastDecrypted)).number(^row.n)
		row.other = optionalKey(s.Used(), keyOf(s.SenderKey).falling(crypto.Millis(s.CreatedAt)).number(row.n))
	})
}

// PutInbound is a step of SaveChanges.
func (t *cryptoTx) PutInbound(s *crypto.InboundGroupSession) error {
	row := &inboundRow{
		key: s.Key(), sender: s.SenderKey, known: s.SenderData, version: s.BackupVersion,
		undated: s.ReceivedAt.IsZero(), fixed: s.Scheduled || s.ReceivedAt.IsZero(), data: crypto.Encode(nil, s),
	}
	row.expires, row.ever = s.Expires()
	was, there, err := cryptoInbounds.First(t.t, "id", inboundKey(row.key))
	if err != nil {
		return err
	}
	if there {
		row.n = was.n
	} else {
		row.n = t.s.stored.Add(1)
	}
	return cryptoInbounds.Insert(t.t, row)
}

func (r *inboundRow) open() (s crypto.InboundGroupSession, err error) {
	err = crypto.Decode(r.data, &s)
	s.BackupVersion = r.version
	return s, err
}

// HasInbound is a step of SaveChanges.
func (t *cryptoTx) HasInbound(k crypto.SessionKey) (bool, error) {
	_, there, err := cryptoInbounds.First(t.t, "id", inboundKey(k))
	return there, err
}

// PutOutbound is a step of SaveChanges.
func (t *cryptoTx) PutOutbound(s *crypto.OutboundGroupSession) error {
	return t.putRecord(cryptoOutbounds, keyOf(s.RoomID), s)
}

// AddMessageHash is a step of SaveChanges.
func (t *cryptoTx) AddMessageHash(h *crypto.MessageHash) (added bool, err error) {
	k := keyOf(string(h.SenderKey), string(h.Hash))
	_, there, err := cryptoHashes.First(t.t, "id", k)
	if err != nil || there {
		return false, err
	}
	at := h.At
	if at.IsZero() {
		at = t.s.clock()
	}
	return true, cryptoHashes.Insert(t.t, &hashRow{k, crypto.Millis(at)})
}

// DeleteRequestFor is a step of SaveChanges.
func (t *cryptoTx) DeleteRequestFor(i crypto.RequestInfo, but string) error {
	row, there, err := cryptoRequests.First(t.t, "other", textKey(string(i.Key())))
	if err != nil || !there || bytes.Equal(row.id, textKey(but)) {
		return err
	}
	return cryptoRequests.Delete(t.t, row)
}

// PutRequest is a step of SaveChanges.
func (t *cryptoTx) PutRequest(r *crypto.KeyRequest) error {
	row := &cryptoRow{id: textKey(r.ID), other: textKey(string(r.Info.Key())), data: crypto.Encode(nil, r)}
	return t.put(cryptoRequests, row, func(row *cryptoRow) { row.group = optionalKey(!r.Sent, key{}.number(row.n)) })
}

// Withheld is a step of SaveChanges.
func (t *cryptoTx) Withheld(k crypto.SessionKey) (*crypto.Withheld, error) {
	return record[crypto.Withheld](t, cryptoWithheld, "id", inboundKey(k))
}

// PutWithheld is a step of SaveChanges.
func (t *cryptoTx) PutWithheld(w *crypto.Withheld) error {
	return t.putIn(cryptoWithheld, inboundKey(w.Key()), keyOf(w.RoomID), crypto.Encode(nil, w))
}

// putIn stores a row in a group, in which it is listed in the order of first storing.
func (t *cryptoTx) putIn(in memory.Table[*cryptoRow], k, group key, data []byte) error {
	return t.put(in, &cryptoRow{id: k, data: data}, func(row *cryptoRow) { row.group = group.number(row.n) })
}

// DeleteWithheld is a step of SaveChanges.
func (t *cryptoTx) DeleteWithheld(k crypto.SessionKey) error {
	_, err := t.delete(cryptoWithheld, inboundKey(k))
	return err
}

// PutRoomSettings is a step of SaveChanges.
func (t *cryptoTx) PutRoomSettings(room id.RoomID, s *crypto.RoomSettings) error {
	return t.putRecord(cryptoSettings, keyOf(room), s)
}

// AddSecret is a step of SaveChanges.
func (t *cryptoTx) AddSecret(s *crypto.InboxSecret) error {
	k := keyOf(string(s.Name), string(s.Secret))
	there, err := t.has(cryptoInbox, "id", k)
	if err != nil || there {
		return err
	}
	return t.putIn(cryptoInbox, k, keyOf(s.Name), crypto.Encode(nil, s))
}

// PutRoomKeyBundle is a step of SaveChanges.
func (t *cryptoTx) PutRoomKeyBundle(b *crypto.RoomKeyBundle) error {
	return t.putRecord(cryptoBundles, keyOf(string(b.RoomID), string(b.Sender)), b)
}

// PutDownloadedRoom is a step of SaveChanges.
func (t *cryptoTx) PutDownloadedRoom(room id.RoomID) error {
	return t.put(cryptoDownloads, &cryptoRow{id: keyOf(room)}, nil)
}

// PutPendingKeyBundle is a step of SaveChanges.
func (t *cryptoTx) PutPendingKeyBundle(b *crypto.PendingKeyBundle) error {
	return t.putRecord(cryptoPending, keyOf(b.RoomID), b)
}

// DeletePendingKeyBundle is a step of SaveChanges.
func (t *cryptoTx) DeletePendingKeyBundle(room id.RoomID) error {
	_, err := t.delete(cryptoPending, keyOf(room))
	return err
}

// shareKey and indexKey are what is found by several parts.
func shareKey(s crypto.Share) key {
	return keyOf(string(s.UserID), string(s.IdentityKey), string(s.SessionID))
}

func indexKey(m *crypto.MessageIndex) key {
	return keyOf(string(m.SenderKey), string(m.SessionID)).number(uint64(m.Index))
}

func seenOf(m *crypto.MessageIndex) string {
	return string(m.EventID) + " " + strconv.FormatInt(m.Timestamp, 10)
}

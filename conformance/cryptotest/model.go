package cryptotest

// A crypto store on lists, that does everything the simplest way: what a store answers is compared with it.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// rows are records under a key, in the order of first storing.
type rows[V any] struct {
	keys []string
	m    map[string]V
}

func rowKey(parts ...any) string { return fmt.Sprintf("%q", parts) }

func (r *rows[V]) put(k string, v V) {
	if r.m == nil {
		r.m = map[string]V{}
	}
	if _, there := r.m[k]; !there {
		r.keys = append(r.keys, k)
	}
	r.m[k] = v
}

func (r *rows[V]) has(k string) bool {
	_, there := r.m[k]
	return there
}

func (r *rows[V]) delete(k string) bool {
	if !r.has(k) {
		return false
	}
	delete(r.m, k)
	r.keys = slices.DeleteFunc(r.keys, func(other string) bool { return other == k })
	return true
}

func (r *rows[V]) list(fits func(V) bool) (all []V) {
	for _, k := range r.keys {
		if fits == nil || fits(r.m[k]) {
			all = append(all, r.m[k])
		}
	}
	return all
}

// one is a copy of a record, nil where there is none.
func one[V any](r *rows[V], k string) *V {
	v, there := r.m[k]
	if !there {
		return nil
	}
	return &v
}

// model is the store. Its records are never changed, only replaced.
type model struct {
	now func() time.Time

	account       *crypto.Account
	private       *crypto.PrivateIdentity
	token         string
	backup        crypto.BackupKeys
	dehydrated    []byte
	sessions      rows[crypto.Session]
	hashes        rows[time.Time]
	indexes       rows[crypto.MessageIndex]
	inbounds      rows[crypto.InboundGroupSession]
	withhelds     rows[crypto.Withheld]
	outbounds     rows[crypto.OutboundGroupSession]
	shares        rows[bool]
	devices       rows[crypto.Device]
	tracked       rows[crypto.TrackedUser]
	identities    rows[crypto.Identity]
	signing       rows[crypto.CrossSigningKey]
	signatures    rows[crypto.Signature]
	requests      rows[crypto.KeyRequest]
	secrets       rows[[]byte]
	inbox         rows[crypto.InboxSecret]
	settings      rows[crypto.RoomSettings]
	bundles       rows[crypto.RoomKeyBundle]
	pending       rows[crypto.PendingKeyBundle]
	downloaded    rows[bool]
	verifications rows[crypto.Verification]
	customs       rows[[]byte]
}

var _ data = (*model)(nil)

// copied is what was given, apart from it.
func copied[T any, P interface {
	*T
	crypto.Record
}](v T) T {
	var c T
	if err := crypto.Decode(crypto.Encode(nil, P(&v)), P(&c)); err != nil {
		panic(err)
	}
	return c
}

func (m *model) SaveChanges(_ context.Context, c *crypto.Changes) error {
	if c == nil {
		return nil
	}
	if err := c.Check(); err != nil {
		return err
	}
	if a := c.Account; a != nil {
		if b := m.account; b != nil && (a.UserID != b.UserID || a.DeviceID != b.DeviceID || a.IdentityKey != b.IdentityKey || a.SigningKey != b.SigningKey) {
			return crypto.ErrOtherAccount
		}
		m.account = ptr(copied(*a))
	}
	if c.PrivateIdentity != nil {
		m.private = ptr(copied(*c.PrivateIdentity))
	}
	m.token = cmp.Or(c.NextBatch, m.token)
	m.backup.Version = cmp.Or(c.BackupVersion, m.backup.Version)
	if len(c.BackupDecryptionKey) > 0 {
		m.backup.DecryptionKey = bytes.Clone(c.BackupDecryptionKey)
	}
	if len(c.DehydratedDeviceKey) > 0 {
		m.dehydrated = bytes.Clone(c.DehydratedDeviceKey)
	}
	for _, d := range slices.Concat(c.Devices.New, c.Devices.Changed) {
		m.devices.put(rowKey(d.UserID, d.DeviceID), copied(d))
	}
	for _, k := range c.Devices.Deleted {
		m.devices.delete(rowKey(k.UserID, k.DeviceID))
	}
	for _, i := range slices.Concat(c.Identities.New, c.Identities.Changed) {
		m.identities.put(rowKey(i.UserID), copied(i))
	}
	for _, s := range c.Sessions {
		m.sessions.put(rowKey(s.ID), copied(s))
	}
	for _, s := range c.InboundGroupSessions {
		m.inbounds.put(rowKey(s.RoomID, s.SessionID), copied(s))
		m.withhelds.delete(rowKey(s.RoomID, s.SessionID))
	}
	for _, s := range c.OutboundGroupSessions {
		m.outbounds.put(rowKey(s.RoomID), copied(s))
	}
	for _, h := range c.MessageHashes {
		m.addHash(h)
	}
	for _, r := range c.KeyRequests {
		for id, other := range m.requests.m {
			if id != rowKey(r.ID) && other.Info == r.Info {
				m.requests.delete(id)
			}
		}
		m.requests.put(rowKey(r.ID), copied(r))
	}
	for _, w := range c.Withheld {
		k := rowKey(w.RoomID, w.SessionID)
		if was := one(&m.withhelds, k); !m.inbounds.has(k) && (was == nil || !was.Redacted()) {
			m.withhelds.put(k, copied(w))
		}
	}
	for room, s := range c.RoomSettings {
		m.settings.put(rowKey(room), copied(s))
	}
	for _, s := range c.Secrets {
		m.inbox.put(rowKey(s.Name, s.Secret), copied(s))
	}
	for _, b := range c.RoomKeyBundles {
		m.bundles.put(rowKey(b.RoomID, b.Sender), copied(b))
	}
	for _, room := range c.DownloadedRooms {
		m.downloaded.put(rowKey(room), true)
	}
	for _, room := range slices.Sorted(maps.Keys(c.PendingKeyBundles)) {
		if b := c.PendingKeyBundles[room]; b != nil {
			of := copied(*b)
			of.RoomID = room
			m.pending.put(rowKey(room), of)
		} else {
			m.pending.delete(rowKey(room))
		}
	}
	return nil
}

func (m *model) Account(context.Context) (*crypto.Account, error) {
	if m.account == nil {
		return nil, nil
	}
	return ptr(copied(*m.account)), nil
}

func (m *model) SaveAccount(ctx context.Context, a *crypto.Account) error {
	return m.SaveChanges(ctx, &crypto.Changes{Account: a})
}

func (m *model) OwnDevice(ctx context.Context) (*crypto.Device, error) {
	if m.account == nil {
		return nil, crypto.ErrNoAccount
	}
	return m.Device(ctx, m.account.UserID, m.account.DeviceID)
}

func (m *model) PrivateIdentity(context.Context) (*crypto.PrivateIdentity, error) {
	if m.private == nil {
		return nil, nil
	}
	return ptr(copied(*m.private)), nil
}

func (m *model) NextBatch(context.Context) (string, error) { return m.token, nil }

func (m *model) DehydratedDeviceKey(context.Context) ([]byte, error) {
	return bytes.Clone(m.dehydrated), nil
}

func (m *model) DeleteDehydratedDeviceKey(context.Context) error {
	m.dehydrated = nil
	return nil
}

// copies are copies of records, nil where there are none.
func copies[T any, P interface {
	*T
	crypto.Record
}](all []T) (c []T) {
	for _, v := range all {
		c = append(c, copied[T, P](v))
	}
	return c
}

func copyOf[T any, P interface {
	*T
	crypto.Record
}](v *T) *T {
	if v == nil {
		return nil
	}
	return ptr(copied[T, P](*v))
}

func (m *model) Sessions(_ context.Context, k id.SenderKey) ([]crypto.Session, error) {
	all := m.sessions.list(func(s crypto.Session) bool { return s.SenderKey == k })
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b crypto.Session) int {
		return cmp.Compare(crypto.Millis(b.LastDecrypted), crypto.Millis(a.LastDecrypted))
	})
	return copies(all), nil
}

func (m *model) LatestSession(ctx context.Context, k id.SenderKey) (*crypto.Session, error) {
	all, err := m.Sessions(ctx, k)
	if len(all) == 0 {
		return nil, err
	}
	return &all[0], err
}

func (m *model) HasSession(ctx context.Context, k id.SenderKey) (bool, error) {
	all, err := m.Sessions(ctx, k)
	return len(all) > 0, err
}

func (m *model) NewestSessionCreation(_ context.Context, k id.SenderKey) (newest time.Time, _ error) {
	for _, s := range m.sessions.list(func(s crypto.Session) bool { return s.SenderKey == k && s.Used() }) {
		if crypto.Millis(s.CreatedAt) > crypto.Millis(newest) {
			newest = s.CreatedAt
		}
	}
	return newest, nil
}

func (m *model) UpdateSession(_ context.Context, s *crypto.Session) (bool, error) {
	if err := s.Check(); err != nil || !m.sessions.has(rowKey(s.ID)) {
		return false, err
	}
	m.sessions.put(rowKey(s.ID), copied(*s))
	return true, nil
}

func (m *model) DeleteSession(_ context.Context, session id.SessionID) error {
	m.sessions.delete(rowKey(session))
	return nil
}

func (m *model) addHash(h crypto.MessageHash) bool {
	k := rowKey(h.SenderKey, h.Hash)
	if m.hashes.has(k) {
		return false
	}
	if h.At.IsZero() {
		h.At = m.now()
	}
	m.hashes.put(k, crypto.FromMillis(crypto.Millis(h.At)))
	return true
}

func (m *model) AddMessageHash(_ context.Context, h crypto.MessageHash) (bool, error) {
	if err := h.Check(); err != nil {
		return false, err
	}
	return m.addHash(h), nil
}

func (m *model) MessageHash(_ context.Context, k id.SenderKey, hash []byte) (time.Time, bool, error) {
	t, there := m.hashes.m[rowKey(k, hash)]
	return t, there, nil
}

func (m *model) DeleteMessageHashes(_ context.Context, before time.Time) (deleted int64, _ error) {
	for k, t := range m.hashes.m {
		if crypto.Millis(t) < crypto.Millis(before) {
			m.hashes.delete(k)
			deleted++
		}
	}
	return deleted, nil
}

func (m *model) CheckMessageIndex(_ context.Context, i crypto.MessageIndex) (bool, error) {
	if err := i.Check(); err != nil {
		return false, err
	}
	k := rowKey(i.SenderKey, i.SessionID, i.Index)
	was := one(&m.indexes, k)
	switch {
	case i.ChecksOnly():
		return was == nil, nil
	case was == nil:
		m.indexes.put(k, i)
		return true, nil
	}
	return *was == i, nil
}

func (m *model) InboundGroupSession(_ context.Context, room id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	return copyOf(one(&m.inbounds, rowKey(room, session))), nil
}

func (m *model) InboundGroupSessions(context.Context) ([]crypto.InboundGroupSession, error) {
	return copies(m.inbounds.list(nil)), nil
}

func (m *model) InboundGroupSessionsOfRoom(_ context.Context, room id.RoomID) ([]crypto.InboundGroupSession, error) {
	return copies(m.inbounds.list(func(s crypto.InboundGroupSession) bool { return s.RoomID == room })), nil
}

// InboundGroupSessionPage knows no place but the first one.
func (m *model) InboundGroupSessionPage(_ context.Context, q crypto.SessionQuery, after crypto.Cursor, limit int) (page []crypto.InboundGroupSession, _ crypto.Cursor, _ error) {
	if after != 0 {
		return nil, 0, errors.New("the model has one page only")
	}
	var fits func(crypto.InboundGroupSession) bool
	err := q.Match(crypto.SessionQueryCases{
		All: func() error { return nil },
		Room: func(room id.RoomID) error {
			fits = func(s crypto.InboundGroupSession) bool { return s.RoomID == room }
			return nil
		},
		Device: func(k id.SenderKey, data crypto.SenderData) error {
			fits = func(s crypto.InboundGroupSession) bool { return s.SenderKey == k && s.SenderData == data }
			return nil
		},
		Backup: func(version id.KeyBackupVersion) error {
			fits = func(s crypto.InboundGroupSession) bool {
				if version == "" {
					return s.BackupVersion == ""
				}
				return s.BackupVersion != version
			}
			return nil
		},
	})
	all := m.inbounds.list(fits)
	return copies(all[:min(limit, len(all))]), 0, err
}

func (m *model) SaveInboundGroupSessions(ctx context.Context, sessions []crypto.InboundGroupSession, version id.KeyBackupVersion) error {
	in := slices.Clone(sessions)
	for i := range in {
		in[i].BackupVersion = cmp.Or(version, in[i].BackupVersion)
	}
	return m.SaveChanges(ctx, &crypto.Changes{InboundGroupSessions: in})
}

func (m *model) Withheld(_ context.Context, room id.RoomID, session id.SessionID) (*crypto.Withheld, error) {
	return one(&m.withhelds, rowKey(room, session)), nil
}

func (m *model) WithheldOfRoom(_ context.Context, room id.RoomID) ([]crypto.Withheld, error) {
	return m.withhelds.list(func(w crypto.Withheld) bool { return w.RoomID == room }), nil
}

func (m *model) BackupKeys(context.Context) (crypto.BackupKeys, error) {
	return crypto.BackupKeys{DecryptionKey: bytes.Clone(m.backup.DecryptionKey), Version: m.backup.Version}, nil
}

func (m *model) CountInboundGroupSessions(_ context.Context, version id.KeyBackupVersion) (c crypto.SessionCounts, _ error) {
	for _, s := range m.inbounds.m {
		c.Total++
		if s.BackupVersion != "" && (version == "" || s.BackupVersion == version) {
			c.BackedUp++
		}
	}
	return c, nil
}

func (m *model) MarkBackedUp(_ context.Context, version id.KeyBackupVersion, sessions []crypto.SessionKey) error {
	if version == "" {
		return crypto.ErrNoID
	}
	for _, k := range sessions {
		if s := one(&m.inbounds, rowKey(k.RoomID, k.SessionID)); s != nil {
			s.BackupVersion = version
			m.inbounds.put(rowKey(k.RoomID, k.SessionID), *s)
		}
	}
	return nil
}

func (m *model) ResetBackup(context.Context) error {
	for k, s := range m.inbounds.m {
		s.BackupVersion = ""
		m.inbounds.put(k, s)
	}
	return nil
}

func (m *model) redact(reason string, fits func(crypto.InboundGroupSession) bool) (keys []crypto.SessionKey) {
	for _, s := range m.inbounds.list(fits) {
		k := rowKey(s.RoomID, s.SessionID)
		m.inbounds.delete(k)
		m.withhelds.put(k, *crypto.Redact(&s, reason))
		keys = append(keys, s.Key())
	}
	return keys
}

func (m *model) RedactGroupSession(_ context.Context, room id.RoomID, session id.SessionID, reason string) (bool, error) {
	return len(m.redact(reason, func(s crypto.InboundGroupSession) bool { return s.RoomID == room && s.SessionID == session })) > 0, nil
}

func (m *model) RedactGroupSessions(_ context.Context, room id.RoomID, sender id.SenderKey, reason string) ([]crypto.SessionKey, error) {
	if room == "" && sender == "" {
		return nil, crypto.ErrNoSelection
	}
	return m.redact(reason, func(s crypto.InboundGroupSession) bool {
		return (room == "" || s.RoomID == room) && (sender == "" || s.SenderKey == sender) && !s.Scheduled && !s.ReceivedAt.IsZero()
	}), nil
}

func (m *model) RedactExpiredGroupSessions(_ context.Context, reason string) ([]crypto.SessionKey, error) {
	return m.redact(reason, func(s crypto.InboundGroupSession) bool {
		return !s.Scheduled && !s.ReceivedAt.IsZero() && s.MaxAge > 0 && s.ReceivedAt.Add(s.MaxAge).Add(s.MaxAge).UnixMilli() < m.now().UnixMilli()
	}), nil
}

func (m *model) RedactOutdatedGroupSessions(_ context.Context, reason string) ([]crypto.SessionKey, error) {
	return m.redact(reason, func(s crypto.InboundGroupSession) bool { return s.ReceivedAt.IsZero() }), nil
}

func (m *model) OutboundGroupSession(_ context.Context, room id.RoomID) (*crypto.OutboundGroupSession, error) {
	return copyOf(one(&m.outbounds, rowKey(room))), nil
}

func (m *model) UpdateOutboundGroupSession(_ context.Context, s *crypto.OutboundGroupSession) (bool, error) {
	was := one(&m.outbounds, rowKey(s.RoomID))
	if err := s.Check(); err != nil || was == nil || was.SessionID != s.SessionID {
		return false, err
	}
	m.outbounds.put(rowKey(s.RoomID), copied(*s))
	return true, nil
}

func (m *model) RemoveOutboundGroupSession(_ context.Context, room id.RoomID) error {
	m.outbounds.delete(rowKey(room))
	return nil
}

func (m *model) MarkShared(_ context.Context, shares []crypto.Share) error {
	if err := crypto.CheckAll(shares, (*crypto.Share).Check); err != nil {
		return err
	}
	for _, s := range shares {
		m.shares.put(rowKey(s), true)
	}
	return nil
}

func (m *model) IsShared(_ context.Context, s crypto.Share) (bool, error) {
	return m.shares.has(rowKey(s)), nil
}

func (m *model) Device(_ context.Context, user id.UserID, device id.DeviceID) (*crypto.Device, error) {
	return copyOf(one(&m.devices, rowKey(user, device))), nil
}

func (m *model) Devices(_ context.Context, user id.UserID) (map[id.DeviceID]*crypto.Device, bool, error) {
	devices := map[id.DeviceID]*crypto.Device{}
	for _, d := range m.devices.list(func(d crypto.Device) bool { return d.UserID == user && !d.Deleted }) {
		devices[d.DeviceID] = ptr(copied(d))
	}
	return devices, m.tracked.has(rowKey(user)), nil
}

func (m *model) DeviceByKey(_ context.Context, user id.UserID, k id.IdentityKey) (*crypto.Device, error) {
	for _, deleted := range []bool{false, true} {
		all := m.devices.list(func(d crypto.Device) bool { return d.UserID == user && d.IdentityKey == k && d.Deleted == deleted })
		if len(all) > 0 {
			return ptr(copied(all[len(all)-1])), nil
		}
	}
	return nil, nil
}

func (m *model) ReplaceDevices(_ context.Context, user id.UserID, devices []crypto.Device) error {
	if user == "" || slices.ContainsFunc(devices, func(d crypto.Device) bool { return d.DeviceID == "" }) {
		return crypto.ErrNoID
	}
	for k, d := range m.devices.m {
		if d.UserID == user {
			d.Deleted = true
			m.devices.put(k, d)
		}
	}
	for _, d := range devices {
		d = copied(d)
		d.UserID = user
		m.devices.put(rowKey(user, d.DeviceID), d)
	}
	m.tracked.put(rowKey(user), crypto.TrackedUser{UserID: user})
	return nil
}

func (m *model) Identity(_ context.Context, user id.UserID) (*crypto.Identity, error) {
	return copyOf(one(&m.identities, rowKey(user))), nil
}

func (m *model) TrackedUsers(context.Context) ([]crypto.TrackedUser, error) {
	return m.tracked.list(nil), nil
}

func (m *model) SaveTrackedUsers(_ context.Context, users []crypto.TrackedUser) error {
	if err := crypto.CheckAll(users, (*crypto.TrackedUser).Check); err != nil {
		return err
	}
	for _, u := range users {
		m.tracked.put(rowKey(u.UserID), u)
	}
	return nil
}

func (m *model) FilterTracked(_ context.Context, users []id.UserID) (tracked []id.UserID, _ error) {
	for _, u := range users {
		if m.tracked.has(rowKey(u)) && !slices.Contains(tracked, u) {
			tracked = append(tracked, u)
		}
	}
	return tracked, nil
}

func (m *model) MarkOutdated(_ context.Context, users []id.UserID) error {
	for _, u := range users {
		if m.tracked.has(rowKey(u)) {
			m.tracked.put(rowKey(u), crypto.TrackedUser{UserID: u, Outdated: true})
		}
	}
	return nil
}

func (m *model) OutdatedUsers(context.Context) (users []id.UserID, _ error) {
	for _, u := range m.tracked.list(func(u crypto.TrackedUser) bool { return u.Outdated }) {
		users = append(users, u.UserID)
	}
	return users, nil
}

func (m *model) SaveCrossSigningKey(_ context.Context, user id.UserID, usage id.CrossSigningUsage, k id.Ed25519) error {
	r := crypto.CrossSigningKey{UserID: user, Usage: usage, CrossSigningKey: id.CrossSigningKey{Key: k, First: k}}
	if err := r.Check(); err != nil {
		return err
	}
	if was := one(&m.signing, rowKey(user, usage)); was != nil {
		r.First = was.First
	}
	m.signing.put(rowKey(user, usage), r)
	return nil
}

func (m *model) CrossSigningKeys(_ context.Context, user id.UserID) (map[id.CrossSigningUsage]id.CrossSigningKey, error) {
	keys := map[id.CrossSigningUsage]id.CrossSigningKey{}
	for _, k := range m.signing.list(func(k crypto.CrossSigningKey) bool { return k.UserID == user }) {
		keys[k.Usage] = k.CrossSigningKey
	}
	return keys, nil
}

func signatureAt(s crypto.Signature) string {
	s.Signature = ""
	return rowKey(s)
}

func (m *model) SaveSignature(_ context.Context, s crypto.Signature) error {
	if err := s.Check(); err != nil {
		return err
	}
	m.signatures.put(signatureAt(s), s)
	return nil
}

func (m *model) IsSignedBy(_ context.Context, s crypto.Signature) (bool, error) {
	return m.signatures.has(signatureAt(s)), nil
}

func (m *model) SignaturesBy(_ context.Context, user id.UserID, k id.Ed25519, signer id.UserID) (map[id.Ed25519]string, error) {
	all := map[id.Ed25519]string{}
	for _, s := range m.signatures.m {
		if s.SignedUser == user && s.SignedKey == k && s.Signer == signer {
			all[s.SignerKey] = s.Signature
		}
	}
	return all, nil
}

func (m *model) DropSignaturesBy(_ context.Context, signer id.UserID, k id.Ed25519) (dropped int64, _ error) {
	for at, s := range m.signatures.m {
		if s.Signer == signer && s.SignerKey == k {
			m.signatures.delete(at)
			dropped++
		}
	}
	return dropped, nil
}

func (m *model) KeyRequest(_ context.Context, request string) (*crypto.KeyRequest, error) {
	return copyOf(one(&m.requests, rowKey(request))), nil
}

func (m *model) KeyRequestFor(_ context.Context, info crypto.RequestInfo) (*crypto.KeyRequest, error) {
	for _, r := range m.requests.m {
		if r.Info == info {
			return ptr(copied(r)), nil
		}
	}
	return nil, nil
}

func (m *model) UnsentKeyRequests(context.Context) ([]crypto.KeyRequest, error) {
	return copies(m.requests.list(func(r crypto.KeyRequest) bool { return !r.Sent })), nil
}

func (m *model) DeleteKeyRequest(_ context.Context, request string) error {
	m.requests.delete(rowKey(request))
	return nil
}

func (m *model) PutSecret(_ context.Context, name id.Secret, secret []byte) error {
	if name == "" {
		return crypto.ErrNoID
	}
	m.secrets.put(rowKey(name), append([]byte{}, secret...))
	return nil
}

func (m *model) Secret(_ context.Context, name id.Secret) ([]byte, bool, error) {
	secret, there := m.secrets.m[rowKey(name)]
	return bytes.Clone(secret), there, nil
}

func (m *model) DeleteSecret(_ context.Context, name id.Secret) error {
	m.secrets.delete(rowKey(name))
	return nil
}

func (m *model) InboxSecrets(_ context.Context, name id.Secret) (secrets [][]byte, _ error) {
	for _, s := range m.inbox.list(func(s crypto.InboxSecret) bool { return s.Name == name }) {
		secrets = append(secrets, bytes.Clone(s.Secret))
	}
	return secrets, nil
}

func (m *model) DeleteInboxSecrets(_ context.Context, name id.Secret) error {
	for k, s := range m.inbox.m {
		if s.Name == name {
			m.inbox.delete(k)
		}
	}
	return nil
}

func (m *model) RoomSettings(_ context.Context, room id.RoomID) (*crypto.RoomSettings, error) {
	return one(&m.settings, rowKey(room)), nil
}

func (m *model) RoomKeyBundle(_ context.Context, room id.RoomID, sender id.UserID) (*crypto.RoomKeyBundle, error) {
	return copyOf(one(&m.bundles, rowKey(room, sender))), nil
}

func (m *model) PendingKeyBundle(_ context.Context, room id.RoomID) (*crypto.PendingKeyBundle, error) {
	return one(&m.pending, rowKey(room)), nil
}

func (m *model) PendingKeyBundles(context.Context) ([]crypto.PendingKeyBundle, error) {
	return m.pending.list(nil), nil
}

func (m *model) HasDownloadedRoom(_ context.Context, room id.RoomID) (bool, error) {
	return m.downloaded.has(rowKey(room)), nil
}

func (m *model) SaveVerification(_ context.Context, v *crypto.Verification) error {
	if err := v.Check(); err != nil {
		return err
	}
	m.verifications.put(rowKey(v.ID), copied(*v))
	return nil
}

func (m *model) Verification(_ context.Context, transaction id.VerificationTransactionID) (*crypto.Verification, error) {
	return copyOf(one(&m.verifications, rowKey(transaction))), nil
}

func (m *model) VerificationWith(_ context.Context, user id.UserID, device id.DeviceID) (*crypto.Verification, error) {
	all := m.verifications.list(func(v crypto.Verification) bool { return v.UserID == user && v.DeviceID == device })
	if len(all) == 0 {
		return nil, nil
	}
	return ptr(copied(all[len(all)-1])), nil
}

func (m *model) Verifications(context.Context) ([]crypto.Verification, error) {
	return copies(m.verifications.list(nil)), nil
}

func (m *model) DeleteVerification(_ context.Context, transaction id.VerificationTransactionID) (bool, error) {
	return m.verifications.delete(rowKey(transaction)), nil
}

func (m *model) CustomValue(_ context.Context, k []byte) ([]byte, bool, error) {
	value, there := m.customs.m[rowKey(k)]
	return bytes.Clone(value), there, nil
}

func (m *model) SetCustomValue(_ context.Context, k, value []byte) error {
	m.customs.put(rowKey(k), append([]byte{}, value...))
	return nil
}

func (m *model) RemoveCustomValue(_ context.Context, k []byte) error {
	m.customs.delete(rowKey(k))
	return nil
}

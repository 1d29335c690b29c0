package crypto

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores"
)

// Store is a crypto store. What it promises as a whole stands in the documentation
// of the package, and what pausing does to it in matrixstores.Store.
type Store interface {
	matrixstores.Store
	Saver
	Accounts
	OlmSessions
	MessageHashes
	MessageIndexes
	InboundGroupSessions
	Backups
	Redactions
	OutboundGroupSessions
	Devices
	TrackedUsers
	CrossSigning
	KeyRequests
	Secrets
	Rooms
	Verifications
	CustomValues
}

// Saver is what is stored in bundles.
type Saver interface {
	// SaveChanges stores a Changes, whole or not at all: see Changes for what it does, and in which order. The errors are
	// ErrNoID, ErrNoPickle and ErrOtherAccount. An empty Changes, and nil, do nothing. c is not kept.
	SaveChanges(ctx context.Context, c *Changes) error
}

// Accounts is the account of this device, and what there is one of.
type Accounts interface {
	// Account returns the account, nil where none was stored yet.
	Account(ctx context.Context) (*Account, error)

	// SaveAccount is SaveChanges with an account alone. Nil does nothing.
	SaveAccount(ctx context.Context, a *Account) error

	// OwnDevice returns the device of the account, nil where it was not stored. The error is ErrNoAccount where there is no account.
	OwnDevice(ctx context.Context) (*Device, error)

	// PrivateIdentity returns the private cross-signing keys, nil where there are none.
	PrivateIdentity(ctx context.Context) (*PrivateIdentity, error)

	// NextBatch returns where the next sync begins, empty where that is not known.
	NextBatch(ctx context.Context) (string, error)

	// DehydratedDeviceKey returns the key with which a dehydrated device is pickled, nil where there is none.
	DehydratedDeviceKey(ctx context.Context) ([]byte, error)

	// DeleteDehydratedDeviceKey removes it.
	DeleteDehydratedDeviceKey(ctx context.Context) error
}

// OlmSessions are the sessions with other devices. They are written by SaveChanges.
type OlmSessions interface {
	// Sessions returns those with a device: the one that has decrypted a message last comes first; of two that did so at the same time, the one that was stored first comes last.
	Sessions(ctx context.Context, key id.SenderKey) ([]Session, error)

	// LatestSession returns the first one of Sessions, nil where there is none.
	LatestSession(ctx context.Context, key id.SenderKey) (*Session, error)

	// HasSession tells whether there is one.
	HasSession(ctx context.Context, key id.SenderKey) (bool, error)

	// NewestSessionCreation returns when the newest one was made of those that are Used; the zero time where there is none.
	NewestSessionCreation(ctx context.Context, key id.SenderKey) (time.Time, error)

	// UpdateSession replaces a session that is there. updated is false where there is none with its id: it was deleted meanwhile, and stays so.
	// The errors are ErrNoID and ErrNoPickle.
	UpdateSession(ctx context.Context, s *Session) (updated bool, err error)

	// DeleteSession removes one.
	DeleteSession(ctx context.Context, session id.SessionID) error
}

// MessageHashes are the Olm messages that were decrypted, each of which is not to be decrypted again.
type MessageHashes interface {
	// AddMessageHash adds one, unless it is there: then added is false, and its time stays. The error is ErrNoID.
	AddMessageHash(ctx context.Context, h MessageHash) (added bool, err error)

	// MessageHash tells when a message was received.
	MessageHash(ctx context.Context, key id.SenderKey, hash []byte) (at time.Time, known bool, err error)

	// DeleteMessageHashes removes those that were received before, and returns how many.
	DeleteMessageHashes(ctx context.Context, before time.Time) (deleted int64, err error)
}

// MessageIndexes are which message has used an index of a group session.
type MessageIndexes interface {
	// CheckMessageIndex tells, in one atomic step, whether a message may be shown: its index is a new one, and is stored, or it was
	// the same event with the same time before. Where m.ChecksOnly, nothing is stored, and any message with this index makes ok false. The error is ErrNoID.
	CheckMessageIndex(ctx context.Context, m MessageIndex) (ok bool, err error)
}

// InboundGroupSessions are the Megolm sessions with which messages are decrypted.
type InboundGroupSessions interface {
	// InboundGroupSession returns the session of a room, nil where there is none: Withheld may tell why.
	InboundGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (*InboundGroupSession, error)

	// InboundGroupSessions returns all of them; InboundGroupSessionsOfRoom those of a room.
	InboundGroupSessions(ctx context.Context) ([]InboundGroupSession, error)
	InboundGroupSessionsOfRoom(ctx context.Context, room id.RoomID) ([]InboundGroupSession, error)

	// InboundGroupSessionPage returns up to limit of those that are asked for, behind a place, and the place of the last one. The list is at its end when it returns
	// none. What is changed between two pages does not move: every session that is there all the time, and fits all the time, comes once. A limit below 1 is none.
	// The error is ErrQuery.
	InboundGroupSessionPage(ctx context.Context, q SessionQuery, after Cursor, limit int) (page []InboundGroupSession, last Cursor, err error)

	// SaveInboundGroupSessions is SaveChanges with these sessions alone. With a version they are stored as backed up in it, whatever they say.
	SaveInboundGroupSessions(ctx context.Context, sessions []InboundGroupSession, version id.KeyBackupVersion) error

	// Withheld returns why there is no such session, nil where nobody has said.
	Withheld(ctx context.Context, room id.RoomID, session id.SessionID) (*Withheld, error)

	// WithheldOfRoom returns all of a room.
	WithheldOfRoom(ctx context.Context, room id.RoomID) ([]Withheld, error)
}

// Backups is which inbound group sessions the server-side key backup has.
type Backups interface {
	// BackupKeys returns what is known of the backup. It is written by SaveChanges.
	BackupKeys(ctx context.Context) (BackupKeys, error)

	// CountInboundGroupSessions counts all sessions, and those that are backed up in a version; without one, in any.
	CountInboundGroupSessions(ctx context.Context, version id.KeyBackupVersion) (SessionCounts, error)

	// MarkBackedUp notes that sessions are in a backup. Unknown ones are passed over. The error is ErrNoID, for the version.
	MarkBackedUp(ctx context.Context, version id.KeyBackupVersion, sessions []SessionKey) error

	// ResetBackup forgets of all sessions that they are in a backup.
	ResetBackup(ctx context.Context) error
}

// Redactions remove inbound group sessions. What is left of each is that it is Withheld, and Redacted. What
// was redacted is returned.
type Redactions interface {
	// RedactGroupSession redacts one. redacted is false where there is none.
	RedactGroupSession(ctx context.Context, room id.RoomID, session id.SessionID, reason string) (redacted bool, err error)

	// RedactGroupSessions redacts those in a room, or from a sender, or both, that are not Scheduled and of which it is known when they were received. One of room and sender may be empty; the error is ErrNoSelection.
	RedactGroupSessions(ctx context.Context, room id.RoomID, sender id.SenderKey, reason string) ([]SessionKey, error)

	// RedactExpiredGroupSessions redacts those that have expired: see InboundGroupSession.Expires.
	RedactExpiredGroupSessions(ctx context.Context, reason string) ([]SessionKey, error)

	// RedactOutdatedGroupSessions redacts those of which it is not known when they were received.
	RedactOutdatedGroupSessions(ctx context.Context, reason string) ([]SessionKey, error)
}

// OutboundGroupSessions are the Megolm sessions with which messages are encrypted, one for each room. They are written by SaveChanges.
type OutboundGroupSessions interface {
	// OutboundGroupSession returns that of a room, nil where there is none.
	OutboundGroupSession(ctx context.Context, room id.RoomID) (*OutboundGroupSession, error)

	// UpdateOutboundGroupSession replaces the session of a room where it is the same one. updated is false where it is not: another one
	// has taken its place, and is not replaced by an old one. The errors are ErrNoID and ErrNoPickle.
	UpdateOutboundGroupSession(ctx context.Context, s *OutboundGroupSession) (updated bool, err error)

	// RemoveOutboundGroupSession removes that of a room. Which devices have got it stays known.
	RemoveOutboundGroupSession(ctx context.Context, room id.RoomID) error

	// MarkShared notes, in one transaction, which devices have got a session. Doing so twice is no error. The error is ErrNoID.
	MarkShared(ctx context.Context, shares []Share) error

	// IsShared tells whether a device has got a session.
	IsShared(ctx context.Context, s Share) (bool, error)
}

// Devices are the devices of users, and their identities. Both are also written by SaveChanges.
type Devices interface {
	// Device returns a device, also one that is marked as Deleted; nil where there is none.
	Device(ctx context.Context, user id.UserID, device id.DeviceID) (*Device, error)

	// Devices returns those of a user that are not marked as Deleted, and whether he is tracked.
	Devices(ctx context.Context, user id.UserID) (devices map[id.DeviceID]*Device, tracked bool, err error)

	// DeviceByKey returns the device of a user with this identity key, nil where there is none. Of several, one that is not Deleted comes first, then the one that was first stored last.
	DeviceByKey(ctx context.Context, user id.UserID, key id.IdentityKey) (*Device, error)

	// ReplaceDevices makes these the devices of a user, in one transaction: those that are there and not among them are marked as Deleted, and the
	// user is tracked and not Outdated. Whose devices they are is user, whatever they say. The error is ErrNoID.
	ReplaceDevices(ctx context.Context, user id.UserID, devices []Device) error

	// Identity returns the public identity of a user, nil where there is none.
	Identity(ctx context.Context, user id.UserID) (*Identity, error)
}

// TrackedUsers are the users whose devices are kept up to date.
type TrackedUsers interface {
	// TrackedUsers returns all of them.
	TrackedUsers(ctx context.Context) ([]TrackedUser, error)

	// SaveTrackedUsers tracks users, or replaces whether they are Outdated, in one transaction. The error is ErrNoID.
	SaveTrackedUsers(ctx context.Context, users []TrackedUser) error

	// FilterTracked returns those of the users who are tracked, each once, in the order in which they are given.
	FilterTracked(ctx context.Context, users []id.UserID) ([]id.UserID, error)

	// MarkOutdated marks those of the users who are tracked as Outdated, in one transaction.
	MarkOutdated(ctx context.Context, users []id.UserID) error

	// OutdatedUsers returns those who are Outdated.
	OutdatedUsers(ctx context.Context) ([]id.UserID, error)
}

// CrossSigning is who has signed whose keys.
type CrossSigning interface {
	// SaveCrossSigningKey stores the key of a user for a usage. The one that was seen first stays known. The error is ErrNoID.
	SaveCrossSigningKey(ctx context.Context, user id.UserID, usage id.CrossSigningUsage, key id.Ed25519) error

	// CrossSigningKeys returns the keys of a user. It is not nil.
	CrossSigningKeys(ctx context.Context, user id.UserID) (map[id.CrossSigningUsage]id.CrossSigningKey, error)

	// SaveSignature stores a signature, in the place of one of the same key by the same key. The error is ErrNoID.
	SaveSignature(ctx context.Context, s Signature) error

	// IsSignedBy tells whether a key has signed another one. The text of the signature does not count.
	IsSignedBy(ctx context.Context, s Signature) (bool, error)

	// SignaturesBy returns the signatures of a key by the keys of a user. It is not nil.
	SignaturesBy(ctx context.Context, user id.UserID, key id.Ed25519, signer id.UserID) (map[id.Ed25519]string, error)

	// DropSignaturesBy removes the signatures that a key has made, and returns how many.
	DropSignaturesBy(ctx context.Context, signer id.UserID, key id.Ed25519) (dropped int64, err error)
}

// KeyRequests are requests to the user's other devices. They are written by SaveChanges.
type KeyRequests interface {
	// KeyRequest returns one by its id, KeyRequestFor by what it asks for; nil where there is none.
	KeyRequest(ctx context.Context, request string) (*KeyRequest, error)
	KeyRequestFor(ctx context.Context, info RequestInfo) (*KeyRequest, error)

	// UnsentKeyRequests returns those that are not Sent.
	UnsentKeyRequests(ctx context.Context) ([]KeyRequest, error)

	// DeleteKeyRequest removes one.
	DeleteKeyRequest(ctx context.Context, request string) error
}

// Secrets are secrets by their names: one for each that is in use, and the inbox of those that were received.
type Secrets interface {
	// PutSecret stores a secret, in the place of the one with this name. The error is ErrNoID.
	PutSecret(ctx context.Context, name id.Secret, secret []byte) error

	// Secret returns a secret. found is false where there is none.
	Secret(ctx context.Context, name id.Secret) (secret []byte, found bool, err error)

	// DeleteSecret removes a secret.
	DeleteSecret(ctx context.Context, name id.Secret) error

	// InboxSecrets returns the secrets with a name in the inbox. They are put there by SaveChanges.
	InboxSecrets(ctx context.Context, name id.Secret) ([][]byte, error)

	// DeleteInboxSecrets removes all of them.
	DeleteInboxSecrets(ctx context.Context, name id.Secret) error
}

// Rooms is what is known of rooms as far as encryption goes. It is written by SaveChanges.
type Rooms interface {
	// RoomSettings returns those of a room, nil where there are none.
	RoomSettings(ctx context.Context, room id.RoomID) (*RoomSettings, error)

	// RoomKeyBundle returns the bundle that a user has sent last for a room, nil where there is none.
	RoomKeyBundle(ctx context.Context, room id.RoomID, sender id.UserID) (*RoomKeyBundle, error)

	// PendingKeyBundle returns whether a bundle is expected for a room, nil where none is; PendingKeyBundles all of them.
	PendingKeyBundle(ctx context.Context, room id.RoomID) (*PendingKeyBundle, error)
	PendingKeyBundles(ctx context.Context) ([]PendingKeyBundle, error)

	// HasDownloadedRoom tells whether the key backup of a room was downloaded as a whole.
	HasDownloadedRoom(ctx context.Context, room id.RoomID) (bool, error)
}

// Verifications are verifications that are under way.
type Verifications interface {
	// SaveVerification stores one, in the place of the one with its id. The error is ErrNoID.
	SaveVerification(ctx context.Context, v *Verification) error

	// Verification returns one, nil where there is none.
	Verification(ctx context.Context, transaction id.VerificationTransactionID) (*Verification, error)

	// VerificationWith returns the one with a device, of several the one that was first stored last; nil where there is none.
	VerificationWith(ctx context.Context, user id.UserID, device id.DeviceID) (*Verification, error)

	// Verifications returns all of them.
	Verifications(ctx context.Context) ([]Verification, error)

	// DeleteVerification removes one. deleted is false where there is none.
	DeleteVerification(ctx context.Context, transaction id.VerificationTransactionID) (deleted bool, err error)
}

// CustomValues are values under keys of the application's own. Both are any
// bytes, also none. No key of theirs is one of the store's.
type CustomValues interface {
	// CustomValue returns the value of a key.
	CustomValue(ctx context.Context, key []byte) (value []byte, found bool, err error)

	// SetCustomValue sets the value of a key.
	SetCustomValue(ctx context.Context, key, value []byte) error

	// RemoveCustomValue removes a key.
	RemoveCustomValue(ctx context.Context, key []byte) error
}

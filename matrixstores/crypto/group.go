package crypto

import (
	"math"
	"slices"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// SenderData is what is known of the device that has sent a group session.
type SenderData int

// What can be known of it.
const (
	SenderNotRecorded   SenderData = iota // nobody has said
	SenderUnknownDevice                   // the device is not known yet
	SenderDeviceInfo                      // the device is known, its owner is not
	SenderViolation                       // its owner was verified, and is not any more
	SenderUnverified                      // its owner is known, and not verified
	SenderVerified                        // its owner is verified
)

// SessionKey names an inbound group session.
type SessionKey struct {
	RoomID    id.RoomID
	SessionID id.SessionID
}

// InboundGroupSession is a Megolm session with which messages are decrypted.
type InboundGroupSession struct {
	RoomID     id.RoomID
	SessionID  id.SessionID
	SenderKey  id.SenderKey
	SigningKey id.Ed25519
	SenderData SenderData

	// BackupVersion is the key backup that has this session; empty: none has.
	BackupVersion id.KeyBackupVersion

	// ReceivedAt, MaxAge and MaxMessages are what it expires by: see Redactions. The zero time: it is not known, and the session is an outdated one.
	// MaxAge is kept to the millisecond.
	ReceivedAt  time.Time
	MaxAge      time.Duration
	MaxMessages int
	Scheduled   bool // it is for messages that are to be read later: it does not expire

	ForwardingChains []string

	Pickle []byte
	Extra  []byte // whatever else belongs to it, such as the state of its ratchet
}

// Key names the session.
func (s *InboundGroupSession) Key() SessionKey { return SessionKey{s.RoomID, s.SessionID} }

// Expires returns after which moment it may be redacted as expired, in milliseconds since 1970:
// twice its age after it was received. ever is false where that is never.
func (s *InboundGroupSession) Expires() (ms int64, ever bool) {
	if s.ReceivedAt.IsZero() || s.Scheduled || s.MaxAge.Milliseconds() <= 0 {
		return 0, false
	}
	received, age := s.ReceivedAt.UnixMilli(), s.MaxAge.Milliseconds()
	if received > math.MaxInt64-2*age {
		return 0, false
	}
	return received + 2*age, true
}

func (s *InboundGroupSession) fields(c *coder) {
	text(c, &s.RoomID)
	text(c, &s.SessionID)
	text(c, &s.SenderKey)
	text(c, &s.SigningKey)
	number(c, &s.SenderData)
	text(c, &s.BackupVersion)
	c.time(&s.ReceivedAt)
	c.duration(&s.MaxAge)
	number(c, &s.MaxMessages)
	c.flags(&s.Scheduled)
	texts(c, &s.ForwardingChains)
	c.bytes(&s.Pickle)
	c.bytes(&s.Extra)
}

// BackedUp returns sessions as backed up in a version; without one, as they are. What was given is not changed.
func BackedUp(sessions []InboundGroupSession, version id.KeyBackupVersion) []InboundGroupSession {
	if version == "" {
		return sessions
	}
	in := slices.Clone(sessions)
	for i := range in {
		in[i].BackupVersion = version
	}
	return in
}

// Withheld is why a sender has not sent a group session, or that it was redacted here.
type Withheld struct {
	event.RoomKeyWithheldEventContent
}

// Key names the session.
func (w *Withheld) Key() SessionKey { return SessionKey{w.RoomID, w.SessionID} }

// Redacted tells whether the session was there, and was redacted.
func (w *Withheld) Redacted() bool { return w.Code == event.RoomKeyWithheldBeeperRedacted }

// Redact returns what is left of a session.
func Redact(s *InboundGroupSession, reason string) *Withheld {
	return &Withheld{event.RoomKeyWithheldEventContent{
		RoomID: s.RoomID, Algorithm: id.AlgorithmMegolmV1, SessionID: s.SessionID, SenderKey: s.SenderKey,
		Code: event.RoomKeyWithheldBeeperRedacted, Reason: reason,
	}}
}

func (w *Withheld) fields(c *coder) {
	text(c, &w.RoomID)
	text(c, &w.Algorithm)
	text(c, &w.SessionID)
	text(c, &w.SenderKey)
	text(c, &w.Code)
	text(c, &w.Reason)
}

// OutboundGroupSession is the Megolm session with which messages to a room are encrypted.
type OutboundGroupSession struct {
	RoomID    id.RoomID
	SessionID id.SessionID

	Shared       bool
	MaxMessages  int
	MessageCount int
	MaxAge       time.Duration // to the millisecond
	CreatedAt    time.Time
	LastUsed     time.Time

	Pickle []byte
	Extra  []byte // whatever else belongs to it, such as requests that are pending
}

func (s *OutboundGroupSession) fields(c *coder) {
	text(c, &s.RoomID)
	text(c, &s.SessionID)
	c.flags(&s.Shared)
	number(c, &s.MaxMessages)
	number(c, &s.MessageCount)
	c.duration(&s.MaxAge)
	c.time(&s.CreatedAt)
	c.time(&s.LastUsed)
	c.bytes(&s.Pickle)
	c.bytes(&s.Extra)
}

// Share is a device that has got an outbound session.
type Share struct {
	UserID      id.UserID
	IdentityKey id.IdentityKey
	SessionID   id.SessionID
}

// SessionCounts counts inbound group sessions.
type SessionCounts struct {
	Total    int64
	BackedUp int64
}

// Cursor is a place in the order of first storing. The zero value is in front of everything.
type Cursor uint64

// SessionQuery says which inbound group sessions are asked for.
type SessionQuery struct {
	kind    queryKind
	room    id.RoomID
	sender  id.SenderKey
	data    SenderData
	version id.KeyBackupVersion
}

type queryKind uint8

const (
	queryNone queryKind = iota
	queryAll
	queryRoom
	queryDevice
	queryBackup
)

// AllSessions asks for all of them.
func AllSessions() SessionQuery { return SessionQuery{kind: queryAll} }

// SessionsOfRoom asks for those of a room.
func SessionsOfRoom(room id.RoomID) SessionQuery { return SessionQuery{kind: queryRoom, room: room} }

// SessionsOfDevice asks for those that a device has sent, of which that much is known.
func SessionsOfDevice(key id.SenderKey, data SenderData) SessionQuery {
	return SessionQuery{kind: queryDevice, sender: key, data: data}
}

// SessionsNotBackedUp asks for those that this key backup does not have. Without a version: that none has.
func SessionsNotBackedUp(version id.KeyBackupVersion) SessionQuery {
	return SessionQuery{kind: queryBackup, version: version}
}

// SessionQueryCases is what a store does for each kind of SessionQuery.
type SessionQueryCases struct {
	All    func() error
	Room   func(id.RoomID) error
	Device func(id.SenderKey, SenderData) error
	Backup func(id.KeyBackupVersion) error
}

// Match calls the function for this kind of query. The error is its, or ErrQuery.
func (q SessionQuery) Match(c SessionQueryCases) error {
	switch q.kind {
	case queryAll:
		return c.All()
	case queryRoom:
		return c.Room(q.room)
	case queryDevice:
		return c.Device(q.sender, q.data)
	case queryBackup:
		return c.Backup(q.version)
	default:
		return ErrQuery
	}
}

package crypto

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// Session is an Olm session with another device.
type Session struct {
	ID        id.SessionID
	SenderKey id.SenderKey // the identity key of the other device

	CreatedAt, LastEncrypted, LastDecrypted time.Time

	Pickle []byte
	Extra  []byte // whatever else belongs to it
}

func (s *Session) fields(c *coder) {
	text(c, &s.ID)
	text(c, &s.SenderKey)
	c.time(&s.CreatedAt)
	c.time(&s.LastEncrypted)
	c.time(&s.LastDecrypted)
	c.bytes(&s.Pickle)
	c.bytes(&s.Extra)
}

// Used tells whether it has ever encrypted or decrypted a message: a new one has three equal times.
func (s *Session) Used() bool {
	created := Millis(s.CreatedAt)
	return Millis(s.LastEncrypted) != created || Millis(s.LastDecrypted) != created
}

// MessageHash is an Olm message that was decrypted.
type MessageHash struct {
	SenderKey id.SenderKey // empty where the hash alone tells which message it is
	Hash      []byte
	At        time.Time // when it was received; the zero time: when it is stored
}

// MessageIndex is a Megolm message: an index of a ratchet is for one message only.
type MessageIndex struct {
	SenderKey id.SenderKey
	SessionID id.SessionID
	Index     uint32
	EventID   id.EventID
	Timestamp int64 // origin_server_ts, in milliseconds
}

// ChecksOnly tells whether there is nothing to store of it: neither an event id nor a time.
func (m *MessageIndex) ChecksOnly() bool { return m.EventID == "" && m.Timestamp == 0 }

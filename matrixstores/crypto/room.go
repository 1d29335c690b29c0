package crypto

import (
	"encoding/binary"
	"time"

	"maunium.net/go/mautrix/id"
)

// RoomSettings is how messages to a room are encrypted.
type RoomSettings struct {
	Algorithm          id.Algorithm
	EncryptStateEvents bool
	OnlyTrustedDevices bool
	RotationPeriod     time.Duration // to the millisecond; 0: not set
	RotationMessages   int           // 0: not set
}

func (s *RoomSettings) fields(c *coder) {
	text(c, &s.Algorithm)
	c.flags(&s.EncryptStateEvents, &s.OnlyTrustedDevices)
	c.duration(&s.RotationPeriod)
	number(c, &s.RotationMessages)
}

// RoomKeyBundle is what a user has sent of the keys of a room's history.
type RoomKeyBundle struct {
	RoomID id.RoomID
	Sender id.UserID
	Data   []byte
}

func (b *RoomKeyBundle) fields(c *coder) {
	text(c, &b.RoomID)
	text(c, &b.Sender)
	c.bytes(&b.Data)
}

// PendingKeyBundle is a room for which such a bundle is expected.
type PendingKeyBundle struct {
	RoomID           id.RoomID
	InviteAcceptedAt time.Time
	Inviter          id.UserID // may be empty
}

func (b *PendingKeyBundle) fields(c *coder) {
	text(c, &b.RoomID)
	c.time(&b.InviteAcceptedAt)
	text(c, &b.Inviter)
}

// KeyRequest is a request to the user's other devices, for a group session or for a secret.
type KeyRequest struct {
	ID   string
	Sent bool
	Info RequestInfo
	Data []byte // whatever else belongs to it
}

func (r *KeyRequest) fields(c *coder) {
	text(c, &r.ID)
	c.flags(&r.Sent)
	text(c, &r.Info.RoomID)
	text(c, &r.Info.SessionID)
	text(c, &r.Info.Algorithm)
	text(c, &r.Info.Secret)
	c.bytes(&r.Data)
}

// RequestInfo is what a KeyRequest asks for. For one thing there is one request.
type RequestInfo struct {
	RoomID    id.RoomID
	SessionID id.SessionID
	Algorithm id.Algorithm

	Secret id.Secret // empty for a group session
}

// SecretRequest asks for a secret.
func SecretRequest(name id.Secret) RequestInfo { return RequestInfo{Secret: name} }

// SessionRequest asks for a group session.
func SessionRequest(room id.RoomID, session id.SessionID, algorithm id.Algorithm) RequestInfo {
	return RequestInfo{RoomID: room, SessionID: session, Algorithm: algorithm}
}

// Key is what tells one RequestInfo from another.
func (i RequestInfo) Key() []byte {
	if i.Secret != "" {
		return append([]byte{'s'}, i.Secret...)
	}
	k := []byte{'k'}
	for _, part := range []string{string(i.RoomID), string(i.SessionID), string(i.Algorithm)} {
		k = binary.AppendUvarint(k, uint64(len(part)))
		k = append(k, part...)
	}
	return k
}

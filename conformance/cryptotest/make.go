package cryptotest

// Records as cases make them.

import (
	"fmt"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

const (
	alice id.UserID = "@alice:example.org"
	bob   id.UserID = "@bob:example.org"

	kitchen id.RoomID = "!kitchen:example.org"
	garden  id.RoomID = "!garden:example.org"

	key id.SenderKey = "curve25519 of somebody"
)

// pickle is what nobody else has.
func pickle(parts ...any) []byte { return fmt.Append([]byte("pickle of "), parts...) }

// at is a moment, in seconds after another one.
func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0).UTC() }

func account(state any) *crypto.Account {
	return &crypto.Account{
		UserID: alice, DeviceID: "DEVICE", IdentityKey: "identity", SigningKey: "signing", Pickle: pickle("account", state),
	}
}

func olm(session id.SessionID, sender id.SenderKey, decrypted int) crypto.Session {
	return crypto.Session{
		ID: session, SenderKey: sender, CreatedAt: at(0), LastEncrypted: at(1), LastDecrypted: at(decrypted), Pickle: pickle(session, decrypted),
	}
}

func inbound(room id.RoomID, session id.SessionID) crypto.InboundGroupSession {
	return crypto.InboundGroupSession{
		RoomID: room, SessionID: session, SenderKey: key, SigningKey: "ed25519", SenderData: crypto.SenderVerified,
		ReceivedAt: at(0), MaxAge: time.Hour, MaxMessages: 100, ForwardingChains: []string{"one", "two"},
		Pickle: pickle(room, session), Extra: []byte("extra"),
	}
}

func inbounds(room id.RoomID, n int) (all []crypto.InboundGroupSession) {
	for i := range n {
		all = append(all, inbound(room, id.SessionID(fmt.Sprintf("session %d", i))))
	}
	return all
}

func outbound(room id.RoomID, session id.SessionID, messages int) crypto.OutboundGroupSession {
	return crypto.OutboundGroupSession{
		RoomID: room, SessionID: session, Shared: true, MaxMessages: 100, MessageCount: messages, MaxAge: time.Hour,
		CreatedAt: at(0), LastUsed: at(messages), Pickle: pickle(session, messages), Extra: []byte("a pending request"),
	}
}

func device(user id.UserID, name id.DeviceID) crypto.Device {
	return crypto.Device{
		Device: id.Device{
			UserID: user, DeviceID: name, IdentityKey: id.Curve25519("curve of " + name), SigningKey: "ed of " + id.Ed25519(name),
			Trust: id.TrustStateVerified, Name: "phone",
		},
		Data: []byte(`{"device_id":"` + string(name) + `","something.unknown":{"is":"kept"}}`),
	}
}

func withheld(room id.RoomID, session id.SessionID, code event.RoomKeyWithheldCode) crypto.Withheld {
	return crypto.Withheld{RoomKeyWithheldEventContent: event.RoomKeyWithheldEventContent{
		RoomID: room, Algorithm: id.AlgorithmMegolmV1, SessionID: session, SenderKey: key, Code: code, Reason: "a reason",
	}}
}

func ptr[T any](v T) *T { return &v }

// keysOf names sessions.
func keysOf(all []crypto.InboundGroupSession) (keys []crypto.SessionKey) {
	for i := range all {
		keys = append(keys, all[i].Key())
	}
	return keys
}

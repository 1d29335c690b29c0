package cryptotest

// Operations as chance has them.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// reason is an error as two stores have it in common: which of the contract's it is.
func reason(err error) error {
	for _, known := range []error{crypto.ErrNoID, crypto.ErrNoPickle, crypto.ErrOtherAccount, crypto.ErrNoSelection, crypto.ErrQuery, crypto.ErrNoAccount} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

type chance struct{ *rand.Rand }

func pick[T any](c chance, all []T) T { return all[c.IntN(len(all))] }

// some are up to three of what is made.
func some[T any](c chance, make func() T) (all []T) {
	for range c.IntN(4) {
		all = append(all, make())
	}
	return all
}

// one of n times.
func (c chance) one(n int) bool { return c.IntN(n) == 0 }

func (c chance) pickle() []byte { return fmt.Append(nil, "pickle ", c.IntN(1000)) }

// time is one of a few, or none.
func (c chance) time() time.Time {
	if c.one(4) {
		return time.Time{}
	}
	return at(c.IntN(20))
}

func (c chance) session() crypto.Session {
	return crypto.Session{ID: pick(c, theSessions), SenderKey: pick(c, theKeys), CreatedAt: c.time(), LastEncrypted: c.time(), LastDecrypted: c.time(), Pickle: c.pickle()}
}

func (c chance) inbound() crypto.InboundGroupSession {
	s := crypto.InboundGroupSession{
		RoomID: pick(c, theRooms), SessionID: pick(c, theSessions), SenderKey: pick(c, theKeys), SenderData: pick(c, []crypto.SenderData{crypto.SenderNotRecorded, crypto.SenderVerified}),
		ReceivedAt: c.time(), MaxAge: time.Duration(c.IntN(3)) * time.Second, Scheduled: c.one(4), Pickle: c.pickle(),
	}
	if c.one(3) {
		s.BackupVersion = pick(c, theVersions)
	}
	return s
}

func (c chance) outbound() crypto.OutboundGroupSession {
	return crypto.OutboundGroupSession{RoomID: pick(c, theRooms), SessionID: pick(c, theSessions), MessageCount: c.IntN(100), Pickle: c.pickle()}
}

func (c chance) device() crypto.Device {
	d := device(pick(c, theUsers), pick(c, theDevices))
	d.IdentityKey, d.Deleted, d.Data = pick(c, theKeys), c.one(4), c.pickle()
	return d
}

func (c chance) info() crypto.RequestInfo {
	if c.one(2) {
		return crypto.SecretRequest(pick(c, theSecrets))
	}
	return crypto.SessionRequest(pick(c, theRooms), pick(c, theSessions), id.AlgorithmMegolmV1)
}

func (c chance) share() crypto.Share {
	return crypto.Share{UserID: pick(c, theUsers), IdentityKey: pick(c, theKeys), SessionID: pick(c, theSessions)}
}

func (c chance) key() crypto.SessionKey {
	return crypto.SessionKey{RoomID: pick(c, theRooms), SessionID: pick(c, theSessions)}
}

// changes are some, now and then with something that cannot be stored.
func (c chance) changes() *crypto.Changes {
	change := &crypto.Changes{
		Sessions: some(c, c.session), InboundGroupSessions: some(c, c.inbound), OutboundGroupSessions: some(c, c.outbound),
		Devices: crypto.DeviceChanges{New: some(c, c.device), Deleted: some(c, func() crypto.DeviceKey {
			return crypto.DeviceKey{UserID: pick(c, theUsers), DeviceID: pick(c, theDevices)}
		})},
		Identities: crypto.IdentityChanges{New: some(c, func() crypto.Identity { return crypto.Identity{UserID: pick(c, theUsers), Data: c.pickle()} })},
		MessageHashes: some(c, func() crypto.MessageHash {
			return crypto.MessageHash{SenderKey: pick(c, theKeys), Hash: []byte(pick(c, theTexts[1:])), At: c.time()}
		}),
		KeyRequests: some(c, func() crypto.KeyRequest {
			return crypto.KeyRequest{ID: pick(c, theTexts[1:]), Sent: c.one(2), Info: c.info(), Data: c.pickle()}
		}),
		Withheld: some(c, func() crypto.Withheld {
			return withheld(pick(c, theRooms), pick(c, theSessions), pick(c, []event.RoomKeyWithheldCode{"m.unverified", event.RoomKeyWithheldBeeperRedacted}))
		}),
		RoomSettings: map[id.RoomID]crypto.RoomSettings{pick(c, theRooms): {RotationMessages: c.IntN(9)}},
		Secrets: some(c, func() crypto.InboxSecret {
			return crypto.InboxSecret{Name: pick(c, theSecrets), Secret: []byte(pick(c, theTexts))}
		}),
		RoomKeyBundles: some(c, func() crypto.RoomKeyBundle {
			return crypto.RoomKeyBundle{RoomID: pick(c, theRooms), Sender: pick(c, theUsers), Data: c.pickle()}
		}),
		PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{},
	}
	for _, room := range theRooms {
		switch c.IntN(6) {
		case 0:
			change.DownloadedRooms = append(change.DownloadedRooms, room)
		case 1:
			change.PendingKeyBundles[room] = &crypto.PendingKeyBundle{InviteAcceptedAt: c.time(), Inviter: pick(c, theUsers)}
		case 2:
			change.PendingKeyBundles[room] = nil
		}
	}
	switch c.IntN(8) {
	case 0:
		change.Account = account(c.IntN(100))
		change.Account.DeviceID = pick(c, append([]id.DeviceID{"DEVICE", "DEVICE", "DEVICE"}, theDevices...))
	case 1:
		change.PrivateIdentity = &crypto.PrivateIdentity{UserID: alice, Pickle: c.pickle()}
	case 2:
		change.NextBatch = fmt.Sprint("token ", c.IntN(100))
	case 3:
		change.BackupVersion = pick(c, theVersions)
	case 4:
		change.BackupDecryptionKey = c.pickle()
	case 5:
		change.DehydratedDeviceKey = c.pickle()
	case 6:
		if c.one(3) {
			change.Sessions = append(change.Sessions, crypto.Session{ID: "broken"})
		}
	}
	return change
}

// operation is what is done to a store, and what it says then.
type operation struct {
	name string
	do   func(ctx context.Context, s data) (answer any, err error)
}

func only(err error) (any, error) { return nil, err }

func any1[A any](answer A, err error) (any, error) { return answer, err }

// operations makes one of each kind. What has been made does the same to every store.
var operations = []func(c chance) operation{
	func(c chance) operation {
		change := c.changes()
		return operation{"SaveChanges", func(ctx context.Context, s data) (any, error) { return only(s.SaveChanges(ctx, change)) }}
	},
	func(c chance) operation {
		session := c.session()
		return operation{"UpdateSession", func(ctx context.Context, s data) (any, error) { return any1(s.UpdateSession(ctx, &session)) }}
	},
	func(c chance) operation {
		session := pick(c, theSessions)
		return operation{"DeleteSession", func(ctx context.Context, s data) (any, error) { return only(s.DeleteSession(ctx, session)) }}
	},
	func(c chance) operation {
		h := crypto.MessageHash{SenderKey: pick(c, theKeys), Hash: []byte(pick(c, theTexts)), At: c.time()}
		return operation{"AddMessageHash", func(ctx context.Context, s data) (any, error) { return any1(s.AddMessageHash(ctx, h)) }}
	},
	func(c chance) operation {
		before := c.time()
		return operation{"DeleteMessageHashes", func(ctx context.Context, s data) (any, error) { return any1(s.DeleteMessageHashes(ctx, before)) }}
	},
	func(c chance) operation {
		m := crypto.MessageIndex{SenderKey: pick(c, theKeys), SessionID: pick(c, theSessions), Index: uint32(c.IntN(2)), EventID: id.EventID(pick(c, theTexts)), Timestamp: int64(c.IntN(2))}
		return operation{"CheckMessageIndex", func(ctx context.Context, s data) (any, error) { return any1(s.CheckMessageIndex(ctx, m)) }}
	},
	func(c chance) operation {
		sessions, version := some(c, c.inbound), pick(c, append(theVersions[:2:2], ""))
		return operation{"SaveInboundGroupSessions", func(ctx context.Context, s data) (any, error) {
			return only(s.SaveInboundGroupSessions(ctx, sessions, version))
		}}
	},
	func(c chance) operation {
		version, keys := pick(c, append(theVersions[:2:2], "")), some(c, c.key)
		return operation{"MarkBackedUp", func(ctx context.Context, s data) (any, error) { return only(s.MarkBackedUp(ctx, version, keys)) }}
	},
	func(c chance) operation {
		if c.one(3) {
			return operation{"ResetBackup", func(ctx context.Context, s data) (any, error) { return only(s.ResetBackup(ctx)) }}
		}
		return operation{"DeleteDehydratedDeviceKey", func(ctx context.Context, s data) (any, error) { return only(s.DeleteDehydratedDeviceKey(ctx)) }}
	},
	func(c chance) operation {
		k := c.key()
		return operation{"RedactGroupSession", func(ctx context.Context, s data) (any, error) {
			return any1(s.RedactGroupSession(ctx, k.RoomID, k.SessionID, "one"))
		}}
	},
	func(c chance) operation {
		room, sender := pick(c, append(theRooms[:2:2], "")), pick(c, append(theKeys[:2:2], ""))
		return operation{"RedactGroupSessions", func(ctx context.Context, s data) (any, error) {
			return any1(s.RedactGroupSessions(ctx, room, sender, "some"))
		}}
	},
	func(c chance) operation {
		if c.one(2) {
			return operation{"RedactExpiredGroupSessions", func(ctx context.Context, s data) (any, error) {
				return any1(s.RedactExpiredGroupSessions(ctx, "expired"))
			}}
		}
		return operation{"RedactOutdatedGroupSessions", func(ctx context.Context, s data) (any, error) {
			return any1(s.RedactOutdatedGroupSessions(ctx, "outdated"))
		}}
	},
	func(c chance) operation {
		session := c.outbound()
		return operation{"UpdateOutboundGroupSession", func(ctx context.Context, s data) (any, error) {
			return any1(s.UpdateOutboundGroupSession(ctx, &session))
		}}
	},
	func(c chance) operation {
		room := pick(c, theRooms)
		return operation{"RemoveOutboundGroupSession", func(ctx context.Context, s data) (any, error) {
			return only(s.RemoveOutboundGroupSession(ctx, room))
		}}
	},
	func(c chance) operation {
		shares := some(c, c.share)
		return operation{"MarkShared", func(ctx context.Context, s data) (any, error) { return only(s.MarkShared(ctx, shares)) }}
	},
	func(c chance) operation {
		user, devices := pick(c, theUsers), some(c, c.device)
		return operation{"ReplaceDevices", func(ctx context.Context, s data) (any, error) { return only(s.ReplaceDevices(ctx, user, devices)) }}
	},
	func(c chance) operation {
		users := some(c, func() crypto.TrackedUser { return crypto.TrackedUser{UserID: pick(c, theUsers), Outdated: c.one(2)} })
		return operation{"SaveTrackedUsers", func(ctx context.Context, s data) (any, error) { return only(s.SaveTrackedUsers(ctx, users)) }}
	},
	func(c chance) operation {
		users := some(c, func() id.UserID { return pick(c, theUsers) })
		return operation{"MarkOutdated", func(ctx context.Context, s data) (any, error) { return only(s.MarkOutdated(ctx, users)) }}
	},
	func(c chance) operation {
		user, usage, k := pick(c, theUsers), pick(c, []id.CrossSigningUsage{id.XSUsageMaster, id.XSUsageSelfSigning}), pick(c, theSigners)
		return operation{"SaveCrossSigningKey", func(ctx context.Context, s data) (any, error) {
			return only(s.SaveCrossSigningKey(ctx, user, usage, k))
		}}
	},
	func(c chance) operation {
		sig := crypto.Signature{SignedUser: pick(c, theUsers), SignedKey: pick(c, theSigners), Signer: pick(c, theUsers), SignerKey: pick(c, theSigners), Signature: string(c.pickle())}
		return operation{"SaveSignature", func(ctx context.Context, s data) (any, error) {
			err := s.SaveSignature(ctx, sig)
			if err != nil {
				return nil, err
			}
			return any1(s.IsSignedBy(ctx, sig))
		}}
	},
	func(c chance) operation {
		user, k := pick(c, theUsers), pick(c, theSigners)
		return operation{"DropSignaturesBy", func(ctx context.Context, s data) (any, error) { return any1(s.DropSignaturesBy(ctx, user, k)) }}
	},
	func(c chance) operation {
		request := pick(c, theTexts)
		return operation{"DeleteKeyRequest", func(ctx context.Context, s data) (any, error) { return only(s.DeleteKeyRequest(ctx, request)) }}
	},
	func(c chance) operation {
		name, secret := pick(c, append(theSecrets[:2:2], "")), []byte(pick(c, theTexts))
		return operation{"PutSecret", func(ctx context.Context, s data) (any, error) { return only(s.PutSecret(ctx, name, secret)) }}
	},
	func(c chance) operation {
		name := pick(c, theSecrets)
		if c.one(2) {
			return operation{"DeleteSecret", func(ctx context.Context, s data) (any, error) { return only(s.DeleteSecret(ctx, name)) }}
		}
		return operation{"DeleteInboxSecrets", func(ctx context.Context, s data) (any, error) { return only(s.DeleteInboxSecrets(ctx, name)) }}
	},
	func(c chance) operation {
		v := crypto.Verification{ID: id.VerificationTransactionID(pick(c, theTexts)), UserID: pick(c, theUsers), DeviceID: pick(c, theDevices), ExpiresAt: c.time(), Data: c.pickle()}
		return operation{"SaveVerification", func(ctx context.Context, s data) (any, error) { return only(s.SaveVerification(ctx, &v)) }}
	},
	func(c chance) operation {
		transaction := id.VerificationTransactionID(pick(c, theTexts))
		return operation{"DeleteVerification", func(ctx context.Context, s data) (any, error) { return any1(s.DeleteVerification(ctx, transaction)) }}
	},
	func(c chance) operation {
		k, value := []byte(pick(c, theTexts)), c.pickle()
		if c.one(3) {
			return operation{"RemoveCustomValue", func(ctx context.Context, s data) (any, error) { return only(s.RemoveCustomValue(ctx, k)) }}
		}
		return operation{"SetCustomValue", func(ctx context.Context, s data) (any, error) { return only(s.SetCustomValue(ctx, k, value)) }}
	},
}

// operation is any of them; changes are as many as all others together.
func (c chance) operation() operation {
	if c.one(3) {
		return operations[0](c)
	}
	return pick(c, operations)(c)
}

// result is what an operation says, as text.
func (o operation) result(ctx context.Context, s data) string {
	answer, err := o.do(ctx, s)
	return fmt.Sprintf("%s: %s, %v", o.name, show(answer), reason(err))
}

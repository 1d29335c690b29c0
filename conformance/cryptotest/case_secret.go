package cryptotest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"bytes"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var secretCases = []Case{
	{
		Name:    "nothing-in-clear",
		Promise: "no identifier, pickle, secret, hash or value can be read in the files of an encrypted store, whichever way it came in: not while it is open, not while it is paused, not after Close",
		Origins: from("contract", seed(4)), Needs: needs(conformance.Files, conformance.Encryption), run: caseSecret,
	},
	{
		Name:    "files-are-named",
		Promise: "every file that the store makes in its directory is one that Files names",
		Origins: from("contract"), Needs: needs(conformance.Files), run: caseFilesNamed,
	},
}

func caseSecret(p *probe) {
	s := p.open()
	var m trial.Markers
	text := m.Mark
	// A text that is full of a marker: some of it is at every edge.
	many := func(place string) []byte { return bytes.Repeat([]byte(text(place)), 40) }
	for i := range 2 { // the second time replaces some, which may stay in free pages
		user, room := id.UserID(text("user")), id.RoomID(text("room"))
		sender, session := id.SenderKey(text("sender's key")), id.SessionID(text("session"))
		in := inbound(room, session)
		in.SenderKey, in.SigningKey, in.Pickle, in.Extra, in.ForwardingChains = sender, id.Ed25519(text("signing key")), many("inbound pickle"), many("extra"), []string{text("chain")}
		in.BackupVersion = id.KeyBackupVersion(text("backup version of a session"))
		redacted := in
		redacted.SessionID, redacted.ReceivedAt = id.SessionID(text("redacted session")), time.Time{}
		w := withheld(room, id.SessionID(text("withheld session")), "m.unverified")
		w.Reason = text("why it was withheld")
		d := device(user, id.DeviceID(text("device")))
		d.IdentityKey, d.SigningKey, d.Name, d.Data = sender, id.Ed25519(text("device's signing key")), text("device's name"), many("device keys")
		o := olm(id.SessionID(text("Olm session")), sender, i)
		o.Pickle, o.Extra = many("Olm pickle"), many("Olm extra")
		out := outbound(kitchen, id.SessionID(text("outbound session")), i)
		out.Pickle, out.Extra = many("outbound pickle"), many("outbound extra")
		c := &crypto.Changes{
			PrivateIdentity: &crypto.PrivateIdentity{UserID: user, Pickle: many("private identity")},
			NextBatch:       text("token"), BackupDecryptionKey: many("backup key"), BackupVersion: id.KeyBackupVersion(text("backup version")),
			DehydratedDeviceKey: many("dehydrated key"), Devices: crypto.DeviceChanges{New: []crypto.Device{d}},
			Identities: crypto.IdentityChanges{New: []crypto.Identity{{UserID: user, Data: many("identity")}}},
			Sessions:   []crypto.Session{o}, InboundGroupSessions: []crypto.InboundGroupSession{in, redacted}, OutboundGroupSessions: []crypto.OutboundGroupSession{out},
			MessageHashes: []crypto.MessageHash{{SenderKey: id.SenderKey(text("sender of a hash")), Hash: []byte(text("hash"))}},
			KeyRequests: []crypto.KeyRequest{
				{ID: text("request"), Info: crypto.SessionRequest(room, session, id.Algorithm(text("algorithm"))), Data: many("request")},
				{ID: text("secret request"), Info: crypto.SecretRequest(id.Secret(text("wanted secret")))},
			},
			Withheld: []crypto.Withheld{w}, RoomSettings: map[id.RoomID]crypto.RoomSettings{room: {Algorithm: id.Algorithm(text("room's algorithm"))}},
			Secrets:           []crypto.InboxSecret{{Name: id.Secret(text("name in the inbox")), Secret: many("secret in the inbox")}},
			RoomKeyBundles:    []crypto.RoomKeyBundle{{RoomID: room, Sender: id.UserID(text("bundle's sender")), Data: many("bundle")}},
			DownloadedRooms:   []id.RoomID{id.RoomID(text("downloaded room"))},
			PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{id.RoomID(text("pending room")): {Inviter: id.UserID(text("inviter"))}},
		}
		if i == 0 {
			c.Account = &crypto.Account{UserID: user, DeviceID: d.DeviceID, IdentityKey: sender, SigningKey: id.Ed25519(text("account's key")), Pickle: many("account")}
		}
		s.save(c)
		_, err := s.CheckMessageIndex(p.Ctx, crypto.MessageIndex{SenderKey: id.SenderKey(text("sender of an index")), SessionID: id.SessionID(text("session of an index")), EventID: id.EventID(text("event of an index")), Timestamp: 1})
		p.Must("CheckMessageIndex", err)
		_, err = s.RedactOutdatedGroupSessions(p.Ctx, text("reason of a redaction"))
		p.Must("RedactOutdatedGroupSessions", err)
		p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, id.KeyBackupVersion(text("marked version")), []crypto.SessionKey{in.Key()}))
		p.Must("MarkShared", s.MarkShared(p.Ctx, []crypto.Share{
			{UserID: user, IdentityKey: sender, SessionID: id.SessionID(text("shared session"))},
			{UserID: id.UserID(text("whom it is shared with")), IdentityKey: id.IdentityKey(text("key it is shared with")), SessionID: session},
		}))
		p.Must("MarkShared", s.MarkShared(p.Ctx, []crypto.Share{{UserID: user, IdentityKey: sender, SessionID: id.SessionID(text("another shared session"))}}))
		tracked := id.UserID(text("tracked user"))
		p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, []crypto.TrackedUser{{UserID: tracked}}))
		p.Must("MarkOutdated", s.MarkOutdated(p.Ctx, []id.UserID{tracked, id.UserID(text("user who is not tracked"))}))
		p.Must("ReplaceDevices", s.ReplaceDevices(p.Ctx, user, []crypto.Device{device(user, id.DeviceID(text("another device")))}))
		p.Must("SaveCrossSigningKey", s.SaveCrossSigningKey(p.Ctx, user, id.CrossSigningUsage(text("usage")), id.Ed25519(text("cross-signing key"))))
		p.Must("SaveSignature", s.SaveSignature(p.Ctx, crypto.Signature{
			SignedUser: user, SignedKey: id.Ed25519(text("signed key")), Signer: id.UserID(text("signer")), SignerKey: id.Ed25519(text("signer's key")), Signature: text("signature"),
		}))
		p.Must("PutSecret", s.PutSecret(p.Ctx, id.Secret(text("secret's name")), many("secret")))
		p.Must("SaveVerification", s.SaveVerification(p.Ctx, &crypto.Verification{
			ID: id.VerificationTransactionID(text("verification")), UserID: user, DeviceID: id.DeviceID(text("verified device")), Data: many("verification"),
		}))
		p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, []byte(text("custom key")), many("custom value")))
		s.takes(text("key of a lease"), text("holder of a lease"), long, 1)
	}
	before, err := s.InboundGroupSessions(p.Ctx)
	p.Must("InboundGroupSessions", err)
	search := trial.FileSearch{Dir: s.dir, Files: p.h.Files, Markers: m, Least: 20_000}
	p.SearchWhileOpen(search)
	p.Must("Pause", s.Pause(p.Ctx))
	p.SearchFiles("while it is paused", search)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	s.close()
	p.SearchFiles("after Close", search)
	s.Store = p.openIn(s.dir, p.options()).Store
	is(p, "InboundGroupSessions", before)(s.InboundGroupSessions(p.Ctx))
}

func caseFilesNamed(p *probe) {
	s := p.open()
	check := func(when string) { p.FilesNamed(when, s.dir, p.h.Files) }
	s.save(&crypto.Changes{InboundGroupSessions: inbounds(kitchen, 100)})
	s.takes("key", "holder", long, 1)
	check("while the store is open")
	p.Must("Pause", s.Pause(p.Ctx))
	check("while the store is paused")
	p.Must("Resume", s.Resume(p.Ctx))
	s.close()
	check("after Close")
}

package cryptotest

// The account, and what there is one of.

import (
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var accountCases = []Case{
	{
		Name:    "account",
		Promise: "there is no account until one was stored; then it is as it was stored last, also when the store was opened again, and storing nothing changes nothing",
		Origins: from("CR-01", "CR-04", "DIV-10", seed(1), seed(2), seed(3), seed(4), seed(5)), run: caseAccount,
	},
	{
		Name:    "another-account",
		Promise: "an account of another user, device or key is refused with ErrOtherAccount, and nothing that came with it is stored",
		Origins: from("contract"), run: caseOtherAccount,
	},
	{
		Name:    "no-account",
		Promise: "what needs the account returns ErrNoAccount where there is none, and never panics; an account without its device has none",
		Origins: from("CR-25", "GAP-CR/AccountUnset paths"), run: caseNoAccount,
		Differs: "Olm sessions and outbound sessions are pickles, so they are found without an account and without its device",
	},
	{
		Name:    "absent-fields",
		Promise: "a field that a Changes does not mention stays as it is: the account, the private identity, the token, the backup's keys, the key of a dehydrated device",
		Origins: from("CR-03", "DIV-10", "DIV-12", "GAP-CR/MEM bugs DIV-10/12", seed(32)), run: caseAbsent,
	},
	{
		Name:    "an-empty-change",
		Promise: "saving nothing, or identities that have not changed, is no error and changes nothing; a change that only downloads or expects a bundle is not nothing",
		Origins: from("OBS-10", "CR-03"), run: caseEmptyChange,
	},
	{
		Name:    "private-identity",
		Promise: "the private cross-signing keys are as they were stored last",
		Origins: from("CR-02", seed(23)), run: casePrivateIdentity,
	},
	{
		Name:    "next-batch",
		Promise: "the token is known at the first question after an opening, and without an account",
		Origins: from("CR-43", "GAP-CR/next_batch_token"), run: caseNextBatch,
	},
	{
		Name:    "backup-keys",
		Promise: "the key and the version of the backup are independent of each other",
		Origins: from("CR-17", seed(31)), run: caseBackupKeys,
	},
	{
		Name:    "dehydrated-device",
		Promise: "the key of a dehydrated device is there until it is deleted, and deleting it again is no error",
		Origins: from("CR-18", "CR-19", seed(32), seed(33)), run: caseDehydrated,
	},
}

func caseAccount(p *probe) {
	s := p.open()
	is[*crypto.Account](p, "Account of a new store", nil)(s.Account(p.Ctx))
	p.Must("SaveAccount of nil", s.SaveAccount(p.Ctx, nil))
	is[*crypto.Account](p, "Account of a new store", nil)(s.Account(p.Ctx))
	a := account("new")
	p.Must("SaveAccount", s.SaveAccount(p.Ctx, a))
	s.again(func() { is(p, "Account", a)(s.Account(p.Ctx)) })
	a.Shared, a.UploadedKeys, a.KeyBackupVersion, a.Pickle, a.Extra = true, 50, "1", pickle("later"), []byte("extra")
	s.save(&crypto.Changes{Account: a})
	p.Must("SaveAccount of nil", s.SaveAccount(p.Ctx, nil))
	s.save(&crypto.Changes{NextBatch: "token"})
	s.again(func() { is(p, "Account", a)(s.Account(p.Ctx)) })
}

func caseOtherAccount(p *probe) {
	s := p.open()
	a := account("the one")
	p.Must("SaveAccount", s.SaveAccount(p.Ctx, a))
	for what, change := range map[string]func(*crypto.Account){
		"user": func(a *crypto.Account) { a.UserID = bob }, "device": func(a *crypto.Account) { a.DeviceID = "OTHER" },
		"identity key": func(a *crypto.Account) { a.IdentityKey = "other" }, "signing key": func(a *crypto.Account) { a.SigningKey = "other" },
	} {
		other := account("another")
		change(other)
		p.Is("SaveAccount of another "+what, s.SaveAccount(p.Ctx, other), crypto.ErrOtherAccount)
		p.Is("SaveChanges with another "+what, s.SaveChanges(p.Ctx, &crypto.Changes{
			Account: other, NextBatch: "token", Sessions: []crypto.Session{olm("s", key, 1)},
		}), crypto.ErrOtherAccount)
	}
	is(p, "Account", a)(s.Account(p.Ctx))
	is(p, "NextBatch, of a change that was refused", "")(s.NextBatch(p.Ctx))
	is(p, "HasSession, of a change that was refused", false)(s.HasSession(p.Ctx, key))
}

func caseNoAccount(p *probe) {
	s := p.open()
	noAccount := func(what string) {
		d, err := s.OwnDevice(p.Ctx)
		p.Is("OwnDevice "+what, err, crypto.ErrNoAccount)
		if d != nil {
			p.Broken("OwnDevice %s returned a device besides its error", what)
		}
	}
	noAccount("of a new store")
	is[[]crypto.Session](p, "Sessions without an account", nil)(s.Sessions(p.Ctx, key))
	is[*crypto.OutboundGroupSession](p, "OutboundGroupSession without an account", nil)(s.OutboundGroupSession(p.Ctx, kitchen))
	own, o := device(alice, "DEVICE"), outbound(kitchen, "out", 1)
	s.save(&crypto.Changes{Sessions: []crypto.Session{olm("s", key, 1)}, OutboundGroupSessions: []crypto.OutboundGroupSession{o}})
	is(p, "Sessions without an account", []crypto.Session{olm("s", key, 1)})(s.Sessions(p.Ctx, key))
	is(p, "OutboundGroupSession without an account", &o)(s.OutboundGroupSession(p.Ctx, kitchen))
	noAccount("where there are sessions and no account")
	p.Must("SaveAccount", s.SaveAccount(p.Ctx, account("here")))
	is[*crypto.Device](p, "OwnDevice without the device", nil)(s.OwnDevice(p.Ctx))
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{device(bob, "DEVICE"), device(alice, "OTHER")}}})
	is[*crypto.Device](p, "OwnDevice without the device", nil)(s.OwnDevice(p.Ctx))
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{own}}})
	is(p, "OwnDevice", &own)(s.OwnDevice(p.Ctx))
}

func caseAbsent(p *probe) {
	s := p.open()
	a, identity := account("here"), &crypto.PrivateIdentity{UserID: alice, Pickle: pickle("identity")}
	keys := crypto.BackupKeys{DecryptionKey: []byte("backup key"), Version: "7"}
	s.save(&crypto.Changes{
		Account: a, PrivateIdentity: identity, NextBatch: "token", BackupDecryptionKey: keys.DecryptionKey, BackupVersion: keys.Version,
		DehydratedDeviceKey: []byte("dehydrated"),
	})
	for what, c := range map[string]*crypto.Changes{
		"nil": nil, "nothing": {}, "another field": {DownloadedRooms: []id.RoomID{kitchen}}, "the token alone": {NextBatch: "token"},
		"empty keys": {BackupDecryptionKey: []byte{}, DehydratedDeviceKey: []byte{}, Sessions: []crypto.Session{}},
	} {
		s.save(c)
		p.About("after a change with "+what, func() {
			is(p, "Account", a)(s.Account(p.Ctx))
			is(p, "PrivateIdentity", identity)(s.PrivateIdentity(p.Ctx))
			is(p, "NextBatch", "token")(s.NextBatch(p.Ctx))
			is(p, "BackupKeys", keys)(s.BackupKeys(p.Ctx))
			is(p, "DehydratedDeviceKey", []byte("dehydrated"))(s.DehydratedDeviceKey(p.Ctx))
		})
	}
}

func caseEmptyChange(p *probe) {
	s := p.open()
	before := s.dump()
	for range 2 {
		s.save(nil)
		s.save(&crypto.Changes{})
		s.save(&crypto.Changes{Identities: crypto.IdentityChanges{Unchanged: []crypto.Identity{{UserID: alice, Data: []byte("same")}}}})
	}
	s.unchanged("a change without content", before)
	s.save(&crypto.Changes{DownloadedRooms: []id.RoomID{kitchen}})
	is(p, "HasDownloadedRoom", true)(s.HasDownloadedRoom(p.Ctx, kitchen))
	s.save(&crypto.Changes{PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{garden: {}}})
	is(p, "PendingKeyBundle", &crypto.PendingKeyBundle{RoomID: garden})(s.PendingKeyBundle(p.Ctx, garden))
}

func casePrivateIdentity(p *probe) {
	s := p.open()
	is[*crypto.PrivateIdentity](p, "PrivateIdentity of a new store", nil)(s.PrivateIdentity(p.Ctx))
	for _, what := range []string{"first", "second"} {
		identity := &crypto.PrivateIdentity{UserID: alice, Pickle: pickle(what)}
		s.save(&crypto.Changes{PrivateIdentity: identity})
		s.again(func() { is(p, "PrivateIdentity", identity)(s.PrivateIdentity(p.Ctx)) })
	}
}

func caseNextBatch(p *probe) {
	s := p.open()
	is(p, "NextBatch of a new store", "")(s.NextBatch(p.Ctx))
	for _, token := range []string{"s1", "s2\x00\xff"} {
		s.save(&crypto.Changes{NextBatch: token})
		s.again(func() { is(p, "NextBatch", token)(s.NextBatch(p.Ctx)) })
	}
}

func caseBackupKeys(p *probe) {
	s := p.open()
	is(p, "BackupKeys of a new store", crypto.BackupKeys{})(s.BackupKeys(p.Ctx))
	s.save(&crypto.Changes{BackupDecryptionKey: []byte("key")})
	is(p, "BackupKeys", crypto.BackupKeys{DecryptionKey: []byte("key")})(s.BackupKeys(p.Ctx))
	s.save(&crypto.Changes{BackupVersion: "1"})
	s.again(func() {
		is(p, "BackupKeys", crypto.BackupKeys{DecryptionKey: []byte("key"), Version: "1"})(s.BackupKeys(p.Ctx))
	})
	s.save(&crypto.Changes{BackupDecryptionKey: []byte("another"), BackupVersion: "2"})
	is(p, "BackupKeys", crypto.BackupKeys{DecryptionKey: []byte("another"), Version: "2"})(s.BackupKeys(p.Ctx))
}

func caseDehydrated(p *probe) {
	s := p.open()
	is[[]byte](p, "DehydratedDeviceKey of a new store", nil)(s.DehydratedDeviceKey(p.Ctx))
	s.save(&crypto.Changes{DehydratedDeviceKey: []byte("32 bytes")})
	s.save(&crypto.Changes{NextBatch: "token"})
	s.again(func() { is(p, "DehydratedDeviceKey", []byte("32 bytes"))(s.DehydratedDeviceKey(p.Ctx)) })
	for range 2 {
		p.Must("DeleteDehydratedDeviceKey", s.DeleteDehydratedDeviceKey(p.Ctx))
		s.again(func() { is[[]byte](p, "DehydratedDeviceKey after its deletion", nil)(s.DehydratedDeviceKey(p.Ctx)) })
	}
	is(p, "NextBatch", "token")(s.NextBatch(p.Ctx))
}

const hour = time.Hour

package cryptotest

// Requests, secrets, rooms, verifications, and values of the application's own.

import (
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var valueCases = []Case{
	{
		Name:    "key-requests",
		Promise: "a request is found by its id and by what it asks for, and is unsent until it was sent; deleting it frees both",
		Origins: from("CR-28", "CR-29", "CR-30", "CR-31", seed(25)), run: caseRequests,
	},
	{
		Name:    "one-request-for-one-thing",
		Promise: "a request replaces the one that asks for the same thing, whose id is gone, and no other one, also where their parts do look alike together",
		Origins: from("CR-29", seed(26)), run: caseRequestReplaced,
	},
	{
		Name:    "secrets-of-the-inbox",
		Promise: "secrets are kept by their names, in the order in which they came, the same one once, encrypted or not, until all of a name are deleted",
		Origins: from("CR-32", "CR-33", "DIV-13", "GAP-CR/duplicate secrets when encrypted", seed(27), seed(28)), run: caseInbox,
		Differs: "the seed counts an identical secret twice where it is encrypted",
	},
	{
		Name:    "named-secrets",
		Promise: "a secret is as it was put last, any bytes and none included, until it is deleted, and has nothing to do with the inbox",
		Origins: from("contract"), run: caseSecrets,
	},
	{
		Name:    "room-settings",
		Promise: "rooms have settings of their own, and an unknown room has none",
		Origins: from("CR-34", seed(30)), run: caseRoomSettings,
	},
	{
		Name:    "room-key-bundles",
		Promise: "of the bundles of one sender for one room the last one counts, whatever others have sent",
		Origins: from("CR-35", seed(35)), run: caseBundles,
	},
	{
		Name:    "pending-bundles",
		Promise: "a room for which a bundle is expected is so until that is taken back, and is in the list of all of them",
		Origins: from("CR-36", "CR-37", seed(36)), run: casePending,
	},
	{
		Name:    "downloaded-rooms",
		Promise: "a room whose keys were downloaded is known to be so, and no other one is",
		Origins: from("CR-38", "GAP-CR/has_downloaded for unknown room", seed(37)), run: caseDownloaded,
	},
	{
		Name:    "verifications",
		Promise: "a verification is found by its id, by the other device, of several with one device the one that came last, and in the list of all of them",
		Origins: from("contract"), run: caseVerifications,
	},
	{
		Name:    "custom-values",
		Promise: "a value is as it was set last, under any key, none included, until it is removed; no key is one of the store's own",
		Origins: from("CR-39", "CR-40", "CR-41", "GAP-CR/remove_custom_value", "GAP-CR/custom key collision", seed(34)), run: caseCustom,
	},
	{
		Name:    "size-and-compact",
		Promise: "a store that has something takes some bytes, and Compact changes nothing of what is in it",
		Origins: from("CR-46", "GAP-CR/get_size"), run: caseSize,
	},
}

func caseRequests(p *probe) {
	s := p.open()
	one := crypto.KeyRequest{ID: "1", Info: crypto.SessionRequest(kitchen, "session", id.AlgorithmMegolmV1), Data: []byte("data")}
	two := crypto.KeyRequest{ID: "2", Info: crypto.SecretRequest(id.SecretMegolmBackupV1)}
	is[*crypto.KeyRequest](p, "KeyRequest of a new store", nil)(s.KeyRequest(p.Ctx, "1"))
	is[*crypto.KeyRequest](p, "KeyRequestFor of a new store", nil)(s.KeyRequestFor(p.Ctx, one.Info))
	s.save(&crypto.Changes{KeyRequests: []crypto.KeyRequest{one, two}})
	check := func() {
		for _, r := range []crypto.KeyRequest{one, two} {
			is(p, "KeyRequest", &r)(s.KeyRequest(p.Ctx, r.ID))
			is(p, "KeyRequestFor", &r)(s.KeyRequestFor(p.Ctx, r.Info))
		}
	}
	s.again(check)
	is(p, "UnsentKeyRequests", []crypto.KeyRequest{one, two})(s.UnsentKeyRequests(p.Ctx))
	one.Sent = true
	s.save(&crypto.Changes{KeyRequests: []crypto.KeyRequest{one}})
	s.again(func() {
		check()
		is(p, "UnsentKeyRequests after one was sent", []crypto.KeyRequest{two})(s.UnsentKeyRequests(p.Ctx))
	})
	one.Sent = false
	s.save(&crypto.Changes{KeyRequests: []crypto.KeyRequest{one}})
	is(p, "UnsentKeyRequests in the order of first storing", []crypto.KeyRequest{one, two})(s.UnsentKeyRequests(p.Ctx))
	for range 2 {
		p.Must("DeleteKeyRequest", s.DeleteKeyRequest(p.Ctx, "1"))
		s.again(func() {
			is[*crypto.KeyRequest](p, "KeyRequest that was deleted", nil)(s.KeyRequest(p.Ctx, "1"))
			is[*crypto.KeyRequest](p, "KeyRequestFor of one that was deleted", nil)(s.KeyRequestFor(p.Ctx, one.Info))
			is(p, "UnsentKeyRequests", []crypto.KeyRequest{two})(s.UnsentKeyRequests(p.Ctx))
		})
	}
}

func caseRequestReplaced(p *probe) {
	s := p.open()
	others := []crypto.KeyRequest{
		{ID: "other", Info: crypto.SecretRequest(id.SecretXSMaster)},
		{ID: "split", Info: crypto.SessionRequest("!room:s", "ession", "algorithm")},
		{ID: "algorithm", Info: crypto.SessionRequest("!room", "session", "another")},
	}
	s.save(&crypto.Changes{KeyRequests: others})
	for what, info := range map[string]crypto.RequestInfo{
		"a secret": crypto.SecretRequest("secret"), "a session": crypto.SessionRequest("!room", "session", "algorithm"),
	} {
		first, second := crypto.KeyRequest{ID: "first " + what, Info: info, Sent: true}, crypto.KeyRequest{ID: "second " + what, Info: info}
		s.save(&crypto.Changes{KeyRequests: []crypto.KeyRequest{first}})
		s.save(&crypto.Changes{KeyRequests: []crypto.KeyRequest{second}})
		s.again(func() {
			is[*crypto.KeyRequest](p, "KeyRequest of the one that was replaced", nil)(s.KeyRequest(p.Ctx, first.ID))
			is(p, "KeyRequest of the one that has replaced it", &second)(s.KeyRequest(p.Ctx, second.ID))
			is(p, "KeyRequestFor "+what, &second)(s.KeyRequestFor(p.Ctx, info))
		})
	}
	for _, other := range others {
		is(p, "KeyRequest for something else", &other)(s.KeyRequest(p.Ctx, other.ID))
	}
	// One that asks for something else now, which another one has asked for.
	moved := others[0]
	moved.Info = others[1].Info
	s.save(&crypto.Changes{KeyRequests: []crypto.KeyRequest{moved}})
	is[*crypto.KeyRequest](p, "KeyRequest of the one whose thing another one asks for now", nil)(s.KeyRequest(p.Ctx, "split"))
	is[*crypto.KeyRequest](p, "KeyRequestFor what nobody asks for any more", nil)(s.KeyRequestFor(p.Ctx, others[0].Info))
	is(p, "KeyRequestFor", &moved)(s.KeyRequestFor(p.Ctx, others[1].Info))
}

func caseInbox(p *probe) {
	s := p.open()
	put := func(name id.Secret, secrets ...string) {
		c := &crypto.Changes{}
		for _, secret := range secrets {
			c.Secrets = append(c.Secrets, crypto.InboxSecret{Name: name, Secret: []byte(secret)})
		}
		s.save(c)
	}
	has := func(name id.Secret, secrets ...string) {
		var want [][]byte
		for _, secret := range secrets {
			want = append(want, []byte(secret))
		}
		is(p, "InboxSecrets", want)(s.InboxSecrets(p.Ctx, name))
	}
	has("backup")
	put("backup", "z")
	has("backup", "z")
	put("backup", "a", "z", "a")
	put("other", "z")
	put("backup", "z")
	s.again(func() {
		has("backup", "z", "a")
		has("other", "z")
		has("third")
	})
	for range 2 {
		p.Must("DeleteInboxSecrets", s.DeleteInboxSecrets(p.Ctx, "backup"))
		s.again(func() {
			has("backup")
			has("other", "z")
		})
	}
	put("backup", "z")
	has("backup", "z")
	found[[]byte](p, "Secret of what is in the inbox", nil, false)(s.Secret(p.Ctx, "backup"))
}

func caseSecrets(p *probe) {
	s := p.open()
	found[[]byte](p, "Secret of a new store", nil, false)(s.Secret(p.Ctx, "name"))
	for _, secret := range [][]byte{[]byte("first"), {}, {0, 0xff}} {
		p.Must("PutSecret", s.PutSecret(p.Ctx, "name", secret))
		s.again(func() {
			found(p, "Secret", secret, true)(s.Secret(p.Ctx, "name"))
			found[[]byte](p, "Secret of another name", nil, false)(s.Secret(p.Ctx, "names"))
		})
	}
	is[[][]byte](p, "InboxSecrets of a secret that is in use", nil)(s.InboxSecrets(p.Ctx, "name"))
	p.Must("DeleteInboxSecrets", s.DeleteInboxSecrets(p.Ctx, "name"))
	found(p, "Secret", []byte{0, 0xff}, true)(s.Secret(p.Ctx, "name"))
	for range 2 {
		p.Must("DeleteSecret", s.DeleteSecret(p.Ctx, "name"))
		s.again(func() { found[[]byte](p, "Secret that was deleted", nil, false)(s.Secret(p.Ctx, "name")) })
	}
	p.Is("PutSecret without a name", s.PutSecret(p.Ctx, "", nil), crypto.ErrNoID)
}

func caseRoomSettings(p *probe) {
	s := p.open()
	one := crypto.RoomSettings{Algorithm: id.AlgorithmMegolmV1, EncryptStateEvents: true, OnlyTrustedDevices: true, RotationPeriod: 7 * 24 * hour, RotationMessages: 100}
	two := crypto.RoomSettings{}
	s.save(&crypto.Changes{RoomSettings: map[id.RoomID]crypto.RoomSettings{kitchen: one, garden: two}})
	check := func() {
		is(p, "RoomSettings", &one)(s.RoomSettings(p.Ctx, kitchen))
		is(p, "RoomSettings with nothing set", &two)(s.RoomSettings(p.Ctx, garden))
		is[*crypto.RoomSettings](p, "RoomSettings of an unknown room", nil)(s.RoomSettings(p.Ctx, "!none"))
	}
	s.again(check)
	one.OnlyTrustedDevices, one.RotationPeriod = false, time.Millisecond
	s.save(&crypto.Changes{RoomSettings: map[id.RoomID]crypto.RoomSettings{kitchen: one}})
	s.again(check)
}

func caseBundles(p *probe) {
	s := p.open()
	bundle := func(sender id.UserID, data string) crypto.RoomKeyBundle {
		return crypto.RoomKeyBundle{RoomID: kitchen, Sender: sender, Data: []byte(data)}
	}
	s.save(&crypto.Changes{RoomKeyBundles: []crypto.RoomKeyBundle{bundle(alice, "first"), bundle(bob, "bob's"), bundle(alice, "second")}})
	s.again(func() {
		is(p, "RoomKeyBundle", ptr(bundle(alice, "second")))(s.RoomKeyBundle(p.Ctx, kitchen, alice))
		is(p, "RoomKeyBundle", ptr(bundle(bob, "bob's")))(s.RoomKeyBundle(p.Ctx, kitchen, bob))
		is[*crypto.RoomKeyBundle](p, "RoomKeyBundle of another room", nil)(s.RoomKeyBundle(p.Ctx, garden, alice))
	})
	s.save(&crypto.Changes{RoomKeyBundles: []crypto.RoomKeyBundle{bundle(alice, "third")}})
	is(p, "RoomKeyBundle", ptr(bundle(alice, "third")))(s.RoomKeyBundle(p.Ctx, kitchen, alice))
}

func casePending(p *probe) {
	s := p.open()
	is[*crypto.PendingKeyBundle](p, "PendingKeyBundle of a new store", nil)(s.PendingKeyBundle(p.Ctx, kitchen))
	is[[]crypto.PendingKeyBundle](p, "PendingKeyBundles of a new store", nil)(s.PendingKeyBundles(p.Ctx))
	one, two := crypto.PendingKeyBundle{RoomID: kitchen, InviteAcceptedAt: at(5), Inviter: bob}, crypto.PendingKeyBundle{RoomID: garden}
	put := func(room id.RoomID, b *crypto.PendingKeyBundle) {
		s.save(&crypto.Changes{PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{room: b}})
	}
	put(kitchen, &crypto.PendingKeyBundle{RoomID: "!which room it says does not count", InviteAcceptedAt: one.InviteAcceptedAt, Inviter: one.Inviter})
	put(garden, &two)
	s.again(func() {
		is(p, "PendingKeyBundle", &one)(s.PendingKeyBundle(p.Ctx, kitchen))
		is(p, "PendingKeyBundles", []crypto.PendingKeyBundle{one, two})(s.PendingKeyBundles(p.Ctx))
	})
	for range 2 {
		put(kitchen, nil)
		s.again(func() {
			is[*crypto.PendingKeyBundle](p, "PendingKeyBundle that was taken back", nil)(s.PendingKeyBundle(p.Ctx, kitchen))
			is(p, "PendingKeyBundles", []crypto.PendingKeyBundle{two})(s.PendingKeyBundles(p.Ctx))
		})
	}
}

func caseDownloaded(p *probe) {
	s := p.open()
	is(p, "HasDownloadedRoom of a new store", false)(s.HasDownloadedRoom(p.Ctx, kitchen))
	for range 2 {
		s.save(&crypto.Changes{DownloadedRooms: []id.RoomID{kitchen, kitchen}})
		s.again(func() {
			is(p, "HasDownloadedRoom", true)(s.HasDownloadedRoom(p.Ctx, kitchen))
			is(p, "HasDownloadedRoom of another room", false)(s.HasDownloadedRoom(p.Ctx, garden))
			is(p, "HasDownloadedRoom of no room", false)(s.HasDownloadedRoom(p.Ctx, ""))
		})
	}
}

func caseVerifications(p *probe) {
	s := p.open()
	is[*crypto.Verification](p, "Verification of a new store", nil)(s.Verification(p.Ctx, "1"))
	is[[]crypto.Verification](p, "Verifications of a new store", nil)(s.Verifications(p.Ctx))
	is(p, "DeleteVerification of none", false)(s.DeleteVerification(p.Ctx, "1"))
	var all []crypto.Verification
	for i, name := range []id.VerificationTransactionID{"9", "1", "5"} {
		v := crypto.Verification{ID: name, UserID: bob, DeviceID: "DEVICE", ExpiresAt: at(i), Data: fmt.Append(nil, i)}
		p.Must("SaveVerification", s.SaveVerification(p.Ctx, &v))
		all = append(all, v)
	}
	all[0].Data = []byte("another")
	p.Must("SaveVerification", s.SaveVerification(p.Ctx, &all[0])) // which keeps its place
	s.again(func() {
		for _, v := range all {
			is(p, "Verification", &v)(s.Verification(p.Ctx, v.ID))
		}
		is(p, "Verifications", all)(s.Verifications(p.Ctx))
		is(p, "VerificationWith", &all[2])(s.VerificationWith(p.Ctx, bob, "DEVICE"))
		is[*crypto.Verification](p, "VerificationWith another device", nil)(s.VerificationWith(p.Ctx, bob, "OTHER"))
		is[*crypto.Verification](p, "VerificationWith another user", nil)(s.VerificationWith(p.Ctx, alice, "DEVICE"))
	})
	all[2].DeviceID = "OTHER"
	p.Must("SaveVerification", s.SaveVerification(p.Ctx, &all[2]))
	is(p, "VerificationWith a device that another one was with", &all[1])(s.VerificationWith(p.Ctx, bob, "DEVICE"))
	is(p, "VerificationWith", &all[2])(s.VerificationWith(p.Ctx, bob, "OTHER"))
	is(p, "DeleteVerification", true)(s.DeleteVerification(p.Ctx, "1"))
	is(p, "DeleteVerification for the second time", false)(s.DeleteVerification(p.Ctx, "1"))
	s.again(func() { is(p, "Verifications", slices.Delete(slices.Clone(all), 1, 2))(s.Verifications(p.Ctx)) })
}

func caseCustom(p *probe) {
	s := p.open()
	// Names that a store may have for what is its own.
	keys := [][]byte{{}, {0}, {0xff, 0xfe}, []byte("cipher"), []byte("version"), []byte("account"), []byte("next_batch_token"), []byte("key"), []byte("kEy")}
	s.save(&crypto.Changes{Account: account("here"), NextBatch: "token"})
	for _, k := range keys {
		found[[]byte](p, fmt.Sprintf("CustomValue of %q in a new store", k), nil, false)(s.CustomValue(p.Ctx, k))
	}
	for i, k := range keys {
		p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, k, []byte("first")))
		p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, k, fmt.Append(nil, i)))
	}
	p.Must("SetCustomValue of nothing", s.SetCustomValue(p.Ctx, []byte("empty"), nil))
	s.again(func() {
		for i, k := range keys {
			found(p, fmt.Sprintf("CustomValue of %q", k), fmt.Append(nil, i), true)(s.CustomValue(p.Ctx, k))
		}
		found(p, "CustomValue that is empty", []byte{}, true)(s.CustomValue(p.Ctx, []byte("empty")))
		is(p, "Account", account("here"))(s.Account(p.Ctx))
		is(p, "NextBatch", "token")(s.NextBatch(p.Ctx))
	})
	for range 2 {
		for _, k := range keys[1:] {
			p.Must("RemoveCustomValue", s.RemoveCustomValue(p.Ctx, k))
		}
		s.again(func() {
			for _, k := range keys[1:] {
				found[[]byte](p, fmt.Sprintf("CustomValue of %q after its removal", k), nil, false)(s.CustomValue(p.Ctx, k))
			}
			found(p, "CustomValue of another key", []byte("0"), true)(s.CustomValue(p.Ctx, nil))
			is(p, "Account", account("here"))(s.Account(p.Ctx))
		})
	}
}

func caseSize(p *probe) {
	s := p.open()
	all := inbounds(kitchen, 100)
	s.save(&crypto.Changes{InboundGroupSessions: all})
	size, err := s.Bytes(p.Ctx)
	p.Must("Bytes", err)
	if size < 1000 {
		p.Broken("a store with 100 sessions takes %d bytes", size)
	}
	p.Must("Compact", s.Compact(p.Ctx))
	is(p, "InboundGroupSessions after Compact", all)(s.InboundGroupSessions(p.Ctx))
}

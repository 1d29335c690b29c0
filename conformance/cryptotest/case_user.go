package cryptotest

// Devices and identities of users, who is tracked, and who has signed whose keys.

import (
	"context"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var userCases = []Case{
	{
		Name:    "tracked-users",
		Promise: "tracked users are those that were saved, in the order in which they came first, each with the flag that was saved last",
		Origins: from("CR-21", "CR-22", seed(19)), run: caseTracked,
	},
	{
		Name:    "tracked-users-together",
		Promise: "users that are saved at once are tracked at once: nobody sees half of them, and one that cannot be saved keeps all the others from it",
		Origins: from("CR-22", "GAP-CR/save_tracked_users atomicity"), run: caseTrackedTogether,
	},
	{
		Name:    "outdated-users",
		Promise: "only who is tracked is marked as outdated; of a list those who are tracked come back in its order, each once",
		Origins: from("contract"), run: caseOutdated,
	},
	{
		Name:    "devices",
		Promise: "a device is found by user and id, by user and key, and among the user's, with all that came with it, what nobody knows included",
		Origins: from("CR-23", "CR-24", seed(20)), run: caseDevices,
	},
	{
		Name:    "deleted-devices",
		Promise: "a device that is deleted is not there; one that is marked as deleted is found by its id and its key, and not among the user's",
		Origins: from("CR-23", seed(21)), run: caseDeletedDevices,
	},
	{
		Name:    "device-by-key",
		Promise: "of several devices with one key one that is not deleted is found, of these the one that was first stored last",
		Origins: from("contract"), run: caseDeviceByKey,
	},
	{
		Name:    "replacing-devices",
		Promise: "a user's devices are replaced in one step: those that are gone are marked as deleted, the user is tracked and up to date, and no other user has changed",
		Origins: from("contract"), run: caseReplaceDevices,
	},
	{
		Name:    "identities",
		Promise: "the identity of a user is as it was stored last, as a new or as a changed one",
		Origins: from("CR-26", seed(22)), run: caseIdentities,
	},
	{
		Name:    "cross-signing-keys",
		Promise: "a user has one key for each usage, and the one that was seen first stays known",
		Origins: from("contract"), run: caseCrossSigning,
	},
	{
		Name:    "signatures",
		Promise: "a signature is by one key on one key; those that a key has made can be dropped together",
		Origins: from("contract"), run: caseSignatures,
	},
}

func caseTracked(p *probe) {
	s := p.open()
	is[[]crypto.TrackedUser](p, "TrackedUsers of a new store", nil)(s.TrackedUsers(p.Ctx))
	p.Must("SaveTrackedUsers of none", s.SaveTrackedUsers(p.Ctx, nil))
	want := []crypto.TrackedUser{{UserID: bob}, {UserID: alice, Outdated: true}}
	p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, want))
	s.again(func() { is(p, "TrackedUsers", want)(s.TrackedUsers(p.Ctx)) })
	carol := crypto.TrackedUser{UserID: "@carol:example.org"}
	p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, []crypto.TrackedUser{carol, {UserID: bob, Outdated: true}, {UserID: alice}, {UserID: carol.UserID, Outdated: true}}))
	carol.Outdated = true
	s.again(func() {
		is(p, "TrackedUsers", []crypto.TrackedUser{{UserID: bob, Outdated: true}, {UserID: alice}, carol})(s.TrackedUsers(p.Ctx))
		is(p, "OutdatedUsers", []id.UserID{bob, carol.UserID})(s.OutdatedUsers(p.Ctx))
	})
}

func caseTrackedTogether(p *probe) {
	s := p.open()
	users := make([]crypto.TrackedUser, 50)
	for i := range users {
		users[i].UserID = id.UserID(fmt.Sprintf("@%d:example.org", i))
	}
	broken := append(slices.Clone(users), crypto.TrackedUser{})
	p.Is("SaveTrackedUsers with somebody without an id", s.SaveTrackedUsers(p.Ctx, broken), crypto.ErrNoID)
	is[[]crypto.TrackedUser](p, "TrackedUsers after that", nil)(s.TrackedUsers(p.Ctx))
	ctx, cancel := context.WithCancel(p.Ctx)
	done := p.Go(func() {
		defer cancel()
		for i := range p.count(10, 20, 100, 1000) {
			for j := range users {
				users[j].Outdated = i%2 == 1
			}
			p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, users))
		}
	})
	for ctx.Err() == nil {
		all, err := s.OutdatedUsers(p.Ctx)
		p.Must("OutdatedUsers", err)
		if len(all) != 0 && len(all) != len(users) {
			p.Broken("of %d users that are always saved together, %d are outdated", len(users), len(all))
			break
		}
	}
	<-done
}

func caseOutdated(p *probe) {
	s := p.open()
	is[[]id.UserID](p, "FilterTracked of a new store", nil)(s.FilterTracked(p.Ctx, []id.UserID{alice}))
	p.Must("MarkOutdated of a new store", s.MarkOutdated(p.Ctx, []id.UserID{alice}))
	is[[]crypto.TrackedUser](p, "TrackedUsers after somebody was marked who is not tracked", nil)(s.TrackedUsers(p.Ctx))
	p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, []crypto.TrackedUser{{UserID: alice}, {UserID: bob}}))
	is[[]id.UserID](p, "FilterTracked of nobody", nil)(s.FilterTracked(p.Ctx, nil))
	is(p, "FilterTracked", []id.UserID{bob, alice})(s.FilterTracked(p.Ctx, []id.UserID{"@none", bob, alice, bob, "", alice[:3]}))
	is[[]id.UserID](p, "OutdatedUsers", nil)(s.OutdatedUsers(p.Ctx))
	p.Must("MarkOutdated of nobody", s.MarkOutdated(p.Ctx, nil))
	p.Must("MarkOutdated", s.MarkOutdated(p.Ctx, []id.UserID{"@none", bob, bob}))
	s.again(func() {
		is(p, "OutdatedUsers", []id.UserID{bob})(s.OutdatedUsers(p.Ctx))
		is(p, "TrackedUsers", []crypto.TrackedUser{{UserID: alice}, {UserID: bob, Outdated: true}})(s.TrackedUsers(p.Ctx))
	})
}

// devices checks which devices of a user there are, and whether he is tracked.
func (s *subject) devices(what string, user id.UserID, tracked bool, want ...crypto.Device) {
	all := map[id.DeviceID]*crypto.Device{}
	for _, d := range want {
		all[d.DeviceID] = &d
	}
	found(s.p, "Devices "+what, all, tracked)(s.Devices(s.p.Ctx, user))
}

func caseDevices(p *probe) {
	s := p.open()
	is[*crypto.Device](p, "Device of a new store", nil)(s.Device(p.Ctx, alice, "A"))
	s.devices("of a new store", alice, false)
	a, b, c := device(alice, "A"), device(alice, "B"), device(bob, "A")
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{a, c}, Changed: []crypto.Device{b}}})
	check := func() {
		is(p, "Device", &a)(s.Device(p.Ctx, alice, "A"))
		is(p, "Device", &c)(s.Device(p.Ctx, bob, "A"))
		is[*crypto.Device](p, "Device of nobody", nil)(s.Device(p.Ctx, bob, "B"))
		is(p, "DeviceByKey", &b)(s.DeviceByKey(p.Ctx, alice, b.IdentityKey))
		is[*crypto.Device](p, "DeviceByKey of another user", nil)(s.DeviceByKey(p.Ctx, bob, b.IdentityKey))
		s.devices("of a user who is not tracked", alice, false, a, b)
		s.devices("of another user", bob, false, c)
	}
	s.again(check)
	old := a.IdentityKey
	a.IdentityKey, a.SigningKey, a.Trust, a.Name, a.Data = "another curve", "another ed", id.TrustStateBlacklisted, "", nil
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{Changed: []crypto.Device{a}}})
	s.again(check)
	is(p, "DeviceByKey of its new key", &a)(s.DeviceByKey(p.Ctx, alice, a.IdentityKey))
	is[*crypto.Device](p, "DeviceByKey of its old key", nil)(s.DeviceByKey(p.Ctx, alice, old))
}

func caseDeletedDevices(p *probe) {
	s := p.open()
	a, b, c := device(alice, "A"), device(alice, "B"), device(alice, "C")
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{a, b, c}}})
	b.Deleted = true
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{
		New: []crypto.Device{b}, Deleted: []crypto.DeviceKey{{UserID: alice, DeviceID: "A"}, {UserID: bob, DeviceID: "C"}, {UserID: alice, DeviceID: "none"}},
	}})
	s.again(func() {
		is[*crypto.Device](p, "Device that was deleted", nil)(s.Device(p.Ctx, alice, "A"))
		is[*crypto.Device](p, "DeviceByKey of one that was deleted", nil)(s.DeviceByKey(p.Ctx, alice, a.IdentityKey))
		is(p, "Device that is marked as deleted", &b)(s.Device(p.Ctx, alice, "B"))
		is(p, "DeviceByKey of one that is marked as deleted", &b)(s.DeviceByKey(p.Ctx, alice, b.IdentityKey))
		s.devices("after deletions", alice, false, c)
	})
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{device(bob, "X")}, Deleted: []crypto.DeviceKey{{UserID: bob, DeviceID: "X"}}}})
	is[*crypto.Device](p, "Device that is new and deleted in one change", nil)(s.Device(p.Ctx, bob, "X"))
}

func caseDeviceByKey(p *probe) {
	s := p.open()
	var all []crypto.Device
	for i, name := range []id.DeviceID{"M", "Z", "A", "Q"} {
		d := device(alice, name)
		d.IdentityKey, d.Deleted = "shared", i == 3
		s.save(&crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{d}}})
		all = append(all, d)
	}
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{Changed: all[:1]}}) // which keeps its place
	s.again(func() { is(p, "DeviceByKey", &all[2])(s.DeviceByKey(p.Ctx, alice, "shared")) })
	for _, i := range []int{2, 1, 0} {
		is(p, "DeviceByKey", &all[i])(s.DeviceByKey(p.Ctx, alice, "shared"))
		all[i].Deleted = true
		s.save(&crypto.Changes{Devices: crypto.DeviceChanges{Changed: all[i : i+1]}})
	}
	is(p, "DeviceByKey, where all are deleted,", &all[3])(s.DeviceByKey(p.Ctx, alice, "shared"))
}

func caseReplaceDevices(p *probe) {
	s := p.open()
	p.Is("ReplaceDevices of nobody", s.ReplaceDevices(p.Ctx, "", nil), crypto.ErrNoID)
	p.Is("ReplaceDevices by one without an id", s.ReplaceDevices(p.Ctx, alice, []crypto.Device{device(alice, "A"), {}}), crypto.ErrNoID)
	s.devices("after changes that were refused", alice, false)
	a, b, c := device(alice, "A"), device(alice, "B"), device(bob, "C")
	s.save(&crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{c}}})
	given := []crypto.Device{a, b}
	given[0].UserID = bob // whose it is said to be does not count
	p.Must("ReplaceDevices", s.ReplaceDevices(p.Ctx, alice, given))
	if given[0].UserID != bob {
		p.Broken("ReplaceDevices has changed the devices that it was given")
	}
	s.again(func() {
		s.devices("that were replaced", alice, true, a, b)
		s.devices("of another user", bob, false, c)
	})
	p.Must("MarkOutdated", s.MarkOutdated(p.Ctx, []id.UserID{alice}))
	a.Name = "another phone"
	p.Must("ReplaceDevices", s.ReplaceDevices(p.Ctx, alice, []crypto.Device{a}))
	b.Deleted = true
	s.again(func() {
		s.devices("that were replaced by fewer", alice, true, a)
		is(p, "Device that is gone", &b)(s.Device(p.Ctx, alice, "B"))
		is[[]id.UserID](p, "OutdatedUsers", nil)(s.OutdatedUsers(p.Ctx))
		is(p, "TrackedUsers", []crypto.TrackedUser{{UserID: alice}})(s.TrackedUsers(p.Ctx))
		s.devices("of another user", bob, false, c)
	})
	p.Must("ReplaceDevices by none", s.ReplaceDevices(p.Ctx, bob, nil))
	s.devices("that were replaced by none", bob, true)
	b.Deleted = false
	p.Must("ReplaceDevices", s.ReplaceDevices(p.Ctx, alice, []crypto.Device{a, b}))
	s.devices("one of which has come back", alice, true, a, b)
}

func caseIdentities(p *probe) {
	s := p.open()
	is[*crypto.Identity](p, "Identity of a new store", nil)(s.Identity(p.Ctx, alice))
	own, other := crypto.Identity{UserID: alice, Data: []byte("own")}, crypto.Identity{UserID: bob, Data: []byte("other")}
	s.save(&crypto.Changes{Identities: crypto.IdentityChanges{New: []crypto.Identity{own}, Changed: []crypto.Identity{other}}})
	check := func() {
		is(p, "Identity", &own)(s.Identity(p.Ctx, alice))
		is(p, "Identity", &other)(s.Identity(p.Ctx, bob))
	}
	s.again(check)
	other.Data = []byte("verified")
	s.save(&crypto.Changes{Identities: crypto.IdentityChanges{Changed: []crypto.Identity{other}, Unchanged: []crypto.Identity{{UserID: alice, Data: []byte("what was not changed")}}}})
	s.again(check)
	is[*crypto.Identity](p, "Identity of nobody", nil)(s.Identity(p.Ctx, "@none"))
}

func caseCrossSigning(p *probe) {
	s := p.open()
	is(p, "CrossSigningKeys of a new store", map[id.CrossSigningUsage]id.CrossSigningKey{})(s.CrossSigningKeys(p.Ctx, alice))
	put := func(user id.UserID, usage id.CrossSigningUsage, k id.Ed25519) {
		p.Must("SaveCrossSigningKey", s.SaveCrossSigningKey(p.Ctx, user, usage, k))
	}
	put(alice, id.XSUsageMaster, "first")
	put(alice, id.XSUsageMaster, "second")
	put(alice, id.XSUsageSelfSigning, "self")
	put(bob, id.XSUsageMaster, "bob's")
	put(alice, id.XSUsageMaster, "third")
	s.again(func() {
		is(p, "CrossSigningKeys", map[id.CrossSigningUsage]id.CrossSigningKey{
			id.XSUsageMaster: {Key: "third", First: "first"}, id.XSUsageSelfSigning: {Key: "self", First: "self"},
		})(s.CrossSigningKeys(p.Ctx, alice))
		is(p, "CrossSigningKeys", map[id.CrossSigningUsage]id.CrossSigningKey{id.XSUsageMaster: {Key: "bob's", First: "bob's"}})(s.CrossSigningKeys(p.Ctx, bob))
	})
	p.Is("SaveCrossSigningKey without a key", s.SaveCrossSigningKey(p.Ctx, alice, id.XSUsageMaster, ""), crypto.ErrNoID)
}

func caseSignatures(p *probe) {
	s := p.open()
	sign := func(signed id.UserID, k id.Ed25519, signer id.UserID, by id.Ed25519) crypto.Signature {
		return crypto.Signature{SignedUser: signed, SignedKey: k, Signer: signer, SignerKey: by, Signature: fmt.Sprint(signed, k, signer, by)}
	}
	all := []crypto.Signature{
		sign(alice, "a1", alice, "m"), sign(alice, "a1", bob, "m"), sign(alice, "a1", alice, "n"), sign(alice, "a2", alice, "m"), sign(bob, "a1", alice, "m"),
	}
	for _, one := range all {
		is(p, "IsSignedBy of a new store", false)(s.IsSignedBy(p.Ctx, one))
		p.Must("SaveSignature", s.SaveSignature(p.Ctx, one))
	}
	all[0].Signature = "another"
	p.Must("SaveSignature", s.SaveSignature(p.Ctx, all[0]))
	s.again(func() {
		for _, one := range all {
			one.Signature = ""
			is(p, "IsSignedBy", true)(s.IsSignedBy(p.Ctx, one))
		}
		is(p, "IsSignedBy of what nobody has signed", false)(s.IsSignedBy(p.Ctx, sign(bob, "a2", alice, "m")))
		is(p, "SignaturesBy", map[id.Ed25519]string{"m": "another", "n": all[2].Signature})(s.SignaturesBy(p.Ctx, alice, "a1", alice))
		is(p, "SignaturesBy of another signer", map[id.Ed25519]string{"m": all[1].Signature})(s.SignaturesBy(p.Ctx, alice, "a1", bob))
		is(p, "SignaturesBy of none", map[id.Ed25519]string{})(s.SignaturesBy(p.Ctx, bob, "a2", alice))
	})
	is(p, "DropSignaturesBy", int64(3))(s.DropSignaturesBy(p.Ctx, alice, "m"))
	is(p, "DropSignaturesBy for the second time", int64(0))(s.DropSignaturesBy(p.Ctx, alice, "m"))
	s.again(func() {
		for i, one := range all {
			is(p, "IsSignedBy after a key's signatures were dropped", i == 1 || i == 2)(s.IsSignedBy(p.Ctx, one))
		}
	})
}

package cryptotest

// Identifiers are what servers and other clients send: anything.

import (
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var inputCases = []Case{
	{
		Name:    "strange-identifiers",
		Promise: "identifiers are any bytes, of any length, and are told apart by every one of them",
		Origins: from("bad input/binary ids", "bad input/oversized ids", "bad input/SQL in ids"), run: caseStrange,
	},
	{
		Name:    "what-cannot-be-stored",
		Promise: "what has no identifier, or no pickle, is refused with a typed error, and nothing that came with it is stored",
		Origins: from("bad input/empty ids", "contract"), run: caseRefused,
	},
	{
		Name:    "large-records",
		Promise: "pickles and data of any size come back as they were",
		Origins: from("bad input/large records"), run: caseLarge,
	},
	{
		Name:    "what-is-given-is-the-callers",
		Promise: "what a caller does with what he has given, or was given, changes nothing in the store",
		Origins: from("contract"), run: caseOwn,
	},
}

// strange are identifiers.
var strange = []string{
	"\x00", "\x00\x00", "\xff\xfe", "a\x00b", "a", "A", " a", "a ", "ä", "a\u0308", "'; DROP TABLE session; --", `"`, "%", "_", "*", "NULL", "?1",
	strings.Repeat("x", 300), strings.Repeat("x", 70_000), strings.Repeat("x", 69_999) + "y",
}

func caseStrange(p *probe) {
	s := p.open()
	c := &crypto.Changes{RoomSettings: map[id.RoomID]crypto.RoomSettings{}, PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{}}
	var users []crypto.TrackedUser
	var names []id.UserID
	for i, text := range strange {
		c.Sessions = append(c.Sessions, olm(id.SessionID(text), id.SenderKey(text), i))
		c.InboundGroupSessions = append(c.InboundGroupSessions, inbound(id.RoomID(text), "session"), inbound("!room", id.SessionID(text)))
		c.Devices.New = append(c.Devices.New, device(id.UserID(text), "DEVICE"), device(alice, id.DeviceID(text)))
		c.Secrets = append(c.Secrets, crypto.InboxSecret{Name: id.Secret(text), Secret: []byte(text)})
		c.RoomSettings[id.RoomID(text)] = crypto.RoomSettings{RotationMessages: i}
		c.KeyRequests = append(c.KeyRequests, crypto.KeyRequest{ID: text, Info: crypto.SecretRequest(id.Secret(text))})
		c.MessageHashes = append(c.MessageHashes, crypto.MessageHash{Hash: []byte(text), At: at(i)})
		users, names = append(users, crypto.TrackedUser{UserID: id.UserID(text)}), append(names, id.UserID(text))
	}
	s.save(c)
	p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, users))
	s.again(func() {
		for i, text := range strange {
			is(p, "Sessions", c.Sessions[i:i+1])(s.Sessions(p.Ctx, id.SenderKey(text)))
			s.inbound("InboundGroupSession", &c.InboundGroupSessions[2*i])
			s.inbound("InboundGroupSession", &c.InboundGroupSessions[2*i+1])
			is(p, "Device", &c.Devices.New[2*i])(s.Device(p.Ctx, id.UserID(text), "DEVICE"))
			is(p, "Device", &c.Devices.New[2*i+1])(s.Device(p.Ctx, alice, id.DeviceID(text)))
			is(p, "InboxSecrets", [][]byte{[]byte(text)})(s.InboxSecrets(p.Ctx, id.Secret(text)))
			is(p, "RoomSettings", &crypto.RoomSettings{RotationMessages: i})(s.RoomSettings(p.Ctx, id.RoomID(text)))
			is(p, "KeyRequest", &c.KeyRequests[i])(s.KeyRequest(p.Ctx, text))
			found(p, "MessageHash", at(i), true)(s.MessageHash(p.Ctx, "", []byte(text)))
		}
		is(p, "TrackedUsers", users)(s.TrackedUsers(p.Ctx))
		is(p, "FilterTracked", names)(s.FilterTracked(p.Ctx, names))
	})
}

func caseRefused(p *probe) {
	s := p.open()
	good := crypto.Changes{NextBatch: "token", Sessions: []crypto.Session{olm("s", key, 1)}}
	before := s.dump()
	for what, test := range map[string]struct {
		change func(*crypto.Changes)
		want   error
	}{
		"account without a device": {func(c *crypto.Changes) {
			c.Account = &crypto.Account{UserID: alice, IdentityKey: "k", Pickle: pickle(1)}
		}, crypto.ErrNoID},
		"account without a pickle":      {func(c *crypto.Changes) { c.Account = &crypto.Account{UserID: alice, DeviceID: "D", IdentityKey: "k"} }, crypto.ErrNoPickle},
		"private identity without keys": {func(c *crypto.Changes) { c.PrivateIdentity = &crypto.PrivateIdentity{UserID: alice} }, crypto.ErrNoPickle},
		"session without a pickle": {func(c *crypto.Changes) {
			c.Sessions = append(c.Sessions[:1:1], crypto.Session{ID: "x", SenderKey: key})
		}, crypto.ErrNoPickle},
		"inbound session without a room": {func(c *crypto.Changes) { c.InboundGroupSessions = []crypto.InboundGroupSession{inbound("", "x")} }, crypto.ErrNoID},
		"outbound session without an id": {func(c *crypto.Changes) {
			c.OutboundGroupSessions = []crypto.OutboundGroupSession{outbound(kitchen, "", 1)}
		}, crypto.ErrNoID},
		"empty message hash":         {func(c *crypto.Changes) { c.MessageHashes = []crypto.MessageHash{{SenderKey: key}} }, crypto.ErrNoID},
		"request for nothing":        {func(c *crypto.Changes) { c.KeyRequests = []crypto.KeyRequest{{ID: "1"}} }, crypto.ErrNoID},
		"withheld without a session": {func(c *crypto.Changes) { c.Withheld = []crypto.Withheld{withheld(kitchen, "", "m.x")} }, crypto.ErrNoID},
		"bundle of no sender":        {func(c *crypto.Changes) { c.RoomKeyBundles = []crypto.RoomKeyBundle{{RoomID: kitchen}} }, crypto.ErrNoID},
		"no room":                    {func(c *crypto.Changes) { c.DownloadedRooms = []id.RoomID{""} }, crypto.ErrNoID},
		"device of nobody":           {func(c *crypto.Changes) { c.Devices.Changed = []crypto.Device{device("", "D")} }, crypto.ErrNoID},
	} {
		c := good
		test.change(&c)
		p.Is("SaveChanges with: "+what, s.SaveChanges(p.Ctx, &c), test.want)
	}
	_, err := s.UpdateSession(p.Ctx, &crypto.Session{ID: "s", SenderKey: key})
	p.Is("UpdateSession without a pickle", err, crypto.ErrNoPickle)
	_, err = s.UpdateOutboundGroupSession(p.Ctx, &crypto.OutboundGroupSession{RoomID: kitchen, SessionID: "s"})
	p.Is("UpdateOutboundGroupSession without a pickle", err, crypto.ErrNoPickle)
	_, err = s.AddMessageHash(p.Ctx, crypto.MessageHash{})
	p.Is("AddMessageHash of nothing", err, crypto.ErrNoID)
	for _, event := range []id.EventID{"$event", ""} {
		ok, err := s.CheckMessageIndex(p.Ctx, crypto.MessageIndex{SenderKey: key, EventID: event})
		p.Is("CheckMessageIndex without a session", err, crypto.ErrNoID)
		if ok {
			p.Broken("CheckMessageIndex returned true besides its error: the message would be shown")
		}
	}
	p.Is("MarkShared with nobody", s.MarkShared(p.Ctx, []crypto.Share{{UserID: alice, IdentityKey: key, SessionID: "s"}, {}}), crypto.ErrNoID)
	is(p, "IsShared of one that came with one that was refused", false)(s.IsShared(p.Ctx, crypto.Share{UserID: alice, IdentityKey: key, SessionID: "s"}))
	p.Is("SaveSignature of nobody", s.SaveSignature(p.Ctx, crypto.Signature{}), crypto.ErrNoID)
	p.Is("SaveVerification without an id", s.SaveVerification(p.Ctx, &crypto.Verification{}), crypto.ErrNoID)
	s.unchanged("what was refused", before)
}

func caseLarge(p *probe) {
	s := p.open()
	for _, size := range []int{1, 4096, 1 << 20} {
		one := inbound(kitchen, id.SessionID(fmt.Sprint(size)))
		one.Pickle = []byte(strings.Repeat("\xfe\x00pickle", size/8+1)[:size])
		one.Extra = one.Pickle
		s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
		s.again(func() { s.inbound("InboundGroupSession", &one) })
		p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, one.Pickle, one.Pickle))
		found(p, "CustomValue", one.Pickle, true)(s.CustomValue(p.Ctx, one.Pickle))
	}
}

func caseOwn(p *probe) {
	s := p.open()
	one, session := inbound(kitchen, "one"), olm("s", key, 1)
	given := crypto.Changes{
		InboundGroupSessions: []crypto.InboundGroupSession{inbound(kitchen, "one")}, Sessions: []crypto.Session{olm("s", key, 1)},
		BackupDecryptionKey: []byte("key"), Secrets: []crypto.InboxSecret{{Name: "name", Secret: []byte("secret")}},
	}
	secret := []byte("secret")
	s.save(&given)
	p.Must("PutSecret", s.PutSecret(p.Ctx, "name", secret))
	p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, []byte("key"), secret))
	spoil := func(all ...[]byte) {
		for _, b := range all {
			clear(b)
		}
	}
	spoil(given.InboundGroupSessions[0].Pickle, given.Sessions[0].Pickle, given.BackupDecryptionKey, given.Secrets[0].Secret, secret)
	given.InboundGroupSessions[0].ForwardingChains[0] = "changed"
	for range 2 {
		got, err := s.InboundGroupSession(p.Ctx, kitchen, "one")
		is(p, "InboundGroupSession", &one)(got, err)
		olms, err := s.Sessions(p.Ctx, key)
		is(p, "Sessions", []crypto.Session{session})(olms, err)
		keys, err := s.BackupKeys(p.Ctx)
		is(p, "BackupKeys", crypto.BackupKeys{DecryptionKey: []byte("key")})(keys, err)
		inbox, err := s.InboxSecrets(p.Ctx, "name")
		is(p, "InboxSecrets", [][]byte{[]byte("secret")})(inbox, err)
		named, there, err := s.Secret(p.Ctx, "name")
		found(p, "Secret", []byte("secret"), true)(named, there, err)
		custom, there, err := s.CustomValue(p.Ctx, []byte("key"))
		found(p, "CustomValue", []byte("secret"), true)(custom, there, err)
		if p.Failed() {
			return
		}
		spoil(got.Pickle, got.Extra, olms[0].Pickle, keys.DecryptionKey, inbox[0], named, custom)
		got.ForwardingChains[0] = "changed"
	}
}

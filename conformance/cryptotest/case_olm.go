package cryptotest

// Olm sessions, and what protects from messages that come twice.

import (
	"fmt"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var olmCases = []Case{
	{
		Name:    "olm-sessions",
		Promise: "a session is found by the sender's key, as it was stored last, also when the store was opened again",
		Origins: from("CR-03", "CR-06", seed(6), seed(7)), run: caseOlm,
	},
	{
		Name:    "latest-session",
		Promise: "of several sessions the one that has decrypted last comes first; of two that did so at the same time the one that was stored later",
		Origins: from("contract"), run: caseLatest,
	},
	{
		Name:    "newest-session",
		Promise: "the newest session is the one that was made last of those that were ever used",
		Origins: from("contract"), run: caseNewest,
	},
	{
		Name:    "a-deleted-session-stays-so",
		Promise: "a session that was deleted is not there, and an update of it brings it not back",
		Origins: from("contract"), run: caseDeletedSession,
	},
	{
		Name:    "account-and-sessions-together",
		Promise: "what is stored in one Changes is there as a whole or not at all, whoever reads meanwhile",
		Origins: from("CR-03", "contract"), run: caseTogether,
	},
	{
		Name:    "message-hashes",
		Promise: "a message is known once it was stored, with the time at which it came first; old ones can be deleted",
		Origins: from("CR-27", seed(24)), run: caseHashes,
	},
	{
		Name:    "replays",
		Promise: "an index of a session is for the message that came with it first, and for no other event or time; asking without either stores nothing",
		Origins: from("contract"), run: caseReplay,
	},
	{
		Name:    "one-of-many-replays",
		Promise: "of all messages that come with one index at the same moment exactly one may be shown, and of all that have one hash exactly one is new",
		Origins: from("contract"), run: caseReplayRace,
	},
}

func caseOlm(p *probe) {
	s := p.open()
	is[[]crypto.Session](p, "Sessions of a new store", nil)(s.Sessions(p.Ctx, key))
	is[*crypto.Session](p, "LatestSession of a new store", nil)(s.LatestSession(p.Ctx, key))
	is(p, "HasSession of a new store", false)(s.HasSession(p.Ctx, key))
	one, other := olm("one", key, 2), olm("other", "another key", 3)
	one.Extra = []byte("extra")
	s.save(&crypto.Changes{Account: account("here"), Sessions: []crypto.Session{one, other}})
	check := func() {
		is(p, "Account", account("here"))(s.Account(p.Ctx))
		is(p, "Sessions", []crypto.Session{one})(s.Sessions(p.Ctx, key))
		is(p, "LatestSession", &one)(s.LatestSession(p.Ctx, key))
		is(p, "HasSession", true)(s.HasSession(p.Ctx, key))
		is(p, "Sessions of another key", []crypto.Session{other})(s.Sessions(p.Ctx, "another key"))
		is(p, "HasSession of no key", false)(s.HasSession(p.Ctx, ""))
		is[[]crypto.Session](p, "Sessions of a part of a key", nil)(s.Sessions(p.Ctx, key[:5]))
	}
	s.again(check)
	one.Pickle, one.LastDecrypted, one.LastEncrypted = pickle("later"), at(9), at(8)
	s.save(&crypto.Changes{Sessions: []crypto.Session{one}})
	s.again(check)
	one.Pickle, one.LastEncrypted = pickle("still later"), at(10)
	is(p, "UpdateSession", true)(s.UpdateSession(p.Ctx, &one))
	s.again(check)
}

func caseLatest(p *probe) {
	s := p.open()
	all := []crypto.Session{olm("a", key, 5), olm("z", key, 5), olm("m", key, 9), olm("b", key, 1), olm("n", key, 5)}
	for _, one := range all {
		s.save(&crypto.Changes{Sessions: []crypto.Session{one}})
	}
	s.save(&crypto.Changes{Sessions: []crypto.Session{olm("x", "another key", 100)}})
	want := []crypto.Session{all[2], all[4], all[1], all[0], all[3]}
	s.again(func() {
		is(p, "Sessions", want)(s.Sessions(p.Ctx, key))
		is(p, "LatestSession", &want[0])(s.LatestSession(p.Ctx, key))
	})
	// What replaces one keeps its place among those of the same time.
	all[0].Pickle = pickle("replaced")
	want[3] = all[0]
	s.save(&crypto.Changes{Sessions: []crypto.Session{all[0]}})
	is(p, "Sessions after one was replaced", want)(s.Sessions(p.Ctx, key))
	all[3].LastDecrypted = at(10)
	is(p, "UpdateSession", true)(s.UpdateSession(p.Ctx, &all[3]))
	is(p, "LatestSession after another one has decrypted", &all[3])(s.LatestSession(p.Ctx, key))
	never := crypto.Session{ID: "never", SenderKey: "third key", Pickle: pickle("never")}
	old := crypto.Session{ID: "old", SenderKey: "third key", LastDecrypted: time.UnixMilli(-5).UTC(), Pickle: pickle("old")}
	s.save(&crypto.Changes{Sessions: []crypto.Session{old, never}})
	is(p, "Sessions, one of which has never decrypted", []crypto.Session{old, never})(s.Sessions(p.Ctx, "third key"))
}

func caseNewest(p *probe) {
	s := p.open()
	is(p, "NewestSessionCreation of a new store", time.Time{})(s.NewestSessionCreation(p.Ctx, key))
	unused := crypto.Session{ID: "unused", SenderKey: key, CreatedAt: at(50), LastEncrypted: at(50), LastDecrypted: at(50), Pickle: pickle("unused")}
	s.save(&crypto.Changes{Sessions: []crypto.Session{unused}})
	is(p, "NewestSessionCreation where none was used", time.Time{})(s.NewestSessionCreation(p.Ctx, key))
	for i, created := range []int{10, 30, 20} {
		one := olm(id.SessionID(fmt.Sprint(i)), key, 90-created)
		one.CreatedAt = at(created)
		s.save(&crypto.Changes{Sessions: []crypto.Session{one}})
	}
	s.again(func() { is(p, "NewestSessionCreation", at(30))(s.NewestSessionCreation(p.Ctx, key)) })
	unused.LastEncrypted = at(51)
	is(p, "UpdateSession", true)(s.UpdateSession(p.Ctx, &unused))
	is(p, "NewestSessionCreation, once the newest one was used", at(50))(s.NewestSessionCreation(p.Ctx, key))
	is(p, "NewestSessionCreation of another key", time.Time{})(s.NewestSessionCreation(p.Ctx, "another key"))
}

func caseDeletedSession(p *probe) {
	s := p.open()
	one, other := olm("one", key, 1), olm("other", key, 2)
	is(p, "UpdateSession of none", false)(s.UpdateSession(p.Ctx, &one))
	is[[]crypto.Session](p, "Sessions", nil)(s.Sessions(p.Ctx, key))
	s.save(&crypto.Changes{Sessions: []crypto.Session{one, other}})
	for range 2 {
		p.Must("DeleteSession", s.DeleteSession(p.Ctx, "one"))
		is(p, "UpdateSession of a deleted one", false)(s.UpdateSession(p.Ctx, &one))
		s.again(func() { is(p, "Sessions", []crypto.Session{other})(s.Sessions(p.Ctx, key)) })
	}
	p.Must("DeleteSession", s.DeleteSession(p.Ctx, "other"))
	is(p, "HasSession", false)(s.HasSession(p.Ctx, key))
}

// caseTogether: a reader that sees a session sees the account of the same moment, or a later one.
func caseTogether(p *probe) {
	s := p.open()
	var over atomic.Bool
	rounds := p.count(10, 30, 200, 2000)
	write := func() {
		defer over.Store(true)
		for i := range rounds {
			s.save(&crypto.Changes{
				Account: account(i), NextBatch: fmt.Sprint(i), Sessions: []crypto.Session{olm("one", key, i), olm("two", key, i)},
				OutboundGroupSessions: []crypto.OutboundGroupSession{outbound(kitchen, "out", i)},
			})
		}
	}
	read := func() {
		for !over.Load() && !p.Over() {
			all, err := s.Sessions(p.Ctx, key)
			p.Must("Sessions", err)
			if len(all) != 0 && len(all) != 2 || len(all) == 2 && !all[0].LastDecrypted.Equal(all[1].LastDecrypted) {
				p.Broken("of two sessions that are always stored together there are %s", show(all))
			}
			if len(all) != 2 {
				continue
			}
			seen := int(all[0].LastDecrypted.Sub(at(0)) / time.Second)
			a, err := s.Account(p.Ctx)
			p.Must("Account", err)
			later := func(i int) bool { return a != nil && string(a.Pickle) == string(account(i).Pickle) }
			ok := false
			for i := seen; i < rounds && !ok; i++ {
				ok = later(i)
			}
			if !ok {
				p.Broken("with the sessions of round %d, the account is %s: it is from before", seen, show(a))
			}
		}
	}
	p.All(write, read, read)
}

func caseHashes(p *probe) {
	s := p.open()
	hash := []byte{0, 1, 0xff}
	found(p, "MessageHash of a new store", time.Time{}, false)(s.MessageHash(p.Ctx, key, hash))
	s.save(&crypto.Changes{MessageHashes: []crypto.MessageHash{{SenderKey: key, Hash: hash, At: at(10)}, {SenderKey: key, Hash: hash, At: at(20)}}})
	is(p, "AddMessageHash of one that is there", false)(s.AddMessageHash(p.Ctx, crypto.MessageHash{SenderKey: key, Hash: hash, At: at(30)}))
	is(p, "AddMessageHash from nobody", true)(s.AddMessageHash(p.Ctx, crypto.MessageHash{Hash: hash, At: at(40)}))
	now := p.Clock.Now()
	is(p, "AddMessageHash at no time", true)(s.AddMessageHash(p.Ctx, crypto.MessageHash{SenderKey: "x", Hash: hash}))
	s.again(func() {
		found(p, "MessageHash", at(10), true)(s.MessageHash(p.Ctx, key, hash))
		found(p, "MessageHash from nobody", at(40), true)(s.MessageHash(p.Ctx, "", hash))
		found(p, "MessageHash that was stored at no time", time.UnixMilli(now.UnixMilli()).UTC(), true)(s.MessageHash(p.Ctx, "x", hash))
		found(p, "MessageHash of another hash", time.Time{}, false)(s.MessageHash(p.Ctx, key, hash[:2]))
		found(p, "MessageHash of another sender", time.Time{}, false)(s.MessageHash(p.Ctx, key+"\x00", hash))
	})
	is(p, "DeleteMessageHashes", int64(0))(s.DeleteMessageHashes(p.Ctx, at(10)))
	is(p, "DeleteMessageHashes", int64(1))(s.DeleteMessageHashes(p.Ctx, at(11)))
	found(p, "MessageHash of a deleted one", time.Time{}, false)(s.MessageHash(p.Ctx, key, hash))
	found(p, "MessageHash of a newer one", at(40), true)(s.MessageHash(p.Ctx, "", hash))
	is(p, "AddMessageHash of a deleted one", true)(s.AddMessageHash(p.Ctx, crypto.MessageHash{SenderKey: key, Hash: hash, At: at(50)}))
}

func caseReplay(p *probe) {
	s := p.open()
	first := crypto.MessageIndex{SenderKey: key, SessionID: "session", Index: 7, EventID: "$event", Timestamp: 1000}
	with := func(change func(*crypto.MessageIndex)) crypto.MessageIndex {
		m := first
		change(&m)
		return m
	}
	asks := with(func(m *crypto.MessageIndex) { m.EventID, m.Timestamp = "", 0 })
	for range 2 {
		is(p, "CheckMessageIndex of no event, where the index is free,", true)(s.CheckMessageIndex(p.Ctx, asks))
	}
	is(p, "CheckMessageIndex", true)(s.CheckMessageIndex(p.Ctx, first))
	s.again(func() {
		is(p, "CheckMessageIndex of the same event", true)(s.CheckMessageIndex(p.Ctx, first))
		is(p, "CheckMessageIndex of no event", false)(s.CheckMessageIndex(p.Ctx, asks))
		for what, change := range map[string]func(*crypto.MessageIndex){
			"another event":                func(m *crypto.MessageIndex) { m.EventID = "$other" },
			"another time":                 func(m *crypto.MessageIndex) { m.Timestamp = 1001 },
			"no event id":                  func(m *crypto.MessageIndex) { m.EventID = "" },
			"no time":                      func(m *crypto.MessageIndex) { m.Timestamp = 0 },
			"a time that looks like an id": func(m *crypto.MessageIndex) { m.EventID, m.Timestamp = "$event 1000", 0 },
			"an id with a time in it":      func(m *crypto.MessageIndex) { m.EventID, m.Timestamp = "$event 1", 0 },
		} {
			for range 2 {
				is(p, "CheckMessageIndex with "+what, false)(s.CheckMessageIndex(p.Ctx, with(change)))
			}
		}
	})
	for what, change := range map[string]func(*crypto.MessageIndex){
		"another index": func(m *crypto.MessageIndex) { m.Index = 8 }, "the largest index": func(m *crypto.MessageIndex) { m.Index = 1<<32 - 1 },
		"another session": func(m *crypto.MessageIndex) { m.SessionID = "session2" }, "another sender": func(m *crypto.MessageIndex) { m.SenderKey = "other" },
		"no sender": func(m *crypto.MessageIndex) { m.SenderKey = "" },
		"parts that are the same together": func(m *crypto.MessageIndex) {
			m.SenderKey, m.SessionID = key[:len(key)-1], id.SessionID(key[len(key)-1:]+"session")
		},
	} {
		m := with(change)
		m.EventID = "$another"
		is(p, "CheckMessageIndex of "+what, true)(s.CheckMessageIndex(p.Ctx, m))
		is(p, "CheckMessageIndex of "+what+", for the first event", false)(s.CheckMessageIndex(p.Ctx, with(change)))
	}
	is(p, "CheckMessageIndex of the same event", true)(s.CheckMessageIndex(p.Ctx, first))
}

func caseReplayRace(p *probe) {
	s := p.open()
	for round := range uint32(p.count(3, 5, 50, 500)) {
		var shown, added atomic.Int64
		var all []func()
		for i := range 8 {
			all = append(all, func() {
				ok, err := s.CheckMessageIndex(p.Ctx, crypto.MessageIndex{SessionID: "session", Index: round, EventID: id.EventID(fmt.Sprint("$", i)), Timestamp: 1})
				p.Must("CheckMessageIndex", err)
				is, err := s.AddMessageHash(p.Ctx, crypto.MessageHash{Hash: fmt.Append(nil, round), At: at(i)})
				p.Must("AddMessageHash", err)
				if ok {
					shown.Add(1)
				}
				if is {
					added.Add(1)
				}
			})
		}
		p.All(all...)
		if shown.Load() != 1 || added.Load() != 1 {
			p.Fatal("of 8 events with one index %d may be shown, and of 8 messages with one hash %d are new", shown.Load(), added.Load())
		}
	}
}

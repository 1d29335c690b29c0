package cryptotest

// Which sessions the server-side key backup has.

import (
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var backupCases = []Case{
	{
		Name:    "session-from-a-backup",
		Promise: "a session that comes from a backup is as it was, counts as backed up in its version, and is not offered for it",
		Origins: from("CR-05", "CR-11", "CR-14", "DIV-11", seed(10)), run: caseFromBackup,
	},
	{
		Name:    "session-from-an-old-backup",
		Promise: "a session that another version of the backup has is offered for this one, and does not count as backed up in it",
		Origins: from("DIV-11", seed(11)), run: caseFromOldBackup,
	},
	{
		Name:    "marking",
		Promise: "of ten sessions the five that are marked are backed up in this version, and exactly the others are offered; unknown sessions and none at all are no error",
		Origins: from("CR-11", "CR-14", "CR-15", "DIV-11", seed(13)), run: caseMarking,
	},
	{
		Name:    "reset-of-a-backup",
		Promise: "after a reset no session is backed up in any version, and all are offered, for the same version, too",
		Origins: from("CR-16", seed(14)), run: caseReset,
	},
	{
		Name:    "a-better-session-is-not-backed-up",
		Promise: "a session that is stored again is backed up as it says itself, and is offered where it says nothing",
		Origins: from("CR-03", "contract"), run: caseBackupReplaced,
	},
	{
		Name:    "many-sessions",
		Promise: "more sessions, users and devices than a statement can have parameters are stored, marked, counted and filtered at once",
		Origins: from("GAP-CR/chunking > 16383", "CR-15", "CR-22"), run: caseMany,
	},
}

// offered are the sessions that are not in a backup.
func (s *subject) offered(version id.KeyBackupVersion) []crypto.InboundGroupSession {
	return s.pages(crypto.SessionsNotBackedUp(version), 3, nil)
}

func (s *subject) counts(version id.KeyBackupVersion, total, backedUp int64) {
	is(s.p, fmt.Sprintf("CountInboundGroupSessions of version %q", version), crypto.SessionCounts{Total: total, BackedUp: backedUp})(
		s.CountInboundGroupSessions(s.p.Ctx, version))
}

func caseFromBackup(p *probe) {
	s := p.open()
	s.counts("1", 0, 0)
	s.counts("", 0, 0)
	one := inbound(kitchen, "one")
	given := []crypto.InboundGroupSession{one}
	p.Must("SaveInboundGroupSessions", s.SaveInboundGroupSessions(p.Ctx, given, "1"))
	if given[0].BackupVersion != "" {
		p.Broken("SaveInboundGroupSessions has changed the session that it was given")
	}
	one.BackupVersion = "1"
	s.again(func() {
		s.inbound("InboundGroupSession", &one)
		s.counts("1", 1, 1)
		s.counts("", 1, 1)
		is[[]crypto.InboundGroupSession](p, "what is offered for this version", nil)(s.offered("1"), nil)
		is[[]crypto.InboundGroupSession](p, "what is offered for any", nil)(s.offered(""), nil)
	})
}

func caseFromOldBackup(p *probe) {
	s := p.open()
	one := inbound(kitchen, "one")
	one.BackupVersion = "1"
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
	s.again(func() {
		s.inbound("InboundGroupSession", &one)
		s.counts("2", 1, 0)
		s.counts("1", 1, 1)
		s.counts("", 1, 1)
		is(p, "what is offered for the new version", []crypto.InboundGroupSession{one})(s.offered("2"), nil)
		is[[]crypto.InboundGroupSession](p, "what is offered for the old one", nil)(s.offered("1"), nil)
	})
	p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "2", []crypto.SessionKey{one.Key()}))
	one.BackupVersion = "2"
	s.inbound("InboundGroupSession", &one)
	s.counts("1", 1, 0)
	s.counts("2", 1, 1)
}

func caseMarking(p *probe) {
	s := p.open()
	all := inbounds(kitchen, 10)
	s.save(&crypto.Changes{InboundGroupSessions: all})
	p.Is("MarkBackedUp in no version", s.MarkBackedUp(p.Ctx, "", keysOf(all)), crypto.ErrNoID)
	p.Must("MarkBackedUp of none", s.MarkBackedUp(p.Ctx, "1", nil))
	is(p, "what is offered", all)(s.offered("1"), nil)
	keys, even, odd := []crypto.SessionKey{{RoomID: kitchen, SessionID: "unknown"}, {RoomID: garden, SessionID: all[0].SessionID}}, []crypto.InboundGroupSession(nil), []crypto.InboundGroupSession(nil)
	for i, one := range all {
		if i%2 == 0 {
			even = append(even, one)
			continue
		}
		keys = append(keys, one.Key())
		one.BackupVersion = "1"
		odd = append(odd, one)
	}
	for range 2 {
		p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "1", keys))
		s.again(func() {
			is(p, "what is offered", even)(s.offered("1"), nil)
			is(p, "what no version has", even)(s.offered(""), nil)
			s.counts("1", 10, 5)
			s.counts("", 10, 5)
			s.counts("2", 10, 0)
			for i := range odd {
				s.inbound("a session that was marked", &odd[i])
			}
		})
	}
	is(p, "how many are offered for another version", 10)(len(s.offered("2")), nil)
	p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "2", keysOf(even)))
	s.counts("1", 10, 5)
	s.counts("2", 10, 5)
	s.counts("", 10, 10)
	is(p, "what is offered for the second version", odd)(s.offered("2"), nil)
	s.noInbound("a session that was marked, and is not there", kitchen, "unknown")
}

func caseReset(p *probe) {
	s := p.open()
	p.Must("ResetBackup of a new store", s.ResetBackup(p.Ctx))
	all := inbounds(kitchen, 10)
	s.save(&crypto.Changes{InboundGroupSessions: all, BackupVersion: "1"})
	p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "1", keysOf(all[:6])))
	p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "2", keysOf(all[6:])))
	s.counts("", 10, 10)
	p.Must("ResetBackup", s.ResetBackup(p.Ctx))
	s.again(func() {
		for _, version := range []id.KeyBackupVersion{"1", "2", "3", ""} {
			is(p, fmt.Sprintf("what is offered for version %q after a reset", version), all)(s.offered(version), nil)
			s.counts(version, 10, 0)
		}
		is(p, "BackupKeys", crypto.BackupKeys{Version: "1"})(s.BackupKeys(p.Ctx))
	})
}

func caseBackupReplaced(p *probe) {
	s := p.open()
	one := inbound(kitchen, "one")
	one.BackupVersion = "1"
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
	one.BackupVersion, one.Pickle = "", pickle("one that knows more")
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
	s.again(func() {
		s.inbound("InboundGroupSession", &one)
		s.counts("1", 1, 0)
		is(p, "what is offered", []crypto.InboundGroupSession{one})(s.offered("1"), nil)
	})
	p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "2", []crypto.SessionKey{one.Key()}))
	one.BackupVersion = "1"
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
	s.counts("1", 1, 1)
	s.counts("2", 1, 0)
}

func caseMany(p *probe) {
	s := p.open()
	// 16,383 is what the seed has in one piece, 32,766 what SQLite allows.
	n := p.count(500, 16_500, 40_000, 100_000)
	users, tracked, shares, keys := make([]id.UserID, n), make([]crypto.TrackedUser, 0, n), make([]crypto.Share, n), make([]crypto.SessionKey, n)
	sessions := inbounds(kitchen, 300)
	for i := range n {
		users[i] = id.UserID(fmt.Sprintf("@%d:example.org", i))
		shares[i] = crypto.Share{UserID: users[i], IdentityKey: key, SessionID: "session"}
		keys[i] = crypto.SessionKey{RoomID: kitchen, SessionID: id.SessionID(fmt.Sprintf("session %d", n-1-i))}
		if i%100 == 0 {
			tracked = append(tracked, crypto.TrackedUser{UserID: users[i]})
		}
	}
	s.save(&crypto.Changes{InboundGroupSessions: sessions})
	p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "1", keys))
	s.counts("1", 300, 300)
	p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, tracked))
	got, err := s.FilterTracked(p.Ctx, users)
	p.Must("FilterTracked", err)
	if len(got) != len(tracked) || !slices.IsSortedFunc(got, func(a, b id.UserID) int { return len(a) - len(b) }) {
		p.Broken("of %d users, of whom %d are tracked, FilterTracked returned %d, or in another order", n, len(tracked), len(got))
	}
	p.Must("MarkOutdated", s.MarkOutdated(p.Ctx, users))
	outdated, err := s.OutdatedUsers(p.Ctx)
	p.Must("OutdatedUsers", err)
	if !slices.Equal(outdated, got) {
		p.Broken("of %d users, who were marked, of whom %d are tracked, %d are outdated", n, len(got), len(outdated))
	}
	p.Must("MarkShared", s.MarkShared(p.Ctx, shares))
	for _, i := range []int{0, min(16_382, n-3), min(16_383, n-2), min(16_384, n-1), n - 1} {
		is(p, fmt.Sprintf("IsShared of mark %d", i), true)(s.IsShared(p.Ctx, shares[i]))
	}
}

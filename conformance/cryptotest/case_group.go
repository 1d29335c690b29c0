package cryptotest

// Megolm sessions: those with which messages are decrypted, those that were withheld, and those with which messages are encrypted.

import (
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var groupCases = []Case{
	{
		Name:    "inbound-sessions",
		Promise: "an inbound session is found by its room and its id, as it was stored last, also when the store was opened again",
		Origins: from("CR-05", "CR-07", "CR-10", seed(9), seed(12), seed(15)), run: caseInbound,
	},
	{
		Name:    "sessions-of-rooms",
		Promise: "a room has its own sessions, and an unknown room has none",
		Origins: from("CR-12", seed(16), seed(17)), run: caseInboundRooms,
	},
	{
		Name:    "rooms-are-never-crossed",
		Promise: "one id in two rooms is two sessions, which are stored, marked, redacted and withheld apart",
		Origins: from("CR-07", "CR-08", "contract"), run: caseCrossing,
		Differs: "the seed keeps one session for an id, whatever its room",
	},
	{
		Name:    "pages-of-sessions",
		Promise: "sessions come in pages, by device and what is known of it, by room, and all of them: every one once, also where those of a page are changed, marked or replaced before the next one is asked for",
		Origins: from("CR-13", seed(18)), run: casePages,
	},
	{
		Name:    "withheld-sessions",
		Promise: "that a session was withheld is found by its room and id, and listed by its room; it gives way to the session, and never takes its place",
		Origins: from("CR-08", "CR-09", seed(29)), run: caseWithheld,
	},
	{
		Name:    "outbound-sessions",
		Promise: "a room has one outbound session, the one that was stored last; an update of one that was replaced or removed changes nothing",
		Origins: from("CR-20", seed(8)), run: caseOutbound,
	},
	{
		Name:    "shared-with",
		Promise: "which device has got which session is known, however often it was marked, and stays so when the session is gone",
		Origins: from("contract"), run: caseShared,
	},
}

func (s *subject) inbound(what string, want *crypto.InboundGroupSession) {
	is(s.p, what, want)(s.InboundGroupSession(s.p.Ctx, want.RoomID, want.SessionID))
}

func (s *subject) noInbound(what string, room id.RoomID, session id.SessionID) {
	is[*crypto.InboundGroupSession](s.p, what, nil)(s.InboundGroupSession(s.p.Ctx, room, session))
}

func caseInbound(p *probe) {
	s := p.open()
	s.noInbound("InboundGroupSession of a new store", kitchen, "one")
	is[[]crypto.InboundGroupSession](p, "InboundGroupSessions of a new store", nil)(s.InboundGroupSessions(p.Ctx))
	one := inbound(kitchen, "one")
	bare := crypto.InboundGroupSession{RoomID: kitchen, SessionID: "bare", Pickle: pickle("bare")}
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one, bare}})
	check := func() {
		s.inbound("InboundGroupSession", &one)
		s.inbound("InboundGroupSession with nothing but a pickle", &bare)
		is(p, "InboundGroupSessions", []crypto.InboundGroupSession{one, bare})(s.InboundGroupSessions(p.Ctx))
		s.noInbound("InboundGroupSession of another id", kitchen, "two")
		s.noInbound("InboundGroupSession of another room", garden, "one")
		is(p, "CountInboundGroupSessions", crypto.SessionCounts{Total: 2})(s.CountInboundGroupSessions(p.Ctx, ""))
	}
	s.again(check)
	one.SenderKey, one.SenderData, one.SigningKey, one.ReceivedAt, one.MaxAge, one.Scheduled = "other", crypto.SenderUnverified, "", at(100), time.Minute, true
	one.MaxMessages, one.ForwardingChains, one.Pickle, one.Extra = 0, nil, pickle("later"), nil
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
	s.again(check)
	p.Must("SaveInboundGroupSessions of none", s.SaveInboundGroupSessions(p.Ctx, nil, ""))
	bare.ReceivedAt = at(5)
	p.Must("SaveInboundGroupSessions", s.SaveInboundGroupSessions(p.Ctx, []crypto.InboundGroupSession{bare}, ""))
	s.again(check)
}

func caseInboundRooms(p *probe) {
	s := p.open()
	is[[]crypto.InboundGroupSession](p, "InboundGroupSessionsOfRoom of a new store", nil)(s.InboundGroupSessionsOfRoom(p.Ctx, kitchen))
	all := []crypto.InboundGroupSession{inbound(kitchen, "z"), inbound(garden, "m"), inbound(kitchen, "a")}
	for _, one := range all {
		s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
	}
	s.save(&crypto.Changes{InboundGroupSessions: all[:1]}) // which keeps its place
	s.again(func() {
		is(p, "InboundGroupSessionsOfRoom", []crypto.InboundGroupSession{all[0], all[2]})(s.InboundGroupSessionsOfRoom(p.Ctx, kitchen))
		is(p, "InboundGroupSessionsOfRoom", all[1:2])(s.InboundGroupSessionsOfRoom(p.Ctx, garden))
		is[[]crypto.InboundGroupSession](p, "InboundGroupSessionsOfRoom of an unknown room", nil)(s.InboundGroupSessionsOfRoom(p.Ctx, garden+"x"))
		is(p, "InboundGroupSessions", all)(s.InboundGroupSessions(p.Ctx))
	})
}

func caseCrossing(p *probe) {
	s := p.open()
	here, there := inbound(kitchen, "session"), inbound(garden, "session")
	there.SenderKey = "other"
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{here, there}})
	s.again(func() {
		s.inbound("InboundGroupSession", &here)
		s.inbound("InboundGroupSession of the other room", &there)
	})
	p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "1", []crypto.SessionKey{here.Key()}))
	is(p, "CountInboundGroupSessions after one of two with one id was marked", crypto.SessionCounts{Total: 2, BackedUp: 1})(s.CountInboundGroupSessions(p.Ctx, "1"))
	here.BackupVersion = "1"
	s.inbound("InboundGroupSession", &here)
	s.inbound("InboundGroupSession of the other room", &there)
	is(p, "RedactGroupSession", true)(s.RedactGroupSession(p.Ctx, kitchen, "session", "gone"))
	s.noInbound("InboundGroupSession after a redaction", kitchen, "session")
	s.inbound("InboundGroupSession of the other room", &there)
	is[*crypto.Withheld](p, "Withheld in the other room", nil)(s.Withheld(p.Ctx, garden, "session"))
}

// pages collects what is asked for, and calls between after each page.
func (s *subject) pages(q crypto.SessionQuery, limit int, between func(page []crypto.InboundGroupSession)) (all []crypto.InboundGroupSession) {
	p := s.p
	for after := crypto.Cursor(0); !p.Over(); {
		page, last, err := s.InboundGroupSessionPage(p.Ctx, q, after, limit)
		p.Must("InboundGroupSessionPage", err)
		if len(page) > limit {
			p.Broken("a page of at most %d sessions has %d", limit, len(page))
		}
		if len(page) == 0 {
			if last != after {
				p.Broken("behind the end the place is %d, and was %d", last, after)
			}
			return all
		}
		if last <= after {
			p.Fatal("a page behind place %d ends at %d", after, last)
		}
		all, after = append(all, page...), last
		if between != nil {
			between(page)
		}
	}
	return all
}

func casePages(p *probe) {
	s := p.open()
	var mine []crypto.InboundGroupSession
	for i := range 20 {
		one := inbound([]id.RoomID{kitchen, garden}[i%2], id.SessionID(fmt.Sprintf("session %d", 97*i%20)))
		switch i % 4 {
		case 1:
			one.SenderKey = "other"
		case 2:
			one.SenderData = crypto.SenderUnknownDevice
		}
		s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
		mine = append(mine, one)
	}
	fit := func(fits func(*crypto.InboundGroupSession) bool) (all []string) {
		for i := range mine {
			if fits(&mine[i]) {
				all = append(all, string(mine[i].SessionID))
			}
		}
		return all
	}
	ids := func(all []crypto.InboundGroupSession) (ids []string) {
		for i := range all {
			ids = append(ids, string(all[i].SessionID))
		}
		return ids
	}
	for what, test := range map[string]struct {
		q    crypto.SessionQuery
		fits func(*crypto.InboundGroupSession) bool
	}{
		"all":        {crypto.AllSessions(), func(*crypto.InboundGroupSession) bool { return true }},
		"of a room":  {crypto.SessionsOfRoom(kitchen), func(s *crypto.InboundGroupSession) bool { return s.RoomID == kitchen }},
		"of no room": {crypto.SessionsOfRoom("!none"), func(*crypto.InboundGroupSession) bool { return false }},
		"of a device": {crypto.SessionsOfDevice(key, crypto.SenderVerified), func(s *crypto.InboundGroupSession) bool {
			return s.SenderKey == key && s.SenderData == crypto.SenderVerified
		}},
		"of a device that is not known": {crypto.SessionsOfDevice(key, crypto.SenderUnknownDevice), func(s *crypto.InboundGroupSession) bool {
			return s.SenderKey == key && s.SenderData == crypto.SenderUnknownDevice
		}},
		"not backed up": {crypto.SessionsNotBackedUp("1"), func(*crypto.InboundGroupSession) bool { return true }},
	} {
		want := fit(test.fits)
		for _, limit := range []int{1, 2, 7, len(want), 100} {
			if limit == 0 {
				continue
			}
			if got := ids(s.pages(test.q, limit, nil)); !slices.Equal(got, want) {
				p.Broken("sessions %s in pages of %d are %q, and should be %q", what, limit, got, want)
			}
		}
		round := 0
		got := ids(s.pages(test.q, 2, func(page []crypto.InboundGroupSession) {
			round++
			one := page[round%len(page)]
			switch round % 3 {
			case 0:
				one.Pickle = pickle("changed in round ", round)
				s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
			case 1:
				p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, "other", []crypto.SessionKey{one.Key()}))
			case 2:
				one.SenderData = crypto.SenderViolation // it does not fit any more
				s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{one}})
			}
		}))
		if !slices.Equal(got, want) {
			p.Broken("sessions %s in pages of 2, with changes between the pages, are %q, and should be %q", what, got, want)
		}
		s.save(&crypto.Changes{InboundGroupSessions: mine})
	}
	for _, limit := range []int{0, -1} {
		page, last, err := s.InboundGroupSessionPage(p.Ctx, crypto.AllSessions(), 0, limit)
		p.Must("InboundGroupSessionPage", err)
		if len(page) > 0 || last != 0 {
			p.Broken("a page of at most %d sessions has %d, and ends at %d", limit, len(page), last)
		}
	}
	_, _, err := s.InboundGroupSessionPage(p.Ctx, crypto.SessionQuery{}, 0, 1)
	p.Is("InboundGroupSessionPage of the zero query", err, crypto.ErrQuery)
}

func caseWithheld(p *probe) {
	s := p.open()
	is[*crypto.Withheld](p, "Withheld of a new store", nil)(s.Withheld(p.Ctx, kitchen, "one"))
	is[[]crypto.Withheld](p, "WithheldOfRoom of a new store", nil)(s.WithheldOfRoom(p.Ctx, kitchen))
	one, two, elsewhere := withheld(kitchen, "one", event.RoomKeyWithheldUnverified), withheld(kitchen, "two", event.RoomKeyWithheldBlacklisted), withheld(garden, "three", "m.other")
	s.save(&crypto.Changes{Withheld: []crypto.Withheld{one, two, elsewhere}})
	check := func() {
		is(p, "Withheld", &one)(s.Withheld(p.Ctx, kitchen, "one"))
		is(p, "Withheld", &two)(s.Withheld(p.Ctx, kitchen, "two"))
		is[*crypto.Withheld](p, "Withheld in another room", nil)(s.Withheld(p.Ctx, garden, "one"))
		is(p, "WithheldOfRoom", []crypto.Withheld{one, two})(s.WithheldOfRoom(p.Ctx, kitchen))
		s.noInbound("InboundGroupSession of a withheld one", kitchen, "one")
	}
	s.again(check)
	one.Code, one.Reason = event.RoomKeyWithheldUnavailable, "another reason"
	s.save(&crypto.Changes{Withheld: []crypto.Withheld{one}})
	s.again(check)

	session := inbound(kitchen, "one")
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{session}})
	for range 2 {
		s.again(func() {
			s.inbound("InboundGroupSession that was withheld before", &session)
			is[*crypto.Withheld](p, "Withheld of a session that is there", nil)(s.Withheld(p.Ctx, kitchen, "one"))
			is(p, "WithheldOfRoom", []crypto.Withheld{two})(s.WithheldOfRoom(p.Ctx, kitchen))
		})
		s.save(&crypto.Changes{Withheld: []crypto.Withheld{one}, InboundGroupSessions: []crypto.InboundGroupSession{session}})
		s.save(&crypto.Changes{Withheld: []crypto.Withheld{one}})
	}
	is(p, "RedactGroupSession", true)(s.RedactGroupSession(p.Ctx, kitchen, "one", "gone"))
	s.save(&crypto.Changes{Withheld: []crypto.Withheld{one}})
	is(p, "Withheld of a redacted session, that was withheld later", crypto.Redact(&session, "gone"))(s.Withheld(p.Ctx, kitchen, "one"))
	s.save(&crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{session}})
	s.inbound("InboundGroupSession that came again after its redaction", &session)
}

func caseOutbound(p *probe) {
	s := p.open()
	is[*crypto.OutboundGroupSession](p, "OutboundGroupSession of a new store", nil)(s.OutboundGroupSession(p.Ctx, kitchen))
	first, second, elsewhere := outbound(kitchen, "first", 1), outbound(kitchen, "second", 2), outbound(garden, "third", 3)
	is(p, "UpdateOutboundGroupSession of none", false)(s.UpdateOutboundGroupSession(p.Ctx, &first))
	is[*crypto.OutboundGroupSession](p, "OutboundGroupSession", nil)(s.OutboundGroupSession(p.Ctx, kitchen))
	s.save(&crypto.Changes{OutboundGroupSessions: []crypto.OutboundGroupSession{first, elsewhere}})
	s.again(func() {
		is(p, "OutboundGroupSession", &first)(s.OutboundGroupSession(p.Ctx, kitchen))
		is(p, "OutboundGroupSession of another room", &elsewhere)(s.OutboundGroupSession(p.Ctx, garden))
	})
	updated := outbound(kitchen, "first", 9)
	is(p, "UpdateOutboundGroupSession", true)(s.UpdateOutboundGroupSession(p.Ctx, &updated))
	s.again(func() { is(p, "OutboundGroupSession", &updated)(s.OutboundGroupSession(p.Ctx, kitchen)) })
	s.save(&crypto.Changes{OutboundGroupSessions: []crypto.OutboundGroupSession{second}})
	is(p, "UpdateOutboundGroupSession of one that was replaced", false)(s.UpdateOutboundGroupSession(p.Ctx, &updated))
	is(p, "OutboundGroupSession", &second)(s.OutboundGroupSession(p.Ctx, kitchen))
	for range 2 {
		p.Must("RemoveOutboundGroupSession", s.RemoveOutboundGroupSession(p.Ctx, kitchen))
		is(p, "UpdateOutboundGroupSession of one that was removed", false)(s.UpdateOutboundGroupSession(p.Ctx, &second))
		s.again(func() {
			is[*crypto.OutboundGroupSession](p, "OutboundGroupSession that was removed", nil)(s.OutboundGroupSession(p.Ctx, kitchen))
		})
	}
	is(p, "OutboundGroupSession of another room", &elsewhere)(s.OutboundGroupSession(p.Ctx, garden))
}

func caseShared(p *probe) {
	s := p.open()
	share := crypto.Share{UserID: alice, IdentityKey: key, SessionID: "session"}
	more := []crypto.Share{share, {UserID: bob, IdentityKey: key, SessionID: "session"}, {UserID: bob, IdentityKey: key, SessionID: "another"}}
	is(p, "IsShared of a new store", false)(s.IsShared(p.Ctx, share))
	p.Must("MarkShared of none", s.MarkShared(p.Ctx, nil))
	for range 2 {
		p.Must("MarkShared", s.MarkShared(p.Ctx, more[:1]))
		is(p, "IsShared", true)(s.IsShared(p.Ctx, share))
	}
	is(p, "IsShared with another user", false)(s.IsShared(p.Ctx, more[1]))
	p.Must("MarkShared, of some that are marked,", s.MarkShared(p.Ctx, more))
	s.save(&crypto.Changes{OutboundGroupSessions: []crypto.OutboundGroupSession{outbound(kitchen, "session", 1)}})
	p.Must("RemoveOutboundGroupSession", s.RemoveOutboundGroupSession(p.Ctx, kitchen))
	s.again(func() {
		for _, one := range more {
			is(p, "IsShared", true)(s.IsShared(p.Ctx, one))
		}
		for _, one := range []crypto.Share{
			{UserID: alice, IdentityKey: key, SessionID: "another"}, {UserID: alice, IdentityKey: "other", SessionID: "session"},
			{UserID: alice + id.UserID(key[:1]), IdentityKey: key[1:], SessionID: "session"},
		} {
			is(p, "IsShared of what was not marked", false)(s.IsShared(p.Ctx, one))
		}
	})
}

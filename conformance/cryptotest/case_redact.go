package cryptotest

// Sessions that are removed, so that what they have encrypted cannot be read any more.

import (
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var redactCases = []Case{
	{
		Name:    "redacting-a-session",
		Promise: "a session that is redacted is gone, and that it was there, and why it is not any more, is known",
		Origins: from("contract"), run: caseRedactOne,
	},
	{
		Name:    "redacting-a-room-or-a-sender",
		Promise: "all sessions of a room, of a sender, or of both are redacted, but for those that are scheduled or of which it is not known when they came; without room and sender none is",
		Origins: from("contract"), run: caseRedactMany,
	},
	{
		Name:    "redacting-what-has-expired",
		Promise: "a session has expired when twice its age has passed since it came, and not a millisecond earlier; one that is scheduled, has no age, or came at no time never does",
		Origins: from("contract"), run: caseRedactExpired,
	},
	{
		Name:    "redacting-what-is-outdated",
		Promise: "the sessions of which it is not known when they came are redacted, scheduled or not, and no others",
		Origins: from("contract"), run: caseRedactOutdated,
	},
}

// gone checks that sessions were redacted, and nothing else was.
func (s *subject) gone(reason string, all []crypto.InboundGroupSession, gone ...int) {
	p := s.p
	is := func(i int) bool {
		for _, g := range gone {
			if g == i {
				return true
			}
		}
		return false
	}
	for i := range all {
		one := &all[i]
		got, err := s.InboundGroupSession(p.Ctx, one.RoomID, one.SessionID)
		p.Must("InboundGroupSession", err)
		w, err := s.Withheld(p.Ctx, one.RoomID, one.SessionID)
		p.Must("Withheld", err)
		if is(i) != (got == nil) || is(i) != (w != nil) {
			p.Broken("session %s: that it was redacted should be %v; it is %s, and withheld %s", one.SessionID, is(i), show(got), show(w))
			continue
		}
		if w != nil && (!w.Redacted() || w.Reason != reason || w.SenderKey != one.SenderKey) {
			p.Broken("of session %s, which was redacted because of %q, is left %s", one.SessionID, reason, show(w))
		}
	}
}

// redacts checks what a redaction returns.
func (s *subject) redacts(what string, all []crypto.InboundGroupSession, want ...int) func([]crypto.SessionKey, error) {
	var keys []crypto.SessionKey
	for _, i := range want {
		keys = append(keys, all[i].Key())
	}
	return is(s.p, what, keys)
}

func caseRedactOne(p *probe) {
	s := p.open()
	all := inbounds(kitchen, 3)
	all[1].Scheduled, all[2].ReceivedAt = true, time.Time{}
	s.save(&crypto.Changes{InboundGroupSessions: all})
	is(p, "RedactGroupSession of none", false)(s.RedactGroupSession(p.Ctx, kitchen, "none", "why"))
	is(p, "RedactGroupSession of another room", false)(s.RedactGroupSession(p.Ctx, garden, all[0].SessionID, "why"))
	s.gone("why", all)
	for i, one := range all {
		is(p, "RedactGroupSession", true)(s.RedactGroupSession(p.Ctx, kitchen, one.SessionID, "why"))
		is(p, "RedactGroupSession for the second time", false)(s.RedactGroupSession(p.Ctx, kitchen, one.SessionID, "another"))
		s.again(func() { s.gone("why", all, []int{0, 1, 2}[:i+1]...) })
	}
	is[[]crypto.InboundGroupSession](p, "InboundGroupSessions", nil)(s.InboundGroupSessions(p.Ctx))
	s.counts("", 0, 0)
}

func caseRedactMany(p *probe) {
	s := p.open()
	var all []crypto.InboundGroupSession
	for i := range 12 {
		one := inbound([]id.RoomID{kitchen, garden}[i%2], id.SessionID(rune('a'+i)))
		one.SenderKey = []id.SenderKey{key, "other", "third"}[i%3]
		switch i / 6 * (i % 6) {
		case 4:
			one.Scheduled = true
		case 5:
			one.ReceivedAt = time.Time{}
		}
		all = append(all, one)
	}
	s.save(&crypto.Changes{InboundGroupSessions: all})
	keys, err := s.RedactGroupSessions(p.Ctx, "", "", "why")
	p.Is("RedactGroupSessions of nothing in particular", err, crypto.ErrNoSelection)
	if len(keys) > 0 {
		p.Broken("it has redacted %d sessions all the same", len(keys))
	}
	s.redacts("RedactGroupSessions of an unknown sender", all)(s.RedactGroupSessions(p.Ctx, "", "unknown", "why"))
	s.redacts("RedactGroupSessions of a sender who is not in the room", all)(s.RedactGroupSessions(p.Ctx, "!none", key, "why"))
	s.gone("why", all)
	s.redacts("RedactGroupSessions of a room and a sender", all, 0, 6)(s.RedactGroupSessions(p.Ctx, kitchen, key, "why"))
	s.again(func() { s.gone("why", all, 0, 6) })
	s.redacts("RedactGroupSessions of a sender", all, 1, 4, 7)(s.RedactGroupSessions(p.Ctx, "", "other", "why")) // 10 is scheduled
	s.gone("why", all, 0, 6, 1, 4, 7)
	s.redacts("RedactGroupSessions of a room", all, 3, 5, 9)(s.RedactGroupSessions(p.Ctx, garden, "", "why")) // of 11 nobody knows when it came
	s.again(func() { s.gone("why", all, 0, 6, 1, 4, 7, 3, 5, 9) })
	s.redacts("RedactGroupSessions of a room for the second time", all)(s.RedactGroupSessions(p.Ctx, garden, "", "again"))
}

func caseRedactExpired(p *probe) {
	s := p.open()
	now := p.Clock.Now()
	all := inbounds(kitchen, 6)
	for i := range all {
		all[i].ReceivedAt, all[i].MaxAge = now, time.Minute
	}
	all[1].Scheduled = true
	all[2].MaxAge = 0
	all[3].ReceivedAt = time.Time{}
	all[4].MaxAge = 2 * time.Minute
	all[5].MaxAge = 1 << 62 // for longer than time can count
	s.save(&crypto.Changes{InboundGroupSessions: all})
	p.Clock.Add(2 * time.Minute)
	s.redacts("RedactExpiredGroupSessions at the moment itself", all)(s.RedactExpiredGroupSessions(p.Ctx, "expired"))
	s.gone("expired", all)
	p.Clock.Add(time.Millisecond)
	s.redacts("RedactExpiredGroupSessions a millisecond later", all, 0)(s.RedactExpiredGroupSessions(p.Ctx, "expired"))
	s.again(func() { s.gone("expired", all, 0) })
	p.Clock.Add(1000 * hour)
	s.redacts("RedactExpiredGroupSessions long after", all, 4)(s.RedactExpiredGroupSessions(p.Ctx, "expired"))
	s.gone("expired", all, 0, 4)
	// What replaces a session expires by what it says itself.
	all[2].MaxAge = time.Second
	s.save(&crypto.Changes{InboundGroupSessions: all[2:3]})
	s.redacts("RedactExpiredGroupSessions of what has an age now", all, 2)(s.RedactExpiredGroupSessions(p.Ctx, "expired"))
}

func caseRedactOutdated(p *probe) {
	s := p.open()
	all := inbounds(kitchen, 4)
	all[1].ReceivedAt, all[3].ReceivedAt, all[3].Scheduled, all[2].MaxAge = time.Time{}, time.Time{}, true, 0
	s.save(&crypto.Changes{InboundGroupSessions: all})
	s.redacts("RedactOutdatedGroupSessions", all, 1, 3)(s.RedactOutdatedGroupSessions(p.Ctx, "outdated"))
	s.again(func() { s.gone("outdated", all, 1, 3) })
	s.redacts("RedactOutdatedGroupSessions for the second time", all)(s.RedactOutdatedGroupSessions(p.Ctx, "outdated"))
}

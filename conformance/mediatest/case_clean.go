package mediatest

// What cleaning removes, in which order, and what it leaves.

import (
	"time"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var cleanCases = []Case{
	{
		Name:    "expiry",
		Promise: "what nobody has read for the expiry is removed by the next cleaning, to the millisecond; reading it once is enough to keep it",
		Origins: from(seed(2), "ME-26", "ME-34"), run: caseExpiry,
	},
	{
		Name:    "expiry-ignored",
		Promise: "what ignores the policy does not expire, however old it is; from the moment on that the flag is cleared it may",
		Origins: from(seed(3), "ME-10", "ME-23"), run: caseExpiryIgnored,
	},
}

func caseExpiry(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithLastAccessExpiry(30 * time.Second))
	var all []media.Request
	for _, n := range []string{"0", "1", "2", "3", "4"} {
		all = append(all, file(n))
		s.add(file(n), bytesOf(len(all), 64))
		p.Clock.Add(time.Second)
	}
	for i, r := range all {
		s.has(r, bytesOf(i+1, 64))
		p.Clock.Add(time.Second)
	}
	s.cleans(0, 0)
	s.there("10 s after the first was stored", all, all...)
	for i, r := range all { // which refreshes them
		s.has(r, bytesOf(i+1, 64))
		p.Clock.Add(time.Second)
	}
	p.Clock.Add(11 * time.Second)
	s.cleans(0, 0)
	p.Clock.Add(15*time.Second - time.Millisecond) // now the first was read 31 s ago but for a millisecond, the second 30 s
	s.cleans(1, 64)
	s.there("one millisecond before the second expires", all, all[1:]...)
	p.Clock.Add(time.Millisecond)
	s.cleans(1, 64)
	s.there("in the moment in which the second expires", all, all[2:]...)
	s.lastCleaned(ptr(p.Clock.Now()))
	p.Clock.Add(time.Hour)
	s.cleans(3, 3*64)
	s.there("an hour later", all)
}

func caseExpiryIgnored(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithLastAccessExpiry(30 * time.Second))
	var all []media.Request
	for i, n := range []string{"0", "1", "2", "3", "4"} {
		all = append(all, file(n))
		s.add(file(n), bytesOf(i, 64), media.AddOptions{IgnorePolicy: i == 1 || i == 3})
		p.Clock.Add(time.Second)
	}
	p.Clock.Add(120 * time.Second)
	s.cleans(3, 3*64)
	s.there("after 120 s", all, all[1], all[3])
	s.cleans(0, 0)
	s.setIgnore(all[1], false)
	s.setIgnore(all[3], false)
	s.there("when the flags were cleared, before a cleaning,", all, all[1], all[3])
	s.has(all[1], bytesOf(1, 64)) // read, and so not expired
	s.cleans(1, 64)
	s.there("of two whose flags were cleared", all, all[1])
	p.Clock.Add(120 * time.Second)
	s.cleans(1, 64)
	s.there("120 s later", all)
}

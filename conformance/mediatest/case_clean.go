package mediatest

// What cleaning removes, in which order, and what it leaves.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var cleanCases = []Case{
	{
		Name:    "expiry",
		Promise: "what nobody has read for the expiry is removed by the next cleaning, to the millisecond; reading it once is enough to keep it",
		Origins: from(seed(2), "7.7/policy: has_content_expired", "ME-26", "ME-34"), run: caseExpiry,
	},
	{
		Name:    "expiry-ignored",
		Promise: "what ignores the policy does not expire, however old it is; from the moment on that the flag is cleared it may",
		Origins: from(seed(3), "ME-10", "ME-23"), run: caseExpiryIgnored,
	},
	{
		Name:    "last-cleaning",
		Promise: "the last cleaning is unknown until there was one; then it is the time of the last one that has ended, to the millisecond, also where nothing had to be removed; a Clean with nothing to enforce is none",
		Origins: from(seed(4), "7.7/policy: has_limitations", "ME-11", "ME-27", "ME-31", "DIV-35"),
		Differs: "matrix-rust-sdk's memory store takes its creation for a cleaning",
		run:     caseLastCleaning,
	},
	{
		Name:    "largest-file",
		Promise: "nothing larger than the smaller one of the limits for one content and for all together is stored, or left by a cleaning; a content of just that size is",
		Origins: from(seed(5), "7.7/policy: max_file_size", "ME-02", "ME-32", "ME-33", "GAP-ME/size rules on SQLite and memory", "OBS-31"),
		Differs: "sizes are those of the contents, and matrix-rust-sdk's of what is stored of them, which is more in an encrypted store",
		run:     caseLargest,
	},
	{
		Name:    "largest-cache",
		Promise: "where all together are too much, a cleaning leaves those that were read last, as many as fit",
		Origins: from(seed(6), "7.7/policy: max_cache_size", "GAP-ME/size rules on SQLite and memory", "7.7/test_last_access"), run: caseLargestCache,
	},
	{
		Name:    "limits-ignored",
		Promise: "what ignores the policy is stored whatever its size, is never cleaned away, and does not count; from the moment on that the flag is cleared it does",
		Origins: from(seed(7), "DIV-33", "GAP-ME/size rules on SQLite and memory"), run: caseLimitsIgnored,
	},
	{
		Name:    "first-that-does-not-fit",
		Promise: "from the newest on, the first content that does not fit is removed, and so are all that are older, even if one of them would still fit",
		Origins: from("ME-26", "contract"), run: caseFirst,
	},
	{
		Name:    "order-of-cleaning",
		Promise: "what is too large, and what has expired, is removed first, and does not count for what is too much together",
		Origins: from("ME-26"), run: caseOrder,
	},
	{
		Name:    "same-millisecond",
		Promise: "of contents that were read in the same millisecond those that were stored later are the newer ones, whatever happened to them since",
		Origins: from("ME-26", "DIV-34"),
		Differs: "matrix-rust-sdk leaves the order open",
		run:     caseTies,
	},
	{
		Name:    "milliseconds",
		Promise: "times are kept to the millisecond, before 1970 too: an expiry below a second is one",
		Origins: from("DIV-34"),
		Differs: "matrix-rust-sdk's SQLite store keeps seconds since 1970",
		run:     caseMillis,
	},
	{
		Name:    "clock-jumps",
		Promise: "what was read in the future has not expired, and is newer than all else; a cleaning after a jump of the clock does what its time says",
		Origins: from("ME-34", "bad input/clock jumps"), run: caseJumps,
	},
	{
		Name:    "many-to-clean",
		Promise: "a cleaning of hundreds of contents removes those that have to go, and no other, and counts them",
		Origins: from("contract", "OBS-33"), run: caseManyToClean,
	},
	{
		Name:    "two-cleanings",
		Promise: "of cleanings at once one does the work; together they remove each content once, and only what has to go",
		Origins: from("GAP-ME/two concurrent cleanups", "ME-11", "ME-40"), run: caseTwoCleanings,
	},
	{
		Name:    "cleaning-and-pauses",
		Promise: "a cleaning that a pause or a Close ends has removed nothing that may stay, notes no time, and does not keep the pause; one that has returned nil has done everything; giving room back afterwards cannot make it fail",
		Origins: from("GAP-ME/cleanup during close", "GAP-ME/failing VACUUM", "OBS-34", "ME-43"), Needs: needs(conformance.Gate),
		Differs: "a cleaning of matrix-rust-sdk delays close, or fails, and fails after its work is done where VACUUM does",
		run:     caseCleaningPaused,
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
	p.Clock.Add(15*time.Second - time.Millisecond) // the first was read 31 s ago, but for a millisecond, and the second 30 s
	s.cleans(1, 64)
	s.there("one millisecond before the second expires", all, all[1:]...)
	p.Clock.Add(time.Millisecond)
	s.cleans(1, 64)
	s.there("in the moment in which the second expires", all, all[2:]...)
	s.lastCleaned(ptr(p.Clock.Now()))
	p.Clock.Add(hour)
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

func caseLastCleaning(p *probe) {
	s := p.open()
	s.lastCleaned(nil)
	s.doesNotClean()
	s.policy(media.NoLimits().WithCleanupFrequency(1000 * hour)) // how often is no limit
	s.doesNotClean()
	s.lastCleaned(nil)
	s.nap()
	s.lastCleaned(nil)
	var last time.Time
	for _, limit := range []media.Policy{media.NoLimits().WithMaxCacheSize(10), media.NoLimits().WithMaxFileSize(10), media.NoLimits().WithLastAccessExpiry(hour)} {
		s.policy(limit)
		last = p.Clock.Add(1234567 * time.Microsecond)
		s.cleans(0, 0) // there is nothing
		s.lastCleaned(&last)
	}
	p.Clock.Add(hour)
	s.policy(media.NoLimits())
	s.doesNotClean()
	s.lastCleaned(&last)
	s.policy(media.NoLimits().WithMaxFileSize(10))
	last = p.Clock.Add(-100 * hour) // set back: still that of the last one that has ended
	s.cleans(0, 0)
	s.lastCleaned(&last)
	s.nap()
	s.lastCleaned(&last)
	if p.has(conformance.Files) {
		s.reopen()
		s.lastCleaned(&last)
	}
	p.Clock.Set(time.Date(1931, 7, 2, 1, 1, 1, 999999999, time.UTC))
	s.cleans(0, 0)
	s.lastCleaned(ptr(p.Clock.Now()))
}

func caseLargest(p *probe) {
	s := p.open()
	small, medium, large := file("small"), file("medium"), file("large")
	all := []media.Request{small, medium, large}
	s.policy(media.NoLimits().WithMaxFileSize(200))
	s.tooLarge(large, bytesOf(3, 256))
	s.add(medium, bytesOf(2, 128))
	s.add(small, bytesOf(1, 64))
	s.cleans(0, 0)
	s.there("within the limit of 200 bytes", all, small, medium)

	s.policy(media.NoLimits().WithMaxFileSize(100))
	s.there("of a lower limit, before a cleaning,", all, small, medium)
	s.cleans(1, 128)
	s.there("of a lower limit", all, small)
	s.tooLarge(large, bytesOf(3, 256))
	s.tooLarge(medium, bytesOf(2, 128))

	s.policy(media.NoLimits().WithMaxCacheSize(200).WithMaxFileSize(1000)) // the smaller one counts
	s.tooLarge(large, bytesOf(3, 256))
	s.add(medium, bytesOf(2, 128))
	s.cleans(0, 0)
	s.there("within 200 bytes for all", all, small, medium)

	s.policy(media.NoLimits().WithMaxCacheSize(100).WithMaxFileSize(1000))
	s.tooLarge(file("101"), bytesOf(4, 101))
	s.cleans(1, 128)
	s.there("within 100 bytes for all", all, small)

	// Just so large, and a byte more; of data that may be longer where it is stored.
	for _, limit := range []int{1, 100, 64 * kib, 100 * kib} {
		p.About(fmt.Sprintf("at the limit of %d bytes", limit), func() {
			s.policy(media.NoLimits())
			p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, large.URI))
			more := thumbnail("large", 1, 1)
			s.add(more, bytesOf(1, limit+1))
			s.policy(media.NoLimits().WithMaxFileSize(int64(limit)))
			s.add(large, bytesOf(2, limit))
			before := s.stats().Contents
			done, err := s.Clean(p.Ctx)
			p.Must("Clean", err)
			s.there("after a cleaning", []media.Request{large, more}, large)
			if s.stats().Contents != before-done.Removed {
				p.Broken("Clean returned %+v, and there were %d contents, and are %d", done, before, s.stats().Contents)
			}
			s.has(large, bytesOf(2, limit))
			s.tooLarge(large, bytesOf(3, limit+1))
		})
	}
}

func caseLargestCache(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithMaxCacheSize(200))
	s.tooLarge(file("256"), bytesOf(0, 256))
	var fives []media.Request
	for i := range 5 {
		fives = append(fives, file(fmt.Sprint(i)))
		s.add(fives[i], bytesOf(i, 64))
		p.Clock.Add(time.Second)
	}
	big := file("128")
	s.add(big, bytesOf(9, 128))
	p.Clock.Add(time.Second)
	all := append(slices.Clone(fives), big)
	for i, r := range fives {
		s.has(r, bytesOf(i, 64))
		p.Clock.Add(time.Second)
	}
	s.has(big, bytesOf(9, 128))
	p.Clock.Add(time.Second)
	s.there("before a cleaning", all, all...)
	s.cleans(4, 4*64)
	s.there("of 448 bytes, when 200 fit,", all, fives[4], big)

	for i := range 4 {
		s.add(fives[i], bytesOf(i, 64))
		p.Clock.Add(time.Second)
	}
	s.has(fives[4], bytesOf(4, 64))
	p.Clock.Add(time.Second)
	s.cleans(3, 128+2*64) // the large one is the oldest now, and three others are 192
	s.there("of those that were read last", all, fives[2], fives[3], fives[4])
	s.cleans(0, 0)

	// All together are just as much as is allowed.
	s.policy(media.NoLimits().WithMaxCacheSize(192))
	s.cleans(0, 0)
	s.policy(media.NoLimits().WithMaxCacheSize(191))
	s.cleans(1, 64)
	s.there("a byte less than all together is allowed:", all, fives[3], fives[4])
}

func caseLimitsIgnored(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithMaxCacheSize(150))
	large, medium, small := file("256"), file("128"), file("64")
	all := []media.Request{large, medium, small}
	s.tooLarge(large, bytesOf(1, 256))
	s.add(large, bytesOf(1, 256), kept)
	p.Clock.Add(time.Second)
	s.add(medium, bytesOf(2, 128))
	p.Clock.Add(time.Second)
	s.add(small, bytesOf(3, 64))
	p.Clock.Add(time.Second)
	s.setIgnore(medium, true)
	s.cleans(0, 0) // 64 bytes count
	s.there("two ignore the policy:", all, all...)
	s.counts("two ignore the policy:", media.Stats{Contents: 3, Bytes: 448, Ignoring: 2})
	s.setIgnore(large, false)
	s.there("when the flag of one was cleared, before a cleaning,", all, all...)
	s.cleans(1, 256)
	s.there("one ignores the policy:", all, medium, small)
	s.has(small, bytesOf(3, 64))
	p.Clock.Add(time.Second)
	s.has(medium, bytesOf(2, 128))
	p.Clock.Add(time.Second)
	s.setIgnore(medium, false)
	s.cleans(1, 64)
	s.there("none ignores the policy:", all, medium)
	s.counts("none ignores the policy:", media.Stats{Contents: 1, Bytes: 128})
}

// sized stores contents of these sizes, the last one being the newest.
func (s *subject) sized(at ...int) (all []media.Request) {
	for i, size := range at {
		all = append(all, file(fmt.Sprint("sized ", i)))
		s.add(all[i], bytesOf(i, size))
		s.p.Clock.Add(time.Second)
	}
	return all
}

func caseFirst(p *probe) {
	s := p.open()
	for _, c := range []struct {
		sizes   []int // from the oldest to the newest
		cache   int64
		newest  int // so many stay
		removed int64
	}{
		{[]int{10, 50, 60}, 100, 1, 60},
		{[]int{1, 1, 1, 100}, 100, 1, 3},
		{[]int{100, 1, 1, 99, 1}, 100, 2, 102},
		{[]int{0, 0, 50, 51}, 100, 1, 50}, // what is empty would fit, too
		{[]int{0, 0, 50, 50}, 100, 4, 0},
		{[]int{3, 40, 40, 40}, 100, 2, 43},
		{[]int{100, 0, 0}, 0, 2, 100},
	} {
		p.About(fmt.Sprintf("sizes %d, and room for %d", c.sizes, c.cache), func() {
			s.policy(media.NoLimits())
			all := s.sized(c.sizes...)
			s.policy(media.NoLimits().WithMaxCacheSize(c.cache))
			s.cleans(len(all)-c.newest, c.removed)
			s.there("after a cleaning", all, all[len(all)-c.newest:]...)
			s.cleans(0, 0)
			for _, r := range all {
				p.Must("Remove", s.Remove(p.Ctx, r))
			}
		})
	}
}

func caseOrder(p *probe) {
	s := p.open()
	all := s.sized(50, 50, 101, 60) // the last two are too large
	flagged := file("flagged")
	s.add(flagged, bytesOf(1, 1000), kept)
	s.policy(media.NoLimits().WithMaxCacheSize(100).WithMaxFileSize(55))
	s.cleans(2, 161)
	s.there("when what is too large is gone, the rest fits:", append(all, flagged), all[0], all[1], flagged)

	p.Must("Remove", s.Remove(p.Ctx, all[0]))
	p.Must("Remove", s.Remove(p.Ctx, all[1]))
	s.policy(media.NoLimits())
	all = s.sized(30, 30, 30, 30) // a second apart
	s.policy(media.NoLimits().WithMaxCacheSize(60).WithLastAccessExpiry(3 * time.Second))
	s.cleans(2, 60) // the first two are 4 s and 3 s old
	s.there("when what has expired is gone, the rest fits:", append(all, flagged), all[2], all[3], flagged)
	p.Clock.Add(time.Second)
	s.policy(media.NoLimits().WithMaxCacheSize(59).WithMaxFileSize(30).WithLastAccessExpiry(hour))
	s.cleans(1, 30)
	s.there("a byte too much", append(all, flagged), all[3], flagged)
	s.has(flagged, bytesOf(1, 1000))
}

func caseTies(p *probe) {
	s := p.open()
	all := []media.Request{file("0"), file("1"), file("2"), file("3"), file("4")}
	fill := func() {
		for i, r := range all {
			p.Must("Remove", s.Remove(p.Ctx, r))
			s.add(r, bytesOf(i, 10))
		}
	}
	enforce := func(what string, cache int64, want ...media.Request) {
		p.About(what, func() {
			s.policy(media.NoLimits().WithMaxCacheSize(cache))
			if _, err := s.Clean(p.Ctx); err != nil {
				p.Broken("Clean returned: %v", err)
			}
			s.there("after a cleaning", all, want...)
			s.policy(media.NoLimits())
		})
	}
	fill()
	enforce("stored in one millisecond, one after another", 25, all[3], all[4])
	fill()
	for _, i := range []int{4, 1, 0, 3, 2} {
		s.has(all[i], bytesOf(i, 10))
	}
	enforce("read in the same millisecond, in another order", 25, all[3], all[4])
	fill()
	s.setIgnore(all[0], true)
	s.setIgnore(all[0], false)
	s.rename(all[1], file("x"), media.RenameOptions{})
	s.rename(file("x"), all[1], media.RenameOptions{ObeyPolicy: true})
	s.rename(all[2], all[2], media.RenameOptions{})
	enforce("flagged and renamed", 25, all[3], all[4])
	fill()
	s.add(all[0], bytesOf(0, 10)) // stored anew: now it is the newest
	s.stream(all[1], bytesOf(1, 10), 10)
	enforce("stored anew", 25, all[0], all[1])

	// Within one millisecond there is no earlier and later.
	begin := time.Date(2026, 5, 6, 7, 8, 9, 5e6, time.UTC)
	p.Clock.Set(begin.Add(900 * time.Microsecond))
	fill()
	for _, i := range []int{4, 3, 2, 1, 0} {
		p.Clock.Add(time.Microsecond)
		s.has(all[i], bytesOf(i, 10))
	}
	enforce("read one after another within a millisecond", 25, all[3], all[4])
	fill()
	p.Clock.Set(begin.Add(time.Millisecond)) // the next one
	s.has(all[0], bytesOf(0, 10))
	enforce("one was read in the next millisecond", 25, all[0], all[4])
	for _, r := range all {
		p.Must("Remove", s.Remove(p.Ctx, r))
	}
	s.counts("after that", media.Stats{})
}

func caseMillis(p *probe) {
	s := p.open()
	a, b := file("a"), file("b")
	for _, begin := range []time.Time{
		time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.UTC), time.Date(2026, 5, 6, 7, 8, 9, 999999999, time.FixedZone("", 3600)),
		time.Unix(0, 0), time.Date(1969, 12, 31, 23, 59, 59, 1, time.UTC), time.Date(1903, 3, 4, 5, 6, 7, 999999999, time.UTC), time.Date(2226, 1, 1, 1, 1, 1, 1, time.UTC),
	} {
		p.About(fmt.Sprint("at ", begin), func() {
			p.Clock.Set(begin)
			s.add(a, []byte("a"))
			s.accessed(a, begin)
			if at := s.info(a).LastAccess; at.Location() != time.UTC {
				p.Broken("the last access is told in the zone %v, and should be in UTC", at.Location())
			}
			s.policy(media.NoLimits().WithLastAccessExpiry(500 * time.Millisecond))
			p.Clock.Set(millis(begin).Add(499 * time.Millisecond))
			s.add(b, []byte("b"))
			s.cleans(0, 0)
			s.there("after 499 ms", []media.Request{a, b}, a, b)
			p.Clock.Set(millis(begin).Add(500 * time.Millisecond))
			s.cleans(1, 1)
			s.there("after 500 ms", []media.Request{a, b}, b)
			s.lastCleaned(ptr(p.Clock.Now()))
			p.Must("Remove", s.Remove(p.Ctx, b))
		})
	}
}

func caseJumps(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithLastAccessExpiry(24 * hour))
	now := p.Clock.Now()
	all := s.sized(10, 20, 30)
	p.Clock.Set(now.AddDate(-10, 0, 0)) // everything was read ten years ahead
	s.cleans(0, 0)
	s.there("the clock was set back ten years:", all, all...)
	s.has(all[0], bytesOf(0, 10)) // now the one that is oldest
	s.accessed(all[0], p.Clock.Now())
	old := file("old")
	s.add(old, bytesOf(7, 40))
	p.Clock.Add(23 * hour)
	s.policy(media.NoLimits().WithMaxCacheSize(60))
	s.cleans(2, 50)
	s.there("those of the future are the newest:", append(all, old), all[1], all[2])
	s.policy(media.NoLimits().WithLastAccessExpiry(24 * hour))
	p.Clock.Set(now.Add(24*hour + time.Second)) // right again; the second one was stored a second after now
	s.cleans(1, 20)
	s.there("when it was set right", append(all, old), all[2])
	p.Clock.Set(now.AddDate(20, 0, 0))
	s.has(all[2], bytesOf(2, 30))
	s.cleans(0, 0)
	p.Clock.Set(now)
	s.cleans(0, 0)
	s.there("after a jump there and back", append(all, old), all[2])
	s.lastCleaned(&now)
	p.Clock.Set(now.AddDate(20, 0, 1))
	s.cleans(1, 30)
}

func caseManyToClean(p *probe) {
	s := p.open()
	var all []media.Request
	sum := func(numbers ...int) (removed int, bytes int64) {
		for _, i := range numbers {
			removed++
			bytes += int64(100 + i)
		}
		return removed, bytes
	}
	const count = 300
	var tooLarge, expired, tooMuch []int
	for i := range count {
		all = append(all, file(fmt.Sprint(i)))
		s.add(all[i], bytesOf(i, 100+i))
		p.Clock.Add(time.Second)
		switch { // the limits of below
		case i >= 250:
			tooLarge = append(tooLarge, i)
		case i < 100:
			expired = append(expired, i)
		case i < 150:
			tooMuch = append(tooMuch, i)
		}
	}
	s.policy(media.NoLimits().WithMaxFileSize(349).WithLastAccessExpiry((count - 99) * time.Second))
	n1, b1 := sum(tooLarge...)
	n2, b2 := sum(expired...)
	s.cleans(n1+n2, b1+b2)
	s.there("of hundreds", all, all[100:250]...)
	n3, b3 := sum(tooMuch...)
	rest := s.stats().Bytes
	s.policy(media.NoLimits().WithMaxCacheSize(rest - b3))
	s.cleans(n3, b3)
	s.there("of hundreds", all, all[150:250]...)
	s.counts("of hundreds", media.Stats{Contents: 100, Bytes: rest - b3})
	for i := 150; i < 250; i++ {
		if !s.has(all[i], bytesOf(i, 100+i)) {
			return
		}
	}
	s.policy(media.NoLimits().WithMaxCacheSize(0))
	s.cleans(100, rest-b3)
	s.counts("when nothing is allowed", media.Stats{})
}

func caseTwoCleanings(p *probe) {
	s := p.open()
	for round := range p.count(2, 4, 20, 100) {
		s.policy(media.NoLimits())
		all := s.sized(slices.Repeat([]int{100}, 60)...)
		s.policy(media.NoLimits().WithMaxCacheSize(1000))
		now := p.Clock.Now()
		var ran, removed, bytes atomic.Int64
		var at []func()
		for range 6 {
			at = append(at, func() {
				done, err := s.Clean(p.Ctx)
				p.Must("Clean", err)
				if done.Ran {
					ran.Add(1)
				} else if done != (media.Cleaned{}) {
					p.Broken("a Clean that did not run returned %+v", done)
				}
				removed.Add(int64(done.Removed))
				bytes.Add(done.Bytes)
			})
		}
		p.All(at...)
		if ran.Load() < 1 || removed.Load() != 50 || bytes.Load() != 5000 {
			p.Broken("round %d: of %d cleanings at once %d ran, and removed %d contents of %d bytes together; those to be removed were 50 of 5000",
				round, len(at), ran.Load(), removed.Load(), bytes.Load())
		}
		s.there("after cleanings at once", all, all[50:]...)
		s.lastCleaned(&now)
	}
}

func caseCleaningPaused(p *probe) {
	dir, o := p.Dir(), p.options()
	o.Grace = time.Microsecond
	s := p.openIn(dir, o)
	s.policy(media.NoLimits())
	cut, last := 0, (*time.Time)(nil)
	for round := range p.count(3, 6, 60, 600) {
		s.policy(media.NoLimits())
		const count, stay, size = 100, 20, 500
		all := s.sized(slices.Repeat([]int{size}, count)...)
		keep := all[count-stay:]
		s.policy(media.NoLimits().WithMaxCacheSize(stay * size))
		now := p.Clock.Add(hour)
		type result struct {
			media.Cleaned
			err error
		}
		done := make(chan result, 1)
		p.Go(func() {
			c, err := s.Clean(p.Ctx)
			done <- result{c, err}
		})
		time.Sleep(time.Duration(rand.IntN(1<<(6+round%6))) * time.Microsecond) // a moment of its work; which one does not matter
		end, closing := s.Pause, round%3 == 2 && p.has(conformance.Files)
		if closing {
			end = s.Close
		}
		ctx, cancel := context.WithTimeout(p.Ctx, time.Duration(round%2)*50*time.Millisecond)
		err := end(ctx)
		cancel()
		if held := (*lifecycle.HeldError)(nil); err != nil && !errors.As(err, &held) && !errors.Is(err, context.DeadlineExceeded) {
			p.Broken("Pause, or Close, during a cleaning returned: %v", err)
		}
		r := <-done
		if r.err != nil && !trial.OfPause(r.err) && !errors.Is(r.err, lifecycle.ErrClosed) {
			p.Broken("a Clean that a pause or a Close has ended returned: %v", r.err)
		}
		if closing {
			s.close() // whatever the first Close has returned
			s.Store = p.openIn(dir, o).Store
		} else {
			p.Eventually("a store that was paused can be resumed", func() bool { return s.Resume(p.Ctx) == nil })
		}
		if r.err == nil {
			if r.Cleaned != (media.Cleaned{Ran: true, Removed: count - stay, Bytes: (count - stay) * size}) {
				p.Broken("a Clean that has ended while a pause came returned %+v", r.Cleaned)
			}
			s.there("a Clean has returned nil, and a pause came:", all, keep...)
			last = &now
			s.lastCleaned(last)
			continue
		}
		cut++
		s.lastCleaned(last)
		var left []media.Request
		for _, r := range all[:count-stay] {
			if _, found, err := s.Info(p.Ctx, r); err == nil && found {
				left = append(left, r)
			}
		}
		s.there("after a cleaning that was cut off", keep, keep...)
		s.counts("after a cleaning that was cut off", media.Stats{Contents: stay + len(left), Bytes: int64(stay+len(left)) * size})
		s.cleans(len(left), int64(len(left))*size)
		s.there("a cleaning that was cut off has gone on:", all, keep...)
		last = &now
		s.lastCleaned(last)
		if p.Over() {
			return
		}
	}
	p.Note("%d cleanings were cut off", cut)
}

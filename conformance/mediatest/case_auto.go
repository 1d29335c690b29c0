package mediatest

// When a store cleans by itself. That it has is told by Options.Cleaned, and by what
// is gone. That it has not is proved by a cleaning that the case asks for: that one finds
// what was to be removed; and by Close, after which nothing can be told any more.

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var autoCases = []Case{
	{
		Name:    "cleans-by-itself",
		Promise: "with a frequency and a limit, a store that has never cleaned does so at the first opportunity; then not before the frequency is over, and again when it is",
		Origins: from("7.7/service: automatic cleanup", "7.7/policy: cleanup_frequency", "ME-35", "ME-42", "DIV-35"), run: caseByItself,
	},
	{
		Name:    "cleans-by-default",
		Promise: "the default policy is enforced by itself: a new store cleans at its first opportunity, and once a day",
		Origins: from("ME-30", "ME-42", "DIV-35"),
		Differs: "a new store of matrix-rust-sdk has no policy, and never cleans",
		run:     caseByDefault,
	},
	{
		Name:    "never-by-itself",
		Promise: "without a frequency, or without a limit, nothing is cleaned but by Clean; without a limit, and for what is not stored for its size, nothing is touched at all",
		Origins: from("7.7/service: automatic cleanup", "7.7/service: empty policy", "7.7/service: non-empty policy", "7.7/policy: has_limitations", "ME-11", "ME-31", "ME-42"), run: caseNeverByItself,
	},
	{
		Name:    "every-opportunity",
		Promise: "setting a policy, storing a content, and reading one, found or not, are opportunities for a cleaning that is due; with a frequency of 0 it always is",
		Origins: from("ME-42", "ME-08", "ME-02", "ME-04", "ME-06"), run: caseOpportunities,
	},
	{
		Name:    "clean-counts-for-the-frequency",
		Promise: "a Clean that somebody asked for is a cleaning: none comes by itself before the frequency is over, neither in the same life nor after a pause or another opening",
		Origins: from("ME-41", "ME-42"), run: caseCleanCounts,
	},
	{
		Name:    "frequency-and-clock-jumps",
		Promise: "where the clock was set back, nothing is cleaned by itself until it has caught up; where it was set ahead, a cleaning is due at once, and nothing fails",
		Origins: from("ME-35", "bad input/clock jumps"), run: caseFrequencyJumps,
	},
	{
		Name:    "pause-during-its-own-cleaning",
		Promise: "a cleaning that the store began by itself keeps no Pause and no Close; what it has not done is done later, and it is told of once",
		Origins: from("OBS-34", "ME-43", "GAP-ME/cleanup during close"), Needs: needs(conformance.Gate),
		Differs: "a cleaning of matrix-rust-sdk delays close, or fails",
		run:     caseOwnCleaningPaused,
	},
}

// own are the cleanings that a store has told of.
type own struct {
	p    *probe
	mu   sync.Mutex
	told []media.Cleaned
}

func (o *own) cleaned(done media.Cleaned, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.p.Broken("a cleaning that the store began by itself has failed: %v", err)
	}
	if !done.Ran {
		o.p.Broken("a cleaning that the store began by itself was told of, and did not run: %+v", done)
	}
	o.told = append(o.told, done)
}

func (o *own) all() []media.Cleaned {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]media.Cleaned(nil), o.told...)
}

// awaits waits until the store has told of so many, and checks what the last one has removed.
func (o *own) awaits(count, removed int) {
	o.p.Eventually(fmt.Sprintf("the store has cleaned by itself for the %d. time", count), func() bool { return len(o.all()) >= count })
	if got := o.all(); len(got) != count || got[count-1].Removed != removed {
		o.p.Broken("the store has cleaned by itself %d times, and should have %d times; these cleanings are %+v, and the last one should have removed %d", len(got), count, got, removed)
	}
}

// watched opens a store that tells of its own cleanings.
func (p *probe) watched() (*subject, *own) {
	told := &own{p: p}
	o := p.options()
	o.Cleaned = told.cleaned
	return p.openIn(p.Dir(), o), told
}

// none checks that the store has not cleaned by itself, and does not: what has
// to go is still there, and nothing more is told until it is closed.
func (s *subject) none(told *own, before int, doomed media.Request) {
	info := s.info(doomed)
	s.cleans(1, info.Size)
	s.close()
	if got := told.all(); len(got) != before {
		s.p.Broken("the store has cleaned by itself %d times, and should have %d times: %+v", len(got), before, got)
	}
}

// opportunities does what may be an opportunity: reads what there is not. What
// the store begins then by itself gets its turn before it returns, or soon.
func (s *subject) opportunities() {
	for range 5 {
		s.absent(file("none"))
		s.noneOf(mxc("none"))
		for range 10 {
			runtime.Gosched()
		}
	}
}

// expiring is a policy under which what is older than an hour has to go.
func expiring() media.Policy { return media.NoLimits().WithLastAccessExpiry(hour) }

func caseByItself(p *probe) {
	s, told := p.watched()
	s.policy(media.NoLimits())
	a, b := file("a"), file("b")
	s.add(a, bytesOf(1, 100))
	s.opportunities()
	s.lastCleaned(nil)
	p.Clock.Add(hour)
	s.policy(expiring().WithCleanupFrequency(2 * hour))
	told.awaits(1, 1) // at once
	s.absent(a)
	last := p.Clock.Now()
	s.lastCleaned(&last)

	s.add(b, bytesOf(2, 100))
	p.Clock.Add(time.Minute)
	s.opportunities() // none
	s.lastCleaned(&last)
	p.Clock.Add(2*hour - time.Minute - time.Millisecond)
	s.opportunities() // none, and b has expired
	s.there("a millisecond before the frequency is over", []media.Request{b}, b)
	s.lastCleaned(&last)
	last = p.Clock.Add(time.Millisecond)
	s.opportunities()
	told.awaits(2, 1)
	s.absent(b)
	s.lastCleaned(&last)

	s.add(b, bytesOf(2, 100))
	p.Clock.Add(2*hour - time.Millisecond)
	s.opportunities()
	s.none(told, 2, b)
}

func caseByDefault(p *probe) {
	s, told := p.watched()
	s.opportunities()
	told.awaits(1, 0)
	s.add(file("a"), bytesOf(1, 100))
	s.add(file("b"), bytesOf(2, 100), kept)
	last := p.Clock.Now()
	s.lastCleaned(&last)
	p.Clock.Add(24*hour - time.Millisecond)
	s.opportunities()
	s.lastCleaned(&last)
	p.Clock.Set(last.Add(60 * 24 * hour))
	s.opportunities()
	told.awaits(2, 1)
	s.there("after 60 days", []media.Request{file("a"), file("b")}, file("b"))
}

func caseNeverByItself(p *probe) {
	for what, policy := range map[string]media.Policy{
		"no frequency":                      expiring().WithMaxCacheSize(1000).WithMaxFileSize(1000),
		"a frequency, and nothing to limit": media.NoLimits().WithCleanupFrequency(0),
	} {
		p.About(what, func() {
			s, told := p.watched()
			s.policy(policy)
			s.add(file("a"), bytesOf(1, 100))
			for range 3 {
				p.Clock.Add(1000 * hour)
				s.opportunities()
				s.policy(policy)
				s.lastCleaned(nil)
			}
			if !policy.HasLimits() {
				s.doesNotClean()
				s.lastCleaned(nil)
				s.add(file("large"), bytesOf(1, 2000)) // nothing is too large
				s.policy(expiring())
			} else {
				s.tooLarge(file("large"), bytesOf(1, 2000))
				s.add(file("large"), bytesOf(1, 2000), kept)
			}
			s.none(told, 0, file("a"))
		})
	}
}

func caseOpportunities(p *probe) {
	there, thumb := file("there"), thumbnail("thumb", 1, 1)
	for _, frequency := range []time.Duration{0, 10 * hour} {
		s, told := p.watched()
		s.policy(media.NoLimits())
		s.add(there, []byte("there"), kept)
		s.add(thumb, []byte("thumb"), kept)
		policy := expiring().WithCleanupFrequency(frequency)
		s.policy(policy)
		told.awaits(1, 0)
		count := 1
		for _, c := range []struct {
			what string
			do   func()
		}{
			{"SetPolicy", func() { s.policy(policy) }},
			{"Add", func() { s.add(there, []byte("there"), kept) }},
			{"Get that finds something", func() { _, _, err := s.Get(p.Ctx, there); p.Must("Get", err) }},
			{"Get that finds nothing", func() { _, _, err := s.Get(p.Ctx, file("none")); p.Must("Get", err) }},
			{"GetForURI that finds something", func() { _, _, _, err := s.GetForURI(p.Ctx, thumb.URI); p.Must("GetForURI", err) }},
			{"GetForURI that finds nothing", func() { _, _, _, err := s.GetForURI(p.Ctx, mxc("none")); p.Must("GetForURI", err) }},
			{"Commit", func() { s.stream(there, []byte("there"), 2, kept) }},
		} {
			p.About(fmt.Sprintf("frequency %v: %s", frequency, c.what), func() {
				// With frequency 0 this is an opportunity, too: what there is to be removed, one of the two finds.
				p.Clock.Add(10 * hour)
				c.do()
				count++
				p.Eventually("the store has cleaned by itself", func() bool { return len(told.all()) >= count })
				s.lastCleaned(ptr(p.Clock.Now()))
				if frequency > 0 && len(told.all()) != count {
					p.Broken("the store has cleaned %d times, and should have %d times", len(told.all()), count)
				}
				count = len(told.all())
			})
		}
		s.close()
	}
}

func caseCleanCounts(p *probe) {
	s, told := p.watched()
	s.policy(expiring())
	s.add(file("a"), bytesOf(1, 100))
	last := p.Clock.Now()
	s.cleans(0, 0)
	p.Clock.Add(time.Minute)
	check := func(what string) {
		p.About(what, func() {
			s.policy(expiring().WithCleanupFrequency(5 * hour))
			s.opportunities()
			s.lastCleaned(&last)
		})
	}
	check("in the same life")
	s.nap()
	check("after a pause")
	if p.has(conformance.Files) {
		s.close()
		o := p.options()
		o.Cleaned = told.cleaned
		s.Store = p.openIn(s.dir, o).Store
		check("after another opening")
	}
	p.Clock.Set(last.Add(5 * hour))
	s.opportunities()
	told.awaits(1, 1)
	last = p.Clock.Now()
	s.lastCleaned(&last)
}

func caseFrequencyJumps(p *probe) {
	s, told := p.watched()
	s.policy(media.NoLimits())
	s.policy(expiring().WithCleanupFrequency(2 * hour))
	told.awaits(1, 0)
	last := p.Clock.Now()
	s.add(file("a"), bytesOf(1, 100))
	p.Clock.Set(last.AddDate(-3, 0, 0))
	for range 3 {
		s.opportunities()
		p.Clock.Add(3 * hour) // these do not count: the last cleaning is in the future
	}
	s.lastCleaned(&last)
	p.Clock.Set(last.Add(2*hour - time.Millisecond))
	s.opportunities()
	s.lastCleaned(&last)
	s.there("before it has caught up", []media.Request{file("a")}, file("a"))
	p.Clock.Set(last.AddDate(50, 0, 0))
	s.opportunities()
	told.awaits(2, 1)
	future := p.Clock.Now()
	s.lastCleaned(&future)
	p.Clock.Set(last) // and back: for fifty years nothing is cleaned by itself, and Clean still works
	s.add(file("b"), bytesOf(2, 100))
	p.Clock.Add(hour)
	s.opportunities()
	s.lastCleaned(&future)
	s.none(told, 2, file("b"))
}

func caseOwnCleaningPaused(p *probe) {
	for round := range p.count(2, 3, 4, 20) {
		p.About(fmt.Sprintf("round %d", round), func() {
			s, told := p.watched()
			s.policy(media.NoLimits())
			sizes := make([]int, 100)
			s.sized(sizes...)
			p.Clock.Add(2 * hour)
			s.policy(expiring().WithCleanupFrequency(0)) // and begins
			time.Sleep(time.Duration(round*round) * 200 * time.Microsecond)
			p.Must("Pause", s.Pause(p.Ctx))
			paused := len(told.all())
			if round%2 == 0 { // nothing is done while it is paused; but one that has ended before may be told of a little later
				time.Sleep(time.Millisecond)
				if got := len(told.all()); got > paused+1 {
					p.Broken("%d cleanings were told of when Pause returned, and %d while it was paused", paused, got)
				}
			}
			p.Must("Resume", s.Resume(p.Ctx))
			s.opportunities()
			p.Eventually("a cleaning that a pause has cut off, or not, is done", func() bool { return s.stats().Contents == 0 })
			s.close()
			removed := 0
			for _, done := range told.all() {
				removed += done.Removed
			}
			if removed > len(sizes) {
				p.Broken("the store has told of %d contents that it has removed, and there were %d", removed, len(sizes))
			}
		})
	}
}

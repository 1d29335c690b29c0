package eventcachetest

// Leases between processes, by the real clock: they are short here.

import (
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
)

var leaseCases = []Case{
	{
		Name:    "leases",
		Promise: "a lease is its holder's until its time is over or it is released; its generation grows when it comes to another holder, and by nothing else",
		Origins: seed(33), run: caseLeases,
	},
	{
		Name:    "leases-are-independent",
		Promise: "leases of different keys, whatever bytes these are, have nothing to do with each other",
		Origins: from("contract", "bad input/binary ids"), run: caseLeaseKeys,
	},
	{
		Name:    "one-holder-at-a-time",
		Promise: "of all who want a lease at the same moment one gets it",
		Origins: from("contract"), run: caseLeaseRace,
	},
	{
		Name:    "leases-survive",
		Promise: "a lease that was taken is still its holder's, with its generation, after a pause and after the store was opened again",
		Origins: from("contract"), run: caseLeaseSurvives,
	},
}

// realClock opens a store that goes by the real time, as leases may.
func (p *probe) realClock(dir string) *subject {
	o := p.options()
	o.Clock = time.Now
	return p.openWith(dir, o)
}

// taken checks that a lease is taken, with this generation.
func (s *subject) taken(key, holder string, d time.Duration, generation uint64) {
	got, ok, err := s.TakeLease(s.p.Ctx, key, holder, d)
	s.p.Must("TakeLease", err)
	if !ok || got != generation {
		s.p.Broken("TakeLease of %.50q for %.50q returned generation %d, %v, and not generation %d, true", key, holder, got, ok, generation)
	}
}

// refusedLease checks that another holder has it.
func (s *subject) refusedLease(key, holder string, d time.Duration) {
	_, ok, err := s.TakeLease(s.p.Ctx, key, holder, d)
	s.p.Must("TakeLease", err)
	if ok {
		s.p.Broken("TakeLease of %.50q for %.50q took what another holder has", key, holder)
	}
}

const anHour = time.Hour // longer than any case

func caseLeases(p *probe) {
	s := p.realClock(p.Dir())
	s.taken("key", "one", 0, 1)
	s.taken("key", "one", anHour, 1)
	s.taken("key", "one", anHour, 1)
	s.refusedLease("key", "two", anHour)
	s.refusedLease("key", "two", time.Millisecond)
	s.refusedLease("key", "two", 0) // which releases nothing of another holder's
	s.refusedLease("key", "three", anHour)
	s.taken("key", "one", 30*time.Millisecond, 1) // extends, or shortens
	p.Eventually("a lease of 30 ms can be taken by another holder", func() bool {
		generation, ok, err := s.TakeLease(p.Ctx, "key", "two", anHour)
		p.Must("TakeLease", err)
		if ok && generation != 2 {
			p.Broken("a lease that another holder has taken over has generation %d, and not 2", generation)
		}
		return ok
	})
	s.refusedLease("key", "one", anHour)
	s.taken("key", "two", anHour, 2)
	s.taken("key", "two", 0, 2) // released: free at once
	s.taken("key", "one", anHour, 3)
	s.refusedLease("key", "two", anHour)
	s.taken("key", "one", 0, 3)
	s.taken("key", "one", anHour, 3) // nobody was in between
	s.taken("key", "one", 0, 3)
	s.taken("key", "two", 0, 4)
	s.taken("key", "two", anHour, 4)
	s.refusedLease("key", "one", anHour)
	s.taken("key", "two", anHour, 4)
	s.taken("new", "two", anHour, 1)
}

func caseLeaseKeys(p *probe) {
	s := p.realClock(p.Dir())
	keys := slices.Compact(slices.Sorted(slices.Values(slices.Concat(strange, injections, []string{""}))))
	for i, key := range keys {
		s.taken(key, fmt.Sprint("holder", i), anHour, 1)
	}
	for i, key := range keys {
		s.refusedLease(key, "another", anHour)
		s.taken(key, fmt.Sprint("holder", i), 0, 1)
		s.taken(key, key, anHour, 2)
		s.refusedLease(key, key+"\x00", anHour)
	}
}

func caseLeaseRace(p *probe) {
	s := p.realClock(p.Dir())
	for round := range uint64(5) {
		const holders = 16
		name := func(i int) string { return fmt.Sprintf("holder %d of round %d", i, round) }
		generations := make([]uint64, holders)
		var all []func()
		for i := range holders {
			all = append(all, func() {
				generation, ok, err := s.TakeLease(p.Ctx, "key", name(i), anHour)
				p.Must("TakeLease", err)
				if ok {
					generations[i] = generation
				}
			})
		}
		p.All(all...)
		winner := -1
		for i, generation := range generations {
			if generation == 0 {
				continue
			}
			if winner >= 0 || generation != round+1 {
				p.Fatal("%d holders asked for a lease that was free; one should have got it, with generation %d; these did: %d", holders, round+1, generations)
			}
			winner = i
		}
		if winner < 0 {
			p.Fatal("%d holders asked for a lease that was free, and none has got it", holders)
		}
		s.taken("key", name(winner), 0, round+1)
	}
}

func caseLeaseSurvives(p *probe) {
	dir := p.Dir()
	s := p.realClock(dir)
	check := func(what string) {
		p.About(what, func() {
			s.taken("key", "one", anHour, 1)
			s.refusedLease("key", "two", anHour)
			s.taken("second", "two", anHour, 2)
			s.refusedLease("second", "one", anHour)
		})
	}
	s.taken("second", "one", 0, 1)
	check("at first")
	s.idle()
	check("after a pause")
	p.Must("ClearAll", s.ClearAll(p.Ctx)) // is about rooms
	check("after ClearAll")
	if p.has(conformance.Files) {
		s.close()
		s = p.realClock(dir)
		check("after it was opened again")
	}
}

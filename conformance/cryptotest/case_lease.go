package cryptotest

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
		Origins: from(seed(38), "CR-42"), run: caseLeases,
	},
	{
		Name:    "leases-are-independent",
		Promise: "leases of different keys, whatever bytes these are, have nothing to do with each other",
		Origins: from("contract", "bad input/binary ids"), run: caseLeaseKeys,
	},
	{
		Name:    "one-holder-at-a-time",
		Promise: "of all who want a lease at the same moment one gets it",
		Origins: from("contract", "CR-42"), run: caseLeaseRace,
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
	return p.openIn(dir, o)
}

// takes checks that a lease is taken, with this generation.
func (s *subject) takes(key, holder string, d time.Duration, generation uint64) {
	got, ok, err := s.TakeLease(s.p.Ctx, key, holder, d)
	s.p.Must("TakeLease", err)
	if !ok || got != generation {
		s.p.Broken("TakeLease of %.50q for %.50q returned generation %d, %v, and not generation %d, true", key, holder, got, ok, generation)
	}
}

// doesNotTake checks that another holder has it.
func (s *subject) doesNotTake(key, holder string, d time.Duration) {
	_, ok, err := s.TakeLease(s.p.Ctx, key, holder, d)
	s.p.Must("TakeLease", err)
	if ok {
		s.p.Broken("TakeLease of %.50q for %.50q took what another holder has", key, holder)
	}
}

const long = time.Hour // longer than any case

func caseLeases(p *probe) {
	s := p.realClock(p.Dir())
	s.takes("key", "one", 0, 1)
	s.takes("key", "one", long, 1)
	s.takes("key", "one", long, 1)
	s.doesNotTake("key", "two", long)
	s.doesNotTake("key", "two", time.Millisecond)
	s.doesNotTake("key", "two", 0) // which releases nothing of another holder's
	s.doesNotTake("key", "three", long)
	s.takes("key", "one", 30*time.Millisecond, 1) // extends, or shortens
	p.Eventually("a lease of 30 ms can be taken by another holder", func() bool {
		generation, ok, err := s.TakeLease(p.Ctx, "key", "two", long)
		p.Must("TakeLease", err)
		if ok && generation != 2 {
			p.Broken("a lease that another holder has taken over has generation %d, and not 2", generation)
		}
		return ok
	})
	s.doesNotTake("key", "one", long)
	s.takes("key", "two", long, 2)
	s.takes("key", "two", 0, 2) // released: free at once
	s.takes("key", "one", long, 3)
	s.doesNotTake("key", "two", long)
	s.takes("key", "one", 0, 3)
	s.takes("key", "one", long, 3) // nobody was in between
	s.takes("key", "one", 0, 3)
	s.takes("key", "two", 0, 4)
	s.takes("key", "two", long, 4)
	s.doesNotTake("key", "one", long)
	s.takes("key", "two", long, 4)
	s.takes("new", "two", long, 1)
}

func caseLeaseKeys(p *probe) {
	s := p.realClock(p.Dir())
	keys := slices.Compact(slices.Sorted(slices.Values(slices.Concat(strange, []string{""}))))
	for i, key := range keys {
		s.takes(key, fmt.Sprint("holder", i), long, 1)
	}
	for i, key := range keys {
		s.doesNotTake(key, "another", long)
		s.takes(key, fmt.Sprint("holder", i), 0, 1)
		s.takes(key, key, long, 2)
		s.doesNotTake(key, key+"\x00", long)
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
				generation, ok, err := s.TakeLease(p.Ctx, "key", name(i), long)
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
		s.takes("key", name(winner), 0, round+1)
	}
}

func caseLeaseSurvives(p *probe) {
	dir := p.Dir()
	s := p.realClock(dir)
	check := func(what string) {
		p.About(what, func() {
			s.takes("key", "one", long, 1)
			s.doesNotTake("key", "two", long)
			s.takes("second", "two", long, 2)
			s.doesNotTake("second", "one", long)
		})
	}
	s.takes("second", "one", 0, 1)
	check("at first")
	s.nap()
	check("after a pause")
	if p.has(conformance.Files) {
		s.close()
		s = p.realClock(dir)
		check("after it was opened again")
	}
}

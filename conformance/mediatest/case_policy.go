package mediatest

// Which policy is in force.

import (
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var policyCases = []Case{
	{
		Name:    "default-policy",
		Promise: "where no policy was set the default one is in force, and obeyed",
		Origins: from("ME-30", "ME-09", seed(1)),
		Differs: "a new store of matrix-rust-sdk limits nothing",
		run:     caseDefault,
	},
	{
		Name:    "set-policy",
		Promise: "SetPolicy puts a policy in force, every limit of it, and none that it does not have; what is there already is not touched",
		Origins: from(seed(1), "ME-08", "ME-20", "ME-21", "ME-36"), run: caseSetPolicy,
	},
	{
		Name:    "policies-that-cannot-be",
		Promise: "a policy with a negative limit is refused with ErrPolicy, and the one before stays in force",
		Origins: from("contract", "bad input/negative limits"), run: caseErrPolicy,
	},
	{
		Name:    "limits-at-the-edges",
		Promise: "limits of 0 and of the greatest numbers mean what they say: nothing larger than nothing, expired at once, never full, never expired",
		Origins: from("bad input/sizes that overflow", "ME-33", "ME-34"), run: caseEdges,
	},
	{
		Name:    "policy-survives-pauses",
		Promise: "a policy stays in force over pauses, and Policy tells it also while paused",
		Origins: from("GAP-ME/policy after restart/reopen", "ME-09"), run: casePolicyPause,
	},
	{
		Name:    "policy-survives-reopening",
		Promise: "a policy that was set, the one that limits nothing too, is in force when the store is opened again",
		Origins: from("GAP-ME/policy after restart/reopen", "ME-20", "ME-21", "ME-41"), Needs: needs(conformance.Files), run: casePolicyReopen,
	},
	{
		Name:    "policy-of-another-process",
		Promise: "what another process has set, cleaned, stored and removed while the store was paused is so after Resume",
		Origins: from("OBS-30"), Needs: needs(conformance.Gate, conformance.Files),
		Differs: "matrix-rust-sdk reads the policy when a store is opened, and not again",
		run:     casePolicyOfAnother,
	},
}

func caseDefault(p *probe) {
	s := p.fresh()
	s.inForce("in a new store", media.DefaultPolicy())
	s.tooLarge(file("too large"), make([]byte, media.DefaultMaxFileSize+1))
	s.counts("after what the default policy does not allow", media.Stats{})
}

// policies are different ones.
func policies() []media.Policy {
	all := []media.Policy{media.NoLimits(), media.DefaultPolicy()}
	for i := range 16 {
		for _, n := range []int64{0, 1000, math.MaxInt64} {
			var p media.Policy
			if i&1 != 0 {
				p = p.WithMaxCacheSize(n)
			}
			if i&2 != 0 {
				p = p.WithMaxFileSize(max(n-1, 0))
			}
			if i&4 != 0 {
				p = p.WithLastAccessExpiry(time.Duration(n))
			}
			if i&8 != 0 {
				p = p.WithCleanupFrequency(time.Duration(max(n-2, 0)))
			}
			all = append(all, p)
		}
	}
	return all
}

func caseSetPolicy(p *probe) {
	s := p.open()
	data := s.add(file("a"), bytesOf(1, 2000), kept)
	for _, policy := range policies() {
		s.policy(policy)
		s.inForce("after SetPolicy", policy)
	}
	s.has(file("a"), data)

	s = p.open() // one that has never cleaned by itself
	s.add(file("a"), data)
	s.policy(media.NoLimits().WithMaxFileSize(10).WithMaxCacheSize(10).WithLastAccessExpiry(0))
	s.there("a policy that does not allow it has just been set:", []media.Request{file("a")}, file("a"))
	s.has(file("a"), data)

	// What was set, and what is returned, are the caller's.
	mine := media.NoLimits().WithMaxFileSize(100)
	s.policy(mine)
	*mine.MaxFileSize = 5
	s.inForce("after the caller has changed what it had set", media.NoLimits().WithMaxFileSize(100))
	*s.Policy().MaxFileSize = 5
	s.inForce("after a caller has changed what Policy had returned", media.NoLimits().WithMaxFileSize(100))
	s.add(file("b"), bytesOf(2, 100))
	s.tooLarge(file("b"), bytesOf(2, 101))
}

func caseErrPolicy(p *probe) {
	s := p.open()
	before := media.NoLimits().WithMaxFileSize(100).WithLastAccessExpiry(time.Hour)
	s.policy(before)
	for what, bad := range map[string]media.Policy{
		"MaxCacheSize": before.WithMaxCacheSize(-1), "MaxFileSize": before.WithMaxFileSize(math.MinInt64),
		"LastAccessExpiry": before.WithLastAccessExpiry(-1), "CleanupFrequency": before.WithCleanupFrequency(-time.Hour),
	} {
		p.Is("SetPolicy of a negative "+what, s.SetPolicy(p.Ctx, bad), media.ErrPolicy)
		s.inForce("after a policy that was refused", before)
	}
	s.add(file("a"), bytesOf(1, 100))
	s.tooLarge(file("b"), bytesOf(1, 101))
	s.cleans(0, 0)
}

func caseEdges(p *probe) {
	s := p.open()
	a, b, empty := file("a"), file("b"), file("empty")
	all := []media.Request{a, b, empty}
	fill := func() {
		s.policy(media.NoLimits())
		s.add(a, []byte("a"))
		s.add(b, []byte("b"))
		s.add(empty, nil)
	}
	longest := time.Duration(math.MaxInt64)
	fill()
	p.Clock.Add(1000 * hour)
	s.policy(media.NoLimits().WithMaxCacheSize(math.MaxInt64).WithMaxFileSize(math.MaxInt64).WithLastAccessExpiry(longest))
	s.cleans(0, 0)
	s.there("limits are as great as they can be:", all, all...)
	s.add(file("c"), bytesOf(1, 100))
	p.Must("Remove", s.Remove(p.Ctx, file("c")))

	s.policy(media.NoLimits().WithMaxFileSize(0))
	s.tooLarge(file("c"), []byte("c"))
	s.add(empty, []byte{})
	s.cleans(2, 2)
	s.there("nothing may be larger than nothing:", all, empty)

	fill()
	s.policy(media.NoLimits().WithMaxCacheSize(0))
	s.tooLarge(file("c"), []byte("c"))
	s.cleans(2, 2)
	s.there("all together may be nothing:", all, empty)

	fill()
	s.policy(media.NoLimits().WithLastAccessExpiry(0))
	s.cleans(3, 2)
	s.there("everything expires at once:", all)

	fill()
	p.Clock.Add(-time.Millisecond)
	s.cleanFuture(all)
	// A second longer than the longest time, since the last access.
	s.policy(media.NoLimits().WithLastAccessExpiry(longest))
	p.Clock.Set(p.Clock.Now().Add(longest).Add(time.Second))
	s.cleans(3, 2)
	s.there("292 years later", all)
}

// cleanFuture checks that what was read in the future does not expire.
func (s *subject) cleanFuture(all []media.Request) {
	s.policy(media.NoLimits().WithLastAccessExpiry(0))
	s.cleans(0, 0)
	s.there("everything was read in the future:", all, all...)
}

func casePolicyPause(p *probe) {
	s := p.open()
	for _, policy := range policies()[:12] {
		if policy.CleanupFrequency != nil {
			continue
		}
		s.policy(policy)
		p.Must("Pause", s.Pause(p.Ctx))
		s.inForce("while paused", policy)
		p.Must("Resume", s.Resume(p.Ctx))
		s.inForce("after Resume", policy)
	}
	s.policy(media.NoLimits().WithMaxFileSize(10))
	s.nap()
	s.tooLarge(file("a"), bytesOf(1, 11))
	s.add(file("a"), bytesOf(1, 10))
}

func casePolicyReopen(p *probe) {
	s := p.fresh()
	s.reopen()
	s.inForce("in a store that was opened again, where none was set,", media.DefaultPolicy())
	all, step := policies(), p.count(12, 6, 1, 1)
	for i, which := 0, rand.IntN(step); i < len(all); i++ {
		if i > 1 && i%step != which { // some of them; the one that limits nothing and the default in any case
			continue
		}
		policy := all[i]
		s.policy(policy)
		s.reopen()
		s.inForce("after it was opened again", policy)
	}
	s.policy(media.NoLimits().WithMaxFileSize(10))
	s.add(file("a"), bytesOf(1, 10))
	s.reopen()
	s.tooLarge(file("b"), bytesOf(1, 11))
	// Set while somebody sleeps, it is set for good.
	s.nap()
	s.reopen()
	s.inForce("after a pause, and opening again,", media.NoLimits().WithMaxFileSize(10))
}

// casePolicyOfAnother lets another process write into the files of a paused
// store: that is what was made of a copy of them, put back.
func casePolicyOfAnother(p *probe) {
	s := p.open()
	s.add(file("removed"), bytesOf(1, 100))
	s.add(file("stays"), bytesOf(2, 100*kib))
	removed, stays := s.opened(file("removed")), s.opened(file("stays"))
	at := p.Clock.Add(hour)
	set := media.NoLimits().WithMaxFileSize(200 * kib).WithLastAccessExpiry(48 * time.Hour)
	p.Must("Pause", s.Pause(p.Ctx))
	p.beside(s, func(other *subject) {
		p.Must("Remove", other.Remove(p.Ctx, file("removed")))
		other.add(file("added"), bytesOf(3, 70*kib), kept)
		other.policy(set)
		other.cleans(0, 0)
	})
	p.Must("Resume", s.Resume(p.Ctx))
	s.inForce("after Resume, when another process has set it,", set)
	s.lastCleaned(&at)
	s.tooLarge(file("too large"), bytesOf(1, 200*kib+1))
	s.counts("after Resume, when another process has stored and removed something,", media.Stats{Contents: 2, Bytes: 170 * kib, Ignoring: 1})
	s.has(file("added"), bytesOf(3, 70*kib))
	p.reads("a content that another process has left alone", stays, bytesOf(2, 100*kib))
	_, err := removed.Read(make([]byte, 10))
	p.Is("Read of a content that another process has removed", err, media.ErrGone)
}

// beside opens a copy of a paused store, and puts back what becomes of it.
func (p *probe) beside(s *subject, fn func(other *subject)) {
	mine, dir := p.h.Files(s.dir), p.Dir()
	theirs := p.h.Files(dir)
	// The same inodes, as when another process writes into them: it is the same database.
	carry := func(from, to []string) {
		for i := range from {
			data, err := os.ReadFile(from[i])
			switch {
			case err == nil:
				err = os.WriteFile(to[i], data, 0o600)
			case os.IsNotExist(err):
				if err = os.Remove(to[i]); os.IsNotExist(err) {
					err = nil
				}
			}
			p.Must("copying files of a paused store", err)
		}
	}
	carry(mine, theirs)
	other := p.openIn(dir, p.options())
	fn(other)
	other.close()
	carry(theirs, mine)
	p.FilesNamed("after another store was opened beside a paused one", dir, p.h.Files)
}

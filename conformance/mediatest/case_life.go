package mediatest

// The life of a store: what stays over a pause and a new opening, and what every
// method returns while it is paused, closed, or nobody waits any more.

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var lifeCases = []Case{
	{
		Name:    "contents-survive-pauses",
		Promise: "everything is after a Resume as it was before the Pause, over any number of them, and goes on from there",
		Origins: from("contract", "ME-12", "ME-13"), run: casePauses,
	},
	{
		Name:    "contents-survive-reopening",
		Promise: "everything is there when the store is closed and opened again: contents, their names, flags, last accesses, which was stored first, the last cleaning",
		Origins: from("contract", "ME-12"), Needs: needs(conformance.Files), run: caseReopen,
	},
	{
		Name:    "refused-while-paused",
		Promise: "while paused every method returns an error that matches lifecycle.ErrPaused, at once, those of Readers and Writers too, and nothing has changed",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: casePaused,
	},
	{
		Name:    "waits-for-resume",
		Promise: "under the policy Wait every method waits for Resume and then does its work; for as long as its context allows, and not beyond Close",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: caseWait,
	},
	{
		Name:    "a-pause-that-changes-nothing",
		Promise: "a store without a gate goes on with its work while it is paused, and nothing is lost or changed",
		Origins: from("contract"), For: conformance.Gate, run: caseNoGate,
	},
	{
		Name:    "closed-for-good",
		Promise: "after Close every method returns an error that matches lifecycle.ErrClosed, those of Readers and Writers too; closing it again is nil",
		Origins: from("contract", "ME-12"), run: caseClosed,
	},
	{
		Name:    "contexts-that-have-ended",
		Promise: "with a context that has ended every method returns an error that matches the context's, and nothing has changed",
		Origins: from("contract"), run: caseCancelled,
	},
}

// dump is everything that can be told of a store without reading a content, for
// comparing: of these requests, and of the store as a whole.
func (s *subject) dump(all ...media.Request) string {
	p := s.p
	at, known, err := s.LastCleaned(p.Ctx)
	p.Must("LastCleaned", err)
	text := fmt.Sprintf("policy %s\n%+v\nlast cleaning %v %v\n", limits(s.Policy()), s.stats(), at, known)
	for _, r := range all {
		info, found, err := s.Info(p.Ctx, r)
		p.Must("Info", err)
		text += fmt.Sprintf("%s: %v %+v\n", name(r), found, info)
	}
	return text
}

// unchanged checks that a dump is as before.
func (s *subject) unchanged(what, before string, all ...media.Request) {
	if after := s.dump(all...); after != before {
		s.p.Broken("%s has changed something\nbefore:\n%s\nafter:\n%s", what, before, after)
	}
}

// varied stores contents of all kinds.
func varied(s *subject) (all []media.Request, contents map[media.Request][]byte) {
	contents = map[media.Request][]byte{}
	for i, r := range append(named([]string{"mxc://a/b", "\xff\x00"}), file("large"), thumbnail("large", 30, 20), file("empty")) {
		size := map[int]int{6: 300 * kib, 7: 64 * kib, 8: 0}[i]
		if i < 6 {
			size = 100 + i
		}
		contents[r] = s.add(r, bytesOf(i, size), media.AddOptions{IgnorePolicy: i%2 == 1})
		all = append(all, r)
		s.p.Clock.Add(time.Duration(i%3) * time.Millisecond)
	}
	return all, contents
}

func casePauses(p *probe) {
	s := p.open()
	all, contents := varied(s)
	s.policy(media.NoLimits().WithMaxFileSize(mib))
	s.cleans(0, 0)
	for i := range 5 {
		p.Clock.Add(hour)
		s.has(all[i], contents[all[i]])
		before := s.dump(all...)
		for range 2 { // pausing what is paused, resuming what runs
			p.Must("Pause", s.Pause(p.Ctx))
		}
		for range 2 {
			p.Must("Resume", s.Resume(p.Ctx))
		}
		s.unchanged("a Pause and a Resume", before, all...)
		for _, r := range all {
			s.everyWay(r, contents[r])
		}
		r := file(fmt.Sprint("round ", i))
		all, contents[r] = append(all, r), s.add(r, bytesOf(i, 70*kib))
		s.rename(all[0], thumbnail("renamed", i, i), media.RenameOptions{})
		contents[thumbnail("renamed", i, i)] = contents[all[0]]
		all[0] = thumbnail("renamed", i, i)
		p.Must("Remove", s.Remove(p.Ctx, all[6]))
		all = append(all[:6], all[7:]...)
		p.Clock.Add(hour)
		s.cleans(0, 0)
	}
}

func caseReopen(p *probe) {
	s := p.open()
	all, contents := varied(s)
	again := func(what string) {
		before := s.dump(all...)
		s.reopen()
		s.unchanged(what, before, all...)
	}
	again("closing and opening again")
	for _, r := range all {
		s.everyWay(r, contents[r])
		p.Clock.Add(time.Second)
	}
	again("reading everything, closing and opening again,")
	s.nap()
	again("a pause, closing and opening again")
	for i, r := range all {
		s.setIgnore(r, i%2 == 0)
	}
	last := p.Clock.Add(hour)
	s.policy(media.NoLimits().WithMaxFileSize(mib))
	s.cleans(0, 0)
	again("other flags, closing and opening again")
	s.lastCleaned(&last)
	p.Must("Pause", s.Pause(p.Ctx))
	s.reopen() // closed while paused
	for i, r := range all {
		s.flag(r, i%2 == 0)
		s.everyWay(r, contents[r])
	}
	// Of those that were read in the same millisecond the later one is still the newer one, and what is stored now is newer than both.
	p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, mxc("tie")))
	var ties []media.Request
	for i := range 3 {
		ties = append(ties, thumbnail("tie", i+1, 1))
		s.add(ties[i], bytesOf(i, 10))
	}
	for _, r := range all {
		s.setIgnore(r, true)
	}
	s.reopen()
	ties = append(ties, thumbnail("tie", 9, 9))
	s.add(ties[3], bytesOf(3, 10))
	for _, i := range []int{3, 2, 1, 0} {
		s.has(ties[i], bytesOf(i, 10))
	}
	s.policy(media.NoLimits().WithMaxCacheSize(20))
	s.cleans(2, 20)
	s.there("of contents that were stored before and after the opening", ties, ties[2], ties[3])
}

func casePaused(p *probe) {
	s := p.open()
	prepared(s)
	there := []media.Request{file("there"), file("removed"), thumbnail("all removed", 1, 1), file("called"), file("renamed"), file("created"), file("written")}
	for _, why := range []string{"paused", "paused for the second time"} {
		names, all := s.ready(p.Ctx)
		defer runtime.KeepAlive(all) // an upload of a Writer that nobody holds any more is nobody's
		before := s.dump(there...)
		s.state(lifecycle.Active)
		p.Must("Pause", s.Pause(p.Ctx))
		s.state(lifecycle.Paused)
		p.Clock.Add(hour)
		for range 2 {
			for i, do := range all {
				p.About(why, func() { p.Is(names[i], do(), lifecycle.ErrPaused) })
			}
		}
		s.inForce("while paused", calledPolicy)
		p.Must("Resume", s.Resume(p.Ctx))
		s.unchanged("methods that were refused while it was paused", before, there...)
		s.takes("called", why, 0, map[bool]uint64{true: 1, false: 2}[why == "paused"])
		s.reads(s.opened(file("there")))
	}
}

// reads checks that what prepared has stored is whole.
func (s *subject) reads(in media.Reader) {
	s.p.reads("what was there before", in, bytesOf(1, 150*kib))
}

func caseWait(p *probe) {
	dir, o := p.Dir(), p.options()
	o.WhenPaused = lifecycle.Wait
	s := p.openIn(dir, o)
	prepared(s)
	type result struct {
		method string
		err    error
	}
	start := func(names []string, all []func() error) <-chan result {
		results := make(chan result, len(all))
		for i, do := range all {
			p.Go(func() { results <- result{names[i], do()} })
		}
		return results
	}
	none := func(results <-chan result) {
		select {
		case r := <-results:
			p.Fatal("%s returned (%v) while the store was paused, and should wait", r.method, r.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	collect := func(what string, results <-chan result, want error) {
		for range cap(results) {
			r := trial.Receive(p.T, what+": the end of a method", results)
			p.Is(what+": "+r.method, r.err, want)
		}
	}
	for what, ctx := range map[string]context.Context{"the store's policy": p.Ctx, "the policy of the call": waiting(p.Ctx)} {
		names, all := s.ready(ctx)
		p.Must("Pause", s.Pause(p.Ctx))
		results := start(names, all)
		none(results)
		p.Must("Resume", s.Resume(p.Ctx))
		collect(what+": after Resume", results, nil)
	}
	// The policy of a call is stronger than that of the store.
	names, all := s.ready(lifecycle.WithPolicy(p.Ctx, lifecycle.Fail))
	p.Must("Pause", s.Pause(p.Ctx))
	for i, do := range all {
		p.Is(names[i]+" under the policy Fail, of a store that lets others wait,", do(), lifecycle.ErrPaused)
	}
	p.Must("Resume", s.Resume(p.Ctx))

	ctx, cancel := context.WithCancel(p.Ctx)
	names, all = s.ready(ctx)
	before := s.dump(file("there"), file("called"), file("renamed"), file("written"))
	p.Must("Pause", s.Pause(p.Ctx))
	results := start(names, all)
	none(results)
	cancel()
	collect("the context has ended", results, context.Canceled)
	p.Must("Resume", s.Resume(p.Ctx))
	s.unchanged("methods that did not wait for long enough", before, file("there"), file("called"), file("renamed"), file("written"))

	names, all = s.ready(p.Ctx)
	p.Must("Pause", s.Pause(p.Ctx))
	results = start(names, all)
	none(results)
	s.close()
	collect("the store was closed", results, lifecycle.ErrClosed)
}

func caseNoGate(p *probe) {
	s := p.open()
	prepared(s)
	before := s.dump(file("there"), file("called"))
	names, all := s.ready(p.Ctx)
	p.Must("Pause", s.Pause(p.Ctx))
	s.state(lifecycle.Active)
	for i, do := range all {
		p.Is(names[i]+" while it is paused", do(), nil)
	}
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Remove", s.Remove(p.Ctx, file("renamed")))
	s.there("what was done while it was paused", []media.Request{file("there"), file("removed"), thumbnail("all removed", 1, 1), file("called"), file("written")},
		file("there"), file("written"))
	s.has(file("there"), bytesOf(1, 150*kib))
	if before == s.dump(file("there"), file("called")) {
		p.Broken("what was done while it was paused has not happened")
	}
}

func caseClosed(p *probe) {
	s := p.open()
	prepared(s)
	names, all := s.ready(p.Ctx)
	waitingNames, waitingCalls := s.ready(waiting(p.Ctx))
	s.state(lifecycle.Active)
	s.close()
	s.state(lifecycle.Closed)
	for range 2 {
		for i := range all {
			p.Is(names[i]+" after Close", all[i](), lifecycle.ErrClosed)
			p.Is(waitingNames[i]+" after Close, under the policy Wait,", waitingCalls[i](), lifecycle.ErrClosed)
		}
		p.Is("Resume after Close", s.Resume(p.Ctx), lifecycle.ErrClosed)
		p.Must("Close after Close", s.Close(p.Ctx))
		s.state(lifecycle.Closed)
	}
	s.inForce("after Close", calledPolicy)
}

func caseCancelled(p *probe) {
	s := p.open()
	prepared(s)
	there := []media.Request{file("there"), file("removed"), thumbnail("all removed", 1, 1), file("called"), file("renamed"), file("created"), file("written")}
	cancelled, cancel := context.WithCancel(p.Ctx)
	names, all := s.ready(cancelled)
	before := s.dump(there...)
	cancel()
	for i, do := range all {
		p.Is(names[i]+" with a cancelled context", do(), context.Canceled)
	}
	late, cancel := context.WithDeadline(p.Ctx, time.Now().Add(-time.Hour))
	defer cancel()
	for _, c := range calls() {
		do, err := c.prepare(late, s.Store)
		if err == nil {
			err = do()
		}
		p.Is(c.method+" with a context whose time is over", err, context.DeadlineExceeded)
	}
	s.unchanged("methods whose context had ended", before, there...)
	s.takes("called", "another", 0, 1)
}

package eventcachetest

// The life of a store: what stays over a pause and a new opening, and what every
// method returns while it is paused, closed, or nobody waits any more.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var lifeCases = []Case{
	{
		Name:    "contents-survive-pauses",
		Promise: "everything is after a Resume as it was before the Pause, over any number of them, and goes on from there",
		Origins: from("contract"), run: casePauses,
	},
	{
		Name:    "contents-survive-reopening",
		Promise: "everything is there when the store is closed and opened again: events, their order, when they were stored, linked chunks of every kind, threads",
		Origins: from("contract"), Needs: needs(conformance.Files), run: caseReopen,
	},
	{
		Name:    "refused-while-paused",
		Promise: "while paused every method returns an error that matches lifecycle.ErrPaused, at once, and nothing has changed",
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
		Promise: "after Close every method returns an error that matches lifecycle.ErrClosed; closing it again is nil",
		Origins: from("contract"), run: caseClosed,
	},
	{
		Name:    "contexts-that-have-ended",
		Promise: "with a context that has ended every method returns an error that matches the context's, and nothing has changed",
		Origins: from("contract"), run: caseCancelled,
	},
	{
		Name:    "pause-during-an-export",
		Promise: "a slow Export does not keep a Pause from its end; it is whole, or ends with an error of the pause, and what it has written until then is no export",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: casePauseExport,
	},
	{
		Name:    "pause-during-an-import",
		Promise: "an Import whose reader is slow does not keep a Pause from its end, and has changed everything or nothing",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: casePauseImport,
	},
}

func casePauses(p *probe) {
	s := p.open()
	variedRoom(s, roomA)
	everyKind(s, roomB)
	s.save(roomC, everyField("$every"))
	for i := range 3 {
		before := s.dump()
		for range 2 { // pausing what is paused, resuming what runs
			p.Must("Pause", s.Pause(p.Ctx))
		}
		for range 2 {
			p.Must("Resume", s.Resume(p.Ctx))
		}
		s.unchanged("a Pause and a Resume", before)
		s.agree()
		which := id.EventID(fmt.Sprint("$round", i))
		s.apply(eventcache.Room(roomA), push(4, 3+i, ev(which)))
		s.save(roomC, ev(which))
		p.Must("RememberThread", s.RememberThread(p.Ctx, roomB, which))
	}
	s.list(eventcache.Room(roomA), "8(\xff\x00 token) 1[$shared $in0] 2(token) 3() 9223372036854775807[] 4[$every $\xff strange \x00 $shared $round0 $round1 $round2]")
	s.events(roomC, eventcache.Filter{}, "$every $round0 $round1 $round2")
	s.threads(roomB, "$t1", "$t2", "$remembered", "$round0", "$round1", "$round2")
}

func caseReopen(p *probe) {
	dir := p.Dir()
	s := p.openWith(dir, p.options())
	variedRoom(s, roomA)
	everyKind(s, roomB)
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomB))
	everyKind(s, roomB)
	s.save(roomC, ev("$old"), ev("$z"))
	p.Clock.Add(time.Hour)
	s.save(roomC, ev("$young"))
	again := func(change func()) {
		change()
		before := s.dump()
		s.close()
		s = p.openWith(dir, p.options())
		s.unchanged("closing and opening again", before)
		s.agree()
	}
	again(func() {})
	again(func() { s.idle(); s.apply(eventcache.Room(roomA), eventcache.Clear{}) })
	again(func() { s.apply(eventcache.Room(roomA), items(0, 3, 0), push(3, 0, ev("$shared"), ev("$last"))) })
	// What comes after that comes last, and ages are those of before.
	s.save(roomC, ev("$a"), ev("$z"))
	s.events(roomC, eventcache.Filter{}, "$old $z $young $a")
	p.Must("RememberThread", s.RememberThread(p.Ctx, roomB, "$a"))
	s.threads(roomB, "$t1", "$t2", "$remembered", "$a")
	s.p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	s.cleanUp(30*time.Minute, 2) // $old, and $saved of the second room
	s.events(roomC, eventcache.Filter{}, "$z $young $a")
	again(func() {})
	// Closed while it is paused.
	p.Must("Pause", s.Pause(p.Ctx))
	s.close()
	s = p.openWith(dir, p.options())
	s.events(roomC, eventcache.Filter{}, "$z $young $a")
	p.Must("ClearAll", s.ClearAll(p.Ctx))
	again(func() {})
}

// state checks the state, which a store reports at every moment.
func (s *subject) state(want lifecycle.State) {
	if got := s.State(); got != want {
		s.p.Broken("the state is %v and not %v", got, want)
	}
}

func casePaused(p *probe) {
	s := p.open()
	prepared(s)
	before := s.dump(roomA, roomB)
	for _, why := range []string{"paused", "paused for the second time"} {
		s.state(lifecycle.Active)
		p.Must("Pause", s.Pause(p.Ctx))
		s.state(lifecycle.Paused)
		for range 2 {
			for _, c := range calls() {
				p.About(why, func() { p.Is(c.method, c.do(p.Ctx, s.Store), lifecycle.ErrPaused) })
			}
		}
		p.Must("Resume", s.Resume(p.Ctx))
		s.unchanged("methods that were refused while it was paused", before, roomA, roomB)
		if generation, taken, err := s.TakeLease(p.Ctx, "called", why, 0); err != nil || !taken || why == "paused" && generation != 1 {
			p.Broken("a lease that was refused while the store was paused is held: TakeLease for another holder returned generation %d, %v, %v", generation, taken, err)
		}
	}
}

func caseWait(p *probe) {
	dir, o := p.Dir(), p.options()
	o.WhenPaused = lifecycle.Wait
	s := p.openWith(dir, o)
	prepared(s)
	var all []call
	for _, c := range calls() {
		if c.method != "ClearAll" { // it would make the others' work hard to see
			all = append(all, c)
		}
	}
	type result struct {
		method string
		err    error
	}
	start := func(ctx context.Context) <-chan result {
		results := make(chan result, len(all))
		for _, c := range all {
			p.Go(func() { results <- result{c.method, c.do(ctx, s.Store)} })
		}
		return results
	}
	collect := func(what string, results <-chan result, want error) {
		for range all {
			r := trial.Receive(p.T, what+": the end of a method", results)
			p.Is(what+": "+r.method, r.err, want)
		}
	}
	none := func(results <-chan result) {
		select {
		case r := <-results:
			p.Fatal("%s returned (%v) while the store was paused, and should wait", r.method, r.err)
		case <-time.After(30 * time.Millisecond):
		}
	}
	for what, ctx := range map[string]context.Context{"the store's policy": p.Ctx, "the policy of the call": waiting(p.Ctx)} {
		p.Must("Pause", s.Pause(p.Ctx))
		results := start(ctx)
		none(results)
		p.Must("Resume", s.Resume(p.Ctx))
		collect(what+": after Resume", results, nil)
	}
	// The policy of a call is stronger than that of the store.
	p.Must("Pause", s.Pause(p.Ctx))
	for _, c := range all {
		p.Is(c.method+" under the policy Fail, of a store that lets others wait,", c.do(lifecycle.WithPolicy(p.Ctx, lifecycle.Fail), s.Store), lifecycle.ErrPaused)
	}
	p.Must("Resume", s.Resume(p.Ctx))
	before := s.dump()
	p.Must("Pause", s.Pause(p.Ctx))
	ctx, cancel := context.WithTimeout(p.Ctx, 20*time.Millisecond)
	defer cancel()
	collect("the context has ended", start(ctx), context.DeadlineExceeded)
	p.Must("Resume", s.Resume(p.Ctx))
	s.unchanged("methods that did not wait for long enough", before)
	p.Must("Pause", s.Pause(p.Ctx))
	results := start(p.Ctx)
	none(results)
	s.close()
	collect("the store was closed", results, lifecycle.ErrClosed)
}

func caseNoGate(p *probe) {
	s := p.open()
	prepared(s)
	before := s.dump()
	p.Must("Pause", s.Pause(p.Ctx))
	s.state(lifecycle.Active)
	s.unchanged("Pause", before)
	for _, c := range calls() {
		p.Is(c.method+" while it is paused", c.do(p.Ctx, s.Store), nil)
	}
	s.fill(eventcache.Room(roomA), evs("$a")...)
	before = s.dump()
	p.Must("Resume", s.Resume(p.Ctx))
	s.unchanged("Resume", before)
	s.list(eventcache.Room(roomA), "1[$a]")
}

func caseClosed(p *probe) {
	s := p.open()
	prepared(s)
	s.state(lifecycle.Active)
	s.close()
	s.state(lifecycle.Closed)
	for range 2 {
		for _, c := range calls() {
			p.Is(c.method+" after Close", c.do(p.Ctx, s.Store), lifecycle.ErrClosed)
			p.Is(c.method+" after Close, under the policy Wait,", c.do(waiting(p.Ctx), s.Store), lifecycle.ErrClosed)
		}
		p.Is("Resume after Close", s.Resume(p.Ctx), lifecycle.ErrClosed)
		p.Must("Close after Close", s.Close(p.Ctx))
		s.state(lifecycle.Closed)
	}
}

func caseCancelled(p *probe) {
	s := p.open()
	prepared(s)
	before := s.dump()
	cancelled, cancel := context.WithCancel(p.Ctx)
	cancel()
	late, cancel := context.WithDeadline(p.Ctx, time.Now().Add(-time.Hour))
	defer cancel()
	for _, c := range calls() {
		p.Is(c.method+" with a cancelled context", c.do(cancelled, s.Store), context.Canceled)
		p.Is(c.method+" with a context whose time is over", c.do(late, s.Store), context.DeadlineExceeded)
	}
	s.unchanged("methods whose context had ended", before)
	if _, taken, err := s.TakeLease(p.Ctx, "called", "another", 0); err != nil || !taken {
		p.Broken("a lease that was asked for with a context that had ended is held: TakeLease for another holder returned %v, %v", taken, err)
	}
}

func (s *subject) pauseWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(s.p.Ctx, d)
	defer cancel()
	return s.Pause(ctx)
}

func casePauseExport(p *probe) {
	o := p.options()
	o.Grace = 20 * time.Millisecond
	s := p.openWith(p.Dir(), o)
	manyEvents(s, roomA, "old")
	whole := s.export(roomA)
	for i := range p.count(2, 2, 5, 20) {
		paused := make(chan error, 1)
		w := &slowly{}
		w.once = func() {
			p.Go(func() { paused <- s.pauseWithin(min(3*time.Second, p.Soon)) })
			p.Eventually("a store on which Pause was called is not active", func() bool { return s.State() != lifecycle.Active })
			if i%2 == 0 { // the grace is over when it goes on
				time.Sleep(2 * o.Grace)
			}
		}
		err := s.Export(p.Ctx, roomA, w)
		switch {
		case err != nil && !trial.OfPause(err):
			p.Broken("an Export during which the store was paused returned: %v", err)
		case err == nil && w.String() != string(whole):
			p.Broken("an Export during which the store was paused returned nil, and has written %d bytes of %d", w.Len(), len(whole))
		case err != nil:
			_, wrong := newModel(p.Clock.Now).Import(p.Ctx, strings.NewReader(w.String()))
			p.Is("reading what an Export has written that ended with an error", wrong, eventcache.ErrExport)
		}
		p.Must("Pause during an Export", trial.Receive(p.T, "the end of a Pause during an Export", paused))
		p.Must("Resume", s.Resume(p.Ctx))
	}
	if again := s.export(roomA); string(again) != string(whole) {
		p.Broken("after pauses during exports there is another export")
	}
}

// slowReader reads line by line, and calls a function after some.
type slowReader struct {
	lines []string
	at    int
	call  func()
}

func (r *slowReader) Read(b []byte) (int, error) {
	if r.at--; r.at == 0 {
		r.call()
	}
	if len(r.lines) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.lines[0])
	if r.lines[0] = r.lines[0][n:]; r.lines[0] == "" {
		r.lines = r.lines[1:]
	}
	return n, nil
}

func casePauseImport(p *probe) {
	o := p.options()
	o.Grace = 20 * time.Millisecond
	s := p.openWith(p.Dir(), o)
	manyEvents(s, roomA, "new")
	s.fill(eventcache.Room(roomA), evs("$new")...)
	export := string(s.export(roomA))
	after := s.dump()
	rounds := p.count(2, 3, 6, 6)
	for i := range rounds {
		p.Must("ClearAll", s.ClearAll(p.Ctx))
		everyKind(s, roomA)
		before := s.dump()
		paused := make(chan error, 1)
		lines := strings.SplitAfter(export, "\n")
		_, err := s.Import(p.Ctx, &slowReader{lines: lines, at: 1 + i*len(lines)/rounds, call: func() {
			p.Go(func() { paused <- s.pauseWithin(min(3*time.Second, p.Soon)) })
			p.Eventually("a store on which Pause was called is not active", func() bool { return s.State() != lifecycle.Active })
			if i%2 == 0 {
				time.Sleep(2 * o.Grace)
			}
		}})
		// An import that waits for its reader may have been cut off, which a Pause tells.
		ended := trial.Receive(p.T, "the end of a Pause during an Import", paused)
		if held := (*lifecycle.HeldError)(nil); ended != nil && !errors.As(ended, &held) {
			p.Broken("Pause during an Import returned: %v", ended)
		}
		p.Must("Resume", s.Resume(p.Ctx))
		switch {
		case err == nil:
			s.unchanged("an Import during which the store was paused, and that returned nil, has not imported everything: after it something", after)
		case trial.OfPause(err):
			s.unchanged("an Import that a pause has ended", before)
		default:
			p.Broken("an Import during which the store was paused returned: %v", err)
		}
	}
}

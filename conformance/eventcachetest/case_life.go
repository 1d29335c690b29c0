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
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

func needs(c ...conformance.Capability) []conformance.Capability { return c }

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
			p.must("Pause", s.Pause(p.ctx))
		}
		for range 2 {
			p.must("Resume", s.Resume(p.ctx))
		}
		s.unchanged("a Pause and a Resume", before)
		s.agree()
		which := id.EventID(fmt.Sprint("$round", i))
		s.apply(eventcache.Room(roomA), push(4, 3+i, ev(which)))
		s.save(roomC, ev(which))
		p.must("RememberThread", s.RememberThread(p.ctx, roomB, which))
	}
	s.list(eventcache.Room(roomA), "8(\xff\x00 token) 1[$shared $in0] 2(token) 3() 9223372036854775807[] 4[$every $\xff strange \x00 $shared $round0 $round1 $round2]")
	s.events(roomC, eventcache.Filter{}, "$every $round0 $round1 $round2")
	s.threads(roomB, "$t1", "$t2", "$remembered", "$round0", "$round1", "$round2")
}

func caseReopen(p *probe) {
	dir := p.newDir()
	s := p.openWith(dir, p.options())
	variedRoom(s, roomA)
	everyKind(s, roomB)
	p.must("ClearRoom", s.ClearRoom(p.ctx, roomB))
	everyKind(s, roomB)
	s.save(roomC, ev("$old"), ev("$z"))
	p.clock.add(time.Hour)
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
	p.must("RememberThread", s.RememberThread(p.ctx, roomB, "$a"))
	s.threads(roomB, "$t1", "$t2", "$remembered", "$a")
	s.p.must("ClearRoom", s.ClearRoom(p.ctx, roomA))
	s.cleanUp(30*time.Minute, 2) // $old, and $saved of the second room
	s.events(roomC, eventcache.Filter{}, "$z $young $a")
	again(func() {})
	// Closed while it is paused.
	p.must("Pause", s.Pause(p.ctx))
	s.close()
	s = p.openWith(dir, p.options())
	s.events(roomC, eventcache.Filter{}, "$z $young $a")
	p.must("ClearAll", s.ClearAll(p.ctx))
	again(func() {})
}

// state checks the state, which a store reports at every moment.
func (s *subject) state(want lifecycle.State) {
	if got := s.State(); got != want {
		s.p.broken("the state is %v and not %v", got, want)
	}
}

func casePaused(p *probe) {
	s := p.open()
	prepared(s)
	before := s.dump(roomA, roomB)
	for _, why := range []string{"paused", "paused for the second time"} {
		s.state(lifecycle.Active)
		p.must("Pause", s.Pause(p.ctx))
		s.state(lifecycle.Paused)
		for range 2 {
			for _, c := range calls() {
				p.context(why, func() { p.is(c.method, c.do(p.ctx, s.Store), lifecycle.ErrPaused) })
			}
		}
		p.must("Resume", s.Resume(p.ctx))
		s.unchanged("methods that were refused while it was paused", before, roomA, roomB)
		if generation, taken, err := s.TakeLease(p.ctx, "called", why, 0); err != nil || !taken || why == "paused" && generation != 1 {
			p.broken("a lease that was refused while the store was paused is held: TakeLease for another holder returned generation %d, %v, %v", generation, taken, err)
		}
	}
}

// at once starts functions and returns a channel with what each of them returns.
func (p *probe) start(all []call, ctx context.Context, s eventcache.Store) <-chan struct {
	call
	err error
} {
	results := make(chan struct {
		call
		err error
	}, len(all))
	for _, c := range all {
		p.spawn(func() {
			results <- struct {
				call
				err error
			}{c, c.do(ctx, s)}
		}, func() {})
	}
	return results
}

func caseWait(p *probe) {
	dir, o := p.newDir(), p.options()
	o.WhenPaused = lifecycle.Wait
	s := p.openWith(dir, o)
	prepared(s)
	var all []call
	for _, c := range calls() {
		if c.method != "ClearAll" { // it would make the others' work hard to see
			all = append(all, c)
		}
	}
	collect := func(what string, results <-chan struct {
		call
		err error
	}, want error) {
		for range all {
			select {
			case r := <-results:
				p.is(what+": "+r.method, r.err, want)
			case <-time.After(p.soon):
				p.fatal("%s: a method has not returned after %v", what, p.soon)
			}
		}
	}
	none := func(what string, results <-chan struct {
		call
		err error
	}) {
		select {
		case r := <-results:
			p.broken("%s returned (%v) %s", r.method, r.err, what)
		case <-time.After(30 * time.Millisecond):
		}
	}
	for what, ctx := range map[string]context.Context{"the store's policy": p.ctx, "the policy of the call": waiting(p.ctx)} {
		p.must("Pause", s.Pause(p.ctx))
		results := p.start(all, ctx, s.Store)
		none("while the store was paused, and should wait", results)
		p.must("Resume", s.Resume(p.ctx))
		collect(what+": after Resume", results, nil)
	}
	// The policy of a call is stronger than that of the store.
	p.must("Pause", s.Pause(p.ctx))
	for _, c := range all {
		p.is(c.method+" under the policy Fail, of a store that lets others wait,", c.do(lifecycle.WithPolicy(p.ctx, lifecycle.Fail), s.Store), lifecycle.ErrPaused)
	}
	p.must("Resume", s.Resume(p.ctx))
	before := s.dump()
	p.must("Pause", s.Pause(p.ctx))
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Millisecond)
	defer cancel()
	collect("the context has ended", p.start(all, ctx, s.Store), context.DeadlineExceeded)
	p.must("Resume", s.Resume(p.ctx))
	s.unchanged("methods that did not wait for long enough", before)
	p.must("Pause", s.Pause(p.ctx))
	results := p.start(all, p.ctx, s.Store)
	none("while the store was paused, and should wait", results)
	s.close()
	collect("the store was closed", results, lifecycle.ErrClosed)
}

func caseNoGate(p *probe) {
	s := p.open()
	prepared(s)
	before := s.dump()
	p.must("Pause", s.Pause(p.ctx))
	s.state(lifecycle.Active)
	s.unchanged("Pause", before)
	for _, c := range calls() {
		p.is(c.method+" while it is paused", c.do(p.ctx, s.Store), nil)
	}
	s.fill(eventcache.Room(roomA), evs("$a")...)
	before = s.dump()
	p.must("Resume", s.Resume(p.ctx))
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
			p.is(c.method+" after Close", c.do(p.ctx, s.Store), lifecycle.ErrClosed)
			p.is(c.method+" after Close, under the policy Wait,", c.do(waiting(p.ctx), s.Store), lifecycle.ErrClosed)
		}
		p.is("Resume after Close", s.Resume(p.ctx), lifecycle.ErrClosed)
		p.must("Close after Close", s.Close(p.ctx))
		s.state(lifecycle.Closed)
	}
}

func caseCancelled(p *probe) {
	s := p.open()
	prepared(s)
	before := s.dump()
	cancelled, cancel := context.WithCancel(p.ctx)
	cancel()
	late, cancel := context.WithDeadline(p.ctx, time.Now().Add(-time.Hour))
	defer cancel()
	for _, c := range calls() {
		p.is(c.method+" with a cancelled context", c.do(cancelled, s.Store), context.Canceled)
		p.is(c.method+" with a context whose time is over", c.do(late, s.Store), context.DeadlineExceeded)
	}
	s.unchanged("methods whose context had ended", before)
	if _, taken, err := s.TakeLease(p.ctx, "called", "another", 0); err != nil || !taken {
		p.broken("a lease that was asked for with a context that had ended is held: TakeLease for another holder returned %v, %v", taken, err)
	}
}

func (s *subject) pauseWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(s.p.ctx, d)
	defer cancel()
	return s.Pause(ctx)
}

func casePauseExport(p *probe) {
	o := p.options()
	o.Grace = 20 * time.Millisecond
	s := p.openWith(p.newDir(), o)
	manyEvents(s, roomA, "old")
	whole := s.export(roomA)
	for i := range 5 {
		paused := make(chan error, 1)
		w := &slowly{}
		w.once = func() {
			p.spawn(func() { paused <- s.pauseWithin(3 * time.Second) }, func() {})
			p.eventually("a store on which Pause was called is not active", func() bool { return s.State() != lifecycle.Active })
			if i%2 == 0 { // the grace is over when it goes on
				time.Sleep(2 * o.Grace)
			}
		}
		err := s.Export(p.ctx, roomA, w)
		switch {
		case err != nil && !ofPause(err):
			p.broken("an Export during which the store was paused returned: %v", err)
		case err == nil && w.String() != string(whole):
			p.broken("an Export during which the store was paused returned nil, and has written %d bytes of %d", w.Len(), len(whole))
		case err != nil:
			_, wrong := newModel(p.clock.now).Import(p.ctx, strings.NewReader(w.String()))
			p.is("reading what an Export has written that ended with an error", wrong, eventcache.ErrExport)
		}
		select {
		case err := <-paused:
			p.must("Pause during an Export", err)
		case <-time.After(p.soon):
			p.fatal("Pause during an Export has not returned after %v", p.soon)
		}
		p.must("Resume", s.Resume(p.ctx))
	}
	if again := s.export(roomA); string(again) != string(whole) {
		p.broken("after pauses during exports there is another export")
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
	s := p.openWith(p.newDir(), o)
	manyEvents(s, roomA, "new")
	s.fill(eventcache.Room(roomA), evs("$new")...)
	export := string(s.export(roomA))
	after := s.dump()
	for i := range 6 {
		p.must("ClearAll", s.ClearAll(p.ctx))
		everyKind(s, roomA)
		before := s.dump()
		paused := make(chan error, 1)
		lines := strings.SplitAfter(export, "\n")
		_, err := s.Import(p.ctx, &slowReader{lines: lines, at: 1 + i*len(lines)/6, call: func() {
			p.spawn(func() { paused <- s.pauseWithin(3 * time.Second) }, func() {})
			p.eventually("a store on which Pause was called is not active", func() bool { return s.State() != lifecycle.Active })
			if i%2 == 0 {
				time.Sleep(2 * o.Grace)
			}
		}})
		select {
		case err := <-paused:
			// An import that waits for its reader may have been cut off, which a Pause tells.
			if held := (*lifecycle.HeldError)(nil); err != nil && !errors.As(err, &held) {
				p.broken("Pause during an Import returned: %v", err)
			}
		case <-time.After(p.soon):
			p.fatal("Pause during an Import has not returned after %v", p.soon)
		}
		p.must("Resume", s.Resume(p.ctx))
		switch {
		case err == nil:
			s.unchanged("an Import during which the store was paused, and that returned nil, has not imported everything: after it something", after)
		case ofPause(err):
			s.unchanged("an Import that a pause has ended", before)
		default:
			p.broken("an Import during which the store was paused returned: %v", err)
		}
	}
}

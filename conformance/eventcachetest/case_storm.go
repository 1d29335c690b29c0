package eventcachetest

// A pause at any moment of any operation loses nothing and does nothing twice.

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var stormCases = []Case{
	{
		Name:    "pauses-at-any-moment",
		Promise: "under a storm of pauses that interrupt and sever, an operation that returned nil has happened once, and one that returned an error of the pause has not happened at all",
		Origins: from("contract", "GAP-EC/atomicity for memory"), Needs: needs(conformance.Gate), run: func(p *probe) { storm(p, lifecycle.Fail) },
	},
	{
		Name:    "waiting-through-pauses",
		Promise: "under a storm of pauses, with the policy Wait, the same is true, and whoever waits gets through",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: func(p *probe) { storm(p, lifecycle.Wait) },
	},
	{
		Name:    "an-interrupted-change",
		Promise: "a large Apply, Import or SaveEvents that a pause has cut off has changed nothing, and happens when it is asked for again",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: caseInterrupted,
	},
	{
		Name:    "clean-up-and-pauses",
		Promise: "a CleanUp that a pause has cut off says how many events it has removed until then: over all of them, one after another or two at once, no event is counted twice, and none forgotten",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: caseCleanUpPaused,
	},
}

func storm(p *probe, policy lifecycle.Policy) {
	dir, o := p.Dir(), p.options()
	o.WhenPaused, o.Timeout, o.Grace = policy, 10*time.Second, time.Millisecond
	s := p.openWith(dir, o)
	rooms := []id.RoomID{roomA, roomB, roomC}
	models := map[id.RoomID]*model{}
	for _, room := range rooms {
		models[room] = newModel(p.Clock.Now)
	}
	// A storm is over when it has blown for long enough, and every writer has met it.
	var over atomic.Bool
	var done, stopped [3]atomic.Int64 // operations of each writer, and how often a pause was in the way of one
	enough := func(pauses int) bool {
		for i := range rooms {
			if done[i].Load() < 8 || policy == lifecycle.Fail && stopped[i].Load() < 3 {
				return false
			}
		}
		return pauses >= p.count(6, 10, 500, 6000)
	}
	pauses := 0
	seed := rand.Uint64()
	all := []func(){func() {
		defer over.Store(true)
		pauses = p.Storm(s, rand.New(rand.NewPCG(seed, 0)), enough)
	}}
	for i, room := range rooms {
		all = append(all, func() {
			w := stormWriter{p: p, s: s, choose: rand.New(rand.NewPCG(seed, uint64(i+1))).IntN, room: room, m: models[room], stopped: &stopped[i]}
			for !over.Load() && !p.Over() {
				w.change()
				done[i].Add(1)
			}
		})
	}
	for i := range 2 {
		all = append(all, func() { stormReader(p, s, rand.New(rand.NewPCG(seed, uint64(i+10))), rooms, &over) })
	}
	all = append(all, func() { stormKeeper(p, s, &over) })
	p.About(fmt.Sprintf("seed %d", seed), func() {
		p.All(all...)
		check := func(when string) {
			for _, room := range rooms {
				if want, got := models[room].room(room).text(), p.exported(s.Store, room).text(); want != got {
					p.Broken("%s, %s is not what its writer has made of it (before: as it was made, after: as it is):\n%s", when, room, difference(want, got))
				}
			}
		}
		check(fmt.Sprintf("after %d pauses", pauses))
		s.agree()
		s.idle()
		check("after one pause more")
		if p.has(conformance.Files) {
			s.close()
			s = p.openWith(dir, p.options())
			check("after closing and opening again")
		}
	})
}

// stormWriter changes a room of its own, and keeps a model of it.
type stormWriter struct {
	p       *probe
	s       *subject
	choose  chooser
	room    id.RoomID
	m       *model
	stopped *atomic.Int64 // counts how often a pause was in the way
}

func (w *stormWriter) change() {
	p, s := w.p, w.s
	op := w.choose.operation(w.m, w.room, false)
	p.Through(op.name, func() error { _, err := op.do(p.Ctx, s.Store); return err }, func() {
		w.stopped.Add(1)
		// It has not happened.
		var export []byte
		p.Through("Export", func() (err error) {
			export, err = exportAt(p.Ctx, s.Store, w.room)
			return err
		}, func() {})
		if p.Over() {
			return
		}
		is := newModel(p.Clock.Now)
		_, err := is.Import(p.Ctx, bytes.NewReader(export))
		p.Must("reading an export", err)
		if want, got := w.m.room(w.room).text(), is.room(w.room).text(); want != got {
			p.Fatal("%s returned an error of the pause, and has changed something (before: as it was, after: as it is):\n%s", op.name, difference(want, got))
		}
	})
	if p.Over() {
		return
	}
	if _, err := op.do(p.Ctx, w.m); err != nil {
		p.Fatal("the suite is at fault: %s, of a model: %v", op.name, err)
	}
}

// stormReader reads; what it gets is whole, or an error of the pause.
func stormReader(p *probe, s *subject, r *rand.Rand, rooms []id.RoomID, over *atomic.Bool) {
	var choose chooser = r.IntN
	for !over.Load() && !p.Over() {
		op := choose.question(pick(choose, rooms...))
		if choose(6) == 0 {
			room := pick(choose, rooms...)
			op = operation{"Export", func(ctx context.Context, s contents) (string, error) {
				export, err := exportAt(ctx, s, room)
				if err == nil {
					if _, wrong := newModel(p.Clock.Now).Import(ctx, bytes.NewReader(export)); wrong != nil {
						p.Broken("Export returned nil, and what it has written is no export: %v", wrong)
					}
				}
				return "", err
			}}
		}
		p.Through(op.name, func() error { _, err := op.do(p.Ctx, s.Store); return err }, func() {})
	}
}

// stormKeeper does what changes nothing that a writer could see.
func stormKeeper(p *probe, s *subject, over *atomic.Bool) {
	for n := 0; !over.Load() && !p.Over(); n++ {
		generation := uint64(0)
		for _, op := range []struct {
			name string
			do   func() error
		}{
			{"CleanUp", func() error { return second(s.CleanUp(p.Ctx, eventcache.DefaultCleanUp())) }},
			{"Bytes", func() error { return second(s.Bytes(p.Ctx)) }},
			{"Compact", func() error { return s.Compact(p.Ctx) }},
			{"AllRoomStats", func() error { return second(s.AllRoomStats(p.Ctx)) }},
			{"TakeLease", func() (err error) {
				generation, _, err = s.TakeLease(p.Ctx, "key", fmt.Sprint("holder ", n), 0)
				return err
			}},
		} {
			p.Through(op.name, op.do, func() {})
		}
		if generation != uint64(n+1) && !p.Over() {
			p.Fatal("%d holders have had a lease, one after another, and its generation is %d", n+1, generation)
		}
	}
}

// caseInterrupted cuts off changes that take long, at many moments of their work.
func caseInterrupted(p *probe) {
	dir, o := p.Dir(), p.options()
	o.Grace = time.Microsecond
	s := p.openWith(dir, o)
	s.fill(eventcache.Room(roomA), evs("$before")...)
	s.save(roomA, ev("$saved"))
	many := evs(numbered("many", 150)...)
	changes := []call{
		{"a large Apply", func(ctx context.Context, s eventcache.Store) error {
			updates := []eventcache.Update{gap(1, 2, 0, "t"), items(2, 3, 0)}
			for i, e := range many {
				updates = append(updates, push(3, i, e))
			}
			return s.Apply(ctx, eventcache.Room(roomA), append(updates, remove(3, 0), drop(1)))
		}},
		{"a large SaveEvents", func(ctx context.Context, s eventcache.Store) error { return s.SaveEvents(ctx, roomA, many...) }},
		{"a large Import", func(ctx context.Context, s eventcache.Store) error {
			return second(s.Import(ctx, bytes.NewReader(exportOf(eventcache.Pinned(roomA), many...))))
		}},
		{"ClearRoom", func(ctx context.Context, s eventcache.Store) error { return s.ClearRoom(ctx, roomA) }},
	}
	cut, took := 0, map[string]time.Duration{} // how long each takes, as far as it is known, so that the moments are those of its work
	for _, c := range changes {
		took[c.method] = 2 * time.Millisecond
	}
	for range p.count(1, 2, 20, 200) {
		for _, c := range changes {
			if p.Over() {
				return
			}
			before := s.dump()
			if p.CutOff(s, c.method, took[c.method], func() error { return c.do(p.Ctx, s.Store) }) != nil {
				cut++
				s.unchanged(c.method+" that a pause has cut off", before)
				begun := time.Now()
				p.Must(c.method+" when it is asked for again", c.do(p.Ctx, s.Store))
				took[c.method] = time.Since(begun)
			}
			switch c.method {
			case "a large Apply":
				s.duplicates(eventcache.Room(roomA), evIDs("$before", "$many0", "$many1", "$many149"), "$many1@3:0 $many149@3:148")
				s.apply(eventcache.Room(roomA), eventcache.Clear{}, items(0, 1, 0), push(1, 0, ev("$before")))
			case "a large Import":
				s.duplicates(eventcache.Pinned(roomA), evIDs("$many0", "$many149"), "$many0@1:0 $many149@1:149")
			case "ClearRoom":
				s.empty(roomA)
				s.fill(eventcache.Room(roomA), evs("$before")...)
			}
		}
	}
	p.Note("%d changes were cut off", cut)
}

// caseCleanUpPaused adds up what cleanings say that they have removed.
func caseCleanUpPaused(p *probe) {
	const unused, used = 700, 5 // more than a store looks at in one step
	o := p.options()
	o.Grace = time.Microsecond
	s := p.openWith(p.Dir(), o)
	s.fill(eventcache.Room(roomA), evs(numbered("used", used)...)...)
	policy := eventcache.CleanUpPolicy{OlderThan: time.Hour}
	left := func() int {
		stats, err := s.RoomStats(p.Ctx, roomA)
		p.Must("RoomStats", err)
		return stats.Events - used
	}
	var cut atomic.Int64
	for round := range p.count(2, 2, 20, 200) {
		s.save(roomA, evs(numbered("unused", unused)...)...)
		p.Clock.Add(2 * time.Hour)
		// While it is paused none is removed, and none counted.
		p.Must("Pause", s.Pause(p.Ctx))
		n, err := s.CleanUp(p.Ctx, policy)
		p.Is("CleanUp of a store that is paused", err, lifecycle.ErrPaused)
		if n != 0 {
			p.Broken("CleanUp of a store that is paused says that it has removed %d events", n)
		}
		p.Must("Resume", s.Resume(p.Ctx))
		// One cleaning, or two at once, until they have come to their ends.
		var removed, ended atomic.Int64
		cleaners := 1 + round%2
		var all []func()
		for range cleaners {
			all = append(all, func() {
				defer ended.Add(1)
				p.Through("CleanUp", func() error {
					n, err := s.CleanUp(p.Ctx, policy)
					removed.Add(int64(n))
					return err
				}, func() {
					cut.Add(1)
					p.Through("RoomStats", func() error {
						stats, err := s.RoomStats(p.Ctx, roomA)
						if is := int64(stats.Events - used); err == nil && cleaners == 1 && is != unused-removed.Load() {
							p.Fatal("of %d events %d are left, and CleanUp has said, until a pause came, that it has removed %d", unused, is, removed.Load())
						}
						return err
					}, func() {})
				})
			})
		}
		all = append(all, func() {
			// Two at once get more time before the first pause: it is not to be in the way of one of them every time.
			for work := time.Duration(cleaners*cleaners*cleaners) * 300 * time.Microsecond; ended.Load() < int64(cleaners) && !p.Over(); work *= 2 { // so that it comes to its end
				_ = p.CutOff(s, "CleanUp", work, func() error { return nil })
			}
		})
		p.All(all...)
		if p.Over() {
			return
		}
		if got := removed.Load(); got != unused || left() != 0 {
			p.Broken("%d events were to be removed; cleanings between pauses say that they have removed %d, and %d are left", unused, got, left())
		}
	}
	p.Note("%d cleanings were cut off", cut.Load())
}

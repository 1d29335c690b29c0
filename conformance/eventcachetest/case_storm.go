package eventcachetest

// A pause at any moment of any operation loses nothing and does nothing twice.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/internal/tier"
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
}

func storm(p *probe, policy lifecycle.Policy) {
	dir, o := p.newDir(), p.options()
	o.WhenPaused, o.Timeout, o.Grace = policy, 10*time.Second, time.Millisecond
	s := p.openWith(dir, o)
	rooms := []id.RoomID{roomA, roomB, roomC}
	models := map[id.RoomID]*model{}
	for _, room := range rooms {
		models[room] = newModel(p.clock.now)
	}
	var over atomic.Bool
	pauses := 0
	seed := rand.Uint64()
	all := []func(){func() {
		defer over.Store(true)
		pauses = pauser(p, s, rand.New(rand.NewPCG(seed, 0)))
	}}
	for i, room := range rooms {
		all = append(all, func() { stormWriter(p, s, rand.New(rand.NewPCG(seed, uint64(i+1))), room, models[room], &over) })
	}
	for i := range 2 {
		all = append(all, func() { stormReader(p, s, rand.New(rand.NewPCG(seed, uint64(i+10))), rooms, &over) })
	}
	all = append(all, func() { stormKeeper(p, s, &over) })
	p.context(fmt.Sprintf("seed %d", seed), func() {
		p.all(all...)
		check := func(when string) {
			for _, room := range rooms {
				if want, got := models[room].room(room).text(), p.exported(p.ctx, s.Store, room).text(); want != got {
					p.broken("%s, %s is not what its writer has made of it (before: as it was made, after: as it is):\n%s", when, room, difference(want, got))
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

// pauser pauses and resumes in all ways that there are, and leaves the store active. It returns how many pauses there were.
func pauser(p *probe, s *subject, r *rand.Rand) (pauses int) {
	resume := func(ctx context.Context) error { return s.Resume(ctx) }
	begun := time.Now()
	for pauses < tier.Count(20, 500, 6000) && !p.failed() && time.Since(begun) < p.soon {
		pauses++
		ctx, cancel := p.ctx, context.CancelFunc(func() {})
		switch r.IntN(6) {
		case 0: // whose time is over before it begins: interrupts and severs at once
			ctx, cancel = context.WithDeadline(p.ctx, time.Now().Add(-time.Second))
		case 1, 2:
			ctx, cancel = context.WithTimeout(p.ctx, time.Duration(r.IntN(3000))*time.Microsecond)
		case 3: // overtaken by a Resume
			ctx, cancel = context.WithCancel(p.ctx)
			after := time.Duration(r.IntN(1000)) * time.Microsecond
			p.spawn(func() { time.Sleep(after); _ = resume(ctx) }, func() {})
		}
		err := s.Pause(ctx)
		cancel()
		held := (*lifecycle.HeldError)(nil)
		if err != nil && !errors.As(err, &held) && !errors.Is(err, lifecycle.ErrSuperseded) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			p.broken("Pause returned: %v", err)
		}
		if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond) // paused for a while
		}
		p.eventually("a store that was paused can be resumed", func() bool {
			err := resume(p.ctx)
			if err != nil && !errors.As(err, &held) && !errors.Is(err, lifecycle.ErrSuperseded) {
				p.fatal("Resume returned: %v", err)
			}
			return err == nil && s.State() == lifecycle.Active
		})
		time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond) // work for a while
	}
	return pauses
}

// through repeats an operation until no pause was in its way. notDone is called after each time that one was.
func (p *probe) through(what string, do func() error, notDone func()) {
	for p.ctx.Err() == nil && !p.failed() {
		err := do()
		if err == nil {
			return
		}
		if !ofPause(err) {
			p.fatal("%s, under a storm of pauses, returned: %v", what, err)
		}
		notDone()
		time.Sleep(20 * time.Microsecond)
	}
}

// stormWriter changes a room of its own, and keeps a model of it.
func stormWriter(p *probe, s *subject, r *rand.Rand, room id.RoomID, m *model, over *atomic.Bool) {
	var choose chooser = r.IntN
	for n := 0; (!over.Load() || n < 15) && !p.failed(); n++ {
		op := choose.operation(m, room, false)
		p.through(op.name, func() error { _, err := op.do(p.ctx, s.Store); return err }, func() {
			// It has not happened.
			var export []byte
			p.through("Export", func() (err error) {
				export, err = exportAt(p.ctx, s.Store, room)
				return err
			}, func() {})
			is := newModel(p.clock.now)
			_, err := is.Import(p.ctx, bytes.NewReader(export))
			p.must("reading an export", err)
			if want, got := m.room(room).text(), is.room(room).text(); want != got {
				p.fatal("%s returned an error of the pause, and has changed something (before: as it was, after: as it is):\n%s", op.name, difference(want, got))
			}
		})
		if _, err := op.do(p.ctx, m); err != nil {
			p.fatal("the suite is at fault: %s, of a model: %v", op.name, err)
		}
	}
}

// stormReader reads; what it gets is whole, or an error of the pause.
func stormReader(p *probe, s *subject, r *rand.Rand, rooms []id.RoomID, over *atomic.Bool) {
	var choose chooser = r.IntN
	for !over.Load() && !p.failed() {
		op := choose.question(pick(choose, rooms...))
		if choose(6) == 0 {
			room := pick(choose, rooms...)
			op = operation{"Export", func(ctx context.Context, s contents) (string, error) {
				export, err := exportAt(ctx, s, room)
				if err == nil {
					if _, wrong := newModel(p.clock.now).Import(ctx, bytes.NewReader(export)); wrong != nil {
						p.broken("Export returned nil, and what it has written is no export: %v", wrong)
					}
				}
				return "", err
			}}
		}
		p.through(op.name, func() error { _, err := op.do(p.ctx, s.Store); return err }, func() {})
	}
}

// stormKeeper does what changes nothing that a writer could see.
func stormKeeper(p *probe, s *subject, over *atomic.Bool) {
	for n := 0; !over.Load() && !p.failed(); n++ {
		generation := uint64(0)
		for _, op := range []struct {
			name string
			do   func() error
		}{
			{"CleanUp", func() error { return second(s.CleanUp(p.ctx, eventcache.DefaultCleanUp())) }},
			{"Bytes", func() error { return second(s.Bytes(p.ctx)) }},
			{"Compact", func() error { return s.Compact(p.ctx) }},
			{"AllRoomStats", func() error { return second(s.AllRoomStats(p.ctx)) }},
			{"TakeLease", func() (err error) {
				generation, _, err = s.TakeLease(p.ctx, "key", fmt.Sprint("holder ", n), 0)
				return err
			}},
		} {
			p.through(op.name, op.do, func() {})
		}
		if generation != uint64(n+1) && !p.failed() {
			p.fatal("%d holders have had a lease, one after another, and its generation is %d", n+1, generation)
		}
	}
}

// caseInterrupted cuts off changes that take long, at many moments of their work.
func caseInterrupted(p *probe) {
	dir, o := p.newDir(), p.options()
	o.Grace = time.Microsecond
	s := p.openWith(dir, o)
	s.fill(eventcache.Room(roomA), evs("$before")...)
	s.save(roomA, ev("$saved"))
	many := evs(numbered("many", 300)...)
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
	cut := 0
	for round := range tier.Count(2, 20, 200) {
		for _, c := range changes {
			before := s.dump()
			wait := time.Duration(rand.IntN(1<<(9+3*round%8))) * time.Microsecond
			result := make(chan error, 1)
			p.spawn(func() { result <- c.do(p.ctx, s.Store) }, func() {})
			time.Sleep(wait) // a moment of its work; which one does not matter
			ctx, cancel := context.WithTimeout(p.ctx, time.Millisecond)
			err := s.Pause(ctx)
			cancel()
			held := (*lifecycle.HeldError)(nil)
			if err != nil && !errors.As(err, &held) && !errors.Is(err, context.DeadlineExceeded) {
				p.broken("Pause during %s returned: %v", c.method, err)
			}
			err = <-result
			p.eventually("a store that was paused can be resumed", func() bool { return s.Resume(p.ctx) == nil })
			switch {
			case err == nil:
			case ofPause(err):
				cut++
				s.unchanged(c.method+" that a pause has cut off", before)
				p.must(c.method+" when it is asked for again", c.do(p.ctx, s.Store))
			default:
				p.broken("%s that a pause has cut off returned: %v", c.method, err)
			}
			switch c.method {
			case "a large Apply":
				s.duplicates(eventcache.Room(roomA), evIDs("$before", "$many0", "$many1", "$many299"), "$many1@3:0 $many299@3:298")
				s.apply(eventcache.Room(roomA), eventcache.Clear{}, items(0, 1, 0), push(1, 0, ev("$before")))
			case "a large Import":
				s.duplicates(eventcache.Pinned(roomA), evIDs("$many0", "$many299"), "$many0@1:0 $many299@1:299")
			case "ClearRoom":
				s.empty(roomA)
				s.fill(eventcache.Room(roomA), evs("$before")...)
			}
		}
	}
	p.note("%d changes were cut off", cut)
}

package statetest

// Any operations in any order, compared with the model; and a pause at any moment of them.

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var randomCases = []Case{
	{
		Name:    "any-operations",
		Promise: "whatever is done, in whatever order, with pauses in between, a store answers as a plain list of what it was told would",
		Origins: from("contract", "GAP-ST/persistence across reopen for everything but custom values"), run: caseRandom,
	},
}

var stormCases = []Case{
	{
		Name:    "pauses-at-any-moment",
		Promise: "under a storm of pauses that interrupt and sever, what returned nil has happened once and as a whole, and what returned an error of the pause has not happened at all",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: func(p *probe) { storm(p, lifecycle.Fail) },
	},
	{
		Name:    "waiting-through-pauses",
		Promise: "under a storm of pauses, with the policy Wait, the same is true, and whoever waits gets through",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: func(p *probe) { storm(p, lifecycle.Wait) },
	},
	{
		Name:    "an-interrupted-change",
		Promise: "a large change that a pause has cut off has changed nothing, and happens when it is asked for again",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: caseInterrupted,
	},
}

func caseRandom(p *probe) {
	seed := rand.Uint64()
	for round := range p.count(1, 1, 20, 200) {
		p.About(fmt.Sprintf("seed %d", seed+uint64(round)), func() { compare(p, seed+uint64(round), p.count(60, 100, 300, 1000)) })
		if p.Over() {
			return
		}
	}
}

// compare does the same to a store and to the model, and asks both everything.
func compare(p *probe, seed uint64, operations int) {
	s, model := p.open(), newStateModel()
	c := chance{rand.New(rand.NewPCG(seed, 1))}
	var done []string
	check := func(when string) {
		if o := others(ask(model, 0), ask(s.Store, c.IntN(3))); o != "" {
			p.Fatal("%s the answers are others:\n%s\nWhat was done:\n%s", when, o, strings.Join(done[max(0, len(done)-50):], "\n"))
		}
	}
	for i := range operations {
		what, do := c.operation()
		want, got := do(model), do(s.Store)
		done = append(done, what+": "+got)
		if got != want {
			p.Fatal("operation %d, %s: %s, and should be %s\n%s", i, what, got, want, strings.Join(done[max(0, len(done)-50):], "\n"))
		}
		if c.one(40) {
			s.nap()
		}
		if i%30 == 29 || i == operations-1 {
			check(fmt.Sprintf("after %d operations", i+1))
		}
	}
	if p.has(conformance.Files) {
		s.reopen()
		check("after it was opened again")
	}
	s.close()
}

// askedFor is the question of ask for a value.
func askedFor(key state.ValueKey) string { return fmt.Sprintf("Value(%v %q)", key, key.Bytes()) }

// others lists the questions that are answered otherwise than they should be.
func others(want, got answers) string {
	var b strings.Builder
	for _, question := range slices.Sorted(maps.Keys(want)) {
		if got[question] != want[question] {
			fmt.Fprintf(&b, "%s\n\twant %s\n\tgot  %s\n", question, want[question], got[question])
		}
	}
	return b.String()
}

// step is one change of a writer: everything in it is of this step.
func step(writer, step int) *state.Changes {
	c := &state.Changes{User: me}
	room := id.RoomID(fmt.Sprint("!writer", writer))
	join(c, room)
	add(c, room, stateOf("$t", "m.room.topic", "", me, fmt.Sprintf(`{"topic":"%d"}`, step)))
	for _, user := range ids[id.UserID]("@user%d:x", 5) {
		add(c, room, memberOf(user, "join", fmt.Sprint(step)))
	}
	c.UpdateProfile(id.UserID(room), state.ProfileUpdate{Set: fieldsOf{"step": raw(`%d`, step)}})
	return c
}

// isStep checks that the store has exactly this step.
func (s *subject) isStep(writer, step int) {
	p, room := s.p, id.RoomID(fmt.Sprint("!writer", writer))
	info, err := s.RoomInfo(p.Ctx, room)
	p.Must("RoomInfo", err)
	named, err := s.UsersWithDisplayName(p.Ctx, room, fmt.Sprint(step))
	p.Must("UsersWithDisplayName", err)
	profile, err := s.GlobalProfile(p.Ctx, id.UserID(room))
	p.Must("GlobalProfile", err)
	queue, err := s.Requests(p.Ctx, room)
	p.Must("Requests", err)
	if info == nil || info.Topic != fmt.Sprint(step) || len(named) != 5 || string(profile["step"]) != fmt.Sprint(step) || len(queue) != step+1 {
		p.Broken("the last change that was done was step %d of %d, and there are\n%s,\n%d members, %s, %d requests", step, writer, show(info), len(named), show(profile), len(queue))
	}
	for i, q := range queue {
		if q.TransactionID != fmt.Sprint(i) {
			p.Broken("request %d of %d is %s", i, len(queue), q.TransactionID)
		}
	}
}

func storm(p *probe, policy lifecycle.Policy) {
	o := p.options()
	o.WhenPaused, o.Timeout, o.Grace = policy, 10*time.Second, time.Millisecond
	s := p.openIn(p.Dir(), o)
	const writers = 3
	var done, stopped [writers]atomic.Int64
	var over atomic.Bool
	final := make([]int, writers)
	// A storm is over when it has blown for long enough, and every writer has met it.
	enough := func(pauses int) bool {
		for i := range writers {
			if done[i].Load() < 10 || policy == lifecycle.Fail && stopped[i].Load() < 3 {
				return false
			}
		}
		return pauses >= p.count(6, 8, 600, 6000)
	}
	seed, pauses := rand.Uint64(), 0
	all := []func(){func() {
		defer over.Store(true)
		pauses = p.Storm(s, rand.New(rand.NewPCG(seed, 0)), enough)
	}}
	for i := range writers {
		all = append(all, func() {
			room := id.RoomID(fmt.Sprint("!writer", i))
			for n := 0; n == 0 || !over.Load() && !p.Over(); n++ {
				p.Through("SaveChanges", func() error { return s.SaveChanges(p.Ctx, step(i, n)) }, func() { stopped[i].Add(1) })
				// What was not done can be done again, and what was done cannot.
				p.Through("SaveRequest", func() error { return s.SaveRequest(p.Ctx, room, queued(fmt.Sprint(n), 0)) }, func() { stopped[i].Add(1) })
				done[i].Add(1)
				final[i] = n
			}
		})
	}
	p.About(fmt.Sprintf("seed %d", seed), func() {
		p.All(all...)
		if p.Over() {
			return
		}
		s.again(func() {
			for i, n := range final {
				s.isStep(i, n)
			}
		})
	})
	p.Note("%d pauses", pauses)
}

func caseInterrupted(p *probe) {
	o := p.options()
	o.Grace = time.Millisecond
	s := p.openIn(p.Dir(), o)
	n := p.count(200, 300, 2000, 10_000)
	large := func(i int) *state.Changes {
		c := &state.Changes{User: me, SyncToken: fmt.Sprint(i)}
		join(c, kitchen)
		for _, user := range ids[id.UserID]("@user%d:x", n) {
			add(c, kitchen, memberOf(user, "join", fmt.Sprint(i)))
		}
		return c
	}
	isNow := func(i int) {
		found(p, "the token", fmt.Sprint(i), true)(state.Get(p.Ctx, s, state.SyncToken()))
		is(p, "how many members there are", n)(part(func(all []id.UserID) int { return len(all) })(s.UsersWithDisplayName(p.Ctx, kitchen, fmt.Sprint(i))))
	}
	begun := time.Now()
	p.Must("SaveChanges", s.SaveChanges(p.Ctx, large(0)))
	took := time.Since(begun)
	cut, last := 0, 0
	for i := 1; i <= p.count(2, 3, 20, 200) || cut == 0 && i < 500; i++ {
		if p.Over() {
			return
		}
		if p.CutOff(s, "SaveChanges", took, func() error { return s.SaveChanges(p.Ctx, large(i)) }) == nil {
			last = i
			isNow(last)
			continue
		}
		cut++
		isNow(last)
		p.Must("SaveChanges when it is asked for again", s.SaveChanges(p.Ctx, large(i)))
		last = i
		isNow(last)
	}
	if cut == 0 {
		p.Broken("of 500 pauses none came while a large change was made, so nothing was tested")
	}
	s.again(func() { isNow(last) })
}

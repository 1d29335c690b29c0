package cryptotest

// Any operations in any order, compared with the model; and a pause at any moment of them.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var randomCases = []Case{
	{
		Name:    "any-operations",
		Promise: "whatever is done, in whatever order, with pauses in between, a store answers as a plain list of what it was told would",
		Origins: from("contract", "GAP-CR/data across close/reopen"), run: caseRandom,
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
		p.About(fmt.Sprintf("seed %d", seed+uint64(round)), func() { compare(p, seed+uint64(round), p.count(60, 120, 300, 1000)) })
		if p.Over() {
			return
		}
	}
}

// compare does the same to a store and to the model, and asks both everything.
func compare(p *probe, seed uint64, count int) {
	s, m, c := p.open(), &model{now: p.Clock.Now}, chance{rand.New(rand.NewPCG(seed, 1))}
	p.Clock.Set(at(15)) // so that some has expired
	var done []string
	for i := range count {
		o := c.operation()
		want, got := o.result(p.Ctx, m), o.result(p.Ctx, s.Store)
		done = append(done, got)
		if got != want {
			p.Fatal("operation %d returned\n%s\nand should have returned\n%s\nBefore that there were:\n%s", i, got, want, strings.Join(done[max(0, i-10):], "\n"))
		}
		if c.one(30) {
			s.nap()
		}
		if i%30 != 29 && i != count-1 {
			continue
		}
		if o := others(ask(p.Ctx, m), ask(p.Ctx, s.Store)); o != "" {
			p.Fatal("after %d operations:\n%s\nAt last there were:\n%s", i+1, o, strings.Join(done[max(0, i-30):], "\n"))
		}
	}
	if p.has(conformance.Files) {
		s.close()
		s.Store = p.openIn(s.dir, p.options()).Store
		if o := others(ask(p.Ctx, m), ask(p.Ctx, s.Store)); o != "" {
			p.Fatal("after it was opened again:\n%s", o)
		}
	}
	s.close()
}

// ratchet is what one writer of a storm keeps: everything in it is of one step.
type ratchet struct {
	sender id.SenderKey
	step   int
}

func (r ratchet) changes() *crypto.Changes {
	c := &crypto.Changes{}
	for i := range 3 {
		session := olm(id.SessionID(fmt.Sprint(r.sender, i)), r.sender, r.step)
		c.Sessions = append(c.Sessions, session)
	}
	in := inbound(kitchen, id.SessionID(r.sender))
	in.Pickle = pickle(r.step)
	c.InboundGroupSessions = []crypto.InboundGroupSession{in}
	return c
}

// is checks that the store has exactly this step.
func (r ratchet) is(s *subject) bool {
	p := s.p
	all, err := s.Sessions(p.Ctx, r.sender)
	p.Must("Sessions", err)
	in, err := s.InboundGroupSession(p.Ctx, kitchen, id.SessionID(r.sender))
	p.Must("InboundGroupSession", err)
	ok := len(all) == 3 && in != nil && string(in.Pickle) == string(pickle(r.step))
	for _, one := range all {
		ok = ok && one.LastDecrypted.Equal(at(r.step))
	}
	if !ok {
		p.Broken("the last change that was done was step %d of %s, and there are\n%s\nand %s", r.step, r.sender, show(all), show(in))
	}
	return ok
}

func storm(p *probe, policy lifecycle.Policy) {
	o := p.options()
	o.WhenPaused, o.Timeout, o.Grace = policy, 10*time.Second, time.Millisecond
	s := p.openIn(p.Dir(), o)
	const writers = 3
	var done, stopped [writers]atomic.Int64
	var over atomic.Bool
	final := make([]ratchet, writers)
	// A storm is over when it has blown for long enough, and every writer has met it.
	enough := func(pauses int) bool {
		for i := range writers {
			if done[i].Load() < 20 || policy == lifecycle.Fail && stopped[i].Load() < 3 {
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
			r := ratchet{sender: id.SenderKey(fmt.Sprint("writer ", i))}
			for step := 0; !over.Load() && !p.Over(); step++ {
				r.step = step
				p.Through("SaveChanges", func() error { return s.SaveChanges(p.Ctx, r.changes()) }, func() { stopped[i].Add(1) })
				// Of a message that was cut off nothing is known; of one that was not, the answer is final.
				m := crypto.MessageIndex{SenderKey: r.sender, SessionID: "session", Index: uint32(step), EventID: "$event", Timestamp: 1}
				for _, event := range []id.EventID{"$event", "$event", "$replay"} {
					m.EventID = event
					var ok bool
					p.Through("CheckMessageIndex", func() (err error) {
						ok, err = s.CheckMessageIndex(p.Ctx, m)
						return err
					}, func() { stopped[i].Add(1) })
					if ok != (event == "$event") && !p.Over() {
						p.Broken("CheckMessageIndex of %s, whose index %d belongs to $event, returned %v", event, step, ok)
					}
				}
				done[i].Add(1)
			}
			final[i] = r
		})
	}
	p.About(fmt.Sprintf("seed %d", seed), func() {
		p.All(all...)
		if p.Over() {
			return
		}
		s.again(func() {
			for _, r := range final {
				r.is(s)
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
	step := func(i int) *crypto.Changes {
		c := &crypto.Changes{NextBatch: fmt.Sprint(i), InboundGroupSessions: inbounds(kitchen, n)}
		for j := range c.InboundGroupSessions {
			c.InboundGroupSessions[j].Pickle = pickle(i)
		}
		return c
	}
	begun := time.Now()
	s.save(step(0))
	took := time.Since(begun)
	cut := 0
	for i := 1; (i <= 3 || cut < 1) && i < 200 && !p.Over(); i++ {
		want := i
		if err := p.CutOff(s, "SaveChanges", took, func() error { return s.SaveChanges(p.Ctx, step(i)) }); err != nil {
			cut++
			want = -1
		}
		token, err := s.NextBatch(p.Ctx)
		p.Must("NextBatch", err)
		all, err := s.InboundGroupSessions(p.Ctx)
		p.Must("InboundGroupSessions", err)
		if len(all) != n || want >= 0 && token != fmt.Sprint(want) || want < 0 && token == fmt.Sprint(i) {
			p.Fatal("after change %d, which was done: %v, there are %d sessions of %d, and the token is %s", i, want >= 0, len(all), n, token)
		}
		for _, one := range all {
			if string(one.Pickle) != string(pickle(token)) {
				p.Fatal("the token is that of change %s, and a session has %s", token, one.Pickle)
			}
		}
		s.save(step(i))
		is(p, "NextBatch", fmt.Sprint(i))(s.NextBatch(p.Ctx))
	}
	p.Note("%d changes were cut off", cut)
}

// waiting is a context under the policy Wait.
func waiting(ctx context.Context) context.Context { return lifecycle.WithPolicy(ctx, lifecycle.Wait) }

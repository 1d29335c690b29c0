package statetest

// The life of a store: what stays over a pause and a new opening, and what every
// method returns while it is paused, closed, or nobody waits any more.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

var lifeCases = []Case{
	{
		Name:    "everything-survives",
		Promise: "everything is after a Resume, and after the store was closed and opened again, as it was before, and goes on from there",
		Origins: from("contract", "ST-41", "ST-42", "GAP-ST/persistence across reopen for everything but custom values"), run: caseSurvives,
	},
	{
		Name:    "refused-while-paused",
		Promise: "while paused every method returns an error that matches lifecycle.ErrPaused, at once, and nothing has changed",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: casePaused,
	},
	{
		Name:    "waits-for-resume",
		Promise: "under the policy Wait every method waits for Resume and then does its work, for as long as its context allows",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: caseWait,
	},
	{
		Name:    "a-pause-that-changes-nothing",
		Promise: "a store without a gate goes on with its work while it is paused, and nothing is lost or changed",
		Origins: from("contract", "DIV-04"), For: conformance.Gate, run: caseNoGate,
	},
	{
		Name:    "closed-for-good",
		Promise: "after Close every method returns an error that matches lifecycle.ErrClosed; closing it again is nil",
		Origins: from("contract", "ST-41", "DIV-04"), run: caseClosed,
	},
	{
		Name:    "contexts-that-have-ended",
		Promise: "with a context that has ended every method returns an error that matches the context's, and nothing has changed",
		Origins: from("contract"), run: caseCancelled,
	},
	{
		Name:    "leases",
		Promise: "a lease is taken by one holder at a time, until it ends or is released, and its generation grows whenever it changes hands",
		Origins: from("contract"), run: caseLeases,
	},
}

// full has something of everything, about the names that ask asks for.
func full(s *subject) {
	c := chance{rand.New(rand.NewPCG(1, 1))}
	for range s.p.count(30, 60, 60, 60) {
		_, do := c.operation()
		do(s.Store)
	}
	furnish(s, "!a:x")
}

func caseSurvives(p *probe) {
	s := p.open()
	full(s)
	for range p.count(1, 2, 5, 20) {
		before := ask(s.Store, 0)
		for range 2 { // pausing what is paused, resuming what runs
			p.Must("Pause", s.Pause(p.Ctx))
		}
		for range 2 {
			p.Must("Resume", s.Resume(p.Ctx))
		}
		s.unchanged("a Pause and a Resume", before)
		if p.has(conformance.Files) {
			s.reopen()
			s.unchanged("closing and opening again", before)
			p.Must("Pause", s.Pause(p.Ctx))
			s.reopen() // closed while paused
			s.unchanged("closing while paused, and opening again", before)
		}
		full(s)
		s.profile(alice, state.ProfileUpdate{Drop: true})
	}
}

// state checks the state, which a store reports at every moment.
func (s *subject) state(want lifecycle.State) {
	if got := s.State(); got != want {
		s.p.Broken("the state is %s, and should be %s", got, want)
	}
}

func waiting(ctx context.Context) context.Context { return lifecycle.WithPolicy(ctx, lifecycle.Wait) }

func casePaused(p *probe) {
	s := p.open()
	full(s)
	before := ask(s.Store, 0)
	for range 2 {
		s.state(lifecycle.Active)
		p.Must("Pause", s.Pause(p.Ctx))
		s.state(lifecycle.Paused)
		for name, call := range calls {
			p.Is(name+" while paused", call(p.Ctx, s.Store), lifecycle.ErrPaused)
		}
		p.Must("Resume", s.Resume(p.Ctx))
		s.unchanged("what was refused while it was paused", before)
	}
}

func caseWait(p *probe) {
	s := p.open()
	full(s)
	type result struct {
		method string
		err    error
	}
	p.Must("Pause", s.Pause(p.Ctx))
	results := make(chan result, len(calls))
	ended, cancel := context.WithCancel(p.Ctx)
	impatient := make(chan result, len(calls))
	for name, call := range calls {
		p.Go(func() { results <- result{name, call(waiting(p.Ctx), s.Store)} })
		p.Go(func() { impatient <- result{name, call(waiting(ended), s.Store)} })
	}
	select {
	case r := <-results:
		p.Fatal("%s returned (%v) while the store was paused, and should wait", r.method, r.err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	for range cap(impatient) {
		r := trial.Receive(p.T, "the end of a method whose context has ended", impatient)
		p.Is(r.method+", whose context has ended while it waited,", r.err, context.Canceled)
	}
	p.Must("Resume", s.Resume(p.Ctx))
	for range cap(results) {
		r := trial.Receive(p.T, "the end of a method that has waited", results)
		p.Is(r.method+" after it has waited", r.err, nil)
	}
}

func caseNoGate(p *probe) {
	s := p.open()
	full(s)
	before := ask(s.Store, 0)
	p.Must("Pause", s.Pause(p.Ctx))
	s.unchanged("a pause", before)
	for name, call := range calls {
		p.Must(name+" while paused", call(p.Ctx, s.Store))
	}
	before = ask(s.Store, 0)
	p.Must("Resume", s.Resume(p.Ctx))
	s.unchanged("a Resume", before)
	found(p, "what was stored while it was paused", []byte("v"), true)(s.CustomValue(p.Ctx, []byte("called")))
}

func caseClosed(p *probe) {
	s := p.open()
	full(s)
	s.close()
	s.state(lifecycle.Closed)
	for range 2 {
		for name, call := range calls {
			p.Is(name+" after Close", call(p.Ctx, s.Store), lifecycle.ErrClosed)
			p.Is(name+" after Close, under the policy Wait,", call(waiting(p.Ctx), s.Store), lifecycle.ErrClosed)
		}
		p.Is("Resume after Close", s.Resume(p.Ctx), lifecycle.ErrClosed)
		p.Must("Close after Close", s.Close(p.Ctx))
		s.state(lifecycle.Closed)
	}
}

func caseCancelled(p *probe) {
	s := p.open()
	full(s)
	before := ask(s.Store, 0)
	cancelled, cancel := context.WithCancel(p.Ctx)
	cancel()
	late, cancel := context.WithDeadline(p.Ctx, time.Now().Add(-time.Hour))
	defer cancel()
	for name, call := range calls {
		p.Is(name+" with a cancelled context", call(cancelled, s.Store), context.Canceled)
		p.Is(name+" with a context whose time is over", call(late, s.Store), context.DeadlineExceeded)
	}
	s.unchanged("methods whose context had ended", before)
}

func caseLeases(p *probe) {
	s := p.open()
	take := func(holder string, d time.Duration, generation uint64, taken bool) {
		found(p, "TakeLease for "+holder, generation, taken)(s.TakeLease(p.Ctx, "key", holder, d))
	}
	take("one", time.Hour, 1, true)
	take("one", time.Hour, 1, true)
	if _, taken, err := s.TakeLease(p.Ctx, "key", "two", time.Hour); err != nil || taken {
		p.Broken("a lease that somebody else has was taken: %v, %v", taken, err)
	}
	s.nap()
	take("one", 0, 1, true)
	take("two", time.Millisecond, 2, true)
	p.Eventually("a lease whose time is over can be taken", func() bool {
		generation, taken, err := s.TakeLease(p.Ctx, "key", "three", time.Hour)
		p.Must("TakeLease", err)
		return taken && generation == 3
	})
}

// lifeMethods are the methods of a store that calls leaves out.
var lifeMethods = []string{"Pause", "Resume", "Close", "State"}

// calls are all others, with arguments for which there is something to do; behind " of " stands one for which there is not.
var calls = map[string]func(ctx context.Context, s state.Store) error{
	"SaveChanges": func(ctx context.Context, s state.Store) error {
		c := &state.Changes{SyncToken: "called"}
		return s.SaveChanges(ctx, c)
	},
	"SaveChanges of nothing": func(ctx context.Context, s state.Store) error { return s.SaveChanges(ctx, &state.Changes{}) },
	"RemoveRoom":             func(ctx context.Context, s state.Store) error { return s.RemoveRoom(ctx, "!b:x") },
	"RemoveRoom of none":     func(ctx context.Context, s state.Store) error { return s.RemoveRoom(ctx, "") },
	"Value":                  func(ctx context.Context, s state.Store) error { return third(s.Value(ctx, stateValues[0])) },
	"SetValue":               func(ctx context.Context, s state.Store) error { return s.SetValue(ctx, stateValues[0], []byte(`""`)) },
	"RemoveValue":            func(ctx context.Context, s state.Store) error { return s.RemoveValue(ctx, stateValues[0]) },
	"CustomValue":            func(ctx context.Context, s state.Store) error { return third(s.CustomValue(ctx, []byte("k"))) },
	"SetCustomValue": func(ctx context.Context, s state.Store) error {
		return s.SetCustomValue(ctx, []byte("called"), []byte("v"))
	},
	"SwapCustomValue":     func(ctx context.Context, s state.Store) error { return third(s.SwapCustomValue(ctx, []byte("k"), nil)) },
	"RemoveCustomValue":   func(ctx context.Context, s state.Store) error { return third(s.RemoveCustomValue(ctx, []byte("k"))) },
	"AccountData":         func(ctx context.Context, s state.Store) error { return second(s.AccountData(ctx, "m.direct")) },
	"RoomAccountData":     func(ctx context.Context, s state.Store) error { return second(s.RoomAccountData(ctx, "!a:x", "m.tag")) },
	"Presence":            func(ctx context.Context, s state.Store) error { return second(s.Presence(ctx, alice)) },
	"Presences":           func(ctx context.Context, s state.Store) error { return second(s.Presences(ctx, []id.UserID{alice})) },
	"Presences of nobody": func(ctx context.Context, s state.Store) error { return second(s.Presences(ctx, nil)) },
	"StateEvent": func(ctx context.Context, s state.Store) error {
		return third(s.StateEvent(ctx, "!a:x", "m.room.topic", ""))
	},
	"StateEvents": func(ctx context.Context, s state.Store) error {
		return second(s.StateEvents(ctx, "!a:x", "m.room.topic"))
	},
	"StateEventsForKeys": func(ctx context.Context, s state.Store) error {
		return second(s.StateEventsForKeys(ctx, "!a:x", "t", []string{""}))
	},
	"StateEventsForKeys of none": func(ctx context.Context, s state.Store) error {
		return second(s.StateEventsForKeys(ctx, "!a:x", "t", nil))
	},
	"Member":                     func(ctx context.Context, s state.Store) error { return third(s.Member(ctx, "!a:x", alice)) },
	"UserIDs":                    func(ctx context.Context, s state.Store) error { return second(s.UserIDs(ctx, "!a:x", 0)) },
	"UserIDs of an unknown room": func(ctx context.Context, s state.Store) error { return second(s.UserIDs(ctx, "!none:x", 0)) },
	"Members":                    func(ctx context.Context, s state.Store) error { return second(s.Members(ctx, "!a:x", 0, state.Page{})) },
	"RoomsOf":                    func(ctx context.Context, s state.Store) error { return second(s.RoomsOf(ctx, alice, 0)) },
	"Profile":                    func(ctx context.Context, s state.Store) error { return third(s.Profile(ctx, "!a:x", alice)) },
	"Profiles": func(ctx context.Context, s state.Store) error {
		return second(s.Profiles(ctx, "!a:x", []id.UserID{alice}))
	},
	"Profiles of nobody": func(ctx context.Context, s state.Store) error { return second(s.Profiles(ctx, "!a:x", nil)) },
	"UsersWithDisplayName": func(ctx context.Context, s state.Store) error {
		return second(s.UsersWithDisplayName(ctx, "!a:x", "n"))
	},
	"UsersWithDisplayNames": func(ctx context.Context, s state.Store) error {
		return second(s.UsersWithDisplayNames(ctx, "!a:x", []string{"n"}))
	},
	"UsersWithDisplayNames of none": func(ctx context.Context, s state.Store) error {
		return second(s.UsersWithDisplayNames(ctx, "!a:x", nil))
	},
	"UserReceipt": func(ctx context.Context, s state.Store) error {
		return third(s.UserReceipt(ctx, "!a:x", event.ReceiptTypeRead, state.Unthreaded, alice))
	},
	"EventReceipts": func(ctx context.Context, s state.Store) error {
		return second(s.EventReceipts(ctx, "!a:x", event.ReceiptTypeRead, state.Unthreaded, "$1"))
	},
	"RoomInfo":    func(ctx context.Context, s state.Store) error { return second(s.RoomInfo(ctx, "!a:x")) },
	"IsEncrypted": func(ctx context.Context, s state.Store) error { return second(s.IsEncrypted(ctx, "!a:x")) },
	"RoomInfos":   func(ctx context.Context, s state.Store) error { return second(s.RoomInfos(ctx)) },
	"Rooms": func(ctx context.Context, s state.Store) error {
		return second(s.Rooms(ctx, state.RoomFilter{}, state.ByRecency, state.Page{Limit: 1}))
	},
	"Rooms of the list by name": func(ctx context.Context, s state.Store) error {
		return second(s.Rooms(ctx, state.RoomFilter{}, state.ByName, state.Page{}))
	},
	"SaveRequest": func(ctx context.Context, s state.Store) error {
		return s.SaveRequest(ctx, "!called:x", queued(fmt.Sprint(rand.Uint64()), 0))
	},
	"UpdateRequest": func(ctx context.Context, s state.Store) error {
		return second(s.UpdateRequest(ctx, "!a:x", "t", message("")))
	},
	"RemoveRequest":     func(ctx context.Context, s state.Store) error { return second(s.RemoveRequest(ctx, "!a:x", "t")) },
	"Requests":          func(ctx context.Context, s state.Store) error { return second(s.Requests(ctx, "!a:x")) },
	"SetRequestError":   func(ctx context.Context, s state.Store) error { return s.SetRequestError(ctx, "!a:x", "t", nil) },
	"RoomsWithRequests": func(ctx context.Context, s state.Store) error { return second(s.RoomsWithRequests(ctx)) },
	"SaveDependent": func(ctx context.Context, s state.Store) error {
		return s.SaveDependent(ctx, "!called:x", dependent(fmt.Sprint(rand.Uint64()), "p", &state.RedactEvent{}))
	},
	"MarkDependentsReady": func(ctx context.Context, s state.Store) error {
		return second(s.MarkDependentsReady(ctx, "!a:x", "t", &state.SentEvent{EventID: "$1"}))
	},
	"UpdateDependent": func(ctx context.Context, s state.Store) error {
		return second(s.UpdateDependent(ctx, "!a:x", "d", &state.RedactEvent{}))
	},
	"RemoveDependent": func(ctx context.Context, s state.Store) error { return second(s.RemoveDependent(ctx, "!a:x", "d")) },
	"Dependents":      func(ctx context.Context, s state.Store) error { return second(s.Dependents(ctx, "!a:x")) },
	"SaveSubscriptions": func(ctx context.Context, s state.Store) error {
		return s.SaveSubscriptions(ctx, []state.ThreadSubscription{thread("!a:x", "$called", state.Unsubscribed)})
	},
	"SaveSubscriptions of none": func(ctx context.Context, s state.Store) error { return s.SaveSubscriptions(ctx, nil) },
	"Subscription":              func(ctx context.Context, s state.Store) error { return third(s.Subscription(ctx, "!a:x", "$1")) },
	"RemoveSubscription":        func(ctx context.Context, s state.Store) error { return s.RemoveSubscription(ctx, "!a:x", "$root") },
	"GlobalProfile":             func(ctx context.Context, s state.Store) error { return second(s.GlobalProfile(ctx, alice)) },
	"GlobalProfiles": func(ctx context.Context, s state.Store) error {
		return second(s.GlobalProfiles(ctx, []id.UserID{alice}))
	},
	"GlobalProfiles of nobody": func(ctx context.Context, s state.Store) error { return second(s.GlobalProfiles(ctx, nil)) },
	"TakeLease": func(ctx context.Context, s state.Store) error {
		return third(s.TakeLease(ctx, "called", "holder", time.Hour))
	},
	"Bytes":   func(ctx context.Context, s state.Store) error { return second(s.Bytes(ctx)) },
	"Compact": func(ctx context.Context, s state.Store) error { return s.Compact(ctx) },
}

package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// GroupHarness is what the suite needs to know of a composition: a client made
// of a sync loop, a send queue and some stores, say.
type GroupHarness struct {
	// Make composes the members. The suite names them "first", "second", … with lifecycle.Named.
	Make func(members ...lifecycle.Pausable) lifecycle.Pausable

	// Ordered says that members pause first to last and resume last to first, one
	// after another, as in a lifecycle.Sequence.
	Ordered bool

	// Rollback says that a Pause or Resume that failed is undone.
	Rollback bool

	// Retries says that a Pause that failed is asked again by itself, as a lifecycle.Controller does.
	Retries bool

	// Controller says that what Make returns has the method Hold of
	// lifecycle.Controller. LeaseTTL is then after how long it drops a forgotten
	// lease; a short one makes the suite fast.
	Controller bool
	LeaseTTL   time.Duration

	// Limit is after how long a case counts as hanging. Default one minute.
	Limit time.Duration
}

// holder is what a composition with leases has.
type holder interface {
	Hold(ctx context.Context) (*lifecycle.Lease, error)
}

// RunGroup checks a composition of Pausables: a subtest for every case.
// newHarness is called for every case. The members are the suite's own; what a
// composition does to them is what is checked.
func RunGroup(t *testing.T, newHarness func() *GroupHarness) {
	t.Helper()
	for _, cs := range groupCases {
		t.Run(cs.Name, func(t *testing.T) {
			h := newHarness()
			if reason := cs.groupSkip(h); reason != "" {
				t.Skip(reason)
			}
			r := cs.runGroup(t.Context(), h)
			r.print(t)
		})
	}
}

// GroupCases returns all cases of RunGroup, in their order.
func GroupCases() []Case {
	var all []Case
	for _, g := range groupCases {
		all = append(all, g.Case)
	}
	return all
}

// groupCase is a case of RunGroup.
type groupCase struct {
	Case
	needs string // "", "ordered", "rollback" or "controller"
	run   func(*groupProbe)
}

func (cs *groupCase) groupSkip(h *GroupHarness) string {
	switch {
	case cs.needs == "ordered" && !h.Ordered:
		return "this composition is not declared Ordered"
	case cs.needs == "rollback" && !h.Rollback:
		return "this composition is not declared to roll back"
	case cs.needs == "controller" && !h.Controller:
		return "this composition is not declared to have leases"
	}
	return ""
}

func (cs *groupCase) runGroup(ctx context.Context, h *GroupHarness) *result {
	c := cs.Case
	c.run = func(p *probe) { cs.run(&groupProbe{p, h}) }
	return runCase(ctx, &c, &Harness{Limit: h.Limit, Without: map[Capability]string{Files: "it is a composition"}}, nil)
}

// groupProbe is a case of RunGroup that runs.
type groupProbe struct {
	*probe
	g *GroupHarness
}

// member is a Pausable whose calls can be made to fail.
type member struct {
	name string
	log  *journal

	mu                sync.Mutex
	active            bool
	onPause, onResume func(context.Context) error
	pauses, resumes   int
	in                int // calls that are inside
}

func (m *member) Pause(ctx context.Context) error  { return m.call(ctx, "pause") }
func (m *member) Resume(ctx context.Context) error { return m.call(ctx, "resume") }

func (m *member) call(ctx context.Context, op string) error {
	m.mu.Lock()
	m.log.add(op + " " + m.name)
	if m.in++; m.in > 1 {
		m.log.fault("%s was called on a member while another call was inside it", op)
	}
	fn := m.onResume
	if op == "pause" {
		m.pauses++
		fn = m.onPause
	} else {
		m.resumes++
	}
	m.mu.Unlock()
	var err error
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.in--
		if err == nil {
			m.active = op == "resume"
		}
	}()
	err = errPanicked // in case of one
	if fn != nil {
		err = fn(ctx)
	} else {
		err = nil
	}
	return err
}

var errPanicked = errors.New("it panicked")

func (m *member) set(onPause, onResume func(context.Context) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onPause, m.onResume = onPause, onResume
}

func (m *member) isActive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active
}

func (m *member) counts() (pauses, resumes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pauses, m.resumes
}

// journal is who was called, in order.
type journal struct {
	p     *probe
	mu    sync.Mutex
	calls []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = append(j.calls, s)
}

func (j *journal) fault(format string, args ...any) { j.p.broken(format, args...) }

func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := strings.Join(j.calls, ", ")
	j.calls = nil
	return text
}

var ordinals = []string{"first", "second", "third", "fourth", "fifth"}

// compose makes a composition of n members, which are active.
func (p *groupProbe) compose(n int) (lifecycle.Pausable, []*member, *journal) {
	log := &journal{p: p.probe}
	var members []*member
	var named []lifecycle.Pausable
	for i := range n {
		m := &member{name: ordinals[i], log: log, active: true}
		members = append(members, m)
		named = append(named, lifecycle.Named(m.name, m))
	}
	whole := p.g.Make(named...)
	p.after(func() { // lets a Controller that retries come to rest
		for _, m := range members {
			m.set(nil, nil)
		}
		ctx, cancel := p.within()
		defer cancel()
		_ = whole.Pause(ctx)
	})
	return whole, members, log
}

func (p *groupProbe) pause(whole lifecycle.Pausable) error {
	ctx, cancel := p.within()
	defer cancel()
	return p.call("Pause", func() error { return whole.Pause(ctx) }).wait("of a composition")
}

func (p *groupProbe) resume(whole lifecycle.Pausable) error {
	ctx, cancel := p.within()
	defer cancel()
	return p.call("Resume", func() error { return whole.Resume(ctx) }).wait("of a composition")
}

func (p *groupProbe) must(what string, err error) {
	if err != nil {
		p.fatal("%s returned: %v", what, err)
	}
}

// all checks in which state the members are.
func (p *groupProbe) all(when string, members []*member, active bool) {
	for _, m := range members {
		if m.isActive() != active {
			p.broken("%s, the %s member is %s", when, m.name, map[bool]string{true: "active", false: "paused"}[!active])
		}
	}
}

var errMember = errors.New("the member's own error")

func fails(context.Context) error  { return errMember }
func panics(context.Context) error { panic("the member's own panic") }

func groupOrder(p *groupProbe) {
	whole, members, log := p.compose(4)
	p.must("Pause", p.pause(whole))
	if got, want := log.take(), "pause first, pause second, pause third, pause fourth"; got != want {
		p.broken("members were paused in the order %q", got)
	}
	p.all("after Pause", members, false)
	p.must("Resume", p.resume(whole))
	if got, want := log.take(), "resume fourth, resume third, resume second, resume first"; got != want {
		p.broken("members were resumed in the order %q", got)
	}
	p.all("after Resume", members, true)
}

func groupIdempotent(p *groupProbe) {
	whole, members, _ := p.compose(3)
	for range p.repeat {
		p.must("Pause", p.pause(whole))
		p.all("after several Pauses", members, false)
	}
	for range p.repeat {
		p.must("Resume", p.resume(whole))
		p.all("after several Resumes", members, true)
	}
}

// failing makes the member at each position fail or panic in turn.
func (p *groupProbe) failing(op string, check func(whole lifecycle.Pausable, members []*member, at int, err error)) {
	for _, how := range []struct {
		name string
		fn   func(context.Context) error
	}{{"fails", fails}, {"panics", panics}} {
		for at := range 3 {
			whole, members, _ := p.compose(3)
			p.must("Pause", p.pause(whole))
			p.must("Resume", p.resume(whole))
			call := p.pause
			if op == "pause" {
				members[at].set(how.fn, nil)
			} else {
				p.must("Pause", p.pause(whole))
				members[at].set(nil, how.fn)
				call = p.resume
			}
			err := call(whole)
			when := fmt.Sprintf("when the %s of three members %s in %s", members[at].name, how.name, op)
			var which *lifecycle.MemberError
			switch {
			case err == nil:
				p.fatal("%s, the whole returned nil", when)
			case how.name == "fails" && !errors.Is(err, errMember):
				p.broken("%s, the error of the whole does not match the member's: %v", when, err)
			case how.name == "panics" && !errors.As(err, new(*lifecycle.PanicError)):
				p.broken("%s, the error of the whole has no *lifecycle.PanicError: %v", when, err)
			case !errors.As(err, &which) || !strings.Contains(err.Error(), members[at].name):
				p.broken("%s, the error of the whole does not name it: %v", when, err)
			}
			check(whole, members, at, err)
			members[at].set(nil, nil)
			p.must("Pause, after the member was repaired,", p.pause(whole))
			p.all("after a Pause of all members repaired", members, false)
			p.must("Resume, after the member was repaired,", p.resume(whole))
			p.all("after a Resume of all members repaired", members, true)
		}
	}
}

func groupPauseFails(p *groupProbe) {
	p.failing("pause", func(_ lifecycle.Pausable, members []*member, at int, _ error) {
		for i, m := range members {
			if pauses, _ := m.counts(); pauses < 2 {
				p.broken("when the %s member did not pause, the %s was not even asked to", members[at].name, ordinals[i])
			}
		}
	})
}

func groupResumeFails(p *groupProbe) {
	p.failing("resume", func(_ lifecycle.Pausable, members []*member, at int, err error) {
		if !p.g.Ordered {
			return
		}
		for i, m := range members {
			// Resumed is last to first: those before the one that failed must stay paused.
			if i < at && m.isActive() {
				p.broken("when the %s member did not resume, the %s, which depends on it, was resumed all the same", members[at].name, m.name)
			}
		}
		if at > 0 && !errors.Is(err, lifecycle.ErrNotAttempted) {
			p.broken("when the %s member did not resume, the error does not match ErrNotAttempted for those before it: %v", members[at].name, err)
		}
	})
}

func groupRollback(p *groupProbe) {
	p.failing("pause", func(_ lifecycle.Pausable, members []*member, at int, err error) {
		if !errors.Is(err, lifecycle.ErrRolledBack) {
			p.broken("the error of a Pause that failed does not match ErrRolledBack: %v", err)
		}
		for i, m := range members {
			if i != at && !m.isActive() {
				p.broken("after a Pause that failed and was rolled back, the %s member is paused", m.name)
			}
		}
	})
	p.failing("resume", func(_ lifecycle.Pausable, members []*member, _ int, err error) {
		if !errors.Is(err, lifecycle.ErrRolledBack) {
			p.broken("the error of a Resume that failed does not match ErrRolledBack: %v", err)
		}
		p.all("after a Resume that failed and was rolled back", members, false)
	})
}

func groupBudget(p *groupProbe) {
	whole, members, _ := p.compose(3)
	stuck := make(chan struct{})
	var once sync.Once
	let := func() { once.Do(func() { close(stuck) }) }
	p.after(let)
	var mu sync.Mutex
	left := map[string]time.Duration{}
	for _, m := range members {
		m.set(func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			mu.Lock()
			left[m.name] = time.Until(deadline)
			if !ok {
				left[m.name] = time.Hour
			}
			mu.Unlock()
			if m.name == "first" { // as a member that keeps its deadline and does not come to an end
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-stuck:
				}
			}
			return nil
		}, nil)
	}
	const budget = 600 * time.Millisecond
	ctx, cancel := context.WithTimeout(p.ctx, budget)
	defer cancel()
	err := p.call("Pause", func() error { return whole.Pause(ctx) }).wait(fmt.Sprintf("of a composition, which had %v", budget))
	if err == nil {
		p.broken("a Pause whose first member did not pause in time returned nil")
	} else if !errors.Is(err, context.DeadlineExceeded) {
		p.broken("a Pause whose first member did not pause in time returned an error that does not match context.DeadlineExceeded: %v", err)
	}
	p.eventually("all members have been told to pause", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(left) == len(members)
	})
	mu.Lock()
	defer mu.Unlock()
	for name, d := range left {
		if d > budget {
			p.broken("the %s member was given %v of the %v that the whole had", name, d, budget)
		}
	}
	if p.g.Ordered && left["first"] > budget*2/3 {
		p.broken("the first of three members, which pause one after another, was given %v of %v: the others get what it leaves", left["first"], budget)
	}
	let()
}

func groupLatestIntent(p *groupProbe) {
	whole, members, _ := p.compose(3)
	entered, let := make(chan struct{}, 1), make(chan struct{})
	slow := func(context.Context) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-let
		return nil
	}
	members[1].set(slow, nil)
	ctx, cancel := p.within()
	defer cancel()
	pause := p.call("Pause", func() error { return whole.Pause(ctx) })
	select {
	case <-entered:
	case <-time.After(p.soon):
		close(let)
		p.fatal("the second member was not told to pause")
	}
	resume := p.call("Resume", func() error { return whole.Resume(ctx) })
	if err := pause.wait("though a Resume has overtaken it"); !errors.Is(err, lifecycle.ErrSuperseded) {
		p.broken("a Pause that a Resume overtook returned %v, which does not match ErrSuperseded", errText(err))
	}
	close(let)
	resume.succeeds("after the member that was pausing had returned")
	p.all("after a Resume that overtook a Pause", members, true)

	for range 3 * p.repeat {
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				ctx, cancel := p.within()
				defer cancel()
				op := whole.Pause
				if i%2 == 0 {
					op = whole.Resume
				}
				if err := op(ctx); err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
					p.broken("one of several overlapping calls returned %v, which does not match ErrSuperseded", err)
				}
			})
		}
		wg.Wait()
		p.must("Pause after overlapping calls", p.pause(whole))
		p.all("after overlapping calls, and a Pause", members, false)
		p.must("Resume after overlapping calls", p.resume(whole))
		p.all("after overlapping calls, and a Resume", members, true)
	}
}

func groupRetries(p *groupProbe) {
	whole, members, _ := p.compose(3)
	members[1].set(fails, nil)
	if err := p.pause(whole); !errors.Is(err, errMember) {
		p.broken("a Pause whose second member failed returned: %v", errText(err))
	}
	members[1].set(nil, nil)
	if p.g.Retries {
		p.eventually("a member that had failed to pause, and can now, is paused, though nobody asked again", func() bool { return !members[1].isActive() })
	} else {
		p.must("a second Pause", p.pause(whole))
	}
	p.all("after a Pause that succeeded in the second attempt", members, false)
}

// groupWorker has a loop at work that uses a store: it must have stopped before
// the store is paused, and what it was before is what it is afterwards.
func groupWorker(p *groupProbe) {
	var mu sync.Mutex
	open, enabled, running := true, false, false
	var faults []string
	work := func() { // uses the store
		mu.Lock()
		defer mu.Unlock()
		if running && !open {
			faults = append(faults, "the worker met a store that was paused")
		}
	}
	queue := lifecycle.Func{
		PauseFunc: func(context.Context) error { work(); mu.Lock(); defer mu.Unlock(); running = false; return nil },
		ResumeFunc: func(context.Context) error {
			mu.Lock()
			running = enabled
			mu.Unlock()
			work()
			return nil
		},
	}
	store := lifecycle.Func{
		PauseFunc: func(context.Context) error {
			work()
			mu.Lock()
			open = false
			mu.Unlock()
			work()
			return nil
		},
		ResumeFunc: func(context.Context) error { mu.Lock(); open = true; mu.Unlock(); work(); return nil },
	}
	whole := p.g.Make(lifecycle.Named("send queue", queue), lifecycle.Named("store", store))
	for _, enable := range []bool{true, false} {
		mu.Lock()
		enabled, running = enable, enable
		mu.Unlock()
		p.must("Pause", p.pause(whole))
		p.must("Resume", p.resume(whole))
		mu.Lock()
		if running != enable {
			p.broken("a worker that was running=%v before the pause is running=%v after the Resume", enable, running)
		}
		mu.Unlock()
	}
	p.must("Pause", p.pause(whole))
	for _, f := range faults {
		p.broken("%s", f)
	}
}

func groupHundred(p *groupProbe) {
	whole, members, _ := p.compose(3)
	slow := func(context.Context) error { settle(); return nil } // so that the calls meet
	members[1].set(slow, slow)
	for _, pausing := range []bool{true, false} {
		errs := make(chan error, 100)
		for range cap(errs) {
			go func() {
				ctx, cancel := p.within()
				defer cancel()
				if pausing {
					errs <- whole.Pause(ctx)
				} else {
					errs <- whole.Resume(ctx)
				}
			}()
		}
		for i := range cap(errs) {
			select {
			case err := <-errs:
				if err != nil {
					p.broken("one of %d simultaneous calls returned: %v", cap(errs), err)
				}
			case <-time.After(2 * p.soon):
				p.fatal("of %d simultaneous calls, %d have not returned", cap(errs), cap(errs)-i)
			}
		}
		p.all("after a hundred simultaneous calls", members, !pausing)
	}
}

// hold takes a lease.
func (p *groupProbe) hold(whole lifecycle.Pausable, label string) *lifecycle.Lease {
	h, ok := whole.(holder)
	if !ok {
		p.fatal("what Make returned has no method Hold, and Controller is declared")
	}
	var lease *lifecycle.Lease
	err := p.call("Hold", func() (err error) { // not within a time: the lease's context ends with the one given here
		lease, err = h.Hold(lifecycle.WithLabel(p.ctx, label))
		return err
	}).wait("of a composition at rest")
	if err != nil {
		p.fatal("Hold returned: %v", err)
	}
	return lease
}

func (p *groupProbe) eventuallyAll(what string, members []*member, active bool) {
	p.eventually(what, func() bool {
		return !slices.ContainsFunc(members, func(m *member) bool { return m.isActive() != active })
	})
}

func groupLeases(p *groupProbe) {
	whole, members, _ := p.compose(2)
	p.must("Pause", p.pause(whole))
	a, b := p.hold(whole, "one"), p.hold(whole, "two")
	settle()
	p.all("while two leases are held", members, true)
	a.Release()
	a.Release() // twice is once
	settle()
	p.all("while one of two leases is still held", members, true)
	b.Release()
	p.eventuallyAll("after the last lease was released the members are paused again", members, false)

	c := p.hold(whole, "three")
	p.must("Resume", p.resume(whole))
	c.Release()
	p.must("Resume", p.resume(whole))
	p.all("after a lease ended, and active is what is wanted", members, true)
}

func groupLeaseKeeps(p *groupProbe) {
	whole, _, _ := p.compose(2)
	p.must("Pause", p.pause(whole))
	lease := p.hold(whole, "share extension")
	ctx, cancel := context.WithTimeout(p.ctx, 100*time.Millisecond)
	defer cancel()
	err := p.call("Pause", func() error { return whole.Pause(ctx) }).wait("which had 100 ms, while a lease is held")
	var held *lifecycle.HeldError
	switch {
	case err == nil:
		p.broken("an explicit Pause while a lease is held returned nil")
	case !errors.As(err, &held) || !strings.Contains(err.Error(), "share extension"):
		p.broken("an explicit Pause that a lease kept from its end does not name it: %v", err)
	}
	select {
	case <-lease.Context().Done():
	case <-time.After(p.soon):
		p.broken("an explicit Pause, whose grace is over, has not ended the context of a lease")
	}
	lease.Release()
	p.must("Pause after the lease was released", p.pause(whole))
}

func groupLeaseExpires(p *groupProbe) {
	whole, members, _ := p.compose(2)
	p.must("Pause", p.pause(whole))
	forgotten := p.hold(whole, "forgotten")
	select {
	case <-forgotten.Context().Done():
		if cause := context.Cause(forgotten.Context()); !errors.Is(cause, lifecycle.ErrLeaseExpired) {
			p.broken("a forgotten lease ended because of %v, which does not match ErrLeaseExpired", cause)
		}
	case <-time.After(p.g.LeaseTTL + p.soon):
		p.fatal("a forgotten lease has not ended %v after its time", p.soon)
	}
	p.eventuallyAll("after a forgotten lease ended the members are paused again", members, false)

	stale := p.hold(whole, "stale")
	p.must("Resume", p.resume(whole))
	select {
	case <-stale.Context().Done():
	case <-time.After(p.g.LeaseTTL + p.soon):
		p.fatal("a forgotten lease has not ended %v after its time", p.soon)
	}
	settle()
	p.all("after a forgotten lease expired, and a real Resume had come before that", members, true)
}

var groupCases = []groupCase{
	{Case{Name: "group/order", Promise: "members pause first to last, and resume last to first", Harm: "a sync loop runs on stores that are not open",
		Origins: []string{"C2", "L-20", "L-21"}}, "ordered", groupOrder},
	{Case{Name: "group/idempotent", Promise: "pausing what is paused and resuming what runs is nil, any number of times", Harm: harmHang,
		Origins: []string{"D"}}, "", groupIdempotent},
	{Case{Name: "group/a-hundred-at-once", Promise: "a hundred simultaneous Pauses, and a hundred Resumes, all return nil, and no member is called twice at once", Harm: harmHang,
		Origins: []string{"I 100 concurrent pausers all return"}}, "", groupHundred},
	{Case{Name: "group/pause-fails", Promise: "when the first, middle or last member fails or panics in a Pause, everyone else is told all the same, and the error names the member", Harm: "one broken part keeps all others in the foreground, with everything they hold",
		Origins: []string{"I Failing member in a group", "I panic in a member", "W-12"}}, "", groupPauseFails},
	{Case{Name: "group/resume-fails", Promise: "when the first, middle or last member fails or panics in a Resume, what depends on it is not started, and the error names the member", Harm: "a sync loop runs on stores that did not open",
		Origins: []string{"I Failing member in a group", "I panic in a member", "W-12"}}, "", groupResumeFails},
	{Case{Name: "group/roll-back", Promise: "a Pause or Resume that failed is undone, and the error says so", Harm: "half of the app is paused, and nobody knows which half",
		Origins: []string{"W-12"}}, "rollback", groupRollback},
	{Case{Name: "group/time-budget", Promise: "members share the time of the whole: one that does not end leaves the others theirs, and the whole returns in time", Harm: harmHang,
		Origins: []string{"W-11", "W-02"}}, "", groupBudget},
	{Case{Name: "group/latest-intent-wins", Promise: "of overlapping calls the overtaken ones return lifecycle.ErrSuperseded, and all members end where the last one wanted them", Harm: harmIntent,
		Origins: []string{"W-14", "GAP-L concurrent close/reopen"}}, "", groupLatestIntent},
	{Case{Name: "group/second-attempt", Promise: "a Pause that failed may be asked again, and goes through to the member that failed", Harm: "one failure, and the app can never be suspended again",
		Origins: []string{"W-12"}}, "", groupRetries},
	{Case{Name: "group/work-stops-first", Promise: "what works on a store stops before it is paused, starts after it is resumed, and is put back as it was", Harm: "a send queue meets a paused store and marks messages as failed, or starts to send what the user had stopped",
		Origins: []string{"GAP-L send-queue state after resume", "GAP-L pause while sync runs", "W-15", "W-18"}}, "ordered", groupWorker},
	{Case{Name: "group/leases", Promise: "leases are counted: active while one is held, paused again at zero, and not at all when active is what is wanted by then", Harm: harmIntent,
		Origins: []string{"I Lease: sibling accesses", "I re-pause at zero"}}, "controller", groupLeases},
	{Case{Name: "group/lease-in-the-way", Promise: "an explicit Pause treats a lease as work in flight: its context ends after the grace, and it is named", Harm: harmHang,
		Origins: []string{"I Lease: sibling accesses"}}, "controller", groupLeaseKeeps},
	{Case{Name: "group/lease-expires", Promise: "a forgotten lease expires and the members are paused; one that expires after a real Resume pauses nobody", Harm: harmIntent,
		Origins: []string{"I expired lease", "I stale expiry must not re-pause"}}, "controller", groupLeaseExpires},
}

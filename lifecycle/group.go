package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// GroupConfig says how a group behaves. The zero value is usable.
type GroupConfig struct {
	// Name is the group's name in errors and events. Default "sequence" or "parallel".
	Name string

	// Rollback undoes a Pause or a Resume that failed: every member is told the
	// opposite, and the error also matches ErrRolledBack where all of them
	// could. A caller whose time ended first does not see that: for it the
	// roll-back is under way.
	Rollback bool

	// RollbackResume is Rollback for a Resume alone: a Pause that failed stays a
	// pause, which goes on by itself.
	RollbackResume bool

	// RollbackTimeout is the roll-back's own time. Default 5 s.
	RollbackTimeout time.Duration

	// Observer is told of changes of the group's state. It may be nil.
	Observer Observer
}

// ErrRolledBack is matched by the error of a group's Pause or Resume that
// failed and was undone: all members are again as they were before.
var ErrRolledBack = errors.New("rolled back")

// Group is several Pausables as one. It keeps the latest intent by itself: a
// call cancels the context of the one that it overtakes, waits until that has
// left the member that it is in, then runs. So its members must be driven
// through the group only.
//
// A Pause tells every member, whatever failed. Errors are joined, each a
// *MemberError. A panic in a member is an error. A caller leaves when its
// context ends, with an error that names the members which have failed or not
// returned, after a Pause a *HeldError with the members' holders and leases;
// the group goes on. A group has no time-out of its own: where the context has
// no deadline, its members' time-outs bound it.
//
// After a Pause that failed, the group's state stays pausing until it is asked
// again. After a Resume that failed it is paused, although some members may
// have been resumed. Either way the next call goes through to all members.
type Group struct {
	engine
	cfg      GroupConfig
	members  []Pausable
	parallel bool

	// Guarded by engine.mu.
	known  bool    // all members are as state says
	errors []error // of the members told last: nil where nothing failed, errBusy where one has not returned
}

// Sequence makes a group that pauses first to last and resumes last to first.
//
// Member i of n gets an equal share of the time that is left: left / (n - i). One that is
// reached late is paused with an ended context, never skipped. A Resume stops
// at the first failure; the members that it did not come to are reported with ErrNotAttempted.
func Sequence(members ...Pausable) *Group { return GroupConfig{}.Sequence(members...) }

// Parallel makes a group whose members are paused and resumed all at once, each with all of the time.
func Parallel(members ...Pausable) *Group { return GroupConfig{}.Parallel(members...) }

// Sequence is the function of that name, with a configuration.
func (c GroupConfig) Sequence(members ...Pausable) *Group {
	return newGroup(c, "sequence", false, members)
}

// Parallel is the function of that name, with a configuration.
func (c GroupConfig) Parallel(members ...Pausable) *Group {
	return newGroup(c, "parallel", true, members)
}

func newGroup(cfg GroupConfig, name string, parallel bool, members []Pausable) *Group {
	if cfg.Name == "" {
		cfg.Name = name
	}
	if cfg.RollbackTimeout <= 0 {
		cfg.RollbackTimeout = DefaultTimeout
	}
	return &Group{engine: engine{name: cfg.Name, renew: true}, cfg: cfg, members: slices.Clone(members), parallel: parallel}
}

// Pause pauses every member. It returns nil when all of them did. Called from
// inside an operation of a member it returns ErrNested, and tells nobody.
func (g *Group) Pause(ctx context.Context) error {
	for i, m := range g.members {
		if inOperationOf(ctx, m) {
			return g.memberError(i, toPaused, ErrNested)
		}
	}
	return g.call(ctx, (*groupMover)(g), toPaused, 0, g.left)
}

// Resume resumes the members. It returns nil when all of them did.
func (g *Group) Resume(ctx context.Context) error {
	if ctx.Err() != nil && g.State() != Active {
		return &StateError{g.cfg.Name, "resume", endOf(ctx)}
	}
	return g.call(ctx, (*groupMover)(g), toActive, 0, g.left)
}

// Name returns the group's name.
func (g *Group) Name() string { return g.cfg.Name }

// Holders lists what the members say of the operations that run in them. Members without a method Holders say nothing.
func (g *Group) Holders() []Holder {
	var holders []Holder
	for _, m := range g.members {
		holders = append(holders, holdersOf(m)...)
	}
	return holders
}

// Leases lists what the members say of the leases that are held, oldest first.
func (g *Group) Leases() []LeaseInfo {
	var leases []LeaseInfo
	for _, m := range g.members {
		leases = append(leases, leasesOf(m)...)
	}
	return sortLeases(leases)
}

func (g *Group) inOperation(ctx context.Context) bool {
	return slices.ContainsFunc(g.members, func(m Pausable) bool { return inOperationOf(ctx, m) })
}

// left is what a caller gets whose time ended.
func (g *Group) left(r *run, cause error) error {
	g.mu.Lock()
	if g.run == r {
		cause = errors.Join(cause, g.joined(r.goal))
	}
	g.mu.Unlock()
	if r.goal == toActive {
		return &StateError{g.cfg.Name, "resume", cause}
	}
	return &HeldError{Store: g.cfg.Name, Step: StepMembers, Holders: g.Holders(), Leases: g.Leases(), Cause: cause}
}

// groupMover is Group as the engine sees it.
type groupMover Group

func (m *groupMover) settled(to goal) (bool, error) {
	g := (*Group)(m)
	return g.run == nil && g.known && g.state == target(to), nil
}

func target(g goal) State {
	if g == toPaused {
		return Paused
	}
	return Active
}

func (m *groupMover) begun(r *run) {
	g := (*Group)(m)
	g.known = false
	if r.goal == toPaused {
		g.setState(Pausing)
	} else {
		g.setState(Resuming)
	}
}

func (m *groupMover) drive(r *run) error {
	g := (*Group)(m)
	err := g.tell(r)
	if err == nil || !g.undoes(r.goal) || r.undoing || r.ctx.Err() != nil {
		return err
	}
	back := newRun(toActive, time.Now().Add(g.cfg.RollbackTimeout))
	if r.goal == toActive {
		back.goal = toPaused
	}
	// Where the last caller of a Resume leaves meanwhile, finish has it rolled back by a run that can be overtaken.
	stop := context.AfterFunc(r.ctx, func() { back.cancel(ErrSuperseded) })
	defer stop()
	defer back.cancel(nil)
	if undo := g.tell(back); undo != nil {
		return errors.Join(err, fmt.Errorf("%s: rolling back: %w", g.cfg.Name, undo))
	}
	r.undone = true
	return errors.Join(err, fmt.Errorf("%s: %w", g.cfg.Name, ErrRolledBack))
}

func (m *groupMover) finish(r *run, err error) (follow *run, result error) {
	g := (*Group)(m)
	g.errors = nil
	if err == nil && r.ctx.Err() != nil { // the last caller of a Resume left just now
		err = context.Cause(r.ctx)
	}
	pausing := r.goal == toPaused
	switch {
	case err == nil:
		g.known = true
		g.setState(target(r.goal))
	case r.undone && pausing:
		g.known = true
		g.setState(Active)
	case pausing:
		// Some member is still on its way: both calls go through to all of them.
	default:
		g.known = r.undone
		g.setState(Paused)
		if g.undoes(toActive) && r.deserted && !r.undone && !errors.Is(context.Cause(r.ctx), ErrSuperseded) {
			back := newRun(toPaused, time.Now().Add(g.cfg.RollbackTimeout))
			back.undoing = true
			return back, err
		}
	}
	return nil, err
}

// undoes says whether the group takes back what failed on its way there.
func (g *Group) undoes(to goal) bool {
	return g.cfg.Rollback || g.cfg.RollbackResume && to == toActive
}

func (m *groupMover) overtaken(*run) {}

func (m *groupMover) observe(from, to State, r *run) {
	g := (*Group)(m)
	if from == to && r == nil {
		return
	}
	e := Event{Store: g.cfg.Name, Time: time.Now(), From: from, To: to}
	if r != nil {
		e.Err = r.err
	}
	tell(g.cfg.Observer, e)
}

// tell has the members do what r is for.
func (g *Group) tell(r *run) error {
	g.mu.Lock()
	g.errors = make([]error, len(g.members))
	g.mu.Unlock()
	if g.parallel {
		g.tellAll(r)
	} else {
		g.tellEach(r)
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.joined(r.goal)
}

// joined is what the members failed with, in the order in which a Sequence tells them. It is called under the mutex.
func (g *Group) joined(to goal) error {
	errs := slices.Clone(g.errors)
	if to == toActive {
		slices.Reverse(errs)
	}
	return errors.Join(errs...)
}

func (g *Group) tellEach(r *run) {
	n := len(g.members)
	for k := range n {
		if r.ctx.Err() != nil {
			return
		}
		i := k
		if r.goal == toActive {
			i = n - 1 - k
		}
		err := g.ask(r, i, n-k)
		if err == nil || r.goal == toPaused {
			continue
		}
		for j := range i {
			g.note(j, r.goal, ErrNotAttempted)
		}
		return
	}
}

func (g *Group) tellAll(r *run) {
	var wg sync.WaitGroup
	for i := range g.members {
		wg.Go(func() { _ = g.ask(r, i, 1) })
	}
	wg.Wait()
}

// ask asks one member, among so many that share the time that is left.
func (g *Group) ask(r *run, i, among int) error {
	g.note(i, r.goal, errBusy)
	err := g.within(r, among, func(ctx context.Context) error { return ask(ctx, g.members[i], r.goal) })
	g.note(i, r.goal, err)
	return err
}

// note records what became of a member.
func (g *Group) note(i int, to goal, err error) {
	if err != nil {
		err = g.memberError(i, to, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errors[i] = err
}

func (g *Group) memberError(i int, to goal, err error) error {
	name, named := nameOf(g.members[i])
	if !named {
		name = fmt.Sprintf("member %d (%s)", i+1, name)
	}
	if errors.Is(err, ErrRolledBack) {
		err = notRolledBack{err}
	}
	return &MemberError{Group: g.cfg.Name, Member: name, Op: to.op(), Err: err}
}

// notRolledBack is the error of a member which is a group that has been rolled
// back. The group around it has not: its error must not match ErrRolledBack.
type notRolledBack struct{ err error }

func (e notRolledBack) Error() string { return e.err.Error() }

// Is matches what the error matches, but ErrRolledBack.
func (e notRolledBack) Is(target error) bool {
	return target != ErrRolledBack && errors.Is(e.err, target) //nolint:errorlint // the sentinel itself
}

// As finds what the error is.
func (e notRolledBack) As(target any) bool { return errors.As(e.err, target) }

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

	// RollbackTimeout is the roll-back's own time. Default 5 s.
	RollbackTimeout time.Duration

	// Observer is told of every change of the group's state. It may be nil.
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
// context ends, with a *HeldError that names what the members say of their
// holders; the group goes on. A group has no time-out of its own: where the
// context has no deadline, its members' time-outs bound it.
type Group struct {
	engine
	cfg      GroupConfig
	members  []Pausable
	parallel bool
	known    bool // all members are as state says
}

// MemberError says which member of a group failed.
type MemberError struct {
	Group  string
	Member string
	Op     string // "pause" or "resume"
	Err    error
}

func (e *MemberError) Error() string {
	return e.Group + ": " + e.Op + " " + e.Member + ": " + e.Err.Error()
}
func (e *MemberError) Unwrap() error { return e.Err }

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
	return &Group{cfg: cfg, members: slices.Clone(members), parallel: parallel}
}

// Pause pauses every member. It returns nil when all of them did.
func (g *Group) Pause(ctx context.Context) error {
	return g.call(ctx, (*groupMover)(g), toPaused, 0, g.left)
}

// Resume resumes the members. It returns nil when all of them did.
func (g *Group) Resume(ctx context.Context) error {
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

func holdersOf(p Pausable) []Holder {
	for p != nil {
		if h, ok := p.(interface{ Holders() []Holder }); ok {
			return h.Holders()
		}
		u, ok := p.(interface{ Unwrap() Pausable })
		if !ok {
			return nil
		}
		p = u.Unwrap()
	}
	return nil
}

// left is what a caller gets whose time ended.
func (g *Group) left(r *run, cause error) error {
	if r.goal == toActive {
		return &StateError{g.cfg.Name, "resume", cause}
	}
	return &HeldError{Store: g.cfg.Name, Step: StepMembers, Holders: g.Holders(), Cause: cause}
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
	err := g.tell(r, r.goal)
	if err == nil || !g.cfg.Rollback || r.ctx.Err() != nil {
		return err
	}
	back := newRun(toActive, time.Now().Add(g.cfg.RollbackTimeout))
	if r.goal == toActive {
		back.goal = toPaused
	}
	stop := context.AfterFunc(r.ctx, func() { back.cancel(context.Cause(r.ctx)) })
	defer stop()
	defer back.cancel(nil)
	if undo := g.tell(back, back.goal); undo != nil {
		return errors.Join(err, fmt.Errorf("%s: rolling back: %w", g.cfg.Name, undo))
	}
	return errors.Join(err, fmt.Errorf("%s: %w", g.cfg.Name, ErrRolledBack))
}

func (m *groupMover) finish(r *run, err error) (error, *run) {
	g := (*Group)(m)
	pausing := r.goal == toPaused
	switch {
	case err == nil:
		g.known = true
		g.setState(target(r.goal))
	case errors.Is(err, ErrRolledBack):
		g.known = true
		g.setState(map[bool]State{true: Active, false: Paused}[pausing])
	case pausing:
		// Some member is still on its way: both calls go through to all of them.
	default:
		g.setState(Paused)
	}
	return err, nil
}

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

// tell has the members do what to says.
func (g *Group) tell(r *run, to goal) error {
	base, cancel := r.context()
	defer cancel()
	if g.parallel {
		return g.tellAll(base, r, to)
	}
	return g.tellEach(base, r, to)
}

func (g *Group) tellEach(base context.Context, r *run, to goal) error {
	var errs []error
	n := len(g.members)
	for k := range n {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		i := k
		if to == toActive {
			i = n - 1 - k
		}
		ctx, cancel := g.share(base, r, n-k)
		err := g.ask(ctx, i, to)
		cancel()
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if to == toActive {
			for j := i - 1; j >= 0; j-- {
				errs = append(errs, g.memberError(j, to, ErrNotAttempted))
			}
			break
		}
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return errors.Join(errs...)
}

func (g *Group) tellAll(base context.Context, r *run, to goal) error {
	errs := make([]error, len(g.members))
	var wg sync.WaitGroup
	for i := range g.members {
		wg.Go(func() {
			ctx, cancel := g.share(base, r, 1)
			defer cancel()
			errs[i] = g.ask(ctx, i, to)
		})
	}
	wg.Wait()
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return errors.Join(errs...)
}

// share gives a member its part of the time that is left.
func (g *Group) share(base context.Context, r *run, among int) (context.Context, context.CancelFunc) {
	g.mu.Lock()
	deadline := r.deadline
	g.mu.Unlock()
	if deadline.IsZero() {
		return context.WithCancel(base)
	}
	return context.WithTimeout(base, time.Until(deadline)/time.Duration(among))
}

func (g *Group) ask(ctx context.Context, i int, to goal) error {
	m := g.members[i]
	if m == nil {
		return g.memberError(i, to, &ConfigError{"member", "is nil"})
	}
	err := guard(func() error {
		if to == toPaused {
			return m.Pause(ctx)
		}
		return m.Resume(ctx)
	})
	if err != nil {
		return g.memberError(i, to, err)
	}
	return nil
}

func (g *Group) memberError(i int, to goal, err error) error {
	return &MemberError{Group: g.cfg.Name, Member: memberName(g.members[i], i), Op: to.op(), Err: err}
}

func memberName(p Pausable, i int) string {
	if n, ok := p.(interface{ Name() string }); ok {
		return n.Name()
	}
	return fmt.Sprintf("member %d (%s)", i+1, strings.TrimPrefix(fmt.Sprintf("%T", p), "*"))
}

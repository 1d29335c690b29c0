package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// naive composes members as one does at first: one after another, and stop at
// the first error. Its faults are those of the code that groups are meant to replace.
type naive struct {
	members []lifecycle.Pausable
	forward bool // resumes first to last
	untold  bool // loses errors
	keep    bool // goes on after an error, and starts what depends on it
	recover bool
	all     bool // tells everybody to pause
	once    bool // pauses once, and never again
	track   bool // for strict
	paused  bool // where one of these is set; such are called by one goroutine at a time
}

func (n *naive) Pause(ctx context.Context) error {
	if n.once && n.paused {
		return nil
	}
	if n.once || n.track {
		n.paused = true
	}
	return n.each(ctx, false, lifecycle.Pausable.Pause)
}

func (n *naive) Resume(ctx context.Context) error {
	if n.once || n.track {
		n.paused = false
	}
	return n.each(ctx, !n.forward, lifecycle.Pausable.Resume)
}

func (n *naive) each(ctx context.Context, backward bool, op func(lifecycle.Pausable, context.Context) error) (err error) {
	if n.recover {
		defer func() {
			if v := recover(); v != nil {
				err = errors.Join(err, fmt.Errorf("panic: %v", v))
			}
		}()
	}
	members := slices.Clone(n.members)
	if backward {
		slices.Reverse(members)
	}
	var errs []error
	for _, m := range members {
		if err := op(m, ctx); err != nil {
			errs = append(errs, err)
			if !n.all && !n.keep {
				break
			}
		}
	}
	if n.untold {
		return nil
	}
	return errors.Join(errs...)
}

// TestEveryBrokenCompositionIsCaught is TestEveryBrokenStoreIsCaught for RunGroup.
func TestEveryBrokenCompositionIsCaught(t *testing.T) {
	compose := func(n naive) func(...lifecycle.Pausable) lifecycle.Pausable {
		return func(m ...lifecycle.Pausable) lifecycle.Pausable {
			n.members = m
			return &n
		}
	}
	// controlled is a Controller with another Hold.
	controlled := func(hold func(*lifecycle.Controller, context.Context) (*lifecycle.Lease, error)) func(...lifecycle.Pausable) lifecycle.Pausable {
		return func(m ...lifecycle.Pausable) lifecycle.Pausable {
			c := lifecycle.ControllerConfig{LeaseTTL: 300 * time.Millisecond}.NewController(lifecycle.Sequence(m...))
			return leasing{c, hold}
		}
	}
	for _, b := range []struct {
		name, by string
		h        GroupHarness
	}{
		{"resumes in the order of pausing", "group/order", GroupHarness{Make: compose(naive{forward: true}), Ordered: true}},
		{"stops a pause at the first error", "group/pause-fails", GroupHarness{Make: compose(naive{recover: true}), Ordered: true}},
		{"lets a panic through", "group/pause-fails", GroupHarness{Make: compose(naive{all: true}), Ordered: true}},
		{"starts what depends on a failed member", "group/resume-fails", GroupHarness{Make: compose(naive{keep: true, recover: true}), Ordered: true}},
		{"loses errors", "group/second-attempt", GroupHarness{Make: compose(naive{untold: true}), Ordered: true}},
		{"pauses once only", "group/second-attempt", GroupHarness{Make: compose(naive{once: true}), Ordered: true}},
		{"does not roll back", "group/roll-back", GroupHarness{Make: compose(naive{all: true, recover: true}), Ordered: true, Rollback: true}},
		{"gives the first member all the time", "group/time-budget", GroupHarness{Make: compose(naive{all: true}), Ordered: true}},
		{"lets overlapping calls mix", "group/latest-intent-wins", GroupHarness{Make: compose(naive{}), Ordered: true}},
		{"calls a member twice at once", "group/a-hundred-at-once", GroupHarness{Make: compose(naive{}), Ordered: true}},
		{"fails a second call", "group/idempotent", GroupHarness{Make: func(m ...lifecycle.Pausable) lifecycle.Pausable { return &strict{naive{members: m, track: true}} }, Ordered: true}},
		{"pauses the store before its worker", "group/work-stops-first", GroupHarness{Make: func(m ...lifecycle.Pausable) lifecycle.Pausable {
			slices.Reverse(m)
			return lifecycle.Sequence(m...)
		}, Ordered: true}},
		{"does not count its leases", "group/leases", GroupHarness{Controller: true, LeaseTTL: 300 * time.Millisecond,
			Make: controlled(func(c *lifecycle.Controller, ctx context.Context) (*lifecycle.Lease, error) {
				lease, err := c.Hold(ctx)
				if err == nil {
					lease.Release() // and whoever holds the next one is on his own
				}
				return lease, err
			})}},
		{"does not name a lease", "group/lease-in-the-way", GroupHarness{Controller: true, LeaseTTL: time.Minute,
			Make: controlled(func(c *lifecycle.Controller, ctx context.Context) (*lifecycle.Lease, error) {
				return c.Hold(lifecycle.WithLabel(ctx, ""))
			})}},
		{"forgets that leases expire", "group/lease-expires", GroupHarness{Controller: true, LeaseTTL: 300 * time.Millisecond,
			Make: func(m ...lifecycle.Pausable) lifecycle.Pausable {
				return lifecycle.ControllerConfig{LeaseTTL: time.Hour}.NewController(lifecycle.Sequence(m...))
			}}},
	} {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			b.h.Limit = 9 * time.Second
			i := slices.IndexFunc(groupCases, func(c groupCase) bool { return c.Name == b.by })
			if i < 0 {
				t.Fatalf("there is no case %q", b.by)
			}
			r := groupCases[i].runGroup(t.Context(), &b.h)
			if len(r.findings) == 0 {
				t.Fatalf("a composition that %s was not found out by the case %q", b.name, b.by)
			}
			t.Logf("%s caught the composition that %s:\n%s", b.by, b.name, firstLines(r.findings[0].Error(), 6))
		})
	}
}

// leasing is a Controller with another Hold.
type leasing struct {
	*lifecycle.Controller
	hold func(*lifecycle.Controller, context.Context) (*lifecycle.Lease, error)
}

func (l leasing) Hold(ctx context.Context) (*lifecycle.Lease, error) {
	return l.hold(l.Controller, ctx)
}

// strict takes a second call for a mistake.
type strict struct{ naive }

func (s *strict) Pause(ctx context.Context) error {
	if s.paused {
		return errors.New("already paused")
	}
	return s.naive.Pause(ctx)
}

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Groups and the Controller drive Pausables that others wrote. What these can
// say beyond Pause and Resume is found here, through every wrapper that has a
// method Unwrap() Pausable, as Named has.

// MemberError says which member of a group, or what under a Controller, failed.
type MemberError struct {
	Group  string // the group's or the Controller's name
	Member string
	Op     string // "pause" or "resume"
	Err    error
}

// Error names the group, the operation and the member.
func (e *MemberError) Error() string {
	return e.Group + ": " + e.Op + " " + e.Member + ": " + e.Err.Error()
}

// Unwrap returns the member's error.
func (e *MemberError) Unwrap() error { return e.Err }

// errBusy is a member's error for as long as it has not returned.
var errBusy = errors.New("has not returned yet")

// find returns p, or what it wraps, as T.
func find[T any](p Pausable) (found T, ok bool) {
	for p != nil {
		if found, ok = p.(T); ok {
			return found, true
		}
		u, wraps := p.(interface{ Unwrap() Pausable })
		if !wraps {
			break
		}
		p = u.Unwrap()
	}
	return found, false
}

// ask calls a member's method. A member that is not there, that panics or that ends its goroutine has failed.
func ask(ctx context.Context, p Pausable, to goal) error {
	return isolate(func() error {
		switch {
		case p == nil:
			return &ConfigError{"member", "is nil"}
		case to == toPaused:
			return p.Pause(ctx)
		default:
			return p.Resume(ctx)
		}
	})
}

// nameOf is a member's name, or its type. A method of a nil pointer may panic.
func nameOf(p Pausable) (name string, named bool) {
	if n, ok := find[interface{ Name() string }](p); ok {
		if err := isolate(func() error { name = n.Name(); return nil }); err == nil {
			return name, true
		}
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", p), "*"), false
}

// holdersOf lists what p says of the operations that run in it.
func holdersOf(p Pausable) (holders []Holder) {
	if h, ok := find[interface{ Holders() []Holder }](p); ok {
		_ = guard(func() error { holders = h.Holders(); return nil })
	}
	return holders
}

// leasesOf lists the leases of the Controllers in p.
func leasesOf(p Pausable) (leases []LeaseInfo) {
	if l, ok := find[interface{ Leases() []LeaseInfo }](p); ok {
		_ = guard(func() error { leases = l.Leases(); return nil })
	}
	return leases
}

// inOperationOf tells whether a call with ctx comes from inside an operation of p, which a pause of p waits for.
func inOperationOf(ctx context.Context, p Pausable) (in bool) {
	if o, ok := find[interface{ inOperation(context.Context) bool }](p); ok {
		_ = guard(func() error { in = o.inOperation(ctx); return nil })
	}
	return in
}

func sortLeases(leases []LeaseInfo) []LeaseInfo {
	slices.SortFunc(leases, func(a, b LeaseInfo) int { return a.Since.Compare(b.Since) })
	return leases
}

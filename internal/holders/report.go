package holders

import (
	"cmp"
	"context"
	"slices"
)

// Report is a snapshot: what was found at the moment when each process was
// looked at. Another process may take or drop a file while the report is made.
type Report struct {
	// Paths are the databases asked about, absolute and with symbolic links resolved.
	Paths []string `json:"paths"`
	// Holders is sorted by process, file, kind and descriptor.
	Holders []Holder `json:"holders"`
	// Unreadable are the processes that may not be read, or not in full. What
	// they hold is unknown; Empty and Err never count them as free.
	Unreadable []Process `json:"unreadable,omitempty"`
}

// Self reports what this process holds on the databases at the given paths. A
// path may be relative, go through symbolic links, or name a file that is gone.
//
// Self opens none of these files and takes no locks, so it may run beside SQLite
// at any time and from any number of goroutines. On Linux it costs
// well under a millisecond; where lsof is asked, tens of milliseconds.
//
// The error is about the question (ErrUnsupported, the context's, an
// unusable path), never about the answer: a report with holders comes with a nil error.
func Self(ctx context.Context, path ...string) (Report, error) {
	return ask(ctx, path, scanSelf)
}

// All reports what every process holds on the databases at the given paths. It
// follows the rules of Self, and costs some ten microseconds per
// descriptor on the machine. Unless the caller is privileged, the system hides
// other users' processes; they are listed in Unreadable.
func All(ctx context.Context, path ...string) (Report, error) {
	return ask(ctx, path, scanAll)
}

func ask(ctx context.Context, paths []string, scan func(context.Context, *wanted) (Report, error)) (Report, error) {
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	w, err := want(paths)
	if err != nil {
		return Report{}, err
	}
	r, err := scan(ctx, w)
	if err != nil {
		return Report{}, err
	}
	r.Paths = w.paths
	slices.SortStableFunc(r.Holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.FD, b.FD))
	})
	return r, nil
}

// Count returns how many holders are of this kind.
func (r Report) Count(k Kind) int {
	n := 0
	for _, h := range r.Holders {
		if h.Kind == k {
			n++
		}
	}
	return n
}

// Descriptors returns how many open descriptors were found.
func (r Report) Descriptors() int { return r.Count(KindDescriptor) }

// Maps returns how many files are mapped, counted once per process and file.
func (r Report) Maps() int { return r.Count(KindMap) }

// Locks returns how many locks were found.
func (r Report) Locks() int { return r.Count(KindLock) }

// Empty reports whether it is known that nothing is held: no holder was found,
// and every process could be read.
func (r Report) Empty() bool { return len(r.Holders) == 0 && len(r.Unreadable) == 0 }

// Err returns nil if the report is Empty, and a *HeldError otherwise. Whoever can
// live with processes that may not be read looks at Holders instead.
func (r Report) Err() error {
	if r.Empty() {
		return nil
	}
	return &HeldError{Report: r}
}

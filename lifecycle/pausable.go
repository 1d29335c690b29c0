package lifecycle

import "context"

// Pausable gives back everything that it holds, on demand, and takes it again later.
//
// Pause returns nil only when nothing is held any more. After a failed Pause
// the Pausable is on its way to paused, and both Pause and Resume may follow.
// Resume returns nil only when work is accepted again; after a failed Resume
// it is still paused and Resume may be tried again. Pausing what is paused and
// resuming what runs does nothing and returns nil. Both may be called from any
// number of goroutines; of overlapping calls the latest intent wins, and the
// overtaken one returns an error that matches ErrSuperseded. A context bounds
// the caller's waiting, never the releasing.
type Pausable interface {
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
}

// Func makes a Pausable of two functions. A nil function does nothing and
// succeeds. Func adds nothing to its functions: they keep Pausable's contract
// themselves, or stand in a group, which serialises the calls to its members.
type Func struct {
	PauseFunc  func(ctx context.Context) error
	ResumeFunc func(ctx context.Context) error
}

// Pause calls PauseFunc.
func (f Func) Pause(ctx context.Context) error {
	if f.PauseFunc == nil {
		return nil
	}
	return f.PauseFunc(ctx)
}

// Resume calls ResumeFunc.
func (f Func) Resume(ctx context.Context) error {
	if f.ResumeFunc == nil {
		return nil
	}
	return f.ResumeFunc(ctx)
}

// Named gives p a name, under which groups and the Controller report its errors.
func Named(name string, p Pausable) Pausable { return named{p, name} }

type named struct {
	Pausable
	name string
}

// Name returns the name given to Named.
func (n named) Name() string { return n.name }

// Unwrap returns what was given the name.
func (n named) Unwrap() Pausable { return n.Pausable }

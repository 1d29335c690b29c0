package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a call was refused for, or why it ended. All of them are matched with
// errors.Is through every layer of this module.
var (
	// ErrPaused is returned when work is asked of a store that is not active:
	// paused, on its way there, or being resumed. Retrying makes sense after Resume.
	ErrPaused = errors.New("the store is paused")

	// ErrClosed is returned when work or a Resume is asked of a store that was closed for good.
	ErrClosed = errors.New("the store is closed")

	// ErrSuperseded is returned by a Pause or a Resume that was overtaken by a later, opposite call.
	ErrSuperseded = errors.New("overtaken by a later call")

	// ErrInterrupted is returned when an operation was interrupted, or its
	// connection severed, because a pause could not wait for it any longer or
	// because its own context ended.
	ErrInterrupted = errors.New("the operation was interrupted")

	// ErrNested is returned when a call from inside an operation of the same
	// store could only wait for that operation: a Write in a Write, a Pause in either.
	ErrNested = errors.New("called from inside an operation of the same store")

	// ErrNotAttempted is returned for the members of a Sequence that come after the one whose Resume failed.
	ErrNotAttempted = errors.New("not attempted, because a member before it failed")

	// ErrMissing is returned by Resume when what was paused is not there any more.
	ErrMissing = errors.New("the database is missing")

	// ErrReplaced is returned by Resume when something else stands where the database was.
	ErrReplaced = errors.New("the database was replaced")

	// ErrSchemaNewer is returned when the database's schema is newer than the program knows.
	ErrSchemaNewer = errors.New("the database's schema is newer than this program")

	// ErrInaccessible is returned when the system denies access to the
	// database (EACCES, EPERM, a read-only file system), as on a locked phone.
	ErrInaccessible = errors.New("the database is inaccessible")
)

// endOf is the error of a context that has ended: its cause, which matches the context's error too.
func endOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return errors.Join(cause, ctx.Err())
}

// StateError says which store refused which operation.
type StateError struct {
	Store string // the store's name
	Op    string // "read", "write", "pause", "resume", …
	Err   error  // ErrPaused, ErrClosed, ErrNested, …
}

// Error names the store, the operation and the reason.
func (e *StateError) Error() string { return e.Store + ": " + e.Op + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *StateError) Unwrap() error { return e.Err }

// PanicError is what a panic in somebody's hook, driver or member becomes.
// Panics in the callbacks of Read and Write are not turned into errors: they are re-raised on their caller.
type PanicError struct {
	Value any
	Stack []byte
}

// Error shows the value; the stack is in the field.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the panic's value where that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Step names what a pause was doing when its time ran out.
type Step string

// The steps of a pause, in order.
const (
	StepDrain      Step = "drain"      // operations in flight had not ended
	StepOpen       Step = "open"       // a connection was still being opened, or a Resume that was overtaken had not left
	StepReaders    Step = "readers"    // readers were being closed
	StepHook       Step = "hook"       // BeforeRelease had not returned
	StepCheckpoint Step = "checkpoint" // the checkpoint was running
	StepWriter     Step = "writer"     // the writer was being closed
	StepVerify     Step = "verify"     // the operating system still showed something held
	StepLeases     Step = "leases"     // a Controller's leases were still held
	StepMembers    Step = "members"    // a group or a Controller was in one of its members
)

// Holder is one operation that kept a pause from its end.
type Holder struct {
	Store       string
	Role        Role
	Label       string        // from WithLabel, or ""
	Since       time.Time     // when the operation got its connection
	Held        time.Duration // how long it has had it
	Generation  uint64        // which life of the store it belongs to
	Interrupted bool          // an interrupt was sent to it
	Severed     bool          // its connection was closed under it
	CallSite    string        // "function (file:line)", where TrackHolders is on
}

// String describes the holder in a few words.
func (h Holder) String() string {
	var b strings.Builder
	if h.Store != "" {
		b.WriteString(h.Store + " ")
	}
	b.WriteString(h.Role.String())
	if h.Label != "" {
		fmt.Fprintf(&b, " %q", h.Label)
	}
	fmt.Fprintf(&b, " for %v (generation %d", h.Held.Round(time.Millisecond), h.Generation)
	if h.Interrupted {
		b.WriteString(", interrupted")
	}
	if h.Severed {
		b.WriteString(", severed")
	}
	b.WriteString(")")
	if h.CallSite != "" {
		b.WriteString(" at " + h.CallSite)
	}
	return b.String()
}

// HeldError is returned by a Pause, or a Close, whose time ended before
// everything was given back, and by a Resume beside too many stuck readers. It
// names every holder, and those whose connections this pause has severed, though
// they hold nothing any more. Holders may be empty when the step itself took too long.
// The pause goes on by itself: a later Pause waits for what is left.
type HeldError struct {
	Store   string
	Step    Step
	Holders []Holder
	Leases  []LeaseInfo // of Controllers
	Cause   error       // why the waiting ended: the context's cause, a time-out, or what the step failed with
}

// Error names the step, every holder, every lease and the cause.
func (e *HeldError) Error() string {
	var b strings.Builder
	if e.Store != "" {
		b.WriteString(e.Store + ": ")
	}
	fmt.Fprintf(&b, "still held at step %q", string(e.Step))
	for _, h := range e.Holders {
		b.WriteString("; " + h.String())
	}
	for _, l := range e.Leases {
		b.WriteString("; " + l.String())
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause, so that errors.Is(err, context.DeadlineExceeded) holds where that was it.
func (e *HeldError) Unwrap() error { return e.Cause }

// LeaseInfo describes a lease of a Controller that is held.
type LeaseInfo struct {
	Label   string
	Since   time.Time
	Expires time.Time
}

// String describes the lease in a few words.
func (l LeaseInfo) String() string {
	return fmt.Sprintf("lease %q since %s", l.Label, l.Since.Format(time.RFC3339Nano))
}

package lifecycle

import (
	"context"
)

// Role is what a connection is for.
type Role uint8

const (
	// Reader connections serve Read, any number at a time.
	Reader Role = iota
	// Writer is the one connection that serves Write.
	Writer
	// Foreign connections are pooled by somebody else. They are in flight
	// between Begin and End, and are shut together with the readers.
	Foreign
)

// String returns "read", "write" or "foreign".
func (r Role) String() string {
	switch r {
	case Reader:
		return "read"
	case Writer:
		return "write"
	default:
		return "foreign"
	}
}

// MarshalText writes the role's name, so that JSON output is readable.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// OpenInfo says what a connection is opened for.
type OpenInfo struct {
	Role       Role
	Generation uint64 // which life of the store; the first is 1
	Resume     bool   // true for every connection of a store that was paused before (also after StartPaused)
}

// Driver opens and closes connections of type C. It is all that a driver's
// author has to write; what else a driver can do it shows with the optional
// interfaces below.
//
// A connection is used by one goroutine at a time. Only Interrupt and Sever
// are called beside one, and only while the operation that they are meant for
// has the connection; Interrupt and Sever of one connection never overlap
// Reset or Close of it.
type Driver[C any] interface {
	// Open opens and sets up one connection. It gives up when ctx ends. A
	// connection of an earlier generation may still be open.
	Open(ctx context.Context, info OpenInfo) (C, error)

	// Interrupt stops the statement that runs on c, if any, and makes every
	// further statement fail until Reset. It is repeated until the operation
	// ends, may find nothing running, and must not wait for the operation.
	Interrupt(c C)

	// Reset runs after every operation, before anybody else gets c: it closes
	// rows, rolls back, and forgets an Interrupt. It must cost nothing when
	// there is nothing to do. An error means that c is unfit: it is closed.
	Reset(c C) error

	// Close gives back all that c holds. It is called once for every
	// connection that Open returned, whatever it returns. An error means that
	// something may still be held; the pause reports it.
	Close(c C) error
}

// Checkpointer is implemented by drivers that have something to write back
// before the last connection is closed.
type Checkpointer[C any] interface {
	// Checkpoint is called with every other connection closed. c is the
	// writer, or the last reader where no writer was opened. ctx is cancelled
	// when the pause is overtaken. Failing is a warning, not an error: the pause goes on.
	Checkpoint(ctx context.Context, c C) (CheckpointResult, error)
}

// CheckpointResult says what a checkpoint did. The numbers are those of
// SQLite's PRAGMA wal_checkpoint; -1 means not known.
type CheckpointResult struct {
	Mode         string `json:"mode"`         // the policy, for example "truncate"
	Ran          bool   `json:"ran"`          // false where the policy is none, or the bound ended it before it began; true where there was nothing to write
	Busy         bool   `json:"busy"`         // somebody else kept it from completing
	Log          int    `json:"log"`          // frames in the write-ahead log
	Checkpointed int    `json:"checkpointed"` // frames that were written back
}

// Identifier is implemented by drivers that record, right before the last
// connection is closed, what the next Resume has to find.
type Identifier[C any] interface {
	// Identify is called with the last open connection. An error is a warning in the Report.
	Identify(ctx context.Context, c C) error
}

// Validator is implemented by drivers that can tell whether what they are
// about to open is what was paused.
type Validator interface {
	// Validate is called by Resume before anything is opened.
	Validate(ctx context.Context) error
	// Validated is called after the first connection was opened and says
	// whether somebody else changed the content while it was paused.
	Validated(ctx context.Context) (Change, error)
}

// Severer is implemented by drivers that can close a connection under the
// operation that holds it.
type Severer[C any] interface {
	// Sever closes c at a point where no call is inside it: now, or when the
	// call that is inside returns. It does not wait. done is called exactly
	// once, when the connection is closed, with Close's error; it may be
	// called before Sever returns. Every later call of the owner on c returns
	// ErrInterrupted. After Sever the core calls neither Reset nor Close for c.
	Sever(c C, done func(error))
}

// Verifier is implemented by drivers that can ask the operating system
// whether this process still holds anything of the store.
type Verifier interface {
	// Verify returns nil when nothing is held, otherwise an error that says what.
	Verify(ctx context.Context) error
}

// Inspector is implemented by drivers that can say what a pause left behind, for the Report.
type Inspector interface {
	// Leftovers lists, for people, what is still there though nothing is held (files of a log, …).
	Leftovers() []string
}

// Change says whether somebody else changed the content between a Pause and the Resume after it.
type Change uint8

const (
	// ChangeUnknown means that the driver can not tell.
	ChangeUnknown Change = iota
	// ChangeNo means that the content is the one that was paused.
	ChangeNo
	// ChangeYes means that caches of the content are stale.
	ChangeYes
)

// String returns "unknown", "no" or "yes".
func (c Change) String() string {
	switch c {
	case ChangeNo:
		return "no"
	case ChangeYes:
		return "yes"
	default:
		return "unknown"
	}
}

// MarshalText writes the word that String returns.
func (c Change) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Beginner is implemented by drivers that want to know the context of the
// operation that a connection is about to serve.
type Beginner[C any] interface {
	// Begin is called before every operation. It must not block and not fail.
	Begin(ctx context.Context, c C)
}

// Describer is implemented by drivers that can say what an operation is doing
// whose context has no label (WithLabel), for a Holder.
type Describer[C any] interface {
	// Describe is called beside the operation that has c, with locks of the
	// store held: it must neither block nor call the store.
	Describe(c C) string
}

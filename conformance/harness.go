package conformance

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Harness is what the suite needs to know of a store. It is made anew for
// every case, by a function that may be called in several processes.
type Harness struct {
	// Open opens the store that lives in dir, and makes it where there is none.
	// The suite opens one store at a time in a directory, closes it, and may then
	// open the same directory again.
	Open func(ctx context.Context, dir string, o Options) (Store, error)

	// Files are the paths of all files that a store in dir may hold: first the one
	// that holds the content when the store is paused, then files that only exist
	// beside it while the store is in use. Nil for a store in memory, which
	// then declares Without[Files].
	Files func(dir string) []string

	// Remain are those of Files, besides the first, that stay while the store is
	// paused and hold nothing of its content: a database of locks, say. The main
	// file has to be enough without them. Usually nil.
	Remain func(dir string) []string

	// Newer changes the paused store in dir as a newer version of the program
	// would, so that this one must refuse it. Older undoes that. Nil with Without[Schema].
	Newer, Older func(ctx context.Context, dir string) error

	// Whole, where not nil, checks by the store's own means that an open store is
	// not damaged. It is called after a process was killed, and after the disk was full.
	Whole func(ctx context.Context, s Store) error

	// Without names what the store can not do, each with the reason why. What is
	// not named is checked.
	Without map[Capability]string

	// Command makes the command that runs a child process, for Check: a program
	// that calls ChildMain before anything else. In a test, TestCommand makes one.
	// Run needs none: it starts the test binary again.
	Command func(ctx context.Context) *exec.Cmd

	// Limit is after how long a case counts as hanging. Default one minute.
	Limit time.Duration
}

// Options is how a case wants the store to be. What a store does not know it
// may leave out if it has declared so; Timeout and Grace are for everybody.
type Options struct {
	// Timeout bounds a Pause, Resume and Close whose context has no deadline.
	// It is never 0. An operation that runs is interrupted after Grace.
	Timeout, Grace time.Duration

	// MaxReaders is how many reads may run at a time.
	MaxReaders int

	// WhenPaused is what work meets while the store is paused (capability Wait).
	WhenPaused lifecycle.Policy

	// StartPaused opens nothing until the first Resume (capability StartPaused).
	StartPaused bool

	// BeforeRelease and AfterReopen, where not nil, run in every Pause and Resume (capability Hooks).
	BeforeRelease, AfterReopen func(ctx context.Context) error

	// Step, where not nil, should be called between the steps of a Pause, with a
	// name of the store's own. The process is killed inside it. Stores that do not
	// call it are killed at other moments, which are found by time.
	Step func(name string)
}

// Store is the store as the suite sees it: a Pausable with two operations. A
// harness adapts the author's own type to it.
type Store interface {
	lifecycle.Pausable

	// Close is Pause for good.
	Close(ctx context.Context) error

	// Read calls fn inside one operation of the store that reads; the operation
	// lasts until fn returns. Its error is fn's, or why fn was not called.
	Read(ctx context.Context, fn func(Tx) error) error

	// Write calls fn inside one operation that writes, which is committed when fn returns nil.
	Write(ctx context.Context, fn func(Tx) error) error
}

// Tx is what can be done inside an operation.
type Tx struct {
	// Get returns the value of a key, "" where it has none.
	Get func(key string) (string, error)

	// Put sets the value of a key. Nil in a Read.
	Put func(key, value string) error

	// Setting returns settings of the connection that serves this operation, as
	// text: whatever every connection has to be told after it was opened, such
	// as pragmas. Nil with Without[Settings].
	Setting func() (string, error)

	// Leak leaves behind what a careless caller may leave: rows not read to
	// their end, a statement not closed. Nil with Without[Leak].
	Leak func() error
}

// Capability is something that a store may lack, with a reason.
type Capability string

// What a store may lack. The first two say what kind of store it is.
const (
	// Gate: while paused, the store refuses work. Stores in memory for which a pause changes nothing lack it.
	Gate Capability = "gate"
	// Files: the store lives in files, which it gives back.
	Files Capability = "files"

	// Wait: the policy lifecycle.Wait, per store and per call.
	Wait Capability = "wait"
	// Interrupt: an operation that runs is stopped after the grace, and its calls return lifecycle.ErrInterrupted.
	Interrupt Capability = "interrupt"
	// Sever: an operation that does not end loses its connection at the deadline.
	Sever Capability = "sever"
	// Beside: reads go on while a write runs, and the other way round.
	Beside Capability = "beside"
	// Holders: a Pause that fails names the operations that kept it, by their labels.
	Holders Capability = "holders"
	// State: the methods State and Subscribe.
	State Capability = "state"
	// Generation: the method Generation.
	Generation Capability = "generation"
	// Report: the method Report, which also tells whether others have written meanwhile.
	Report Capability = "report"
	// Hooks: Options.BeforeRelease and AfterReopen.
	Hooks Capability = "hooks"
	// StartPaused: Options.StartPaused.
	StartPaused Capability = "start-paused"
	// Settings: connections have settings of their own, which Tx.Setting shows.
	Settings Capability = "settings"
	// Leak: a caller can leave something open in an operation, which Tx.Leak does.
	Leak Capability = "leak"
	// Identity: a Resume recognises another store of the same kind in the place of its own.
	Identity Capability = "identity"
	// Schema: the store has a schema version, which Newer raises.
	Schema Capability = "schema"
	// Shared: several processes may have the store open at once.
	Shared Capability = "shared"
	// Encryption: the content cannot be read in the store's files.
	Encryption Capability = "encryption"
)

var capabilities = []Capability{Gate, Files, Wait, Interrupt, Sever, Beside, Holders, State, Generation, Report, Hooks, StartPaused,
	Settings, Leak, Identity, Schema, Shared, Encryption}

// The methods that Run looks for on a Store, unless it has declared to lack them.
type (
	stater interface {
		State() lifecycle.State
		Subscribe() (states <-chan lifecycle.State, stop func())
	}
	counter  interface{ Generation() uint64 }
	reporter interface{ Report() *lifecycle.Report }
)

// lacks returns the reason why the store lacks something that is needed, "" if it has all.
func (h *Harness) lacks(needs []Capability) string {
	for _, c := range needs {
		if reason, lacks := h.Without[c]; lacks {
			return fmt.Sprintf("without %s: %s", c, reason)
		}
	}
	return ""
}

// check finds what is wrong with the harness itself.
func (h *Harness) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("the harness: "+format, args...)) }
	if h.Open == nil {
		bad("Open is missing")
	}
	var names []string
	for c := range h.Without {
		names = append(names, string(c))
	}
	sort.Strings(names)
	for _, name := range names {
		if !slices.Contains(capabilities, Capability(name)) {
			bad("Without[%q] is no capability; there are %v", name, capabilities)
		} else if strings.TrimSpace(h.Without[Capability(name)]) == "" {
			bad("Without[%q] gives no reason; whoever reads the result wants to know why", name)
		}
	}
	if h.lacks([]Capability{Files}) == "" && h.Files == nil {
		bad("Files is missing; a store that lives in no file declares Without[conformance.Files]")
	}
	if h.lacks([]Capability{Files, Schema}) == "" && (h.Newer == nil || h.Older == nil) {
		bad("Newer or Older is missing; a store without a schema version declares Without[conformance.Schema]")
	}
	return errors.Join(errs...)
}

func (h *Harness) limit() time.Duration {
	if h.Limit > 0 {
		return h.Limit
	}
	return time.Minute
}

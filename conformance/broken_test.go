//go:build unix

package conformance

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

type brokenStore struct {
	name string
	by   string // the case that must find it
	wrap func(*fileStore, Options) Store
}

// brokenStores are what proves that the suite finds faults: each is the whole
// store of filestore_test.go with one thing broken, in it or by a wrapper
// around it, and the case that is meant to find that.
var brokenStores = []brokenStore{
	// Broken below: see the uses of each name in filestore_test.go.
	{"keeps one descriptor", "nothing-held", nil},
	{"keeps a map", "nothing-held", nil},
	{"keeps its lock", "exclusive-lock-for-others", nil},
	{"keeps what callers leak", "leaks-of-callers", nil},
	{"says severed and is not", "severs-at-the-deadline", nil},
	{"leaks a goroutine", "goroutines-gone", nil},
	{"forgets settings on resume", "settings-on-every-connection", nil},
	{"makes a deleted file anew", "file-deleted", nil},
	{"makes a deleted file anew", "directory-gone", nil},
	{"takes an empty file for a new store", "content-destroyed", nil},
	{"takes any file for its own", "file-replaced", nil},
	{"ignores the schema version", "schema-newer", nil},
	{"returns the system's errors", "file-made-read-only", nil},
	{"says that nothing has changed", "others-may-use-it-meanwhile", nil},
	{"keeps a stale cache", "others-may-use-it-meanwhile", nil},
	{"ignores interrupts", "interrupts-after-the-grace", nil},
	{"interrupts the next user", "interrupts-hit-nobody-else", nil},
	{"commits half a write", "interrupted-write-leaves-nothing", nil},
	{"loses the last write", "data-survive-cycles", nil},
	{"closes the writer first", "main-file-is-complete", nil},
	{"acknowledges before it stores", "killed-between-steps", nil},
	{"acknowledges before it stores", "killed-at-any-moment", nil},
	{"removes the log too early", "killed-between-steps", nil},
	{"ignores a full disk", "disk-full", nil},
	{"stores clear text", "encrypted-cycle", nil},
	{"runs its hooks twice", "hooks-run-once", nil},
	{"declares no gate and has one", "no-op-changes-nothing", nil},
	{"declares to be shared and locks others out", "another-process-reads", nil},
	{"opens though it should start paused", "start-paused", nil},

	// Broken above.
	{"checkpoints before draining", "main-file-is-complete", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			_ = s.d.writeBack()
			return s.Pause(ctx)
		}}
	}},
	{"returns nil on timeout", "deadline-is-kept-and-told", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			err := s.Pause(ctx)
			if errors.As(err, new(*lifecycle.HeldError)) {
				return nil // as one that only logs it
			}
			return err
		}}
	}},
	{"names no holders", "holders-are-named", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			err := s.Pause(ctx)
			if held := (*lifecycle.HeldError)(nil); errors.As(err, &held) {
				return &lifecycle.HeldError{Store: held.Store, Step: held.Step, Cause: held.Cause}
			}
			return err
		}}
	}},
	{"knows no deadline", "timeout-without-a-deadline", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); ok {
				return s.Pause(ctx)
			}
			long, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return s.Pause(long)
		}}
	}},
	{"ignores cancellation", "cancelled-calls-leave-no-half", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			long, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			defer cancel()
			return s.Pause(long)
		}}
	}},
	{"gives up a pause half-way", "releases-after-the-deadline", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			err := s.Pause(ctx)
			if errors.As(err, new(*lifecycle.HeldError)) {
				_ = s.Resume(context.WithoutCancel(ctx)) // and a roll-back that nobody asked for
			}
			return err
		}}
	}},
	{"does not wait for operations", "waits-for-a-read", hasty},
	{"does not wait for operations", "waits-for-a-write", hasty},
	{"does not wait for operations", "whole-cycle", hasty},
	{"polls", "no-polling", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			done := make(chan error, 1)
			go func() { done <- s.Pause(ctx) }()
			for {
				select {
				case err := <-done:
					return err
				default:
					time.Sleep(50 * time.Millisecond) // which is the fault
				}
			}
		}}
	}},
	{"returns untyped errors", "refused-while-paused", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, op: func(err error) error {
			if err != nil {
				return errors.New(err.Error())
			}
			return nil
		}}
	}},
	{"hides errors in groups", "typed-errors-through-every-layer", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, resume: func(ctx context.Context) error {
			if err := s.Resume(ctx); err != nil {
				return errors.New("cannot resume: " + err.Error())
			}
			return nil
		}}
	}},
	{"hangs on a second Pause", "pause-is-idempotent", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
			if s.State() == lifecycle.Paused {
				<-neverClosed
			}
			return s.Pause(ctx)
		}}
	}},
	{"fails a second Resume", "resume-is-idempotent", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, resume: func(ctx context.Context) error {
			if s.State() == lifecycle.Active {
				return errors.New("already open")
			}
			return s.Resume(ctx)
		}}
	}},
	{"fails a second Close", "close-is-for-good", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, close: func(ctx context.Context) error {
			if s.State() == lifecycle.Closed {
				return os.ErrClosed
			}
			return s.Close(ctx)
		}}
	}},
	{"closes without waiting", "close-joins-a-pause", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, close: func(ctx context.Context) error {
			go func() { _ = s.Close(ctx) }()
			return nil
		}}
	}},
	{"cannot resume", "pause-and-resume", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, resume: func(context.Context) error { return nil }}
	}},
	{"lets a late writer through", "queued-writers-are-refused", func(s *fileStore, _ Options) Store {
		var writer sync.Mutex // in front of the gate, as a handle that somebody has kept
		return broken{Store: s, fileStore: s, write: func(ctx context.Context, fn func(Tx) error) error {
			writer.Lock()
			defer writer.Unlock()
			return directly(s, s.Write(ctx, fn), fn)
		}}
	}},
	{"lets late operations through", "nothing-runs-after-pause", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, write: func(ctx context.Context, fn func(Tx) error) error {
			return directly(s, s.Write(ctx, fn), fn)
		}}
	}},
	{"has a second writer", "never-two-writers", func(s *fileStore, _ Options) Store {
		var pauses atomic.Int32
		return broken{Store: s, fileStore: s,
			pause: func(ctx context.Context) error { pauses.Add(1); return s.Pause(ctx) },
			write: func(ctx context.Context, fn func(Tx) error) error {
				if s.Stats().WriterInUse && pauses.Load() > 0 {
					return directly(s, lifecycle.ErrPaused, fn)
				}
				return s.Write(ctx, fn)
			}}
	}},
	{"lets new work wait for the pause", "refuses-at-once-while-pausing", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, op: func(err error) error {
			if errors.Is(err, lifecycle.ErrPaused) {
				endOf(s, lifecycle.Pausing)
			}
			return err
		}}
	}},
	{"lets queued readers wait", "queued-readers-are-refused", func(s *fileStore, o Options) Store {
		free := make(chan struct{}, max(1, o.MaxReaders))
		return broken{Store: s, fileStore: s, read: func(ctx context.Context, fn func(Tx) error) error {
			free <- struct{}{} // with no look at the pause
			defer func() { <-free }()
			return s.Read(ctx, fn)
		}}
	}},
	{"loses wake-ups", "waiting-policy", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, read: func(ctx context.Context, fn func(Tx) error) error {
			if s.State() == lifecycle.Paused {
				<-ctx.Done()
				return ctx.Err()
			}
			return s.Read(ctx, fn)
		}}
	}},
	{"waits without a bound", "waiting-is-bounded", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, read: func(ctx context.Context, fn func(Tx) error) error {
			endOf(s, lifecycle.Paused)
			return s.Read(ctx, fn)
		}}
	}},
	{"ignores the policy of a call", "policy-per-call", func(s *fileStore, o Options) Store {
		return broken{Store: s, fileStore: s, read: func(ctx context.Context, fn func(Tx) error) error {
			return s.Read(lifecycle.WithPolicy(ctx, o.WhenPaused), fn)
		}}
	}},
	{"forgets its waiters on Close", "close-releases-waiters", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, read: func(ctx context.Context, fn func(Tx) error) error {
			if s.State() == lifecycle.Paused {
				<-neverClosed
			}
			return s.Read(ctx, fn)
		}}
	}},
	{"queues its calls", "resume-overtakes-a-pause", queued},
	{"queues its calls", "pause-overtakes-a-resume", queued},
	{"refuses overlapping calls", "latest-intent-wins", single},
	{"refuses overlapping calls", "a-hundred-at-once", single},
	{"loses a write now and then", "storm", func(s *fileStore, _ Options) Store {
		var n atomic.Int32
		return broken{Store: s, fileStore: s, write: func(ctx context.Context, fn func(Tx) error) error {
			if n.Add(1)%7 == 0 {
				return nil
			}
			return s.Write(ctx, fn)
		}}
	}},
	{"forgets what it is opening", "pause-while-connecting", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, read: func(ctx context.Context, fn func(Tx) error) error {
			go func() { // a connection for later, which no pause knows of
				states, stop := s.Subscribe()
				defer stop()
				f, err := os.Open(s.d.path)
				if err != nil {
					return
				}
				defer f.Close()
				for state := range states {
					if state == lifecycle.Resuming || state == lifecycle.Closed {
						return
					}
				}
			}()
			return s.Read(ctx, fn)
		}}
	}},
	{"locks and does not unlock in a panic", "panics-leave-nothing-behind", func(s *fileStore, _ Options) Store {
		var mu sync.Mutex
		return broken{Store: s, fileStore: s, write: func(ctx context.Context, fn func(Tx) error) error {
			mu.Lock()
			err := s.Write(ctx, fn)
			mu.Unlock()
			return err
		}}
	}},
	{"waits for itself", "pause-from-inside-ends", func(s *fileStore, _ Options) Store {
		var operations sync.RWMutex
		during := func(op func(context.Context, func(Tx) error) error) func(context.Context, func(Tx) error) error {
			return func(ctx context.Context, fn func(Tx) error) error {
				operations.RLock()
				defer operations.RUnlock()
				return op(ctx, fn)
			}
		}
		return broken{Store: s, fileStore: s, read: during(s.Read), write: during(s.Write), pause: func(ctx context.Context) error {
			operations.Lock() // waits for all that run, its own caller too
			defer operations.Unlock()
			return s.Pause(ctx)
		}}
	}},
	{"keeps its generation", "generation-grows", func(s *fileStore, _ Options) Store { return constant{broken{Store: s, fileStore: s}} }},
	{"says that it is always active", "state-can-be-watched", func(s *fileStore, _ Options) Store { return constant{broken{Store: s, fileStore: s}} }},
	{"reports nothing", "report-says-what-happened", func(s *fileStore, _ Options) Store { return constant{broken{Store: s, fileStore: s}} }},
	{"reads what was rolled back", "harness-is-sound", func(s *fileStore, _ Options) Store {
		return broken{Store: s, fileStore: s, write: func(ctx context.Context, fn func(Tx) error) error {
			var own error
			err := s.Write(ctx, func(tx Tx) error { own = fn(tx); return nil })
			return errors.Join(err, own)
		}}
	}},
}

func hasty(s *fileStore, _ Options) Store {
	return broken{Store: s, fileStore: s, pause: func(ctx context.Context) error {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_ = s.Pause(ended)
		return s.Pause(ctx)
	}}
}

// endOf waits until the store is not in a state any more.
func endOf(s *fileStore, state lifecycle.State) {
	states, stop := s.Subscribe()
	defer stop()
	for now := range states {
		if now != state {
			return
		}
	}
}

// queued lets one call wait for the other.
func queued(s *fileStore, _ Options) Store {
	var mu sync.Mutex
	return broken{Store: s, fileStore: s,
		pause:  func(ctx context.Context) error { mu.Lock(); defer mu.Unlock(); return s.Pause(ctx) },
		resume: func(ctx context.Context) error { mu.Lock(); defer mu.Unlock(); return s.Resume(ctx) },
	}
}

// single lets one call in at a time.
func single(s *fileStore, _ Options) Store {
	var busy atomic.Bool
	alone := func(ctx context.Context, fn func(context.Context) error) error {
		if !busy.CompareAndSwap(false, true) {
			return errors.New("a transition is under way")
		}
		defer busy.Store(false)
		return fn(ctx)
	}
	return broken{Store: s, fileStore: s,
		pause:  func(ctx context.Context) error { return alone(ctx, s.Pause) },
		resume: func(ctx context.Context) error { return alone(ctx, s.Resume) },
	}
}

// directly does a refused operation all the same, beside the store.
func directly(s *fileStore, err error, fn func(Tx) error) error {
	if !errors.Is(err, lifecycle.ErrPaused) {
		return err
	}
	f, err := os.OpenFile(s.d.log(), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	c := &fileConn{d: s.d, role: lifecycle.Writer, file: f}
	if err := fn(c.tx()); err != nil {
		return err
	}
	return c.inside(c.commit)
}

// broken is a store in which single methods are replaced.
type broken struct {
	Store
	fileStore            *fileStore
	pause, resume, close func(context.Context) error
	read, write          func(context.Context, func(Tx) error) error
	op                   func(error) error // what becomes of an operation's error
}

func (b broken) Pause(ctx context.Context) error {
	if b.pause != nil {
		return b.pause(ctx)
	}
	return b.Store.Pause(ctx)
}

func (b broken) Resume(ctx context.Context) error {
	if b.resume != nil {
		return b.resume(ctx)
	}
	return b.Store.Resume(ctx)
}

func (b broken) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close(ctx)
	}
	return b.Store.Close(ctx)
}

func (b broken) Read(ctx context.Context, fn func(Tx) error) error {
	read := b.Store.Read
	if b.read != nil {
		read = b.read
	}
	if err := read(ctx, fn); b.op == nil {
		return err
	} else {
		return b.op(err)
	}
}

func (b broken) Write(ctx context.Context, fn func(Tx) error) error {
	write := b.Store.Write
	if b.write != nil {
		write = b.write
	}
	if err := write(ctx, fn); b.op == nil {
		return err
	} else {
		return b.op(err)
	}
}

func (b broken) State() lifecycle.State { return b.fileStore.State() }
func (b broken) Subscribe() (states <-chan lifecycle.State, stop func()) {
	return b.fileStore.Subscribe()
}
func (b broken) Generation() uint64        { return b.fileStore.Generation() }
func (b broken) Report() *lifecycle.Report { return b.fileStore.Report() }

// constant never says anything new.
type constant struct{ broken }

func (constant) State() lifecycle.State    { return lifecycle.Active }
func (constant) Generation() uint64        { return 1 }
func (constant) Report() *lifecycle.Report { return nil }

// TestEveryBrokenStoreIsCaught: each broken store is found out by the case that is meant for it.
func TestEveryBrokenStoreIsCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute, much of it waiting for what hangs")
	}
	var mu sync.Mutex
	caught := map[string][]string{}
	t.Run("store", func(t *testing.T) {
		everyBrokenStore(t, func(by, name string) {
			mu.Lock()
			defer mu.Unlock()
			caught[by] = append(caught[by], name)
		})
	})
	for _, cs := range cases {
		if len(caught[cs.Name]) > 0 {
			t.Logf("%-34s caught the store that %s", cs.Name, strings.Join(caught[cs.Name], "; and the one that "))
		}
	}
	for _, cs := range cases {
		if !slices.ContainsFunc(brokenStores, func(b brokenStore) bool { return b.by == cs.Name }) {
			t.Errorf("no broken store proves that the case %q finds anything", cs.Name)
		}
	}
}

func everyBrokenStore(t *testing.T, caught func(by, name string)) {
	for _, b := range brokenStores {
		name := strings.ReplaceAll(b.name, " ", "-") + "/" + b.by
		t.Run(name, func(t *testing.T) {
			newHarness := func() *Harness {
				h := fileHarness(b.name, b.wrap)()
				h.Limit = 9 * time.Second // less waiting for what hangs on purpose
				switch b.by {
				case "no-op-changes-nothing":
					h.Without[Gate] = "it says"
				case "another-process-reads":
					delete(h.Without, Shared)
				}
				if severless[b.name] {
					h.Without[Sever] = "so that the breakage shows"
				}
				return h
			}
			if isChild(t.Name()) {
				os.Exit(ChildMain(newHarness))
			}
			t.Parallel() // most of the time they wait for what hangs
			i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == b.by })
			if i < 0 {
				t.Fatalf("there is no case %q", b.by)
			}
			r := runCase(t.Context(), &cases[i], newHarness(), testBinary(t.Name()))
			switch {
			case r.skipped != "":
				t.Skip(r.skipped)
			case len(r.findings) == 0:
				t.Fatalf("a store that %s was not found out by the case %q (notes: %q)", b.name, b.by, r.notes)
			}
			t.Log(r.findings[0].Error())
			caught(b.by, b.name)
		})
	}
}

// lookVariable names a broken store for TestLookAtABrokenStore.
const lookVariable = "QUIESCE_BROKEN"

// TestLookAtABrokenStore shows what an author sees whose store is broken: the
// whole suite on one of brokenStores. docs/conformance.md quotes it.
func TestLookAtABrokenStore(t *testing.T) {
	name := os.Getenv(lookVariable)
	i := slices.IndexFunc(brokenStores, func(b brokenStore) bool { return b.name == name })
	if i < 0 {
		t.Skipf("only runs for a look: set %s to the name of a broken store, such as %q", lookVariable, brokenStores[0].name)
	}
	Run(t, fileHarness(name, brokenStores[i].wrap))
}

// TestTheQuotedFindingIsReal: the finding that docs/conformance.md quotes is what a run prints.
func TestTheQuotedFindingIsReal(t *testing.T) {
	docs, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == "nothing-held" })
	r := runCase(t.Context(), &cases[i], fileHarness("keeps one descriptor", nil)(), nil)
	if len(r.findings) == 0 {
		t.Fatal("the broken store was not found out")
	}
	for _, line := range strings.Split(r.findings[0].Error(), "\n") {
		if line = anyNumber(line); !strings.Contains(anyNumber(string(docs)), line) {
			t.Errorf("docs/conformance.md does not quote this line of the finding: %s", line)
		}
	}
}

// anyNumber blanks what differs from run to run.
func anyNumber(text string) string { return regexp.MustCompile(`\d+`).ReplaceAllString(text, "N") }

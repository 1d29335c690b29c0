package lifecycle

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
)

// The state word of a slot: the number of its operation, and who may touch
// what. Only the holder goes from idle to busy and back. A prober pins a busy
// slot for as long as it looks at it or interrupts it; the holder can not
// leave while it is pinned, so that an interrupt never hits the clean-up, the
// connection's next user, or a close.
const (
	idle    = 0
	busy    = 1
	pinned  = 2
	severed = 3 // the connection is taken from its holder, for good

	stateBits = 2
	stateMask = 1<<stateBits - 1
)

// slot is one connection and the operation that it serves.
type slot[C comparable] struct {
	conn C
	s    *Connections[C]
	gen  *generation[C]
	res  *puddle.Resource[*slot[C]] // of a reader in use
	role Role
	word atomic.Uint64

	beginner Beginner[C] // the driver, where it is one

	// The operation. Written by the holder while idle, read by others while pinned.
	ctx   context.Context
	fn    func(C) error
	since time.Duration // after epoch
	sites *[8]uintptr   // where TrackHolders is on
	stop  func() bool   // ends the watching of ctx

	// Of a writer that has to wait before it begins. The holder's alone.
	prelude    BeginFunc[C]
	waiting    bool
	pauseBegan <-chan struct{}

	// Who probes. Guarded by mu.
	mu   sync.Mutex
	cond sync.Cond     // signalled when the slot is unpinned
	view Holder        // a copy for others while somebody interrupts
	quit chan struct{} // ends the goroutine that delivers ctx's end; nil if there is none
	over uint64        // the last operation whose context needs no watching any more
	cut  bool          // the severed connection is closed

	looked uint64 // the shedder's: one more than the number of the last operation when it looked

	gated bool // a Foreign connection that owns the writer's gate; guarded by the gate's mutex

	cleaning atomic.Bool // a Foreign connection that is idle, and still in Reset; set before it is idle, looked at after that

	hit atomic.Uint64 // the operation that was interrupted last; written while pinned
}

// epoch lets the hot path read a monotonic clock alone, which is half the price of time.Now.
var epoch = time.Now()

func newSlot[C comparable](s *Connections[C], gen *generation[C], role Role, conn C) *slot[C] {
	sl := &slot[C]{conn: conn, s: s, gen: gen, role: role}
	sl.beginner, _ = s.driver.(Beginner[C])
	sl.cond.L = &sl.mu
	if s.cfg.TrackHolders {
		sl.sites = new([8]uintptr)
	}
	return sl
}

// begin publishes an operation on a slot that the caller owns.
func (sl *slot[C]) begin(ctx context.Context) {
	sl.prepare(ctx)
	sl.word.Store((sl.word.Load()>>stateBits+1)<<stateBits | busy)
}

// prepare notes what a holder is asked about.
func (sl *slot[C]) prepare(ctx context.Context) {
	sl.ctx = ctx
	sl.since = time.Since(epoch)
	if sl.sites != nil {
		*sl.sites = [8]uintptr{}
		runtime.Callers(4, sl.sites[:])
	}
}

// serve runs fn as the operation that begin published, and ends it whatever happens.
func (sl *slot[C]) serve(ctx context.Context, fn func(C) error) (err error) {
	defer sl.end(&err)
	return sl.perform(ctx, fn)
}

func (sl *slot[C]) perform(ctx context.Context, fn func(C) error) error {
	if ctx.Done() != nil {
		sl.watch(ctx)
	}
	if b := sl.beginner; b != nil {
		b.Begin(ctx, sl.conn)
	}
	sl.fn = fn
	return opFrame(&sl.s.id, sl)
}

func (sl *slot[C]) run() error {
	if sl.waiting {
		if err := sl.prelude(sl.ctx, sl.conn, sl.pauseBegan); err != nil {
			return err
		}
		sl.waiting = false
	}
	return sl.fn(sl.conn)
}

// end takes the operation out of everybody's reach, cleans up, and passes the
// connection on. It runs deferred, so also when the callback panics or calls runtime.Goexit.
func (sl *slot[C]) end(err *error) {
	ctx := sl.ctx
	op, mine := sl.retire()
	if *err != nil && op == sl.hit.Load() {
		*err = interruptedError(sl.s.cfg.Name, sl.role.String(), *err, ctx)
	}
	if !mine {
		return // severed: the connection is closed, and its place has been given on
	}
	fit := false
	defer func() { // also when Reset calls runtime.Goexit
		if fit {
			sl.passOn()
		} else {
			sl.discard()
		}
	}()
	fit = sl.s.reset(sl.conn) == nil
}

// retire leaves busy for idle. It returns false when the slot was severed.
func (sl *slot[C]) retire() (op uint64, mine bool) {
	if sl.stop != nil {
		if !sl.stop() {
			sl.dismiss(sl.word.Load() >> stateBits)
		}
		sl.stop = nil
	}
	word := sl.word.Load()
	op = word >> stateBits
	mine = sl.word.CompareAndSwap(op<<stateBits|busy, op<<stateBits|idle) || sl.retireSlow(op)
	if mine {
		sl.ctx, sl.fn, sl.prelude, sl.pauseBegan = nil, nil, nil, nil
	}
	return op, mine
}

func (sl *slot[C]) retireSlow(op uint64) bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	for {
		switch sl.word.Load() & stateMask {
		case severed:
			sl.word.Store((op+1)<<stateBits | severed) // what Inside marked is over
			return false
		case busy:
			if sl.word.CompareAndSwap(op<<stateBits|busy, op<<stateBits|idle) {
				return true
			}
		default:
			sl.cond.Wait()
		}
	}
}

// passOn gives the connection to the next user.
func (sl *slot[C]) passOn() {
	switch sl.role {
	case Writer:
		sl.s.gate.leave()
	case Reader:
		gen := sl.gen
		sl.res.ReleaseUnused()
		gen.released()
	}
}

// discard closes a connection that is not fit to be used again.
func (sl *slot[C]) discard() {
	switch sl.role {
	case Writer:
		sl.s.gate.set(nil)
		sl.s.closed(sl)
		sl.s.gate.leave()
	case Reader:
		sl.res.Hijack()
		sl.gen.close(sl)
	}
}

// pin holds the operation op in its place; 0 means whichever runs. It returns
// false when that is over, or when somebody else has it pinned. sl.mu is held.
func (sl *slot[C]) pin(op uint64) (uint64, bool) {
	word := sl.word.Load()
	if word&stateMask != busy || op != 0 && word>>stateBits != op {
		return 0, false
	}
	op = word >> stateBits
	if !sl.word.CompareAndSwap(word, op<<stateBits|pinned) {
		return 0, false
	}
	sl.view = sl.describe(op)
	return op, true
}

// unpin lets the holder go on. sl.mu is held.
func (sl *slot[C]) unpin(op, state uint64) {
	sl.word.Store(op<<stateBits | state)
	sl.cond.Broadcast()
}

// holder describes the operation that runs, if there is one. It waits for no interrupt.
func (sl *slot[C]) holder() (h Holder, op uint64, ok bool) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if op, ok = sl.pin(0); ok {
		h = sl.view
		sl.unpin(op, busy)
		return h, op, true
	}
	word := sl.word.Load()
	switch word & stateMask {
	case pinned:
		ok = true
	case severed:
		ok = !sl.cut
	}
	h = sl.view
	h.Held = time.Since(h.Since)
	return h, word >> stateBits, ok
}

// describe is called with the slot pinned and mu held.
func (sl *slot[C]) describe(op uint64) Holder {
	held := time.Since(epoch) - sl.since
	var label string
	_ = isolate(func() error { // a context may be somebody else's code, too
		label = labelOf(sl.ctx)
		if describer, ok := sl.s.driver.(Describer[C]); ok && label == "" {
			label = describer.Describe(sl.conn)
		}
		return nil
	})
	return Holder{
		Store:       sl.s.cfg.Name,
		Role:        sl.role,
		Label:       label,
		Since:       time.Now().Add(-held),
		Held:        held,
		Generation:  sl.gen.number,
		Interrupted: sl.hit.Load() == op,
		CallSite:    callSite(sl.sites),
	}
}

// callSite is the first frame outside this package.
func callSite(sites *[8]uintptr) string {
	if sites == nil {
		return ""
	}
	frames := runtime.CallersFrames(sites[:])
	for {
		f, more := frames.Next()
		if f.PC != 0 && !ownFrame(f.Function) {
			return fmt.Sprintf("%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}

// ownFrame tells the frames of this module's layers, which say nothing about who called them.
func ownFrame(function string) bool {
	rest, ok := strings.CutPrefix(function, "github.com/quiesce-go/quiesce/")
	if !ok {
		return false
	}
	for _, layer := range []string{"lifecycle.", "driver/sqlite.", "driver/sqldb.", "driver/memory.", "storekit."} {
		if strings.HasPrefix(rest, layer) {
			return true
		}
	}
	return false
}

// newPanicError is called in a deferred function with what recover returned.
func newPanicError(value any) *PanicError { return &PanicError{value, debug.Stack()} }

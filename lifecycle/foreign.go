package lifecycle

import (
	"context"
	"errors"
	"sync"
)

// ForeignConn is a connection that somebody else pools, such as database/sql: a
// handle that outlives pauses, with a physical connection under it that does
// not. The physical connection is opened by the first Begin of every life of
// the store and shut with the readers. Between Begin and End it counts as an
// operation in flight: it is waited for, interrupted, severed and named in a HeldError.
//
// A ForeignConn is used by one goroutine at a time.
type ForeignConn[C comparable] struct {
	s      *Connections[C]
	onWait func() error
	mu     sync.Mutex
	sl     *slot[C] // nil until the first Begin
	busy   bool     // between Begin and End
	gated  bool     // … and the writer's gate was taken for it
	shut   bool     // Close was called meanwhile
}

// Foreign makes a handle. It opens nothing.
func (s *Connections[C]) Foreign() *ForeignConn[C] { return &ForeignConn[C]{s: s} }

// OnWait sets what a Begin asks when it has waited for a moment for a Resume or
// for another writer: an error ends it with that. It is for whoever can tell
// that the waiting is for himself. It is set before the first Begin.
func (f *ForeignConn[C]) OnWait(ask func() error) { f.onWait = ask }

// Begin starts an operation and returns the connection for it. fresh says that
// the connection was opened by this call: whatever was kept about an earlier
// one (statements, settings) is void. Work that is refused is treated as in Read.
// Every Begin that returned nil must be followed by one End; before that, another Begin returns ErrNested.
//
// ctx bounds the waiting and the opening. What runs afterwards, on behalf of
// this call and of later ones, is its caller's to stop when a context ends.
func (f *ForeignConn[C]) Begin(ctx context.Context) (conn C, fresh bool, err error) {
	return f.start(ctx, "begin", false)
}

// BeginWrite is Begin for an operation that may write: it is also one of the
// store's writers, of which there is one at a time, until its End.
func (f *ForeignConn[C]) BeginWrite(ctx context.Context) (conn C, fresh bool, err error) {
	return f.start(ctx, "begin a write", true)
}

func (f *ForeignConn[C]) start(ctx context.Context, op string, write bool) (conn C, fresh bool, err error) {
	if f.s.marked.Load() {
		if _, in := f.s.insideOf(ctx); in && write {
			return conn, false, &StateError{f.s.cfg.Name, op, ErrNested}
		}
	}
	patience := patience{ask: f.onWait}
	for {
		if ctx.Done() != nil && ctx.Err() != nil {
			return conn, false, &StateError{f.s.cfg.Name, op, endOf(ctx)}
		}
		conn, fresh, err = f.tryStart(ctx, write)
		switch {
		case err == nil:
			return conn, fresh, nil
		case !errors.Is(err, errShut):
			return conn, false, &StateError{f.s.cfg.Name, op, err}
		}
		if err := f.s.refused(ctx, op, &patience); err != nil {
			return conn, false, err
		}
	}
}

// tryStart returns errShut when the store is not active, or stops being so.
func (f *ForeignConn[C]) tryStart(ctx context.Context, write bool) (conn C, fresh bool, err error) {
	if write {
		if err := f.enterGate(ctx); err != nil {
			return conn, false, err
		}
	}
	if g := f.s.cur.Load(); g != nil {
		return f.begin(ctx, g, write)
	}
	if write {
		f.s.gate.leave()
	}
	return conn, false, errShut
}

// enterGate takes the writer's gate.
func (f *ForeignConn[C]) enterGate(ctx context.Context) error {
	turn, err := f.s.gate.enter()
	if err != nil || turn == nil {
		return err
	}
	return f.s.gate.wait(ctx, turn, func() error {
		err := f.s.writesOnThisStack()
		if err == nil && f.onWait != nil {
			err = f.onWait()
		}
		return err
	})
}

// begin begins the operation, or gives the gate back that was taken for it.
func (f *ForeignConn[C]) begin(ctx context.Context, g *generation[C], write bool) (conn C, fresh bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fresh, err = f.occupy(ctx, g, write); err != nil {
		return conn, false, err
	}
	f.busy, f.gated, f.shut = true, write, false
	if g.closing.Load() {
		f.finish(nil)
		return conn, false, errShut
	}
	if b := f.sl.beginner; b != nil {
		if err := f.tell(ctx, b); err != nil {
			return conn, false, err
		}
	}
	return f.sl.conn, fresh, nil
}

// tell tells the driver of the operation, which ends when that fails by whatever means.
func (f *ForeignConn[C]) tell(ctx context.Context, b Beginner[C]) (err error) {
	told := false
	defer func() { // also when Begin calls runtime.Goexit
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
		if !told {
			f.finish(nil)
		}
	}()
	b.Begin(ctx, f.sl.conn)
	told = true
	return nil
}

// occupy begins the operation on the physical connection, which it opens if need be.
func (f *ForeignConn[C]) occupy(ctx context.Context, g *generation[C], write bool) (fresh bool, err error) {
	gate := &f.s.gate
	switch {
	case f.busy:
		err = ErrNested
	case f.sl == nil || f.sl.gen != g || f.sl.word.Load()&stateMask != idle:
		fresh = true
		err = f.open(ctx, g)
	}
	if err != nil {
		if write {
			gate.leave()
		}
		return false, err
	}
	if write {
		gate.lend(f.sl) // before it can be severed
	}
	if f.sl.tryBegin(ctx) {
		return fresh, nil
	}
	if write {
		gate.returned(f.sl)
	}
	return false, errShut // a pause has just claimed it
}

// open opens the physical connection.
func (f *ForeignConn[C]) open(ctx context.Context, g *generation[C]) error {
	opening, cancel := context.WithCancelCause(g.ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	sl, err := g.openSlot(opening, Foreign)
	switch {
	case err == nil:
		f.sl = sl
		return nil
	case g.closing.Load():
		return errShut
	case ctx.Err() != nil:
		return endOf(ctx)
	default:
		return err
	}
}

// Promote makes the operation that Begin has begun one of the store's writers,
// as BeginWrite would have. While a pause is under way it does not wait: the
// operation is to come to its end, and no other one begins.
func (f *ForeignConn[C]) Promote(ctx context.Context) error {
	f.mu.Lock()
	sl, writes := f.sl, f.gated
	if !f.busy || writes {
		f.mu.Unlock()
		return nil
	}
	f.mu.Unlock()
	switch err := f.enterGate(ctx); {
	case errors.Is(err, errShut):
		return nil
	case err != nil:
		return &StateError{f.s.cfg.Name, "begin a write", err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gated = true
	f.s.gate.lend(sl)
	return nil
}

// Demote makes it a reader again: it has written what it had to, and goes on.
func (f *ForeignConn[C]) Demote() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy && f.gated {
		f.gated = false
		f.s.gate.returned(f.sl)
	}
}

// End ends the operation. err is what it ended with, or nil; End returns it,
// matching ErrInterrupted where the operation was interrupted. Without a Begin before it, End does nothing else.
func (f *ForeignConn[C]) End(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		f.finish(&err)
	}
	return err
}

func (f *ForeignConn[C]) finish(err *error) {
	sl, gated := f.sl, f.gated
	f.busy, f.gated = false, false
	sl.cleaning.Store(true) // idle is not free yet: a pause would close it under Reset
	op, mine := sl.retire()
	if err != nil && *err != nil && op == sl.hit.Load() {
		*err = interruptedError(f.s.cfg.Name, sl.role.String(), *err, nil)
	}
	if !mine {
		f.sl = nil
		if gated && sl.isCut() { // else whoever severs it passes the gate on
			f.s.gate.returned(sl)
		}
		return
	}
	fit := false
	defer func() { // also when Reset calls runtime.Goexit
		sl.cleaning.Store(false)
		if (!fit || f.shut || sl.gen.flushed.Load()) && sl.claim() { // else a releaser takes it
			sl.gen.close(sl)
			f.sl = nil
		}
		if gated {
			f.s.gate.returned(sl)
		}
		sl.gen.released()
	}()
	fit = f.s.reset(sl.conn) == nil
}

// Close closes the physical connection, if there is one; between Begin and End
// it lets End do that. The handle may be used again.
func (f *ForeignConn[C]) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		f.shut = true
		return nil
	}
	sl := f.sl
	f.sl = nil
	if sl == nil || !sl.claim() {
		return nil
	}
	sl.gen.closeMu.Lock()
	err := f.s.driverClose(sl.conn)
	sl.gen.closeMu.Unlock()
	sl.gen.gone(sl, nil)
	return err
}

// tryBegin is begin for a connection that a pause may claim at any time: then it
// has written what nobody reads.
func (sl *slot[C]) tryBegin(ctx context.Context) bool {
	word := sl.word.Load()
	if word&stateMask != idle {
		return false
	}
	sl.prepare(ctx)
	return sl.word.CompareAndSwap(word, (word>>stateBits+1)<<stateBits|busy)
}

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
	s    *Connections[C]
	mu   sync.Mutex
	sl   *slot[C] // nil until the first Begin
	busy bool     // between Begin and End
	shut bool     // Close was called meanwhile
}

// Foreign makes a handle. It opens nothing.
func (s *Connections[C]) Foreign() *ForeignConn[C] { return &ForeignConn[C]{s: s} }

// Begin starts an operation and returns the connection for it. fresh says that
// the connection was opened by this call: whatever was kept about an earlier
// one (statements, settings) is void. Work that is refused is treated as in Read.
// Every Begin that returned nil must be followed by one End; before that, another Begin returns ErrNested.
func (f *ForeignConn[C]) Begin(ctx context.Context) (conn C, fresh bool, err error) {
	var patience patience
	for {
		if ctx.Err() != nil {
			return conn, false, &StateError{f.s.cfg.Name, "begin", endOf(ctx)}
		}
		err := errShut
		if g := f.s.cur.Load(); g != nil {
			conn, fresh, err = f.begin(ctx, g)
			if err == nil {
				return conn, fresh, nil
			}
		}
		if !errors.Is(err, errShut) {
			return conn, false, &StateError{f.s.cfg.Name, "begin", err}
		}
		if err := f.s.refused(ctx, "begin", &patience); err != nil {
			return conn, false, err
		}
	}
}

func (f *ForeignConn[C]) begin(ctx context.Context, g *generation[C]) (conn C, fresh bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return conn, false, ErrNested
	}
	if f.sl == nil || f.sl.gen != g || !f.sl.tryBegin(ctx) {
		opening, cancel := context.WithCancelCause(g.ctx)
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		sl, err := g.openSlot(opening, Foreign)
		if err != nil {
			switch {
			case g.closing.Load():
				err = errShut
			case ctx.Err() != nil:
				err = endOf(ctx)
			}
			return conn, false, err
		}
		f.sl, fresh = sl, true
		if !sl.tryBegin(ctx) { // a pause claimed it between the two
			return conn, false, errShut
		}
	}
	f.busy, f.shut = true, false
	if g.closing.Load() {
		f.finish(nil)
		return conn, false, errShut
	}
	if ctx.Done() != nil {
		f.sl.watch(ctx)
	}
	if b := f.sl.beginner; b != nil {
		if err := isolate(func() error { b.Begin(ctx, f.sl.conn); return nil }); err != nil {
			f.finish(nil)
			return conn, false, err
		}
	}
	return f.sl.conn, fresh, nil
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
	sl := f.sl
	f.busy = false
	ctx := sl.ctx
	sl.setCleaning(true) // idle is not free yet: a pause would close it under Reset
	op, mine := sl.retire()
	if err != nil && *err != nil && op == sl.hit.Load() {
		*err = interruptedError(f.s.cfg.Name, sl.role.String(), *err, ctx)
	}
	if !mine {
		f.sl = nil
		return
	}
	fit := false
	defer func() { // also when Reset calls runtime.Goexit
		sl.setCleaning(false)
		if (!fit || f.shut || sl.gen.flushed.Load()) && sl.claim() { // else a releaser takes it
			sl.gen.close(sl)
			f.sl = nil
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

// tryBegin is begin for a connection that a pause may claim at any time.
func (sl *slot[C]) tryBegin(ctx context.Context) bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.word.Load()&stateMask != idle {
		return false
	}
	sl.begin(ctx)
	return true
}

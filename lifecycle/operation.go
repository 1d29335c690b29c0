package lifecycle

import (
	"context"
	"errors"
)

// Read calls fn with a reader. Any number of Reads run at a time, up to the
// pool's size; more wait for their turn, bounded by ctx. When ctx ends, the
// statement that fn runs is interrupted. fn must not keep the connection.
//
// Read returns fn's error; an error of an interrupted operation also matches
// ErrInterrupted. Without calling fn it returns ErrPaused, ErrClosed, the
// context's error or the driver's. A panic in fn is passed on, after the connection was cleaned.
func (s *Connections[C]) Read(ctx context.Context, fn func(C) error) error {
	if s.marked.Load() {
		if sl, in := s.insideOf(ctx); in {
			return sl.join(fn)
		}
	}
	if g := s.cur.Load(); g != nil && (ctx.Done() == nil || ctx.Err() == nil) {
		if res, err := g.pool.TryAcquire(context.Background()); err == nil { // which never opens one: see construct
			if sl := g.take(ctx, res); sl != nil {
				return sl.serve(ctx, fn)
			}
		}
	}
	return s.readSlow(ctx, fn)
}

// readSlow waits: for a reader, or for the store.
func (s *Connections[C]) readSlow(ctx context.Context, fn func(C) error) error {
	var patience patience
	for {
		if ctx.Err() != nil {
			return &StateError{s.cfg.Name, "read", endOf(ctx)}
		}
		err := errShut
		if g := s.cur.Load(); g != nil {
			var sl *slot[C]
			if sl, err = g.acquire(ctx); err == nil {
				return sl.serve(ctx, fn)
			}
		}
		if !errors.Is(err, errShut) {
			return &StateError{s.cfg.Name, "read", err}
		}
		if err := s.refused(ctx, "read", &patience); err != nil {
			return err
		}
	}
}

// join runs fn as part of the operation that already holds the slot.
func (sl *slot[C]) join(fn func(C) error) error {
	if sl.word.Load()&stateMask == severed {
		return &StateError{sl.s.cfg.Name, "read", ErrInterrupted}
	}
	return fn(sl.conn)
}

// Write calls fn with the writer. One Write runs at a time, in the order of
// their coming; the waiting is bounded by ctx. It is like Read otherwise, and
// returns ErrNested when it is called inside another Write of this store:
// with a context from Inside at once, else, where it can tell, after a moment.
func (s *Connections[C]) Write(ctx context.Context, fn func(C) error) error {
	return s.WriteAfter(ctx, nil, fn)
}

// BeginFunc is the first step of WriteAfter. pauseBegan is closed as soon as a pause begins.
type BeginFunc[C any] func(ctx context.Context, c C, pauseBegan <-chan struct{}) error

// WriteAfter is Write in two steps, for operations that have to wait for
// somebody else before they begin, such as another process's lock. begin
// waits; it should give up, with any error, when pauseBegan is closed. It has
// then begun nothing, and the call is treated like one that still waits for
// the writer. Once begin returned nil, fn is called.
func (s *Connections[C]) WriteAfter(ctx context.Context, begin BeginFunc[C], fn func(C) error) error {
	if s.marked.Load() {
		if sl, in := s.insideOf(ctx); in && sl.role == Writer {
			return &StateError{s.cfg.Name, "write", ErrNested}
		}
	}
	var patience patience
	for {
		err := s.writeOnce(ctx, begin, fn)
		if err != errShut { //nolint:errorlint // the sentinel itself: what fn returns is passed on as it is
			return err
		}
		if err := s.refused(ctx, "write", &patience); err != nil {
			return err
		}
	}
}

// writeOnce returns errShut itself when the store stops being active before the operation began.
func (s *Connections[C]) writeOnce(ctx context.Context, begin BeginFunc[C], fn func(C) error) error {
	if ctx.Done() != nil && ctx.Err() != nil {
		return &StateError{s.cfg.Name, "write", endOf(ctx)}
	}
	if err := s.enterGate(ctx); err != nil {
		if errors.Is(err, errShut) {
			return errShut
		}
		return &StateError{s.cfg.Name, "write", err}
	}
	g := s.cur.Load()
	if g == nil {
		s.gate.leave()
		return errShut
	}
	sl, err := s.theWriter(ctx, g)
	if err != nil {
		s.gate.leave()
		switch {
		case g.closing.Load():
			return errShut
		case ctx.Err() != nil:
			err = endOf(ctx)
		}
		return &StateError{s.cfg.Name, "write", err}
	}
	sl.gen = g // an open writer is handed over from generation to generation
	sl.prelude, sl.waiting, sl.pauseBegan = begin, begin != nil, g.ctx.Done()
	sl.begin(ctx)
	if g.closing.Load() { // while the connection was being opened, or just now; see take
		if _, mine := sl.retire(); mine {
			sl.passOn()
		}
		return errShut
	}
	err, waiting := sl.serveWriter(ctx, fn)
	if err != nil && waiting && g.closing.Load() && ctx.Err() == nil {
		return errShut
	}
	return err
}

// serveWriter is serve, and tells whether the operation was still waiting in begin when it ended.
func (sl *slot[C]) serveWriter(ctx context.Context, fn func(C) error) (err error, waiting bool) {
	defer sl.end(&err)
	err = sl.perform(ctx, fn)
	return err, sl.waiting
}

// enterGate takes the gate.
func (s *Connections[C]) enterGate(ctx context.Context) error {
	turn, err := s.gate.enter()
	if err != nil || turn == nil {
		return err
	}
	return s.gate.wait(ctx, turn, s.writesOnThisStack)
}

// writesOnThisStack returns ErrNested when the calling goroutine is inside the Write that has the gate.
func (s *Connections[C]) writesOnThisStack() error {
	if w, _ := s.gate.writer(); w != nil && onOwnStack(&s.id, w) {
		return ErrNested
	}
	return nil
}

// theWriter returns the open writer, or opens it. The gate is the caller's.
func (s *Connections[C]) theWriter(ctx context.Context, g *generation[C]) (*slot[C], error) {
	if sl, _ := s.gate.writer(); sl != nil {
		return sl, nil
	}
	s.gate.setOpening()
	opening, cancel := context.WithCancelCause(g.ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	conn, err := s.driverOpen(opening, Writer, g.number)
	if err != nil {
		s.gate.set(nil)
		return nil, err
	}
	sl := newSlot(s, g, Writer, conn)
	s.gate.set(sl)
	return sl, nil
}

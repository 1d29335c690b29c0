package sqldb

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/internal/guard"
)

// scope is what one statement runs under, from its start to its end.
type scope struct {
	caller context.Context // whose end ends the statement
	ctx    context.Context // what the driver gets
	watch  *guard.Watch    // of a driver that can be interrupted
	stop   func()          // of one that sees contexts
}

// enter makes the scope of a statement. A driver that can be interrupted never
// sees the caller's context: an interrupt by a driver of its own may come when
// the statement is over, and hit the next one. Any other gets a context that
// also ends when a pause interrupts the operation.
func (s *Session) scope(ctx context.Context) scope {
	switch {
	case s.can.interrupt == nil:
		return s.contextScope(ctx)
	case ctx.Done() == nil:
		return scope{caller: ctx, ctx: ctx}
	default:
		return scope{caller: ctx, ctx: context.Background(), watch: s.guard.Watch(ctx)}
	}
}

func (s *Session) contextScope(ctx context.Context) scope {
	op := s.context()
	if ctx.Done() == nil {
		return scope{caller: ctx, ctx: opContext{ctx, op}}
	}
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(op, func() { cancel(context.Cause(op)) })
	return scope{caller: ctx, ctx: both, stop: func() { stop(); cancel(nil) }}
}

// context returns the context that ends with the operation's interrupt.
func (s *Session) context() context.Context {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	if s.op == nil {
		s.op, s.endOp = context.WithCancel(context.Background())
		if s.guard.Interrupted() {
			s.endOp()
		}
	}
	return s.op
}

func (s *Session) endContext() {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	if s.op != nil {
		s.endOp()
		s.op, s.endOp = nil, nil
	}
}

// opContext has the values of one context and the end of another.
type opContext struct {
	context.Context
	op context.Context
}

func (c opContext) Deadline() (time.Time, bool) { return c.op.Deadline() }
func (c opContext) Done() <-chan struct{}       { return c.op.Done() }
func (c opContext) Err() error                  { return c.op.Err() }
func (c opContext) Value(key any) any {
	if v := c.op.Value(key); v != nil { // so that package context finds what it can end without a goroutine
		return v
	}
	return c.Context.Value(key)
}

// ended says whether the caller's context has ended the statement.
func (sc *scope) ended() bool {
	if sc.watch != nil {
		return sc.watch.Fired()
	}
	return sc.stop != nil && sc.caller.Err() != nil
}

// calling and called enclose the calls into the engine that the context may interrupt.
func (sc *scope) calling() { sc.watch.Calling() }
func (sc *scope) called()  { sc.watch.Called() }

// end ends the watching.
func (sc *scope) end() {
	sc.watch.End()
	if sc.stop != nil {
		sc.stop()
	}
	sc.watch, sc.stop = nil, nil
}

// patiently calls attempt until it returns anything but an error that says
// that another connection's lock is in the way. In between it waits, outside the guard.
func (s *Session) patiently(ctx context.Context, attempt func() error) error {
	err := attempt()
	if err == nil || s.cfg.Busy == nil || !s.cfg.Busy(err) {
		return err
	}
	return s.retry(ctx, err, attempt)
}

func (s *Session) retry(ctx context.Context, err error, attempt func() error) error {
	until := time.Now().Add(s.cfg.BusyTimeout)
	delay := guard.Backoff{}
	for err != nil && s.cfg.Busy(err) {
		left := time.Until(until)
		if left <= 0 || s.guard.Interrupted() {
			return err
		}
		timer := time.NewTimer(min(delay.Next(), left))
		select {
		case <-timer.C:
			err = attempt()
		case <-s.guard.Wake():
			timer.Stop()
			return interrupted(err)
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return err
}

package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/internal/guard"
	"github.com/quiesce-go/quiesce/internal/sqltext"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// control is a statement that begins or ends a transaction. These are prepared
// once and never leave the connection.
type control uint8

const (
	ctlBegin control = iota
	ctlBeginImmediate
	ctlCommit
	ctlRollback
	ctlNothing
	ctlCount // how many there are
)

var controlTexts = [ctlCount]string{
	ctlBegin:          "BEGIN",
	ctlBeginImmediate: "BEGIN IMMEDIATE",
	ctlCommit:         "COMMIT",
	ctlRollback:       "ROLLBACK",
	ctlNothing:        "SELECT 1",
}

// controlled runs a control statement as part of the operation: not after an
// interrupt, and ctx may stop it. Inside the guard.
func (c *Conn) controlled(ctx context.Context, op string, how control) error {
	watched, err := c.check(ctx, op, "")
	if err != nil {
		return err
	}
	s, err := c.controlStmt(how)
	if err != nil {
		return err
	}
	return c.watched(ctx, watched, func(w *guard.Watch) error { return c.runControl(op, s, w) })
}

// control runs a control statement come what may. Inside the guard.
func (c *Conn) control(op string, how control) error {
	s, err := c.controlStmt(how)
	if err != nil {
		return err
	}
	return c.runControl(op, s, nil)
}

func (c *Conn) controlStmt(how control) (*stmt, error) {
	if s := c.controls[how]; s != nil {
		return s, nil
	}
	text := controlTexts[how]
	s, err := c.compile("prepare", text, sqltext.Parse(text), nil)
	if err != nil {
		return nil, err
	}
	s.kept, s.control, s.noRows = true, true, how != ctlNothing
	c.controls[how] = s
	return s, nil
}

// controlText is a control statement that is not one of the few above. It is
// kept among the others, marked, so that the same text from outside is still refused.
func (c *Conn) controlText(text string) (*stmt, error) {
	if s := c.stmts.get(text); s != nil {
		return s, nil
	}
	s, err := c.compile("prepare", text, sqltext.Parse(text), nil)
	if err != nil {
		return nil, err
	}
	s.control, s.noRows = true, true
	if err := c.stmts.put(s); err != nil {
		return nil, c.fail("close a statement for", text, err, nil)
	}
	return s, nil
}

func (c *Conn) runControl(op string, s *stmt, w *guard.Watch) error {
	s.watch = w
	_, err := c.execStmt(s, nil)
	s.watch = nil
	if err != nil {
		return c.fail(op, s.text, err, w)
	}
	return nil
}

// watched lets ctx stop f where that was asked for.
func (c *Conn) watched(ctx context.Context, watched bool, f func(*guard.Watch) error) error {
	if !watched {
		return f(nil)
	}
	w := c.guard.Watch(ctx)
	defer w.End()
	return f(w)
}

// codeBusySnapshot means that waiting is in vain: a read transaction cannot
// become a write transaction on content that has changed since.
const codeBusySnapshot = codeBusy | 2<<8

// patiently calls attempt, inside the guard, until it returns anything but
// ErrBusy. In between it waits, outside the guard, up to the busy timeout. A
// wait inside SQLite could not be ended on mattn.
func (c *Conn) patiently(ctx context.Context, op, sql string, attempt func() error) error {
	err := c.inside(op, sql, attempt)
	if err == nil || !isBusy(err) {
		return err
	}
	return c.waitAndRetry(ctx, op, sql, err, func() error { return c.inside(op, sql, attempt) })
}

// waitAndRetry is patiently after the first attempt, which ended with err.
func (c *Conn) waitAndRetry(ctx context.Context, op, sql string, err error, attempt func() error) error {
	until := time.Now().Add(c.busyTimeout)
	delay := guard.Backoff{}
	for isBusy(err) {
		left := time.Until(until)
		if left <= 0 {
			return err
		}
		if waiting := c.wait(ctx, min(delay.Next(), left)); waiting != nil {
			return c.refuse(op, sql, fmt.Errorf("waiting for the lock of another connection: %w", waiting))
		}
		err = attempt()
	}
	return err
}

func isBusy(err error) bool {
	e, ok := err.(*Error)
	return ok && e.Code == codeBusy && e.Extended != codeBusySnapshot
}

// wait waits for d, or until ctx ends or the operation is interrupted.
func (c *Conn) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	case <-c.opDone:
		return contextError(c.opCtx)
	case <-c.guard.Wake():
		return c.interruptCause()
	case <-c.giveUp:
		return lifecycle.ErrPaused
	}
}

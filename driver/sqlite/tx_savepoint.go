package sqlite

import (
	"context"
	"errors"
	"strconv"

	"github.com/quiesce-go/quiesce/internal/guard"
)

// ErrNoTransaction is returned by Savepoint outside Update.
var ErrNoTransaction = errors.New("a savepoint needs a transaction around it: use Update")

// Savepoint runs f in a part of the transaction that can be undone alone: when
// f returns an error or panics, what it changed is rolled back, and the
// transaction may go on. It needs Update around it, and nests.
func (c *Conn) Savepoint(ctx context.Context, f func(*Conn) error) error {
	err := c.inside("savepoint", "", func() error {
		if c.tx.kind != writing {
			return c.refuse("savepoint", "", ErrNoTransaction)
		}
		if err := c.savepoint(ctx, "SAVEPOINT"); err != nil {
			return err
		}
		c.tx.depth++
		return nil
	})
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned { // a panic or runtime.Goexit, which goes on
			_ = c.leaveSavepoint(ctx, errAborted)
		}
	}()
	err = f(c)
	returned = true
	return c.leaveSavepoint(ctx, err)
}

func (c *Conn) leaveSavepoint(ctx context.Context, err error) error {
	if c.guard.Severed() {
		return joinErrors(err, c.refuse("savepoint", "", c.refused()))
	}
	return joinErrors(err, c.inside("savepoint", "", func() error {
		c.closeOpen(c.tx.depth)
		c.tx.depth--
		if err != nil {
			return c.undoSavepoint()
		}
		released := c.savepoint(ctx, "RELEASE")
		if released != nil {
			return joinErrors(released, c.undoSavepoint())
		}
		return nil
	}))
}

// undoSavepoint takes the innermost savepoint back. Where that fails the whole
// transaction is lost, since what the savepoint changed must not be committed.
func (c *Conn) undoSavepoint() error {
	if c.tx.dead != nil {
		return nil // there is no savepoint any more, and what ended it has been told
	}
	c.guard.Shield()
	defer c.guard.Unshield()
	if c.guard.Poked() {
		c.closeOpen(0) // see rollback
	}
	for _, verb := range []string{"ROLLBACK TO", "RELEASE"} {
		s, err := c.controlText(c.savepointText(verb))
		if err == nil {
			err = c.runControl("savepoint", s, nil)
		}
		if err != nil {
			if c.tx.dead == nil {
				c.tx.dead = err
			}
			return err
		}
	}
	return nil
}

func (c *Conn) savepoint(ctx context.Context, verb string) error {
	watched, err := c.check(ctx, "savepoint", verb)
	if err != nil {
		return err
	}
	s, err := c.controlText(c.savepointText(verb))
	if err != nil {
		return err
	}
	return c.watched(ctx, watched, func(w *guard.Watch) error { return c.runControl("savepoint", s, w) })
}

func (c *Conn) savepointText(verb string) string {
	return verb + " quiesce_" + strconv.Itoa(c.tx.depth)
}

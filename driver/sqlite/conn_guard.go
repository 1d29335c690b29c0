package sqlite

import (
	"errors"

	"github.com/quiesce-go/quiesce/internal/guard"
)

// Who is inside the engine is package guard's business; what it refuses gets
// the errors of this package here.

var errBroken = errors.New("a panic came out of the engine")

// refused says why entering failed.
func (c *Conn) refused() error {
	err := c.guard.Refused()
	if err == guard.ErrIdle { //nolint:errorlint // the sentinel itself
		return ErrReleased
	}
	return err
}

// inside runs f as a call into the engine.
func (c *Conn) inside(op, sql string, f func() error) error {
	if !c.guard.Enter() {
		return c.refuse(op, sql, c.refused())
	}
	defer c.guard.Leave()
	err := f()
	c.guard.Left()
	return err
}

func joinErrors(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return errors.Join(first, second)
	}
}

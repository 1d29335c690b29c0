package sqlite

import "github.com/quiesce-go/quiesce/lifecycle"

// The end of an operation, and of a connection. Statements and rows are closed
// before their connection, always: otherwise mattn keeps every descriptor and
// modernc panics.

// reset ends an operation: it closes rows, rolls back, and forgets an
// interrupt. It costs nothing when there is nothing to do. An error means that
// the connection is unfit. No interrupt may come meanwhile.
func (c *Conn) reset() error {
	c.state.CompareAndSwap(stateIdle, stateFree) // an operation that ended before it called setOp
	var err error
	if c.open != nil || c.tx.kind != noTransaction || c.broken || c.interrupted.Load() || c.poked.Load() {
		err = c.inside("reset", "", func() error {
			if c.broken {
				return c.refuse("reset", "", errBroken)
			}
			return c.settle()
		})
		c.calm()
	}
	c.opCtx, c.opDone = nil, nil
	c.epoch.Add(1)
	if !c.state.CompareAndSwap(stateFree, stateIdle) && err == nil {
		err = c.refuse("reset", "", c.refused())
	}
	return err
}

// settle closes what is open and rolls back, with no interrupt possible.
// Inside the guard, or where nobody can be inside any more.
func (c *Conn) settle() error {
	defer c.shield()()
	for s := c.open; s != nil; s = s.outer {
		s.busy = false // its iteration was left open, and cannot go on: the epoch ends
	}
	c.closeOpen(0)
	if err := c.rollback(); err != nil {
		return err
	}
	c.tx = transaction{}
	if !c.poked.Load() {
		return nil
	}
	// An interrupt that found nothing running stays in force until a statement
	// starts. The close of the last connection would obey it and leave -wal and -shm behind.
	c.poked.Store(false)
	return c.control("reset", ctlNothing)
}

// close gives back everything: rows, statements, the connection. It is called once.
func (c *Conn) close() error {
	if !c.state.CompareAndSwap(stateIdle, stateSevered) && !c.state.CompareAndSwap(stateFree, stateSevered) {
		return c.refuse("close", "", c.refused())
	}
	return c.shut()
}

// shut closes the connection. The caller has put the state to severed, so that
// nobody is inside and nobody gets there any more.
func (c *Conn) shut() error {
	c.shield()              // for good
	_ = c.guarded(c.settle) // what cannot be rolled back now is rolled back by closing
	err := c.guarded(c.closeStatements)
	err = joinErrors(err, c.guarded(c.raw.Close))
	if err != nil {
		err = wrapError(c.engine, c.path, "close", "", err)
	}
	c.finished(err)
	return err
}

// guarded makes an error of a panic: modernc's SQLite is Go, so what would be a
// crash in C is a panic there, and what comes after it has to be closed all the same.
func (c *Conn) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &lifecycle.PanicError{Value: p}
		}
	}()
	return f()
}

func (c *Conn) closeStatements() error {
	err := c.stmts.closeAll()
	for i, s := range c.controls {
		if s != nil {
			err = joinErrors(err, s.prep.Close())
			c.controls[i] = nil
		}
	}
	return err
}

// noCheckpointOnClose keeps close from writing the log back, which the last
// connection otherwise does whatever was asked. It works in an operation and outside.
func (c *Conn) noCheckpointOnClose() error {
	if c.state.CompareAndSwap(stateIdle, stateFree) {
		defer c.state.CompareAndSwap(stateFree, stateIdle)
	}
	return c.inside("no checkpoint on close", "", func() error {
		if err := c.raw.NoCheckpointOnClose(); err != nil {
			return c.fail("no checkpoint on close", "", err, nil)
		}
		return nil
	})
}

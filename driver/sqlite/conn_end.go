package sqlite

import "github.com/quiesce-go/quiesce/internal/guard"

// The end of an operation, and of a connection. Statements and rows are closed
// before their connection, always: otherwise mattn keeps every descriptor and
// modernc panics.

// reset ends an operation: it closes rows, rolls back, and forgets an
// interrupt. It costs nothing when there is nothing to do. An error means that
// the connection is unfit. No interrupt may come meanwhile.
func (c *Conn) reset() error {
	c.guard.Begin() // an operation that ended before it called setOp
	var err error
	if c.open != nil || c.copying != nil || c.tx.kind != noTransaction || c.guard.Broken() || c.guard.Interrupted() || c.guard.Poked() {
		err = c.inside("reset", "", func() error {
			if c.guard.Broken() {
				return c.refuse("reset", "", errBroken)
			}
			return c.settle()
		})
		c.guard.Calm()
	}
	c.opCtx, c.opDone = nil, nil
	c.epoch.Add(1)
	if !c.guard.End() && err == nil {
		err = c.refuse("reset", "", c.refused())
	}
	return err
}

// settle closes what is open and rolls back, with no interrupt possible.
// Inside the guard, or where nobody can be inside any more.
func (c *Conn) settle() error {
	c.guard.Shield()
	defer c.guard.Unshield()
	c.endCopy()
	for s := c.open; s != nil; s = s.outer {
		s.busy = false // its iteration was left open, and cannot go on: the epoch ends
	}
	c.closeOpen(0)
	if err := c.rollback(); err != nil {
		return err
	}
	c.tx = transaction{}
	if !c.guard.Poked() {
		return nil
	}
	// An interrupt that found nothing running stays in force until a statement
	// starts. The close of the last connection would obey it and leave -wal and -shm behind.
	c.guard.Soothed()
	return c.control("reset", ctlNothing)
}

// close gives back everything: rows, statements, the connection. It is called once.
func (c *Conn) close() error {
	if !c.guard.Claim() {
		return c.refuse("close", "", c.refused())
	}
	return c.guard.Close()
}

// physical is what the guard sees of a Conn.
type physical Conn

// Interrupt stops the call that is inside.
func (p *physical) Interrupt() { p.raw.Interrupt() }

// Shut closes the connection. Nobody is inside, and nobody gets there any more.
func (p *physical) Shut() error {
	c := (*Conn)(p)
	_ = guard.Recovered(c.settle) // what cannot be rolled back now is rolled back by closing
	err := guard.Recovered(c.closeStatements)
	err = joinErrors(err, guard.Recovered(c.raw.Close))
	if err != nil {
		err = wrapError(c.engine, c.path, "close", "", err)
	}
	return err
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
	if c.guard.Begin() {
		defer c.guard.End()
	}
	return c.inside("no checkpoint on close", "", func() error {
		if err := c.raw.NoCheckpointOnClose(); err != nil {
			return c.fail("no checkpoint on close", "", err, nil)
		}
		return nil
	})
}

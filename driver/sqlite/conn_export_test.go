package sqlite

import "context"

// The engines import this package, so tests of both stand outside it, and reach the inside through these.

// ConnOptions are connOptions.
type ConnOptions = connOptions

// NewConn is newConn.
func NewConn(engine Engine, raw Raw, path string, o ConnOptions) *Conn {
	return newConn(engine, raw, path, o)
}

// SetOp is setOp.
func (c *Conn) SetOp(ctx context.Context) { c.setOp(ctx) }

// Reset is reset.
func (c *Conn) Reset() error { return c.reset() }

// CloseConn is close.
func (c *Conn) CloseConn() error { return c.close() }

// Interrupt is the guard's.
func (c *Conn) Interrupt() { c.guard.Interrupt() }

// Sever is the guard's.
func (c *Conn) Sever(done func(error)) { c.guard.Sever(done) }

// NoCheckpointOnClose is noCheckpointOnClose.
func (c *Conn) NoCheckpointOnClose() error { return c.noCheckpointOnClose() }

// BeginImmediate is beginImmediate.
func (c *Conn) BeginImmediate(ctx context.Context) error { return c.beginImmediate(ctx) }

// Finish is finish.
func (c *Conn) Finish(f func(*Conn) error) error { return c.finish(f) }

// Watched says whether a statement that watches a context of its own is in the engine.
func (c *Conn) Watched() bool {
	return c.guard.Watching()
}

// Kept returns how many prepared statements c keeps, and how many of them are in use.
func (c *Conn) Kept() (kept, busy int) {
	for _, s := range c.stmts.byText {
		if s.busy {
			busy++
		}
	}
	return len(c.stmts.byText), busy
}

// OpenIterations returns how many iterations are open on c.
func (c *Conn) OpenIterations() (n int) {
	for s := c.open; s != nil; s = s.outer {
		n++
	}
	return n
}

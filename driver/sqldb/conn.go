package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"github.com/quiesce-go/quiesce/internal/goroutine"
	"github.com/quiesce-go/quiesce/internal/sqltext"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// conn is a virtual connection: what database/sql pools. It outlives pauses.
// The physical connection under it is there between begin and end, and, while
// the store is active, waits for the next begin.
//
// An operation is in flight from begin to end; it goes on beyond the call
// while something is open that another call has to end: rows, a transaction,
// whoever began it, or temporary objects.
type conn struct {
	f *facade
	h handle
	s *Session // while an operation is in flight

	rows    int // open ones of s
	tx      transaction
	temp    bool // there are temporary objects
	lost    bool // there were some, and the connection was cut: to be told once
	raw     bool // Unwrap gave the physical connection away
	stale   bool // database/sql has taken the connection from its pool since its last use
	writing bool // the operation has the writer's gate, or began to write when there was none to take
	writers int  // open rows of statements that write
	changed bool // objects were made or dropped in the transaction
	unfit   bool // what was set on it cannot be restored: nobody gets it from the pool again

	last   *text    // the text that came last
	lastOn *Session // … where

	user atomic.Uintptr // the goroutine that used the open transaction last

	settings settings
}

// handle is a lifecycle.ForeignConn, whatever its connections are.
type handle interface {
	begin(ctx context.Context, write bool) (s *Session, fresh bool, err error)
	promote(ctx context.Context) error
	demote()
	end(err error) error
	close() error
}

var (
	_ driver.Conn               = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
)

// begin begins an operation, or goes on with the one that is in flight.
func (c *conn) begin(ctx context.Context, write bool) error {
	if err := c.resume(); err != nil {
		return err
	}
	if c.s == nil {
		return c.start(ctx, write)
	}
	if c.tx.open {
		c.user.Store(goroutine.ID())
	}
	if write {
		return c.promote(ctx)
	}
	return nil
}

// resume looks whether the operation that is in flight can go on.
func (c *conn) resume() error {
	c.leaveRaw()
	if c.s != nil && c.s.guard.Severed() {
		c.forget()
	}
	switch {
	case c.tx.cut != nil:
		return c.tx.cut
	case c.s == nil && !c.lost, c.s != nil && !c.s.guard.Interrupted():
		return nil
	case c.s != nil && (c.tx.open || c.rows > 0):
		return errInterrupted
	case c.s != nil: // only its temporary objects keep it
		s := c.h
		c.forget()
		_ = s.close()
	}
	c.lost = false
	return errInterrupted
}

// start begins an operation on the physical connection.
func (c *conn) start(ctx context.Context, write bool) error {
	for {
		s, fresh, err := c.h.begin(ctx, write)
		if err != nil {
			return err
		}
		s.guard.Begin()
		c.s, c.writing = s, write
		switch {
		case fresh:
			err = c.settings.replay(ctx, s)
			c.unfit = err != nil
		case c.stale:
			if err = s.reset(ctx); errors.Is(err, driver.ErrBadConn) {
				c.drop()
				continue // with a fresh one
			}
		}
		c.stale = false
		if err != nil {
			err = s.explain(err, nil)
			c.drop()
			return err
		}
		s.tidy()
		return nil
	}
}

// drop ends the operation and closes the physical connection.
func (c *conn) drop() {
	c.s, c.writing = nil, false
	_ = c.h.end(nil)
	_ = c.h.close()
}

// promote takes the writer's gate for an operation that is in flight.
func (c *conn) promote(ctx context.Context) error {
	if !c.f.SingleWriter || c.writing {
		return nil
	}
	if c.tx.readOnly {
		return ErrReadOnly
	}
	if err := c.h.promote(ctx); err != nil {
		return err
	}
	c.writing = true
	return nil
}

// forget ends an operation whose connection was taken from it.
func (c *conn) forget() {
	_ = c.h.end(nil)
	c.s, c.rows, c.writers, c.writing = nil, 0, 0, false
	if c.tx.open && c.tx.cut == nil {
		c.tx.cut = errInterrupted
	}
	if c.temp {
		c.temp, c.lost = false, true
	}
}

// end ends the operation unless something is still open, and returns what err is to its caller.
func (c *conn) end(err error) error {
	switch {
	case c.s == nil:
		return err
	case c.s.guard.Severed():
		c.forget()
		return err
	case c.rows > 0 || c.tx.open || c.temp || c.raw:
		if c.writing && !c.tx.open && c.writers == 0 { // what is open does not write
			c.writing = false
			c.h.demote()
		}
		return err
	}
	c.s, c.writing = nil, false
	err = c.h.end(err)
	if err == nil || !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	_ = c.h.close()
	if errors.Is(err, lifecycle.ErrInterrupted) { // database/sql would do the work again, which had begun
		return errInterrupted
	}
	return err
}

// rowsClosed is told by rows that their owner has closed them.
func (c *conn) rowsClosed(r *rows, err error) error {
	if r.s != c.s {
		return err // they belong to an operation that was cut
	}
	c.rows--
	if r.writes {
		c.writers--
	}
	c.settled(err, r.reads)
	return c.end(err)
}

// ExecContext executes a text.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if done, err := c.endsCutTransaction(query); done {
		return driver.ResultNoRows, c.end(err)
	}
	if err := c.begin(ctx, c.f.SingleWriter && !reads(sqltext.Verb(query))); err != nil {
		return nil, err
	}
	t, err := c.lookup(query)
	if err != nil {
		return nil, c.end(err)
	}
	if len(t.script) > 1 && len(args) == 0 {
		return c.execScript(ctx, t)
	}
	res, err := c.exec(ctx, t, nil, args)
	return res, c.end(err)
}

// lookup returns what is known about a text.
func (c *conn) lookup(sql string) (*text, error) {
	if t := c.last; t != nil && c.lastOn == c.s && t.kept && t.sql == sql {
		return t, nil
	}
	t, err := c.s.lookup(sql)
	if err != nil {
		return nil, c.s.explain(err, nil)
	}
	c.last, c.lastOn = t, c.s
	return t, nil
}

// execScript executes the statements one by one, as the drivers do, so that
// what each did to the connection is known when a later one fails, and so that
// only the one is repeated that met a lock.
func (c *conn) execScript(ctx context.Context, script *text) (res driver.Result, err error) {
	for _, stmt := range script.script {
		if res, err = c.exec(ctx, parse(stmt.Body), nil, nil); err != nil {
			return nil, c.end(err)
		}
	}
	return res, c.end(nil)
}

func (c *conn) exec(ctx context.Context, t *text, p *prepared, args []driver.NamedValue) (driver.Result, error) {
	panicked := true
	defer c.endAfterPanic(&panicked)
	res, err := c.execute(ctx, t, p, args)
	panicked = false
	return res, err
}

// endAfterPanic ends an operation out of which the driver has panicked: after
// some calls database/sql does not come back to the connection.
func (c *conn) endAfterPanic(panicked *bool) {
	if *panicked {
		_ = c.end(nil)
	}
}

func (c *conn) execute(ctx context.Context, t *text, p *prepared, args []driver.NamedValue) (driver.Result, error) {
	if err := c.mayWrite(ctx, t, p); err != nil {
		return nil, err
	}
	res, err := c.s.exec(ctx, t, p, args)
	c.after(ctx, t, args, err)
	return res, err
}

// mayWrite takes the gate where a statement needs it that did not look like it.
func (c *conn) mayWrite(ctx context.Context, t *text, p *prepared) error {
	if !c.f.SingleWriter || c.writing {
		return nil
	}
	writes, err := c.s.writes(ctx, t, p)
	if err != nil || !writes {
		return err
	}
	return c.promote(ctx)
}

// QueryContext queries a text.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if done, err := c.endsCutTransaction(query); done {
		return noRows{}, c.end(err)
	}
	if err := c.begin(ctx, c.f.SingleWriter && !reads(sqltext.Verb(query))); err != nil {
		return nil, err
	}
	t, err := c.lookup(query)
	if err != nil {
		return nil, c.end(err)
	}
	return c.query(ctx, t, nil, args)
}

func (c *conn) query(ctx context.Context, t *text, p *prepared, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.mayWrite(ctx, t, p); err != nil {
		return nil, c.end(err)
	}
	panicked := true
	defer c.endAfterPanic(&panicked)
	r, err := c.s.query(ctx, c, t, p, args)
	if err == nil {
		c.rows++
		r.reads = t.reads
		if r.writes = c.writing && !sqltext.IsWord(t.verb, "SELECT", "VALUES"); r.writes {
			c.writers++
		}
	}
	c.after(ctx, t, args, err)
	panicked = false
	if err != nil {
		return nil, c.end(err)
	}
	return r.forSQL(), nil
}

// Prepare prepares a statement.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext prepares a statement, which outlives pauses: it remembers its
// text and is prepared again where need be.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.begin(ctx, false); err != nil {
		return nil, err
	}
	st := &stmt{c: c, text: parse(query)}
	if err := st.ready(ctx); err != nil {
		return nil, c.end(err)
	}
	st.inputs = st.prep.declared
	return st.forSQL(), c.end(nil)
}

// Ping asks the driver, where it can be asked, after the physical connection was opened.
func (c *conn) Ping(ctx context.Context) error {
	if err := c.begin(ctx, false); err != nil {
		return err
	}
	s := c.s
	var err error
	if s.can.ping != nil {
		sc := s.scope(ctx)
		err = s.call(func() error {
			sc.calling()
			err := s.can.ping.Ping(sc.ctx)
			sc.called()
			return s.explain(err, &sc)
		})
		sc.end()
	}
	return c.end(err)
}

// ResetSession is called by database/sql when it takes the connection from its
// pool. The driver hears of it when the connection is used: it may be paused now.
func (c *conn) ResetSession(context.Context) error {
	c.stale = true
	return nil
}

// IsValid is called by database/sql when the connection comes back to its pool.
// A virtual connection stays valid: it is the physical one that is replaced.
// What nobody can end any more ends here: the use of Unwrap, and a Ping that panicked.
func (c *conn) IsValid() bool {
	c.leaveRaw()
	_ = c.end(nil)
	// Whoever began a cut transaction by text is gone, and would have had to end it.
	return !c.unfit && (c.tx.cut == nil || c.tx.api)
}

// leaveRaw takes the physical connection back that Unwrap gave away.
func (c *conn) leaveRaw() {
	if !c.raw {
		return
	}
	c.raw = false
	c.s.guard.Left()
	c.s.guard.Leave()
	_ = c.end(nil)
}

// Close closes what is open, rolls back, and closes the physical connection.
func (c *conn) Close() error {
	c.leaveRaw()
	c.f.left(c)
	if c.s != nil {
		c.s, c.rows, c.writers, c.tx, c.temp = nil, 0, 0, transaction{}, false
		_ = c.h.end(nil)
	}
	return c.h.close()
}

// checkedConn is a virtual connection of a driver that converts arguments itself.
type checkedConn struct{ *conn }

// CheckNamedValue forwards to the driver's connection.
func (c checkedConn) CheckNamedValue(v *driver.NamedValue) error {
	if err := c.begin(context.Background(), false); err != nil {
		return err
	}
	err := driver.ErrSkip
	if checker, ok := c.s.conn.(driver.NamedValueChecker); ok {
		err = c.s.call(func() error { return checker.CheckNamedValue(v) })
	}
	return c.end(err)
}

// Unwrap returns the physical connection, which it opens where need be. Until
// the next use of the virtual connection or its return to the pool that counts
// as a call into the driver: a pause waits for its end, and closes nothing under it.
func (c *conn) Unwrap() driver.Conn {
	if err := c.begin(unwrapping, false); err != nil {
		return nil
	}
	if !c.s.guard.Enter() {
		_ = c.end(nil)
		return nil
	}
	c.raw = true
	return c.s.conn
}

// unwrapping is the context of a call that has none, and must not wait.
var unwrapping = lifecycle.WithPolicy(context.Background(), lifecycle.Fail)

// reads tells the verbs of statements that are expected to read only. Where
// the engine can be asked, it has the last word.
func reads(verb string) bool {
	return sqltext.IsWord(verb, "SELECT", "VALUES", "EXPLAIN", "PRAGMA", "WITH")
}

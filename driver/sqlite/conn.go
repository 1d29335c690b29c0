package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/internal/guard"
	"github.com/quiesce-go/quiesce/internal/sqltext"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Conn is one physical connection with its prepared statements, for the
// duration of one operation: a callback of a store gets it and must not keep
// it. It is used by one goroutine at a time.
//
// A context given to a method stops that statement, at whatever step it is;
// the context of the whole operation needs not to be given again and costs
// nothing when it is. The engine itself never sees a context. SQLite's
// interrupts stop everything that runs on a connection, so a context that ends
// during a statement inside an iteration ends the iteration too.
//
// An interrupted INSERT, UPDATE or DELETE takes the whole transaction with it.
// What comes after it in that transaction fails with the same error, and
// nothing runs outside the transaction.
type Conn struct {
	engine      Engine
	raw         Raw
	path        string
	readOnly    bool
	busyTimeout time.Duration
	session     *sqldb.Session // of a connection that serves database/sql, which is all that it does then

	guard guard.Guard   // who is inside the engine
	epoch atomic.Uint64 // counts operations, so that a leaked iteration is known

	// What follows belongs to the owner of the operation.

	opCtx    context.Context
	opDone   <-chan struct{}
	tx       transaction
	stmts    statements
	controls [ctlCount]*stmt
	open     *stmt               // the iterations that are open, innermost first
	copying  *copying            // the backup that is under way
	args     []driver.NamedValue // reused from statement to statement
	giveUp   <-chan struct{}     // ends a wait for another connection's lock while a transaction is begun
}

// connOptions says how the owner of a connection wants it.
type connOptions struct {
	StmtCache   int           // prepared statements that are kept; 0 means 64
	BusyTimeout time.Duration // how long a transaction waits in Go for another connection's lock
	ReadOnly    bool          // refuses Update
}

// newConn makes a Conn of a physical connection. It belongs to no operation
// yet: setOp comes first, for whoever wants to set it up too.
func newConn(engine Engine, raw Raw, path string, o connOptions) *Conn {
	c := &Conn{engine: engine, raw: raw, path: path, readOnly: o.ReadOnly, busyTimeout: o.BusyTimeout}
	c.stmts.init(o.StmtCache)
	c.guard.Init((*physical)(c))
	return c
}

// setOp begins an operation. ctx is watched by whoever calls it, who calls
// interrupt when it ends; the methods of Conn watch contexts of their own only.
// A pause may have severed the connection already: then it stays severed.
func (c *Conn) setOp(ctx context.Context) {
	c.opCtx, c.opDone = ctx, ctx.Done()
	c.guard.Begin()
}

// Path returns the path that the connection was opened with.
func (c *Conn) Path() string { return c.path }

// Engine returns the name of the engine, "mattn" or "modernc".
func (c *Conn) Engine() string { return c.engine.Name() }

// Result says what Exec did.
type Result struct {
	LastInsertID int64 // the rowid of the last row that the connection inserted
	RowsAffected int64 // rows changed by INSERT, UPDATE or DELETE; 0 for any other statement
}

// Exec runs one statement to its end. A statement that returns rows is run
// too, and its rows are dropped.
func (c *Conn) Exec(ctx context.Context, sql string, args ...any) (Result, error) {
	return c.exec(ctx, sql, true, args)
}

// ExecScript runs the statements of a text one after another, up to the first
// that fails. It is atomic inside Update; outside, every statement stands alone.
func (c *Conn) ExecScript(ctx context.Context, script string) error {
	for script != "" {
		text := sqltext.Parse(script)
		script = text.Rest
		if text.Body == "" {
			continue // only comments, or nothing between two semicolons
		}
		if _, err := c.exec(ctx, text.Body, false, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) exec(ctx context.Context, sql string, keep bool, args []any) (res Result, err error) {
	values, err := c.bind("exec", sql, args)
	if err != nil {
		return Result{}, err
	}
	err = c.patiently(ctx, "exec", sql, func() error {
		s, err := c.begin(ctx, "exec", sql, keep, len(args))
		if err != nil {
			return err
		}
		res, err = c.execStmt(s, values)
		return c.end(s, "exec", err)
	})
	c.unbind(values)
	return res, err
}

// execStmt runs s to its end. A statement that may return rows goes the way of
// a query: mattn's Exec would leave it at its first row, unfinished, and a
// later COMMIT would fail.
func (c *Conn) execStmt(s *stmt, values []driver.NamedValue) (Result, error) {
	if s.noRows {
		s.watch.Calling()
		r, err := s.execer.ExecContext(context.Background(), values)
		s.watch.Called()
		if err != nil || !s.changes {
			return Result{}, err
		}
		id, _ := r.LastInsertId() // neither driver fails here
		n, _ := r.RowsAffected()
		return Result{LastInsertID: id, RowsAffected: n}, nil
	}
	more, err := c.step(s, values)
	for more && err == nil {
		more, err = s.next()
	}
	s.noRows = len(s.row.columns) == 0
	if closing := s.closeRows(); err == nil {
		err = closing
	}
	if err != nil || !s.changes {
		return Result{}, err
	}
	n, id := c.raw.Changes()
	return Result{LastInsertID: id, RowsAffected: n}, nil
}

// begin finds or prepares the statement, and begins watching ctx where it has
// to. It is called inside the guard. What it returns ends with end.
//
// Its first half is what nearly every call needs. It is kept short: SQLite
// leaves nothing of ours in the processor's caches, so every line costs more than it seems to.
func (c *Conn) begin(ctx context.Context, op, sql string, keep bool, args int) (*stmt, error) {
	if c.tx.dead == nil && !c.guard.Interrupted() && ctx.Done() == nil {
		s := c.stmts.get(sql)
		if s != nil && !s.busy && !s.control && s.params == args && (s.reads || c.tx.kind != reading) {
			s.busy = true
			s.depth = c.tx.depth
			c.push(s)
			return s, nil
		}
	}
	return c.beginSlowly(ctx, op, sql, keep, args)
}

func (c *Conn) beginSlowly(ctx context.Context, op, sql string, keep bool, args int) (*stmt, error) {
	watched, err := c.check(ctx, op, sql)
	if err != nil {
		return nil, err
	}
	var w *guard.Watch
	if watched {
		w = c.guard.Watch(ctx)
	}
	s, err := c.acquire(op, sql, keep, w)
	if err != nil {
		w.End()
		return nil, err
	}
	switch {
	case s.params != args:
		err = fmt.Errorf("%w: the statement has %d parameters and got %d arguments", ErrParameters, s.params, args)
	case c.tx.kind == reading && !s.reads:
		err = fmt.Errorf("%w: View does not write", ErrReadOnly)
	}
	if err != nil {
		w.End()
		c.release(s)
		return nil, c.refuse(op, sql, err)
	}
	s.watch = w
	s.depth = c.tx.depth
	c.push(s)
	return s, nil
}

// end ends what begin began, with the error that the statement ended with.
func (c *Conn) end(s *stmt, op string, err error) error {
	if closing := s.closeRows(); err == nil {
		err = closing
	}
	if err != nil {
		err = c.fail(op, s.text, err, s.watch)
	}
	c.drop(s)
	return err
}

// drop takes s, whose rows are closed, from the open ones and gives it back.
func (c *Conn) drop(s *stmt) {
	s.watch.End()
	s.watch = nil
	c.pop(s)
	c.release(s)
}

// check says whether a statement may run now, and whether ctx has to be
// watched meanwhile. The context of the operation is known by its channel, so
// that contexts derived from it for their values need no watching either.
func (c *Conn) check(ctx context.Context, op, sql string) (watch bool, err error) {
	if err := c.alive(op, sql); err != nil {
		return false, err
	}
	done := ctx.Done()
	if done == nil {
		return false, nil
	}
	select {
	case <-done:
		return false, c.refuse(op, sql, contextError(ctx))
	default:
		return done != c.opDone, nil
	}
}

// alive fails when the operation was interrupted or its transaction is over.
func (c *Conn) alive(op, sql string) error {
	if c.tx.dead != nil {
		return &Error{Op: op, SQL: shorten(sql), Path: c.path, Err: fmt.Errorf("the transaction is over: %w", c.tx.dead)}
	}
	if c.guard.Interrupted() {
		return c.refuse(op, sql, c.interruptCause())
	}
	return nil
}

// interruptCause is lifecycle.ErrInterrupted, together with the error of the
// operation's context where that has ended.
func (c *Conn) interruptCause() error {
	if c.opDone != nil {
		select {
		case <-c.opDone:
			return fmt.Errorf("%w: %w", lifecycle.ErrInterrupted, contextError(c.opCtx))
		default:
		}
	}
	return lifecycle.ErrInterrupted
}

// contextError is ctx's error together with its cause, where that says more.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// refuse makes the error of a call that SQLite never saw.
func (c *Conn) refuse(op, sql string, err error) error {
	return &Error{Op: op, SQL: shorten(sql), Path: c.path, Err: err}
}

// fail makes the error of a call into the engine, inside the guard. After any
// error in a transaction SQLite is asked whether it is still open.
func (c *Conn) fail(op, sql string, err error, w *guard.Watch) error {
	e := wrapError(c.engine, c.path, op, sql, err)
	if e.Code == codeInterrupt {
		if w.Fired() {
			e.cause = contextError(w.Context())
		} else {
			e.cause = c.interruptCause()
		}
	}
	if c.tx.kind != noTransaction && c.tx.dead == nil && c.raw.Autocommit() {
		c.tx.dead = e
	}
	return e
}

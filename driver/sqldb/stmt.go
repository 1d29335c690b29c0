package sqldb

import (
	"context"
	"database/sql/driver"
)

// stmt is a virtual statement: a text, and the statement that is prepared for
// it on the physical connection of the moment.
type stmt struct {
	c      *conn
	text   *text
	inputs int
	prep   *prepared
	on     *Session // where prep was prepared
	writes bool     // it may write, as far as is known, or it controls a transaction
}

var (
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

// ready prepares the statement where it is not prepared on the connection of the operation.
func (st *stmt) ready(ctx context.Context) error {
	if st.on == st.c.s && !st.prep.closed.Load() {
		return nil
	}
	p, err := st.c.s.ready(ctx, st.text.sql)
	if err != nil {
		return err
	}
	st.prep, st.on = p, st.c.s
	st.writes = p.writes || controls(st.text.verb) // SQLite takes BEGIN for a statement that reads
	return nil
}

func (st *stmt) begin(ctx context.Context) error {
	if err := st.c.begin(ctx, st.c.f.SingleWriter && st.writes); err != nil {
		return err
	}
	if err := st.ready(ctx); err != nil {
		return st.c.end(err)
	}
	return nil
}

// target is the statement that runs, or nil where that has to be the text. One
// without anything in it mattn would follow into nothing; one that returns rows
// it leaves unfinished after Exec, and what it has written uncommitted, until the statement is closed.
func (st *stmt) target(exec bool) *prepared {
	one := len(st.text.script) < 2
	if st.text.empty || exec && one && !st.text.rowless && st.c.s.can.exec != nil {
		return nil
	}
	return st.prep
}

// NumInput returns how many arguments the driver says that the statement takes.
func (st *stmt) NumInput() int { return st.inputs }

// ExecContext executes the statement.
func (st *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if done, err := st.c.endsCutTransaction(st.text.sql); done {
		return driver.ResultNoRows, st.c.end(err)
	}
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	res, err := st.c.exec(ctx, st.text, st.target(true), args)
	return res, st.c.end(err)
}

// QueryContext queries the statement.
func (st *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if done, err := st.c.endsCutTransaction(st.text.sql); done {
		return noRows{}, st.c.end(err)
	}
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	return st.c.query(ctx, st.text, st.target(false), args)
}

// Exec is for programs that use the driver's interfaces themselves.
func (st *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return st.ExecContext(context.Background(), named(args))
}

// Query is for programs that use the driver's interfaces themselves.
func (st *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return st.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return values
}

// Close closes the statement. Where no operation is in flight, the physical
// one is closed by the next, or with its connection.
func (st *stmt) Close() error {
	p, s := st.prep, st.on
	st.on = nil
	switch {
	case s == nil || p.closed.Load():
		return nil
	case s == st.c.s:
		err := s.call(func() error { return s.disown(p) })
		if s.guard.Severed() {
			return nil
		}
		return err
	default:
		s.garbage.add(p)
		return nil
	}
}

// checkedStmt is a statement of a driver that converts arguments itself.
type checkedStmt struct {
	*stmt
}

// CheckNamedValue forwards to the driver's statement.
func (st checkedStmt) CheckNamedValue(v *driver.NamedValue) error {
	if err := st.begin(context.Background()); err != nil {
		return err
	}
	err := driver.ErrSkip
	if checker, ok := st.prep.stmt.(driver.NamedValueChecker); ok {
		err = st.c.s.call(func() error { return checker.CheckNamedValue(v) })
	}
	return st.c.end(err)
}

// forSQL returns st with what its driver has.
func (st *stmt) forSQL() driver.Stmt {
	if _, ok := st.prep.stmt.(driver.NamedValueChecker); ok {
		return checkedStmt{st}
	}
	return st
}

package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"reflect"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// What a virtual connection asks of the physical one. Everything here is
// called by the owner of an operation, outside the guard.

// lookup returns what is known about a text.
func (s *Session) lookup(sql string) (t *text, err error) {
	err = s.call(func() error {
		t = s.texts.get(sql)
		return nil
	})
	return t, err
}

// exec executes a text, or the statement p that was prepared for it.
func (s *Session) exec(ctx context.Context, t *text, p *prepared, args []driver.NamedValue) (driver.Result, error) {
	s.doing.Store(t)
	sc := s.scope(ctx)
	res, err := s.execOnce(&sc, t, p, args)
	if err != nil && s.mayRepeat(t, err) {
		res, err = s.execAgain(&sc, t, p, args, err)
	}
	sc.end()
	return res, err
}

// mayRepeat says whether a lock of another connection was in the way of a text
// that has done nothing yet: of a script, the statements before it have.
func (s *Session) mayRepeat(t *text, err error) bool {
	return s.cfg.Busy != nil && len(t.script) < 2 && s.cfg.Busy(err)
}

func (s *Session) execAgain(sc *scope, t *text, p *prepared, args []driver.NamedValue, err error) (res driver.Result, _ error) {
	err = s.retry(sc.caller, err, func() (err error) {
		res, err = s.execOnce(sc, t, p, args)
		return err
	})
	return res, err
}

func (s *Session) execOnce(sc *scope, t *text, p *prepared, args []driver.NamedValue) (res driver.Result, err error) {
	if !s.guard.Enter() {
		return nil, s.guard.Refused()
	}
	defer s.guard.Leave()
	if s.guard.Interrupted() {
		s.guard.Left()
		return nil, lifecycle.ErrInterrupted
	}
	sc.calling()
	if p == nil && t.execs {
		p, err = s.kept(sc, t, args)
	}
	switch {
	case err != nil:
	case p != nil:
		res, err = p.exec(sc.ctx, args)
	case s.can.exec != nil:
		res, err = s.can.exec.ExecContext(sc.ctx, t.sql, args)
	default:
		err = driver.ErrSkip
	}
	sc.called()
	err = s.explain(err, sc)
	s.guard.Left()
	return res, err
}

// query queries a text, or the statement p that was prepared for it.
func (s *Session) query(ctx context.Context, c *conn, t *text, p *prepared, args []driver.NamedValue) (*rows, error) {
	s.doing.Store(t)
	r := &rows{c: c, s: s, sc: s.scope(ctx)}
	err := s.queryOnce(r, t, p, args)
	if err != nil && s.mayRepeat(t, err) {
		err = s.retry(ctx, err, func() error { return s.queryOnce(r, t, p, args) })
	}
	if err != nil {
		r.sc.end()
		return nil, err
	}
	return r, nil
}

func (s *Session) queryOnce(r *rows, t *text, p *prepared, args []driver.NamedValue) (err error) {
	if !s.guard.Enter() {
		return s.guard.Refused()
	}
	defer s.guard.Leave()
	if s.guard.Interrupted() {
		s.guard.Left()
		return lifecycle.ErrInterrupted
	}
	sc := &r.sc
	sc.calling()
	if p == nil && t.queries {
		p, err = s.kept(sc, t, args)
	}
	switch {
	case err != nil:
	case p != nil:
		r.inner, err = p.query(sc.ctx, args)
	case s.can.query != nil:
		r.inner, err = s.can.query.QueryContext(sc.ctx, t.sql, args)
	default:
		err = driver.ErrSkip
	}
	sc.called()
	if err == nil {
		r.prep = p
		if p != nil {
			p.busy = true
		}
		r.columns = r.inner.Columns()
		s.push(r)
	} else {
		err = s.explain(err, sc)
	}
	s.guard.Left()
	return err
}

// kept returns the statement that is kept for a text, or nil where that does
// not serve: its rows are open, or the arguments are not simply its own.
func (s *Session) kept(sc *scope, t *text, args []driver.NamedValue) (*prepared, error) {
	switch {
	case !t.kept:
		return nil, nil
	case t.prep == nil:
		p, err := s.prepare(sc.ctx, t.sql)
		if err != nil {
			return nil, err
		}
		t.prep = p
	case t.prep.busy:
		return nil, nil
	}
	if !t.prep.takes(args) {
		return nil, nil
	}
	return t.prep, nil
}

// writes says whether a text, or the statement p, may change the database.
func (s *Session) writes(ctx context.Context, t *text, p *prepared) (writes bool, err error) {
	switch {
	case p != nil:
		return p.writes, nil
	case len(t.script) > 1, s.can.readOnly == nil:
		return !reads(t.verb), nil
	}
	err = s.call(func() error {
		p := t.prep
		if p == nil {
			var err error
			if p, err = s.prepare(ctx, t.sql); err != nil {
				return err
			}
			if t.kept && (t.queries || t.execs) {
				t.prep = p
			} else {
				defer p.close() //nolint:errcheck // it was looked at, and never run
			}
		}
		writes = p.writes
		return nil
	})
	return writes, err
}

// ready prepares a virtual statement on this connection.
func (s *Session) ready(ctx context.Context, sql string) (p *prepared, err error) {
	sc := s.scope(ctx)
	defer sc.end()
	err = s.call(func() (err error) {
		if s.guard.Interrupted() {
			return lifecycle.ErrInterrupted
		}
		sc.calling()
		p, err = s.own(sc.ctx, sql)
		sc.called()
		return s.explain(err, &sc)
	})
	return p, err
}

// tidy closes the statements that were closed while nobody could. What a driver
// says of that, such as the error of their last step, is nobody's any more.
func (s *Session) tidy() {
	if !s.garbage.some.Load() {
		return
	}
	_ = s.call(func() error {
		for _, p := range s.garbage.take() {
			_ = s.disown(p)
		}
		return nil
	})
}

// rows are the rows of a statement. They are in flight until Close.
type rows struct {
	c       *conn
	s       *Session
	inner   driver.Rows
	sc      scope
	prep    *prepared // whose they are, where it is kept
	columns []string
	begun   bool // a row was delivered
	ended   bool // the last row was
	shut    bool // inner is closed
	writes  bool // their statement may write on, and has the gate for it
	reads   bool // it changes nothing, as far as its text tells
	closed  bool // by their owner

	newer, older *rows
}

// push makes r the newest of the open rows.
func (s *Session) push(r *rows) {
	r.older = s.rows
	if s.rows != nil {
		s.rows.newer = r
	}
	s.rows = r
}

// finish closes them. Inside the guard, or where nobody can be inside any more.
func (r *rows) finish() error {
	r.shut = true
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		r.s.rows = r.older
	}
	if r.older != nil {
		r.older.newer = r.newer
	}
	r.newer, r.older = nil, nil
	if r.prep != nil {
		r.prep.busy = false
	}
	err := r.inner.Close()
	r.sc.end()
	return err
}

// Columns returns the names of the columns.
func (r *rows) Columns() []string { return r.columns }

// Next fetches the next row.
func (r *rows) Next(dest []driver.Value) error {
	err := r.next(dest)
	if err != nil && !r.begun && err != io.EOF && r.s.cfg.Busy != nil && r.s.cfg.Busy(err) { //nolint:errorlint // io.EOF itself
		err = r.s.retry(r.sc.caller, err, func() error { return r.next(dest) })
	}
	return err
}

func (r *rows) next(dest []driver.Value) error {
	g := &r.s.guard
	if !g.Enter() {
		return g.Refused()
	}
	defer g.Leave()
	var err error
	switch {
	case r.sc.ended():
		err = r.sc.caller.Err()
	case g.Interrupted():
		err = lifecycle.ErrInterrupted
	case r.shut:
		err = errRowsShut
	default:
		r.sc.calling()
		err = r.inner.Next(dest)
		r.sc.called()
		switch err {
		case nil:
			r.begun = true
		case io.EOF:
			r.ended = true
		default:
			err = r.s.explain(err, &r.sc)
		}
	}
	g.Left()
	return err
}

var errRowsShut = errors.New("sqldb: the rows were closed when their transaction ended")

// Close closes them. Those that were cut before their end say so.
func (r *rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.s.call(func() error {
		switch {
		case !r.shut:
			return r.s.explain(r.finish(), nil)
		case r.ended:
			return nil
		default:
			return errRowsShut
		}
	})
	if r.ended && errors.Is(err, lifecycle.ErrInterrupted) {
		err = nil // all that was asked for was delivered
	}
	return r.c.rowsClosed(r, err)
}

// inside runs f on the rows, where they are still open.
func (r *rows) inside(f func()) {
	_ = r.s.call(func() error {
		if !r.shut {
			f()
		}
		return nil
	})
}

// What follows forwards what the driver knows of the columns. Where it knows
// nothing, the answer is the one that database/sql gives without the method.

// ColumnTypeDatabaseTypeName returns the declared type.
func (r *rows) ColumnTypeDatabaseTypeName(i int) (name string) {
	if t, ok := r.inner.(driver.RowsColumnTypeDatabaseTypeName); ok {
		r.inside(func() { name = t.ColumnTypeDatabaseTypeName(i) })
	}
	return name
}

// ColumnTypeScanType returns a Go type that the column can be scanned into.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	typ := reflect.TypeFor[any]()
	if t, ok := r.inner.(driver.RowsColumnTypeScanType); ok {
		r.inside(func() { typ = t.ColumnTypeScanType(i) })
	}
	return typ
}

// ColumnTypeLength returns the length of a column of variable length.
func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) {
	if t, has := r.inner.(driver.RowsColumnTypeLength); has {
		r.inside(func() { length, ok = t.ColumnTypeLength(i) })
	}
	return length, ok
}

// ColumnTypeNullable says whether the column may be NULL.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if t, has := r.inner.(driver.RowsColumnTypeNullable); has {
		r.inside(func() { nullable, ok = t.ColumnTypeNullable(i) })
	}
	return nullable, ok
}

// ColumnTypePrecisionScale returns the precision and the scale of a decimal column.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if t, has := r.inner.(driver.RowsColumnTypePrecisionScale); has {
		r.inside(func() { precision, scale, ok = t.ColumnTypePrecisionScale(i) })
	}
	return precision, scale, ok
}

// multiRows are rows of a driver that has several sets of them.
type multiRows struct {
	*rows
	next driver.RowsNextResultSet
}

// HasNextResultSet says whether another set follows.
func (r multiRows) HasNextResultSet() (has bool) {
	r.inside(func() { has = r.next.HasNextResultSet() })
	return has
}

// NextResultSet goes on to the next set.
func (r multiRows) NextResultSet() error {
	return r.s.call(func() error {
		if r.shut {
			return errRowsShut
		}
		err := r.next.NextResultSet()
		if err == nil {
			r.columns, r.ended = r.inner.Columns(), false
		}
		return r.s.explain(err, nil)
	})
}

// forSQL returns r with what its driver has.
func (r *rows) forSQL() driver.Rows {
	if next, ok := r.inner.(driver.RowsNextResultSet); ok {
		return multiRows{r, next}
	}
	return r
}

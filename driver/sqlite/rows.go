package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
)

// Rows cannot leak: whoever reads them does so in a callback, or in the body
// of a range loop, and they are closed when that ends, by whatever means.

// Row is the row that an iteration stands on. It is valid until the next one.
type Row struct {
	columns []string
	values  []driver.Value
}

// Columns returns the names of the columns. The caller must not change them.
func (r *Row) Columns() []string { return r.columns }

// Value returns what is stored in column i: an int64, a float64, a string, a
// []byte, or nil for NULL. It panics where there is no such column.
func (r *Row) Value(i int) any {
	v := r.values[i]
	if b, ok := v.([]byte); ok && b == nil {
		return []byte{} // modernc's empty BLOB, which is no NULL
	}
	return v
}

// Each calls f for every row that the statement returns, and stops at its first error.
func (c *Conn) Each(ctx context.Context, sql string, f func(*Row) error, args ...any) error {
	for row, err := range c.Rows(ctx, sql, args...) {
		if err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// Rows returns an iteration over the rows that the statement returns. The
// statement runs when, and every time that, the iteration is ranged over. An
// error ends it. Leaving the loop closes the rows; a statement that also
// writes is better read to its end, since nobody would hear of an error then.
//
//	for row, err := range c.Rows(ctx, "SELECT id, name FROM room WHERE topic = ?", topic) {
//		if err != nil {
//			return err
//		}
//		if err := row.Scan(&id, &name); err != nil {
//			return err
//		}
//	}
func (c *Conn) Rows(ctx context.Context, sql string, args ...any) iter.Seq2[*Row, error] {
	epoch := c.epoch.Load()
	return func(yield func(*Row, error) bool) {
		if err := c.iterate(ctx, epoch, sql, args, yield); err != nil {
			yield(nil, err)
		}
	}
}

// Collect returns what scan makes of every row of an iteration, for example of Conn.Rows.
func Collect[T any](rows iter.Seq2[*Row, error], scan func(*Row) (T, error)) ([]T, error) {
	var all []T
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		v, err := scan(row)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// iterate yields the rows. It returns an error only where yield may be called once more.
func (c *Conn) iterate(ctx context.Context, epoch uint64, sql string, args []any, yield func(*Row, error) bool) (err error) {
	s, more, err := c.openRows(ctx, epoch, sql, args)
	if err != nil {
		return err
	}
	wanted := true // false once the loop was left
	defer func() {
		// This runs, too, when the loop's body panics; then nobody wants the error.
		if closing := c.finishRows(s, epoch); wanted && err == nil {
			err = closing
		}
	}()
	for more {
		wanted = false
		if !yield(&s.row, nil) {
			return nil
		}
		wanted = true
		if more, err = c.nextRow(s, epoch); err != nil {
			return err
		}
	}
	return nil
}

// openRows starts an iteration and fetches its first row.
func (c *Conn) openRows(ctx context.Context, epoch uint64, sql string, args []any) (s *stmt, more bool, err error) {
	if c.epoch.Load() != epoch {
		return nil, false, c.refuse("query", sql, ErrReleased)
	}
	values, err := c.bind("query", sql, args)
	if err != nil {
		return nil, false, err
	}
	err = c.patiently(ctx, "query", sql, func() error {
		if s, err = c.begin(ctx, "query", sql, true, len(args)); err != nil {
			return err
		}
		if more, err = c.step(s, values); err != nil {
			return c.end(s, "query", err)
		}
		return nil
	})
	c.unbind(values)
	return s, more, err
}

// nextRow fetches the next row.
func (c *Conn) nextRow(s *stmt, epoch uint64) (more bool, err error) {
	if c.epoch.Load() != epoch {
		return false, c.refuse("next row", "", ErrReleased)
	}
	err = c.inside("next row", s.text, func() error {
		if err := c.alive("next row", s.text); err != nil {
			return err
		}
		if s.rows == nil {
			return c.refuse("next row", s.text, fmt.Errorf("the iteration was closed: %w", c.interruptCause()))
		}
		if s.watch.Fired() {
			return c.refuse("next row", s.text, contextError(s.watch.Context()))
		}
		var err error
		if more, err = s.next(); err != nil {
			return c.fail("next row", s.text, err, s.watch)
		}
		return nil
	})
	return more, err
}

// finishRows ends an iteration. Where the operation is over, or the connection
// was severed, somebody else has closed the rows.
func (c *Conn) finishRows(s *stmt, epoch uint64) error {
	if c.epoch.Load() != epoch || !c.guard.Free() {
		return nil
	}
	return c.inside("close rows", s.text, func() error {
		if s.rows == nil {
			s.busy = false // closeOpen has done the rest
			return nil
		}
		return c.end(s, "close rows", nil)
	})
}

// RowQuery is a statement of which one row is wanted. It runs in Scan.
type RowQuery struct {
	conn   *Conn
	ctx    context.Context // from one method call to the next
	sql    string
	values []driver.NamedValue
	err    error
}

// QueryRow prepares to read the first row that a statement returns. The
// statement runs in Scan, not before:
//
//	err := c.QueryRow(ctx, "SELECT name FROM room WHERE id = ?", id).Scan(&name)
func (c *Conn) QueryRow(ctx context.Context, sql string, args ...any) RowQuery {
	// Converted here: kept in RowQuery, args would have to be allocated.
	values, err := c.bind("query", sql, args)
	return RowQuery{c, ctx, sql, values, err}
}

// Scan runs the statement and reads its first row into dest, as Row.Scan does.
// Where there is no row it returns ErrNoRows. Further rows are dropped.
func (q RowQuery) Scan(dest ...any) error {
	c, err := q.conn, q.err
	if err != nil {
		return err
	}
	if len(q.values) > 0 && q.values[0].Ordinal != 1 { // the connection has its buffer back
		return c.refuse("query", q.sql, fmt.Errorf("%w: a RowQuery is scanned once", ErrReleased))
	}
	s, more, err := c.firstRow(q.ctx, q.sql, q.values)
	if err != nil && isBusy(err) {
		err = c.waitAndRetry(q.ctx, "query", q.sql, err, func() (err error) {
			s, more, err = c.firstRow(q.ctx, q.sql, q.values)
			return err
		})
	}
	c.unbind(q.values)
	if err != nil {
		return err
	}
	// The values are copies that outlive the rows, so scanning, which may call
	// foreign code, needs not be inside the engine. s stays in use until then:
	// that code may run the same statement, or panic.
	defer func() {
		clear(s.row.values)
		s.busy = false
	}()
	if !more {
		return ErrNoRows
	}
	return s.row.Scan(dest...)
}

// firstRow runs a statement up to its first row. Its rows are closed again, but the statement is still in use.
func (c *Conn) firstRow(ctx context.Context, sql string, values []driver.NamedValue) (s *stmt, more bool, err error) {
	if !c.guard.Enter() {
		return nil, false, c.refuse("query", sql, c.refused())
	}
	defer c.guard.Leave()
	s, err = c.begin(ctx, "query", sql, true, len(values))
	if err == nil {
		more, err = c.step(s, values)
		if err == nil {
			err = s.closeRows()
		}
		if err != nil {
			err = c.end(s, "query", err)
		} else {
			if s.watch != nil {
				s.watch.End()
				s.watch = nil
			}
			c.pop(s)
			if !s.kept {
				_ = s.prep.Close()
			}
		}
	}
	c.guard.Left()
	return s, more, err
}

package sqldb_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fake is a driver whose connections have no more than they have to, and what
// a test adds. It understands texts like "INSERT", "ROWS 3" and "PANIC".
type fake struct {
	wrap  func(*fakeConn) driver.Conn // adds optional interfaces
	stmt  func(*fakeStmt) driver.Stmt
	multi bool // rows have a second set

	mu      sync.Mutex
	fail    error // of Connect
	open    int
	opened  int
	written []any // what INSERT was given
	bad     int   // so many statements from now on return ErrBadConn
	invalid bool
	block   chan struct{} // BLOCK returns when it is closed
	blocked atomic.Int32
}

func (f *fake) Connect(context.Context) (driver.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	f.open++
	f.opened++
	c := &fakeConn{f: f}
	if f.wrap != nil {
		return f.wrap(c), nil
	}
	return c, nil
}

func (f *fake) Driver() driver.Driver { return nil }

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// counts returns how many connections are open, and were ever opened.
func (f *fake) counts() (open, opened int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open, f.opened
}

// verify is a Config.Verify.
func (f *fake) verify(context.Context) error {
	if n, _ := f.counts(); n != 0 {
		return fmt.Errorf("%d connections are open", n)
	}
	return nil
}

func (f *fake) inserted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.written)
}

type fakeConn struct {
	f      *fake
	stmts  int
	inTx   bool
	undone []any
}

func (c *fakeConn) Prepare(text string) (driver.Stmt, error) {
	if text == "" {
		return nil, errors.New("fake: no text")
	}
	c.stmts++
	s := &fakeStmt{c: c, text: text}
	if c.f.stmt != nil {
		return c.f.stmt(s), nil
	}
	return s, nil
}

func (c *fakeConn) Close() error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.open--
	if c.stmts != 0 {
		return fmt.Errorf("fake: closed with %d statements open", c.stmts)
	}
	return nil
}

func (c *fakeConn) Begin() (driver.Tx, error) {
	c.inTx = true
	return c, nil
}

func (c *fakeConn) Commit() error {
	c.f.set(func() { c.f.written = append(c.f.written, c.undone...) })
	return c.Rollback()
}

func (c *fakeConn) Rollback() error {
	c.inTx, c.undone = false, nil
	return nil
}

type fakeStmt struct {
	c      *fakeConn
	text   string
	closed bool
}

func (s *fakeStmt) Close() error {
	if s.closed {
		return errors.New("fake: a statement is closed twice")
	}
	s.closed = true
	s.c.stmts--
	return nil
}

func (s *fakeStmt) NumInput() int { return strings.Count(s.text, "?") }

func (s *fakeStmt) begin() error {
	f := s.c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bad > 0 {
		f.bad--
		return driver.ErrBadConn
	}
	return nil
}

func (s *fakeStmt) Exec(args []driver.Value) (driver.Result, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	switch strings.Fields(s.text)[0] {
	case "PANIC":
		panic("fake: a panic of the driver")
	case "FAIL":
		return nil, errors.New("fake: failed")
	case "BLOCK":
		s.c.f.blocked.Add(1)
		<-s.c.f.block
	case "INSERT":
		var value any
		if len(args) > 0 {
			value = args[0]
		}
		if s.c.inTx {
			s.c.undone = append(s.c.undone, value)
		} else {
			s.c.f.set(func() { s.c.f.written = append(s.c.f.written, value) })
		}
	}
	return driver.RowsAffected(1), nil
}

func (s *fakeStmt) Query(args []driver.Value) (driver.Rows, error) {
	if _, err := s.Exec(args); err != nil {
		return nil, err
	}
	r := &fakeRows{}
	if _, err := fmt.Sscanf(s.text, "SELECT %d", &r.left); err != nil {
		return nil, err
	}
	if s.c.f.multi {
		return &multiRows{fakeRows: r, more: 1}, nil
	}
	return r, nil
}

type fakeRows struct{ n, left int }

func (r *fakeRows) Columns() []string { return []string{"n"} }
func (r *fakeRows) Close() error      { return nil }
func (r *fakeRows) Next(dest []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	r.n++
	dest[0] = int64(r.n)
	return nil
}

// multiRows are rows with another set of two columns behind them.
type multiRows struct {
	*fakeRows
	more int
}

func (r *multiRows) HasNextResultSet() bool { return r.more > 0 }
func (r *multiRows) NextResultSet() error {
	if r.more == 0 {
		return io.EOF
	}
	r.more--
	r.n, r.left = 10, 2
	return nil
}

func (r *multiRows) Columns() []string {
	if r.more == 0 {
		return []string{"second"}
	}
	return r.fakeRows.Columns()
}

// point is a type that only a driver with a NamedValueChecker takes.
type point struct{ x, y int }

// checkedStmt has what is optional for statements.
type checkedStmt struct{ *fakeStmt }

func (s checkedStmt) CheckNamedValue(v *driver.NamedValue) error {
	if p, ok := v.Value.(point); ok {
		v.Value = fmt.Sprintf("%d/%d", p.x, p.y)
		return nil
	}
	return driver.ErrSkip
}

// checkedConn has the same for connections.
type checkedConn struct{ *fakeConn }

func (c checkedConn) CheckNamedValue(v *driver.NamedValue) error {
	return checkedStmt{}.CheckNamedValue(v)
}

// resetConn has what is optional for pools.
type resetConn struct {
	*fakeConn
	resets int
}

func (c *resetConn) ResetSession(context.Context) error {
	if c.resets++; c.resets%3 == 0 {
		return driver.ErrBadConn
	}
	return nil
}

func (c *resetConn) IsValid() bool {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return !c.f.invalid
}

// pingConn refuses to answer.
type pingConn struct{ *fakeConn }

var errPing = errors.New("fake: no answer")

func (pingConn) Ping(context.Context) error { return errPing }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

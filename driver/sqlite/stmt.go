package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/internal/guard"
	"github.com/quiesce-go/quiesce/internal/sqltext"
)

const (
	defaultStmtCache = 64
	longestKept      = 16 << 10 // longer texts are prepared every time: they are built, and rarely come again
)

// stmt is a prepared statement, and the one iteration that it can be in.
type stmt struct {
	text    string
	prep    driver.Stmt
	queryer driver.StmtQueryContext
	execer  driver.StmtExecContext
	params  int
	control bool // begins or ends a transaction
	changes bool // may be an INSERT, UPDATE or DELETE
	reads   bool // leaves the database as it is
	noRows  bool // it ran, and had no columns: it can be executed without a look at its rows
	kept    bool // it belongs to the cache
	busy    bool // an iteration, or a call, is using it

	newer, older *stmt // in the cache

	// The iteration.
	rows         driver.Rows
	row          Row
	watch        *guard.Watch
	depth        int   // of the transaction that it was opened in
	inner, outer *stmt // among the open ones
}

// statements are the prepared statements of one connection, the least recently
// used one last. One that is in use is never closed under its user, so there
// may be more of them than wanted for a while.
type statements struct {
	most           int
	byText         map[string]*stmt
	newest, oldest *stmt
}

func (c *statements) init(most int) {
	if most <= 0 {
		most = defaultStmtCache
	}
	c.most = most
	c.byText = make(map[string]*stmt, most)
}

func (c *statements) get(text string) *stmt {
	s := c.newest
	if s == nil {
		return nil
	}
	if s.text != text {
		if s = c.byText[text]; s == nil {
			return nil
		}
		c.unlink(s)
		c.pushNewest(s)
	}
	return s
}

// put keeps s and closes what is too much.
func (c *statements) put(s *stmt) error {
	var err error
	for old := c.oldest; old != nil && len(c.byText) >= c.most; {
		next := old.newer
		if !old.busy {
			c.unlink(old)
			delete(c.byText, old.text)
			old.kept = false
			err = joinErrors(err, old.prep.Close())
		}
		old = next
	}
	s.kept = true
	c.byText[s.text] = s
	c.pushNewest(s)
	return err
}

func (c *statements) pushNewest(s *stmt) {
	s.newer, s.older = nil, c.newest
	if c.newest != nil {
		c.newest.newer = s
	} else {
		c.oldest = s
	}
	c.newest = s
}

func (c *statements) unlink(s *stmt) {
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		c.newest = s.older
	}
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		c.oldest = s.newer
	}
}

// closeAll closes every statement that is kept. Nothing is in use any more.
func (c *statements) closeAll() error {
	var err error
	for s := c.newest; s != nil; s = s.older {
		err = joinErrors(err, s.prep.Close())
	}
	c.newest, c.oldest = nil, nil
	clear(c.byText)
	return err
}

// acquire returns a statement for text that nobody uses: the kept one, or
// another one where that is in use. Inside the guard.
func (c *Conn) acquire(op, text string, keep bool, w *guard.Watch) (*stmt, error) {
	s := c.stmts.get(text)
	if s == nil || s.busy {
		keep = keep && s == nil && len(text) <= longestKept
		var err error
		if s, err = c.prepare(op, text, w); err != nil {
			return nil, err
		}
		if keep {
			if err := c.stmts.put(s); err != nil {
				return nil, c.fail("close a statement for", text, err, nil)
			}
		}
	}
	if s.control {
		return nil, c.refuse(op, text, ErrTransactionControl)
	}
	s.busy = true
	return s, nil
}

// release gives s back. Its rows are closed.
func (c *Conn) release(s *stmt) {
	s.busy = false
	clear(s.row.values)
	if !s.kept {
		_ = s.prep.Close() // mattn repeats the error of the last step here, which was reported
	}
}

// prepare compiles text, after refusing what the engines treat differently or
// what would end a transaction behind our back.
func (c *Conn) prepare(op, text string, w *guard.Watch) (*stmt, error) {
	parsed := sqltext.Parse(text)
	switch {
	case parsed.NUL:
		return nil, c.refuse(op, text, fmt.Errorf("%w: it contains a NUL character", ErrNotOneStatement))
	case parsed.Body == "":
		return nil, c.refuse(op, text, fmt.Errorf("%w: it is empty", ErrNotOneStatement))
	case parsed.More():
		return nil, c.refuse(op, text, fmt.Errorf("%w: there is more after the first", ErrNotOneStatement))
	case parsed.Named:
		return nil, c.refuse(op, text, fmt.Errorf("%w: it has named parameters", ErrParameters))
	case parsed.Control():
		return nil, c.refuse(op, text, ErrTransactionControl)
	}
	return c.compile(op, text, parsed, w)
}

func (c *Conn) compile(op, text string, parsed sqltext.Statement, w *guard.Watch) (*stmt, error) {
	w.Calling()
	prep, err := c.raw.PrepareContext(context.Background(), parsed.Body) // modernc treats a text with anything after the semicolon as a script
	w.Called()
	if err != nil {
		return nil, c.fail(op, text, err, w)
	}
	s := &stmt{text: text, prep: prep, params: c.raw.Parameters(prep), reads: c.raw.ReadOnly(prep)}
	s.changes = parsed.Changes() && !s.reads // a WITH may be a SELECT
	var ok1, ok2 bool
	s.queryer, ok1 = prep.(driver.StmtQueryContext)
	s.execer, ok2 = prep.(driver.StmtExecContext)
	if !ok1 || !ok2 {
		err := fmt.Errorf("the engine's statement, a %T, takes no context", prep)
		return nil, c.refuse(op, text, joinErrors(err, prep.Close()))
	}
	return s, nil
}

// step starts s and fetches its first row.
func (c *Conn) step(s *stmt, values []driver.NamedValue) (more bool, err error) {
	if s.watch != nil {
		s.watch.Calling()
		defer s.watch.Called()
	}
	rows, err := s.queryer.QueryContext(context.Background(), values)
	if err != nil {
		return false, err
	}
	s.rows = rows
	c.raw.Plain(rows)
	s.row.columns = rows.Columns() // mattn crashes where Next comes before Columns; and a change of the schema may have changed them
	if len(s.row.columns) != len(s.row.values) {
		s.row.values = make([]driver.Value, len(s.row.columns))
	}
	return s.fetch()
}

// next fetches the next row.
func (s *stmt) next() (more bool, err error) {
	if s.watch != nil {
		s.watch.Calling()
		defer s.watch.Called()
	}
	return s.fetch()
}

func (s *stmt) fetch() (more bool, err error) {
	switch err := s.rows.Next(s.row.values); err {
	case nil:
		return true, nil
	case io.EOF:
		return false, nil
	default:
		return false, err
	}
}

// closeRows closes the rows. It matters what it returns: closing may be what commits.
func (s *stmt) closeRows() error {
	if s.rows == nil {
		return nil
	}
	rows := s.rows
	s.rows = nil
	return rows.Close()
}

// push makes s the innermost open iteration.
func (c *Conn) push(s *stmt) {
	s.inner, s.outer = nil, c.open
	if c.open != nil {
		c.open.inner = s
	}
	c.open = s
}

func (c *Conn) pop(s *stmt) {
	if s.inner != nil {
		s.inner.outer = s.outer
	} else if c.open == s {
		c.open = s.outer
	}
	if s.outer != nil {
		s.outer.inner = s.inner
	}
	s.inner, s.outer = nil, nil
}

// closeOpen closes the iterations that were opened at the given depth of
// transactions or deeper. Their owners are told when they ask for the next row.
func (c *Conn) closeOpen(depth int) {
	for s := c.open; s != nil; {
		outer := s.outer
		if s.depth >= depth {
			_ = s.closeRows() // mattn repeats the error of the last step here
			s.watch.End()
			s.watch = nil
			c.pop(s)
			if !s.kept {
				_ = s.prep.Close()
			}
		}
		s = outer
	}
}

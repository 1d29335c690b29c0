package storekit

import (
	"context"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// CheckOptions says how thorough Check is.
type CheckOptions struct {
	// Quick leaves out that every index has what its table has, which takes most of the time.
	Quick bool

	// Sealed opens every sealed value of package kv and of Config.Sealed.
	Sealed bool

	// Progress, where it is not nil, is told what is being checked.
	Progress func(Progress)
}

// CheckError is returned by Check, with what is wrong.
type CheckError struct {
	Problems []string // as SQLite words them; at most a hundred
}

// Error lists the first problems.
func (e *CheckError) Error() string {
	const most = 3
	list := strings.Join(e.Problems[:min(len(e.Problems), most)], "; ")
	if more := len(e.Problems) - most; more > 0 {
		list += fmt.Sprintf("; and %d more", more)
	}
	return "the check has found: " + list
}

// Unwrap returns sqlite.ErrCorrupt.
func (e *CheckError) Unwrap() error { return sqlite.ErrCorrupt }

// maxProblems is where a check gives up.
const maxProblems = 100

// Check reads the whole database and looks whether it is sound: its pages and
// indexes, its foreign keys, and on request every sealed value. It returns a
// *CheckError when it is not. It is one read operation, beside which others go
// on. A Pause ends it at once, with lifecycle.ErrInterrupted.
func (s *Store) Check(ctx context.Context, o CheckOptions) error {
	return s.failed("check", s.check(lifecycle.WithLabel(ctx, "check"), o))
}

func (s *Store) check(ctx context.Context, o CheckOptions) error {
	return s.db.View(ctx, func(c *sqlite.Conn) error {
		return s.yielding(ctx, func(ctx context.Context) error { return s.look(ctx, c, o) })
	})
}

func (s *Store) look(ctx context.Context, c *sqlite.Conn, o CheckOptions) error {
	found := &CheckError{}
	Progress{Operation: "check", Step: "pages"}.to(o.Progress)
	pragma := `PRAGMA integrity_check`
	if o.Quick {
		pragma = `PRAGMA quick_check`
	}
	err := c.Each(ctx, fmt.Sprintf(`%s(%d)`, pragma, maxProblems), func(r *sqlite.Row) error {
		if line := fmt.Sprint(r.Value(0)); line != "ok" {
			found.add(line)
		}
		return nil
	})
	if err != nil {
		return err
	}
	Progress{Operation: "check", Step: "foreign keys"}.to(o.Progress)
	err = c.Each(ctx, `PRAGMA foreign_key_check`, func(r *sqlite.Row) error {
		found.add(fmt.Sprintf("row %v of %v refers to a row of %v that is not there", r.Value(1), r.Value(0), r.Value(2)))
		return nil
	})
	if err != nil {
		return err
	}
	if o.Sealed && !s.secretIsNone() {
		for i, col := range s.sealed {
			p := Progress{Operation: "check", Step: col.String(), Number: i + 1, Of: len(s.sealed)}
			if err := s.checkSealed(ctx, c, col, found, p, o.Progress); err != nil {
				return err
			}
		}
	}
	if len(found.Problems) > 0 {
		return found
	}
	return nil
}

func (e *CheckError) add(problem string) {
	if len(e.Problems) < maxProblems {
		e.Problems = append(e.Problems, problem)
	}
}

func (s *Store) secretIsNone() bool {
	return s.secretNow().None()
}

// checkSealed opens every value of a column.
func (s *Store) checkSealed(ctx context.Context, c *sqlite.Conn, col SealedColumn, found *CheckError, p Progress, told func(Progress)) error {
	const every = 1000
	if err := c.QueryRow(ctx, fmt.Sprintf(`SELECT count(%s) FROM %s`, col.column(), col.table())).Scan(&p.Total); err != nil {
		return err
	}
	cipher, err := s.encrypted()
	if err != nil {
		return err
	}
	var plain []byte
	err = c.Each(ctx, fmt.Sprintf(`SELECT %[1]s, %[2]s FROM %[3]s WHERE %[2]s IS NOT NULL`, col.row(), col.column(), col.table()), func(r *sqlite.Row) error {
		v, err := col.read(r)
		if err == nil {
			if plain, err = cipher.Open(plain[:0], v.value, col.place(v.row)); err != nil {
				err = fmt.Errorf("row %x: %w", v.row, err)
			}
		}
		if err != nil {
			found.add(err.Error())
		}
		if p.Done++; p.Done%every == 0 {
			p.to(told)
		}
		return nil
	})
	clear(plain[:cap(plain)])
	p.to(told)
	return err
}

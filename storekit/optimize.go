package storekit

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// OptimizeOptions says what Optimize does. The zero value does what takes
// little time and room.
type OptimizeOptions struct {
	// Vacuum builds the whole database anew, without gaps. It takes room for a
	// second copy and for a third in the log, and one writer's turn that may be
	// long. A database that does not give free pages back in steps learns it
	// where Database.IncrementalVacuum is set.
	Vacuum bool

	// Progress, where it is not nil, is told how many pages were given back.
	Progress func(Progress)
}

// freeStep is how many pages one transaction gives back: a few milliseconds' work.
const freeStep = 512

// Optimize lets SQLite gather statistics for its planner where they are old,
// gives free pages back to the file system, in small transactions, where the
// database was made with Database.IncrementalVacuum, and cuts the log.
//
// A Pause ends it at once: it never waits for the grace. Optimize then returns
// lifecycle.ErrInterrupted, or ErrPaused, and what it has done until then stays
// done. A Vacuum that was ended has done nothing.
func (s *Store) Optimize(ctx context.Context, o OptimizeOptions) error {
	return s.failed("optimize", s.optimize(lifecycle.WithLabel(ctx, "optimize"), o))
}

func (s *Store) optimize(ctx context.Context, o OptimizeOptions) error {
	err := s.write(ctx, func(ctx context.Context, c *sqlite.Conn) error { return c.ExecScript(ctx, `PRAGMA optimize`) })
	ctx = lifecycle.WithPolicy(ctx, lifecycle.Fail) // it has begun: a pause ends it
	switch {
	case err != nil:
		return err
	case o.Vacuum:
		err = s.vacuum(ctx, o.Progress)
	default:
		err = s.giveBack(ctx, o.Progress)
	}
	if err != nil {
		return err
	}
	// Somebody who reads keeps it from being cut, which is no fault: the next one does it.
	return s.write(ctx, func(ctx context.Context, c *sqlite.Conn) error {
		return c.Each(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`, func(*sqlite.Row) error { return nil })
	})
}

// write is one operation, which a pause ends at once.
func (s *Store) write(ctx context.Context, fn func(context.Context, *sqlite.Conn) error) error {
	return s.db.Write(ctx, func(c *sqlite.Conn) error {
		return s.yielding(ctx, func(ctx context.Context) error { return fn(ctx, c) })
	})
}

// vacuum builds the database anew. What SQLite does meanwhile cannot be seen.
func (s *Store) vacuum(ctx context.Context, told func(Progress)) error {
	return s.write(ctx, func(ctx context.Context, c *sqlite.Conn) error {
		before, err := pages(ctx, c)
		if err != nil {
			return err
		}
		p := Progress{Operation: "vacuum", Total: before.Database}
		p.to(told)
		if s.incremental {
			if err := c.ExecScript(ctx, `PRAGMA auto_vacuum = INCREMENTAL`); err != nil {
				return err
			}
		}
		if err := c.ExecScript(ctx, `VACUUM`); err != nil {
			return err
		}
		p.Done = p.Total
		p.to(told)
		return nil
	})
}

// giveBack gives free pages back, a few at a time.
func (s *Store) giveBack(ctx context.Context, told func(Progress)) error {
	p := Progress{Operation: "optimize"}
	for more := true; more; p.to(told) {
		err := s.write(ctx, func(ctx context.Context, c *sqlite.Conn) error {
			var mode, before, after int64
			err := errors.Join(c.QueryRow(ctx, `PRAGMA auto_vacuum`).Scan(&mode), c.QueryRow(ctx, `PRAGMA freelist_count`).Scan(&before))
			if err != nil {
				return err
			}
			const incremental = 2
			if mode != incremental || before == 0 {
				more = false
				return nil
			}
			if err := c.Each(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, freeStep), func(*sqlite.Row) error { return nil }); err != nil {
				return err
			}
			if err := c.QueryRow(ctx, `PRAGMA freelist_count`).Scan(&after); err != nil {
				return err
			}
			p.Total = max(p.Total, p.Done+before)
			p.Done += before - after
			more = after > 0 && after < before
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

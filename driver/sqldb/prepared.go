package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
)

// prepared is a statement on a physical connection.
type prepared struct {
	stmt     driver.Stmt
	query    func(context.Context, []driver.NamedValue) (driver.Rows, error)
	exec     func(context.Context, []driver.NamedValue) (driver.Result, error)
	inputs   int         // how many arguments it takes; -1 where the driver does not say
	declared int         // what its NumInput says, which may differ; of virtual statements only
	writes   bool        // it may change the database
	busy     bool        // its rows are open
	closed   atomic.Bool // set inside the guard, or by the pause that closes the connection
}

// prepare prepares a statement. Inside the guard.
func (s *Session) prepare(ctx context.Context, sql string) (*prepared, error) {
	var stmt driver.Stmt
	var err error
	if s.can.prepare != nil {
		stmt, err = s.can.prepare.PrepareContext(ctx, sql)
	} else {
		stmt, err = s.conn.Prepare(sql)
	}
	if err != nil {
		return nil, err
	}
	p := &prepared{stmt: stmt, writes: true}
	if s.can.readOnly != nil {
		p.writes = !s.can.readOnly(stmt)
	}
	p.inputs = s.can.parameters(stmt)
	if q, ok := stmt.(driver.StmtQueryContext); ok {
		p.query = q.QueryContext
	} else {
		p.query = func(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
			values, err := plainValues(ctx, args)
			if err != nil {
				return nil, err
			}
			//lint:ignore SA1019 what a driver of the old kind has
			return stmt.Query(values)
		}
	}
	if e, ok := stmt.(driver.StmtExecContext); ok {
		p.exec = e.ExecContext
	} else {
		p.exec = func(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
			values, err := plainValues(ctx, args)
			if err != nil {
				return nil, err
			}
			//lint:ignore SA1019 what a driver of the old kind has
			return stmt.Exec(values)
		}
	}
	return p, nil
}

var errNamed = errors.New("sqldb: the driver does not support named parameters")

func plainValues(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	values := make([]driver.Value, len(args))
	for i, a := range args {
		if a.Name != "" {
			return nil, errNamed
		}
		values[i] = a.Value
	}
	return values, nil
}

func (p *prepared) close() error {
	if p.closed.Swap(true) {
		return nil
	}
	return p.stmt.Close()
}

// takes says whether args fit, so that nothing depends on how a driver treats others.
func (p *prepared) takes(args []driver.NamedValue) bool {
	if p.inputs != len(args) {
		return false
	}
	for i := range args {
		if args[i].Name != "" {
			return false
		}
	}
	return true
}

// garbage is statements that were closed while their connection served no
// operation: a pause may be closing it at that moment. They are closed by the next one.
type garbage struct {
	some atomic.Bool
	mu   sync.Mutex
	list []*prepared
}

func (g *garbage) add(p *prepared) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, p)
	g.some.Store(true)
}

func (g *garbage) take() []*prepared {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.list
	g.list = nil
	g.some.Store(false)
	return list
}

// own prepares a statement that belongs to a virtual one. Inside the guard.
func (s *Session) own(ctx context.Context, sql string) (*prepared, error) {
	p, err := s.prepare(ctx, sql)
	if err != nil {
		return nil, err
	}
	if s.stmts == nil {
		s.stmts = make(map[*prepared]struct{})
	}
	s.stmts[p] = struct{}{}
	p.declared = p.stmt.NumInput()
	return p, nil
}

// disown closes such a statement. Inside the guard.
func (s *Session) disown(p *prepared) error {
	delete(s.stmts, p)
	return p.close()
}

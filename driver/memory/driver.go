package memory

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// conn is a place in lifecycle.Connections: the right to run one operation at a
// time. The data are not in it, so that closing it loses nothing.
type conn struct {
	name        string
	mem         *memdb.MemDB
	interrupted atomic.Bool // until Reset
}

// driver hands out conns. Nothing that it does can fail or take time.
type driver struct {
	name string
	mem  *memdb.MemDB
}

var (
	_ lifecycle.Driver[*conn] = driver{}
	_ lifecycle.Validator     = driver{}
)

func (d driver) Open(context.Context, lifecycle.OpenInfo) (*conn, error) {
	return &conn{name: d.name, mem: d.mem}, nil
}

func (driver) Interrupt(c *conn) { c.interrupted.Store(true) }

// Reset has nothing to roll back: run has ended the transaction, however its callback left.
func (driver) Reset(c *conn) error {
	c.interrupted.Store(false)
	return nil
}

func (driver) Close(*conn) error { return nil }

func (driver) Validate(context.Context) error { return nil }

// Validated knows that nobody else can have changed anything.
func (driver) Validated(context.Context) (lifecycle.Change, error) { return lifecycle.ChangeNo, nil }

// run calls fn with a transaction, and ends that however fn leaves.
func (c *conn) run(ctx context.Context, write bool, fn func(*Txn) error) error {
	t := &Txn{ctx: ctx, conn: c, write: write, mem: c.mem.Txn(write)}
	defer t.end()
	if err := fn(t); err != nil || !write {
		return err
	}
	return t.commit()
}

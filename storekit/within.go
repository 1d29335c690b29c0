package storekit

import (
	"context"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

// Within returns a database whose transactions are parts of the one that is
// open on c: View joins it, Update is a savepoint in it, which is undone alone
// when its function fails. So what an author has written for a Store, each call
// a transaction of its own, also serves inside a transaction of somebody else's.
// It lasts as long as c may be used.
func Within(c *sqlite.Conn) kv.DB { return within{c} }

type within struct{ c *sqlite.Conn }

func (w within) View(ctx context.Context, fn func(*sqlite.Conn) error) error {
	return w.c.View(ctx, fn)
}

func (w within) Update(ctx context.Context, fn func(*sqlite.Conn) error) error {
	return w.c.Savepoint(ctx, fn)
}

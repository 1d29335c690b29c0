package sqldb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/internal/goroutine"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Options says how virtual connections behave.
type Options struct {
	// SingleWriter makes transactions that may write, and statements that
	// write, take turns with each other and with lifecycle's Write, so that
	// within the process none meets another's lock ("database is locked").
	// BeginTx without ReadOnly, and BEGIN and SAVEPOINT as text, count as
	// writing; a transaction with ReadOnly returns ErrReadOnly for a statement that writes.
	SingleWriter bool
}

// facade is what the virtual connections of one store have in common.
type facade struct {
	Options
	name string

	mu   sync.Mutex
	open map[*conn]entered // the transactions that are open
}

// entered is a transaction that is open.
type entered struct {
	session *Session
	since   time.Time
}

// NewConnector makes a connector of virtual connections, which are the Foreign
// connections of conns. session returns what Open of conns' driver has made with
// NewSession. drv is what the connector's Driver returns; it may be nil.
//
// It is for authors of lifecycle's drivers; Open is what a program needs.
func NewConnector[C comparable](conns *lifecycle.Connections[C], session func(C) *Session, drv driver.Driver, o Options) driver.Connector {
	return newConnector(conns, session, drv, o, func() bool { return false })
}

// newConnector is NewConnector for a driver that may convert arguments itself; checks says whether it does.
func newConnector[C comparable](conns *lifecycle.Connections[C], session func(C) *Session, drv driver.Driver, o Options, checks func() bool) *connector {
	f := &facade{Options: o, name: conns.Name(), open: make(map[*conn]entered)}
	return &connector{driver: drv, connect: func() driver.Conn {
		c := &conn{f: f}
		h := &foreign[C]{conn: conns.Foreign(), session: session}
		h.conn.OnWait(func() error { return f.nested(c) })
		c.h = h
		if checks() {
			return checkedConn{c}
		}
		return c
	}}
}

// connector makes virtual connections. It opens nothing.
type connector struct {
	driver  driver.Driver
	connect func() driver.Conn
}

// Connect makes a virtual connection.
func (c *connector) Connect(context.Context) (driver.Conn, error) { return c.connect(), nil }

// Driver returns the driver of the physical connections.
func (c *connector) Driver() driver.Driver { return c.driver }

// foreign is the handle of a virtual connection.
type foreign[C comparable] struct {
	conn    *lifecycle.ForeignConn[C]
	session func(C) *Session
}

func (h *foreign[C]) begin(ctx context.Context, write bool) (*Session, bool, error) {
	begin := h.conn.Begin
	if write {
		begin = h.conn.BeginWrite
	}
	c, fresh, err := begin(ctx)
	if err != nil {
		return nil, false, err
	}
	return h.session(c), fresh, nil
}

func (h *foreign[C]) promote(ctx context.Context) error { return h.conn.Promote(ctx) }
func (h *foreign[C]) demote()                           { h.conn.Demote() }
func (h *foreign[C]) end(err error) error               { return h.conn.End(err) }
func (h *foreign[C]) close() error                      { return h.conn.Close() }

// NestedError is returned to code that, inside a transaction, asks for a second
// connection while a pause waits for that transaction to end, or while the
// transaction is the writer that the second one would have to wait for. Neither
// could go on. It matches lifecycle.ErrNested, and comes after a tenth of a
// second. Only a call from the goroutine that used the transaction last is taken
// for one inside it; any other waits until the pause has cut the transaction.
type NestedError struct {
	Store       string
	Transaction string        // what the transaction did last
	Held        time.Duration // how long it has been open
}

// Error names both sides.
func (e *NestedError) Error() string {
	return fmt.Sprintf("%s: a second connection was asked for inside a transaction (open for %v; %s), which has to end first: use the transaction for it",
		e.Store, e.Held.Round(time.Millisecond), e.Transaction)
}

// Unwrap returns lifecycle.ErrNested.
func (e *NestedError) Unwrap() error { return lifecycle.ErrNested }

// entered and left tell of a virtual connection's transaction.
func (f *facade) entered(c *conn) {
	c.user.Store(goroutine.ID())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = entered{c.s, time.Now()}
}

func (f *facade) left(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}

// nested returns an error where the caller, who is about to wait, would wait for himself.
func (f *facade) nested(c *conn) error {
	me := goroutine.ID()
	f.mu.Lock()
	defer f.mu.Unlock()
	for other, e := range f.open {
		if other != c && me != 0 && other.user.Load() == me {
			return &NestedError{Store: f.name, Transaction: e.session.Describe(), Held: time.Since(e.since)}
		}
	}
	return nil
}

package memory

import (
	"context"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// DB is an in-memory database. All its methods may be called from any number of goroutines.
type DB struct {
	conns  *lifecycle.Connections[*conn]
	strict bool
}

var _ lifecycle.Pausable = (*DB)(nil)

// Open makes an empty database. It returns a *lifecycle.ConfigError for a
// schema or a setting that cannot be, and the context's error where ctx has ended.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Name == "" {
		cfg.Name = "memory"
	}
	if ctx.Err() != nil {
		return nil, &lifecycle.StateError{Store: cfg.Name, Op: "open", Err: context.Cause(ctx)}
	}
	mem, err := newMemDB(cfg.Schema)
	if err != nil {
		return nil, err
	}
	conns, err := lifecycle.Open(ctx, driver{cfg.Name, mem}, cfg.lifecycle())
	if err != nil {
		return nil, err
	}
	return &DB{conns, cfg.Strict}, nil
}

// Read calls fn with a snapshot of the database: what was committed when Read
// began. Any number of Reads run at a time, beside each other and beside a
// Write. fn must not keep the Txn.
//
// Read returns fn's error. Without calling fn it returns lifecycle.ErrClosed,
// the context's error or, from a strict database, lifecycle.ErrPaused. A panic in fn is passed on.
func (db *DB) Read(ctx context.Context, fn func(*Txn) error) error {
	return db.conns.Read(ctx, func(c *conn) error { return c.run(ctx, false, fn) })
}

// Write calls fn with a transaction, and commits when fn returns nil. When fn
// returns an error, panics or calls runtime.Goexit, nothing has changed. One
// Write runs at a time, in the order of their coming; ctx bounds the waiting.
//
// Write returns nil when the changes are committed, and only then. An
// interrupt before that (ctx ended, a pause of a strict database or a Close did
// not wait any longer) makes it lifecycle.ErrInterrupted, even where fn returned nil. Without
// calling fn it returns what Read returns then, and lifecycle.ErrNested for a Write in a Write,
// where it can tell. A panic in fn is passed on.
func (db *DB) Write(ctx context.Context, fn func(*Txn) error) error {
	return db.conns.Write(ctx, func(c *conn) error { return c.run(ctx, true, fn) })
}

// Pause returns nil and changes nothing. On a strict database it refuses new
// work and waits for operations in flight, as lifecycle.Connections.Pause
// does; the data stay.
func (db *DB) Pause(ctx context.Context) error {
	if !db.strict {
		return nil
	}
	return db.conns.Pause(ctx)
}

// Resume returns nil and changes nothing; lifecycle.ErrClosed after Close. On
// a strict database it lets work in again, as lifecycle.Connections.Resume does.
func (db *DB) Resume(ctx context.Context) error {
	// Without Strict nothing but Close makes the database leave Active, where Resume has nothing to do.
	return db.conns.Resume(ctx)
}

// Close refuses work for good with lifecycle.ErrClosed, and waits for
// operations in flight as lifecycle.Connections.Close does, in both modes. Closing what is closed
// returns nil. The data are freed when nobody has the DB or one of its rows any more.
func (db *DB) Close(ctx context.Context) error { return db.conns.Close(ctx) }

// Name returns the database's name.
func (db *DB) Name() string { return db.conns.Name() }

// State returns the state at this moment. Without Strict it is Active until Close.
func (db *DB) State() lifecycle.State { return db.conns.State() }

// Subscribe returns a channel that delivers the state now and after every
// change, the latest one only. stop ends the subscription and closes the channel.
func (db *DB) Subscribe() (states <-chan lifecycle.State, stop func()) { return db.conns.Subscribe() }

// Report returns what the last transition that ran to its end did: of Open, a
// Close, and with Strict of a Pause or a Resume. It must not be changed.
func (db *DB) Report() *lifecycle.Report { return db.conns.Report() }

// Generation counts the lives of the database: 1 after Open, one more after
// every Resume that ended a pause of a strict database.
func (db *DB) Generation() uint64 { return db.conns.Generation() }

// Holders lists the operations that run at this moment.
func (db *DB) Holders() []lifecycle.Holder { return db.conns.Holders() }

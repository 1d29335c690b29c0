package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Config says how Open pauses a database.
type Config struct {
	// Name is the store's name in errors, reports and events. Default "sql".
	Name string

	// Timeout bounds a Pause, a Resume and a Close whose context has no
	// deadline, and the waiting of the Wait policy. Default 5 s.
	Timeout time.Duration

	// Grace is how long a pause lets queries and transactions run before it
	// interrupts them. The default is half of Timeout.
	Grace time.Duration

	// WhenPaused says what happens to a query while the database is paused.
	// The default is to fail with lifecycle.ErrPaused; lifecycle.Wait lets it wait for the Resume.
	WhenPaused lifecycle.Policy

	// StartPaused opens nothing: the first Resume does.
	StartPaused bool

	// Path is the file that the database lives in, where it lives in one. A
	// Resume then fails with lifecycle.ErrMissing where it is gone, and with
	// ErrReplaced where another file has its place; driver/sqlite knows more.
	Path string

	// Setup runs on every physical connection, right after it was opened. It is
	// the place for settings that the data source name does not have.
	Setup func(ctx context.Context, conn driver.Conn) error

	// Verify is asked at the end of every Pause whether anything is still held, where it is set.
	Verify func(ctx context.Context) error

	// Session says how physical connections are used.
	Session SessionConfig

	// Options says how virtual connections behave.
	Options

	// Observer is told of changes of state. It may be nil.
	Observer lifecycle.Observer
}

// Store is a database of database/sql that can be paused. Its methods are
// those of lifecycle.Connections and may be called from any number of goroutines.
type Store struct {
	conns *lifecycle.Connections[*Session]
	db    *sql.DB
}

var _ lifecycle.Pausable = (*Store)(nil)

// Open makes a database of virtual connections over connector. One physical
// connection is opened at once, and by every Resume, so that what cannot be
// opened is known there; it serves the first query.
func Open(ctx context.Context, connector driver.Connector, cfg Config) (*Store, error) {
	if cfg.Name == "" {
		cfg.Name = "sql"
	}
	d := &source{connector: connector, cfg: cfg}
	conns, err := lifecycle.Open(ctx, d.driver(), lifecycle.Config[*Session]{
		Name: cfg.Name, MaxReaders: 1, Timeout: cfg.Timeout, Grace: cfg.Grace,
		WhenPaused: cfg.WhenPaused, StartPaused: cfg.StartPaused, Verify: cfg.Verify != nil, Observer: cfg.Observer,
	})
	if err != nil {
		return nil, err
	}
	virtual := newConnector(conns, func(s *Session) *Session { return s }, connector.Driver(), cfg.Options, d.checks.Load)
	return &Store{conns, sql.OpenDB(virtual)}, nil
}

// OpenDriver is Open for a driver that is registered with database/sql.
func OpenDriver(ctx context.Context, driverName, source string, cfg Config) (*Store, error) {
	db, err := sql.Open(driverName, source)
	if err != nil {
		return nil, err
	}
	drv := db.Driver()
	if err := db.Close(); err != nil { // it was asked for its driver, and has opened nothing
		return nil, err
	}
	connector := driver.Connector(dataSource{drv, source})
	if withContext, ok := drv.(driver.DriverContext); ok {
		if connector, err = withContext.OpenConnector(source); err != nil {
			return nil, err
		}
	}
	return Open(ctx, connector, cfg)
}

// SQL returns the database. Every call returns the same; its Close does not
// close the Store, which closes it.
func (s *Store) SQL() *sql.DB { return s.db }

// Name returns the store's name.
func (s *Store) Name() string { return s.conns.Name() }

// Pause gives back every physical connection, as lifecycle.Connections.Pause does.
func (s *Store) Pause(ctx context.Context) error { return s.conns.Pause(ctx) }

// Resume opens the database again, as lifecycle.Connections.Resume does.
func (s *Store) Resume(ctx context.Context) error { return s.conns.Resume(ctx) }

// Close is Pause for good. It closes the *sql.DB too.
func (s *Store) Close(ctx context.Context) error {
	return errors.Join(s.conns.Close(ctx), s.db.Close())
}

// State returns the state.
func (s *Store) State() lifecycle.State { return s.conns.State() }

// Subscribe returns the changes of state, as lifecycle.Connections.Subscribe does.
func (s *Store) Subscribe() (<-chan lifecycle.State, func()) { return s.conns.Subscribe() }

// Report returns what the last Pause, Resume or Close did.
func (s *Store) Report() *lifecycle.Report { return s.conns.Report() }

// Stats counts what there is.
func (s *Store) Stats() lifecycle.Stats { return s.conns.Stats() }

// Holders lists the queries and transactions that are in flight.
func (s *Store) Holders() []lifecycle.Holder { return s.conns.Holders() }

// Generation counts the store's lives.
func (s *Store) Generation() uint64 { return s.conns.Generation() }

// dataSource is a connector of a driver that has none.
type dataSource struct {
	driver driver.Driver
	name   string
}

func (c dataSource) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.name) }
func (c dataSource) Driver() driver.Driver                        { return c.driver }

func openError(name string, err error) error {
	return fmt.Errorf("%s: open a connection: %w", name, err)
}

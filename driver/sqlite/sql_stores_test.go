package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// What the tests of pitfalls run on: every *sql.DB that can be paused.

// sqlStore is a *sql.DB and what pauses it.
type sqlStore struct {
	*sql.DB
	lifecycle.Pausable
	State   func() lifecycle.State
	shut    func(context.Context) error
	holders func() []lifecycle.Holder
	store   *sqlite.DB // nil above sqldb.OpenDriver
	engine  sqlite.Engine
	path    string
	asks    bool // the driver's connection says whether a transaction is open
}

// sqlSettings is what both kinds of store have.
type sqlSettings struct {
	single, fail         bool
	grace, timeout, busy time.Duration
}

// patientSQL is for tests in which nothing is cut.
var patientSQL = sqlSettings{grace: patienceOfTests, timeout: 2 * patienceOfTests}

// hastySQL is for tests in which pauses cut. Only cut's have a short deadline.
var hastySQL = sqlSettings{grace: 5 * time.Millisecond, timeout: patienceOfTests}

// onSQL runs a test on every kind of store, with an empty table t (v), and
// looks for goroutines that remain.
func onSQL(t *testing.T, set sqlSettings, test func(t *testing.T, s *sqlStore)) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, kind := range []string{"store", "driver"} {
			t.Run(kind, func(t *testing.T) {
				before := goleak.IgnoreCurrent()
				t.Cleanup(func() { goleak.VerifyNone(t, before) })
				s := openSQLStore(t, engine, kind, set)
				_, err := s.Exec(`DROP TABLE t; CREATE TABLE t (v)`)
				must(t, err)
				test(t, s)
			})
		}
	})
}

func openSQLStore(t *testing.T, engine sqlite.Engine, kind string, set sqlSettings) *sqlStore {
	s := &sqlStore{engine: engine, path: filepath.Join(t.TempDir(), "test.db")}
	policy := lifecycle.Wait
	if set.fail {
		policy = lifecycle.Fail
	}
	if kind == "store" {
		store := open(t, engine, func(c *sqlite.Config) {
			c.Path, c.SingleWriter, c.WhenPaused = makeDB(t, engine, s.path), set.single, policy
			c.Grace, c.Timeout, c.BusyTimeout = set.grace, set.timeout, set.busy
		})
		s.DB, s.Pausable, s.State, s.shut, s.holders, s.store, s.asks = store.SQL(), store, store.State, store.Close, store.Holders, store, true
		return s
	}
	store := openDriver(t, engine, s.path, set.busy, func(c *sqldb.Config) {
		c.SingleWriter, c.WhenPaused, c.Grace, c.Timeout = set.single, policy, set.grace, set.timeout
	})
	s.DB, s.Pausable, s.State, s.shut, s.holders, s.asks = store.SQL(), store, store.State, store.Close, store.Holders, engine.Name() == "mattn"
	return s
}

// Close is the *sql.DB's; the test's own clean-up closes the store.
func (s *sqlStore) Close() error { return s.DB.Close() }

// pausing starts a Pause, which waits for what is in flight.
func (s *sqlStore) pausing(t *testing.T) <-chan error {
	t.Helper()
	paused := goErr(func() error { return s.Pause(ctx) })
	eventually(t, "the store pauses", func() bool { return s.State() == lifecycle.Pausing })
	return paused
}

// waits checks that something has not ended.
func waits[T any](t *testing.T, what string, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("%s has ended: %v; want it to wait", what, v)
	case <-time.After(10 * time.Millisecond):
	}
}

// cut pauses although something does not end.
func (s *sqlStore) cut(t *testing.T) *lifecycle.HeldError {
	t.Helper()
	err := s.Pause(deadline(t, 15*time.Millisecond))
	var held *lifecycle.HeldError
	if err != nil && !errors.As(err, &held) {
		t.Fatalf("Pause: %v", err)
	}
	for until := time.Now().Add(patienceOfTests); err != nil && time.Now().Before(until); {
		err = s.Pause(ctx) // it goes on by itself
	}
	must(t, err)
	return held
}

// cycle pauses and resumes.
func (s *sqlStore) cycle(t *testing.T) {
	t.Helper()
	must(t, s.Pause(ctx))
	must(t, s.Resume(ctx))
}

// interrupted checks the error of what was cut.
func interrupted(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, lifecycle.ErrInterrupted) {
		t.Errorf("%s: %v, want ErrInterrupted", what, err)
	}
	if errors.Is(err, driver.ErrBadConn) {
		t.Errorf("%s: %v matches ErrBadConn: database/sql would repeat what had begun", what, err)
	}
}

// one scans the one value that a query returns.
func one[T any](t *testing.T, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, query string, args ...any) (v T) {
	t.Helper()
	if err := q.QueryRowContext(ctx, query, args...).Scan(&v); err != nil {
		t.Errorf("%s: %v", query, err)
	}
	return v
}

func wantCount(t *testing.T, s *sqlStore, want int) {
	t.Helper()
	if got := countSQL(t, s); got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
}

// pin pins a connection until the end of the test.
func (s *sqlStore) pin(t *testing.T) *sql.Conn {
	t.Helper()
	c, err := s.Conn(ctx)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() }) // an error where the test closed it
	return c
}

func execSQL(t *testing.T, q queryer, text string, args ...any) {
	t.Helper()
	if _, err := q.ExecContext(ctx, text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

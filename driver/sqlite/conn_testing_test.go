package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// openConn opens a connection that is closed at the end of the test.
func openConn(tb testing.TB, engine sqlite.Engine, path string, open sqlite.OpenOptions, o sqlite.ConnOptions) *sqlite.Conn {
	tb.Helper()
	raw, err := engine.Open(path, open)
	must(tb, err)
	c := sqlite.NewConn(engine, raw, path, o)
	tb.Cleanup(func() { _ = c.CloseConn() }) // an error where the test closed it, or severed it
	return c
}

// connOn opens a connection to a new database in WAL mode, in an operation.
func connOn(tb testing.TB, engine sqlite.Engine, schema string) *sqlite.Conn {
	tb.Helper()
	c := openConn(tb, engine, filepath.Join(tb.TempDir(), "test.db"), sqlite.OpenOptions{Create: true}, sqlite.ConnOptions{})
	c.SetOp(tb.Context())
	must(tb, c.ExecScript(tb.Context(), "PRAGMA journal_mode=wal;"+schema))
	return c
}

// scanOne reads the one row that a statement returns, outside of what is being tested.
func scanOne[T any](tb testing.TB, c *sqlite.Conn, query string, args ...any) (v T) {
	tb.Helper()
	if err := c.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return v
}

// slowRead counts for seconds in its first step; slowLater returns a row first.
const (
	slowRead  = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300000000) SELECT count(*) FROM n`
	slowLater = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300000000) SELECT i FROM n WHERE i = 1 OR i > 299999999`
	slowWrite = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300000000) INSERT INTO t (v) SELECT i FROM n WHERE i % 1000 = 0`
)

// watchdog fails the test, with the stacks of all goroutines, if f does not return in a generous time.
func watchdog(tb testing.TB, what string, f func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		tb.Fatalf("%s did not end within 30 s", what)
	}
}

// newLike returns a pointer to a zero value of v's type.
func newLike(v any) any { return reflect.New(reflect.TypeOf(v)).Interface() }

// deref returns what p points to.
func deref(p any) any { return reflect.ValueOf(p).Elem().Interface() }

package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Drivers of every kind below a Store. What SQLite's do is tested in driver/sqlite.

var ctx = context.Background()

// open opens a Store on f that has nothing open after any of its pauses.
func open(t *testing.T, f *fake, change func(*sqldb.Config)) (*sql.DB, *sqldb.Store) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	cfg := sqldb.Config{Verify: f.verify, Grace: 20 * time.Second, Timeout: 40 * time.Second}
	if change != nil {
		change(&cfg)
	}
	store, err := sqldb.Open(ctx, f, cfg)
	must(t, err)
	t.Cleanup(func() {
		must(t, store.Close(ctx))
		must(t, f.verify(ctx))
	})
	return store.SQL(), store
}

func cycle(t *testing.T, store *sqldb.Store) {
	t.Helper()
	must(t, store.Pause(ctx))
	must(t, store.Resume(ctx))
}

func count(t *testing.T, rows *sql.Rows, err error) (n int) {
	t.Helper()
	must(t, err)
	for rows.Next() {
		n++
	}
	must(t, errors.Join(rows.Err(), rows.Close()))
	return n
}

func TestDriverWithoutAnythingOptional(t *testing.T) {
	f := &fake{}
	db, store := open(t, f, nil)
	if _, opened := f.counts(); opened != 1 {
		t.Errorf("%d connections were opened by Open, want 1", opened)
	}
	insert, err := db.Prepare(`INSERT ?`)
	must(t, err)
	if _, opened := f.counts(); opened != 1 {
		t.Errorf("%d connections were opened, want the first one to serve the first query", opened)
	}
	pinned, err := db.Conn(ctx)
	must(t, err)
	for range 3 {
		_, err := insert.Exec(1)
		must(t, err)
		_, err = db.Exec(`INSERT ?`, 2)
		must(t, err)
		rows, err := pinned.QueryContext(ctx, `SELECT 3`)
		if n := count(t, rows, err); n != 3 {
			t.Errorf("%d rows, want 3", n)
		}
		must(t, db.Ping())
		tx, err := db.Begin()
		must(t, err)
		_, err = tx.Exec(`INSERT ?`, 3)
		must(t, err)
		_, err = tx.Stmt(insert).Exec(4)
		must(t, err)
		must(t, tx.Rollback())
		cycle(t, store)
	}
	if n := f.inserted(); n != 6 {
		t.Errorf("%d values were written, want 6", n)
	}
	for what, opts := range map[string]*sql.TxOptions{"read-only": {ReadOnly: true}, "isolation": {Isolation: sql.LevelSerializable}} {
		if _, err := db.BeginTx(ctx, opts); err == nil {
			t.Errorf("a transaction with an option (%s) that the driver does not have: no error", what)
		}
	}
	if _, err := db.Exec(`INSERT ?`); err == nil {
		t.Error("too few arguments: no error")
	}
	if _, err := db.Exec(`INSERT ?`, sql.Named("a", 1)); err == nil || !strings.Contains(err.Error(), "named") {
		t.Errorf("a named argument of a driver that has none: %v", err)
	}
	if _, err := db.Exec(`INSERT ?`, point{}); err == nil {
		t.Error("a type that no driver knows: no error")
	}
	must(t, errors.Join(insert.Close(), pinned.Close()))
}

func TestStoreOfADriverThatSeesNoContexts(t *testing.T) {
	f := &fake{block: make(chan struct{})}
	db, store := open(t, f, func(c *sqldb.Config) { c.Grace, c.Timeout = 5*time.Millisecond, 20*time.Millisecond })
	done := make(chan error, 1)
	go func() { _, err := db.Exec(`BLOCK`); done <- err }()
	for f.blocked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	err := store.Pause(ctx)
	var held *lifecycle.HeldError
	if !errors.As(err, &held) || !strings.Contains(err.Error(), "BLOCK") {
		t.Errorf("Pause with a statement that nothing stops: %v, want a HeldError that names it", err)
	}
	close(f.block)
	<-done
	for until := time.Now().Add(time.Minute); err != nil && time.Now().Before(until); {
		err = store.Pause(ctx)
	}
	must(t, err)
	must(t, store.Resume(ctx))
	_, err = db.Exec(`INSERT`)
	must(t, err)
}

func TestStatementThatConvertsItsArguments(t *testing.T) {
	convertsArguments(t, &fake{stmt: func(s *fakeStmt) driver.Stmt { return checkedStmt{s} }})
}

func TestConnectionThatConvertsItsArguments(t *testing.T) {
	convertsArguments(t, &fake{wrap: func(c *fakeConn) driver.Conn { return checkedConn{c} }})
}

func convertsArguments(t *testing.T, f *fake) {
	db, store := open(t, f, nil)
	insert, err := db.Prepare(`INSERT ?`)
	must(t, err)
	for range 2 {
		_, err = insert.Exec(point{3, 4})
		must(t, err)
		_, err = insert.Exec(5)
		must(t, err)
		cycle(t, store)
	}
	if want := []any{"3/4", int64(5), "3/4", int64(5)}; !slices.Equal(f.written, want) {
		t.Errorf("%v was written, want %v", f.written, want)
	}
	must(t, store.Pause(ctx))
	if _, err := insert.Exec(point{}); !errors.Is(err, lifecycle.ErrPaused) {
		t.Errorf("while paused: %v", err)
	}
	must(t, store.Resume(ctx))
	must(t, insert.Close())
}

func TestConnectionThatCannotBeResetIsReplaced(t *testing.T) {
	f := &fake{wrap: func(c *fakeConn) driver.Conn { return &resetConn{fakeConn: c} }}
	db, store := open(t, f, nil)
	db.SetMaxOpenConns(1)
	for range 9 {
		_, err := db.Exec(`INSERT`)
		must(t, err)
	}
	if _, opened := f.counts(); opened < 3 {
		t.Errorf("%d connections were opened, and every third reset failed", opened)
	}
	f.set(func() { f.invalid = true })
	_, before := f.counts()
	for range 3 {
		_, err := db.Exec(`INSERT`)
		must(t, err)
	}
	if _, opened := f.counts(); opened < before+2 {
		t.Errorf("%d connections were opened, and none stayed valid", opened-before)
	}
	f.set(func() { f.invalid = false })
	if f.inserted() != 12 {
		t.Errorf("%d values were written, want 12", f.inserted())
	}
	cycle(t, store)
}

func TestBadConnectionIsReplaced(t *testing.T) {
	f := &fake{}
	db, store := open(t, f, nil)
	_, err := db.Exec(`INSERT`)
	must(t, err)
	f.set(func() { f.bad = 1 })
	_, err = db.Exec(`INSERT`) // database/sql does it again
	must(t, err)
	st, err := db.Prepare(`INSERT ?`)
	must(t, err)
	f.set(func() { f.bad = 1 })
	_, err = st.Exec(1)
	must(t, err)
	tx, err := db.Begin()
	must(t, err)
	f.set(func() { f.bad = 1 })
	if _, err = tx.Exec(`INSERT`); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("in a transaction: %v, want the driver's own error", err)
	}
	_ = tx.Rollback()
	must(t, st.Close())
	cycle(t, store)
	if f.inserted() != 3 {
		t.Errorf("%d values were written, want 3", f.inserted())
	}
}

func TestRowsOfSeveralSets(t *testing.T) {
	db, store := open(t, &fake{multi: true}, nil)
	for range 2 {
		rows, err := db.Query(`SELECT 3`)
		must(t, err)
		var all []int
		for {
			for rows.Next() {
				var n int
				must(t, rows.Scan(&n))
				all = append(all, n)
			}
			if !rows.NextResultSet() {
				break
			}
			if names, err := rows.Columns(); err != nil || !slices.Equal(names, []string{"second"}) {
				t.Errorf("columns of the second set: %v %v", names, err)
			}
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
		if want := []int{1, 2, 3, 11, 12}; !slices.Equal(all, want) {
			t.Errorf("rows %v, want %v", all, want)
		}
		cycle(t, store)
	}
}

func TestDriverThatPanics(t *testing.T) {
	calls := map[string]func(*sql.DB) error{
		"Exec": func(db *sql.DB) error { _, err := db.Exec(`PANIC`); return err },
		"Stmt": func(db *sql.DB) error {
			st, err := db.Prepare(`PANIC`)
			if err != nil {
				return err
			}
			defer st.Close() //nolint:errcheck // it panics
			_, err = st.Exec()
			return err
		},
		"Query": func(db *sql.DB) error { _, err := db.Query(`PANIC`); return err }, //nolint:rowserrcheck // it panics
		"Tx": func(db *sql.DB) error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			defer tx.Rollback() //nolint:errcheck // it panics
			_, err = tx.Exec(`PANIC`)
			return err
		},
	}
	for what, call := range calls {
		t.Run(what, func(t *testing.T) {
			f := &fake{}
			db, store := open(t, f, nil)
			for range 2 {
				func() {
					defer func() {
						if v := recover(); v == nil {
							t.Error("the panic has not reached its caller")
						}
					}()
					t.Error(call(db))
				}()
				must(t, store.Pause(ctx)) // what has panicked is not in flight any more
				must(t, store.Resume(ctx))
				_, err := db.Exec(`INSERT`)
				must(t, err)
			}
		})
	}
}

func TestConnectThatFails(t *testing.T) {
	down := errors.New("fake: nobody is there")
	f := &fake{fail: down}
	if _, err := sqldb.Open(ctx, f, sqldb.Config{}); !errors.Is(err, down) {
		t.Errorf("Open: %v", err)
	}
	f.fail = nil
	db, store := open(t, f, nil)
	must(t, db.Ping())
	must(t, store.Pause(ctx))
	f.set(func() { f.fail = down })
	if err := store.Resume(ctx); !errors.Is(err, down) {
		t.Errorf("Resume: %v", err)
	}
	f.set(func() { f.fail = nil })
	must(t, store.Resume(ctx))
	c, err := db.Conn(ctx)
	must(t, err)
	must(t, c.PingContext(ctx))
	f.set(func() { f.fail = down })
	if _, err := db.Exec(`INSERT`); !errors.Is(err, down) { // a second connection
		t.Errorf("Exec: %v", err)
	}
	f.set(func() { f.fail = nil })
	_, err = db.Exec(`INSERT`)
	must(t, err)
	must(t, c.Close())
}

func TestSetupThatFails(t *testing.T) {
	f := &fake{}
	wrong := errors.New("wrong")
	for _, setup := range []func(context.Context, driver.Conn) error{
		func(context.Context, driver.Conn) error { return wrong },
		func(context.Context, driver.Conn) error { panic(wrong) },
	} {
		if _, err := sqldb.Open(ctx, f, sqldb.Config{Setup: setup}); !errors.Is(err, wrong) {
			t.Errorf("Open: %v", err)
		}
		must(t, f.verify(ctx))
	}
}

func TestPingIsTheDrivers(t *testing.T) {
	db, store := open(t, &fake{wrap: func(c *fakeConn) driver.Conn { return pingConn{c} }}, nil)
	if err := db.Ping(); !errors.Is(err, errPing) {
		t.Errorf("Ping: %v", err)
	}
	cycle(t, store)
}

func TestStoreThatStartsPaused(t *testing.T) {
	f := &fake{}
	db, store := open(t, f, func(c *sqldb.Config) { c.StartPaused = true })
	if _, err := db.Exec(`INSERT`); !errors.Is(err, lifecycle.ErrPaused) {
		t.Errorf("before the first Resume: %v", err)
	}
	if _, opened := f.counts(); opened != 0 {
		t.Errorf("%d connections were opened", opened)
	}
	must(t, store.Resume(ctx))
	_, err := db.Exec(`INSERT`)
	must(t, err)
}

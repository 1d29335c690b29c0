package sqlite_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// What the tests of the store share.

// openWithRow opens a store with one row in a table t (v).
func openWithRow(t testing.TB, engine sqlite.Engine, change func(*sqlite.Config)) *sqlite.DB {
	t.Helper()
	db := open(t, engine, change)
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, `CREATE TABLE t (v); INSERT INTO t VALUES ('kept')`)
	}))
	return db
}

// makeDB makes such a database at path, and leaves it closed.
func makeDB(t testing.TB, engine sqlite.Engine, path string) string {
	t.Helper()
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path})
	must(t, err)
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, `CREATE TABLE t (v); INSERT INTO t VALUES ('kept')`)
	}))
	must(t, db.Close(ctx))
	return path
}

// reopen opens what is there; the caller closes it.
func reopen(t testing.TB, engine sqlite.Engine, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, Verify: true})
	must(t, err)
	return db
}

func readRow(t testing.TB, db *sqlite.DB) (v string) {
	t.Helper()
	must(t, db.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT v FROM t`).Scan(&v) }))
	return v
}

func setRow(c *sqlite.Conn, v string) error {
	_, err := c.Exec(ctx, `UPDATE t SET v = ?`, v)
	return err
}

// goErr runs f on a goroutine of its own.
func goErr(f func() error) <-chan error { return goValue(f) }

func goValue[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// patienceOfTests is how long a test waits for what has to come. It is no measurement.
const patienceOfTests = 60 * time.Second

// within waits for a result that must match want.
func within(t testing.TB, what string, errs <-chan error, want error) {
	t.Helper()
	select {
	case err := <-errs:
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s returned %v, want %v", what, err, want)
		}
	case <-time.After(patienceOfTests):
		t.Fatalf("%s has not returned after %v", what, patienceOfTests)
	}
}

// awaitState waits until the store is in a state.
func awaitState(t testing.TB, db *sqlite.DB, want lifecycle.State) {
	t.Helper()
	states, stop := db.Subscribe()
	defer stop()
	for after := time.After(patienceOfTests); ; {
		select {
		case s := <-states:
			if s == want {
				return
			}
		case <-after:
			t.Fatalf("the store is %v and does not become %v", db.State(), want)
		}
	}
}

// settled waits until the store is at rest, and returns its state.
func settled(t testing.TB, db *sqlite.DB) lifecycle.State {
	t.Helper()
	states, stop := db.Subscribe()
	defer stop()
	for after := time.After(patienceOfTests); ; {
		select {
		case s := <-states:
			if s == lifecycle.Active || s == lifecycle.Paused || s == lifecycle.Closed {
				return s
			}
		case <-after:
			t.Fatalf("the store is %v and does not come to rest", db.State())
		}
	}
}

// eventually waits for something that nobody tells.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patienceOfTests); time.Now().Before(until); {
		if done() {
			return
		}
		time.Sleep(time.Millisecond) // between two looks
	}
	t.Fatalf("it has not happened that %s", what)
}

// awaitHolder waits until an operation with the label has its connection.
func awaitHolder(t testing.TB, db *sqlite.DB, label string) {
	t.Helper()
	eventually(t, "an operation "+label+" has begun", func() bool {
		return slices.ContainsFunc(db.Holders(), func(h lifecycle.Holder) bool { return h.Label == label })
	})
}

// released checks the operating system's proof of a pause, for files that others may hold.
func released(t testing.TB, paths ...string) {
	t.Helper()
	held, err := sqlite.HeldBySelf(ctx, paths...)
	must(t, err)
	if err := held.Err(); err != nil {
		t.Errorf("nothing may be held here: %v", err)
	}
}

// entry is what a directory shows of one name.
type entry struct {
	mode fs.FileMode
	sum  string // of a regular file's content
}

// listing shows everything below dir. No database in it may be open.
func listing(t testing.TB, dir string) map[string]entry {
	t.Helper()
	all := map[string]entry{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode()}
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.sum = fmt.Sprintf("%d bytes, %x", len(content), sha256.Sum256(content))
		}
		all[path] = e
		return nil
	}))
	return all
}

// sameListing checks that nothing has changed below dir.
func sameListing(t testing.TB, dir string, before map[string]entry) {
	t.Helper()
	after := listing(t, dir)
	for path, e := range after {
		switch was, known := before[path]; {
		case !known:
			t.Errorf("%s remains, and was not there before", path)
		case was != e:
			t.Errorf("%s was changed: %v, it was %v", path, e, was)
		}
	}
	for path := range before {
		if _, there := after[path]; !there {
			t.Errorf("%s is gone", path)
		}
	}
}

// blocker is a callback that stays until it is let go.
type blocker struct{ began, release chan struct{} }

func newBlocker() *blocker { return &blocker{make(chan struct{}), make(chan struct{})} }

func (b *blocker) hold() { close(b.began); <-b.release }

// deadline is a context that ends soon.
func deadline(t testing.TB, d time.Duration) context.Context {
	c, cancel := context.WithTimeout(ctx, d)
	t.Cleanup(cancel)
	return c
}

// exists tells whether there is something at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

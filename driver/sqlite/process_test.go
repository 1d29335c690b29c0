package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// TestMain finds goroutines that any test of this package leaves behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What only another process can do, a child of the test binary does: an
// ordinary user of SQLite that knows nothing of this package.

const foreignVariable = "QUIESCE_TEST_FOREIGN"

// childEnv is this process's environment, less the second that the race detector waits at the end of a process.
func childEnv() []string {
	return append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}

// foreign is another process that has a database open.
type foreign struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	ended bool
}

// startForeign starts a process that opens the database at path, as soon as it is asked for something.
func startForeign(t *testing.T, path string) *foreign {
	t.Helper()
	limit, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(limit, os.Args[0], "-test.run=^TestForeignChild$", "-test.timeout=5m")
	cmd.Env = append(childEnv(), foreignVariable+"="+path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	f := &foreign{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() { f.end(); cancel() })
	return f
}

// ask has the process execute a statement and returns the first column of its first row.
func (f *foreign) ask(query string) (string, error) {
	f.t.Helper()
	if _, err := fmt.Fprintln(f.stdin, strings.ReplaceAll(query, "\n", " ")); err != nil {
		f.t.Fatalf("the other process has ended: %v", err)
	}
	for f.lines.Scan() {
		switch word, rest, _ := strings.Cut(f.lines.Text(), " "); word {
		case "ok>":
			return rest, nil
		case "error>":
			return "", errors.New(rest)
		}
	}
	f.t.Fatalf("the other process has ended during %q", query)
	return "", nil
}

func (f *foreign) must(query string) string {
	f.t.Helper()
	answer, err := f.ask(query)
	if err != nil {
		f.t.Fatalf("the other process: %s: %v", query, err)
	}
	return answer
}

// end closes the database in the other process, and ends that.
func (f *foreign) end() {
	if !f.ended {
		f.ended = true
		_ = f.stdin.Close()
		_ = f.cmd.Wait()
	}
}

// kill ends the other process with nothing closed.
func (f *foreign) kill() {
	if !f.ended {
		f.ended = true
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
	}
}

// foreignly has another process execute statements and end.
func foreignly(t *testing.T, path string, queries ...string) {
	t.Helper()
	f := startForeign(t, path)
	for _, q := range queries {
		f.must(q)
	}
	f.end()
}

// TestForeignChild is the other process. It takes a statement per line.
func TestForeignChild(t *testing.T) {
	path := os.Getenv(foreignVariable)
	if path == "" {
		t.Skip("only runs as the child of other tests")
	}
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if v, err := firstValue(db, lines.Text()); err != nil {
			fmt.Println("\nerror>", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("\nok>", v)
		}
	}
}

func firstValue(db *sql.DB, query string) (string, error) {
	rows, err := db.Query(query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return "", errors.Join(err, rows.Err())
	}
	var first sql.NullString
	into := []any{&first}
	for range columns[1:] {
		into = append(into, new(any))
	}
	return first.String, rows.Scan(into...)
}

// lock is what the other process does to keep everybody else out of a database.
func (f *foreign) lock() {
	f.t.Helper()
	f.must(`SELECT count(*) FROM sqlite_schema`) // before: who begins in this mode cannot leave it
	f.must(`PRAGMA locking_mode = exclusive`)
	f.must(`BEGIN EXCLUSIVE`)
}

// unlock is the end of it.
func (f *foreign) unlock() {
	f.t.Helper()
	f.must(`COMMIT`)
	f.must(`PRAGMA locking_mode = normal`)
	f.must(`SELECT count(*) FROM sqlite_schema`) // which is what lets go
}

// While a store is paused, another process does with the file what it likes.
func TestPausedFileIsFreeForOtherProcesses(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		must(t, db.Pause(ctx))
		nothingHeld(t, db)

		other := startForeign(t, db.Path())
		if got := other.must(`SELECT v FROM t`); got != "kept" {
			t.Errorf("another process read %q while the store was paused, and %q was written", got, "kept")
		}
		other.lock()
		other.must(`UPDATE t SET v = 'theirs'`)

		bound, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		err := db.Resume(bound)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Resume while another process holds the file exclusively: %v, want the context's error: it is waited for in Go", err)
		}
		if s := settled(t, db); s != lifecycle.Paused {
			t.Errorf("after a Resume that failed the store is %v, want paused", s)
		}
		other.unlock()
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "theirs" {
			t.Errorf("read %q after Resume, and the other process wrote %q", got, "theirs")
		}
		if c := db.Report().Changed; c != lifecycle.ChangeYes {
			t.Errorf("Changed is %v, and another process wrote while the store was paused", c)
		}
		other.end()
	})
}

// A Resume waits for another process's lock, and goes on as soon as that is free.
func TestResumeWaitsForAnotherProcess(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout, c.BusyTimeout = time.Minute, time.Minute })
		must(t, db.Pause(ctx))
		other := startForeign(t, db.Path())
		other.lock()
		resumed := goErr(func() error { return db.Resume(ctx) })
		awaitState(t, db, lifecycle.Resuming)
		select {
		case err := <-resumed:
			t.Fatalf("Resume returned %v while another process held the file exclusively", err)
		default:
		}
		other.unlock()
		within(t, "Resume, after the other process let go", resumed, nil)
		other.end()
	})
}

func TestResumeIsBoundedByTheBusyTimeout(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.BusyTimeout = 50 * time.Millisecond })
		must(t, db.Pause(ctx))
		other := startForeign(t, db.Path())
		other.lock()
		err := db.Resume(ctx)
		if !errors.Is(err, sqlite.ErrBusy) || !strings.Contains(fmt.Sprint(err), db.Path()) {
			t.Errorf("Resume: %v, want ErrBusy with the path, after the busy timeout", err)
		}
		if s := settled(t, db); s != lifecycle.Paused {
			t.Errorf("after a Resume that failed the store is %v, want paused", s)
		}
		other.unlock()
		must(t, db.Resume(ctx))
		other.end()
	})
}

// An Open meets another process's lock in the same way.
func TestOpenIsBoundedByTheBusyTimeout(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := makeDB(t, engine, filepath.Join(t.TempDir(), "test.db"))
		other := startForeign(t, path)
		other.lock()
		_, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, BusyTimeout: 50 * time.Millisecond})
		if !errors.Is(err, sqlite.ErrBusy) || !strings.Contains(fmt.Sprint(err), path) {
			t.Errorf("Open: %v, want ErrBusy with the path", err)
		}
		other.unlock()
		other.end()
		must(t, reopen(t, engine, path).Close(ctx))
	})
}

// An Update waits in Go for another process's lock: it ends with the context,
// with the busy timeout, and at once when a pause begins.
func TestUpdateWaitsForAnotherProcess(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout, c.BusyTimeout, c.Grace = time.Minute, time.Minute, 30*time.Second })
		other := startForeign(t, db.Path())
		other.must(`BEGIN IMMEDIATE`)
		update := func(ctx context.Context) <-chan error {
			errs := goErr(func() error { return db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "ours") }) })
			awaitHolder(t, db, "update")
			return errs
		}
		labelled := lifecycle.WithLabel(ctx, "update")

		short, cancel := context.WithCancel(labelled)
		errs := update(short)
		cancel()
		within(t, "Update whose context ended", errs, context.Canceled)

		errs = update(labelled)
		must(t, db.Pause(ctx))
		within(t, "Update that waited for another process when a pause began", errs, lifecycle.ErrPaused)
		must(t, db.Resume(ctx))

		errs = update(lifecycle.WithPolicy(labelled, lifecycle.Wait))
		must(t, db.Pause(ctx))
		other.must(`COMMIT`)
		must(t, db.Resume(ctx))
		within(t, "Update under the waiting policy, after Resume", errs, nil)
		if got := readRow(t, db); got != "ours" {
			t.Errorf("an Update that was moved to the wait returned nil, and the row is %q", got)
		}

		busy := open(t, engine, func(c *sqlite.Config) { c.BusyTimeout = 30 * time.Millisecond })
		must(t, busy.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `CREATE TABLE t (v)`) }))
		another := startForeign(t, busy.Path())
		another.must(`BEGIN IMMEDIATE`)
		if err := busy.Update(ctx, func(*sqlite.Conn) error { return nil }); !errors.Is(err, sqlite.ErrBusy) {
			t.Errorf("Update beyond the busy timeout: %v, want ErrBusy", err)
		}
		another.end()
		other.end()
	})
}

// A process that reads during the checkpoint keeps that from its end: the
// Report says so, the pause does not hang, and the log is reported as left.
func TestCheckpointBesideAForeignReader(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		other := startForeign(t, db.Path())
		other.must(`BEGIN`)
		other.must(`SELECT count(*) FROM t`)
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "later") }))
		must(t, db.Pause(ctx))
		rep := db.Report()
		if !rep.CheckpointResult.Busy || len(rep.Warnings) == 0 {
			t.Errorf("a checkpoint beside another process's snapshot must be reported busy: %+v", rep)
		}
		if !containsSuffix(rep.Leftovers, "-wal") {
			t.Errorf("Leftovers are %v, and the other process keeps the -wal", rep.Leftovers)
		}
		held, err := sqlite.HeldBySelf(ctx, db.Path())
		must(t, err)
		must(t, held.Err())
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "later" {
			t.Errorf("read %q, wrote %q", got, "later")
		}
		other.must(`COMMIT`)
		other.end()
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
	})
}

func containsSuffix(all []string, suffix string) bool {
	for _, s := range all {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}

// Two processes with a store each, on one file, pause and resume as they like.
func TestTwoProcessesPauseAndResumeOnOneFile(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		if os.Getenv(cycleVariable) != "" {
			t.Skip("this is the other process")
		}
		db := openWithRow(t, engine, nil)
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `CREATE TABLE n (who, i)`) }))
		limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		child := exec.CommandContext(limit, os.Args[0], "-test.run=^TestCycleChild$")
		child.Env = append(childEnv(), cycleVariable+"="+engine.Name()+":"+db.Path())
		out := goValue(func() string {
			out, err := child.CombinedOutput()
			if err != nil {
				t.Errorf("the other process: %v", err)
			}
			return string(out)
		})
		must(t, cycle(db, "parent"))
		if text := <-out; t.Failed() {
			t.Log(text)
		}
		must(t, db.View(ctx, func(c *sqlite.Conn) error {
			var rows int
			err := c.QueryRow(ctx, `SELECT count(*) FROM n`).Scan(&rows)
			if rows != 2*cycles {
				t.Errorf("%d rows, and two processes got %d writes acknowledged", rows, 2*cycles)
			}
			return err
		}))
	})
}

const (
	cycleVariable = "QUIESCE_TEST_CYCLE"
	cycles        = 30
)

func cycle(db *sqlite.DB, who string) error {
	for i := range cycles {
		err := db.Update(ctx, func(c *sqlite.Conn) error { _, err := c.Exec(ctx, `INSERT INTO n VALUES (?, ?)`, who, i); return err })
		if err != nil {
			return fmt.Errorf("update %d: %w", i, err)
		}
		if err := db.Pause(ctx); err != nil {
			return fmt.Errorf("pause %d: %w", i, err)
		}
		if held, err := sqlite.HeldBySelf(ctx, db.Path()); err != nil || held.Err() != nil {
			return fmt.Errorf("pause %d: %w", i, errors.Join(err, held.Err()))
		}
		if err := db.Resume(ctx); err != nil {
			return fmt.Errorf("resume %d: %w", i, err)
		}
	}
	return nil
}

// TestCycleChild is the second process.
func TestCycleChild(t *testing.T) {
	name, path, ok := strings.Cut(os.Getenv(cycleVariable), ":")
	if !ok {
		t.Skip("only runs as the child of TestTwoProcessesPauseAndResumeOnOneFile")
	}
	for _, engine := range engines {
		if engine.Name() == name {
			db := reopen(t, engine, path)
			must(t, cycle(db, "child"))
			must(t, db.Close(ctx))
		}
	}
}

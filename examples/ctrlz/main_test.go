//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/internal/holders"
)

const (
	asProgram = "QUIESCE_TEST_RUN_PROGRAM"
	watchdog  = time.Minute
)

// TestMain is the example itself where the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// example is the running example and what it prints.
type example struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Reader
	all   bytes.Buffer
}

func startExample(t *testing.T, path string) *example {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel) // SIGKILL ends a stopped process, too
	e := &example{t: t, cmd: exec.CommandContext(ctx, self, path)}
	e.cmd.Env = append(os.Environ(), asProgram+"=1")
	e.cmd.Stderr = os.Stderr
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.lines = bufio.NewReader(stdout)
	return e
}

// until reads its output up to a line that begins with text, and returns the rest of that line.
func (e *example) until(text string) string {
	e.t.Helper()
	for {
		line, err := e.lines.ReadString('\n')
		e.all.WriteString(line)
		if err != nil {
			e.t.Fatalf("the example ended before it printed %q: %v\n%s", text, err, e.all.String())
		}
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), text); ok {
			return rest
		}
	}
}

func (e *example) signal(s syscall.Signal) {
	e.t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		e.t.Fatal(err)
	}
}

// untilStopped polls the process's state, as only the kernel knows when it has stopped.
func (e *example) untilStopped() {
	e.t.Helper()
	for end := time.Now().Add(watchdog); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
		if err != nil {
			e.t.Fatal(err)
		}
		_, fields, _ := strings.Cut(string(stat), ") ")
		if strings.HasPrefix(fields, "T ") {
			return
		}
	}
	e.t.Fatal("after Ctrl-Z the process must stop itself")
}

func TestCtrlZStopsWithNothingHeldAndContinues(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("whether a process is stopped is read from /proc")
	}
	path := filepath.Join(t.TempDir(), "ctrlz.db")
	e := startExample(t, path)
	e.until("row 2")
	if held, err := holders.All(t.Context(), path); err != nil || held.Descriptors() == 0 || held.Locks() == 0 {
		t.Fatalf("while it runs it must hold the database, else what follows shows nothing: %v %v", held.Holders, err)
	}
	last := "2"
	for range 3 {
		e.signal(syscall.SIGTSTP)
		e.until("paused")
		e.untilStopped()
		held, err := holders.All(t.Context(), path)
		if err != nil || len(held.Holders) != 0 {
			t.Errorf("while it is stopped nothing of the database may be held: %v %v", held.Holders, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("while it is stopped there must be no log and no shared memory: %v %v", entries, err)
		}
		insertAlone(t, path)
		e.signal(syscall.SIGCONT)
		e.until("resumed")
		if row := e.until("row "); row == last {
			t.Errorf("the rows must go on, and %s came twice", row)
		} else {
			last = row
		}
	}
	e.signal(syscall.SIGINT)
	if _, err := io.Copy(&e.all, e.lines); err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C must end it cleanly: %v\n%s", err, e.all.String())
	}
	expectRows(t, path, e.all.String())
}

// insertAlone uses the stopped example's database as another program would, with nobody beside it.
func insertAlone(t *testing.T, path string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Engine: modernc.Engine(), Path: path, Exclusive: true, BusyTimeout: -1})
	if err != nil {
		t.Fatalf("another process must be able to have the database for itself: %v", err)
	}
	err = db.Update(t.Context(), func(c *sqlite.Conn) error {
		_, err := c.Exec(t.Context(), `INSERT INTO ticks (at) VALUES ('meanwhile')`)
		return err
	})
	if err := errors.Join(err, db.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// expectRows checks that every row that was printed is there.
func expectRows(t *testing.T, path, printed string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Engine: modernc.Engine(), Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	for line := range strings.Lines(printed) {
		row, ok := strings.CutPrefix(strings.TrimSpace(line), "row ")
		if !ok {
			continue
		}
		var n int
		err := db.Read(t.Context(), func(c *sqlite.Conn) error {
			return c.QueryRow(t.Context(), `SELECT count(*) FROM ticks WHERE id = CAST(? AS INTEGER) AND at <> 'meanwhile'`, row).Scan(&n)
		})
		if err != nil || n != 1 {
			t.Errorf("row %s was printed as committed and must be there once, not %d times: %v", row, n, err)
		}
	}
}

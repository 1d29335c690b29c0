package lease_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// What only another process can do, a child of the test binary does.

const childVariable = "QUIESCE_TEST_LEASE"

// child is another process with leases in a file.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	ended bool
}

// startChild starts a process that uses the leases at path with engine, or, without one, the file as a plain database.
func startChild(t *testing.T, engine, path string) *child {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	cmd := exec.CommandContext(limit, os.Args[0], "-test.run=^TestLeaseChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"), childVariable+"="+engine+":"+path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	c := &child{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() { c.end(); cancel() })
	return c
}

// ask has the process do something and returns its answer.
func (c *child) ask(command string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.stdin, command); err != nil {
		c.t.Fatalf("the other process has ended: %v", err)
	}
	for c.lines.Scan() {
		if answer, ok := strings.CutPrefix(c.lines.Text(), "answer> "); ok {
			return answer
		}
	}
	c.t.Fatalf("the other process has ended during %q", command)
	return ""
}

func (c *child) want(command, answer string) {
	c.t.Helper()
	if got := c.ask(command); got != answer {
		c.t.Fatalf("the other process, asked for %q: %q, want %q", command, got, answer)
	}
}

// end ends the process in order, kill does not.
func (c *child) end() {
	if !c.ended {
		c.ended = true
		_ = c.stdin.Close()
		_ = c.cmd.Wait()
	}
}

func (c *child) kill() {
	if !c.ended {
		c.ended = true
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

// TestLeaseChild is the other process. It takes a command per line.
func TestLeaseChild(t *testing.T) {
	name, path, ok := strings.Cut(os.Getenv(childVariable), ":")
	if !ok {
		t.Skip("only runs as the child of other tests")
	}
	answer := plainChild(t, path)
	for _, engine := range engines {
		if engine.Name() == name {
			answer = leaseChild(t, engine, path)
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Printf("\nanswer> %s\n", strings.ReplaceAll(answer(lines.Text()), "\n", " "))
	}
}

// plainChild executes statements. It opens the file at the first.
func plainChild(t *testing.T, path string) func(string) string {
	db, err := sql.Open("sqlite", path)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	return func(command string) string {
		if _, err := db.Exec(command); err != nil {
			return "error: " + err.Error()
		}
		return "ok"
	}
}

// leaseChild holds, takes and releases.
func leaseChild(t *testing.T, engine sqlite.Engine, path string) func(string) string {
	l := open(t, engine, at(path))
	var x *lease.Lease
	return func(command string) string {
		word, rest, _ := strings.Cut(command, " ")
		ms, _ := strconv.Atoi(rest)
		d := time.Duration(ms) * time.Millisecond
		var err error
		switch word {
		case "hold": // for so long
			if x, err = l.Hold(deadline(t, patience), "key", lease.Options{Duration: d}); err == nil {
				return fmt.Sprintf("generation %d dirty %v", x.Generation(), x.Dirty())
			}
		case "take":
			generation, ok, err := l.Take(ctx, "key", "the other process", d)
			return fmt.Sprintf("generation %d %v %v", generation, ok, err)
		case "check":
			err = x.Check(ctx)
		case "release":
			err = x.Release(ctx)
		case "count": // so many times, by a file that only the holder touches
			err = countUp(l, path+".count", ms)
		}
		if err != nil {
			return "error: " + err.Error()
		}
		return "ok"
	}
}

// countUp adds one to the number in a file, n times, each under the lease.
func countUp(l *lease.Locks, path string, n int) error {
	for range n {
		x, err := l.Hold(context.Background(), "key", lease.Options{})
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		number, err := strconv.Atoi(string(content))
		if err != nil {
			return fmt.Errorf("the file was written by two at once: %w", err)
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(number+1)), 0o600); err != nil {
			return err
		}
		if err := x.Release(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// Two processes have a key one after the other, and each is told when the other was in between.
func TestTwoProcessesExcludeEachOther(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		other := startChild(t, engine.Name(), path)
		x := hold(t, l, "key", minute)
		other.want("take 60000", "generation 0 false <nil>")
		must(t, x.Release(ctx))
		other.want("hold 60000", "generation 2 dirty false")
		take(t, l, "key", "us", time.Minute, 0)
		_, err := l.Hold(deadline(t, 50*time.Millisecond), "key", minute)
		wantError(t, "Hold beside another process", err, lease.ErrHeld)
		other.want("release", "ok")
		x = hold(t, l, "key", minute)
		if x.Generation() != 3 || !x.Dirty() {
			t.Errorf("generation %d, dirty %v after another process had the key; want 3 and true", x.Generation(), x.Dirty())
		}
		must(t, x.Release(ctx))
	})
}

func TestTwoProcessesCountTogether(t *testing.T) {
	const each = 25
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		must(t, os.WriteFile(path+".count", []byte("0"), 0o600))
		l := open(t, engine, at(path))
		other := startChild(t, engine.Name(), path)
		counted := goErr(func() error { return countUp(l, path+".count", each) })
		other.want(fmt.Sprint("count ", each), "ok")
		within(t, "counting", counted, nil)
		content, err := os.ReadFile(path + ".count")
		must(t, err)
		if want := strconv.Itoa(2 * each); string(content) != want {
			t.Errorf("two processes counted to %s, want %s: both had the key at once", content, want)
		}
	})
}

// A process that is killed keeps a key until the time is over, and not for longer.
func TestKilledHolderIsTakenOverAfterItsTime(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		other := startChild(t, engine.Name(), path)
		other.want("hold 2000", "generation 1 dirty false")
		asked := time.Now()
		other.kill()
		take(t, l, "key", "us", time.Minute, 0)
		x := hold(t, l, "key", minute)
		if x.Generation() != 2 {
			t.Errorf("generation %d after the holder was killed, want 2", x.Generation())
		}
		if waited := time.Since(asked); waited > patience/2 {
			t.Errorf("the key of a killed process came after %v", waited)
		}
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
	})
}

// Whoever comes back under the name that it had before it was killed has its key at once, and nobody was in between.
func TestWhoComesBackUnderItsNameHasItsKey(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		other := startChild(t, engine.Name(), path)
		other.want("take 60000", "generation 1 true <nil>")
		other.kill()
		l := open(t, engine, at(path))
		take(t, l, "key", "somebody else", time.Minute, 0)
		x := hold(t, l, "key", by("the other process", minute)) // far from the minute
		if x.Generation() != 1 || x.Dirty() {
			t.Errorf("generation %d, dirty %v for the same holder; want 1 and false", x.Generation(), x.Dirty())
		}
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
		take(t, l, "key", "somebody else", time.Minute, 2)
	})
}

// A renewal that cannot be written in time loses the lease, and its owner is told by then.
func TestRenewalThatFailsLosesTheLease(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		l := open(t, engine, at(path))
		x := hold(t, l, "key", brief)
		other := startChild(t, "", path)
		other.want("BEGIN IMMEDIATE", "ok")
		ends(t, x, lease.ErrLost)
		if x.Valid() {
			t.Error("a lost lease is valid")
		}
		other.want("COMMIT", "ok")
		must(t, x.Release(ctx))
		y := hold(t, l, "key", brief) // the file is as it was
		must(t, y.Check(ctx))
		must(t, y.Release(ctx))
	})
}

// Only what is damaged is replaced: an Open beside another process's lease leaves that as it is.
func TestOpenReplacesNothingThatIsWhole(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "lease.db")
		other := startChild(t, engine.Name(), path)
		other.want("hold 60000", "generation 1 dirty false")
		l := open(t, engine, at(path)) // whole: nothing is replaced
		take(t, l, "key", "us", time.Second, 0)
		other.want("check", "ok")
		must(t, l.Close(ctx))
	})
}

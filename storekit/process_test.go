package storekit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

const holderVariable = "QUIESCE_TEST_STOREKIT_HOLDER"

// startHolder starts a process that has the database at path open until stop is called.
func startHolder(t *testing.T, engine sqlite.Engine, path string) (stop func()) {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	cmd := exec.CommandContext(limit, os.Args[0], "-test.run=^TestHolderChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", holderVariable+"="+engine.Name()+":"+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	ended := false
	stop = func() {
		if !ended {
			ended = true
			must(t, errors.Join(in.Close(), cmd.Wait()))
			cancel()
		}
	}
	t.Cleanup(stop)
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the other process says %q (%v)", lines.Text(), lines.Err())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return stop
}

// TestHolderChild is that process.
func TestHolderChild(t *testing.T) {
	name, path, ok := strings.Cut(os.Getenv(holderVariable), ":")
	if !ok {
		t.Skip("only runs as the child of a test")
	}
	for _, engine := range engines {
		if engine.Name() != name {
			continue
		}
		raw, err := engine.Open(path, sqlite.OpenOptions{})
		must(t, err)
		rows, err := raw.QueryContext(ctx, `SELECT count(*) FROM note`, nil)
		must(t, err)
		must(t, rows.Close())
		fmt.Println("open")
		_, _ = io.Copy(io.Discard, os.Stdin)
		must(t, raw.Close())
	}
}

// copyAll copies the files of a directory without opening any of them in this
// process: to close one that SQLite has open here would drop SQLite's locks.
func copyAll(t *testing.T, from, to string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCopyChild$")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", copyVariable+"="+from+"\n"+to)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
}

const copyVariable = "QUIESCE_TEST_STOREKIT_COPY"

// TestCopyChild is the process that copies.
func TestCopyChild(t *testing.T) {
	from, to, ok := strings.Cut(os.Getenv(copyVariable), "\n")
	if !ok {
		t.Skip("only runs as the child of a test")
	}
	must(t, os.CopyFS(to, os.DirFS(from)))
}

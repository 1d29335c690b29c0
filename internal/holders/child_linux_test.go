package holders

// The test binary as a child process: what only another process can hold or see.

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
)

const childRole = "HOLDERS_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childRole) {
	case "":
		goleak.VerifyTestMain(m)
	case "probe":
		fmt.Print("a program that says hello first") // without a newline, on purpose
		os.Exit(ProbeMain(os.Args[1:], os.Stdout))
	case "silent":
		os.Exit(3)
	case "stuck":
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "all":
		r, err := All(context.Background(), os.Args[1])
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
		exit(err)
	default:
		exit(hold(os.Getenv(childRole), os.Args[1]))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hold opens the database, executes a statement, says so, and keeps what it has until stdin ends.
func hold(statement, path string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(statement); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// child prepares the test binary in a role.
func child(ctx context.Context, role string, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.WaitDelay = time.Second
	return cmd
}

// holding starts a child that executes the statement on the database and then
// waits. It returns the child's process id, and a function that ends the child.
func holding(t *testing.T, statement, path string) (pid int, release func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := child(ctx, statement, path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var over bool
	release = func() {
		if over {
			return
		}
		over = true
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the child ended with %v", err)
		}
		cancel()
	}
	t.Cleanup(release)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child said %q (%v)", line, err)
	}
	return cmd.Process.Pid, release
}

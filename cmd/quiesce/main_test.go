package main

// The tests run the program for real: this binary again, told by the environment to be the program.

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
)

const asProgram = "QUIESCE_TEST_RUN_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is the program with these arguments, ready to start. Its temporary
// directory is tmp, or one that the test throws away.
func program(t *testing.T, tmp string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if tmp == "" {
		tmp = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(environment(), "TMPDIR="+tmp, "TMP="+tmp)
	return cmd
}

// environment makes this binary the program. With -race it would also sleep for a second at its end.
func environment() []string {
	return append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}

const watchdog = 2 * time.Minute

type result struct {
	code           int
	stdout, stderr string
}

func quiesce(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, program(t, "", args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
		t.Fatalf("%q: %v", cmd.Args[1:], err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// expect checks the exit status, and that everything named was written.
func (r result) expect(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("the exit status must be %d and is %d", code, r.code)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("the output must contain %q", text)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
}

// needProof skips what only a system shows that can tell who holds what.
func needProof(t *testing.T) {
	t.Helper()
	if _, err := sqlite.HeldBySelf(t.Context(), filepath.Join(t.TempDir(), "x")); err != nil {
		t.Skip(err)
	}
}

// onEngines runs a test on every engine that this build has.
func onEngines(t *testing.T, test func(t *testing.T, engine sqlite.Engine)) {
	for _, engine := range []sqlite.Engine{modernc.Engine(), mattn.Engine()} {
		t.Run("engine="+engine.Name(), func(t *testing.T) {
			if engine.Name() == "mattn" && !haveMattn(t) {
				t.Skip("this is a build without cgo; the other build runs it")
			}
			test(t, engine)
		})
	}
}

func haveMattn(t *testing.T) bool {
	raw, err := mattn.Engine().Open(filepath.Join(t.TempDir(), "x.db"), sqlite.OpenOptions{Create: true})
	if err == nil {
		raw.Close()
	}
	return !errors.Is(err, mattn.ErrNoCgo)
}

// expectNothingIn checks that a temporary directory was cleaned up.
func expectNothingIn(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("the temporary directory must be removed at the end, and %s is left", e.Name())
	}
}

func TestBadUsageExitsWith2(t *testing.T) {
	for _, args := range [][]string{
		{}, {"nothing"}, {"demo", "--nothing"}, {"demo", "left over"}, {"demo", "--engine", "postgres"}, {"demo", "--readers", "0"}, {"demo", "--readers", "65"},
		{"demo", "--seconds", "0"}, {"demo", "--seconds", "NaN"}, {"demo", "--seconds", "-1"}, {"demo", "--pauses", "-1"}, {"holders"}, {"holders", ""}, {"probe"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			r := quiesce(t, args...)
			r.expect(t, exitUsage)
			if r.stdout != "" || r.stderr == "" {
				t.Errorf("the reason belongs on stderr: stdout %q, stderr %q", r.stdout, r.stderr)
			}
		})
	}
}

func TestHelpAndVersionAreNoErrors(t *testing.T) {
	quiesce(t, "--help").expect(t, exitOK, "demo", "holders")
	quiesce(t, "demo", "--help").expect(t, exitOK, "Exit status", "--readers")
	quiesce(t, "holders", "--help").expect(t, exitOK, "Exit status", "--json")
	quiesce(t, "--version").expect(t, exitOK, "quiesce ", "modernc.org/sqlite")
	if r := quiesce(t, "--help"); strings.Contains(r.stdout, "probe") {
		t.Error("probe is the demo's own, and no command for users")
	}
}

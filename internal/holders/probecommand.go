package holders

// The probe as a child process: what the parent runs, what the child does, and the
// one line that passes between them.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// ProbeResult is what a child found out about one database.
type ProbeResult struct {
	Path string `json:"path"`
	// Locks are those that another process than the child holds, from Probe. As
	// ProbeCommand returns them, Self marks those of the process that called it.
	Locks []Holder `json:"locks"`
	// Exclusive tells that the child could take every byte that SQLite locks, from
	// ProbeExclusive. It is only tried where no lock was found, so as to disturb nobody.
	Exclusive bool `json:"exclusive"`
	// Failure is why the question could not be answered; empty if it was.
	Failure string `json:"failure,omitempty"`
	// Class keeps the failure's identity on its way: "held here", "unsupported" or empty.
	Class string `json:"class,omitempty"`
}

// Free reports whether it is known that no other process locks the database.
func (r ProbeResult) Free() bool { return r.Failure == "" && len(r.Locks) == 0 && r.Exclusive }

// Err returns why the question could not be answered, nil if it was. It matches
// ErrHeldHere and ErrUnsupported as the child's own error did.
func (r ProbeResult) Err() error {
	switch {
	case r.Failure == "":
		return nil
	case r.Class == classHeld:
		return &probeError{r.Path, r.Failure, ErrHeldHere}
	case r.Class == classUnsupported:
		return &probeError{r.Path, r.Failure, ErrUnsupported}
	}
	return &probeError{r.Path, r.Failure, nil}
}

const (
	classHeld        = "held here"
	classUnsupported = "unsupported"
)

type probeError struct {
	path, text string
	class      error
}

func (e *probeError) Error() string { return "probe of " + printable(e.path) + ": " + e.text }
func (e *probeError) Unwrap() error { return e.class }

// probeMark begins the one line that counts, so that whatever else a program prints
// when it starts does no harm. The number is the format's.
const probeMark = "quiesce-probe-1 "

// ProbeMain is the child's side of ProbeCommand: it probes the paths, writes the results to stdout as
// one line, and returns the exit code, 0 if all questions were answered, whatever
// the answers. Call it before the program opens any database, and exit with the code:
//
//	if len(os.Args) > 1 && os.Args[1] == "probe" {
//		os.Exit(holders.ProbeMain(os.Args[2:], os.Stdout))
//	}
func ProbeMain(paths []string, stdout io.Writer) int {
	code := 0
	results := make([]ProbeResult, 0, len(paths))
	for _, path := range paths {
		r := ProbeResult{Path: path}
		var err error
		if r.Locks, err = Probe(path); err == nil && len(r.Locks) == 0 {
			r.Exclusive, err = ProbeExclusive(path)
		}
		if err != nil {
			r.Failure, code = err.Error(), 1
			switch {
			case errors.Is(err, ErrHeldHere):
				r.Class = classHeld
			case errors.Is(err, errors.ErrUnsupported):
				r.Class = classUnsupported
			}
		}
		results = append(results, r)
	}
	line, err := json.Marshal(results)
	if err != nil {
		return 1
	}
	// One write, with a newline in front: the program may have left a line unfinished.
	if _, err := stdout.Write([]byte("\n" + probeMark + string(line) + "\n")); err != nil {
		return 1
	}
	return code
}

// ProbeCommand runs cmd, whose program calls ProbeMain with the arguments that are
// appended here (the paths, made absolute), and returns its results in the order
// of the paths. cmd must not have been started, and its Stdout must be free. If ctx ends first,
// the child is killed and the context's error returned.
//
// The error is about the question: a child that failed, or a path that could not
// be probed (then with the results of all). Locks that were found are no error; see ProbeResult.Free.
func ProbeCommand(ctx context.Context, cmd *exec.Cmd, path ...string) ([]ProbeResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, err := want(path)
	if err != nil {
		return nil, err
	}
	if cmd.Stdout != nil {
		return nil, errors.New("holders: the probe's stdout is taken")
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &stdout
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = time.Second // a grandchild that keeps the pipe must not hang us
	}
	cmd.Args = append(cmd.Args, w.paths...)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("holders: probe: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	failed := cmd.Wait()
	stop()
	if err := ctx.Err(); err != nil && failed != nil {
		return nil, err
	}
	results, err := parseProbe(stdout.String(), w.paths)
	if err != nil {
		return nil, errors.Join(err, failed, errorText(stderr.String()))
	}
	var errs []error
	for i := range results {
		results[i].Path = w.paths[i] // JSON mends names that are no UTF-8
		for j := range results[i].Locks {
			h := &results[i].Locks[j]
			h.Self = h.PID == os.Getpid()
		}
		errs = append(errs, results[i].Err())
	}
	return results, errors.Join(errs...)
}

func errorText(s string) error {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return errors.New(s)
}

func parseProbe(text string, paths []string) ([]ProbeResult, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, probeMark)
		if !ok {
			continue
		}
		var results []ProbeResult
		if err := json.Unmarshal([]byte(rest), &results); err != nil {
			return nil, fmt.Errorf("holders: probe: %w", err)
		}
		if len(results) != len(paths) {
			return nil, fmt.Errorf("holders: probe: %d answers for %d questions", len(results), len(paths))
		}
		return results, nil
	}
	return nil, errors.New("holders: the probe gave no answer; does its program call ProbeMain?")
}

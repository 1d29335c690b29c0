package main

// The view from another process. A process does not conflict with its own
// locks, so the demo asks a child, which is this same program: once for the bytes that
// SQLite locks, and once with an SQLite of its own, as any other program would come along.

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/holders"
)

type probeCmd struct {
	Lock  bool     `help:"Take SQLite's exclusive lock on each, as any other program would, and give it back."`
	Paths []string `arg:"" name:"path" help:"Database files."`
}

// Run is the child's side.
func (c *probeCmd) Run(s *surroundings) error {
	if !c.Lock {
		return status(holders.ProbeMain(c.Paths, s.stdout))
	}
	results := []lockResult{}
	for _, path := range c.Paths {
		results = append(results, lockExclusively(s.ctx, path))
	}
	return json.NewEncoder(s.stdout).Encode(results)
}

// lockResult says whether an SQLite could have a database for itself.
type lockResult struct {
	Path    string `json:"path"`
	Locked  bool   `json:"locked"`            // it had the exclusive lock, and has given it back
	Refused string `json:"refused,omitempty"` // what SQLite said: somebody else has it
	Failure string `json:"failure,omitempty"` // why the question was not answered
}

// sqliteBusy is the primary result code SQLITE_BUSY.
const sqliteBusy = 5

// lockExclusively takes the strongest lock that SQLite has. In WAL mode BEGIN
// EXCLUSIVE alone would only keep writers out; with the locking mode set before
// the first look at the file, nobody else may even have it open.
func lockExclusively(ctx context.Context, path string) lockResult {
	r := lockResult{Path: path}
	err := func() error {
		uri, err := sqlite.OpenOptions{}.URI(path) // never creates the file
		if err != nil {
			return err
		}
		db, err := sql.Open("sqlite", uri)
		if err != nil {
			return err
		}
		defer db.Close()
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, stmt := range []string{`PRAGMA busy_timeout = 0`, `PRAGMA locking_mode = EXCLUSIVE`, `BEGIN EXCLUSIVE`, `ROLLBACK`} {
			if _, err := c.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("%s: %w", stmt, err)
			}
		}
		return nil
	}()
	var code *sqlite3.Error
	switch {
	case err == nil:
		r.Locked = true
	case errors.As(err, &code) && code.Code()&0xff == sqliteBusy:
		r.Refused = err.Error()
	default:
		r.Failure = err.Error()
	}
	return r
}

// neighbour is another process, as seen from here. self makes the command that
// runs this program again with the arguments given.
type neighbour struct {
	self func(args ...string) *exec.Cmd
}

// thisProgram runs the executable that this process runs.
func thisProgram() (func(args ...string) *exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return func(args ...string) *exec.Cmd { return exec.Command(path, args...) }, nil
}

// childTime bounds a child; it needs a few hundredths of a second.
const childTime = 30 * time.Second

// free tells whether a child could lock every byte that SQLite locks. It is
// nil where the system has no such locks.
func (n neighbour) free(ctx context.Context, path string) (*bool, error) {
	ctx, cancel := context.WithTimeout(ctx, childTime)
	defer cancel()
	cmd := n.self("probe", "--")
	apart(cmd)
	results, err := sqlite.Probe(ctx, cmd, path)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, nil
	case err != nil:
		return nil, err
	}
	free := results[0].Free()
	return &free, nil
}

// lock tells whether an SQLite in a child could have the database for itself.
func (n neighbour) lock(ctx context.Context, path string) (lockResult, error) {
	ctx, cancel := context.WithTimeout(ctx, childTime)
	defer cancel()
	cmd := n.self("probe", "--lock", "--", path)
	apart(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return lockResult{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return lockResult{}, fmt.Errorf("the child that asks for the lock: %w %s", err, strings.TrimSpace(stderr.String()))
	}
	var results []lockResult
	if err := json.NewDecoder(io.Reader(&stdout)).Decode(&results); err != nil || len(results) != 1 {
		return lockResult{}, fmt.Errorf("the child that asks for the lock gave no answer: %w", err)
	}
	if r := results[0]; r.Failure != "" {
		return r, errors.New(r.Failure)
	}
	return results[0], nil
}

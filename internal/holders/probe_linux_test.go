package holders

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func probeOf(t *testing.T, path ...string) []ProbeResult {
	t.Helper()
	results, err := ProbeCommand(t.Context(), child(t.Context(), "probe"), path...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestAnotherProcessSeesTheLocksOfThisOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	db := openWAL(t, path)
	free := filepath.Join(dir, "new\nfree.db")
	if err := os.WriteFile(free, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	results := probeOf(t, path, free, filepath.Join(dir, "missing.db"))
	held := results[0]
	if got := lockNames(held.Locks, "db"); !slices.Equal(got, []string{"read shared"}) {
		t.Errorf("the child sees the shared lock; it saw %q", got)
	}
	if got := lockNames(held.Locks, "shm"); !slices.Equal(got, []string{"read dms"}) {
		t.Errorf("the child sees the dead man's switch; it saw %q", got)
	}
	for _, h := range held.Locks {
		if h.PID != os.Getpid() || !h.Self || h.Command == "" {
			t.Errorf("the holder is this process: %+v", h)
		}
	}
	if held.Free() || held.Exclusive {
		t.Error("a database with locks is not free")
	}
	for _, r := range results[1:] {
		if !r.Free() {
			t.Errorf("%q is locked by nobody: %+v", r.Path, r)
		}
	}
	if _, err := os.Stat(results[2].Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a probe creates nothing: %v", err)
	}

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if r := probeOf(t, path)[0]; !r.Free() {
		t.Errorf("after close another process can take every lock: %+v", r)
	}
}

func TestProbeSeesLocksThatHaveNoOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK} // the whole file
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
		t.Fatal(err)
	}
	r := probeOf(t, path)[0]
	if len(r.Locks) != 1 || r.Locks[0].PID != 0 || r.Locks[0].Lock.Type != LockOFD || r.Locks[0].Lock.End != -1 {
		t.Errorf("one OFD lock on the whole file, once, by nobody: %v", r.Locks)
	}
}

func TestProbeRefusesWhereItWouldDoHarm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	openWAL(t, path)
	before := mustSelf(t, path).Locks()
	_, err1 := Probe(path)
	_, err2 := ProbeExclusive(path)
	for _, err := range []error{err1, err2} {
		var held *HeldError
		if !errors.Is(err, ErrHeldHere) || !errors.As(err, &held) {
			t.Errorf("this process has the database open; ErrHeldHere and who holds it, not %v", err)
		}
	}
	if after := mustSelf(t, path).Locks(); before == 0 || after != before {
		t.Errorf("a refused probe drops no lock: %d before, %d after", before, after)
	}

	// A child that was handed the descriptor.
	f, err := os.Create(filepath.Join(t.TempDir(), "inherited.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := child(t.Context(), "probe")
	cmd.ExtraFiles = []*os.File{f}
	results, err := ProbeCommand(t.Context(), cmd, f.Name())
	if !errors.Is(err, ErrHeldHere) || len(results) != 1 || results[0].Free() {
		t.Errorf("the child holds an inherited descriptor and must refuse, through the pipe, too; got %v, %+v", err, results)
	}
}

func TestProbeExclusiveMeetsAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	pid, release := holding(t, "BEGIN IMMEDIATE", path)
	if ok, err := ProbeExclusive(path); ok || err != nil {
		t.Errorf("the child has the file locked, so it cannot be taken: %t, %v", ok, err)
	}
	locks, err := Probe(path)
	if err != nil || !slices.Contains(lockNames(locks, "db"), "write reserved") || locks[0].PID != pid {
		t.Errorf("the child %d has the reserved lock: %v, %v", pid, locks, err)
	}
	release()
	if ok, err := ProbeExclusive(path); !ok || err != nil {
		t.Errorf("the child is gone, so it can be taken: %t, %v", ok, err)
	}
	if ok, err := ProbeExclusive(path); !ok || err != nil {
		t.Errorf("a probe gives back what it took: %t, %v", ok, err)
	}
}

func TestAProbeThatDoesNotAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if _, err := ProbeCommand(t.Context(), child(t.Context(), "silent"), path); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the child's exit is part of the error: %v", err)
	}
	if _, err := ProbeCommand(t.Context(), exec.Command("/nowhere"), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd := child(context.Background(), "stuck")
	cmd.Stdin = r
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ProbeCommand(ctx, cmd, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a child that hangs is killed when the context ends: %v", err)
	}
}

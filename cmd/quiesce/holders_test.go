package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/internal/holders"
)

// held opens a database of the test's own process.
func held(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Engine: modernc.Engine(), Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	return db
}

func TestHoldersNamesWhoHoldsADatabaseUntilItIsPaused(t *testing.T) {
	needProof(t)
	path := filepath.Join(t.TempDir(), "state.db")
	db := held(t, path)
	quiesce(t, "holders", path).expect(t, exitWrong, strconv.Itoa(os.Getpid()), "descriptor", path, "held: ", "by 1 process")

	var report holdersReport
	r := quiesce(t, "holders", "--json", path)
	r.expect(t, exitWrong)
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Free || report.Descriptors() == 0 || report.Holders[0].PID != os.Getpid() {
		t.Errorf("this process holds it: %+v", report)
	}

	if err := db.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = quiesce(t, "holders", path)
	r.expect(t, exitOK, path)
	all, err := sqlite.HeldByAll(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	strict := quiesce(t, "holders", "--strict", path)
	if len(all.Unreadable) == 0 {
		strict.expect(t, exitOK, "free: nobody holds")
		return
	}
	strict.expect(t, exitUnknown, "may not be looked at")
	if strings.Contains(r.stdout, "free") {
		t.Errorf("nobody can tell what %d processes hold, so it is not known to be free:\n%s", len(all.Unreadable), r.stdout)
	}
}

func TestHoldersFindsADeletedFileAndNotAMistypedName(t *testing.T) {
	needProof(t)
	path := filepath.Join(t.TempDir(), "state.db")
	quiesce(t, "holders", path).expect(t, exitUsage, path, "no such file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(path); err != nil {
		t.Skip(err) // an open file cannot be deleted here
	}
	quiesce(t, "holders", path).expect(t, exitWrong, "(deleted)")
}

func TestANameCannotForgeALineOfTheTable(t *testing.T) {
	var out strings.Builder
	report := sqlite.Held{
		Paths:      []string{"/a\nfree: nobody holds /b"},
		Holders:    []sqlite.Holder{{PID: 0, Command: "x\x1b[2J", Kind: holders.KindMap, Path: "/a\nfree: nobody holds /b", File: "db", FD: -1, Size: 8192}},
		Unreadable: make([]holders.Process, 7),
	}
	if err := printHolders(&out, report); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "free") {
			t.Errorf("a file's name has written a line of its own:\n%s", out.String())
		}
	}
	for _, text := range []string{"?", "8192 bytes", "unknown: 7 processes", "and 2 more"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("the table must contain %q:\n%s", text, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("a command's name has moved the cursor: %q", out.String())
	}
}

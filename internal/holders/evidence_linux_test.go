package holders

// Real files, real SQLite, the real /proc.

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func mustSelf(t *testing.T, path ...string) Report {
	t.Helper()
	r, err := Self(t.Context(), path...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustAll(t *testing.T, path ...string) Report {
	t.Helper()
	r, err := All(t.Context(), path...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lockNames lists "mode name" of the locks of one file.
func lockNames(holders []Holder, file string) []string {
	var names []string
	for _, h := range holders {
		if h.Kind == KindLock && h.File == file {
			names = append(names, h.Lock.Mode.String()+" "+h.Lock.Name)
		}
	}
	slices.Sort(names)
	return names
}

func files(r Report, k Kind) string {
	var list []string
	for _, h := range r.Holders {
		if h.Kind == k {
			list = append(list, h.File)
		}
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

func openWAL(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, s := range []string{"PRAGMA journal_mode=WAL", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1),(2),(3)"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestSelfNamesWhatSQLiteHoldsAndNothingAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := openWAL(t, path)

	idle := mustSelf(t, path)
	if got := files(idle, KindDescriptor); got != "db shm wal" {
		t.Errorf("an idle WAL connection has descriptors of db, shm and wal; found %q", got)
	}
	if got := files(idle, KindMap); got != "shm" {
		t.Errorf("an idle WAL connection maps its shm; found %q", got)
	}
	if got := lockNames(idle.Holders, "db"); !slices.Equal(got, []string{"read shared"}) {
		t.Errorf("an idle WAL connection keeps the shared lock; found %q", got)
	}
	if got := lockNames(idle.Holders, "shm"); !slices.Equal(got, []string{"read dms"}) {
		t.Errorf("an idle WAL connection keeps the dead man's switch; found %q", got)
	}
	for _, h := range idle.Holders {
		if !h.Self || h.PID != os.Getpid() || h.Command == "" || h.Deleted {
			t.Errorf("this process holds it, by its pid and name, and it is not deleted: %+v", h)
		}
	}

	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO t VALUES(4)"); err != nil {
		t.Fatal(err)
	}
	writing := lockNames(mustSelf(t, path).Holders, "shm")
	if !slices.Contains(writing, "write wal-write") || !slices.ContainsFunc(writing, func(s string) bool { return strings.HasPrefix(s, "read wal-read-") }) {
		t.Errorf("a write transaction has wal-write and a read mark; found %q", writing)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	after := mustSelf(t, path)
	if err := after.Err(); err != nil || !after.Empty() {
		t.Errorf("after close nothing is held, but: %v", err)
	}
}

func TestSelfSeesThroughACloseThatReturnedNil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := openWAL(t, path)
	rows, err := db.Query("SELECT x FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	rows.Next()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if err := mustSelf(t, path).Err(); !errors.As(err, &held) {
		t.Fatalf("open rows outlive Close; Err must be a *HeldError, is %v", err)
	}
	if !slices.Contains(lockNames(held.Report.Holders, "db"), "read shared") {
		t.Errorf("the lock of the open rows is missing in %v", held)
	}
	rows.Close()
	if err := mustSelf(t, path).Err(); err != nil {
		t.Errorf("when the rows are closed nothing is held, but: %v", err)
	}
}

// take opens a file by hand and holds it in all three ways. The result gives it back.
func take(t *testing.T, path string) (release func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(8192); err != nil {
		t.Fatal(err)
	}
	l := unix.Flock_t{Type: unix.F_WRLCK, Start: pendingByte, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &l); err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	var over bool
	release = func() {
		if !over {
			over = true
			_ = unix.Munmap(m)
			f.Close()
		}
	}
	t.Cleanup(release)
	return release
}

// expectTaken checks that both questions find what take holds, and nothing else.
func expectTaken(t *testing.T, asked, shown string, deleted bool) {
	t.Helper()
	for name, r := range map[string]Report{"Self": mustSelf(t, asked), "All": mustAll(t, asked)} {
		if len(r.Holders) != 3 || r.Descriptors() != 1 || r.Maps() != 1 || r.Locks() != 1 {
			t.Errorf("%s(%q) must find a descriptor, a map and a lock; found %v", name, asked, r.Holders)
		}
		for _, h := range r.Holders {
			if h.File != "db" || h.Path != shown || h.Deleted != deleted {
				t.Errorf("%s(%q) must show file db at %q, deleted %t; shows %+v", name, asked, shown, deleted, h)
			}
			if h.Kind == KindMap && h.Size != 8192 {
				t.Errorf("the map has 8192 bytes, not %d", h.Size)
			}
			if h.Kind == KindLock && (h.Lock.Name != "pending" || h.FD < 0) {
				t.Errorf("the lock is SQLite's pending byte by a descriptor: %+v %+v", h, h.Lock)
			}
		}
	}
}

func TestAnyFileNameIsFoundAndNoOther(t *testing.T) {
	for _, name := range []string{
		"plain.db", "with space.db", "new\nline.db", "tab\t.db", `oct\040al.db`, `newline\012.db`, `back\slash.db`,
		"gone (deleted)", "bräu.db", "bad\xffutf8.db", `quote".db`, "-dash", " ",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			release := take(t, path)
			expectTaken(t, path, path, false)
			for _, other := range []string{path + "2", path[:len(path)-1], path + "-", path + " (deleted)"} {
				if filepath.Dir(other) == filepath.Dir(path) && filepath.Base(other) != "" {
					if h := mustSelf(t, other).Holders; len(h) > 0 {
						t.Errorf("%q is another file than %q, but %v was found", path, other, h)
					}
				}
			}
			release()
			if err := mustSelf(t, path).Err(); err != nil {
				t.Error(err)
			}
			release = take(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			expectTaken(t, path, path, true)
			release()
		})
	}
}

func TestFilesBesideTheDatabaseBelongToIt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	for _, suffix := range []string{"-wal", "-shm", "-journal", "2", "2-wal", "-walrus"} {
		take(t, path+suffix)
	}
	r := mustSelf(t, path)
	if got := files(r, KindDescriptor); got != "journal shm wal" || r.Descriptors() != 3 {
		t.Errorf("a.db has a journal, shm and wal, and no other files; found %v", r.Holders)
	}
	if got := mustSelf(t, path, path+"2").Descriptors(); got != 5 {
		t.Errorf("asked about a.db and a.db2 there are 5 descriptors, not %d", got)
	}
}

func TestEveryWayToNameTheFile(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "real/deep"), 0o700))
	path := filepath.Join(dir, "real/state.db")
	take(t, path)
	must(os.Symlink("real/state.db", filepath.Join(dir, "link.db")))
	must(os.Symlink(filepath.Join(dir, "link.db"), filepath.Join(dir, "link2.db")))
	must(os.Symlink("real", filepath.Join(dir, "linkdir")))
	must(os.Symlink("real/deep", filepath.Join(dir, "deep")))
	must(os.Link(path, filepath.Join(dir, "hard.db")))
	t.Chdir(dir)
	for _, asked := range []string{
		path, dir + "/link.db", dir + "/link2.db", dir + "/linkdir/state.db", dir + "/deep/../state.db", dir + "/hard.db",
		"real/state.db", "./link.db", "link2.db", "linkdir/../real/state.db", "deep/../state.db", "real//state.db",
	} {
		expectTaken(t, asked, path, false)
	}
	// The links still lead there when the file is gone.
	must(os.Remove(filepath.Join(dir, "hard.db")))
	must(os.Remove(path))
	for _, asked := range []string{path, "link.db", "link2.db", "linkdir/state.db", "deep/../state.db"} {
		expectTaken(t, asked, path, true)
	}
}

func TestAFileThatLostItsNameIsFound(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced by a rename": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", nil, 0o600), os.Rename(path+".new", path))
		},
		"removed and made anew":      func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"removed with its directory": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"removed, with a backup by hard link": func(path string) error {
			return errors.Join(os.Link(path, path+".backup"), os.Remove(path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sub dir", "state.db")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			take(t, path)
			if err := lose(path); err != nil {
				t.Fatal(err)
			}
			expectTaken(t, path, path, true)
		})
	}
}

func TestAllNamesTheProcessThatLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	pid, release := holding(t, "BEGIN EXCLUSIVE", path)
	r := mustAll(t, path)
	if got := lockNames(r.Holders, "db"); !slices.Equal(got, []string{"write pending+reserved+shared"}) {
		t.Errorf("the child has the exclusive lock; found %q", got)
	}
	for _, h := range r.Holders {
		if h.PID != pid || h.Self || !strings.HasPrefix(filepath.Base(os.Args[0]), h.Command) || h.Command == "" {
			t.Errorf("process %d holds it under the test's name and not this one: %+v", pid, h)
		}
	}
	if h := mustSelf(t, path).Holders; len(h) > 0 {
		t.Errorf("this process holds nothing: %v", h)
	}
	release()
	if h := mustAll(t, path).Holders; len(h) > 0 {
		t.Errorf("the child is gone: %v", h)
	}
}

func TestLocksOfADescriptionAreFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK, Start: pendingByte + 1, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Report{"Self": mustSelf(t, path), "All": mustAll(t, path)} {
		var got []string
		for _, h := range r.Holders {
			if h.Kind == KindLock && h.FD == int(f.Fd()) && h.Self {
				got = append(got, h.Lock.String())
			}
		}
		slices.Sort(got)
		want := []string{"flock read lock (whole file)", "ofd write lock reserved (byte 1073741825)"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the locks of the description are %q, found %q", name, want, got)
		}
	}
}

func TestContextAndPathsAreChecked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Self(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context ends the question, not %v", err)
	}
	for _, paths := range [][]string{nil, {""}, {"a\x00b"}} {
		if _, err := Self(t.Context(), paths...); err == nil {
			t.Errorf("%q names no file, and an empty answer would read as released", paths)
		}
	}
	loop := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if _, err := Self(t.Context(), loop); err == nil {
		t.Error("a circle of links names no file")
	}
}

package holders

// A /proc of our own: what this machine does not do by itself.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeProc writes a /proc. Names that end in a slash are directories, contents that begin with "-> " are links.
func fakeProc(t *testing.T, entries map[string]string) procfs {
	t.Helper()
	root := t.TempDir()
	for name, content := range entries {
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if target, link := strings.CutPrefix(content, "-> "); link {
			err = errors.Join(err, os.Symlink(target, path))
		} else if strings.HasSuffix(name, "/") {
			err = errors.Join(err, os.MkdirAll(path, 0o755))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return procfs{root: root}
}

func mustWant(t *testing.T, path string) *wanted {
	t.Helper()
	w, err := want([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// database makes an empty file and returns its path and inode.
func database(t *testing.T) (path string, ino uint64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	id, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, id.ino
}

func TestAnotherDeviceInProcThanInStatIsLearned(t *testing.T) {
	path, ino := database(t)
	p := fakeProc(t, map[string]string{
		"1/fd/":        "",
		"1/maps":       "",
		"7/comm":       "writer\n",
		"7/fd/3":       "-> " + path,
		"7/fdinfo/3":   fmt.Sprintf("pos:\t0\nlock:\t1: POSIX  ADVISORY  READ 7 00:2a:%d 1073741826 1073742335\n", ino),
		"7/fd/4":       "-> " + path, // a duplicate shows the same lock again
		"7/fdinfo/4":   fmt.Sprintf("lock:\t1: POSIX  ADVISORY  READ 7 00:2a:%d 1073741826 1073742335\n", ino),
		"7/fd/5":       "-> socket:[123]",
		"7/fd/6":       "-> /nowhere/state.db",
		"7/maps":       fmt.Sprintf("7f0-8f0 r--s 0 00:2b:%d %d /elsewhere/state.db\n7f0000-7f1000 r--s 00000000 00:2a %d   %s\n", ino, ino, ino, path),
		"9/comm":       "gone\n", // has ended: no fd directory any more
		"8/fd/":        "",
		"8/maps":       "",
		"8/comm":       "hidden\n",
		"self":         "-> 7",
		"not-a-number": "",
		// 7's lock again, one of a process whose descriptors do not show it, one of nobody, one of an OFD, one that only waits, one of another file.
		"locks": fmt.Sprintf(`1: POSIX  ADVISORY  READ 7 00:2a:%[1]d 1073741826 1073742335
2: POSIX  ADVISORY  WRITE 8 00:2a:%[1]d 1073741825 1073741825
3: POSIX  ADVISORY  READ 0 00:2a:%[1]d 1073741826 1073742335
4: OFDLCK ADVISORY  READ -1 00:2a:%[1]d 0 EOF
4: -> POSIX  ADVISORY  WRITE 8 00:2a:%[1]d 1073741824 1073741824
5: POSIX  ADVISORY  WRITE 8 00:2c:%[1]d 1073741824 1073741824
`, ino),
	})
	r, err := p.all(t.Context(), mustWant(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if r.Descriptors() != 2 || r.Maps() != 1 {
		t.Errorf("two descriptors and a map by path; found %v", r.Holders)
	}
	var locks []string
	for _, h := range r.Holders {
		if h.Kind == KindLock {
			locks = append(locks, fmt.Sprintf("%d %s %s fd %d self %t", h.PID, h.Command, h.Lock, h.FD, h.Self))
		}
	}
	want := []string{
		fmt.Sprintf("%d writer posix read lock shared (bytes 1073741826-1073742335) fd %%d self true", os.Getpid()),
		"8 hidden posix write lock reserved (byte 1073741825) fd -1 self false",
		"0  posix read lock shared (bytes 1073741826-1073742335) fd -1 self false",
		"0  ofd read lock pending+reserved+shared (whole file) fd -1 self false",
	}
	for i, w := range want { // which duplicate comes first is the directory's affair
		if len(locks) != len(want) || locks[i] != strings.ReplaceAll(w, "%d", "3") && locks[i] != strings.ReplaceAll(w, "%d", "4") {
			t.Fatalf("the locks must be\n%s\nbut are\n%s", strings.Join(want, "\n"), strings.Join(locks, "\n"))
		}
	}
	if len(r.Unreadable) > 0 {
		t.Errorf("what has vanished is not unknown: %v", r.Unreadable)
	}
}

func TestSelfInAForeignProcAndWithoutLockLines(t *testing.T) {
	path, ino := database(t)
	id, _ := identify(path)
	device := fmt.Sprintf("%02x:%02x:%d", unix.Major(id.dev), unix.Minor(id.dev), ino)
	p := fakeProc(t, map[string]string{
		"4242/comm":     "me\n",
		"4242/fd/3":     "-> " + path + " (deleted)",
		"4242/fdinfo/3": "pos:\t0\nflags:\t02\n", // gVisor and Linux before 4.1 print no locks
		"4242/maps":     "",
		"self":          "-> 4242",
		"locks":         "1: POSIX  ADVISORY  WRITE 4242 " + device + " 120 120\n2: POSIX  ADVISORY  WRITE 4243 " + device + " 121 121\n",
	})
	r, err := p.self(t.Context(), mustWant(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Holders) != 2 || !r.Holders[0].Deleted || r.Locks() != 1 || r.Holders[1].Lock.Start != 120 {
		t.Errorf("a deleted file's descriptor, and this process's own lock by its number in that /proc; found %v", r.Holders)
	}
	for _, h := range r.Holders {
		if h.PID != os.Getpid() || !h.Self {
			t.Errorf("the holder is this process: %+v", h)
		}
	}
}

func TestWithoutProcItIsUnsupported(t *testing.T) {
	path, _ := database(t)
	for name, p := range map[string]procfs{"missing": {root: "/nowhere"}, "empty": {root: t.TempDir()}} {
		for question, ask := range map[string]func(context.Context, *wanted) (Report, error){"self": p.self, "all": p.all} {
			if _, err := ask(t.Context(), mustWant(t, path)); !errors.Is(err, ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s /proc, %s: an error that is errors.ErrUnsupported, not %v", name, question, err)
			}
		}
	}
}

func TestHiddenProcessesAreUnknown(t *testing.T) {
	path, _ := database(t)
	p := fakeProc(t, map[string]string{"7/fd/": "", "7/maps": "", "self": "-> 7"})
	r, err := p.all(t.Context(), mustWant(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Holders) != 0 || len(r.Unreadable) != 1 || r.Empty() || r.Err() == nil {
		t.Errorf("without process 1 there are processes that cannot be seen, and the answer is not \"free\": %+v", r)
	}
}

const (
	userStat   = "8 (a) b) S 1 8 8 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5 6 7"
	kernelStat = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 6 7"
	zombieStat = "9 (z) Z 1 8 8 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5 6 7"
	threadStat = "9 (z) Z 1 8 8 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 5 6 7" // its first thread has ended, others live
)

func TestWhatMayNotBeReadIsUnknown(t *testing.T) {
	path, _ := database(t)
	p := fakeProc(t, map[string]string{"5/stat": userStat, "5/comm": "daemon\n", "2/stat": kernelStat, "3/stat": zombieStat, "4/stat": threadStat, "4/comm": "odd\n", "6/": ""})
	s := p.scan(mustWant(t, path))
	for n := 2; n <= 6; n++ {
		one := &process{dir: p.root + "/" + strconv.Itoa(n), number: n}
		one.PID = n
		for _, errno := range []syscall.Errno{syscall.EACCES, syscall.ENOENT, syscall.ESRCH} {
			if err := s.settle(one, &fs.PathError{Op: "open", Path: "fd", Err: errno}); err != nil {
				t.Errorf("%v ends no walk: %v", errno, err)
			}
		}
	}
	want := []Process{{4, "odd", "permission denied"}, {5, "daemon", "permission denied"}, {6, "", "permission denied"}}
	if fmt.Sprint(s.report.Unreadable) != fmt.Sprint(want) {
		t.Errorf("unknown are the denied, except kernel threads and zombies: want %v, got %v", want, s.report.Unreadable)
	}
	if s.report.Empty() {
		t.Error("a report with unknown processes is not empty")
	}
	var held *HeldError
	if err := s.report.Err(); !errors.As(err, &held) || !strings.Contains(err.Error(), "unknown: 3 ") {
		t.Errorf("unknown processes are an error that counts them: %v", err)
	}
	if err := s.settle(&process{}, syscall.EMFILE); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("that we have no descriptor left to look with says nothing about the process: %v", err)
	}
	if err := s.settle(&process{number: 5}, syscall.EIO); err != nil || len(s.report.Unreadable) != len(want)+1 {
		t.Errorf("one odd process is unknown and does not end the walk: %v", err)
	}
}

// A process of another user cannot read this one. As root, the test can be both.
func TestAnotherUserCannotTell(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	dir, err := os.MkdirTemp("/tmp", "holders")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "state.db")
	release := take(t, path)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := child(t.Context(), "all", path)
	cmd.Path, cmd.Dir = "/proc/self/exe", "/" // the test binary lies in a directory that others may not enter
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	unknown := false
	for _, u := range r.Unreadable {
		unknown = unknown || u.PID == os.Getpid() && u.Command != "" && u.Reason != ""
	}
	if !unknown {
		t.Errorf("this process may not be read by that user and must be unknown; got %v", r.Unreadable)
	}
	if len(r.Holders) != 1 || r.Holders[0].PID != os.Getpid() || r.Holders[0].Lock == nil || r.Holders[0].Lock.Name != "pending" {
		t.Errorf("/proc/locks tells everybody of the lock: %v", r.Holders)
	}
	release()
}

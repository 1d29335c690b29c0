//go:build unix

package sqlite_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

var moreBadInputs = []badInput{
	{name: "a fifo", want: sqlite.ErrDirectory, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
		must(t, syscall.Mkfifo(c.Path, 0o600))
	}},
	{name: "a fifo, attached", want: sqlite.ErrDirectory, hint: true, names: "fifo", arrange: func(t *testing.T, dir string, c *sqlite.Config) {
		must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		c.Attach = []sqlite.Attachment{{Schema: "a", Path: filepath.Join(dir, "fifo")}}
	}},
}

const childVariable = "QUIESCE_TEST_SELF"

// inChild runs the calling test in a child process that was started with attr.
// It returns true in that child, which then does the work.
func inChild(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(childVariable) != "" {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run="+pattern)
	child.Env = append(childEnv(), childVariable+"=1")
	child.SysProcAttr = attr
	out, err := child.CombinedOutput()
	switch text := string(out); {
	case err != nil:
		t.Errorf("in a process of its own: %v\n%s", err, text)
	case strings.Contains(text, "--- SKIP"):
		t.Skip(text)
	}
	return false
}

// asNobody is inChild, for a process that is not root and that permissions therefore mean something to.
func asNobody(t *testing.T) bool {
	t.Helper()
	const nobody = 65534
	if os.Getuid() != 0 {
		return true
	}
	if !inChild(t, nil) {
		return false
	}
	must(t, syscall.Setgroups(nil))
	must(t, syscall.Setgid(nobody))
	must(t, syscall.Setuid(nobody))
	return true
}

// What the system denies is ErrInaccessible, at Open and at Resume.
func TestPermissionsDenied(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		if !asNobody(t) {
			return
		}
		newDir := func(t *testing.T) (dir string) {
			dir = filepath.Join(t.TempDir(), "d")
			must(t, os.Mkdir(dir, 0o700))
			t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
			return dir
		}
		for name, arrange := range map[string]func(t *testing.T, dir, path string) string{
			"a directory that cannot be made": func(t *testing.T, dir, _ string) string {
				must(t, os.Chmod(dir, 0o500))
				return filepath.Join(dir, "sub", "sub", "test.db")
			},
			"a directory that cannot be written to": func(t *testing.T, dir, path string) string {
				must(t, os.Chmod(dir, 0o500))
				return path
			},
			"a database in a directory that cannot be written to": func(t *testing.T, dir, path string) string {
				makeDB(t, engine, path)
				must(t, os.Chmod(dir, 0o500))
				return path
			},
			"a directory that cannot be entered": func(t *testing.T, dir, path string) string {
				makeDB(t, engine, path)
				must(t, os.Chmod(dir, 0))
				return path
			},
			"a file that cannot be written to": func(t *testing.T, _, path string) string {
				makeDB(t, engine, path)
				must(t, os.Chmod(path, 0o400))
				return path
			},
			"a file that cannot be read": func(t *testing.T, _, path string) string {
				makeDB(t, engine, path)
				must(t, os.Chmod(path, 0))
				return path
			},
		} {
			t.Run(name, func(t *testing.T) {
				dir := newDir(t)
				path := arrange(t, dir, filepath.Join(dir, "test.db"))
				_, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path})
				if !errors.Is(err, lifecycle.ErrInaccessible) || !errors.As(err, new(*sqlite.OpenError)) || !strings.Contains(err.Error(), dir) {
					t.Errorf("Open: %v, want ErrInaccessible with the path", err)
				}
				must(t, os.Chmod(dir, 0o700))
				must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
					if err == nil && p != dir && p != path {
						t.Errorf("%s remains", p)
					}
					return err
				}))
			})
		}
		for name, what := range map[string]func(path string) string{"the file": func(p string) string { return p }, "its directory": filepath.Dir} {
			t.Run("Resume after "+name+" was locked", func(t *testing.T) {
				dir := newDir(t)
				db := openWithRow(t, engine, func(c *sqlite.Config) { c.Path = filepath.Join(dir, "test.db") })
				must(t, db.Pause(ctx))
				must(t, os.Chmod(what(db.Path()), 0))
				for range 2 {
					if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrInaccessible) {
						t.Errorf("Resume: %v, want ErrInaccessible, as on a locked phone", err)
					}
					if s := settled(t, db); s != lifecycle.Paused {
						t.Errorf("the store is %v, want paused", s)
					}
				}
				must(t, os.Chmod(what(db.Path()), 0o700))
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q", got)
				}
			})
		}
	})
}

// Whatever the umask is, files are the owner's alone.
func TestModesOfWhatIsMade(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		before := syscall.Umask(0o022)
		defer syscall.Umask(before)
		dir := t.TempDir()
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Path = filepath.Join(dir, "a", "b", "test.db")
			c.Attach = []sqlite.Attachment{{Schema: "x", Path: filepath.Join(dir, "c", "x.db")}}
		})
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `CREATE TABLE x.t (v)`) }))
		for path, want := range map[string]os.FileMode{
			"a": os.ModeDir | 0o700, "a/b": os.ModeDir | 0o700, "c": os.ModeDir | 0o700,
			"a/b/test.db": 0o600, "a/b/test.db-wal": 0o600, "a/b/test.db-shm": 0o600, "c/x.db": 0o600, "c/x.db-wal": 0o600, "c/x.db-shm": 0o600,
		} {
			info, err := os.Stat(filepath.Join(dir, path))
			must(t, err)
			if info.Mode() != want {
				t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
			}
		}
	})
}

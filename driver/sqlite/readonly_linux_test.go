package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// A file system that is, or has become, read-only.
func TestReadOnlyFileSystem(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		if os.Getuid() != 0 {
			t.Skip("only root may mount")
		}
		if !inChild(t, &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}) {
			return
		}
		dir := t.TempDir()
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", dir, "tmpfs", 0, "")); err != nil {
			t.Skipf("nothing can be mounted here: %v", err)
		}
		defer func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }()
		mode := func(flags uintptr) { must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|flags, "")) }

		path := makeDB(t, engine, filepath.Join(dir, "test.db"))
		paused := openWithRow(t, engine, func(c *sqlite.Config) { c.Path = filepath.Join(dir, "paused.db") })
		must(t, paused.Pause(ctx))
		before := listing(t, dir)
		mode(unix.MS_RDONLY)
		for _, p := range []string{path, filepath.Join(dir, "new.db"), filepath.Join(dir, "new", "test.db")} {
			_, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: p})
			if !errors.Is(err, lifecycle.ErrInaccessible) || !errors.As(err, new(*sqlite.OpenError)) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Open(%s): %v, want ErrInaccessible with the path", p, err)
			}
		}
		if err := paused.Resume(ctx); !errors.Is(err, lifecycle.ErrInaccessible) {
			t.Errorf("Resume: %v, want ErrInaccessible", err)
		}
		sameListing(t, dir, before)
		mode(0)
		must(t, paused.Resume(ctx))
		must(t, paused.Close(ctx))
		must(t, reopen(t, engine, path).Close(ctx))
	})
}

//go:build unix

package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
)

// mediaChild runs this test binary again, to work on a media store, until that is done or the child is killed.
type mediaChild struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

const mediaChildVariable = "QUIESCE_TEST_MEDIA_CHILD"

func startMediaChild(t testing.TB, work string, engine sqlite.Engine, dir string) *mediaChild {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMediaChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", mediaChildVariable+"="+work+":"+engine.Name()+":"+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	watchdog := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { watchdog.Stop() })
	return &mediaChild{t, cmd, bufio.NewScanner(out)}
}

// next returns what the child says next, "" when it has ended.
func (c *mediaChild) next() string {
	c.t.Helper()
	if !c.lines.Scan() {
		return ""
	}
	line := c.lines.Text()
	if strings.HasPrefix(line, "error") {
		c.t.Errorf("the child says: %s", line)
	}
	return line
}

func (c *mediaChild) kill() { _ = c.cmd.Process.Signal(syscall.SIGKILL) }

func (c *mediaChild) wait() { _ = c.cmd.Wait() }

// mediaWork is what a child does. It says how far it is.
var mediaWork = map[string]func(s *sqlitestore.Media) error{
	"streams": func(s *sqlitestore.Media) error {
		for i := uint32(1); ; i++ {
			r, data := file(int(i%killedNames)), killedContent(i)
			w, err := s.Create(ctx, r, media.AddOptions{})
			if err != nil {
				return err
			}
			for len(data) > 0 {
				n, err := w.Write(data[:min(len(data), 100_000)])
				if err != nil {
					return err
				}
				data = data[n:]
			}
			if i%7 == 0 {
				err = w.Close()
			} else if _, err = w.Commit(); err == nil {
				fmt.Println("committed", i)
			}
			if err == nil && i%11 == 0 {
				err = errors.Join(s.Pause(ctx), s.Resume(ctx))
			}
			if err != nil {
				return err
			}
		}
	},
	"clean": func(s *sqlitestore.Media) error {
		_, err := s.Clean(ctx)
		return err
	},
	"policy": func(s *sqlitestore.Media) error {
		err := s.SetPolicy(ctx, childPolicy())
		if err == nil {
			_, err = s.Clean(ctx)
		}
		return err
	},
	"read": func(s *sqlitestore.Media) error {
		_, found, err := s.Get(ctx, file(1))
		if err != nil || !found {
			return fmt.Errorf("found is %v: %w", found, err)
		}
		fmt.Println("read")
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		select {}
	},
}

// TestMediaChild is that process.
func TestMediaChild(t *testing.T) {
	work, rest, ok := strings.Cut(os.Getenv(mediaChildVariable), ":")
	if !ok {
		t.Skip("only runs as the child of a test")
	}
	name, dir, _ := strings.Cut(rest, ":")
	for _, engine := range engines {
		if engine.Name() != name {
			continue
		}
		s, err := sqlitestore.OpenMedia(ctx, killedConfig(dir, engine))
		must(t, err)
		fmt.Println("begin")
		if err := errors.Join(mediaWork[work](s), s.Close(ctx)); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("end")
	}
}

func killedConfig(dir string, engine sqlite.Engine) sqlitestore.MediaConfig {
	cfg := mediaConfig(dir, engine)
	cfg.Clock, cfg.FlushEvery, cfg.Secret = nil, 10*time.Millisecond, key(1)
	return cfg
}

// childPolicy is what the child sets.
func childPolicy() media.Policy {
	return media.NoLimits().WithMaxFileSize(4321).WithCleanupFrequency(24 * time.Hour)
}

// TestMediaReadsThePolicyAtResume: what another process has set while the store was
// paused is in force after Resume, and its cleaning is not repeated before its time.
func TestMediaReadsThePolicyAtResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		cfg, now := killedConfig(dir, engine), newClock()
		now.at, cfg.Clock = time.Now(), now.now
		cleaned := make(chan media.Cleaned, 10)
		cfg.Cleaned = func(c media.Cleaned, err error) {
			if err != nil {
				t.Errorf("a cleaning returned %v", err)
			}
			cleaned <- c
		}
		calls := 0
		cfg.Database.AfterReopen = func(context.Context, *sqlite.Conn) error { calls++; return nil }
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		addMedia(t, s, file(1), make([]byte, 5000))
		must(t, s.Pause(ctx))
		child := startMediaChild(t, "policy", engine, dir)
		for line := child.next(); line != ""; line = child.next() {
		}
		child.wait()
		must(t, s.Resume(ctx))
		if calls != 1 {
			t.Errorf("the user's own hook was called %d times, want once", calls)
		}
		if got, want := s.Policy(), childPolicy(); !reflect.DeepEqual(got, want) {
			t.Errorf("after Resume the policy is %+v, want %+v", got, want)
		}
		wantMedia(t, s, file(1), nil) // an opportunity, which is not used
		addMedia(t, s, file(2), make([]byte, 4321))
		stored, err := s.Add(ctx, file(3), make([]byte, 4322), media.AddOptions{})
		if err != nil || stored {
			t.Errorf("a content that is too large now was stored: %v (%v)", stored, err)
		}
		select {
		case c := <-cleaned:
			t.Errorf("the store has cleaned by itself (%+v), and another process has just done so", c)
		default:
		}
		now.add(25 * time.Hour)
		wantMedia(t, s, file(1), nil)
		if c := <-cleaned; !c.Ran || c.Removed != 0 {
			t.Errorf("a day later it has cleaned %+v", c)
		}
	})
}

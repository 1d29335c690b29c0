//go:build unix

package storekit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/storekit"
)

// killed is something that a process does to a store for a while, and is killed
// in. After any kill the store is whole, and the work can be brought to its end.
type killed struct {
	name string
	// before makes the store, in the parent.
	before func(t *testing.T, p place)
	// work is what the child does. It begins when the child has said so.
	work func(p place) error
	// after looks at what a kill has left and does the work to its end. It says how far it was.
	after func(t *testing.T, p place) (state string)
}

// place is where a store lives, and on what.
type place struct {
	dir    string
	engine sqlite.Engine
}

// store is an encrypted store, with the first steps of a history of four.
func (p place) store(steps int) storekit.Config {
	cfg := storekit.Config{Database: sqlite.Config{Engine: p.engine, Path: filepath.Join(p.dir, "notes.db")}}
	cfg.Migrations = []storekit.Migration{{Version: 1, SQL: `CREATE TABLE note (row BLOB NOT NULL UNIQUE, text BLOB NOT NULL)`}}
	for v := int32(2); v <= int32(steps); v++ {
		cfg.Migrations = append(cfg.Migrations, storekit.Migration{Version: v, Do: func(ctx context.Context, m *storekit.Migrator) error {
			return appendToAll(ctx, m, fmt.Sprint("+", v))
		}})
	}
	return sealed(cfg)
}

// appendToAll is a step that touches every note.
func appendToAll(ctx context.Context, m *storekit.Migrator, suffix string) error {
	type note struct{ row, text []byte }
	all, err := sqlite.Collect(m.Rows(ctx, `SELECT row, text FROM note`), func(r *sqlite.Row) (n note, err error) {
		err = r.Scan(&n.row, &n.text)
		return n, err
	})
	if err != nil {
		return err
	}
	for _, n := range all {
		text, err := m.Codec.Open(textAt(n.row), n.text)
		if err != nil {
			return err
		}
		stored, err := m.Codec.Seal(textAt(n.row), append(text, suffix...))
		if err != nil {
			return err
		}
		if _, err := m.Exec(ctx, `UPDATE note SET text = ? WHERE row = ?`, stored, n.row); err != nil {
			return err
		}
	}
	return nil
}

const someNotes = 600

// make makes the store with notes that say text.
func (p place) make(t *testing.T, text string) {
	t.Helper()
	s, err := storekit.Open(ctx, p.store(1))
	must(t, err)
	texts := make([]string, someNotes)
	for i := range texts {
		texts[i] = text
	}
	add(t, s, texts...)
	must(t, s.Close(ctx))
}

// all returns what every note says; they all have to say the same.
func all(t *testing.T, s *storekit.Store) string {
	t.Helper()
	texts, err := notes(s)
	must(t, err)
	if len(texts) != someNotes {
		t.Fatalf("%d notes are there of %d", len(texts), someNotes)
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Fatalf("one note says %q, another one %q: something was done in part", texts[0], text)
		}
	}
	must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
	return texts[0]
}

var kills = []killed{
	{
		name:   "migration",
		before: func(t *testing.T, p place) { p.make(t, "text") },
		work: func(p place) error {
			s, err := storekit.Open(ctx, p.store(4))
			if err != nil {
				return err
			}
			return s.Close(ctx)
		},
		after: func(t *testing.T, p place) string {
			at := versionOf(t, p)
			s, err := storekit.Open(ctx, p.store(at))
			must(t, err)
			want := "text" + strings.Join([]string{"", "+2", "+3", "+4"}[:at], "")
			if got := all(t, s); got != want {
				t.Errorf("at version %d the notes say %q, want %q", at, got, want)
			}
			must(t, s.Close(ctx))
			s, err = storekit.Open(ctx, p.store(4))
			must(t, err)
			if got := all(t, s); got != "text+2+3+4" {
				t.Errorf("the next Open ended with %q", got)
			}
			must(t, s.Close(ctx))
			return fmt.Sprint("at version ", at)
		},
	},
	{
		name:   "key rotation",
		before: func(t *testing.T, p place) { p.make(t, "text") },
		work: func(p place) error {
			s, err := storekit.Open(ctx, p.store(1))
			if err != nil {
				return err
			}
			return errors.Join(s.Rotate(ctx, key(1), storekit.RotateOptions{}), s.Close(ctx))
		},
		after: func(t *testing.T, p place) string {
			s, err := storekit.Open(ctx, p.store(1))
			must(t, err)
			if got := all(t, s); got != "text" {
				t.Errorf("the notes say %q", got)
			}
			before := unfinished(t, s)
			must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
			if unfinished(t, s) != "over" {
				t.Error("the next Rotate did not bring it to its end")
			}
			if got := all(t, s); got != "text" {
				t.Errorf("after the next Rotate the notes say %q", got)
			}
			must(t, s.Close(ctx))
			return before
		},
	},
	{
		name:   "backup",
		before: func(t *testing.T, p place) { p.make(t, "text") },
		work: func(p place) error {
			s, err := storekit.Open(ctx, p.store(1))
			if err != nil {
				return err
			}
			for i := range 20 {
				if err := s.Backup(ctx, filepath.Join(p.dir, fmt.Sprint("backup-", i)), nil); err != nil {
					return err
				}
			}
			return s.Close(ctx)
		},
		after: func(t *testing.T, p place) string {
			s, err := storekit.Open(ctx, p.store(1))
			must(t, err)
			all(t, s)
			whole := 0
			for i := range 20 {
				name := filepath.Join(p.dir, fmt.Sprint("backup-", i))
				if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
					must(t, s.Backup(ctx, name, nil)) // whatever the kill has left is in nobody's way
					break
				}
				whole++
				cfg := p.store(1)
				cfg.Database.Path = name
				copied, err := storekit.Open(ctx, cfg)
				must(t, err)
				all(t, copied)
				must(t, copied.Close(ctx))
			}
			must(t, s.Close(ctx))
			return fmt.Sprint(whole/5*5, " backups and more")
		},
	},
	{
		name: "restore",
		before: func(t *testing.T, p place) {
			p.make(t, "old")
			s, err := storekit.Open(ctx, p.store(1))
			must(t, err)
			must(t, s.Backup(ctx, filepath.Join(p.dir, "backup-old"), nil))
			must(t, s.Close(ctx))
			s, err = storekit.Open(ctx, p.store(2)) // every note says old+2
			must(t, err)
			must(t, s.Backup(ctx, filepath.Join(p.dir, "backup-new"), nil))
			must(t, s.Close(ctx))
		},
		work: func(p place) error {
			cfg := p.store(1)
			cfg.Migrations = nil // so that both fit
			s, err := storekit.Open(ctx, cfg)
			if err != nil {
				return err
			}
			for i := range 10 {
				if err := s.Restore(ctx, filepath.Join(p.dir, []string{"backup-old", "backup-new"}[i%2]), storekit.RestoreOptions{}); err != nil {
					return err
				}
			}
			return s.Close(ctx)
		},
		after: func(t *testing.T, p place) string {
			cfg := p.store(1)
			cfg.Migrations = nil
			s, err := storekit.Open(ctx, cfg)
			must(t, err)
			state := all(t, s)
			if state != "old" && state != "old+2" {
				t.Errorf("the notes say %q, which is neither content", state)
			}
			must(t, s.Restore(ctx, filepath.Join(p.dir, "backup-old"), storekit.RestoreOptions{}))
			if got := all(t, s); got != "old" {
				t.Errorf("after another Restore the notes say %q", got)
			}
			must(t, s.Close(ctx))
			left, err := filepath.Glob(filepath.Join(p.dir, "notes.db-*"))
			if err != nil || len(left) != 0 {
				t.Errorf("left are %v (%v)", left, err)
			}
			return state
		},
	},
}

func versionOf(t *testing.T, p place) (v int) {
	t.Helper()
	cfg := p.store(1).Database
	db, err := sqlite.Open(ctx, cfg)
	must(t, err)
	must(t, db.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `PRAGMA user_version`).Scan(&v) }))
	must(t, db.Close(ctx))
	return v
}

func unfinished(t *testing.T, s *storekit.Store) string {
	t.Helper()
	var n int
	must(t, s.View(ctx, func(c *sqlite.Conn) error {
		return c.QueryRow(ctx, `SELECT count(*) FROM storekit_meta WHERE key = 'rotation'`).Scan(&n)
	}))
	if n == 0 {
		return "over"
	}
	return "under way"
}

const killVariable = "QUIESCE_TEST_STOREKIT_KILL"

// TestKilled: a process is killed with SIGKILL at random moments of long work.
// Afterwards the store is whole, and the work can be brought to its end.
func TestKilled(t *testing.T) {
	for _, k := range kills {
		t.Run(k.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, engine sqlite.Engine) {
				rounds := tier.Count(3, 40, 300)
				states := map[string]int{}
				var longest time.Duration // what the work takes that nobody kills, which the first round finds out
				for i := range rounds + 1 {
					p := place{t.TempDir(), engine}
					k.before(t, p)
					after := patience
					if i > 0 {
						after = rand.N(longest)
					}
					took, ended := killedAfter(t, k.name, p, after)
					if i == 0 {
						longest = max(took, time.Millisecond)
					}
					state := k.after(t, p)
					if ended {
						state = "at its end"
					}
					states[state]++
					if t.Failed() {
						t.Fatalf("in round %d of %d", i+1, rounds)
					}
					must(t, os.RemoveAll(p.dir))
				}
				t.Logf("%d rounds, 0 lost; killed %v", rounds, states)
			})
		})
	}
}

// killedAfter runs a child and kills it so long after the beginning of its work, unless that has ended before.
func killedAfter(t *testing.T, name string, p place, after time.Duration) (took time.Duration, ended bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.timeout=5m")
	child.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", killVariable+"="+name+":"+p.engine.Name()+":"+p.dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	defer func() { _ = child.Wait() }()
	watchdog := time.AfterFunc(2*time.Minute, func() { _ = child.Process.Kill() })
	defer watchdog.Stop()
	var began time.Time
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "begin":
			began = time.Now()
			time.AfterFunc(after, func() { _ = child.Process.Signal(syscall.SIGKILL) })
		case "end":
			took, ended = time.Since(began), true
		case "error":
			t.Errorf("the child says: %s", rest)
		}
	}
	return took, ended
}

// TestKilledChild is the process that gets killed.
func TestKilledChild(t *testing.T) {
	name, rest, ok := strings.Cut(os.Getenv(killVariable), ":")
	if !ok {
		t.Skip("only runs as the child of TestKilled")
	}
	engineName, dir, _ := strings.Cut(rest, ":")
	for _, k := range kills {
		for _, engine := range engines {
			if k.name != name || engine.Name() != engineName {
				continue
			}
			fmt.Println("begin")
			if err := k.work(place{dir, engine}); err != nil {
				fmt.Println("error", err)
				return
			}
			fmt.Println("end")
		}
	}
}

package sqlite_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// badInput is something that Open refuses.
type badInput struct {
	name string
	// arrange prepares the directory and the configuration, whose path is test.db in it.
	arrange func(t *testing.T, dir string, cfg *sqlite.Config)
	want    error
	hint    bool   // the error says what to do
	names   string // what the error names besides the path's last element
}

func badInputs(engine sqlite.Engine) []badInput {
	setting := func(name string, change func(*sqlite.Config)) badInput {
		return badInput{name: name, want: sqlite.ErrConfig, arrange: func(_ *testing.T, _ string, cfg *sqlite.Config) { change(cfg) }}
	}
	path := func(name, path string, want error) badInput {
		return badInput{name: name, want: want, arrange: func(_ *testing.T, _ string, cfg *sqlite.Config) { cfg.Path = path }}
	}
	content := func(name string, want error, change func([]byte) []byte) badInput {
		return badInput{name: name, want: want, hint: true, arrange: func(t *testing.T, _ string, cfg *sqlite.Config) {
			makeDB(t, engine, cfg.Path)
			before, err := os.ReadFile(cfg.Path)
			must(t, err)
			must(t, os.WriteFile(cfg.Path, change(before), 0o600))
		}}
	}
	noise := func(n int) []byte {
		b := make([]byte, n)
		random := rand.NewChaCha8([32]byte{7})
		_, _ = random.Read(b)
		return b
	}
	errSetup := errors.New("the hook's own")
	return []badInput{
		setting("no engine", func(c *sqlite.Config) { c.Engine = nil }),
		setting("negative MaxReaders", func(c *sqlite.Config) { c.MaxReaders = -1 }),
		setting("negative CacheSize", func(c *sqlite.Config) { c.CacheSize = -1 }),
		setting("negative JournalSizeLimit", func(c *sqlite.Config) { c.JournalSizeLimit = -1 }),
		setting("negative MmapSize", func(c *sqlite.Config) { c.MmapSize = -1 }),
		setting("negative StatementCache", func(c *sqlite.Config) { c.StatementCache = -1 }),
		setting("negative SchemaVersion", func(c *sqlite.Config) { c.SchemaVersion = -1 }),
		setting("negative CheckpointBound", func(c *sqlite.Config) { c.CheckpointBound = -1 }),
		setting("negative Timeout", func(c *sqlite.Config) { c.Timeout = -1 }),
		setting("negative Grace", func(c *sqlite.Config) { c.Grace = -1 }),
		setting("negative IdleTimeout", func(c *sqlite.Config) { c.IdleTimeout = -1 }),
		setting("unknown WhenPaused", func(c *sqlite.Config) { c.WhenPaused = 7 }),
		setting("unknown Synchronous", func(c *sqlite.Config) { c.Synchronous = 7 }),
		setting("unknown Checkpoint", func(c *sqlite.Config) { c.Checkpoint = 7 }),
		setting("attach as main", func(c *sqlite.Config) { c.Attach = []sqlite.Attachment{{Schema: "Main", Path: c.Path + "2"}} }),
		setting("attach as two words", func(c *sqlite.Config) { c.Attach = []sqlite.Attachment{{Schema: "a b", Path: c.Path + "2"}} }),
		setting("attach twice", func(c *sqlite.Config) {
			c.Attach = []sqlite.Attachment{{Schema: "a", Path: c.Path + "2"}, {Schema: "A", Path: c.Path + "3"}}
		}),
		path("memory", ":memory:", sqlite.ErrMemory),
		path("no path", "", sqlite.ErrMemory),
		path("memory by URI", "file::memory:?cache=shared", sqlite.ErrMemory),
		path("memory by mode", "file:x?mode=memory", sqlite.ErrMemory),
		path("URI", "file:/nowhere/x.db", sqlite.ErrConfig),
		path("NUL", "/nowhere/x\x00y.db", sqlite.ErrConfig),
		{name: "attached memory", want: sqlite.ErrMemory, arrange: func(_ *testing.T, _ string, c *sqlite.Config) {
			c.Attach = []sqlite.Attachment{{Schema: "a", Path: ":memory:"}}
		}},
		{name: "attached to itself", want: sqlite.ErrInUse, hint: true, arrange: func(_ *testing.T, _ string, c *sqlite.Config) {
			c.Attach = []sqlite.Attachment{{Schema: "a", Path: c.Path}}
		}},
		{name: "a file in the directory's place", want: sqlite.ErrDirectory, hint: true, names: "way", arrange: func(t *testing.T, dir string, c *sqlite.Config) {
			must(t, os.WriteFile(filepath.Join(dir, "way"), []byte("a file"), 0o600))
			c.Path = filepath.Join(dir, "way", "deeper", "test.db")
		}},
		{name: "a directory", want: sqlite.ErrDirectory, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			must(t, os.Mkdir(c.Path, 0o700))
		}},
		{name: "a symbolic link to nothing", want: sqlite.ErrDirectory, hint: true, arrange: func(t *testing.T, dir string, c *sqlite.Config) {
			must(t, os.Symlink(filepath.Join(dir, "nothing"), c.Path))
		}},
		{name: "text", want: sqlite.ErrNotADatabase, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			must(t, os.WriteFile(c.Path, []byte("Dear diary,\n"), 0o640))
		}},
		{name: "much text", want: sqlite.ErrNotADatabase, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			must(t, os.WriteFile(c.Path, bytes.Repeat([]byte("Dear diary,\n"), 10_000), 0o640))
		}},
		{name: "an encrypted database", want: sqlite.ErrNotADatabase, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			must(t, os.WriteFile(c.Path, noise(10*4096), 0o600))
		}},
		{name: "text, attached", want: sqlite.ErrNotADatabase, hint: true, names: "diary", arrange: func(t *testing.T, dir string, c *sqlite.Config) {
			must(t, os.WriteFile(filepath.Join(dir, "diary"), []byte("Dear diary,\n"), 0o640))
			c.Attach = []sqlite.Attachment{{Schema: "a", Path: filepath.Join(dir, "diary")}}
			c.Path = filepath.Join(dir, "new", "test.db")
		}},
		{name: "text, attached to a database of others", want: sqlite.ErrNotADatabase, hint: true, names: "diary", arrange: func(t *testing.T, dir string, c *sqlite.Config) {
			foreignly(t, c.Path, `CREATE TABLE t (v)`)
			must(t, os.WriteFile(filepath.Join(dir, "diary"), []byte("Dear diary,\n"), 0o640))
			c.Attach = []sqlite.Attachment{{Schema: "a", Path: filepath.Join(dir, "diary")}}
			c.AddIdentity = true
		}},
		content("a damaged schema", sqlite.ErrCorrupt, func(b []byte) []byte {
			copy(b[100:], bytes.Repeat([]byte{0xA5}, 400))
			return b
		}),
		content("flipped bits in the schema", sqlite.ErrCorrupt, func(b []byte) []byte {
			for i := 100; i < 4096; i++ {
				b[i] ^= 0xff
			}
			return b
		}),
		content("a truncated file", sqlite.ErrCorrupt, func(b []byte) []byte { return b[:4096] }),
		{name: "a newer schema", want: lifecycle.ErrSchemaNewer, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			foreignly(t, makeDB(t, engine, c.Path), `PRAGMA user_version = 5`)
			c.SchemaVersion = 4
		}},
		{name: "a newer schema, of others", want: lifecycle.ErrSchemaNewer, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			foreignly(t, c.Path, `PRAGMA user_version = 5`)
			c.SchemaVersion, c.AddIdentity, c.ApplicationID = 4, true, 0
			c.Setup = func(ctx context.Context, c *sqlite.Conn) error {
				return c.ExecScript(ctx, `CREATE TABLE IF NOT EXISTS mine (v)`)
			}
		}},
		{name: "another application", want: sqlite.ErrApplicationID, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			foreignly(t, c.Path, `PRAGMA application_id = 1`)
			c.ApplicationID = 2
		}},
		{name: "no application", want: sqlite.ErrApplicationID, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			makeDB(t, engine, c.Path)
			c.ApplicationID = 2
		}},
		{name: "a log without its database", want: lifecycle.ErrMissing, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			must(t, os.WriteFile(c.Path+"-wal", noise(5000), 0o600))
		}},
		{name: "a log beside an empty file", want: lifecycle.ErrMissing, hint: true, arrange: func(t *testing.T, _ string, c *sqlite.Config) {
			must(t, os.WriteFile(c.Path, nil, 0o600))
			must(t, os.WriteFile(c.Path+"-wal", noise(5000), 0o600))
		}},
		{name: "a name that is too long", arrange: func(_ *testing.T, dir string, c *sqlite.Config) {
			c.Path = filepath.Join(dir, "new", strings.Repeat("x", 300))
		}},
		{name: "Setup fails", want: errSetup, arrange: func(_ *testing.T, dir string, c *sqlite.Config) {
			c.Path = filepath.Join(dir, "new", "newer", "test.db")
			c.Setup = func(context.Context, *sqlite.Conn) error { return errSetup }
		}},
		{name: "Setup panics", arrange: func(_ *testing.T, dir string, c *sqlite.Config) {
			c.Path = filepath.Join(dir, "new", "newer", "test.db")
			c.Setup = func(context.Context, *sqlite.Conn) error { panic("the hook's own") }
		}},
		{name: "Prepare fails after it has written", want: errSetup, arrange: func(_ *testing.T, dir string, c *sqlite.Config) {
			c.Path = filepath.Join(dir, "new", "newer", "test.db")
			c.Attach = []sqlite.Attachment{{Schema: "a", Path: filepath.Join(dir, "elsewhere", "a.db")}}
			c.Prepare = func(ctx context.Context, c *sqlite.Conn) error {
				return errors.Join(c.ExecScript(ctx, `CREATE TABLE mine (v); CREATE TABLE a.mine (v)`), errSetup)
			}
		}},
	}
}

// What Open refuses, it refuses with an error that can be told, names the path
// and says what to do; no new file remains and no content changes.
func TestBadInputIsRefusedAndNothingIsChanged(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, bad := range append(badInputs(engine), moreBadInputs...) {
			t.Run(bad.name, func(t *testing.T) {
				dir := t.TempDir()
				cfg := sqlite.Config{Engine: engine, Path: filepath.Join(dir, "test.db"), BusyTimeout: 50 * time.Millisecond}
				bad.arrange(t, dir, &cfg)
				before := listing(t, dir)
				for range 2 { // again: a refused file is not taken for open
					db, err := sqlite.Open(ctx, cfg)
					if err == nil {
						_ = db.Close(ctx)
						t.Fatal("Open accepted it")
					}
					checkRefusal(t, cfg, bad, err)
				}
				if errors.Is(bad.want, sqlite.ErrNotADatabase) || errors.Is(bad.want, sqlite.ErrCorrupt) { // what SQLite itself has refused
					released(t, cfg.Path)
				}
				sameListing(t, dir, before)
			})
		}
	})
}

func checkRefusal(t *testing.T, cfg sqlite.Config, bad badInput, err error) {
	t.Helper()
	if bad.want != nil && !errors.Is(err, bad.want) {
		t.Errorf("Open: %v, want an error that matches %q", err, bad.want)
	}
	e := (*sqlite.OpenError)(nil)
	if !errors.As(err, &e) {
		t.Fatalf("Open: %T %v, want an *OpenError in it", err, err)
	}
	name := strings.Trim(fmt.Sprintf("%q", filepath.Base(cfg.Path)), `"`)
	if bad.names != "" {
		name = bad.names
	}
	if cfg.Path != "" && !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "memory") {
		t.Errorf("the error does not name %s: %v", name, err)
	}
	if bad.hint && e.Hint == "" {
		t.Errorf("the error does not say what to do: %v", err)
	}
	if errors.Is(err, sqlite.ErrMemory) && !strings.Contains(err.Error(), "driver/memory") {
		t.Errorf("the error does not name driver/memory: %v", err)
	}
}

// A context that has ended already opens nothing and makes nothing.
func TestOpenWithAnEndedContextMakesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		ended, cancel := context.WithCancel(ctx)
		cancel()
		before := listing(t, dir)
		if _, err := sqlite.Open(ended, sqlite.Config{Engine: engine, Path: filepath.Join(dir, "a", "test.db")}); !errors.Is(err, context.Canceled) {
			t.Errorf("Open: %v, want the context's error", err)
		}
		sameListing(t, dir, before)
	})
}

// holdingEngine holds its connections up before they prepare a statement for the second time.
type holdingEngine struct {
	sqlite.Engine
	text string
	hold func()
}

func (e *holdingEngine) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	raw, err := e.Engine.Open(path, o)
	if err != nil {
		return nil, err
	}
	return &holdingRaw{Raw: raw, e: e}, nil
}

type holdingRaw struct {
	sqlite.Raw
	e     *holdingEngine
	times int
}

func (r *holdingRaw) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if text == r.e.text {
		if r.times++; r.times == 2 {
			r.e.hold()
		}
	}
	return r.Raw.PrepareContext(ctx, text)
}

// A database that takes longer than Open has time is an error of Open; what was begun is taken back when it answers.
func TestOpenGivesBackWhatASlowDatabaseKeeps(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		before := listing(t, dir)
		b := newBlocker()
		cfg := sqlite.Config{Path: filepath.Join(dir, "a", "test.db"), Timeout: 100 * time.Millisecond,
			Engine: &holdingEngine{engine, `PRAGMA main.application_id`, b.hold}} // the first time it is looked at before anything is changed
		_, err := sqlite.Open(ctx, cfg)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open: %v, want an error for its time-out", err)
		}
		cfg.Engine = engine
		if _, err := sqlite.Open(ctx, cfg); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("a second Open while the first has not given everything back: %v, want ErrInUse", err)
		}
		close(b.release)
		eventually(t, "the failed Open takes back what it made", func() bool { return !exists(filepath.Join(dir, "a")) })
		sameListing(t, dir, before)
		eventually(t, "the file is free", func() bool {
			db, err := sqlite.Open(ctx, cfg)
			if err == nil {
				must(t, db.Close(ctx))
			}
			return err == nil
		})
	})
}

// A hook that ends its goroutine, as a test's FailNow does, leaves nothing behind either.
func TestOpenWhoseSetupEndsTheGoroutine(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		before := listing(t, dir)
		cfg := sqlite.Config{Engine: engine, Path: filepath.Join(dir, "a", "test.db"), Setup: func(context.Context, *sqlite.Conn) error { runtime.Goexit(); return nil }}
		ended := make(chan error, 1)
		go func() {
			defer close(ended)
			_, _ = sqlite.Open(ctx, cfg)
		}()
		within(t, "the goroutine", ended, nil)
		released(t, cfg.Path)
		sameListing(t, dir, before)
		cfg.Setup = nil
		db, err := sqlite.Open(ctx, cfg)
		must(t, err)
		must(t, db.Close(ctx))
	})
}

// A database that a crash has left, with its log, opens with all that was committed.
func TestALogLeftByACrashIsWrittenBack(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := makeDB(t, engine, filepath.Join(t.TempDir(), "test.db"))
		other := startForeign(t, path)
		other.must(`UPDATE t SET v = 'committed'`)
		other.kill()
		if !exists(path + "-wal") {
			t.Fatal("the other process left no log: this proves nothing")
		}
		db := reopen(t, engine, path)
		if got := readRow(t, db); got != "committed" {
			t.Errorf("read %q, and %q was committed before the crash", got, "committed")
		}
		must(t, db.Close(ctx))
		nothingHeld(t, db)
	})
}

// Names that mean something in a URI, a pattern or a terminal are names all the same.
func TestWeirdNames(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, name := range []string{"a?mode=memory", "a#b", "100%", "%41", "two words", "Käse😀", "new\nline", "-wal", "a'b\"c", "&x=y", "*", `back\slash`, " ", "a;b", ":memory:"} {
			t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "sub?dir #1%")
				db := openWithRow(t, engine, func(c *sqlite.Config) { c.Path = filepath.Join(dir, name) })
				must(t, db.Pause(ctx))
				released(t, db.Path())
				if l := listing(t, dir); len(l) != 2 || !exists(filepath.Join(dir, name)) {
					t.Errorf("a database named %q left %v", name, l)
				}
				must(t, db.Resume(ctx))
				if got := readRow(t, db); got != "kept" {
					t.Errorf("read %q after Resume", got)
				}
			})
		}
	})
}

// An Open that fails takes back the file that it made, but not where another
// process works with it by now: that would lose what that one has committed.
func TestAFailedOpenKeepsAFileThatOthersUse(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "a", "test.db")
		errSetup := errors.New("the hook's own")
		var other *foreign
		_, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: path, Prepare: func(context.Context, *sqlite.Conn) error {
			other = startForeign(t, path)
			other.must(`CREATE TABLE t (v)`)
			other.must(`INSERT INTO t VALUES ('kept')`)
			return errSetup
		}})
		if !errors.Is(err, errSetup) {
			t.Fatalf("Open: %v, want the hook's error", err)
		}
		if got := other.must(`SELECT v FROM t`); got != "kept" {
			t.Errorf("the other process reads %q", got)
		}
		other.end()
		if !exists(path) {
			t.Fatal("Open failed and has deleted a database that another process has written to")
		}
		db := reopen(t, engine, path)
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q of what another process has committed", got)
		}
		must(t, db.Close(ctx))
	})
}

// Dir names the directory, and the store's name the file in it.
func TestDirInsteadOfPath(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := filepath.Join(t.TempDir(), "data")
		for name, file := range map[string]string{"": "quiesce.db", "state": "state.db"} {
			cfg := sqlite.Config{Engine: engine, Dir: dir, Name: name}
			db, err := sqlite.Open(ctx, cfg)
			must(t, err)
			if want := filepath.Join(dir, file); db.Path() != want || !exists(want) {
				t.Errorf("Dir %s and Name %q: the file is %s, want %s", dir, name, db.Path(), want)
			}
			if want := strings.TrimSuffix(file, ".db"); name != "" && db.Report().Store != want {
				t.Errorf("the store is called %q, want %q", db.Report().Store, want)
			}
			must(t, db.Wipe(ctx))
			must(t, sqlite.Wipe(ctx, cfg))
		}
		for _, bad := range []struct {
			cfg  sqlite.Config
			want error
		}{
			{sqlite.Config{Dir: dir, Path: filepath.Join(dir, "x.db")}, sqlite.ErrConfig},
			{sqlite.Config{Dir: dir, Name: "a/b"}, sqlite.ErrConfig},
			{sqlite.Config{Dir: "file:data"}, sqlite.ErrConfig},
			{sqlite.Config{Dir: ":memory:"}, sqlite.ErrMemory},
		} {
			bad.cfg.Engine = engine
			if _, err := sqlite.Open(ctx, bad.cfg); !errors.Is(err, bad.want) {
				t.Errorf("Open with Dir %q, Path %q and Name %q: %v, want %v", bad.cfg.Dir, bad.cfg.Path, bad.cfg.Name, err, bad.want)
			}
		}
	})
}

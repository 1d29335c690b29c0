package storekit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

var ctx = context.Background()

// engines are what every test here runs on.
var engines = []sqlite.Engine{modernc.Engine(), mattn.Engine()}

// onEngines runs a test or a benchmark on every engine that this build has, and finds the goroutines that it leaves behind.
func onEngines[T interface {
	*testing.T | *testing.B
	testing.TB
	Run(string, func(T)) bool
}](t T, test func(t T, engine sqlite.Engine)) {
	t.Helper()
	for _, engine := range engines {
		t.Run("engine="+engine.Name(), func(t T) {
			if engine.Name() == "mattn" && !withCgo {
				t.Skip("the mattn engine needs cgo, and this is a build without; the other build runs it")
			}
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			test(t, engine)
		})
	}
}

// config is that of a small store of notes in a directory of the test's own,
// with the operating system's proof on.
func config(t testing.TB, engine sqlite.Engine) storekit.Config {
	return storekit.Config{
		Database:   sqlite.Config{Engine: engine, Path: filepath.Join(t.TempDir(), "notes.db"), Verify: true, MaxReaders: 3},
		Migrations: []storekit.Migration{{Version: 1, Name: "notes", SQL: `CREATE TABLE note (row BLOB NOT NULL UNIQUE, text BLOB NOT NULL)`}},
	}
}

// sealed makes cfg that of an encrypted store.
func sealed(cfg storekit.Config) storekit.Config {
	cfg.Secret = key(1)
	cfg.Sealed = []storekit.SealedColumn{{Table: "note", Column: "text", Row: "row"}}
	return cfg
}

func key(b byte) secret.Secret { return secret.Key([]byte(strings.Repeat(string(rune(b)), 32))) }

// open opens a store, and closes it at the end.
func open(t testing.TB, cfg storekit.Config) *storekit.Store {
	t.Helper()
	s, err := storekit.Open(ctx, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(ctx)) })
	return s
}

func cycle(t testing.TB, s *storekit.Store) {
	t.Helper()
	must(t, s.Pause(ctx))
	must(t, s.Resume(ctx))
}

// add adds notes, sealed as the store does it.
func add(t testing.TB, s *storekit.Store, texts ...string) {
	t.Helper()
	must(t, s.Update(ctx, func(c *sqlite.Conn) error {
		for _, text := range texts {
			row := secret.NewRowID()
			stored, err := s.Codec().Seal(textAt(row[:]), []byte(text))
			if err != nil {
				return err
			}
			if _, err := c.Exec(ctx, `INSERT INTO note (row, text) VALUES (?, ?)`, row[:], stored); err != nil {
				return err
			}
		}
		return nil
	}))
}

func textAt(row []byte) secret.Place { return secret.Place{Table: "note", Column: "text", Row: row} }

// notes reads them all, in the order in which they were added.
func notes(s *storekit.Store) (texts []string, err error) {
	err = s.View(ctx, func(c *sqlite.Conn) error {
		for r, err := range c.Rows(ctx, `SELECT row, text FROM note ORDER BY rowid`) {
			if err != nil {
				return err
			}
			var row, stored []byte
			if err := r.Scan(&row, &stored); err != nil {
				return err
			}
			text, err := s.Codec().Open(textAt(row), stored)
			if err != nil {
				return err
			}
			texts = append(texts, string(text))
		}
		return nil
	})
	return texts, err
}

func wantNotes(t testing.TB, s *storekit.Store, want ...string) {
	t.Helper()
	got, err := notes(s)
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the notes are %q (%v), want %q", got, err, want)
	}
}

func version(t testing.TB, s *storekit.Store) (v int) {
	t.Helper()
	must(t, s.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `PRAGMA user_version`).Scan(&v) }))
	return v
}

// noFiles checks that nothing is in the directory of cfg's database.
func noFiles(t testing.TB, cfg storekit.Config) {
	t.Helper()
	left, err := os.ReadDir(filepath.Dir(cfg.Database.Path))
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v (%v), want nothing", left, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// patience is how long a test waits for what has to come. It is no measurement.
const patience = 60 * time.Second

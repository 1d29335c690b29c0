package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// Paths that mean something in a URI open the very file of that name.
func TestEveryPathOpensTheFileOfThatName(t *testing.T) {
	names := []string{
		"plain.db", "with space.db", "question?mark.db", "hash#mark.db", "per%cent.db", "per%20cent.db", "a&b=c.db",
		"plus+sign.db", "ünïcödé-日本.db", "quote's \"double\".db", "semi;colon:colon.db", "back\\slash.db", "new\nline.db", "?mode=memory", "vfs=none&", ":memory:",
		"invalid\xffutf8.db",
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := filepath.Join(t.TempDir(), "dir? with # and %41")
		must(t, os.Mkdir(dir, 0o700))
		for _, name := range names {
			path := filepath.Join(dir, name)
			c := openConn(t, engine, path, sqlite.OpenOptions{Create: true}, sqlite.ConnOptions{})
			c.SetOp(t.Context())
			if err := c.ExecScript(t.Context(), `CREATE TABLE t (v); INSERT INTO t VALUES (1)`); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			must(t, c.Reset())
			must(t, c.CloseConn())
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		found := map[string]bool{}
		for _, e := range entries {
			found[e.Name()] = true
		}
		for _, name := range names {
			if !found[name] {
				t.Errorf("no file %q was made, so another one was opened", name)
			}
		}
		if len(entries) != len(names) {
			t.Errorf("%d files for %d names: %v", len(entries), len(names), entries)
		}
	})
}

func TestPathsThatAreNoFilesAreRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, path := range []string{"", filepath.Join(t.TempDir(), "a\x00b")} {
			if raw, err := engine.Open(path, sqlite.OpenOptions{Create: true}); err == nil {
				t.Errorf("Open(%q) opened something: SQLite would have cut the name or made a temporary database", path)
				must(t, raw.Close())
			}
		}
	})
}

func TestOpenCreatesOnlyWhenAsked(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		path := filepath.Join(t.TempDir(), "missing.db")
		raw, err := engine.Open(path, sqlite.OpenOptions{})
		if err == nil {
			t.Error("Open without Create opened a missing file")
			must(t, raw.Close())
		} else if code, ok := engine.ErrorCode(err); !ok || code&0xff != 14 {
			t.Errorf("Open of a missing file: code %d, %v; want SQLITE_CANTOPEN (14)", code, ok)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open without Create made the file: %v", err)
		}
	})
}

// A wait inside SQLite could not be ended, so no connection ever has a busy timeout.
func TestNoConnectionWaitsInsideSQLite(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, "")
		if ms := scanOne[int](t, c, `PRAGMA busy_timeout`); ms != 0 {
			t.Errorf("busy_timeout is %d ms after Open, want 0", ms)
		}
	})
}

func TestNoCheckpointOnCloseLeavesTheLog(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, keep := range []bool{false, true} {
			c := connOn(t, engine, `CREATE TABLE t (v); INSERT INTO t VALUES (1)`)
			must(t, c.Reset())
			if keep {
				must(t, c.NoCheckpointOnClose())
			}
			must(t, c.CloseConn())
			_, err := os.Stat(c.Path() + "-wal")
			if left := err == nil; left != keep {
				t.Errorf("NoCheckpointOnClose %v: the log is left: %v", keep, left)
			}
		}
	})
}

// Both engines say the same of the same mistake.
func TestBothEnginesReportTheSameCodes(t *testing.T) {
	notADatabase := filepath.Join(t.TempDir(), "text.db")
	must(t, os.WriteFile(notADatabase, []byte("this is a text of some length, and no database at all"), 0o600))
	cases := []struct {
		name     string
		sql      string
		want     error
		extended int
	}{
		{"syntax", `SELEC 1`, nil, 1},
		{"missing table", `SELECT * FROM missing`, nil, 1},
		{"unique", `INSERT INTO t (id, v) VALUES (1, 2)`, sqlite.ErrUnique, 19 | 6<<8},
		{"unique is a constraint", `INSERT INTO t (id, v) VALUES (1, 2)`, sqlite.ErrConstraint, 19 | 6<<8},
		{"not null", `INSERT INTO t (id, v) VALUES (2, NULL)`, sqlite.ErrConstraint, 19 | 5<<8},
		{"check", `INSERT INTO t (id, v) VALUES (2, -1)`, sqlite.ErrConstraint, 19 | 1<<8},
		{"unique index", `INSERT INTO t (id, v) VALUES (2, 1)`, sqlite.ErrUnique, 19 | 8<<8},
		{"cannot open", `ATTACH '/no/such/directory/file.db' AS a`, sqlite.ErrCantOpen, 14},
		{"not a database", `ATTACH '` + notADatabase + `' AS a`, sqlite.ErrNotADatabase, 26},
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL UNIQUE CHECK (v > 0)); INSERT INTO t VALUES (1, 1)`)
		for _, test := range cases {
			_, err := c.Exec(t.Context(), test.sql)
			var e *sqlite.Error
			if !errors.As(err, &e) {
				t.Errorf("%s: %v (%T), want an *Error", test.name, err, err)
				continue
			}
			if e.Extended != test.extended || e.Code != test.extended&0xff {
				t.Errorf("%s: code %d, extended %d; want extended %d", test.name, e.Code, e.Extended, test.extended)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s: %v does not match %v", test.name, err, test.want)
			}
			if errors.Is(err, sqlite.ErrBusy) || errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v matches what it is not", test.name, err)
			}
			if e.Path != c.Path() || e.SQL != test.sql {
				t.Errorf("%s: the error names %q and %q", test.name, e.Path, e.SQL)
			}
		}
	})
}

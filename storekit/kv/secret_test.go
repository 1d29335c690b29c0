package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// onEncrypted is onBoth for what only an encrypted store promises.
func onEncrypted(t *testing.T, test func(t *testing.T, on both)) {
	t.Helper()
	onBoth(t, func(t *testing.T, on both) {
		if !on.codec.Encrypted() {
			t.Skip("only an encrypted store promises this")
		}
		test(t, on)
	})
}

// TestNothingWrittenIsInAFile: no key, no namespace and no value.
func TestNothingWrittenIsInAFile(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.New(db, on.codec, "NAMESPACE-MARKER")
		must(t, table.Set(ctx, "KEY-MARKER", []byte("VALUE-MARKER")))
		must(t, table.Set(ctx, "KEY-MARKER", []byte("VALUE-MARKER-2")))
		must(t, table.SetMany(ctx, map[string][]byte{"KEY-MARKER": []byte("VALUE-MARKER"), "KEY-MARKER-2": nil}))
		must(t, kv.JSON[string](table).Set(ctx, "KEY-MARKER-3", "VALUE-MARKER"))
		got[[]byte](t)(table.Get(ctx, "KEY-MARKER"))
		_, err := table.Get(ctx, "KEY-MARKER-4")
		wantError(t, "Get", err, kv.ErrNotFound)
		got[map[string][]byte](t)(table.GetMany(ctx, []string{"KEY-MARKER", "KEY-MARKER-5"}))
		got[bool](t)(table.Delete(ctx, "KEY-MARKER-2"))

		look := func(when string, files map[string][]byte) {
			t.Helper()
			for _, marker := range []string{"NAMESPACE-MARKER", "KEY-MARKER", "VALUE-MARKER"} {
				found := ""
				for name, content := range files {
					if bytes.Contains(content, []byte(marker)) || bytes.Contains(content, fmt.Appendf(nil, "%x", marker)) {
						found += " " + name
					}
				}
				if on.codec.Encrypted() == (found != "") {
					t.Errorf("%s: %s is in%s of %d files; it must be found exactly where nothing is encrypted", when, marker, found, len(files))
				}
			}
		}
		// Reading the files of an open database would drop SQLite's locks.
		must(t, db.Pause(ctx))
		look("after a pause", contents(t, filepath.Dir(db.Path())))
		must(t, db.Resume(ctx))
	})
}

// TestNothingWrittenIsInTheLog: the same for what was not written back.
func TestNothingWrittenIsInTheLog(t *testing.T) {
	onBoth(t, func(t *testing.T, on both) {
		db, err := sqlite.Open(ctx, sqlite.Config{
			Engine: on.engine, Path: filepath.Join(t.TempDir(), "test.db"), Prepare: kv.Create, Checkpoint: sqlite.CheckpointNone,
		})
		must(t, err)
		defer func() { must(t, db.Close(ctx)) }()
		table := kv.New(db, on.codec, "NAMESPACE-MARKER")
		must(t, table.SetMany(ctx, map[string][]byte{"KEY-MARKER": []byte("VALUE-MARKER")}))
		must(t, db.Pause(ctx))
		log := contents(t, filepath.Dir(db.Path()))["test.db-wal"]
		if len(log) == 0 {
			t.Fatal("there is no log to be looked at")
		}
		for _, marker := range []string{"NAMESPACE-MARKER", "KEY-MARKER", "VALUE-MARKER"} {
			if bytes.Contains(log, []byte(marker)) == on.codec.Encrypted() {
				t.Errorf("%s: it must be in the log exactly where nothing is encrypted", marker)
			}
		}
		must(t, db.Resume(ctx))
	})
}

// contents reads the files of a directory. No database in it may be open.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
	}
	return all
}

// TestWhatWasMovedIsFoundOut: by whoever can write the file, from row to row,
// from key to key and from namespace to namespace.
func TestWhatWasMovedIsFoundOut(t *testing.T) {
	exchange := func(columns ...string) string {
		var set []string
		for _, c := range columns {
			set = append(set, fmt.Sprintf(`%s = (SELECT %s FROM kept WHERE kept.n = 3 - storekit_kv.n)`, c, c))
		}
		// through a copy, since the pairs of columns are unique
		return `CREATE TABLE kept AS SELECT * FROM storekit_kv; UPDATE storekit_kv SET row = randomblob(16), key = randomblob(32);
			UPDATE storekit_kv SET key = (SELECT key FROM kept WHERE kept.n = storekit_kv.n), row = (SELECT row FROM kept WHERE kept.n = storekit_kv.n);
			UPDATE storekit_kv SET key = randomblob(32) WHERE 'key' IN ('` + strings.Join(columns, `','`) + `');
			UPDATE storekit_kv SET row = randomblob(16) WHERE 'row' IN ('` + strings.Join(columns, `','`) + `');
			UPDATE storekit_kv SET ` + strings.Join(set, `, `)
	}
	for name, test := range map[string]struct {
		statements string
		others     string // the namespace of the second key
		lists      bool   // All does not look keys up, and yields what belongs together
	}{
		"the values of two rows":              {exchange("value"), "a", false},
		"the names of two rows":               {exchange("name"), "a", false},
		"the row ids of two rows":             {exchange("row"), "a", false},
		"names and values of two rows":        {exchange("name", "value"), "a", false},
		"everything but the keys of two rows": {exchange("name", "value", "row"), "a", true},
		"the namespaces of two rows":          {exchange("namespace"), "b", false},
		"the keys and namespaces of two rows": {exchange("namespace", "key"), "b", false},
		"a bit of a value":                    {`UPDATE storekit_kv SET value = CAST(substr(value, 1, 40) || x'00' || substr(value, 42) AS BLOB)`, "a", false},
		"no name":                             {`UPDATE storekit_kv SET name = NULL`, "a", false},
	} {
		t.Run(name, func(t *testing.T) {
			onEncrypted(t, func(t *testing.T, on both) {
				db := open(t, on.engine)
				table, second := kv.New(db, on.codec, "a"), kv.New(db, on.codec, test.others)
				must(t, table.Set(ctx, "one", []byte("the value of one")))
				must(t, second.Set(ctx, "two", []byte("the value of two")))
				script(t, db, `ALTER TABLE storekit_kv ADD COLUMN n INTEGER; UPDATE storekit_kv SET n = rowid`)
				script(t, db, test.statements)

				moved := func(what string, err error) {
					t.Helper()
					wantError(t, what, err, secret.ErrTampered)
					if !errors.As(err, new(*codec.DecodeError)) {
						t.Errorf("%s: %v is no DecodeError", what, err)
					}
					if text := fmt.Sprint(err); strings.Contains(text, "one") || strings.Contains(text, "two") {
						t.Errorf("%s: the error names a key: %s", what, text)
					}
				}
				for key, table := range map[string]*kv.Table{"one": table, "two": second} {
					v, err := table.Get(ctx, key)
					if err == nil || !errors.Is(err, kv.ErrNotFound) { // its hash stands in the other namespace then
						moved(fmt.Sprintf("Get(%s) = %q", key, v), err)
					}
					found, err := table.GetMany(ctx, []string{key})
					if err != nil || len(found) > 0 {
						moved(fmt.Sprintf("GetMany(%s) = %q", key, found), err)
					}
					for e, err := range table.All(ctx) {
						if !test.lists {
							moved(fmt.Sprintf("All = %q", e), err)
						} else if err != nil || string(e.Value) != "the value of "+e.Key {
							t.Errorf("All yields %q, %v", e, err)
						}
					}
				}
				must(t, table.Set(ctx, "one", []byte("new"))) // what is broken can be overwritten
				if test.others == "a" {
					if v := got[[]byte](t)(table.Get(ctx, "one")); string(v) != "new" {
						t.Errorf("what was set anew is %q", v)
					}
				}
			})
		})
	}
}

// TestEqualKeysOfTwoNamespacesDoNotLookEqual: who reads the file cannot tell.
func TestEqualKeysOfTwoNamespacesDoNotLookEqual(t *testing.T) {
	onEncrypted(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		for _, name := range []string{"a", "b", ""} {
			for _, key := range []string{"a", "b", ""} {
				must(t, kv.New(db, on.codec, name).Set(ctx, key, nil))
			}
		}
		must(t, db.View(ctx, func(c *sqlite.Conn) error {
			var hashes, spaces int
			must(t, c.QueryRow(ctx, `SELECT count(DISTINCT key), count(DISTINCT namespace) FROM storekit_kv`).Scan(&hashes, &spaces))
			if hashes != 9 || spaces != 3 {
				t.Errorf("nine keys of three namespaces have %d and %d hashes", hashes, spaces)
			}
			must(t, c.QueryRow(ctx, `SELECT count(*) FROM storekit_kv WHERE key IN (SELECT namespace FROM storekit_kv)`).Scan(&hashes))
			if hashes != 0 {
				t.Errorf("a key looks as its namespace does")
			}
			return nil
		}))
	})
}

// TestAnotherWriterInBetweenBreaksNothing: Set outside a transaction reads the
// row id and writes for it; a row that came in between is replaced as a whole.
func TestAnotherWriterInBetweenBreaksNothing(t *testing.T) {
	onEncrypted(t, func(t *testing.T, on both) {
		db := open(t, on.engine)
		table := kv.New(db, on.codec, "test")
		must(t, table.Set(ctx, "a", []byte("mine")))
		// The triggers are that other writer: the row that was read is not there
		// to be updated, and another one is there when it is to be inserted.
		script(t, db, `CREATE TRIGGER gone BEFORE UPDATE ON storekit_kv WHEN new.row = old.row BEGIN SELECT RAISE(IGNORE); END;
			CREATE TRIGGER beside BEFORE INSERT ON storekit_kv BEGIN UPDATE storekit_kv SET row = randomblob(16), name = x'', value = x''; END`)
		must(t, table.Set(ctx, "a", []byte("newer")))
		if v := got[[]byte](t)(table.Get(ctx, "a")); string(v) != "newer" {
			t.Errorf("it is %q", v)
		}
	})
}

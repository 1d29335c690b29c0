package storekit_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/lease"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// The paths by which something that a user has written gets into a file. Each
// has a marker of its own, which a store that is not encrypted has in clear:
// so it is known that what is looked for in vain in an encrypted one would be found.
var paths = []string{
	"sealed", "sealed json", "migrated", "hashed",
	"namespace", "key", "value", "typed key", "typed value", "many key", "many value", "deleted key", "deleted value",
	"lease key", "lease holder", "lease taker",
}

func marker(path string) string { return "MARKER(" + path + ")" }

// passphrases are what has to be in no file at all.
var passphrases = []string{"PASSPHRASE(first)", "PASSPHRASE(second)"}

// Nothing that a user has written is in any file of an encrypted store, in
// clear: whatever the path that it took, log, leases and backups included.
func TestNoClearTextInAnyFile(t *testing.T) {
	for _, encrypted := range []bool{true, false} {
		t.Run(fmt.Sprint("encrypted=", encrypted), func(t *testing.T) {
			onEngines(t, func(t *testing.T, engine sqlite.Engine) {
				cfg := config(t, engine)
				cfg.Leases = true
				cfg.Migrations = append(cfg.Migrations, storekit.Migration{Version: 2, Do: writeMigrated})
				if encrypted {
					cfg = sealed(cfg)
					cfg.Secret = phrase(0)
				}
				seen := map[string]bool{}
				live(t, cfg, func(when string, files ...string) {
					t.Helper()
					all := lookAt(t, filepath.Dir(cfg.Database.Path))
					for _, file := range files {
						if len(all[file]) == 0 {
							t.Errorf("%s, %s is not there to be looked at, or is empty", when, file)
						}
					}
					for name, content := range all {
						for _, path := range paths {
							if !has(content, marker(path)) {
								continue
							}
							seen[path] = true
							if encrypted {
								t.Errorf("%s, %s has what was written as %q in clear", when, name, path)
							}
						}
						for _, p := range passphrases {
							if has(content, p) {
								t.Errorf("%s, %s has a passphrase in clear", when, name)
							}
						}
					}
				})
				for _, path := range paths {
					if !encrypted && !seen[path] {
						t.Errorf("what was written as %q was found in no file, though nothing is encrypted: this test does not look where it is", path)
					}
				}
			})
		})
	}
}

func phrase(i int) secret.Secret {
	return secret.PassphraseWith([]byte(passphrases[i]), secret.Params{Time: 1, Memory: 8 << 10, Threads: 1})
}

// live does everything to a store that gets something into a file, and has the files looked at in between.
func live(t *testing.T, cfg storekit.Config, look func(when string, files ...string)) {
	t.Helper()
	dir := filepath.Dir(cfg.Database.Path)
	s := open(t, cfg)
	add(t, s, marker("sealed"))
	must(t, s.Update(ctx, func(c *sqlite.Conn) error {
		row := secret.NewRowID()
		stored, err := s.Codec().SealJSON(textAt(row[:]), map[string]string{"field": marker("sealed json")})
		if err != nil {
			return err
		}
		hashed, err := s.Codec().KeyString("tag", marker("hashed"))
		if err != nil {
			return err
		}
		_, err = c.Exec(ctx, `INSERT INTO note (row, text) VALUES (?, ?)`, row[:], stored)
		if err == nil {
			_, err = c.Exec(ctx, `INSERT INTO tag (tag) VALUES (?)`, hashed)
		}
		return err
	}))
	table := s.KV(marker("namespace"))
	must(t, table.Set(ctx, marker("key"), []byte(marker("value"))))
	must(t, kv.JSON[string](table).Set(ctx, marker("typed key"), marker("typed value")))
	must(t, table.SetMany(ctx, map[string][]byte{marker("many key"): []byte(marker("many value"))}))
	must(t, table.Set(ctx, marker("deleted key"), []byte(marker("deleted value"))))
	_, err := table.Delete(ctx, marker("deleted key"))
	must(t, err)
	_, err = table.GetMany(ctx, []string{marker("key"), marker("many key")})
	must(t, err)
	x, err := s.Leases().Hold(ctx, marker("lease key"), lease.Options{Holder: marker("lease holder")})
	must(t, err)
	look("open", "notes.db", "notes.db-wal", "notes.db-leases", "notes.db-leases-wal")
	must(t, x.Release(ctx))
	_, _, err = s.Leases().Take(ctx, marker("lease key"), marker("lease taker"), 0)
	must(t, err)

	backup := filepath.Join(dir, "backup")
	must(t, s.Backup(ctx, backup, func(storekit.Progress) { look("during a backup", "notes.db") }))
	must(t, s.Restore(ctx, backup, storekit.RestoreOptions{Progress: func(storekit.Progress) { look("during a restore", "notes.db-restore") }}))
	look("after a restore", "notes.db", "backup")
	if s.Codec().Encrypted() {
		rotating := storekit.RotateOptions{Progress: func(storekit.Progress) { look("during a rotation", "notes.db-wal") }}
		must(t, s.Rotate(ctx, phrase(0), rotating))
		must(t, s.ChangeSecret(ctx, phrase(0), phrase(1)))
	}
	must(t, s.Optimize(ctx, storekit.OptimizeOptions{Vacuum: true}))
	look("after Optimize", "notes.db")
	must(t, s.Check(ctx, storekit.CheckOptions{Sealed: s.Codec().Encrypted()}))
	must(t, s.Pause(ctx))
	look("paused", "notes.db", "notes.db-leases")
	must(t, s.Resume(ctx))
	must(t, s.Close(ctx))
	look("closed", "notes.db", "notes.db-leases", "backup")
}

// writeMigrated is a migration that writes something of a user's.
func writeMigrated(ctx context.Context, m *storekit.Migrator) error {
	row := secret.NewRowID()
	stored, err := m.Codec.Seal(textAt(row[:]), []byte(marker("migrated")))
	if err != nil {
		return err
	}
	if _, err = m.Exec(ctx, `CREATE TABLE tag (tag BLOB NOT NULL)`); err == nil {
		_, err = m.Exec(ctx, `INSERT INTO note (row, text) VALUES (?, ?)`, row[:], stored)
	}
	return err
}

// has tells whether content has the text as it is, or in hexadecimal digits.
func has(content []byte, text string) bool {
	return bytes.Contains(content, []byte(text)) ||
		bytes.Contains(content, fmt.Appendf(nil, "%x", text)) || bytes.Contains(content, fmt.Appendf(nil, "%X", text))
}

// lookAt reads all files of a directory.
func lookAt(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	copied := t.TempDir()
	copyAll(t, dir, copied)
	entries, err := os.ReadDir(copied)
	must(t, err)
	all := map[string][]byte{}
	for _, e := range entries {
		all[e.Name()], err = os.ReadFile(filepath.Join(copied, e.Name()))
		must(t, err)
	}
	return all
}

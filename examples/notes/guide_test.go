package notes_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/examples/notes"
	"github.com/quiesce-go/quiesce/internal/doctest"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// The code of docs/write-a-store.md that is not the store's own.
// TestTheGuideShowsThisCode compares them, TestTheCodeOfTheGuideWorks runs it.

func TestTheGuideShowsThisCode(t *testing.T) {
	doctest.Shows(t, "../../docs/write-a-store.md", 15, "*.go", "schema/*.sql")
}

// TestTheStoreIsAsSmallAsTheGuideSays: under 200 lines, the twin in memory apart.
func TestTheStoreIsAsSmallAsTheGuideSays(t *testing.T) {
	lines := 0
	for _, file := range []string{"notes.go", "sqlite.go"} {
		content, err := os.ReadFile(file)
		must(t, err)
		lines += bytes.Count(content, []byte("\n"))
	}
	if lines >= 200 {
		t.Errorf("notes.go and sqlite.go have %d lines; docs/write-a-store.md promises fewer than 200", lines)
	}
}

func openOne(ctx context.Context, dir string, passphrase []byte) (*notes.SQLite, error) {
	s, err := notes.OpenSQLite(ctx, storekit.Config{
		Database: sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "notes.db")},
		Secret:   secret.Passphrase(passphrase),
	})
	return s, err
}

func openForgetting(ctx context.Context, dir string, keychain func() ([]byte, error)) (*notes.SQLite, error) {
	return notes.OpenSQLite(ctx, storekit.Config{
		Database: sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "notes.db"), WhenPaused: lifecycle.Wait},
		Secret: secret.Ask(func(ctx context.Context) (secret.Secret, error) {
			key, err := keychain() // a copy of its own each time: it is wiped
			return secret.Key(key), err
		}),
		ForgetKeyOnPause: true,
	})
}

func use(ctx context.Context, s notes.Store) error {
	err := s.Add(ctx, notes.Note{ID: "1", Text: "Milk and bread", Tags: []string{"shopping"}})
	if err != nil {
		return err
	}
	found, err := s.Find(ctx, "bread milk")
	if err == nil && len(found) != 1 {
		err = errors.New("the note was not found")
	}
	return err
}

func pauseAndResume(ctx context.Context, s notes.Store) error {
	if err := s.Pause(ctx); err != nil { // nil: this process holds nothing of the store any more
		return err
	}
	if err := s.Resume(ctx); err != nil { // nil: s works again
		return err
	}
	return nil
}

func together(ctx context.Context, s *notes.SQLite) error {
	settings := s.KV("settings")
	err := s.Update(ctx, func(c *sqlite.Conn) error {
		if err := s.In(c).Add(ctx, notes.Note{ID: "2", Text: "Tea"}); err != nil {
			return err
		}
		return settings.In(c).Set(ctx, "last", []byte("2"))
	})
	if err != nil {
		return err
	}
	last, err := settings.Get(ctx, "last")
	if err == nil && string(last) != "2" {
		err = errors.New("the setting is another one")
	}
	return err
}

func migrate(ctx context.Context, s *notes.SQLite) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	err := s.Resume(ctx) // it may have to migrate a database that was restored meanwhile
	var failed *storekit.MigrationError
	if errors.As(err, &failed) {
		println(failed.Version, failed.Name) // the database has the version before it
	}
	return err
}

func changeSecrets(ctx context.Context, s *notes.SQLite, old, next []byte) error {
	if err := s.ChangeSecret(ctx, secret.Passphrase(old), secret.Passphrase(next)); err != nil {
		return err
	}
	return s.Rotate(ctx, secret.Passphrase(next), storekit.RotateOptions{})
}

func backUp(ctx context.Context, s *notes.SQLite, path string) error {
	if err := s.Backup(ctx, path, nil); err != nil {
		return err
	}
	return s.Restore(ctx, path, storekit.RestoreOptions{})
}

func maintain(s *notes.SQLite) (*job.Handle, error) {
	return s.Job(job.Job{Name: "optimize", Every: 24 * time.Hour, First: time.Hour, Run: func(ctx context.Context) error {
		return s.Optimize(ctx, storekit.OptimizeOptions{})
	}})
}

func check(ctx context.Context, s *notes.SQLite) error {
	err := s.Check(ctx, storekit.CheckOptions{Sealed: true}) // pages, indexes, foreign keys, and every sealed value
	var wrong *storekit.CheckError
	if errors.As(err, &wrong) {
		println(len(wrong.Problems))
	}
	return err
}

func TestTheCodeOfTheGuideWorks(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	s, err := openOne(ctx, dir, []byte("old"))
	must(t, err)
	must(t, use(ctx, s))
	must(t, pauseAndResume(ctx, s))
	must(t, together(ctx, s))
	must(t, changeSecrets(ctx, s, []byte("old"), []byte("next")))
	must(t, backUp(ctx, s, filepath.Join(dir, "backup")))
	must(t, s.Pause(ctx))
	must(t, migrate(ctx, s))
	h, err := maintain(s)
	must(t, err)
	h.Now()
	must(t, check(ctx, s))
	must(t, s.Close(ctx))

	s, err = openForgetting(ctx, t.TempDir(), func() ([]byte, error) { return make([]byte, 32), nil })
	must(t, err)
	must(t, use(ctx, s))
	must(t, pauseAndResume(ctx, s))
	must(t, s.Close(ctx))

	m, err := notes.OpenMemory(ctx, memory.Config{Strict: true})
	must(t, err)
	must(t, use(ctx, m))
	must(t, pauseAndResume(ctx, m))
	must(t, m.Close(ctx))
}

package notes_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/examples/notes"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/storekit"
)

// TestConformance: the notes in SQLite, encrypted, keep every promise of the suite on both engines.
func TestConformance(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for i := range tier.Count(1, 3, 100) {
			t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) { conformance.Run(t, harness(engine)) })
		}
	})
}

func harness(engine sqlite.Engine) func() *conformance.Harness {
	path := func(dir string) string { return filepath.Join(dir, "notes.db") }
	version := func(dir string, version int) error { // beside the paused store, as another program would
		raw, err := engine.Open(path(dir), sqlite.OpenOptions{})
		if err != nil {
			return err
		}
		_, err = raw.ExecContext(context.Background(), fmt.Sprint("PRAGMA user_version = ", version), nil)
		return errors.Join(err, raw.Close())
	}
	return func() *conformance.Harness {
		return &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				s, err := notes.OpenSQLite(ctx, storekit.Config{
					Database: sqlite.Config{
						Engine: stepping{engine, o.Step}, Path: path(dir), Verify: true, BusyTimeout: 2 * time.Second,
						MaxReaders: o.MaxReaders, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
						BeforeRelease: hook(o.BeforeRelease), AfterReopen: hook(o.AfterReopen),
						CacheSize: 1_234_000, // one that SQLite has not by itself
					},
					Secret: key(),
				})
				return onDisk{s}, err
			},
			Files: func(dir string) []string {
				return []string{path(dir), path(dir) + "-wal", path(dir) + "-shm", path(dir) + "-journal"}
			},
			Newer: func(_ context.Context, dir string) error { return version(dir, 4) },
			Older: func(_ context.Context, dir string) error { return version(dir, 3) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				return s.(onDisk).Check(ctx, storekit.CheckOptions{Sealed: true})
			},
		}
	}
}

// onDisk shows the store's own transactions as the suite's. A key is a note's id, a value its text.
type onDisk struct{ *notes.SQLite }

func (s onDisk) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s onDisk) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s onDisk) tx(ctx context.Context, c *sqlite.Conn) conformance.Tx {
	in := s.In(c)
	return conformance.Tx{
		Get: func(key string) (string, error) {
			n, err := in.Get(ctx, key)
			if errors.Is(err, notes.ErrNotFound) {
				return "", nil
			}
			return n.Text, err
		},
		Put: func(key, value string) error { return in.Add(ctx, notes.Note{ID: key, Text: value}) },
		Setting: func() (text string, err error) {
			err = c.QueryRow(ctx, `SELECT 'cache_size ' || cache_size || ', foreign_keys ' || foreign_keys FROM pragma_cache_size, pragma_foreign_keys`).Scan(&text)
			return text, err
		},
		Leak: func() error {
			for _, err := range c.Rows(ctx, `SELECT row FROM note`) {
				return err // the rest is never read
			}
			return nil
		},
	}
}

func hook(fn func(context.Context) error) func(context.Context, *sqlite.Conn) error {
	if fn == nil {
		return nil
	}
	return func(ctx context.Context, _ *sqlite.Conn) error { return fn(ctx) }
}

// stepping tells the suite when a connection is closed: these are the moments between the steps of a pause.
type stepping struct {
	sqlite.Engine
	step func(string)
}

func (e stepping) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	raw, err := e.Engine.Open(path, o)
	if err != nil || e.step == nil {
		return raw, err
	}
	return steppingRaw{raw, e.step}, nil
}

type steppingRaw struct {
	sqlite.Raw
	step func(string)
}

func (r steppingRaw) Close() error {
	r.step("a connection is about to be closed")
	err := r.Raw.Close()
	r.step("a connection was closed")
	return err
}

func (r steppingRaw) Unwrap() driver.Conn { return r.Raw.Unwrap() }

// TestConformanceInMemory: so do the notes in memory, as far as the promises fit them.
func TestConformanceInMemory(t *testing.T) {
	for name, strict := range map[string]bool{"no-op": false, "strict": true} {
		t.Run(name, func(t *testing.T) { conformance.Run(t, func() *conformance.Harness { return memoryHarness(strict) }) })
	}
}

func memoryHarness(strict bool) *conformance.Harness {
	h := &conformance.Harness{
		Open: func(ctx context.Context, _ string, o conformance.Options) (conformance.Store, error) {
			s, err := notes.OpenMemory(ctx, memory.Config{
				Strict: strict, StartPaused: o.StartPaused, WhenPaused: o.WhenPaused, Timeout: o.Timeout, Grace: o.Grace,
			})
			return inMemory{s}, err
		},
		Without: map[conformance.Capability]string{
			conformance.Files:      "the notes live in memory",
			conformance.Sever:      "there is no connection to cut",
			conformance.Hooks:      "nothing is opened or released",
			conformance.Settings:   "there are no connections",
			conformance.Leak:       "a snapshot holds nothing",
			conformance.Identity:   "nobody else can replace the notes",
			conformance.Schema:     "nobody else can change them",
			conformance.Shared:     "nobody else can see them",
			conformance.Encryption: "nothing is stored",
		},
	}
	if !strict {
		h.Without[conformance.Gate] = "a pause of memory gives nothing back, and refuses nothing"
	}
	return h
}

// inMemory shows the transactions of driver/memory, with the rows that the store keeps in them.
type inMemory struct{ *notes.Memory }

func (s inMemory) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.DB.Read(ctx, func(t *memory.Txn) error { return fn(memoryTx(t)) })
}

func (s inMemory) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.DB.Write(ctx, func(t *memory.Txn) error { return fn(memoryTx(t)) })
}

func memoryTx(t *memory.Txn) conformance.Tx {
	const all memory.Table[notes.Note] = "note"
	return conformance.Tx{
		Get: func(key string) (string, error) {
			n, _, err := all.First(t, "id", key)
			return n.Text, err
		},
		Put: func(key, value string) error { return all.Insert(t, notes.Note{ID: key, Text: value}) },
	}
}

package boltstore

import (
	"context"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/quiesce-go/quiesce/conformance"
)

func TestConformance(t *testing.T)      { conformance.Run(t, harness) }
func BenchmarkConformance(b *testing.B) { conformance.Bench(b, harness) }

func harness() *conformance.Harness {
	return &conformance.Harness{
		Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
			s, err := Open(ctx, path(dir), Config{
				Timeout: o.Timeout, Grace: o.Grace, MaxReaders: o.MaxReaders, WhenPaused: o.WhenPaused, StartPaused: o.StartPaused,
				BeforeRelease: o.BeforeRelease, AfterReopen: o.AfterReopen,
			})
			return adapter{s}, err
		},
		Files: func(dir string) []string { return []string{path(dir)} },
		Newer: func(_ context.Context, dir string) error { return setVersion(dir, Version+1) },
		Older: func(_ context.Context, dir string) error { return setVersion(dir, Version) },
		Without: map[conformance.Capability]string{
			conformance.Settings:   "a bbolt transaction has none",
			conformance.Leak:       "what a bbolt transaction hands out ends with it",
			conformance.Shared:     "bbolt locks its file for one process",
			conformance.Encryption: "bbolt stores what it is given",
		},
	}
}

func path(dir string) string { return filepath.Join(dir, "bolt.db") }

func setVersion(dir string, version byte) error {
	db, err := bolt.Open(path(dir), 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bolt.Tx) error { return tx.Bucket(meta).Put([]byte("version"), []byte{version}) })
}

// adapter shows the store's own transactions as the suite's.
type adapter struct{ *Store }

func (a adapter) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return a.View(ctx, func(t *Tx) error { return fn(conformance.Tx{Get: t.Get}) })
}

func (a adapter) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return a.Update(ctx, func(t *Tx) error { return fn(conformance.Tx{Get: t.Get, Put: t.Put}) })
}

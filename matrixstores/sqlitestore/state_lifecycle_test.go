package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestStateConformance: a state store keeps every promise of pausing; see keepsPromises for what runs when.
func TestStateConformance(t *testing.T) { keepsPromises(t, "modernc", stateLifecycle) }

// stateLifecycle shows a state store to the suite of package conformance: its keys and values are custom values.
func stateLifecycle(engine sqlite.Engine, s secret.Secret) func() *conformance.Harness {
	path := func(dir string) string { return filepath.Join(dir, "state.db") }
	version := func(dir string, version int) error {
		raw, err := engine.Open(path(dir), sqlite.OpenOptions{})
		if err != nil {
			return err
		}
		_, err = raw.ExecContext(ctx, fmt.Sprint(`PRAGMA user_version = `, version), nil)
		return errors.Join(err, raw.Close())
	}
	return func() *conformance.Harness {
		h := &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				store, err := sqlitestore.OpenState(ctx, sqlitestore.StateConfig{
					Config: sqlitestore.Config{Database: lifecycleConfig(engine, path(dir), o), Secret: s},
				})
				return stateOfValues{store}, err
			},
			Files:  filesOf(path),
			Remain: func(dir string) []string { return []string{path(dir) + "-leases"} },
			Newer:  func(_ context.Context, dir string) error { return version(dir, 2) },
			Older:  func(_ context.Context, dir string) error { return version(dir, 1) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				return s.(stateOfValues).Check(ctx, storekit.CheckOptions{Sealed: true})
			},
		}
		if s.None() {
			h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
		}
		return h
	}
}

type stateOfValues struct{ *sqlitestore.StateStore }

func (s stateOfValues) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s stateOfValues) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s stateOfValues) tx(ctx context.Context, c *sqlite.Conn) conformance.Tx {
	in := s.In(c)
	return conformance.Tx{
		Get: func(key string) (string, error) {
			value, _, err := in.CustomValue(ctx, []byte(key))
			return string(value), err
		},
		Put:     func(key, value string) error { return in.SetCustomValue(ctx, []byte(key), []byte(value)) },
		Setting: func() (string, error) { return settings(ctx, c) },
		Leak:    func() error { return leak(ctx, c) },
	}
}

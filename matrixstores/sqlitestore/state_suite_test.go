package sqlitestore_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/statetest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestStateContract: the state store gives the answers of the contract, on both engines, encrypted or not.
func TestStateContract(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, s secret.Secret) {
		statetest.Run(t, func() *statetest.Harness { return stateHarness(engine, s) })
	})
}

func statePath(dir string) string { return filepath.Join(dir, "state.db") }

func stateHarness(engine sqlite.Engine, s secret.Secret) *statetest.Harness {
	h := &statetest.Harness{
		Brief: !s.None() || engine.Name() != fastest().Name(), // what needs many is tested in plain, on one engine
		Open: func(ctx context.Context, dir string, o statetest.Options) (state.Store, error) {
			cfg := sqlitestore.StateConfig{Config: sqlitestore.Config{
				Database: sqlite.Config{
					Engine: engine, Path: statePath(dir), Verify: true, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
				},
				Clock: o.Clock, Secret: s,
			}}
			hurried(&cfg.Database)
			return sqlitestore.OpenState(ctx, cfg)
		},
		Files: filesOf(statePath),
	}
	if s.None() {
		h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
	}
	return h
}

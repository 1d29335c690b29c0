package sqlitestore_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance/statetest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestStateContract: the state store gives the answers of the contract, on both engines, encrypted or not.
func TestStateContract(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, s secret.Secret) {
		statetest.Run(t, func() *statetest.Harness {
			return &statetest.Harness{Open: func(ctx context.Context, dir string, o statetest.Options) (state.Store, error) {
				return sqlitestore.OpenState(ctx, sqlitestore.StateConfig{Config: sqlitestore.Config{
					Database: sqlite.Config{Engine: engine, Path: filepath.Join(dir, "state.db"), Verify: true}, Secret: s, Clock: o.Clock,
				}})
			}}
		})
	})
}

package sqlitestore_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/cryptotest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestCryptoContract: the crypto store gives the answers of the contract, on both
// engines, encrypted or not. Whatever it asks of SQLite meanwhile, it finds by an index.
func TestCryptoContract(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, s secret.Secret) {
		var asked *recorder
		if engine.Name() == "modernc" && s.None() { // one is enough
			asked = newRecorder()
			engine = asked
		}
		cryptotest.Run(t, func() *cryptotest.Harness { return cryptoHarness(engine, s) })
		if asked != nil {
			t.Run("finds-everything-by-an-index", func(t *testing.T) { checkCryptoPlans(t, asked.statements(cryptoTables)) })
		}
	})
}

func cryptoPath(dir string) string { return filepath.Join(dir, "crypto.db") }

func cryptoHarness(engine sqlite.Engine, s secret.Secret) *cryptotest.Harness {
	h := &cryptotest.Harness{
		Brief: !s.None() || engine.Name() != fastest().Name(), // what needs many is tested in plain, on one engine
		Open: func(ctx context.Context, dir string, o cryptotest.Options) (crypto.Store, error) {
			cfg := cryptoConfig(cryptoPath(dir), engine, s)
			cfg.Clock, cfg.Database.Timeout, cfg.Database.Grace, cfg.Database.WhenPaused = o.Clock, o.Timeout, o.Grace, o.WhenPaused
			hurried(&cfg.Database)
			cfg.Relaxed = cfg.Database.Synchronous == sqlite.SynchronousOff
			return sqlitestore.OpenCrypto(ctx, cfg)
		},
		Files: filesOf(cryptoPath),
	}
	if s.None() {
		h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
	}
	return h
}

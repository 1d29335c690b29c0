package sqlitestore_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/mediatest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestMediaContract: the media store gives the answers of the contract, on both
// engines, encrypted or not. Whatever it asks of SQLite meanwhile, it finds by an index.
func TestMediaContract(t *testing.T) {
	onVariants(t, func(t *testing.T, engine sqlite.Engine, s secret.Secret) {
		var asked *recorder
		if engine.Name() == "modernc" && s.None() { // one is enough
			asked = newRecorder()
			engine = asked
		}
		mediatest.Run(t, func() *mediatest.Harness { return mediaHarness(engine, s) })
		if asked != nil {
			t.Run("finds-everything-by-an-index", func(t *testing.T) { checkMediaPlans(t, asked.statements(mediaTables)) })
		}
	})
}

func mediaPath(dir string) string { return filepath.Join(dir, "media.db") }

func mediaHarness(engine sqlite.Engine, s secret.Secret) *mediatest.Harness {
	h := &mediatest.Harness{
		Brief: !s.None() || engine.Name() != fastest().Name(), // what needs many is tested in plain, on one engine
		Open: func(ctx context.Context, dir string, o mediatest.Options) (media.Store, error) {
			cfg := sqlitestore.MediaConfig{Cleaned: o.Cleaned, Config: sqlitestore.Config{
				Database: sqlite.Config{
					Engine: engine, Path: mediaPath(dir), Verify: true,
					Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
				},
				Clock: o.Clock, Secret: s,
			}}
			hurried(&cfg.Database)
			m, err := sqlitestore.OpenMedia(ctx, cfg)
			return checkedMedia{m}, err
		},
		Files: filesOf(mediaPath),
	}
	if s.None() {
		h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
	}
	return h
}

// checkedMedia counts at its end what it believes to know without counting.
type checkedMedia struct{ *sqlitestore.Media }

func (s checkedMedia) Close(ctx context.Context) error {
	var err error
	if s.State() == lifecycle.Active {
		err = s.CheckTotals(ctx)
	}
	if errors.Is(err, lifecycle.ErrPaused) || errors.Is(err, lifecycle.ErrInterrupted) || ctx.Err() != nil { // somebody was faster
		err = nil
	}
	return errors.Join(err, s.Media.Close(ctx))
}

package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestMediaConformance: a media store keeps every promise of pausing; see keepsPromises for what runs when.
func TestMediaConformance(t *testing.T) { keepsPromises(t, "mattn", mediaLifecycle) }

// mediaLifecycle shows a media store to the suite of package conformance: a key is a URI, a value its content.
func mediaLifecycle(engine sqlite.Engine, s secret.Secret) func() *conformance.Harness {
	version := func(dir string, version int) error {
		raw, err := engine.Open(mediaPath(dir), sqlite.OpenOptions{})
		if err != nil {
			return err
		}
		_, err = raw.ExecContext(ctx, fmt.Sprint(`PRAGMA user_version = `, version), nil)
		return errors.Join(err, raw.Close())
	}
	return func() *conformance.Harness {
		h := &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				m, err := sqlitestore.OpenMedia(ctx, sqlitestore.MediaConfig{
					Config: sqlitestore.Config{Database: lifecycleConfig(engine, mediaPath(dir), o), Secret: s},
				})
				return mediaStore{m}, err
			},
			Files:  filesOf(mediaPath),
			Remain: func(dir string) []string { return []string{mediaPath(dir) + "-leases"} },
			Newer:  func(_ context.Context, dir string) error { return version(dir, 2) },
			Older:  func(_ context.Context, dir string) error { return version(dir, 1) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				return errors.Join(s.(mediaStore).Check(ctx, storekit.CheckOptions{Sealed: true}), s.(mediaStore).CheckTotals(ctx))
			},
		}
		if s.None() {
			h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
		}
		return h
	}
}

type mediaStore struct{ *sqlitestore.Media }

func (s mediaStore) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s mediaStore) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s mediaStore) tx(ctx context.Context, c *sqlite.Conn) conformance.Tx {
	request := func(key string) media.Request { return media.File(id.ContentURIString("mxc://example.org/" + key)) }
	return conformance.Tx{
		Get: func(key string) (string, error) {
			data, _, err := s.GetIn(ctx, c, request(key))
			return string(data), err
		},
		Put: func(key, value string) error {
			_, err := s.AddIn(ctx, c, request(key), []byte(value), media.AddOptions{})
			return err
		},
		Setting: func() (string, error) { return settings(ctx, c) },
		Leak:    func() error { return leak(ctx, c) },
	}
}

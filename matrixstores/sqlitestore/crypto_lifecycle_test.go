package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestCryptoConformance: a crypto store keeps every promise of pausing; see keepsPromises for what runs when.
func TestCryptoConformance(t *testing.T) { keepsPromises(t, "mattn", cryptoLifecycle) }

// cryptoLifecycle shows a crypto store to the suite of package conformance: its keys and values are custom values.
func cryptoLifecycle(engine sqlite.Engine, s secret.Secret) func() *conformance.Harness {
	version := func(dir string, version int) error {
		raw, err := engine.Open(cryptoPath(dir), sqlite.OpenOptions{})
		if err != nil {
			return err
		}
		_, err = raw.ExecContext(ctx, fmt.Sprint(`PRAGMA user_version = `, version), nil)
		return errors.Join(err, raw.Close())
	}
	return func() *conformance.Harness {
		h := &conformance.Harness{
			Open: func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
				store, err := sqlitestore.OpenCrypto(ctx, sqlitestore.CryptoConfig{
					Config: sqlitestore.Config{Database: lifecycleConfig(engine, cryptoPath(dir), o), Secret: s},
				})
				return cryptoOfValues{store}, err
			},
			Files:  filesOf(cryptoPath),
			Remain: func(dir string) []string { return []string{cryptoPath(dir) + "-leases"} },
			Newer:  func(_ context.Context, dir string) error { return version(dir, 2) },
			Older:  func(_ context.Context, dir string) error { return version(dir, 1) },
			Whole: func(ctx context.Context, s conformance.Store) error {
				return s.(cryptoOfValues).Check(ctx, storekit.CheckOptions{Sealed: true})
			},
		}
		if s.None() {
			h.Without = map[conformance.Capability]string{conformance.Encryption: "this one is plain"}
		}
		return h
	}
}

type cryptoOfValues struct{ *sqlitestore.Crypto }

func (s cryptoOfValues) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s cryptoOfValues) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

func (s cryptoOfValues) tx(ctx context.Context, c *sqlite.Conn) conformance.Tx {
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

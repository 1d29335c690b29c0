package memorystore_test

import (
	"context"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// TestCryptoConformance: a crypto store keeps every promise of pausing that fits what lives in memory.
func TestCryptoConformance(t *testing.T) { conformanceOf(t, cryptoLifecycle) }

func cryptoLifecycle(strict bool) *conformance.Harness {
	return &conformance.Harness{
		Open: func(ctx context.Context, _ string, o conformance.Options) (conformance.Store, error) {
			s, err := memorystore.OpenCrypto(ctx, memorystore.CryptoConfig{Config: lifecycleConfig(strict, o)})
			return cryptoOfValues{s}, err
		},
		Without: lifecycleWithout(strict),
	}
}

// cryptoOfValues shows a crypto store to the suite: its keys and values are custom values.
type cryptoOfValues struct{ *memorystore.Crypto }

func (s cryptoOfValues) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s cryptoOfValues) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s cryptoOfValues) tx(t *memory.Txn) conformance.Tx {
	return conformance.Tx{
		Get: func(key string) (string, error) { return s.GetIn(t, key) },
		Put: func(key, value string) error { return s.PutIn(t, key, value) },
	}
}

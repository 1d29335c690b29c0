package memorystore_test

import (
	"context"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// TestStateConformance: a state store keeps every promise of pausing that fits what lives in memory.
func TestStateConformance(t *testing.T) { conformanceOf(t, stateLifecycle) }

func stateLifecycle(strict bool) *conformance.Harness {
	return &conformance.Harness{
		Open: func(ctx context.Context, _ string, o conformance.Options) (conformance.Store, error) {
			s, err := memorystore.OpenState(ctx, memorystore.StateConfig{Config: lifecycleConfig(strict, o)})
			return stateOfValues{s}, err
		},
		Without: lifecycleWithout(strict),
	}
}

// stateOfValues shows a state store to the suite: its keys and values are custom values.
type stateOfValues struct{ *memorystore.StateStore }

func (s stateOfValues) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.View(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s stateOfValues) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.Update(ctx, func(t *memory.Txn) error { return fn(s.tx(t)) })
}

func (s stateOfValues) tx(t *memory.Txn) conformance.Tx {
	return conformance.Tx{
		Get: func(key string) (string, error) { return s.CustomValueIn(t, key) },
		Put: func(key, value string) error { return s.SetCustomValueIn(t, key, value) },
	}
}

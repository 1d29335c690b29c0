package memorystore_test

import (
	"context"
	"testing"

	"github.com/quiesce-go/quiesce/conformance/statetest"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// BenchmarkState are the workloads of the suite.
func BenchmarkState(b *testing.B) {
	statetest.Bench(b, func() *statetest.Harness {
		return &statetest.Harness{Open: func(ctx context.Context, _ string, o statetest.Options) (state.Store, error) {
			return memorystore.OpenState(ctx, memorystore.StateConfig{Config: memorystore.Config{Clock: o.Clock}})
		}}
	})
}

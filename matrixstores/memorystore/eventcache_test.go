package memorystore_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/eventcachetest"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onModes runs a test or a benchmark on stores for which a pause changes nothing, and on strict ones.
func onModes[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, test func(t T, strict bool)) {
	t.Run("no-op", func(t T) { test(t, false) })
	t.Run("strict", func(t T) { test(t, true) })
}

// without is what a store in memory does not have.
func without(strict bool) map[conformance.Capability]string {
	w := map[conformance.Capability]string{
		conformance.Files:      "it lives in memory",
		conformance.Encryption: "nothing is stored",
	}
	if !strict {
		w[conformance.Gate] = "a pause of memory gives nothing back, and refuses nothing"
	}
	return w
}

// TestEventCacheContract: the event cache gives the answers of the contract, whether a pause means something or not.
func TestEventCacheContract(t *testing.T) {
	onModes(t, func(t *testing.T, strict bool) {
		eventcachetest.Run(t, func() *eventcachetest.Harness { return eventCacheHarness(strict) })
	})
}

// BenchmarkEventCache are the workloads of the suite.
func BenchmarkEventCache(b *testing.B) {
	eventcachetest.Bench(b, func() *eventcachetest.Harness { return eventCacheHarness(false) })
}

func eventCacheHarness(strict bool) *eventcachetest.Harness {
	return &eventcachetest.Harness{
		Brief: !strict, // what needs many is tested with a gate
		Open: func(ctx context.Context, _ string, o eventcachetest.Options) (eventcache.Store, error) {
			return memorystore.OpenEventCache(ctx, memorystore.EventCacheConfig{CleanUp: &o.CleanUp, Config: memorystore.Config{
				Strict: strict, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, Clock: o.Clock,
			}})
		},
		Without: without(strict),
	}
}

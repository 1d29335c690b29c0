package sqlitestore_test

import (
	"testing"

	"github.com/quiesce-go/quiesce/conformance/eventcachetest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// BenchmarkEventCache are the workloads of the suite, plain and encrypted.
func BenchmarkEventCache(b *testing.B) {
	onVariants(b, func(b *testing.B, engine sqlite.Engine, s secret.Secret) {
		eventcachetest.Bench(b, func() *eventcachetest.Harness { return eventCacheHarness(engine, s) })
	})
}

package sqlitestore_test

import (
	"testing"

	"github.com/quiesce-go/quiesce/conformance/mediatest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// BenchmarkMedia: adding, getting, streaming and cleaning contents of 64 KiB, 1
// MiB and, with QUIESCE_BENCH_LARGE=1, 20 MiB.
func BenchmarkMedia(b *testing.B) {
	onVariants(b, func(b *testing.B, engine sqlite.Engine, s secret.Secret) {
		mediatest.Bench(b, func() *mediatest.Harness { return mediaHarness(engine, s) })
	})
}

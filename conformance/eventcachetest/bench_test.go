package eventcachetest

import "testing"

// BenchmarkOfTheReference tries the benchmarks. Its figures say nothing: the reference copies a room for every change.
func BenchmarkOfTheReference(b *testing.B) {
	Bench(b, func() *Harness { return plainHarness(nil) })
}

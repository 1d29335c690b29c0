package conformance

import "testing"

// Bench measures.
func Bench(b *testing.B, newHarness func() *Harness) {}

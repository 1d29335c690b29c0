package bench

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// side runs n operations.
type side func(n int) error

// versus reports time(peer) / time(ours), and the allocations of both for an operation. Blocks of both sides alternate.
func versus(b *testing.B, block int, ours, peer side) {
	b.Helper()
	type figures struct{ times, allocs float64 }
	measure := func(s side) (f figures) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := s(block)
		f.times = float64(time.Since(start).Nanoseconds()) / float64(block)
		runtime.ReadMemStats(&after)
		f.allocs = float64(after.Mallocs-before.Mallocs) / float64(block)
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	measure(ours) // both warm
	measure(peer)
	var ratios, our, their, ourAllocs, theirAllocs []float64
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		var o, p figures
		if i%2 == 0 {
			o, p = measure(ours), measure(peer)
		} else {
			p, o = measure(peer), measure(ours)
		}
		ratios = append(ratios, p.times/o.times)
		our, their = append(our, o.times), append(their, p.times)
		ourAllocs, theirAllocs = append(ourAllocs, o.allocs), append(theirAllocs, p.allocs)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(our), "ns/ours")
	b.ReportMetric(median(their), "ns/peer")
	b.ReportMetric(median(ourAllocs), "allocs/ours")
	b.ReportMetric(median(theirAllocs), "allocs/peer")
	b.ReportMetric(0, "ns/op") // of a block of both sides: it says nothing
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

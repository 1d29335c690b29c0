package lifecycle

import "time"

// backOff spaces repeated interrupts and retries: from 1 ms, doubling, to its limit.
type backOff struct{ wait, limit time.Duration }

func newBackOff() *backOff { return &backOff{time.Millisecond, 50 * time.Millisecond} }

func (b *backOff) next() time.Duration {
	wait := b.wait
	b.wait = min(2*b.wait, b.limit)
	return wait
}

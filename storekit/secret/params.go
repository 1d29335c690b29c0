package secret

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of Argon2id, which makes a key of a passphrase. They
// are stored in the header; opening uses the stored ones.
type Params struct {
	Time    uint32 // passes over the memory: 1 to 32
	Memory  uint32 // in KiB: 8 MiB to 256 MiB
	Threads uint8  // 1 to 16
}

// The limits hold for headers too. A header is not to be trusted before the
// secret has opened it, and by then its costs have been paid.
const (
	minMemory  = 8 << 10
	maxMemory  = 256 << 10
	maxTime    = 32
	maxThreads = 16
)

// DefaultParams are the second choice of RFC 9106, for where not much memory
// can be taken: 64 MiB, three passes, four threads.
func DefaultParams() Params { return Params{Time: 3, Memory: 64 << 10, Threads: 4} }

// LowMemoryParams take 19 MiB, two passes and one thread: the least that the
// OWASP password storage cheat sheet names. For app extensions and small devices.
func LowMemoryParams() Params { return Params{Time: 2, Memory: 19 << 10, Threads: 1} }

// Calibrate measures this machine and returns start with as many passes as
// take about target, but with no fewer than start has.
func Calibrate(ctx context.Context, start Params, target time.Duration) (Params, error) {
	one := start
	one.Time = 1
	if err := start.check(); err != nil {
		return Params{}, err
	}
	began := time.Now()
	if _, err := one.derive(ctx, []byte("calibrate"), make([]byte, saltSize)); err != nil {
		return Params{}, err
	}
	passes := target / max(time.Since(began), 1)
	start.Time = max(start.Time, uint32(min(passes, maxTime)))
	return start, nil
}

func (p Params) check() error {
	switch {
	case p.Time < 1 || p.Time > maxTime:
		return fmt.Errorf("%w: %d passes, not 1 to %d", ErrParams, p.Time, maxTime)
	case p.Memory < minMemory || p.Memory > maxMemory:
		return fmt.Errorf("%w: %d KiB of memory, not %d to %d", ErrParams, p.Memory, minMemory, maxMemory)
	case p.Threads < 1 || p.Threads > maxThreads:
		return fmt.Errorf("%w: %d threads, not 1 to %d", ErrParams, p.Threads, maxThreads)
	}
	return nil
}

// deriving lets one derivation run at a time: a program that opens ten stores
// at once would need ten times the memory otherwise.
var deriving = make(chan struct{}, 1)

// derive waits for its turn under ctx; a derivation that has begun runs to its end.
func (p Params) derive(ctx context.Context, passphrase, salt []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case deriving <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-deriving }()
	return argon2.IDKey(passphrase, salt, p.Time, p.Memory, p.Threads, keySize), nil
}

package lifecycle

import (
	"context"
	"math"
	"runtime"
	"time"
)

// DefaultTimeout bounds what has neither a deadline nor a configured time-out.
const DefaultTimeout = 5 * time.Second

// Config says how Connections behaves. The zero value is usable.
type Config[C comparable] struct {
	// Name is the store's name in errors, reports and events. Default "store".
	Name string

	// MaxReaders is the most readers that one generation opens. The default
	// is the number of CPUs, at least 2 and at most 8.
	MaxReaders int

	// Timeout bounds a Pause, a Resume and a Close whose context has no
	// deadline, and the waiting of the Wait policy. Default 5 s.
	Timeout time.Duration

	// Grace is how long a pause lets operations in flight run before it
	// interrupts them; it never exceeds four fifths of the time that the pause
	// has. The default is half of Timeout.
	Grace time.Duration

	// IdleTimeout closes readers, all but one, that nobody used for so long. 0 keeps them.
	IdleTimeout time.Duration

	// WhenPaused says what happens to work that is asked for while the store is not active.
	WhenPaused Policy

	// StartPaused opens nothing: the first Resume does, and validates.
	StartPaused bool

	// TrackHolders records the call site of every operation, for HeldError. It costs about 0.2 µs each.
	TrackHolders bool

	// Verify makes every Pause ask the driver's Verifier for the operating system's proof.
	Verify bool

	// BeforeRelease runs in every Pause when nothing runs any more and
	// everything is still open; the writer is opened for it if need be, also
	// when the time of the pause is over, with which ctx ends. Pause returns its error, but releases all the same.
	BeforeRelease func(ctx context.Context, writer C) error

	// AfterReopen runs in every Resume, on the first reader, before anybody
	// else gets in. Its error fails the Resume.
	AfterReopen func(ctx context.Context, conn C) error

	// Observer is told of changes of state. It may be nil.
	Observer Observer
}

// ConfigError is returned for a setting that cannot be.
type ConfigError struct {
	Field  string
	Reason string
}

// Error names the setting and what is wrong with it.
func (e *ConfigError) Error() string { return "invalid " + e.Field + ": " + e.Reason }

func (c Config[C]) withDefaults() (Config[C], error) {
	if c.Name == "" {
		c.Name = "store"
	}
	switch {
	case c.MaxReaders < 0:
		return c, &ConfigError{"MaxReaders", "is negative"}
	case c.MaxReaders > math.MaxInt32/maxGenerations:
		return c, &ConfigError{"MaxReaders", "is too large"}
	case c.Timeout < 0:
		return c, &ConfigError{"Timeout", "is negative"}
	case c.Grace < 0:
		return c, &ConfigError{"Grace", "is negative"}
	case c.IdleTimeout < 0:
		return c, &ConfigError{"IdleTimeout", "is negative"}
	case c.WhenPaused > Wait:
		return c, &ConfigError{"WhenPaused", "is no policy"}
	}
	if c.MaxReaders == 0 {
		c.MaxReaders = min(max(runtime.GOMAXPROCS(0), 2), 8)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Grace == 0 {
		c.Grace = c.Timeout / 2
	}
	return c, nil
}

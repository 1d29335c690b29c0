package eventcachetest

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// Harness is what the suite needs to know of a store. It is made anew for every case.
type Harness struct {
	// Open opens the store that lives in dir, and makes it where there is none. The
	// suite opens one store at a time in a directory, closes it, and may then open the same directory again.
	Open func(ctx context.Context, dir string, o Options) (eventcache.Store, error)

	// Files are the paths of all files that the store in dir may have. Nil for a store in memory.
	Files func(dir string) []string

	// Without names what the store can not do, each with the reason: of
	// conformance's capabilities Gate, Files and Encryption count here. What is not named is checked.
	Without map[conformance.Capability]string
}

// Options is how a case wants the store to be.
type Options struct {
	// Clock tells the time. It is never nil.
	Clock func() time.Time

	// Timeout bounds a Pause, Resume and Close whose context has no deadline, and
	// an operation is interrupted after Grace.
	Timeout, Grace time.Duration

	// WhenPaused is what work meets while the store is paused.
	WhenPaused lifecycle.Policy

	// CleanUp is what the store does by itself. The zero value is nothing.
	CleanUp eventcache.CleanUpPolicy
}

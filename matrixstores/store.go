// Package matrixstores has what the stores of a Matrix client have in common,
// whatever they keep and wherever they keep it.
//
// The contracts, with their types, are in the packages eventcache, media, state and
// crypto. Implementations are in sqlitestore and memorystore; conformance/eventcachetest,
// mediatest, statetest and cryptotest prove that both give the same answers.
package matrixstores

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Store is what every store of a client can do. All methods may be called from
// any number of goroutines.
//
// While a store is paused its operations return lifecycle.ErrPaused, or wait
// for Resume under the policy lifecycle.Wait; after Close they return
// lifecycle.ErrClosed; one that a pause has cut off returns lifecycle.ErrInterrupted
// and has changed nothing. A store in memory is not affected by a pause unless it is strict.
type Store interface {
	lifecycle.Pausable
	Leases

	// Close is Pause for good. Closing what is closed returns nil.
	Close(ctx context.Context) error

	// State returns the state at this moment.
	State() lifecycle.State

	// Bytes returns how many bytes the store takes: those of its files, the
	// log included; in memory, about those of its contents.
	Bytes(ctx context.Context) (int64, error)

	// Compact gives room back that the store does not need any more. It works in
	// small steps, and a Pause ends it between two of them, or at once.
	Compact(ctx context.Context) error
}

// Leases are locks between processes, for a time.
type Leases interface {
	// TakeLease takes the lease named key for holder, or extends what that
	// holder has already, and returns its generation. taken is false where
	// another holder has it; TakeLease does not wait for that. A duration of 0
	// releases it.
	//
	// The generation of a new key is 1. It is one more whenever a holder takes what
	// another one had, so that whoever had it learns that somebody was in between.
	TakeLease(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error)
}

package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Config is what every store of this package is opened with.
type Config struct {
	// Database is where and how the store lives. Engine, and Path or Dir, are
	// needed. In a Dir every store has a file of its own: that is what Name is for, which has a default here.
	// ApplicationID, SchemaVersion and NoForeignKeys are set here.
	Database sqlite.Config

	// Secret makes the store an encrypted one, when it is made; see storekit.Config.
	Secret secret.Secret

	// ForgetKeyOnPause wipes the keys whenever the store is paused; see storekit.Config.
	ForgetKeyOnPause bool

	// NoLeases leaves out the small database for lease locks between processes
	// beside the store's own. TakeLease then returns an error that matches errors.ErrUnsupported.
	NoLeases bool

	// Clock tells the time, for what is kept or removed by time. Default time.Now.
	Clock func() time.Time

	// Progress, where it is not nil, is told how far migrations are.
	Progress func(storekit.Progress)
}

// kind is what makes one store another than the other.
type kind struct {
	name          string // of the store, and of its file in a Dir
	applicationID int32
	schema        fs.FS
	dir           string
	sealed        []storekit.SealedColumn
}

// base is what all stores of this package have in common.
type base struct {
	*storekit.Store
	clock func() time.Time
}

// open opens a store of a kind.
func (c Config) open(ctx context.Context, k kind) (base, error) {
	steps, err := storekit.Files(k.schema, k.dir)
	if err != nil {
		return base{}, err
	}
	d := c.Database
	d.ApplicationID, d.SchemaVersion, d.NoForeignKeys = k.applicationID, 0, false
	if d.Name == "" {
		d.Name = k.name
	}
	s, err := storekit.Open(ctx, storekit.Config{
		Database: d, Migrations: steps, Secret: c.Secret, ForgetKeyOnPause: c.ForgetKeyOnPause,
		Sealed: k.sealed, Leases: !c.NoLeases, Progress: c.Progress,
	})
	if err != nil {
		return base{}, err
	}
	b := base{Store: s, clock: c.Clock}
	if b.clock == nil {
		b.clock = time.Now
	}
	return b, nil
}

// now returns the time in milliseconds since 1970, as it is stored.
func (b base) now() int64 { return b.clock().UnixMilli() }

// TakeLease takes, extends or releases a lease; see matrixstores.Leases.
func (b base) TakeLease(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error) {
	locks := b.Leases()
	if locks == nil {
		return 0, false, fmt.Errorf("%s: take a lease: %w: the store was opened without leases", b.Name(), errors.ErrUnsupported)
	}
	return locks.Take(ctx, key, holder, d)
}

// Bytes returns the size of the store's files, the log included.
func (b base) Bytes(ctx context.Context) (int64, error) {
	size, err := b.Size(ctx)
	return size.Total(), err
}

// Compact gives free pages back to the file system; see storekit.Store.Optimize, which can do more.
func (b base) Compact(ctx context.Context) error {
	// Optimize fails while paused, whatever the policy: this waits where others do.
	if err := b.View(ctx, func(*sqlite.Conn) error { return nil }); err != nil {
		return fmt.Errorf("%s: compact: %w", b.Name(), err)
	}
	return b.Optimize(ctx, storekit.OptimizeOptions{})
}

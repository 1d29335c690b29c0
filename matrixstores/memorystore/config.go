package memorystore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// Config is what every store of this package is opened with. The zero value is usable.
type Config struct {
	// Name is the store's name in errors, reports and events. It has a default for each kind of store.
	Name string

	// Strict makes the gate real: while the store is paused, work is refused, or waits.
	Strict bool

	// The rest is as in memory.Config.
	StartPaused  bool
	WhenPaused   lifecycle.Policy
	Timeout      time.Duration
	Grace        time.Duration
	TrackHolders bool
	Observer     lifecycle.Observer

	// Clock tells the time, for what is kept or removed by time. Default time.Now.
	Clock func() time.Time
}

// base is what all stores of this package have in common.
type base struct {
	db      *memory.DB
	jobs    *job.Runner
	leases  *lease.Locks
	strict  *lifecycle.Group // of jobs and database; nil where a pause changes nothing
	ending  *lifecycle.Group
	timeout time.Duration
	clock   func() time.Time
}

func (c Config) open(ctx context.Context, name string, schema *memdb.DBSchema) (_ base, err error) {
	if c.Name == "" {
		c.Name = name
	}
	b := base{timeout: c.Timeout, clock: c.Clock}
	if b.timeout <= 0 {
		b.timeout = lifecycle.DefaultTimeout
	}
	if b.clock == nil {
		b.clock = time.Now
	}
	b.db, err = memory.Open(ctx, memory.Config{
		Name: c.Name, Schema: schema, Strict: c.Strict, StartPaused: c.StartPaused, WhenPaused: c.WhenPaused,
		Timeout: c.Timeout, Grace: c.Grace, TrackHolders: c.TrackHolders, Observer: c.Observer,
	})
	if err != nil {
		return base{}, err
	}
	if b.leases, err = lease.Memory(ctx, c.Name+": leases"); err != nil {
		return base{}, errors.Join(err, b.db.Close(context.WithoutCancel(ctx)))
	}
	b.jobs = job.NewRunner(job.Config{Name: c.Name + ": jobs", Timeout: c.Timeout, StartPaused: c.Strict && c.StartPaused})
	group := lifecycle.GroupConfig{Name: c.Name}
	if c.Strict {
		b.strict = group.Sequence(lifecycle.Named("jobs", b.jobs), lifecycle.Named("database", b.db))
	}
	b.ending = group.Sequence(closing("jobs", b.jobs.Close), closing("leases", b.leases.Close), closing("database", b.db.Close))
	return b, nil
}

// closing is a member whose Pause is a Close.
func closing(name string, f func(context.Context) error) lifecycle.Pausable {
	return lifecycle.Named(name, lifecycle.Func{PauseFunc: f})
}

// now returns the time in milliseconds since 1970, as it is stored.
func (b *base) now() int64 { return b.clock().UnixMilli() }

// Name returns the store's name.
func (b *base) Name() string { return b.db.Name() }

// State returns the state at this moment. Unless the store is strict, it is Active until Close.
func (b *base) State() lifecycle.State { return b.db.State() }

// Subscribe returns the changes of State, as memory.DB.Subscribe does.
func (b *base) Subscribe() (states <-chan lifecycle.State, stop func()) { return b.db.Subscribe() }

// Report returns what the last transition did, as memory.DB.Report does.
func (b *base) Report() *lifecycle.Report { return b.db.Report() }

// Generation counts the lives of the store, as memory.DB.Generation does.
func (b *base) Generation() uint64 { return b.db.Generation() }

// Holders lists the operations, and the jobs, that run at this moment.
func (b *base) Holders() []lifecycle.Holder { return append(b.jobs.Holders(), b.db.Holders()...) }

// Pause changes nothing and returns nil. In a strict store it stops the jobs, and
// then refuses work and waits for what is in flight, as lifecycle.Connections.Pause does; the data stay.
func (b *base) Pause(ctx context.Context) error {
	if b.strict == nil {
		return b.db.Pause(ctx)
	}
	return b.tell(ctx, b.strict)
}

// tell pauses a group, and returns when the database refuses work, also where the context has
// ended: a group would tell its last member a moment later.
func (b *base) tell(ctx context.Context, group *lifecycle.Group) error {
	if _, has := ctx.Deadline(); !has {
		bounded, cancel := context.WithTimeout(ctx, b.timeout)
		defer cancel()
		ctx = bounded
	}
	err := group.Pause(ctx)
	if err == nil || b.State() != lifecycle.Active {
		return err
	}
	groups, stopGroups := group.Subscribe()
	defer stopGroups()
	states, stopStates := b.db.Subscribe()
	defer stopStates()
	for {
		select {
		case s := <-states:
			if s != lifecycle.Active {
				return err
			}
		case s := <-groups:
			if s != lifecycle.Pausing { // overtaken, or refused, or at its end
				return err
			}
		}
	}
}

// Resume changes nothing and returns nil. In a strict store it lets work in again, and starts the jobs.
func (b *base) Resume(ctx context.Context) error {
	if b.strict == nil {
		return b.db.Resume(ctx)
	}
	return b.strict.Resume(ctx)
}

// Close ends the jobs and all work for good. The data are freed when nobody has the store any more.
func (b *base) Close(ctx context.Context) error { return b.tell(ctx, b.ending) }

// TakeLease takes, extends or releases a lease, within this process; see matrixstores.Leases.
func (b *base) TakeLease(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error) {
	if err := b.admitted(ctx); err != nil {
		return 0, false, b.failed("take a lease", err)
	}
	return b.leases.Take(ctx, key, holder, d)
}

// Compact has nothing to give back.
func (b *base) Compact(ctx context.Context) error { return b.failed("compact", b.admitted(ctx)) }

// admitted returns the error of an operation that is refused at this moment.
func (b *base) admitted(ctx context.Context) error {
	return b.db.Read(ctx, func(*memory.Txn) error { return nil })
}

// failed names the store and the operation that err comes from.
func (b *base) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", b.Name(), op, err)
}

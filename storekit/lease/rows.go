package lease

import (
	"context"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// The rules of leases, as SQL and as Go, stand behind these two interfaces.

// row is a lease as it is stored.
type row struct {
	holder     []byte
	generation uint64
	expires    int64 // milliseconds since 1970
	duration   int64 // milliseconds; 0 where it was released
	writes     int64 // counts the changes of the row, so that two looks at it can be told apart
}

// request is a wish for a lease.
type request struct {
	key, holder   []byte
	now, duration int64

	// The row that may be taken although its time is not over; writes is 0 for none.
	staleGeneration uint64
	staleWrites     int64
}

// rows is what can be done in a transaction.
type rows interface {
	// take inserts the row, extends it where the holder has it, or takes it over
	// where its time is over; ok tells whether it did. The row is the one that is there afterwards.
	take(ctx context.Context, q request) (r row, ok bool, err error)

	// renew extends what the holder has had without a break since generation.
	renew(ctx context.Context, q request, generation uint64) (r row, ok bool, err error)

	// release ends what the holder has, where nothing was written to it since
	// writes. 0 stands for any. It tells whether it did.
	release(ctx context.Context, key, holder []byte, writes int64) (ok bool, err error)

	// look returns the row, if there is one.
	look(ctx context.Context, key []byte) (r row, ok bool, err error)
}

// store is where the rows are: a database, or a table in memory. Its
// lifecycle is that of the Locks.
type store interface {
	lifecycle.Pausable
	Close(ctx context.Context) error
	State() lifecycle.State
	Subscribe() (states <-chan lifecycle.State, stop func())
	Report() *lifecycle.Report
	Holders() []lifecycle.Holder
	Name() string
	PauseBegan() <-chan struct{}

	update(ctx context.Context, f func(rows) error) error
	view(ctx context.Context, f func(rows) error) error
	wipe(ctx context.Context) error
}

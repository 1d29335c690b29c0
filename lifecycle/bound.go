package lifecycle

import (
	"context"
	"sync"
	"time"
)

// bound is a context with a deadline whose timer begins when somebody asks for
// Done. Setting a timer may wake a thread of the runtime to look after it, which
// takes longer than all that an empty log needs; a driver that has nothing to write does not ask.
type bound struct {
	context.Context // ends it too
	end             time.Time

	mu    sync.Mutex
	timed context.Context
	stop  context.CancelFunc
}

func (b *bound) begin() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timed == nil {
		b.timed, b.stop = context.WithDeadline(b.Context, b.end)
	}
	return b.timed
}

// cancel ends it. It is called once, when nobody needs it any more.
func (b *bound) cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timed == nil {
		b.timed = endedContext
		return
	}
	b.stop()
}

var endedContext = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (b *bound) Deadline() (time.Time, bool) { return b.end, true }

func (b *bound) Done() <-chan struct{} { return b.begin().Done() }

func (b *bound) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.timed != nil:
		return b.timed.Err()
	case b.Context.Err() != nil:
		return b.Context.Err()
	case !time.Now().Before(b.end):
		return context.DeadlineExceeded
	}
	return nil
}

// Value finds what context needs to know of the timed one, too.
func (b *bound) Value(key any) any { return b.begin().Value(key) }

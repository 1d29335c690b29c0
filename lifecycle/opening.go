package lifecycle

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
)

// How a reader is opened. Whoever needs one may leave while it is opened, and
// the reader is kept for the next. puddle does that too, but tells nobody when
// the reader is there, and a pause has to know it: so an acquisition that
// opens is carried through by a goroutine that stays until the reader was handed over or given back.

// errNoCreate is what construct refuses with: only an acquisition under a stay
// makes a connection. It keeps TryAcquire on the hot path from making one in
// the background, beside the one that the slow path makes: one sequential reader would open two.
var errNoCreate = errors.New("no connection is made for this")

// construct opens a reader. puddle calls it on a goroutine of its own, where a
// panic would end the process, with the values of the acquirer's context.
func (g *generation[C]) construct(ctx context.Context) (*slot[C], error) {
	st, ok := ctx.Value(stayKey{}).(*stay)
	switch {
	case !ok:
		return nil, errNoCreate
	case !st.begin():
		return nil, context.Canceled
	}
	return g.openSlot(g.ctx, Reader)
}

// provide acquires a reader, and opens one where none is idle. When ctx ends it
// returns at once; what is being opened then goes to the pool. A generation that is shut ends the opening.
func (g *generation[C]) provide(ctx context.Context) (*puddle.Resource[*slot[C]], error) {
	type result struct {
		res *puddle.Resource[*slot[C]]
		err error
	}
	var (
		st     = &stay{end: make(chan struct{})}
		handed = make(chan result) // unbuffered: whoever has left is handed nothing
		left   = make(chan struct{})
	)
	defer close(left)
	g.count(1)
	go func() {
		res, err := g.pool.Acquire(st)
		select {
		case handed <- result{res, err}:
		case <-left:
			if err == nil {
				res.ReleaseUnused()
			}
		}
		g.count(-1)
		g.released()
	}()
	select {
	case r := <-handed:
		return r.res, r.err
	case <-ctx.Done():
		st.leave()
		return nil, ctx.Err()
	}
}

// count counts the goroutines of provide: until one ends, its reader is neither idle nor somebody's.
func (g *generation[C]) count(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opening += n
}

// queued is the context of an acquisition that opens nothing. It keeps the
// caller's values to itself: construct asks for one on puddle's goroutine, and
// by then the caller may have left and its context serve somebody else.
type queued struct{ context.Context }

func (queued) Value(any) any { return nil }

// stay is the context of an acquisition that may open. It ends while that
// waits for its turn. Once the opening has begun it never ends, so that puddle
// hands the reader to the goroutine that asked for it, whatever happens.
type stay struct {
	decided atomic.Bool // it has begun, or has ended
	end     chan struct{}
}

type stayKey struct{}

// begin is called before the opening. It returns false when the stay has ended.
func (st *stay) begin() bool { return st.decided.CompareAndSwap(false, true) }

// leave ends the stay, unless the opening has begun. It is called once.
func (st *stay) leave() {
	if st.decided.CompareAndSwap(false, true) {
		close(st.end)
	}
}

func (st *stay) Done() <-chan struct{}       { return st.end }
func (st *stay) Deadline() (time.Time, bool) { return time.Time{}, false }

func (st *stay) Err() error {
	select {
	case <-st.end:
		return context.Canceled
	default:
		return nil
	}
}

func (st *stay) Value(key any) any {
	if key == (stayKey{}) {
		return st
	}
	return nil
}

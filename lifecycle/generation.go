package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
)

// generation is the readers of one life of a store: from a Resume to the Pause
// after it. A reader that outlives its generation is closed when its holder lets go.
type generation[C comparable] struct {
	s       *Connections[C]
	number  uint64
	pool    *puddle.Pool[*slot[C]]
	ctx     context.Context // ended when the generation is shut: wakes whoever waits for a connection
	cancel  context.CancelFunc
	closing atomic.Bool
	flushed atomic.Bool // puddle's Close was called: whatever comes back closes itself

	mu       sync.Mutex
	slots    []*slot[C] // the open ones
	open     int        // opened or being opened, less closed
	opening  int        // being opened, or just opened and not with whom it was opened for
	closed   int
	closeErr error
	shedder  *time.Timer

	closeMu sync.Mutex // one physical close at a time: connections that close together leave SQLite's side files behind
}

func newGeneration[C comparable](s *Connections[C], number uint64) *generation[C] {
	g := &generation[C]{s: s, number: number}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	pool, err := puddle.NewPool(&puddle.Config[*slot[C]]{
		Constructor: g.construct,
		Destructor:  g.close,
		MaxSize:     int32(s.cfg.MaxReaders),
	})
	if err != nil {
		panic(err) // only for a size below 1, which the configuration does not let through
	}
	g.pool = pool
	return g
}

// openSlot opens a connection that belongs to the generation.
func (g *generation[C]) openSlot(ctx context.Context, role Role) (*slot[C], error) {
	g.mu.Lock()
	if g.closing.Load() {
		g.mu.Unlock()
		return nil, errShut
	}
	g.open++
	g.opening++
	g.mu.Unlock()

	conn, err := g.s.driverOpen(ctx, role, g.number)

	g.mu.Lock()
	g.opening--
	var sl *slot[C]
	if err != nil {
		g.open--
	} else {
		sl = newSlot(g.s, g, role, conn)
		g.slots = append(g.slots, sl)
	}
	g.mu.Unlock()
	g.released()
	if err != nil {
		g.dropIfGone()
	}
	return sl, err
}

// acquire gets an idle reader or opens one. It returns errShut when the store stops being active meanwhile.
func (g *generation[C]) acquire(ctx context.Context) (*slot[C], error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	res, err := g.pool.Acquire(queued{waiting})
	if errors.Is(err, errNoCreate) { // none is idle, and there is room for another
		res, err = g.provide(waiting)
	}
	if err != nil {
		g.released() // it may have had a place in the pool for a moment: see takeIdle
		switch {
		case g.closing.Load():
			return nil, errShut
		case ctx.Err() != nil:
			return nil, endOf(ctx)
		default:
			return nil, err
		}
	}
	if sl := g.take(ctx, res); sl != nil {
		return sl, nil
	}
	return nil, errShut
}

// take begins an operation on an acquired reader. It returns nil, and gives
// the reader back, when the generation is being shut: the releaser looks for
// operations after it has set closing, so that one of the two sees the other.
func (g *generation[C]) take(ctx context.Context, res *puddle.Resource[*slot[C]]) *slot[C] {
	sl := res.Value()
	sl.res = res
	sl.begin(ctx)
	if !g.closing.Load() {
		return sl
	}
	if _, mine := sl.retire(); mine {
		sl.passOn()
	}
	return nil
}

// released tells a releaser that something changed.
func (g *generation[C]) released() {
	if g.closing.Load() {
		g.s.wake.poke()
	}
}

// shut refuses everybody who comes or waits. It is called once, under the store's mutex.
func (g *generation[C]) shut() {
	g.closing.Store(true)
	g.cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shedder != nil {
		g.shedder.Stop()
		g.shedder = nil
	}
}

// close closes one reader; it is puddle's destructor too.
func (g *generation[C]) close(sl *slot[C]) {
	g.closeMu.Lock()
	err := g.s.driverClose(sl.conn)
	g.closeMu.Unlock()
	g.gone(sl, err)
}

// gone counts a connection that was closed.
func (g *generation[C]) gone(sl *slot[C], err error) {
	g.mu.Lock()
	if i := slices.Index(g.slots, sl); i >= 0 {
		g.slots = slices.Delete(g.slots, i, i+1)
	}
	g.open--
	g.closed++
	g.closeErr = errors.Join(g.closeErr, err)
	g.mu.Unlock()
	g.released()
	g.dropIfGone()
}

// dropIfGone lets the store forget a generation of which nothing is left.
func (g *generation[C]) dropIfGone() {
	g.mu.Lock()
	gone := g.open == 0 && g.flushed.Load()
	g.mu.Unlock()
	if gone {
		g.s.drop(g)
	}
}

// running tells whether an operation runs or a connection is being opened.
func (g *generation[C]) running() (operations, opening bool) {
	for _, sl := range g.list() {
		if sl.working() {
			operations = true
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return operations, g.opening > 0
}

// returning tells whether a reader is still on its way back to the pool, for
// instance in Reset. It is not idle yet, so that nobody could close it. What puddle
// calls under construction is no reader: it is refused, or counted as being opened.
func (g *generation[C]) returning() bool { return g.pool.Stat().AcquiredResources() > 0 }

// list returns the open connections.
func (g *generation[C]) list() []*slot[C] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.slots)
}

// left returns how many connections are not closed yet.
func (g *generation[C]) left() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// takeIdle takes the idle readers out of everybody's reach, for closing. It
// returns false where another reader is in the pool: whoever comes late has it
// for a moment, or has a place in the pool for which puddle keeps it. He pokes the releaser when he leaves.
func (g *generation[C]) takeIdle() (taken []*slot[C], all bool) {
	for _, res := range g.pool.AcquireAllIdle() {
		taken = append(taken, res.Value())
		res.Hijack()
	}
	st := g.pool.Stat()
	return taken, st.IdleResources()+st.AcquiredResources() == 0
}

// claimForeign takes the idle Foreign connections, after flush: one that somebody
// has just begun to use is closed by him when he finds the generation flushed.
func (g *generation[C]) claimForeign() (taken []*slot[C]) {
	for _, sl := range g.list() {
		if sl.role == Foreign && sl.claim() {
			taken = append(taken, sl)
		}
	}
	return taken
}

// flush closes the pool, once. Whatever comes back to it later is closed by
// the destructor. puddle's Close waits for that, so it gets a goroutine where there is something to wait for.
func (g *generation[C]) flush() {
	if g.flushed.Swap(true) {
		return
	}
	if g.pool.Stat().TotalResources() == 0 {
		g.pool.Close()
	} else {
		go g.pool.Close()
	}
}

// abandon leaves a generation to drain by itself, because its pause was overtaken.
func (g *generation[C]) abandon() {
	g.flush()
	for _, sl := range g.claimForeign() {
		g.close(sl)
	}
	g.dropIfGone()
}

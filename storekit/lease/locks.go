package lease

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Locks are the leases of one store, and a Pausable. What they hold is kept
// over a pause; see the package's documentation.
type Locks struct {
	store  store
	hash   func([]byte) ([]byte, error)
	clock  clock
	holder string // of holds that name none

	mu       sync.Mutex
	claims   map[pair]*claim
	memories map[pair]memory
	queues   map[string][]turn // who waits for a key
	life     <-chan struct{}   // of the store, the one that the claims belong to: what PauseBegan returned
	given    bool              // a pause is releasing everything, or has; until the next life
	epoch    uint64            // counts the pauses that have released
	writes   uint64            // counts the renewer's transactions
	renewer  *renewer          // nil while nothing is held, or to be held
	closed   bool
	warned   *lifecycle.Report // of a pause that could not release, with a warning for it
	warning  error             // for the report of the pause under way
}

// Open opens the leases in a file, and makes that where it is missing. A file
// that is damaged, or no database, is replaced by a new one, in which all
// generations begin again, unless another process has it open: sqlite.ErrInUse.
//
// The errors are those of sqlite.Open.
func Open(ctx context.Context, cfg Config) (*Locks, error) {
	l := newLocks(realClock())
	l.hash = cfg.Hash
	if cfg.wall != nil {
		l.clock.wall = cfg.wall
	}
	database := cfg.database()
	database.Observer = &observer{l, database.Observer}
	database.BeforeRelease = func(ctx context.Context, w *sqlite.Conn) error {
		l.beforeRelease(ctx, func(ctx context.Context, f func(rows) error) error {
			return w.Update(ctx, func(w *sqlite.Conn) error { return f(fileRows{w}) })
		})
		return nil
	}
	db, err := openFile(ctx, database)
	if err != nil {
		return nil, err
	}
	l.store = &file{db, database}
	return l, nil
}

// Memory makes leases for a store in memory: the same rules within one
// process, by the monotonic clock. Pause and Resume change nothing. name is
// that of Name. ctx bounds the call, which waits for nobody.
func Memory(ctx context.Context, name string) (*Locks, error) {
	l := newLocks(steadyClock())
	conns, err := lifecycle.Open(ctx, memoryDriver{&table{rows: map[string]row{}}},
		lifecycle.Config[*memoryConn]{Name: name, MaxReaders: memoryReaders, Observer: &observer{l, nil}})
	if err != nil {
		return nil, err
	}
	l.store = inMemory{conns}
	return l, nil
}

const memoryReaders = 64 // calls of Check at a time

func newLocks(c clock) *Locks {
	return &Locks{clock: c, holder: rand.Text(), claims: map[pair]*claim{}, memories: map[pair]memory{}, queues: map[string][]turn{}}
}

// Take takes key for holder for the duration d, or extends what holder has
// already, and returns the generation. ok is false where another holder has
// it. It does not wait for that. A d of 0 releases the key: what holder has,
// or, where it was free, what holder got by this very call.
//
// Where the key is new its generation is 1. Where another holder had it, and
// the time of that was over, it is one more. Otherwise it stays.
//
// What Take takes is not renewed, and not released by a pause.
func (l *Locks) Take(ctx context.Context, key, holder string, d time.Duration) (generation uint64, ok bool, err error) {
	if d < 0 || d > maxDuration {
		return 0, false, l.fail("take", key, &lifecycle.ConfigError{Field: "d", Reason: "must be between 0 and 100 years"})
	}
	q := request{duration: milliseconds(d)}
	var r row
	err = l.store.update(ctx, func(t rows) (err error) {
		if q.key, q.holder, err = l.stored(key, holder); err != nil {
			return err
		}
		q.now = l.clock.wall()
		r, ok, err = t.take(ctx, q)
		return err
	})
	if err != nil {
		return 0, false, l.fail("take", key, err)
	}
	if !ok {
		return 0, false, nil
	}
	if q.duration == 0 {
		l.mu.Lock()
		l.pass(key)
		l.mu.Unlock()
	}
	return r.generation, true, nil
}

// stored returns how a key and its holder are stored. It is called inside an
// operation: while the Locks are paused, what hashes may be locked, and it is
// for the pause to say what becomes of the call.
func (l *Locks) stored(key, holder string) (k, h []byte, err error) {
	k, h = []byte(key), []byte(holder)
	if l.hash == nil {
		return k, h, nil
	}
	if k, err = l.hash(k); err != nil {
		return nil, nil, fmt.Errorf("hash: %w", err)
	}
	if h, err = l.hash(h); err != nil {
		return nil, nil, fmt.Errorf("hash: %w", err)
	}
	return k, h, nil
}

func (l *Locks) fail(op, key string, err error) error {
	return &Error{Store: l.store.Name(), Op: op, Key: key, Err: err}
}

// Name returns the name in errors, reports and events.
func (l *Locks) Name() string { return l.store.Name() }

// State returns the state at this moment. In memory it is Active until Close.
func (l *Locks) State() lifecycle.State { return l.store.State() }

// Subscribe returns a channel that delivers the state now and after every
// change, the latest one only. stop ends the subscription and closes the channel.
func (l *Locks) Subscribe() (states <-chan lifecycle.State, stop func()) { return l.store.Subscribe() }

// Holders lists the operations on the leases' database that run at this moment. They are not the holders of leases.
func (l *Locks) Holders() []lifecycle.Holder { return l.store.Holders() }

// Wipe closes the Locks and deletes the file, as sqlite.DB.Wipe does. In memory it is Close.
func (l *Locks) Wipe(ctx context.Context) error {
	err := l.store.wipe(ctx)
	l.rest(ctx)
	return err
}

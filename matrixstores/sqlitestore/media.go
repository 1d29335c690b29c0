package sqlitestore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// MediaConfig is what a Media is opened with.
type MediaConfig struct {
	Config

	// FlushEvery is how long it may be kept in memory that a content was read,
	// until it is stored: what a process that is killed forgets. Default 30 s.
	FlushEvery time.Duration

	// UploadExpiry is for how long nobody may have written to an upload, which is
	// removed then: its process was killed. Default one hour. An upload of this
	// store has no such limit as long as there is its Writer.
	UploadExpiry time.Duration

	// Cleaned, where it is not nil, is told of every cleaning that the store began
	// by itself and that has ended, on a goroutine of the store's, for which a
	// pause waits. One that a pause has cut goes on after Resume, and is told of once.
	Cleaned func(media.Cleaned, error)
}

// What is not set.
const (
	defaultFlushEvery   = 30 * time.Second
	defaultUploadExpiry = time.Hour
)

// Media is a media.Store in SQLite. What it knows of the contents and the
// contents themselves, in chunks of 64 KiB, are in two tables.
type Media struct {
	base
	cfg       MediaConfig
	accesses  accesses
	retention retention
	uploads   uploads

	cleaning sync.Mutex    // held by the Clean that runs
	due      atomic.Bool   // the job is to clean
	cut      media.Cleaned // what the job has removed in a cleaning that a pause has cut
	tidying  *job.Handle

	removeChunks int64 // how many chunks of an upload one transaction removes; tests change it
}

var _ media.Store = (*Media)(nil)

//go:embed schema/media/*.sql
var mediaSchema embed.FS

var mediaKind = kind{
	name: "media", applicationID: 0x714D6564, // qMed
	schema: mediaSchema, dir: "schema/media",
	sealed: []storekit.SealedColumn{
		{Table: "media", Column: "info", Row: "content"},
		{Table: "chunk", Column: "data", Row: "row"},
	},
}

// OpenMedia opens a media store, and makes it where there is none. A new one gives free pages back in small steps.
//
// The hooks BeforeRelease and AfterReopen of cfg run after what the store itself does there. Its Observer is also told, by an Event
// that has an Err and changes no state, of damage that the store goes on with: a policy that cannot be read, in whose place
// media.DefaultPolicy is in force; a time of the last cleaning, which then counts as unknown; what GetForURI has passed over.
func OpenMedia(ctx context.Context, cfg MediaConfig) (*Media, error) {
	if cfg.FlushEvery <= 0 {
		cfg.FlushEvery = defaultFlushEvery
	}
	if cfg.UploadExpiry <= 0 {
		cfg.UploadExpiry = defaultUploadExpiry
	}
	m := &Media{cfg: cfg, removeChunks: removeBytes / chunkSize}
	m.retention.init()
	d := &cfg.Config.Database
	d.IncrementalVacuum = true
	d.BeforeRelease = both(m.beforeRelease, d.BeforeRelease)
	d.AfterReopen = both(m.loadRetention, d.AfterReopen)
	var err error
	if m.base, err = cfg.Config.open(ctx, mediaKind); err != nil {
		return nil, err
	}
	if m.State() != lifecycle.Paused {
		var damage error
		err = m.View(ctx, func(c *sqlite.Conn) (err error) {
			damage, err = m.readRetention(ctx, c)
			return err
		})
		m.tell(damage)
	}
	if err == nil {
		m.tidying, err = m.Job(job.Job{Name: m.Name() + ": clean", Run: m.tidy})
	}
	if err != nil {
		return nil, errors.Join(m.failed("open", err), m.Close(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// both makes one hook of two. The second one may be nil.
func both(first, second func(context.Context, *sqlite.Conn) error) func(context.Context, *sqlite.Conn) error {
	if second == nil {
		return first
	}
	return func(ctx context.Context, c *sqlite.Conn) error {
		if err := first(ctx, c); err != nil {
			return err
		}
		return second(ctx, c)
	}
}

// update is a write transaction, which also stores the accesses that are only in memory so far.
func (m *Media) update(ctx context.Context, fn func(*sqlite.Conn) error) error {
	var stored map[contentID]int64
	err := m.Update(ctx, func(c *sqlite.Conn) (err error) {
		if stored, err = m.accesses.store(ctx, c, m.now()); err != nil {
			return err
		}
		return fn(c)
	})
	if err == nil {
		m.accesses.forget(stored)
	}
	return err
}

// admitted returns the error of an operation that a pause would refuse, for
// those that find nothing to do in the database.
func (m *Media) admitted(ctx context.Context) error {
	return m.View(ctx, func(*sqlite.Conn) error { return nil })
}

// admittedFast is admitted for what is called often: while the store is active it asks nobody.
func (m *Media) admittedFast(ctx context.Context) error {
	if m.State() == lifecycle.Active && ctx.Err() == nil {
		return nil
	}
	return m.admitted(ctx)
}

// isDamage says whether an error is that of a value which somebody has damaged, and not of the store.
func isDamage(err error) bool {
	var decode *codec.DecodeError
	return errors.Is(err, media.ErrBroken) || errors.Is(err, media.ErrPolicy) || errors.Is(err, secret.ErrTampered) || errors.As(err, &decode)
}

// tell tells the database's Observer of damage that the store goes on with: an event without a change of state.
func (m *Media) tell(damage error) {
	o := m.cfg.Database.Observer
	if o == nil || damage == nil {
		return
	}
	defer func() { _ = recover() }() // as everywhere, an Observer cannot fail what it is told of
	s := m.State()
	o.Observe(lifecycle.Event{Store: m.Name(), Time: time.Now(), From: s, To: s, Generation: m.Generation(), Err: damage})
}

// failed names the store and the operation that err comes from.
func (m *Media) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, secret.ErrTampered) && !errors.Is(err, media.ErrBroken) {
		err = fmt.Errorf("%w: %w", media.ErrBroken, err)
	}
	return fmt.Errorf("%s: %s: %w", m.Name(), op, err)
}

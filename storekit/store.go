package storekit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/lease"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Store is a database with everything that a store of an author's own needs. It
// is made to be embedded: a type that embeds it is a lifecycle.Pausable. All
// methods may be called from any number of goroutines.
type Store struct {
	db     *sqlite.DB
	leases *lease.Locks // nil without Config.Leases
	jobs   *job.Runner
	group  *lifecycle.Group // of what is paused
	ending *lifecycle.Group // the same, closed for good
	codec  *codec.Codec
	keyring

	migrations  []Migration
	sealed      []SealedColumn
	prepareNext prepareHook
	told        func(Progress)
	timeout     time.Duration
	incremental bool // Database.IncrementalVacuum

	rotating turn
	swap     swap
	opened   Config // what Open was given
}

var _ lifecycle.Pausable = (*Store)(nil)

// assemble orders the parts: jobs are stopped first and started last, since
// they use everything else; leases are released while the keys are there.
func (s *Store) assemble() {
	closing := func(close func(context.Context) error) lifecycle.Pausable { return lifecycle.Func{PauseFunc: close} }
	parts := []lifecycle.Pausable{s.jobs}
	ends := []lifecycle.Pausable{closing(s.jobs.Close)}
	if s.leases != nil {
		parts = append(parts, s.leases)
		ends = append(ends, closing(s.leases.Close))
	}
	s.swap.name = s.db.Name()
	s.group = lifecycle.GroupConfig{Name: s.db.Name(), RollbackResume: true, RollbackTimeout: s.timeout}.Sequence(append(parts, s.db, s.swap.member())...)
	s.ending = lifecycle.GroupConfig{Name: s.db.Name()}.Sequence(append(ends, closing(s.db.Close), s.swap.member())...)
}

// View calls fn with a reader inside one read transaction, as sqlite.DB.View does.
func (s *Store) View(ctx context.Context, fn func(*sqlite.Conn) error) error {
	return s.db.View(ctx, fn)
}

// Read calls fn with a reader, as sqlite.DB.Read does: each statement sees a moment of its
// own, which is enough for one, and saves beginning and ending a transaction for it.
func (s *Store) Read(ctx context.Context, fn func(*sqlite.Conn) error) error {
	return s.db.Read(ctx, fn)
}

// Update calls fn with the writer inside one write transaction, as sqlite.DB.Update does.
func (s *Store) Update(ctx context.Context, fn func(*sqlite.Conn) error) error {
	return s.db.Update(ctx, fn)
}

// Inside marks a context as part of the operation that holds c, as lifecycle.Connections.Inside does.
func (s *Store) Inside(ctx context.Context, c *sqlite.Conn) context.Context {
	return s.db.Inside(ctx, c)
}

// SQL returns the database as a *sql.DB, as sqlite.DB.SQL does. It pauses with the store.
func (s *Store) SQL() *sql.DB { return s.db.SQL() }

// SQLX is SQL as a *sqlx.DB.
func (s *Store) SQLX() *sqlx.DB { return s.db.SQLX() }

// Codec returns what turns keys and values into what is stored: as they are, or
// hashed and sealed in an encrypted store. It is the same for as long as the store lives.
func (s *Store) Codec() *codec.Codec { return s.codec }

// KV returns the key-value table of a namespace. There is no need to keep it.
func (s *Store) KV(namespace string) *kv.Table { return kv.New(s, s.codec, namespace) }

// Job registers a background job, which is stopped before the store pauses, and
// started when it has resumed; see package job.
func (s *Store) Job(j job.Job) (*job.Handle, error) { return s.jobs.Start(j) }

// Leases returns the store's lease locks, nil without Config.Leases.
func (s *Store) Leases() *lease.Locks { return s.leases }

// Pause stops the jobs, releases the leases, and gives back the database, as
// lifecycle.Connections.Pause does; until the jobs have stopped, the store
// accepts work. A Restore that prepares its copy is ended, and waited for. A Pause that returns an error has told the database all the
// same: work is refused. Where ctx has no deadline, Database.Timeout bounds all of it.
// With ForgetKeyOnPause the keys are wiped when it returns nil.
func (s *Store) Pause(ctx context.Context) error {
	return s.end(ctx, s.group, lifecycle.ErrPaused)
}

// end is Pause, and Close, which is why whoever comes is refused from now on.
func (s *Store) end(ctx context.Context, group *lifecycle.Group, why error) error {
	undo := s.swap.intend(why)
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := s.tell(ctx, group)
	if errors.Is(err, lifecycle.ErrNested) {
		undo()
	}
	return err
}

// tell pauses a group. It returns when the database has been told, which
// refuses work from then on, also where the context has ended: that bounds the
// waiting, and a group would tell its last member a moment later.
func (s *Store) tell(ctx context.Context, group *lifecycle.Group) error {
	began := s.db.PauseBegan()
	err := group.Pause(ctx)
	if err == nil {
		return nil
	}
	err = s.withHolders(err)
	states, stop := group.Subscribe()
	defer stop()
	for {
		select {
		case <-began:
			return err
		case state := <-states:
			if state != lifecycle.Pausing { // overtaken, or refused, or at its end
				return err
			}
		}
	}
}

// withHolders has the error of a Pause name what holds it up where its first
// part does not: a member that ran out of its share of a short time, though nobody holds it.
func (s *Store) withHolders(err error) error {
	var held *lifecycle.HeldError
	if !errors.As(err, &held) || len(held.Holders) > 0 {
		return err
	}
	holders := s.group.Holders()
	if len(holders) == 0 {
		return err
	}
	return &lifecycle.HeldError{Store: s.db.Name(), Step: lifecycle.StepMembers, Holders: holders, Cause: err}
}

// Resume opens the database again, as lifecycle.Connections.Resume does, checks
// the secret, migrates what it finds, takes the leases again and starts the
// jobs. It returns what Open returns. A failure of any part leaves the store paused: what had
// resumed is paused again, and the error matches lifecycle.ErrRolledBack where that was done in time.
// Where ctx has no deadline, Database.Timeout bounds all of it, migrations
// included: one that takes longer needs a Resume with a deadline of its own.
func (s *Store) Resume(ctx context.Context) error {
	s.swap.intend(nil)
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.resume(ctx)
}

func (s *Store) resume(ctx context.Context) error {
	err := s.group.Resume(ctx)
	if err == nil {
		s.restored()
	}
	return err
}

// Close is Pause for good. It wipes the keys.
func (s *Store) Close(ctx context.Context) error {
	return s.end(ctx, s.ending, lifecycle.ErrClosed)
}

// Wipe closes the store and deletes it, with everything beside it. Another
// process that has it open keeps it from that: sqlite.ErrInUse.
func (s *Store) Wipe(ctx context.Context) error {
	err := s.Close(ctx)
	if err != nil {
		return err
	}
	real := s.realPath()
	if s.leases != nil {
		err = s.leases.Wipe(ctx)
	}
	if err = errors.Join(err, s.db.Wipe(ctx)); err != nil {
		return err
	}
	discard(real + restoreNew)
	return removeIfThere(real + restoreOld)
}

// bounded gives all parts together the time that one has by itself.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.timeout)
}

// State returns the state of the database.
func (s *Store) State() lifecycle.State { return s.db.State() }

// Subscribe returns the changes of State, as lifecycle.Connections.Subscribe does.
func (s *Store) Subscribe() (states <-chan lifecycle.State, stop func()) { return s.db.Subscribe() }

// Report returns what the last Pause, Resume or Close of the database did.
func (s *Store) Report() *lifecycle.Report { return s.db.Report() }

// Stats counts what there is.
func (s *Store) Stats() lifecycle.Stats { return s.db.Stats() }

// Holders lists what would hold a Pause up at this moment: operations, and jobs.
func (s *Store) Holders() []lifecycle.Holder { return s.group.Holders() }

// Generation counts the lives of the store.
func (s *Store) Generation() uint64 { return s.db.Generation() }

// Name returns the store's name.
func (s *Store) Name() string { return s.db.Name() }

// Path returns the absolute path of the database file.
func (s *Store) Path() string { return s.db.Path() }

// failed names the store and the operation that err comes from. Keys that are
// not there are those of a store that is not active, or was not meanwhile.
func (s *Store) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, secret.ErrLocked) && !errors.Is(err, lifecycle.ErrPaused) && !errors.Is(err, lifecycle.ErrClosed) {
		why := errPaused
		if s.State() == lifecycle.Closed {
			why = errClosed
		}
		err = fmt.Errorf("%w: %w", why, err)
	}
	return fmt.Errorf("%s: %s: %w", s.db.Name(), op, err)
}

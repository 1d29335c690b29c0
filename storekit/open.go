package storekit

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/lease"
)

// Open opens a store, and makes it where it is missing. Before it returns, the
// secret was checked and the schema brought to the program's version. An Open
// that fails leaves nothing open; one that was to make the store leaves no file,
// and one whose migration failed leaves the version before it.
//
// Besides the errors of sqlite.Open it returns ErrMigrations, a
// *MigrationError, lifecycle.ErrSchemaNewer, and about the secret
// secret.ErrWrongSecret, ErrSecretNeeded, ErrSuperfluousSecret and what else
// secret.Open returns. With Database.StartPaused nothing of this happens before
// the first Resume, which then returns these errors.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := newStore(cfg)
	if err := recoverRestore(cfg.Database); err != nil {
		return nil, err
	}
	opened := false
	defer func() { // also where a hook called runtime.Goexit
		if !opened {
			err = errors.Join(err, s.abandon(context.WithoutCancel(ctx)))
		}
	}()
	if s.db, err = sqlite.Open(ctx, s.database(cfg)); err != nil {
		return nil, err
	}
	if cfg.Leases {
		if s.leases, err = lease.Open(ctx, s.leaseConfig(cfg)); err != nil {
			return nil, err
		}
	}
	s.jobs = job.NewRunner(job.Config{Name: s.db.Name() + ": jobs", Timeout: cfg.Database.Timeout, StartPaused: cfg.Database.StartPaused})
	s.assemble()
	if s.State() == lifecycle.Active {
		s.restored()
	} else {
		s.swap.intend(lifecycle.ErrPaused)
	}
	opened = true
	return s, nil
}

func newStore(cfg Config) *Store {
	s := &Store{migrations: cfg.Migrations, told: cfg.Progress, prepareNext: cfg.Database.Prepare, timeout: cfg.Database.Timeout}
	if s.timeout <= 0 {
		s.timeout = lifecycle.DefaultTimeout
	}
	s.opened = cfg
	s.rotating = make(turn, 1)
	s.swap.init()
	s.sealed = append([]SealedColumn{{"storekit_kv", "value", "row"}, {"storekit_kv", "name", "row"}}, cfg.Sealed...)
	s.incremental = cfg.Database.IncrementalVacuum
	s.secret, s.forget, s.codec = cfg.Secret, cfg.ForgetKeyOnPause, &codec.Codec{}
	if !cfg.Secret.None() {
		s.codec = codec.Sealed()
	}
	return s
}

// database is the configuration of the store's database.
func (s *Store) database(cfg Config) sqlite.Config {
	c := cfg.Database
	c.Prepare = s.prepare
	next := c.Observer
	c.Observer = lifecycle.ObserverFunc(func(e lifecycle.Event) {
		s.observe(e)
		if next != nil {
			next.Observe(e)
		}
	})
	return c
}

// abandon closes what a failed Open has opened.
func (s *Store) abandon(ctx context.Context) error {
	var err error
	if s.leases != nil {
		err = s.leases.Close(ctx)
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close(ctx))
	}
	s.wipeKeys(errClosed)
	return err
}

// prepare makes the database ready, before anybody else gets in: the kit's own
// tables, the cipher, the schema.
func (s *Store) prepare(ctx context.Context, c *sqlite.Conn) error {
	known, empty, err := tables(ctx, c)
	if err != nil {
		return err
	}
	if known {
		err = s.unlock(ctx, c)
	} else {
		err = s.establish(ctx, c, empty)
	}
	if err == nil {
		err = s.migrate(ctx, c)
	}
	if err == nil && s.prepareNext != nil {
		err = s.prepareNext(ctx, c)
	}
	return err
}

// leasesSuffix is what the path of the leases' database ends with, behind the
// store's own without symbolic links: who comes by another link is kept out too.
const leasesSuffix = "-leases"

// leaseConfig is the configuration of the leases' database. It hashes what the
// store hashes.
func (s *Store) leaseConfig(cfg Config) lease.Config {
	d := cfg.Database
	return lease.Config{
		Database: sqlite.Config{
			Engine: d.Engine, Path: s.realPath() + leasesSuffix, Name: s.db.Name() + ": leases",
			Timeout: d.Timeout, Grace: d.Grace, WhenPaused: d.WhenPaused, StartPaused: d.StartPaused,
			Verify: d.Verify, TrackHolders: d.TrackHolders, BusyTimeout: d.BusyTimeout,
		},
		Hash: func(key []byte) ([]byte, error) { return s.codec.Key("storekit_lease", key) },
	}
}

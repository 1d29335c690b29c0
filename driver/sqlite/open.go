package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Open opens a database, and makes it where it is missing. An Open that fails
// leaves nothing open and no new file behind, and changes no committed content; a
// log that a crash has left may be written back.
//
// It returns an error that matches ErrConfig, ErrMemory, ErrDirectory,
// ErrInUse, ErrNotADatabase, ErrCorrupt, ErrApplicationID, ErrBusy,
// lifecycle.ErrSchemaNewer or lifecycle.ErrInaccessible, and names the path.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Verify {
		if err := canVerify(ctx, cfg.Path); err != nil {
			return nil, err
		}
	}
	d := newDriver(cfg)
	claimed, err := openFiles.claim(cfg.Name, d.paths())
	if err != nil {
		return nil, err
	}
	var m made
	fail := func(err error) (*DB, error) {
		m.undo()
		openFiles.release(claimed)
		return nil, err
	}
	if !cfg.StartPaused {
		if err := d.prepare(ctx, &m); err != nil {
			return fail(err)
		}
	}
	db := &DB{driver: d, claimed: claimed}
	lc := cfg.lifecycle()
	lc.Observer = db.observer(cfg.Observer)
	if db.Connections, err = lifecycle.Open(ctx, lifecycle.Driver[*Conn](d), lc); err != nil {
		return fail(err)
	}
	db.optimized.Store(timeNow())
	return db, nil
}

// prepare makes the files, checks what is in them before anything is changed,
// and gives them what every connection needs: the write-ahead log, an identity.
func (d *storeDriver) prepare(ctx context.Context, m *made) error {
	isNew := map[*file]bool{}
	for _, f := range d.files {
		fresh, err := m.create(f.path)
		if err != nil {
			return err
		}
		isNew[f] = fresh
		if err := writable(f.path); err != nil {
			return &OpenError{Path: f.path, Err: errors.Join(lifecycle.ErrInaccessible, err)}
		}
	}
	c, err := d.connect(ctx, lifecycle.Writer)
	if err != nil {
		return err
	}
	err = d.asOperation(c, func() error {
		for _, f := range d.files {
			if err := d.prepareFile(ctx, c, f, isNew[f]); err != nil {
				return d.openError(err)
			}
		}
		if !d.cfg.NoOptimize {
			// Its own advice for a connection that was just opened; it looks at little.
			return c.ExecScript(ctx, `PRAGMA optimize = 0x10002`)
		}
		return nil
	})
	return errors.Join(err, c.close())
}

func (d *storeDriver) prepareFile(ctx context.Context, c *Conn, f *file, isNew bool) error {
	id, err := readIdentity(ctx, c, f.schema)
	if err != nil {
		return err
	}
	if isNew {
		id.applicationID = d.cfg.ApplicationID
	}
	if err := id.admit(&d.cfg, f); err != nil {
		return err
	}
	wait := newLockWait(d.cfg.BusyTimeout)
	for {
		err := d.settle(ctx, c, f, isNew && id.id == nil || d.cfg.AddIdentity && id.id == nil)
		if err == nil || !errors.Is(err, ErrBusy) {
			return err
		}
		if err := wait.next(ctx, err); err != nil {
			return err
		}
	}
}

// settle makes the changes. They are repeated while somebody else holds a lock.
func (d *storeDriver) settle(ctx context.Context, c *Conn, f *file, identify bool) error {
	var mode string
	if err := c.QueryRow(ctx, `PRAGMA `+f.schema+`.journal_mode = wal`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return &OpenError{Path: f.path, Err: fmt.Errorf("%w: the journal mode stays %q", ErrCantOpen, mode),
			Hint: "the file system, or the file, does not allow write-ahead logging"}
	}
	// Also where there is nothing to write: only a write shows that writing is possible.
	return c.Update(ctx, func(c *Conn) error {
		if !identify {
			return nil
		}
		application := d.cfg.ApplicationID
		if f.schema != "main" {
			application = 0
		}
		return writeIdentity(ctx, c, f.schema, application)
	})
}

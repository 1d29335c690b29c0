package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/internal/guard"
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
	if err := openFiles.claim(cfg.Name, d.files()); err != nil {
		return nil, err
	}
	db := &DB{driver: d, observed: cfg.Observer}
	o := new(opening)
	db.opening.Store(o)
	defer func() { // also where a hook called runtime.Goexit
		d.dropSpare()
		// What a failed Open could not close yet it closes later, and then tells the observer.
		if db.opening.Load() != nil && d.live.Load() == 0 {
			db.unclaim()
		}
	}()
	if !cfg.StartPaused {
		if err := d.prepare(ctx, &o.made, cfg.Prepare); err != nil {
			return nil, err
		}
		db.optimized.Store(timeNow())
	}
	lc := cfg.lifecycle()
	lc.Observer = (*dbObserver)(db)
	if db.Connections, err = lifecycle.Open(ctx, lifecycle.Driver[*Conn](d), lc); err != nil {
		return nil, err
	}
	db.opening.Store(nil)
	return db, nil
}

// prepare makes the files, checks what is in them before anything is changed,
// and gives them what every connection needs: the write-ahead log, an identity.
// It leaves its connection for the store's first reader.
func (d *storeDriver) prepare(ctx context.Context, m *made, prepare func(context.Context, *Conn) error) error {
	isNew := make([]bool, len(d.files()))
	for i, f := range d.files() {
		fresh, err := m.create(f.path)
		if err != nil {
			return err
		}
		isNew[i] = fresh
		st, err := statFile(f.path)
		if err != nil {
			return err
		}
		if err := openFiles.found(f, st.fileID); err != nil {
			return err
		}
		if err := writable(f.path); err != nil {
			return &OpenError{Path: f.path, Err: errors.Join(lifecycle.ErrInaccessible, err)}
		}
	}
	var ids []identity
	c, err := d.connect(ctx, lifecycle.Writer, func(c *Conn) (err error) {
		ids, err = d.admitAll(ctx, c, isNew)
		return err
	})
	if err != nil {
		return err
	}
	err = d.asOperation(c, func() error {
		// All of these first: what settle begins is a transaction on every file, and gives an empty one its first page.
		for i, f := range d.files() {
			if !isNew[i] || ids[i].has || !d.settings().incrementalVacuum {
				continue
			}
			if err := d.beginIncremental(ctx, c, f); err != nil {
				return openError(f, err)
			}
		}
		for i, f := range d.files() {
			if err := d.settlePatiently(ctx, c, f, !ids[i].has && (isNew[i] || d.settings().addIdentity)); err != nil {
				return openError(f, err)
			}
		}
		if prepare != nil {
			if err := guard.Recovered(func() error { return prepare(ctx, c) }); err != nil {
				return openError(&d.main, fmt.Errorf("prepare: %w", err))
			}
		}
		if d.settings().noOptimize {
			return nil
		}
		// It is advice to the query planner, and looks at little: no reason to fail.
		if err := c.ExecScript(ctx, optimizeStatement); err != nil && ctx.Err() != nil {
			return err
		}
		return nil
	})
	if err == nil {
		err = d.asOperation(c, func() error { return c.becomeReader(ctx) })
	}
	if err != nil {
		return errors.Join(err, c.close())
	}
	d.mu.Lock()
	d.spare = c
	d.mu.Unlock()
	return nil
}

// becomeReader makes the store's first reader of the connection that has made
// the database ready: to close it, the last one, and to open another one costs
// as much as all the rest of an Open.
func (c *Conn) becomeReader(ctx context.Context) error {
	if err := c.inside("set up", "", c.stmts.closeAll); err != nil {
		return err
	}
	return c.readsOnly(ctx)
}

// takeSpare returns that connection, once.
func (d *storeDriver) takeSpare() *Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.spare
	d.spare = nil
	return c
}

// dropSpare closes it where nobody has taken it.
func (d *storeDriver) dropSpare() {
	if c := d.takeSpare(); c != nil {
		_ = c.close()
	}
}

// optimizeStatement is SQLite's own advice for a connection that was just opened.
const optimizeStatement = `PRAGMA optimize = 0x10002`

// admitAll reads the identities of all files and checks them.
func (d *storeDriver) admitAll(ctx context.Context, c *Conn, isNew []bool) ([]identity, error) {
	ids := make([]identity, len(d.files()))
	for i, f := range d.files() {
		id, err := readIdentity(ctx, c, f.schema())
		if err != nil {
			return nil, openError(f, err)
		}
		ids[i] = id
		if isNew[i] && !id.has {
			id.applicationID = d.settings().applicationID // which it is about to get
		}
		if err := id.admit(d.settings(), f); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (d *storeDriver) settlePatiently(ctx context.Context, c *Conn, f *file, identify bool) error {
	return whileBusy(ctx, d.settings().busyTimeout, func() error { return d.settle(ctx, c, f, identify) })
}

// settleUnseen makes ready what Open has not seen: the database of a store that
// started paused, or one that AcceptReplaced lets take another's place.
func (d *storeDriver) settleUnseen(ctx context.Context, c *Conn, ids []identity) error {
	for i, f := range d.files() {
		var mode string
		if err := c.QueryRow(ctx, `PRAGMA `+f.schema()+`.journal_mode`).Scan(&mode); err != nil {
			return openError(f, err)
		}
		identify := d.settings().addIdentity && !ids[i].has
		if mode == "wal" && !identify {
			continue
		}
		if err := d.settlePatiently(ctx, c, f, identify); err != nil {
			return openError(f, err)
		}
		var err error
		if ids[i], err = readIdentity(ctx, c, f.schema()); err != nil {
			return openError(f, err)
		}
	}
	return nil
}

// identify gives a file its identity, and the main one its mark.
func (d *storeDriver) identify(ctx context.Context, c *Conn, f *file) error {
	application := d.settings().applicationID
	if f.schema() != mainSchema {
		application = 0
	}
	return writeIdentity(ctx, c, f.schema(), application)
}

// beginIncremental gives a new file its first pages. auto_vacuum can be set
// only where there are none: not after BEGIN IMMEDIATE, which makes one. The
// identity comes with it, so that no file of this package's making is without.
func (d *storeDriver) beginIncremental(ctx context.Context, c *Conn, f *file) error {
	return whileBusy(ctx, d.settings().busyTimeout, func() error {
		err := c.inside("begin", "", func() error { return c.start(ctx, ctlBegin, writing) })
		if err != nil {
			return err
		}
		return c.run(ctx, func(c *Conn) error {
			if err := c.ExecScript(ctx, `PRAGMA `+f.schema()+`.auto_vacuum = INCREMENTAL`); err != nil {
				return err
			}
			return d.identify(ctx, c, f)
		})
	})
}

// settle makes the changes. They are repeated while somebody else holds a lock.
// The identity comes first, so that a file that is made by two processes at
// once has one as soon as it has any content.
func (d *storeDriver) settle(ctx context.Context, c *Conn, f *file, identify bool) error {
	// Also where there is nothing to write: only a write shows that writing is possible.
	err := c.Update(ctx, func(c *Conn) error {
		if !identify {
			return nil
		}
		return d.identify(ctx, c, f)
	})
	if err != nil {
		return err
	}
	var mode string
	if err := c.QueryRow(ctx, `PRAGMA `+f.schema()+`.journal_mode = wal`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return &OpenError{Path: f.path, Err: fmt.Errorf("%w: the journal mode stays %q", ErrCantOpen, mode),
			Hint: "the file system, or the file, does not allow write-ahead logging"}
	}
	return nil
}

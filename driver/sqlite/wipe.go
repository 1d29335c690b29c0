package sqlite

import (
	"context"
	"errors"
	"os"
)

// Wipe closes the database and deletes it with all its side files. Another
// process that has the file open keeps it from that: ErrInUse. A Wipe that
// was killed half-way may be repeated with the function of that name.
func (db *DB) Wipe(ctx context.Context) error {
	if err := db.Close(ctx); err != nil {
		return err
	}
	return Wipe(ctx, db.driver.cfg)
}

// Wipe deletes the database that cfg opens, and those that it attaches, with
// all their side files. It returns ErrInUse, and deletes nothing, when this
// process or another one has it open. What is not there is deleted already. A
// file that is no database is deleted too.
func Wipe(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	d := newDriver(cfg)
	claimed, err := openFiles.claim(cfg.Name, d.paths())
	if err != nil {
		return err
	}
	defer openFiles.release(claimed)
	for _, f := range d.files {
		if err := d.wipe(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (d *storeDriver) wipe(ctx context.Context, f *file) error {
	st, err := statFile(f.path)
	if err != nil {
		return err
	}
	if !st.exists {
		return remove(f)
	}
	raw, err := d.cfg.Engine.Open(f.path, OpenOptions{})
	if err != nil {
		return d.openError(wrapError(d.cfg.Engine, f.path, "open", "", err))
	}
	c := newConn(d.cfg.Engine, raw, f.path, connOptions{BusyTimeout: d.cfg.BusyTimeout})
	err = d.asOperation(c, func() error { return lockAlone(ctx, c) })
	switch {
	case errors.Is(err, ErrBusy):
		err = &OpenError{Path: f.path, Err: errors.Join(ErrInUse, err), Hint: "another process has it open; end that first"}
		return errors.Join(err, c.close())
	case errors.Is(err, ErrNotADatabase), errors.Is(err, ErrCorrupt): // nobody can be using it as a database
	case err != nil:
		return errors.Join(d.openError(err), c.close())
	}
	if !deleteWhileOpen {
		if err := c.close(); err != nil {
			return err
		}
		return remove(f)
	}
	// The lock is held until the names are gone, so that nobody opens what is being deleted.
	return errors.Join(remove(f), c.close())
}

// lockAlone takes a lock that no other connection of any process is beside.
// In WAL mode BEGIN EXCLUSIVE keeps only writers out; leaving that mode is what needs to be alone.
func lockAlone(ctx context.Context, c *Conn) error {
	var mode string
	if err := c.QueryRow(ctx, `PRAGMA locking_mode = exclusive`).Scan(&mode); err != nil {
		return err
	}
	if err := c.QueryRow(ctx, `PRAGMA journal_mode = delete`).Scan(&mode); err != nil {
		return err
	}
	// In exclusive mode the lock of the first write is kept until the connection closes.
	return c.Update(ctx, func(c *Conn) error {
		return c.ExecScript(ctx, `PRAGMA user_version = 0`)
	})
}

// remove deletes the side files first: a log without its database would be
// played into the next one that is made there.
func remove(f *file) error {
	for _, suffix := range append(sideFiles[:], "") {
		if err := os.Remove(f.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &OpenError{Path: f.path + suffix, Err: classify(err), Hint: "it cannot be deleted"}
		}
	}
	return nil
}

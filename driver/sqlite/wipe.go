package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Wipe closes the database and deletes it with all its side files. Another
// process that has the file open keeps it from that: ErrInUse. A Wipe that
// was killed half-way may be repeated with the function of that name.
func (db *DB) Wipe(ctx context.Context) error {
	if err := db.Close(ctx); err != nil {
		return err
	}
	d := db.driver
	cfg := Config{Engine: d.engine, Name: db.Name(), Path: d.path(), BusyTimeout: d.settings().busyTimeout}
	for _, f := range d.files()[1:] {
		cfg.Attach = append(cfg.Attach, Attachment{Schema: f.schema(), Path: f.path})
	}
	return Wipe(ctx, cfg)
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
	if err := openFiles.claim(cfg.Name, d.files()); err != nil {
		return err
	}
	defer openFiles.release(d.files())
	return d.wipe(ctx, d.files(), cfg.BusyTimeout)
}

// wipe locks all files, waiting for others within the time-out, before it
// deletes any. The locks are held until the names are gone, so that nobody
// opens what is being deleted, where the system allows that.
func (d *storeDriver) wipe(ctx context.Context, files []*file, timeout time.Duration) (err error) {
	var locked []*Conn
	unlock := func() {
		for _, c := range locked {
			err = errors.Join(err, c.close())
		}
		locked = nil
	}
	defer unlock()
	for _, f := range files {
		busy := whileBusy(ctx, timeout, func() error {
			c, err := d.lockFile(ctx, f)
			if c != nil {
				locked = append(locked, c)
			}
			return err
		})
		if errors.Is(busy, ErrBusy) {
			return &OpenError{Path: f.path, Err: errors.Join(ErrInUse, busy), Hint: "another process has it open; end that first"}
		}
		if busy != nil {
			return busy
		}
	}
	if !deleteWhileOpen {
		if unlock(); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := remove(f); err != nil {
			return err
		}
	}
	return nil
}

// lockFile returns a connection that has the file alone, or nil where nobody
// can be using it: it is not there, or no database.
func (d *storeDriver) lockFile(ctx context.Context, f *file) (*Conn, error) {
	st, err := statFile(f.path)
	if err != nil || !st.exists {
		return nil, err
	}
	raw, err := d.engine.Open(f.path, OpenOptions{})
	if err != nil {
		err = openError(f, wrapError(d.engine, f.path, "open", "", err))
		if noDatabase(err) {
			return nil, nil
		}
		return nil, err
	}
	c := newConn(d.engine, raw, f.path, connOptions{})
	err = d.asOperation(c, func() error { return lockAlone(ctx, c) })
	if err != nil && !noDatabase(err) {
		return nil, errors.Join(openError(f, err), c.close())
	}
	return c, nil
}

// noDatabase tells a file that nobody can be using as a database.
func noDatabase(err error) bool { return errors.Is(err, ErrNotADatabase) || errors.Is(err, ErrCorrupt) }

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
	// In exclusive mode the lock of the first write is kept until the
	// connection closes. It changes nothing: the file may turn out not to be deletable.
	return c.Update(ctx, func(c *Conn) error {
		var version int32
		if err := c.QueryRow(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
			return err
		}
		return c.ExecScript(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version))
	})
}

// remove deletes the side files first: a log without its database would be
// played into the next one that is made there.
func remove(f *file) error {
	var names []string
	f.resolve()
	for _, suffix := range sideFiles {
		names = append(names, f.side(suffix))
	}
	names = append(names, f.side(""), f.path) // the second is a symbolic link, or gone by then
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &OpenError{Path: name, Err: classify(err), Hint: "it cannot be deleted"}
		}
	}
	return nil
}

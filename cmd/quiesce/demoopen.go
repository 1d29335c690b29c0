package main

// The demo's database: opened, or refused with what to do about it, and filled.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// open opens the store, with rows in it.
func (d *demo) open(ctx context.Context, dir string) (*opening, error) {
	path, err := filepath.Abs(filepath.Join(dir, fileName))
	if err != nil {
		return nil, err
	}
	cfg := sqlite.Config{
		Engine: d.engine, Path: path, MaxReaders: d.readers, ApplicationID: applicationID, SchemaVersion: schemaVersion,
		WhenPaused: lifecycle.Wait, Timeout: d.timeout, Verify: true,
	}
	info := &opening{Engine: d.engine.Name(), Path: path, Temporary: d.dir == "", Readers: d.readers, Pauses: d.pauses, Length: d.length}
	if _, err := d.ask(ctx, path); err != nil {
		info.Unproved, cfg.Verify = err.Error(), false
	}
	if err := d.alone(ctx, path); err != nil {
		return nil, err
	}
	if d.db, err = sqlite.Open(ctx, cfg); err != nil {
		return nil, explain(err, path)
	}
	if err := d.fill(ctx, info); err != nil {
		return nil, errors.Join(err, d.db.Close(ctx))
	}
	return info, nil
}

// alone makes sure that no other process is at work on an earlier demo's database.
func (d *demo) alone(ctx context.Context, path string) error {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return nil // there is no database yet, or Open will say what is wrong
	}
	if r, err := d.neighbour.lock(ctx, path); err == nil && !r.Locked {
		return fmt.Errorf("%s is in use by another process: end that, or choose another --dir (\"quiesce holders %s\" tells who it is)", path, path)
	}
	return nil
}

// explain turns what Open says into what a user of the demo can do.
func explain(err error, path string) error {
	switch {
	case errors.Is(err, mattn.ErrNoCgo):
		return fmt.Errorf("%w, and this one has none: use --engine modernc, or build with CGO_ENABLED=1 and a C compiler", mattn.ErrNoCgo)
	case errors.Is(err, sqlite.ErrApplicationID), errors.Is(err, sqlite.ErrNotADatabase), errors.Is(err, lifecycle.ErrSchemaNewer), errors.Is(err, sqlite.ErrCorrupt):
		return fmt.Errorf("%s is not a database of this demo, and was left as it is: choose another --dir (%w)", path, err)
	}
	return err
}

// fill makes the first rows, or reads again what an earlier demo has left.
func (d *demo) fill(ctx context.Context, info *opening) (err error) {
	if d.seen, err = prepare(ctx, d.db); err != nil {
		return err
	}
	info.Found = d.seen.seq
	lost, err := check(ctx, d.db, mark{}, d.seen)
	if err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%s: %d rows of an earlier demo are lost or changed: remove the file, or choose another --dir", info.Path, lost)
	}
	if d.seen.seq < firstMessages {
		err = d.db.Update(ctx, func(c *sqlite.Conn) (err error) {
			d.seen, err = add(ctx, c, d.seen, int(firstMessages-d.seen.seq))
			return err
		})
	}
	if err != nil {
		return err
	}
	return d.db.Read(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT sqlite_version()`).Scan(&info.SQLite) })
}

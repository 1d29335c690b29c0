package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// file is leases in a database.
type file struct {
	*sqlite.DB
	cfg sqlite.Config
}

// Resume makes a file that is missing anew: leases are not worth a store that does not open.
func (f *file) Resume(ctx context.Context) error {
	err := f.DB.Resume(ctx)
	if !errors.Is(err, lifecycle.ErrMissing) {
		return err
	}
	if made := f.makeAnew(ctx); made != nil {
		return errors.Join(err, made)
	}
	f.AcceptReplacement()
	return f.DB.Resume(ctx)
}

// makeAnew makes the file under another name, since this one is the paused
// database's, and lets it have the name where no other process has been faster.
func (f *file) makeAnew(ctx context.Context) (err error) {
	path, fresh := f.Path(), f.Path()+"-new-"+rand.Text()
	cfg := f.cfg
	cfg.Path, cfg.Dir, cfg.StartPaused, cfg.Observer, cfg.BeforeRelease = fresh, "", false, nil, nil
	defer func() {
		if left := os.Remove(fresh); !errors.Is(left, fs.ErrNotExist) { // which it is where it was renamed
			err = errors.Join(err, left)
		}
	}()
	db, err := sqlite.Open(ctx, cfg)
	if err != nil {
		return err
	}
	if err := db.Close(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	err = os.Link(fresh, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return os.Rename(fresh, path) // a file system without links
}

func (f *file) update(ctx context.Context, fn func(rows) error) error {
	return f.DB.Update(ctx, func(c *sqlite.Conn) error { return fn(fileRows{c}) })
}

func (f *file) view(ctx context.Context, fn func(rows) error) error {
	return f.DB.View(ctx, func(c *sqlite.Conn) error { return fn(fileRows{c}) })
}

func (f *file) wipe(ctx context.Context) error { return f.DB.Wipe(ctx) }

// openFile opens the database. One that is damaged is replaced: leases are not
// worth a repair, and nobody can go on with it. Wipe deletes nothing that
// somebody has open; another process may have replaced it just now, so that it
// is opened again in any case.
func openFile(ctx context.Context, cfg sqlite.Config) (*sqlite.DB, error) {
	db, err := sqlite.Open(ctx, cfg)
	if !errors.Is(err, sqlite.ErrNotADatabase) && !errors.Is(err, sqlite.ErrCorrupt) {
		return db, err
	}
	wiped := sqlite.Wipe(ctx, sqlite.Config{Engine: cfg.Engine, Path: cfg.Path, Dir: cfg.Dir, Name: cfg.Name, BusyTimeout: cfg.BusyTimeout})
	if wiped != nil && !errors.Is(wiped, sqlite.ErrInUse) {
		return nil, errors.Join(err, wiped)
	}
	if db, err = sqlite.Open(ctx, cfg); err != nil {
		return nil, errors.Join(err, wiped)
	}
	return db, nil
}

const schema = `CREATE TABLE IF NOT EXISTS lease (
	key        BLOB PRIMARY KEY,
	holder     BLOB NOT NULL,
	generation INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	duration   INTEGER NOT NULL,
	writes     INTEGER NOT NULL
) WITHOUT ROWID`

var settings = fmt.Sprintf(`PRAGMA page_size = %d; PRAGMA wal_autocheckpoint = %d`, pageSize, logPages)

// prepare makes the table. A Resume finds it there, and writes nothing.
func prepare(ctx context.Context, c *sqlite.Conn) error {
	var version int
	if err := c.QueryRow(ctx, `PRAGMA user_version`).Scan(&version); err != nil || version == schemaVersion {
		return err
	}
	return c.Update(ctx, func(c *sqlite.Conn) error {
		return c.ExecScript(ctx, fmt.Sprintf("%s; PRAGMA user_version = %d", schema, schemaVersion))
	})
}

// The first is the whole rule of taking. What stands right of an = in an
// upsert's SET is the row as it was before.
const (
	takeSQL = `INSERT INTO lease (key, holder, generation, expires, duration, writes) VALUES (?1, ?2, 1, ?3 + ?4, ?4, 1)
		ON CONFLICT (key) DO UPDATE SET generation = generation + (holder <> excluded.holder), holder = excluded.holder,
			expires = excluded.expires, duration = excluded.duration, writes = writes + 1
		WHERE holder = excluded.holder OR duration = 0 OR expires < ?3 OR (generation = ?5 AND writes = ?6)
		RETURNING generation, expires, writes`
	renewSQL = `UPDATE lease SET expires = ?3 + ?4, duration = ?4, writes = writes + 1
		WHERE key = ?1 AND holder = ?2 AND generation = ?5 AND duration > 0 RETURNING expires, writes`
	releaseSQL = `UPDATE lease SET duration = 0, writes = writes + 1
		WHERE key = ?1 AND holder = ?2 AND duration > 0 AND (writes = ?3 OR ?3 = 0)`
	lookSQL = `SELECT holder, generation, expires, duration, writes FROM lease WHERE key = ?`
)

// fileRows is the table on a connection.
type fileRows struct{ c *sqlite.Conn }

func (t fileRows) take(ctx context.Context, q request) (row, bool, error) {
	r := row{holder: q.holder, duration: q.duration}
	err := t.c.QueryRow(ctx, takeSQL, q.key, q.holder, q.now, q.duration, q.staleGeneration, q.staleWrites).Scan(&r.generation, &r.expires, &r.writes)
	if !errors.Is(err, sqlite.ErrNoRows) {
		return r, err == nil, err
	}
	r, _, err = t.look(ctx, q.key)
	return r, false, err
}

func (t fileRows) renew(ctx context.Context, q request, generation uint64) (row, bool, error) {
	r := row{holder: q.holder, duration: q.duration, generation: generation}
	err := t.c.QueryRow(ctx, renewSQL, q.key, q.holder, q.now, q.duration, generation).Scan(&r.expires, &r.writes)
	if errors.Is(err, sqlite.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

func (t fileRows) release(ctx context.Context, key, holder []byte, writes int64) (bool, error) {
	res, err := t.c.Exec(ctx, releaseSQL, key, holder, writes)
	return res.RowsAffected > 0, err
}

func (t fileRows) look(ctx context.Context, key []byte) (r row, ok bool, err error) {
	err = t.c.QueryRow(ctx, lookSQL, key).Scan(&r.holder, &r.generation, &r.expires, &r.duration, &r.writes)
	if errors.Is(err, sqlite.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

package storekit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// Migration is one step of a schema's history. It runs in one transaction
// together with the user_version that tells that it has run: a step that fails,
// or is killed, leaves the version before it whole. In a Resume whose context has
// no deadline, Database.Timeout bounds all steps together; in Open, the context alone.
type Migration struct {
	// Version is what user_version is after the step. Versions are greater than
	// 0 and ascend.
	Version int32

	// Name is for errors and progress. Files takes it from the file's name.
	Name string

	// SQL is any number of statements. It runs before Do. The transaction is
	// there already, so BEGIN and COMMIT are refused.
	SQL string

	// Do is what SQL cannot do alone. It must not keep the connection.
	Do func(ctx context.Context, m *Migrator) error

	// ForeignKeysOff turns the checks of foreign keys off during the step, which
	// SQLite's way of changing a table needs. They are checked before the commit.
	ForeignKeysOff bool
}

// Migrator is what Migration.Do works with: a connection within the step's
// transaction, and what else a step may need.
type Migrator struct {
	*sqlite.Conn

	// Codec seals and opens, as the store itself will.
	Codec *codec.Codec

	report func(done, total int64)
}

// Progress tells Config.Progress how far the step is, in units of its own. It
// may be called as often as it is convenient.
func (m *Migrator) Progress(done, total int64) { m.report(done, total) }

// ErrMigrations is returned by Open when Config.Migrations, or the files of
// Files, are not a history: a version that is not above the one before it, a step that does nothing.
var ErrMigrations = errors.New("the migrations are no history")

// MigrationError is returned by Open and Resume when a step failed. The database has the version before it.
type MigrationError struct {
	Version int32
	Name    string
	Err     error
}

// Error names the step.
func (e *MigrationError) Error() string {
	return fmt.Sprintf("migration %s: %v", title(e.Version, e.Name), e.Err)
}

// Unwrap returns what the step failed with.
func (e *MigrationError) Unwrap() error { return e.Err }

func title(version int32, name string) string {
	if name == "" {
		return strconv.Itoa(int(version))
	}
	return fmt.Sprintf("%d (%s)", version, name)
}

// Files returns the migrations in the files of a directory, usually an
// embed.FS. Their names are a version, an underscore, a name and ".sql":
// 0001_notes.sql. Other files are not looked at. Steps with Do are inserted where
// their versions belong.
func Files(fsys fs.FS, dir string) ([]Migration, error) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.sql"))
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrMigrations, dir, err)
	}
	var all []Migration
	for _, name := range names { // Glob sorts them
		number, rest, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".sql"), "_")
		version, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%w: the name of %s does not begin with a version", ErrMigrations, name)
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		all = append(all, Migration{Version: int32(version), Name: rest, SQL: string(text)})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no .sql file in %q", ErrMigrations, dir)
	}
	return all, nil
}

// history checks migrations, and returns the version that they end at.
func history(all []Migration) (latest int32, err error) {
	for _, m := range all {
		switch {
		case m.Version <= latest:
			return 0, fmt.Errorf("%w: %s comes after %d", ErrMigrations, title(m.Version, m.Name), latest)
		case m.Version == math.MaxInt32:
			return 0, fmt.Errorf("%w: no version can come after %s", ErrMigrations, title(m.Version, m.Name))
		case strings.TrimSpace(m.SQL) == "" && m.Do == nil:
			return 0, fmt.Errorf("%w: %s does nothing", ErrMigrations, title(m.Version, m.Name))
		}
		latest = m.Version
	}
	return latest, nil
}

// migrate brings the database to the program's version, step by step.
func (s *Store) migrate(ctx context.Context, c *sqlite.Conn) error {
	at, err := version(ctx, c)
	if err != nil {
		return err
	}
	for i, m := range s.migrations {
		if m.Version <= at {
			continue
		}
		report := func(done, total int64) {
			s.progress(Progress{Operation: "migrate", Step: title(m.Version, m.Name), Of: len(s.migrations), Number: i + 1, Done: done, Total: total})
		}
		report(0, 0)
		if err := s.step(ctx, c, m, report); err != nil {
			return &MigrationError{m.Version, m.Name, err}
		}
		report(1, 1)
	}
	return nil
}

func version(ctx context.Context, c *sqlite.Conn) (v int32, err error) {
	err = c.QueryRow(ctx, `PRAGMA user_version`).Scan(&v)
	return v, err
}

func (s *Store) step(ctx context.Context, c *sqlite.Conn, m Migration, report func(done, total int64)) (err error) {
	if m.ForeignKeysOff {
		restore, err := withoutForeignKeys(ctx, c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, restore()) }()
	}
	return c.Update(ctx, func(c *sqlite.Conn) error {
		switch at, err := version(ctx, c); { // another process may have been faster
		case err != nil:
			return err
		case at > s.latest():
			return fmt.Errorf("%w: user_version is %d, known is %d", lifecycle.ErrSchemaNewer, at, s.latest())
		case at >= m.Version:
			return nil
		}
		if strings.TrimSpace(m.SQL) != "" {
			if err := c.ExecScript(ctx, m.SQL); err != nil {
				return err
			}
		}
		if m.Do != nil {
			if err := m.Do(ctx, &Migrator{c, s.codec, report}); err != nil {
				return err
			}
		}
		if m.ForeignKeysOff {
			if err := foreignKeysHold(ctx, c); err != nil {
				return err
			}
		}
		return c.ExecScript(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, m.Version))
	})
}

func (s *Store) latest() int32 {
	if len(s.migrations) == 0 {
		return math.MaxInt32
	}
	return s.migrations[len(s.migrations)-1].Version
}

// withoutForeignKeys turns them off, which is possible outside a transaction only.
func withoutForeignKeys(ctx context.Context, c *sqlite.Conn) (restore func() error, err error) {
	var on bool
	if err := c.QueryRow(ctx, `PRAGMA foreign_keys`).Scan(&on); err != nil {
		return nil, err
	}
	if err := c.ExecScript(ctx, `PRAGMA foreign_keys = 0`); err != nil {
		return nil, err
	}
	return func() error {
		if !on {
			return nil
		}
		return c.ExecScript(context.WithoutCancel(ctx), `PRAGMA foreign_keys = 1`)
	}, nil
}

// ErrForeignKeys is returned by a migration with ForeignKeysOff, and by Check,
// when a row refers to one that is not there.
var ErrForeignKeys = errors.New("a foreign key refers to nothing")

func foreignKeysHold(ctx context.Context, c *sqlite.Conn) error {
	for row, err := range c.Rows(ctx, `PRAGMA foreign_key_check`) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: a row of %v, to %v", ErrForeignKeys, row.Value(0), row.Value(2))
	}
	return nil
}

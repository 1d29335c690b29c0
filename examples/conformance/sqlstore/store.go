// Package sqlstore is a key-value store on plain database/sql that pauses: an
// example of a store whose author has a driver, and knows nothing of lifecycle
// but Pause and Resume.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	_ "modernc.org/sqlite"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Store is a SQLite database behind a *sql.DB that stays valid over pauses.
type Store struct{ *sqldb.Store }

// Open opens the database at path, and makes it where there is none.
func Open(ctx context.Context, path string, cfg sqldb.Config) (*Store, error) {
	cfg.Path, cfg.SingleWriter = path, true
	s, err := sqldb.OpenDriver(ctx, "sqlite", "file:"+path+"?_pragma=busy_timeout(1000)&_pragma=journal_mode(wal)&_pragma=foreign_keys(1)", cfg)
	if err != nil {
		return nil, err
	}
	if cfg.StartPaused {
		return &Store{s}, nil
	}
	_, err = s.SQL().ExecContext(ctx, `CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL)`)
	if err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return &Store{s}, nil
}

// View calls fn in a read transaction.
func (s *Store) View(ctx context.Context, fn func(*sql.Tx) error) error {
	return s.in(ctx, &sql.TxOptions{ReadOnly: true}, fn)
}

// Update calls fn in a transaction that is committed when fn returns nil.
func (s *Store) Update(ctx context.Context, fn func(*sql.Tx) error) error { return s.in(ctx, nil, fn) }

func (s *Store) in(ctx context.Context, o *sql.TxOptions, fn func(*sql.Tx) error) error {
	tx, err := s.SQL().BeginTx(ctx, o)
	if err != nil && s.State() == lifecycle.Closed {
		return errors.Join(lifecycle.ErrClosed, err) // database/sql has no error of its own to match
	}
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // a panic, which goes on
			_ = tx.Rollback()
		}
	}()
	err = fn(tx)
	done = true
	if err == nil {
		return tx.Commit()
	}
	if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) { // it has ended with ctx
		err = errors.Join(err, undo)
	}
	return err
}

// Get returns the value of key, "" where it has none.
func Get(ctx context.Context, tx *sql.Tx, key string) (value string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT value FROM kv WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// Put sets the value of key.
func Put(ctx context.Context, tx *sql.Tx, key, value string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}

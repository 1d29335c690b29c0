package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// TestConformanceSQL: a store that is nothing but a *sql.DB keeps every promise.
func TestConformanceSQL(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for i := range tier.Count(1, 3, 100) {
			t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) { conformance.Run(t, sqlHarnessOf(engine)) })
		}
	})
}

// TestConformanceSQLCheck is the same without a test around it.
func TestConformanceSQLCheck(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		if conformance.IsChild() {
			os.Exit(conformance.ChildMain(sqlHarnessOf(engine)))
		}
		if tier.Count(1, 3, 100) == 1 {
			t.Skip("the tier short runs these cases in TestConformanceSQL alone")
		}
		err := conformance.Check(t.Context(), func() *conformance.Harness {
			h := sqlHarnessOf(engine)()
			h.Command = conformance.TestCommand(t)
			return h
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// sqlHarnessOf is harnessOf for a store that uses the database/sql side only.
func sqlHarnessOf(engine sqlite.Engine) func() *conformance.Harness {
	base := harnessOf(engine)
	return func() *conformance.Harness {
		h := base()
		open := h.Open
		h.Open = func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
			s, err := open(ctx, dir, o)
			if err != nil {
				return nil, err
			}
			// No SetMaxOpenConns: who waits in database/sql's own queue is refused only when it lets him go on.
			return keysOnSQL{s.(store), s.(store).SQL()}, nil
		}
		whole := h.Whole
		h.Whole = func(ctx context.Context, s conformance.Store) error { return whole(ctx, s.(keysOnSQL).store) }
		return h
	}
}

// keysOnSQL is a key-value store, written as an application on database/sql would.
type keysOnSQL struct {
	store
	db *sql.DB
}

func (s keysOnSQL) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.in(ctx, &sql.TxOptions{ReadOnly: true}, fn)
}

func (s keysOnSQL) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.in(ctx, nil, fn)
}

func (s keysOnSQL) in(ctx context.Context, o *sql.TxOptions, fn func(conformance.Tx) error) (err error) {
	tx, err := s.db.BeginTx(ctx, o)
	if err != nil && s.State() == lifecycle.Closed {
		return errors.Join(lifecycle.ErrClosed, err) // database/sql says "database is closed", and has no error to match
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
	err = fn(sqlTx(ctx, tx))
	done = true
	if err != nil {
		if undo := tx.Rollback(); !errors.Is(undo, sql.ErrTxDone) { // it has ended with ctx
			err = errors.Join(err, undo)
		}
		return err
	}
	return tx.Commit()
}

func sqlTx(ctx context.Context, tx *sql.Tx) conformance.Tx {
	return conformance.Tx{
		Get: func(key string) (value string, err error) {
			err = tx.QueryRowContext(ctx, `SELECT value FROM kv WHERE key = ?`, key).Scan(&value)
			if errors.Is(err, sql.ErrNoRows) {
				return "", nil
			}
			return value, err
		},
		Put: func(key, value string) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
			return err
		},
		Setting: func() (string, error) {
			var cache, keys, limit int
			err := errors.Join(tx.QueryRowContext(ctx, `PRAGMA cache_size`).Scan(&cache), tx.QueryRowContext(ctx, `PRAGMA foreign_keys`).Scan(&keys),
				tx.QueryRowContext(ctx, `PRAGMA journal_size_limit`).Scan(&limit))
			return fmt.Sprint("cache_size ", cache, ", foreign_keys ", keys, ", journal_size_limit ", limit), err
		},
		Leak: func() error {
			rows, err := tx.QueryContext(ctx, `SELECT key FROM kv`)
			if err == nil {
				rows.Next() // the rest is never read, and nothing closed
			}
			return err
		},
	}
}

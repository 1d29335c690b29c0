// Package sqlkeys is a key-value store on a *sql.DB, written as an application
// on database/sql would, for the conformance suite of the drivers here.
package sqlkeys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Keys is the store's table kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) in
// a database, of the store that pauses it.
type Keys struct {
	DB       *sql.DB
	Of       interface{ State() lifecycle.State }
	Settings []string // the pragmas that every connection has been given
}

// Read calls fn in a read transaction.
func (k Keys) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return k.in(ctx, &sql.TxOptions{ReadOnly: true}, fn)
}

// Write calls fn in a transaction that is committed when fn returns nil.
func (k Keys) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return k.in(ctx, nil, fn)
}

func (k Keys) in(ctx context.Context, o *sql.TxOptions, fn func(conformance.Tx) error) (err error) {
	tx, err := k.DB.BeginTx(ctx, o)
	if err != nil && k.Of.State() == lifecycle.Closed {
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
	err = fn(k.tx(ctx, tx))
	done = true
	if err != nil {
		if undo := tx.Rollback(); !errors.Is(undo, sql.ErrTxDone) { // it has ended with ctx
			err = errors.Join(err, undo)
		}
		return err
	}
	return tx.Commit()
}

func (k Keys) tx(ctx context.Context, tx *sql.Tx) conformance.Tx {
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
			var all []string
			for _, name := range k.Settings {
				var value int
				if err := tx.QueryRowContext(ctx, `PRAGMA `+name).Scan(&value); err != nil {
					return "", err
				}
				all = append(all, fmt.Sprint(name, " ", value))
			}
			return strings.Join(all, ", "), nil
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

package storekit

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// What the kit itself has to remember lives in a table of its own, so that no
// name of a user's can collide with one of the kit's.
const metaTable = `CREATE TABLE IF NOT EXISTS storekit_meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID`

const (
	metaCipher   = "cipher"   // the header of the cipher; absent in a plain store
	metaRotation = "rotation" // how far a rotation of the data key is
)

// meta returns a value, nil where there is none.
func meta(ctx context.Context, c *sqlite.Conn, key string) (value []byte, err error) {
	err = c.QueryRow(ctx, `SELECT value FROM storekit_meta WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sqlite.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

func setMeta(ctx context.Context, c *sqlite.Conn, key string, value []byte) error {
	_, err := c.Exec(ctx, `INSERT INTO storekit_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}

func deleteMeta(ctx context.Context, c *sqlite.Conn, key string) error {
	_, err := c.Exec(ctx, `DELETE FROM storekit_meta WHERE key = ?`, key)
	return err
}

// tables says what is in a database: whether the kit has been here, and whether anybody has.
func tables(ctx context.Context, c *sqlite.Conn) (known, empty bool, err error) {
	const kits, others = `name = 'storekit_meta'`, `name <> 'quiesce_identity' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`
	err = c.QueryRow(ctx, `SELECT count(*) FILTER (WHERE `+kits+`), count(*) FILTER (WHERE `+others+`) = 0 FROM sqlite_schema WHERE type = 'table'`).Scan(&known, &empty)
	return known, empty, err
}

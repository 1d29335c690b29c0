package kv

import (
	"context"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// The table, and every statement on it. Each is one text for any number of
// keys, so that it is prepared once.

// table is the name of the table, and of the places and hashes in it. The store
// kit keeps nothing of its own here, so there is no name that a user could not use.
const table = "storekit_kv"

// schema says for each column what it holds in a plain | in an encrypted store.
//
// It has a rowid: rows of 1 KiB would be too large for the index that the table
// is without one, and take twice the time (BenchmarkSchema).
const schema = `CREATE TABLE IF NOT EXISTS storekit_kv (
	namespace BLOB NOT NULL, -- the namespace | its hash
	key       BLOB NOT NULL, -- the key | the hash of namespace and key
	value     BLOB NOT NULL, -- the value | sealed
	name      BLOB,          -- NULL | namespace and key, sealed
	row       BLOB NOT NULL UNIQUE, -- random, for the life of the row; what is sealed is bound to it
	PRIMARY KEY (namespace, key)
) STRICT`

// Create makes the table where it is missing. It belongs into the store's own
// migration or preparation, for example sqlite.Config.Prepare, in a transaction or outside.
func Create(ctx context.Context, c *sqlite.Conn) error {
	return named("create the table", c.ExecScript(ctx, schema))
}

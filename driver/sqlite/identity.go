package sqlite

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// identity is what a database's content says of who it is.
type identity struct {
	id            [16]byte // random
	has           bool     // there is a table for them; they are zero otherwise
	applicationID int32
	userVersion   int32
}

// identityTable holds 16 random bytes, written once when the database is made.
// Device, inode and birth time do not tell a database from another one that
// was copied over it or made in its place.
const identityTable = "quiesce_identity"

// readIdentity really reads the file, which opening it does not.
func readIdentity(ctx context.Context, c *Conn, schema string) (identity, error) {
	var id identity
	if err := c.QueryRow(ctx, `PRAGMA `+schema+`.application_id`).Scan(&id.applicationID); err != nil {
		return id, err
	}
	if err := c.QueryRow(ctx, `PRAGMA `+schema+`.user_version`).Scan(&id.userVersion); err != nil {
		return id, err
	}
	var there bool
	err := c.QueryRow(ctx, `SELECT count(*) FROM `+schema+`.sqlite_schema WHERE type = 'table' AND name = ?`, identityTable).Scan(&there)
	if err != nil || !there {
		return id, err
	}
	var bytes []byte
	err = c.QueryRow(ctx, `SELECT id FROM `+schema+`.`+identityTable+` WHERE key = 1`).Scan(&bytes)
	id.set(bytes)
	return id, err
}

// set takes what the table has. What is not 16 bytes long was not written here, and is told from others all the same.
func (id *identity) set(bytes []byte) {
	id.has = bytes != nil
	if id.has && len(bytes) != len(id.id) {
		sum := sha256.Sum256(bytes)
		bytes = sum[:]
	}
	copy(id.id[:], bytes)
}

// identityWithoutLog reads the identity of the file alone. It opens the file in
// a way that takes no lock and looks at no log, and may be called at any time.
func (d *storeDriver) identityWithoutLog(ctx context.Context, f *file) (id identity, err error) {
	raw, err := d.engine.Open(f.path, OpenOptions{Immutable: true})
	if err != nil {
		return id, err
	}
	c := newConn(d.engine, raw, f.path, connOptions{ReadOnly: true})
	err = d.asOperation(c, func() (err error) {
		id, err = readIdentity(ctx, c, mainSchema)
		return err
	})
	return id, errors.Join(err, c.close())
}

// writeIdentity gives the database its identity, if it has none yet. Of two
// processes that make the same file, one wins and both read its bytes.
func writeIdentity(ctx context.Context, c *Conn, schema string, applicationID int32) error {
	id := make([]byte, 16)
	rand.Read(id) // never fails: crypto/rand ends the process instead
	if applicationID != 0 {
		if err := c.ExecScript(ctx, fmt.Sprintf(`PRAGMA %s.application_id = %d`, schema, applicationID)); err != nil {
			return err
		}
	}
	table := schema + `.` + identityTable
	if _, err := c.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+table+` (key INTEGER PRIMARY KEY CHECK (key = 1), id BLOB NOT NULL)`); err != nil {
		return err
	}
	_, err := c.Exec(ctx, `INSERT OR IGNORE INTO `+table+` (key, id) VALUES (1, ?)`, id)
	return err
}

// admit checks a database against what the program knows.
func (id identity) admit(cfg settings, f *file) error {
	if f.schema() != mainSchema { // versions and marks of attached databases are their owner's business
		return nil
	}
	if cfg.applicationID != 0 && id.applicationID != cfg.applicationID {
		return &OpenError{Path: f.path, Err: fmt.Errorf("%w: application_id is %#x instead of %#x", ErrApplicationID, id.applicationID, cfg.applicationID)}
	}
	if cfg.schemaVersion != 0 && id.userVersion > cfg.schemaVersion {
		return &OpenError{Path: f.path, Err: fmt.Errorf("%w: user_version is %d, known is %d", lifecycle.ErrSchemaNewer, id.userVersion, cfg.schemaVersion),
			Hint: "a newer version of the program has changed it"}
	}
	return nil
}

// compare checks a database against the one that was paused.
func (id identity) compare(f *file) error {
	replaced := func(format string, args ...any) error {
		return &OpenError{Path: f.path, Err: fmt.Errorf("%w: "+format, append([]any{lifecycle.ErrReplaced}, args...)...)}
	}
	switch was := f.identity; {
	case !id.is(was):
		return replaced("its identity is %s instead of %s", id.short(), was.short())
	case id.applicationID != was.applicationID:
		return replaced("its application_id is %#x instead of %#x", id.applicationID, was.applicationID)
	case id.userVersion < was.userVersion:
		return replaced("its user_version is %d, which was %d", id.userVersion, was.userVersion)
	}
	return nil
}

// is tells whether both have the same bytes, or neither has any.
func (id identity) is(other identity) bool { return id.has == other.has && id.id == other.id }

func (id identity) short() string {
	if !id.has {
		return "none"
	}
	return hex.EncodeToString(id.id[:4]) + "…"
}

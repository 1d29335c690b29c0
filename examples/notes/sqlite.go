package notes

import (
	"context"
	"embed"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// SQLite is a Store in a file. Whatever is not about notes is storekit's.
type SQLite struct {
	*storekit.Store
	Notes
}

//go:embed schema/*.sql
var schema embed.FS

// OpenSQLite opens a store, and makes it where it is missing. cfg.Migrations and cfg.Sealed are set here.
func OpenSQLite(ctx context.Context, cfg storekit.Config) (*SQLite, error) {
	steps, err := storekit.Files(schema, "schema")
	if err != nil {
		return nil, err
	}
	cfg.Migrations = append(steps, storekit.Migration{Version: 3, Name: "words", Do: indexAll})
	cfg.Sealed = []storekit.SealedColumn{{Table: "note", Column: "body", Row: "row"}}
	cfg.Database.NoForeignKeys = false // the tokens of a note go with it
	s, err := storekit.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &SQLite{s, Notes{rows{s, s.Codec()}}}, nil
}

// In returns the notes inside a View or an Update of the caller's.
func (s *SQLite) In(c *sqlite.Conn) Notes { return Notes{rows{storekit.Within(c), s.Codec()}} }

// rows are notes as rows of a database.
type rows struct {
	kv.DB
	codec *codec.Codec
}

// add hashes and seals inside the transaction: outside of it the store may be paused, and its keys away.
func (r rows) add(ctx context.Context, n Note) error {
	return r.Update(ctx, func(c *sqlite.Conn) error {
		if err := (rows{storekit.Within(c), r.codec}).Remove(ctx, n.ID); err != nil {
			return err
		}
		row := secret.NewRowID()
		body, err := r.codec.SealJSON(bodyAt(row[:]), n)
		if err != nil {
			return err
		}
		if _, err := c.Exec(ctx, `INSERT INTO note (row, body) VALUES (?, ?)`, row[:], body); err != nil {
			return err
		}
		return r.index(ctx, c, row[:], n.tokens())
	})
}

func bodyAt(row []byte) secret.Place { return secret.Place{Table: "note", Column: "body", Row: row} }

func (r rows) index(ctx context.Context, c *sqlite.Conn, row []byte, tokens []string) error {
	hashed, err := codec.KeyList(r.codec, "notes.token", tokens)
	if err == nil {
		_, err = c.Exec(ctx, `WITH `+codec.Listed+` INSERT OR IGNORE INTO token (token, note) SELECT key, ? FROM listed`, hashed, row)
	}
	return err
}

func (r rows) Remove(ctx context.Context, id string) error {
	return r.Update(ctx, func(c *sqlite.Conn) error {
		token, err := r.codec.KeyString("notes.token", "@"+id)
		if err == nil {
			_, err = c.Exec(ctx, `DELETE FROM note WHERE row IN (SELECT note FROM token WHERE token = ?)`, token)
		}
		return err
	})
}

func (r rows) with(ctx context.Context, tokens []string) (found []Note, err error) {
	const withAll = `SELECT row, body FROM note WHERE row IN (SELECT note FROM token WHERE token IN ` + codec.In + ` GROUP BY note HAVING count(*) = ?)`
	err = r.View(ctx, func(c *sqlite.Conn) error {
		hashed, err := codec.KeyList(r.codec, "notes.token", tokens)
		if err != nil {
			return err
		}
		return c.Each(ctx, withAll, func(stored *sqlite.Row) error {
			_, n, err := r.open(stored)
			found = append(found, n)
			return err
		}, hashed, len(tokens))
	})
	return found, err
}

func (r rows) open(stored *sqlite.Row) (row []byte, n Note, err error) {
	var body []byte
	if err = stored.Scan(&row, &body); err == nil {
		n, err = codec.JSON[Note](r.codec, bodyAt(row), body)
	}
	return row, n, err
}

// indexAll lets the notes that are there be found by their words. SQL cannot read them.
func indexAll(ctx context.Context, m *storekit.Migrator) error {
	r := rows{storekit.Within(m.Conn), m.Codec}
	return m.Each(ctx, `SELECT row, body FROM note`, func(stored *sqlite.Row) error {
		row, n, err := r.open(stored)
		if err == nil {
			err = r.index(ctx, m.Conn, row, n.tokens())
		}
		return err
	})
}

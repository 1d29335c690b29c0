package sqlite_test

import (
	"database/sql/driver"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// What Conn itself costs, without the store above it: paired with the bare
// driver, which does the same by hand.

// benchConn opens a connection beside the one that made the rows.
func benchConn(b *testing.B, engine sqlite.Engine) (*sqlite.Conn, sqlite.Raw) {
	b.Helper()
	const make = `CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB NOT NULL);
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < 19999) INSERT INTO t SELECT i, zeroblob(1024) FROM n`
	c := connOn(b, engine, `PRAGMA cache_size=-65536;`+make)
	raw, err := engine.Open(c.Path(), sqlite.OpenOptions{})
	must(b, err)
	_, err = raw.ExecContext(ctx, `PRAGMA cache_size=-65536`, nil)
	must(b, err)
	return c, raw
}

func BenchmarkConnRead(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		bareRead := func(raw sqlite.Raw) (side, func()) {
			stmt, err := raw.PrepareContext(ctx, pointQuery)
			must(b, err)
			queryer := stmt.(driver.StmtQueryContext)
			args, dest := []driver.NamedValue{{Ordinal: 1}}, make([]driver.Value, 1)
			return func(n int) {
				for range n {
					args[0].Value = rand.Int64N(storeRows)
					rows, err := queryer.QueryContext(ctx, args)
					if err != nil {
						b.Fatal(err)
					}
					_ = rows.Columns()
					if err := rows.Next(dest); err != nil {
						b.Fatal(err)
					}
					if err := rows.Close(); err != nil {
						b.Fatal(err)
					}
				}
			}, func() { must(b, stmt.Close()); must(b, raw.Close()) }
		}
		b.Run("QueryRow", func(b *testing.B) {
			c, raw := benchConn(b, engine)
			bare, closeBare := bareRead(raw)
			defer closeBare()
			var v []byte
			versus(b, 300, func(n int) {
				for range n {
					if err := c.QueryRow(ctx, pointQuery, rand.Int64N(storeRows)).Scan(&v); err != nil {
						b.Fatal(err)
					}
				}
			}, bare)
		})
		b.Run("Rows", func(b *testing.B) {
			c, raw := benchConn(b, engine)
			bare, closeBare := bareRead(raw)
			defer closeBare()
			versus(b, 300, func(n int) {
				for range n {
					for _, err := range c.Rows(ctx, pointQuery, rand.Int64N(storeRows)) {
						if err != nil {
							b.Fatal(err)
						}
						break // the bare side does not ask for a second row either
					}
				}
			}, bare)
		})
	})
}

// Rows of five columns, scanned, against rows that are only fetched.
func BenchmarkConnScan(b *testing.B) {
	const query = `SELECT id, length(v), v IS NULL, 1.5, 'text' FROM t LIMIT 100`
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		c, raw := benchConn(b, engine)
		stmt, err := raw.PrepareContext(ctx, query)
		must(b, err)
		defer func() { must(b, stmt.Close()); must(b, raw.Close()) }()
		queryer := stmt.(driver.StmtQueryContext)
		dest := make([]driver.Value, 5)
		var id, n int64
		var null bool
		var f float64
		var s string
		versus(b, 20, func(times int) {
			for range times {
				for row, err := range c.Rows(ctx, query) {
					if err == nil {
						err = row.Scan(&id, &n, &null, &f, &s)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		}, func(times int) {
			for range times {
				rows, err := queryer.QueryContext(ctx, nil)
				if err != nil {
					b.Fatal(err)
				}
				_ = rows.Columns()
				for err == nil {
					err = rows.Next(dest)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				if err := rows.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// The bare driver is the floor, and database/sql what an application would use
// otherwise. Run with -count to compare: the spread of one run is larger than
// the differences.

const benchRows = 20_000

func benchPath(b *testing.B, engine sqlite.Engine) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "bench.db")
	c := openConn(b, engine, path, sqlite.OpenOptions{Create: true}, sqlite.ConnOptions{})
	c.SetOp(b.Context())
	check(b, c.ExecScript(b.Context(), `PRAGMA journal_mode=wal; CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB NOT NULL);`))
	check(b, c.Update(b.Context(), func(c *sqlite.Conn) error {
		_, err := c.Exec(b.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?1)
			INSERT INTO t SELECT i, randomblob(1024) FROM n`, benchRows)
		return err
	}))
	check(b, c.Reset())
	return path
}

func benchConn(b *testing.B, engine sqlite.Engine, path string) *sqlite.Conn {
	b.Helper()
	c := openConn(b, engine, path, sqlite.OpenOptions{}, sqlite.ConnOptions{})
	c.SetOp(context.Background())
	check(b, c.ExecScript(context.Background(), `PRAGMA cache_size=-100000; PRAGMA synchronous=NORMAL`))
	return c
}

func benchDB(b *testing.B, engine sqlite.Engine, path string) *sql.DB {
	b.Helper()
	db := sql.OpenDB(connector{engine, path})
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	_, err := db.Exec(`PRAGMA cache_size=-100000`)
	check(b, err)
	return db
}

type connector struct {
	engine sqlite.Engine
	path   string
}

func (c connector) Connect(context.Context) (driver.Conn, error) {
	raw, err := c.engine.Open(c.path, sqlite.OpenOptions{})
	if err != nil {
		return nil, err
	}
	return raw.Unwrap(), nil
}
func (c connector) Driver() driver.Driver { return nil }

func BenchmarkConnRead(b *testing.B) {
	const query = `SELECT v FROM t WHERE id = ?`
	forEngines(b, func(b *testing.B, engine sqlite.Engine) {
		path := benchPath(b, engine)
		ctx := context.Background()
		b.Run("bare", func(b *testing.B) {
			raw, err := engine.Open(path, sqlite.OpenOptions{})
			check(b, err)
			defer raw.Close()
			_, err = raw.ExecContext(ctx, `PRAGMA cache_size=-100000`, nil)
			check(b, err)
			stmt, err := raw.PrepareContext(ctx, query)
			check(b, err)
			defer stmt.Close()
			queryer := stmt.(driver.StmtQueryContext)
			args, dest := []driver.NamedValue{{Ordinal: 1}}, make([]driver.Value, 1)
			b.ReportAllocs()
			for b.Loop() {
				args[0].Value = rand.Int64N(benchRows) + 1
				rows, err := queryer.QueryContext(ctx, args)
				check(b, err)
				_ = rows.Columns()
				check(b, rows.Next(dest))
				if len(dest[0].([]byte)) != 1024 {
					b.Fatal("short blob")
				}
				check(b, rows.Close())
			}
		})
		b.Run("QueryRow", func(b *testing.B) {
			c := benchConn(b, engine, path)
			b.ReportAllocs()
			var v []byte
			for b.Loop() {
				check(b, c.QueryRow(ctx, query, rand.Int64N(benchRows)+1).Scan(&v))
				if len(v) != 1024 {
					b.Fatal("short blob")
				}
			}
		})
		b.Run("Rows", func(b *testing.B) {
			c := benchConn(b, engine, path)
			b.ReportAllocs()
			for b.Loop() {
				for row, err := range c.Rows(ctx, query, rand.Int64N(benchRows)+1) {
					check(b, err)
					if len(row.Value(0).([]byte)) != 1024 {
						b.Fatal("short blob")
					}
				}
			}
		})
		b.Run("View10", func(b *testing.B) {
			c := benchConn(b, engine, path)
			b.ReportAllocs()
			var v []byte
			for b.Loop() {
				check(b, c.View(ctx, func(c *sqlite.Conn) error {
					for range 10 {
						if err := c.QueryRow(ctx, query, rand.Int64N(benchRows)+1).Scan(&v); err != nil {
							return err
						}
					}
					return nil
				}))
			}
		})
		b.Run("databasesql", func(b *testing.B) {
			db := benchDB(b, engine, path)
			b.ReportAllocs()
			var v []byte
			for b.Loop() {
				check(b, db.QueryRow(query, rand.Int64N(benchRows)+1).Scan(&v))
			}
		})
	})
}

func BenchmarkConnUpsert(b *testing.B) {
	const upsert = `INSERT INTO t (id, v) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET v = excluded.v`
	forEngines(b, func(b *testing.B, engine sqlite.Engine) {
		path := benchPath(b, engine)
		ctx := context.Background()
		value := make([]byte, 1024)
		b.Run("Update", func(b *testing.B) {
			c := benchConn(b, engine, path)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				copy(value, fmt.Sprintf("a%d", n)) // an equal value would not be written
				check(b, c.Update(ctx, func(c *sqlite.Conn) error {
					_, err := c.Exec(ctx, upsert, rand.Int64N(benchRows)+1, value)
					return err
				}))
			}
		})
		b.Run("databasesql", func(b *testing.B) {
			db := benchDB(b, engine, path)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				copy(value, fmt.Sprintf("b%d", n))
				tx, err := db.BeginTx(ctx, nil)
				check(b, err)
				_, err = tx.Exec(upsert, rand.Int64N(benchRows)+1, value)
				check(b, err)
				check(b, tx.Commit())
			}
		})
	})
}

func BenchmarkConnScan(b *testing.B) {
	const query = `SELECT id, length(v), v IS NULL, 1.5, 'text' FROM t LIMIT 100`
	forEngines(b, func(b *testing.B, engine sqlite.Engine) {
		path := benchPath(b, engine)
		ctx := context.Background()
		b.Run("bare", func(b *testing.B) {
			raw, err := engine.Open(path, sqlite.OpenOptions{})
			check(b, err)
			defer raw.Close()
			stmt, err := raw.PrepareContext(ctx, query)
			check(b, err)
			defer stmt.Close()
			queryer := stmt.(driver.StmtQueryContext)
			dest := make([]driver.Value, 5)
			b.ReportAllocs()
			for b.Loop() {
				rows, err := queryer.QueryContext(ctx, nil)
				check(b, err)
				_ = rows.Columns()
				for {
					if err := rows.Next(dest); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
				check(b, rows.Close())
			}
		})
		b.Run("Rows", func(b *testing.B) {
			c := benchConn(b, engine, path)
			b.ReportAllocs()
			var id, n int64
			var null bool
			var f float64
			var s string
			for b.Loop() {
				for row, err := range c.Rows(ctx, query) {
					check(b, err)
					check(b, row.Scan(&id, &n, &null, &f, &s))
				}
			}
		})
	})
}

package sqlite_test

import (
	"database/sql"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// BenchmarkFacade: the driver under database/sql / the same through DB.SQL. Both
// have one connection, so that no pool's luck is measured.
func BenchmarkFacade(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		const rows = 10_000
		pools := newTwoPool(b, engine, rows)
		plain := pools.write
		db := benchStore(b, engine, rows, nil).SQL()
		db.SetMaxOpenConns(1)
		const point = `SELECT v FROM t WHERE id = ?`

		b.Run("query", func(b *testing.B) {
			run := func(db *sql.DB) side {
				return func(n int) {
					var v sql.RawBytes
					for i := range n {
						rows, err := db.Query(point, i%rows)
						oneRow(b, rows, err, &v)
					}
				}
			}
			versus(b, 500, run(plain), run(db))
		})
		b.Run("stmt", func(b *testing.B) {
			run := func(db *sql.DB) side {
				stmt, err := db.Prepare(point)
				must(b, err)
				b.Cleanup(func() { must(b, stmt.Close()) })
				return func(n int) {
					var v sql.RawBytes
					for i := range n {
						rows, err := stmt.Query(i % rows)
						oneRow(b, rows, err, &v)
					}
				}
			}
			versus(b, 500, run(plain), run(db))
		})
		b.Run("scan", func(b *testing.B) {
			run := func(db *sql.DB) side {
				return func(n int) {
					var id, a int
					var text string
					for range n {
						rows, err := db.Query(`SELECT id, a, b FROM t`)
						must(b, err)
						for rows.Next() {
							must(b, rows.Scan(&id, &a, &text))
						}
						must(b, rows.Err())
						must(b, rows.Close())
					}
				}
			}
			versus(b, 4, run(plain), run(db))
		})
		b.Run("upsert", func(b *testing.B) {
			run := func(db *sql.DB) side {
				return func(n int) {
					for i := range n {
						tx, err := db.Begin()
						must(b, err)
						_, err = tx.Exec(`INSERT INTO t (id, a) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET a = excluded.a`, i%rows, i)
						must(b, err)
						must(b, tx.Commit())
					}
				}
			}
			versus(b, 100, run(plain), run(db))
		})
	})
}

// oneRow reads the one row.
func oneRow(b *testing.B, rows *sql.Rows, err error, dest any) {
	must(b, err)
	if !rows.Next() {
		b.Fatalf("no row: %v", rows.Err())
	}
	must(b, rows.Scan(dest))
	must(b, rows.Close())
}

package sqlite_test

import (
	"database/sql"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sqltext"
)

// endlessSelect runs until somebody stops it.
const endlessSelect = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n`

// soonEnough is when statements are stopped. They have to have begun before.
const soonEnough = 30 * time.Millisecond

// ofInterest is how most values meet most column types.
var ofInterest = []any{
	nil, int64(0), int64(1), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), 0.0, 1.5, -2.25, math.Inf(1), math.MaxFloat64,
	true, false, "", "text", "2024-05-06 07:08:09", "2024-05-06T07:08:09.123456789Z", "2024-05-06", "not a time", "12", "a\x00b", "äöü€",
	[]byte(nil), []byte{}, []byte("blob"), []byte{0, 255},
	time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC), time.Date(2024, 5, 6, 7, 8, 9, 0, time.FixedZone("", 3600)), time.Time{},
}

// wrongTexts are texts that are no statement, or one that cannot be prepared.
var wrongTexts = []string{
	``, ` `, `;`, `;;`, `-- nothing`, `/* nothing */`, `-- nothing` + "\n;", `SELEC 1`, `SELECT`, `SELECT * FROM missing`,
	`SELECT missing FROM t`, `INSERT INTO t (missing) VALUES (1)`, `SELECT 1;`, `; SELECT 2`, `SELECT 3 -- comment`, `SELECT 4; -- comment`,
	`/* comment */ SELECT 5`, `SELECT 'unterminated`, `SELECT (`, "SELECT 1\x00, 2", `SELECT 1; SELEC`, `EXPLAIN`, `VALUES (1), (2)`,
	`INSERT INTO missing VALUES (1)`, `DROP TABLE missing`, `COMMIT`, `ROLLBACK`, `RELEASE missing`, `ATTACH 'x'`, `DETACH missing`, `PRAGMA missing`,
}

// casesOfTexts are about texts, values and results.
var casesOfTexts = []parityCase{
	{name: "values and types", run: func(r *recorder) {
		types := []string{"", "INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "BOOLEAN", "DATETIME", "TIMESTAMP", "DATE", "VARCHAR(20)", "DECIMAL(10,2)", "INT NOT NULL"}
		columns := make([]string, len(types))
		marks := make([]string, len(types))
		for i, typ := range types {
			columns[i], marks[i] = fmt.Sprintf("c%d %s", i, typ), "?1"
		}
		r.set(`CREATE TABLE t (` + strings.Join(columns, ", ") + `)`)
		for i, v := range ofInterest {
			err := r.exec(r.db, `INSERT INTO t VALUES (`+strings.Join(marks, ", ")+`)`, v)
			if i%8 == 0 || err != nil { // each row is looked at below too
				r.query(r.db, `SELECT *, ?2 FROM t WHERE rowid = ?1`, i, v) //nolint:errcheck // recorded
			}
		}
		r.query(r.db, `SELECT * FROM t`)
		r.query(r.db, `SELECT *, c1+1, c2 || 'x', count(*) FROM t GROUP BY c1`)
	}},
	{name: "bound values come back", run: func(r *recorder) {
		for i, v := range ofInterest {
			if i%5 == 0 {
				r.between()
			}
			rows, err := r.db.Query(`SELECT ?, typeof(?)`, v, v)
			r.rows(fmt.Sprintf("%T", v), rows, err)
		}
		_, err := r.db.Exec(`SELECT ?`, struct{}{})
		r.err("a struct", err)
		_, err = r.db.Exec(`SELECT ?`, uint64(math.MaxUint64))
		r.err("too big", err)
		r.query(r.db, `SELECT ?, ?`, sql.NullString{}, sql.NullInt64{Int64: 3, Valid: true})
	}},
	{name: "scan targets", run: func(r *recorder) {
		r.set(`CREATE TABLE t (i INTEGER, s TEXT, b BLOB, f REAL, o BOOLEAN, d DATETIME)`,
			`INSERT INTO t VALUES (7, 'text', x'00ff', 1.5, 1, '2024-05-06 07:08:09'), (NULL, NULL, NULL, NULL, NULL, NULL)`)
		for row := range 2 {
			r.between()
			q := func(column string) *sql.Row {
				return r.db.QueryRow(fmt.Sprintf(`SELECT %s FROM t LIMIT 1 OFFSET %d`, column, row))
			}
			var (
				i   int
				s   string
				raw sql.RawBytes
				b   []byte
				f   float64
				o   bool
				d   time.Time
				ns  sql.NullString
				nt  sql.NullTime
				p   *int64
			)
			r.err("int", q("i").Scan(&i))
			r.err("string", q("s").Scan(&s))
			r.err("raw", q("s").Scan(&raw))
			r.err("bytes", q("b").Scan(&b))
			r.err("float", q("f").Scan(&f))
			r.err("bool", q("o").Scan(&o))
			r.err("time", q("d").Scan(&d))
			r.err("int from text", q("s").Scan(&i))
			r.err("string from int", q("i").Scan(&s))
			r.err("null string", q("s").Scan(&ns))
			r.err("null time", q("d").Scan(&nt))
			r.err("pointer", q("i").Scan(&p))
			r.err("too few targets", q("i, s").Scan(&i))
			r.note("%d %q %v %v %v %v %v %v %v", i, s, b, f, o, d.Format(time.RFC3339), ns, nt.Valid, p == nil)
		}
		r.err("no row", r.db.QueryRow(`SELECT i FROM t WHERE i = 99`).Scan(new(int)))
		r.err("a syntax error", r.db.QueryRow(`SELEC`).Scan(new(int)))
	}},
	{name: "arguments", run: func(r *recorder) {
		for _, text := range []string{
			`SELECT 1`, `SELECT ?`, `SELECT ?, ?`, `SELECT ?2, ?1`, `SELECT ?1, ?1`, `SELECT ?3`, `SELECT :a`, `SELECT :a, :b, :a`, `SELECT @a, $b`, `SELECT :a, ?`, `SELECT $1`,
			`INSERT INTO t VALUES (?)`, `INSERT INTO t VALUES (:a)`,
		} {
			r.set(`CREATE TABLE IF NOT EXISTS t (v)`)
			st, err := r.db.Prepare(text)
			must(r.t, err)
			r.between()
			for _, args := range [][]any{
				{}, {1}, {1, 2}, {1, 2, 3}, {sql.Named("a", 5)}, {sql.Named("b", 6), sql.Named("a", 5)}, {sql.Named("c", 7)}, {sql.Named("a", 1), 2},
			} {
				rows, err := r.db.Query(text, args...)
				r.rows(fmt.Sprint("query ", text, args), rows, err)
				res, err := r.db.Exec(text, args...)
				r.result(fmt.Sprint("exec ", text, args), res, err)
				rows, err = st.Query(args...)
				r.rows(fmt.Sprint("prepared query ", text, args), rows, err)
				res, err = st.Exec(args...)
				r.result(fmt.Sprint("prepared exec ", text, args), res, err)
			}
			r.err("close", st.Close())
		}
		r.query(r.db, `SELECT count(*) FROM t`)
	}},
	{name: "texts that are none", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`)
		for i, text := range wrongTexts {
			if i%6 == 0 {
				r.between()
			}
			for range 2 { // the second time the text is known
				res, err := r.db.Exec(text)
				r.result("exec "+text, res, err)
				rows, err := r.db.Query(text)
				r.rows("query "+text, rows, err)
			}
			if r.engine.Name() == "mattn" && sqltext.Parse(text).Body == "" {
				continue // prepared, it is a null pointer, which the driver crashes on
			}
			st, err := r.db.Prepare(text)
			if r.err("prepare "+text, err) != nil {
				continue
			}
			res, err := st.Exec()
			r.result("prepared exec "+text, res, err)
			rows, err := st.Query()
			r.rows("prepared query "+text, rows, err)
			r.err("close", st.Close())
		}
	}, differs: []deviation{
		{engine: "mattn", bare: `columns []`, here: `columns ["4"]`, why: "mattn takes a comment for the statement to be queried, and returns no rows"},
		{engine: "mattn", here: `row int64 4`, why: "the same"},
	}},
	{name: "scripts", run: func(r *recorder) {
		r.exec(r.db, `CREATE TABLE t (v); INSERT INTO t VALUES (1), (2); UPDATE t SET v = v + 1;`)
		r.exec(r.db, `INSERT INTO t VALUES (?); INSERT INTO t VALUES (?)`, 10, 20)
		r.exec(r.db, `INSERT INTO t VALUES (?1); INSERT INTO t VALUES (?1)`, 30)
		r.exec(r.db, `INSERT INTO t VALUES (?); INSERT INTO t VALUES (?)`, 10)
		r.exec(r.db, `INSERT INTO t VALUES (?); INSERT INTO t VALUES (?)`, 1, 2, 3)
		r.exec(r.db, `INSERT INTO t VALUES (:a); INSERT INTO t VALUES (:b)`, sql.Named("a", 1), sql.Named("b", 2))
		r.exec(r.db, `INSERT INTO t VALUES (100); INSERT INTO missing VALUES (1); INSERT INTO t VALUES (101)`)
		r.exec(r.db, `CREATE TABLE u (v); INSERT INTO missing VALUES (1); CREATE TABLE w (v)`)
		r.exec(r.db, `CREATE TABLE x (v); INSERT INTO x VALUES (?)`, 5)
		r.query(r.db, `SELECT 1; SELECT 2`)
		r.query(r.db, `SELECT ?; SELECT ?, ?`, 1, 2, 3)
		r.query(r.db, `INSERT INTO t VALUES (200); SELECT count(*) FROM t`)
		r.query(r.db, `SELECT count(*) FROM t; INSERT INTO t VALUES (200)`)
		r.exec(r.db, `CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET v = 1; DELETE FROM t WHERE v = 2; END; INSERT INTO t VALUES (7)`)
		r.exec(r.db, `BEGIN; INSERT INTO t VALUES (300); COMMIT`)
		r.exec(r.db, `BEGIN; INSERT INTO t VALUES (301); ROLLBACK;`)
		r.exec(r.db, `SELECT 1; SELECT 2`)
		r.query(r.db, `SELECT * FROM t`)
		r.query(r.db, `SELECT name FROM sqlite_master ORDER BY name`)
	}},
	{name: "columns of the same name", run: func(r *recorder) {
		r.query(r.db, `SELECT 1 AS a, 2 AS a, 'x' AS "", 3 AS "a b"`)
		r.set(`CREATE TABLE t (id INTEGER PRIMARY KEY, v)`, `CREATE TABLE u (id INTEGER PRIMARY KEY, v)`, `INSERT INTO t VALUES (1, 'a')`, `INSERT INTO u VALUES (1, 'b')`)
		r.query(r.db, `SELECT * FROM t, u`)
	}},
	{name: "results of writes", run: func(r *recorder) {
		r.set(`CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)`)
		c, done := r.pinned()
		defer done()
		r.exec(c, `INSERT INTO t (v) VALUES ('a'), ('b'), ('c')`)
		r.exec(c, `UPDATE t SET v = v || 'x' WHERE id > ?`, 1)
		r.exec(c, `DELETE FROM t WHERE id = 99`)
		r.exec(c, `REPLACE INTO t VALUES (1, 'z')`)
		r.exec(c, `INSERT OR IGNORE INTO t VALUES (1, 'y')`)
		r.exec(c, `INSERT INTO t VALUES (2, 'q') ON CONFLICT (id) DO UPDATE SET v = excluded.v`)
		r.query(c, `INSERT INTO t (v) VALUES ('r') RETURNING id, v`)
		r.exec(c, `INSERT INTO t (v) VALUES ('s') RETURNING id, v`)
		r.exec(c, `UPDATE t SET v = v RETURNING *`)
		r.query(c, `INSERT INTO t (v) VALUES ('u')`)
		r.query(c, `DELETE FROM t WHERE id = 2 RETURNING v AS gone`)
		r.exec(c, `WITH n(v) AS (VALUES ('w')) INSERT INTO t (v) SELECT v FROM n`)
		r.query(c, `SELECT * FROM t`)
	}},
	{name: "exec of a select", noPause: "the counters of SQLite that it shows belong to the physical connection", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`)
		c, done := r.pinned()
		defer done()
		r.exec(c, `INSERT INTO t VALUES (1), (2)`)
		r.exec(c, `SELECT * FROM t`)
		r.exec(c, `SELECT * FROM t WHERE v = ?`, 1)
		r.exec(c, `PRAGMA user_version = 3`)
		r.exec(c, `CREATE TABLE u (v)`)
		r.query(c, `SELECT changes(), last_insert_rowid(), total_changes() > 0`)
	}},
	{name: "constraints", run: func(r *recorder) {
		r.set(`CREATE TABLE p (id INTEGER PRIMARY KEY)`, `CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL, c CHECK (c > 0), p REFERENCES p(id) DEFERRABLE INITIALLY IMMEDIATE)`,
			`INSERT INTO t VALUES (1, 1, 1, 1, NULL)`)
		for _, text := range []string{
			`INSERT INTO t VALUES (1, 2, 1, 1, NULL)`, `INSERT INTO t VALUES (2, 1, 1, 1, NULL)`, `INSERT INTO t VALUES (2, 2, NULL, 1, NULL)`,
			`INSERT INTO t VALUES (2, 2, 1, 0, NULL)`, `INSERT INTO t VALUES (2, 2, 1, 1, 5)`, `INSERT INTO t VALUES (2, 2)`, `UPDATE t SET n = NULL`,
			`INSERT INTO t VALUES ('text', 2, 1, 1, NULL)`, `SELECT abs(-9223372036854775808)`, `SELECT raise()`, `CREATE TABLE t (v)`,
		} {
			r.exec(r.db, text)
			r.query(r.db, text)
			st, err := r.db.Prepare(text)
			if r.err("prepare", err) == nil {
				res, err := st.Exec()
				r.result("prepared", res, err)
				must(r.t, st.Close())
			}
		}
		tx := r.begin(nil)
		r.exec(tx, `PRAGMA defer_foreign_keys = 1`)
		r.exec(tx, `INSERT INTO t VALUES (2, 2, 1, 1, 5)`)
		r.end(tx, true)
		r.query(r.db, `SELECT * FROM t`)
	}},
	{name: "schema changes under cached statements", run: func(r *recorder) {
		r.set(`CREATE TABLE t (a)`, `INSERT INTO t VALUES (1)`)
		c, done := r.pinned()
		defer done()
		other, doneToo := r.pinned()
		defer doneToo()
		st, err := c.PrepareContext(ctx, `SELECT * FROM t`)
		must(r.t, err)
		look := func() {
			r.query(c, `SELECT * FROM t`)
			r.query(other, `SELECT * FROM t`)
			rows, err := st.Query()
			r.rows("prepared", rows, err)
		}
		look()
		r.exec(other, `ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 7`)
		look()
		r.exec(c, `INSERT INTO t VALUES (2, 3)`)
		r.exec(other, `ALTER TABLE t RENAME COLUMN a TO z`)
		look()
		r.exec(other, `ALTER TABLE t DROP COLUMN b`)
		look()
		r.exec(c, `INSERT INTO t VALUES (2, 3)`)
		r.exec(other, `DROP TABLE t`)
		look()
		r.exec(other, `CREATE TABLE t (x TEXT, y BLOB, w DATETIME)`)
		r.exec(c, `INSERT INTO t VALUES (2, 3, '2024-01-02 03:04:05')`)
		look()
		r.err("close", st.Close())
	}},
	{name: "pragmas", run: func(r *recorder) {
		c, done := r.pinned()
		defer done()
		r.query(c, `PRAGMA foreign_keys`)
		r.exec(c, `PRAGMA foreign_keys = OFF`)
		r.query(c, `PRAGMA foreign_keys`)
		r.query(c, `PRAGMA foreign_keys(1)`)
		r.query(c, `PRAGMA foreign_keys`)
		r.query(c, `PRAGMA user_version = 5`)
		r.query(c, `PRAGMA main.user_version`)
		r.query(c, `PRAGMA cache_size = 123`)
		r.query(c, `PRAGMA cache_size`)
		r.query(c, `PRAGMA table_info(sqlite_master)`)
		r.query(c, `SELECT name FROM pragma_table_info('sqlite_master')`)
		r.query(c, `PRAGMA journal_mode`)
		r.exec(c, `PRAGMA optimize`)
		r.exec(c, `PRAGMA user_version = 0; PRAGMA cache_size = 2000`)
		r.query(c, `PRAGMA cache_size`)
	}},
}

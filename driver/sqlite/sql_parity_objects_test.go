package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"time"
)

// Modernc's own connection cannot be asked for its transaction, so that below
// sqldb.OpenDriver the statement runs on its own there, as in every program that uses that driver.
const stoppedWrite = "SQLite ends the transaction of a write that is interrupted, and the next statement would be committed on its own"

// casesOfObjects are about what lives longer than a call: statements, transactions, rows, contexts.
var casesOfObjects = []parityCase{
	{name: "statements", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`)
		insert, err := r.db.Prepare(`INSERT INTO t VALUES (?)`)
		must(r.t, err)
		read, err := r.db.Prepare(`SELECT v FROM t ORDER BY v`)
		must(r.t, err)
		for i := range 3 {
			r.between()
			res, err := insert.Exec(i)
			r.result("insert", res, err)
			r.between()
			rows, err := read.Query()
			r.rows("read", rows, err)
		}
		tx := r.begin(nil)
		inTx := tx.Stmt(insert)
		for i := range 3 {
			res, err := inTx.Exec(10 + i)
			r.result("insert", res, err)
		}
		own, err := tx.Prepare(`SELECT count(*) FROM t`)
		must(r.t, err)
		rows, err := own.Query()
		r.rows("count", rows, err)
		r.end(tx, false)
		_, err = inTx.Exec(1)
		r.err("a statement of the transaction, after its end", err)
		_, err = own.Exec()
		r.err("another", err)
		r.err("close", inTx.Close())
		r.between()
		rows, err = read.Query()
		r.rows("read", rows, err)
		r.err("close", errors.Join(insert.Close(), read.Close(), insert.Close()))
		_, err = insert.Exec(5)
		r.err("a closed statement", err)
		_, err = r.db.Prepare(`SELEC`)
		r.err("prepare", err)
	}},
	{name: "transactions", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`)
		for _, commit := range []bool{true, false} {
			tx := r.begin(nil)
			r.exec(tx, `INSERT INTO t VALUES (1)`)
			r.query(tx, `SELECT * FROM t`)
			r.exec(tx, `INSERT INTO missing VALUES (1)`)
			r.exec(tx, `SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; RELEASE s`)
			r.exec(tx, `BEGIN`)
			r.end(tx, commit)
			r.inFlight++
			r.end(tx, commit)
			r.exec(tx, `INSERT INTO t VALUES (3)`)
			r.query(r.db, `SELECT * FROM t`)
		}
		for _, level := range []sql.IsolationLevel{sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelSnapshot, sql.LevelSerializable, sql.LevelLinearizable} {
			r.note("level %v", level)
			if tx := r.begin(&sql.TxOptions{Isolation: level}); tx != nil {
				r.exec(tx, `INSERT INTO t VALUES (?)`, int(level))
				r.end(tx, true)
			}
		}
		r.query(r.db, `SELECT * FROM t`)
	}},
	{name: "read-only transactions", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`, `INSERT INTO t VALUES (1)`)
		tx := r.begin(&sql.TxOptions{ReadOnly: true})
		if tx == nil {
			return
		}
		r.query(tx, `SELECT * FROM t`)
		r.exec(tx, `INSERT INTO t VALUES (2)`)
		r.query(tx, `SELECT * FROM t`)
		r.end(tx, true)
		r.exec(r.db, `INSERT INTO t VALUES (3)`)
		r.query(r.db, `SELECT * FROM t`)
	}, differs: []deviation{
		{target: "single writer", bare: `INSERT INTO t VALUES (2): id 2`, here: `sqldb: the transaction is read-only`, why: "writers take turns, and this one has not taken its turn"},
		{target: "single writer", bare: `row int64 2`, why: "the same"},
		{target: "single writer", bare: `INSERT INTO t VALUES (3): id 3`, here: `INSERT INTO t VALUES (3): id 2`, why: "the same"},
	}},
	{name: "transactions by text", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`)
		c, done := r.pinned()
		defer done()
		r.exec(c, `BEGIN IMMEDIATE`)
		r.inFlight++
		r.exec(c, `INSERT INTO t VALUES (1)`)
		r.exec(c, `BEGIN`)
		r.query(r.db, `SELECT * FROM t`)
		r.exec(c, `COMMIT`)
		r.inFlight--
		r.exec(c, `COMMIT`)
		r.exec(c, `SAVEPOINT a`)
		r.inFlight++
		r.exec(c, `SAVEPOINT b`)
		r.exec(c, `INSERT INTO t VALUES (2)`)
		r.exec(c, `RELEASE b`)
		r.exec(c, `ROLLBACK TO a`)
		r.exec(c, `INSERT INTO t VALUES (3)`)
		r.exec(c, `RELEASE a`)
		r.inFlight--
		r.query(c, `SELECT * FROM t`)
		_, err := c.ExecContext(ctx, `BEGIN`)
		must(r.t, err)
		r.inFlight++
		_, err = c.BeginTx(ctx, nil)
		r.err("a transaction in one", err)
		r.exec(c, `ROLLBACK`)
		r.inFlight--
		st, err := c.PrepareContext(ctx, `BEGIN`)
		must(r.t, err)
		_, err = st.Exec()
		r.err("prepared begin", err)
		r.inFlight++
		r.exec(c, `INSERT INTO t VALUES (4)`)
		r.exec(c, `ROLLBACK`)
		r.inFlight--
		r.query(c, `SELECT * FROM t`)
		must(r.t, st.Close())
	}},
	{name: "rows left and nested", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`, `INSERT INTO t VALUES (1), (2), (3)`)
		rows, err := r.db.Query(`SELECT v FROM t`)
		must(r.t, err)
		r.note("%v %s", rows.Next(), r.row(rows))
		r.err("close", rows.Close())
		r.err("close", rows.Close())
		r.note("%v %v", rows.Next(), rows.Err())
		r.err("scan", rows.Scan(new(int)))
		_, err = rows.Columns()
		r.err("columns", err)
		tx := r.begin(nil)
		a, err := tx.Query(`SELECT v FROM t`)
		must(r.t, err)
		a.Next()
		b, err := tx.Query(`SELECT v FROM t`)
		must(r.t, err)
		b.Next()
		b.Next()
		r.note("a %s b %s", r.row(a), r.row(b))
		r.exec(tx, `INSERT INTO t VALUES (4)`)
		r.query(tx, `SELECT v FROM t`)
		b.Next()
		a.Next()
		r.note("a %s b %s", r.row(a), r.row(b))
		r.err("close", a.Close())
		r.note("%v %s", b.Next(), "more of b")
		r.end(tx, true)
		r.note("%v %v", b.Next(), b.Err())
		r.err("close", b.Close())
		c, done := r.pinned()
		defer done()
		a, err = c.QueryContext(ctx, `SELECT v FROM t`)
		must(r.t, err)
		r.inFlight++
		for a.Next() {
			r.query(c, `SELECT v FROM t WHERE v = ?`, 2)
			r.exec(c, `UPDATE t SET v = v WHERE v = ?`, 2)
		}
		r.err("rows", a.Err())
		r.inFlight--
		r.exec(c, `DELETE FROM t`)
	}},
	{name: "contexts", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`, `INSERT INTO t VALUES (1), (2), (3)`)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		late, cancel := context.WithDeadline(ctx, time.Unix(1, 0))
		defer cancel()
		for _, c := range []context.Context{ended, late} {
			r.execIn(c, r.db, `INSERT INTO t VALUES (9)`)
			r.queryIn(c, r.db, `SELECT 1`)
			_, err := r.db.PrepareContext(c, `SELECT 1`)
			r.err("prepare", err)
			_, err = r.db.BeginTx(c, nil)
			r.err("begin", err)
			_, err = r.db.Conn(c)
			r.err("conn", err)
			r.err("ping", r.db.PingContext(c))
		}
		soon := func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, soonEnough) }
		c, cancel := soon()
		defer cancel()
		rows, err := r.db.QueryContext(c, endlessSelect) // mattn finds out in Next
		if err == nil {
			rows.Next()
			err = errors.Join(rows.Err(), rows.Close())
		}
		r.note("a query is stopped: %v", errors.Is(err, context.DeadlineExceeded))
		c, cancel = soon()
		defer cancel()
		_, err = r.db.ExecContext(c, `INSERT INTO t `+endlessSelect)
		r.note("a write is stopped: %v", errors.Is(err, context.DeadlineExceeded))
		c, cancel = context.WithCancel(ctx)
		tx, err := r.db.BeginTx(c, nil)
		must(r.t, err)
		_, err = tx.Exec(`INSERT INTO t VALUES (10)`)
		must(r.t, err)
		cancel()
		eventually(r.t, "database/sql has rolled back", func() bool { return r.db.Stats().InUse == 0 })
		r.err("commit", tx.Commit())
		r.query(r.db, `SELECT * FROM t`)
	}},
	{name: "a statement that is stopped in a transaction", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`)
		tx := r.begin(nil)
		r.exec(tx, `INSERT INTO t VALUES (1)`)
		c, cancel := context.WithTimeout(ctx, soonEnough)
		defer cancel()
		rows, err := tx.QueryContext(c, endlessSelect)
		if err == nil {
			rows.Next()
			err = errors.Join(rows.Err(), rows.Close())
		}
		r.note("a query is stopped: %v", errors.Is(err, context.DeadlineExceeded))
		r.exec(tx, `INSERT INTO t VALUES (2)`)
		r.query(tx, `SELECT * FROM t`)
		r.end(tx, true)
		r.query(r.db, `SELECT * FROM t`)
	}},
	{name: "a write that is stopped in a transaction", run: func(r *recorder) {
		r.set(`CREATE TABLE t (v)`)
		tx := r.begin(nil)
		r.exec(tx, `INSERT INTO t VALUES (1)`)
		c, cancel := context.WithTimeout(ctx, soonEnough)
		defer cancel()
		_, err := tx.ExecContext(c, `INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n`)
		r.note("a write is stopped: %v", errors.Is(err, context.DeadlineExceeded))
		r.exec(tx, `INSERT INTO t VALUES (2)`)
		r.end(tx, true)
		r.query(r.db, `SELECT * FROM t`)
	}, differs: []deviation{
		{target: "store", bare: `INSERT INTO t VALUES (2): id`, here: `the transaction is over: context deadline exceeded`, why: stoppedWrite},
		{target: "store", bare: `row int64 2`, why: stoppedWrite},
		{target: "driver", bare: `INSERT INTO t VALUES (2): id`, here: `the transaction is over: context deadline exceeded`, why: stoppedWrite},
		{target: "driver", bare: `row int64 2`, why: stoppedWrite},
	}},
	{name: "what database/sql refuses by itself", run: func(r *recorder) {
		c, done := r.pinned()
		r.err("raw", c.Raw(func(any) error { return sql.ErrNoRows }))
		r.err("ping", c.PingContext(ctx))
		done()
		r.exec(c, `SELECT 1`)
		r.err("ping", r.db.Ping())
		_, err := r.db.Exec(`SELECT ?`, make(chan int))
		r.err("a channel", err)
		_, err = r.db.Exec(`SELECT ?`, failingValuer{driver.ErrBadConn})
		r.err("a Valuer that fails", err)
		names := sql.Drivers()
		r.note("%v", slices.Contains(names, "sqlite"))
	}},
}

// failingValuer is a driver.Valuer that fails.
type failingValuer struct{ err error }

func (v failingValuer) Value() (driver.Value, error) { return nil, v.err }

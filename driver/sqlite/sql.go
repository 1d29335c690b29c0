package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/jmoiron/sqlx"

	"github.com/quiesce-go/quiesce/driver/sqldb"
)

// facade is the database/sql side of a DB, made when it is first asked for.
type facade struct {
	sql  *sql.DB
	sqlx *sqlx.DB
}

// sqlSide returns it.
func (db *DB) sqlSide() *facade {
	for {
		if f := db.facade.Load(); f != nil {
			return f
		}
		d := db.driver
		connector := sqldb.NewConnector(db.Connections, (*Conn).sqlSession, driverOf(d.engine), sqldb.Options{SingleWriter: d.shared.Value().singleWriter})
		pool := sql.OpenDB(connector)
		pool.SetMaxIdleConns(db.Stats().MaxReaders)
		if !db.facade.CompareAndSwap(nil, &facade{pool, sqlx.NewDb(pool, "sqlite3")}) {
			_ = pool.Close() // somebody else was faster; it has opened nothing
		}
	}
}

// SQL returns the database as a *sql.DB, for code that has one: sqlx, sqlc,
// gorm, bun, goose, and an application's own. It obeys the same Pause, policy
// and limits as Read and Write, every connection has the settings of Config,
// and texts without a prepared statement of their own are as fast as with one;
// see package sqldb for what is in flight, and what happens to it.
//
// Every call returns the same *sql.DB. How many connections it opens is up to
// its SetMaxOpenConns; it keeps Config.MaxReaders of them idle. DB's Close closes it.
func (db *DB) SQL() *sql.DB { return db.sqlSide().sql }

// SQLX is SQL as a *sqlx.DB. Every call returns the same.
func (db *DB) SQLX() *sqlx.DB { return db.sqlSide().sqlx }

// closeSQL closes the *sql.DB, if there is one.
func (db *DB) closeSQL() error {
	if f := db.facade.Load(); f != nil {
		return f.sql.Close()
	}
	return nil
}

// OpenSQL is Open for a program that wants nothing but a *sql.DB that can be
// paused. The DB is what pauses it, and what has to be closed at the end.
func OpenSQL(ctx context.Context, cfg Config) (*sql.DB, *DB, error) {
	db, err := Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	return db.SQL(), db, nil
}

// driverOf returns the driver of an engine, for programs that look at sql.DB.Driver.
func driverOf(e Engine) driver.Driver {
	if e, ok := e.(interface{ Driver() driver.Driver }); ok {
		return e.Driver()
	}
	return nil
}

func (c *Conn) sqlSession() *sqldb.Session { return c.session }

// serveSQL hands the connection, which has all its settings, over to database/sql.
func (c *Conn) serveSQL() error {
	if err := c.closeStatements(); err != nil {
		return err
	}
	c.session = sqldb.NewSession(c.raw, sqldb.SessionConfig{
		Statements: c.stmts.most, BusyTimeout: c.busyTimeout,
		Busy: func(err error) bool {
			code, ok := c.engine.ErrorCode(err)
			return ok && code&0xff == codeBusy && code != codeBusySnapshot
		},
	})
	return nil
}

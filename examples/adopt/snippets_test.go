package adopt

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"go.mau.fi/util/dbutil"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The Go code that docs/adopt.md shows. TestTheGuideShowsThisCode compares
// them, TestTheCodeOfTheGuideWorks runs it.

func before(context.Context) (err error) {
	db, err := sql.Open("sqlite3", "file:app.db?_journal=WAL&_fk=1&_busy_timeout=5000")
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping()
}

func withOpenSQL(ctx context.Context) (err error) {
	db, store, err := sqlite.OpenSQL(ctx, sqlite.Config{Engine: mattn.Engine(), Path: "app.db", WhenPaused: lifecycle.Wait, SingleWriter: true})
	if err != nil {
		return err
	}
	defer store.Close(ctx)
	if err := pauseAndResume(ctx, store); err != nil {
		return err
	}
	return db.Ping()
}

func pauseAndResume(ctx context.Context, store *sqlite.DB) error {
	if err := store.Pause(ctx); err != nil { // nil: this process holds nothing of app.db any more
		return err
	}
	// Sleep, be suspended, be snapshotted, copy the file.
	if err := store.Resume(ctx); err != nil { // nil: the same db works again
		return err
	}
	return nil
}

func withOpenDriver(ctx context.Context) (err error) {
	store, err := sqldb.OpenDriver(ctx, "sqlite3", "file:app.db?_journal=WAL&_fk=1&_busy_timeout=5000", sqldb.Config{WhenPaused: lifecycle.Wait})
	if err != nil {
		return err
	}
	defer store.Close(ctx)
	db := store.SQL()
	return errors.Join(db.Ping(), store.Pause(ctx))
}

func withProof(ctx context.Context) (err error) {
	cfg := sqldb.Config{
		WhenPaused: lifecycle.Wait,
		Verify: func(ctx context.Context) error {
			held, err := sqlite.HeldBySelf(ctx, "app.db")
			return errors.Join(err, held.Err())
		},
	}
	store, err := sqldb.OpenDriver(ctx, "sqlite3", "file:app.db", cfg)
	if err != nil {
		return err
	}
	return errors.Join(store.Pause(ctx), store.Close(ctx))
}

func withEachLibrary(ctx context.Context, store *sqlite.DB) (err error) {
	xdb := store.SQLX()
	{
		store, err := sqldb.OpenDriver(ctx, "sqlite3", "file:other.db", sqldb.Config{})
		if err != nil {
			return err
		}
		defer store.Close(ctx)
		xdb := sqlx.NewDb(store.SQL(), "sqlite3")
		if err := xdb.Ping(); err != nil {
			return err
		}
	}

	queries := NewQueries(store.SQL()) // New, in the package that sqlc wrote

	gdb, err := gorm.Open(gormsqlite.New(gormsqlite.Config{Conn: store.SQL()}), &gorm.Config{})
	if err != nil {
		return err
	}

	bdb := bun.NewDB(store.SQL(), sqlitedialect.New())

	migrations := fstest.MapFS{"1_note.sql": {Data: []byte("-- +goose Up\n" + notesSchema + ";\n")}}
	provider, err := goose.NewProvider(goose.DialectSQLite3, store.SQL(), migrations)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return err
	}

	mdb, err := dbutil.NewWithDB(store.SQL(), "sqlite3")
	if err != nil {
		return err
	}

	if err := pauseAndResume(ctx, store); err != nil {
		return err
	}
	note, err := queries.CreateNote(ctx, CreateNoteParams{"ann", "milk"})
	for _, count := range []func(*int) error{
		func(n *int) error { return xdb.Get(n, `SELECT count(*) FROM note`) },
		func(n *int) error { return gdb.Raw(`SELECT count(*) FROM note`).Scan(n).Error },
		func(n *int) error { return bdb.NewRaw(`SELECT count(*) FROM note`).Scan(ctx, n) },
		func(n *int) error { return mdb.QueryRow(ctx, `SELECT count(*) FROM note`).Scan(n) },
	} {
		var n int
		if err = errors.Join(err, count(&n)); err == nil && n != int(note.ID) {
			err = errors.New("the libraries see different databases")
		}
	}
	return err
}

func policies(ctx context.Context, db *sql.DB, store *sqlite.DB) error {
	queries := NewQueries(db)
	if err := store.Pause(ctx); err != nil {
		return err
	}
	ctx = lifecycle.WithPolicy(ctx, lifecycle.Fail) // for everything under this context, whatever the store's own policy is
	notes, err := queries.ListNotes(ctx, "ann")
	if errors.Is(err, lifecycle.ErrPaused) {
		notes, err = nil, nil // a page without the list is better than no page
	}
	if len(notes) > 0 {
		return errors.New("there was an answer")
	}
	return errors.Join(err, store.Resume(ctx))
}

func afterACut(ctx context.Context, db *sql.DB) error {
	rename := func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // it is committed
		if _, err := tx.ExecContext(ctx, `UPDATE note SET author = 'bob'`); err != nil {
			return err
		}
		return tx.Commit()
	}
	err := rename(ctx, db) // begins, works, commits
	for errors.Is(err, lifecycle.ErrInterrupted) {
		err = rename(ctx, db) // its BeginTx waits for the Resume
	}
	return err
}

func nested(ctx context.Context, db *sql.DB) error {
	const insert = `INSERT INTO note (author, text) VALUES ('ann', 'bread')`
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	_, err = db.ExecContext(ctx, insert) // wrong: a second connection, which has to wait for tx
	if !errors.Is(err, lifecycle.ErrNested) {
		return errors.Join(errors.New("the nested write was let in"), err)
	}
	_, err = tx.ExecContext(ctx, insert) // right
	return errors.Join(err, tx.Commit())
}

func overRows(ctx context.Context, xdb *sqlx.DB) error {
	var notes []Note
	if err := xdb.SelectContext(ctx, &notes, `SELECT id, author, text FROM note`); err != nil {
		return err
	}
	for _, note := range notes { // no rows are open any more
		if _, err := xdb.ExecContext(ctx, `UPDATE note SET text = upper(text) WHERE id = ?`, note.ID); err != nil {
			return err
		}
	}
	return nil
}

func deadlines(ctx context.Context, store *sqlite.DB) error {
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err := store.Pause(short)
	var held *lifecycle.HeldError
	if errors.As(err, &held) {
		for _, h := range held.Holders {
			println(h.Label) // the SQL text that runs, or the last one of the transaction
		}
	}
	return errors.Join(err, store.Resume(ctx))
}

func TestTheCodeOfTheGuideWorks(t *testing.T) {
	if !withCgo {
		t.Skip("the guide's examples use mattn, which needs cgo")
	}
	t.Chdir(t.TempDir())
	must(t, before(ctx))
	must(t, withOpenSQL(ctx))
	must(t, withOpenDriver(ctx))
	must(t, withProof(ctx))

	db, store, err := sqlite.OpenSQL(ctx, sqlite.Config{Engine: mattn.Engine(), Path: "app.db", WhenPaused: lifecycle.Wait, SingleWriter: true, Verify: true, Timeout: patience})
	must(t, err)
	defer func() { must(t, store.Close(ctx)) }()
	must(t, withEachLibrary(ctx, store))
	must(t, policies(ctx, db, store))
	must(t, afterACut(ctx, db))
	must(t, nested(ctx, db))
	must(t, overRows(ctx, store.SQLX()))
	must(t, deadlines(ctx, store))
	must(t, rawConnection(ctx, db))
	must(t, store.Pause(ctx))
	must(t, store.Resume(ctx))
	var bread, milk int
	must(t, db.QueryRow(`SELECT count(*) FROM note WHERE text = 'BREAD'`).Scan(&bread))
	must(t, db.QueryRow(`SELECT count(*) FROM note WHERE text = 'MILK' AND author = 'bob'`).Scan(&milk))
	equal(t, "notes about bread", bread, 1)
	equal(t, "notes about milk", milk, 1)
}

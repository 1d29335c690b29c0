// Package sqldb makes a *sql.DB pausable, whatever its driver: an application
// keeps its queries, and gives the database back for a while.
//
//	store, err := sqldb.OpenDriver(ctx, "sqlite3", "file:app.db", sqldb.Config{WhenPaused: lifecycle.Wait})
//	db := store.SQL() // a *sql.DB, for sqlx, sqlc, gorm, bun, goose, …
//	…
//	err = store.Pause(ctx)  // every physical connection is closed now
//	err = store.Resume(ctx) // and may be opened again
//
// The connections that database/sql pools are virtual: they outlive pauses.
// The physical connection under each is opened when it is first used and shut
// by Pause. Prepared statements remember their text and are prepared again.
//
// # What is in flight
//
// Open Rows, and a transaction, whoever began it: BeginTx, or BEGIN as text. A
// Pause waits for them, interrupts after Config.Grace, and cuts them at its
// deadline. Whoever owns what was cut gets an error that matches
// lifecycle.ErrInterrupted, never driver.ErrBadConn: work that had begun is not
// repeated. A transaction that was cut is rolled back in the file, and answers
// with that error to everything, also while paused, until Commit or Rollback.
//
// # State of a connection
//
// PRAGMA settings and ATTACH are restored on the next physical connection. A
// connection that has temporary tables, views or triggers, or has attached a
// database in memory, counts as in flight;
// after a cut its next use returns ErrInterrupted once. SQLite's changes() and
// last_insert_rowid() do not survive a pause, nor do limits, functions and
// collations set through sql.Conn.Raw: those belong into Config.Setup.
//
// What sql.Conn.Raw passes to its function is the virtual connection. Its
// method Unwrap() driver.Conn returns the physical one. Until the virtual one is
// used or returned to the pool, that counts as a call into the driver: no pause
// closes anything under it, and one that comes to its deadline says so.
//
// # What a pause cannot know
//
// Code that inside a transaction asks the *sql.DB for a second connection waits
// for the Resume, which waits for the Pause, which waits for the transaction. From the
// goroutine that used the transaction last, that is an error after a moment (NestedError);
// from any other, the deadline of the Pause ends it. The same holds for a query
// inside a loop over open Rows.
package sqldb

package sqlite_test

import (
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// TestSQLClosesStatementsBesideAPause: database/sql closes the statements of a
// transaction after its commit, when the pause that waited for the commit may
// be closing their connection.
func TestSQLClosesStatementsBesideAPause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db, store := openSQL(t, engine, func(c *sqlite.Config) { c.WhenPaused, c.Timeout = lifecycle.Wait, patienceOfTests })
		for range 50 {
			tx, err := db.Begin()
			must(t, err)
			insert, err := tx.Prepare(`INSERT INTO t VALUES (1)`)
			must(t, err)
			_, err = insert.Exec()
			must(t, err)
			paused := goErr(func() error { return store.Pause(ctx) })
			awaitState(t, store, lifecycle.Pausing)
			must(t, tx.Commit())
			within(t, "Pause", paused, nil)
			must(t, store.Resume(ctx))
		}
	})
}

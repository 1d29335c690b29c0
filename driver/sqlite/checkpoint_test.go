package sqlite_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// bigLog has a store write a log of about so many MiB that nobody checkpoints.
func bigLog(t *testing.T, db *sqlite.DB, mib int) {
	t.Helper()
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		if err := c.ExecScript(ctx, `CREATE TABLE IF NOT EXISTS big (i INTEGER PRIMARY KEY, v BLOB)`); err != nil {
			return err
		}
		_, err := c.Exec(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?) INSERT INTO big (v) SELECT zeroblob(65536) FROM n`, 16*mib)
		return err
	}))
	if info, err := os.Stat(db.Path() + "-wal"); err != nil || info.Size() < int64(mib)<<20 {
		t.Fatalf("the log has not become big: %v %v", info, err)
	}
}

func noAutocheckpoint(ctx context.Context, c *sqlite.Conn) error {
	return c.ExecScript(ctx, `PRAGMA wal_autocheckpoint = 0`)
}

func rows(t *testing.T, db *sqlite.DB) (n int) {
	t.Helper()
	must(t, db.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT count(*) FROM big`).Scan(&n) }))
	return n
}

func TestCheckpointPolicies(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, policy := range []sqlite.Checkpoint{sqlite.CheckpointTruncate, sqlite.CheckpointPassive, sqlite.CheckpointNone} {
			for _, writer := range []bool{true, false} {
				name := policy.String()
				if !writer {
					name += ", and only a reader to do it"
				}
				t.Run(name, func(t *testing.T) {
					db := open(t, engine, func(c *sqlite.Config) { c.Checkpoint, c.Setup = policy, noAutocheckpoint })
					bigLog(t, db, 1)
					if !writer { // a store whose writer has not been used since the Resume
						must(t, db.Pause(ctx))
						must(t, db.Resume(ctx))
						rows(t, db)
					}
					must(t, db.Pause(ctx))
					released(t, db.Path())
					rep, kept := db.Report(), policy == sqlite.CheckpointNone
					if rep.CheckpointResult.Mode != policy.String() || rep.CheckpointResult.Ran == kept {
						t.Errorf("the report says of the policy %v: %+v", policy, rep.CheckpointResult)
					}
					if writer && !kept && (rep.CheckpointResult.Log < 0 || rep.CheckpointResult.Checkpointed != rep.CheckpointResult.Log) {
						t.Errorf("the report says of a checkpoint that nobody hindered: %+v", rep.CheckpointResult)
					}
					if rep.WriterClosed != writer {
						t.Errorf("the report says that a writer was closed: %v", rep.WriterClosed)
					}
					if got := exists(db.Path() + "-wal"); got != kept || containsSuffix(rep.Leftovers, "-wal") != kept {
						t.Errorf("after a pause with the policy %v the log is there: %v; the report says %v", policy, got, rep.Leftovers)
					}
					if len(rep.Warnings) > 0 {
						t.Errorf("warnings: %v", rep.Warnings)
					}
					must(t, db.Resume(ctx))
					if n := rows(t, db); n != 16 {
						t.Errorf("%d rows after Resume, and 16 were written", n)
					}
				})
			}
		}
	})
}

// A checkpoint that runs out of its bound is a warning: the pause ends in time,
// the log stays, and nothing is lost.
func TestACheckpointThatRunsOutOfItsBound(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		mib := tier.Count(32, 256, 256)
		db := open(t, engine, func(c *sqlite.Config) { c.CheckpointBound, c.Setup = time.Millisecond, noAutocheckpoint })
		bigLog(t, db, mib)
		must(t, db.Pause(ctx))
		released(t, db.Path())
		rep := db.Report()
		if len(rep.Warnings) == 0 || !containsSuffix(rep.Leftovers, "-wal") || !exists(db.Path()+"-wal") {
			t.Errorf("a checkpoint of %d MiB within a millisecond: warnings %v, left %v; want both", mib, rep.Warnings, rep.Leftovers)
		}
		t.Logf("checkpoint %v, writer closed in %v, %v", rep.Checkpoint, rep.Writer, rep.Warnings)
		must(t, db.Resume(ctx))
		if n := rows(t, db); n != 16*mib {
			t.Errorf("%d rows after Resume, and %d were written", n, 16*mib)
		}
		must(t, db.Close(ctx))

		db = reopen(t, engine, db.Path())
		if n := rows(t, db); n != 16*mib {
			t.Errorf("%d rows in a store opened anew, and %d were written", n, 16*mib)
		}
		must(t, db.Close(ctx))
		nothingHeld(t, db)
	})
}

// Nothing of the log is kept under the exclusive option either, and other
// processes are kept out until the pause.
func TestExclusive(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Exclusive = true })
		for i := range 2 {
			onAllReaders(t, db, 3, func(c *sqlite.Conn) error {
				var v string
				return c.QueryRow(ctx, `SELECT v FROM t`).Scan(&v)
			})
			other := startForeign(t, db.Path())
			if got, err := other.ask(`SELECT v FROM t`); err == nil {
				t.Errorf("another process read %q from a store that has the file exclusively", got)
			}
			must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "ours") }))
			if exists(db.Path() + "-shm") {
				t.Error("an exclusive store needs no shared memory")
			}
			must(t, db.Pause(ctx))
			nothingHeld(t, db)
			if got := other.must(`SELECT v FROM t`); got != "ours" {
				t.Errorf("another process read %q while the store was paused", got)
			}
			other.end()
			must(t, db.Resume(ctx))
			if got := readRow(t, db); got != "ours" {
				t.Errorf("round %d: read %q", i, got)
			}
		}
	})
}

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// load keeps readers and writers busy on a store and notes what was acknowledged.
type load struct {
	db    *sqlite.DB
	wg    sync.WaitGroup
	stop  chan struct{}
	reads atomic.Int64
	fail  func(format string, args ...any)

	mu    sync.Mutex
	acked map[int64]bool
}

const loadSchema = `CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, twice INTEGER NOT NULL, pad BLOB);
	CREATE TABLE IF NOT EXISTS total (k INTEGER PRIMARY KEY, rows INTEGER NOT NULL); INSERT OR IGNORE INTO total VALUES (1, 0)`

func startLoad(db *sqlite.DB, readers, writers int, fail func(format string, args ...any)) *load {
	l := &load{db: db, stop: make(chan struct{}), acked: map[int64]bool{}, fail: fail}
	var next atomic.Int64
	for range writers {
		l.loop(func() error {
			n := next.Add(1)
			err := db.Update(ctx, func(c *sqlite.Conn) error { return writeRow(c, n) })
			if err == nil {
				l.mu.Lock()
				l.acked[n] = true
				l.mu.Unlock()
			}
			return err
		})
	}
	for range readers {
		l.loop(func() error {
			l.reads.Add(1)
			return db.View(ctx, func(c *sqlite.Conn) error {
				var rows, total int64
				if err := c.QueryRow(ctx, `SELECT count(*) FROM log WHERE twice = 2 * n`).Scan(&rows); err != nil {
					return err
				}
				if err := c.QueryRow(ctx, `SELECT rows FROM total`).Scan(&total); err != nil {
					return err
				}
				if rows != total {
					l.fail("one View saw %d rows and a total of %d: it promises one moment", rows, total)
				}
				return nil
			})
		})
	}
	return l
}

// writeRow writes two tables, so that half a transaction would show.
func writeRow(c *sqlite.Conn, n int64) error {
	if _, err := c.Exec(ctx, `INSERT INTO log VALUES (?, ?, ?)`, n, 2*n, make([]byte, 100)); err != nil {
		return err
	}
	_, err := c.Exec(ctx, `UPDATE total SET rows = rows + 1`)
	return err
}

func (l *load) loop(work func() error) {
	l.wg.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			switch err := work(); {
			case err == nil, errors.Is(err, lifecycle.ErrInterrupted):
			case errors.Is(err, lifecycle.ErrPaused):
				l.awaitActive()
			default:
				l.fail("an operation ended with an error that is not one of a pause: %v", err)
				return
			}
		}
	})
}

func (l *load) awaitActive() {
	states, stop := l.db.Subscribe()
	defer stop()
	for {
		select {
		case s := <-states:
			if s == lifecycle.Active || s == lifecycle.Closed {
				return
			}
		case <-l.stop:
			return
		}
	}
}

// end stops the load and returns how many writes were acknowledged.
func (l *load) end() int {
	close(l.stop)
	l.wg.Wait()
	return len(l.acked)
}

// verify checks that every acknowledged write is there, each whole.
func (l *load) verify(t *testing.T) {
	t.Helper()
	must(t, l.db.View(ctx, func(c *sqlite.Conn) error {
		there := map[int64]bool{}
		for row, err := range c.Rows(ctx, `SELECT n FROM log WHERE twice = 2 * n`) {
			if err != nil {
				return err
			}
			var n int64
			if err := row.Scan(&n); err != nil {
				return err
			}
			there[n] = true
		}
		lost := 0
		for n := range l.acked {
			if !there[n] {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d of %d acknowledged writes are lost", lost, len(l.acked))
		}
		var total int
		var check string
		err := errors.Join(c.QueryRow(ctx, `SELECT rows FROM total`).Scan(&total), c.QueryRow(ctx, `PRAGMA integrity_check`).Scan(&check))
		if total != len(there) {
			t.Errorf("%d rows and a total of %d: a transaction was applied by half", len(there), total)
		}
		if check != "ok" {
			t.Errorf("integrity_check: %s", check)
		}
		return err
	}))
}

// TestPausesUnderLoad: every Pause under load that returns nil leaves nothing
// held and no side files, and no acknowledged write is lost. The tier full has 1,000 pauses for each engine.
func TestPausesUnderLoad(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := open(t, engine, func(c *sqlite.Config) { c.Verify, c.Grace = false, 20*time.Millisecond })
		must(t, db.Write(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, loadSchema) }))
		l := startLoad(db, 3, 2, t.Errorf)
		rounds := tier.Count(50, 1000, 10_000)
		most := time.Duration(0)
		for i := range rounds {
			before := l.reads.Load()
			for until := time.Now().Add(10 * time.Millisecond); l.reads.Load() < before+3 && time.Now().Before(until); {
				time.Sleep(100 * time.Microsecond) // lets the load run; nothing depends on how long
			}
			if err := db.Pause(ctx); err != nil {
				t.Fatalf("pause %d of %d: %v", i+1, rounds, err)
			}
			nothingHeld(t, db)
			most = max(most, db.Report().Total)
			must(t, db.Resume(ctx))
		}
		acked := l.end()
		l.verify(t)
		st := db.Stats()
		t.Logf("%d pauses under load, longest %v; %d writes acknowledged, %d reads, %d interrupts, %d severed; 0 held after each",
			rounds, most, acked, l.reads.Load(), st.Interrupts, st.Severed)
		if acked == 0 || l.reads.Load() == 0 {
			t.Error("there was no load")
		}
	})
}

// nothingHeld asks the operating system, and looks for side files.
func nothingHeld(t testing.TB, db *sqlite.DB) {
	t.Helper()
	held, err := sqlite.HeldBySelf(ctx, db.Path())
	must(t, err)
	if err := held.Err(); err != nil {
		t.Errorf("after a Pause that returned nil: %v", err)
	}
	if left, _ := filepath.Glob(db.Path() + "-*"); len(left) > 0 {
		t.Errorf("after a Pause that returned nil, with nobody else on the file, %v is left; %+v", left, db.Report())
	}
}

// TestGroupsOfStoresEndInOneState: four stores in a group, Pauses and Resumes
// that overlap, and at rest all four are what the last word was.
func TestGroupsOfStoresEndInOneState(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var members []lifecycle.Pausable
		var dbs []*sqlite.DB
		for i := range 4 {
			db := open(t, engine, func(c *sqlite.Config) { c.Name = fmt.Sprintf("store %d", i) })
			dbs = append(dbs, db)
			members = append(members, db)
		}
		group := lifecycle.Sequence(members[0], lifecycle.Parallel(members[1:]...))
		for range tier.Count(20, 400, 4000) {
			var wg sync.WaitGroup
			for range 4 {
				pause, soon := rand.IntN(2) == 0, rand.IntN(2) == 0
				wg.Go(func() {
					ctx, cancel := context.WithCancel(ctx)
					if soon {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
					}
					defer cancel()
					if pause {
						_ = group.Pause(ctx)
					} else {
						_ = group.Resume(ctx)
					}
				})
			}
			wg.Wait()
			want := lifecycle.Paused
			if rand.IntN(2) == 0 {
				must(t, group.Pause(ctx))
			} else {
				want = lifecycle.Active
				must(t, group.Resume(ctx))
			}
			for i, db := range dbs {
				if got := db.State(); got != want {
					t.Fatalf("store %d is %v and the group is %v: of overlapping calls the latest intent wins, for all members", i, got, want)
				}
				if want != lifecycle.Paused {
					continue
				}
				held, err := sqlite.HeldBySelf(ctx, db.Path())
				must(t, err)
				if err := held.Err(); err != nil {
					t.Errorf("store %d is paused: %v", i, err)
				}
				// Callers with a millisecond may cut a checkpoint short, or a Resume, whose connection keeps the one
				// that is closed beside it from removing the log; then the report says so.
				if left, _ := filepath.Glob(db.Path() + "-*"); len(left) > 0 && len(db.Report().Warnings) == 0 {
					t.Errorf("store %d is paused, nobody else has its file, and %v is left without a warning: %+v", i, left, db.Report())
				}
			}
		}
	})
}

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The weaknesses W-… of the stores that this module is an answer to, one test
// for each that takes a real SQLite. W-22 without a cipher is also what
// replaced_test.go and resume_test.go are about, W-23 settings_test.go.

// holding starts a read that holds its connection until it is let go.
func holding(db *sqlite.DB, label string) (b *blocker, errs <-chan error) {
	b = newBlocker()
	errs = goErr(func() error {
		return db.View(lifecycle.WithLabel(ctx, label), func(c *sqlite.Conn) error {
			var v string
			err := c.QueryRow(ctx, `SELECT v FROM t`).Scan(&v)
			b.hold()
			return err
		})
	})
	<-b.began
	return b, errs
}

// W-01: the last holder wakes the pause; there is no polling.
func TestW01TheLastReleaseWakesThePause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var releasing time.Time
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Timeout, c.Grace = patienceOfTests, patienceOfTests/2
			c.BeforeRelease = func(context.Context, *sqlite.Conn) error { releasing = time.Now(); return nil }
		})
		best := patienceOfTests
		for range 10 {
			b, errs := holding(db, "last")
			paused := goErr(func() error { return db.Pause(ctx) })
			awaitState(t, db, lifecycle.Pausing)
			let := time.Now()
			close(b.release)
			within(t, "Pause", paused, nil)
			within(t, "the reader", errs, nil)
			best = min(best, releasing.Sub(let))
			must(t, db.Resume(ctx))
		}
		// The seed looks every 50 ms. The best of ten says nothing of a loaded machine.
		if best > 20*time.Millisecond {
			t.Errorf("the pause went on %v after the last holder let go, at best", best)
		}
	})
}

// W-02: the deadline is the caller's.
func TestW02TheDeadlineIsTheCallers(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout, c.Grace = time.Hour, time.Hour })
		b, errs := holding(db, "stuck")
		bounded := goErr(func() error { return db.Pause(deadline(t, 50*time.Millisecond)) })
		select {
		case <-bounded:
		case <-time.After(patienceOfTests):
			t.Fatal("a Pause whose context has 50 ms does not return")
		}
		close(b.release)
		<-errs
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
	})
}

// W-03: the writer is waited for within the same bound as readers.
func TestW03AStuckWriterDoesNotHangThePause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		b := newBlocker()
		write := goErr(func() error {
			return db.Update(lifecycle.WithLabel(ctx, "stuck writer"), func(c *sqlite.Conn) error {
				err := setRow(c, "lost")
				b.hold()
				return err
			})
		})
		<-b.began
		err := <-goErr(func() error { return db.Pause(deadline(t, 50*time.Millisecond)) })
		if err != nil && (!errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stuck writer")) {
			t.Errorf("Pause: %v, want nil or an error that names the writer", err)
		}
		close(b.release)
		within(t, "the writer that was severed", write, lifecycle.ErrInterrupted)
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q: a write that got an error is not there", got)
		}
	})
}

// W-04: a pause that did not end in time says so and names who holds on; the
// next one waits for what is left.
func TestW04AnUnfinishedPauseSaysWhoHoldsOn(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.TrackHolders = true })
		opcode := slowOpcode(t, db, 500*time.Millisecond)
		began := make(chan struct{})
		errs := goErr(func() error {
			return db.Read(lifecycle.WithLabel(ctx, "the room list"), func(c *sqlite.Conn) error { close(began); return opcode(c) })
		})
		<-began
		err := db.Pause(deadline(t, 30*time.Millisecond))
		held := (*lifecycle.HeldError)(nil)
		if !errors.As(err, &held) {
			t.Logf("the opcode was faster than the deadline: Pause returned %v", err)
		} else {
			if len(held.Holders) != 1 || held.Holders[0].Label != "the room list" || !strings.Contains(held.Holders[0].CallSite, "TestW04") {
				t.Errorf("the holders are %v, want the one with its label and call site", held.Holders)
			}
			if s := db.State(); s == lifecycle.Active {
				t.Errorf("the store is %v after a Pause that did not end", s)
			}
		}
		must(t, db.Pause(ctx)) // the same remainder
		nothingHeld(t, db)
		<-errs
	})
}

// W-05: work that comes during a pause fails at once, and does not wait for its end.
func TestW05NewWorkFailsAtOnceDuringAPause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout, c.Grace = patienceOfTests, patienceOfTests/2 })
		b, errs := holding(db, "reader")
		paused := goErr(func() error { return db.Pause(ctx) })
		awaitState(t, db, lifecycle.Pausing)
		for name, op := range map[string]func(context.Context, func(*sqlite.Conn) error) error{"View": db.View, "Update": db.Update, "Read": db.Read, "Write": db.Write} {
			if err := op(ctx, func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("%s during a pause: %v, want ErrPaused", name, err)
			}
		}
		if _, err := db.Size(ctx); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("Size during a pause: %v, want ErrPaused", err)
		}
		select {
		case err := <-paused:
			t.Errorf("Pause returned %v while a reader held on", err)
		default:
		}
		close(b.release)
		within(t, "Pause", paused, nil)
		within(t, "the reader", errs, nil)
	})
}

// W-06: a writer that waited for its turn when the pause began writes nothing after it.
func TestW06NoLateWriterSlipsThrough(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout, c.Grace = patienceOfTests, patienceOfTests/2 })
		b := newBlocker()
		first := goErr(func() error {
			return db.Update(ctx, func(c *sqlite.Conn) error { b.hold(); return setRow(c, "the first") })
		})
		<-b.began
		var late []<-chan error
		for range 5 {
			late = append(late, goErr(func() error { return db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "late") }) }))
		}
		eventually(t, "five writers wait", func() bool { return db.Stats().WritersWaiting == 5 })
		paused := goErr(func() error { return db.Pause(ctx) })
		for _, errs := range late {
			within(t, "a writer that had begun nothing", errs, lifecycle.ErrPaused)
		}
		close(b.release)
		within(t, "the writer that had begun", first, nil)
		within(t, "Pause", paused, nil)
		nothingHeld(t, db)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "the first" {
			t.Errorf("read %q after the pause", got)
		}
	})
}

// W-07, W-08, W-09: when Pause has returned, nothing reads, nothing runs and
// nothing is open, whatever raced with it; and it is never opened afterwards.
func TestW07W08W09NothingRunsOrIsOpenAfterPause(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.MaxReaders = 8; c.Grace = time.Millisecond })
		for range 30 {
			var wg sync.WaitGroup
			for i := range 12 { // more than there are readers: some open connections, some wait, some are abandoned
				wg.Go(func() {
					short, cancel := context.WithCancel(ctx)
					if i%3 == 0 {
						go cancel()
					}
					defer cancel()
					for {
						var n int
						err := db.View(short, func(c *sqlite.Conn) error {
							return c.QueryRow(short, endless+`SELECT count(*) FROM (SELECT i FROM n LIMIT 20000)`).Scan(&n)
						})
						if err != nil {
							return
						}
					}
				})
			}
			runtime.Gosched()
			must(t, db.Pause(ctx))
			nothingHeld(t, db)
			wg.Wait()
			nothingHeld(t, db)
			must(t, db.Resume(ctx))
		}
	})
}

// W-10: the checkpoint comes after the last reader has gone, so that it is complete and nobody waits.
func TestW10CheckpointAfterReaders(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Timeout, c.Grace, c.Setup = patienceOfTests, patienceOfTests/2, noAutocheckpoint
		})
		b, errs := holding(db, "an old snapshot")
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "newer") }))
		paused := goErr(func() error { return db.Pause(ctx) })
		awaitState(t, db, lifecycle.Pausing)
		close(b.release)
		within(t, "Pause", paused, nil)
		within(t, "the reader", errs, nil)
		rep := db.Report()
		if c := rep.CheckpointResult; !c.Ran || c.Busy || c.Log != 0 && c.Log != c.Checkpointed || len(rep.Warnings) > 0 {
			t.Errorf("the checkpoint was not complete: %+v, %v", c, rep.Warnings)
		}
		nothingHeld(t, db)
	})
}

// W-11: four stores are paused together, not one after the other.
func TestW11StoresPauseTogether(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var members []lifecycle.Pausable
		var began sync.WaitGroup
		began.Add(4)
		all := goErr(func() error { began.Wait(); return nil })
		together := make(chan struct{})
		for i := range 4 {
			members = append(members, open(t, engine, func(c *sqlite.Config) {
				c.Name = fmt.Sprint("store ", i)
				c.BeforeRelease = func(ctx context.Context, _ *sqlite.Conn) error {
					began.Done()
					select {
					case <-together:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}))
		}
		group := lifecycle.Parallel(members...)
		paused := goErr(func() error { return group.Pause(deadline(t, patienceOfTests)) })
		within(t, "that all four are at their hook at once", all, nil)
		close(together)
		within(t, "the group's Pause", paused, nil)
		for _, m := range members {
			nothingHeld(t, m.(*sqlite.DB))
			began.Add(1) // for the pause of the Close
		}
	})
}

// W-12: a member that fails does not keep the others from pausing; the error names it, and a Resume that
// stops says what it has not attempted.
func TestW12AHalfWayFailureIsReported(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		var dbs [3]*sqlite.DB
		for i := range dbs {
			dbs[i] = openWithRow(t, engine, func(c *sqlite.Config) { c.Name = fmt.Sprint("store ", i) })
		}
		group := lifecycle.Sequence(dbs[0], dbs[1], dbs[2])
		must(t, group.Pause(ctx))
		aside := dbs[1].Path() + ".aside"
		must(t, os.Rename(dbs[1].Path(), aside))
		err := group.Resume(ctx)
		member := (*lifecycle.MemberError)(nil)
		if !errors.Is(err, lifecycle.ErrMissing) || !errors.Is(err, lifecycle.ErrNotAttempted) || !errors.As(err, &member) || !strings.Contains(err.Error(), "store 1") {
			t.Errorf("the group's Resume: %v, want ErrMissing of store 1 and ErrNotAttempted", err)
		}
		must(t, group.Pause(ctx))
		for _, db := range dbs {
			released(t, db.Path())
		}
		must(t, os.Rename(aside, dbs[1].Path()))
		must(t, group.Resume(ctx))
		for _, db := range dbs {
			if got := readRow(t, db); got != "kept" {
				t.Errorf("%s: read %q", db.Name(), got)
			}
		}
	})
}

// W-13: a Pause whose caller has left goes on to its end, checkpoint included.
func TestW13APauseGoesOnWithoutItsCaller(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		hook := newBlocker()
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Timeout = patienceOfTests
			c.BeforeRelease = func(context.Context, *sqlite.Conn) error { hook.hold(); return nil }
		})
		leaving, leave := context.WithCancel(ctx)
		paused := goErr(func() error { return db.Pause(leaving) })
		<-hook.began
		leave()
		within(t, "a Pause whose context ended", paused, context.Canceled)
		close(hook.release)
		awaitState(t, db, lifecycle.Paused) // nobody asked again
		nothingHeld(t, db)
		if rep := db.Report(); !rep.CheckpointResult.Ran {
			t.Errorf("the report of a Pause whose caller has left says of the checkpoint: %+v", rep.CheckpointResult)
		}
		hook = newBlocker()
		close(hook.release)
	})
}

// W-14: of overlapping calls the latest intent wins, and the overtaken call says so.
func TestW14TheLatestIntentWins(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Timeout, c.Grace = patienceOfTests, patienceOfTests/2 })
		b, errs := holding(db, "stuck")
		first := goErr(func() error { return db.Pause(ctx) })
		awaitState(t, db, lifecycle.Pausing)
		must(t, db.Resume(ctx)) // waits for no stuck reader
		within(t, "the Pause that was overtaken", first, lifecycle.ErrSuperseded)
		must(t, db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "written beside the old reader") }))
		if got := readRow(t, db); got != "written beside the old reader" {
			t.Errorf("a reader of the new generation read %q", got)
		}
		second := goErr(func() error { return db.Pause(ctx) })
		awaitState(t, db, lifecycle.Pausing)
		close(b.release)
		within(t, "the reader of the old generation", errs, nil)
		within(t, "the last Pause", second, nil)
		nothingHeld(t, db)
	})
}

// W-22: a Resume validates. Whatever is wrong with the file is told by Resume, not by a later call.
func TestW22ResumeValidatesTheFile(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) {
			c.Path, c.SchemaVersion = filepath.Join(filepath.Dir(c.Path), "sub", "test.db"), 1
		})
		must(t, db.Pause(ctx))
		aside := filepath.Join(filepath.Dir(filepath.Dir(db.Path())), "aside")

		must(t, os.Rename(db.Path(), aside))
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrMissing) || exists(db.Path()) {
			t.Errorf("Resume of a missing file: %v, want ErrMissing and no new file", err)
		}
		must(t, os.Remove(filepath.Dir(db.Path())))
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrMissing) || exists(filepath.Dir(db.Path())) {
			t.Errorf("Resume without the directory: %v, want ErrMissing and no new directory", err)
		}
		must(t, os.Mkdir(filepath.Dir(db.Path()), 0o700))
		must(t, os.Rename(aside, db.Path()))
		foreignly(t, db.Path(), `PRAGMA user_version = 2`)
		if err := db.Resume(ctx); !errors.Is(err, lifecycle.ErrSchemaNewer) {
			t.Errorf("Resume after another process has raised the schema: %v, want ErrSchemaNewer", err)
		}
		settled(t, db)
		foreignly(t, db.Path(), `PRAGMA user_version = 1`)
		must(t, db.Resume(ctx))
		if got := readRow(t, db); got != "kept" {
			t.Errorf("read %q", got)
		}
	})
}

// W-24: what a store does can be looked at.
func TestW24TheLifeOfAStoreCanBeSeen(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, nil)
		b, errs := holding(db, "seen")
		st := db.Stats()
		if st.State != lifecycle.Active || st.ReadersInUse != 1 || !st.WriterOpen || st.WriterInUse || st.Generation != 1 || st.MaxReaders != 3 {
			t.Errorf("Stats: %+v", st)
		}
		if h := db.Holders(); len(h) != 1 || h[0].Label != "seen" || h[0].Role != lifecycle.Reader {
			t.Errorf("Holders: %v", h)
		}
		close(b.release)
		within(t, "the reader", errs, nil)
		must(t, db.Pause(ctx))
		rep := db.Report()
		if rep.Op != "pause" || rep.Total <= 0 || rep.ReadersClosed != 1 || !rep.WriterClosed || !rep.CheckpointResult.Ran || len(rep.Leftovers) > 0 {
			t.Errorf("Report: %+v", rep)
		}
		if st := db.Stats(); st.State != lifecycle.Paused || st.Readers != 0 || st.WriterOpen || st.Pauses != 1 {
			t.Errorf("Stats while paused: %+v", st)
		}
		must(t, db.Resume(ctx))
		if rep := db.Report(); rep.Op != "resume" || rep.Generation != 2 {
			t.Errorf("Report: %+v", rep)
		}
	})
}

// W-25: the error of a refused call can be told through every layer.
func TestW25RefusalsAreTyped(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.Name = "rooms" })
		check := func(want error) {
			t.Helper()
			for op, f := range map[string]func(context.Context, func(*sqlite.Conn) error) error{"read": db.View, "write": db.Update} {
				err := fmt.Errorf("a layer above: %w", f(ctx, func(*sqlite.Conn) error { return nil }))
				state := (*lifecycle.StateError)(nil)
				if !errors.Is(err, want) || !errors.As(err, &state) || state.Store != "rooms" || state.Op != op {
					t.Errorf("%s: %v, want %v with the store and the operation", op, err, want)
				}
			}
		}
		must(t, db.Pause(ctx))
		check(lifecycle.ErrPaused)
		must(t, db.Close(ctx))
		check(lifecycle.ErrClosed)
	})
}

// W-26: work may wait for Resume, if it wants, with a bound.
func TestW26WorkMayWaitForResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.WhenPaused = lifecycle.Wait })
		must(t, db.Pause(ctx))
		if err := db.View(deadline(t, 20*time.Millisecond), func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrPaused) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("View that waited in vain: %v, want ErrPaused and the context's error", err)
		}
		read := goErr(func() error { return db.View(ctx, func(*sqlite.Conn) error { return nil }) })
		write := goErr(func() error { return db.Update(ctx, func(c *sqlite.Conn) error { return setRow(c, "waited") }) })
		must(t, db.Resume(ctx))
		within(t, "View", read, nil)
		within(t, "Update", write, nil)
		if got := readRow(t, db); got != "waited" {
			t.Errorf("read %q", got)
		}
	})
}

// W-30: a store has as many connections as are used at once, and idle ones are shed.
func TestW30ConnectionsAreFewAndShed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := openWithRow(t, engine, func(c *sqlite.Config) { c.MaxReaders, c.IdleTimeout = 8, 20*time.Millisecond })
		for range 100 {
			readRow(t, db)
		}
		if n := db.Stats().Readers; n != 1 {
			t.Errorf("%d readers are open for one that reads, want 1", n)
		}
		onAllReaders(t, db, 5, func(*sqlite.Conn) error { return nil })
		eventually(t, "idle readers are closed, all but one", func() bool { return db.Stats().Readers == 1 })
		held, err := sqlite.HeldBySelf(ctx, db.Path())
		must(t, err)
		// Those of the database itself SQLite keeps for reuse until no connection
		// holds a lock: closing one would drop the locks of all.
		logs := 0
		for _, h := range held.Holders {
			if text := h.String(); strings.HasPrefix(text, "descriptor") && strings.HasSuffix(text, "-wal") {
				logs++
			}
		}
		if logs == 0 || logs > 2 {
			t.Errorf("%d descriptors of the log for a reader and a writer: %v", logs, held.Holders)
		}
		must(t, db.Pause(ctx))
		nothingHeld(t, db)
	})
}

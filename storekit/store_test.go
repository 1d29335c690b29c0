package storekit_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/job"
	"github.com/quiesce-go/quiesce/storekit/lease"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Jobs are stopped before the store pauses, so that they find it open until they end, and start when it has resumed.
func TestJobsStopBeforeTheStoreAndStartAfterIt(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, config(t, engine))
		started, last := make(chan struct{}), make(chan error, 1)
		_, err := s.Job(job.Job{Name: "keeper", Run: func(jobCtx context.Context) error {
			started <- struct{}{}
			<-jobCtx.Done()
			last <- s.Update(context.WithoutCancel(jobCtx), func(c *sqlite.Conn) error {
				_, err := c.Exec(ctx, `INSERT INTO note (row, text) VALUES (randomblob(16), 'the last word')`)
				return err
			})
			return nil
		}})
		must(t, err)
		for range 3 {
			<-started
			must(t, s.Pause(ctx))
			if err := <-last; err != nil {
				t.Errorf("a job that was told to stop could not use the store: %v", err)
			}
			must(t, s.Resume(ctx))
		}
		wantNotes(t, s, "the last word", "the last word", "the last word")
		<-started
		must(t, s.Close(ctx))
		must(t, <-last)
		_, err = s.Job(job.Job{Name: "late", Run: func(context.Context) error { return nil }})
		wantError(t, "a job of a closed store", err, lifecycle.ErrClosed)
	})
}

// A job that does not stop is named, and keeps the store from nothing but its nil.
func TestAJobThatDoesNotStopIsNamed(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, config(t, engine))
		started, leave := make(chan struct{}), make(chan struct{})
		_, err := s.Job(job.Job{Name: "stubborn", Run: func(context.Context) error { close(started); <-leave; return job.ErrDone }})
		must(t, err)
		<-started
		short, cancel := context.WithTimeout(ctx, 50e6)
		defer cancel()
		err = s.Pause(short)
		var held *lifecycle.HeldError
		if !errors.As(err, &held) || !strings.Contains(err.Error(), "stubborn") {
			t.Errorf("Pause: %v, want a HeldError that names the job", err)
		}
		wantError(t, "new work", s.View(ctx, func(*sqlite.Conn) error { return nil }), lifecycle.ErrPaused)
		close(leave)
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
	})
}

// Leases are given up for a pause and taken again, in a file that pauses with the store's.
func TestLeasesPauseWithTheStore(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		cfg.Leases = true
		s := open(t, cfg)
		x, err := s.Leases().Hold(ctx, "token", lease.Options{})
		must(t, err)
		must(t, s.Pause(ctx))
		if x.Valid() {
			t.Error("the lease is valid while the store is paused")
		}
		held, err := sqlite.HeldBySelf(ctx, s.Path(), s.Path()+"-leases")
		if err == nil {
			err = held.Err()
		}
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a paused store holds %v", err)
		}
		must(t, s.Resume(ctx))
		if !x.Valid() || x.Dirty() || x.Generation() != 1 {
			t.Errorf("after a pause without anybody else the lease is valid: %t, dirty: %t, of generation %d", x.Valid(), x.Dirty(), x.Generation())
		}
		must(t, x.Check(ctx))
		must(t, x.Release(ctx))
		if open(t, config(t, engine)).Leases() != nil {
			t.Error("a store without Config.Leases has some")
		}
	})
}

// A lease never waits for a long write of the store.
func TestALeaseDoesNotWaitForAWrite(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Leases = true
		s := open(t, cfg)
		must(t, s.Update(ctx, func(*sqlite.Conn) error {
			x, err := s.Leases().Hold(ctx, "token", lease.Options{})
			if err != nil {
				return err
			}
			return errors.Join(x.Check(ctx), x.Release(ctx))
		}))
	})
}

// Wipe leaves nothing of the store.
func TestWipeLeavesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		cfg.Leases = true
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		add(t, s, "text")
		for _, name := range []string{"-restore", "-before-restore"} { // of a Restore that was killed
			must(t, os.WriteFile(s.Path()+name, []byte("left"), 0o600))
		}
		must(t, s.Wipe(ctx))
		noFiles(t, cfg)
		wantError(t, "after Wipe", s.View(ctx, func(*sqlite.Conn) error { return nil }), lifecycle.ErrClosed)
	})
}

// When Pause has returned, whatever it returned, the store refuses work.
func TestAPauseWithAnEndedContextIsHeard(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, config(t, engine))
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for range 50 {
			paused := s.Pause(ended)
			if err := s.View(ctx, func(*sqlite.Conn) error { return nil }); !errors.Is(err, lifecycle.ErrPaused) {
				t.Fatalf("after a Pause that returned %v, a read returned %v", paused, err)
			}
			must(t, s.Resume(ctx))
		}
		wantError(t, "inside an operation", s.View(ctx, func(c *sqlite.Conn) error { return s.Pause(s.Inside(ctx, c)) }), lifecycle.ErrNested)
	})
}

// Of many calls at once, all return, and the last one is what holds.
func TestManyPausesAndResumesAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		cfg.Secret = secret.Ask(func(context.Context) (secret.Secret, error) { return key(1), nil })
		cfg.ForgetKeyOnPause, cfg.Leases = true, true
		s := open(t, cfg)
		add(t, s, "text")
		var runs atomic.Int64
		_, err := s.Job(job.Job{Name: "reader", Run: func(jobCtx context.Context) error {
			runs.Add(1)
			_, err := s.Leases().Hold(jobCtx, "token", lease.Options{})
			<-jobCtx.Done()
			return err
		}})
		must(t, err)
		done := make(chan error, 100)
		for i := range 100 {
			go func() {
				var err error
				if i%2 == 0 {
					err = s.Pause(ctx)
				} else {
					err = s.Resume(ctx)
				}
				if errors.Is(err, lifecycle.ErrSuperseded) {
					err = nil
				}
				done <- err
			}()
		}
		for range 100 {
			must(t, <-done)
		}
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		wantNotes(t, s, "text")
		if runs.Load() == 0 {
			t.Error("the job has never run")
		}
	})
}

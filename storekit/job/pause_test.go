package job_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/job"
)

func TestPauseEndsEveryJobsContextAtOnceAndWaitsForAll(t *testing.T) {
	for _, c := range []struct {
		name  string
		stop  func(*job.Runner) error
		cause error
		state lifecycle.State
	}{
		{"Pause", func(r *job.Runner) error { return r.Pause(bg) }, lifecycle.ErrPaused, lifecycle.Paused},
		{"Close", func(r *job.Runner) error { return r.Close(bg) }, lifecycle.ErrClosed, lifecycle.Closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := job.NewRunner(job.Config{})
				var mu sync.Mutex
				returned := 0
				begun := time.Now()
				for range 3 {
					begin(t, r, job.Job{Run: func(ctx context.Context) error {
						<-ctx.Done()
						wantIs(t, context.Cause(ctx), c.cause, "the cause says why the job is to stop")
						if time.Since(begun) != 0 {
							t.Error("the context did not end at once")
						}
						time.Sleep(2 * time.Second) // its own cleaning up
						mu.Lock()
						defer mu.Unlock()
						returned++
						return ctx.Err()
					}})
				}
				wantNil(t, c.stop(r), c.name)
				mu.Lock()
				defer mu.Unlock()
				if returned != 3 || time.Since(begun) != 2*time.Second {
					t.Errorf("%d of 3 jobs had returned after %v; all stop at the same time, and all are waited for", returned, time.Since(begun))
				}
				wantState(t, r, c.state, "everything has ended")
			})
		})
	}
}

func TestPauseDropsTheTimersOfJobsThatWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		h := begin(t, r, job.Job{Run: d.noting(nothing), Every: time.Second, First: time.Second})
		if next := h.Status().Next; !next.Equal(d.begun.Add(time.Second)) {
			t.Errorf("planned for %v, want one second after Start", next)
		}
		wantNil(t, r.Pause(bg), "Pause")
		time.Sleep(time.Minute)
		d.want(t, "a paused Runner starts nothing")
		if next := h.Status().Next; !next.IsZero() {
			t.Errorf("planned for %v while paused", next)
		}
	})
}

func TestPauseNamesTheJobsThatHaveNotReturned(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{Name: "notes jobs"})
		first, second := make(stubborn), make(stubborn)
		begin(t, r, job.Job{Name: "first", Run: first.run})
		begin(t, r, job.Job{Name: "good", Run: obedient})
		begin(t, r, job.Job{Name: "second", Run: second.run})
		begin(t, r, job.Job{Name: "waiting", Run: nothing, First: time.Hour})

		start := time.Now()
		err := r.Pause(bg)
		wantHeld(t, err, "first", "second")
		wantIs(t, err, context.DeadlineExceeded, "the time-out is the cause")
		if took := time.Since(start); took != lifecycle.DefaultTimeout {
			t.Errorf("took %v; without a deadline the time-out bounds it", took)
		}
		wantState(t, r, lifecycle.Pausing, "two jobs run")

		ctx, cancel := context.WithTimeout(bg, 7*time.Second)
		defer cancel()
		close(first)
		start = time.Now()
		wantHeld(t, r.Pause(ctx), "second")
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("took %v of the 7 s that the context gave", took)
		}
		ended, end := context.WithCancelCause(bg)
		cause := errors.New("no patience")
		end(cause)
		err = r.Pause(ended)
		wantIs(t, err, cause, "the context's cause is told")
		wantIs(t, err, context.Canceled, "and the context's error")

		time.AfterFunc(time.Second, func() { close(second) })
		wantNil(t, r.Pause(bg), "a later Pause, which waits for the rest")
		if h := r.Holders(); len(h) != 0 {
			t.Errorf("paused, and held by %v", h)
		}
	})
}

func TestPauseEndsByItselfAfterItsCallerLeft(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		s := make(stubborn)
		begin(t, r, job.Job{Run: s.run})
		ctx, cancel := context.WithCancel(bg)
		cancel()
		wantHeld(t, r.Pause(ctx), "job")
		close(s)
		synctest.Wait()
		wantState(t, r, lifecycle.Paused, "the last job has returned, and nobody needs to ask again")
	})
}

func TestResumeWaitsForNoStuckJob(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d, s := newDiary(), make(stubborn)
		stuck := begin(t, r, job.Job{Run: d.noting(func(ctx context.Context) error {
			select {
			case <-s: // released once and for all
				return obedient(ctx)
			default:
				return s.run(ctx)
			}
		})})
		other := newDiary()
		begin(t, r, job.Job{Name: "other", Run: other.noting(obedient)})
		paused := make(chan error, 1)
		go func() { paused <- r.Pause(bg) }()
		time.Sleep(time.Second)
		wantNil(t, r.Resume(bg), "Resume beside a stuck job")
		wantIs(t, <-paused, lifecycle.ErrSuperseded, "the overtaken Pause returns at once")
		if time.Since(d.begun) != time.Second {
			t.Errorf("after %v; neither call waits for the stuck job", time.Since(d.begun))
		}
		wantState(t, r, lifecycle.Active, "Resume returned nil")
		other.want(t, "a job that has stopped is started again by Resume", 0, 1)
		d.want(t, "a job never runs twice at a time", 0)
		time.Sleep(time.Second)
		close(s)
		d.want(t, "it starts again when its old run has ended", 0, 2)
		if d.most != 1 || !stuck.Status().Running {
			t.Errorf("ran %d times at a time; running now: %v", d.most, stuck.Status().Running)
		}
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestPauseWaitsForTheRunsOfAllLives(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		s := make(stubborn)
		begin(t, r, job.Job{Name: "old", Run: s.run})
		ended, cancel := context.WithCancel(bg)
		cancel()
		for range 3 {
			wantHeld(t, r.Pause(ended), "old")
			wantNil(t, r.Resume(bg), "Resume")
		}
		if h := r.Holders(); len(h) != 1 || h[0].Generation != 1 {
			t.Errorf("held by %v; the run belongs to the first life", h)
		}
		time.AfterFunc(time.Second, func() { close(s) })
		wantNil(t, r.Pause(bg), "a Pause that the old run ends in")
		wantState(t, r, lifecycle.Paused, "nothing runs")
	})
}

func TestPauseAndResumeAreIdempotent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{StartPaused: true})
		d := newDiary()
		begin(t, r, job.Job{Run: d.noting(obedient)})
		d.want(t, "a Runner that starts paused runs nothing")
		all := func(what string, f func(context.Context) error) {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { wantNil(t, f(bg), what) })
			}
			wg.Wait()
			wantNil(t, f(bg), what)
		}
		for range 3 {
			all("Pause", r.Pause)
			wantState(t, r, lifecycle.Paused, "Pause returned nil")
			all("Resume", r.Resume)
			wantState(t, r, lifecycle.Active, "Resume returned nil")
			synctest.Wait()
		}
		d.want(t, "a job runs once for every life, however many ask for that", 0, 0, 0)
		all("Close", r.Close)
		wantNil(t, r.Pause(bg), "Pause after Close")
		wantState(t, r, lifecycle.Closed, "closed is for good")
	})
}

func TestEndedContextResumesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		ended, cancel := context.WithCancel(bg)
		cancel()
		wantNil(t, r.Resume(ended), "Resume of what is active")
		wantNil(t, r.Pause(ended), "Pause with nothing to wait for")
		wantIs(t, r.Resume(ended), context.Canceled, "an error means that it is not active by this call")
		wantState(t, r, lifecycle.Paused, "Resume failed")
		wantNil(t, r.Close(ended), "Close of what is paused")
		wantState(t, r, lifecycle.Closed, "Close returned nil")
	})
}

func TestClosedRunnerRefusesWork(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		s := make(stubborn)
		h := begin(t, r, job.Job{Run: s.run})
		check := func() {
			t.Helper()
			_, err := r.Start(job.Job{Name: "late", Run: nothing})
			wantIs(t, err, lifecycle.ErrClosed, "Start after Close")
			wantIs(t, r.Resume(bg), lifecycle.ErrClosed, "Resume after Close")
			h.Now()
		}
		paused := make(chan error, 1)
		go func() { paused <- r.Pause(bg) }()
		synctest.Wait()
		ended, cancel := context.WithCancel(bg)
		cancel()
		wantHeld(t, r.Close(ended), "job")
		check() // from the first instruction of Close on
		wantState(t, r, lifecycle.Pausing, "a job runs")
		close(s)
		wantNil(t, <-paused, "a Pause that a Close has joined")
		wantState(t, r, lifecycle.Closed, "Close was called, and nothing runs any more")
		check()
		wantNil(t, h.Stop(bg), "Stop after Close")
		wantNil(t, r.Close(bg), "Close twice")
	})
}

func TestJobThatPausesItsOwnRunnerIsBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(ctx context.Context, r *job.Runner, h *job.Handle) error
	}{
		{"Pause", func(ctx context.Context, r *job.Runner, _ *job.Handle) error { return r.Pause(ctx) }},
		{"Close", func(ctx context.Context, r *job.Runner, _ *job.Handle) error { return r.Close(ctx) }},
		{"Stop", func(ctx context.Context, _ *job.Runner, h *job.Handle) error { return h.Stop(ctx) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := job.NewRunner(job.Config{})
				own := make(chan *job.Handle, 1)
				h := begin(t, r, job.Job{Run: func(ctx context.Context) error {
					h := <-own
					wantIs(t, c.call(ctx, r, h), lifecycle.ErrNested, "with the job's own context it can be told at once")
					wantNil(t, ctx.Err(), "a call that is refused does nothing")
					wantHeld(t, c.call(bg, r, h), "job")
					if ctx.Err() == nil {
						t.Error("the call with another context has told nobody")
					}
					return nil
				}})
				start := time.Now()
				own <- h
				synctest.Wait()
				longer, cancel := context.WithTimeout(bg, time.Minute)
				defer cancel()
				wantNil(t, r.Close(longer), "Close")
				if took := time.Since(start); took != lifecycle.DefaultTimeout {
					t.Errorf("the job waited for itself for %v, not for the time-out", took)
				}
			})
		})
	}
}

func TestContextOfARunThatIsOverIsNotNested(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		kept := make(chan context.Context, 1)
		begin(t, r, job.Job{Run: func(ctx context.Context) error { kept <- ctx; return nil }})
		ctx := <-kept
		synctest.Wait()
		wantIs(t, ctx.Err(), context.Canceled, "the context ends with its run")
		wantNil(t, r.Pause(context.WithoutCancel(ctx)), "Pause from what the job left behind")
	})
}

func TestSequenceStopsJobsBeforeTheirStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		app := lifecycle.Sequence(r, lifecycle.Func{
			PauseFunc:  func(context.Context) error { note("store pauses"); return nil },
			ResumeFunc: func(context.Context) error { note("store resumes"); return nil },
		})
		begin(t, r, job.Job{Run: func(ctx context.Context) error {
			note("job starts")
			<-ctx.Done()
			time.Sleep(time.Second)
			note("job ends")
			return nil
		}})
		wantNil(t, app.Pause(bg), "Pause")
		wantNil(t, app.Resume(bg), "Resume")
		synctest.Wait()
		wantNil(t, app.Pause(bg), "Pause")
		want := []string{"job starts", "job ends", "store pauses", "store resumes", "job starts", "job ends", "store pauses"}
		mu.Lock()
		defer mu.Unlock()
		if len(order) != len(want) {
			t.Fatalf("%q", order)
		}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("%q; jobs run only while their store does", order)
			}
		}
	})
}

func TestGroupNamesTheJobThatKeepsItFromPausing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{Name: "notes jobs"})
		s := make(stubborn)
		begin(t, r, job.Job{Name: "vacuum", Run: s.run})
		app := lifecycle.Sequence(r)
		err := app.Pause(bg)
		var member *lifecycle.MemberError
		if !errors.As(err, &member) || member.Member != "notes jobs" {
			t.Errorf("got %v; the group's error names the Runner", err)
		}
		wantHeld(t, err, "vacuum")
		if h := app.Holders(); len(h) != 1 || h[0].Label != "vacuum" {
			t.Errorf("the group shows %v; it asks the Runner for its holders", h)
		}
		close(s)
		wantNil(t, app.Pause(bg), "a later Pause")
	})
}

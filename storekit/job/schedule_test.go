package job_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/job"
)

func TestPeriodicJobRunsSoLongAfterItsLastEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		begin(t, r, job.Job{First: 3 * time.Second, Every: 10 * time.Second, Run: d.noting(func(context.Context) error {
			time.Sleep(2 * time.Second)
			return nil
		})})
		time.Sleep(30 * time.Second)
		d.want(t, "the first run comes after First, every other one Every after the end of the one before", 3, 15, 27)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestJobWithoutEveryRunsOncePerLife(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		begin(t, r, job.Job{Run: d.noting(nothing)})
		time.Sleep(time.Hour)
		d.want(t, "a run that returned nil is done for this life", 0)
		wantNil(t, r.Pause(bg), "Pause")
		time.Sleep(time.Hour)
		wantNil(t, r.Resume(bg), "Resume")
		time.Sleep(time.Hour)
		d.want(t, "it runs again in the next life", 0, 7200)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestIntervalThatRanOutWhilePausedFiresOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		paused time.Duration
		want   []float64
		why    string
	}{
		{"not yet", 4 * time.Second, []float64{0, 10, 20}, "the interval goes on while the Runner is paused, as if nothing had happened"},
		{"once", 12 * time.Second, []float64{0, 14, 24}, "what was due while paused runs at Resume, and then Every after that"},
		{"often", 100 * time.Second, []float64{0, 102, 112}, "however many intervals ran out, it runs once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := job.NewRunner(job.Config{})
				d := newDiary()
				begin(t, r, job.Job{Every: 10 * time.Second, Run: d.noting(nothing)})
				time.Sleep(2 * time.Second)
				wantNil(t, r.Pause(bg), "Pause")
				time.Sleep(c.paused)
				wantNil(t, r.Resume(bg), "Resume")
				time.Sleep(time.Duration(c.want[2])*time.Second - time.Since(d.begun))
				d.want(t, c.why, c.want...)
				wantNil(t, r.Close(bg), "Close")
			})
		})
	}
}

func TestFirstGoesOnWhilePaused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{StartPaused: true})
		early, late, loop := newDiary(), newDiary(), newDiary()
		begin(t, r, job.Job{First: 5 * time.Second, Every: time.Hour, Run: early.noting(nothing)})
		begin(t, r, job.Job{First: 15 * time.Second, Every: time.Hour, Run: late.noting(nothing)})
		begin(t, r, job.Job{First: 15 * time.Second, Run: loop.noting(nothing)})
		time.Sleep(10 * time.Second)
		wantNil(t, r.Resume(bg), "Resume")
		time.Sleep(time.Minute)
		early.want(t, "First ran out while paused", 10)
		late.want(t, "First counts from Start, not from Resume", 15)
		loop.want(t, "First counts from Start, not from Resume", 15)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestPeriodicJobsThatAreDueAtResumeStartOneAfterAnother(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d, loop := newDiary(), newDiary()
		for range 3 {
			begin(t, r, job.Job{Every: time.Second, Run: d.noting(nothing)})
		}
		begin(t, r, job.Job{Run: loop.noting(nothing)})
		wantNil(t, r.Pause(bg), "Pause")
		time.Sleep(time.Second)
		wantNil(t, r.Resume(bg), "Resume")
		time.Sleep(500 * time.Millisecond)
		d.want(t, "they do not all start at the instant of Resume", 0, 0, 0, 1, 1.02, 1.04)
		loop.want(t, "a job that runs once per life does not stand behind them", 0, 1)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestJobThatWasCutShortRunsAgainSoonAfterResume(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		cut, done := newDiary(), newDiary()
		a := begin(t, r, job.Job{Every: time.Hour, Run: cut.noting(obedient)})
		b := begin(t, r, job.Job{Every: time.Hour, Run: done.noting(func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})})
		time.Sleep(time.Second)
		wantNil(t, r.Pause(bg), "Pause")
		for _, h := range []*job.Handle{a, b} {
			if s := h.Status(); s.Failures != 0 || s.Runs != 1 {
				t.Errorf("%+v; a run that ended because of the pause has not failed", s)
			}
		}
		wantNil(t, r.Resume(bg), "Resume")
		time.Sleep(time.Minute)
		cut.want(t, "it said by an error that its work is not done", 0, 1)
		done.want(t, "it said by nil that its work is done", 0)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestNowRunsAtOnceAndIsCoalesced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		h := begin(t, r, job.Job{First: time.Hour, Every: time.Hour, Run: d.noting(func(context.Context) error {
			time.Sleep(2 * time.Second)
			return nil
		})})
		now := func() {
			for range 5 {
				h.Now()
			}
		}
		now()
		time.Sleep(time.Second)
		d.want(t, "several calls make one run", 0)
		now()
		time.Sleep(10 * time.Second)
		d.want(t, "calls during a run make one more run after it", 0, 2)
		time.Sleep(4*time.Second + time.Hour)
		d.want(t, "Every counts from the end of the last run", 0, 2, 3604)
		wantNil(t, r.Pause(bg), "Pause")
		now()
		time.Sleep(time.Second)
		d.want(t, "while paused nothing runs", 0, 2, 3604)
		at := time.Since(d.begun).Seconds()
		wantNil(t, r.Resume(bg), "Resume")
		time.Sleep(time.Minute)
		d.want(t, "what was asked for while paused runs at Resume", 0, 2, 3604, at)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestNowDuringARunThatAPauseEndsIsNotForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		h := begin(t, r, job.Job{Every: time.Hour, Run: d.noting(func(context.Context) error {
			time.Sleep(2 * time.Second)
			return nil
		})})
		h.Now()
		wantNil(t, r.Pause(bg), "Pause")
		wantNil(t, r.Resume(bg), "Resume")
		time.Sleep(time.Minute)
		d.want(t, "Now was called after the first run had begun", 0, 2)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestNowRepeatsAJobThatIsDoneForThisLife(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		h := begin(t, r, job.Job{Run: d.noting(nothing)})
		time.Sleep(time.Second)
		h.Now()
		d.want(t, "Now runs it whatever it has done", 0, 1)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestStopTakesTheJobOutAndWaitsForItsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		h := begin(t, r, job.Job{Every: time.Second, Run: d.noting(func(ctx context.Context) error {
			<-ctx.Done()
			wantIs(t, context.Cause(ctx), job.ErrStopped, "the cause says why the job is to stop")
			time.Sleep(2 * time.Second)
			return nil
		})})
		waiting := begin(t, r, job.Job{First: time.Second, Run: d.noting(nothing)})
		wantNil(t, waiting.Stop(bg), "Stop of a job that waits")
		wantNil(t, h.Stop(bg), "Stop of a job that runs")
		if took := time.Since(d.begun); took != 2*time.Second {
			t.Errorf("Stop took %v; the job needed 2 s to return", took)
		}
		h.Now()
		wantNil(t, h.Stop(bg), "Stop twice")
		wantNil(t, r.Pause(bg), "Pause")
		wantNil(t, r.Resume(bg), "Resume")
		h.Now()
		time.Sleep(time.Minute)
		d.want(t, "a job that was taken out never runs again", 0)
		if s := h.Status(); s.Running || s.Runs != 1 || s.Failures != 0 || !s.Next.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

func TestJobThatDoesNotStopIsStillWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{Timeout: time.Second})
		s := make(stubborn)
		begin(t, r, job.Job{Name: "other", Run: nothing, Every: time.Minute})
		h := begin(t, r, job.Job{Name: "stuck", Run: s.run})
		start := time.Now()
		wantHeld(t, h.Stop(bg), "stuck")
		if took := time.Since(start); took != time.Second {
			t.Errorf("Stop took %v; the Runner's Timeout bounds it", took)
		}
		wantHeld(t, r.Pause(bg), "stuck")
		close(s)
		wantNil(t, h.Stop(bg), "a later Stop")
		synctest.Wait()
		wantState(t, r, lifecycle.Paused, "the pause has run to its end")
	})
}

func TestJobThatIsDoneIsTakenOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		h := begin(t, r, job.Job{Every: time.Second, Run: d.noting(func(context.Context) error {
			if len(d.runs) == 2 {
				return errors.Join(errors.New("all rows are moved"), job.ErrDone)
			}
			return nil
		})})
		time.Sleep(time.Minute)
		wantNil(t, r.Pause(bg), "Pause")
		wantNil(t, r.Resume(bg), "Resume")
		h.Now()
		time.Sleep(time.Minute)
		d.want(t, "ErrDone takes the job out for ever", 0, 1)
		if s := h.Status(); s.Failures != 0 || !errors.Is(s.Err, job.ErrDone) {
			t.Errorf("%+v; ErrDone is no failure", s)
		}
		wantNil(t, h.Stop(bg), "Stop of a job that is done")
	})
}

func TestStartInsideAJob(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		begin(t, r, job.Job{Run: func(context.Context) error {
			_, err := r.Start(job.Job{Name: "inner", Run: d.noting(nothing)})
			return err
		}})
		d.want(t, "jobs can start jobs", 0)
	})
}

func TestJobsThatCannotBeAreRefused(t *testing.T) {
	good := job.Job{Name: "job", Run: nothing}
	for field, spoil := range map[string]func(*job.Job){
		"Name":       func(j *job.Job) { j.Name = "" },
		"Run":        func(j *job.Job) { j.Run = nil },
		"Every":      func(j *job.Job) { j.Every = -1 },
		"First":      func(j *job.Job) { j.First = -1 },
		"RetryAfter": func(j *job.Job) { j.RetryAfter = -1 },
		"RetryLimit": func(j *job.Job) { j.RetryLimit = -1 },
	} {
		j := good
		spoil(&j)
		h, err := job.NewRunner(job.Config{}).Start(j)
		var bad *lifecycle.ConfigError
		if h != nil || !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("got %v; the error names the field %s", err, field)
		}
	}
}

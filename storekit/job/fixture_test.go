package job_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// inBubble runs a case with exact time. A goroutine or a timer that the Runner
// left would keep the bubble from its end.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// diary is a job that notes when it runs, in time since the diary was begun.
type diary struct {
	mu    sync.Mutex
	begun time.Time
	runs  []time.Duration
	now   int // runs at this moment
	most  int
}

func newDiary() *diary { return &diary{begun: time.Now()} }

func (d *diary) enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs = append(d.runs, time.Since(d.begun))
	d.now++
	d.most = max(d.most, d.now)
}

func (d *diary) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now--
}

// noting returns a Run that is noted and then does f.
func (d *diary) noting(f func(ctx context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		d.enter()
		defer d.leave()
		return f(ctx)
	}
}

func (d *diary) want(t *testing.T, why string, seconds ...float64) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	var got []float64
	for _, r := range d.runs {
		got = append(got, r.Seconds())
	}
	if !slices.Equal(got, seconds) {
		t.Errorf("ran at %v s, want %v s: %s", got, seconds, why)
	}
}

func nothing(context.Context) error { return nil }

// obedient runs until its context ends.
func obedient(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// stubborn runs until it is released, whatever happens to its context.
type stubborn chan struct{}

func (s stubborn) run(context.Context) error { <-s; return nil }

func begin(t *testing.T, r *job.Runner, j job.Job) *job.Handle {
	t.Helper()
	if j.Name == "" {
		j.Name = "job"
	}
	h, err := r.Start(j)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	synctest.Wait()
	return h
}

func wantNil(t *testing.T, err error, what string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func wantIs(t *testing.T, err, target error, why string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got %v, want %v: %s", err, target, why)
	}
}

func wantState(t *testing.T, r *job.Runner, want lifecycle.State, why string) {
	t.Helper()
	if got := r.State(); got != want {
		t.Errorf("the state is %v, want %v: %s", got, want, why)
	}
}

// wantHeld checks that err names exactly these jobs.
func wantHeld(t *testing.T, err error, labels ...string) {
	t.Helper()
	var held *lifecycle.HeldError
	if !errors.As(err, &held) {
		t.Fatalf("got %v; a call whose time ends before the jobs have returned gives a HeldError", err)
	}
	var got []string
	for _, h := range held.Holders {
		got = append(got, h.Label)
		if h.Store != held.Store || h.Since.IsZero() || h.Held != time.Since(h.Since) || !h.Interrupted {
			t.Errorf("the holder %+v does not say whose it is, since when, or that it was told to stop", h)
		}
	}
	if !slices.Equal(got, labels) || held.Step != lifecycle.StepDrain {
		t.Errorf("held by %q at step %q; the jobs %q have not returned", got, held.Step, labels)
	}
}

package job_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/job"
)

// storm is what random calls from many goroutines are checked against.
type storm struct {
	t       *testing.T
	r       *job.Runner
	running atomic.Int64  // runs at this moment
	resumes atomic.Uint64 // that have been begun
	resumed atomic.Uint64 // that have ended
	mu      sync.Mutex
	handles []*job.Handle
}

// calm is called after a Pause that began when so many Resumes had ended, and returned nil. One
// that had been begun then, and not ended, may have come after the Pause.
func (s *storm) calm(before uint64) {
	running := s.running.Load()
	if s.resumes.Load() == before && running != 0 { // in this order: no Resume had begun when the runs were counted
		s.t.Errorf("%d runs after Pause had returned nil, and no Resume was called since", running)
	}
}

// job makes a job that behaves in one of many ways.
func (s *storm) job(rnd *rand.Rand, name string) job.Job {
	var here atomic.Int64
	seed := rnd.Uint64()
	var runs atomic.Uint64
	run := func(ctx context.Context) error {
		s.running.Add(1)
		defer s.running.Add(-1)
		if here.Add(1) != 1 {
			s.t.Error("two runs of one job at a time")
		}
		defer here.Add(-1)
		rnd := rand.New(rand.NewPCG(seed, runs.Add(1)))
		wait := time.Duration(rnd.IntN(3000)) * time.Microsecond
		if rnd.IntN(3) == 0 { // looks at nothing
			time.Sleep(wait)
		} else {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		switch rnd.IntN(12) {
		case 0:
			panic("ouch")
		case 1:
			runtime.Goexit()
		case 2:
			return job.ErrDone
		case 3, 4:
			return errOuch
		case 5:
			wantIs(s.t, s.r.Pause(ctx), lifecycle.ErrNested, "Pause by a job")
		}
		return ctx.Err()
	}
	every := time.Duration(rnd.IntN(3)) * time.Millisecond
	return job.Job{Name: name, Run: run, Every: every, First: time.Duration(rnd.IntN(3)) * time.Millisecond, RetryAfter: time.Millisecond}
}

func (s *storm) pick(rnd *rand.Rand) *job.Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.handles) == 0 {
		return nil
	}
	return s.handles[rnd.IntN(len(s.handles))]
}

// call does something at random.
func (s *storm) call(rnd *rand.Rand, name string) {
	ctx, cancel := context.WithTimeout(bg, time.Duration(rnd.IntN(6000))*time.Microsecond)
	defer cancel()
	what, h := rnd.IntN(12), s.pick(rnd)
	switch {
	case what < 3:
		before := s.resumed.Load()
		switch err := s.r.Pause(ctx); {
		case err == nil:
			s.calm(before)
		case !errors.Is(err, lifecycle.ErrSuperseded) && !errors.Is(err, context.DeadlineExceeded):
			s.t.Errorf("Pause: %v; it may be overtaken, or out of time", err)
		}
	case what < 6:
		s.resumes.Add(1)
		wantNil(s.t, s.r.Resume(bg), "Resume")
		s.resumed.Add(1)
	case h == nil, what < 8:
		h, err := s.r.Start(s.job(rnd, name))
		wantNil(s.t, err, "Start")
		s.mu.Lock()
		defer s.mu.Unlock()
		s.handles = append(s.handles, h)
	case what < 10:
		h.Now()
	case what < 11:
		if err := h.Stop(ctx); err == nil && h.Status().Running {
			s.t.Error("a job runs after Stop had returned nil")
		}
	default:
		for _, h := range s.r.Holders() {
			if h.Label == "" || h.Held < 0 {
				s.t.Errorf("the holder %v does not say which job it is", h)
			}
		}
	}
}

func (s *storm) blow(seed uint64, callers, calls int) {
	var wg sync.WaitGroup
	for i := range callers {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for n := range calls {
				s.call(rnd, fmt.Sprintf("job %d of %d", n, i))
				time.Sleep(time.Duration(rnd.IntN(500)) * time.Microsecond)
			}
		})
	}
	wg.Wait()
	wantNil(s.t, s.r.Close(bg), "Close")
	if n := s.running.Load(); n != 0 {
		s.t.Errorf("%d runs after Close had returned nil", n)
	}
	wantState(s.t, s.r, lifecycle.Closed, "Close returned nil")
}

// TestStormNeverRunsAJobTwiceNorWhilePaused has everything that a Runner can be
// asked for come at random, in time that passes by itself only.
func TestStormNeverRunsAJobTwiceNorWhilePaused(t *testing.T) {
	rounds := tier.Count(40, 1000, 20_000)
	for seed := uint64(0); seed < uint64(rounds) && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			(&storm{t: t, r: job.NewRunner(job.Config{})}).blow(seed, 8, 50)
		})
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}
}

// TestStormInRealTime is the same with goroutines that really run beside each other.
func TestStormInRealTime(t *testing.T) {
	for seed := range uint64(tier.Count(2, 20, 500)) {
		(&storm{t: t, r: job.NewRunner(job.Config{})}).blow(seed, 8, 100)
	}
}

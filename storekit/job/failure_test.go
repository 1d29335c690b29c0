package job_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/job"
)

var errOuch = errors.New("ouch")

func fails(context.Context) error { return errOuch }

func TestFailureIsRepeatedAfterABackOff(t *testing.T) {
	for _, c := range []struct {
		name   string
		job    job.Job
		during time.Duration
		want   []float64
		why    string
	}{
		{"default", job.Job{}, 20 * time.Minute,
			[]float64{0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111}, "it begins with 1 s and doubles up to 5 min"},
		{"own", job.Job{RetryAfter: 2 * time.Second, RetryLimit: 5 * time.Second}, 20 * time.Second,
			[]float64{0, 2, 6, 11, 16}, "the job says where it begins and ends"},
		{"periodic", job.Job{Every: 3 * time.Second}, 12 * time.Second,
			[]float64{0, 1, 3, 6, 9, 12}, "a periodic job that fails does not run less often than one that does not"},
		{"short interval", job.Job{Every: time.Second / 2}, time.Second,
			[]float64{0, 0.5, 1}, "nor does one with a shorter interval than the back-off"},
		{"long", job.Job{RetryAfter: 10 * time.Minute}, 20 * time.Minute,
			[]float64{0, 600, 1200}, "a longer back-off than the default's limit stays as it is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := job.NewRunner(job.Config{})
				d := newDiary()
				c.job.Run = d.noting(fails)
				h := begin(t, r, c.job)
				time.Sleep(c.during)
				d.want(t, c.why, c.want...)
				if s := h.Status(); s.Failures != uint64(len(c.want)) || s.Err != errOuch { //nolint:errorlint // as it was returned
					t.Errorf("%+v; every run has failed", s)
				}
				wantNil(t, r.Close(bg), "Close")
			})
		})
	}
}

func TestSuccessEndsTheBackOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		results := []error{errOuch, errOuch, nil, errOuch, nil}
		begin(t, r, job.Job{Every: 10 * time.Second, Run: d.noting(func(context.Context) error {
			err := results[0]
			results = results[1:]
			return err
		})})
		time.Sleep(14 * time.Second)
		d.want(t, "after a success it begins anew", 0, 1, 3, 13, 14)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestBackOffDoesNotOutliveThePause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d := newDiary()
		h := begin(t, r, job.Job{Run: d.noting(fails)})
		time.Sleep(20 * time.Second)
		d.want(t, "the back-off has grown", 0, 1, 3, 7, 15)
		wantNil(t, r.Pause(bg), "Pause")
		wantNil(t, r.Resume(bg), "Resume")
		time.Sleep(2 * time.Second)
		d.want(t, "what failed in the last life is tried at once in the next, with a back-off that begins anew", 0, 1, 3, 7, 15, 20, 21)
		h.Now()
		d.want(t, "Now waits for no back-off", 0, 1, 3, 7, 15, 20, 21, 22)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestFailureOfAnOldRunDoesNotDelayTheNewLife(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := job.NewRunner(job.Config{})
		d, s := newDiary(), make(stubborn)
		begin(t, r, job.Job{Run: d.noting(func(ctx context.Context) error {
			if len(d.runs) == 4 {
				_ = s.run(ctx)
				panic("ouch")
			}
			return errOuch
		})})
		time.Sleep(8 * time.Second)
		ended, cancel := context.WithCancel(bg)
		cancel()
		wantHeld(t, r.Pause(ended), "job")
		wantNil(t, r.Resume(bg), "Resume")
		close(s)
		time.Sleep(3 * time.Second)
		d.want(t, "the back-off begins anew with the life", 0, 1, 3, 7, 8, 9, 11)
		wantNil(t, r.Close(bg), "Close")
	})
}

func TestJobThatLeavesHarmsNobody(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func()
		value any
	}{
		{"panic", func() { panic("ouch") }, "ouch"},
		{"panic with an error", func() { panic(errOuch) }, errOuch},
		{"Goexit", runtime.Goexit, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var events []job.Event
				r := job.NewRunner(job.Config{Observer: func(e job.Event) { events = append(events, e) }})
				d := newDiary()
				h := begin(t, r, job.Job{Run: d.noting(func(ctx context.Context) error {
					if len(d.runs) > 1 {
						<-ctx.Done()
					}
					c.leave()
					return nil
				})})
				time.Sleep(2 * time.Second)
				d.want(t, "it is a failure, and repeated after the back-off", 0, 1)
				wantNil(t, r.Pause(bg), "Pause")
				if s := h.Status(); s.Failures != 2 || s.Runs != 2 || s.Running {
					t.Errorf("%+v; it is a failure even after the job was told to stop", s)
				}
				for _, e := range events {
					var p *lifecycle.PanicError
					panicked := errors.As(e.Err, &p)
					switch {
					case !e.Failed || e.Err == nil:
						t.Errorf("%+v: a failure is told", e)
					case c.value == nil && (panicked || !strings.Contains(e.Err.Error(), "Goexit")):
						t.Errorf("%v: Goexit is told as such", e.Err)
					case c.value != nil && (!panicked || p.Value != c.value || !bytes.Contains(p.Stack, []byte("failure_test"))):
						t.Errorf("%v: the panic's value and stack are told", e.Err)
					}
				}
				if len(events) != 2 {
					t.Errorf("told of %d runs of 2", len(events))
				}
			})
		})
	}
}

func TestObserverThatLeavesHarmsNobody(t *testing.T) {
	for how, leave := range map[string]func(){"panic": func() { panic("ouch") }, "Goexit": runtime.Goexit} {
		for what, run := range map[string]func(){"return": func() {}, "panic": func() { panic("job") }, "Goexit": runtime.Goexit} {
			t.Run(how+" after "+what, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					told := 0
					r := job.NewRunner(job.Config{Observer: func(job.Event) { told++; leave() }})
					begin(t, r, job.Job{Every: time.Second, Run: func(context.Context) error { run(); return nil }})
					time.Sleep(5 * time.Second)
					wantNil(t, r.Close(bg), "Close")
					if told < 5 {
						t.Errorf("told of %d runs; the job goes on", told)
					}
				})
			})
		}
	}
}

func TestObserverIsToldOfEveryRunBeforePauseReturns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var events []job.Event
		r := job.NewRunner(job.Config{Name: "notes jobs", Observer: func(e job.Event) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		}})
		start := time.Now()
		begin(t, r, job.Job{Name: "loop", Run: obedient})
		time.Sleep(2 * time.Second)
		wantNil(t, r.Pause(bg), "Pause")
		mu.Lock()
		defer mu.Unlock()
		want := job.Event{Runner: "notes jobs", Job: "loop", Start: start, Took: 2 * time.Second, Err: lifecycle.ErrPaused}
		if len(events) != 1 || events[0] != want {
			t.Errorf("told %+v, want %+v; a run is over when the Observer knows", events, want)
		}
	})
}

func TestSlogObserverTellsFailuresFromTheRest(t *testing.T) {
	for _, c := range []struct {
		event job.Event
		want  []string
	}{
		{job.Event{Runner: "r", Job: "j", Took: time.Second}, []string{"level=DEBUG", "runner=r", "job=j", "took=1s"}},
		{job.Event{Err: lifecycle.ErrPaused}, []string{"level=DEBUG", `error="the store is paused"`}},
		{job.Event{Err: errOuch, Failed: true}, []string{"level=ERROR", "error=ouch"}},
	} {
		var out bytes.Buffer
		job.SlogObserver(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))(c.event)
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the record %q lacks %s", out.String(), want)
			}
		}
	}
}

func TestWhatAJobAsksOfAStoreCarriesItsName(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, err := lifecycle.Open(bg, lifecycle.Driver[*int](numbers{}), lifecycle.Config[*int]{})
		wantNil(t, err, "Open")
		r := job.NewRunner(job.Config{})
		begin(t, r, job.Job{Name: "vacuum", Run: func(ctx context.Context) error {
			return s.Write(ctx, func(*int) error {
				if h := s.Holders(); len(h) != 1 || h[0].Label != "vacuum" {
					t.Errorf("the store names %v; an operation of a job has the job's name", h)
				}
				return nil
			})
		}})
		wantNil(t, lifecycle.Sequence(r, s).Pause(bg), "Pause")
		wantNil(t, s.Close(bg), "Close")
	})
}

// numbers is the smallest driver.
type numbers struct{}

func (numbers) Open(context.Context, lifecycle.OpenInfo) (*int, error) { return new(int), nil }
func (numbers) Interrupt(*int)                                         {}
func (numbers) Reset(*int) error                                       { return nil }
func (numbers) Close(*int) error                                       { return nil }

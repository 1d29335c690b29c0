package job

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Config says how a Runner behaves. The zero value is usable.
type Config struct {
	// Name is the Runner's name in errors and events. Default "jobs".
	Name string

	// Timeout bounds a Pause, a Close and a Handle's Stop whose context has
	// no deadline. Default lifecycle.DefaultTimeout.
	Timeout time.Duration

	// StartPaused starts no job before the first Resume.
	StartPaused bool

	// Observer is told of every run that has ended, with no lock held, on the
	// goroutine of that run: of several jobs at the same time. A pause waits
	// for it, so one that waits for a Pause waits for itself. A panic in it is
	// ignored. It may be nil.
	Observer func(Event)
}

// Runner runs jobs while it is active. All its methods may be called from any
// number of goroutines. A Runner with nothing to run has no goroutine; a job
// that waits for its time has a timer, one that runs has a goroutine.
type Runner struct {
	cfg Config

	mu     sync.Mutex
	state  lifecycle.State
	closed bool      // Close was called
	life   uint64    // grows with every Resume
	jobs   []*Handle // in the order of Start, until they are taken out and have returned
	busy   int       // timers that are set and runs that have not ended: what a pause waits for
	stop   *stop     // while the state is Pausing
}

// stop is one pause, which any number of callers wait for.
type stop struct {
	done       chan struct{} // closed when nothing runs any more
	superseded chan struct{} // closed by a Resume
}

// NewRunner makes a Runner without jobs. It is active, unless it is to start paused.
func NewRunner(cfg Config) *Runner {
	if cfg.Name == "" {
		cfg.Name = "jobs"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = lifecycle.DefaultTimeout
	}
	r := &Runner{cfg: cfg, life: 1}
	if cfg.StartPaused {
		r.state = lifecycle.Paused
	}
	return r
}

// Start adds a job, which runs when it is due and the Runner is active. The
// error is a *lifecycle.ConfigError for a job that cannot be, and matches
// lifecycle.ErrClosed after Close.
func (r *Runner) Start(j Job) (*Handle, error) {
	j, err := j.withDefaults()
	if err != nil {
		return nil, r.refused("start", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, r.refused("start", lifecycle.ErrClosed)
	}
	h := &Handle{r: r, job: j, due: time.Now().Add(j.First), gone: make(chan struct{})}
	r.jobs = append(r.jobs, h)
	if r.state == lifecycle.Active {
		h.arm()
	}
	return h, nil
}

// Name returns the Runner's name.
func (r *Runner) Name() string { return r.cfg.Name }

// State returns the state at this moment: active, pausing, paused or closed. A Resume takes no time.
func (r *Runner) State() lifecycle.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Holders lists the jobs that run, in the order of Start. Label is the job's
// name, the role is lifecycle.Foreign, Generation is the life that the run
// began in, and Interrupted says that its context has ended.
func (r *Runner) Holders() []lifecycle.Holder {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holders()
}

func (r *Runner) holders() []lifecycle.Holder {
	var holders []lifecycle.Holder
	now := time.Now()
	for _, h := range r.jobs {
		if h.run != nil {
			holders = append(holders, h.holder(now))
		}
	}
	return holders
}

// remove takes a job out that was stopped and does not run. It is called under the mutex.
func (r *Runner) remove(h *Handle) {
	r.jobs = slices.DeleteFunc(r.jobs, func(o *Handle) bool { return o == h })
	close(h.gone)
}

func (r *Runner) refused(op string, err error) error {
	return &lifecycle.StateError{Store: r.cfg.Name, Op: op, Err: err}
}

// nested tells whether ctx is that of a run, of h where one is given, which has not ended.
func (r *Runner) nested(ctx context.Context, h *Handle) bool {
	n, ok := ctx.Value(runKey{}).(*run)
	return ok && n.h.r == r && n.h.run == n && (h == nil || n.h == h)
}

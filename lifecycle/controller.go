package lifecycle

import (
	"context"
	"errors"
	"time"
)

// ControllerConfig says how a Controller behaves. The zero value is usable.
type ControllerConfig struct {
	// Name is the controller's name in errors and events. Default "controller".
	Name string

	// Timeout bounds a Pause, a Resume and a Hold whose context has no deadline. Default 5 s.
	Timeout time.Duration

	// Grace is how long an explicit Pause lets leases be held before it ends
	// their contexts; it never exceeds four fifths of the time that the Pause
	// has. The default is half of Timeout.
	Grace time.Duration

	// LeaseTTL is after how long a forgotten lease counts as released. Default 30 s.
	LeaseTTL time.Duration

	// RetryLimit is the longest that the Controller waits between two attempts
	// of a Pause that failed. It begins with 10 ms and doubles. Default 1 s.
	RetryLimit time.Duration

	// Observer is told of every change of state. It may be nil.
	Observer Observer
}

// Controller drives a Pausable to the state that was asked for last.
//
// Pause and Resume say what is wanted and wait, under their own contexts. A
// Pause that failed is asked again, with back-off, until it succeeds or
// something else is wanted; its caller has got the error meanwhile. A Resume
// that failed is not retried by itself. Hold resumes for a while, without
// changing what is wanted.
//
// The Pausable must be driven through the Controller only. A Controller at rest has no goroutine; leases have a timer each.
type Controller struct {
	engine
	p   Pausable
	cfg ControllerConfig

	// Guarded by engine.mu.
	known  bool // p is as state says
	intent goal // toActive or toPaused: what the callers of Pause and Resume want
	leases map[*Lease]struct{}
	asking int           // Holds that wait
	freed  chan struct{} // closed when the last lease is released; nil while nobody waits
	tries  int           // of a Pause that failed
}

// NewController makes a Controller for p with the default configuration. What state p is in does not matter.
func NewController(p Pausable) *Controller { return ControllerConfig{}.NewController(p) }

// NewController makes a Controller for p. What state p is in does not matter:
// the first Pause or Resume goes through to it.
func (c ControllerConfig) NewController(p Pausable) *Controller {
	if c.Name == "" {
		c.Name = "controller"
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Grace <= 0 {
		c.Grace = c.Timeout / 2
	}
	if c.LeaseTTL <= 0 {
		c.LeaseTTL = 30 * time.Second
	}
	if c.RetryLimit <= 0 {
		c.RetryLimit = time.Second
	}
	return &Controller{p: p, cfg: c}
}

// Pause makes paused the wanted state and waits for it. Leases are treated as
// work in flight: after the grace their contexts end, and the Pausable is
// paused when all are released or expired. When its time ends first, Pause
// returns a *HeldError with the leases and holders; the Controller goes on.
func (c *Controller) Pause(ctx context.Context) error {
	return c.call(ctx, (*controllerMover)(c), toPaused, c.cfg.Timeout, c.left)
}

// Resume makes active the wanted state and waits for it.
func (c *Controller) Resume(ctx context.Context) error {
	return c.call(ctx, (*controllerMover)(c), toActive, c.cfg.Timeout, c.left)
}

// Name returns the controller's name.
func (c *Controller) Name() string { return c.cfg.Name }

// Holders lists what the Pausable says of the operations that run in it.
func (c *Controller) Holders() []Holder { return holdersOf(c.p) }

func (c *Controller) left(r *run, cause error) error {
	c.mu.Lock()
	resuming, step, seen := r.goal != toPaused, r.step, r.seen
	var leases []LeaseInfo
	for l := range c.leases {
		leases = append(leases, l.info())
	}
	c.mu.Unlock()
	if resuming {
		return &StateError{c.cfg.Name, "resume", cause}
	}
	if step != StepLeases {
		step = StepMembers
	}
	if seen != nil {
		cause = errors.Join(cause, seen)
	}
	return &HeldError{Store: c.cfg.Name, Step: step, Holders: c.Holders(), Leases: leases, Cause: cause}
}

// controllerMover is Controller as the engine sees it.
type controllerMover Controller

// settled also notes what is wanted: it is the first thing that a call does under the mutex.
func (m *controllerMover) settled(g goal) (bool, error) {
	c := (*Controller)(m)
	if g != toHeld {
		c.intent = g
	}
	return c.run == nil && c.known && c.state == target(g), nil
}

func (m *controllerMover) begun(r *run) {
	c := (*Controller)(m)
	c.known = false
	if r.goal == toPaused {
		c.setState(Pausing)
	} else {
		c.tries = 0
		c.setState(Resuming)
	}
}

func (m *controllerMover) drive(r *run) error {
	c := (*Controller)(m)
	ctx, cancel := r.context()
	defer cancel()
	if r.goal != toPaused {
		ctx, cancel := c.within(ctx, r)
		defer cancel()
		return c.ask(ctx, Pausable.Resume)
	}
	if err := c.awaitRetry(r); err != nil {
		return err
	}
	if err := c.awaitLeases(r); err != nil {
		return err
	}
	ctx, cancel = c.within(ctx, r)
	defer cancel()
	return c.ask(ctx, Pausable.Pause)
}

func (c *Controller) ask(ctx context.Context, call func(Pausable, context.Context) error) error {
	if c.p == nil {
		return &ConfigError{"Pausable", "is nil"}
	}
	return guard(func() error { return call(c.p, ctx) })
}

// within hands the callers' earliest deadline down, where there is one.
func (c *Controller) within(ctx context.Context, r *run) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.deadline)
}

// awaitRetry spaces the attempts of a Pause that failed. Somebody who asks again ends the wait.
func (c *Controller) awaitRetry(r *run) error {
	c.mu.Lock()
	tries, asked := c.tries, r.waiters > 0
	c.mu.Unlock()
	if tries == 0 || asked {
		return nil
	}
	wait := min(10*time.Millisecond<<min(tries-1, 20), c.cfg.RetryLimit)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case <-r.hurry:
	case <-timer.C:
	}
	return nil
}

// awaitLeases waits until no lease is held, and ends their contexts after the grace.
func (c *Controller) awaitLeases(r *run) error {
	for {
		c.mu.Lock()
		if len(c.leases) == 0 {
			c.mu.Unlock()
			return nil
		}
		r.step = StepLeases
		freed := make(chan struct{})
		c.freed = freed
		grace := c.cfg.Grace
		if !r.deadline.IsZero() {
			grace = min(grace, r.deadline.Sub(r.start)*4/5)
		}
		if r.expired {
			grace = 0
		}
		left := time.Until(r.start.Add(grace))
		if left <= 0 {
			for l := range c.leases {
				l.cancel(ErrPaused)
			}
		}
		c.mu.Unlock()
		var end <-chan time.Time
		if left > 0 {
			timer := time.NewTimer(left)
			defer timer.Stop()
			end = timer.C
		}
		select {
		case <-freed:
		case <-end:
		case <-r.hurry:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
}

func (m *controllerMover) finish(r *run, err error) (error, *run) {
	c := (*Controller)(m)
	switch {
	case err == nil && r.goal == toPaused:
		c.known, c.tries = true, 0
		c.setState(Paused)
	case err == nil:
		c.known = true
		c.setState(Active)
		return nil, c.rest(r)
	case r.goal == toPaused:
		c.tries++
		return err, newRun(toPaused, time.Time{})
	default:
		c.setState(Paused)
		if r.goal == toHeld { // what is wanted is still paused, and the attempt may have left something open
			return err, newRun(toPaused, time.Time{})
		}
	}
	return err, nil
}

// rest returns the pause that follows when nobody holds what is only active for leases.
func (c *Controller) rest(ended *run) *run {
	if c.intent != toPaused || len(c.leases) > 0 || c.asking > 0 || ended != nil && ended.waiters > 0 {
		return nil
	}
	return newRun(toPaused, time.Time{})
}

func (m *controllerMover) observe(from, to State, r *run) {
	c := (*Controller)(m)
	if from == to && r == nil {
		return
	}
	e := Event{Store: c.cfg.Name, Time: time.Now(), From: from, To: to}
	if r != nil {
		e.Err = r.err
	}
	tell(c.cfg.Observer, e)
}

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

	// Observer is told of changes of state. It may be nil.
	Observer Observer
}

// Controller drives a Pausable to the state that was asked for last.
//
// Pause and Resume say what is wanted and wait, under their own contexts. A
// Pause that failed is asked again, with back-off, until it succeeds or
// something else is wanted; its caller has got the error meanwhile. A Resume
// that failed is not retried by itself: paused is wanted again. Hold resumes
// for a while, without changing what is wanted.
//
// The Pausable must be driven through the Controller only. A Controller at rest has no goroutine; leases have a timer each.
type Controller struct {
	engine
	p   Pausable
	cfg ControllerConfig

	// Guarded by engine.mu.
	known  bool // p is as state says
	intent goal // toActive or toPaused: what the callers of Pause and Resume want
	pauses uint // calls of Pause
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
	return &Controller{engine: engine{name: c.Name, renew: true}, p: p, cfg: c}
}

// Pause makes paused the wanted state and waits for it. Leases are treated as
// work in flight: after the grace their contexts end, and the Pausable is
// paused when all are released or expired. When its time ends first, Pause
// returns a *HeldError with the leases and holders; the Controller goes on.
// Called from inside an operation of the Pausable it returns ErrNested, and nothing else is wanted than before.
func (c *Controller) Pause(ctx context.Context) error {
	if inOperationOf(ctx, c.p) {
		return &StateError{c.cfg.Name, "pause", ErrNested}
	}
	return c.call(ctx, (*controllerMover)(c), toPaused, c.cfg.Timeout, c.left)
}

// Resume makes active the wanted state and waits for it. When it returns an error, that is not what is wanted any more.
func (c *Controller) Resume(ctx context.Context) error {
	if ctx.Err() != nil && c.State() != Active {
		return &StateError{c.cfg.Name, "resume", endOf(ctx)}
	}
	return c.call(ctx, (*controllerMover)(c), toActive, c.cfg.Timeout, c.left)
}

// Name returns the controller's name.
func (c *Controller) Name() string { return c.cfg.Name }

// Holders lists what the Pausable says of the operations that run in it.
func (c *Controller) Holders() []Holder { return holdersOf(c.p) }

// Leases lists the leases that are held, here and in the Pausable, oldest first.
func (c *Controller) Leases() []LeaseInfo {
	leases := leasesOf(c.p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.leases {
		leases = append(leases, l.info())
	}
	return sortLeases(leases)
}

func (c *Controller) inOperation(ctx context.Context) bool { return inOperationOf(ctx, c.p) }

func (c *Controller) left(r *run, cause error) error {
	c.mu.Lock()
	op, pausing, step, seen := r.goal.op(), r.goal.pausing(), r.step, r.seen
	c.mu.Unlock()
	if !pausing {
		return &StateError{c.cfg.Name, op, cause}
	}
	if step != StepLeases {
		step = StepMembers
	}
	if seen != nil {
		cause = errors.Join(cause, seen)
	}
	return &HeldError{Store: c.cfg.Name, Step: step, Holders: c.Holders(), Leases: c.Leases(), Cause: cause}
}

// controllerMover is Controller as the engine sees it.
type controllerMover Controller

// errPauseFirst tells a Hold that a Pause somebody waits for comes first.
var errPauseFirst = errors.New("a pause comes first")

// settled also notes what is wanted: it is the first thing that a call does
// under the mutex. Active is wanted only when a Resume was successful, which is for finish to say.
func (m *controllerMover) settled(g goal) (bool, error) {
	c := (*Controller)(m)
	switch {
	case g == toPaused:
		c.intent = toPaused
		c.pauses++
	case g == toHeld && c.pauseFirst():
		return true, errPauseFirst
	}
	if c.run != nil || !c.known || c.state != target(g) {
		return false, nil
	}
	if g == toActive {
		c.intent = toActive
	}
	return true, nil
}

// pauseFirst tells whether somebody waits for a Pause. It is called under the mutex.
func (c *Controller) pauseFirst() bool {
	return c.run != nil && c.run.goal == toPaused && c.run.waiters > 0
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
	to := toActive
	if c.goalOf(r) == toPaused {
		to = toPaused
		if err := c.awaitRetry(r); err != nil {
			return err
		}
		if err := c.awaitLeases(r); err != nil {
			return err
		}
	}
	err := c.within(r, 1, func(ctx context.Context) error { return ask(ctx, c.p, to) })
	if err != nil {
		name, _ := nameOf(c.p)
		return &MemberError{Group: c.cfg.Name, Member: name, Op: to.op(), Err: err}
	}
	return nil
}

// awaitRetry spaces the attempts of a Pause that failed. Somebody who asks again ends the wait.
func (c *Controller) awaitRetry(r *run) error {
	c.mu.Lock()
	tries := c.tries
	c.mu.Unlock()
	if tries == 0 {
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
		freed, left := c.pressLeases(r)
		if freed == nil {
			return nil
		}
		var end <-chan time.Time
		timer := time.NewTimer(left)
		if left > 0 {
			end = timer.C
		}
		var err error
		select {
		case <-freed:
		case <-end:
		case <-r.hurry:
		case <-r.ctx.Done():
			err = context.Cause(r.ctx)
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
}

// pressLeases returns what is closed when no lease is held any more, nil where
// that is so already, and how long they are let be. When that is over, it ends their contexts.
func (c *Controller) pressLeases(r *run) (freed chan struct{}, left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.leases) == 0 {
		r.step = StepMembers
		return nil, 0
	}
	r.step = StepLeases
	if c.freed == nil {
		c.freed = make(chan struct{})
	}
	grace := c.cfg.Grace
	if !r.deadline.IsZero() {
		grace = min(grace, fourFifths(r.deadline.Sub(r.start)))
	}
	left = time.Until(r.start.Add(grace))
	if r.expired || left <= 0 {
		left = 0
		for l := range c.leases {
			l.cancel(ErrPaused)
		}
	}
	return c.freed, left
}

func (m *controllerMover) finish(r *run, err error) (follow *run, result error) {
	c := (*Controller)(m)
	pausing := r.goal == toPaused
	if err == nil && !pausing && r.deserted { // the last caller left just now
		err = context.Cause(r.ctx)
	}
	switch {
	case err == nil && pausing:
		c.known = true
		c.setState(Paused)
	case err == nil:
		c.known = true
		if r.goal == toActive {
			c.intent = toActive
		}
		c.setState(Active)
	case pausing && r.deserted: // a group around it was overtaken, and asks for something else next
	case pausing:
		c.tries++
		again := newRun(toPaused, time.Time{})
		again.seen = err
		return again, err
	default:
		c.setState(Paused)
		if r.goal == toActive {
			c.intent = toPaused
		}
		if r.goal == toHeld || r.deserted { // nobody wants it any more, and the attempt may have left something open
			return newRun(toPaused, time.Time{}), err
		}
	}
	return nil, err
}

// rest returns the pause that follows when nobody holds what is only active for leases.
func (c *Controller) rest() *run {
	if c.intent != toPaused || len(c.leases) > 0 || c.asking > 0 {
		return nil
	}
	return newRun(toPaused, time.Time{})
}

func (m *controllerMover) overtaken(*run) {}

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

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// release is a pause, from the moment on when new work is refused.
//
// It waits until nothing runs, interrupting after the grace and severing at
// the deadline, and until it owns the gate. Then nobody but itself touches a
// connection, and it takes the steps: hook, readers one after another,
// checkpoint, identity, the writer strictly last, verify. It may be overtaken
// until all readers are closed; from there on it runs to its end.
func (s *Connections[C]) release(r *run) error {
	rep := &Report{Store: s.cfg.Name, Op: s.goalOf(r).op(), Start: r.start}
	s.mu.Lock()
	gens := slices.Clone(s.old)
	rep.Generation = s.number
	s.building = rep
	s.mu.Unlock()

	place := s.gate.front()
	if err := s.drain(r, gens, place, rep); err != nil { // overtaken
		if !s.gate.withdraw(place) && <-place.granted == nil {
			s.gate.leave()
		}
		abandon(gens)
		return err
	}
	rep.Drain = time.Since(r.start)
	b := &giveBack[C]{s: s, r: r, gens: gens, rep: rep}
	b.then(b.hook)
	r.rest = b.run
	return b.run()
}

func abandon[C comparable](gens []*generation[C]) {
	for _, g := range gens {
		g.abandon()
	}
}

// mark says what the run is doing, for a HeldError.
func (s *Connections[C]) mark(r *run, step Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.step = step
}

// giveBack is the steps of a pause, once nothing runs and the gate is ours.
// They call the driver on the engine's own goroutine: one for each call would
// cost more than most of the calls do. A call may end that goroutine with
// runtime.Goexit. So every step leaves behind it what it has found in deferred
// functions, adds those that follow before it calls the driver, and is begun
// once: the engine takes up what is left on another goroutine.
type giveBack[C comparable] struct {
	s     *Connections[C]
	r     *run
	gens  []*generation[C]
	rep   *Report
	steps []func()
	start time.Time // of the step that is reported
	last  *slot[C]  // the connection that is closed last; nil if there is none
	kept  int       // 1 where that is a reader
	err   error     // it was overtaken
}

// then adds steps after all others.
func (b *giveBack[C]) then(steps ...func()) { b.steps = append(b.steps, steps...) }

// run takes the steps that are left.
func (b *giveBack[C]) run() error {
	for len(b.steps) > 0 {
		step := b.steps[0]
		b.steps = b.steps[1:]
		step()
	}
	if b.err != nil {
		abandon(b.gens)
		return b.err
	}
	return b.rep.Err
}

// giveUp ends the steps where the pause was overtaken before the point of no return.
func (b *giveBack[C]) giveUp() {
	b.err = context.Cause(b.r.ctx)
	b.s.gate.leave()
}

func (b *giveBack[C]) hook() {
	b.s.hook(b.r, b.rep)
	if b.r.ctx.Err() != nil {
		b.giveUp()
		return
	}
	b.then(b.readers)
}

// hook runs BeforeRelease, on a writer that is opened for it if need be.
func (s *Connections[C]) hook(r *run, rep *Report) {
	if s.cfg.BeforeRelease == nil || !s.lived {
		return
	}
	s.mark(r, StepHook)
	start := time.Now()
	defer func() { rep.Hook = time.Since(start) }()
	_, hard := s.limits(r)
	ctx, cancel := context.WithDeadline(r.ctx, hard)
	defer cancel()
	w, _ := s.gate.writer()
	if w == nil {
		// Also where the time is over: what the hook has to do then, it knows itself.
		opening, cancel := context.WithTimeout(r.ctx, s.cfg.Timeout)
		conn, err := s.driverOpen(opening, Writer, s.Generation())
		cancel()
		if err != nil {
			rep.fail(fmt.Errorf("%s: BeforeRelease: %w", s.cfg.Name, err))
			return
		}
		w = newSlot(s, &generation[C]{s: s, number: s.Generation()}, Writer, conn)
		s.gate.set(w)
	}
	err, unfit := s.callHook(ctx, w.conn, s.cfg.BeforeRelease)
	if err != nil {
		rep.fail(fmt.Errorf("%s: BeforeRelease: %w", s.cfg.Name, err))
	}
	if unfit != nil {
		s.gate.set(nil)
		s.closed(w)
	}
}

// readers closes the readers of all generations, one after another.
// Where no writer is open, it keeps one reader for last: closing the last
// connection is what cleans up. That one is not in the pool any more.
func (b *giveBack[C]) readers() {
	b.s.mark(b.r, StepReaders)
	b.start = time.Now()
	b.last, _ = b.s.gate.writer()
	b.then(b.idleReaders)
}

// idleReaders takes the readers out of the pools, until those have none. A
// reader that is on its way is waited for: closed by the destructor, it could not be kept.
func (b *giveBack[C]) idleReaders() {
	for _, g := range b.gens {
		taken, all := g.takeIdle()
		b.closeOrKeep(taken)
		if !all && b.r.ctx.Err() == nil {
			b.then(b.nextReader)
			return
		}
	}
	for _, g := range b.gens {
		g.flush()
		b.closeOrKeep(g.claimForeign())
	}
	b.then(b.otherReaders)
}

// nextReader waits for a reader that is on its way to the pool.
func (b *giveBack[C]) nextReader() {
	select {
	case <-b.s.wake.poked():
	case <-b.r.ctx.Done():
	}
	b.then(b.idleReaders)
}

// closeOrKeep closes connections that are nobody's any more, but for the one that is to be the last.
func (b *giveBack[C]) closeOrKeep(slots []*slot[C]) {
	for _, sl := range slots {
		if b.last == nil {
			b.last, b.kept = sl, 1
			continue
		}
		b.then(func() { sl.gen.closeHere(sl) })
	}
}

// closeHere is close without a goroutine of its own.
func (g *generation[C]) closeHere(sl *slot[C]) {
	g.closeMu.Lock()
	attempt(func() error { return g.s.driver.Close(sl.conn) }, func(err error) {
		g.closeMu.Unlock()
		g.gone(sl, err)
	})
}

// otherReaders waits for what is being closed by others.
func (b *giveBack[C]) otherReaders() {
	for b.r.ctx.Err() == nil {
		left := -b.kept
		for _, g := range b.gens {
			left += g.left()
		}
		if left <= 0 {
			break
		}
		select {
		case <-b.s.wake.poked():
		case <-b.r.ctx.Done():
		}
	}
	b.rep.Readers = time.Since(b.start)
	if b.r.ctx.Err() == nil {
		b.then(b.checkpoint)
		return
	}
	b.then(b.giveUp)
	if b.kept == 1 {
		b.last.gen.closeHere(b.last)
	}
}

// checkpoint writes back.
func (b *giveBack[C]) checkpoint() {
	if b.last == nil && b.s.unfinished {
		b.last = b.s.lastForCheckpoint(b.r, b.rep)
	}
	if b.last == nil {
		b.then(b.closed)
		return
	}
	b.then(b.identify)
	b.s.checkpoint(b.r, b.last, b.rep)
}

// identify records what the next Resume has to find. What a Resume had opened
// without success is not for the next to find.
func (b *giveBack[C]) identify() {
	b.then(b.closeLast)
	b.s.mark(b.r, StepWriter)
	b.start = time.Now()
	identifier, ok := b.s.driver.(Identifier[C])
	if !ok || !b.s.lived {
		return
	}
	attempt(func() error { return identifier.Identify(context.Background(), b.last.conn) }, func(err error) {
		if err != nil {
			b.rep.warn("identity", err)
		}
	})
}

// closeLast closes the last connection.
func (b *giveBack[C]) closeLast() {
	b.then(b.closed)
	defer func() { b.rep.Writer = time.Since(b.start) }()
	if b.last.role != Writer {
		b.last.gen.closeHere(b.last)
		return
	}
	attempt(func() error { return b.s.driver.Close(b.last.conn) }, func(err error) {
		b.s.gate.set(nil)
		b.rep.WriterClosed = true
		b.s.closedWith(err)
	})
}

// closed reports that every connection is.
func (b *giveBack[C]) closed() {
	b.report()
	b.s.gate.leave()
	b.then(b.leftovers, b.verify)
}

// leftovers looks at what is left before the operating system is asked: from the last close on, others may write.
func (b *giveBack[C]) leftovers() {
	inspector, ok := b.s.driver.(Inspector)
	if !ok {
		return
	}
	attempt(func() error { b.rep.Leftovers = inspector.Leftovers(); return nil }, func(err error) {
		if err == nil && b.last == nil && len(b.rep.Leftovers) > 0 {
			err = errNothingOpen
		}
		if err != nil {
			b.rep.warn("leftovers", err)
		}
	})
}

var errNothingOpen = errors.New("no connection was open that could have written the log back")

func (b *giveBack[C]) report() {
	s, rep := b.s, b.rep
	s.lived = false
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range b.gens {
		g.mu.Lock()
		rep.ReadersClosed += g.closed
		s.closeErr = errors.Join(s.closeErr, s.closeError(Reader, g.closeErr))
		g.closeErr = nil
		g.mu.Unlock()
	}
	rep.closing, s.closeErr = s.closeErr, nil
	rep.fail(rep.closing)
	b.r.report = rep
}

func (s *Connections[C]) closeError(role Role, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: closing a %s connection: %w", s.cfg.Name, role, err)
}

// lastForCheckpoint opens a writer where nothing is open any more, because the
// pause before this one was overtaken in its checkpoint and left that to the next.
func (s *Connections[C]) lastForCheckpoint(r *run, rep *Report) *slot[C] {
	conn, err := s.driverOpen(r.ctx, Writer, rep.Generation)
	if err != nil {
		rep.warn("checkpoint", err)
		return nil
	}
	w := newSlot(s, &generation[C]{s: s, number: rep.Generation}, Writer, conn)
	s.gate.set(w)
	return w
}

// leastCheckpoint is what a checkpoint gets however little time is left: an ordinary log is written back within it.
const leastCheckpoint = 50 * time.Millisecond

// checkpoint has four fifths of the time that is left: of a very large log it
// is better that it stays behind than that the pause does not end in time.
func (s *Connections[C]) checkpoint(r *run, last *slot[C], rep *Report) {
	checkpointer, ok := s.driver.(Checkpointer[C])
	if !ok {
		return
	}
	s.mark(r, StepCheckpoint)
	start := time.Now()
	_, hard := s.limits(r)
	ctx := &bound{Context: r.ctx, end: start.Add(max(fourFifths(hard.Sub(start)), leastCheckpoint))}
	attempt(func() (err error) {
		rep.CheckpointResult, err = checkpointer.Checkpoint(ctx, last.conn)
		return err
	}, func(err error) {
		ctx.cancel()
		s.unfinished = err != nil && r.ctx.Err() != nil
		rep.Checkpoint = time.Since(start)
		if err != nil {
			rep.warn("checkpoint", err)
		} else if rep.CheckpointResult.Busy {
			rep.warn("checkpoint", errBusyCheckpoint)
		}
	})
}

var errBusyCheckpoint = errors.New("busy: somebody else is using the log")

// verify asks the operating system, until it agrees or the pause is overtaken.
// What it finds at first may be on its way out: a descriptor that another
// goroutine is just closing.
func (b *giveBack[C]) verify() {
	verifier, ok := b.s.driver.(Verifier)
	if ok && b.s.cfg.Verify {
		b.s.mark(b.r, StepVerify)
		start := time.Now()
		backOff := &backOff{time.Millisecond, time.Second}
		for {
			err := isolate(func() error { return verifier.Verify(b.r.ctx) })
			if err == nil {
				break
			}
			b.s.mu.Lock()
			b.r.seen = err
			b.s.mu.Unlock()
			timer := time.NewTimer(backOff.next())
			select {
			case <-timer.C:
			case <-b.r.ctx.Done():
				timer.Stop()
				b.err = context.Cause(b.r.ctx)
				return
			}
		}
		b.rep.Verify = time.Since(start)
	}
}

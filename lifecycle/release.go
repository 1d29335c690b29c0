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
	err := s.drain(r, gens, place, rep)
	if err == nil {
		rep.Drain = time.Since(r.start)
		err = s.giveBack(r, gens, rep)
	} else if !s.gate.withdraw(place) && <-place.granted == nil {
		s.gate.leave()
	}
	if err != nil { // overtaken
		for _, g := range gens {
			g.abandon()
		}
		return err
	}
	return rep.Err
}

// drain waits until no operation runs or is being cleaned up after, no
// connection is being opened, and the gate is ours.
func (s *Connections[C]) drain(r *run, gens []*generation[C], place *turn, rep *Report) error {
	var (
		owned    = false
		look     = &backOff{20 * time.Microsecond, 10 * time.Millisecond}
		backOff  = newBackOff()
		timer    = time.NewTimer(0)
		pressing bool
	)
	defer timer.Stop()
	for {
		operations, opening, returning := false, false, false
		for _, g := range gens {
			o, p := g.running()
			operations, opening = operations || o, opening || p
			returning = returning || g.returning()
		}
		if _, writerOpening := s.gate.writer(); writerOpening {
			opening = true
		}
		if !operations && !opening && !returning && owned {
			return nil
		}
		if opening && !operations {
			s.mark(r, StepOpen)
		} else {
			s.mark(r, StepDrain)
		}

		soft, hard := s.limits(r)
		switch now := time.Now(); {
		case !now.Before(hard):
			s.press(r, gens, true, rep)
			pressing = true
		case !now.Before(soft):
			s.press(r, gens, false, rep)
			pressing = true
		default: // also when there is more time than there was: see join
			pressing, backOff = false, newBackOff()
		}
		wait := time.Until(soft)
		if pressing {
			wait = backOff.next()
			if left := time.Until(hard); left > 0 && left < wait {
				wait = left
			}
		}
		if returning && !operations && !opening { // puddle tells nobody when it has put a new connection among the idle
			wait = min(wait, look.next())
		}
		timer.Reset(max(wait, 0))

		granted := place.granted
		if owned {
			granted = nil
		}
		select {
		case <-r.ctx.Done():
			if owned {
				place.granted <- nil // what release takes back
			}
			return context.Cause(r.ctx)
		case <-granted:
			owned = true
		case <-s.wake:
		case <-r.hurry:
		case <-timer.C:
		}
	}
}

// mark says what the run is doing, for a HeldError.
func (s *Connections[C]) mark(r *run, step Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.step = step
}

// limits says when interrupting and when severing begins.
func (s *Connections[C]) limits(r *run) (soft, hard time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hard = r.deadline
	switch {
	case r.expired:
		hard = r.from
	case r.patient:
		hard = time.Now().Add(s.cfg.Timeout) // never reached
		return hard, hard
	}
	soft = r.from.Add(min(s.cfg.Grace, hard.Sub(r.from)*4/5))
	return soft, hard
}

// press interrupts what runs, and severs it where asked. Each interrupt gets a
// goroutine of its own: a driver may block in it.
func (s *Connections[C]) press(r *run, gens []*generation[C], sever bool, rep *Report) {
	var slots []*slot[C]
	for _, g := range gens {
		slots = append(slots, g.list()...)
	}
	if w, _ := s.gate.writer(); w != nil {
		slots = append(slots, w)
	}
	for _, sl := range slots {
		word := sl.word.Load()
		op := word >> stateBits
		if word&stateMask != busy {
			continue
		}
		if !sever || !s.sever(r, sl, op, rep) {
			go s.interrupt(r, sl, op, rep)
		}
	}
}

// interrupt and sever decide under the mutex: from the moment on when it is
// overtaken, a pause picks nobody any more. While they have somebody, the pause cannot end.

func (s *Connections[C]) interrupt(r *run, sl *slot[C], op uint64, rep *Report) {
	s.mu.Lock()
	var first, ok bool
	if r.ctx.Err() == nil {
		first, ok = sl.aim(op)
	}
	if first {
		s.counts.interrupts++
		rep.Interrupts++
	}
	s.mu.Unlock()
	if ok {
		sl.fire(op)
	}
}

// sever closes the connection under the operation op. It returns false when
// that is over, or cannot be severed now.
func (s *Connections[C]) sever(r *run, sl *slot[C], op uint64, rep *Report) bool {
	if s.severer == nil {
		return false
	}
	s.mu.Lock()
	var hit Holder
	var ok bool
	if r.ctx.Err() == nil {
		hit, ok = sl.takeAway(op)
	}
	if ok {
		// For the error of a caller that leaves at the same moment: nothing is
		// held by it any more, but it is what took the time.
		r.severed = append(r.severed, hit)
		s.counts.severed++
		rep.Severed++
	}
	s.mu.Unlock()
	if ok {
		s.driverSever(s.severer, sl.conn, sl.afterSever)
	}
	return ok
}

// giveBack takes the steps of a pause. Nothing runs, and the gate is ours.
func (s *Connections[C]) giveBack(r *run, gens []*generation[C], rep *Report) error {
	s.hook(r, rep)
	if r.ctx.Err() != nil {
		s.gate.leave()
		return context.Cause(r.ctx)
	}
	last, err := s.closeReaders(r, gens, rep)
	if err != nil {
		s.gate.leave()
		return err
	}
	s.closeLast(r, gens, last, rep)
	s.gate.leave()
	return s.verify(r, rep)
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
		conn, err := s.driverOpen(ctx, Writer, s.Generation())
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

// closeReaders closes the readers of all generations, one after another.
// Where no writer is open, it keeps one reader for last: closing the last
// connection is what cleans up. That one is not in the pool any more.
func (s *Connections[C]) closeReaders(r *run, gens []*generation[C], rep *Report) (last *slot[C], err error) {
	s.mark(r, StepReaders)
	start := time.Now()
	defer func() { rep.Readers = time.Since(start) }()
	last, _ = s.gate.writer()
	kept := 0
	for _, g := range gens {
		for _, sl := range g.takeIdle() {
			if last == nil {
				last, kept = sl, 1
				continue
			}
			g.close(sl)
		}
	}
	// What puddle still constructed or held comes to the destructor.
	for {
		left := -kept
		for _, g := range gens {
			left += g.left()
		}
		if left <= 0 {
			break
		}
		select {
		case <-s.wake:
		case <-r.ctx.Done():
		}
		if r.ctx.Err() != nil {
			break
		}
	}
	if r.ctx.Err() != nil { // overtaken before the point of no return
		if kept == 1 {
			last.gen.close(last)
		}
		return nil, context.Cause(r.ctx)
	}
	return last, nil
}

// closeLast writes back, records what the next Resume has to find, and closes the last connection.
func (s *Connections[C]) closeLast(r *run, gens []*generation[C], last *slot[C], rep *Report) {
	if last == nil && s.unfinished {
		last = s.lastForCheckpoint(r, rep)
	}
	if last != nil {
		s.checkpoint(r, last, rep)
		s.mark(r, StepWriter)
		start := time.Now()
		// What a Resume had opened without success is not for the next to find.
		if identifier, ok := s.driver.(Identifier[C]); ok && s.lived {
			if err := isolate(func() error { return identifier.Identify(context.Background(), last.conn) }); err != nil {
				rep.warn("identity", err)
			}
		}
		if last.role == Writer {
			err := s.driverClose(last.conn)
			s.gate.set(nil)
			rep.WriterClosed = true
			s.closedWith(err)
		} else {
			last.gen.close(last)
		}
		rep.Writer = time.Since(start)
	}
	s.lived = false
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range gens {
		g.mu.Lock()
		rep.ReadersClosed += g.closed
		s.closeErr = errors.Join(s.closeErr, s.closeError(Reader, g.closeErr))
		g.closeErr = nil
		g.mu.Unlock()
	}
	rep.closing, s.closeErr = s.closeErr, nil
	rep.fail(rep.closing)
	r.report = rep
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
	ctx, cancel := context.WithTimeout(r.ctx, max(hard.Sub(start)*4/5, leastCheckpoint))
	defer cancel()
	err := isolate(func() (err error) {
		rep.CheckpointResult, err = checkpointer.Checkpoint(ctx, last.conn)
		return err
	})
	s.unfinished = err != nil && r.ctx.Err() != nil
	rep.Checkpoint = time.Since(start)
	if err != nil {
		rep.warn("checkpoint", err)
	} else if rep.CheckpointResult.Busy {
		rep.warn("checkpoint", errBusyCheckpoint)
	}
}

var errBusyCheckpoint = errors.New("busy: somebody else is using the log")

// verify asks the operating system, until it agrees or the pause is overtaken.
// What it finds at first may be on its way out: a descriptor that another
// goroutine is just closing.
func (s *Connections[C]) verify(r *run, rep *Report) error {
	verifier, ok := s.driver.(Verifier)
	if ok && s.cfg.Verify {
		s.mark(r, StepVerify)
		start := time.Now()
		backOff := &backOff{time.Millisecond, time.Second}
		for {
			err := isolate(func() error { return verifier.Verify(r.ctx) })
			if err == nil {
				break
			}
			s.mu.Lock()
			r.seen = err
			s.mu.Unlock()
			timer := time.NewTimer(backOff.next())
			select {
			case <-timer.C:
			case <-r.ctx.Done():
				timer.Stop()
				return context.Cause(r.ctx)
			}
		}
		rep.Verify = time.Since(start)
	}
	if inspector, ok := s.driver.(Inspector); ok {
		if err := isolate(func() error { rep.Leftovers = inspector.Leftovers(); return nil }); err != nil {
			rep.warn("leftovers", err)
		}
	}
	return nil
}

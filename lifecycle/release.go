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

// mark says what the run is doing, for a HeldError.
func (s *Connections[C]) mark(r *run, step Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.step = step
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
	closeOrKeep := func(slots []*slot[C]) {
		for _, sl := range slots {
			if last == nil {
				last, kept = sl, 1
				continue
			}
			sl.gen.close(sl)
		}
	}
	for _, g := range gens {
		for all := false; !all && r.ctx.Err() == nil; {
			var taken []*slot[C]
			taken, all = g.takeIdle()
			closeOrKeep(taken)
			if !all { // closed by the destructor, the reader could not be kept
				select {
				case <-s.wake.poked():
				case <-r.ctx.Done():
				}
			}
		}
		g.flush()
		closeOrKeep(g.claimForeign())
	}
	// What is being closed by others.
	for {
		left := -kept
		for _, g := range gens {
			left += g.left()
		}
		if left <= 0 {
			break
		}
		select {
		case <-s.wake.poked():
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

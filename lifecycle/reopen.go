package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// reopen is a Resume: a new generation is made, its first reader opened, the
// driver asked whether that is what was paused, and the hook run, before anybody gets in.
// Readers of earlier generations may still be held meanwhile, and so may the writer.
func (s *Connections[C]) reopen(r *run) (err error) {
	rep := &Report{Store: s.cfg.Name, Op: "resume", Start: r.start}
	s.mark(r, StepOpen)
	s.takeOver()
	if err := s.roomForMore(r); err != nil {
		return err
	}
	again := s.cfg.StartPaused || s.Generation() > 0 // it was paused before, which Open's first opening was not
	validator, _ := s.driver.(Validator)
	if validator != nil && again {
		start := time.Now()
		err := isolate(func() error { return validator.Validate(r.ctx) })
		rep.Validate = time.Since(start)
		if err != nil {
			return s.resumeError(err)
		}
	}
	g, err := s.nextGeneration(r)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.takeBack(g)
		}
	}()
	rep.Generation = g.number
	start := time.Now()
	res, err := g.provide(r.ctx)
	rep.Open = time.Since(start)
	if err != nil {
		if r.ctx.Err() != nil {
			err = context.Cause(r.ctx)
		}
		return s.resumeError(err)
	}
	conn := res.Value().conn
	if validator != nil && again {
		err = isolate(func() (err error) {
			rep.Changed, err = validator.Validated(r.ctx)
			return err
		})
	}
	if err == nil && s.cfg.AfterReopen != nil && again {
		start := time.Now()
		failed, unfit := s.callHook(r.ctx, conn, s.cfg.AfterReopen)
		rep.Reopen = time.Since(start)
		err = errors.Join(failed, unfit)
	}
	res.ReleaseUnused()
	if err != nil {
		return s.resumeError(err)
	}
	g.startShedding()
	s.mu.Lock()
	s.building = rep
	s.mu.Unlock()
	return nil
}

// takeOver leaves what came before to end by itself. An earlier Resume whose
// callers had all left may have been overtaken before it could be given back,
// and a Pause before its releasing began.
func (s *Connections[C]) takeOver() {
	s.mu.Lock()
	g, old := s.pending, slices.Clone(s.old)
	s.mu.Unlock()
	if g != nil {
		s.takeBack(g)
	}
	for _, g := range old {
		g.abandon()
	}
}

// takeBack closes what a failed Resume opened. What is still being opened is left to the pause that follows.
func (s *Connections[C]) takeBack(g *generation[C]) {
	s.mu.Lock()
	if s.pending == g { // else a Pause has it already
		s.pending = nil
		s.old = append(s.old, g)
		g.shut()
	}
	s.mu.Unlock()
	taken, _ := g.takeIdle()
	g.flush()
	for _, sl := range append(taken, g.claimForeign()...) {
		g.close(sl)
	}
	g.dropIfGone()
}

func (s *Connections[C]) resumeError(err error) error {
	return &StateError{s.cfg.Name, "resume", err}
}

// maxGenerations bounds the readers of all generations together, in units of
// MaxReaders. A store that is paused and resumed beside readers who never let
// go would open more with every cycle.
const maxGenerations = 4

// roomForMore fails when too many are held. Readers that are only being closed it waits for.
func (s *Connections[C]) roomForMore(r *run) error {
	most := maxGenerations * s.cfg.MaxReaders
	for {
		open, stuck, held := s.oldReaders()
		switch {
		case open+s.cfg.MaxReaders <= most:
			return nil
		case stuck+s.cfg.MaxReaders > most:
			return &HeldError{Store: s.cfg.Name, Step: StepOpen, Holders: held,
				Cause: fmt.Errorf("%d readers of earlier generations are held, of %d in all", stuck, most)}
		}
		select {
		case <-s.wake.poked():
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
}

// oldReaders counts the readers of earlier generations that are not closed
// yet, those being opened included, and those of them that serve an operation.
// Foreign connections are limited by whoever pools them.
func (s *Connections[C]) oldReaders() (open, stuck int, held []Holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.old {
		open += g.left()
		for _, sl := range g.list() {
			if sl.role == Foreign {
				open--
			} else if h, _, ok := sl.holder(); ok {
				stuck++
				held = append(held, h)
			}
		}
	}
	return open, stuck, held
}

// nextGeneration makes the next generation, unless the run was overtaken.
func (s *Connections[C]) nextGeneration(r *run) (*generation[C], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ctx.Err() != nil {
		return nil, context.Cause(r.ctx)
	}
	s.number++
	g := newGeneration(s, s.number)
	s.pending = g
	return g, nil
}

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
	s.takeOver()
	if err := s.roomForMore(); err != nil {
		return err
	}
	validator, _ := s.driver.(Validator)
	if validator != nil && s.isResume() {
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
	res, err := g.pool.Acquire(r.ctx)
	rep.Open = time.Since(start)
	if err != nil {
		if r.ctx.Err() != nil {
			err = context.Cause(r.ctx)
		}
		return s.resumeError(err)
	}
	conn := res.Value().conn
	if validator != nil && s.isResume() {
		err = isolate(func() (err error) {
			rep.Changed, err = validator.Validated(r.ctx)
			return err
		})
	}
	if err == nil && s.cfg.AfterReopen != nil && s.isResume() {
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
	for _, sl := range g.takeIdle() {
		g.close(sl)
	}
	g.flush()
	g.dropIfGone()
}

func (s *Connections[C]) resumeError(err error) error {
	return &StateError{s.cfg.Name, "resume", err}
}

// isResume tells whether the store was paused before.
func (s *Connections[C]) isResume() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number > 1 || s.cfg.StartPaused || s.pending == nil && s.number > 0
}

// maxGenerations bounds the readers of all generations together, in units of
// MaxReaders. A store that is paused and resumed beside readers who never let
// go would open more with every cycle.
const maxGenerations = 4

func (s *Connections[C]) roomForMore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	readers := 0
	var held []Holder
	for _, g := range s.old {
		readers += g.left()
		for _, sl := range g.list() {
			if h, _, ok := sl.holder(); ok {
				held = append(held, h)
			}
		}
	}
	if most := maxGenerations * s.cfg.MaxReaders; readers+s.cfg.MaxReaders > most {
		return &HeldError{Store: s.cfg.Name, Step: StepOpen, Holders: held,
			Cause: fmt.Errorf("%d readers of earlier generations are not closed yet, of %d in all", readers, most)}
	}
	return nil
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

package lifecycle

import (
	"context"
	"errors"
	"time"
)

// patience is how long one call waits for a Resume in all, however often it is refused.
type patience struct {
	until time.Time
	ask   func() error // after a moment: whether it waits for itself; nil where nobody can tell
}

// refused is where work ends up that met a store which is not active. It
// returns nil when the store is active and the work may be tried again.
func (s *Connections[C]) refused(ctx context.Context, op string, p *patience) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.state == Closed || s.run != nil && s.run.goal == toClosed:
			return &StateError{s.cfg.Name, op, ErrClosed}
		case s.state == Active:
			return nil
		case policyOf(ctx, s.cfg.WhenPaused) != Wait:
			return &StateError{s.cfg.Name, op, ErrPaused}
		}
		changed := s.feed.wait() // before nested lets go of the mutex: a change meanwhile must not be missed
		if s.nested(ctx) {
			return &StateError{s.cfg.Name, op, ErrPaused}
		}
		s.mu.Unlock()
		err := s.sitOut(ctx, changed, p)
		s.mu.Lock()
		if err != nil {
			return &StateError{s.cfg.Name, op, err}
		}
	}
}

// nested tells whether a call that would wait comes from inside an operation
// of this store, whose end the pause waits for.
func (s *Connections[C]) nested(ctx context.Context) bool {
	if _, in := s.insideOf(ctx); in {
		return true
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	return onOwnStack(&s.id, nil)
}

// sitOut waits for the next change of state.
func (s *Connections[C]) sitOut(ctx context.Context, changed <-chan struct{}, p *patience) error {
	var after <-chan time.Time
	if _, has := ctx.Deadline(); !has {
		if p.until.IsZero() {
			p.until = time.Now().Add(s.cfg.Timeout)
		}
		timer := time.NewTimer(time.Until(p.until))
		defer timer.Stop()
		after = timer.C
	}
	look, stop := p.look()
	defer stop()
	for {
		select {
		case <-changed:
			return nil
		case <-ctx.Done():
			return errors.Join(ErrPaused, endOf(ctx))
		case <-after:
			return ErrPaused
		case <-look:
			if err := p.ask(); err != nil {
				return err
			}
		}
	}
}

// look returns the moment at which to ask. Asked at once, whoever has left what he waits for to somebody
// else would be taken for one who waits for himself.
func (p *patience) look() (<-chan time.Time, func() bool) {
	if p.ask == nil {
		return nil, func() bool { return true }
	}
	timer := time.NewTimer(nestedAfter)
	return timer.C, timer.Stop
}

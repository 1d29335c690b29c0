package storekit

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// yielding runs f with a context that ends when a pause begins, for work that
// has no claim to the grace that a pause gives: it can be repeated. It is called
// inside an operation of the database, so that whoever comes too late has been
// refused by that, or has waited, as the policy says.
func (s *Store) yielding(ctx context.Context, f func(context.Context) error) error {
	ctx, stop := s.untilPause(ctx)
	defer stop() // also where f panics: it calls what users have written
	err := f(ctx)
	if err == nil || !errors.Is(context.Cause(ctx), lifecycle.ErrInterrupted) || errors.Is(err, lifecycle.ErrInterrupted) || errors.Is(err, lifecycle.ErrPaused) {
		return err
	}
	return fmt.Errorf("%w: %w", lifecycle.ErrInterrupted, err)
}

// untilPause returns a context that ends when a pause of the life begins that the caller's operation belongs to.
func (s *Store) untilPause(ctx context.Context) (_ context.Context, stop func()) {
	began := s.db.PauseBegan()
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-began:
			cancel(lifecycle.ErrInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-over
	}
}

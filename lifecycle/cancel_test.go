package lifecycle_test

// The end of a caller's context interrupts its operation, and only that.

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestEndOfItsContextInterruptsAnOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 2})
		for name, op := range map[string]operation{"read": s.Read, "write": s.Write} {
			other := inStatement(background, s.Read)
			start := time.Now()
			err := op(within(t, time.Second), func(c *fakeConn) error { return c.run(make(chan struct{})) })
			wantAfter(t, start, time.Second, name+": at the instant at which the context ends")
			for _, want := range []error{lifecycle.ErrInterrupted, context.DeadlineExceeded, errFakeInterrupt} {
				wantErr(t, err, want, name+" whose context ended")
			}
			waiting(t, other.result, "another operation is not touched")
			wantNil(t, other.release(), "the other operation")
			wantNil(t, op(background, statement), name+": the next user of the connection")
			if n := s.Stats().Interrupts; n != 0 {
				t.Errorf("%d interrupts by a pause, and there was none", n)
			}
		}
	})
}

func TestContextThatHasEndedBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		ctx, cancel := context.WithCancelCause(background)
		cause := errors.New("the room was closed")
		cancel(cause)
		everyKind(s, func(name string, op func(context.Context) error) {
			wantErr(t, op(ctx), cause, name+" with a context that has ended")
			wantErr(t, op(ctx), context.Canceled, name+" with a context that has ended matches the context's error too")
		})
	})
}

func TestWaitForAReaderIsBoundedByTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{MaxReaders: 1})
		h := inGo(background, s.Read)
		start := time.Now()
		wantErr(t, s.Read(within(t, time.Second), nothing), context.DeadlineExceeded, "a Read that waits for a reader")
		wantAfter(t, start, time.Second, "a Read that waits for a reader")
		wantNil(t, h.release(), "the other")
	})
}

func TestWaitForAConnectionToOpenIsBoundedByTheContext(t *testing.T) {
	for _, role := range []lifecycle.Role{lifecycle.Reader, lifecycle.Writer, lifecycle.Foreign} {
		t.Run(role.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				s := open(t, d, config{MaxReaders: 2})
				h := inGo(background, s.Read)
				d.onOpen = func(ctx context.Context, _ lifecycle.OpenInfo) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(10 * time.Second):
						return nil
					}
				}
				op := map[lifecycle.Role]operation{lifecycle.Reader: s.Read, lifecycle.Writer: s.Write, lifecycle.Foreign: foreign(s)}[role]
				start := time.Now()
				wantErr(t, op(within(t, time.Second), nothing), context.DeadlineExceeded, "an operation whose connection opens slowly")
				wantAfter(t, start, time.Second, "an operation whose connection opens slowly")
				wantNil(t, h.release(), "the other")
				wantNil(t, s.Pause(background), "Pause")
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("Pause had to wait until %v", took)
				}
			})
		})
	}
}

// Where opening takes longer than anybody waits, there would never be a reader otherwise.
func TestReaderThatOpensTooLateServesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 2})
		h := inGo(background, s.Read)
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { time.Sleep(2 * time.Second); return nil }
		start := time.Now()
		wantErr(t, s.Read(within(t, time.Second), nothing), context.DeadlineExceeded, "a Read whose connection opens slowly")
		wantErr(t, s.Read(within(t, time.Second/2), nothing), context.DeadlineExceeded, "a Read that finds all readers taken, one of them by its opening")
		wantNil(t, s.Read(within(t, time.Second), statement), "a Read that waits until the reader is there")
		wantAfter(t, start, 2*time.Second, "at the instant at which the opening ends")
		wantNil(t, s.Read(background, statement), "the next Read")
		if n := d.opened.Load(); n != 2 {
			t.Errorf("%d connections were opened; want 2: the one that came too late is used", n)
		}
		wantNil(t, h.release(), "the other")
	})
}

// The decision to interrupt and its delivery are apart in time; a late one must
// never hit the next user of a connection.
func TestLateCancellationNeverHitsTheNextUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{MaxReaders: 1})
		for name, op := range map[string]operation{"read": s.Read, "write": s.Write} {
			for range tier.Count(2000, 50000, 500000) {
				ctx, cancel := context.WithCancel(background)
				done := make(chan struct{})
				go func() { defer close(done); cancel() }()
				_ = op(ctx, nothing)
				if err := op(background, statement); err != nil {
					t.Fatalf("%s: the next user of the connection got %v", name, err)
				}
				<-done
			}
		}
	})
}

// The same with many users at once, in real time. Who has no deadline is never interrupted.
func TestManyShortCancelledOperations(t *testing.T) {
	d := newFake(t)
	s := open(t, d, config{MaxReaders: 3})
	f := make([]operation, 2)
	for i := range f {
		f[i] = foreign(s)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var cancelled, fine atomic.Int64
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for {
				select {
				case <-stop:
					return
				default:
				}
				kind := r.IntN(4)
				op := []operation{s.Read, s.Read, s.Write, f[r.IntN(2)]}[kind]
				if r.IntN(2) == 0 {
					if err := op(background, statement); err != nil {
						t.Errorf("an operation without a deadline: %v", err)
						return
					}
					fine.Add(1)
					continue
				}
				ctx, cancel := context.WithTimeout(background, time.Duration(r.IntN(60))*time.Microsecond)
				err := op(ctx, func(c *fakeConn) error {
					switch {
					case r.IntN(4) != 0:
					case kind == 3:
						return c.run(ctx.Done()) // its caller's to end, not the core's
					default:
						return c.run(make(chan struct{})) // until it is interrupted
					}
					return c.run(ended)
				})
				cancel()
				if err != nil {
					cancelled.Add(1)
					if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, lifecycle.ErrInterrupted) {
						t.Errorf("a cancelled operation: %v", err)
						return
					}
				}
			}
		})
	}
	time.AfterFunc(tier.Duration(time.Second, time.Minute, 10*time.Minute), func() { close(stop) })
	wg.Wait()
	t.Logf("%d fine, %d cancelled", fine.Load(), cancelled.Load())
}

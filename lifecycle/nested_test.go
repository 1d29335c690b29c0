package lifecycle_test

// Calls from inside an operation: never a deadlock, and a clear error where one can be given.

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestInsideReadJoinsItsOperation(t *testing.T) {
	for name, op := range map[string]func(*store) operation{
		"read":    func(s *store) operation { return s.Read },
		"write":   func(s *store) operation { return s.Write },
		"foreign": foreign,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				s := open(t, d, config{MaxReaders: 1, WhenPaused: lifecycle.Wait})
				ready, goOn := make(chan struct{}), make(chan struct{})
				result := begin(func() error {
					return op(s)(background, func(c *fakeConn) error {
						inside := s.Inside(background, c)
						join := func(when string) {
							err := s.Read(inside, func(again *fakeConn) error {
								if again != c {
									t.Errorf("%s: a Read with Inside has another connection; it joins the operation", when)
								}
								return again.run(ended)
							})
							wantNil(t, err, when+": a Read with Inside")
						}
						join("active")
						close(ready)
						<-goOn
						join("during the drain")
						return nil
					})
				})
				<-ready
				p := pause(s)
				close(goOn)
				wantNil(t, returned(t, result, "the operation"), "the operation")
				wantNil(t, returned(t, p, "Pause"), "Pause")
			})
		})
	}
}

func TestInsideWhatCouldOnlyWaitForItselfIsErrNestedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		calls := map[string]func(context.Context) error{
			"Pause": s.Pause, "Close": s.Close,
		}
		for name, op := range map[string]operation{"Read": s.Read, "Write": s.Write, "Foreign": foreign(s)} {
			for how := range map[string]bool{"with Inside": true, "with Inside from another goroutine": true, "on its own stack": true} {
				if name == "Foreign" && how == "on its own stack" {
					continue // there is no frame of ours under it
				}
				start := time.Now()
				wantNil(t, op(background, func(c *fakeConn) error {
					for call, f := range calls {
						ctx := s.Inside(background, c)
						if how == "on its own stack" {
							ctx = background
						}
						err := func() error { return f(ctx) }
						if how == "with Inside from another goroutine" {
							err = func() error { return <-begin(func() error { return f(ctx) }) }
						}
						wantErr(t, err(), lifecycle.ErrNested, call+" in a "+name+", "+how)
					}
					return c.run(ended)
				}), name)
				wantAfter(t, start, 0, "all of that in a "+name)
				wantState(t, s, lifecycle.Active, "a call that was refused has changed nothing")
			}
		}
		wantNil(t, s.Write(background, func(c *fakeConn) error {
			start := time.Now()
			wantErr(t, s.Write(s.Inside(background, c), nothing), lifecycle.ErrNested, "a Write in a Write, with Inside")
			wantAfter(t, start, 0, "a Write in a Write, with Inside")
			wantErr(t, s.Write(background, nothing), lifecycle.ErrNested, "a Write in a Write, on its own stack")
			wantAfter(t, start, 100*time.Millisecond, "after a moment")
			return nil
		}), "Write")
	})
}

func TestWriteInAReadIsNoNesting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		wantNil(t, s.Read(background, func(c *fakeConn) error {
			return errors.Join(s.Write(background, nothing), s.Write(s.Inside(background, c), nothing))
		}), "a Write in a Read")
		wantNil(t, s.Write(background, func(*fakeConn) error { return s.Read(background, nothing) }), "a Read in a Write is work of its own")
	})
}

// A writer that waits for another goroutine's writer is told nothing of nesting, however long it waits.
func TestLongWriteOfAnotherGoroutineIsNoNesting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := open(t, newFake(t), config{}), open(t, newFake(t), config{})
		h := inGo(background, s.Write)
		w := begin(func() error {
			return other.Write(background, func(*fakeConn) error { return s.Write(background, nothing) })
		})
		time.Sleep(time.Hour)
		waiting(t, w, "a Write inside a Write of another store waits for its turn")
		wantNil(t, h.release(), "the first")
		wantNil(t, returned(t, w, "the other"), "Write")
	})
}

func TestRefusedInsideAnOperationFailsAtOnceWhateverThePolicy(t *testing.T) {
	for _, how := range []string{"with Inside", "on its own stack"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, newFake(t), config{WhenPaused: lifecycle.Wait})
				ready, goOn := make(chan struct{}), make(chan struct{})
				r := begin(func() error {
					return s.Read(background, func(c *fakeConn) error {
						ctx := background
						if how == "with Inside" {
							ctx = s.Inside(ctx, c)
						}
						close(ready)
						<-goOn
						start := time.Now()
						wantErr(t, s.Write(ctx, nothing), lifecycle.ErrPaused, "a Write in a Read during a drain")
						if how == "on its own stack" {
							wantErr(t, s.Read(ctx, nothing), lifecycle.ErrPaused, "a Read in a Read during a drain, without Inside")
						}
						wantAfter(t, start, 0, "the pause waits for this operation, so waiting would be for nothing")
						return nil
					})
				})
				<-ready
				p := pause(s)
				close(goOn)
				wantNil(t, returned(t, r, "the operation"), "Read")
				wantNil(t, returned(t, p, "Pause"), "Pause")
			})
		})
	}
}

func TestPauseFromAnotherGoroutineOfAnOperationEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		wantNil(t, s.Read(lifecycle.WithLabel(background, "outer"), func(*fakeConn) error {
			result := make(chan error)
			go func() { result <- s.Pause(within(t, time.Second)) }()
			h := wantHeld(t, <-result, lifecycle.StepDrain, "a Pause that waits for its own caller")
			if len(h.Holders) != 1 || h.Holders[0].Label != "outer" {
				t.Errorf("holders %v; want the operation itself", h.Holders)
			}
			return nil
		}), "Read")
	})
}

func TestInsideOfAnOperationThatIsOverMeansNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, severingDriver{newFake(t)}, config{MaxReaders: 1})
		var stale context.Context
		remember := func(c *fakeConn) error { stale = s.Inside(background, c); return nil }
		for _, op := range []operation{s.Read, s.Write, foreign(s)} {
			wantNil(t, op(background, remember), "an operation")
			wantNil(t, s.Write(stale, nothing), "a Write with a mark that is over")
			wantNil(t, s.Pause(stale), "a Pause with a mark that is over")
			wantErr(t, s.Read(stale, nothing), lifecycle.ErrPaused, "a Read with a mark that is over")
			wantNil(t, s.Resume(stale), "Resume")
			h := inGo(background, s.Read) // the same slot may serve another operation now
			short, cancel := context.WithTimeout(stale, time.Second)
			wantErr(t, s.Read(short, nothing), context.DeadlineExceeded, "a Read with a mark that is over is new work")
			cancel()
			wantNil(t, h.release(), "the reader")
		}
		// The same for an operation that was severed.
		h := &held{end: make(chan struct{}), result: make(chan error, 1)}
		h.start(background, s.Read, func(c *fakeConn) error { stale = s.Inside(background, c); <-h.end; return nil })
		_ = s.Pause(endedCtx())
		synctest.Wait()
		wantErr(t, s.Read(stale, nothing), lifecycle.ErrInterrupted, "a Read that joins a severed operation")
		wantNil(t, h.release(), "the zombie")
		wantErr(t, s.Read(stale, nothing), lifecycle.ErrPaused, "a Read with the mark of a severed operation that is over")
		wantNil(t, s.Resume(background), "Resume")
		wantNil(t, s.Read(stale, nothing), "a Read with the mark of a severed operation that is over")
		wantNil(t, s.Pause(stale), "a Pause with the mark of a severed operation that is over")
	})
}

func TestInsideOfAnotherStoreMeansNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, newFake(t), config{}), open(t, newFake(t), config{})
		wantNil(t, a.Write(background, func(c *fakeConn) error {
			ctx := a.Inside(background, c)
			if got := b.Inside(ctx, c); got != ctx {
				t.Error("a connection of another store marks nothing")
			}
			return errors.Join(b.Write(ctx, nothing), b.Read(ctx, nothing), b.Pause(ctx), b.Resume(ctx))
		}), "another store")
	})
}

package lifecycle_test

// Promise 1: from Pause's first instruction on, new work is refused, or waits for Resume.

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// everyKind calls f with every way to ask a store for work.
func everyKind(s *store, f func(name string, op func(context.Context) error)) {
	f("read", func(ctx context.Context) error { return s.Read(ctx, nothing) })
	f("write", func(ctx context.Context) error { return s.Write(ctx, nothing) })
	f("begin", func(ctx context.Context) error {
		h := s.Foreign()
		_, _, err := h.Begin(ctx)
		if err == nil {
			err = errors.Join(h.End(nil), h.Close())
		}
		return err
	})
}

// W-05: work that is asked for at any moment of a pause or a resume is refused at once. W-25: by a typed error.
func TestW05NewWorkIsRefusedAtOnceInEveryStepOfPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFull(t)
		var s *store
		refused := func(when string) {
			start := time.Now()
			everyKind(s, func(name string, op func(context.Context) error) {
				err := op(background)
				var typed *lifecycle.StateError
				if !errors.Is(err, lifecycle.ErrPaused) || !errors.As(err, &typed) || typed.Store != "rooms" || typed.Op != name {
					t.Errorf("%s, %s: %#v; want a *StateError of the store that matches ErrPaused", when, name, err)
				}
			})
			wantAfter(t, start, 0, when+": new work is refused at once")
		}
		d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) {
			refused("checkpoint")
			return
		}
		d.identify = func(*fakeConn) error { refused("identify"); return nil }
		d.validate = func(context.Context) error { refused("validate"); return nil }
		d.validated = func() (lifecycle.Change, error) { refused("validated"); return 0, nil }
		d.verify = func(context.Context) error { refused("verify"); return nil }
		s = open(t, d, config{
			Name: "rooms", Verify: true,
			BeforeRelease: func(context.Context, *fakeConn) error { refused("BeforeRelease"); return nil },
			AfterReopen:   func(context.Context, *fakeConn) error { refused("AfterReopen"); return nil },
		})
		r, w := inGo(background, s.Read), inGo(background, s.Write)
		d.onClose = func(c *fakeConn) error { refused("closing a " + c.role.String()); return nil }
		p := pause(s)
		refused("drain")
		wantNil(t, r.release(), "work in flight is let finish")
		wantNil(t, w.release(), "work in flight is let finish")
		wantNil(t, returned(t, p, "Pause after the last operation"), "Pause")
		refused("paused")
		d.onClose = nil
		d.onOpen = func(_ context.Context, i lifecycle.OpenInfo) error {
			refused("opening a " + i.Role.String())
			return nil
		}
		wantNil(t, s.Resume(background), "Resume")
		d.onOpen = nil
		everyKind(s, func(name string, op func(context.Context) error) { wantNil(t, op(background), name+" after Resume") })
		wantNil(t, s.Pause(background), "Pause")
		d.checkpoint, d.identify, d.verify, d.onClose = nil, nil, nil, nil
	})
}

// W-25: closed for good is another error than paused.
func TestW25ClosedIsToldFromPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{WhenPaused: lifecycle.Wait})
		wantNil(t, s.Close(background), "Close")
		everyKind(s, func(name string, op func(context.Context) error) {
			err := op(background)
			if !errors.Is(err, lifecycle.ErrClosed) || errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("%s on a closed store: %v; want ErrClosed and not ErrPaused, so that retry logic can tell", name, err)
			}
		})
	})
}

// M7: puddle wakes nobody who waits for a connection on its Close; the core must.
func TestM7QueuedReadersAreNewWork(t *testing.T) {
	for _, policy := range []lifecycle.Policy{lifecycle.Fail, lifecycle.Wait} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, newFake(t), config{MaxReaders: 1, WhenPaused: policy})
				queuedWorkIsNewWork(t, s, policy, s.Read)
			})
		})
	}
}

// W-06: a writer that queued before the pause is not served after it.
func TestW06QueuedWritersAreNewWork(t *testing.T) {
	for _, policy := range []lifecycle.Policy{lifecycle.Fail, lifecycle.Wait} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, newFake(t), config{WhenPaused: policy})
				queuedWorkIsNewWork(t, s, policy, s.Write)
			})
		})
	}
}

func queuedWorkIsNewWork(t *testing.T, s *store, policy lifecycle.Policy, op operation) {
	h := inGo(background, op)
	served := 0
	var queued []<-chan error
	for range 3 {
		queued = append(queued, begin(func() error { return op(background, func(*fakeConn) error { served++; return nil }) }))
	}
	p := pause(s)
	for _, q := range queued {
		if policy == lifecycle.Wait {
			waiting(t, q, "under Wait, who waits for a connection is moved to the wait for Resume")
			continue
		}
		wantErr(t, returned(t, q, "who waits for a connection has begun nothing: refused at once, while the holder still runs"),
			lifecycle.ErrPaused, "a queued operation")
	}
	waiting(t, p, "Pause waits for work in flight")
	wantNil(t, h.release(), "work in flight")
	wantNil(t, returned(t, p, "Pause"), "Pause")
	if served != 0 {
		t.Errorf("%d queued operations were served after the pause began", served)
	}
	wantNil(t, s.Resume(background), "Resume")
	if policy == lifecycle.Wait {
		for _, q := range queued {
			wantNil(t, returned(t, q, "an operation that waited for Resume"), "under Wait")
		}
		if served != 3 {
			t.Errorf("%d of 3 operations were served after Resume", served)
		}
	}
}

func TestWriterThatWaitsForSomebodyElsesLockIsNewWork(t *testing.T) {
	for _, policy := range []lifecycle.Policy{lifecycle.Fail, lifecycle.Wait} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, newFake(t), config{WhenPaused: policy})
				locked := true
				begun, served := 0, 0
				w := begin(func() error {
					return s.WriteAfter(background, func(_ context.Context, c *fakeConn, pauseBegan <-chan struct{}) error {
						begun++
						if locked {
							<-pauseBegan
							return errors.New("locked by somebody else")
						}
						return statement(c)
					}, func(*fakeConn) error { served++; return nil })
				})
				start := time.Now()
				wantNil(t, s.Pause(background), "a writer that waits for another process's lock has begun nothing")
				wantAfter(t, start, 0, "Pause waits for no such writer, not even for the grace")
				if policy == lifecycle.Fail {
					wantErr(t, returned(t, w, "the refused writer"), lifecycle.ErrPaused, "a writer in its begin phase is refused")
				} else {
					waiting(t, w, "under Wait the writer waits for Resume")
				}
				if served != 0 || begun != 1 {
					t.Errorf("the callback ran %d times, begin %d times", served, begun)
				}
				locked = false
				wantNil(t, s.Resume(background), "Resume")
				if policy == lifecycle.Wait {
					wantNil(t, returned(t, w, "the writer that waited"), "WriteAfter is begun again after Resume")
					if served != 1 || begun != 2 {
						t.Errorf("after Resume the callback ran %d times, begin %d times; want 1 and 2", served, begun)
					}
				}
			})
		})
	}
}

func TestBeginThatSucceededIsWorkInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		h := &held{end: make(chan struct{}), result: make(chan error, 1)}
		h.start(background, func(ctx context.Context, fn func(*fakeConn) error) error {
			return s.WriteAfter(ctx, func(context.Context, *fakeConn, <-chan struct{}) error { return nil }, fn)
		}, func(*fakeConn) error { <-h.end; return nil })
		p := pause(s)
		waiting(t, p, "once begin returned nil, the write is work in flight")
		wantNil(t, h.release(), "the write")
		wantNil(t, returned(t, p, "Pause"), "Pause")
	})
}

func TestErrorOfBeginIsNotHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		boom := errors.New("boom")
		err := s.WriteAfter(background, func(context.Context, *fakeConn, <-chan struct{}) error { return boom },
			func(*fakeConn) error { t.Error("the callback ran although begin failed"); return nil })
		wantErr(t, err, boom, "an error of begin")
	})
}

// W-07: a connection that is still being opened when the pause begins is part
// of the drain, and serves nobody.
func TestW07WorkWhoseConnectionOpensDuringThePauseIsNewWork(t *testing.T) {
	for _, role := range []lifecycle.Role{lifecycle.Reader, lifecycle.Writer, lifecycle.Foreign} {
		t.Run(role.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFake(t)
				s := open(t, d, config{})
				h := inGo(background, s.Read) // so that a Read has to open
				let := make(chan struct{})
				d.onOpen = func(_ context.Context, i lifecycle.OpenInfo) error {
					if i.Role == role {
						<-let // whatever its context says
					}
					return nil
				}
				op := map[lifecycle.Role]operation{lifecycle.Reader: s.Read, lifecycle.Writer: s.Write,
					lifecycle.Foreign: func(ctx context.Context, fn func(*fakeConn) error) error {
						f := s.Foreign()
						c, _, err := f.Begin(ctx)
						if err == nil {
							err = f.End(fn(c))
						}
						return err
					}}[role]
				w := begin(func() error {
					return op(background, func(*fakeConn) error { t.Error("work began after the pause had begun"); return nil })
				})
				p := pause(s)
				wantNil(t, h.release(), "the other reader")
				waiting(t, p, "a connection under construction is part of the drain")
				close(let)
				wantErr(t, returned(t, w, "whoever waited for it"), lifecycle.ErrPaused, "it had begun nothing")
				wantNil(t, returned(t, p, "Pause"), "Pause")
				d.nothingHeld(t)
			})
		})
	}
}

func TestWritersAreServedInTheOrderOfTheirComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		h := inGo(background, s.Write)
		var order []int
		var results []<-chan error
		for i := range 20 {
			results = append(results, begin(func() error {
				return s.Write(background, func(*fakeConn) error { order = append(order, i); return nil })
			}))
		}
		if n := s.Stats().WritersWaiting; n != 20 {
			t.Errorf("Stats tells of %d waiting writers, of 20", n)
		}
		wantNil(t, h.release(), "the first writer")
		for _, r := range results {
			wantNil(t, returned(t, r, "a queued writer"), "Write")
		}
		for i, n := range order {
			if i != n {
				t.Fatalf("writers are served first come, first served; got %v", order)
			}
		}
	})
}

func TestWriterThatGivesUpHarmsNobodyInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		h := inGo(background, s.Write)
		start := time.Now()
		short := begin(func() error { return s.Write(within(t, time.Second), nothing) })
		patient := begin(func() error { return s.Write(background, nothing) })
		err := <-short
		wantErr(t, err, context.DeadlineExceeded, "the wait for the writer is bounded by ctx")
		wantAfter(t, start, time.Second, "the wait for the writer")
		waiting(t, patient, "the writer is still busy")
		wantNil(t, h.release(), "the first")
		wantNil(t, returned(t, patient, "the patient writer"), "Write")
	})
}

// W-26: work can wait for Resume, and the wait is bounded.
func TestW26WaitingForResumeIsBounded(t *testing.T) {
	for _, by := range []string{"its context", "the store's Timeout"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, newFake(t), config{WhenPaused: lifecycle.Wait, Timeout: 3 * time.Second, StartPaused: true})
				everyKind(s, func(name string, op func(context.Context) error) {
					ctx, want := background, 3*time.Second
					if by == "its context" {
						ctx, want = within(t, 7*time.Second), 7*time.Second
					}
					start := time.Now()
					err := op(ctx)
					wantErr(t, err, lifecycle.ErrPaused, name+" waited in vain")
					wantAfter(t, start, want, name+" waits no longer than "+by)
					if by == "its context" {
						wantErr(t, err, context.DeadlineExceeded, name+" says why its waiting ended")
					}
				})
			})
		})
	}
}

// However often a store is paused again under a waiting call, the call waits for the Timeout in all.
func TestWaitingForResumeIsBoundedInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{WhenPaused: lifecycle.Wait, Timeout: 3 * time.Second, StartPaused: true})
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { return errors.New("no") }
		start := time.Now()
		r := begin(func() error { return s.Read(background, nothing) })
		for range 2 {
			time.Sleep(time.Second)
			if s.Resume(background) == nil {
				t.Error("Resume succeeded although Open fails")
			}
		}
		wantErr(t, <-r, lifecycle.ErrPaused, "a Read that waited in vain")
		wantAfter(t, start, 3*time.Second, "states that come and go do not prolong the wait")
	})
}

func TestPolicyOfTheCallGoesBeforeTheStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for store, call := range map[lifecycle.Policy]lifecycle.Policy{lifecycle.Fail: lifecycle.Wait, lifecycle.Wait: lifecycle.Fail} {
			s := open(t, newFake(t), config{WhenPaused: store, StartPaused: true})
			everyKind(s, func(name string, op func(context.Context) error) {
				r := begin(func() error { return op(lifecycle.WithPolicy(background, call)) })
				if call == lifecycle.Fail {
					wantErr(t, returned(t, r, name), lifecycle.ErrPaused, "WithPolicy(Fail) under a store that waits")
					return
				}
				waiting(t, r, name+" with WithPolicy(Wait) under a store that fails")
				wantNil(t, s.Resume(background), "Resume")
				wantNil(t, returned(t, r, name), "after Resume")
				wantNil(t, s.Pause(background), "Pause")
			})
		}
	})
}

func TestWaitersGetErrClosed(t *testing.T) {
	for _, during := range []string{"paused", "pausing"} {
		t.Run(during, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, newFake(t), config{WhenPaused: lifecycle.Wait})
				h := inGo(background, s.Read)
				p := pause(s)
				if during == "paused" {
					wantNil(t, h.release(), "the reader")
					wantNil(t, returned(t, p, "Pause"), "Pause")
				}
				r, w := begin(func() error { return s.Read(background, nothing) }), begin(func() error { return s.Write(background, nothing) })
				c := begin(func() error { return s.Close(background) })
				wantErr(t, returned(t, r, "a Read that waited for Resume: there will be none"), lifecycle.ErrClosed, "Close")
				wantErr(t, returned(t, w, "a Write that waited for Resume: there will be none"), lifecycle.ErrClosed, "Close")
				if during == "pausing" {
					waiting(t, c, "Close is the same drain")
					wantNil(t, h.release(), "the reader")
					wantNil(t, returned(t, p, "the Pause that Close joined"), "Pause")
				}
				wantNil(t, returned(t, c, "Close"), "Close")
			})
		})
	}
}

// A change of state between the look and the wait must not be missed: under
// synctest a missed one shows as a wait of an hour.
func TestWaitersMissNoResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{WhenPaused: lifecycle.Wait, Timeout: time.Hour})
		start := time.Now()
		stop := make(chan struct{})
		results := make(chan error)
		for range 4 {
			go func() {
				for {
					select {
					case <-stop:
						results <- nil
						return
					default:
					}
					if err := s.Read(background, nothing); err != nil {
						results <- err
						return
					}
				}
			}()
		}
		for range tier.Count(300, 5000, 50000) {
			wantNil(t, s.Pause(background), "Pause")
			wantNil(t, s.Resume(background), "Resume")
		}
		close(stop)
		for range 4 {
			wantNil(t, <-results, "a Read under Wait")
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v: a Read overslept a Resume", took)
		}
	})
}

package lifecycle_test

// Somebody else's code may panic, or call runtime.Goexit as a test's FailNow
// does. Nothing may stay held for that, and nobody else may notice.

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestPanicAndGoexitInACallback(t *testing.T) {
	for how, leave := range map[string]func(){"panic": func() { panic("ouch") }, "Goexit": runtime.Goexit} {
		for _, where := range []string{"read", "write", "begin", "joined"} {
			t.Run(how+" in "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newFake(t)
					s := open(t, d, config{MaxReaders: 1})
					leaving := func(*fakeConn) error { leave(); return nil }
					var value any
					done := make(chan struct{})
					go func() {
						defer close(done)
						defer func() { value = recover() }()
						switch where {
						case "read":
							_ = s.Read(background, leaving)
						case "write":
							_ = s.Write(background, leaving)
						case "begin":
							_ = s.WriteAfter(background, func(context.Context, *fakeConn, <-chan struct{}) error { leave(); return nil }, nothing)
						case "joined":
							_ = s.Read(background, func(c *fakeConn) error { return s.Read(s.Inside(background, c), leaving) })
						}
					}()
					<-done
					if how == "panic" && value != "ouch" {
						t.Errorf("recovered %v; a panic in a callback is passed on as it is", value)
					}
					if n := d.resets.Load(); n != 1 {
						t.Errorf("%d resets; the connection is cleaned before anybody else gets it", n)
					}
					if n := len(s.Holders()); n != 0 {
						t.Errorf("%d holders after the callback has left", n)
					}
					wantNil(t, s.Read(background, statement), "the next Read")
					wantNil(t, s.Write(background, statement), "the next Write")
					wantNil(t, s.Pause(background), "Pause")
				})
			})
		}
	}
}

func TestPanicInOpenIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{})
		h := inGo(background, s.Read)
		boom := errors.New("boom")
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { panic(boom) }
		everyKind(s, func(name string, op func(context.Context) error) {
			err := op(background)
			wantErr(t, err, boom, name+" whose connection panics in Open")
			var typed *lifecycle.PanicError
			if !errors.As(err, &typed) || len(typed.Stack) == 0 {
				t.Errorf("%s: %v; want a *PanicError with its stack", name, err)
			}
		})
		d.onOpen = nil
		wantNil(t, h.release(), "the reader")
	})
}

func TestGoexitInOpenIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{Timeout: time.Second})
		h := inGo(background, s.Read)
		d.onOpen = func(context.Context, lifecycle.OpenInfo) error { runtime.Goexit(); return nil }
		everyKind(s, func(name string, op func(context.Context) error) {
			r := make(chan error, 1)
			go func() {
				err := errors.New("its goroutine has ended")
				defer func() { r <- err }()
				err = op(within(t, time.Minute))
			}()
			start := time.Now()
			if err := <-r; err == nil {
				t.Errorf("%s returned nil without a connection", name)
			}
			wantAfter(t, start, 0, name+" whose connection's Open calls Goexit")
		})
		wantNil(t, h.release(), "the reader")
		wantNil(t, s.Pause(background), "Pause")
		if s.Resume(background) == nil {
			t.Error("Resume returned nil without a connection")
		}
		d.onOpen = nil
	})
}

func TestPanicInInterruptHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &panicking{fakeDriver: newFake(t)}
		s, err := lifecycle.Open(background, d, config{Grace: time.Second})
		wantNil(t, err, "Open")
		h := inStatement(background, s.Read)
		p := pause(s)
		time.Sleep(2 * time.Second)
		wantNil(t, h.release(), "a statement that the driver could not interrupt")
		wantNil(t, <-p, "Pause")
		wantNil(t, s.Close(background), "Close")
		d.allGone(t)
	})
}

type panicking struct{ *fakeDriver }

func (panicking) Interrupt(*fakeConn) { panic("no such function") }

// A Sever that panics is taken for one that has closed its connection: nobody touches that again.
func TestPanicInSeverEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		boom := errors.New("boom")
		s, err := lifecycle.Open(background, panickingSever{d, boom}, config{Timeout: time.Second})
		wantNil(t, err, "Open")
		r, w := inGo(background, s.Read), inGo(background, s.Write)
		_ = s.Pause(background)
		synctest.Wait()
		wantState(t, s, lifecycle.Paused, "the pause goes on")
		wantErr(t, s.Report().Err, boom, "the report has the panic")
		wantNil(t, r.release(), "the reader")
		wantNil(t, w.release(), "the writer")
		wantNil(t, s.Close(background), "Close")
	})
}

type panickingSever struct {
	*fakeDriver
	err error
}

func (d panickingSever) Sever(*fakeConn, func(error)) { panic(d.err) }

// Goexit on the engine's goroutine must neither stop the engine nor leave
// anything held in a store that says it is paused.
func TestGoexitInAHookIsAnError(t *testing.T) {
	for _, where := range []string{"BeforeRelease", "AfterReopen", "Validate", "Validated", "Checkpoint", "Identify", "Verify"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				armed := true
				leave := func(at string) {
					if armed && at == where {
						armed = false
						runtime.Goexit()
					}
				}
				d.validate = func(context.Context) error { leave("Validate"); return nil }
				d.validated = func() (lifecycle.Change, error) { leave("Validated"); return 0, nil }
				d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) {
					leave("Checkpoint")
					return
				}
				d.identify = func(*fakeConn) error { leave("Identify"); return nil }
				d.verify = func(context.Context) error { leave("Verify"); return nil }
				s := openPaused(t, d, config{Timeout: time.Second, Verify: true,
					BeforeRelease: func(context.Context, *fakeConn) error { leave("BeforeRelease"); return nil },
					AfterReopen:   func(context.Context, *fakeConn) error { leave("AfterReopen"); return nil }})
				switch where {
				case "AfterReopen", "Validate", "Validated":
					start := time.Now()
					if s.Resume(background) == nil {
						t.Error("Resume returned nil although " + where + " has not returned")
					}
					wantAfter(t, start, 0, "a Resume that failed")
					wantState(t, s, lifecycle.Paused, "a Resume that failed")
					d.nothingHeld(t)
				default:
					wantNil(t, s.Resume(background), "Resume")
					wantNil(t, s.Write(background, nothing), "Write")
					err := s.Pause(background)
					switch where {
					case "BeforeRelease":
						if err == nil {
							t.Error("Pause returned nil although its hook has not returned")
						}
					default:
						wantNil(t, err, "Pause")
					}
					wantState(t, s, lifecycle.Paused, "Pause")
					d.nothingHeld(t)
				}
				wantNil(t, s.Resume(background), "the next Resume")
				wantNil(t, s.Write(background, statement), "Write")
				wantNil(t, s.Pause(background), "the next Pause")
				d.nothingHeld(t)
			})
		})
	}
}

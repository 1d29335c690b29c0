package lifecycle_test

// A driver is somebody else's code in every one of its methods: none of them
// can end the process, the engine or an interrupt by a panic or runtime.Goexit.

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// leavingDriver leaves, by a panic or Goexit, from the method that it is told to.
type leavingDriver struct {
	*fakeDriver
	at    string
	leave func()
}

func (d *leavingDriver) maybe(at string) {
	if d.at == at {
		d.leave()
	}
}

func (d *leavingDriver) Begin(context.Context, *fakeConn) { d.maybe("Begin") }
func (d *leavingDriver) Leftovers() []string              { d.maybe("Leftovers"); return nil }
func (d *leavingDriver) Interrupt(c *fakeConn)            { d.maybe("Interrupt"); d.fakeDriver.Interrupt(c) }
func (d *leavingDriver) Reset(c *fakeConn) error {
	err := d.fakeDriver.Reset(c)
	d.maybe("Reset")
	return err
}

func (d *leavingDriver) Close(c *fakeConn) error {
	err := d.fakeDriver.Close(c)
	d.maybe("Close")
	return err
}

type leavingSever struct{ *leavingDriver }

func (d leavingSever) Sever(c *fakeConn, done func(error)) {
	d.maybe("Sever")
	severingDriver{d.fakeDriver}.Sever(c, done)
}

// onItsOwn runs f on a goroutine that it may end, and waits for that.
func onItsOwn(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
}

func TestDriverThatLeavesAnyMethodHarmsNobody(t *testing.T) {
	for how, leave := range map[string]func(){"panic": func() { panic("ouch") }, "Goexit": runtime.Goexit} {
		for _, at := range []string{"Begin", "Leftovers", "Interrupt", "Reset", "Close", "Sever"} {
			t.Run(how+" in "+at, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := &leavingDriver{fakeDriver: newFake(t), leave: leave}
					s, err := lifecycle.Open(background, leavingSever{d}, config{Grace: time.Second, Timeout: 4 * time.Second,
						BeforeRelease: func(context.Context, *fakeConn) error { return nil },
						AfterReopen:   func(context.Context, *fakeConn) error { return nil }})
					wantNil(t, err, "Open")
					f := s.Foreign()
					wantNil(t, s.Write(background, nothing), "Write")

					d.at = at
					onItsOwn(func() { _ = s.Read(background, nothing) })
					onItsOwn(func() { _ = s.Write(background, nothing) })
					onItsOwn(func() {
						if _, _, err := f.Begin(background); err == nil {
							_ = f.End(nil)
						}
					})
					if h := s.Holders(); len(h) != 0 {
						t.Errorf("held by operations that are over: %v", h)
					}
					var r, w *held
					if at == "Sever" || at == "Interrupt" {
						r, w = inGo(background, s.Read), inStatement(background, s.Write)
					}
					_ = s.Pause(background)
					if r != nil {
						wantNil(t, r.release(), "a reader")
						_ = w.release()
					}
					time.Sleep(time.Second)
					synctest.Wait()
					wantState(t, s, lifecycle.Paused, "the pause has run to its end")
					if at != "Sever" { // it has taken the connection for closed
						d.nothingHeld(t)
					}
					onItsOwn(func() { _ = s.Resume(background) })

					d.at = ""
					if at != "Sever" {
						wantNil(t, errors.Join(ignoring(s.Pause(background)), s.Resume(background)), "the next Pause and Resume")
						wantNil(t, s.Read(background, statement), "Read")
						wantNil(t, s.Write(background, statement), "Write")
						_, _, err = f.Begin(background)
						wantNil(t, errors.Join(err, f.End(nil)), "a Foreign operation")
						wantNil(t, s.Close(background), "Close")
						d.allGone(t)
					} else {
						_ = s.Close(background)
					}
				})
			})
		}
	}
}

// An Observer runs where the engine does, and may end that goroutine whenever it is told of something.
func TestObserverThatLeavesHarmsNobody(t *testing.T) {
	for how, leave := range map[string]func(){"panic": func() { panic("ouch") }, "Goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFull(t)
				told := 0
				s := open(t, d, config{Observer: lifecycle.ObserverFunc(func(lifecycle.Event) { told++; leave() })})
				for range 3 {
					wantNil(t, s.Write(background, nothing), "Write")
					wantNil(t, s.Pause(background), "Pause")
					d.nothingHeld(t)
					wantNil(t, s.Resume(background), "Resume")
				}
				wantNil(t, s.Close(background), "Close")
				d.allGone(t)
				if want := 2 + 3*4 + 2; told != want {
					t.Errorf("told %d times of %d changes; none is told twice, and none left out", told, want)
				}
			})
		})
	}
}

// ignoring leaves only the errors that say that a pause did not end.
func ignoring(err error) error {
	if h := (*lifecycle.HeldError)(nil); errors.As(err, &h) {
		return err
	}
	return nil
}

package lifecycle

import (
	"context"
	"errors"
	"fmt"
)

// A driver is somebody else's code: it may panic, and some of its calls are
// made on goroutines where a panic would end the process.

// guard turns a panic of f into an error. It is for what has to run on the goroutine of its caller.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
	}()
	return f()
}

// errGoexit is what a call has failed with that ended its goroutine.
var errGoexit = errors.New("runtime.Goexit was called")

// attempt calls f and tells done how that ended. Where f calls runtime.Goexit,
// as a test's FailNow does, done is still told, and attempt does not return: it
// is for goroutines of which somebody else takes up the rest.
func attempt(f func() error, done func(error)) {
	err := errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
		done(err)
	}()
	err = f()
}

// isolate calls f on a goroutine of its own, so that neither a panic nor
// Goexit leaves things half done on that of puddle or of somebody with the gate.
func isolate(f func() error) error {
	result := make(chan error, 1)
	go attempt(f, func(err error) { result <- err })
	return <-result
}

func (s *Connections[C]) driverOpen(ctx context.Context, role Role, generation uint64) (conn C, err error) {
	err = isolate(func() (err error) {
		conn, err = s.driver.Open(ctx, OpenInfo{Role: role, Generation: generation, Resume: generation > 1 || s.cfg.StartPaused})
		return err
	})
	return conn, err
}

func (s *Connections[C]) driverClose(conn C) error {
	return isolate(func() error { return s.driver.Close(conn) })
}

// reset is on the hot path: the driver's Reset with a recover around it, and
// no goroutine. Its caller reckons with runtime.Goexit in it.
func (s *Connections[C]) reset(conn C) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
	}()
	return s.driver.Reset(conn)
}

// callHook calls a hook of the user's with a connection that serves no
// operation. The connection is told of no context: whatever contexts the hook uses are its own.
func (s *Connections[C]) callHook(ctx context.Context, conn C, hook func(context.Context, C) error) (err, unfit error) {
	err = isolate(func() error {
		if b, able := s.driver.(Beginner[C]); able {
			b.Begin(context.Background(), conn)
		}
		return hook(ctx, conn)
	})
	return err, isolate(func() error { return s.driver.Reset(conn) })
}

func (s *Connections[C]) driverInterrupt(conn C) {
	_ = isolate(func() error { s.driver.Interrupt(conn); return nil })
}

func (s *Connections[C]) driverSever(severer Severer[C], conn C, done func(error)) {
	if err := isolate(func() error { severer.Sever(conn, done); return nil }); err != nil {
		done(fmt.Errorf("sever: %w", err))
	}
}

// closed closes the writer's connection when it turned out unfit.
func (s *Connections[C]) closed(sl *slot[C]) { s.closedWith(s.driverClose(sl.conn)) }

// closedWith keeps the error of a writer's close for the report of the next pause.
func (s *Connections[C]) closedWith(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeErr = errors.Join(s.closeErr, s.closeError(Writer, err))
}

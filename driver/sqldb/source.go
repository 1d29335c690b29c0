package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// source is lifecycle's driver of a Store.
type source struct {
	connector driver.Connector
	cfg       Config
	checks    atomic.Bool // its connections convert arguments themselves, as the last one that was opened

	// The reader that a Resume opens to see whether that is possible has
	// nothing to do. Its connection goes to the first virtual one that asks.
	mu    sync.Mutex
	spare *Session
	life  uint64 // the generation that spare belongs to
}

// Open opens a physical connection, or takes the spare one.
func (d *source) Open(ctx context.Context, info lifecycle.OpenInfo) (*Session, error) {
	if info.Role == lifecycle.Foreign {
		if conn := d.take(info.Generation); conn != nil {
			return NewSession(conn, d.cfg.Session), nil
		}
	}
	conn, err := d.connector.Connect(ctx)
	if err != nil && d.cfg.Path != "" {
		err = (&file{path: d.cfg.Path}).why(err)
	}
	if err != nil {
		return nil, openError(d.cfg.Name, err)
	}
	if d.cfg.Setup != nil {
		ready := false
		defer func() { // also after a panic
			if !ready {
				_ = conn.Close()
			}
		}()
		if err := d.cfg.Setup(ctx, conn); err != nil {
			return nil, openError(d.cfg.Name, errors.Join(errors.New("setup"), err))
		}
		ready = true
	}
	_, checks := conn.(driver.NamedValueChecker)
	d.checks.Store(checks)
	s := NewSession(conn, d.cfg.Session)
	if info.Role == lifecycle.Reader {
		d.mu.Lock()
		d.spare, d.life = s, info.Generation
		d.mu.Unlock()
	}
	return s, nil
}

// take takes the connection out of the spare session, which is left without one.
func (d *source) take(life uint64) driver.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.spare
	if s == nil || d.life != life || !s.guard.Claim() {
		return nil
	}
	d.spare = nil
	conn := s.conn
	s.conn = nil
	return conn
}

// Interrupt stops what runs on s.
func (d *source) Interrupt(s *Session) { s.Interrupt() }

// Reset cleans up after an operation.
func (d *source) Reset(s *Session) error { return s.Reset() }

// Sever closes s under its operation.
func (d *source) Sever(s *Session, done func(error)) { s.Sever(done) }

// Describe says what s is doing.
func (d *source) Describe(s *Session) string { return s.Describe() }

// Close closes s.
func (d *source) Close(s *Session) error {
	d.mu.Lock()
	if d.spare == s {
		d.spare = nil
	}
	gone := s.conn == nil
	d.mu.Unlock()
	if gone {
		return nil
	}
	return s.Close()
}

// driver returns the source with as much of lifecycle's optional interfaces as it is configured for.
func (d *source) driver() lifecycle.Driver[*Session] {
	switch f := (&file{path: d.cfg.Path}); {
	case d.cfg.Path != "" && d.cfg.Verify != nil:
		return struct {
			verified
			*file
		}{verified{d}, f}
	case d.cfg.Path != "":
		return struct {
			*source
			*file
		}{d, f}
	case d.cfg.Verify != nil:
		return verified{d}
	default:
		return d
	}
}

// verified is a source whose user has a proof that nothing is held.
type verified struct{ *source }

// Verify asks for the proof.
func (d verified) Verify(ctx context.Context) error { return d.cfg.Verify(ctx) }

package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/internal/guard"
	"github.com/quiesce-go/quiesce/internal/sqltext"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Session is one physical connection of a driver, as virtual connections use
// it: with the statements, rows and transaction that have to be closed before
// it. It is for drivers of lifecycle: Interrupt, Reset, Sever, Close and
// Describe are what those of lifecycle's Driver have to do for a Session.
type Session struct {
	guard guard.Guard
	conn  driver.Conn
	cfg   SessionConfig
	can   abilities

	// What follows is touched by whoever is inside the guard.

	texts texts
	stmts map[*prepared]struct{} // of virtual statements
	rows  *rows                  // the open ones, newest first
	tx    driver.Tx              // begun by the driver's BeginTx
	began atomic.Bool            // a transaction begun by SQL text is open
	txEnd func()                 // ends the context of the transaction

	op      context.Context // of a driver that can only be stopped by contexts
	endOp   context.CancelFunc
	opMu    sync.Mutex
	doing   atomic.Pointer[text]
	inTx    atomic.Bool
	garbage garbage
}

// SessionConfig says how a Session uses its connection.
type SessionConfig struct {
	// Statements is how many prepared statements are kept for texts that come
	// without one. The default is 64; a negative number keeps none.
	Statements int

	// Busy says whether an error means that another connection's lock was in
	// the way, and the statement may be repeated. Such a statement is repeated
	// within BusyTimeout; the waiting ends with the statement's context and
	// with a pause. Nil means that the driver does its own waiting.
	Busy        func(error) bool
	BusyTimeout time.Duration
}

// abilities are what a driver's connection can do beyond driver.Conn.
type abilities struct {
	query   driver.QueryerContext
	exec    driver.ExecerContext
	prepare driver.ConnPrepareContext
	begin   driver.ConnBeginTx
	ping    driver.Pinger
	reset   driver.SessionResetter
	valid   driver.Validator

	interrupt  func()                 // stops what runs, from another goroutine; nil where only contexts do
	autocommit func() bool            // no transaction is open; nil where that cannot be asked
	readOnly   func(driver.Stmt) bool // the statement leaves the database as it is; nil where that cannot be asked
	parameters func(driver.Stmt) int
}

func abilitiesOf(conn driver.Conn) (a abilities) {
	a.query, _ = conn.(driver.QueryerContext)
	a.exec, _ = conn.(driver.ExecerContext)
	a.prepare, _ = conn.(driver.ConnPrepareContext)
	a.begin, _ = conn.(driver.ConnBeginTx)
	a.ping, _ = conn.(driver.Pinger)
	a.reset, _ = conn.(driver.SessionResetter)
	a.valid, _ = conn.(driver.Validator)
	a.parameters = driver.Stmt.NumInput
	if c, ok := conn.(interface{ Interrupt() }); ok {
		a.interrupt = c.Interrupt
	}
	switch c := conn.(type) {
	case interface{ Autocommit() bool }:
		a.autocommit = c.Autocommit
	case interface{ AutoCommit() bool }: // mattn/go-sqlite3
		a.autocommit = c.AutoCommit
	}
	if c, ok := conn.(interface{ ReadOnly(driver.Stmt) bool }); ok {
		a.readOnly = c.ReadOnly
	}
	if c, ok := conn.(interface{ Parameters(driver.Stmt) int }); ok {
		a.parameters = c.Parameters
	}
	return a
}

// NewSession makes a Session of a connection that was just opened. Where conn
// has a method Interrupt(), Autocommit() bool, ReadOnly(driver.Stmt) bool or
// Parameters(driver.Stmt) int, it is used: to stop what runs without a context
// for each statement, to see transactions that were begun by SQL text, to know
// which statements write, and how many arguments they take.
func NewSession(conn driver.Conn, cfg SessionConfig) *Session {
	if cfg.Statements == 0 {
		cfg.Statements = defaultStatements
	}
	s := &Session{conn: conn, cfg: cfg, can: abilitiesOf(conn)}
	s.texts.init(cfg.Statements)
	s.guard.Init((*physical)(s))
	return s
}

// Interrupt stops what runs, and keeps every further statement of the operation from starting.
func (s *Session) Interrupt() { s.guard.Interrupt() }

// Sever closes the connection under its operation, as lifecycle.Severer has it.
func (s *Session) Sever(done func(error)) { s.guard.Sever(done) }

// Close closes statements, rows and the connection.
func (s *Session) Close() error {
	if !s.guard.Claim() {
		return s.guard.Refused()
	}
	return s.guard.Close()
}

// Describe says what the operation does: the beginning of the SQL text that ran last.
func (s *Session) Describe() string {
	what := ""
	if t := s.doing.Load(); t != nil {
		what = shorten(t.sql)
	}
	switch {
	case !s.inTx.Load():
		return what
	case what == "":
		return "a transaction"
	default:
		return "a transaction, last: " + what
	}
}

var errUnfit = errors.New("the connection is not fit to be used again")

// Reset ends an operation: what is open is closed, what was begun is rolled
// back, an interrupt is forgotten. An error means that the connection is unfit.
func (s *Session) Reset() error {
	s.guard.Begin() // an operation that ended before it had used the connection
	var err error
	if !s.tidied() {
		err = s.call(s.clean)
	}
	if s.guard.Interrupted() {
		s.guard.Calm()
	}
	if s.can.interrupt == nil {
		s.endContext()
	}
	s.doing.Store(nil)
	if !s.guard.End() && err == nil {
		err = s.guard.Refused()
	}
	return err
}

// tidied says whether an operation has left nothing to look at: most do.
func (s *Session) tidied() bool {
	return !s.left() && s.can.valid == nil && !s.guard.Broken()
}

// left says whether it has left something to settle.
func (s *Session) left() bool {
	return s.rows != nil || s.tx != nil || s.began.Load() || s.guard.Interrupted() || s.guard.Poked()
}

// clean leaves the connection as an operation wants to find it. Inside the guard.
func (s *Session) clean() error {
	if s.guard.Broken() || s.guard.Interrupted() && s.can.interrupt == nil {
		return errUnfit // what an ended context has left behind, only its driver knows
	}
	if s.left() {
		if err := s.settle(); err != nil {
			return err
		}
	}
	if s.can.valid != nil && !s.can.valid.IsValid() {
		return errUnfit
	}
	return nil
}

// reset lets the driver prepare a connection that database/sql had in its pool.
func (s *Session) reset(ctx context.Context) error {
	if s.can.reset == nil {
		return nil
	}
	return s.call(func() error { return s.can.reset.ResetSession(ctx) })
}

// call runs f as one call into the driver.
func (s *Session) call(f func() error) error {
	if !s.guard.Enter() {
		return s.guard.Refused()
	}
	defer s.guard.Leave()
	err := f()
	s.guard.Left()
	return err
}

// settle closes the rows and rolls back, with no interrupt possible. Inside
// the guard, or where nobody can be inside any more.
func (s *Session) settle() error {
	s.guard.Shield()
	defer s.guard.Unshield()
	s.closeRows()
	if err := s.rollback(); err != nil {
		return err
	}
	return s.soothe()
}

// soothe makes an interrupt harmless that may still be in force: one that
// found nothing running is obeyed by the statement after it, or by the close
// of the last connection, which then leaves -wal and -shm behind.
func (s *Session) soothe() error {
	if !s.guard.Poked() {
		return nil
	}
	s.guard.Soothed()
	return s.run("SELECT 1")
}

// run runs a text without arguments and results, come what may.
func (s *Session) run(sql string) error {
	if s.can.exec != nil {
		_, err := s.can.exec.ExecContext(context.Background(), sql, nil)
		if !errors.Is(err, driver.ErrSkip) {
			return err
		}
	}
	p, err := s.prepare(context.Background(), sql)
	if err != nil {
		return err
	}
	_, err = p.exec(context.Background(), nil)
	return errors.Join(err, p.stmt.Close())
}

// rollback ends the transaction, if there is one, whoever has begun it. Inside the guard and the shield.
func (s *Session) rollback() error {
	if s.guard.Poked() {
		s.closeRows() // an interrupt stays in force while any statement is open, and would stop the ROLLBACK
	}
	tx, began := s.tx, s.began.Swap(false)
	s.tx = nil
	s.inTx.Store(false)
	defer s.endTxContext()
	var err error
	switch {
	case s.can.autocommit != nil && s.can.autocommit():
	case s.can.autocommit != nil:
		err = s.run("ROLLBACK")
		if err != nil && s.can.autocommit() {
			err = nil
		}
	case tx != nil:
		err = tx.Rollback()
	case began:
		err = s.run("ROLLBACK")
	}
	return err
}

// closeRows closes what is open. Its owners are told when they ask for the next row.
func (s *Session) closeRows() {
	for s.rows != nil {
		_ = s.rows.finish() // a driver may repeat the error of the last step here
	}
}

// physical is what the guard sees of a Session.
type physical Session

// Interrupt stops the call that is inside.
func (p *physical) Interrupt() {
	if p.can.interrupt != nil {
		p.can.interrupt()
		return
	}
	p.opMu.Lock()
	end := p.endOp
	p.opMu.Unlock()
	if end != nil {
		end()
	}
}

// Shut closes everything. Statements and rows come before their connection, always:
// otherwise mattn keeps every descriptor and modernc panics.
func (p *physical) Shut() error {
	s := (*Session)(p)
	_ = guard.Recovered(s.settle) // what cannot be rolled back now is rolled back by closing
	err := guard.Recovered(s.closeStatements)
	err = errors.Join(err, guard.Recovered(s.conn.Close))
	s.endContext()
	return err
}

func (s *Session) closeStatements() error {
	err := s.texts.closeAll()
	for p := range s.stmts {
		err = errors.Join(err, p.close())
	}
	s.stmts = nil
	return err
}

// explain makes of a statement's error what its caller has to know: its
// context's error where that has ended it, and ErrInterrupted where a pause did.
func (s *Session) explain(err error, sc *scope) error {
	switch {
	case err == nil:
		return nil
	case sc != nil && sc.ended():
		return sc.caller.Err()
	case s.guard.Interrupted() || s.guard.Severed():
		return interrupted(err)
	default:
		return err
	}
}

// interrupted makes err match ErrInterrupted. It never matches
// driver.ErrBadConn then: database/sql would do the work again, which had begun.
func interrupted(err error) error {
	switch {
	case errors.Is(err, driver.ErrBadConn):
		return lifecycle.ErrInterrupted
	case errors.Is(err, lifecycle.ErrInterrupted):
		return err
	default:
		return fmt.Errorf("%w: %w", lifecycle.ErrInterrupted, err)
	}
}

// shorten cuts a text for an error, at a space or comment where that fits.
func shorten(sql string) string {
	const most = 60
	tokens := sqltext.Tokens(sql[:min(len(sql), 4*most)], most)
	short := ""
	for _, t := range tokens {
		if len(short)+1+len(t) > most {
			return short + " …"
		}
		if short != "" {
			short += " "
		}
		short += t
	}
	return short
}

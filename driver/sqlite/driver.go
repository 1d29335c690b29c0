package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/quiesce-go/quiesce/internal/holders"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// storeDriver is what lifecycle drives: it opens, validates, interrupts,
// severs, checkpoints and closes the connections of one store.
type storeDriver struct {
	engine Engine
	shared unique.Handle[settings]
	setup  func(ctx context.Context, c *Conn) error
	live   atomic.Int32 // connections that are open, or being opened

	mu      sync.Mutex
	active  bool   // the store was active since the files were last looked at
	written bool   // the last checkpoint has left nothing in the logs that is not in the files
	spare   *Conn  // what Open has left for the first reader
	checked uint64 // the newest generation whose first connection was compared with what was paused

	replacement replacement

	main file // the first of files
}

func newDriver(cfg Config) *storeDriver {
	d := &storeDriver{engine: cfg.Engine, shared: cfg.settings(), setup: cfg.Setup, main: *newFile(mainSchema, cfg.Path)}
	last := &d.main
	for _, a := range cfg.Attach {
		last.next = newFile(a.Schema, a.Path)
		last = last.next
	}
	return d
}

// files are the database and those that are attached to it.
func (d *storeDriver) files() []*file {
	files := make([]*file, 0, 1)
	for f := &d.main; f != nil; f = f.next {
		files = append(files, f)
	}
	return files
}

func (d *storeDriver) settings() settings { return d.shared.Value() }

func (d *storeDriver) path() string { return d.main.path }

func (d *storeDriver) paths() []string {
	var paths []string
	for _, f := range d.files() {
		paths = append(paths, f.path)
	}
	return paths
}

// Open opens a connection. The file system is asked before and after, so that
// a file that is swapped in between is noticed, and the first connection of
// every generation reads the identity.
func (d *storeDriver) Open(ctx context.Context, info lifecycle.OpenInfo) (c *Conn, err error) {
	d.live.Add(1)
	defer func() {
		if c == nil {
			d.live.Add(-1)
		}
	}()
	d.mu.Lock()
	first := info.Generation > d.checked
	d.mu.Unlock()

	at := time.Now()
	before, err := d.look(first)
	if err != nil {
		return nil, err
	}
	var ids []identity
	c, err = d.provide(ctx, info.Role, func(c *Conn) (err error) {
		if !first {
			return nil
		}
		if ids, err = d.recognise(ctx, c); err != nil {
			return err
		}
		return d.settleUnseen(ctx, c, ids)
	})
	if err != nil {
		return nil, err
	}
	if err := d.unmoved(before); err != nil {
		err = errors.Join(err, c.close())
		return nil, err
	}
	if info.Role == lifecycle.Foreign {
		if err := c.serveSQL(); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	if first {
		d.remember(info.Generation, at, before, ids)
	}
	return c, nil
}

// provide opens a connection, or takes the one that Open has left.
func (d *storeDriver) provide(ctx context.Context, role lifecycle.Role, check func(*Conn) error) (*Conn, error) {
	if role == lifecycle.Reader {
		if c := d.takeSpare(); c != nil {
			if err := d.asOperation(c, func() error { return check(c) }); err != nil {
				return nil, errors.Join(err, c.close())
			}
			return c, nil
		}
	}
	return d.connect(ctx, role, check)
}

// look compares the files with those that the store has. For the first
// connection of a generation an acceptance lets others pass: Validate has had its say.
func (d *storeDriver) look(first bool) ([]fileStat, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stats := make([]fileStat, len(d.files()))
	for i, f := range d.files() {
		if first && !f.resolved { // before anything is open: a link may be turned elsewhere later
			f.resolve()
		}
		st, err := statFile(f.path)
		switch {
		case err != nil:
			return nil, err
		case !st.exists:
			return nil, &OpenError{Path: f.path, Err: lifecycle.ErrMissing}
		case f.known && !st.same(f.was.fileID) && !(first && d.acceptsReplaced()):
			return nil, &OpenError{Path: f.path, Err: lifecycle.ErrReplaced, Hint: hintSwapped}
		}
		if err := openFiles.found(f, st.fileID); err != nil {
			return nil, err
		}
		stats[i] = st
	}
	return stats, nil
}

const hintSwapped = "it was replaced while the store was opening or active"

// unmoved tells whether the files are still those that were looked at.
func (d *storeDriver) unmoved(before []fileStat) error {
	for i, f := range d.files() {
		st, err := statFile(f.path)
		if err != nil {
			return err
		}
		if !st.same(before[i].fileID) {
			return &OpenError{Path: f.path, Err: lifecycle.ErrReplaced, Hint: hintSwapped}
		}
	}
	return nil
}

// recognise reads the identities and compares them with those that were paused.
func (d *storeDriver) recognise(ctx context.Context, c *Conn) ([]identity, error) {
	ids := make([]identity, len(d.files()))
	for i, f := range d.files() {
		id, err := readIdentity(ctx, c, f.schema())
		if err != nil {
			return nil, openError(f, err)
		}
		d.mu.Lock()
		if f.known && !d.acceptsReplaced() {
			err = id.compare(f)
		}
		d.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if err := id.admit(d.settings(), f); err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

// remember keeps what the first connection of a generation has found.
func (d *storeDriver) remember(generation uint64, at time.Time, stats []fileStat, ids []identity) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if generation <= d.checked { // a later one has been faster
		return
	}
	d.checked = generation
	for i, f := range d.files() {
		f.swapped = f.swapped || f.known && !stats[i].same(f.was.fileID)
		f.identity, f.was, f.settled, f.known = ids[i], stats[i], stats[i].settled(at), true
	}
}

// asOperation runs f on a connection that serves no operation of the core's.
func (d *storeDriver) asOperation(c *Conn, f func() error) error {
	c.setOp(context.Background())
	err := f()
	return errors.Join(err, c.reset())
}

// Begin tells the connection its operation's context.
func (d *storeDriver) Begin(ctx context.Context, c *Conn) {
	if c.session == nil {
		c.setOp(ctx)
	}
}

// Interrupt stops the statement that runs.
func (d *storeDriver) Interrupt(c *Conn) {
	if c.session != nil {
		c.session.Interrupt()
		return
	}
	c.guard.Interrupt()
}

// Reset cleans up after an operation.
func (d *storeDriver) Reset(c *Conn) error {
	if c.session != nil {
		return c.session.Reset()
	}
	return c.reset()
}

// Describe says what an operation of database/sql is doing.
func (d *storeDriver) Describe(c *Conn) string {
	if c.session != nil {
		return c.session.Describe()
	}
	return ""
}

// Sever closes the connection under its operation.
func (d *storeDriver) Sever(c *Conn, done func(error)) {
	sever := c.guard.Sever
	if c.session != nil {
		sever = c.session.Sever
	}
	sever(func(err error) {
		d.live.Add(-1)
		done(err)
	})
}

// Close closes a connection.
func (d *storeDriver) Close(c *Conn) error {
	defer d.live.Add(-1)
	if c.session != nil {
		return c.session.Close()
	}
	return c.close()
}

// Validate compares the files with what was paused, before anything is opened.
func (d *storeDriver) Validate(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replacement.begin()
	for _, f := range d.files() {
		if err := d.check(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// Validated says whether somebody else has written since the pause. The
// comparisons themselves were made by Open.
func (d *storeDriver) Validated(context.Context) (lifecycle.Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.active { // the pause did not come to its end: there is nothing to compare with
		return lifecycle.ChangeUnknown, nil
	}
	all := lifecycle.ChangeNo
	for _, f := range d.files() {
		switch c := f.changed(); {
		case c == lifecycle.ChangeYes:
			all = c
		case c == lifecycle.ChangeUnknown && all == lifecycle.ChangeNo:
			all = c
		}
	}
	return all, nil
}

// activated is told when the store has become active. What a pause finds after
// a Resume that failed is not what the store has left: whoever resumes at last
// still wants to know what others have changed since then.
func (d *storeDriver) activated() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active = true
	d.replacement.used()
}

// Identify records what the next Resume has to find. c is the last connection.
// user_version is read only where somebody may have written since it was read last.
func (d *storeDriver) Identify(ctx context.Context, c *Conn) error {
	for _, f := range d.files() {
		st, statErr := statFile(f.path)
		d.mu.Lock()
		id, unchanged := f.identity, f.known && d.written && st.untouched(f.was, f.settled)
		d.mu.Unlock()
		var err error
		if !unchanged {
			err = d.asOperation(c, func() (err error) {
				id, err = readIdentity(ctx, c, f.schema()) // all of it may have been written while the store was active
				return err
			})
		}
		d.mu.Lock()
		if err == nil {
			f.identity = id
		}
		if statErr == nil && st.exists && f.known && !st.same(f.was.fileID) {
			statErr = &OpenError{Path: f.path, Err: lifecycle.ErrReplaced, Hint: "another file has its place already, before the pause has ended"}
		} else if statErr == nil && st.exists {
			f.was = st
		}
		d.mu.Unlock()
		if err := errors.Join(err, statErr); err != nil {
			return err
		}
	}
	return nil
}

// Verify asks the operating system whether this process holds anything of the files.
func (d *storeDriver) Verify(ctx context.Context) error {
	report, err := holders.Self(ctx, d.paths()...)
	if err != nil {
		return err
	}
	return report.Err()
}

// Leftovers looks at the directory when nothing is held any more.
func (d *storeDriver) Leftovers() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var left []string
	for _, f := range d.files() {
		names, wal := f.leftovers()
		if d.active {
			f.lookAfter(wal)
		}
		left = append(left, names...)
	}
	d.active = false
	return left
}

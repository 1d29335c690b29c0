package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/internal/holders"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// storeDriver is what lifecycle drives: it opens, validates, interrupts,
// severs, checkpoints and closes the connections of one store.
type storeDriver struct {
	cfg      Config
	files    []*file
	settings string // the script of pragmas for every connection

	mu      sync.Mutex
	checked uint64 // the generation whose first connection was compared with what was paused
}

func newDriver(cfg Config) *storeDriver {
	d := &storeDriver{cfg: cfg, files: []*file{{schema: "main", path: cfg.Path}}, settings: settings(&cfg)}
	for _, a := range cfg.Attach {
		d.files = append(d.files, &file{schema: a.Schema, path: a.Path})
	}
	return d
}

func (d *storeDriver) paths() []string {
	var paths []string
	for _, f := range d.files {
		paths = append(paths, f.path)
	}
	return paths
}

// Open opens a connection. The file system is asked before and after, so that
// a file that is swapped in between is noticed, and the first connection of
// every generation reads the identity.
func (d *storeDriver) Open(ctx context.Context, info lifecycle.OpenInfo) (*Conn, error) {
	if err := d.sameFiles(info); err != nil {
		return nil, err
	}
	c, err := d.connect(ctx, info.Role)
	if err != nil {
		return nil, err
	}
	if err := d.recognise(ctx, c, info); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := d.sameFiles(info); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// sameFiles compares the files with those that the store has.
func (d *storeDriver) sameFiles(info lifecycle.OpenInfo) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		if f.known && d.checked != info.Generation && d.cfg.AcceptReplaced {
			continue // Validate has had its say; recognise takes what is there
		}
		st, err := statFile(f.path)
		if err != nil {
			return err
		}
		if !st.exists {
			return &OpenError{Path: f.path, Err: lifecycle.ErrMissing}
		}
		if f.known && !st.same(f.stat) {
			return &OpenError{Path: f.path, Err: lifecycle.ErrReplaced, Hint: "it was replaced while the store was opening or active"}
		}
	}
	return nil
}

// recognise reads the identity on the first connection of a generation,
// compares it with the one that was paused, and remembers it.
func (d *storeDriver) recognise(ctx context.Context, c *Conn, info lifecycle.OpenInfo) error {
	d.mu.Lock()
	first := d.checked != info.Generation
	d.mu.Unlock()
	if !first {
		return nil
	}
	for _, f := range d.files {
		var id identity
		err := d.asOperation(c, func() (err error) {
			id, err = readIdentity(ctx, c, f.schema)
			return err
		})
		if err != nil {
			return d.openError(err)
		}
		if err := id.admit(&d.cfg, f); err != nil {
			return err
		}
		st, err := statFile(f.path)
		if err != nil {
			return err
		}
		d.mu.Lock()
		if f.known && !d.cfg.AcceptReplaced {
			err = id.compare(f)
		}
		if err == nil {
			f.identity, f.stat, f.known = id, st, true
		}
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.checked = info.Generation
	d.mu.Unlock()
	return nil
}

// asOperation runs f on a connection that serves no operation of the core's.
func (d *storeDriver) asOperation(c *Conn, f func() error) error {
	c.setOp(context.Background())
	err := f()
	return errors.Join(err, c.reset())
}

// Begin tells the connection its operation's context.
func (d *storeDriver) Begin(ctx context.Context, c *Conn) { c.setOp(ctx) }

// Interrupt stops the statement that runs.
func (d *storeDriver) Interrupt(c *Conn) { c.interrupt() }

// Reset cleans up after an operation.
func (d *storeDriver) Reset(c *Conn) error { return c.reset() }

// Sever closes the connection under its operation.
func (d *storeDriver) Sever(c *Conn, done func(error)) { c.sever(done) }

// Close closes a connection.
func (d *storeDriver) Close(c *Conn) error { return c.close() }

// Validate compares the files with what was paused, before anything is opened.
func (d *storeDriver) Validate(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		if err := f.check(d.cfg.AcceptReplaced); err != nil {
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
	all := lifecycle.ChangeNo
	for _, f := range d.files {
		switch c := f.changed(); {
		case c == lifecycle.ChangeYes:
			all = c
		case c == lifecycle.ChangeUnknown && all == lifecycle.ChangeNo:
			all = c
		}
		f.after = afterState{} // of the last pause; the next one takes its own
	}
	return all, nil
}

// Identify records what the next Resume has to find. c is the last connection.
func (d *storeDriver) Identify(ctx context.Context, c *Conn) error {
	for _, f := range d.files {
		var version int32
		err := d.asOperation(c, func() error {
			return c.QueryRow(ctx, `PRAGMA `+f.schema+`.user_version`).Scan(&version)
		})
		st, statErr := statFile(f.path)
		d.mu.Lock()
		if err == nil {
			f.identity.userVersion = version
		}
		if statErr == nil && st.exists && !st.same(f.stat) {
			statErr = &OpenError{Path: f.path, Err: lifecycle.ErrReplaced, Hint: "another file has its place already, before the pause has ended"}
		} else if statErr == nil && st.exists {
			f.stat = st
		}
		f.pausedAt = time.Now()
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
	for _, f := range d.files {
		f.lookAfter()
		left = append(left, f.after.leftover...)
	}
	return slices.Clip(left)
}

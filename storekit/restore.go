package storekit

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/holders"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// RestoreOptions says what Restore accepts. The zero value accepts a backup of
// this very store, with the secret that the store has.
type RestoreOptions struct {
	// Secret opens the backup, where that is not the store's secret: one that
	// was changed since. What is restored has the store's.
	Secret secret.Secret

	// OtherStore accepts the backup of another store of the same kind, as on a
	// new device. Otherwise the error matches ErrOtherStore.
	OtherStore bool

	// Progress, where it is not nil, is told how far the copying is, in bytes. A
	// Pause waits for it, so it must not wait for a Pause.
	Progress func(Progress)
}

var (
	// ErrOtherStore is returned by Restore when the backup is that of another store.
	ErrOtherStore = errors.New("the backup is that of another store")

	// ErrNotSelfContained is returned by Restore when a log or a journal lies
	// beside the backup: it is a copy of files, not a backup. It may lack what is
	// in the log, or have what the journal would undo.
	ErrNotSelfContained = errors.New("the backup has a log (-wal) or a journal beside it")
)

// What Restore puts beside the database.
const (
	restoreNew = "-restore" // the copy, until it takes the database's place
	restoreOld = "-before-restore"
)

// Restore puts the content of a backup in the place of the store's. The file at
// path is copied beside the database; the copy is opened as the store itself
// would be, secret, identity and all, checked and migrated. Then the store is
// paused, the copy takes the place of the database file, and the store is
// resumed. The old file is kept until the new one has opened.
//
// Up to the moment when the files change places, an error, a Pause or a Resume
// of somebody else, or a kill leaves the store as it was; after it the new
// content is there, whole. Somebody who pauses the store meanwhile finds it
// paused: while the copy is made and looked at, his Pause ends that, and waits
// for it, and Restore returns lifecycle.ErrPaused. Where the database was that of another store, the
// leases of an encrypted store end, with lease.ErrLost: their names are hashed
// with other keys. Another process that has the database open keeps it from
// being replaced: sqlite.ErrInUse.
func (s *Store) Restore(ctx context.Context, path string, o RestoreOptions) error {
	return s.failed("restore", s.restore(ctx, path, o))
}

func (s *Store) restore(ctx context.Context, path string, o RestoreOptions) error {
	// Whoever finds the store paused or closed is told so, whoever else restores it.
	if err := s.db.Read(ctx, func(*sqlite.Conn) error { return nil }); err != nil {
		return err
	}
	if err := s.swap.one.take(ctx); err != nil {
		return err
	}
	defer s.swap.one.give()
	database := s.realPath()
	fresh := database + restoreNew
	number, err := s.makeCopy(ctx, path, fresh, o)
	if err != nil {
		return err
	}
	defer discard(fresh)
	return s.putInPlace(ctx, number, fresh, database+restoreOld)
}

// preparation is what a Restore does before it pauses the store itself: a pause
// of somebody else ends it, and waits for it.
type preparation struct {
	ctx     context.Context // ends when a pause begins
	ended   <-chan struct{} // closed at that moment, before ctx knows
	own     []byte          // the store's identity
	release func()
}

// begin begins a preparation inside an operation of the database: so it belongs
// to one life of it, and the pause that ends this life knows of it.
func (s *Store) begin(ctx context.Context) (p *preparation, err error) {
	err = s.db.View(ctx, func(c *sqlite.Conn) error {
		own, err := identity(ctx, c)
		if err != nil {
			return err
		}
		if _, wants := s.swap.intent(); wants != nil { // the jobs are being stopped already
			return wants
		}
		ended := s.db.PauseBegan()
		during, stop := s.untilPause(ctx)
		over := s.swap.preparing()
		p = &preparation{during, ended, own, func() { stop(); over() }}
		return nil
	})
	if err != nil && p != nil {
		p.release()
	}
	return p, err
}

// makeCopy makes the copy, and finds that the store can take it. number is that
// of what somebody wanted last: that the store is active, as it has been all the time. On an error
// nothing of the copy is left.
func (s *Store) makeCopy(ctx context.Context, path, fresh string, o RestoreOptions) (number uint64, err error) {
	p, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer p.release() // when the copy is gone
	made := false
	defer func() { // also where Progress panics
		if !made {
			discard(fresh)
		}
	}()
	err = s.copyBackup(p.ctx, path, fresh, o.Progress)
	if err == nil {
		err = s.admit(p.ctx, fresh, p.own, o)
	}
	number, wants := s.swap.intent()
	select {
	case <-p.ended:
		if wants == nil { // it was resumed since
			wants = lifecycle.ErrSuperseded
		}
		err = errors.Join(fmt.Errorf("%w, and it was %w", wants, lifecycle.ErrInterrupted), err)
	default:
		if err == nil {
			err = wants
		}
	}
	made = err == nil
	return number, err
}

// realPath is the database's path without symbolic links: beside the file
// itself, not beside a link to it, is where its log lies and where it can be replaced.
func (s *Store) realPath() string { return resolved(s.db.Path()) }

// resolved follows symbolic links, also those to a file that is not there yet. What cannot be followed stays as it is.
func resolved(path string) string {
	if real, _, err := holders.Resolve(path); err == nil {
		return real
	}
	return path
}

// discard removes a copy, and what SQLite has left beside it.
func discard(path string) {
	for _, suffix := range []string{"-wal", "-shm", "-journal", ""} {
		_ = os.Remove(path + suffix)
	}
}

// copyBackup copies the backup, down to the disk. A file that this process has
// open as a database is not touched: to close it would drop SQLite's locks.
func (s *Store) copyBackup(ctx context.Context, from, to string, told func(Progress)) (err error) {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", from, sqlite.ErrNotADatabase)
	}
	if own, err := os.Stat(s.db.Path()); err == nil && os.SameFile(own, info) {
		return fmt.Errorf("%w: %s is the store's own file", sqlite.ErrInUse, from)
	}
	if held, err := sqlite.HeldBySelf(ctx, from); err == nil && held.Err() != nil {
		return fmt.Errorf("%w: this process has %s open", sqlite.ErrInUse, from)
	}
	for _, side := range []string{"-wal", "-journal"} {
		if log, err := os.Stat(from + side); err == nil && log.Size() > 0 {
			return fmt.Errorf("%w: %s", ErrNotSelfContained, from+side)
		}
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // it was read only
	discard(to)       // of a Restore that was killed
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	p := Progress{Operation: "restore", Step: "copy", Total: info.Size()}
	buf := make([]byte, 1<<20)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := src.Read(buf)
		if _, err := dst.Write(buf[:n]); err != nil {
			return err
		}
		p.Done += int64(n)
		p.to(told)
		if errors.Is(err, io.EOF) {
			return dst.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// admit opens the copy as the store would, in a place of its own: what the store
// would refuse is refused before anything of the store is touched.
func (s *Store) admit(ctx context.Context, path string, own []byte, o RestoreOptions) (err error) {
	cfg := s.opened
	cfg.Database.Path, cfg.Database.Dir, cfg.Database.Name = path, "", s.db.Name()+": copy"
	cfg.Database.Attach, cfg.Database.Observer = nil, nil
	cfg.Database.StartPaused, cfg.Database.Exclusive = false, false
	cfg.Database.Checkpoint, cfg.Database.CheckpointBound = sqlite.CheckpointTruncate, time.Hour // nothing may stay beside it
	cfg.Leases, cfg.Progress = false, nil
	cfg.Secret = s.secretNow()
	if !o.Secret.None() {
		cfg.Secret, cfg.ForgetKeyOnPause = o.Secret, false
	}
	copied, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close(context.WithoutCancel(ctx))) }()
	var theirs []byte
	err = copied.db.View(ctx, func(c *sqlite.Conn) (err error) {
		theirs, err = identity(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	if !o.OtherStore && subtle.ConstantTimeCompare(own, theirs) == 0 {
		return fmt.Errorf("%w: its identity is %x, the store's is %x", ErrOtherStore, theirs, own)
	}
	if err := copied.check(ctx, CheckOptions{Quick: true}); err != nil {
		return err
	}
	if o.Secret.None() {
		return nil
	}
	return copied.ChangeSecret(ctx, o.Secret, s.secretNow())
}

// identity is the random one that the driver gives a database when it makes it, empty where it has none.
func identity(ctx context.Context, c *sqlite.Conn) (id []byte, err error) {
	var has bool
	if err := c.QueryRow(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'quiesce_identity'`).Scan(&has); err != nil || !has {
		return nil, err
	}
	err = c.QueryRow(ctx, `SELECT id FROM quiesce_identity`).Scan(&id)
	return id, err
}

// putInPlace pauses the store and lets the copy take the database's place.
func (s *Store) putInPlace(ctx context.Context, number uint64, fresh, old string) error {
	if err := s.swap.still(number); err != nil {
		return err
	}
	err := s.pauseFor(ctx)
	if err == nil {
		err = s.swap.during(ctx, func() error {
			if err := s.swap.still(number); err != nil {
				return err
			}
			return s.exchange(ctx, fresh, old)
		})
	}
	replaced := err == nil
	if s.swap.still(number) != nil { // somebody has said since what he wants
		return err
	}
	resumed := s.resumeAfter(ctx)
	if resumed != nil && replaced {
		resumed = errors.Join(resumed, s.putBack(ctx, old))
	}
	return errors.Join(err, resumed)
}

// exchange lets one file take the database's place, and keeps what was there under another name.
func (s *Store) exchange(ctx context.Context, fresh, old string) error {
	if s.State() != lifecycle.Paused {
		return lifecycle.ErrSuperseded // somebody has resumed it since
	}
	if old != "" {
		s.swap.kept.Store(true)
	}
	return s.db.Replace(ctx, fresh, old)
}

// putBack takes a restored file out again that did not open: nobody knows why, since the copy did.
func (s *Store) putBack(ctx context.Context, old string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	if err := s.swap.during(ctx, func() error { return s.exchange(ctx, old, "") }); err != nil {
		return err
	}
	return s.resume(ctx)
}

func (s *Store) pauseFor(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.group.Pause(ctx)
}

func (s *Store) resumeAfter(ctx context.Context) error {
	ctx, cancel := s.bounded(context.WithoutCancel(ctx)) // whoever gives up waiting does not want it to stay paused
	defer cancel()
	return s.resume(ctx)
}

// restored removes the old file when the store has resumed with the new one. One
// that a kill has left is removed by the next Open, or Resume. Where a
// Restore is at the files just now, it is that one's.
func (s *Store) restored() {
	select {
	case s.swap.busy <- struct{}{}:
	default:
		return
	}
	defer s.swap.busy.give()
	if s.State() == lifecycle.Active && s.group.State() == lifecycle.Active && s.swap.kept.Swap(false) {
		_ = os.Remove(s.realPath() + restoreOld) // it is in nobody's way
	}
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// recoverRestore brings the old file back where a Restore was killed on a file
// system without hard links, between two renames: without it, Open would make an empty database.
func recoverRestore(database sqlite.Config) error {
	path, err := database.File()
	if err != nil {
		return err
	}
	path = resolved(path)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is there, or Open will say why not
	}
	err = os.Rename(path+restoreOld, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

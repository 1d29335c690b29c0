package sqlite

import (
	"context"
	"fmt"

	"github.com/quiesce-go/quiesce/internal/guard"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// BackupOptions says how a backup is made. The zero value is usable.
type BackupOptions struct {
	// Pages is how many pages are copied in one call into SQLite. A pause, and
	// a context that ends, stop a backup between two of these. Default 256, which is 1 MiB mostly.
	Pages int

	// Progress is told after every such call how many pages are copied, of how
	// many. It is called on the goroutine of Backup, which waits for it.
	Progress func(done, total int)
}

const defaultBackupPages = 256

// Backup copies the database to a new file at path, while it is in use, as
// Conn.Backup does, on a reader.
func (db *DB) Backup(ctx context.Context, path string, o BackupOptions) error {
	return db.Read(ctx, func(c *Conn) error { return c.Backup(ctx, path, o) })
}

// Backup copies the database to a new file at path. What it copies is of one
// moment: of the read transaction that is open, or of one of its own. Writers
// go on meanwhile; the log is not cut before the backup has ended. The copy is
// the whole database, its identity included, in one file of mode 0600 that
// needs no log beside it. Databases that are attached are not copied.
//
// The file is there, and safe from a loss of power, when Backup has returned
// nil, and not at all before. On an error nothing is left. A process that is
// killed leaves at most a file whose name is path with ".backup-tmp" added,
// perhaps with SQLite's own side files; the next Backup to that path replaces
// it.
//
// A path where something is already is refused with an error that matches
// fs.ErrExist, and so is one where the side file of another database lies:
// SQLite would take that for the copy's. Files of a database that this process
// has open, and a path that another Backup is writing to, are ErrInUse. The
// directory has to exist. Inside Update it returns lifecycle.ErrNested.
//
// Between two calls into SQLite, each of BackupOptions.Pages, a Backup is
// ended by ctx, and by a pause: then it returns lifecycle.ErrInterrupted.
func (c *Conn) Backup(ctx context.Context, path string, o BackupOptions) error {
	switch {
	case o.Pages < 0:
		return &OpenError{Path: path, Err: fmt.Errorf("%w: BackupOptions.Pages is negative", ErrConfig)}
	case o.Pages == 0:
		o.Pages = defaultBackupPages
	}
	path, err := absolute(path)
	if err != nil {
		return err
	}
	if err := c.mayBackup(ctx); err != nil {
		return err
	}
	target, err := newBackupTarget(ctx, c.engine, path)
	if err != nil {
		return err
	}
	defer target.end() // also where Progress panics
	if err := c.View(ctx, func(c *Conn) error { return c.copyTo(ctx, target, o) }); err != nil {
		return fmt.Errorf("backup to %s: %w", path, err)
	}
	return target.publish(func() error { return c.mayBackup(ctx) })
}

// mayBackup says whether a backup may begin, or go on to its end.
func (c *Conn) mayBackup(ctx context.Context) error {
	return c.inside(opBackup, "", func() error {
		if c.tx.kind == writing || c.copying != nil {
			return c.refuse(opBackup, "", lifecycle.ErrNested)
		}
		_, err := c.check(ctx, opBackup, "")
		return err
	})
}

const opBackup = "backup"

// copyTo copies the database, in the read transaction that is open.
func (c *Conn) copyTo(ctx context.Context, target *backupTarget, o BackupOptions) (err error) {
	// A transaction begins with its first read. Without one every step would have one of its own.
	var tables int64
	if err := c.QueryRow(ctx, `SELECT count(*) FROM main.sqlite_schema`).Scan(&tables); err != nil {
		return err
	}
	dst, err := target.open(ctx)
	if err != nil {
		return err
	}
	copied, err := c.beginCopy(dst)
	if err != nil {
		return joinErrors(err, dst.close())
	}
	defer func() { // also where Progress panics, or calls runtime.Goexit
		if ending := c.finishCopy(copied); err == nil { // SQLite repeats the error of the last step here
			err = ending
		}
	}()
	for {
		done, left, all, err := c.copyPages(ctx, o.Pages)
		if err != nil {
			return err
		}
		if o.Progress != nil {
			o.Progress(all-left, all)
		}
		if done {
			return nil
		}
	}
}

// copying is a backup that is under way, with its destination.
type copying struct {
	backup Backup
	dst    *Conn
	over   chan struct{} // closed when both are
	err    error         // of that
}

func (c *Conn) beginCopy(dst *Conn) (copied *copying, err error) {
	err = c.inside(opBackup, "", func() error {
		backup, err := c.raw.Backup(dst.raw.Unwrap())
		if err != nil {
			return c.fail(opBackup, "", err, nil)
		}
		copied = &copying{backup: backup, dst: dst, over: make(chan struct{})}
		c.copying = copied
		return nil
	})
	return copied, err
}

// copyPages is one call into SQLite, after which a pause and ctx have their say.
func (c *Conn) copyPages(ctx context.Context, pages int) (done bool, left, all int, err error) {
	err = c.patiently(ctx, opBackup, "", func() (err error) {
		if _, err := c.check(ctx, opBackup, ""); err != nil {
			return err
		}
		if done, err = c.copying.backup.Step(pages); err != nil {
			return c.fail(opBackup, "", err, nil)
		}
		left, all = c.copying.backup.Pages()
		return nil
	})
	return done, left, all, err
}

// finishCopy ends what beginCopy began. Where the connection was severed,
// whoever closes it does that, and is waited for: the destination is part of what is being closed.
func (c *Conn) finishCopy(copied *copying) error {
	err := c.inside(opBackup, "", func() error { c.endCopy(); return nil })
	if err != nil && !c.guard.Severed() {
		return err // another goroutine is inside, which is forbidden; reset ends the copy
	}
	<-copied.over
	return copied.err
}

// endCopy ends the copy that is under way, if any, and closes its destination.
// It comes before everything else that is closed. Inside the guard, or where nobody can be inside any more.
func (c *Conn) endCopy() {
	copied := c.copying
	if copied == nil {
		return
	}
	c.copying = nil
	copied.err = joinErrors(guard.Recovered(copied.backup.Finish), copied.dst.close())
	close(copied.over)
}

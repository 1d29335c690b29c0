package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// backupTarget is where a backup goes: a file of a temporary name beside the
// final one, which it gets when it is whole and on the disk. This process
// opens neither name as a database meanwhile.
type backupTarget struct {
	engine Engine
	final  file
	temp   file
	made   fileID // of the temporary file
}

// backupSuffix is what the temporary name has more than the final one.
const backupSuffix = ".backup-tmp"

// newBackupTarget makes the temporary file. What it returns is ended with end.
func newBackupTarget(ctx context.Context, engine Engine, path string) (*backupTarget, error) {
	t := &backupTarget{
		engine: engine,
		final:  *newFile(mainSchema, path),
		temp:   *newFile(mainSchema, path+backupSuffix),
	}
	if err := openFiles.claim("that is backed up there", t.files()); err != nil {
		return nil, err
	}
	if err := t.prepare(ctx); err != nil {
		openFiles.release(t.files())
		return nil, err
	}
	return t, nil
}

func (t *backupTarget) prepare(ctx context.Context) error {
	if err := t.vacant(); err != nil {
		return err
	}
	if err := t.clear(ctx); err != nil {
		return err
	}
	return t.create()
}

func (t *backupTarget) files() []*file { return []*file{&t.final, &t.temp} }

// vacant refuses a name that something has, and one that would be another
// database's side file, or find one that would be its own.
func (t *backupTarget) vacant() error {
	if openFiles.isSideFile(t.final.path) {
		return &OpenError{Path: t.final.path, Err: ErrInUse, Hint: "SQLite keeps a part of an open database under that name"}
	}
	if err := absent(t.final.path, "a backup replaces nothing; give it another name"); err != nil {
		return err
	}
	for _, suffix := range sideFiles {
		if err := absent(t.final.path+suffix, "SQLite would take it for a part of the backup; delete it first"); err != nil {
			return err
		}
	}
	return nil
}

// absent tells that nothing has the name.
func absent(path, hint string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return &OpenError{Path: path, Err: fs.ErrExist, Hint: hint}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return &OpenError{Path: path, Err: errors.Join(ErrDirectory, err), Hint: "a file is where the directory should be"}
	default:
		return &OpenError{Path: path, Err: classify(err)}
	}
}

// clear deletes what a backup that was killed has left. It is ErrInUse where
// another process is making one there now.
func (t *backupTarget) clear(ctx context.Context) error {
	if info, err := os.Lstat(t.temp.path); err == nil && info.Mode()&fs.ModeSymlink != 0 { // not ours, nor what it points to
		return os.Remove(t.temp.path)
	}
	return (&storeDriver{engine: t.engine}).wipe(ctx, []*file{newFile(mainSchema, t.temp.path)}, 0)
}

// create makes the temporary file, which SQLite would make readable for everybody.
func (t *backupTarget) create() error {
	fd, err := os.OpenFile(t.temp.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return &OpenError{Path: t.temp.path, Err: classify(err), Hint: "the file cannot be made"}
	}
	err = fd.Close()
	st, statErr := statFile(t.temp.path)
	if err := errors.Join(err, statErr); err != nil {
		return errors.Join(err, os.Remove(t.temp.path))
	}
	t.made = st.fileID
	return nil
}

// open opens the temporary file. It needs neither a journal nor care for the
// disk: what does not come to its end is deleted, and what does is synced once.
func (t *backupTarget) open(ctx context.Context) (*Conn, error) {
	raw, err := t.engine.Open(t.temp.path, OpenOptions{})
	if err != nil {
		return nil, openError(&t.temp, wrapError(t.engine, t.temp.path, "open", "", err))
	}
	c := newConn(t.engine, raw, t.temp.path, connOptions{})
	c.setOp(context.Background())
	err = c.ExecScript(ctx, `PRAGMA journal_mode = memory; PRAGMA synchronous = off`)
	if err = errors.Join(err, c.reset()); err != nil {
		return nil, errors.Join(openError(&t.temp, err), c.close())
	}
	return c, nil
}

// publish gives the file its name. No connection has it any more, so it may be
// opened to be synced. may is asked before what takes time and before what cannot be undone.
func (t *backupTarget) publish(may func() error) error {
	if err := may(); err != nil {
		return err
	}
	if err := syncFile(t.temp.path); err != nil {
		return &OpenError{Path: t.temp.path, Err: classify(err), Hint: "the backup cannot be written to the disk"}
	}
	if err := may(); err != nil {
		return err
	}
	if !t.isOurs() {
		return &OpenError{Path: t.temp.path, Err: lifecycle.ErrReplaced, Hint: "somebody has taken the place of the backup's temporary file"}
	}
	if err := renameNew(t.temp.path, t.final.path); err != nil {
		return &OpenError{Path: t.final.path, Err: classify(err), Hint: "the backup cannot be given its name"}
	}
	if err := syncDir(filepath.Dir(t.final.path)); err != nil {
		return &OpenError{Path: t.final.path, Err: errors.Join(classify(err), os.Remove(t.final.path)), Hint: "the backup's name cannot be written to the disk"}
	}
	return nil
}

func (t *backupTarget) isOurs() bool {
	st, err := statFile(t.temp.path)
	return err == nil && st.same(t.made)
}

// end deletes what was not published, and lets others have the names.
func (t *backupTarget) end() {
	if t.isOurs() {
		_ = remove(&t.temp)
	}
	openFiles.release(t.files())
}

func syncFile(path string) error {
	fd, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(fd.Sync(), fd.Close())
}

// renameAfterLook is for systems that replace whatever has the name: of two
// processes that make the same file at the same moment, the later one wins.
func renameAfterLook(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("rename %s: %w", to, fs.ErrExist)
	}
	return os.Rename(from, to)
}

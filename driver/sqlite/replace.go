package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Replace puts another database file in the place of the paused one's: a backup
// that was restored, say. The file at with has to be on the disk already
// (fsync), in the same directory, and complete by itself; it loses that name.
// The old file gets the name keep, with whatever belongs to it, and is deleted
// where keep is empty; a file that has the name is replaced. What is attached
// stays as it is. The next Resume accepts the new file, as AcceptReplacement
// says, and checks it.
//
// It is one rename: whoever opens the path finds the old file or the new one,
// at any moment, also after a kill or a loss of power. Only where the file
// system has no hard links, and keep is not empty, there are two, and no file at
// the path between them. Nobody else may have the database open: ErrInUse. It
// is lifecycle.ErrSuperseded where the database is not paused, and whoever calls
// it sees to it that nobody resumes it meanwhile: he would get ErrBusy. After an
// error the old file is where it was.
func (db *DB) Replace(ctx context.Context, with, keep string) error {
	d := db.driver
	if db.State() != lifecycle.Paused || d.live.Load() != 0 {
		return &OpenError{Path: d.path(), Err: lifecycle.ErrSuperseded, Hint: "it has to be paused to be replaced"}
	}
	var files []*file
	for _, path := range []string{with, keep} {
		if path == "" {
			continue
		}
		path, err := absolute(path)
		if err != nil {
			return err
		}
		files = append(files, newFile(mainSchema, path))
	}
	if err := openFiles.claim("that takes another's place", files); err != nil {
		return err
	}
	defer openFiles.release(files)
	files = append(files, newFile(mainSchema, ""))[:2]
	err := d.replace(ctx, files[0], files[1])
	if err == nil {
		db.AcceptReplacement()
	}
	return err
}

func (d *storeDriver) replace(ctx context.Context, with, keep *file) (err error) {
	if wal, err := statFile(with.path + "-wal"); err != nil || wal.exists && wal.size > 0 {
		return errors.Join(err, &OpenError{Path: with.path, Err: errors.New("it has a log (-wal) beside it"), Hint: "a backup has none; a copy of files may need it"})
	}
	old := newFile(mainSchema, d.path())
	old.resolve()
	var alone *Conn
	unlock := func() error {
		if alone == nil {
			return nil
		}
		c := alone
		alone = nil
		return c.close()
	}
	defer func() { err = errors.Join(err, unlock()) }()
	busy := whileBusy(ctx, d.settings().busyTimeout, func() (err error) {
		alone, err = d.lockFile(ctx, old)
		return err
	})
	if errors.Is(busy, ErrBusy) {
		return &OpenError{Path: old.path, Err: errors.Join(ErrInUse, busy), Hint: "another process has it open; end that first"}
	}
	if busy != nil {
		return busy
	}
	if !deleteWhileOpen {
		if err := unlock(); err != nil {
			return err
		}
	}
	return exchange(old, with.path, keep.path)
}

// exchange gives the old file's name to the new one. Its side files go first:
// a log would be played into the new one. There is one only beside a file that
// is no database any more, since whoever has a database alone has written it back.
func exchange(old *file, with, keep string) error {
	name := old.side("")
	failed := func(err error, what string) error {
		return &OpenError{Path: name, Err: classify(err), Hint: what}
	}
	for _, suffix := range sideFiles {
		var err error
		if keep == "" || suffix == "-journal" { // whose lock's it is
			err = os.Remove(name + suffix)
		} else {
			err = os.Rename(name+suffix, keep+suffix)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return failed(err, "its side file "+suffix+" cannot be moved away")
		}
	}
	if keep != "" {
		if err := os.Remove(keep); err != nil && !errors.Is(err, os.ErrNotExist) {
			return failed(err, "what is kept of an earlier time cannot be deleted")
		}
		if err := os.Link(name, keep); err != nil && !errors.Is(err, os.ErrNotExist) {
			if err := os.Rename(name, keep); err != nil { // the file system has no links
				return failed(err, "it cannot be kept under another name")
			}
		}
	}
	if err := os.Rename(with, name); err != nil {
		if keep != "" {
			if back := os.Rename(keep, name); back != nil && !errors.Is(back, os.ErrNotExist) {
				err = errors.Join(err, back)
			}
			_ = os.Remove(keep) // renaming one of two names of a file to the other leaves both
		}
		return failed(err, "the new file cannot be given its name")
	}
	_ = syncDir(filepath.Dir(name)) // without it, a loss of power leaves the old file or the new one, which are both whole
	return nil
}

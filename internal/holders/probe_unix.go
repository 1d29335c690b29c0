//go:build unix

package holders

// Looking at locks from where they can be seen: another process.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// probed are the files that SQLite locks.
var probed = []struct{ file, suffix string }{{"db", ""}, {"shm", "-shm"}}

// Probe returns the fcntl locks that other processes hold on the bytes that SQLite locks in the database at
// path and its -shm: what F_GETLK tells. Of several locks on the same bytes, as
// of many readers, the system names one. A lock whose owner cannot be named has PID 0.
// A file that does not exist has no locks, and none is created.
//
// Call it in a process made for it (see ProbeMain), never in one that may have the
// database open: F_GETLK is blind to the caller's own locks, and closing the descriptor that
// Probe opens drops the POSIX locks that the calling process has on the file.
// Where Self can tell that this process holds it, Probe refuses with ErrHeldHere
// and a *HeldError; what opens the database while Probe runs, nobody can tell.
func Probe(path string) ([]Holder, error) {
	holders := []Holder{}
	err := probe(path, os.O_RDONLY, func(f *os.File, file string) error {
		for _, r := range lockRanges(file) {
			l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: r.start, Len: r.end - r.start + 1}
			if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &l); err != nil {
				return &fs.PathError{Op: "getlk", Path: f.Name(), Err: err}
			}
			if l.Type == unix.F_UNLCK {
				continue
			}
			holders = appendNew(holders, lockHolder(&l, f.Name(), file))
		}
		return nil
	})
	return holders, err
}

func lockHolder(l *unix.Flock_t, path, file string) Holder {
	lock := Lock{Type: LockPOSIX, Mode: ModeRead, Start: l.Start, End: l.Start + l.Len - 1}
	if l.Len == 0 { // to the end of the file
		lock.End = -1
	}
	if l.Type == unix.F_WRLCK {
		lock.Mode = ModeWrite
	}
	if l.Pid == -1 { // nobody in particular: it belongs to an open file description
		lock.Type = LockOFD
	}
	lock.Name = LockName(file, lock.Start, lock.End)
	pid := max(int(l.Pid), 0)
	return Holder{PID: pid, Command: commandOf(pid), Kind: KindLock, Path: path, File: file, FD: -1, Lock: &lock}
}

// appendNew leaves out a lock that several ranges have found.
func appendNew(holders []Holder, h Holder) []Holder {
	for _, old := range holders {
		if old.PID == h.PID && old.File == h.File && *old.Lock == *h.Lock {
			return holders
		}
	}
	return append(holders, h)
}

// ProbeExclusive tells whether this process, which must be another than the one asked
// about, can take an exclusive lock on all bytes that SQLite locks in the database at
// path and its -shm. The locks are given back at once; for that instant, others may
// find the database busy. It is true if neither file exists.
//
// The rules of Probe hold. It needs leave to write to the files, and never waits.
func ProbeExclusive(path string) (bool, error) {
	free := true
	err := probe(path, os.O_RDWR, func(f *os.File, file string) error {
		ranges := lockRanges(file)
		start, end := ranges[0].start, ranges[len(ranges)-1].end
		l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: start, Len: end - start + 1}
		err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &l)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			free = false
			return nil
		}
		if err != nil {
			return &fs.PathError{Op: "setlk", Path: f.Name(), Err: err}
		}
		return nil // closing gives it back
	})
	return free && err == nil, err
}

// probe opens the files that exist, one after another, for look.
func probe(path string, mode int, look func(f *os.File, file string) error) error {
	w, err := want([]string{path})
	if err != nil {
		return err
	}
	mine, err := scanSelf(context.Background(), w)
	if err != nil && !errors.Is(err, ErrUnsupported) {
		return err
	}
	if len(mine.Holders) > 0 {
		return fmt.Errorf("%w: %w", ErrHeldHere, &HeldError{Report: mine})
	}
	for _, p := range probed {
		if err := probeFile(w.paths[0]+p.suffix, p.file, mode, look); err != nil {
			return fmt.Errorf("holders: %w", err)
		}
	}
	return nil
}

func probeFile(path, file string, mode int, look func(*os.File, string) error) error {
	// Opening a fifo would wait for its other end; a database is a regular file.
	f, err := os.OpenFile(path, mode|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return look(f, file)
}

package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// file is the file that a database lives in, where Config.Path names it: what
// this package knows of it is what the file system tells.
type file struct {
	path string

	mu     sync.Mutex
	paused fs.FileInfo // when nothing of it was open any more
}

// Validate compares the file with the one that was paused.
func (f *file) Validate(context.Context) error {
	now, err := os.Stat(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		return f.why(err)
	case f.paused == nil:
		return nil
	case !os.SameFile(now, f.paused), now.Size() == 0 && f.paused.Size() > 0:
		return fmt.Errorf("%s: %w", f.path, lifecycle.ErrReplaced)
	}
	return nil
}

// Validated says whether somebody has changed the file, as far as its size and time tell.
func (f *file) Validated(context.Context) (lifecycle.Change, error) {
	now, err := os.Stat(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || f.paused == nil {
		return lifecycle.ChangeUnknown, nil
	}
	if now.Size() != f.paused.Size() || !now.ModTime().Equal(f.paused.ModTime()) {
		return lifecycle.ChangeYes, nil
	}
	return lifecycle.ChangeUnknown, nil // a log may hold what this file does not
}

// Leftovers remembers the file as it is when everything is closed, and lists
// what lies beside it: a log that could not be written back, because somebody else was using it.
func (f *file) Leftovers() []string {
	now, err := os.Stat(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = nil
	if err == nil {
		f.paused = now
	}
	var left []string
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if st, err := os.Stat(f.path + suffix); err == nil {
			left = append(left, fmt.Sprintf("%s (%d bytes)", st.Name(), st.Size()))
		}
	}
	return left
}

// why says what a failure to reach the file means.
func (f *file) why(err error) error {
	known := lifecycle.ErrInaccessible
	if _, missing := os.Stat(f.path); errors.Is(missing, fs.ErrNotExist) {
		known = lifecycle.ErrMissing
	}
	return fmt.Errorf("%s: %w", f.path, errors.Join(known, err))
}

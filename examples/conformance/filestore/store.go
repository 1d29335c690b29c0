// Package filestore is the smallest store that keeps the promises of a pause:
// a map in a JSON file, written anew with every change.
package filestore

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"sync"
	"syscall"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Driver keeps Path open for as long as the store is active.
type Driver struct {
	Path string

	mu     sync.Mutex
	open   int // files
	values map[string]string
}

// Open opens the file, and reads it where nobody had it open.
func (d *Driver) Open(_ context.Context, info lifecycle.OpenInfo) (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := os.Stat(d.Path); errors.Is(err, fs.ErrNotExist) && !info.Resume {
		if err := os.WriteFile(d.Path, []byte("{}"), 0o600); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(d.Path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.Join(lifecycle.ErrMissing, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, errors.Join(lifecycle.ErrInaccessible, err)
	case err != nil:
		return nil, err
	}
	if d.open == 0 {
		d.values = nil
		if err := json.NewDecoder(f).Decode(&d.values); err != nil {
			return nil, errors.Join(lifecycle.ErrReplaced, err, f.Close())
		}
	}
	d.open++
	return f, nil
}

// Close closes a file.
func (d *Driver) Close(f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	return f.Close()
}

// Interrupt does nothing: no call here takes long.
func (d *Driver) Interrupt(*os.File) {}

// Reset does nothing: an operation leaves nothing behind.
func (d *Driver) Reset(*os.File) error { return nil }

// Snapshot returns what is stored. It must not be changed.
func (d *Driver) Snapshot() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.values
}

// Commit stores the changes: in a new file first, which then takes the place of the old one.
func (d *Driver) Commit(changes map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	values := maps.Clone(d.values)
	maps.Copy(values, changes)
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.Path+".new", text, 0o600); err != nil {
		return errors.Join(err, os.Remove(d.Path+".new"))
	}
	if err := os.Rename(d.Path+".new", d.Path); err != nil {
		return err
	}
	d.values = values
	return nil
}

package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// open files of this process. A second Open of the same file would break the
// proof that a pause gives, and with another engine the database: the two
// keep separate tables of POSIX locks, and either's close drops the other's.
// This is the one piece of state that has to be the process's.
var openFiles = registry{paths: map[string]string{}}

type registry struct {
	mu    sync.Mutex
	paths map[string]string // real path of the file → name of the store that has it
}

// claim takes all files for the store, or none.
func (r *registry) claim(store string, files []*file) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range files {
		key := realPath(f.path)
		if owner, taken := r.find(key); taken {
			r.forget(files)
			return &OpenError{Path: f.path, Err: ErrInUse, Hint: "the store " + owner + " has it; share that one, or close it first"}
		}
		if key == f.path {
			key = f.path // so that the two share their bytes
		}
		r.paths[key] = store
		f.claimed = key
	}
	return nil
}

// release gives the files free. Releasing what is free does nothing.
func (r *registry) release(files []*file) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(files)
}

func (r *registry) forget(files []*file) {
	for _, f := range files {
		if f.claimed != "" {
			delete(r.paths, f.claimed)
			f.claimed = ""
		}
	}
}

// find also sees through hard links.
func (r *registry) find(key string) (owner string, taken bool) {
	if owner, taken = r.paths[key]; taken {
		return owner, true
	}
	info, err := os.Stat(key)
	if err != nil {
		return "", false
	}
	for path, owner := range r.paths {
		if other, err := os.Stat(path); err == nil && os.SameFile(info, other) {
			return owner, true
		}
	}
	return "", false
}

// isSideFile tells whether SQLite keeps a part of a database that a store has
// under that name, now or later.
func (r *registry) isSideFile(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	path = realPath(path)
	for _, suffix := range sideFiles {
		if base, ok := strings.CutSuffix(path, suffix); ok && r.paths[base] != "" {
			return true
		}
	}
	return false
}

// realPath resolves symbolic links, of a file that may not exist yet.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

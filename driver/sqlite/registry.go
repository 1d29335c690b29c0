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
var openFiles = registry{paths: map[string]string{}, inodes: map[inode]*file{}}

// registry knows claimed files by their path, which a store keeps while its
// file comes, goes or is replaced, and by their inode, which sees through hard
// links. The inode is the one that was found last: when the file was claimed,
// and whenever a store is about to open it. A file under another name that
// came to a path meanwhile is not known before its store asks for it, and then
// refused if somebody else has it.
type registry struct {
	mu     sync.Mutex
	paths  map[string]string // real path of the file → name of the store that has it
	inodes map[inode]*file   // → a claimed file
}

// inode tells files apart that exist at the same time. It is zero where the
// platform does not tell, or there is no file.
type inode struct{ dev, ino uint64 }

func (id fileID) inode() inode { return inode{id.dev, id.ino} }

// claim takes all files for the store, or none.
func (r *registry) claim(store string, files []*file) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range files {
		key := realPath(f.path)
		st, _ := statFile(key) // what is no file at all is told by whoever opens it
		owner, taken := r.paths[key]
		if !taken {
			owner, taken = r.find(key, st.fileID)
		}
		if taken {
			r.forget(files)
			return inUse(f, owner)
		}
		if key == f.path {
			key = f.path // so that the two share their bytes
		}
		r.paths[key] = store
		f.claimed = key
		r.know(f, st.inode())
	}
	return nil
}

func inUse(f *file, owner string) error {
	return &OpenError{Path: f.path, Err: ErrInUse, Hint: "the store " + owner + " has it; share that one, or close it first"}
}

// found is told which file lies under a claimed name by now, before that is
// opened. It fails where another store has it.
func (r *registry) found(f *file, id fileID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.claimed == "" || id.inode() == (inode{}) || r.inodes[id.inode()] == f {
		return nil
	}
	if owner, taken := r.find(f.claimed, id); taken {
		return inUse(f, owner)
	}
	r.know(f, id.inode())
	return nil
}

// know makes id the inode of a claimed file.
func (r *registry) know(f *file, id inode) {
	if r.inodes[f.inode] == f {
		delete(r.inodes, f.inode)
	}
	f.inode = id
	if id != (inode{}) {
		r.inodes[id] = f
	}
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
			r.know(f, inode{})
			delete(r.paths, f.claimed)
			f.claimed = ""
		}
	}
}

// find looks for the store that has a file under another name than key.
func (r *registry) find(key string, id fileID) (owner string, taken bool) {
	if !id.exists {
		return "", false
	}
	if id.inode() == (inode{}) {
		return r.search(key)
	}
	f := r.inodes[id.inode()]
	if f == nil || f.claimed == key {
		return "", false
	}
	// It may have been moved away since, and the store is about to learn that.
	if st, err := statFile(f.claimed); err != nil || st.inode() != id.inode() {
		return "", false
	}
	return r.paths[f.claimed], true
}

// search is find where the platform has no inodes to look up: it asks for every claimed file.
func (r *registry) search(key string) (owner string, taken bool) {
	info, err := os.Stat(key)
	if err != nil {
		return "", false
	}
	for path, owner := range r.paths {
		if path == key {
			continue
		}
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

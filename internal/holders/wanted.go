package holders

// What is looked for: the paths and the identities of a database's files. It is worked
// out from names and stat alone, since opening is forbidden here.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// fileID is what makes a file itself, whatever its name.
type fileID struct {
	dev, ino uint64
}

// suffixes maps the database's files to what SQLite appends to the main file's name.
var suffixes = []struct{ file, suffix string }{{"db", ""}, {"wal", "-wal"}, {"shm", "-shm"}, {"journal", "-journal"}}

// deletedMark is what Linux, and lsof there, append to the path of a file that has none any more.
const deletedMark = " (deleted)"

// wanted is the set of files that a question is about.
type wanted struct {
	paths  []string          // as reported: absolute, resolved
	byPath map[string]string // path to file ("db", "wal", …)
	byID   map[fileID]found  // the same for the files that exist now
}

func want(paths []string) (*wanted, error) {
	if len(paths) == 0 {
		return nil, errors.New("holders: no path given")
	}
	w := &wanted{byPath: make(map[string]string, 4*len(paths)), byID: make(map[fileID]found, 4*len(paths))}
	for _, p := range paths {
		if p == "" || strings.ContainsRune(p, 0) {
			return nil, fmt.Errorf("holders: %q is no path", p)
		}
		resolved, links, err := Resolve(p)
		if err != nil {
			return nil, fmt.Errorf("holders: %w", err)
		}
		w.paths = append(w.paths, resolved)
		w.add(resolved)
		// SQLite itself puts the -wal beside the file that a link points to. A build
		// that does not follow links puts it beside the link.
		for _, l := range links {
			w.add(l)
		}
	}
	return w, nil
}

func (w *wanted) add(db string) {
	for _, s := range suffixes {
		path := db + s.suffix
		if _, seen := w.byPath[path]; seen {
			continue
		}
		w.byPath[path] = s.file
		if id, err := identify(path); err == nil {
			if _, seen := w.byID[id]; !seen {
				w.byID[id] = found{file: s.file, path: path}
			}
		}
	}
}

// found is a wanted file as some process holds it.
type found struct {
	file, path string
	deleted    bool
}

// match tells whether a file that the system shows as shown, with the identity id
// (nil if unknown), is wanted. The path is asked before the identity, because it
// tells whether the file still stands there.
func (w *wanted) match(shown string, id *fileID) (found, bool) {
	if f, ok := w.matchPath(shown, id); ok {
		return f, true
	}
	if id != nil {
		if f, ok := w.byID[*id]; ok {
			return found{file: f.file, path: shown}, true
		}
	}
	return found{}, false
}

func (w *wanted) matchPath(shown string, id *fileID) (found, bool) {
	if file, ok := w.byPath[shown]; ok {
		return found{file: file, path: shown}, true
	}
	if path, cut := strings.CutSuffix(shown, deletedMark); cut {
		if file, ok := w.byPath[path]; ok && !standsAt(shown, id) {
			return found{file: file, path: path, deleted: true}, true
		}
	}
	return found{}, false
}

// standsAt tells whether a file whose name really ends in " (deleted)" stands at
// this path. The number of links would not do: a file with a second name, as
// backups by hard link make them, still has one when the first is gone. Devices
// are not compared, since memory maps show another on some file systems.
func standsAt(path string, id *fileID) bool {
	at, err := identify(path)
	return err == nil && id != nil && at.ino == id.ino
}

// Resolve returns the path that the kernel would show for a file opened under
// path, and the links that stood for it on the way. Neither the file nor its
// directory needs to exist. Paths are not cleaned before links are followed:
// link/.. is the parent of what the link points to.
func Resolve(path string) (resolved string, links []string, err error) {
	const most = 40 // as many as the kernel follows
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", path, err)
		}
		path = dir + string(filepath.Separator) + path
	}
	for range most {
		dir, base := filepath.Split(path)
		dir, err := resolveDir(dir)
		if err != nil {
			return "", nil, err
		}
		path = filepath.Join(dir, base)
		target, err := os.Readlink(path)
		if err != nil { // no link, or nothing there
			return path, links, nil
		}
		links = append(links, path)
		if !filepath.IsAbs(target) {
			target = dir + string(filepath.Separator) + target
		}
		path = target
	}
	return "", nil, &fs.PathError{Op: "resolve", Path: path, Err: errors.New("too many symbolic links")}
}

// resolveDir resolves the part of a directory's path that exists. What may not be
// looked into is taken as it is written: a descriptor may be open in it all the same.
func resolveDir(dir string) (string, error) {
	resolved, err := filepath.EvalSymlinks(dir)
	switch {
	case err == nil:
		return resolved, nil
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR):
		parent, base := filepath.Split(strings.TrimRight(dir, string(filepath.Separator)))
		if base == "" {
			return filepath.Clean(dir), nil
		}
		above, err := resolveDir(parent)
		return filepath.Join(above, base), err
	}
	return "", err
}

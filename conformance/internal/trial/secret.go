package trial

// What cases look for in the files of a store: texts that it was given, and files that it does not name.

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Markers make texts that are in no file by chance, and remember them.
type Markers []marker

type marker struct{ place, text string }

// common is in every marker.
const common = "XvMark"

// Mark returns a text of twelve bytes that names a place.
func (m *Markers) Mark(place string) string {
	text := fmt.Sprintf("Zq%04d"+common, len(*m)) // the same length each, and none is a part of another
	*m = append(*m, marker{place, text})
	return text
}

// forms are how a text may stand in a file without being encrypted.
func forms(text string) map[string][]byte {
	all := map[string][]byte{
		"as it is": []byte(text), "in hex": []byte(hex.EncodeToString([]byte(text))), "in HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(text)))),
	}
	var wide []byte
	for _, b := range []byte(text) {
		wide = append(wide, b, 0)
	}
	all["in UTF-16"] = wide
	for offset := range 3 { // base64 of it, wherever it begins in what is encoded
		padded := append(make([]byte, offset), text...)
		encoded := base64.StdEncoding.EncodeToString(padded)
		first, last := (offset*8+5)/6, len(padded)*8/6
		all[fmt.Sprint("in base64, from byte ", offset)] = []byte(encoded[first:last])
	}
	return all
}

// in says which of them can be read in a file.
func (m Markers) in(content []byte) string {
	var all []string
	for _, marker := range m {
		for _, bytesOf := range forms(marker.text) {
			if bytes.Contains(content, bytesOf) {
				all = append(all, marker.place)
				break
			}
		}
	}
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("and %d more", len(all)-20))
	}
	return strings.Join(all, "; ")
}

// FileSearch is a search for markers in the files of an encrypted store. It is made
// when all markers are: one that is made later is not in it.
type FileSearch struct {
	Dir     string                    // where the store is
	Files   func(dir string) []string // the paths of its files
	Markers Markers                   // what the store was given
	Least   int                       // how many bytes the files have together, at least, once the store is paused or closed
}

// SearchWhileOpen lets another process read the files: to open and close a file of
// SQLite in this one would drop its locks. How many bytes they have does not
// matter: until it is paused a store may have everything in memory.
func (t *T) SearchWhileOpen(s FileSearch) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Note("there is no program cat, so the files were not looked into while the store was open")
		return
	}
	s.Least = 0
	t.search("while it is open", s, func(path string) ([]byte, error) {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		return exec.CommandContext(t.Ctx, cat, path).Output()
	})
}

// SearchFiles reads the files of a store that does not have them open.
func (t *T) SearchFiles(when string, s FileSearch) { t.search(when, s, os.ReadFile) }

func (t *T) search(when string, s FileSearch, read func(path string) ([]byte, error)) {
	size := 0
	for _, path := range s.Files(s.Dir) {
		content, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		t.Must("reading a file of the store", err)
		size += len(content)
		for form, bytesOf := range forms(common) { // most files have none, which is told soon
			if bytes.Contains(content, bytesOf) {
				t.Broken("%s can be read in %s %s, %s", s.Markers.in(content), strings.TrimPrefix(path, s.Dir), when, form)
			}
		}
	}
	if size < s.Least {
		t.Broken("the files that Files names have %d bytes together %s: what is stored must lie somewhere else", size, when)
	}
}

// FilesNamed checks that there is no file in a directory that Files does not name, with its whole path.
func (t *T) FilesNamed(when, dir string, files func(dir string) []string) {
	named := files(dir)
	t.Must("looking into the store's directory", filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != dir: // removed in this moment
			return nil
		case err == nil && !e.IsDir() && !slices.Contains(named, path):
			t.Broken("%s there is a file %s, which Files does not name", when, strings.TrimPrefix(path, dir))
		}
		return err
	}))
}

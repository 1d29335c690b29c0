package trial

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFileSearch: a marker is found in whatever form it lies in a file, whoever has the file open, and so is that there is too little.
func TestFileSearch(t *testing.T) {
	var m Markers
	text := m.Mark("one place") + m.Mark("another place")
	written := map[string]string{
		"as it is": text, "in hex": hex.EncodeToString([]byte(text)), "in HEX": strings.ToUpper(hex.EncodeToString([]byte(text))),
		"in UTF-16": strings.Join(strings.Split(text, ""), "\x00") + "\x00",
	}
	for _, before := range []string{"", "x", "xx"} {
		written["in base64, behind "+before] = base64.StdEncoding.EncodeToString([]byte(before + text))
	}
	for form, content := range written {
		t.Run(form, func(t *testing.T) {
			dir := t.TempDir()
			files := func(dir string) []string { return []string{filepath.Join(dir, "none"), filepath.Join(dir, "file")} }
			if err := os.WriteFile(filepath.Join(dir, "file"), []byte("of a store "+content), 0o600); err != nil {
				t.Fatal(err)
			}
			s := FileSearch{Dir: dir, Files: files, Markers: m}
			for _, search := range []func(*T){func(t *T) { t.SearchWhileOpen(s) }, func(t *T) { t.SearchFiles("after Close", s) }} {
				r := run(time.Minute, search)
				if !r.Found() || !strings.Contains(r.Findings[0].Saw, "one place; another place can be read in /file") {
					t.Errorf("a file that has markers in clear was searched, and the findings are %v", r.Findings)
				}
			}
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 99), 0o600); err != nil {
		t.Fatal(err)
	}
	s := FileSearch{Dir: dir, Files: func(dir string) []string { return []string{filepath.Join(dir, "file")} }, Markers: m, Least: 99}
	if r := run(time.Minute, func(t *T) { t.SearchWhileOpen(s); t.SearchFiles("after Close", s) }); len(r.Findings) != 0 {
		t.Errorf("a file that has no marker was searched, and the findings are %v", r.Findings)
	}
	s.Least = 100
	saw(t, run(time.Minute, func(t *T) { t.SearchWhileOpen(s); t.SearchFiles("after Close", s) }), "have 99 bytes together after Close")
}

// TestFilesNamed: a file has to be named with its whole path, not only with its end.
func TestFilesNamed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"db", "db-wal"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := func(names ...string) func(string) []string {
		return func(dir string) (all []string) {
			for _, n := range names {
				all = append(all, filepath.Join(dir, n))
			}
			return all
		}
	}
	if r := run(time.Minute, func(t *T) { t.FilesNamed("at last", dir, name("db", "db-wal", "db-shm")) }); len(r.Findings) != 0 {
		t.Errorf("every file is named, and the findings are %v", r.Findings)
	}
	saw(t, run(time.Minute, func(t *T) { t.FilesNamed("at last", dir, name("other-db", "db-wal")) }), "at last there is a file /db, which")
	saw(t, run(time.Minute, func(t *T) { t.FilesNamed("at last", filepath.Join(dir, "none"), name()) }), "looking into the store's directory")
}

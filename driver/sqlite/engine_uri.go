package sqlite

import (
	"errors"
	"path/filepath"
	"strings"
)

// URI returns the file: URI that opens path with o. Engines add their own
// parameters to it. Every byte that means something in a URI is escaped, so
// that any name a file system knows opens that very file.
func (o OpenOptions) URI(path string) (string, error) {
	switch {
	case path == "":
		return "", errors.New("the path is empty")
	case strings.IndexByte(path, 0) >= 0:
		return "", errors.New("the path contains a NUL byte") // SQLite would open another file: the one named so far
	}
	path = filepath.ToSlash(path)

	var b strings.Builder
	b.Grow(len(path) + 32)
	b.WriteString("file:")
	switch {
	case path[0] == '/':
		b.WriteString("//") // an empty authority: a path that starts with two slashes stays a path
	case filepath.VolumeName(path) != "":
		b.WriteString("///")
	}
	const hex = "0123456789ABCDEF"
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '/', c == '.', c == '-', c == '_', c == '~', c == ':':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}

	switch {
	case o.Immutable:
		b.WriteString("?mode=ro&immutable=1")
	case o.Create:
		b.WriteString("?mode=rwc")
	default:
		b.WriteString("?mode=rw")
	}
	if o.Exclusive {
		b.WriteString("&vfs=unix-excl")
	}
	return b.String(), nil
}

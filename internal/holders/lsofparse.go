package holders

// lsof's output for programs (-F0): fields that end in NUL, sets of fields that
// end in a newline; the first field of a set says whether it is a process (p) or
// a file (f). See "OUTPUT FOR OTHER PROGRAMS" in lsof(8).

import (
	"strconv"
	"strings"
)

// lsofFields are the fields asked for: process, command, descriptor, type, lock, device, inode, links, name.
const lsofFields = "pcftlDikn0"

// parseLsof reads what lsof printed, and keeps what is wanted. self is this process's id.
func parseLsof(text string, w *wanted, self int) []Holder {
	holders := []Holder{}
	maps := make(map[lsofMap]bool)
	var pid int
	var command string
	for set := range strings.SplitSeq(text, "\x00\n") {
		f := lsofSet(set)
		if p, ok := f['p']; ok {
			pid, _ = strconv.Atoi(p)
			command = f['c']
		}
		h, ok := f.holder(w)
		if !ok {
			continue
		}
		h.PID, h.Command, h.Self = pid, command, pid == self
		if h.Kind == KindMap {
			// One line per region here; one Holder per file, as on Linux.
			key := lsofMap{pid, found{h.File, h.Path, h.Deleted}}
			if maps[key] {
				continue
			}
			maps[key] = true
		}
		holders = append(holders, h)
		if lock := f.lock(); lock != nil && h.Kind == KindDescriptor {
			h.Kind, h.Lock = KindLock, lock
			holders = append(holders, h)
		}
	}
	return holders
}

type lsofMap struct {
	pid int
	found
}

// lsofRow is one set of fields.
type lsofRow map[byte]string

func lsofSet(set string) lsofRow {
	row := make(lsofRow)
	for field := range strings.SplitSeq(set, "\x00") {
		if field != "" {
			row[field[0]] = field[1:]
		}
	}
	return row
}

func (r lsofRow) holder(w *wanted) (Holder, bool) {
	h := Holder{FD: -1}
	if fd, err := strconv.ParseUint(r['f'], 10, 31); err == nil {
		h.Kind, h.FD = KindDescriptor, int(fd)
	} else {
		switch r['f'] {
		case "mem", "mmap", "txt", "DEL": // DEL: a deleted file that is mapped
			h.Kind = KindMap
		default: // cwd, rtd, jld: directories; NOFD, err: nothing
			return h, false
		}
	}
	f, ok := r.find(w)
	if !ok {
		return h, false
	}
	h.File, h.Path, h.Deleted = f.file, f.path, f.deleted || r['k'] == "0" || r['f'] == "DEL"
	return h, true
}

func (r lsofRow) find(w *wanted) (found, bool) {
	var id *fileID
	// A deleted file's inode is not the path's any more, and some systems print 0.
	dev, err1 := strconv.ParseUint(strings.TrimPrefix(r['D'], "0x"), 16, 64)
	ino, err2 := strconv.ParseUint(r['i'], 10, 64)
	if err1 == nil && err2 == nil {
		id = &fileID{dev, ino}
	}
	names := lsofNames(r['n'])
	for _, name := range names {
		if f, ok := w.matchPath(name, id); ok {
			return f, true
		}
	}
	return w.match(names[len(names)-1], id)
}

// lsofNames returns what a printed name may stand for: older versions print a
// backslash as it is, newer ones double it, and on Linux the kernel has
// escaped the names of maps before.
func lsofNames(printed string) []string {
	names := []string{printed}
	if plain := unescapeLsof(printed); plain != printed {
		names = append(names, plain)
		if more := unescapeOctal(plain); more != plain {
			names = append(names, more)
		}
	}
	return names
}

var lsofEscapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', '\\': '\\'}

// unescapeLsof undoes lsof's escapes: \n and its like, \xHH. Control characters as ^A are left, since a ^ stands for itself, too.
func unescapeLsof(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if c, ok := lsofEscapes[s[i+1]]; ok {
				b.WriteByte(c)
				i++
				continue
			}
			if s[i+1] == 'x' && i+3 < len(s) {
				if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
					b.WriteByte(byte(v))
					i += 3
					continue
				}
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// lock reads the lock status. It tells one lock per file, and neither its family nor,
// for a part of the file (r, w), which part: all bytes are reported, without a name.
func (r lsofRow) lock() *Lock {
	l := Lock{Type: LockPOSIX, End: -1}
	switch r['l'] {
	case "r", "R":
		l.Mode = ModeRead
	case "w", "W", "u", "U", "x", "X", "N":
		l.Mode = ModeWrite
	default:
		return nil
	}
	return &l
}

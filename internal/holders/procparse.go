package holders

// The texts of Linux's /proc, as functions over text: they run, and are fuzzed,
// on every platform. proc(5), and fs/locks.c and fs/proc/task_mmu.c of the kernel.

import (
	"bytes"
	"strconv"
	"strings"
)

// procLock is one line about a lock. Its id is the kernel's own (superblock
// device, inode), which stat does not show on every file system.
type procLock struct {
	Lock
	pid int // 0 if not visible from here, -1 for OFD locks
	id  procID
}

// procID is a file's identity as /proc prints it.
type procID struct {
	major, minor uint32
	ino          uint64
}

var procLockTypes = map[string]LockType{"POSIX": LockPOSIX, "OFDLCK": LockOFD, "FLOCK": LockFlock}

// parseLock reads a line of /proc/locks, or of fdinfo after "lock:". It is false for
// leases, for requests that only wait ("->"), and for what it does not understand.
func parseLock(line string) (l procLock, ok bool) {
	f := strings.Fields(line)
	if len(f) != 8 || !strings.HasSuffix(f[0], ":") {
		return l, false
	}
	if l.Type, ok = procLockTypes[f[1]]; !ok {
		return l, false
	}
	switch f[3] {
	case "READ":
		l.Mode = ModeRead
	case "WRITE":
		l.Mode = ModeWrite
	default:
		return l, false
	}
	var err error
	if l.pid, err = strconv.Atoi(f[4]); err != nil {
		return l, false
	}
	if l.id, ok = parseProcID(f[5]); !ok {
		return l, false
	}
	if l.Start, err = strconv.ParseInt(f[6], 10, 64); err != nil || l.Start < 0 {
		return l, false
	}
	if f[7] == "EOF" {
		l.End = -1
		return l, true
	}
	l.End, err = strconv.ParseInt(f[7], 10, 64)
	return l, err == nil && l.End >= l.Start
}

// parseProcID reads "fe:00:10003198": device in hexadecimal, inode in decimal.
func parseProcID(s string) (id procID, ok bool) {
	device, inode, ok := cutLast(s, ':')
	if !ok {
		return id, false
	}
	return parseDevice(device, inode)
}

func parseDevice(device, inode string) (id procID, ok bool) {
	major, minor, ok := strings.Cut(device, ":")
	if !ok {
		return id, false
	}
	a, err1 := strconv.ParseUint(major, 16, 32)
	b, err2 := strconv.ParseUint(minor, 16, 32)
	ino, err3 := strconv.ParseUint(inode, 10, 64)
	return procID{uint32(a), uint32(b), ino}, err1 == nil && err2 == nil && err3 == nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseLocks reads /proc/locks.
func parseLocks(text string) []procLock {
	var locks []procLock
	for line := range strings.Lines(text) {
		if l, ok := parseLock(line); ok {
			locks = append(locks, l)
		}
	}
	return locks
}

// parseFdinfo reads the lock lines of /proc/PID/fdinfo/FD. The kernel prints a
// POSIX lock only for its owner, and an OFD or flock lock for everybody who shares the description.
func parseFdinfo(text string) []procLock {
	var locks []procLock
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "lock:"); ok {
			if l, ok := parseLock(rest); ok {
				locks = append(locks, l)
			}
		}
	}
	return locks
}

// procMap is one line of /proc/PID/maps.
type procMap struct {
	size int64
	id   procID
	path string // as printed, see mapPaths
}

// parseMap reads a line of maps, and is false for anonymous memory:
//
//	7f156cc0c000-7f156cc0d000 rw-s 00000000 fe:00 10003198                   /tmp/with spaces.db
//
// It takes bytes because a process has hundreds of such lines, and hardly any is wanted.
func parseMap(line []byte) (m procMap, ok bool) {
	rest := bytes.TrimSuffix(line, []byte("\n"))
	slash := bytes.IndexByte(rest, '/')
	if slash < 0 {
		return m, false
	}
	f := bytes.Fields(rest[:slash])
	if len(f) != 5 { // fewer: not a map; more: a name like "[heap/…" or "//anon"
		return m, false
	}
	from, to, ok := bytes.Cut(f[0], []byte("-"))
	if !ok {
		return m, false
	}
	start, err1 := strconv.ParseUint(string(from), 16, 64)
	end, err2 := strconv.ParseUint(string(to), 16, 64)
	if err1 != nil || err2 != nil || end < start || end-start > 1<<62 {
		return m, false
	}
	if m.id, ok = parseDevice(string(f[3]), string(f[4])); !ok {
		return m, false
	}
	m.size = int64(end - start)
	m.path = string(rest[slash:])
	return m, true
}

// mapPaths returns what a printed path may stand for. The kernel writes a newline
// as \012 but leaves a backslash alone, so a file that is really named with a backslash
// and digits cannot be told from it: both are tried.
func mapPaths(printed string) []string {
	if plain := unescapeOctal(printed); plain != printed {
		return []string{printed, plain}
	}
	return []string{printed}
}

// unescapeOctal replaces \ooo, three octal digits, by the byte that it stands for.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

const kernelThread = 0x00200000 // PF_KTHREAD of linux/sched.h

// holdsNothing tells from /proc/PID/stat, which everybody may read, whether a process
// cannot hold files at all: a kernel thread, or a zombie without living threads.
func holdsNothing(stat string) bool {
	_, rest, ok := cutLast(stat, ')') // the name in parentheses may hold anything, parentheses included
	if !ok {
		return false
	}
	f := strings.Fields(rest)
	if len(f) < 18 {
		return false
	}
	flags, err := strconv.ParseUint(f[6], 10, 64)
	if err != nil {
		return false
	}
	dead := f[0] == "Z" || f[0] == "X"
	return flags&kernelThread != 0 || dead && f[17] == "1"
}

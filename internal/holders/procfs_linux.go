package holders

// The walk through Linux's /proc. Processes, descriptors and maps come and go
// while it runs: what vanishes holds nothing any more and is passed over.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// procfs is a /proc file system; tests make their own.
type procfs struct {
	root string
}

// scan is one walk.
type scan struct {
	procfs
	w      *wanted
	report Report
	// kernel maps the identities that /proc prints to wanted files. It begins with
	// what stat says and learns from descriptors and maps, because on overlayfs and
	// btrfs the two differ.
	kernel map[procID]found
	// told are the locks already reported, so that /proc/locks adds only what is missing.
	told map[toldLock]bool
}

// toldLock is a lock and its owner. The name is left out, and so is the owner of locks that belong to a description.
type toldLock struct {
	pid        int
	typ        LockType
	mode       LockMode
	start, end int64
	id         procID
}

func (l procLock) told(pid int) toldLock {
	if l.Type != LockPOSIX {
		pid = 0
	}
	return toldLock{pid, l.Type, l.Mode, l.Start, l.End, l.id}
}

func (p procfs) scan(w *wanted) *scan {
	s := &scan{procfs: p, w: w, kernel: make(map[procID]found), told: make(map[toldLock]bool)}
	s.report.Holders = []Holder{}
	for id, f := range w.byID {
		s.kernel[procID{unix.Major(id.dev), unix.Minor(id.dev), id.ino}] = f
	}
	return s
}

// process is one process during a walk.
type process struct {
	dir    string // in /proc
	number int    // as /proc numbers it
	Process
	self bool
}

func (p procfs) self(ctx context.Context, w *wanted) (Report, error) {
	s := p.scan(w)
	me := &process{dir: p.root + "/self", number: p.selfNumber(), self: true}
	me.PID = os.Getpid() // what the rest of the program knows it by, whosoever /proc is mounted here
	err := s.read(ctx, me)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, fmt.Errorf("%w: %w", ErrUnsupported, err) // no /proc
	}
	if err := s.settle(me, err); err != nil {
		return Report{}, err
	}
	if len(s.report.Holders) > 0 {
		// The owner of a POSIX lock has a descriptor of the file, else the lock is
		// gone; so this is worth reading only now, and only for kernels without lock lines.
		s.addLocks(me, func(l procLock) bool { return l.Type == LockPOSIX && l.pid == me.number })
	}
	return s.report, nil
}

func (p procfs) all(ctx context.Context, w *wanted) (Report, error) {
	s := p.scan(w)
	dir, err := os.Open(p.root)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	names, err := dir.Readdirnames(-1)
	dir.Close()
	if err != nil {
		return Report{}, fmt.Errorf("holders: %w", err)
	}
	me, processes, first := &process{number: p.selfNumber(), self: true}, 0, false
	me.PID = os.Getpid()
	for _, name := range names {
		number, err := strconv.Atoi(name)
		if err != nil || number <= 0 {
			continue
		}
		processes++
		first = first || number == 1
		one := &process{dir: p.root + "/" + name, number: number, self: number == me.number}
		one.PID = number
		if one.self {
			one.PID = me.PID
		}
		if err := s.settle(one, s.read(ctx, one)); err != nil {
			return Report{}, err
		}
	}
	if processes == 0 {
		return Report{}, fmt.Errorf("%w: no processes in %s", ErrUnsupported, p.root)
	}
	if !first {
		// Every pid namespace has a first process; where it cannot be seen, /proc is mounted with hidepid.
		s.report.Unreadable = append(s.report.Unreadable, Process{Reason: p.root + " hides other users' processes"})
	}
	s.addLocks(me, func(procLock) bool { return true })
	return s.report, nil
}

// selfNumber is this process's number in this /proc, 0 if it is not there.
func (p procfs) selfNumber() int {
	link, _ := os.Readlink(p.root + "/self")
	number, _ := strconv.Atoi(link)
	return number
}

// settle sorts what reading a process ended with: gone, unknown, or an end of
// the whole walk, because it is ours and not the process's.
func (s *scan) settle(p *process, err error) error {
	switch {
	case err == nil, gone(err):
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("holders: %w", err)
	case errors.Is(err, fs.ErrPermission):
		stat, _ := os.ReadFile(p.dir + "/stat")
		if holdsNothing(string(stat)) {
			return nil
		}
	}
	s.report.Unreadable = append(s.report.Unreadable, Process{PID: p.PID, Command: s.command(p.number), Reason: reason(err)})
	return nil
}

func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// read looks at one process: its descriptors with their locks, then its maps. What may
// not be read does not keep it from reading the rest.
func (s *scan) read(ctx context.Context, p *process) error {
	dir, err := os.Open(p.dir + "/fd")
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	var denied error
	at := int(dir.Fd())
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.readDescriptor(p, at, name); err != nil && !gone(err) {
			denied = err // of this descriptor, or its locks, nobody can tell
		}
	}
	if err := s.readMaps(p); err != nil && (p.self || !gone(err)) {
		denied = err
	}
	return denied
}

// readDescriptor looks at one entry of the fd directory that is open as dir: paths
// relative to it spare the kernel the walk through /proc, half of the cost.
func (s *scan) readDescriptor(p *process, dir int, name string) error {
	fd, err := strconv.Atoi(name)
	if err != nil {
		return nil
	}
	var buffer [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, name, buffer[:])
	if err == unix.ENAMETOOLONG { // longer than a page; it can still be the same file
		n, err = 0, nil
	}
	if err != nil {
		return &fs.PathError{Op: "readlink", Path: p.dir + "/fd/" + name, Err: err}
	}
	if n > 0 && bytes.IndexByte(buffer[:n], '/') < 0 { // socket:[1234], pipe:[1234], anon_inode:[eventpoll]
		return nil
	}
	shown := string(buffer[:n])
	var id *fileID
	if got, err := identifyAt(dir, name); err == nil {
		id = &got
	}
	f, ok := s.w.match(shown, id)
	if !ok {
		return nil
	}
	s.add(p, f, Holder{Kind: KindDescriptor, FD: fd})
	text, err := os.ReadFile(p.dir + "/fdinfo/" + name)
	if err != nil {
		return err
	}
	for _, l := range parseFdinfo(string(text)) {
		s.kernel[l.id] = f
		told := l.told(p.number)
		// A POSIX lock has one owner; it is printed again for each duplicate of its descriptor.
		if l.Type == LockPOSIX && s.told[told] {
			continue
		}
		s.told[told] = true
		s.addLock(p, f, l, fd)
	}
	return nil
}

func (s *scan) readMaps(p *process) error {
	file, err := os.Open(p.dir + "/maps")
	if err != nil {
		return err
	}
	defer file.Close()
	var sizes map[found]int64
	lines := bufio.NewReaderSize(file, 8192) // twice what the kernel gives at a time, and more than a path's length
	for {
		line, err := lines.ReadSlice('\n')
		if m, ok := parseMap(line); ok {
			if f, ok := s.matchMap(m); ok {
				if sizes == nil {
					sizes = make(map[found]int64)
				}
				sizes[f] += m.size
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull { // the rest of an overlong line is no map
			return err
		}
	}
	for f, size := range sizes {
		s.add(p, f, Holder{Kind: KindMap, FD: -1, Size: size})
	}
	return nil
}

func (s *scan) matchMap(m procMap) (found, bool) {
	id := fileID{dev: unix.Mkdev(m.id.major, m.id.minor), ino: m.id.ino}
	for _, path := range mapPaths(m.path) {
		if f, ok := s.w.matchPath(path, &id); ok {
			s.kernel[m.id] = f
			return f, true
		}
	}
	f, ok := s.kernel[m.id]
	return f, ok
}

// addLocks adds from /proc/locks what the descriptors did not tell: locks of
// processes that may not be read, and of kernels that print no lock lines. It is only
// a supplement, so a system without it (Android, gVisor) is no error.
func (s *scan) addLocks(me *process, asked func(procLock) bool) {
	text, err := os.ReadFile(s.root + "/locks")
	if err != nil {
		return
	}
	for _, l := range parseLocks(string(text)) {
		f, ok := s.kernel[l.id]
		if !ok || !asked(l) || s.told[l.told(l.pid)] {
			continue
		}
		s.told[l.told(l.pid)] = true
		p := me
		if l.pid != me.number {
			p = &process{number: max(l.pid, 0)} // -1 and 0: the owner is not known
			p.PID = p.number
		}
		s.addLock(p, f, l, -1)
	}
}

func (s *scan) addLock(p *process, f found, l procLock, fd int) {
	lock := l.Lock
	if lock.Type != LockFlock { // flock knows no bytes
		lock.Name = LockName(f.file, lock.Start, lock.End)
	}
	s.add(p, f, Holder{Kind: KindLock, FD: fd, Lock: &lock})
}

func (s *scan) add(p *process, f found, h Holder) {
	if p.Command == "" {
		p.Command = s.command(p.number)
	}
	h.PID, h.Command, h.Self = p.PID, p.Command, p.self
	h.File, h.Path, h.Deleted = f.file, f.path, f.deleted
	s.report.Holders = append(s.report.Holders, h)
}

// command is the short name of a process, "" if it cannot be told.
func (p procfs) command(number int) string {
	if number <= 0 {
		return ""
	}
	name, err := os.ReadFile(p.root + "/" + strconv.Itoa(number) + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(name), "\n")
}

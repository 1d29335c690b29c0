package holders

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Kind is a way of holding a file.
type Kind uint8

// The kinds of holding.
const (
	KindDescriptor Kind = iota + 1 // an open file descriptor
	KindMap                        // a memory map, which outlives its descriptor
	KindLock                       // a file lock
)

var kindNames = names[Kind]{KindDescriptor: "descriptor", KindMap: "map", KindLock: "lock"}

// String returns "descriptor", "map" or "lock".
func (k Kind) String() string { return kindNames.of(k) }

// MarshalText writes what String returns.
func (k Kind) MarshalText() ([]byte, error) { return kindNames.marshal(k) }

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(text []byte) error { return kindNames.unmarshal(k, text) }

// LockType is a family of file locks. The families differ in who owns a lock
// and when it is dropped, and do not all see each other.
type LockType uint8

// The families of file locks.
const (
	LockPOSIX LockType = iota + 1 // fcntl(F_SETLK): owned by the process, dropped by any close of the file in it
	LockOFD                       // fcntl(F_OFD_SETLK): owned by the open file description; conflicts with POSIX locks
	LockFlock                     // flock(2): owned by the open file description; on Linux blind to the other two
)

var lockTypeNames = names[LockType]{LockPOSIX: "posix", LockOFD: "ofd", LockFlock: "flock"}

// String returns "posix", "ofd" or "flock".
func (t LockType) String() string { return lockTypeNames.of(t) }

// MarshalText writes what String returns.
func (t LockType) MarshalText() ([]byte, error) { return lockTypeNames.marshal(t) }

// UnmarshalText reads what MarshalText wrote.
func (t *LockType) UnmarshalText(text []byte) error { return lockTypeNames.unmarshal(t, text) }

// LockMode tells a shared lock from an exclusive one.
type LockMode uint8

// The modes of a lock.
const (
	ModeRead  LockMode = iota + 1 // shared with other readers
	ModeWrite                     // exclusive
)

var lockModeNames = names[LockMode]{ModeRead: "read", ModeWrite: "write"}

// String returns "read" or "write".
func (m LockMode) String() string { return lockModeNames.of(m) }

// MarshalText writes what String returns.
func (m LockMode) MarshalText() ([]byte, error) { return lockModeNames.marshal(m) }

// UnmarshalText reads what MarshalText wrote.
func (m *LockMode) UnmarshalText(text []byte) error { return lockModeNames.unmarshal(m, text) }

// Lock is one file lock.
type Lock struct {
	Type  LockType `json:"type"`
	Mode  LockMode `json:"mode"`
	Start int64    `json:"start"`          // first byte
	End   int64    `json:"end"`            // last byte, inclusive; -1 is the end of the file, wherever that will be
	Name  string   `json:"name,omitempty"` // what SQLite calls these bytes, see LockName; empty if it does not lock them
}

// String is for people: "posix read lock shared (bytes 1073741826-1073742335)".
func (l Lock) String() string {
	s := l.Type.String() + " " + l.Mode.String() + " lock"
	if l.Name != "" {
		s += " " + l.Name
	}
	switch {
	case l.Start == 0 && l.End == -1:
		return s + " (whole file)"
	case l.End == -1:
		return fmt.Sprintf("%s (bytes %d-EOF)", s, l.Start)
	case l.Start == l.End:
		return fmt.Sprintf("%s (byte %d)", s, l.Start)
	}
	return fmt.Sprintf("%s (bytes %d-%d)", s, l.Start, l.End)
}

// Holder is one thing that one process holds on one file.
type Holder struct {
	// PID is the process, as this process's /proc numbers it; 0 if it is not
	// known, as for a lock whose owner lives in another pid namespace.
	PID int `json:"pid"`
	// Command is the process's short name, cut by the system (15 bytes on Linux); empty if unknown.
	Command string `json:"command,omitempty"`
	// Self tells whether it is the process that asked.
	Self bool `json:"self"`
	Kind Kind `json:"kind"`
	// Path is the file as the system shows it, without any mark for deleted files.
	// It differs from the path asked for where the file has several names.
	Path string `json:"path"`
	// File tells which of the database's files it is: "db", "wal", "shm" or "journal".
	File string `json:"file"`
	// FD is the descriptor, also of a lock where it is known; -1 if there is none.
	FD int `json:"fd"`
	// Deleted tells that the file no longer stands at its path: it was removed, or
	// replaced by another. What is written to it is lost.
	Deleted bool `json:"deleted,omitempty"`
	// Size is the number of bytes mapped, for a map; all maps of a process on one file are one Holder.
	Size int64 `json:"size,omitempty"`
	// Lock is set for KindLock only.
	Lock *Lock `json:"lock,omitempty"`
}

// String is for people: "descriptor 7 on state.db-wal", and for another process
// "descriptor 7 on state.db-wal by sqlite3[4711]".
func (h Holder) String() string {
	var b strings.Builder
	switch {
	case h.Kind == KindLock && h.Lock != nil:
		b.WriteString(h.Lock.String())
	case h.Kind == KindMap && h.Size > 0:
		fmt.Fprintf(&b, "map of %d bytes", h.Size)
	case h.Kind == KindDescriptor:
		fmt.Fprintf(&b, "descriptor %d", h.FD)
	default:
		b.WriteString(h.Kind.String())
	}
	b.WriteString(" on " + printable(filepath.Base(h.Path)))
	if h.Deleted {
		b.WriteString(" (deleted)")
	}
	if !h.Self {
		b.WriteString(" by " + Process{PID: h.PID, Command: h.Command}.String())
	}
	return b.String()
}

// Process is a process that may not be read, so that nobody can tell what it holds.
type Process struct {
	PID     int    `json:"pid"` // 0 stands for processes that are hidden altogether
	Command string `json:"command,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// String is for people: "sqlite3[4711]", with the reason if there is one.
func (p Process) String() string {
	s := printable(p.Command) + "[" + strconv.Itoa(p.PID) + "]"
	if p.PID == 0 {
		s = "a process that cannot be seen"
	}
	if p.Reason != "" {
		s += ": " + p.Reason
	}
	return s
}

// printable keeps a name with newlines or control characters from forging log lines.
func printable(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != s {
		return q
	}
	return s
}

// names is the text form of a small enumeration.
type names[T ~uint8] map[T]string

func (n names[T]) of(v T) string {
	if s, ok := n[v]; ok {
		return s
	}
	return "unknown(" + strconv.Itoa(int(v)) + ")"
}

func (n names[T]) marshal(v T) ([]byte, error) {
	if s, ok := n[v]; ok {
		return []byte(s), nil
	}
	return nil, fmt.Errorf("holders: %T %d has no name", v, uint8(v))
}

func (n names[T]) unmarshal(v *T, text []byte) error {
	for candidate, s := range n {
		if s == string(text) {
			*v = candidate
			return nil
		}
	}
	return fmt.Errorf("holders: %q is no %T", text, *v)
}

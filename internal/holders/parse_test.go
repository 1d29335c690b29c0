package holders

// The texts of /proc, on every platform.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const recordedLocks = `1: FLOCK  ADVISORY  READ 11685 fe:00:10003198 0 EOF
2: POSIX  ADVISORY  WRITE 11685 fe:00:10003198 100 109
2: -> POSIX  ADVISORY  WRITE 11690 fe:00:10003198 100 100
2:  -> POSIX  ADVISORY  READ 11691 fe:00:10003198 100 100
3: OFDLCK ADVISORY  READ -1 00:2a:7 1073741826 1073742335
4: LEASE  ACTIVE    READ 11685 fe:00:10003198 0 EOF
5: POSIX  ADVISORY  READ 0 fe:00:9 0 EOF
6: POSIX  *NOINODE* READ 5 <none>:0 0 EOF
`

func TestLockLines(t *testing.T) {
	fe := procID{0xfe, 0, 10003198}
	want := []procLock{
		{Lock{Type: LockFlock, Mode: ModeRead, Start: 0, End: -1}, 11685, fe},
		{Lock{Type: LockPOSIX, Mode: ModeWrite, Start: 100, End: 109}, 11685, fe},
		{Lock{Type: LockOFD, Mode: ModeRead, Start: 1073741826, End: 1073742335}, -1, procID{0, 0x2a, 7}},
		{Lock{Type: LockPOSIX, Mode: ModeRead, Start: 0, End: -1}, 0, procID{0xfe, 0, 9}},
	}
	if diff := cmp.Diff(want, parseLocks(recordedLocks), cmp.AllowUnexported(procLock{}, procID{})); diff != "" {
		t.Errorf("held locks only, without leases and those who wait:\n%s", diff)
	}
	fdinfo := "pos:\t5000\nflags:\t02100002\nmnt_id:\t27\nino:\t10003198\n" +
		"lock:\t1: FLOCK  ADVISORY  READ 11685 fe:00:10003198 0 EOF\nlock:\t2: POSIX  ADVISORY  WRITE 11685 fe:00:10003198 100 109\n"
	if diff := cmp.Diff(want[:2], parseFdinfo(fdinfo), cmp.AllowUnexported(procLock{}, procID{})); diff != "" {
		t.Errorf("the lock lines of fdinfo:\n%s", diff)
	}
}

func TestMapLines(t *testing.T) {
	for line, want := range map[string]string{
		"7f156cc0c000-7f156cc0d000 rw-s 00000000 fe:00 10003198                   /tmp/hh sp\\012nl/st\\040te.db\n": `4096 fe:0:10003198 /tmp/hh sp\012nl/st\040te.db`,
		"7f156cc0c000-7f156cc0d000 rw-s 00000000 fe:00 10003198                   /tmp/a.db (deleted)":              "4096 fe:0:10003198 /tmp/a.db (deleted)",
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n":                     "",
		"7f156cc0c000-7f156cc0d000 rw-p 00000000 00:00 0 \n":                                                        "",
		"7f156cc0c000-7f156cc0d000 rw-p 00000000 00:00 0                          [anon: a/b]\n":                    "",
		"7f156cc0c000-7f156cc0d000 rw-s 00000000 00:05 2                          anon_inode:/x\n":                  "",
		"7f156cc0c000-7f156cc0d000 rw-s 00000000 00:01 1024                       /dev/zero (deleted)\n":            "4096 0:1:1024 /dev/zero (deleted)",
		"2-1 rw-s 00000000 00:01 1 /x": "", "x-y rw-s 0 00:01 1 /x": "", "1-2 rw-s 0 0001 1 /x": "", "": "",
	} {
		got := ""
		if m, ok := parseMap([]byte(line)); ok {
			got = fmt.Sprintf("%d %x:%x:%d %s", m.size, m.id.major, m.id.minor, m.id.ino, m.path)
		}
		if got != want {
			t.Errorf("map line %q\n is %q\nnot %q", line, want, got)
		}
	}
	if diff := cmp.Diff([]string{`/a\012b\099`, "/a\nb\\099"}, mapPaths(`/a\012b\099`)); diff != "" {
		t.Errorf("both readings of an escaped name are tried:\n%s", diff)
	}
}

func TestNamesOfTheBytesThatSQLiteLocks(t *testing.T) {
	for _, c := range []struct {
		file       string
		start, end int64
		want       string
	}{
		{"db", 0x40000000, 0x40000000, "pending"},
		{"db", 0x40000001, 0x40000001, "reserved"},
		{"db", 1073741826, 1073742335, "shared"},
		{"db", 0x40000000, 0x40000000 + 511, "pending+reserved+shared"},
		{"db", 0, -1, "pending+reserved+shared"},
		{"db", 0, 4095, ""},
		{"db", 0x40000000 + 512, -1, ""},
		{"shm", 120, 120, "wal-write"},
		{"shm", 121, 122, "wal-ckpt+wal-recover"},
		{"shm", 123, 123, "wal-read-0"},
		{"shm", 124, 124, "wal-read-1"},
		{"shm", 123, 127, "wal-read-0..4"},
		{"shm", 120, 127, "wal-write+wal-ckpt+wal-recover+wal-read-0..4"},
		{"shm", 128, 128, "dms"},
		{"shm", 0, 119, ""},
		{"wal", 0, -1, ""},
		{"journal", 0, -1, ""},
	} {
		if got := LockName(c.file, c.start, c.end); got != c.want {
			t.Errorf("bytes %d to %d of the %s are %q, not %q", c.start, c.end, c.file, c.want, got)
		}
	}
}

func FuzzLocks(f *testing.F) {
	f.Add(recordedLocks)
	f.Add("1: POSIX ADVISORY READ 1 0:0:1 5 4\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range parseLocks(text) {
			checkLock(t, l.Lock)
			if l.Type == 0 || l.Mode == 0 {
				t.Errorf("a lock without type or mode: %+v", l)
			}
			again, ok := parseLock(fmt.Sprintf("1: %s ADVISORY %s %d %x:%x:%d %d %s", map[LockType]string{LockPOSIX: "POSIX", LockOFD: "OFDLCK", LockFlock: "FLOCK"}[l.Type],
				strings.ToUpper(l.Mode.String()), l.pid, l.id.major, l.id.minor, l.id.ino, l.Start, strings.Replace(fmt.Sprint(l.End), "-1", "EOF", 1)))
			if !ok || again != l {
				t.Errorf("written again, %+v reads as %+v", l, again)
			}
		}
	})
}

func checkLock(t *testing.T, l Lock) {
	if l.Start < 0 || l.End != -1 && l.End < l.Start {
		t.Errorf("a lock's range goes forward: %+v", l)
	}
	_ = LockName("db", l.Start, l.End) + LockName("shm", l.Start, l.End) + l.String()
}

func FuzzFdinfo(f *testing.F) {
	f.Add("pos:\t0\nlock:\t1: POSIX  ADVISORY  WRITE 11685 fe:00:10003198 100 109\n")
	f.Add("lock:1: OFDLCK a READ -1 0:0:0 0 EOF")
	f.Fuzz(func(t *testing.T, text string) {
		locks := parseFdinfo(text)
		if len(locks) > strings.Count(text, "lock:") {
			t.Errorf("%d locks from fewer lines", len(locks))
		}
		for _, l := range locks {
			checkLock(t, l.Lock)
		}
	})
}

func FuzzMaps(f *testing.F) {
	f.Add("7f156cc0c000-7f156cc0d000 rw-s 00000000 fe:00 10003198                   /tmp/hh sp\\012nl/st\\040te.db (deleted)\n")
	f.Add("7f156cc0c000-7f156cc0d000 rw-p 00000000 00:00 0                          [heap]")
	f.Fuzz(func(t *testing.T, line string) {
		m, ok := parseMap([]byte(line))
		if !ok {
			return
		}
		if m.size < 0 || !strings.HasPrefix(m.path, "/") {
			t.Errorf("%q became %+v", line, m)
		}
		for _, p := range mapPaths(m.path) {
			if len(p) > len(m.path) {
				t.Errorf("an unescaped path is not longer: %q, %q", m.path, p)
			}
		}
	})
}

func FuzzStat(f *testing.F) {
	f.Add("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 6 7")
	f.Add(")")
	f.Fuzz(func(t *testing.T, text string) { _ = holdsNothing(text) })
}

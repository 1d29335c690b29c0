package holders

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTextForPeople(t *testing.T) {
	lock := &Lock{Type: LockPOSIX, Mode: ModeRead, Start: pendingByte + 2, End: sharedLast, Name: "shared"}
	for want, h := range map[string]Holder{
		"descriptor 7 on state.db-wal":                     {Self: true, Kind: KindDescriptor, FD: 7, Path: "/x/state.db-wal"},
		"descriptor 7 on state.db (deleted) by sqlite3[4]": {PID: 4, Command: "sqlite3", Kind: KindDescriptor, FD: 7, Path: "/x/state.db", Deleted: true},
		"map of 32768 bytes on state.db-shm":               {Self: true, Kind: KindMap, FD: -1, Size: 32768, Path: "/x/state.db-shm"},
		"posix read lock shared (bytes 1073741826-1073742335) on state.db by a process that cannot be seen": {Kind: KindLock, Lock: lock, Path: "state.db"},
		`descriptor 7 on "new\nline"`: {Self: true, Kind: KindDescriptor, FD: 7, Path: "/x/new\nline"},
	} {
		if got := h.String(); got != want {
			t.Errorf("\nwant %s\ngot  %s", want, got)
		}
	}
	var many Report
	for range 11 {
		many.Holders = append(many.Holders, Holder{Self: true, Kind: KindDescriptor, FD: 1, Path: "a"})
	}
	many.Unreadable = []Process{{PID: 1, Command: "init", Reason: "permission denied"}}
	got := many.Err().Error()
	if !strings.HasPrefix(got, "still held: descriptor 1 on a, ") || !strings.HasSuffix(got, "and 3 more; unknown: 1 of the processes may not be read, first init[1]: permission denied") {
		t.Errorf("an error names eight holders and counts the rest: %s", got)
	}
}

func TestJSONThereAndBack(t *testing.T) {
	r := Report{Paths: []string{"/x/a.db"}, Holders: []Holder{{
		PID: 4, Command: "c", Kind: KindLock, Path: "/x/a.db", File: "db", FD: -1,
		Lock: &Lock{Type: LockFlock, Mode: ModeWrite, Start: 0, End: -1},
	}}}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"paths":["/x/a.db"],"holders":[{"pid":4,"command":"c","self":false,"kind":"lock","path":"/x/a.db","file":"db","fd":-1,"lock":{"type":"flock","mode":"write","start":0,"end":-1}}]}`
	if string(text) != want {
		t.Errorf("\nwant %s\ngot  %s", want, text)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Error(diff)
	}
	var k Kind
	if err := k.UnmarshalText([]byte("x")); err == nil {
		t.Error("x is no kind")
	}
	if _, err := Kind(9).MarshalText(); err == nil || Kind(9).String() != "unknown(9)" {
		t.Error("9 is no kind")
	}
}

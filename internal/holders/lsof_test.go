package holders

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recordedLsof is what lsof 4.95 on Linux printed (shortened) for a process with a mapped, locked
// file whose directory's name has a newline; its second descriptor is deleted.
const recordedLsof = "p11685\x00cpython3\x00\n" +
	"fcwd\x00a \x00l \x00tDIR\x00D0xfe00\x00i246947\x00k14\x00n/tmp\x00\n" +
	"fmem\x00a \x00lw\x00tREG\x00D0xfe00\x00i10003198\x00n/tmp/hh sp\\\\012nl/st\\\\040te.db\x00\n" +
	"f2\x00aw\x00l \x00tREG\x00D0xfe00\x00i10003191\x00k1\x00n/tmp/bash_jobs.0/stderr\x00\n" +
	"f3\x00au\x00lw\x00tREG\x00D0xfe00\x00i10003198\x00k1\x00n/tmp/hh sp\\nnl/st\\\\040te.db\x00\n" +
	"f4\x00au\x00l \x00tREG\x00D0xfe00\x00i10003199\x00k0\x00n/tmp/hh sp\\nnl/st\\\\040te.db (deleted)\x00\n" +
	"f5\x00ar\x00l \x00tFIFO\x00D0xf\x00i20878\x00k1\x00npipe\x00\n"

// writtenLsof is in the form that lsof(8) describes for macOS: written by hand, not recorded.
const writtenLsof = "p501\x00cMessenger\x00\n" +
	"fcwd\x00tDIR\x00D0x1000004\x00i2\x00k20\x00n/\x00\n" +
	"ftxt\x00tREG\x00D0x1000004\x00i77\x00k1\x00n/private/var/state.db-shm\x00\n" +
	"ftxt\x00tREG\x00D0x1000004\x00i77\x00k1\x00n/private/var/state.db-shm\x00\n" +
	"f7u\x00tREG\x00D0x1000004\x00i75\x00k1\x00n/private/var/notafd.db\x00\n" +
	"f8\x00au\x00lR\x00tREG\x00D0x1000004\x00i75\x00k1\x00n/private/var/state.db\x00\n" +
	"f9\x00au\x00tREG\x00D0x1000004\x00i99\x00k0\x00n/private/var/state.db-wal\x00\n" +
	"p502\x00cother\x00\n" +
	"f3\x00au\x00tREG\x00D0x1000004\x00i75\x00k2\x00n/private/var/other-name.db\x00\n" +
	"f4\x00au\x00tREG\x00D0x1000004\x00i76\x00k1\x00n/private/var/state.db2\x00\n"

func wantedNames(db string, id fileID) *wanted {
	w := &wanted{paths: []string{db}, byPath: map[string]string{}, byID: map[fileID]found{}}
	w.add(db)
	w.byID[id] = found{file: "db", path: db}
	return w
}

func TestLsofOutput(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		w    *wanted
		want []string
	}{
		"recorded on Linux": {recordedLsof, wantedNames("/tmp/hh sp\nnl/st\\040te.db", fileID{0xfe00, 10003198}), []string{
			"11685 python3 db map false", "11685 python3 db descriptor 3 false", "11685 python3 db lock 3 false", "11685 python3 db descriptor 4 true",
		}},
		"written for macOS": {writtenLsof, wantedNames("/private/var/state.db", fileID{0x1000004, 75}), []string{
			"501 Messenger shm map false", "501 Messenger db descriptor 8 false", "501 Messenger db lock 8 false", "501 Messenger wal descriptor 9 true", "502 other db descriptor 3 false",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, h := range parseLsof(c.text, c.w, 501) {
				fd := ""
				if h.FD >= 0 {
					fd = " " + strconv.Itoa(h.FD)
				}
				got = append(got, fmt.Sprintf("%d %s %s %s%s %t", h.PID, h.Command, h.File, h.Kind, fd, h.Deleted))
				if h.Self != (h.PID == 501) {
					t.Errorf("self is process 501: %+v", h)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("want\n%s\ngot\n%s", strings.Join(c.want, "\n"), strings.Join(got, "\n"))
			}
		})
	}
}

func TestLsofNamesAreUnescaped(t *testing.T) {
	for printed, want := range map[string]string{`/a`: "/a", `/a\nb`: "/a\nb", `/a\\b`: `/a\b`, `/br\xc3\xa4u`: "/bräu", `/x\x`: `/x\x`, `/x\`: `/x\`, `/\\012`: "/\n"} {
		if got := lsofNames(printed); !slices.Contains(got, want) {
			t.Errorf("%q may stand for %q, but only %q are tried", printed, want, got)
		}
	}
}

func FuzzLsof(f *testing.F) {
	f.Add(recordedLsof)
	f.Add(writtenLsof)
	f.Add("f3\x00n/x\\")
	f.Fuzz(func(t *testing.T, text string) {
		w := wantedNames("/x/state.db", fileID{1, 2})
		for _, h := range parseLsof(text, w, 1) {
			if (h.Kind == KindLock) != (h.Lock != nil) || h.Kind == 0 || h.File == "" {
				t.Errorf("an incomplete holder: %+v", h)
			}
			_ = h.String()
		}
	})
}

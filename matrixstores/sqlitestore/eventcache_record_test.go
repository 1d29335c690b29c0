package sqlitestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// FuzzParseRecord: no bytes make parseRecord panic, and what it accepts is written as the same bytes.
func FuzzParseRecord(f *testing.F) {
	for _, e := range []eventcache.Event{
		{ID: "$a", Raw: json.RawMessage(`{}`)},
		{ID: "$b\xff\x00", Type: "m.room.message", Session: "s", RelatesTo: "$a", RelType: "m.thread", Raw: json.RawMessage(`{"a":1}`), Meta: &eventcache.Meta{Timestamp: 5}},
	} {
		b, err := appendRecord(nil, &e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseRecord(b)
		if err != nil {
			if !errors.Is(err, errRecord) && !errors.Is(err, errRecordVersion) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := appendRecord(nil, &e)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		same, err := parseRecord(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !cmp.Equal(e, same) {
			t.Errorf("other than before:\n%s", cmp.Diff(e, same))
		}
		if e.Meta == nil && bytes.Equal(b, again) == false && len(b) == len(again) {
			t.Errorf("%x was written as %x", b, again)
		}
	})
}

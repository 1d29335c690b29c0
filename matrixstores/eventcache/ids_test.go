package eventcache_test

import (
	"bytes"
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

func TestNamesOfLinkedChunks(t *testing.T) {
	for _, c := range []struct {
		list   eventcache.LinkedChunkID
		is     bool
		string string
	}{
		{eventcache.Room("!r"), true, "room !r"},
		{eventcache.Thread("!r", "$e"), true, "thread !r $e"},
		{eventcache.Pinned("!r"), true, "pinned !r"},
		{eventcache.Focused("!r", "$e"), true, "focused !r $e"},
		{eventcache.Room("\x00\xff"), true, "room \x00\xff"},
		{eventcache.LinkedChunkID{}, false, "kind 0 "},
		{eventcache.LinkedChunkID{Kind: 5, Room: "!r"}, false, "kind 5 !r"},
		{eventcache.Room(""), false, "room "},
		{eventcache.Thread("!r", ""), false, "thread !r"},
		{eventcache.Thread("", "$e"), false, "thread  $e"},
		{eventcache.Focused("!r", ""), false, "focused !r"},
		{eventcache.LinkedChunkID{Kind: eventcache.KindRoom, Room: "!r", Event: "$e"}, false, "room !r $e"},
		{eventcache.LinkedChunkID{Kind: eventcache.KindPinned, Room: "!r", Event: "$e"}, false, "pinned !r $e"},
	} {
		if err := c.list.Check(); (err == nil) != c.is || err != nil && !errors.Is(err, eventcache.ErrLinkedChunkID) {
			t.Errorf("%+v names a linked chunk: %v; Check returned %v", c.list, c.is, err)
		}
		if got := c.list.String(); got != c.string {
			t.Errorf("%+v is shown as %q, wanted %q", c.list, got, c.string)
		}
	}
	if got := (eventcache.Position{Chunk: 3, Index: 5}).String(); got != "3:5" {
		t.Errorf("a position is shown as %q", got)
	}
}

// anyName draws a name, of a kind that there is or not, of few bytes, so that names are alike.
var anyName = rapid.Custom(func(t *rapid.T) eventcache.LinkedChunkID {
	few := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, '!', '$', 0x80, 0xff}), 0, 4), func(b []byte) string { return string(b) })
	return eventcache.LinkedChunkID{
		Kind: eventcache.Kind(rapid.IntRange(0, 5).Draw(t, "kind")), Room: id.RoomID(few.Draw(t, "room")), Event: id.EventID(few.Draw(t, "event")),
	}
})

func TestTwoNamesHaveTwoKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyName.Draw(t, "a"), anyName.Draw(t, "b")
		if bytes.Equal(a.Key(), b.Key()) != (a == b) {
			t.Fatalf("%+v has the key %x, and %+v %x", a, a.Key(), b, b.Key())
		}
	})
	long := id.RoomID(bytes.Repeat([]byte("x"), 300))
	for _, pair := range [][2]eventcache.LinkedChunkID{
		{eventcache.Thread("!r", "$e"), eventcache.Thread("!r$", "e")},
		{eventcache.Thread("!r", "$e"), eventcache.Focused("!r", "$e")},
		{eventcache.Thread("!r", "\x00"), eventcache.Room("!r\x00")},
		{eventcache.Thread(long, "$e"), eventcache.Thread(long+"$", "e")},
	} {
		if bytes.Equal(pair[0].Key(), pair[1].Key()) {
			t.Errorf("%v and %v have the same key", pair[0], pair[1])
		}
	}
}

func TestTheKeySaysTheName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyName.Draw(t, "name")
		back, err := eventcache.ParseKey(l.Key())
		if l.Check() != nil {
			if err == nil {
				t.Fatalf("%+v is no name, and its key is one", l)
			}
			return
		}
		if err != nil || back != l {
			t.Fatalf("of the key of %+v comes %+v, %v", l, back, err)
		}
	})
}

// FuzzParseKey: bytes are the key of one name, or of none.
func FuzzParseKey(f *testing.F) {
	for _, l := range []eventcache.LinkedChunkID{eventcache.Room("!r"), eventcache.Thread("!r", "$e"), eventcache.Pinned("!r"), eventcache.Focused("!r", "$e"), {}} {
		f.Add(l.Key())
	}
	for _, key := range []string{
		"", "\x01", "\x01\x00", "\x01\x05abc", "\x01\x81\x00a", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
		"\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "\x09\x01ab",
	} {
		f.Add([]byte(key))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		l, err := eventcache.ParseKey(key)
		if err != nil {
			if l != (eventcache.LinkedChunkID{}) {
				t.Fatalf("%x is no key, and says %+v", key, l)
			}
			return
		}
		if err := l.Check(); err != nil {
			t.Fatalf("%x is taken for the key of %+v, which is no name: %v", key, l, err)
		}
		if !bytes.Equal(l.Key(), key) {
			t.Fatalf("%x is taken for the key of %+v, which is %x", key, l, l.Key())
		}
	})
}

package memorystore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// What a caller does to the slices that he has given, or was given, changes nothing in the store.
func TestACallersSlicesAreHisOwn(t *testing.T) {
	ctx := t.Context()
	s := openEventCache(t, memorystore.EventCacheConfig{})
	list := eventcache.Room(room)
	items := []eventcache.Event{message(0, 10), message(1, 10), message(2, 10)}
	gap := eventcache.NewGapChunk{New: 1, Gap: eventcache.Gap{Token: "gap"}}
	must(t, s.Apply(ctx, list, []eventcache.Update{
		gap, eventcache.NewItemsChunk{Previous: 1, New: 2}, eventcache.PushItems{At: eventcache.Position{Chunk: 2}, Items: items},
	}))
	must(t, s.RememberThread(ctx, room, "$root"))
	must(t, s.SaveEvents(ctx, room, eventcache.Event{ID: "$reaction", RelatesTo: message(1, 10).ID, RelType: "m.annotation", Raw: json.RawMessage(`{}`)}))
	everything := func() string {
		var export bytes.Buffer
		must(t, s.Export(ctx, room, &export))
		return export.String()
	}
	before := everything()

	items[0], items[1] = message(7, 10), eventcache.Event{}
	all, err := s.LoadAllChunks(ctx, list)
	must(t, err)
	all[0].Gap.Token, all[0].Next = "changed", 7
	all[1].Items[0] = message(8, 10)
	_ = append(all[1].Items[:1], message(9, 10))
	last, _, err := s.LoadLastChunk(ctx, list)
	must(t, err)
	last.Items[1] = eventcache.Event{}
	previous, err := s.LoadPreviousChunk(ctx, list, 2)
	must(t, err)
	previous.Gap.Token = "changed"
	roots, err := s.Threads(ctx, room)
	must(t, err)
	roots[0] = "$changed"
	found, err := s.FindEvents(ctx, room, eventcache.Filter{})
	must(t, err)
	found[0], found[1] = found[1], found[0]
	related, err := s.FindRelations(ctx, room, message(1, 10).ID, nil)
	must(t, err)
	related[0].Event, related[0].At = eventcache.Event{}, &eventcache.Position{Chunk: 9}
	places, err := s.FindDuplicates(ctx, list, []id.EventID{message(1, 10).ID})
	must(t, err)
	places[0].At.Index = 9

	if now := everything(); now != before {
		t.Errorf("a caller has changed what he had given to the store, or got from it, and the store has changed:\nbefore %s\nnow    %s", before, now)
	}
}

// Who appends to the JSON that he got writes into no array of the store's, nor of another caller's.
func TestWhatIsAppendedToAnEventIsTheCallers(t *testing.T) {
	ctx := t.Context()
	s := openEventCache(t, memorystore.EventCacheConfig{})
	raw := append(make(json.RawMessage, 0, 64), `{"a":1}`...)
	must(t, s.SaveEvents(ctx, room, eventcache.Event{ID: "$a", Raw: raw}))
	find := func() eventcache.Event {
		e, _, err := s.FindEvent(ctx, room, "$a")
		must(t, err)
		return e
	}
	mine, yours := append(find().Raw, "mine"...), append(find().Raw, "yours"...)
	if string(mine) != `{"a":1}mine` || string(yours) != `{"a":1}yours` {
		t.Errorf("two callers have appended to the same event, and have %q and %q", mine, yours)
	}
}

// A content is copied when it comes and when it goes.
func TestAContentIsCopied(t *testing.T) {
	ctx := t.Context()
	m := openMedia(t, memorystore.MediaConfig{})
	r := media.File("mxc://example.org/a")
	want := strings.Repeat("0123456789", 20_000)
	check := func(what string) {
		t.Helper()
		got, found, err := m.Get(ctx, r)
		if err != nil || !found || string(got) != want {
			t.Errorf("%s changed what the store has (found %v, %v)", what, found, err)
		}
	}
	data := []byte(want)
	_, err := m.Add(ctx, r, data, media.AddOptions{})
	must(t, err)
	clear(data)
	check("changing what was given to Add")
	got, _, err := m.Get(ctx, r)
	must(t, err)
	clear(got)
	check("changing what Get has returned")
	got, _, _, err = m.GetForURI(ctx, r.URI)
	must(t, err)
	clear(got)
	check("changing what GetForURI has returned")
	w, err := m.Create(ctx, r, media.AddOptions{})
	must(t, err)
	data = []byte(want)
	_, err = w.Write(data)
	must(t, err)
	clear(data)
	_, err = w.Commit()
	must(t, err)
	check("changing what was given to Write")
	in, err := m.Open(ctx, r)
	must(t, err)
	buffer, err := io.ReadAll(in)
	must(t, err)
	clear(buffer)
	check("changing what Read has filled")
	p := m.Policy()
	*p.MaxCacheSize = 1
	if now := m.Policy(); *now.MaxCacheSize != media.DefaultMaxCacheSize {
		t.Errorf("changing what Policy has returned changed the policy: %d", *now.MaxCacheSize)
	}
}

// What is refused for its size, or because the store is paused, costs no memory.
func TestWhatIsRefusedIsNotCopied(t *testing.T) {
	ctx := t.Context()
	m := openMedia(t, memorystore.MediaConfig{Config: memorystore.Config{Strict: true}})
	data := make([]byte, media.DefaultMaxFileSize+1)
	add := func() (stored bool, err error) {
		return m.Add(ctx, media.File("mxc://example.org/a"), data, media.AddOptions{})
	}
	costs := func(what string, f func()) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s has allocated %d bytes", what, grown)
		}
	}
	costs("a content that is too large", func() {
		if stored, err := add(); stored || err != nil {
			t.Errorf("Add of what is too large returned %v, %v", stored, err)
		}
	})
	must(t, m.SetPolicy(ctx, media.NoLimits()))
	must(t, m.Pause(ctx))
	costs("a content for a paused store", func() {
		if _, err := add(); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("Add while paused returned %v", err)
		}
	})
	must(t, m.Resume(ctx))
	if stored, err := add(); !stored || err != nil {
		t.Errorf("Add of the same without limits returned %v, %v", stored, err)
	}
}

// A large content is in memory once, in pieces, whether it was streamed or not; reading it as a stream costs nothing.
func TestAContentIsInMemoryOnce(t *testing.T) {
	ctx := t.Context()
	const size, slack = 16 << 20, 1 << 20
	m := openMedia(t, memorystore.MediaConfig{})
	r, data := media.File("mxc://example.org/a"), make([]byte, size)
	allocated := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for what, store := range map[string]func(){
		"Add": func() {
			_, err := m.Add(ctx, r, data, media.AddOptions{})
			must(t, err)
		},
		"a Writer": func() {
			w, err := m.Create(ctx, r, media.AddOptions{})
			must(t, err)
			for left := data; len(left) > 0; {
				n, err := w.Write(left[:min(len(left), 10_000)])
				must(t, err)
				left = left[n:]
			}
			_, err = w.Commit()
			must(t, err)
		},
	} {
		if n := allocated(store); n > size+slack {
			t.Errorf("%s has allocated %d bytes for a content of %d", what, n, size)
		}
		n := allocated(func() {
			in, err := m.Open(ctx, r)
			must(t, err)
			got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, in, make([]byte, 32<<10))
			if err != nil || got != size {
				t.Errorf("reading what %s has stored returned %d bytes, %v", what, got, err)
			}
		})
		if n > slack {
			t.Errorf("reading a content of %d bytes as a stream has allocated %d", size, n)
		}
	}
}

// Bytes tells about how much there is: what is larger shows, and what is gone does not.
func TestBytesFollowTheContents(t *testing.T) {
	ctx := context.Background()
	s := openEventCache(t, memorystore.EventCacheConfig{})
	m := openMedia(t, memorystore.MediaConfig{})
	size := func(s interface {
		Bytes(context.Context) (int64, error)
	}) int64 {
		t.Helper()
		n, err := s.Bytes(ctx)
		must(t, err)
		return n
	}
	const much = 100_000
	grows := func(what string, s interface {
		Bytes(context.Context) (int64, error)
	}, f func()) {
		t.Helper()
		before := size(s)
		f()
		if grown := size(s) - before; grown < much || grown > 2*much {
			t.Errorf("%s of %d bytes has made the store grow by %d", what, much, grown)
		}
	}
	grows("an event", s, func() { must(t, s.SaveEvents(ctx, room, message(1, much))) })
	grows("what is known of an event", s, func() {
		e := message(2, 1)
		original := message(2, much).Raw
		e.Meta = &eventcache.Meta{Decrypted: &eventcache.Decrypted{Original: original}}
		must(t, s.SaveEvents(ctx, room, e))
	})
	must(t, s.ClearAll(ctx))
	if n := size(s); n != 0 {
		t.Errorf("an empty event cache has %d bytes", n)
	}
	r := media.File("mxc://example.org/a")
	grows("a content", m, func() {
		_, err := m.Add(ctx, r, make([]byte, much), media.AddOptions{})
		must(t, err)
	})
	var w media.Writer
	grows("an upload", m, func() {
		var err error
		w, err = m.Create(ctx, r, media.AddOptions{})
		must(t, err)
		_, err = w.Write(make([]byte, much))
		must(t, err)
	})
	must(t, w.Close())
	must(t, m.Remove(ctx, r))
	if n := size(m); n != 0 {
		t.Errorf("an empty media store has %d bytes", n)
	}
}

// A Writer that somebody has forgotten is not kept, and after a cleaning no upload is counted for it.
func TestAWriterThatIsForgottenIsGone(t *testing.T) {
	m := openMedia(t, memorystore.MediaConfig{})
	create := func() media.Writer {
		w, err := m.Create(t.Context(), media.File("mxc://example.org/a"), media.AddOptions{})
		must(t, err)
		_, err = w.Write(make([]byte, 100_000))
		must(t, err)
		return w
	}
	kept := create()
	for range 10 {
		create()
	}
	eventually(t, "only the Writer that is in use is counted", func() bool {
		runtime.GC()
		stats, err := m.Stats(t.Context())
		must(t, err)
		bytes, err := m.Bytes(t.Context())
		must(t, err)
		_, err = m.Clean(t.Context())
		must(t, err)
		return stats.Uploads == 1 && bytes == 100_000
	})
	stored, err := kept.Commit()
	if err != nil || !stored {
		t.Errorf("Commit of the Writer that is in use: %v, %v", stored, err)
	}
	must(t, kept.Close())
	if stats, err := m.Stats(t.Context()); err != nil || stats.Uploads != 0 || stats.Contents != 1 {
		t.Errorf("after the Commit there is %+v, %v", stats, err)
	}
}

package eventcachetest

// The property that a store and eventcache.LinkedChunk agree, for any sequence of
// operations. The model of the list is in linked_model.go, the operations are in linked_actions.go.

import (
	"reflect"
	"slices"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// LinkedChunkProperty checks with a random sequence of operations that a store and
// eventcache.LinkedChunk agree: what a client does to its list in memory, applied to the store
// through updates and loaded again, eagerly and lazily, is the same list. It
// is called within rapid.Check, once for each sequence:
//
//	rapid.Check(t, func(rt *rapid.T) { eventcachetest.LinkedChunkProperty(rt, store, list) })
//
// The store may be the same every time: the property clears the list when it
// begins. Nobody else may use the list, nor save events of its room, meanwhile.
func LinkedChunkProperty(t *rapid.T, store eventcache.Chunks, list eventcache.LinkedChunkID) {
	t.Helper()
	if err := store.Apply(t.Context(), list, []eventcache.Update{eventcache.Clear{}}); err != nil {
		t.Fatalf("Apply(Clear): %v", err)
	}
	m := &linkedModel{store: store, list: list, stored: map[id.EventID]eventcache.Event{}}
	m.chunk = eventcache.NewLinkedChunk(m.drawCapacity(t))
	t.Repeat(map[string]func(*rapid.T){
		"":                m.check,
		"push items":      m.pushItems,
		"push a gap":      m.pushGap,
		"insert items":    m.insertItems,
		"insert a gap":    m.insertGap,
		"replace an item": m.replaceItem,
		"remove an item":  m.removeItem,
		"empty a chunk":   m.emptyChunk,
		"replace a gap":   m.replaceGap,
		"remove a chunk":  m.removeChunk,
		"wrong position":  m.wrongPosition,
		"wrong event":     m.wrongEvent,
		"wrong update":    m.wrongUpdate,
		"clear":           m.clear,
		"apply":           m.apply,
		"load the end":    m.load,
		"load previous":   m.loadPrevious,
		"load all":        m.loadAll,
	})
	m.load(t)
	m.check(t)
	for m.chunk.LazyPrevious() != 0 {
		m.loadPrevious(t)
		m.check(t)
	}
	if m.hidden != 0 {
		t.Fatalf("%d entries of the list were not loaded, and nothing is said to be before what is", m.hidden)
	}
}

// check holds what is loaded to the model: by every way there is to read it.
func (m *linkedModel) check(t *rapid.T) {
	t.Helper()
	chunks := slices.Collect(m.chunk.Chunks())
	m.same(t, "in memory", entries(chunks), m.entries[m.hidden:])
	checkChain(t, "in memory", m.chunk.LazyPrevious(), chunks)

	backward := slices.Collect(m.chunk.ChunksBackward())
	slices.Reverse(backward)
	if !reflect.DeepEqual(chunks, backward) {
		t.Fatalf("the chunks are other ones backwards:\n%+v\n%+v", chunks, backward)
	}
	var items, itemsBackward []eventcache.Place
	for at, e := range m.chunk.Items() {
		items = append(items, eventcache.Place{Event: e.ID, At: at})
		if found, ok := m.chunk.Item(at); !ok || !reflect.DeepEqual(found, e) {
			t.Fatalf("at %v is %+v; Item returned %+v, %v", at, e, found, ok)
		}
	}
	for at, e := range m.chunk.ItemsBackward() {
		itemsBackward = append(itemsBackward, eventcache.Place{Event: e.ID, At: at})
	}
	slices.Reverse(itemsBackward)
	if !reflect.DeepEqual(items, itemsBackward) || !reflect.DeepEqual(items, places(chunks)) {
		t.Fatalf("the items are other ones backwards, or than those in the chunks:\n%v\n%v\n%v", items, itemsBackward, places(chunks))
	}
	if m.chunk.Len() != len(items) || m.chunk.NumChunks() != len(chunks) {
		t.Fatalf("there are %d items in %d chunks; Len is %d, NumChunks is %d", len(items), len(chunks), m.chunk.Len(), m.chunk.NumChunks())
	}
	first, is := m.chunk.FirstChunk()
	last, isLast := m.chunk.LastChunk()
	if is != (len(chunks) > 0) || isLast != is || is && (!reflect.DeepEqual(first, chunks[0]) || !reflect.DeepEqual(last, chunks[len(chunks)-1])) {
		t.Fatalf("of %+v the first is said to be %+v (%v), the last %+v (%v)", chunks, first, is, last, isLast)
	}
	for _, c := range chunks {
		if found, ok := m.chunk.Chunk(c.ID); !ok || !reflect.DeepEqual(found, c) {
			t.Fatalf("Chunk(%d) returned %+v, %v; it is %+v", c.ID, found, ok, c)
		}
		if c.Gap == nil && len(c.Items) > m.capacity {
			t.Fatalf("chunk %d has %d events; no chunk was to take more than %d", c.ID, len(c.Items), m.capacity)
		}
	}
}

// checkChain fails the test where chunks are no whole chain, or not one that begins behind before.
func checkChain(t *rapid.T, where string, before eventcache.ChunkID, chunks []eventcache.Chunk) {
	t.Helper()
	numbers := map[eventcache.ChunkID]bool{0: true, before: true}
	for i, c := range chunks {
		var next eventcache.ChunkID
		if i+1 < len(chunks) {
			next = chunks[i+1].ID
		}
		if numbers[c.ID] || c.Previous != before || c.Next != next || c.Gap != nil && len(c.Items) > 0 {
			t.Fatalf("%s: the chunks are no chain at chunk %d: %+v", where, c.ID, chunks)
		}
		numbers[c.ID] = true
		before = c.ID
	}
}

// checkStore holds what is stored to the model, by every method of eventcache.Chunks. Everything has been applied.
func (m *linkedModel) checkStore(t *rapid.T) []eventcache.Chunk {
	t.Helper()
	ctx := t.Context()
	chunks, err := m.store.LoadAllChunks(ctx, m.list)
	if err != nil {
		t.Fatalf("LoadAllChunks: %v", err)
	}
	want := slices.Clone(m.entries)
	m.asStored(want)
	m.same(t, "stored", entries(chunks), want)
	checkChain(t, "stored", 0, chunks)

	metadata, err := m.store.LoadAllMetadata(ctx, m.list)
	var wantMetadata []eventcache.ChunkMetadata
	var highest eventcache.ChunkID
	for _, c := range chunks {
		wantMetadata = append(wantMetadata, eventcache.ChunkMetadata{ID: c.ID, Previous: c.Previous, Next: c.Next, IsGap: c.Gap != nil, Items: len(c.Items)})
		highest = max(highest, c.ID)
	}
	if err != nil || !slices.Equal(metadata, wantMetadata) {
		t.Fatalf("LoadAllMetadata returned %+v and the error %v; LoadAllChunks says %+v", metadata, err, wantMetadata)
	}
	last, number, err := m.store.LoadLastChunk(ctx, m.list)
	if err != nil || number != highest || (last == nil) != (len(chunks) == 0) || last != nil && !sameChunk(*last, chunks[len(chunks)-1]) {
		t.Fatalf("LoadLastChunk returned %+v, %d and the error %v; of %+v it is the last one, and %d", last, number, err, chunks, highest)
	}
	for i, c := range chunks {
		previous, err := m.store.LoadPreviousChunk(ctx, m.list, c.ID)
		if err != nil || (previous == nil) != (i == 0) || i > 0 && !sameChunk(*previous, chunks[i-1]) {
			t.Fatalf("LoadPreviousChunk(%d) returned %+v and the error %v; the chunks are %+v", c.ID, previous, err, chunks)
		}
	}
	m.checkDuplicates(t, chunks)
	return chunks
}

// checkDuplicates asks for some events, known or not, and some of them twice.
func (m *linkedModel) checkDuplicates(t *rapid.T, chunks []eventcache.Chunk) {
	t.Helper()
	ids := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, eventPool+3), eventID), 0, 6).Draw(t, "duplicates of")
	var want []eventcache.Place
	byNumber := slices.Clone(chunks)
	slices.SortFunc(byNumber, func(a, b eventcache.Chunk) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	for _, place := range places(byNumber) {
		if slices.Contains(ids, place.Event) {
			want = append(want, place)
		}
	}
	got, err := m.store.FindDuplicates(t.Context(), m.list, ids)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("FindDuplicates(%q) returned %+v and the error %v; by chunk number, then index, it is %+v", ids, got, err, want)
	}
}

// sameChunk compares chunks whose events may be nil or none.
func sameChunk(a, b eventcache.Chunk) bool {
	if len(a.Items) == 0 && len(b.Items) == 0 {
		a.Items, b.Items = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// places are the events of chunks, and where they are.
func places(chunks []eventcache.Chunk) (all []eventcache.Place) {
	for _, c := range chunks {
		for i, e := range c.Items {
			all = append(all, eventcache.Place{Event: e.ID, At: eventcache.Position{Chunk: c.ID, Index: i}})
		}
	}
	return all
}

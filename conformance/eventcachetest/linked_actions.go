package eventcachetest

// What is done to a list, to the model of it, and to the store.

import (
	"errors"
	"math"
	"reflect"
	"slices"

	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

func (m *linkedModel) pushItems(t *rapid.T) {
	events := m.drawEvents(t, 0)
	if err := m.chunk.PushItemsBack(events...); err != nil {
		t.Fatalf("PushItemsBack: %v", err)
	}
	m.insert(len(m.entries), asEntries(events)...)
	clear(events) // the slice is the caller's
	m.done(t, len(events) > 0)
}

func (m *linkedModel) pushGap(t *rapid.T) {
	gap := m.drawGap(t)
	id, err := m.chunk.PushGapBack(gap)
	if last, _ := m.chunk.LastChunk(); err != nil || last.ID != id {
		t.Fatalf("PushGapBack returned %d and the error %v; the last chunk is %d", id, err, last.ID)
	}
	m.insert(len(m.entries), entry{gap: &gap})
	m.done(t, true)
}

func (m *linkedModel) insertItems(t *rapid.T) {
	s := m.drawSlot(t, false)
	events := m.drawEvents(t, 0)
	at, err := m.chunk.InsertItemsAt(s.at, events...)
	if err != nil {
		t.Fatalf("InsertItemsAt(%v): %v", s.at, err)
	}
	if len(events) > 0 {
		if e, _ := m.chunk.Item(at); !reflect.DeepEqual(e, events[0]) {
			t.Fatalf("InsertItemsAt said that the first event is at %v; there is %s", at, e.ID)
		}
	}
	m.insert(s.entry, asEntries(events)...)
	clear(events)
	m.done(t, len(events) > 0)
}

func (m *linkedModel) insertGap(t *rapid.T) {
	s := m.drawSlot(t, false)
	gap := m.drawGap(t)
	id, err := m.chunk.InsertGapAt(s.at, gap)
	if c, _ := m.chunk.Chunk(id); err != nil || c.Gap == nil {
		t.Fatalf("InsertGapAt(%v) returned %d and the error %v; that chunk is %+v", s.at, id, err, c)
	}
	m.insert(s.entry, entry{gap: &gap})
	m.done(t, true)
}

func (m *linkedModel) replaceItem(t *rapid.T) {
	s := m.drawSlot(t, true)
	e := m.drawEvents(t, 1)[0]
	if err := m.chunk.ReplaceItemAt(s.at, e); err != nil {
		t.Fatalf("ReplaceItemAt(%v): %v", s.at, err)
	}
	m.entries[s.entry].event = e
	m.done(t, true)
}

func (m *linkedModel) removeItem(t *rapid.T) { m.remove(t, m.drawSlot(t, true)) }

func (m *linkedModel) remove(t *rapid.T, s slot) {
	t.Helper()
	c, _ := m.chunk.Chunk(s.at.Chunk)
	stays := len(c.Items) > 1 || m.chunk.NumChunks() == 1
	e, err := m.chunk.RemoveItemAt(s.at)
	if err != nil || !reflect.DeepEqual(e, m.entries[s.entry].event) {
		t.Fatalf("RemoveItemAt(%v) returned %s and the error %v; there was %s", s.at, e.ID, err, m.entries[s.entry].event.ID)
	}
	if _, there := m.chunk.Chunk(s.at.Chunk); there != stays {
		t.Fatalf("a chunk is removed with its last event, unless it is the only one; chunk %d is there: %v, it should be: %v", s.at.Chunk, there, stays)
	}
	m.entries = slices.Delete(m.entries, s.entry, s.entry+1)
	m.done(t, true)
}

// emptyChunk removes all events of a chunk.
func (m *linkedModel) emptyChunk(t *rapid.T) {
	s := m.drawSlot(t, true)
	s.entry -= s.at.Index
	s.at.Index = 0
	c, _ := m.chunk.Chunk(s.at.Chunk)
	for range len(c.Items) {
		m.remove(t, s)
	}
}

// drawChunk draws a chunk that is loaded, and the index of its first entry.
func (m *linkedModel) drawChunk(t *rapid.T, fits func(eventcache.Chunk) bool) (eventcache.Chunk, int) {
	chunks := slices.Collect(m.chunk.Chunks())
	var fitting []int
	at := m.hidden
	first := make([]int, len(chunks))
	for i, c := range chunks {
		first[i] = at
		at += len(entries(chunks[i : i+1]))
		if fits(c) {
			fitting = append(fitting, i)
		}
	}
	if len(fitting) == 0 {
		t.Skip("there is no such chunk")
	}
	i := rapid.SampledFrom(fitting).Draw(t, "chunk")
	return chunks[i], first[i]
}

func isGap(c eventcache.Chunk) bool { return c.Gap != nil }

func (m *linkedModel) replaceGap(t *rapid.T) {
	c, at := m.drawChunk(t, isGap)
	events := m.drawEvents(t, 0)
	first, err := m.chunk.ReplaceGapAt(c.ID, events...)
	if err != nil {
		t.Fatalf("ReplaceGapAt(%d): %v", c.ID, err)
	}
	if e, found := m.chunk.Item(first); found != (len(events) > 0) || found && !reflect.DeepEqual(e, events[0]) {
		t.Fatalf("ReplaceGapAt said that the first event is at %v; there is %s", first, e.ID)
	}
	m.entries = slices.Replace(m.entries, at, at+1, asEntries(events)...)
	clear(events)
	m.done(t, true)
}

func (m *linkedModel) removeChunk(t *rapid.T) {
	c, at := m.drawChunk(t, func(c eventcache.Chunk) bool { return len(c.Items) == 0 })
	err := m.chunk.RemoveEmptyChunk(c.ID)
	if m.chunk.NumChunks() == 1 && errors.Is(err, eventcache.ErrOnlyChunk) {
		m.done(t, false)
		return
	}
	if err != nil {
		t.Fatalf("RemoveEmptyChunk(%d): %v", c.ID, err)
	}
	if isGap(c) {
		m.entries = slices.Delete(m.entries, at, at+1)
	}
	m.done(t, true)
}

// drawWrong draws a position of which nobody knows whether it is there.
func (m *linkedModel) drawWrong(t *rapid.T) eventcache.Position {
	numbers := append([]eventcache.ChunkID{0, 1, eventcache.MaxChunkID, math.MaxUint64, m.chunk.LazyPrevious()}, m.gone...)
	indices := []int{-1, 0, 1, m.capacity, m.capacity + 1, math.MaxInt, math.MinInt}
	for c := range m.chunk.Chunks() {
		numbers = append(numbers, c.ID)
		indices = append(indices, len(c.Items))
	}
	return eventcache.Position{Chunk: rapid.SampledFrom(numbers).Draw(t, "chunk"), Index: rapid.SampledFrom(indices).Draw(t, "index")}
}

// misplaced returns the error for a position that is to be at most so far beyond the last event.
func (m *linkedModel) misplaced(at eventcache.Position, beyond int) error {
	c, there := m.chunk.Chunk(at.Chunk)
	switch {
	case !there:
		return eventcache.ErrUnknownChunk
	case isGap(c):
		return eventcache.ErrChunkIsGap
	case at.Index < 0 || at.Index >= len(c.Items)+beyond:
		return eventcache.ErrPosition
	}
	return nil
}

// wrongPosition asks for what cannot be done, which must change nothing.
func (m *linkedModel) wrongPosition(t *rapid.T) {
	at := m.drawWrong(t)
	events := m.drawEvents(t, 1)
	c, there := m.chunk.Chunk(at.Chunk)
	notAGap, notEmpty := eventcache.ErrUnknownChunk, eventcache.ErrUnknownChunk
	if there {
		notAGap, notEmpty = nil, nil
		if !isGap(c) {
			notAGap = eventcache.ErrChunkIsItems
		}
		if len(c.Items) > 0 {
			notEmpty = eventcache.ErrChunkNotEmpty
		}
	}
	for _, op := range []struct {
		name string
		want error
		do   func() error
	}{
		{"InsertItemsAt", m.misplaced(at, 1), func() error { _, err := m.chunk.InsertItemsAt(at, events...); return err }},
		{"InsertItemsAt of none", m.misplaced(at, 1), func() error { _, err := m.chunk.InsertItemsAt(at); return err }},
		{"InsertGapAt", m.misplaced(at, 1), func() error { _, err := m.chunk.InsertGapAt(at, eventcache.Gap{}); return err }},
		{"ReplaceItemAt", m.misplaced(at, 0), func() error { return m.chunk.ReplaceItemAt(at, events[0]) }},
		{"RemoveItemAt", m.misplaced(at, 0), func() error { _, err := m.chunk.RemoveItemAt(at); return err }},
		{"ReplaceGapAt", notAGap, func() error { _, err := m.chunk.ReplaceGapAt(at.Chunk, events...); return err }},
		{"RemoveEmptyChunk", notEmpty, func() error { return m.chunk.RemoveEmptyChunk(at.Chunk) }},
	} {
		if op.want == nil {
			continue // this can be done
		}
		var typed *eventcache.UpdateError
		if err := op.do(); !errors.Is(err, op.want) || !errors.As(err, &typed) || typed.Chunk != at.Chunk {
			t.Fatalf("%s(%v) must fail with an *UpdateError for %q; the error is %v", op.name, at, op.want, err)
		}
		m.done(t, false)
	}
	if _, found := m.chunk.Item(at); found != (m.misplaced(at, 0) == nil) {
		t.Fatalf("Item(%v) found something: %v", at, found)
	}
}

// wrongEvent puts an event among others that cannot be stored.
func (m *linkedModel) wrongEvent(t *rapid.T) {
	events := m.drawEvents(t, 1)
	i := rapid.IntRange(0, len(events)-1).Draw(t, "wrong")
	var want error
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		events[i].ID, want = "", eventcache.ErrNoEventID
	case 1:
		events[i].Raw, want = []byte("[]"), eventcache.ErrNotJSON
	case 2:
		events[i].Raw, want = nil, eventcache.ErrNotJSON
	case 3:
		events[i].RelatesTo, events[i].RelType, want = "", "m.thread", eventcache.ErrRelation
	}
	check := func(name string, err error) {
		t.Helper()
		var typed *eventcache.UpdateError
		if !errors.Is(err, want) || !errors.As(err, &typed) || typed.Index != i {
			t.Fatalf("%s must refuse event %d with an *UpdateError for %q; the error is %v", name, i, want, err)
		}
		m.done(t, false)
	}
	check("PushItemsBack", m.chunk.PushItemsBack(events...))
	if all := m.slots(); len(all) > 0 {
		at := rapid.SampledFrom(all).Draw(t, "at")
		_, err := m.chunk.InsertItemsAt(at.at, events...)
		check("InsertItemsAt", err)
		if !at.end {
			if err := m.chunk.ReplaceItemAt(at.at, events[i]); !errors.Is(err, want) {
				t.Fatalf("ReplaceItemAt must refuse an event for %q; the error is %v", want, err)
			}
			m.done(t, false)
		}
	}
	for c := range m.chunk.Chunks() {
		if isGap(c) {
			_, err := m.chunk.ReplaceGapAt(c.ID, events...)
			check("ReplaceGapAt", err)
			break
		}
	}
}

// wrongUpdate applies what is pending with something behind it that cannot be: nothing of it must happen.
func (m *linkedModel) wrongUpdate(t *rapid.T) {
	before, err := m.store.LoadAllChunks(t.Context(), m.list)
	if err != nil {
		t.Fatalf("LoadAllChunks: %v", err)
	}
	wrong := rapid.SampledFrom([]eventcache.Update{
		nil,
		eventcache.NewItemsChunk{New: 0},
		eventcache.NewItemsChunk{New: eventcache.MaxChunkID + 1},
		eventcache.NewGapChunk{Previous: eventcache.MaxChunkID, New: eventcache.MaxChunkID - 1},
		eventcache.RemoveChunk{Chunk: eventcache.MaxChunkID},
		eventcache.PushItems{At: eventcache.Position{Chunk: eventcache.MaxChunkID}, Items: m.drawEvents(t, 1)},
		eventcache.RemoveItem{At: eventcache.Position{Chunk: eventcache.MaxChunkID}},
		eventcache.DetachLastItems{At: eventcache.Position{Chunk: eventcache.MaxChunkID}},
		eventcache.ReplaceItem{At: eventcache.Position{Chunk: eventcache.MaxChunkID}, Item: m.drawEvents(t, 1)[0]},
	}).Draw(t, "wrong")
	var typed *eventcache.UpdateError
	if err := m.store.Apply(t.Context(), m.list, append(slices.Clone(m.pending), wrong)); !errors.As(err, &typed) || typed.Number != len(m.pending) {
		t.Fatalf("the last of %d updates, %+v, cannot be; Apply must return an *UpdateError of number %d, it returned %v", len(m.pending)+1, wrong, len(m.pending), err)
	}
	after, err := m.store.LoadAllChunks(t.Context(), m.list)
	if err != nil || !slices.EqualFunc(before, after, sameChunk) {
		t.Fatalf("Apply has failed, and has changed something: from\n%+v\nto\n%+v\n(error %v)", before, after, err)
	}
}

func (m *linkedModel) clear(t *rapid.T) {
	if !rapid.Bool().Draw(t, "really") { // or no list becomes long
		t.Skip("not now")
	}
	for c := range m.chunk.Chunks() {
		m.gone = append(m.gone, c.ID)
	}
	m.chunk.Clear()
	m.entries, m.hidden = nil, 0
	m.done(t, true)
}

// apply lets the store have all updates, in one call or in two.
func (m *linkedModel) apply(t *rapid.T) {
	t.Helper()
	cut := rapid.IntRange(0, len(m.pending)).Draw(t, "in the first call")
	for _, updates := range [][]eventcache.Update{m.pending[:cut], m.pending[cut:]} {
		if err := m.store.Apply(t.Context(), m.list, updates); err != nil {
			t.Fatalf("a LinkedChunk has yielded updates that do not fit to what the store has: %v\n%+v", err, updates)
		}
		for _, u := range updates {
			switch u := u.(type) {
			case eventcache.PushItems:
				for _, e := range u.Items {
					m.stored[e.ID] = e
				}
			case eventcache.ReplaceItem:
				m.stored[u.Item.ID] = u.Item
			}
		}
	}
	m.pending = nil
	m.checkStore(t)
}

func (m *linkedModel) loader() eventcache.Loader {
	return eventcache.Loader{Store: m.store, List: m.list}
}

// load begins anew with the end of the list.
func (m *linkedModel) load(t *rapid.T) {
	t.Helper()
	m.apply(t)
	loader := m.loader()
	loader.Capacity = m.drawCapacity(t)
	chunk, err := loader.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if chunk.NumChunks() > 1 {
		t.Fatalf("Load is to load the last chunk only, it has loaded %d", chunk.NumChunks())
	}
	m.chunk, m.hidden = chunk, len(m.entries)
	m.loaded(len(entries(slices.Collect(chunk.Chunks()))))
	m.done(t, false)
}

// loadPrevious loads one more chunk. The store may not know the first chunk yet.
func (m *linkedModel) loadPrevious(t *rapid.T) {
	t.Helper()
	before, first := m.chunk.LazyPrevious(), m.firstNumber()
	fits := before == 0 || m.follows(t, before, first)
	more, err := m.loader().LoadPrevious(t.Context(), m.chunk)
	m.done(t, false)
	if !fits {
		if !errors.Is(err, eventcache.ErrNotPrevious) {
			t.Fatalf("in the store chunk %d does not follow chunk %d; LoadPrevious must fail with ErrNotPrevious, its error is %v", first, before, err)
		}
		return
	}
	if err != nil || more != (m.chunk.LazyPrevious() != 0) {
		t.Fatalf("LoadPrevious returned %v and the error %v; chunk %d is before what is loaded", more, err, m.chunk.LazyPrevious())
	}
	if before == 0 {
		if m.firstNumber() != first || m.hidden != 0 {
			t.Fatalf("nothing was to be loaded: the first chunk was %d and is %d, %d entries are not loaded", first, m.firstNumber(), m.hidden)
		}
		return
	}
	c, _ := m.chunk.FirstChunk()
	if c.ID != before {
		t.Fatalf("LoadPrevious was to load chunk %d, and has loaded chunk %d", before, c.ID)
	}
	m.loaded(len(entries([]eventcache.Chunk{c})))
}

func (m *linkedModel) firstNumber() eventcache.ChunkID {
	c, _ := m.chunk.FirstChunk()
	return c.ID
}

// follows says whether a chunk is followed by another one in the store.
func (m *linkedModel) follows(t *rapid.T, chunk, next eventcache.ChunkID) bool {
	t.Helper()
	all, err := m.store.LoadAllMetadata(t.Context(), m.list)
	if err != nil {
		t.Fatalf("LoadAllMetadata: %v", err)
	}
	return slices.ContainsFunc(all, func(c eventcache.ChunkMetadata) bool { return c.ID == chunk && c.Next == next })
}

func (m *linkedModel) loadAll(t *rapid.T) {
	m.apply(t)
	if err := m.loader().LoadAll(t.Context(), m.chunk); err != nil {
		t.Fatalf("LoadAll: %v", err)
	}
	if m.chunk.LazyPrevious() != 0 {
		t.Fatalf("after LoadAll chunk %d is not loaded", m.chunk.LazyPrevious())
	}
	m.loaded(m.hidden)
	m.done(t, false)
}

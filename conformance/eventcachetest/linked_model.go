package eventcachetest

// What a list of events with gaps is, in the plainest way: a slice. Chunks are not in it: they are
// how a list is kept.

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// entry is an event, or a gap.
type entry struct {
	gap   *eventcache.Gap
	event eventcache.Event
}

// entries are what chunks have in them.
func entries(chunks []eventcache.Chunk) (all []entry) {
	for _, c := range chunks {
		if c.Gap != nil {
			all = append(all, entry{gap: c.Gap})
		}
		for _, e := range c.Items {
			all = append(all, entry{event: e})
		}
	}
	return all
}

// linkedModel is a list as it should be, and as it is.
type linkedModel struct {
	store eventcache.Chunks
	list  eventcache.LinkedChunkID
	chunk *eventcache.LinkedChunk

	entries  []entry // of the whole list
	hidden   int     // how many of them, from the first, are not loaded
	capacity int     // the most events that a chunk may have
	versions int     // how many events were made

	pending []eventcache.Update             // not applied yet
	stored  map[id.EventID]eventcache.Event // what the store was told of each event last
	gone    []eventcache.ChunkID            // numbers of chunks that were there once
}

func (m *linkedModel) drawCapacity(t *rapid.T) int {
	capacity := rapid.IntRange(1, 5).Draw(t, "capacity")
	m.capacity = max(m.capacity, capacity)
	return capacity
}

// same fails the test where two lists differ.
func (m *linkedModel) same(t *rapid.T, where string, got, want []entry) {
	t.Helper()
	if len(got) == len(want) {
		differ := -1
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				differ = i
				break
			}
		}
		if differ < 0 {
			return
		}
		t.Fatalf("%s: entry %d of the list is %s, and should be %s", where, differ, show(got[differ:differ+1]), show(want[differ:differ+1]))
	}
	t.Fatalf("%s the list is\n%s\nand should be\n%s", where, show(got), show(want))
}

func show(list []entry) string {
	var b []byte
	for _, e := range list {
		if e.gap != nil {
			b = fmt.Appendf(b, "[%s] ", e.gap.Token)
		} else {
			b = fmt.Appendf(b, "%s %s ", e.event.ID, e.event.Raw)
		}
	}
	return string(b)
}

// asStored gives events the content that the store was told last: it has one content of each, wherever it is.
func (m *linkedModel) asStored(list []entry) {
	for i := range list {
		if list[i].gap == nil {
			list[i].event = m.stored[list[i].event.ID]
		}
	}
}

// loaded says that n more entries were loaded, in front of the others.
func (m *linkedModel) loaded(n int) {
	m.asStored(m.entries[m.hidden-n : m.hidden])
	m.hidden -= n
}

// slot is a place between two entries of what is loaded, as a Position: before the event that is
// there, or behind the last one of its chunk.
type slot struct {
	at    eventcache.Position
	entry int  // the index in entries
	end   bool // no event is there
}

func (m *linkedModel) slots() (all []slot) {
	n := m.hidden
	for c := range m.chunk.Chunks() {
		if c.Gap != nil {
			n++
			continue
		}
		for i := range len(c.Items) + 1 {
			all = append(all, slot{at: eventcache.Position{Chunk: c.ID, Index: i}, entry: n + i, end: i == len(c.Items)})
		}
		n += len(c.Items)
	}
	return all
}

// drawSlot draws a slot; one of an event if asked. It skips the action where there is none.
func (m *linkedModel) drawSlot(t *rapid.T, event bool) slot {
	all := m.slots()
	if event {
		all = slices.DeleteFunc(all, func(s slot) bool { return s.end })
	}
	if len(all) == 0 {
		t.Skip("there is no position")
	}
	return rapid.SampledFrom(all).Draw(t, "at")
}

// insert puts entries into the model.
func (m *linkedModel) insert(at int, more ...entry) {
	m.entries = slices.Insert(m.entries, at, more...)
}

// done takes the updates of what was done, which must have yielded some, or none.
func (m *linkedModel) done(t *rapid.T, yields bool) {
	t.Helper()
	updates := m.chunk.Updates()
	if (len(updates) > 0) != yields {
		t.Fatalf("this was to yield updates: %v; it has yielded %d: %+v", yields, len(updates), updates)
	}
	if again := m.chunk.Updates(); again != nil {
		t.Fatalf("updates were taken twice: %+v", again)
	}
	for _, u := range updates {
		if remove, is := u.(eventcache.RemoveChunk); is {
			m.gone = append(m.gone, remove.Chunk)
		}
	}
	m.pending = append(m.pending, updates...)
}

// eventPool is how many different events there are: few, so that some come twice.
const eventPool = 40

// eventID returns the id of an event of the pool. Some are what no server should send.
func eventID(n int) id.EventID {
	switch n {
	case 0:
		return "'; DROP TABLE events; --"
	case 1:
		return "$\x00\xff"
	case 2:
		return "$ÿ"
	default:
		return id.EventID(fmt.Sprintf("$event%d:example.org", n))
	}
}

// drawEvents draws events, each in a version of its own.
func (m *linkedModel) drawEvents(t *rapid.T, least int) []eventcache.Event {
	numbers := rapid.SliceOfN(rapid.IntRange(0, eventPool), least, 9).Draw(t, "events")
	events := make([]eventcache.Event, len(numbers))
	for i, n := range numbers {
		m.versions++
		events[i] = eventcache.Event{ID: eventID(n), Raw: json.RawMessage(fmt.Sprintf(`{"version":%d}`, m.versions))}
		switch m.versions % 4 {
		case 0:
			events[i].Type, events[i].Session = "m.room.encrypted", "session"
		case 1:
			events[i].RelatesTo, events[i].RelType = eventID(n/2), event.RelAnnotation
		case 2:
			events[i].Meta = &eventcache.Meta{Timestamp: int64(m.versions)}
		}
	}
	return events
}

func asEntries(events []eventcache.Event) []entry {
	all := make([]entry, len(events))
	for i, e := range events {
		all[i] = entry{event: e}
	}
	return all
}

func (m *linkedModel) drawGap(t *rapid.T) eventcache.Gap {
	return eventcache.Gap{Token: rapid.SampledFrom([]string{"", "token", "t\x00\xff", "'); --"}).Draw(t, "token")}
}

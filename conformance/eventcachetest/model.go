package eventcachetest

// An event cache in the plainest way: what the comments of eventcache's update.go and
// store.go say, word by word, in maps and slices, and without a thought of speed. A store
// that was told the same has to give the same answers (case_random.go, case_storm.go). How it
// applies updates is in model_apply.go.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// model has the contents of a store. It is not safe for concurrent use.
type model struct {
	now   func() time.Time
	rooms map[id.RoomID]*modelRoom // those that have something
}

type modelRoom struct {
	events  map[id.EventID]modelEvent
	stored  int // how many events were ever stored first
	threads []id.EventID
	lists   map[eventcache.LinkedChunkID][]modelChunk // in the order of the chain; those that have chunks
}

type modelEvent struct {
	eventcache.Event
	number int       // which of the events it was when it was first stored
	at     time.Time // when it was last stored
}

type modelChunk struct {
	id    eventcache.ChunkID
	gap   *eventcache.Gap
	items []id.EventID
}

var _ contents = (*model)(nil)

func newModel(now func() time.Time) *model {
	return &model{now: now, rooms: map[id.RoomID]*modelRoom{}}
}

// room returns a room to be read: an empty one where it is not known.
func (m *model) room(room id.RoomID) *modelRoom {
	if r := m.rooms[room]; r != nil {
		return r
	}
	return &modelRoom{}
}

func (r *modelRoom) clone() *modelRoom {
	c := &modelRoom{
		events: map[id.EventID]modelEvent{}, stored: r.stored, threads: slices.Clone(r.threads),
		lists: map[eventcache.LinkedChunkID][]modelChunk{},
	}
	maps.Copy(c.events, r.events)
	for list, chunks := range r.lists {
		chunks = slices.Clone(chunks)
		for i := range chunks {
			chunks[i].items = slices.Clone(chunks[i].items)
		}
		c.lists[list] = chunks
	}
	return c
}

// change lets fn change a room, all or nothing.
func (m *model) change(room id.RoomID, fn func(*modelRoom) error) error {
	if room == "" {
		return eventcache.ErrNoRoomID
	}
	r := m.room(room).clone()
	if err := fn(r); err != nil {
		return err
	}
	m.put(room, r)
	return nil
}

func (m *model) put(room id.RoomID, r *modelRoom) {
	if len(r.events) == 0 && len(r.threads) == 0 && len(r.lists) == 0 {
		delete(m.rooms, room)
		return
	}
	m.rooms[room] = r
}

// put stores an event, or replaces it.
func (r *modelRoom) put(e eventcache.Event, now time.Time) {
	number := r.stored
	if known, there := r.events[e.ID]; there {
		number = known.number
	} else {
		r.stored++
	}
	r.events[e.ID] = modelEvent{e, number, now}
}

func (r *modelRoom) remember(root id.EventID) {
	if !slices.Contains(r.threads, root) {
		r.threads = append(r.threads, root)
	}
}

// sorted are the events in the order in which they were first stored.
func (r *modelRoom) sorted() []modelEvent {
	return slices.SortedFunc(maps.Values(r.events), func(a, b modelEvent) int { return a.number - b.number })
}

func (r *modelRoom) chunks(list eventcache.LinkedChunkID) (all []eventcache.Chunk) {
	chunks := r.lists[list]
	for i, c := range chunks {
		out := eventcache.Chunk{ID: c.id, Gap: c.gap}
		if i > 0 {
			out.Previous = chunks[i-1].id
		}
		if i+1 < len(chunks) {
			out.Next = chunks[i+1].id
		}
		for _, event := range c.items {
			out.Items = append(out.Items, r.events[event].Event)
		}
		all = append(all, out)
	}
	return all
}

// places are where events are, by chunk number and then index.
func (r *modelRoom) places(list eventcache.LinkedChunkID) (all []eventcache.Place) {
	for _, c := range r.lists[list] {
		for i, event := range c.items {
			all = append(all, eventcache.Place{Event: event, At: eventcache.Position{Chunk: c.id, Index: i}})
		}
	}
	slices.SortStableFunc(all, func(a, b eventcache.Place) int { return compareChunks(a.At, b.At) })
	return all
}

// Apply applies updates.
func (m *model) Apply(_ context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	if err := list.Check(); err != nil {
		return err
	}
	return m.change(list.Room, func(r *modelRoom) error {
		for i, u := range updates {
			if err := r.apply(list, u, m.now()); err != nil {
				err.Number = i
				return err
			}
		}
		return nil
	})
}

func (m *model) LoadAllChunks(_ context.Context, list eventcache.LinkedChunkID) ([]eventcache.Chunk, error) {
	return m.room(list.Room).chunks(list), list.Check()
}

func (m *model) LoadAllMetadata(_ context.Context, list eventcache.LinkedChunkID) ([]eventcache.ChunkMetadata, error) {
	return metadataOf(m.room(list.Room).chunks(list)), list.Check()
}

func (m *model) LoadLastChunk(_ context.Context, list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
	chunks := m.room(list.Room).chunks(list)
	if len(chunks) == 0 {
		return nil, 0, list.Check()
	}
	highest := slices.MaxFunc(chunks, func(a, b eventcache.Chunk) int { return compareChunks(at(a.ID, 0), at(b.ID, 0)) }).ID
	return &chunks[len(chunks)-1], highest, nil
}

func (m *model) LoadPreviousChunk(_ context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
	chunks := m.room(list.Room).chunks(list)
	for i := range chunks {
		if i > 0 && chunks[i].ID == before {
			return &chunks[i-1], nil
		}
	}
	return nil, list.Check()
}

func (m *model) FindDuplicates(_ context.Context, list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
	asked := map[id.EventID]bool{}
	for _, event := range ids {
		asked[event] = true
	}
	all := m.room(list.Room).places(list)
	return slices.DeleteFunc(all, func(p eventcache.Place) bool { return !asked[p.Event] }), list.Check()
}

func (m *model) SaveEvents(_ context.Context, room id.RoomID, events ...eventcache.Event) error {
	return m.change(room, func(r *modelRoom) error {
		for _, e := range events {
			if err := e.Check(); err != nil {
				return err
			}
			r.put(e, m.now())
		}
		return nil
	})
}

// named refuses what names no room.
func named(room id.RoomID) error {
	if room == "" {
		return eventcache.ErrNoRoomID
	}
	return nil
}

func (m *model) FindEvent(_ context.Context, room id.RoomID, event id.EventID) (eventcache.Event, bool, error) {
	e, found := m.room(room).events[event]
	return e.Event, found, named(room)
}

func (m *model) FindRelations(_ context.Context, room id.RoomID, to id.EventID, types []event.RelationType) (all []eventcache.Related, err error) {
	r := m.room(room)
	timeline := r.places(eventcache.Room(room))
	for _, e := range r.sorted() {
		if to == "" || e.RelatesTo != to || types != nil && !slices.Contains(types, e.RelType) {
			continue
		}
		related := eventcache.Related{Event: e.Event}
		if i := slices.IndexFunc(timeline, func(p eventcache.Place) bool { return p.Event == e.ID }); i >= 0 {
			related.At = &timeline[i].At
		}
		all = append(all, related)
	}
	return all, named(room)
}

func (m *model) FindEvents(_ context.Context, room id.RoomID, f eventcache.Filter) (all []eventcache.Event, err error) {
	for _, e := range m.room(room).sorted() {
		if (f.Type == "" || f.Type == e.Type) && (f.Session == "" || f.Session == e.Session) {
			all = append(all, e.Event)
		}
	}
	return all, named(room)
}

func (m *model) RememberThread(_ context.Context, room id.RoomID, root id.EventID) error {
	if err := eventcache.Thread(room, root).Check(); err != nil {
		return err
	}
	return m.change(room, func(r *modelRoom) error { r.remember(root); return nil })
}

func (m *model) Threads(_ context.Context, room id.RoomID) ([]id.EventID, error) {
	return slices.Clone(m.room(room).threads), named(room)
}

func (m *model) ClearRoom(_ context.Context, room id.RoomID) error {
	delete(m.rooms, room)
	return named(room)
}

func (m *model) ClearAll(context.Context) error {
	clear(m.rooms)
	return nil
}

func (m *model) RoomStats(_ context.Context, room id.RoomID) (eventcache.RoomStats, error) {
	r := m.room(room)
	s := eventcache.RoomStats{Room: room, Lists: len(r.lists), Events: len(r.events)}
	for _, chunks := range r.lists {
		s.Chunks += len(chunks)
	}
	for _, e := range r.events {
		s.Bytes += int64(len(e.Raw))
	}
	return s, named(room)
}

func (m *model) AllRoomStats(ctx context.Context) (all []eventcache.RoomStats, err error) {
	for _, room := range slices.Sorted(maps.Keys(m.rooms)) {
		s, _ := m.RoomStats(ctx, room)
		all = append(all, s)
	}
	return all, nil
}

var errNegative = errors.New("the policy's time is negative")

func (m *model) CleanUp(_ context.Context, policy eventcache.CleanUpPolicy) (removed int, err error) {
	if policy.OlderThan < 0 {
		return 0, errNegative
	}
	before := m.now().Add(-policy.OlderThan)
	for room, r := range m.rooms {
		used := map[id.EventID]bool{}
		for list := range r.lists {
			for _, p := range r.places(list) {
				used[p.Event] = true
			}
		}
		r = r.clone()
		for event, e := range r.events {
			if !used[event] && e.at.Before(before) {
				delete(r.events, event)
				removed++
			}
		}
		m.put(room, r)
	}
	return removed, nil
}

func (m *model) Export(_ context.Context, room id.RoomID, w io.Writer) error {
	if err := named(room); err != nil {
		return err
	}
	r, enc := m.room(room), eventcache.NewEncoder(w, room)
	write := func(line eventcache.ExportLine) { _ = enc.Write(line) } // End returns its error again
	for _, e := range r.sorted() {
		write(eventcache.ExportEvent{Event: e.Event})
	}
	for _, root := range r.threads {
		write(eventcache.ExportThread{Root: root})
	}
	for _, list := range slices.SortedFunc(maps.Keys(r.lists), compareLists) {
		write(eventcache.ExportList{List: list})
		for i, c := range r.chunks(list) {
			write(eventcache.ExportChunk{ID: c.ID, Previous: c.Previous, Next: c.Next, Gap: c.Gap})
			if events := r.lists[list][i].items; len(events) > 0 {
				write(eventcache.ExportItems{At: eventcache.Position{Chunk: c.ID}, Events: events})
			}
		}
	}
	return enc.End()
}

func (m *model) Import(_ context.Context, from io.Reader) (id.RoomID, error) {
	dec := eventcache.NewDecoder(from)
	room, err := dec.Room()
	if err != nil {
		return "", err
	}
	r := (&modelRoom{}).clone()
	var list eventcache.LinkedChunkID
	for {
		line, err := dec.Next()
		if errors.Is(err, io.EOF) {
			m.put(room, r)
			return room, nil
		}
		if err != nil {
			return "", err
		}
		switch line := line.(type) {
		case eventcache.ExportEvent:
			r.put(line.Event, m.now())
		case eventcache.ExportThread:
			r.remember(line.Root)
		case eventcache.ExportList:
			list = line.List
		case eventcache.ExportChunk:
			r.lists[list] = append(r.lists[list], modelChunk{id: line.ID, gap: line.Gap})
		case eventcache.ExportItems:
			last := &r.lists[list][len(r.lists[list])-1]
			last.items = append(last.items, line.Events...)
		default:
			return "", fmt.Errorf("a line of the type %T", line)
		}
	}
}

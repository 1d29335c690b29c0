package eventcachetest

// Stores with one fault each. Every case has to find out at least one of them: a case that
// finds nothing proves nothing.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// faulty is the model with some of its methods replaced.
type faulty struct {
	*model
	apply       func(list eventcache.LinkedChunkID, updates []eventcache.Update) error
	all         func(list eventcache.LinkedChunkID) ([]eventcache.Chunk, error)
	metadata    func(list eventcache.LinkedChunkID) ([]eventcache.ChunkMetadata, error)
	last        func(list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error)
	previous    func(list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error)
	duplicates  func(list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error)
	save        func(room id.RoomID, events []eventcache.Event) error
	find        func(room id.RoomID, which id.EventID) (eventcache.Event, bool, error)
	relations   func(room id.RoomID, to id.EventID, types []event.RelationType) ([]eventcache.Related, error)
	events      func(room id.RoomID, f eventcache.Filter) ([]eventcache.Event, error)
	threadsOf   func(room id.RoomID) ([]id.EventID, error)
	clear       func(room id.RoomID) error
	clearAll    func() error
	stats       func(room id.RoomID) (eventcache.RoomStats, error)
	cleanUp     func(p eventcache.CleanUpPolicy) (int, error)
	exporting   func(room id.RoomID, w io.Writer) error
	importing   func(r io.Reader) (id.RoomID, error)
	eachUpdate  func(list eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update // changes an update on its way
	forgiving   error                                                                      // a condition that is taken for success
	nameOf      func(eventcache.LinkedChunkID) eventcache.LinkedChunkID                    // changes names of lists
	afterUpdate func(list eventcache.LinkedChunkID, u eventcache.Update)
}

var bg = context.Background()

func (f *faulty) named(list eventcache.LinkedChunkID) eventcache.LinkedChunkID {
	if f.nameOf != nil && list.Check() == nil {
		return f.nameOf(list)
	}
	return list
}

func (f *faulty) Apply(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	list = f.named(list)
	if f.apply != nil {
		return f.apply(list, updates)
	}
	if f.eachUpdate != nil {
		updates = slices.Clone(updates)
		for i, u := range updates {
			updates[i] = f.eachUpdate(list, u)
		}
	}
	if f.forgiving != nil {
		kept := []eventcache.Update{}
		for _, u := range updates {
			m := newModel(f.now)
			m.put(list.Room, f.room(list.Room).clone())
			if errors.Is(m.Apply(ctx, list, append(slices.Clone(kept), u)), f.forgiving) {
				continue
			}
			kept = append(kept, u)
		}
		updates = kept
	}
	err := f.model.Apply(ctx, list, updates)
	if err == nil && f.afterUpdate != nil {
		for _, u := range updates {
			f.afterUpdate(list, u)
		}
	}
	return err
}

func (f *faulty) LoadAllChunks(ctx context.Context, list eventcache.LinkedChunkID) ([]eventcache.Chunk, error) {
	if f.all != nil {
		return f.all(list)
	}
	return f.model.LoadAllChunks(ctx, f.named(list))
}

func (f *faulty) LoadAllMetadata(ctx context.Context, list eventcache.LinkedChunkID) ([]eventcache.ChunkMetadata, error) {
	if f.metadata != nil {
		return f.metadata(list)
	}
	return f.model.LoadAllMetadata(ctx, f.named(list))
}

func (f *faulty) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
	if f.last != nil {
		return f.last(list)
	}
	return f.model.LoadLastChunk(ctx, f.named(list))
}

func (f *faulty) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
	if f.previous != nil {
		return f.previous(list, before)
	}
	return f.model.LoadPreviousChunk(ctx, f.named(list), before)
}

func (f *faulty) FindDuplicates(ctx context.Context, list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
	if f.duplicates != nil {
		return f.duplicates(list, ids)
	}
	return f.model.FindDuplicates(ctx, f.named(list), ids)
}

func (f *faulty) SaveEvents(ctx context.Context, room id.RoomID, events ...eventcache.Event) error {
	if f.save != nil {
		return f.save(room, events)
	}
	return f.model.SaveEvents(ctx, room, events...)
}

func (f *faulty) FindEvent(ctx context.Context, room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
	if f.find != nil {
		return f.find(room, which)
	}
	return f.model.FindEvent(ctx, room, which)
}

func (f *faulty) FindRelations(ctx context.Context, room id.RoomID, to id.EventID, types []event.RelationType) ([]eventcache.Related, error) {
	if f.relations != nil {
		return f.relations(room, to, types)
	}
	return f.model.FindRelations(ctx, room, to, types)
}

func (f *faulty) FindEvents(ctx context.Context, room id.RoomID, filter eventcache.Filter) ([]eventcache.Event, error) {
	if f.events != nil {
		return f.events(room, filter)
	}
	return f.model.FindEvents(ctx, room, filter)
}

func (f *faulty) Threads(ctx context.Context, room id.RoomID) ([]id.EventID, error) {
	if f.threadsOf != nil {
		return f.threadsOf(room)
	}
	return f.model.Threads(ctx, room)
}

func (f *faulty) ClearRoom(ctx context.Context, room id.RoomID) error {
	if f.clear != nil {
		return f.clear(room)
	}
	return f.model.ClearRoom(ctx, room)
}

func (f *faulty) ClearAll(ctx context.Context) error {
	if f.clearAll != nil {
		return f.clearAll()
	}
	return f.model.ClearAll(ctx)
}

func (f *faulty) RoomStats(ctx context.Context, room id.RoomID) (eventcache.RoomStats, error) {
	if f.stats != nil {
		return f.stats(room)
	}
	return f.model.RoomStats(ctx, room)
}

func (f *faulty) CleanUp(ctx context.Context, p eventcache.CleanUpPolicy) (int, error) {
	if f.cleanUp != nil {
		return f.cleanUp(p)
	}
	return f.model.CleanUp(ctx, p)
}

func (f *faulty) Export(ctx context.Context, room id.RoomID, w io.Writer) error {
	if f.exporting != nil {
		return f.exporting(room, w)
	}
	return f.model.Export(ctx, room, w)
}

func (f *faulty) Import(ctx context.Context, r io.Reader) (id.RoomID, error) {
	if f.importing != nil {
		return f.importing(r)
	}
	return f.model.Import(ctx, r)
}

// brokenStore is a store with a fault, and the case that must find it.
type brokenStore struct {
	name  string
	by    string
	fault func(f *faulty)
}

var brokenStores = []brokenStore{
	// Linked chunks.
	{"loses gap tokens", "updates-build-a-list", func(f *faulty) {
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			if u, is := u.(eventcache.NewGapChunk); is {
				u.Gap.Token = ""
				return u
			}
			return u
		}
	}},
	{"orders chunks by their number", "updates-build-a-list", func(f *faulty) {
		f.all = func(list eventcache.LinkedChunkID) ([]eventcache.Chunk, error) {
			all, err := f.model.LoadAllChunks(bg, list)
			slices.SortFunc(all, func(a, b eventcache.Chunk) int { return cmp.Compare(a.ID, b.ID) })
			return all, err
		}
	}},
	{"begins to count at 1 in lists that are not there", "an-empty-list", func(f *faulty) {
		f.last = func(list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
			last, highest, err := f.model.LoadLastChunk(bg, list)
			return last, max(highest, 1), err
		}
	}},
	{"takes the highest number for the last chunk", "the-last-chunk", func(f *faulty) {
		f.last = func(list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
			all, err := f.model.LoadAllChunks(bg, list)
			if len(all) == 0 {
				return nil, 0, err
			}
			c := slices.MaxFunc(all, func(a, b eventcache.Chunk) int { return cmp.Compare(a.ID, b.ID) })
			return &c, c.ID, err
		}
	}},
	{"counts the last chunk for the highest", "the-last-chunk", func(f *faulty) {
		f.last = func(list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
			c, _, err := f.model.LoadLastChunk(bg, list)
			if c == nil {
				return nil, 0, err
			}
			return c, c.ID, err
		}
	}},
	{"finds the last chunk before number 0", "the-previous-chunk", func(f *faulty) {
		f.previous = func(list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
			if before == 0 {
				last, _, err := f.model.LoadLastChunk(bg, list)
				return last, err
			}
			return f.model.LoadPreviousChunk(bg, list, before)
		}
	}},
	{"skips gaps when it goes backwards", "the-end-first", func(f *faulty) {
		f.previous = func(list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
			c, err := f.model.LoadPreviousChunk(bg, list, before)
			for c != nil && c.Gap != nil {
				c, err = f.model.LoadPreviousChunk(bg, list, c.ID)
			}
			return c, err
		}
	}},
	{"forgets the events of a chunk that is removed", "remove-a-chunk", func(f *faulty) {
		f.apply = func(list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			before := f.room(list.Room)
			err := f.model.Apply(bg, list, updates)
			if err == nil && len(updates) > 0 {
				if u, is := updates[len(updates)-1].(eventcache.RemoveChunk); is {
					for _, p := range before.places(list) {
						if p.At.Chunk == u.Chunk {
							delete(f.room(list.Room).events, p.Event)
						}
					}
				}
			}
			return err
		}
	}},
	{"forgets what was replaced", "replace-an-item", func(f *faulty) {
		f.apply = func(list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			before := f.room(list.Room)
			err := f.model.Apply(bg, list, updates)
			for _, u := range updates {
				if u, is := u.(eventcache.ReplaceItem); is && err == nil {
					for _, p := range before.places(list) {
						if p.At == u.At && p.Event != u.Item.ID && len(updates) == 1 {
							delete(f.room(list.Room).events, p.Event)
						}
					}
				}
			}
			return err
		}
	}},
	{"removes what is behind an item with it", "remove-an-item", func(f *faulty) {
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			if u, is := u.(eventcache.RemoveItem); is {
				return eventcache.DetachLastItems(u)
			}
			return u
		}
	}},
	{"detaches one more", "detach-items", func(f *faulty) {
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			if u, is := u.(eventcache.DetachLastItems); is && u.At.Index > 0 {
				u.At.Index--
				return u
			}
			return u
		}
	}},
	{"clears for what is about to be reattached", "reattach-changes-nothing", func(f *faulty) {
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			if _, is := u.(eventcache.StartReattachItems); is {
				return eventcache.Clear{}
			}
			return u
		}
	}},
	{"clears events with their list", "clear-a-list", func(f *faulty) {
		f.afterUpdate = func(list eventcache.LinkedChunkID, u eventcache.Update) {
			if _, is := u.(eventcache.Clear); is {
				clear(f.room(list.Room).events)
			}
		}
	}},
	{"counts a gap as one item", "metadata", func(f *faulty) {
		f.metadata = func(list eventcache.LinkedChunkID) ([]eventcache.ChunkMetadata, error) {
			all, err := f.model.LoadAllMetadata(bg, list)
			for i := range all {
				if all[i].IsGap {
					all[i].Items = 1
				}
			}
			return all, err
		}
	}},

	// Events.
	{"has one list of pinned events", "lists-of-many-rooms", func(f *faulty) {
		f.nameOf = func(l eventcache.LinkedChunkID) eventcache.LinkedChunkID {
			if l.Kind == eventcache.KindPinned {
				l.Room = roomB
			}
			return l
		}
	}},
	{"replaces in the wrong room", "replace-in-the-second-room", func(f *faulty) { // DIV-22
		f.afterUpdate = func(list eventcache.LinkedChunkID, u eventcache.Update) {
			replace, is := u.(eventcache.ReplaceItem)
			if !is {
				return
			}
			for _, r := range f.rooms {
				for _, chunks := range r.lists {
					for i := range chunks {
						if chunks[i].id == replace.At.Chunk && replace.At.Index < len(chunks[i].items) {
							chunks[i].items[replace.At.Index] = replace.Item.ID
						}
					}
				}
			}
		}
	}},
	{"moves an event from one list into the other", "an-event-in-several-lists", func(f *faulty) {
		f.afterUpdate = func(list eventcache.LinkedChunkID, u eventcache.Update) {
			if push, is := u.(eventcache.PushItems); is {
				for other, chunks := range f.room(list.Room).lists {
					for i := range chunks {
						if other != list {
							chunks[i].items = slices.DeleteFunc(chunks[i].items, func(which id.EventID) bool { return which == push.Items[0].ID })
						}
					}
				}
			}
		}
	}},
	{"finds an event in one place only", "an-event-twice-in-a-list", func(f *faulty) {
		f.duplicates = func(list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
			all, err := f.model.FindDuplicates(bg, list, ids)
			seen := map[id.EventID]bool{}
			return slices.DeleteFunc(all, func(p eventcache.Place) bool {
				defer func() { seen[p.Event] = true }()
				return seen[p.Event]
			}), err
		}
	}},
	{"answers in the order of the question", "duplicates", func(f *faulty) {
		f.duplicates = func(list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
			all, err := f.model.FindDuplicates(bg, list, ids)
			slices.SortStableFunc(all, func(a, b eventcache.Place) int { return slices.Index(ids, a.Event) - slices.Index(ids, b.Event) })
			return all, err
		}
	}},
	{"answers a question twice that is asked twice", "duplicates", func(f *faulty) {
		f.duplicates = func(list eventcache.LinkedChunkID, ids []id.EventID) (all []eventcache.Place, err error) {
			for _, p := range f.room(list.Room).places(list) {
				for _, which := range ids {
					if p.Event == which {
						all = append(all, p)
					}
				}
			}
			return all, err
		}
	}},
	{"has a limit for what can be bound", "many-duplicates", func(f *faulty) {
		f.duplicates = func(list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
			if len(ids) > 16383 {
				return nil, errors.New("too many SQL variables")
			}
			return f.model.FindDuplicates(bg, list, ids)
		}
	}},
	{"keeps stale positions", "positions-are-live", func(f *faulty) { // DIV-23
		stale := map[eventcache.LinkedChunkID]map[id.EventID]eventcache.Position{}
		f.afterUpdate = func(list eventcache.LinkedChunkID, u eventcache.Update) {
			if push, is := u.(eventcache.PushItems); is {
				for i, e := range push.Items {
					if stale[list] == nil {
						stale[list] = map[id.EventID]eventcache.Position{}
					}
					stale[list][e.ID] = at(push.At.Chunk, push.At.Index+i)
				}
			}
		}
		f.duplicates = func(list eventcache.LinkedChunkID, ids []id.EventID) (all []eventcache.Place, err error) {
			for which, p := range stale[list] {
				if slices.Contains(ids, which) {
					all = append(all, eventcache.Place{Event: which, At: p})
				}
			}
			slices.SortFunc(all, func(a, b eventcache.Place) int { return compareChunks(a.At, b.At) })
			return all, list.Check()
		}
	}},
	{"finds events of other rooms", "find-an-event", func(f *faulty) {
		f.find = func(room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
			for _, r := range f.rooms {
				if e, found := r.events[which]; found {
					return e.Event, true, nil
				}
			}
			return eventcache.Event{}, false, named(room)
		}
	}},
	{"knows an event by its id alone", "the-same-id-in-two-rooms", func(f *faulty) { // DIV-24
		f.save = func(room id.RoomID, events []eventcache.Event) error {
			for other, r := range f.rooms {
				for _, e := range events {
					if other != room {
						delete(r.events, e.ID)
					}
				}
			}
			return f.model.SaveEvents(bg, room, events...)
		}
	}},
	{"puts what is saved into every list", "saved-events-are-in-no-list", func(f *faulty) { // DIV-25
		f.save = func(room id.RoomID, events []eventcache.Event) error {
			err := f.model.SaveEvents(bg, room, events...)
			for _, chunks := range f.room(room).lists {
				chunks[0].items = append(chunks[0].items, events[0].ID)
			}
			return err
		}
	}},
	{"keeps the old meta", "a-new-version-is-everywhere", func(f *faulty) {
		f.save = func(room id.RoomID, events []eventcache.Event) error {
			events = slices.Clone(events)
			for i, e := range events {
				if e.Meta == nil {
					events[i].Meta = f.room(room).events[e.ID].Meta
				}
			}
			return f.model.SaveEvents(bg, room, events...)
		}
	}},
	{"skips events without an id", "an-event-needs-an-id", func(f *faulty) {
		f.save = func(room id.RoomID, events []eventcache.Event) error {
			return f.model.SaveEvents(bg, room, slices.DeleteFunc(slices.Clone(events), func(e eventcache.Event) bool { return e.ID == "" })...)
		}
	}},
	{"skips events without a type", "an-event-needs-an-id", func(f *faulty) { // DIV-21
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			if u, is := u.(eventcache.PushItems); is {
				u.Items = slices.DeleteFunc(slices.Clone(u.Items), func(e eventcache.Event) bool { return e.Type == "" })
				return u
			}
			return u
		}
	}},
	{"stores the events before a wrong one", "unstorable-events", func(f *faulty) {
		f.save = func(room id.RoomID, events []eventcache.Event) error {
			for _, e := range events {
				if err := f.model.SaveEvents(bg, room, e); err != nil {
					return err
				}
			}
			return named(room)
		}
	}},
	{"returns positions in threads", "relations", func(f *faulty) {
		f.relations = func(room id.RoomID, to id.EventID, types []event.RelationType) ([]eventcache.Related, error) {
			all, err := f.model.FindRelations(bg, room, to, types)
			for list := range f.room(room).lists {
				for _, p := range f.room(room).places(list) {
					for i := range all {
						if all[i].Event.ID == p.Event {
							all[i].At = &p.At
						}
					}
				}
			}
			return all, err
		}
	}},
	{"takes no relation for one to nothing", "relations", func(f *faulty) {
		f.relations = func(room id.RoomID, to id.EventID, types []event.RelationType) (all []eventcache.Related, err error) {
			for _, e := range f.room(room).sorted() {
				if to == "" && e.RelatesTo == "" {
					all = append(all, eventcache.Related{Event: e.Event})
				}
			}
			if to == "" {
				return all, nil
			}
			return f.model.FindRelations(bg, room, to, types)
		}
	}},
	{"takes an empty filter for all", "relation-filters", func(f *faulty) { // DIV-20
		f.relations = func(room id.RoomID, to id.EventID, types []event.RelationType) ([]eventcache.Related, error) {
			if len(types) == 0 {
				types = nil
			}
			return f.model.FindRelations(bg, room, to, types)
		}
	}},
	{"needs only one part of a filter to fit", "events-of-a-room", func(f *faulty) {
		f.events = func(room id.RoomID, filter eventcache.Filter) (all []eventcache.Event, err error) {
			for _, e := range f.room(room).sorted() {
				if filter == (eventcache.Filter{}) || filter.Type != "" && e.Type == filter.Type || filter.Session != "" && e.Session == filter.Session {
					all = append(all, e.Event)
				}
			}
			return all, named(room)
		}
	}},
	{"orders events by id", "first-stored-first", func(f *faulty) {
		f.events = func(room id.RoomID, filter eventcache.Filter) ([]eventcache.Event, error) {
			all, err := f.model.FindEvents(bg, room, filter)
			slices.SortFunc(all, func(a, b eventcache.Event) int { return cmp.Compare(a.ID, b.ID) })
			return all, err
		}
	}},
	{"orders events by when they were last stored", "first-stored-first", func(f *faulty) {
		f.save = func(room id.RoomID, events []eventcache.Event) error {
			r := f.room(room)
			for _, e := range events {
				if known, there := r.events[e.ID]; there {
					known.number = r.stored
					r.stored++
					r.events[e.ID] = known
				}
			}
			return f.model.SaveEvents(bg, room, events...)
		}
	}},
	{"keeps events as compact JSON", "every-field-is-kept", func(f *faulty) {
		f.find = func(room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
			e, found, err := f.model.FindEvent(bg, room, which)
			e.Raw = bytes.TrimSpace(e.Raw)
			return e, found, err
		}
	}},
	{"forgets that there are no push actions", "every-field-is-kept", func(f *faulty) {
		f.events = func(room id.RoomID, filter eventcache.Filter) ([]eventcache.Event, error) {
			all, err := f.model.FindEvents(bg, room, filter)
			for i := range all {
				if m := all[i].Meta; m != nil && len(m.PushActions) == 0 {
					without := *m
					without.PushActions = nil
					all[i].Meta = &without
				}
			}
			return all, err
		}
	}},
	{"sorts what it is given", "asking-changes-no-arguments", func(f *faulty) {
		f.duplicates = func(list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
			slices.Sort(ids)
			return f.model.FindDuplicates(bg, list, ids)
		}
	}},

	// Conditions.
	{"takes a number twice", "conditions-of-new-chunks", forgives(eventcache.ErrChunkExists)},
	{"lets a cycle be made", "conditions-of-new-chunks", forgives(eventcache.ErrLinks)},
	{"does not look for neighbours", "conditions-of-new-chunks", forgives(eventcache.ErrUnknownChunk)},
	{"has no chunk to remove, and is content", "conditions-of-remove-chunk", forgives(eventcache.ErrUnknownChunk)},
	{"pushes to wherever it wants", "conditions-of-push-items", forgives(eventcache.ErrPosition)},
	{"pushes into gaps", "conditions-of-push-items", forgives(eventcache.ErrChunkIsGap)},
	{"replaces nothing", "conditions-of-replace-item", forgives(eventcache.ErrPosition)},
	{"removes nothing", "conditions-of-remove-item", forgives(eventcache.ErrPosition)},
	{"detaches beyond the end", "conditions-of-detach-items", forgives(eventcache.ErrPosition)},
	{"says the wrong number", "conditions-of-remove-item", func(f *faulty) {
		f.apply = func(list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			err := f.model.Apply(bg, list, updates)
			if wrong := (*eventcache.UpdateError)(nil); errors.As(err, &wrong) {
				wrong.Number = 0
			}
			return err
		}
	}},
	{"calls an update that is none by its name", "unknown-updates", func(f *faulty) {
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			_ = u.Name()
			return u
		}
	}},
	{"knows no wrong names", "names-of-lists", func(f *faulty) {
		f.all = func(list eventcache.LinkedChunkID) ([]eventcache.Chunk, error) {
			return f.room(list.Room).chunks(list), nil
		}
	}},
	{"is not atomic", "all-or-nothing", func(f *faulty) {
		f.apply = func(list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			for i, u := range updates {
				if err := f.model.Apply(bg, list, []eventcache.Update{u}); err != nil {
					if wrong := (*eventcache.UpdateError)(nil); errors.As(err, &wrong) {
						wrong.Number = i
					}
					return err
				}
			}
			return list.Check()
		}
	}},

	// Rooms.
	{"remembers no thread by its chunks", "threads", func(f *faulty) {
		f.apply = func(list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			known, _ := f.model.Threads(bg, list.Room)
			err := f.model.Apply(bg, list, updates)
			if r := f.rooms[list.Room]; r != nil {
				r.threads = known
			}
			return err
		}
	}},
	{"sorts threads", "threads", func(f *faulty) {
		f.threadsOf = func(room id.RoomID) ([]id.EventID, error) {
			all, err := f.model.Threads(bg, room)
			slices.Sort(all)
			return all, err
		}
	}},
	{"keeps threads when all is cleared", "clear-everything", func(f *faulty) {
		f.clearAll = func() error {
			for _, r := range f.rooms {
				clear(r.events)
				clear(r.lists)
			}
			return nil
		}
	}},
	{"forgets focused lists when a room is cleared", "clear-a-room", func(f *faulty) {
		f.clear = func(room id.RoomID) error {
			r := f.room(room).clone()
			clear(r.events)
			r.threads = nil
			maps.DeleteFunc(r.lists, func(list eventcache.LinkedChunkID, _ []modelChunk) bool { return list.Kind != eventcache.KindFocused })
			f.put(room, r)
			return named(room)
		}
	}},
	{"clears rooms by prefix", "clear-a-room", func(f *faulty) {
		f.clear = func(room id.RoomID) error {
			maps.DeleteFunc(f.rooms, func(other id.RoomID, _ *modelRoom) bool { return other[1] >= room[1] })
			return named(room)
		}
	}},
	{"takes a focused event for a thread", "focused-lists", func(f *faulty) {
		f.nameOf = func(l eventcache.LinkedChunkID) eventcache.LinkedChunkID {
			if l.Kind == eventcache.KindFocused {
				l.Kind = eventcache.KindThread
			}
			return l
		}
	}},
	{"counts an event in every list", "how-much-there-is", func(f *faulty) {
		f.stats = func(room id.RoomID) (eventcache.RoomStats, error) {
			s, err := f.model.RoomStats(bg, room)
			s.Events = 0
			for list := range f.room(room).lists {
				s.Events += len(f.room(room).places(list))
			}
			return s, err
		}
	}},
	{"makes rooms when it is asked", "asking-creates-nothing", func(f *faulty) {
		f.events = func(room id.RoomID, filter eventcache.Filter) ([]eventcache.Event, error) {
			if room != "" && f.rooms[room] == nil {
				f.rooms[room] = (&modelRoom{}).clone()
			}
			return f.model.FindEvents(bg, room, filter)
		}
	}},
	{"stores events of no room", "no-room", func(f *faulty) {
		f.save = func(room id.RoomID, events []eventcache.Event) error {
			if room == "" {
				return nil
			}
			return f.model.SaveEvents(bg, room, events...)
		}
	}},
	{"cleans up what is referred to", "clean-up", func(f *faulty) {
		f.cleanUp = func(p eventcache.CleanUpPolicy) (n int, err error) {
			if p.OlderThan < 0 {
				return 0, errNegative
			}
			for _, r := range f.rooms {
				maps.DeleteFunc(r.events, func(_ id.EventID, e modelEvent) bool {
					old := e.at.Before(f.now().Add(-p.OlderThan))
					if old {
						n++
					}
					return old
				})
			}
			return n, nil
		}
	}},
	{"looks at timelines only when it cleans up", "clean-up", func(f *faulty) {
		f.cleanUp = func(p eventcache.CleanUpPolicy) (n int, err error) {
			kept := map[id.RoomID]map[eventcache.LinkedChunkID][]modelChunk{}
			for room, r := range f.rooms {
				kept[room] = maps.Clone(r.lists)
				maps.DeleteFunc(r.lists, func(list eventcache.LinkedChunkID, _ []modelChunk) bool { return list.Kind == eventcache.KindFocused })
			}
			n, err = f.model.CleanUp(bg, p)
			for room, lists := range kept {
				if f.rooms[room] == nil {
					f.rooms[room] = (&modelRoom{}).clone()
				}
				f.rooms[room].lists = lists
			}
			return n, err
		}
	}},
	{"takes the future for the past", "clean-up-and-clocks", func(f *faulty) {
		f.cleanUp = func(p eventcache.CleanUpPolicy) (int, error) {
			for _, r := range f.rooms {
				for which, e := range r.events {
					if now := f.now(); e.at.After(now.Add(p.OlderThan)) {
						e.at = now.Add(-p.OlderThan - time.Second)
						r.events[which] = e
					}
				}
			}
			return f.model.CleanUp(bg, p)
		}
	}},

	// Exports.
	{"exports no gaps", "export-and-import", func(f *faulty) {
		f.exporting = func(room id.RoomID, w io.Writer) error {
			r := f.room(room).clone()
			for list, chunks := range r.lists {
				r.lists[list] = slices.DeleteFunc(chunks, func(c modelChunk) bool { return c.gap != nil })
				if len(r.lists[list]) == 0 {
					delete(r.lists, list)
				}
			}
			m := newModel(f.now)
			m.put(room, r)
			return m.Export(bg, room, w)
		}
	}},
	{"imports into what is there", "export-and-import", func(f *faulty) {
		f.importing = func(from io.Reader) (id.RoomID, error) {
			m := newModel(f.now)
			room, err := m.Import(bg, from)
			if err != nil {
				return "", err
			}
			r := m.room(room).clone()
			for _, e := range f.room(room).sorted() {
				if _, there := r.events[e.ID]; !there {
					r.put(e.Event, e.at)
				}
			}
			f.put(room, r)
			return room, nil
		}
	}},
	{"exports nothing as nothing", "export-of-an-unknown-room", func(f *faulty) {
		f.exporting = func(room id.RoomID, w io.Writer) error {
			if f.rooms[room] == nil {
				return named(room)
			}
			return f.model.Export(bg, room, w)
		}
	}},
	{"clears before it imports", "broken-exports", func(f *faulty) {
		f.importing = func(from io.Reader) (id.RoomID, error) {
			text, err := io.ReadAll(from)
			if err != nil {
				return "", err
			}
			if room, err := eventcache.NewDecoder(bytes.NewReader(text)).Room(); err == nil {
				delete(f.rooms, room)
			}
			return f.model.Import(bg, bytes.NewReader(text))
		}
	}},
	{"imports what is cut off", "broken-exports", func(f *faulty) {
		f.importing = func(from io.Reader) (id.RoomID, error) {
			text, err := io.ReadAll(from)
			if err != nil {
				return "", err
			}
			dec, r := eventcache.NewDecoder(bytes.NewReader(text)), (&modelRoom{}).clone()
			for {
				line, err := dec.Next()
				if e, is := line.(eventcache.ExportEvent); is && err == nil {
					r.put(e.Event, f.now())
					continue
				}
				room, wrong := dec.Room()
				if wrong != nil {
					return "", wrong
				}
				if err == nil { // a whole one, as far as anybody can see
					return f.model.Import(bg, bytes.NewReader(text))
				}
				f.put(room, r)
				return room, nil
			}
		}
	}},

	// Hostile names.
	{"makes UTF-8 of everything", "strange-ids", func(f *faulty) {
		f.find = func(room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
			e, found, err := f.model.FindEvent(bg, room, which)
			e.Type = strings.ToValidUTF8(e.Type, "\ufffd")
			return e, found, err
		}
	}},
	{"compares without case", "strange-ids", func(f *faulty) {
		f.events = func(room id.RoomID, filter eventcache.Filter) (all []eventcache.Event, err error) {
			for _, e := range f.room(room).sorted() {
				if (filter.Type == "" || strings.EqualFold(e.Type, filter.Type)) && (filter.Session == "" || e.Session == filter.Session) {
					all = append(all, e.Event)
				}
			}
			return all, named(room)
		}
	}},
	{"cuts names off", "huge-ids", func(f *faulty) {
		f.nameOf = func(l eventcache.LinkedChunkID) eventcache.LinkedChunkID {
			l.Event = l.Event[:min(len(l.Event), 1000)]
			return l
		}
	}},
	{"builds its SQL of relation types", "sql-in-ids", func(f *faulty) { // CVE-2025-53549
		f.relations = func(room id.RoomID, to id.EventID, types []event.RelationType) ([]eventcache.Related, error) {
			for _, t := range types {
				if strings.Contains(string(t), "' OR '1'='1") {
					types = nil
				}
			}
			return f.model.FindRelations(bg, room, to, types)
		}
	}},
	{"makes one name of two", "names-do-not-collide", func(f *faulty) {
		f.nameOf = func(l eventcache.LinkedChunkID) eventcache.LinkedChunkID {
			switch l.Kind {
			case eventcache.KindThread:
				return eventcache.Room("t:" + l.Room + ":" + id.RoomID(l.Event))
			}
			return l
		}
	}},
	{"has no room for large events", "large-events", func(f *faulty) {
		f.find = func(room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
			e, found, err := f.model.FindEvent(bg, room, which)
			e.Raw = e.Raw[:min(len(e.Raw), 1<<20)]
			return e, found, err
		}
	}},
	{"wraps JSON into JSON that is too deep then", "large-events", func(f *faulty) {
		f.importing = func(from io.Reader) (id.RoomID, error) {
			text, err := io.ReadAll(from)
			if err == nil && bytes.Contains(text, []byte("raw_base64")) {
				err = eventcache.ErrExport
			}
			if err != nil {
				return "", err
			}
			return f.model.Import(bg, bytes.NewReader(text))
		}
	}},
	{"loses what is too much at once", "many-at-once", func(f *faulty) {
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			if u, is := u.(eventcache.PushItems); is {
				u.Items = u.Items[:min(len(u.Items), 400)]
				return u
			}
			return u
		}
	}},

	// What nobody thought of.
	{"moves a thread to the end when it gets chunks again", "any-operations", func(f *faulty) {
		f.afterUpdate = func(list eventcache.LinkedChunkID, u eventcache.Update) {
			if _, is := u.(eventcache.NewItemsChunk); is && list.Kind == eventcache.KindThread {
				r := f.room(list.Room)
				r.threads = slices.DeleteFunc(r.threads, func(root id.EventID) bool { return root == list.Event })
				r.remember(list.Event)
			}
		}
	}},
	{"returns the last of two positions", "any-operations", func(f *faulty) {
		f.relations = func(room id.RoomID, to id.EventID, types []event.RelationType) ([]eventcache.Related, error) {
			all, err := f.model.FindRelations(bg, room, to, types)
			for _, p := range f.room(room).places(eventcache.Room(room)) {
				for i := range all {
					if all[i].Event.ID == p.Event {
						all[i].At = &p.At
					}
				}
			}
			return all, err
		}
	}},
	{"loses the second of two events that are pushed at once", "any-list", func(f *faulty) {
		f.eachUpdate = func(_ eventcache.LinkedChunkID, u eventcache.Update) eventcache.Update {
			if u, is := u.(eventcache.PushItems); is {
				u.Items = u.Items[:min(len(u.Items), 1)]
				return u
			}
			return u
		}
	}},
}

// forgives takes a condition that is not met for success.
func forgives(err error) func(*faulty) { return func(f *faulty) { f.forgiving = err } }

func (b *brokenStore) harness() *Harness {
	return plainHarness(func(s *plain, _ Options) eventcache.Store {
		f := &faulty{model: s.m}
		b.fault(f)
		s.c = f
		return s
	})
}

// TestEveryBrokenStoreIsCaught: each broken store is found out by the case that is meant for it.
func TestEveryBrokenStoreIsCaught(t *testing.T) {
	caught := func(name, by string, harness func() *Harness) {
		t.Run(by+"/"+strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel() // some wait for what never comes
			isCaught(t, by, harness)
		})
	}
	for _, b := range brokenStores {
		caught(b.name, b.by, b.harness)
	}
	for _, b := range brokenGates {
		caught(b.name, b.by, b.harness)
	}
	for _, cs := range cases {
		found := slices.ContainsFunc(brokenStores, func(b brokenStore) bool { return b.by == cs.Name })
		if !found && !slices.ContainsFunc(brokenGates, func(b brokenGate) bool { return b.by == cs.Name }) {
			t.Errorf("no broken store proves that the case %q finds anything", cs.Name)
		}
	}
}

// byChance are the cases that find a fault only where they happen upon it: they are run until they have.
var byChance = []string{
	"any-list", "any-operations", "clean-up-by-itself", "one-holder-at-a-time", "export-of-one-moment", "readers-see-whole-changes", "many-writers",
	"closing-while-in-use", "pauses-at-any-moment", "waiting-through-pauses", "an-interrupted-change", "clean-up-and-pauses",
}

// patience is for how long a fault is looked for that is found by chance. It is found in a moment; but the machine may be busy.
const patience = time.Minute

func isCaught(t *testing.T, by string, newHarness func() *Harness) {
	i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == by })
	if i < 0 {
		t.Fatalf("there is no case %q", by)
	}
	if h := newHarness(); h.lacks(cases[i].Needs) != "" || !cases[i].fits(h) {
		t.Fatalf("the case is not for a store like this one: %s", h.lacks(cases[i].Needs))
	}
	within := time.Duration(0)
	if slices.Contains(byChance, by) {
		within = patience
	}
	r := trial.Search(within, func() *trial.Result {
		h := newHarness()
		h.Limit = cmp.Or(h.Limit, 12*time.Second)
		return runCase(t.Context(), &cases[i], h, t.TempDir)
	})
	if !r.Found() {
		t.Fatalf("it was not found out (findings: %v, notes: %q)", r.Findings, r.Notes)
	}
	for _, f := range r.Findings {
		for _, part := range []string{cases[i].Name, cases[i].Promise} {
			if !strings.Contains(f.Error(), part) {
				t.Errorf("the finding does not say %q: %v", part, f)
			}
		}
	}
	if testing.Verbose() {
		t.Logf("%.1500s", r.Findings[0].Error())
	}
}

package eventcachetest

// Random operations, for the store and the model to do both: case_random.go chooses them
// with rapid, and compares everything; case_storm.go with a generator, between pauses.

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// chooser returns a number below n.
type chooser func(n int) int

func pick[T any](choose chooser, from ...T) T { return from[choose(len(from))] }

// operation is one call, with what it returned as text, for comparing.
type operation struct {
	name string
	do   func(ctx context.Context, s contents) (string, error)
}

func (choose chooser) eventID() id.EventID { return id.EventID(fmt.Sprint("$", choose(8))) }

// event makes an event of which there are few, so that they meet. One of many cannot be stored.
func (choose chooser) event(wrong bool) eventcache.Event {
	e := ev(choose.eventID(), body(fmt.Sprint(choose(1000))), typed(pick(choose, "m.room.message", "m.room.encrypted", "")), session(pick[id.SessionID](choose, "", "s1", "s2")))
	if choose(3) == 0 {
		e.RelatesTo, e.RelType = choose.eventID(), pick[event.RelationType](choose, "m.replace", "m.annotation")
	}
	if choose(4) == 0 {
		e.Meta = &eventcache.Meta{Timestamp: int64(choose(100))}
	}
	if wrong && choose(20) == 0 {
		e = pick(choose, ev(""), ev("$x", rawly("[]")), ev("$x", relates("$y", "")), ev("$x", rawly("{")))
	}
	return e
}

func (choose chooser) events(wrong bool) []eventcache.Event {
	all := make([]eventcache.Event, choose(4))
	for i := range all {
		all[i] = choose.event(wrong)
	}
	return all
}

func (choose chooser) list(room id.RoomID) eventcache.LinkedChunkID {
	timeline, thread := eventcache.Room(room), eventcache.Thread(room, "$1")
	return pick(choose, timeline, timeline, timeline, thread, thread, thread, eventcache.Thread(room, "$2"), eventcache.Pinned(room), eventcache.Focused(room, "$1"))
}

// update makes an update for a chain of chunks: often one that fits.
func (choose chooser) update(chunks []modelChunk, wrong bool) eventcache.Update {
	number := func() eventcache.ChunkID { // of a chunk, or of none
		if len(chunks) == 0 || wrong && choose(8) == 0 {
			return pick(choose, eventcache.ChunkID(choose(12)), 0, beyond, math.MaxUint64)
		}
		return chunks[choose(len(chunks))].id
	}
	// position is one in a chunk, the place behind its last item included.
	position := func() eventcache.Position {
		at := eventcache.Position{Chunk: number()}
		for _, c := range chunks {
			if c.id == at.Chunk {
				at.Index = choose(len(c.items) + 1)
			}
		}
		if wrong && choose(10) == 0 {
			at.Index = pick(choose, -1, 1000, at.Index+1, math.MaxInt)
		}
		return at
	}
	end := func() eventcache.Position {
		at := position()
		for _, c := range chunks {
			if c.id == at.Chunk && (!wrong || choose(10) > 0) {
				at.Index = len(c.items)
			}
		}
		return at
	}
	// link is a place in the chain.
	link := func() (previous, next eventcache.ChunkID) {
		i := choose(len(chunks) + 1)
		if i > 0 {
			previous = chunks[i-1].id
		}
		if i < len(chunks) {
			next = chunks[i].id
		}
		if wrong && choose(8) == 0 {
			previous, next = pick(choose, 0, number()), pick(choose, 0, number())
		}
		return previous, next
	}
	switch choose(16) {
	case 0, 1, 2:
		previous, next := link()
		return items(previous, eventcache.ChunkID(1+choose(20)), next)
	case 3, 4:
		previous, next := link()
		return gap(previous, eventcache.ChunkID(1+choose(20)), next, pick(choose, "", "token", "\xff"))
	case 5:
		return drop(number())
	case 6, 7, 8, 9, 10:
		return eventcache.PushItems{At: end(), Items: choose.events(wrong)}
	case 11:
		return eventcache.ReplaceItem{At: position(), Item: choose.event(wrong)}
	case 12:
		return eventcache.RemoveItem{At: position()}
	case 13:
		return eventcache.DetachLastItems{At: position()}
	case 14:
		return pick[eventcache.Update](choose, eventcache.StartReattachItems{}, eventcache.EndReattachItems{})
	default:
		if choose(4) > 0 {
			return items(0, eventcache.ChunkID(1+choose(20)), 0)
		}
		return eventcache.Clear{}
	}
}

// updates makes some updates for a list as it is in the model. Where nothing may be wrong, all of them fit.
func (choose chooser) updates(m *model, list eventcache.LinkedChunkID, wrong bool) []eventcache.Update {
	r := m.room(list.Room).clone()
	all := []eventcache.Update{}
	for range 1 + choose(6) {
		u := choose.update(r.lists[list], wrong)
		after := r.clone()
		if after.apply(list, u, time.Time{}) == nil {
			r = after // the next one is for what is there then
		} else if !wrong {
			continue
		}
		all = append(all, u)
	}
	return all
}

// operation makes an operation that changes a room, for the state that the model is in.
func (choose chooser) operation(m *model, room id.RoomID, wrong bool) operation {
	switch choose(20) {
	case 0, 1, 2:
		events := choose.events(wrong)
		return operation{"SaveEvents " + ids(events), func(ctx context.Context, s contents) (string, error) {
			return "", s.SaveEvents(ctx, room, events...)
		}}
	case 3:
		root := choose.eventID()
		return operation{"RememberThread " + string(root), func(ctx context.Context, s contents) (string, error) {
			return "", s.RememberThread(ctx, room, root)
		}}
	case 4:
		if choose(3) == 0 {
			return operation{"ClearRoom", func(ctx context.Context, s contents) (string, error) { return "", s.ClearRoom(ctx, room) }}
		}
		fallthrough
	case 5: // its own export, with a change
		changed := newModel(time.Now)
		changed.put(room, m.room(room).clone())
		_ = changed.Apply(context.Background(), eventcache.Pinned(room), choose.updates(changed, eventcache.Pinned(room), false))
		var export bytes.Buffer
		_ = changed.Export(context.Background(), room, &export)
		text := export.Bytes()
		if wrong && choose(4) == 0 {
			text = text[:choose(len(text))]
		}
		return operation{"Import", func(ctx context.Context, s contents) (string, error) {
			imported, err := s.Import(ctx, bytes.NewReader(text))
			if err != nil {
				return "", err
			}
			return string(imported), nil
		}}
	default:
		list := choose.list(room)
		updates := choose.updates(m, list, wrong && choose(3) == 0)
		return operation{fmt.Sprintf("Apply to %q: %s", list, drawUpdates(updates)), func(ctx context.Context, s contents) (string, error) {
			return "", s.Apply(ctx, list, updates)
		}}
	}
}

// question makes an operation that reads.
func (choose chooser) question(room id.RoomID) operation {
	list, which := choose.list(room), choose.eventID()
	switch choose(8) {
	case 0:
		return operation{fmt.Sprintf("FindEvent %s", which), func(ctx context.Context, s contents) (string, error) {
			e, found, err := s.FindEvent(ctx, room, which)
			return fmt.Sprint(found, draw(e)), err
		}}
	case 1:
		types := pick(choose, nil, []event.RelationType{}, []event.RelationType{"m.replace"}, []event.RelationType{"m.annotation", "m.replace", "m.x"})
		return operation{fmt.Sprintf("FindRelations %s %#v", which, types), func(ctx context.Context, s contents) (string, error) {
			all, err := s.FindRelations(ctx, room, which, types)
			return relation(all), err
		}}
	case 2:
		f := eventcache.Filter{Type: pick(choose, "", "m.room.message", "m.room.encrypted"), Session: pick[id.SessionID](choose, "", "s1", "s2")}
		return operation{fmt.Sprintf("FindEvents %+v", f), func(ctx context.Context, s contents) (string, error) {
			all, err := s.FindEvents(ctx, room, f)
			return ids(all), err
		}}
	case 3:
		ask := []id.EventID{which, choose.eventID(), choose.eventID(), choose.eventID(), which}
		return operation{fmt.Sprintf("FindDuplicates in %q of %q", list, ask), func(ctx context.Context, s contents) (string, error) {
			all, err := s.FindDuplicates(ctx, list, ask)
			return placed(all), err
		}}
	case 4:
		return operation{fmt.Sprintf("LoadLastChunk of %q", list), func(ctx context.Context, s contents) (string, error) {
			last, highest, err := s.LoadLastChunk(ctx, list)
			return fmt.Sprint(shapeOf(last), " ", highest), err
		}}
	case 5:
		before := eventcache.ChunkID(choose(22))
		return operation{fmt.Sprintf("LoadPreviousChunk before %d of %q", before, list), func(ctx context.Context, s contents) (string, error) {
			previous, err := s.LoadPreviousChunk(ctx, list, before)
			return shapeOf(previous), err
		}}
	case 6:
		return operation{fmt.Sprintf("LoadAllMetadata of %q", list), func(ctx context.Context, s contents) (string, error) {
			all, err := s.LoadAllMetadata(ctx, list)
			return fmt.Sprint(all), err
		}}
	default:
		return operation{"RoomStats", func(ctx context.Context, s contents) (string, error) {
			stats, err := s.RoomStats(ctx, room)
			return fmt.Sprint(stats), err
		}}
	}
}

func exportAt(ctx context.Context, s contents, room id.RoomID) ([]byte, error) {
	var b bytes.Buffer
	err := s.Export(ctx, room, &b)
	return b.Bytes(), err
}

package memorystore

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// Events, wherever they are: eventcache.Events.

// SaveEvents stores events out of band; see eventcache.Events.
func (s *EventCache) SaveEvents(ctx context.Context, room id.RoomID, all ...eventcache.Event) error {
	err := checkRoom(room)
	for i := range all {
		if err == nil {
			err = all[i].Check()
		}
	}
	return s.write(ctx, "save events", err, func(t *memory.Txn) error { return save(t, room, s.now(), all) })
}

// roomOf returns the row of a room, or a new one.
func roomOf(t *memory.Txn, room id.RoomID) (roomRow, error) {
	r, found, err := rooms.First(t, "id", inRoom(room))
	if err != nil || !found {
		return roomRow{room: room}, err
	}
	return *r, nil
}

// save stores events.
func save(t *memory.Txn, room id.RoomID, now int64, all []eventcache.Event) error {
	if len(all) == 0 {
		return nil
	}
	r, err := roomOf(t, room)
	if err != nil {
		return err
	}
	for _, e := range all {
		e.Raw = slices.Clip(e.Raw) // whoever appends to what he got is not to write behind it
		row := &eventRow{room: room, number: r.next, stored: now, Event: e}
		was, there, err := events.First(t, "id", eventKey(room, e.ID))
		if err != nil {
			return err
		}
		if there {
			row.number = was.number
		} else {
			r.next++
		}
		if err := events.Insert(t, row); err != nil {
			return err
		}
	}
	return rooms.Insert(t, &r)
}

// FindEvent returns an event; see eventcache.Events.
func (s *EventCache) FindEvent(ctx context.Context, room id.RoomID, event id.EventID) (e eventcache.Event, found bool, err error) {
	err = s.read(ctx, "find an event", checkRoom(room), func(t *memory.Txn) error {
		row, there, err := events.First(t, "id", eventKey(room, event))
		if there {
			e, found = row.Event, true
		}
		return err
	})
	if err != nil {
		return eventcache.Event{}, false, err
	}
	return e, found, nil
}

// FindEvents returns events by type and session; see eventcache.Events.
func (s *EventCache) FindEvents(ctx context.Context, room id.RoomID, f eventcache.Filter) (found []eventcache.Event, err error) {
	index, k := "number_prefix", inRoom(room)
	switch {
	case f.Session != "":
		index, k = "session_prefix", sessionKey(room, f.Session)
	case f.Type != "":
		index, k = "type_prefix", typeKey(room, f.Type)
	}
	err = s.read(ctx, "find events", checkRoom(room), func(t *memory.Txn) error {
		for e, err := range events.Get(t, index, k) {
			if err != nil {
				return err
			}
			if f.Type == "" || f.Type == e.Type {
				found = append(found, e.Event)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// FindRelations returns the events that relate to one; see eventcache.Events.
func (s *EventCache) FindRelations(ctx context.Context, room id.RoomID, to id.EventID, types []event.RelationType) (found []eventcache.Related, err error) {
	err = s.read(ctx, "find relations", checkRoom(room), func(t *memory.Txn) error {
		if to == "" || types != nil && len(types) == 0 {
			return nil
		}
		for e, err := range events.Get(t, "relation_prefix", eventKey(room, to)) {
			if err != nil {
				return err
			}
			if types != nil && !slices.Contains(types, e.RelType) {
				continue
			}
			at, err := placesOf(t, eventcache.Room(room), e.ID)
			if err != nil {
				return err
			}
			r := eventcache.Related{Event: e.Event}
			if len(at) > 0 {
				r.At = &at[0].At
			}
			found = append(found, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

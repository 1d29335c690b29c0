package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Events, wherever they are: eventcache.Events.

const (
	// What is stored anew has a new row id, for which it is sealed, and keeps its number. These are two
	// statements because of what one would cost: for DO UPDATE with RETURNING, SQLite copies every page
	// that it changes to a journal of the statement, which is half of the time.
	insertEvent  = `INSERT INTO event (room, event_id, type, session, relates_to, rel_type, size, stored, row, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room, event_id) DO NOTHING`
	selectNumber = `SELECT id FROM event WHERE room = ? AND event_id = ?`
	updateEvent  = `UPDATE event SET type = ?, session = ?, relates_to = ?, rel_type = ?, size = ?, stored = ?, row = ?, content = ? WHERE id = ?`

	selectEvent    = `SELECT row, content FROM event WHERE room = ? AND event_id = ?`
	selectEventNo  = `SELECT row, content FROM event WHERE id = ?`
	selectAll      = `SELECT id, row, content FROM event WHERE room = ?`
	selectOfType   = `SELECT id, row, content FROM event WHERE room = ? AND type = ? ORDER BY id`
	selectSession  = `SELECT id, row, content FROM event WHERE room = ? AND session = ? ORDER BY id`
	selectBoth     = `SELECT id, row, content FROM event WHERE room = ? AND session = ? AND +type = ? ORDER BY id`
	selectRelation = `SELECT id, row, content FROM event WHERE room = ? AND relates_to = ?`
	selectRelType  = `SELECT id, row, content FROM event WHERE room = ? AND relates_to = ? AND rel_type = ?`

	selectPlaces = `SELECT chunk, position FROM item WHERE event = ? AND list = ? ORDER BY chunk, position LIMIT 1`

	duplicates = `WITH ` + codec.Listed + ` SELECT DISTINCT item.chunk, item.position, listed.n FROM listed
		CROSS JOIN event ON event.room = ? AND event.event_id = listed.key
		CROSS JOIN item ON item.event = event.id AND item.list = ?`
)

// SaveEvents stores events out of band; see eventcache.Events.
func (s Events) SaveEvents(ctx context.Context, room id.RoomID, events ...eventcache.Event) error {
	err := checkRoom(room)
	for i := range events {
		if err == nil {
			err = events[i].Check()
		}
	}
	switch {
	case err != nil:
	case len(events) == 0:
		err = s.admitted(ctx)
	default:
		err = s.update(ctx, func(t *tx) error {
			n, err := t.makeRoom(room)
			for i := range events {
				if err == nil {
					_, err = t.save(n, &events[i])
				}
			}
			return err
		})
	}
	return s.failed("save events", err)
}

// saver is what the events that one transaction saves have in common, and what is used again for each.
type saver struct {
	room, stored any    // numbers, as arguments
	found        bool   // the last one was there already, and then so will be the next
	record       []byte // of an event
	sealed       []byte
	args         [11]any // room and event id, the columns that change, and its number
}

// save stores an event and returns its number.
func (t *tx) save(room int64, e *eventcache.Event) (number int64, err error) {
	s := &t.saver
	if s.stored == nil {
		s.stored = t.now()
	}
	if s.room != room {
		s.room = room
	}
	eventID, err := t.codec.KeyString(domainEvent, string(e.ID))
	if err != nil {
		return 0, err
	}
	session, err1 := t.optional(domainSession, string(e.Session))
	relates, err2 := t.optional(domainRelates, string(e.RelatesTo))
	eventType, err3 := t.makeName(typeName, e.Type)
	relType, err4 := t.makeName(relationName, string(e.RelType))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return 0, err
	}
	if s.record, err = appendRecord(s.record[:0], e); err != nil {
		return 0, err
	}
	var row any // a plain store needs none
	content := s.record
	if t.codec.Encrypted() {
		id := secret.NewRowID()
		row = id[:]
		if s.sealed, err = t.codec.AppendSeal(s.sealed[:0], contentPlace(id[:]), s.record); err != nil {
			return 0, err
		}
		content = s.sealed
	}
	s.args = [...]any{s.room, eventID, eventType, session, relates, relType, int64(len(e.Raw)), s.stored, row, content, nil}
	if !s.found {
		r, err := t.c.Exec(t.ctx, insertEvent, s.args[:10]...)
		if err != nil || r.RowsAffected > 0 {
			return r.LastInsertID, err
		}
	}
	if number, err = t.number(selectNumber, s.args[:2]...); err != nil {
		return 0, err
	}
	if s.found = number != 0; !s.found {
		return t.insert(insertEvent, s.args[:10]...)
	}
	s.args[10] = number
	return number, t.exec(updateEvent, s.args[2:]...)
}

// numbered is an event with its number.
type numbered struct {
	number int64
	eventcache.Event
}

func (t *tx) scanNumbered(r *sqlite.Row) (e numbered, err error) {
	var row, content []byte
	if err = r.Scan(&e.number, &row, &content); err == nil {
		e.Event, err = t.openEvent(row, content)
	}
	return e, err
}

// FindEvent returns an event; see eventcache.Events.
func (s Events) FindEvent(ctx context.Context, room id.RoomID, event id.EventID) (e eventcache.Event, found bool, err error) {
	if err = checkRoom(room); err == nil {
		err = s.view(ctx, func(t *tx) error {
			n, err := t.room(room)
			if err != nil || n == 0 {
				return err
			}
			key, err := t.codec.KeyString(domainEvent, string(event))
			if err != nil {
				return err
			}
			var row, content []byte
			err = t.c.QueryRow(ctx, selectEvent, n, key).Scan(&row, &content)
			if errors.Is(err, sqlite.ErrNoRows) {
				return nil
			}
			if err == nil {
				e, err = t.openEvent(row, content)
			}
			found = err == nil
			return err
		})
	}
	if err != nil {
		return eventcache.Event{}, false, s.failed("find an event", err)
	}
	return e, found, nil
}

// FindEvents returns events by type and session; see eventcache.Events.
func (s Events) FindEvents(ctx context.Context, room id.RoomID, f eventcache.Filter) (found []eventcache.Event, err error) {
	if err = checkRoom(room); err == nil {
		err = s.view(ctx, func(t *tx) error {
			all, err := t.findEvents(room, f)
			slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
			for _, e := range all {
				found = append(found, e.Event)
			}
			return err
		})
	}
	if err != nil {
		return nil, s.failed("find events", err)
	}
	return found, nil
}

func (t *tx) findEvents(room id.RoomID, f eventcache.Filter) ([]numbered, error) {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return nil, err
	}
	query, args := selectAll, []any{n}
	if f.Session != "" {
		session, err := t.codec.KeyString(domainSession, string(f.Session))
		if err != nil {
			return nil, err
		}
		query, args = selectSession, append(args, session)
	}
	if f.Type != "" {
		number, err := t.findName(typeName, f.Type)
		if err != nil || number == nil {
			return nil, err
		}
		if query = selectOfType; f.Session != "" {
			query = selectBoth
		}
		args = append(args, number)
	}
	return sqlite.Collect(t.c.Rows(t.ctx, query, args...), t.scanNumbered)
}

// FindRelations returns the events that relate to one; see eventcache.Events.
func (s Events) FindRelations(ctx context.Context, room id.RoomID, to id.EventID, types []event.RelationType) (found []eventcache.Related, err error) {
	err = checkRoom(room)
	switch {
	case err != nil:
	case to == "", types != nil && len(types) == 0:
		err = s.admitted(ctx)
	default:
		err = s.view(ctx, func(t *tx) error {
			found, err = t.relations(room, to, types)
			return err
		})
	}
	if err != nil {
		return nil, s.failed("find relations", err)
	}
	return found, nil
}

func (t *tx) relations(room id.RoomID, to id.EventID, types []event.RelationType) (found []eventcache.Related, err error) {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return nil, err
	}
	key, err := t.codec.KeyString(domainRelates, string(to))
	if err != nil {
		return nil, err
	}
	var all []numbered
	if types == nil {
		all, err = sqlite.Collect(t.c.Rows(t.ctx, selectRelation, n, key), t.scanNumbered)
	} else {
		var numbers []int64
		numbers, err = t.relationNames(types)
		slices.Sort(numbers)
		for _, number := range slices.Compact(numbers) {
			some, err := sqlite.Collect(t.c.Rows(t.ctx, selectRelType, n, key, number), t.scanNumbered)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
	}
	if err != nil || len(all) == 0 {
		return nil, err
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	timeline, _, err := t.list(eventcache.Room(room))
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		r := eventcache.Related{Event: e.Event}
		if timeline != 0 {
			var at eventcache.Position
			err := t.c.QueryRow(t.ctx, selectPlaces, e.number, timeline).Scan(&at.Chunk, &at.Index)
			switch {
			case err == nil:
				r.At = &at
			case !errors.Is(err, sqlite.ErrNoRows):
				return nil, err
			}
		}
		found = append(found, r)
	}
	return found, nil
}

// FindDuplicates returns where events are in a linked chunk; see eventcache.Chunks.
func (s Events) FindDuplicates(ctx context.Context, list eventcache.LinkedChunkID, ids []id.EventID) (places []eventcache.Place, err error) {
	err = list.Check()
	switch {
	case err != nil:
	case len(ids) == 0:
		err = s.admitted(ctx)
	default:
		err = s.view(ctx, func(t *tx) error {
			n, room, err := t.list(list)
			if err != nil || n == 0 {
				return err
			}
			asked := distinct(ids)
			keys, err := codec.KeyList(t.codec, domainEvent, asked)
			if err != nil {
				return err
			}
			places, err = sqlite.Collect(t.c.Rows(ctx, duplicates, keys, room, n), func(r *sqlite.Row) (p eventcache.Place, err error) {
				var i int
				if err = r.Scan(&p.At.Chunk, &p.At.Index, &i); err == nil {
					p.Event = asked[i]
				}
				return p, err
			})
			return err
		})
	}
	if err != nil {
		return nil, s.failed("find duplicates", err)
	}
	slices.SortFunc(places, func(a, b eventcache.Place) int {
		return cmp.Or(cmp.Compare(a.At.Chunk, b.At.Chunk), cmp.Compare(a.At.Index, b.At.Index))
	})
	return places, nil
}

func distinct(ids []id.EventID) []id.EventID {
	seen := make(map[id.EventID]struct{}, len(ids))
	once := make([]id.EventID, 0, len(ids))
	for _, event := range ids {
		if _, there := seen[event]; !there {
			seen[event] = struct{}{}
			once = append(once, event)
		}
	}
	return once
}

package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// What is known of rooms as a whole: eventcache.Rooms.

const (
	selectThreads = `SELECT row, name FROM list WHERE room = ? AND kind = ? ORDER BY id`
	selectRooms   = `SELECT id, row, name FROM room`

	// A room that has something: events, chunks, or a thread.
	countEvents = `SELECT count(*), coalesce(sum(size), 0) FROM event WHERE room = ?`
	countChunks = `SELECT count(DISTINCT list.id), count(*) FROM list JOIN chunk ON chunk.list = list.id WHERE list.room = ?`
	hasThread   = `SELECT EXISTS (SELECT 1 FROM list WHERE room = ? AND kind = ?)`

	clearItems  = `DELETE FROM item WHERE list IN (SELECT id FROM list WHERE room = ?)`
	clearChunks = `DELETE FROM chunk WHERE list IN (SELECT id FROM list WHERE room = ?)`
	clearLists  = `DELETE FROM list WHERE room = ?`
	clearEvents = `DELETE FROM event WHERE room = ?`
	clearRoom   = `DELETE FROM room WHERE id = ?`

	// A page of a walk over all events, those first that were stored longest ago: the rest of those that were stored
	// with the last one that was seen, then later ones. As one comparison of (stored, id), SQLite would begin every
	// page at the first of those that were stored together, and one transaction may have stored all there are.
	selectOldRest  = `SELECT id, stored, EXISTS (SELECT 1 FROM item WHERE item.event = event.id) FROM event WHERE stored = ? AND id > ? ORDER BY id LIMIT ?`
	selectOldLater = `SELECT id, stored, EXISTS (SELECT 1 FROM item WHERE item.event = event.id) FROM event WHERE stored > ? AND stored < ? ORDER BY stored, id LIMIT ?`
	deleteUnused   = `DELETE FROM event WHERE id = ? AND stored < ? AND NOT EXISTS (SELECT 1 FROM item WHERE item.event = event.id)`

	// A page of a walk over all names, which says of each whether an event has it.
	selectNameUse    = `SELECT id, EXISTS (SELECT 1 FROM event WHERE event.type = name.id) OR EXISTS (SELECT 1 FROM event WHERE event.rel_type = name.id) FROM name WHERE id > ? ORDER BY id LIMIT ?`
	deleteUnusedName = `DELETE FROM name WHERE id = ? AND NOT EXISTS (SELECT 1 FROM event WHERE event.type = name.id) AND NOT EXISTS (SELECT 1 FROM event WHERE event.rel_type = name.id)`
)

// clearEverything leaves nothing but the schema.
var clearEverything = []string{`DELETE FROM item`, `DELETE FROM chunk`, `DELETE FROM list`, `DELETE FROM event`, `DELETE FROM room`, `DELETE FROM name`}

// errNegative is returned for a policy whose time is negative.
var errNegative = errors.New("a time of the clean-up policy is negative")

// RememberThread makes a thread known; see eventcache.Rooms.
func (s Events) RememberThread(ctx context.Context, room id.RoomID, root id.EventID) error {
	list := eventcache.Thread(room, root)
	err := list.Check()
	if err == nil {
		err = s.update(ctx, func(t *tx) error {
			_, _, err := t.makeList(list)
			return err
		})
	}
	return s.failed("remember a thread", err)
}

// Threads returns the threads of a room; see eventcache.Rooms.
func (s Events) Threads(ctx context.Context, room id.RoomID) (roots []id.EventID, err error) {
	err = s.inRoom(ctx, room, func(t *tx, n int64) error {
		roots, err = sqlite.Collect(t.c.Rows(ctx, selectThreads, n, int64(eventcache.KindThread)), func(r *sqlite.Row) (id.EventID, error) {
			var row, name []byte
			if err := r.Scan(&row, &name); err != nil {
				return "", err
			}
			l, err := t.listName(row, name)
			return l.Event, err
		})
		return err
	})
	if err != nil {
		return nil, s.failed("list the threads", err)
	}
	return roots, nil
}

// inRoom calls fn with the number of a room, and does not where that is not known.
func (s Events) inRoom(ctx context.Context, room id.RoomID, fn func(t *tx, n int64) error) error {
	if err := checkRoom(room); err != nil {
		return err
	}
	return s.view(ctx, func(t *tx) error {
		n, err := t.room(room)
		if err != nil || n == 0 {
			return err
		}
		return fn(t, n)
	})
}

// ClearRoom removes everything of a room; see eventcache.Rooms.
func (s Events) ClearRoom(ctx context.Context, room id.RoomID) error {
	err := checkRoom(room)
	if err == nil {
		err = s.update(ctx, func(t *tx) error { return t.clearRoom(room) })
	}
	return s.failed("clear a room", err)
}

func (t *tx) clearRoom(room id.RoomID) error {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return err
	}
	for _, query := range []string{clearItems, clearChunks, clearLists, clearEvents, clearRoom} {
		if err := t.exec(query, n); err != nil {
			return err
		}
	}
	return nil
}

// ClearAll removes everything; see eventcache.Rooms.
func (s Events) ClearAll(ctx context.Context) error {
	return s.failed("clear everything", s.update(ctx, func(t *tx) error {
		for _, query := range clearEverything {
			if err := t.exec(query); err != nil {
				return err
			}
		}
		return nil
	}))
}

// RoomStats counts what there is of a room; see eventcache.Rooms.
func (s Events) RoomStats(ctx context.Context, room id.RoomID) (eventcache.RoomStats, error) {
	stats := eventcache.RoomStats{Room: room}
	err := s.inRoom(ctx, room, func(t *tx, n int64) error { return t.count(n, &stats) })
	return stats, s.failed("count a room", err)
}

func (t *tx) count(room int64, into *eventcache.RoomStats) error {
	return errors.Join(
		t.c.QueryRow(t.ctx, countEvents, room).Scan(&into.Events, &into.Bytes),
		t.c.QueryRow(t.ctx, countChunks, room).Scan(&into.Lists, &into.Chunks))
}

// AllRoomStats counts all rooms; see eventcache.Rooms.
func (s Events) AllRoomStats(ctx context.Context) (all []eventcache.RoomStats, err error) {
	err = s.view(ctx, func(t *tx) error {
		numbers, err := sqlite.Collect(t.c.Rows(ctx, selectRooms), func(r *sqlite.Row) (n int64, err error) {
			var row, name []byte
			if err := r.Scan(&n, &row, &name); err != nil {
				return 0, err
			}
			room, err := t.codec.Open(placeOf("room", "name", row), name)
			all = append(all, eventcache.RoomStats{Room: id.RoomID(room)})
			return n, err
		})
		if err != nil {
			return err
		}
		something := all[:0]
		for i, n := range numbers {
			stats := all[i]
			if err := t.count(n, &stats); err != nil {
				return err
			}
			if stats.Events == 0 && stats.Lists == 0 {
				thread, err := t.number(hasThread, n, int64(eventcache.KindThread))
				if err != nil {
					return err
				}
				if thread == 0 {
					continue
				}
			}
			something = append(something, stats)
		}
		all = something
		return nil
	})
	if err != nil {
		return nil, s.failed("count all rooms", err)
	}
	slices.SortFunc(all, func(a, b eventcache.RoomStats) int { return cmp.Compare(a.Room, b.Room) })
	return all, nil
}

// What one transaction of a CleanUp looks at, and what it removes at most.
const cleanUpRows = 512

// CleanUp removes what no linked chunk refers to; see eventcache.Rooms. Looking
// takes no write transaction: where there is nothing to remove, nobody waits for it. Names of types that no event has any more go with it.
func (s Events) CleanUp(ctx context.Context, p eventcache.CleanUpPolicy) (removed int, err error) {
	if p.OlderThan < 0 {
		return 0, s.failed("clean up", errNegative)
	}
	before := s.now() - p.OlderThan.Milliseconds()
	old := func(t *tx, last *cleanUpPlace, unused *[]int64) (int, error) {
		return t.oldEvents(last, before, unused)
	}
	removed, err = sweep(ctx, s, cleanUpPlace{stored: math.MinInt64}, old, deleteUnused, before)
	if err == nil {
		_, err = sweep(ctx, s, 0, (*tx).unusedNames, deleteUnusedName)
	}
	return removed, s.failed("clean up", err)
}

// sweep walks over rows, page by page: look looks at a page behind a place, moves that, and says how many rows it has seen and which
// are unused. They are removed by a statement whose first argument is the row, and which looks again.
func sweep[P any](ctx context.Context, s Events, last P, look func(*tx, *P, *[]int64) (int, error), remove string, more ...any) (removed int, err error) {
	for {
		var unused []int64
		looked, seen := 0, last
		err := s.view(ctx, func(t *tx) (err error) {
			unused, seen = unused[:0], last
			looked, err = look(t, &seen, &unused)
			return err
		})
		if err == nil && len(unused) > 0 {
			n := 0
			err = s.update(ctx, func(t *tx) error {
				n = 0
				for _, row := range unused {
					r, err := t.c.Exec(ctx, remove, append([]any{row}, more...)...)
					if err != nil {
						return err
					}
					n += int(r.RowsAffected)
				}
				return nil
			})
			if err == nil {
				removed += n
			}
		}
		if err != nil || looked < cleanUpRows {
			return removed, err
		}
		last = seen
	}
}

// unusedNames looks at the next page of names.
func (t *tx) unusedNames(last *int64, unused *[]int64) (looked int, err error) {
	for r, err := range t.c.Rows(t.ctx, selectNameUse, *last, cleanUpRows) {
		var used bool
		if err == nil {
			err = r.Scan(last, &used)
		}
		if err != nil {
			return looked, err
		}
		looked++
		if !used {
			*unused = append(*unused, *last)
		}
	}
	return looked, nil
}

// cleanUpPlace is how far a clean-up has come: to this event among those that were stored at that time.
type cleanUpPlace struct{ stored, event int64 }

// oldEvents looks at the next page of events that were stored before a time, and returns how many they are.
func (t *tx) oldEvents(last *cleanUpPlace, before int64, unused *[]int64) (looked int, err error) {
	for _, page := range []statement{
		{selectOldRest, []any{last.stored, last.event}},
		{selectOldLater, []any{last.stored, before}},
	} {
		for r, err := range t.c.Rows(t.ctx, page.query, append(page.args, cleanUpRows-looked)...) {
			var used bool
			if err == nil {
				err = r.Scan(&last.event, &last.stored, &used)
			}
			if err != nil {
				return looked, err
			}
			looked++
			if !used {
				*unused = append(*unused, last.event)
			}
		}
		if looked == cleanUpRows {
			break
		}
	}
	return looked, nil
}

package memorystore

import (
	"cmp"
	"context"
	"math"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// What is known of rooms as a whole: eventcache.Rooms.

// remember makes a thread known. Other linked chunks need not be remembered, but their rooms do.
func remember(t *memory.Txn, list eventcache.LinkedChunkID) error {
	r, err := roomOf(t, list.Room)
	if err != nil {
		return err
	}
	if list.Kind == eventcache.KindThread {
		_, known, err := threads.First(t, "id", eventKey(list.Room, list.Event))
		if err != nil || known {
			return err
		}
		if err := threads.Insert(t, &threadRow{room: list.Room, number: r.thread, root: list.Event}); err != nil {
			return err
		}
		r.thread++
	}
	return rooms.Insert(t, &r)
}

// RememberThread makes a thread known; see eventcache.Rooms.
func (s *EventCache) RememberThread(ctx context.Context, room id.RoomID, root id.EventID) error {
	list := eventcache.Thread(room, root)
	return s.write(ctx, "remember a thread", list.Check(), func(t *memory.Txn) error { return remember(t, list) })
}

// Threads returns the threads of a room; see eventcache.Rooms.
func (s *EventCache) Threads(ctx context.Context, room id.RoomID) (roots []id.EventID, err error) {
	err = s.read(ctx, "list the threads", checkRoom(room), func(t *memory.Txn) error {
		roots, err = threadsOf(t, room)
		return err
	})
	if err != nil {
		return nil, err
	}
	return roots, nil
}

func threadsOf(t *memory.Txn, room id.RoomID) (roots []id.EventID, err error) {
	for r, err := range threads.Get(t, "number_prefix", inRoom(room)) {
		if err != nil {
			return nil, err
		}
		roots = append(roots, r.root)
	}
	return roots, nil
}

// ClearRoom removes everything of a room; see eventcache.Rooms.
func (s *EventCache) ClearRoom(ctx context.Context, room id.RoomID) error {
	return s.write(ctx, "clear a room", checkRoom(room), func(t *memory.Txn) error { return clearRoom(t, room) })
}

func clearRoom(t *memory.Txn, room id.RoomID) error {
	for _, table := range []string{"place", "chunk", "thread", "event", "room"} {
		if _, err := t.DeleteAll(table, "id_prefix", inRoom(room)); err != nil {
			return err
		}
	}
	return nil
}

// ClearAll removes everything; see eventcache.Rooms.
func (s *EventCache) ClearAll(ctx context.Context) error {
	return s.write(ctx, "clear everything", nil, func(t *memory.Txn) error {
		for _, table := range []string{"place", "chunk", "thread", "event", "room"} {
			if _, err := t.DeleteAll(table, "id"); err != nil {
				return err
			}
		}
		return nil
	})
}

// stats counts a room. something is false where there is nothing of it.
func stats(t *memory.Txn, room id.RoomID) (s eventcache.RoomStats, something bool, err error) {
	s.Room = room
	for e, err := range events.Get(t, "id_prefix", inRoom(room)) {
		if err != nil {
			return s, false, err
		}
		s.Events++
		s.Bytes += int64(len(e.Raw))
	}
	var last eventcache.LinkedChunkID
	for c, err := range chunks.Get(t, "id_prefix", inRoom(room)) {
		if err != nil {
			return s, false, err
		}
		if s.Chunks++; c.list != last {
			s.Lists++
			last = c.list
		}
	}
	_, thread, err := threads.First(t, "id_prefix", inRoom(room))
	return s, s.Events > 0 || s.Chunks > 0 || thread, err
}

// RoomStats counts what there is of a room; see eventcache.Rooms.
func (s *EventCache) RoomStats(ctx context.Context, room id.RoomID) (of eventcache.RoomStats, err error) {
	err = s.read(ctx, "count a room", checkRoom(room), func(t *memory.Txn) error {
		of, _, err = stats(t, room)
		return err
	})
	return of, err
}

// AllRoomStats counts all rooms; see eventcache.Rooms.
func (s *EventCache) AllRoomStats(ctx context.Context) (all []eventcache.RoomStats, err error) {
	err = s.read(ctx, "count all rooms", nil, func(t *memory.Txn) error {
		for r, err := range rooms.Get(t, "id") {
			if err != nil {
				return err
			}
			of, something, err := stats(t, r.room)
			if err != nil {
				return err
			}
			if something {
				all = append(all, of)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b eventcache.RoomStats) int { return cmp.Compare(a.Room, b.Room) })
	return all, nil
}

// Bytes returns the size of all events as they were given, of what is known of them, and of the gaps' tokens.
func (s *EventCache) Bytes(ctx context.Context) (size int64, err error) {
	err = s.read(ctx, "count the bytes", nil, func(t *memory.Txn) error {
		for e, err := range events.Get(t, "id") {
			if err != nil {
				return err
			}
			size += int64(len(e.Raw)+len(e.ID)+len(e.room)+len(e.Type)+len(e.Session)+len(e.RelatesTo)+len(e.RelType)) + metaBytes(e.Meta)
		}
		for c, err := range chunks.Get(t, "id") {
			if err != nil {
				return err
			}
			if size += int64(16 * len(c.items)); c.gap != nil {
				size += int64(len(c.gap.Token))
			}
		}
		return nil
	})
	return size, err
}

func metaBytes(m *eventcache.Meta) (size int64) {
	if m == nil {
		return 0
	}
	for _, action := range m.PushActions {
		size += int64(len(action))
	}
	if d := m.Decrypted; d != nil {
		size += int64(len(d.Sender) + len(d.SenderDevice) + len(d.SenderKey) + len(d.Algorithm) + len(d.Trust) + len(d.Original))
	}
	if u := m.Undecryptable; u != nil {
		size += int64(len(u.Reason))
	}
	if m.Thread != nil {
		size += int64(len(m.Thread.Latest))
	}
	return size + 8 // the timestamp
}

// How many events one transaction of a CleanUp looks at.
const cleanUpRows = 512

// CleanUp removes what no linked chunk refers to; see eventcache.Rooms.
func (s *EventCache) CleanUp(ctx context.Context, p eventcache.CleanUpPolicy) (removed int, err error) {
	if p.OlderThan < 0 {
		return 0, s.failed("clean up", errNegative)
	}
	before := s.now() - p.OlderThan.Milliseconds()
	for from := (key{}).signed(math.MinInt64); from != nil; {
		var some int
		next := key(nil)
		err := s.write(ctx, "clean up", nil, func(t *memory.Txn) error {
			some, next = 0, nil
			looked := 0
			for e, err := range events.LowerBound(t, "stored", from) {
				if err != nil {
					return err
				}
				if e.stored >= before {
					return nil
				}
				if looked++; looked > cleanUpRows {
					next = append(key{}.signed(e.stored), eventKey(e.room, e.ID)...)
					return nil
				}
				_, used, err := places.First(t, "event_prefix", eventKey(e.room, e.ID))
				if err == nil && !used {
					some++
					err = events.Delete(t, e)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		removed, from = removed+some, next
	}
	return removed, nil
}

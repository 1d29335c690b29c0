package sqlitestore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// What is known of rooms as a whole: state.RoomInfos, and removing a room.

const (
	upsertRoomInfo = `INSERT INTO room (room, state, flags, encrypted, recency, notifications, highlights, row, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (room) DO UPDATE SET state = excluded.state, flags = excluded.flags, encrypted = excluded.encrypted, recency = excluded.recency,
			notifications = excluded.notifications, highlights = excluded.highlights, row = excluded.row, data = excluded.data`

	selectRoomInfo = `SELECT row, data FROM room WHERE room = ?`
	// -1: the room is encrypted, as its RoomInfo says. Otherwise whether there is an event that may say so: it is to be read.
	selectEncrypted = `SELECT CASE WHEN (SELECT encrypted FROM room WHERE room = room_id.id) THEN -1
		ELSE EXISTS (SELECT 1 FROM state WHERE room = room_id.id AND type = (SELECT id FROM type WHERE key = ?2) AND key = ?3) END
		FROM room_id WHERE key = ?1`

	selectRoomInfos = `SELECT n, row, data FROM room ORDER BY n`
	selectDirect    = `SELECT room_id.row, room_id.name FROM room JOIN room_id ON room_id.id = room.room WHERE room.flags & 1 = 1`

	// A page of rooms: behind which one it begins, which states and flags are let through, and how many.
	roomsFilter   = ` AND (?1 = 0 OR (?1 >> state) & 1 = 1) AND flags & ?2 = ?2 AND flags & ?3 = 0`
	roomsSelected = `SELECT n, recency, notifications, highlights, row, data FROM room `

	roomsByRecency       = roomsSelected + `WHERE recency <= ?4 AND (recency < ?4 OR n > ?5)` + roomsFilter + ` ORDER BY recency DESC, n LIMIT ?6`
	roomsByNotifications = roomsSelected + `WHERE notifications <= ?4 AND (notifications < ?4 OR recency < ?5 OR recency = ?5 AND n > ?6)` +
		roomsFilter + ` ORDER BY notifications DESC, recency DESC, n LIMIT ?7`
	roomsByHighlights = roomsSelected + `WHERE highlights <= ?4 AND (highlights < ?4 OR recency < ?5 OR recency = ?5 AND n > ?6)` +
		roomsFilter + ` ORDER BY highlights DESC, recency DESC, n LIMIT ?7`
	roomsByAge = roomsSelected + `WHERE n > ?4` + roomsFilter + ` ORDER BY n LIMIT ?5`
)

// removeRoom leaves nothing of a room, its id last.
var removeRoom = []string{
	`DELETE FROM kv WHERE room = ?`,
	`DELETE FROM room_account_data WHERE room = ?`,
	`DELETE FROM room WHERE room = ?`,
	`DELETE FROM state WHERE room = ?`,
	`DELETE FROM member WHERE room = ?`,
	`DELETE FROM profile WHERE room = ?`,
	`DELETE FROM receipt WHERE room = ?`,
	`DELETE FROM name WHERE room = ?`,
	`DELETE FROM send_queue WHERE room = ?`,
	`DELETE FROM dependent WHERE room = ?`,
	`DELETE FROM subscription WHERE room = ?`,
	`DELETE FROM room_id WHERE id = ?`,
}

// SaveChanges stores a Changes; see state.Saver.
func (s StateData) SaveChanges(ctx context.Context, c *state.Changes) error {
	if c == nil {
		c = &state.Changes{}
	}
	err := c.Check()
	if err == nil {
		if c.Empty() { // and yet a store that is paused, or closed, says so
			err = s.view(ctx, func(*stateTx) error { return nil })
		} else {
			err = s.update(ctx, func(t *stateTx) error { return s.apply(t, c) })
			s.giveBack(ctx, err)
		}
	}
	return s.failed("save changes", err)
}

// A Changes with many state events touches pages all over the indexes. In a cache of the usual size each of them would be written
// to the log, and read again, many times; so the cache may grow for it, to 8192 pages, and gives the memory back. That is a setting of the connection, which
// no rollback takes back, and a transaction that is dead or cancelled cannot: then the next operation does, before anything else.
const (
	manyStateEvents = 2000
	growCache       = `PRAGMA cache_spill = 8192`
	shrinkCache     = `PRAGMA cache_spill = 1`
)

func (s StateData) apply(t *stateTx, c *state.Changes) error {
	events := 0
	for _, types := range c.State {
		for _, keys := range types {
			events += len(keys)
		}
	}
	if events < manyStateEvents {
		return c.Apply(t)
	}
	s.grown.Store(true)
	if _, err := t.exec(growCache); err != nil {
		return err
	}
	err := c.Apply(t)
	if again := s.shrink(t); err == nil {
		err = again
	}
	return err
}

func (s StateData) shrink(t *stateTx) error {
	_, err := t.exec(shrinkCache)
	if err == nil {
		s.grown.Store(false)
	}
	return err
}

// giveBack shrinks the cache after what has failed, in an operation of its own: at once where the writer is free, and else the next one does it. A store that
// is paused has closed the connection, and its setting with it.
func (s StateData) giveBack(ctx context.Context, failed error) {
	if failed == nil || !s.grown.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(lifecycle.WithPolicy(context.WithoutCancel(ctx), lifecycle.Fail), 100*time.Millisecond)
	defer cancel()
	_ = s.update(ctx, func(*stateTx) error { return nil }) // the failure that counts is told
}

// RemoveRoom removes everything of a room; see state.Saver.
func (s StateData) RemoveRoom(ctx context.Context, room id.RoomID) error {
	return s.failed("remove a room", s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
		for _, query := range removeRoom {
			if _, err := t.exec(query, n); err != nil {
				return err
			}
		}
		return nil
	}))
}

// PutRoomInfo is a step of SaveChanges.
func (t *stateTx) PutRoomInfo(info *state.RoomInfo) error {
	n, err := t.makeRoom(info.ID)
	if err != nil {
		return err
	}
	plain, err := info.MarshalJSON()
	if err != nil {
		return err
	}
	row, data, err := t.seal("room", "data", plain)
	if err != nil {
		return err
	}
	_, err = t.c.Exec(t.ctx, upsertRoomInfo, n, int64(info.State), int64(info.Flags()), info.IsEncrypted(), info.Recency,
		info.Counts.Notifications, info.Counts.Highlights, row, data)
	return err
}

// RoomInfo is a step of SaveChanges, and what StateData.RoomInfo does.
func (t *stateTx) RoomInfo(room id.RoomID) (info *state.RoomInfo, err error) {
	err = t.inRoom(room, func(t *stateTx, n int64) error {
		plain, at, found, err := t.one("room", selectRoomInfo, n)
		if err != nil || !found {
			return err
		}
		info, err = openInfo(at, plain)
		return err
	})
	return info, err
}

func openInfo(at secret.Place, plain []byte) (*state.RoomInfo, error) {
	info := &state.RoomInfo{}
	if info.UnmarshalJSON(plain) == nil { // package json would read it three times before it calls that
		return info, nil
	}
	if err := codec.DecodeJSON(at, plain, info); err != nil { // which can say where it is wrong
		return nil, err
	}
	return info, nil
}

// DirectRooms is a step of SaveChanges.
func (t *stateTx) DirectRooms() ([]id.RoomID, error) {
	return t.roomNames(selectDirect)
}

// roomNames returns the ids of rooms, in any order.
func (t *stateTx) roomNames(query string) ([]id.RoomID, error) {
	return sqlite.Collect(t.c.Rows(t.ctx, query), func(r *sqlite.Row) (id.RoomID, error) {
		var row, name []byte
		if err := r.Scan(&row, &name); err != nil {
			return "", err
		}
		return t.openRoomName(row, name)
	})
}

// RoomInfo returns what is known of a room; see state.RoomInfos.
func (s StateData) RoomInfo(ctx context.Context, room id.RoomID) (info *state.RoomInfo, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		info, err = t.RoomInfo(room)
		return err
	})
	return info, s.failed("get what is known of a room", err)
}

// IsEncrypted says whether a room is encrypted; see state.RoomInfos.
func (s StateData) IsEncrypted(ctx context.Context, room id.RoomID) (is bool, err error) {
	const encryption = "m.room.encryption"
	there := int64(0)
	err = s.read(ctx, func(t *stateTx) error {
		roomKey, typeKey, key, err := t.stateKeys(room, encryption, "")
		if err == nil {
			there, err = t.number(selectEncrypted, roomKey, typeKey, key)
		}
		return err
	})
	if err != nil || there <= 0 {
		return there < 0, s.failed("ask whether a room is encrypted", err)
	}
	e, _, err := s.StateEvent(ctx, room, encryption, "")
	return e.IsEncryption(), err
}

// RoomInfos returns all of them; see state.RoomInfos.
func (s StateData) RoomInfos(ctx context.Context) (infos []*state.RoomInfo, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		return t.each("room", selectRoomInfos, func(_ int64, plain []byte, at secret.Place) error {
			info, err := openInfo(at, plain)
			infos = append(infos, info)
			return err
		})
	})
	if err != nil {
		return nil, s.failed("get what is known of the rooms", err)
	}
	return infos, nil
}

// roomRow is a room that was not opened yet, with what orders it.
type roomRow struct {
	n, recency, notifications, highlights int64
	row, data                             []byte
}

func scanRoom(r *sqlite.Row) (row roomRow, err error) {
	err = r.Scan(&row.n, &row.recency, &row.notifications, &row.highlights, &row.row, &row.data)
	return row, err
}

func (t *stateTx) openRoom(row roomRow) (*state.RoomInfo, error) {
	at := dataPlace("room", row.row)
	plain, err := t.codec.Open(at, row.data)
	if err != nil {
		return nil, err
	}
	return openInfo(at, plain)
}

// roomOrder is an order that the database gives: its query, where it begins, and the place of a room in it.
type roomOrder struct {
	query string
	first []int64
	place func(roomRow) []int64
}

const most = 1<<63 - 1

var roomOrders = map[state.Order]roomOrder{
	state.ByRecency: {roomsByRecency, []int64{most, -1}, func(r roomRow) []int64 { return []int64{r.recency, r.n} }},
	state.ByNotifications: {roomsByNotifications, []int64{most, most, -1}, func(r roomRow) []int64 {
		return []int64{r.notifications, r.recency, r.n}
	}},
	state.ByHighlights: {roomsByHighlights, []int64{most, most, -1}, func(r roomRow) []int64 {
		return []int64{r.highlights, r.recency, r.n}
	}},
	state.ByAge: {roomsByAge, []int64{-1}, func(r roomRow) []int64 { return []int64{r.n} }},
}

// roomList is the list that a cursor of Rooms belongs to: one for each order.
func roomList(order state.Order) byte { return 'A' + byte(order) }

// Rooms returns a page of rooms; see state.RoomInfos.
func (s StateData) Rooms(ctx context.Context, filter state.RoomFilter, order state.Order, page state.Page) (rooms state.RoomPage, err error) {
	if err = order.Check(); err == nil {
		if order == state.ByName {
			rooms, err = s.roomsByName(ctx, filter, page)
		} else {
			rooms, err = s.roomsBy(ctx, filter, order, page)
		}
	}
	if err != nil {
		return state.RoomPage{}, s.failed("list rooms", err)
	}
	return rooms, nil
}

func (s StateData) roomsBy(ctx context.Context, filter state.RoomFilter, order state.Order, page state.Page) (rooms state.RoomPage, err error) {
	o := roomOrders[order]
	after := o.first
	if page.After != "" {
		if _, after, err = page.After.Parse(roomList(order), filter.Question(), len(o.first)); err != nil {
			return rooms, err
		}
	}
	limit := int64(-1)
	if page.Limit > 0 && page.Limit < most {
		limit = int64(page.Limit) + 1
	}
	args := []any{int64(filter.States), int64(filter.With), int64(filter.Without)}
	for _, n := range after {
		args = append(args, n)
	}
	err = s.view(ctx, func(t *stateTx) error {
		rows, err := sqlite.Collect(t.c.Rows(ctx, o.query, append(args, limit)...), scanRoom)
		if err != nil {
			return err
		}
		if page.Limit > 0 && len(rows) > page.Limit {
			rows = rows[:page.Limit]
			rooms.Next = state.MakeCursor(roomList(order), filter.Question(), "", o.place(rows[page.Limit-1])...)
		}
		for _, row := range rows {
			info, err := t.openRoom(row)
			if err != nil {
				return err
			}
			rooms.Rooms = append(rooms.Rooms, info)
		}
		return nil
	})
	return rooms, err
}

// roomsByName opens everything that the filter lets through: names are sealed, and the database cannot order them.
func (s StateData) roomsByName(ctx context.Context, filter state.RoomFilter, page state.Page) (rooms state.RoomPage, err error) {
	type named struct {
		key  string
		n    int64
		info *state.RoomInfo
	}
	compare := func(a, b named) int { return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.n, b.n)) }
	var after named
	if page.After != "" {
		text, numbers, err := page.After.Parse(roomList(state.ByName), filter.Question(), 1)
		if err != nil {
			return rooms, err
		}
		after = named{key: text, n: numbers[0]}
	}
	var all []named
	err = s.view(ctx, func(t *stateTx) error {
		args := []any{int64(filter.States), int64(filter.With), int64(filter.Without), int64(-1), int64(-1)}
		rows, err := sqlite.Collect(t.c.Rows(ctx, roomsByAge, args...), scanRoom)
		if err != nil {
			return err
		}
		for _, row := range rows {
			info, err := t.openRoom(row)
			if err != nil {
				return err
			}
			room := named{state.SortKey(info.DisplayName.String()), row.n, info}
			if page.After == "" || compare(room, after) > 0 {
				all = append(all, room)
			}
		}
		return nil
	})
	if err != nil {
		return rooms, err
	}
	slices.SortFunc(all, compare)
	if page.Limit > 0 && len(all) > page.Limit {
		all = all[:page.Limit]
		last := all[page.Limit-1]
		rooms.Next = state.MakeCursor(roomList(state.ByName), filter.Question(), last.key, last.n)
	}
	for _, room := range all {
		rooms.Rooms = append(rooms.Rooms, room.info)
	}
	return rooms, nil
}

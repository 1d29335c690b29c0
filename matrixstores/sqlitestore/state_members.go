package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// Members of rooms: state.Members.

const (
	upsertMember = `INSERT INTO member (room, user, membership, stripped, name, row, data) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (room, user) DO UPDATE SET membership = excluded.membership, stripped = excluded.stripped, name = excluded.name, row = excluded.row, data = excluded.data`

	selectMember = `SELECT stripped, row, data FROM member WHERE room = ? AND user = ?`
	// The same for an operation that asks for nothing else: one statement instead of two.
	selectMemberAt = `SELECT stripped, row, data FROM member WHERE room = (SELECT id FROM room_id WHERE key = ?) AND user = ?`

	selectMembers = `SELECT n, stripped, row, data FROM member WHERE room = ? AND membership = ? AND n > ? ORDER BY n LIMIT ?`
	countMembers  = `SELECT count(*) FROM member WHERE room = ? AND membership = ?`
	selectRoomsOf = `SELECT n, room FROM member WHERE user = ? AND membership = ?`

	// Their events first, which are found by them.
	removeMemberEvents = `DELETE FROM state WHERE room = ?1 AND type = ?2 AND key IN (SELECT user FROM member WHERE room = ?1 AND membership = ?3)`
	removeMembers      = `DELETE FROM member WHERE room = ? AND membership = ?`
)

// single returns the memberships of a set, one by one, as they are stored: 0 is one that is none of the five.
func single(filter state.Memberships) []int64 {
	all := []int64{int64(state.Join), int64(state.Invite), int64(state.Knock), int64(state.Leave), int64(state.Ban)}
	if filter == 0 {
		return append(all, 0)
	}
	return slices.DeleteFunc(all, func(m int64) bool { return int64(filter)&m == 0 })
}

// PutMember is a step of SaveChanges.
func (t *stateTx) PutMember(room id.RoomID, m state.Member, nameKey string) error {
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	user, err := t.key(domainStateUser, string(m.User))
	if err != nil {
		return err
	}
	name, err := t.optional(domainStateName, nameKey)
	if err != nil {
		return err
	}
	t.record = appendMember(t.record[:0], &m)
	row, data, err := t.seal("member", "data", t.record)
	if err != nil {
		return err
	}
	_, err = t.c.Exec(t.ctx, upsertMember, n, user, int64(state.MembershipOf(m.Membership)), m.Stripped, name, row, data)
	return err
}

// RemoveMembers is a step of SaveChanges.
func (t *stateTx) RemoveMembers(room id.RoomID, filter state.Memberships) error {
	n, number, err := t.roomAndType(room, event.StateMember.Type)
	if err != nil || number == 0 {
		return err
	}
	for _, membership := range single(filter) {
		if _, err := t.exec(removeMemberEvents, n, number, membership); err != nil {
			return err
		}
		if _, err := t.exec(removeMembers, n, membership); err != nil {
			return err
		}
	}
	return nil
}

// Member is a step of SaveChanges.
func (t *stateTx) Member(room id.RoomID, user id.UserID) (m state.Member, found bool, err error) {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return m, false, err
	}
	key, err := t.key(domainStateUser, string(user))
	if err != nil {
		return m, false, err
	}
	return t.oneMember(selectMember, n, key)
}

// onlyMember is Member for an operation that does nothing else.
func (t *stateTx) onlyMember(room id.RoomID, user id.UserID) (m state.Member, found bool, err error) {
	roomKey, err := t.key(domainStateRoom, string(room))
	if err != nil {
		return m, false, err
	}
	key, err := t.key(domainStateUser, string(user))
	if err != nil {
		return m, false, err
	}
	return t.oneMember(selectMemberAt, roomKey, key)
}

func (t *stateTx) oneMember(query string, args ...any) (m state.Member, found bool, err error) {
	var stored memberRow
	err = t.c.QueryRow(t.ctx, query, args...).Scan(&stored.stripped, &stored.row, &stored.data)
	if errors.Is(err, sqlite.ErrNoRows) {
		return m, false, nil
	}
	if err == nil {
		m, err = t.openMember(stored)
	}
	return m, err == nil, err
}

// memberRow is a member who was not opened yet.
type memberRow struct {
	n         int64
	stripped  bool
	row, data []byte
}

func (t *stateTx) openMember(stored memberRow) (m state.Member, err error) {
	at := dataPlace("member", stored.row)
	plain, err := t.codec.Open(at, stored.data)
	if err != nil {
		return m, err
	}
	if m, err = parseMember(plain, stored.stripped); err != nil {
		return m, damaged(at, err)
	}
	return m, nil
}

// memberRows returns members in the order of first storing, from behind one of them on, and at most so many; all for less than 1.
func (t *stateTx) memberRows(n int64, filter state.Memberships, after int64, limit int) (rows []memberRow, err error) {
	if limit < 1 {
		limit = -1
	}
	sets := single(filter)
	for _, membership := range sets {
		for r, err := range t.c.Rows(t.ctx, selectMembers, n, membership, after, limit) {
			if err != nil {
				return nil, err
			}
			var row memberRow
			if err := r.Scan(&row.n, &row.stripped, &row.row, &row.data); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
	}
	if len(sets) > 1 {
		slices.SortFunc(rows, func(a, b memberRow) int { return cmp.Compare(a.n, b.n) })
	}
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
	}
	return rows, nil
}

func (t *stateTx) openMembers(rows []memberRow) (members []state.Member, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	members = make([]state.Member, len(rows))
	for i, row := range rows {
		if members[i], err = t.openMember(row); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// Members is a step of SaveChanges.
func (t *stateTx) Members(room id.RoomID, filter state.Memberships, n int) (members []state.Member, err error) {
	if n < 1 {
		return nil, nil
	}
	err = t.inRoom(room, func(t *stateTx, number int64) error {
		rows, err := t.memberRows(number, filter, 0, n)
		if err != nil {
			return err
		}
		members, err = t.openMembers(rows)
		return err
	})
	return members, err
}

// CountMembers is a step of SaveChanges.
func (t *stateTx) CountMembers(room id.RoomID, filter state.Memberships) (count int64, err error) {
	err = t.inRoom(room, func(t *stateTx, n int64) error {
		for _, membership := range single(filter) {
			some, err := t.number(countMembers, n, membership)
			if err != nil {
				return err
			}
			count += some
		}
		return nil
	})
	return count, err
}

// Member returns a member; see state.Members.
func (s StateData) Member(ctx context.Context, room id.RoomID, user id.UserID) (m state.Member, found bool, err error) {
	err = s.read(ctx, func(t *stateTx) error {
		m, found, err = t.onlyMember(room, user)
		return err
	})
	return m, found, s.failed("get a member", err)
}

// UserIDs returns who the members are; see state.Members.
func (s StateData) UserIDs(ctx context.Context, room id.RoomID, filter state.Memberships) (users []id.UserID, err error) {
	err = s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		rows, err := t.memberRows(n, filter, 0, 0)
		if err != nil || len(rows) == 0 {
			return err
		}
		users = make([]id.UserID, len(rows))
		for i, row := range rows {
			at := dataPlace("member", row.row)
			plain, err := t.codec.Open(at, row.data)
			if err != nil {
				return err
			}
			if users[i], err = memberUser(plain); err != nil {
				return damaged(at, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.failed("get the users of a room", err)
	}
	return users, nil
}

// memberList is the list that a cursor of Members belongs to.
const memberList = 'm'

// Members returns a page of members; see state.Members.
func (s StateData) Members(ctx context.Context, room id.RoomID, filter state.Memberships, page state.Page) (members state.MemberPage, err error) {
	question, after := state.MembersQuestion(room, filter), int64(0)
	if page.After != "" {
		_, numbers, err := page.After.Parse(memberList, question, 1)
		if err != nil {
			return members, s.failed("get members", err)
		}
		after = numbers[0]
	}
	err = s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		limit := 0
		if page.Limit > 0 {
			limit = page.Limit + 1
		}
		rows, err := t.memberRows(n, filter, after, limit)
		if err != nil {
			return err
		}
		if page.Limit > 0 && len(rows) > page.Limit {
			rows = rows[:page.Limit]
			members.Next = state.MakeCursor(memberList, question, "", rows[page.Limit-1].n)
		}
		members.Members, err = t.openMembers(rows)
		return err
	})
	if err != nil {
		return state.MemberPage{}, s.failed("get members", err)
	}
	return members, nil
}

// RoomsOf returns the rooms of a user; see state.Members.
func (s StateData) RoomsOf(ctx context.Context, user id.UserID, filter state.Memberships) (rooms []id.RoomID, err error) {
	type place struct{ n, room int64 }
	err = s.view(ctx, func(t *stateTx) error {
		key, err := t.key(domainStateUser, string(user))
		if err != nil {
			return err
		}
		var places []place
		for _, membership := range single(filter) {
			some, err := sqlite.Collect(t.c.Rows(ctx, selectRoomsOf, key, membership), func(r *sqlite.Row) (p place, err error) {
				err = r.Scan(&p.n, &p.room)
				return p, err
			})
			if err != nil {
				return err
			}
			places = append(places, some...)
		}
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.n, b.n) })
		for _, p := range places {
			room, err := t.roomName(p.room)
			if err != nil {
				return err
			}
			rooms = append(rooms, room)
		}
		return nil
	})
	if err != nil {
		return nil, s.failed("get the rooms of a user", err)
	}
	return rooms, nil
}

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
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// State events: state.StateEvents. Members, which come from them, are in state_members.go.

const (
	upsertState = `INSERT INTO state (room, type, key, stripped, event, row, data) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (room, type, key) DO UPDATE SET stripped = excluded.stripped, event = excluded.event, row = excluded.row, data = excluded.data`

	selectState = `SELECT n, stripped, row, data FROM state WHERE room = ? AND type = ? AND key = ?`
	// The same for a transaction that asks for nothing else: one statement instead of three.
	selectStateAt = `SELECT n, stripped, row, data FROM state
		WHERE room = (SELECT id FROM room_id WHERE key = ?) AND type = (SELECT id FROM type WHERE key = ?) AND key = ?`

	selectStates    = `SELECT n, stripped, row, data FROM state WHERE room = ? AND type = ?`
	selectStateByID = `SELECT n, stripped, row, data FROM state WHERE room = ? AND event = ?`

	selectStateKeys = `WITH ` + codec.Listed + ` SELECT listed.n, stripped, row, data FROM listed
		CROSS JOIN state ON state.room = ? AND state.type = ? AND state.key = listed.key`

	removeStripped        = `DELETE FROM state WHERE room = ? AND stripped = 1`
	removeReal            = `DELETE FROM state WHERE room = ? AND stripped = 0`
	removeStrippedMembers = `DELETE FROM member WHERE room = ? AND stripped = 1`
	removeRealMembers     = `DELETE FROM member WHERE room = ? AND stripped = 0`
)

// keyDomain is the domain of the state keys of a type. That of member events is the one of members: the event is found by its member, and hashed once.
func keyDomain(eventType string) string {
	if eventType == event.StateMember.Type {
		return domainStateUser
	}
	return domainStateKey
}

// PutState is a step of SaveChanges.
func (t *stateTx) PutState(room id.RoomID, e state.StateEvent, eventID id.EventID) error {
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	number, err := t.makeType(stateType, e.Type)
	if err != nil {
		return err
	}
	key, err := t.key(keyDomain(e.Type), e.StateKey)
	if err != nil {
		return err
	}
	if e.Stripped {
		eventID = ""
	}
	evt, err := t.optional(domainStateEvent, string(eventID))
	if err != nil {
		return err
	}
	t.record = appendState(t.record[:0], &e)
	row, data, err := t.seal("state", "data", t.record)
	if err != nil {
		return err
	}
	_, err = t.c.Exec(t.ctx, upsertState, n, number, key, e.Stripped, evt, row, data)
	return err
}

// numberedState is a state event with a number by which a list is ordered.
type numberedState struct {
	n int64
	state.StateEvent
}

func (t *stateTx) scanState(r interface{ Scan(...any) error }) (e numberedState, err error) {
	var stripped bool
	var row, data []byte
	if err = r.Scan(&e.n, &stripped, &row, &data); err != nil {
		return e, err
	}
	at := dataPlace("state", row)
	plain, err := t.codec.Open(at, data)
	if err != nil {
		return e, err
	}
	if e.StateEvent, err = parseState(plain, stripped); err != nil {
		err = damaged(at, err)
	}
	return e, err
}

func (t *stateTx) oneState(query string, args ...any) (state.StateEvent, bool, error) {
	e, err := t.scanState(t.c.QueryRow(t.ctx, query, args...))
	if errors.Is(err, sqlite.ErrNoRows) {
		return state.StateEvent{}, false, nil
	}
	return e.StateEvent, err == nil, err
}

// states returns the events of a query, in the order of their numbers.
func (t *stateTx) states(query string, args ...any) (events []state.StateEvent, err error) {
	all, err := sqlite.Collect(t.c.Rows(t.ctx, query, args...), func(r *sqlite.Row) (numberedState, error) { return t.scanState(r) })
	if err != nil || len(all) == 0 {
		return nil, err
	}
	slices.SortFunc(all, func(a, b numberedState) int { return cmp.Compare(a.n, b.n) })
	events = make([]state.StateEvent, len(all))
	for i := range all {
		events[i] = all[i].StateEvent
	}
	return events, nil
}

// onlyStateEvent is StateEvent for a transaction that does nothing else.
func (t *stateTx) onlyStateEvent(room id.RoomID, eventType, stateKey string) (e state.StateEvent, found bool, err error) {
	roomKey, typeKey, key, err := t.stateKeys(room, eventType, stateKey)
	if err != nil {
		return e, false, err
	}
	return t.oneState(selectStateAt, roomKey, typeKey, key)
}

// stateKeys returns what a state event is found by, as it is stored.
func (t *stateTx) stateKeys(room id.RoomID, eventType, stateKey string) (roomKey, typeKey, key []byte, err error) {
	if roomKey, err = t.key(domainStateRoom, string(room)); err == nil {
		typeKey, err = t.key(domainStateType, string(stateType)+eventType)
	}
	if err == nil {
		key, err = t.key(keyDomain(eventType), stateKey)
	}
	return roomKey, typeKey, key, err
}

// StateEvent is a step of SaveChanges.
func (t *stateTx) StateEvent(room id.RoomID, eventType, stateKey string) (e state.StateEvent, found bool, err error) {
	n, number, err := t.roomAndType(room, eventType)
	if err != nil || number == 0 {
		return e, false, err
	}
	key, err := t.key(keyDomain(eventType), stateKey)
	if err != nil {
		return e, false, err
	}
	return t.oneState(selectState, n, number, key)
}

// roomAndType returns the numbers of a room and of a type of state events; that of the type is 0 where one of them is not known.
func (t *stateTx) roomAndType(room id.RoomID, eventType string) (n, number int64, err error) {
	if n, err = t.room(room); err != nil || n == 0 {
		return 0, 0, err
	}
	number, err = t.typeNumber(stateType, eventType)
	return n, number, err
}

// StateByID is a step of SaveChanges.
func (t *stateTx) StateByID(room id.RoomID, evt id.EventID) (e state.StateEvent, found bool, err error) {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return e, false, err
	}
	key, err := t.key(domainStateEvent, string(evt))
	if err != nil {
		return e, false, err
	}
	return t.oneState(selectStateByID, n, key)
}

// RemoveState is a step of SaveChanges.
func (t *stateTx) RemoveState(room id.RoomID, stripped bool) error {
	return t.inRoom(room, func(t *stateTx, n int64) error {
		events, members := removeReal, removeRealMembers
		if stripped {
			events, members = removeStripped, removeStrippedMembers
		}
		if _, err := t.exec(events, n); err != nil {
			return err
		}
		_, err := t.exec(members, n)
		return err
	})
}

// StateEvent returns a state event; see state.StateEvents.
func (s StateData) StateEvent(ctx context.Context, room id.RoomID, eventType, stateKey string) (e state.StateEvent, found bool, err error) {
	err = s.read(ctx, func(t *stateTx) error {
		e, found, err = t.onlyStateEvent(room, eventType, stateKey)
		return err
	})
	return e, found, s.failed("get a state event", err)
}

// StateEvents returns the events of a type; see state.StateEvents.
func (s StateData) StateEvents(ctx context.Context, room id.RoomID, eventType string) (events []state.StateEvent, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		n, number, err := t.roomAndType(room, eventType)
		if err != nil || number == 0 {
			return err
		}
		events, err = t.states(selectStates, n, number)
		return err
	})
	return events, s.failed("get state events", err)
}

// StateEventsForKeys returns the events of a type with these state keys; see state.StateEvents.
func (s StateData) StateEventsForKeys(ctx context.Context, room id.RoomID, eventType string, stateKeys []string) (events []state.StateEvent, err error) {
	if len(stateKeys) == 0 {
		return nil, s.failed("get state events by their keys", s.admitted(ctx))
	}
	err = s.view(ctx, func(t *stateTx) error {
		n, number, err := t.roomAndType(room, eventType)
		if err != nil || number == 0 {
			return err
		}
		list, err := codec.KeyList(t.codec, keyDomain(eventType), once(stateKeys))
		if err != nil {
			return err
		}
		events, err = t.states(selectStateKeys, list, n, number)
		return err
	})
	return events, s.failed("get state events by their keys", err)
}

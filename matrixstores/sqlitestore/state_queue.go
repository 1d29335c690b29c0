package sqlitestore

import (
	"context"
	"slices"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// What is yet to be sent: state.SendQueue and state.DependentQueue.

const (
	insertRequest = `INSERT INTO send_queue (room, txn, priority, created, row, content, error) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room, txn) DO NOTHING`
	updateRequest = `UPDATE send_queue SET row = ?, content = ?, error = NULL WHERE room = ? AND txn = ?`
	removeRequest = `DELETE FROM send_queue WHERE room = ? AND txn = ?`
	selectQueue   = `SELECT priority, created, row, content, error FROM send_queue WHERE room = ? ORDER BY priority DESC, n`
	selectRequest = `SELECT n, row FROM send_queue WHERE room = ? AND txn = ?`
	setError      = `UPDATE send_queue SET error = ? WHERE n = ?`

	// From one room that has requests to the next, past all that each has.
	selectQueueRooms = `WITH RECURSIVE queue (room) AS (
			SELECT min(room) FROM send_queue
			UNION ALL SELECT (SELECT min(send_queue.room) FROM send_queue WHERE send_queue.room > queue.room) FROM queue WHERE queue.room IS NOT NULL
		) SELECT room_id.row, room_id.name FROM queue CROSS JOIN room_id ON room_id.id = queue.room`

	insertDependent  = `INSERT INTO dependent (room, txn, parent, created, row, content, key) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room, txn) DO NOTHING`
	selectDependents = `SELECT created, row, content, key FROM dependent WHERE room = ? ORDER BY n`
	selectDependent  = `SELECT n, row, content FROM dependent WHERE room = ? AND txn = ?`
	selectWaiting    = `SELECT n, row FROM dependent WHERE room = ? AND parent = ?`
	setDependent     = `UPDATE dependent SET content = ? WHERE n = ?`
	setDependentKey  = `UPDATE dependent SET key = ? WHERE n = ?`
	removeDependent  = `DELETE FROM dependent WHERE room = ? AND txn = ?`
)

// checkStateRoom refuses what names no room.
func checkStateRoom(room id.RoomID) error {
	switch {
	case room == "":
		return state.ErrNoRoomID
	case !utf8.ValidString(string(room)):
		return state.ErrNotUTF8
	}
	return nil
}

// sealMore seals another value for a row that is there. A plain store's is not sealed.
func (t *stateTx) sealMore(table, column string, row, plain []byte) (any, error) {
	if plain == nil {
		return nil, nil
	}
	return t.codec.Seal(placeOf(table, column, row), plain)
}

// rowID is a seal's row for sealMore.
func rowID(row any) []byte {
	b, _ := row.([]byte)
	return b
}

// SaveRequest appends a request; see state.SendQueue.
func (s StateData) SaveRequest(ctx context.Context, room id.RoomID, r state.QueuedRequest) error {
	err := checkStateRoom(room)
	if err == nil {
		err = r.Check()
	}
	if err == nil {
		err = s.update(ctx, func(t *stateTx) error { return t.saveRequest(room, r) })
	}
	return s.failed("save a request", err)
}

func (t *stateTx) saveRequest(room id.RoomID, r state.QueuedRequest) error {
	request, err := state.MarshalRequest(r.Request)
	if err != nil {
		return err
	}
	reason, err := state.MarshalWedgeError(r.Error)
	if err != nil {
		return err
	}
	if r.CreatedAt == 0 {
		r.CreatedAt = t.now()
	}
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	txn, err := t.key(domainRequest, r.TransactionID)
	if err != nil {
		return err
	}
	t.record = appendTexts(t.record[:0], r.TransactionID, "", request)
	row, content, err := t.seal("send_queue", "content", t.record)
	if err != nil {
		return err
	}
	sealed, err := t.sealMore("send_queue", "error", rowID(row), reason)
	if err != nil {
		return err
	}
	changed, err := t.exec(insertRequest, n, txn, int64(r.Priority), r.CreatedAt, row, content, sealed)
	if err == nil && changed == 0 {
		return state.ErrDuplicate
	}
	return err
}

// UpdateRequest replaces what is to be sent; see state.SendQueue.
func (s StateData) UpdateRequest(ctx context.Context, room id.RoomID, transaction string, r state.Request) (updated bool, err error) {
	request, err := state.MarshalRequest(r)
	if err == nil {
		err = s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
			txn, err := t.key(domainRequest, transaction)
			if err != nil {
				return err
			}
			t.record = appendTexts(t.record[:0], transaction, "", request)
			row, content, err := t.seal("send_queue", "content", t.record)
			if err != nil {
				return err
			}
			changed, err := t.exec(updateRequest, row, content, n, txn)
			updated = changed > 0
			return err
		})
	}
	return updated && err == nil, s.failed("update a request", err)
}

// RemoveRequest removes a request; see state.SendQueue.
func (s StateData) RemoveRequest(ctx context.Context, room id.RoomID, transaction string) (removed bool, err error) {
	err = s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
		removed, err = t.removeBy(removeRequest, n, domainRequest, transaction)
		return err
	})
	return removed && err == nil, s.failed("remove a request", err)
}

// removeBy removes a row of a room by its key.
func (t *stateTx) removeBy(query string, n int64, domain, key string) (removed bool, err error) {
	k, err := t.key(domain, key)
	if err != nil {
		return false, err
	}
	changed, err := t.exec(query, n, k)
	return changed > 0, err
}

// Requests returns the queue of a room; see state.SendQueue.
func (s StateData) Requests(ctx context.Context, room id.RoomID) (queue []state.QueuedRequest, err error) {
	err = s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		queue, err = sqlite.Collect(t.c.Rows(ctx, selectQueue, n), t.scanRequest)
		return err
	})
	if err != nil {
		return nil, s.failed("get the requests of a room", err)
	}
	return queue, nil
}

func (t *stateTx) scanRequest(r *sqlite.Row) (q state.QueuedRequest, err error) {
	var row, content, reason []byte
	if err = r.Scan(&q.Priority, &q.CreatedAt, &row, &content, &reason); err != nil {
		return q, err
	}
	at := placeOf("send_queue", "content", row)
	plain, err := t.codec.Open(at, content)
	if err != nil {
		return q, err
	}
	var request []byte
	if q.TransactionID, _, request, err = parseTexts(plain); err == nil {
		q.Request, err = state.UnmarshalRequest(request)
	}
	if err != nil {
		return q, damaged(at, err)
	}
	if reason == nil {
		return q, nil
	}
	at = placeOf("send_queue", "error", row)
	if plain, err = t.codec.Open(at, reason); err != nil {
		return q, err
	}
	if q.Error, err = state.UnmarshalWedgeError(plain); err != nil {
		return q, damaged(at, err)
	}
	return q, nil
}

// SetRequestError says why a request cannot be sent; see state.SendQueue.
func (s StateData) SetRequestError(ctx context.Context, room id.RoomID, transaction string, reason state.WedgeError) error {
	plain, err := state.MarshalWedgeError(reason)
	if err == nil {
		err = s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
			txn, err := t.key(domainRequest, transaction)
			if err != nil {
				return err
			}
			number, row, err := t.find(selectRequest, n, txn)
			if err != nil || number == 0 {
				return err
			}
			sealed, err := t.sealMore("send_queue", "error", row, plain)
			if err != nil {
				return err
			}
			_, err = t.exec(setError, sealed, number)
			return err
		})
	}
	return s.failed("set the error of a request", err)
}

// find returns the number and the id of a row; the number is 0 where there is none.
func (t *stateTx) find(query string, args ...any) (n int64, row []byte, err error) {
	for r, err := range t.c.Rows(t.ctx, query, args...) {
		if err != nil {
			return 0, nil, err
		}
		err = r.Scan(&n, &row)
		return n, row, err
	}
	return n, row, nil
}

// RoomsWithRequests returns the rooms whose queues are not empty; see state.SendQueue.
func (s StateData) RoomsWithRequests(ctx context.Context) (rooms []id.RoomID, err error) {
	err = s.view(ctx, func(t *stateTx) error {
		rooms, err = t.roomNames(selectQueueRooms)
		return err
	})
	if err != nil {
		return nil, s.failed("get the rooms with requests", err)
	}
	slices.Sort(rooms)
	return rooms, nil
}

// SaveDependent appends a request; see state.DependentQueue.
func (s StateData) SaveDependent(ctx context.Context, room id.RoomID, r state.DependentRequest) error {
	err := checkStateRoom(room)
	if err == nil {
		err = r.Check()
	}
	if err == nil {
		err = s.update(ctx, func(t *stateTx) error { return t.saveDependent(room, r) })
	}
	return s.failed("save a dependent request", err)
}

func (t *stateTx) saveDependent(room id.RoomID, r state.DependentRequest) error {
	dependent, err := state.MarshalDependent(r.Dependent)
	if err != nil {
		return err
	}
	var sent []byte
	if r.ParentKey != nil {
		if sent, err = state.MarshalSentKey(r.ParentKey); err != nil {
			return err
		}
	}
	if r.CreatedAt == 0 {
		r.CreatedAt = t.now()
	}
	n, err := t.makeRoom(room)
	if err != nil {
		return err
	}
	txn, err := t.key(domainDependent, r.TransactionID)
	if err != nil {
		return err
	}
	parent, err := t.key(domainParent, r.Parent)
	if err != nil {
		return err
	}
	t.record = appendTexts(t.record[:0], r.TransactionID, r.Parent, dependent)
	row, content, err := t.seal("dependent", "content", t.record)
	if err != nil {
		return err
	}
	key, err := t.sealMore("dependent", "key", rowID(row), sent)
	if err != nil {
		return err
	}
	changed, err := t.exec(insertDependent, n, txn, parent, r.CreatedAt, row, content, key)
	if err == nil && changed == 0 {
		return state.ErrDuplicate
	}
	return err
}

// MarkDependentsReady tells those that depend on a request what it has become; see state.DependentQueue.
func (s StateData) MarkDependentsReady(ctx context.Context, room id.RoomID, parent string, key state.SentKey) (count int, err error) {
	sent, err := state.MarshalSentKey(key)
	if err == nil {
		err = s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
			count, err = t.markReady(n, parent, sent)
			return err
		})
	}
	if err != nil {
		return 0, s.failed("mark dependent requests as ready", err)
	}
	return count, nil
}

func (t *stateTx) markReady(room int64, parent string, sent []byte) (count int, err error) {
	type waiting struct {
		n   int64
		row []byte
	}
	key, err := t.key(domainParent, parent)
	if err != nil {
		return 0, err
	}
	all, err := sqlite.Collect(t.c.Rows(t.ctx, selectWaiting, room, key), func(r *sqlite.Row) (w waiting, err error) {
		err = r.Scan(&w.n, &w.row)
		return w, err
	})
	if err != nil {
		return 0, err
	}
	for _, w := range all {
		sealed, err := t.sealMore("dependent", "key", w.row, sent)
		if err != nil {
			return 0, err
		}
		if _, err := t.exec(setDependentKey, sealed, w.n); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// UpdateDependent replaces what is to be done; see state.DependentQueue.
func (s StateData) UpdateDependent(ctx context.Context, room id.RoomID, own string, d state.Dependent) (updated bool, err error) {
	dependent, err := state.MarshalDependent(d)
	if err == nil {
		err = s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
			updated, err = t.updateDependent(n, own, dependent)
			return err
		})
	}
	return updated && err == nil, s.failed("update a dependent request", err)
}

func (t *stateTx) updateDependent(room int64, own string, dependent []byte) (updated bool, err error) {
	key, err := t.key(domainDependent, own)
	if err != nil {
		return false, err
	}
	var n int64
	var row, content []byte
	found := false
	for r, err := range t.c.Rows(t.ctx, selectDependent, room, key) {
		if err != nil {
			return false, err
		}
		if err := r.Scan(&n, &row, &content); err != nil {
			return false, err
		}
		found = true
	}
	if !found {
		return false, nil
	}
	at := placeOf("dependent", "content", row)
	plain, err := t.codec.Open(at, content)
	if err != nil {
		return false, err
	}
	_, parent, _, err := parseTexts(plain)
	if err != nil {
		return false, damaged(at, err)
	}
	sealed, err := t.codec.Seal(at, appendTexts(nil, own, parent, dependent))
	if err != nil {
		return false, err
	}
	_, err = t.exec(setDependent, sealed, n)
	return err == nil, err
}

// RemoveDependent removes a request; see state.DependentQueue.
func (s StateData) RemoveDependent(ctx context.Context, room id.RoomID, own string) (removed bool, err error) {
	err = s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
		removed, err = t.removeBy(removeDependent, n, domainDependent, own)
		return err
	})
	return removed && err == nil, s.failed("remove a dependent request", err)
}

// Dependents returns those of a room; see state.DependentQueue.
func (s StateData) Dependents(ctx context.Context, room id.RoomID) (queue []state.DependentRequest, err error) {
	err = s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		queue, err = sqlite.Collect(t.c.Rows(ctx, selectDependents, n), t.scanDependent)
		return err
	})
	if err != nil {
		return nil, s.failed("get the dependent requests of a room", err)
	}
	return queue, nil
}

func (t *stateTx) scanDependent(r *sqlite.Row) (d state.DependentRequest, err error) {
	var row, content, key []byte
	if err = r.Scan(&d.CreatedAt, &row, &content, &key); err != nil {
		return d, err
	}
	at := placeOf("dependent", "content", row)
	plain, err := t.codec.Open(at, content)
	if err != nil {
		return d, err
	}
	var dependent []byte
	if d.TransactionID, d.Parent, dependent, err = parseTexts(plain); err == nil {
		d.Dependent, err = state.UnmarshalDependent(dependent)
	}
	if err != nil {
		return d, damaged(at, err)
	}
	if key == nil {
		return d, nil
	}
	at = placeOf("dependent", "key", row)
	if plain, err = t.codec.Open(at, key); err != nil {
		return d, err
	}
	if d.ParentKey, err = state.UnmarshalSentKey(plain); err != nil {
		return d, damaged(at, err)
	}
	return d, nil
}

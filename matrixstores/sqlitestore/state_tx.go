package sqlitestore

import (
	"context"
	"encoding/binary"
	"errors"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// How rows of the state store are found, opened and sealed. Room ids, and types that
// many rows share, become small numbers once for each transaction. Every kind of id is hashed in a domain of its own.

const (
	domainStateRoom    = "state.room"
	domainStateType    = "state.type"
	domainStateKey     = "state.key"
	domainStateUser    = "state.user"
	domainStateEvent   = "state.event"
	domainStateName    = "state.name"
	domainReceiptUser  = "state.receipt.user"
	domainReceiptEvent = "state.receipt.event"
	domainThread       = "state.thread"
	domainProfile      = "state.profile"
	domainProfileEvent = "state.profile.event"
	domainRequest      = "state.request"
	domainDependent    = "state.dependent"
	domainParent       = "state.parent"
	domainRoot         = "state.root"

	selectRoomID   = `SELECT id FROM room_id WHERE key = ?`
	selectRoomName = `SELECT row, name FROM room_id WHERE id = ?`
	insertRoomID   = `INSERT INTO room_id (key, row, name) VALUES (?, ?, ?)`
	selectType     = `SELECT id FROM type WHERE key = ?`
	insertType     = `INSERT INTO type (key) VALUES (?)`
)

// The kinds of types, which are in one table.
const (
	stateType   = 's'
	accountType = 'a'
	receiptType = 'r'
)

// stateTx is one transaction on the state store, with the numbers that it has found. It is the state.Tx of SaveChanges.
type stateTx struct {
	codec *codec.Codec
	now   func() int64
	ctx   context.Context
	c     *sqlite.Conn

	rooms map[id.RoomID]int64
	types map[string]int64

	rowID [16]byte // of the last row that was sealed

	arena   []byte // hashes are made here, one after another
	scratch []byte // what is hashed
	record  []byte // what is sealed
	sealed  []byte
}

var _ state.Tx = (*stateTx)(nil)

func (s StateData) tx(ctx context.Context, c *sqlite.Conn) *stateTx {
	return &stateTx{codec: s.codec, now: s.now, ctx: ctx, c: c}
}

func (s StateData) view(ctx context.Context, fn func(*stateTx) error) error {
	return s.db.View(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

// read is view for what asks one statement: that is a transaction by itself.
func (s StateData) read(ctx context.Context, fn func(*stateTx) error) error {
	if db, ok := s.db.(interface {
		Read(context.Context, func(*sqlite.Conn) error) error
	}); ok {
		return db.Read(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
	}
	return s.view(ctx, fn) // a part of a transaction that is open
}

func (s StateData) update(ctx context.Context, fn func(*stateTx) error) error {
	return s.db.Update(ctx, func(c *sqlite.Conn) error {
		t := s.tx(ctx, c)
		if s.grown.Load() { // what has failed could not do it itself
			if err := s.shrink(t); err != nil {
				return err
			}
		}
		return fn(t)
	})
}

// admitted returns the error of an operation that a pause would refuse, for
// those that find nothing to do in the database.
func (s StateData) admitted(ctx context.Context) error {
	return s.view(ctx, func(*stateTx) error { return nil })
}

// viewRoom calls fn with the number of a room, and does not where that is not known.
func (s StateData) viewRoom(ctx context.Context, room id.RoomID, fn func(t *stateTx, n int64) error) error {
	return s.view(ctx, func(t *stateTx) error { return t.inRoom(room, fn) })
}

// updateRoom is viewRoom for what writes.
func (s StateData) updateRoom(ctx context.Context, room id.RoomID, fn func(t *stateTx, n int64) error) error {
	return s.update(ctx, func(t *stateTx) error { return t.inRoom(room, fn) })
}

func (t *stateTx) inRoom(room id.RoomID, fn func(t *stateTx, n int64) error) error {
	n, err := t.room(room)
	if err != nil || n == 0 {
		return err
	}
	return fn(t, n)
}

// key is Codec.Key without an allocation for each.
func (t *stateTx) key(domain, s string) ([]byte, error) {
	if need := len(s) + secret.HashSize; cap(t.arena)-len(t.arena) < need {
		t.arena = make([]byte, 0, max(need, min(4096, max(128, 2*cap(t.arena)))))
	}
	t.scratch = append(t.scratch[:0], s...)
	from := len(t.arena)
	var err error
	if t.arena, err = t.codec.AppendKey(t.arena, domain, t.scratch); err != nil {
		t.arena = t.arena[:from]
		return nil, err
	}
	return t.arena[from:len(t.arena):len(t.arena)], nil
}

// optional is key for what may be missing: it returns nil, for NULL, where it is.
func (t *stateTx) optional(domain, s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	return t.key(domain, s)
}

// number runs a query for one number, which is 0 where there is no row.
func (t *stateTx) number(query string, args ...any) (n int64, err error) {
	err = t.c.QueryRow(t.ctx, query, args...).Scan(&n)
	if errors.Is(err, sqlite.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// exec runs a statement, and returns how many rows it has changed.
func (t *stateTx) exec(query string, args ...any) (changed int64, err error) {
	r, err := t.c.Exec(t.ctx, query, args...)
	return r.RowsAffected, err
}

// room returns the number of a room, 0 where it is not known.
func (t *stateTx) room(room id.RoomID) (int64, error) {
	if n := t.rooms[room]; n != 0 {
		return n, nil
	}
	key, err := t.key(domainStateRoom, string(room))
	if err != nil {
		return 0, err
	}
	n, err := t.number(selectRoomID, key)
	if n != 0 {
		t.knowRoom(room, n)
	}
	return n, err
}

func (t *stateTx) knowRoom(room id.RoomID, n int64) {
	if t.rooms == nil {
		t.rooms = map[id.RoomID]int64{}
	}
	t.rooms[room] = n
}

// makeRoom is room, and makes it known.
func (t *stateTx) makeRoom(room id.RoomID) (int64, error) {
	n, err := t.room(room)
	if err != nil || n != 0 {
		return n, err
	}
	key, err := t.key(domainStateRoom, string(room))
	if err != nil {
		return 0, err
	}
	row, name, err := t.seal("room_id", "name", []byte(room))
	if err != nil {
		return 0, err
	}
	r, err := t.c.Exec(t.ctx, insertRoomID, key, row, name)
	if err != nil {
		return 0, err
	}
	t.knowRoom(room, r.LastInsertID)
	return r.LastInsertID, nil
}

// roomName returns the id of a room with a number.
func (t *stateTx) roomName(n int64) (id.RoomID, error) {
	var row, name []byte
	if err := t.c.QueryRow(t.ctx, selectRoomName, n).Scan(&row, &name); err != nil {
		return "", err
	}
	return t.openRoomName(row, name)
}

func (t *stateTx) openRoomName(row, name []byte) (id.RoomID, error) {
	plain, err := t.codec.Open(placeOf("room_id", "name", row), name)
	return id.RoomID(plain), err
}

// typeNumber returns the number of a type, 0 where it is not known.
func (t *stateTx) typeNumber(kind byte, name string) (int64, error) {
	known := string(kind) + name
	if n := t.types[known]; n != 0 {
		return n, nil
	}
	key, err := t.key(domainStateType, known)
	if err != nil {
		return 0, err
	}
	n, err := t.number(selectType, key)
	if n != 0 {
		t.knowType(known, n)
	}
	return n, err
}

// makeType is typeNumber, and makes it known.
func (t *stateTx) makeType(kind byte, name string) (int64, error) {
	n, err := t.typeNumber(kind, name)
	if err != nil || n != 0 {
		return n, err
	}
	known := string(kind) + name
	key, err := t.key(domainStateType, known)
	if err != nil {
		return 0, err
	}
	r, err := t.c.Exec(t.ctx, insertType, key)
	if err != nil {
		return 0, err
	}
	t.knowType(known, r.LastInsertID)
	return r.LastInsertID, nil
}

func (t *stateTx) knowType(known string, n int64) {
	if t.types == nil {
		t.types = map[string]int64{}
	}
	t.types[known] = n
}

// seal returns what is stored for a value, and the id of the row for which it is sealed: a new one, also where
// the row replaces another. A plain store needs none. The value is good until the next one is sealed.
func (t *stateTx) seal(table, column string, plain []byte) (row any, sealed []byte, err error) {
	if !t.codec.Encrypted() {
		sealed, err = t.codec.Seal(secret.Place{}, plain)
		return nil, sealed, err
	}
	id := t.newRow()
	t.sealed, err = t.codec.AppendSeal(t.sealed[:0], placeOf(table, column, id), plain)
	return id, t.sealed, err
}

// newRow returns the id of a row. The rows of one transaction follow each other, and one transaction another: so the index
// of the ids grows at its end, instead of everywhere. That none is used twice is up to the random half, of each transaction.
func (t *stateTx) newRow() []byte {
	if t.rowID == ([16]byte{}) {
		t.rowID = secret.NewRowID()
		binary.BigEndian.PutUint64(t.rowID[:8], uint64(t.now())<<20)
	} else {
		binary.BigEndian.PutUint64(t.rowID[:8], binary.BigEndian.Uint64(t.rowID[:8])+1)
	}
	id := t.rowID
	return id[:]
}

// put seals a value, and runs a statement whose first parameters are row and data.
func (t *stateTx) put(table, query string, plain []byte, args ...any) error {
	row, data, err := t.seal(table, "data", plain)
	if err != nil {
		return err
	}
	all := make([]any, 0, 8)
	all = append(append(all, row, data), args...)
	_, err = t.c.Exec(t.ctx, query, all...)
	return err
}

func dataPlace(table string, row []byte) secret.Place { return placeOf(table, "data", row) }

// one runs a query for the row and data of one row, and opens them.
func (t *stateTx) one(table, query string, args ...any) (plain []byte, at secret.Place, found bool, err error) {
	var row, data []byte
	err = t.c.QueryRow(t.ctx, query, args...).Scan(&row, &data)
	if errors.Is(err, sqlite.ErrNoRows) {
		return nil, at, false, nil
	}
	if err == nil {
		at = dataPlace(table, row)
		plain, err = t.codec.Open(at, data)
	}
	return plain, at, err == nil, err
}

// each runs a query for rows of n, row and data, and calls fn with each, opened.
func (t *stateTx) each(table, query string, fn func(n int64, plain []byte, at secret.Place) error, args ...any) error {
	return t.c.Each(t.ctx, query, func(r *sqlite.Row) error {
		var n int64
		var row, data []byte
		if err := r.Scan(&n, &row, &data); err != nil {
			return err
		}
		at := dataPlace(table, row)
		plain, err := t.codec.Open(at, data)
		if err != nil {
			return err
		}
		return fn(n, plain, at)
	}, args...)
}

// once returns the keys without those that are there already.
func once[K comparable](keys []K) []K {
	seen := make(map[K]struct{}, len(keys))
	out := make([]K, 0, len(keys))
	for _, k := range keys {
		if _, there := seen[k]; !there {
			seen[k] = struct{}{}
			out = append(out, k)
		}
	}
	return out
}

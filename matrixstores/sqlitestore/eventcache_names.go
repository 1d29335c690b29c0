package sqlitestore

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// How rooms, linked chunks, events and names are found: by what is stored for their
// ids, which become small numbers once for each transaction. Every kind of id is
// hashed in a domain of its own, so that an encrypted file does not tell that an
// event is the one that another one relates to.

const (
	domainRoom    = "eventcache.room"
	domainList    = "eventcache.list"
	domainEvent   = "eventcache.event"
	domainRelates = "eventcache.relates_to"
	domainSession = "eventcache.session"
	domainName    = "eventcache.name"

	selectRoom = `SELECT id FROM room WHERE key = ?`
	insertRoom = `INSERT INTO room (key, name, row) VALUES (?, ?, ?)`
	selectList = `SELECT id, room FROM list WHERE key = ?`
	insertList = `INSERT INTO list (room, kind, key, name, row) VALUES (?, ?, ?, ?, ?)`
	selectName = `SELECT id FROM name WHERE key = ?`
	insertName = `INSERT INTO name (key) VALUES (?)`
)

// Names of events' and of relations' types are in one table.
const (
	typeName     = 't'
	relationName = 'r'
)

func placeOf(table, column string, row []byte) secret.Place {
	return secret.Place{Table: table, Column: column, Row: row}
}

// tx is one transaction on the events, and the numbers that it has found.
type tx struct {
	Events
	ctx   context.Context
	c     *sqlite.Conn
	names map[name]any // numbers, as arguments
	saver saver
}

func (s Events) view(ctx context.Context, fn func(*tx) error) error {
	return s.db.View(ctx, func(c *sqlite.Conn) error { return fn(&tx{Events: s, ctx: ctx, c: c}) })
}

func (s Events) update(ctx context.Context, fn func(*tx) error) error {
	return s.db.Update(ctx, func(c *sqlite.Conn) error { return fn(&tx{Events: s, ctx: ctx, c: c}) })
}

// admitted returns the error of an operation that a pause would refuse, for
// those that find nothing to do in the database.
func (s Events) admitted(ctx context.Context) error {
	return s.view(ctx, func(*tx) error { return nil })
}

// number runs a query for one number, which is 0 where there is no row.
func (t *tx) number(query string, args ...any) (n int64, err error) {
	err = t.c.QueryRow(t.ctx, query, args...).Scan(&n)
	if errors.Is(err, sqlite.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// insert runs an INSERT and returns the number of the row.
func (t *tx) insert(query string, args ...any) (int64, error) {
	r, err := t.c.Exec(t.ctx, query, args...)
	return r.LastInsertID, err
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.c.Exec(t.ctx, query, args...)
	return err
}

// room returns the number of a room, 0 where it is not known.
func (t *tx) room(room id.RoomID) (int64, error) {
	key, err := t.codec.KeyString(domainRoom, string(room))
	if err != nil {
		return 0, err
	}
	return t.number(selectRoom, key)
}

// makeRoom is room, and makes it known.
func (t *tx) makeRoom(room id.RoomID) (int64, error) {
	n, err := t.room(room)
	if err != nil || n != 0 {
		return n, err
	}
	key, err := t.codec.KeyString(domainRoom, string(room))
	if err != nil {
		return 0, err
	}
	row := secret.NewRowID()
	name, err := t.codec.Seal(placeOf("room", "name", row[:]), []byte(room))
	if err != nil {
		return 0, err
	}
	return t.insert(insertRoom, key, name, row[:])
}

// list returns the numbers of a linked chunk and its room, 0 where it is not known.
func (t *tx) list(l eventcache.LinkedChunkID) (list, room int64, err error) {
	key, err := t.codec.Key(domainList, l.Key())
	if err != nil {
		return 0, 0, err
	}
	err = t.c.QueryRow(t.ctx, selectList, key).Scan(&list, &room)
	if errors.Is(err, sqlite.ErrNoRows) {
		return 0, 0, nil
	}
	return list, room, err
}

// makeList is list, and makes it known. A thread is remembered by that.
func (t *tx) makeList(l eventcache.LinkedChunkID) (list, room int64, err error) {
	if list, room, err = t.list(l); err != nil || list != 0 {
		return list, room, err
	}
	if room, err = t.makeRoom(l.Room); err != nil {
		return 0, 0, err
	}
	plain := l.Key()
	key, err := t.codec.Key(domainList, plain)
	if err != nil {
		return 0, 0, err
	}
	row := secret.NewRowID()
	name, err := t.codec.Seal(placeOf("list", "name", row[:]), plain)
	if err != nil {
		return 0, 0, err
	}
	list, err = t.insert(insertList, room, int64(l.Kind), key, name, row[:])
	return list, room, err
}

// listName opens the name of a linked chunk.
func (t *tx) listName(row, name []byte) (eventcache.LinkedChunkID, error) {
	at := placeOf("list", "name", row)
	plain, err := t.codec.Open(at, name)
	if err != nil {
		return eventcache.LinkedChunkID{}, err
	}
	l, err := eventcache.ParseKey(plain)
	if err != nil {
		return l, damaged(at, err)
	}
	return l, nil
}

// name is the name of a type.
type name struct {
	kind byte
	text string
}

// findName returns the number of a type's name, nil where it is not known.
func (t *tx) findName(kind byte, text string) (number any, err error) {
	if n := t.names[name{kind, text}]; n != nil {
		return n, nil
	}
	key, err := t.codec.KeyString(domainName, string(kind)+text)
	if err != nil {
		return nil, err
	}
	n, err := t.number(selectName, key)
	if err != nil || n == 0 {
		return nil, err
	}
	return t.know(kind, text, n), nil
}

// makeName is findName, and makes it known. It returns nil, for NULL, for an empty name.
func (t *tx) makeName(kind byte, text string) (number any, err error) {
	if text == "" {
		return nil, nil
	}
	number, err = t.findName(kind, text)
	if err != nil || number != nil {
		return number, err
	}
	key, err := t.codec.KeyString(domainName, string(kind)+text)
	if err != nil {
		return nil, err
	}
	n, err := t.insert(insertName, key)
	if err != nil {
		return nil, err
	}
	return t.know(kind, text, n), nil
}

func (t *tx) know(kind byte, text string, n int64) any {
	if t.names == nil {
		t.names = map[name]any{}
	}
	t.names[name{kind, text}] = n
	return n
}

// relationNames returns the numbers of these types of relations, without those that nothing has.
func (t *tx) relationNames(types []event.RelationType) (numbers []int64, err error) {
	for _, name := range types {
		n, err := t.findName(relationName, string(name))
		if err != nil {
			return nil, err
		}
		if n, known := n.(int64); known {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// optional returns what is stored for an id that may be missing: nil, for NULL, where it is.
func (t *tx) optional(domain, value string) (any, error) {
	if value == "" {
		return nil, nil
	}
	return t.codec.KeyString(domain, value)
}

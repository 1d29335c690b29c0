package sqlitestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// How updates are applied, each with its conditions: all updates of one call are
// one transaction, and the first that does not fit takes all of them back.

const (
	selectLink    = `SELECT previous, next, gap IS NOT NULL FROM chunk WHERE list = ? AND id = ?`
	selectLength  = `SELECT position + 1 FROM item WHERE list = ? AND chunk = ? ORDER BY position DESC LIMIT 1`
	selectIsEmpty = `SELECT NOT EXISTS (SELECT 1 FROM chunk WHERE list = ?)`
	insertLink    = `INSERT INTO chunk (list, id, previous, next, gap, row) VALUES (?, ?, ?, ?, ?, ?)`
	setNext       = `UPDATE chunk SET next = ? WHERE list = ? AND id = ?`
	setPrevious   = `UPDATE chunk SET previous = ? WHERE list = ? AND id = ?`
	unlinkChunk   = `DELETE FROM chunk WHERE list = ? AND id = ?`
	unlinkChunks  = `DELETE FROM chunk WHERE list = ?`
	insertItem    = `INSERT INTO item (list, chunk, position, event) VALUES (?, ?, ?, ?)`
	replaceItem   = `UPDATE item SET event = ? WHERE list = ? AND chunk = ? AND position = ?`
	deleteItem    = `DELETE FROM item WHERE list = ? AND chunk = ? AND position = ?`
	deleteFrom    = `DELETE FROM item WHERE list = ? AND chunk = ? AND position >= ?`
	deleteItems   = `DELETE FROM item WHERE list = ?`

	// Behind a removed item all move up: through negative numbers, since no two may meet.
	shiftAway = `UPDATE item SET position = -position WHERE list = ? AND chunk = ? AND position > ?`
	shiftBack = `UPDATE item SET position = -position - 1 WHERE list = ? AND chunk = ? AND position < 0`
)

// Apply applies updates; see eventcache.Chunks.
func (s Events) Apply(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	err := list.Check()
	switch {
	case err != nil:
	case len(updates) == 0:
		err = s.admitted(ctx)
	default:
		err = s.update(ctx, func(t *tx) error {
			a := applier{tx: t, list: list, chunks: map[eventcache.ChunkID]*chunkState{}}
			var err error
			if a.number, a.room, err = t.list(list); err != nil {
				return err
			}
			for i, u := range updates {
				if err := a.apply(u); err != nil {
					var refused *eventcache.UpdateError
					if errors.As(err, &refused) {
						refused.Number = i
					}
					return err
				}
			}
			return nil
		})
	}
	return s.failed("apply updates", err)
}

// applier is one Apply.
type applier struct {
	*tx
	list         eventcache.LinkedChunkID
	number, room int64                              // 0: the linked chunk is not known
	chunks       map[eventcache.ChunkID]*chunkState // those that were looked at, as they are by now
}

// chunkState is a chunk without what is in it.
type chunkState struct {
	previous, next eventcache.ChunkID
	gap            bool
	length         int
}

func refuseAt(u eventcache.Update, chunk eventcache.ChunkID, index int, err error) error {
	return &eventcache.UpdateError{Update: u.Name(), Chunk: chunk, Index: index, Err: err}
}

func (a *applier) apply(u eventcache.Update) error {
	switch u := u.(type) {
	case eventcache.NewItemsChunk:
		return a.link(u, u.Previous, u.New, u.Next, nil)
	case eventcache.NewGapChunk:
		return a.link(u, u.Previous, u.New, u.Next, &u.Gap)
	case eventcache.RemoveChunk:
		return a.remove(u)
	case eventcache.PushItems:
		return a.push(u)
	case eventcache.ReplaceItem:
		return a.replace(u)
	case eventcache.RemoveItem:
		c, err := a.at(u, u.At, 0)
		if err != nil {
			return err
		}
		c.length--
		return a.all(
			statement{deleteItem, []any{a.number, u.At.Chunk, u.At.Index}},
			statement{shiftAway, []any{a.number, u.At.Chunk, u.At.Index}},
			statement{shiftBack, []any{a.number, u.At.Chunk}})
	case eventcache.DetachLastItems:
		c, err := a.at(u, u.At, 1)
		if err != nil || c.length == u.At.Index {
			return err
		}
		c.length = u.At.Index
		return a.exec(deleteFrom, a.number, u.At.Chunk, u.At.Index)
	case eventcache.StartReattachItems, eventcache.EndReattachItems:
		return nil
	case eventcache.Clear:
		clear(a.chunks)
		return a.all(statement{deleteItems, []any{a.number}}, statement{unlinkChunks, []any{a.number}})
	default: // whose Name must not be called: it may be a nil pointer
		return &eventcache.UpdateError{Update: fmt.Sprintf("%T", u), Index: -1, Err: eventcache.ErrUpdate}
	}
}

type statement struct {
	query string
	args  []any
}

func (a *applier) all(statements ...statement) error {
	for _, s := range statements {
		if err := a.exec(s.query, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// chunk returns a chunk, nil where there is none.
func (a *applier) chunk(n eventcache.ChunkID) (*chunkState, error) {
	if c := a.chunks[n]; c != nil {
		return c, nil
	}
	if n == 0 || n > eventcache.MaxChunkID || a.number == 0 {
		return nil, nil
	}
	c := &chunkState{}
	var previous, next *eventcache.ChunkID
	err := a.c.QueryRow(a.ctx, selectLink, a.number, n).Scan(&previous, &next, &c.gap)
	if errors.Is(err, sqlite.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.previous, c.next = orNone(previous), orNone(next)
	length, err := a.tx.number(selectLength, a.number, n)
	if err != nil {
		return nil, err
	}
	c.length = int(length)
	a.chunks[n] = c
	return c, nil
}

func orNone(n *eventcache.ChunkID) eventcache.ChunkID {
	if n == nil {
		return 0
	}
	return *n
}

// orNull is what is stored for a neighbour.
func orNull(n eventcache.ChunkID) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

// link puts a new chunk between two neighbours.
func (a *applier) link(u eventcache.Update, previous, number, next eventcache.ChunkID, gap *eventcache.Gap) error {
	refuse := func(err error) error { return refuseAt(u, number, -1, err) }
	if number == 0 || number > eventcache.MaxChunkID {
		return refuse(eventcache.ErrChunkID)
	}
	there, err := a.chunk(number)
	if err != nil {
		return err
	}
	if there != nil {
		return refuse(eventcache.ErrChunkExists)
	}
	before, err1 := a.chunk(previous)
	behind, err2 := a.chunk(next)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	switch {
	case previous != 0 && before == nil, next != 0 && behind == nil:
		return refuse(eventcache.ErrUnknownChunk)
	case before != nil && before.next != next, behind != nil && behind.previous != previous:
		return refuse(eventcache.ErrLinks)
	case before == nil && behind == nil:
		if empty, err := a.tx.number(selectIsEmpty, a.number); err != nil {
			return err
		} else if empty == 0 {
			return refuse(eventcache.ErrLinks)
		}
	}
	if a.number == 0 {
		if a.number, a.room, err = a.makeList(a.list); err != nil {
			return err
		}
	}
	if before != nil {
		before.next = number
		if err := a.exec(setNext, int64(number), a.number, int64(previous)); err != nil {
			return err
		}
	}
	if behind != nil {
		behind.previous = number
		if err := a.exec(setPrevious, int64(number), a.number, int64(next)); err != nil {
			return err
		}
	}
	a.chunks[number] = &chunkState{previous: previous, next: next, gap: gap != nil}
	return a.insertChunk(a.number, number, previous, next, gap)
}

// insertChunk makes a chunk without items.
func (t *tx) insertChunk(list int64, number, previous, next eventcache.ChunkID, gap *eventcache.Gap) error {
	var row, token any
	if gap != nil {
		id := secret.NewRowID()
		sealed, err := t.codec.Seal(placeOf("chunk", "gap", id[:]), []byte(gap.Token))
		if err != nil {
			return err
		}
		row, token = id[:], sealed
	}
	return t.exec(insertLink, list, int64(number), orNull(previous), orNull(next), token, row)
}

// remove takes a chunk out of the chain.
func (a *applier) remove(u eventcache.RemoveChunk) error {
	c, err := a.chunk(u.Chunk)
	if err != nil {
		return err
	}
	if c == nil {
		return refuseAt(u, u.Chunk, -1, eventcache.ErrUnknownChunk)
	}
	delete(a.chunks, u.Chunk)
	if before := a.chunks[c.previous]; before != nil {
		before.next = c.next
	}
	if behind := a.chunks[c.next]; behind != nil {
		behind.previous = c.previous
	}
	return a.all(
		statement{deleteFrom, []any{a.number, int64(u.Chunk), 0}},
		statement{setNext, []any{orNull(c.next), a.number, int64(c.previous)}},
		statement{setPrevious, []any{orNull(c.previous), a.number, int64(c.next)}},
		statement{unlinkChunk, []any{a.number, int64(u.Chunk)}})
}

// at returns the chunk of a position that is at most so far behind its last item.
func (a *applier) at(u eventcache.Update, at eventcache.Position, beyond int) (*chunkState, error) {
	c, err := a.chunk(at.Chunk)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, refuseAt(u, at.Chunk, at.Index, eventcache.ErrUnknownChunk)
	case c.gap:
		return nil, refuseAt(u, at.Chunk, at.Index, eventcache.ErrChunkIsGap)
	case at.Index < 0 || at.Index >= c.length+beyond:
		return nil, refuseAt(u, at.Chunk, at.Index, eventcache.ErrPosition)
	}
	return c, nil
}

func (a *applier) push(u eventcache.PushItems) error {
	if len(u.Items) == 0 {
		return nil
	}
	c, err := a.at(u, u.At, 1)
	if err != nil {
		return err
	}
	if u.At.Index != c.length {
		return refuseAt(u, u.At.Chunk, u.At.Index, eventcache.ErrPosition)
	}
	args := [4]any{a.number, int64(u.At.Chunk)}
	for i := range u.Items {
		if err := u.Items[i].Check(); err != nil {
			return refuseAt(u, u.At.Chunk, i, err)
		}
		event, err := a.save(a.room, &u.Items[i])
		if err != nil {
			return err
		}
		args[2], args[3] = int64(c.length), event
		if err := a.exec(insertItem, args[:]...); err != nil {
			return err
		}
		c.length++
	}
	return nil
}

func (a *applier) replace(u eventcache.ReplaceItem) error {
	if _, err := a.at(u, u.At, 0); err != nil {
		return err
	}
	if err := u.Item.Check(); err != nil {
		return refuseAt(u, u.At.Chunk, u.At.Index, err)
	}
	event, err := a.save(a.room, &u.Item)
	if err != nil {
		return err
	}
	return a.exec(replaceItem, event, a.number, int64(u.At.Chunk), u.At.Index)
}

package memorystore

// What the tests see of a store: its transactions, for the lifecycle's suite, and its rows.

import (
	"bytes"
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// View calls fn in one operation that reads.
func (b *base) View(ctx context.Context, fn func(*memory.Txn) error) error { return b.db.Read(ctx, fn) }

// Update calls fn in one operation that writes.
func (b *base) Update(ctx context.Context, fn func(*memory.Txn) error) error {
	return b.db.Write(ctx, fn)
}

// FindEventIn is FindEvent as part of a transaction.
func (s *EventCache) FindEventIn(t *memory.Txn, room id.RoomID, event id.EventID) (e eventcache.Event, found bool, err error) {
	row, found, err := events.First(t, "id", eventKey(room, event))
	if found {
		e = row.Event
	}
	return e, found, err
}

// SaveEventsIn is SaveEvents as part of a transaction.
func (s *EventCache) SaveEventsIn(t *memory.Txn, room id.RoomID, all ...eventcache.Event) error {
	return save(t, room, s.now(), all)
}

// GetIn is Get as part of a transaction.
func (m *Media) GetIn(t *memory.Txn, r media.Request) ([]byte, error) {
	row, there, err := contents.First(t, "id", mediaKey(r))
	if err != nil || !there {
		return nil, err
	}
	return bytes.Join(row.data, nil), nil
}

// AddIn is Add as part of a transaction.
func (m *Media) AddIn(t *memory.Txn, r media.Request, data []byte) error {
	_, err := m.put(&change{t: t}, r, int64(len(data)), func() [][]byte { return piecesOf(data).all }, media.AddOptions{})
	return err
}

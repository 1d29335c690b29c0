package lease

import (
	"bytes"
	"context"
	"sync"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// table is leases in memory: the same rules, in Go.
type table struct {
	mu   sync.Mutex
	rows map[string]row
}

func (t *table) take(_ context.Context, q request) (row, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, there := t.rows[string(q.key)]
	own := there && bytes.Equal(r.holder, q.holder)
	free := !there || r.duration == 0 || r.expires < q.now || r.generation == q.staleGeneration && r.writes == q.staleWrites
	if !own && !free {
		return r, false, nil
	}
	if !own {
		r.generation++
	}
	r.holder, r.expires, r.duration = q.holder, q.now+q.duration, q.duration
	r.writes++
	t.rows[string(q.key)] = r
	return r, true, nil
}

func (t *table) renew(_ context.Context, q request, generation uint64) (row, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, there := t.rows[string(q.key)]
	if !there || !bytes.Equal(r.holder, q.holder) || r.generation != generation || r.duration == 0 {
		return r, false, nil
	}
	r.expires, r.duration = q.now+q.duration, q.duration
	r.writes++
	t.rows[string(q.key)] = r
	return r, true, nil
}

func (t *table) release(_ context.Context, key, holder []byte, writes int64) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, there := t.rows[string(key)]
	if !there || !bytes.Equal(r.holder, holder) || r.duration == 0 || writes != 0 && writes != r.writes {
		return false, nil
	}
	r.duration = 0
	r.writes++
	t.rows[string(key)] = r
	return true, nil
}

func (t *table) look(_ context.Context, key []byte) (row, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, there := t.rows[string(key)]
	return r, there, nil
}

// inMemory has the core's Connections for Close, State and the like. There is
// nothing that a pause could give back, so it changes nothing.
type inMemory struct {
	*lifecycle.Connections[*memoryConn]
}

func (m inMemory) Pause(context.Context) error { return nil }

func (m inMemory) Resume(ctx context.Context) error { return m.Connections.Resume(ctx) } // ErrClosed after Close

func (m inMemory) update(ctx context.Context, f func(rows) error) error {
	return m.Write(ctx, func(c *memoryConn) error { return f(c.table) })
}

func (m inMemory) view(ctx context.Context, f func(rows) error) error {
	return m.Read(ctx, func(c *memoryConn) error { return f(c.table) })
}

func (m inMemory) wipe(ctx context.Context) error { return m.Close(ctx) }

// memoryConn is a connection that holds nothing.
type memoryConn struct{ table *table }

type memoryDriver struct{ table *table }

func (d memoryDriver) Open(context.Context, lifecycle.OpenInfo) (*memoryConn, error) {
	return &memoryConn{d.table}, nil
}
func (d memoryDriver) Interrupt(*memoryConn)   {}
func (d memoryDriver) Reset(*memoryConn) error { return nil }
func (d memoryDriver) Close(*memoryConn) error { return nil }

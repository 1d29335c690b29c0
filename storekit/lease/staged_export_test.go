package lease

import (
	"context"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Leases in memory whose pauses are real, and which tell a test of every step
// that somebody else may come in between. So the order of things is the
// test's, and time is synctest's.

// Step is a moment at which a write into the rows, or a pause, may be kept waiting.
type Step string

// The steps.
const (
	Planned Step = "planned" // what is to be written is decided, and the writer not yet asked for
	Written Step = "written" // the transaction is over, and what became of it not yet noted
	Giving  Step = "giving"  // a pause is about to release everything
	Opening Step = "opening" // the writer is being opened
	Ending  Step = "ending"  // a connection is being made ready for the next operation; an error discards it
)

// Staged opens leases that call at with every step, with no lock held. An
// error from it is that of the write which it precedes.
func Staged(ctx context.Context, name string, at func(Step) error) (*Locks, error) {
	l := newLocks(steadyClock())
	t := &table{rows: map[string]row{}}
	conns, err := lifecycle.Open(ctx, stagedDriver{memoryDriver{t}, at}, lifecycle.Config[*memoryConn]{
		Name: name, MaxReaders: memoryReaders, Observer: &observer{l, nil},
		BeforeRelease: func(ctx context.Context, _ *memoryConn) error {
			l.beforeRelease(ctx, func(_ context.Context, f func(rows) error) error {
				if err := at(Giving); err != nil {
					return err
				}
				return f(t)
			})
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	l.store = staged{inMemory{conns}, at}
	return l, nil
}

type stagedDriver struct {
	memoryDriver
	at func(Step) error
}

func (d stagedDriver) Open(ctx context.Context, info lifecycle.OpenInfo) (*memoryConn, error) {
	if info.Role == lifecycle.Writer {
		if err := d.at(Opening); err != nil {
			return nil, err
		}
	}
	return d.memoryDriver.Open(ctx, info)
}

func (d stagedDriver) Reset(*memoryConn) error { return d.at(Ending) }

type staged struct {
	inMemory
	at func(Step) error
}

func (s staged) Pause(ctx context.Context) error { return s.Connections.Pause(ctx) }

func (s staged) update(ctx context.Context, f func(rows) error) error {
	if err := s.at(Planned); err != nil {
		return err
	}
	err := s.inMemory.update(ctx, f)
	_ = s.at(Written)
	return err
}

// Occupy runs f inside an operation, for which a pause waits.
func (l *Locks) Occupy(ctx context.Context, f func()) error {
	return l.store.view(ctx, func(rows) error { f(); return nil })
}

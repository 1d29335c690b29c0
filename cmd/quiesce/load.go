package main

// The load: one writer and a number of readers that are never idle, and check what they read.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// load keeps a database busy. Its operations wait while the store is paused.
type load struct {
	db     *sqlite.DB
	ctx    context.Context
	cancel context.CancelCauseFunc
	all    sync.WaitGroup
	warm   sync.WaitGroup // until everybody has done one operation

	reads, writes atomic.Int64

	mu    sync.Mutex
	acked mark // the last message whose transaction was acknowledged
}

// start begins the load behind the messages that are there.
func start(ctx context.Context, db *sqlite.DB, at mark, readers int) *load {
	l := &load{db: db, acked: at}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.run(l.write, &l.writes)
	for range readers {
		l.run(l.read, &l.reads)
	}
	return l
}

// run repeats work until the load ends. Whatever goes wrong that is not a pause ends the load.
func (l *load) run(work func(context.Context) error, done *atomic.Int64) {
	l.all.Add(1)
	l.warm.Add(1)
	go func() {
		defer l.all.Done()
		warm := sync.OnceFunc(l.warm.Done)
		defer warm()
		for l.ctx.Err() == nil {
			err := work(l.ctx)
			switch {
			case err == nil:
				done.Add(1)
				warm()
			case l.ctx.Err() != nil:
				return
			case errors.Is(err, lifecycle.ErrInterrupted), errors.Is(err, lifecycle.ErrPaused): // it did not happen; once more
			default:
				l.cancel(err)
				return
			}
		}
	}()
}

// ready waits until everybody works.
func (l *load) ready() { l.warm.Wait() }

// stop ends the load, and returns what was acknowledged last and what went wrong.
func (l *load) stop() (mark, error) {
	l.cancel(context.Canceled)
	l.all.Wait()
	return l.last(), l.failure()
}

// failure is what ended the load before its time.
func (l *load) failure() error {
	if l.ctx.Err() == nil {
		return nil
	}
	if cause := context.Cause(l.ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// last is the last message that was acknowledged.
func (l *load) last() mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// write adds a few messages in one transaction. What it was told is committed is in the ledger before it goes on.
func (l *load) write(ctx context.Context) error {
	ctx = lifecycle.WithLabel(ctx, "add messages")
	var to mark
	err := l.db.Update(ctx, func(c *sqlite.Conn) (err error) {
		to, err = add(ctx, c, l.last(), 1+rand.IntN(4))
		return err
	})
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	l.mu.Lock()
	l.acked = to
	l.mu.Unlock()
	return nil
}

// read looks one message up, lists a room, or searches.
func (l *load) read(ctx context.Context) error {
	var err error
	switch n := rand.IntN(100); {
	case n < 70:
		err = l.lookUp(ctx)
	case n < 97:
		err = l.list(ctx)
	default:
		err = l.search(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	return nil
}

// lookUp reads a message that was acknowledged, so it must be there.
func (l *load) lookUp(ctx context.Context) error {
	ctx = lifecycle.WithLabel(ctx, "look up a message")
	seq := 2 + rand.Int64N(l.last().seq-1)
	return l.db.Read(ctx, func(c *sqlite.Conn) error {
		m := message{seq: seq}
		var before, stored int64
		err := c.QueryRow(ctx, `SELECT m.room, m.sender, m.body, m.sum, p.sum FROM messages m JOIN messages p ON p.seq = m.seq - 1 WHERE m.seq = ?`, seq).
			Scan(&m.room, &m.sender, &m.body, &stored, &before)
		switch {
		case errors.Is(err, sqlite.ErrNoRows):
			return fmt.Errorf("message %d was acknowledged and is not there", seq)
		case err == nil && m.after(before) != stored:
			return fmt.Errorf("message %d is not what was written", seq)
		}
		return err
	})
}

// list reads the end of a room and what the room says of itself, of one moment.
func (l *load) list(ctx context.Context) error {
	ctx = lifecycle.WithLabel(ctx, "list a room")
	room := 1 + rand.Int64N(roomCount)
	return l.db.View(ctx, func(c *sqlite.Conn) error {
		var last, newest int64
		if err := c.QueryRow(ctx, `SELECT last FROM rooms WHERE id = ?`, room).Scan(&last); err != nil {
			return err
		}
		err := c.Each(ctx, `SELECT seq, body FROM messages WHERE room = ? ORDER BY seq DESC LIMIT 20`, func(r *sqlite.Row) error {
			var seq int64
			var body string
			err := r.Scan(&seq, &body)
			newest = max(newest, seq)
			return err
		}, room)
		if err == nil && newest != last {
			return fmt.Errorf("room %d says that message %d is its last, and %d is: one transaction was seen in halves", room, last, newest)
		}
		return err
	})
}

// search looks at the text of the newest messages: the longest operation, a few milliseconds.
func (l *load) search(ctx context.Context) error {
	ctx = lifecycle.WithLabel(ctx, "search messages")
	return l.db.Read(ctx, func(c *sqlite.Conn) error {
		var n int64
		return c.QueryRow(ctx, `SELECT count(*) FROM messages WHERE seq > ? AND body LIKE ?`, l.last().seq-5000, "%"+words[rand.IntN(len(words))]+"%").Scan(&n)
	})
}

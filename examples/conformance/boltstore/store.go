// Package boltstore is a key-value store on bbolt that pauses: an example of a
// store that is not SQLite, built on lifecycle and checked by conformance.
//
// A bbolt database is one handle with any number of transactions, so the
// "connections" of lifecycle are users of one handle here: the first opens it, the last closes it.
package boltstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Version is the schema version that this program knows.
const Version = 1

var (
	values = []byte("values")
	meta   = []byte("meta") // "id": 16 random bytes, "version": one byte
)

// Store is a bbolt database behind one handle that stays valid over pauses.
type Store struct{ *lifecycle.Connections[*conn] }

// Config says how the store pauses, as lifecycle.Config does.
type Config struct {
	Timeout, Grace             time.Duration
	MaxReaders                 int
	WhenPaused                 lifecycle.Policy
	StartPaused                bool
	BeforeRelease, AfterReopen func(context.Context) error
}

// Open opens the database at path, and makes it where there is none.
func Open(ctx context.Context, path string, cfg Config) (*Store, error) {
	conns, err := lifecycle.Open(ctx, &driver{path: path}, lifecycle.Config[*conn]{
		Name: "bolt", Timeout: cfg.Timeout, Grace: cfg.Grace, MaxReaders: cfg.MaxReaders, WhenPaused: cfg.WhenPaused, StartPaused: cfg.StartPaused,
		BeforeRelease: hook(cfg.BeforeRelease), AfterReopen: hook(cfg.AfterReopen),
	})
	return &Store{conns}, err
}

func hook(fn func(context.Context) error) func(context.Context, *conn) error {
	if fn == nil {
		return nil
	}
	return func(ctx context.Context, _ *conn) error { return fn(ctx) }
}

// View calls fn in a read transaction.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	return s.Read(ctx, func(c *conn) error { return c.run(false, fn) })
}

// Update calls fn in a transaction that is committed when fn returns nil.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	return s.Write(ctx, func(c *conn) error { return c.run(true, fn) })
}

// Tx is a transaction, for the callback that gets it.
type Tx struct{ c *conn }

// Get returns the value of key, "" where it has none.
func (t *Tx) Get(key string) (value string, err error) {
	err = t.c.inside(func(tx *bolt.Tx) error { value = string(tx.Bucket(values).Get([]byte(key))); return nil })
	return value, err
}

// Put sets the value of key.
func (t *Tx) Put(key, value string) error {
	return t.c.inside(func(tx *bolt.Tx) error { return tx.Bucket(values).Put([]byte(key), []byte(value)) })
}

// driver opens and closes the one handle.
type driver struct {
	path  string
	mu    sync.Mutex
	db    *bolt.DB
	users int
	id    []byte // of the database that was paused
}

// conn is one user of the handle.
type conn struct {
	d           *driver
	mu          sync.Mutex // a call is inside
	tx          *bolt.Tx
	interrupted bool
}

func (d *driver) Open(_ context.Context, info lifecycle.OpenInfo) (*conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users == 0 {
		if err := d.open(info.Resume); err != nil {
			return nil, fmt.Errorf("%s: %w", d.path, err)
		}
	}
	d.users++
	return &conn{d: d}, nil
}

// open opens the database. bbolt itself would make a missing one, and take an empty file for a new one.
func (d *driver) open(resume bool) error {
	if st, err := os.Stat(d.path); resume && errors.Is(err, fs.ErrNotExist) {
		return lifecycle.ErrMissing
	} else if resume && err == nil && st.Size() == 0 {
		return lifecycle.ErrReplaced
	}
	// A large map from the start: bbolt could not make it larger beside a read, and would wait.
	db, err := bolt.Open(d.path, 0o600, &bolt.Options{Timeout: time.Second, InitialMmapSize: 64 << 20})
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return errors.Join(lifecycle.ErrInaccessible, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return errors.Join(lifecycle.ErrReplaced, err)
	case err != nil:
		return err
	}
	if !resume {
		err = db.Update(initialise)
	}
	if err == nil {
		err = db.View(d.recognise)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	d.db = db
	return nil
}

func initialise(tx *bolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists(values)
	m, err2 := tx.CreateBucketIfNotExists(meta)
	if err := errors.Join(err, err2); err != nil || m.Get([]byte("id")) != nil {
		return err
	}
	id := make([]byte, 16)
	rand.Read(id)
	return errors.Join(m.Put([]byte("id"), id), m.Put([]byte("version"), []byte{Version}))
}

// recognise compares the database with the one that was paused.
func (d *driver) recognise(tx *bolt.Tx) error {
	m := tx.Bucket(meta)
	if m == nil || tx.Bucket(values) == nil {
		return lifecycle.ErrReplaced
	}
	id, version := bytes.Clone(m.Get([]byte("id"))), m.Get([]byte("version"))
	switch {
	case len(version) != 1 || d.id != nil && !bytes.Equal(id, d.id):
		return lifecycle.ErrReplaced
	case version[0] > Version:
		return lifecycle.ErrSchemaNewer
	}
	d.id = id
	return nil
}

func (d *driver) Interrupt(c *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
}

func (d *driver) Reset(c *conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = false
	return c.end()
}

func (d *driver) Close(*conn) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users--; d.users > 0 {
		return nil
	}
	return d.db.Close()
}

// Sever ends the transaction between two calls of its owner.
func (d *driver) Sever(c *conn, done func(error)) {
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.interrupted = true
		err := c.end()
		done(errors.Join(err, d.Close(c)))
	}()
}

// end rolls back what was not committed.
func (c *conn) end() (err error) {
	if c.tx != nil {
		err = c.tx.Rollback()
		c.tx = nil
	}
	return err
}

// inside runs a call of the transaction, which nobody can end meanwhile.
func (c *conn) inside(fn func(*bolt.Tx) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted || c.tx == nil {
		return lifecycle.ErrInterrupted
	}
	return fn(c.tx)
}

func (c *conn) begin(writable bool) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		return lifecycle.ErrInterrupted
	}
	c.tx, err = c.d.db.Begin(writable)
	return err
}

// run runs one operation. What it leaves open, Reset rolls back.
func (c *conn) run(writable bool, fn func(*Tx) error) error {
	if err := c.begin(writable); err != nil {
		return err
	}
	if err := fn(&Tx{c}); err != nil || !writable {
		return err
	}
	return c.inside(func(tx *bolt.Tx) error {
		c.tx = nil
		return tx.Commit()
	})
}

//go:build unix

package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// A small store of files, with real descriptors and locks, to break on
// purpose: a file with everything, and a log of what was written since. Every
// connection has a descriptor of its own; the store holds an exclusive flock
// while any is open; a pause writes the log back.
//
// breakage is what is broken in it, by name; see brokenStores.

type fileDriver struct {
	path     string
	breakage string
	o        Options

	mu      sync.Mutex
	open    int // connections
	main    *os.File
	content content
	known   string // the id of what was open before
	before  string // what was paused, to tell whether it has changed
	changed lifecycle.Change
	poke    atomic.Bool // for the breakage that interrupts somebody else
}

// content is what is stored. Its values are never changed in place.
type content struct {
	ID      string
	Version int
	Values  map[string]string
}

const knownVersion = 7

func (d *fileDriver) is(breakage string) bool { return d.breakage == breakage }
func (d *fileDriver) log() string             { return d.path + ".log" }

// cannotSever says whether the store is one that severs nobody: where a
// breakage would not show otherwise.
func (d *fileDriver) cannotSever() bool { return severless[d.breakage] }

var severless = map[string]bool{
	"ignores interrupts": true, "returns nil on timeout": true, "names no holders": true, "does not wait for operations": true,
	"gives up a pause half-way": true,
}

// withoutSever is a driver less one of its methods.
type withoutSever struct {
	lifecycle.Driver[*fileConn]
	lifecycle.Beginner[*fileConn]
	lifecycle.Checkpointer[*fileConn]
	lifecycle.Validator
}

type fileConn struct {
	d       *fileDriver
	role    lifecycle.Role
	setting string

	mu      sync.Mutex // a call is inside
	file    *os.File
	values  map[string]string // what this operation sees
	writes  map[string]string
	poked   bool
	severed bool
	leaked  *os.File
}

func (d *fileDriver) Open(_ context.Context, info lifecycle.OpenInfo) (*fileConn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == 0 {
		if err := d.take(!info.Resume || d.is("makes a deleted file anew")); err != nil {
			return nil, err
		}
	}
	name, flags := d.path, os.O_RDONLY
	if info.Role == lifecycle.Writer {
		name, flags = d.log(), os.O_RDWR|os.O_CREATE|os.O_APPEND
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		if d.open == 0 {
			_ = d.main.Close()
		}
		return nil, err
	}
	d.open++
	c := &fileConn{d: d, role: info.Role, file: f, setting: "set"}
	if info.Resume && d.is("forgets settings on resume") {
		c.setting = "default"
	}
	if d.is("leaks a goroutine") {
		go func() { <-neverClosed }()
	}
	return c, nil
}

var neverClosed = make(chan struct{})

// take opens, locks and reads the files.
func (d *fileDriver) take(create bool) error {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
		if d.is("makes a missing directory anew") || d.is("makes a deleted file anew") {
			_ = os.MkdirAll(filepath.Dir(d.path), 0o700)
		}
	}
	f, err := os.OpenFile(d.path, flags, 0o600)
	if err != nil {
		return d.why(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", d.path, err), f.Close())
	}
	was := d.content
	if err := d.read(f, create && d.known == ""); err != nil {
		return errors.Join(err, f.Close())
	}
	text, _ := json.Marshal(d.content)
	d.changed = lifecycle.ChangeYes
	if string(text) == d.before || d.is("says that nothing has changed") {
		d.changed = lifecycle.ChangeNo
	}
	if d.is("keeps a stale cache") && was.Values != nil {
		d.content = was
	}
	d.main, d.known = f, d.content.ID
	return nil
}

func (d *fileDriver) why(err error) error {
	switch {
	case d.is("returns the system's errors"):
		return errors.New(err.Error())
	case errors.Is(err, fs.ErrNotExist):
		return errors.Join(lifecycle.ErrMissing, err)
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return errors.Join(lifecycle.ErrInaccessible, err)
	}
	return err
}

// read reads what is stored, and makes it where the file is new.
func (d *fileDriver) read(f *os.File, isNew bool) error {
	text, err := os.ReadFile(d.path)
	if err != nil {
		return err
	}
	var c content
	switch err := json.Unmarshal(text, &c); {
	case len(text) == 0 && (isNew || d.is("takes an empty file for a new store") || d.is("makes a deleted file anew") || d.is("makes a missing directory anew")):
		id := make([]byte, 16)
		rand.Read(id)
		c = content{fmt.Sprintf("%x", id), knownVersion, map[string]string{}}
		text, _ := json.Marshal(c)
		if _, err := f.Write(text); err != nil {
			return err
		}
		d.known = "" // it is another one, and nobody minds
	case err != nil:
		return errors.Join(lifecycle.ErrReplaced, err)
	}
	if d.known != "" && c.ID != d.known && !d.is("takes any file for its own") {
		return lifecycle.ErrReplaced
	}
	if c.Version > knownVersion && !d.is("ignores the schema version") {
		return lifecycle.ErrSchemaNewer
	}
	if c.Values == nil {
		c.Values = map[string]string{}
	}
	log, err := os.ReadFile(d.log())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var writes map[string]string
		if json.Unmarshal(lines.Bytes(), &writes) == nil { // else it was cut off by a kill
			maps.Copy(c.Values, writes)
		}
	}
	d.content = c
	return nil
}

func (d *fileDriver) step(name string) {
	if d.o.Step != nil {
		d.o.Step(name)
	}
}

func (d *fileDriver) Begin(_ context.Context, c *fileConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.values = d.content.Values
	if d.is("interrupts the next user") && d.poke.Swap(false) {
		c.poked = true
	}
}

func (d *fileDriver) Interrupt(c *fileConn) {
	if d.is("ignores interrupts") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poked = true
	d.poke.Store(true)
}

func (d *fileDriver) Reset(c *fileConn) error {
	c.values, c.writes, c.poked = nil, nil, false
	if c.leaked != nil && !d.is("keeps what callers leak") {
		_ = c.leaked.Close()
	}
	c.leaked = nil
	return nil
}

func (d *fileDriver) Sever(c *fileConn, done func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.is("says severed and is not") {
		done(nil)
		return
	}
	c.severed = true
	if c.leaked != nil {
		_ = c.leaked.Close()
	}
	done(d.Close(c))
}

// Checkpoint writes everything to the file and removes the log.
func (d *fileDriver) Checkpoint(_ context.Context, _ *fileConn) (lifecycle.CheckpointResult, error) {
	result := lifecycle.CheckpointResult{Mode: "all", Ran: true}
	if d.is("closes the writer first") || d.is("checkpoints before draining") {
		return result, nil
	}
	return result, d.writeBack()
}

func (d *fileDriver) writeBack() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.content
	if d.is("loses the last write") {
		c.Values = maps.Clone(c.Values)
		delete(c.Values, "last")
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	d.before = string(text)
	d.step("before the log is written back")
	if d.is("removes the log too early") {
		_ = os.Remove(d.log())
		d.step("the log is gone")
	}
	err = os.WriteFile(d.path+".new", text, 0o600)
	if err != nil && !d.is("ignores a full disk") {
		return errors.Join(err, os.Remove(d.path+".new"))
	}
	d.step("before the file is replaced")
	if err := os.Rename(d.path+".new", d.path); err != nil {
		return err
	}
	d.step("before the log is removed")
	if err := os.Remove(d.log()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *fileDriver) Close(c *fileConn) error {
	d.step("before a connection is closed")
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if !(c.role == lifecycle.Writer && d.is("keeps one descriptor")) {
		err = c.file.Close()
	}
	if d.open--; d.open == 0 {
		switch {
		case d.is("keeps a map"):
			_, _ = syscall.Mmap(int(d.main.Fd()), 0, 1, syscall.PROT_READ, syscall.MAP_SHARED)
		case d.is("keeps its lock"):
			if fd, err := syscall.Open(d.path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err == nil {
				_ = syscall.Flock(fd, syscall.LOCK_SH)
			}
		}
		err = errors.Join(err, d.main.Close())
	}
	return err
}

func (d *fileDriver) Validate(context.Context) error { return nil }

func (d *fileDriver) Validated(context.Context) (lifecycle.Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed, nil
}

// inside runs a call on a connection that still is one.
func (c *fileConn) inside(fn func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poked || c.severed {
		return lifecycle.ErrInterrupted
	}
	return fn()
}

// cipher is a toy; what counts is that the files do not show the values.
func cipher(value string) string { return base64.StdEncoding.EncodeToString([]byte(value)) }
func decipher(value string) (string, error) {
	plain, err := base64.StdEncoding.DecodeString(value)
	return string(plain), err
}

func (c *fileConn) tx() Tx {
	tx := Tx{
		Get: func(key string) (value string, err error) {
			err = c.inside(func() (err error) {
				value = c.values[key]
				if written, ok := c.writes[key]; ok {
					value = written
				}
				if !c.d.is("stores clear text") {
					value, err = decipher(value)
				}
				return err
			})
			return value, err
		},
		Setting: func() (string, error) { return c.setting, nil },
		Leak: func() error {
			return c.inside(func() (err error) {
				if c.leaked == nil {
					c.leaked, err = os.Open(c.d.path)
				}
				return err
			})
		},
	}
	if c.role == lifecycle.Writer {
		tx.Put = func(key, value string) error {
			return c.inside(func() error {
				if c.writes == nil {
					c.writes = map[string]string{}
				}
				c.writes[key] = value
				if !c.d.is("stores clear text") {
					c.writes[key] = cipher(value)
				}
				if c.d.is("commits half a write") {
					return c.commit()
				}
				return nil
			})
		}
	}
	return tx
}

// commit is called inside.
func (c *fileConn) commit() error {
	if len(c.writes) == 0 {
		return nil
	}
	text, err := json.Marshal(c.writes)
	if err != nil {
		return err
	}
	if !c.d.is("acknowledges before it stores") {
		end, err := c.file.Seek(0, 2)
		if err != nil {
			return err
		}
		if _, err := c.file.Write(append(text, '\n')); err != nil {
			return errors.Join(err, c.file.Truncate(end))
		}
	}
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	values := maps.Clone(c.d.content.Values)
	maps.Copy(values, c.writes)
	c.d.content.Values = values
	return nil
}

// fileStore is the store that users see.
type fileStore struct {
	*lifecycle.Connections[*fileConn]
	d *fileDriver
}

func (s *fileStore) Read(ctx context.Context, fn func(Tx) error) error {
	return s.Connections.Read(ctx, func(c *fileConn) error { return fn(c.tx()) })
}

func (s *fileStore) Write(ctx context.Context, fn func(Tx) error) error {
	return s.Connections.Write(ctx, func(c *fileConn) error {
		if err := fn(c.tx()); err != nil {
			return err
		}
		return c.inside(c.commit)
	})
}

func openFileStore(ctx context.Context, dir, breakage string, o Options) (*fileStore, error) {
	d := &fileDriver{path: filepath.Join(dir, "store"), breakage: breakage, o: o}
	hook := func(fn func(context.Context) error) func(context.Context, *fileConn) error {
		if fn == nil {
			return nil
		}
		return func(ctx context.Context, _ *fileConn) error {
			if d.is("runs its hooks twice") {
				_ = fn(ctx)
			}
			return fn(ctx)
		}
	}
	var driver lifecycle.Driver[*fileConn] = d
	if d.cannotSever() {
		driver = withoutSever{d, d, d, d}
	}
	conns, err := lifecycle.Open(ctx, driver, lifecycle.Config[*fileConn]{
		Name: "file", MaxReaders: o.MaxReaders, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
		StartPaused: o.StartPaused && breakage != "opens though it should start paused", BeforeRelease: hook(o.BeforeRelease), AfterReopen: hook(o.AfterReopen),
	})
	return &fileStore{conns, d}, err
}

// setVersion changes the schema version of a paused store's file.
func setVersion(dir string, version int) error {
	path := filepath.Join(dir, "store")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c content
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	c.Version = version
	if text, err = json.Marshal(c); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// fileHarness is for the store with that breakage, "" for none.
func fileHarness(breakage string, wrap func(*fileStore, Options) Store) func() *Harness {
	return func() *Harness {
		return &Harness{
			Open: func(ctx context.Context, dir string, o Options) (Store, error) {
				s, err := openFileStore(ctx, dir, breakage, o)
				if err != nil || wrap == nil {
					return s, err
				}
				return wrap(s, o), nil
			},
			Files: func(dir string) []string {
				p := filepath.Join(dir, "store")
				return []string{p, p + ".log", p + ".new"}
			},
			Newer: func(_ context.Context, dir string) error { return setVersion(dir, knownVersion+1) },
			Older: func(_ context.Context, dir string) error { return setVersion(dir, knownVersion) },
			Without: map[Capability]string{
				Shared: "it takes an exclusive lock while it is open",
			},
		}
	}
}

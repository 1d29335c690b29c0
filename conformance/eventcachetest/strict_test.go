package eventcachetest

// A reference store with everything: a gate that refuses work while paused, and a
// file, which is sealed. It tries the cases that need these.

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// strictConn is a connection to nothing, which can be interrupted.
type strictConn struct {
	interrupted chan struct{}
	once        *sync.Once
}

type strictDriver struct{}

func (strictDriver) Open(context.Context, lifecycle.OpenInfo) (*strictConn, error) {
	return &strictConn{make(chan struct{}), new(sync.Once)}, nil
}
func (strictDriver) Interrupt(c *strictConn) { c.once.Do(func() { close(c.interrupted) }) }
func (strictDriver) Reset(c *strictConn) error {
	c.interrupted, c.once = make(chan struct{}), new(sync.Once)
	return nil
}
func (strictDriver) Close(*strictConn) error { return nil }

// strictGate is lifecycle's own, with one operation at a time in it.
type strictGate struct {
	*lifecycle.Connections[*strictConn]
	mu      sync.RWMutex
	work    func(interrupted <-chan struct{}) // before an operation is done
	release func() error                      // after a Pause or Close
	done    bool
}

func (g *strictGate) read(ctx context.Context, fn func() error) error {
	return g.Read(ctx, func(c *strictConn) error { g.mu.RLock(); defer g.mu.RUnlock(); return g.run(c, fn) })
}

func (g *strictGate) write(ctx context.Context, fn func() error) error {
	return g.Write(ctx, func(c *strictConn) error { g.mu.Lock(); defer g.mu.Unlock(); return g.run(c, fn) })
}

func (g *strictGate) run(c *strictConn, fn func() error) error {
	g.work(c.interrupted)
	select {
	case <-c.interrupted:
		return lifecycle.ErrInterrupted
	default:
		return fn()
	}
}

func (g *strictGate) Pause(ctx context.Context) error {
	if err := g.Connections.Pause(ctx); err != nil {
		return err
	}
	return g.release()
}

func (g *strictGate) Close(ctx context.Context) error {
	if err := g.Connections.Close(ctx); err != nil {
		return err
	}
	return g.release()
}

// strictFile is where the contents lie while nobody uses them.
func strictFile(dir string) string { return filepath.Join(dir, "events") }

func openStrict(dir string, o Options) (*plain, error) {
	ctx, cancel := context.WithCancel(context.Background())
	conns, err := lifecycle.Open(ctx, strictDriver{}, lifecycle.Config[*strictConn]{
		Name: "strict", MaxReaders: 4, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	g := &strictGate{Connections: conns}
	m := newModel(o.Clock)
	s := &plain{gate: g, m: m, c: m, leases: map[string]plainLease{}}
	var turn atomic.Uint32
	g.work = func(interrupted <-chan struct{}) {
		if turn.Add(1)%8 == 0 { // long enough for a pause to come
			select {
			case <-interrupted:
			case <-time.After(200 * time.Microsecond):
			}
		}
	}
	g.release = func() error {
		if s.State() == lifecycle.Closed {
			cancel()
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.done {
			return nil
		}
		g.done = s.State() == lifecycle.Closed
		return s.save(strictFile(dir))
	}
	if err := s.load(strictFile(dir)); err != nil {
		cancel()
		return nil, errors.Join(err, conns.Close(ctx))
	}
	s.cleanUpItself(ctx, o.CleanUp)
	return s, nil
}

// strictContents are what is in the file.
type strictContents struct {
	Rooms  [][]byte // exports
	Times  []map[string]*big.Int
	Leases map[string]plainLease
}

var strictKey = bytes.Repeat([]byte{7}, 32)

func sealer() cipher.AEAD {
	block, err := aes.NewCipher(strictKey)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// key is a string of any bytes as JSON can have it.
func key(text string) string { return new(big.Int).SetBytes(append([]byte{1}, text...)).Text(16) }

func unkey(k string) string {
	n, _ := new(big.Int).SetString(k, 16)
	return string(n.Bytes()[1:])
}

func (s *plain) save(path string) error {
	c := strictContents{Leases: map[string]plainLease{}}
	for room, r := range s.m.rooms {
		var export bytes.Buffer
		if err := s.m.Export(context.Background(), room, &export); err != nil {
			return err
		}
		times := map[string]*big.Int{}
		for which, e := range r.events {
			t := new(big.Int).Mul(big.NewInt(e.at.Unix()), big.NewInt(1e9))
			times[key(string(which))] = t.Add(t, big.NewInt(int64(e.at.Nanosecond())))
		}
		c.Rooms, c.Times = append(c.Rooms, export.Bytes()), append(c.Times, times)
	}
	for k, l := range s.leases {
		l.Holder = key(l.Holder)
		c.Leases[key(k)] = l
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(path, sealer().Seal(nil, nil, text, nil), 0o600)
}

func (s *plain) load(path string) error {
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := sealer().Open(nil, nil, sealed, nil)
	if err != nil {
		return err
	}
	var c strictContents
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	for i, export := range c.Rooms {
		room, err := s.m.Import(context.Background(), bytes.NewReader(export))
		if err != nil {
			return err
		}
		for k, t := range c.Times[i] {
			which := id.EventID(unkey(k))
			e := s.m.rooms[room].events[which]
			seconds, nanos := new(big.Int).DivMod(t, big.NewInt(1e9), new(big.Int))
			e.at = time.Unix(seconds.Int64(), nanos.Int64())
			s.m.rooms[room].events[which] = e
		}
	}
	for k, l := range c.Leases {
		l.Holder = unkey(l.Holder)
		s.leases[unkey(k)] = l
	}
	return nil
}

// strictHarness opens stores that wrap changes.
func strictHarness(wrap func(*plain, Options) eventcache.Store) *Harness {
	return &Harness{
		Open: func(_ context.Context, dir string, o Options) (eventcache.Store, error) {
			s, err := openStrict(dir, o)
			if err != nil || wrap == nil {
				return s, err
			}
			return wrap(s, o), nil
		},
		Files: func(dir string) []string { return []string{strictFile(dir)} },
	}
}

// TestOfTheReferenceWithAGate: nor against one that refuses work while paused, and lives in a sealed file.
func TestOfTheReferenceWithAGate(t *testing.T) {
	Run(t, func() *Harness { return brief(strictHarness(nil)) })
}

package mediatest

// The reference with everything: a gate that refuses work while paused, and a
// file, which is sealed. It tries the cases that need these.

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
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
	s      *reference
	cancel context.CancelFunc
	turn   atomic.Uint32
}

func (g *strictGate) Pause(ctx context.Context) error {
	if g.s.is("is held by open Readers") {
		g.s.mu.Lock()
		open := g.s.open
		g.s.mu.Unlock()
		if open > 0 {
			return errors.New("there are open Readers")
		}
	}
	return g.Connections.Pause(ctx)
}

func (g *strictGate) read(ctx context.Context, fn func() error) error {
	if g.s.is("never waits") {
		ctx = lifecycle.WithPolicy(ctx, lifecycle.Fail)
	}
	return g.Read(ctx, func(c *strictConn) error { return g.run(c, fn) })
}

func (g *strictGate) write(ctx context.Context, fn func() error) error {
	return g.Write(ctx, func(c *strictConn) error { return g.run(c, fn) })
}

func (g *strictGate) run(c *strictConn, fn func() error) error {
	often := g.s.is("does what was cut off all the same") || g.s.is("says that it has done what was cut off") || g.s.is("notes the time of what was cut off")
	if g.turn.Add(1)%32 == 0 || often { // long enough for a pause to come
		select {
		case <-c.interrupted:
		case <-time.After(2 * time.Millisecond):
		}
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	select {
	case <-c.interrupted:
		switch {
		case g.s.is("does what was cut off all the same"):
			_ = fn()
		case g.s.is("says that it has done what was cut off"):
			return nil
		}
		return lifecycle.ErrInterrupted
	default:
		return fn()
	}
}

func (g *strictGate) Close(ctx context.Context) error {
	err := g.Connections.Close(ctx)
	if err == nil {
		g.cancel()
	}
	return err
}

// strictFile is where the contents lie while nobody uses them.
func strictFile(dir string) string { return filepath.Join(dir, "media") }

// strictHarness opens stores with a gate.
func strictHarness(fault string) *Harness {
	return &Harness{
		Open:  func(_ context.Context, dir string, o Options) (media.Store, error) { return openStrict(dir, o, fault) },
		Files: func(dir string) []string { return []string{strictFile(dir)} },
	}
}

func openStrict(dir string, o Options, fault string) (media.Store, error) {
	s := newReference(o, fault)
	f := &sealedFile{path: strictFile(dir), s: s}
	ctx, cancel := context.WithCancel(context.Background())
	conns, err := lifecycle.Open(ctx, strictDriver{}, lifecycle.Config[*strictConn]{
		Name: "strict", MaxReaders: 4, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
		BeforeRelease: func(context.Context, *strictConn) error { return f.save() },
		AfterReopen:   func(context.Context, *strictConn) error { return f.load() },
	})
	if err == nil {
		err = f.load()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s.gate = &strictGate{Connections: conns, s: s, cancel: cancel}
	return s, nil
}

// sealedFile has what is stored, as one encrypted whole.
type sealedFile struct {
	path string
	s    *reference
	seen [32]byte // what it is known to have
}

type inFile struct {
	Requests []media.Request
	Entries  []*entry
	Order    int
	Policy   *media.Policy
	Set      [4]bool // gob does not tell a limit of 0 from none
	Cleaned  int64
	Known    bool
	Leases   map[string]lease
}

func sealer() cipher.AEAD {
	block, err := aes.NewCipher(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func (f *sealedFile) save() error {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses++
	switch {
	case s.is("forgets the policy when it is closed"):
		s.policy = nil
	case s.is("forgets leases in a pause"):
		clear(s.leases)
	case s.is("makes a file that nobody knows of"):
		if err := os.WriteFile(f.path+"-beside", nil, 0o600); err != nil {
			return err
		}
	}
	for _, e := range s.contents {
		switch {
		case s.is("forgets last accesses in a pause"):
			e.Access = e.added
		case s.is("forgets flags in a pause"):
			e.Ignore = false
		case s.is("forgets in which order things were stored"):
			e.Order = -e.Order
		}
	}
	in := inFile{Order: s.order, Policy: s.policy, Leases: s.leases}
	if p := in.Policy; p != nil {
		in.Set = [4]bool{p.MaxCacheSize != nil, p.MaxFileSize != nil, p.LastAccessExpiry != nil, p.CleanupFrequency != nil}
	}
	if s.cleaned != nil {
		in.Cleaned, in.Known = *s.cleaned, true
	}
	for r, e := range s.contents {
		in.Requests, in.Entries = append(in.Requests, r), append(in.Entries, e)
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(in); err != nil {
		return err
	}
	sealed := b.Bytes()
	if !s.is("stores clear text") {
		sealed = sealer().Seal(nil, nil, sealed, nil)
	}
	f.seen = sha256.Sum256(sealed)
	return os.WriteFile(f.path, sealed, 0o600)
}

// load reads what somebody else has written, and does nothing where nobody has.
func (f *sealedFile) load() error {
	sealed, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || f.seen == sha256.Sum256(sealed) {
		return err
	}
	if s.is("reads nothing again at Resume") && f.seen != [32]byte{} {
		return nil
	}
	f.seen = sha256.Sum256(sealed)
	if !s.is("stores clear text") {
		if sealed, err = sealer().Open(nil, nil, sealed, nil); err != nil {
			return err
		}
	}
	var in inFile
	if err := gob.NewDecoder(bytes.NewReader(sealed)).Decode(&in); err != nil {
		return err
	}
	s.order, s.policy, s.leases = in.Order, in.Policy, in.Leases
	if s.leases == nil {
		s.leases = map[string]lease{}
	}
	for i, field := range in.Set {
		if !field {
			continue
		}
		if s.policy == nil {
			s.policy = &media.Policy{}
		}
		switch i {
		case 0:
			s.policy.MaxCacheSize = orZero(s.policy.MaxCacheSize)
		case 1:
			s.policy.MaxFileSize = orZero(s.policy.MaxFileSize)
		case 2:
			s.policy.LastAccessExpiry = orZero(s.policy.LastAccessExpiry)
		case 3:
			s.policy.CleanupFrequency = orZero(s.policy.CleanupFrequency)
		}
	}
	s.cleaned = nil
	if in.Known {
		s.cleaned = &in.Cleaned
	}
	// A content that is still the same one keeps its Readers.
	was := map[int]*entry{}
	for _, e := range s.contents {
		was[e.Order], e.gone = e, true
	}
	s.contents = map[media.Request]*entry{}
	for i, r := range in.Requests {
		e := in.Entries[i]
		if same := was[e.Order]; same != nil && bytes.Equal(same.Data, e.Data) {
			same.gone, same.Access, same.Ignore = false, e.Access, e.Ignore
			e = same
		}
		s.contents[r] = e
	}
	return nil
}

func orZero[V any](p *V) *V {
	if p == nil {
		p = new(V)
	}
	return p
}

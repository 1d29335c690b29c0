package mediatest

// The store that the suite itself is tried on: maps under a mutex, obviously right. Its
// gate is one of gate_test.go. Where its fault has a name it is wrong there, once: broken_test.go has the list.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// gate lets operations in, one at a time.
type gate interface {
	lifecycle.Pausable
	Close(ctx context.Context) error
	State() lifecycle.State
	read(ctx context.Context, fn func() error) error
	write(ctx context.Context, fn func() error) error
}

// entry is a content.
type entry struct {
	Data   []byte
	Access int64 // in milliseconds
	Ignore bool
	Order  int // of two that were stored the later one has the greater one
	gone   bool
}

type reference struct {
	gate
	o       Options
	fault   string
	closing sync.WaitGroup // what it does by itself

	mu       sync.Mutex // guards everything below
	contents map[media.Request]*entry
	order    int
	policy   *media.Policy // nil where none was set
	cleaned  *int64        // in milliseconds
	leases   map[string]lease
	uploads  int
	cleaning bool
	closed   bool
}

type lease struct {
	Holder     string
	Generation uint64
	Until      time.Time
}

func newReference(o Options, fault string) *reference {
	return &reference{o: o, fault: fault, contents: map[media.Request]*entry{}, leases: map[string]lease{}}
}

func (s *reference) is(fault string) bool { return s.fault == fault }

func (s *reference) now() int64 {
	if s.is("seconds instead of milliseconds") {
		return s.o.Clock().Unix() * 1000
	}
	return s.o.Clock().UnixMilli()
}

func (s *reference) inForce() media.Policy {
	if s.policy == nil {
		if s.is("an empty policy instead of the default") {
			return media.NoLimits()
		}
		return media.DefaultPolicy()
	}
	return *s.policy
}

func (s *reference) Policy() media.Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copied(s.inForce())
}

func copied(p media.Policy) media.Policy {
	return media.Policy{
		MaxCacheSize: again(p.MaxCacheSize), MaxFileSize: again(p.MaxFileSize),
		LastAccessExpiry: again(p.LastAccessExpiry), CleanupFrequency: again(p.CleanupFrequency),
	}
}

func again[V any](p *V) *V {
	if p == nil {
		return nil
	}
	return ptr(*p)
}

func (s *reference) remove(r media.Request) {
	if e := s.contents[r]; e != nil {
		e.gone = true
		delete(s.contents, r)
	}
}

// put stores a content, or removes what is out of date then.
func (s *reference) put(r media.Request, data []byte, o media.AddOptions) (stored bool) {
	if !o.IgnorePolicy && s.inForce().TooLarge(int64(len(data))) {
		s.remove(r)
		return false
	}
	s.remove(r)
	s.order++
	s.contents[r] = &entry{Data: slices.Clone(data), Access: s.now(), Ignore: o.IgnorePolicy, Order: s.order}
	return true
}

func (s *reference) Add(ctx context.Context, r media.Request, data []byte, o media.AddOptions) (stored bool, err error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	err = s.write(ctx, func() error { stored = s.put(r, data, o); return nil })
	if stored {
		s.opportunity()
	}
	return stored, err
}

func (s *reference) Get(ctx context.Context, r media.Request) (data []byte, found bool, err error) {
	if err := r.Check(); err != nil {
		return nil, false, err
	}
	err = s.read(ctx, func() error {
		if e := s.contents[r]; e != nil {
			data, found, e.Access = slices.Clone(e.Data), true, s.now()
		}
		return nil
	})
	s.opportunity()
	return data, found, err
}

func (s *reference) GetForURI(ctx context.Context, uri id.ContentURIString) (data []byte, r media.Request, found bool, err error) {
	if err := media.File(uri).Check(); err != nil {
		return nil, r, false, err
	}
	err = s.read(ctx, func() error {
		for candidate, e := range s.contents {
			if candidate.URI != uri {
				continue
			}
			more := pixels(candidate.Format).Cmp(pixels(r.Format))
			if !found || candidate.Format.IsFile() || !r.Format.IsFile() && (more > 0 || more == 0 && e.Order > s.contents[r].Order) {
				r, found = candidate, true
			}
		}
		if found {
			data, s.contents[r].Access = slices.Clone(s.contents[r].Data), s.now()
		}
		return nil
	})
	s.opportunity()
	return data, r, found, err
}

func (s *reference) Remove(ctx context.Context, r media.Request) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.write(ctx, func() error { s.remove(r); return nil })
}

func (s *reference) RemoveForURI(ctx context.Context, uri id.ContentURIString) error {
	if err := media.File(uri).Check(); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		for r := range maps.Clone(s.contents) {
			if r.URI == uri {
				s.remove(r)
			}
		}
		return nil
	})
}

func (s *reference) Rename(ctx context.Context, from, to media.Request, o media.RenameOptions) (renamed bool, err error) {
	if err := errors.Join(from.Check(), to.Check()); err != nil {
		return false, err
	}
	err = s.write(ctx, func() error {
		e := s.contents[from]
		if e == nil {
			return nil
		}
		if from != to {
			s.remove(to)
			delete(s.contents, from)
			s.contents[to] = e
		}
		e.Ignore = e.Ignore && !o.ObeyPolicy
		renamed = true
		return nil
	})
	return renamed, err
}

func (s *reference) SetIgnorePolicy(ctx context.Context, r media.Request, ignore bool) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		if e := s.contents[r]; e != nil {
			e.Ignore = ignore
		}
		return nil
	})
}

func (s *reference) Info(ctx context.Context, r media.Request) (info media.Info, found bool, err error) {
	if err := r.Check(); err != nil {
		return info, false, err
	}
	err = s.read(ctx, func() error {
		if e := s.contents[r]; e != nil {
			info, found = media.Info{Size: int64(len(e.Data)), LastAccess: time.UnixMilli(e.Access).UTC(), IgnorePolicy: e.Ignore}, true
		}
		return nil
	})
	return info, found, err
}

func (s *reference) SetPolicy(ctx context.Context, p media.Policy) error {
	if err := p.Check(); err != nil {
		return err
	}
	err := s.write(ctx, func() error { s.policy = ptr(copied(p)); return nil })
	if err == nil {
		s.opportunity()
	}
	return err
}

func (s *reference) LastCleaned(ctx context.Context) (at time.Time, known bool, err error) {
	err = s.read(ctx, func() error {
		if s.cleaned != nil {
			at, known = time.UnixMilli(*s.cleaned).UTC(), true
		}
		return nil
	})
	return at, known, err
}

func (s *reference) Stats(ctx context.Context) (st media.Stats, err error) {
	err = s.read(ctx, func() error {
		for _, e := range s.contents {
			st.Contents++
			st.Bytes += int64(len(e.Data))
			if e.Ignore {
				st.Ignoring++
			}
		}
		st.Uploads = s.uploads
		return nil
	})
	return st, err
}

func (s *reference) Clean(ctx context.Context) (done media.Cleaned, err error) {
	err = s.write(ctx, func() error { done = s.clean(); return nil })
	return done, err
}

// clean cleans, step by step as the contract has them.
func (s *reference) clean() (done media.Cleaned) {
	p, now := s.inForce(), s.o.Clock()
	if !p.HasLimits() {
		return done
	}
	done.Ran = true
	remove := func(r media.Request) {
		done.Removed, done.Bytes = done.Removed+1, done.Bytes+int64(len(s.contents[r].Data))
		s.remove(r)
	}
	obeying := func() (all []media.Request) { // the newest first
		for r, e := range s.contents {
			if !e.Ignore {
				all = append(all, r)
			}
		}
		slices.SortFunc(all, func(a, b media.Request) int {
			x, y := s.contents[a], s.contents[b]
			if x.Access != y.Access {
				return int(y.Access - x.Access)
			}
			return y.Order - x.Order
		})
		return all
	}
	for _, r := range obeying() {
		if p.TooLarge(int64(len(s.contents[r].Data))) {
			remove(r)
		}
	}
	for _, r := range obeying() {
		if p.Expired(now, time.UnixMilli(s.contents[r].Access)) {
			remove(r)
		}
	}
	total, full := int64(0), false
	for _, r := range obeying() {
		total += int64(len(s.contents[r].Data))
		if full = full || p.TooMuch(total); full {
			remove(r)
		}
	}
	s.cleaned = ptr(now.UnixMilli())
	return done
}

// opportunity cleans in the background where that is due.
func (s *reference) opportunity() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cleaning || s.closed || !s.due() {
		return
	}
	s.cleaning = true
	s.closing.Go(func() {
		ran, done := false, media.Cleaned{}
		err := s.write(lifecycle.WithPolicy(context.Background(), lifecycle.Fail), func() error {
			if ran = s.due(); ran {
				done = s.clean()
			}
			return nil
		})
		s.mu.Lock()
		s.cleaning = false
		s.mu.Unlock()
		if ran && s.o.Cleaned != nil {
			s.o.Cleaned(done, err)
		}
	})
}

func (s *reference) due() bool {
	p := s.inForce()
	if s.cleaned == nil {
		return p.CleanupFrequency != nil && p.HasLimits()
	}
	return p.CleanupDue(s.o.Clock(), time.UnixMilli(*s.cleaned))
}

func (s *reference) TakeLease(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error) {
	err = s.write(ctx, func() error {
		l, there := s.leases[key]
		now := time.Now()
		switch {
		case !there:
			l = lease{holder, 1, now}
		case l.Holder != holder && l.Until.After(now):
			generation = l.Generation
			return nil
		case l.Holder != holder:
			l = lease{holder, l.Generation + 1, now}
		}
		l.Until = now.Add(d)
		s.leases[key] = l
		generation, taken = l.Generation, true
		return nil
	})
	return generation, taken, err
}

func (s *reference) Bytes(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, func() error {
		for r, e := range s.contents {
			n += int64(len(e.Data) + len(r.URI) + 100)
		}
		return nil
	})
	return n, err
}

func (s *reference) Compact(ctx context.Context) error {
	return s.write(ctx, func() error { return nil })
}

// Close waits for what the store does by itself.
func (s *reference) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.gate.Close(ctx)
	s.closing.Wait()
	return err
}

// A writer keeps everything until Commit.

type refWriter struct {
	s     *reference
	ctx   context.Context
	r     media.Request
	o     media.AddOptions
	data  []byte
	ended error
}

func (s *reference) Create(ctx context.Context, r media.Request, o media.AddOptions) (media.Writer, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if err := s.write(ctx, func() error { s.uploads++; return nil }); err != nil {
		return nil, err
	}
	return &refWriter{s: s, ctx: ctx, r: r, o: o}, nil
}

func (w *refWriter) end(why error) {
	w.ended, w.data = why, nil
	w.s.uploads--
}

func (w *refWriter) Write(b []byte) (int, error) {
	if w.ended != nil {
		return 0, w.ended
	}
	n := 0
	err := w.s.write(w.ctx, func() error {
		if !w.o.IgnorePolicy && w.s.inForce().TooLarge(int64(len(w.data)+len(b))) {
			w.s.remove(w.r)
			w.end(media.ErrTooLarge)
			return media.ErrTooLarge
		}
		w.data = append(w.data, b...)
		n = len(b)
		return nil
	})
	return n, err
}

func (w *refWriter) Commit() (stored bool, err error) {
	if w.ended != nil {
		return false, w.ended
	}
	err = w.s.write(w.ctx, func() error {
		stored = w.s.put(w.r, w.data, w.o)
		w.end(media.ErrWriterClosed)
		return nil
	})
	if stored {
		w.s.opportunity()
	}
	return stored, err
}

func (w *refWriter) Close() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.ended == nil {
		w.end(media.ErrWriterClosed)
	}
	w.ended = media.ErrWriterClosed
	return nil
}

// A reader has the entry itself, which does not change.

type refReader struct {
	s      *reference
	ctx    context.Context
	e      *entry
	at     int64
	closed bool
}

func (s *reference) Open(ctx context.Context, r media.Request) (in media.Reader, err error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	err = s.read(ctx, func() error {
		if e := s.contents[r]; e != nil {
			e.Access = s.now()
			in = &refReader{s: s, ctx: ctx, e: e}
		}
		return nil
	})
	s.opportunity()
	return in, err
}

func (r *refReader) Size() int64 { return int64(len(r.e.Data)) }

func (r *refReader) Read(b []byte) (n int, err error) {
	if r.closed {
		return 0, media.ErrReaderClosed
	}
	err = r.s.read(r.ctx, func() error {
		switch {
		case r.e.gone:
			return media.ErrGone
		case r.at >= r.Size():
			return io.EOF
		}
		n = copy(b, r.e.Data[r.at:])
		return nil
	})
	r.at += int64(n)
	return n, err
}

func (r *refReader) Seek(offset int64, whence int) (int64, error) {
	if r.closed {
		return 0, media.ErrReaderClosed
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.Size()
	default:
		return 0, fmt.Errorf("whence is %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("the position is negative")
	}
	r.at = offset
	return offset, nil
}

func (r *refReader) Close() error { r.closed = true; return nil }

// openHarness opens stores in memory, whose pausing does nothing.
func openHarness(fault string) *Harness {
	return &Harness{
		Open: func(_ context.Context, _ string, o Options) (media.Store, error) {
			s := newReference(o, fault)
			s.gate = &openGate{s: s}
			return s, nil
		},
		Without: map[conformance.Capability]string{
			conformance.Gate: "it is in memory", conformance.Files: "it is in memory", conformance.Encryption: "it has no files",
		},
	}
}

// openGate is that of a store in memory.
type openGate struct{ s *reference }

func (g *openGate) write(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if g.s.closed {
		return lifecycle.ErrClosed
	}
	return fn()
}

func (g *openGate) read(ctx context.Context, fn func() error) error { return g.write(ctx, fn) }

func (g *openGate) Pause(context.Context) error { return nil }

func (g *openGate) Resume(ctx context.Context) error {
	return g.write(ctx, func() error { return nil })
}

func (g *openGate) Close(context.Context) error { return nil }

func (g *openGate) State() lifecycle.State {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if g.s.closed {
		return lifecycle.Closed
	}
	return lifecycle.Active
}

package mediatest

// The store that the suite itself is tried on: maps under a mutex, obviously right. Its
// gate is one of gate_test.go. Where its fault has a name it is wrong there, once: broken_test.go has the list.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	added  int64 // only faults ask for it
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

	// For faults.
	pauses, open int
	position     atomic.Int64
	adding       atomic.Int32
}

type lease struct {
	Holder     string
	Generation uint64
	Until      time.Time
}

func newReference(o Options, fault string) *reference {
	s := &reference{o: o, fault: fault, contents: map[media.Request]*entry{}, leases: map[string]lease{}}
	if s.is("takes its opening for a cleaning") {
		s.cleaned = ptr(s.now())
	}
	return s
}

func (s *reference) is(fault string) bool { return s.fault == fault }

func (s *reference) now() int64 {
	if s.is("keeps seconds") {
		return s.o.Clock().Unix() * 1000
	}
	return s.o.Clock().UnixMilli()
}

// key is the name under which a content is kept: the request itself.
func (s *reference) key(r media.Request) media.Request {
	switch {
	case s.is("joins URI and format") && !r.Format.IsFile():
		return media.File(r.URI + id.ContentURIString("_"+r.Format.String()))
	case s.is("cuts long URIs off") && len(r.URI) > kib:
		r.URI = r.URI[:kib]
	case s.is("writes URIs in lower case"):
		r.URI = id.ContentURIString(strings.ToLower(string(r.URI)))
	case s.is("takes all thumbnails for one") && !r.Format.IsFile():
		r.Format = media.Format{Method: media.Scale}
	}
	return r
}

func (s *reference) find(r media.Request) *entry { return s.contents[s.key(r)] }

func (s *reference) inForce() media.Policy {
	if s.policy == nil {
		if s.is("limits nothing by default") {
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
	if e := s.find(r); e != nil {
		e.gone = !s.is("reads on in what was removed")
		delete(s.contents, s.key(r))
	}
}

// tooLarge says whether the policy does not allow a content.
func (s *reference) tooLarge(size int64, o media.AddOptions) bool {
	p := s.inForce()
	switch {
	case s.is("takes the larger limit") && p.MaxFileSize != nil:
		p.MaxCacheSize = nil
	case s.is("takes a limit of 0 for none") && p.MaxFileSize != nil && *p.MaxFileSize == 0:
		p.MaxFileSize = nil
	}
	return !o.IgnorePolicy && p.TooLarge(size)
}

// put stores a content, or removes what is out of date then.
func (s *reference) put(r media.Request, data []byte, o media.AddOptions) (stored bool) {
	if s.tooLarge(int64(len(data)), o) {
		if !s.is("keeps what is stale") {
			s.remove(r)
		}
		return false
	}
	old := s.find(r)
	s.remove(r)
	s.order++
	e := &entry{Data: slices.Clone(data), Access: s.now(), Ignore: o.IgnorePolicy, Order: s.order, added: s.now()}
	s.contents[s.key(r)] = e
	switch {
	case s.is("keeps the data that it was given"):
		e.Data = data
	case s.is("stores nothing that is empty") && len(data) == 0:
		delete(s.contents, s.key(r))
	case s.is("keeps the flag of what was replaced") && old != nil:
		e.Ignore = old.Ignore
	case s.is("is a ring of twenty") && len(s.contents) > 20:
		s.remove(slices.MinFunc(slices.Collect(maps.Keys(s.contents)), func(a, b media.Request) int { return s.contents[a].Order - s.contents[b].Order }))
	}
	return true
}

func (s *reference) Add(ctx context.Context, r media.Request, data []byte, o media.AddOptions) (stored bool, err error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	if s.is("loses one of two that come at once") {
		defer s.adding.Add(-1)
		if s.adding.Add(1) > 1 {
			return !s.tooLarge(int64(len(data)), o), ctx.Err()
		}
		runtime.Gosched()
	}
	if s.is("stores the first half first") && len(data) > 100 {
		if _, err := s.addHalf(ctx, r, data, o); err != nil {
			return false, err
		}
	}
	err = s.write(ctx, func() error { stored = s.put(r, data, o); return nil })
	if stored {
		s.opportunity()
	}
	return stored, err
}

func (s *reference) addHalf(ctx context.Context, r media.Request, data []byte, o media.AddOptions) (stored bool, err error) {
	err = s.write(ctx, func() error { stored = s.put(r, data[:len(data)/2], o); return nil })
	runtime.Gosched()
	return stored, err
}

func (s *reference) Get(ctx context.Context, r media.Request) (data []byte, found bool, err error) {
	if err := r.Check(); err != nil {
		return nil, false, err
	}
	err = s.read(ctx, func() error {
		if e := s.find(r); e != nil {
			data, found, e.Access = slices.Clone(e.Data), true, s.now()
		}
		return nil
	})
	if !s.is("takes reading for no opportunity") {
		s.opportunity()
	}
	return data, found, err
}

func (s *reference) GetForURI(ctx context.Context, uri id.ContentURIString) (data []byte, r media.Request, found bool, err error) {
	if err := media.File(uri).Check(); err != nil {
		return nil, r, false, err
	}
	err = s.read(ctx, func() error {
		for candidate, e := range s.contents {
			if candidate.URI != s.key(media.File(uri)).URI {
				continue
			}
			if s.is("touches all formats of a URI") {
				e.Access = s.now()
			}
			more := pixels(candidate.Format).Cmp(pixels(r.Format))
			if s.is("counts pixels in a machine word") {
				more = cmp.Compare(candidate.Format.Width*candidate.Format.Height, r.Format.Width*r.Format.Height)
			}
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
	return s.write(ctx, func() error {
		if s.is("fails for unknown names") && s.find(r) == nil {
			return errors.New("not found")
		}
		if s.is("removes all formats") {
			for other := range maps.Clone(s.contents) {
				if other.URI == r.URI {
					s.remove(other)
				}
			}
		}
		s.remove(r)
		return nil
	})
}

func (s *reference) RemoveForURI(ctx context.Context, uri id.ContentURIString) error {
	if err := media.File(uri).Check(); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		for r := range maps.Clone(s.contents) {
			if r.URI == s.key(media.File(uri)).URI || s.is("runs what is in a URI") && strings.Contains(string(uri), "OR '1'='1") {
				s.remove(r)
			}
		}
		return nil
	})
}

func (s *reference) Rename(ctx context.Context, from, to media.Request, o media.RenameOptions) (renamed bool, err error) {
	err = from.Check()
	if !s.is("checks one name of two") {
		err = errors.Join(err, to.Check())
	}
	if err != nil {
		return false, err
	}
	var e *entry
	err = s.write(ctx, func() error {
		if e = s.find(from); e == nil || s.is("renames onto nothing else") && from != to && s.find(to) != nil {
			return nil
		}
		if from != to || s.is("removes what is renamed to itself") {
			s.remove(to)
			delete(s.contents, s.key(from))
			if !s.is("renames in two steps") {
				s.contents[s.key(to)] = e
			}
		}
		e.Ignore = e.Ignore && (!o.ObeyPolicy || s.is("renames what goes on ignoring the policy"))
		renamed = true
		switch {
		case s.is("loses the flag at Rename"):
			e.Ignore = false
		case s.is("loses the last access at Rename"):
			e.Access = s.now()
		case s.is("leaves two at Rename"):
			s.contents[s.key(from)] = ptr(*e)
		case s.is("takes what is renamed for another one"):
			s.contents[s.key(to)], e.gone = ptr(*e), true
		case s.is("removes what is renamed to itself") && from == to:
			s.remove(to)
		}
		return nil
	})
	if s.is("renames in two steps") && renamed && from != to {
		time.Sleep(50 * time.Microsecond)
		s.mu.Lock()
		s.contents[to] = e
		s.mu.Unlock()
	}
	return renamed, err
}

func (s *reference) SetIgnorePolicy(ctx context.Context, r media.Request, ignore bool) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		if e := s.find(r); e != nil {
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
		if e := s.find(r); e != nil {
			info, found = media.Info{Size: int64(len(e.Data)), LastAccess: time.UnixMilli(e.Access).UTC(), IgnorePolicy: e.Ignore}, true
			switch {
			case s.is("tells local times"):
				info.LastAccess = info.LastAccess.In(time.FixedZone("here", 3600))
			case s.is("takes Info for reading"):
				e.Access = s.now()
			}
		} else if s.is("makes what it is asked for") {
			s.contents[r] = &entry{}
		}
		return nil
	})
	return info, found, err
}

func (s *reference) SetPolicy(ctx context.Context, p media.Policy) error {
	if err := p.Check(); err != nil && !s.is("takes any policy") {
		return err
	}
	err := s.write(ctx, func() error {
		s.policy = ptr(copied(p))
		if s.is("cleans at SetPolicy") {
			s.clean()
		}
		return nil
	})
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
	if s.is("counts for two cleanings at once") {
		var before, after media.Stats
		before, _ = s.Stats(ctx)
		defer func() {
			after, _ = s.Stats(ctx)
			done.Removed = before.Contents - after.Contents
		}()
		runtime.Gosched()
	}
	err = s.write(ctx, func() error { done = s.clean(); return nil })
	if s.is("notes the time of what was cut off") && err != nil {
		s.mu.Lock()
		s.cleaned = ptr(s.now())
		s.mu.Unlock()
	}
	return done, err
}

// clean cleans, step by step as the contract has them.
func (s *reference) clean() (done media.Cleaned) {
	p, now := s.inForce(), s.o.Clock()
	if !p.HasLimits() {
		if s.is("notes a time where nothing is limited") {
			s.cleaned = ptr(s.now())
		}
		return done
	}
	done.Ran = true
	remove := func(r media.Request) {
		if s.is("removes no more than 64") && done.Removed == 64 {
			return
		}
		done.Removed, done.Bytes = done.Removed+1, done.Bytes+int64(len(s.contents[r].Data))
		s.remove(r)
	}
	obeying := func() (all []media.Request) { // the newest first
		for r, e := range s.contents {
			if !e.Ignore || s.is("cleans what ignores the policy") {
				all = append(all, r)
			}
		}
		slices.SortFunc(all, func(a, b media.Request) int {
			x, y := s.contents[a], s.contents[b]
			if s.is("keeps what was read first") {
				x, y = y, x
			}
			if x.Access != y.Access {
				return int(y.Access - x.Access)
			}
			if s.is("takes the first stored for the newest") {
				return x.Order - y.Order
			}
			return y.Order - x.Order
		})
		return all
	}
	tooLarge := func() {
		for _, r := range obeying() {
			if s.tooLarge(int64(len(s.contents[r].Data)), media.AddOptions{}) {
				remove(r)
			}
		}
	}
	expired := func() {
		for _, r := range obeying() {
			at := time.UnixMilli(s.contents[r].Access)
			switch {
			case s.is("does not know of reads when it cleans"):
				at = time.UnixMilli(s.contents[r].added)
			case s.is("lets things expire late"):
				at = at.Add(time.Millisecond)
			case s.is("lets the future expire") && at.After(now):
				at = now.Add(-at.Sub(now))
			}
			if p.Expired(now, at) {
				remove(r)
			}
		}
	}
	tooMuch := func() {
		total, full := int64(0), false
		if s.is("counts what ignores the policy") {
			for _, e := range s.contents {
				if e.Ignore {
					total += int64(len(e.Data))
				}
			}
		}
		for _, r := range obeying() {
			size := int64(len(s.contents[r].Data))
			if full = (full || p.TooMuch(total+size)) && !(s.is("keeps an older one that still fits") && !p.TooMuch(total+size)); full {
				remove(r)
				if s.is("keeps an older one that still fits") {
					continue
				}
			}
			total += size
		}
	}
	if s.is("cleans in another order") {
		tooMuch()
	}
	tooLarge()
	expired()
	tooMuch()
	if done.Removed > 0 || !s.is("notes no time where nothing was removed") {
		s.cleaned = ptr(now.UnixMilli())
	}
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
		if s.is("tells of a cleaning that was cut off") {
			time.Sleep(time.Millisecond)
		}
		err := s.write(lifecycle.WithPolicy(context.Background(), lifecycle.Fail), func() error {
			if ran = s.due(); ran {
				done = s.clean()
			}
			return nil
		})
		s.mu.Lock()
		s.cleaning = false
		s.mu.Unlock()
		ran = ran || err != nil && s.is("tells of a cleaning that was cut off")
		if ran && s.o.Cleaned != nil {
			s.o.Cleaned(done, err)
		}
	})
}

func (s *reference) due() bool {
	p := s.inForce()
	switch {
	case s.is("never cleans by itself"):
		return false
	case s.is("cleans by itself all the time"):
		return p.HasLimits() && p.CleanupFrequency != nil
	case s.is("needs no frequency"):
		return p.HasLimits()
	case s.is("waits not for the past") && s.cleaned != nil && time.UnixMilli(*s.cleaned).After(s.o.Clock()):
		return p.HasLimits() && p.CleanupFrequency != nil
	case s.is("forgets a Clean that was asked for") && s.pauses > 0:
		return p.HasLimits() && p.CleanupFrequency != nil
	}
	if s.cleaned == nil {
		return p.CleanupFrequency != nil && p.HasLimits()
	}
	return p.CleanupDue(s.o.Clock(), time.UnixMilli(*s.cleaned))
}

func (s *reference) TakeLease(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error) {
	if s.is("has leases in lower case") {
		key = strings.ToLower(key)
	}
	var l lease
	var there bool
	read := func() error { l, there = s.leases[key]; return nil }
	if s.is("takes a lease in two steps") {
		if err := s.read(ctx, read); err != nil {
			return 0, false, err
		}
		runtime.Gosched()
	}
	err = s.write(ctx, func() error {
		now := time.Now()
		if !s.is("takes a lease in two steps") {
			_ = read()
		}
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
		if s.is("counts every taking") && there {
			l.Generation++
		}
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
		if s.is("takes no room") {
			n = 0
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

	// For faults.
	policy media.Policy
	pauses int
	at     int64
}

func (s *reference) Create(ctx context.Context, r media.Request, o media.AddOptions) (media.Writer, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if err := s.write(ctx, func() error { s.uploads++; return nil }); err != nil {
		return nil, err
	}
	if s.is("ignores the context of a Writer") {
		ctx = context.WithoutCancel(ctx)
	}
	w := &refWriter{s: s, ctx: ctx, r: r, o: o, policy: s.Policy(), at: s.now()}
	if s.is("shows what is not committed") {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.put(r, nil, o)
	}
	return w, nil
}

func (w *refWriter) end(why error) {
	w.ended, w.data = why, nil
	w.s.uploads--
}

// tooLarge asks for the policy of now.
func (w *refWriter) tooLarge(size int) bool {
	if w.s.is("goes by the policy of Create") {
		return !w.o.IgnorePolicy && w.policy.TooLarge(int64(size))
	}
	return w.s.tooLarge(int64(size), w.o)
}

func (w *refWriter) Write(b []byte) (int, error) {
	if w.ended != nil {
		if w.s.is("writes on after Commit") {
			return len(b), nil
		}
		return 0, w.ended
	}
	n := 0
	err := w.s.write(w.ctx, func() error {
		if w.tooLarge(len(w.data) + len(b)) {
			if !w.s.is("keeps what is stale after a stream") {
				w.s.remove(w.r)
			}
			w.end(media.ErrTooLarge)
			return media.ErrTooLarge
		}
		if w.s.is("forgets in a pause what was written") && w.pauses != w.s.pauses {
			w.data, w.pauses = nil, w.s.pauses
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
		old := w.s.find(w.r)
		if w.s.is("goes by the policy of Create") && !w.tooLarge(len(w.data)) {
			w.o.IgnorePolicy = true
		}
		if w.s.is("lets the first Commit win") && old != nil && old.added == w.s.now() {
			stored = true
		} else {
			stored = w.s.put(w.r, w.data, w.o)
		}
		switch e := w.s.find(w.r); {
		case w.s.is("keeps the flag of what a Commit replaces") && stored && old != nil:
			e.Ignore = old.Ignore
		case w.s.is("takes Create for the last access") && stored:
			e.Access = w.at
		}
		w.end(media.ErrWriterClosed)
		return nil
	})
	if stored {
		w.s.opportunity()
	}
	return stored, err
}

func (w *refWriter) Close() error {
	if w.s.is("cannot close a Writer while paused") && w.s.State() == lifecycle.Paused {
		return lifecycle.ErrPaused
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.ended == nil {
		w.end(media.ErrWriterClosed)
		if w.s.is("keeps what was not committed") {
			w.s.uploads++
		}
	}
	w.ended = media.ErrWriterClosed
	return nil
}

// A reader has the entry itself, which does not change.

type refReader struct {
	s      *reference
	ctx    context.Context
	e      *entry
	r      media.Request
	at     int64
	closed bool
}

func (s *reference) Open(ctx context.Context, r media.Request) (in media.Reader, err error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	err = s.read(ctx, func() error {
		if e := s.find(r); e != nil {
			e.Access = s.now()
			in = &refReader{s: s, ctx: ctx, e: e, r: r}
			s.open++
		}
		return nil
	})
	s.opportunity()
	return in, err
}

func (r *refReader) Size() int64 { return int64(len(r.e.Data)) }

func (r *refReader) Read(b []byte) (n int, err error) {
	if r.closed && !r.s.is("reads on after Close") {
		return 0, media.ErrReaderClosed
	}
	if r.s.is("has one position for all Readers") {
		r.at = r.s.position.Load()
		defer func() { r.s.position.Store(r.at) }()
	}
	if r.s.is("reads on what has come in its place") {
		r.s.mu.Lock()
		if e := r.s.find(r.r); e != nil {
			r.e = e
		}
		r.s.mu.Unlock()
	}
	if r.s.is("reads while it is paused") && r.s.State() == lifecycle.Paused && r.at < r.Size() {
		n = copy(b, r.e.Data[r.at:])
		r.at += int64(n)
		return n, nil
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
		if r.s.is("seeks before the beginning") {
			return r.at, nil
		}
		return 0, errors.New("the position is negative")
	}
	if r.s.is("seeks one byte beside") && whence == io.SeekEnd {
		offset++
	}
	r.at = offset
	return offset, nil
}

func (r *refReader) Close() error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if !r.closed {
		r.s.open--
	}
	r.closed = true
	return nil
}

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
	if err := ctx.Err(); err != nil && !g.s.is("ignores contexts") {
		return err
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if g.s.closed && !g.s.is("goes on after Close") {
		return lifecycle.ErrClosed
	}
	return fn()
}

func (g *openGate) read(ctx context.Context, fn func() error) error { return g.write(ctx, fn) }

func (g *openGate) Pause(context.Context) error {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	g.s.pauses++
	switch {
	case g.s.is("loses all in a pause"):
		clear(g.s.contents)
	case g.s.is("ends streams in a pause"):
		for _, e := range g.s.contents {
			e.gone = true
		}
	}
	return nil
}

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

package mediatest

// The store as cases ask it: calls that can fail only if a promise is broken, and what they have to return.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// probe is one case that runs.
type probe struct {
	*trial.T
	h *Harness
}

// count is how often something is done, for the tier that runs and the harness.
func (p *probe) count(brief, short, full, soak int) int {
	if p.h.Brief {
		short = brief
	}
	return tier.Count(short, full, soak)
}

func (p *probe) has(c conformance.Capability) bool { return p.h.lacks(needs(c)) == "" }

// options are those of a store of which nothing special is wanted.
func (p *probe) options() Options {
	return Options{Clock: p.Clock.Now, Timeout: 30 * time.Second, Grace: 10 * time.Second}
}

// subject is the store that a case is about.
type subject struct {
	media.Store
	p   *probe
	dir string
}

// fresh opens a store in a directory of its own, with the policy that is in force by itself.
func (p *probe) fresh() *subject { return p.openIn(p.Dir(), p.options()) }

// open is fresh, with a policy that limits nothing: so nothing is cleaned that the case does not clean.
func (p *probe) open() *subject {
	s := p.fresh()
	s.policy(media.NoLimits())
	return s
}

// openIn opens the store in dir. It is closed at the end of the case, if it is not closed before.
func (p *probe) openIn(dir string, o Options) *subject {
	store, err := p.h.Open(p.Ctx, dir, o)
	if err != nil {
		p.Fatal("the store could not be opened: %v", err)
	}
	p.After(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Ctx), 30*time.Second)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			p.Broken("Close at the end of the case: %v", err)
		}
	})
	return &subject{Store: store, p: p, dir: dir}
}

// close closes the store, in the midst of a case.
func (s *subject) close() { s.p.Must("Close", s.Close(s.p.Ctx)) }

// reopen closes the store and opens it again.
func (s *subject) reopen() {
	s.close()
	s.Store = s.p.openIn(s.dir, s.p.options()).Store
}

// nap pauses and resumes.
func (s *subject) nap() {
	s.p.Must("Pause", s.Pause(s.p.Ctx))
	s.p.Must("Resume", s.Resume(s.p.Ctx))
}

// policy sets the policy.
func (s *subject) policy(p media.Policy) { s.p.Must("SetPolicy", s.SetPolicy(s.p.Ctx, p)) }

// kept is what is stored whatever the policy says.
var kept = media.AddOptions{IgnorePolicy: true}

// add stores a content, and returns its data.
func (s *subject) add(r media.Request, data []byte, options ...media.AddOptions) []byte {
	if !s.tryAdd(r, data, options...) {
		s.p.Fatal("Add of %d bytes as %s returned false, and the policy allows it: %s", len(data), name(r), limits(s.Policy()))
	}
	return data
}

// tooLarge checks that a content is refused for its size, and that nothing has its name then.
func (s *subject) tooLarge(r media.Request, data []byte) {
	if s.tryAdd(r, data) {
		s.p.Broken("Add of %d bytes returned true, and the policy does not allow it: %s", len(data), limits(s.Policy()))
	}
	s.absent(r)
}

func (s *subject) tryAdd(r media.Request, data []byte, options ...media.AddOptions) bool {
	stored, err := s.Add(s.p.Ctx, r, data, append(options, media.AddOptions{})[0])
	s.p.Must("Add", err)
	return stored
}

// has checks that a content is there, as Get returns it.
func (s *subject) has(r media.Request, data []byte) bool {
	got, found, err := s.Get(s.p.Ctx, r)
	s.p.Must("Get", err)
	switch {
	case !found:
		s.p.Broken("Get says that there is no %s, and it was stored", name(r))
	case !bytes.Equal(got, data):
		s.p.Broken("Get of %s %s", name(r), difference(got, data))
	default:
		return true
	}
	return false
}

// difference says how what was returned differs from what was stored.
func difference(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("returns %d bytes, and %d were stored; they differ from byte %d on", len(got), len(want), i)
}

// absent checks that contents are not there, in all ways of asking for one.
func (s *subject) absent(all ...media.Request) bool {
	ok := true
	for _, r := range all {
		data, found, err := s.Get(s.p.Ctx, r)
		s.p.Must("Get", err)
		_, known, err := s.Info(s.p.Ctx, r)
		s.p.Must("Info", err)
		in, err := s.Open(s.p.Ctx, r)
		s.p.Must("Open", err)
		if in != nil {
			s.p.Must("Close of a Reader", in.Close())
		}
		if found || len(data) > 0 || known || in != nil {
			ok = false
			s.p.Broken("there is a %s, and should not be: Get found it: %v (%d bytes), Info: %v, Open: %v", name(r), found, len(data), known, in != nil)
		}
	}
	return ok
}

// is checks, without counting as reading, which of some contents are there.
func (s *subject) there(when string, all []media.Request, want ...media.Request) bool {
	var got, wanted []string
	for _, r := range all {
		_, found, err := s.Info(s.p.Ctx, r)
		s.p.Must("Info", err)
		if found {
			got = append(got, name(r))
		}
		if slices.Contains(want, r) {
			wanted = append(wanted, name(r))
		}
	}
	if slices.Equal(got, wanted) {
		return true
	}
	s.p.Broken("%s there are\n%s\nand there should be\n%s", when, strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	return false
}

// info returns what is known of a content that has to be there.
func (s *subject) info(r media.Request) media.Info {
	info, found, err := s.Info(s.p.Ctx, r)
	s.p.Must("Info", err)
	if !found {
		s.p.Fatal("Info says that there is no %s, and it was stored", name(r))
	}
	return info
}

// accessed checks the last access.
func (s *subject) accessed(r media.Request, at time.Time) bool {
	got, want := s.info(r).LastAccess, millis(at)
	if got.Equal(want) {
		return true
	}
	s.p.Broken("the last access of %s is %v, and should be %v", name(r), got, want)
	return false
}

// millis is a time as a store keeps it.
func millis(at time.Time) time.Time { return time.UnixMilli(at.UnixMilli()).UTC() }

// obeys checks that a content does not ignore the policy, and ignores that it does.
func (s *subject) obeys(r media.Request)   { s.flag(r, false) }
func (s *subject) ignores(r media.Request) { s.flag(r, true) }

func (s *subject) flag(r media.Request, want bool) {
	if got := s.info(r).IgnorePolicy; got != want {
		s.p.Broken("whether %s ignores the policy is %v, and should be %v", name(r), got, want)
	}
}

// setIgnore sets the flag.
func (s *subject) setIgnore(r media.Request, ignore bool) {
	s.p.Must("SetIgnorePolicy", s.SetIgnorePolicy(s.p.Ctx, r, ignore))
}

func (s *subject) stats() media.Stats {
	got, err := s.Stats(s.p.Ctx)
	s.p.Must("Stats", err)
	return got
}

// counts checks what Stats counts.
func (s *subject) counts(when string, want media.Stats) bool {
	got := s.stats()
	if got == want {
		return true
	}
	s.p.Broken("%s Stats counts %+v, and should count %+v", when, got, want)
	return false
}

// cleans cleans, and checks what was removed.
func (s *subject) cleans(removed int, bytes int64) bool {
	return s.cleaned("Clean", media.Cleaned{Ran: true, Removed: removed, Bytes: bytes})
}

// doesNotClean checks that Clean does nothing because nothing is limited.
func (s *subject) doesNotClean() bool {
	return s.cleaned("Clean, where nothing is limited,", media.Cleaned{})
}

func (s *subject) cleaned(what string, want media.Cleaned) bool {
	got, err := s.Clean(s.p.Ctx)
	s.p.Must("Clean", err)
	if got == want {
		return true
	}
	s.p.Broken("%s returned %+v, and should have returned %+v; the policy is %s", what, got, want, limits(s.Policy()))
	return false
}

// lastCleaned checks when a cleaning has ended last, nil for never.
func (s *subject) lastCleaned(want *time.Time) bool {
	at, known, err := s.LastCleaned(s.p.Ctx)
	s.p.Must("LastCleaned", err)
	switch {
	case !known && want == nil, known && want != nil && at.Equal(millis(*want)):
		return true
	case want == nil:
		s.p.Broken("LastCleaned returned %v, and nothing was ever cleaned", at)
	case !known:
		s.p.Broken("LastCleaned does not know of the cleaning at %v", *want)
	default:
		s.p.Broken("LastCleaned returned %v, and the last cleaning was at %v", at, millis(*want))
	}
	return false
}

// limits shows a policy.
func limits(p media.Policy) string {
	var all []string
	show := func(what string, set bool, v func() any) {
		if set {
			all = append(all, fmt.Sprintf("%s %v", what, v()))
		}
	}
	show("all together", p.MaxCacheSize != nil, func() any { return *p.MaxCacheSize })
	show("one", p.MaxFileSize != nil, func() any { return *p.MaxFileSize })
	show("expiry", p.LastAccessExpiry != nil, func() any { return *p.LastAccessExpiry })
	show("cleaned every", p.CleanupFrequency != nil, func() any { return *p.CleanupFrequency })
	return "[" + strings.Join(all, ", ") + "]"
}

// inForce checks the policy in force.
func (s *subject) inForce(when string, want media.Policy) bool {
	got := limits(s.Policy())
	if got == limits(want) {
		return true
	}
	s.p.Broken("%s the policy in force is %s, and should be %s", when, got, limits(want))
	return false
}

// create begins to write a content as a stream. The Writer is closed at the end of the case.
func (s *subject) create(r media.Request, options ...media.AddOptions) media.Writer {
	w, err := s.Create(s.p.Ctx, r, append(options, media.AddOptions{})[0])
	s.p.Must("Create", err)
	s.p.After(func() { s.p.Must("Close of a Writer", w.Close()) })
	return w
}

// write writes data in pieces.
func (p *probe) write(w media.Writer, data []byte, piece int) {
	for len(data) > 0 {
		next := data[:min(piece, len(data))]
		n, err := w.Write(next)
		p.Must("Write", err)
		if n != len(next) {
			p.Fatal("Write of %d bytes returned %d and no error", len(next), n)
		}
		data = data[n:]
	}
}

// commit commits what is to be stored.
func (p *probe) commit(w media.Writer) {
	stored, err := w.Commit()
	p.Must("Commit", err)
	if !stored {
		p.Fatal("Commit returned false, and the policy allows the content")
	}
}

// stream stores a content as a stream.
func (s *subject) stream(r media.Request, data []byte, piece int, options ...media.AddOptions) []byte {
	w := s.create(r, options...)
	s.p.write(w, data, piece)
	s.p.commit(w)
	s.p.Must("Close of a Writer", w.Close())
	return data
}

// opened opens a content that has to be there. The Reader is closed at the end of the case.
func (s *subject) opened(r media.Request) media.Reader {
	in, err := s.Open(s.p.Ctx, r)
	s.p.Must("Open", err)
	if in == nil {
		s.p.Fatal("Open says that there is no %s, and it was stored", name(r))
	}
	s.p.After(func() { s.p.Must("Close of a Reader", in.Close()) })
	return in
}

// reads checks what a Reader gives out from where it is, to the end.
func (p *probe) reads(what string, in media.Reader, want []byte) bool {
	got, err := io.ReadAll(in)
	p.Must("reading "+what, err)
	if bytes.Equal(got, want) {
		return true
	}
	p.Broken("a Reader of %s %s", what, difference(got, want))
	return false
}

// everyWay checks that a content is there whole, in all ways of reading one.
func (s *subject) everyWay(r media.Request, data []byte) {
	if !s.has(r, data) {
		return
	}
	in := s.opened(r)
	if in.Size() != int64(len(data)) || s.info(r).Size != int64(len(data)) {
		s.p.Broken("the size of %s is %d by its Reader, %d by Info, and should be %d", name(r), in.Size(), s.info(r).Size, len(data))
	}
	s.p.reads(name(r), in, data)
	s.p.Must("Close of a Reader", in.Close())
}

// state checks the state, which a store reports at every moment.
func (s *subject) state(want lifecycle.State) {
	if got := s.State(); got != want {
		s.p.Broken("the state is %v and not %v", got, want)
	}
}

// waiting is a context under which work waits for a Resume.
func waiting(ctx context.Context) context.Context { return lifecycle.WithPolicy(ctx, lifecycle.Wait) }

package mediatest

// A pause at any moment of any operation loses nothing and does nothing twice.

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var stormCases = []Case{
	{
		Name:    "pauses-at-any-moment",
		Promise: "under a storm of pauses that interrupt and sever, an operation that returned nil has happened once, and one that returned an error of the pause has not happened at all; streams go on where they were",
		Origins: from("contract", "OBS-34"), Needs: needs(conformance.Gate), run: func(p *probe) { storm(p, lifecycle.Fail) },
	},
	{
		Name:    "waiting-through-pauses",
		Promise: "under a storm of pauses, with the policy Wait, the same is true, and whoever waits gets through",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: func(p *probe) { storm(p, lifecycle.Wait) },
	},
	{
		Name:    "an-interrupted-change",
		Promise: "a large Add, Commit or RemoveForURI that a pause has cut off has changed nothing, and happens when it is asked for again; of a large Write that was cut off the rest can be written",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: caseInterrupted,
	},
}

// limit is the largest content that obeys the policy in a storm. Larger ones whose
// flag was cleared are removed by one of the cleanings in it, or by the last.
const limit = 150 * kib

func storm(p *probe, policy lifecycle.Policy) {
	dir, o := p.Dir(), p.options()
	o.WhenPaused, o.Timeout, o.Grace = policy, 10*time.Second, time.Millisecond
	s := p.openIn(dir, o)
	inForce := media.NoLimits().WithMaxFileSize(limit)
	s.policy(inForce)
	var writers []*stormWriter
	var over atomic.Bool
	// A storm is over when it has blown for long enough, and every writer has met it.
	enough := func(pauses int) bool {
		for _, w := range writers {
			if w.done.Load() < 20 || policy == lifecycle.Fail && w.stopped.Load() < 3 {
				return false
			}
		}
		return pauses >= p.count(8, 15, 600, 6000)
	}
	seed, pauses := rand.Uint64(), 0
	all := []func(){func() {
		defer over.Store(true)
		pauses = p.Storm(s, rand.New(rand.NewPCG(seed, 0)), enough)
	}}
	for i := range 3 {
		w := &stormWriter{p: p, s: s, r: rand.New(rand.NewPCG(seed, uint64(i+1))), number: i, m: &model{now: func() int64 { return 0 }, policy: inForce}}
		writers = append(writers, w)
		all = append(all, func() {
			for !over.Load() && !p.Over() {
				w.step()
				w.done.Add(1)
			}
			w.finish()
		})
	}
	all = append(all, func() { keeper(p, s, &over) })
	p.About(fmt.Sprintf("seed %d", seed), func() {
		p.All(all...)
		if p.Over() {
			return
		}
		done, err := s.Clean(p.Ctx)
		p.Must("Clean", err)
		if !done.Ran {
			p.Broken("Clean did not run, when nobody else cleaned")
		}
		check := func(when string) {
			want := media.Stats{}
			for _, w := range writers {
				w.m.clean()
				st := w.m.stats(0)
				want.Contents, want.Bytes, want.Ignoring = want.Contents+st.Contents, want.Bytes+st.Bytes, want.Ignoring+st.Ignoring
				for _, r := range w.requests() {
					if c := w.m.find(r); c == nil {
						s.absent(r)
					} else {
						s.everyWay(r, c.data)
						s.flag(r, c.ignore)
					}
				}
			}
			p.Eventually(fmt.Sprintf("%s Stats counts %+v, and no uploads", when, want), func() bool { return s.stats() == want })
			s.inForce(when, inForce)
		}
		check(fmt.Sprintf("after %d pauses", pauses))
		s.nap()
		check("after one pause more")
		if p.has(conformance.Files) {
			s.reopen()
			check("after closing and opening again")
		}
	})
	p.Note("%d pauses", pauses)
}

// stormWriter changes contents of its own, and keeps a model of them.
type stormWriter struct {
	p      *probe
	s      *subject
	r      *rand.Rand
	number int
	m      *model
	stored uint32 // counts what was stored
	slow   media.Writer
	slowTo media.Request
	slowly []byte // what slow has taken
	reader media.Reader
	of     *modelContent
	at     int

	done, stopped atomic.Int64 // steps, and how often a pause was in the way of one
}

func (w *stormWriter) requests() (all []media.Request) {
	for i := range 3 {
		uri := fmt.Sprintf("%d of %d", i, w.number)
		all = append(all, file(uri), thumbnail(uri, 1, 1))
	}
	return all
}

func (w *stormWriter) request() media.Request {
	all := w.requests()
	return all[w.r.IntN(len(all))]
}

// data are marked, and of any size: over the limit, too.
func (w *stormWriter) data() ([]byte, bool) {
	w.stored++
	size := []int{8, 5000, 64*kib + 1, limit, limit + 1, 300 * kib}[w.r.IntN(6)]
	return marked(w.stored, size), w.r.IntN(3) == 0
}

// nothing checks, after an operation that a pause was in the way of, that it has not happened to these.
func (w *stormWriter) nothing(what string, all ...media.Request) {
	w.stopped.Add(1)
	for _, r := range all {
		c := w.m.find(r)
		var info media.Info
		found := false
		w.p.Through("Info", func() (err error) { info, found, err = w.s.Info(w.p.Ctx, r); return err }, func() {})
		if w.p.Over() {
			return
		}
		if c != nil && !w.m.allows(len(c.data), c.ignore) && !found { // removed by a cleaning
			w.m.remove(r)
			continue
		}
		if found != (c != nil) || found && (info.Size != int64(len(c.data)) || info.IgnorePolicy != c.ignore) {
			w.p.Fatal("%s returned an error of the pause, and %s is changed: found %v, %+v", what, name(r), found, info)
		}
	}
}

// do does an operation that changes these until no pause is in its way.
func (w *stormWriter) do(what string, op func() error, all ...media.Request) {
	w.p.Through(what, op, func() { w.nothing(what, all...) })
}

func (w *stormWriter) step() {
	p, s, ctx := w.p, w.s, w.p.Ctx
	r, to := w.request(), w.request()
	switch w.r.IntN(10) {
	case 0, 1:
		data, ignore := w.data()
		stored := false
		w.do("Add", func() (err error) {
			stored, err = s.Add(ctx, r, data, media.AddOptions{IgnorePolicy: ignore})
			return err
		}, r)
		if want := w.m.add(r, data, ignore); stored != want && !p.Over() {
			p.Fatal("Add returned %v, and should have returned %v", stored, want)
		}
	case 2:
		w.do("Remove", func() error { return s.Remove(ctx, r) }, r)
		w.m.remove(r)
	case 3:
		w.do("RemoveForURI", func() error { return s.RemoveForURI(ctx, r.URI) }, w.requests()...)
		w.m.removeForURI(r.URI)
	case 4:
		c, renamed := w.m.find(r), false
		obey := w.r.IntN(2) == 0
		w.do("Rename", func() (err error) {
			renamed, err = s.Rename(ctx, r, to, media.RenameOptions{ObeyPolicy: obey})
			return err
		}, r, to)
		if c != nil && !renamed && !w.m.allows(len(c.data), c.ignore) { // removed by a cleaning
			w.m.remove(r)
		}
		if want := w.m.rename(r, to, obey); renamed != want && !p.Over() {
			p.Fatal("Rename returned %v, and should have returned %v", renamed, want)
		}
	case 5:
		ignore := w.r.IntN(2) == 0
		c := w.m.find(r)
		if c != nil && ignore && !w.m.allows(len(c.data), c.ignore) {
			return // it may be there, or not
		}
		w.do("SetIgnorePolicy", func() error { return s.SetIgnorePolicy(ctx, r, ignore) }, r)
		if c := w.m.find(r); c != nil {
			c.ignore = ignore
		}
	case 6, 7:
		w.write()
	case 8:
		w.read()
	case 9:
		var data []byte
		found := false
		p.Through("Get", func() (err error) { data, found, err = s.Get(ctx, r); return err }, func() {})
		w.compare("Get", r, data, found)
	}
}

// compare checks what was read of a content.
func (w *stormWriter) compare(what string, r media.Request, data []byte, found bool) {
	c := w.m.find(r)
	switch {
	case w.p.Over():
	case c != nil && !found && !w.m.allows(len(c.data), c.ignore): // removed by a cleaning
		w.m.remove(r)
	case found != (c != nil), found && !bytes.Equal(data, c.data):
		w.p.Fatal("%s of %s: found %v, %d bytes; and it should be found: %v", what, name(r), found, len(data), c != nil)
	}
}

// write takes a stream a step further: it begins one, writes a piece, commits, or gives it up.
func (w *stormWriter) write() {
	p, s, ctx := w.p, w.s, w.p.Ctx
	if w.slow == nil {
		r := w.request()
		w.do("Create", func() (err error) { w.slow, err = s.Create(ctx, r, kept); return err }, r)
		w.slowTo, w.slowly = r, nil
		return
	}
	switch w.r.IntN(6) {
	case 0:
		stored := false
		w.do("Commit", func() (err error) { stored, err = w.slow.Commit(); return err }, w.slowTo)
		if p.Over() {
			return
		}
		if !stored {
			p.Fatal("Commit of what ignores the policy returned false")
		}
		w.m.add(w.slowTo, w.slowly, true)
		var data []byte
		found := false
		p.Through("Get", func() (err error) { data, found, err = s.Get(ctx, w.slowTo); return err }, func() {})
		w.compare("Get after Commit", w.slowTo, data, found)
		w.giveUp()
	case 1:
		w.giveUp()
	default:
		w.stored++
		piece := marked(w.stored, []int{8, 3000, 64 * kib, 64*kib + 5, 200 * kib}[w.r.IntN(5)])
		for len(piece) > 0 && !p.Over() {
			n, err := w.slow.Write(piece)
			if err != nil && !trial.OfPause(err) || n < 0 || n > len(piece) || err == nil && n < len(piece) {
				p.Fatal("Write of %d bytes, under a storm of pauses, returned %d, %v", len(piece), n, err)
			}
			w.slowly, piece = append(w.slowly, piece[:n]...), piece[n:]
			if err != nil {
				w.nothing("Write", w.slowTo)
				time.Sleep(20 * time.Microsecond)
			}
		}
	}
}

func (w *stormWriter) giveUp() {
	w.p.Must("Close of a Writer", w.slow.Close())
	w.slow = nil
}

// read takes a reading a step further.
func (w *stormWriter) read() {
	p, s, ctx := w.p, w.s, w.p.Ctx
	if w.reader == nil {
		r := w.request()
		p.Through("Open", func() (err error) { w.reader, err = s.Open(ctx, r); return err }, func() {})
		c := w.m.find(r)
		switch {
		case p.Over():
		case c != nil && w.reader == nil && !w.m.allows(len(c.data), c.ignore):
			w.m.remove(r)
		case (c != nil) != (w.reader != nil):
			p.Fatal("Open of %s has found something: %v; and should have: %v", name(r), w.reader != nil, c != nil)
		}
		w.of, w.at = c, 0
		return
	}
	buf := make([]byte, min(100*kib, len(w.of.data)-w.at))
	n, err := io.ReadFull(w.reader, buf)
	switch {
	case errors.Is(err, media.ErrGone):
		if !w.of.gone && w.m.allows(len(w.of.data), w.of.ignore) {
			p.Fatal("Read returned ErrGone, and the content is there")
		}
		w.endRead()
		return
	case err != nil && !trial.OfPause(err) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		p.Fatal("Read, under a storm of pauses, returned: %v", err)
	}
	if !bytes.Equal(buf[:n], w.of.data[w.at:w.at+n]) {
		p.Fatal("Read from %d of a content that was stored whole returned other bytes", w.at)
	}
	if w.at += n; w.at == len(w.of.data) || w.r.IntN(8) == 0 {
		w.endRead()
	}
}

func (w *stormWriter) endRead() {
	w.p.Must("Close of a Reader", w.reader.Close())
	w.reader = nil
}

func (w *stormWriter) finish() {
	if w.slow != nil {
		w.giveUp()
	}
	if w.reader != nil {
		w.endRead()
	}
}

// keeper does what changes nothing that a writer could see, but for what is too large.
func keeper(p *probe, s *subject, over *atomic.Bool) {
	for n := 0; !over.Load() && !p.Over(); n++ {
		generation := uint64(0)
		for _, op := range []struct {
			name string
			do   func() error
		}{
			{"Clean", func() error { return second(s.Clean(p.Ctx)) }},
			{"SetPolicy", func() error { return s.SetPolicy(p.Ctx, media.NoLimits().WithMaxFileSize(limit)) }},
			{"Bytes", func() error { return second(s.Bytes(p.Ctx)) }},
			{"Stats", func() error { return second(s.Stats(p.Ctx)) }},
			{"Compact", func() error { return s.Compact(p.Ctx) }},
			{"LastCleaned", func() error { return third(s.LastCleaned(p.Ctx)) }},
			{"GetForURI", func() error { _, _, _, err := s.GetForURI(p.Ctx, mxc("1 of 1")); return err }},
			{"TakeLease", func() (err error) {
				generation, _, err = s.TakeLease(p.Ctx, "key", fmt.Sprint("holder ", n), 0)
				return err
			}},
		} {
			p.Through(op.name, op.do, func() {})
		}
		if generation != uint64(n+1) && !p.Over() {
			p.Fatal("%d holders have had a lease, one after another, and its generation is %d", n+1, generation)
		}
	}
}

// caseInterrupted cuts off changes that take long, at many moments of their work.
func caseInterrupted(p *probe) {
	dir, o := p.Dir(), p.options()
	o.Grace = time.Microsecond
	s := p.openIn(dir, o)
	s.policy(media.NoLimits())
	r, uri := file("a"), mxc("many")
	small, large := bytesOf(1, 1000), bytesOf(2, p.count(1, 2, 3, 3)*mib)
	cut, took := 0, map[string]time.Duration{} // how long each takes, where it is known, so that the moments are those of its work
	// during pauses in the midst of a call. Where that was cut off, nothing is to be changed, and again does it: so it is done at the end.
	during := func(what string, do func() error, unchanged func(), again func()) {
		if p.CutOff(s, what, cmp.Or(took[what], 2*time.Millisecond), do) == nil {
			return
		}
		cut++
		unchanged()
		begun := time.Now()
		again()
		took[what] = time.Since(begun)
	}
	for range p.count(1, 2, 40, 400) {
		if p.Over() {
			return
		}
		s.add(r, small)
		during("a large Add", func() error { return second(s.Add(p.Ctx, r, large, kept)) }, func() {
			s.has(r, small)
			s.obeys(r)
			s.counts("after an Add that was cut off", media.Stats{Contents: 1, Bytes: 1000})
		}, func() { s.add(r, large, kept) })
		s.everyWay(r, large)

		s.add(r, small)
		w := s.create(r, kept)
		taken := 0
		during("a large Write", func() (err error) { taken, err = w.Write(large); return err }, func() {
			if taken < 0 || taken > len(large) {
				p.Fatal("Write returned that it has taken %d bytes of %d", taken, len(large))
			}
			s.has(r, small)
		}, func() {
			p.write(w, large[taken:], mib)
			taken = len(large)
		})
		if taken != len(large) {
			p.Broken("Write returned no error, and %d of %d bytes", taken, len(large))
		}
		during("a Commit", func() error { return second(w.Commit()) }, func() { s.has(r, small) }, func() { p.commit(w) })
		s.everyWay(r, large)
		s.counts("after Write and Commit, and pauses,", media.Stats{Contents: 1, Bytes: int64(len(large)), Ignoring: 1})

		const many = 40
		for i := range many {
			s.add(media.Thumbnail(uri, i, i), small)
		}
		during("RemoveForURI", func() error { return s.RemoveForURI(p.Ctx, uri) }, func() {
			s.counts("after a RemoveForURI that was cut off", media.Stats{Contents: many + 1, Bytes: int64(len(large) + many*len(small)), Ignoring: 1})
		}, func() { p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, uri)) })
		s.noneOf(uri)
		p.Must("Remove", s.Remove(p.Ctx, r))
	}
	p.Note("%d changes were cut off", cut)
}

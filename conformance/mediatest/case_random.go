package mediatest

// What nobody thought of: random sequences, made smaller by rapid where they find something.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var randomCases = []Case{
	{
		Name:    "any-operations",
		Promise: "any operations, in any order, with streams that are open meanwhile, pauses and jumps of the clock, have the effects and the answers that the contract says, and nothing else",
		Origins: from("contract", "ME-02", "ME-03", "ME-26"), run: caseAnyOperations,
	},
}

func pixels(f media.Format) *big.Int {
	return new(big.Int).Mul(big.NewInt(int64(f.Width)), big.NewInt(int64(f.Height)))
}

// walk is one sequence of operations on a store and on the model.
type walk struct {
	*rapid.T
	p       *probe
	s       *subject
	m       *model
	writers []*walkWriter
	readers []*walkReader
}

type walkWriter struct {
	media.Writer
	r      media.Request
	data   []byte
	ignore bool
}

type walkReader struct {
	media.Reader
	c  *modelContent
	at int
}

// few requests, so that they meet.
func (w *walk) uri() id.ContentURIString {
	return rapid.SampledFrom([]id.ContentURIString{"a", "b", "a_file"}).Draw(w.T, "uri")
}

func (w *walk) request() media.Request {
	r := media.Request{URI: w.uri()}
	switch rapid.IntRange(0, 3).Draw(w.T, "format") {
	case 0:
		r.Format = media.Format{Method: media.Scale, Width: 10, Height: 10}
	case 1:
		r.Format = media.Format{Method: media.Crop, Width: 20, Height: 5}
	}
	return r
}

func (w *walk) data() []byte {
	size := rapid.SampledFrom([]int{0, 1, 20, 50, 51, 100, 64 * kib, 100 * kib}).Draw(w.T, "size")
	return bytesOf(rapid.IntRange(0, 1000).Draw(w.T, "seed"), size)
}

func (w *walk) ignore() bool { return rapid.IntRange(0, 3).Draw(w.T, "ignore") == 0 }

// pick returns one of several, the zero value where there is none.
func pick[V any](w *walk, from []V) (v V) {
	if len(from) == 0 {
		return v
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(w.T, "which")]
}

func (w *walk) must(what string, err error) {
	if err != nil {
		w.Fatalf("%s returned: %v", what, err)
	}
}

func (w *walk) equal(what string, got, want any) {
	if got != want {
		w.Fatalf("%s: %v, and should be %v", what, got, want)
	}
}

// same compares a content with what was returned.
func (w *walk) same(what string, data []byte, found bool, c *modelContent) {
	if found != (c != nil) || c != nil && !bytes.Equal(data, c.data) {
		w.Fatalf("%s: found %v, %d bytes; and should be %v, or the bytes are others", what, found, len(data), c != nil)
	}
}

func caseAnyOperations(p *probe) {
	s := p.open()
	begin := p.Clock.Now()
	p.Rapidly(p.count(4, 10, 500, 10_000), func(t *rapid.T) {
		// One store for all sequences: its contents are removed in between.
		p.Clock.Set(begin)
		s.policy(media.NoLimits())
		for _, uri := range []id.ContentURIString{"a", "b", "a_file"} {
			p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, uri))
		}
		w := &walk{T: t, p: p, s: s, m: &model{now: func() int64 { return p.Clock.Now().UnixMilli() }}}
		at, known, err := s.LastCleaned(p.Ctx)
		w.must("LastCleaned", err)
		if known {
			w.m.cleaned = ptr(at.UnixMilli())
		}
		defer func() {
			for _, open := range w.writers {
				p.Must("Close of a Writer", open.Close())
			}
			for _, open := range w.readers {
				p.Must("Close of a Reader", open.Close())
			}
		}()
		for range 40 {
			w.step()
		}
		w.check()
	})
}

// steps are the operations. What is often asked for is there several times.
var steps = []struct {
	name  string
	often int
	do    func(w *walk)
}{
	{"Add", 6, func(w *walk) {
		r, data, ignore := w.request(), w.data(), w.ignore()
		stored, err := w.s.Add(w.p.Ctx, r, data, media.AddOptions{IgnorePolicy: ignore})
		w.must("Add", err)
		w.equal("Add", stored, w.m.add(r, data, ignore))
		w.look(r)
	}},
	{"Get", 3, func(w *walk) {
		r := w.request()
		data, found, err := w.s.Get(w.p.Ctx, r)
		w.must("Get", err)
		w.same("Get", data, found, w.m.get(r))
	}},
	{"GetForURI", 2, func(w *walk) {
		uri := w.uri()
		data, r, found, err := w.s.GetForURI(w.p.Ctx, uri)
		w.must("GetForURI", err)
		c := w.m.getForURI(uri)
		w.same("GetForURI", data, found, c)
		if c != nil {
			w.equal("GetForURI", r, c.Request)
		}
	}},
	{"Remove", 1, func(w *walk) {
		r := w.request()
		w.must("Remove", w.s.Remove(w.p.Ctx, r))
		w.m.remove(r)
	}},
	{"RemoveForURI", 1, func(w *walk) {
		uri := w.uri()
		w.must("RemoveForURI", w.s.RemoveForURI(w.p.Ctx, uri))
		w.m.removeForURI(uri)
	}},
	{"Rename", 2, func(w *walk) {
		from, to, obey := w.request(), w.request(), w.ignore()
		renamed, err := w.s.Rename(w.p.Ctx, from, to, media.RenameOptions{ObeyPolicy: obey})
		w.must("Rename", err)
		w.equal("Rename", renamed, w.m.rename(from, to, obey))
		w.look(from, to)
	}},
	{"SetIgnorePolicy", 1, func(w *walk) {
		r, ignore := w.request(), w.ignore()
		w.must("SetIgnorePolicy", w.s.SetIgnorePolicy(w.p.Ctx, r, ignore))
		if c := w.m.find(r); c != nil {
			c.ignore = ignore
		}
		w.look(r)
	}},
	{"SetPolicy", 2, func(w *walk) {
		p := media.NoLimits()
		if rapid.IntRange(0, 2).Draw(w.T, "limits") == 0 {
			w.must("SetPolicy", w.s.SetPolicy(w.p.Ctx, p))
			w.m.policy = p
			return
		}
		if rapid.Bool().Draw(w.T, "cache") {
			p = p.WithMaxCacheSize(rapid.SampledFrom([]int64{170 * kib, 120, 50, 0}).Draw(w.T, "MaxCacheSize"))
		}
		if rapid.IntRange(0, 2).Draw(w.T, "file") == 0 {
			p = p.WithMaxFileSize(rapid.SampledFrom([]int64{64 * kib, 50, 0}).Draw(w.T, "MaxFileSize"))
		}
		if rapid.IntRange(0, 2).Draw(w.T, "expiry") == 0 {
			p = p.WithLastAccessExpiry(rapid.SampledFrom([]time.Duration{0, 2 * time.Millisecond, time.Second, hour}).Draw(w.T, "LastAccessExpiry"))
		}
		w.must("SetPolicy", w.s.SetPolicy(w.p.Ctx, p))
		w.m.policy = p
	}},
	{"Clean", 2, func(w *walk) {
		done, err := w.s.Clean(w.p.Ctx)
		w.must("Clean", err)
		w.equal("Clean", done, w.m.clean())
	}},
	{"the clock", 3, func(w *walk) {
		w.p.Clock.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Millisecond, 300 * time.Microsecond, time.Second, hour, -time.Second, -2 * hour}).Draw(w.T, "by"))
	}},
	{"Create", 2, func(w *walk) {
		r, ignore := w.request(), w.ignore()
		open, err := w.s.Create(w.p.Ctx, r, media.AddOptions{IgnorePolicy: ignore})
		w.must("Create", err)
		w.writers = append(w.writers, &walkWriter{open, r, nil, ignore})
	}},
	{"Write", 3, func(w *walk) {
		open := pick(w, w.writers)
		if open == nil {
			return
		}
		data := w.data()
		n, err := open.Write(data)
		if !w.m.allows(len(open.data)+len(data), open.ignore) {
			if !errors.Is(err, media.ErrTooLarge) {
				w.Fatalf("Write of %d bytes more than %d, which the policy does not allow, returned %v", len(data), len(open.data), err)
			}
			w.m.remove(open.r)
			w.end(open)
			return
		}
		w.must("Write", err)
		w.equal("Write", n, len(data))
		open.data = append(open.data, data...)
	}},
	{"Commit", 3, func(w *walk) {
		open := pick(w, w.writers)
		if open == nil {
			return
		}
		stored, err := open.Commit()
		w.must("Commit", err)
		w.equal("Commit", stored, w.m.add(open.r, open.data, open.ignore))
		w.end(open)
		w.look(open.r)
	}},
	{"Close of a Writer", 1, func(w *walk) {
		if open := pick(w, w.writers); open != nil {
			w.end(open)
		}
	}},
	{"Open", 2, func(w *walk) {
		r := w.request()
		open, err := w.s.Open(w.p.Ctx, r)
		w.must("Open", err)
		c := w.m.get(r)
		w.equal("Open has found it", open != nil, c != nil)
		if open != nil {
			w.readers = append(w.readers, &walkReader{open, c, 0})
			w.equal("Size", open.Size(), int64(len(c.data)))
		}
	}},
	{"Read", 3, func(w *walk) {
		open := pick(w, w.readers)
		if open == nil || open.at >= len(open.c.data) {
			return
		}
		buf := make([]byte, min(rapid.SampledFrom([]int{1, 30, 70 * kib}).Draw(w.T, "bytes"), len(open.c.data)-open.at))
		n, err := io.ReadFull(open, buf)
		if open.c.gone {
			if n != 0 || !errors.Is(err, media.ErrGone) {
				w.Fatalf("Read of a content that is gone returned %d, %v", n, err)
			}
			return
		}
		w.must("Read", err)
		if !bytes.Equal(buf, open.c.data[open.at:open.at+n]) {
			w.Fatalf("Read from %d returned other bytes", open.at)
		}
		open.at += n
	}},
	{"a pause", 1, func(w *walk) {
		w.must("Pause", w.s.Pause(w.p.Ctx))
		w.must("Resume", w.s.Resume(w.p.Ctx))
	}},
	{"Compact", 1, func(w *walk) { w.must("Compact", w.s.Compact(w.p.Ctx)) }},
	{"a look at everything", 1, (*walk).check},
}

// often has the number of each step as often as it is wanted.
var often = func() (all []int) {
	for i, step := range steps {
		for range step.often {
			all = append(all, i)
		}
	}
	return all
}()

func (w *walk) step() {
	if rapid.IntRange(0, 20).Draw(w.T, "nothing at all") == 0 { // to which rapid makes a sequence shorter
		return
	}
	step := steps[rapid.SampledFrom(often).Draw(w.T, "operation")]
	w.p.About(step.name, func() { step.do(w) })
}

// end closes a Writer.
func (w *walk) end(open *walkWriter) {
	w.must("Close of a Writer", open.Close())
	var rest []*walkWriter
	for _, other := range w.writers {
		if other != open {
			rest = append(rest, other)
		}
	}
	w.writers = rest
}

// look compares what is known of some contents.
func (w *walk) look(all ...media.Request) {
	for _, r := range all {
		info, found, err := w.s.Info(w.p.Ctx, r)
		w.must("Info", err)
		c := w.m.find(r)
		w.equal("Info finds "+name(r), found, c != nil)
		if c != nil {
			w.equal("Info of "+name(r), fmt.Sprint(info), fmt.Sprint(media.Info{Size: int64(len(c.data)), LastAccess: time.UnixMilli(c.access).UTC(), IgnorePolicy: c.ignore}))
		}
	}
}

// check compares all that there is, without reading a content.
func (w *walk) check() {
	for _, uri := range []id.ContentURIString{"a", "b", "a_file"} {
		for _, f := range []media.Format{{}, {Method: media.Scale, Width: 10, Height: 10}, {Method: media.Crop, Width: 20, Height: 5}} {
			w.look(media.Request{URI: uri, Format: f})
		}
	}
	stats, err := w.s.Stats(w.p.Ctx)
	w.must("Stats", err)
	w.equal("Stats", stats, w.m.stats(len(w.writers)))
	w.equal("Policy", limits(w.s.Policy()), limits(w.m.policy))
	at, known, err := w.s.LastCleaned(w.p.Ctx)
	w.must("LastCleaned", err)
	if known != (w.m.cleaned != nil) || known && at.UnixMilli() != *w.m.cleaned {
		w.Fatalf("LastCleaned returned %v, %v", at, known)
	}
}

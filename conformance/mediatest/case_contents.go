package mediatest

// Contents in memory as a whole: what was stored comes back, under its name and no other.

import (
	"fmt"
	"math"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var contentCases = []Case{
	{
		Name:    "contents",
		Promise: "a content is there from Add until it is removed, by its own name and by its URI; other formats and other URIs are other contents",
		Origins: from(seed(8), "ME-02", "ME-04", "ME-05", "ME-06", "ME-07"), run: caseContents,
	},
	{
		Name:    "sizes",
		Promise: "a content of any size comes back as it was, at once and as a stream, whichever way it came: empty, one byte, whole chunks and a byte more or less, several megabytes",
		Origins: from("contract", "OBS-35", "bad input/empty contents"), run: caseSizes,
	},
	{
		Name:    "data-belong-to-the-caller",
		Promise: "what Add and Write were given may be changed afterwards, and so may what Get and GetForURI have returned, without an effect on the store",
		Origins: from("contract"), run: caseCopies,
	},
	{
		Name:    "replacing",
		Promise: "Add to a name that has a content replaces its data, its last access and its flag, and leaves one content",
		Origins: from("ME-02", "ME-22"), run: caseReplacing,
	},
	{
		Name:    "nothing-stale",
		Promise: "an Add that is refused for its size removes what had the name before, because it is out of date; one that ignores the policy is stored",
		Origins: from("DIV-32", "GAP-ME/oversize replacement", "ME-22"),
		Differs: "matrix-rust-sdk keeps the old content, or removes it, as it happens",
		run:     caseStale,
	},
	{
		Name:    "by-uri",
		Promise: "GetForURI returns the file where that is there, otherwise the thumbnail with the most pixels, and of those with as many the one that was stored last",
		Origins: from("ME-06", "ME-25", "bad input/sizes that overflow"),
		Differs: "matrix-rust-sdk returns any one",
		run:     caseByURI,
	},
	{
		Name:    "unknown-names",
		Promise: "removing, flagging and renaming what is not there is no error, and creates nothing",
		Origins: from("GAP-ME/unknown-key set_ignore and remove", "ME-03", "ME-05", "ME-07", "ME-10", "ME-23"), run: caseUnknown,
	},
	{
		Name:    "asking-creates-nothing",
		Promise: "no question changes anything: not what is there, not what Stats counts, not when was cleaned last",
		Origins: from("contract", "OBS-32"), run: caseAsking,
	},
	{
		Name:    "nothing-is-evicted",
		Promise: "however many contents there are, all of them stay that the policy allows, and first of all those that ignore it",
		Origins: from("DIV-33", "GAP-ME/ring eviction of ignored rows", "7.7/test_pool_size"),
		Differs: "matrix-rust-sdk's memory store is a ring of 20; the pool size that its SQLite store keeps is a setting of an implementation here",
		run:     caseMany,
	},
	{
		Name:    "size-and-compact",
		Promise: "Bytes grows with what is stored, and Compact gives back what is not needed any more, and changes nothing",
		Origins: from("GAP-ME/get_size", "ME-14", "ME-15"), run: caseCompact,
	},
}

func caseContents(p *probe) {
	s := p.open()
	me, other, thumb := file("media"), file("other-media"), thumbnail("media", 100, 100)
	absent := func(all ...media.Request) {
		s.absent(all...)
		for _, r := range all {
			s.noneOf(r.URI)
		}
	}
	absent(me, other)
	data := s.add(me, []byte("hello"))
	s.has(me, data)
	s.byURI(me.URI, me, data)
	absent(other)

	p.Must("Remove", s.Remove(p.Ctx, me))
	absent(me, other)
	s.add(me, data)
	s.add(thumb, []byte("world"))
	s.has(me, data)
	s.has(thumb, []byte("world"))
	s.byURI(me.URI, me, data)
	s.add(other, []byte("foo"))
	s.has(other, []byte("foo"))
	s.counts("with a file, its thumbnail, and another file", media.Stats{Contents: 3, Bytes: 13})
	p.Must("Remove", s.Remove(p.Ctx, thumb))
	s.absent(thumb)
	s.has(me, data)
	s.add(thumb, []byte("world"))
	p.Must("Remove", s.Remove(p.Ctx, me))
	s.absent(me)
	s.byURI(me.URI, thumb, []byte("world"))
	s.add(me, data)

	p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, me.URI))
	absent(me)
	s.absent(thumb)
	s.has(other, []byte("foo"))
	s.byURI(other.URI, other, []byte("foo"))
	p.Must("Remove", s.Remove(p.Ctx, other))
	absent(other)
	s.counts("when all was removed", media.Stats{})
}

// byURI checks which content GetForURI returns.
func (s *subject) byURI(uri id.ContentURIString, want media.Request, data []byte) bool {
	got, r, found, err := s.GetForURI(s.p.Ctx, uri)
	s.p.Must("GetForURI", err)
	switch {
	case !found:
		s.p.Broken("GetForURI says that there is nothing of %s, and there is %s", short(string(uri)), name(want))
	case r != want:
		s.p.Broken("GetForURI returned %s, and should have returned %s", name(r), name(want))
	case string(got) != string(data):
		s.p.Broken("GetForURI of %s %s", name(want), difference(got, data))
	default:
		return true
	}
	return false
}

// noneOf checks that there is nothing of a URI.
func (s *subject) noneOf(uri id.ContentURIString) {
	data, r, found, err := s.GetForURI(s.p.Ctx, uri)
	s.p.Must("GetForURI", err)
	if found || len(data) > 0 || r != (media.Request{}) {
		s.p.Broken("GetForURI of %s, of which there is nothing, returned %d bytes, %+v, %v", short(string(uri)), len(data), r, found)
	}
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// sizes are those at which something may go wrong: around the chunks that stores are likely to have.
func (p *probe) sizes() []int {
	all := []int{0, 1, 11, 4*kib - 1, 4 * kib, 64*kib - 1, 64 * kib, 64*kib + 1, 128 * kib, 256*kib + 1, mib - 1, mib, mib + 1, 2*mib + 12345, 5*mib + 12345, 20 * mib}
	return all[:p.count(9, 13, 16, 16)]
}

func caseSizes(p *probe) {
	s := p.open()
	for i, size := range p.sizes() {
		p.About(fmt.Sprintf("%d bytes", size), func() {
			data := bytesOf(i, size)
			at := file("at once")
			s.everyWay(at, s.add(at, data))
			for _, piece := range []int{64 * kib, 1000, 64*kib + 1, size + 1} {
				if piece < size/1000 {
					continue
				}
				stream := thumbnail("as a stream", piece, 1)
				s.everyWay(stream, s.stream(stream, data, piece))
			}
			p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, mxc("as a stream")))
		})
	}
	last := p.sizes()[len(p.sizes())-1]
	s.counts("after all of them under one name", media.Stats{Contents: 1, Bytes: int64(last)})
}

func caseCopies(p *probe) {
	s := p.open()
	for _, size := range []int{10, 64 * kib, 300 * kib} {
		data := bytesOf(1, size)
		spoil := func(b []byte) {
			for i := range b {
				b[i] ^= 0xff
			}
		}
		given := bytesOf(1, size)
		s.add(file("a"), given)
		spoil(given)
		s.has(file("a"), data)

		w := s.create(file("b"))
		for _, part := range [][]byte{bytesOf(1, size)[:size/2], bytesOf(1, size)[size/2:]} {
			p.write(w, part, size)
			spoil(part)
		}
		p.commit(w)
		s.has(file("b"), data)

		for range 2 {
			got, _, err := s.Get(p.Ctx, file("a"))
			p.Must("Get", err)
			spoil(got)
			got, _, _, err = s.GetForURI(p.Ctx, file("a").URI)
			p.Must("GetForURI", err)
			spoil(got)
		}
		s.everyWay(file("a"), data)
	}
}

func caseReplacing(p *probe) {
	s := p.open()
	r := file("a")
	s.add(r, bytesOf(1, 200*kib), kept)
	s.ignores(r)
	s.counts("with one content that ignores the policy", media.Stats{Contents: 1, Bytes: 200 * kib, Ignoring: 1})
	for i, size := range []int{100, 150 * kib, 150 * kib, 0, 300 * kib} {
		at := p.Clock.Add(hour)
		o := media.AddOptions{IgnorePolicy: i%2 == 1}
		data := bytesOf(i+2, size)
		if i%3 == 0 {
			s.stream(r, data, 64*kib, o)
		} else {
			s.add(r, data, o)
		}
		s.flag(r, o.IgnorePolicy)
		s.accessed(r, at)
		s.everyWay(r, data)
		want := media.Stats{Contents: 1, Bytes: int64(size)}
		if o.IgnorePolicy {
			want.Ignoring = 1
		}
		s.counts("after replacing one content", want)
	}
}

func caseStale(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithMaxFileSize(100))
	r, other := file("a"), thumbnail("a", 10, 10)
	s.add(other, bytesOf(1, 50))
	for _, old := range []media.AddOptions{{}, kept} { // old, and out of date, whether it ignores the policy or not
		s.add(r, bytesOf(1, 50), old)
		s.tooLarge(r, bytesOf(2, 101))
		s.has(other, bytesOf(1, 50))
		s.byURI(r.URI, other, bytesOf(1, 50))
		s.counts("after an Add that was refused", media.Stats{Contents: 1, Bytes: 50})
	}
	s.tooLarge(r, bytesOf(2, 101)) // where nothing was
	s.add(r, bytesOf(3, 100))
	s.add(r, bytesOf(4, 101), kept)
	s.has(r, bytesOf(4, 101))
	s.ignores(r)
	s.add(r, bytesOf(5, 100)) // which ignores nothing
	s.obeys(r)
	s.has(r, bytesOf(5, 100))
}

func caseByURI(p *probe) {
	s := p.open()
	uri := mxc("a")
	format := func(method media.Method, width, height int, animated bool) media.Request {
		return media.Request{URI: uri, Format: media.Format{Method: method, Width: width, Height: height, Animated: animated}}
	}
	s.add(thumbnail("another", 5000, 5000), []byte("of another URI"))
	// Each of these is to be preferred to all before it.
	better := []media.Request{
		format(media.Crop, 0, math.MaxInt, false), // no pixels at all
		format(media.Crop, 1, 1, false),
		format(media.Scale, 100, 2, false),
		format(media.Crop, 3, 100, false),
		format(media.Crop, 30, 10, true), // as many, and stored later
		format(media.Scale, 10, 30, false),
		format("any", 20, 20, true),
		format(media.Scale, 4000, 3000, false),
		format(media.Scale, math.MaxInt, 1, false),
		format(media.Scale, math.MaxInt, 2, false),
		format(media.Scale, 3, math.MaxInt, false),
		format(media.Scale, math.MaxInt, math.MaxInt, false),
		media.File(uri),
	}
	for i, r := range better {
		data := s.add(r, bytesOf(i, 40))
		s.byURI(uri, r, data)
	}
	// The other way round it is the same, but for those with as many pixels: the one that was stored later is the better one.
	p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, uri))
	for i := len(better) - 1; i >= 0; i-- {
		s.add(better[i], bytesOf(i, 40))
	}
	better[3], better[5] = better[5], better[3]
	for i := len(better) - 1; i >= 0; i-- {
		data, _, err := s.Get(p.Ctx, better[i])
		p.Must("Get", err)
		if !s.byURI(uri, better[i], data) {
			return
		}
		p.Must("Remove", s.Remove(p.Ctx, better[i]))
	}
	s.noneOf(uri)
}

func caseUnknown(p *probe) {
	s := p.open()
	check := func(what string, want media.Stats) {
		for _, r := range []media.Request{file("unknown"), thumbnail("unknown", 1, 1), thumbnail("a", 2, 2)} {
			p.Must("Remove", s.Remove(p.Ctx, r))
			p.Must("SetIgnorePolicy", s.SetIgnorePolicy(p.Ctx, r, true))
			p.Must("SetIgnorePolicy", s.SetIgnorePolicy(p.Ctx, r, false))
			for _, to := range []media.Request{r, file("nowhere"), file("a")} {
				renamed, err := s.Rename(p.Ctx, r, to, media.RenameOptions{ObeyPolicy: true})
				p.Must("Rename", err)
				if renamed {
					p.Broken("Rename of %s, which is not there, to %s returned true", name(r), name(to))
				}
			}
			s.absent(r, file("nowhere"))
		}
		p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, mxc("unknown")))
		s.noneOf(mxc("unknown"))
		s.counts(what, want)
	}
	check("in an empty store", media.Stats{})
	s.add(file("a"), []byte("data"), kept)
	check("in a store with another content", media.Stats{Contents: 1, Bytes: 4, Ignoring: 1})
	s.has(file("a"), []byte("data"))
	s.ignores(file("a"))
}

func caseAsking(p *probe) {
	s := p.fresh()
	ask := func() {
		for _, r := range []media.Request{file("a"), thumbnail("a", 1, 2), file("")} {
			s.absent(r)
			s.noneOf(r.URI)
		}
		s.Policy()
		for range 2 {
			if _, err := s.Bytes(p.Ctx); err != nil {
				p.Broken("Bytes returned: %v", err)
			}
			p.Must("Compact", s.Compact(p.Ctx))
		}
	}
	s.policy(media.NoLimits())
	ask()
	s.counts("in a store that was only asked", media.Stats{})
	s.lastCleaned(nil)
	s.doesNotClean()
	s.lastCleaned(nil)
	s.inForce("in a store that was only asked", media.NoLimits())
	at := p.Clock.Now()
	s.add(file("b"), []byte("data"), kept)
	p.Clock.Add(hour)
	ask()
	s.counts("in a store with one content", media.Stats{Contents: 1, Bytes: 4, Ignoring: 1})
	s.accessed(file("b"), at)
}

func caseMany(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithMaxCacheSize(64 * kib)) // of which those that obey it need less
	const ignoring, obeying = 150, 50
	request := func(i int) media.Request { return thumbnail(fmt.Sprint(i%40), i, i) }
	for i := range ignoring + obeying {
		o := media.AddOptions{IgnorePolicy: i < ignoring}
		s.add(request(i), bytesOf(i, kib+i), o)
		p.Clock.Add(hour)
	}
	check := func(when string) {
		stats, found := media.Stats{}, 0
		for i := range ignoring + obeying {
			stats.Contents++
			stats.Bytes += int64(kib + i)
			if i < ignoring {
				stats.Ignoring++
			}
			if s.has(request(i), bytesOf(i, kib+i)) {
				found++
			}
		}
		s.counts(when, stats)
		if found != ignoring+obeying {
			p.Broken("%s only %d of %d contents are there", when, found, ignoring+obeying)
		}
	}
	check("after they were stored")
	s.cleans(0, 0)
	check("after Clean, of a policy that allows them,")
	s.nap()
	check("after a pause")
}

func caseCompact(p *probe) {
	s := p.open()
	size := func() int64 {
		n, err := s.Bytes(p.Ctx)
		p.Must("Bytes", err)
		if n < 0 {
			p.Broken("Bytes returned %d", n)
		}
		return n
	}
	empty := size()
	stay := s.add(file("stays"), bytesOf(0, 100*kib))
	const count, each = 6, 700 * kib
	for i := range count {
		s.add(file(fmt.Sprint(i)), bytesOf(i, each))
	}
	full := size()
	if full < empty+count*each {
		p.Broken("Bytes was %d, and is %d after %d bytes more were stored", empty, full, count*each)
	}
	p.Must("Compact", s.Compact(p.Ctx))
	for i := range count {
		s.has(file(fmt.Sprint(i)), bytesOf(i, each))
		p.Must("Remove", s.Remove(p.Ctx, file(fmt.Sprint(i))))
	}
	p.Must("Compact", s.Compact(p.Ctx))
	s.nap() // a log is emptied then at the latest
	if after := size(); after > full-count*each/2 {
		p.Broken("Bytes was %d, and is %d after %d bytes were removed, Compact, and a pause", full, after, count*each)
	}
	s.everyWay(file("stays"), stay)
	s.counts("after Compact", media.Stats{Contents: 1, Bytes: 100 * kib})
}

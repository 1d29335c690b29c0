package mediatest

// When a content was last read, and by what.

import (
	"io"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var accessCases = []Case{
	{
		Name:    "last-access",
		Promise: "Add, Commit, Get, GetForURI and Open make the last access of a content now, and nothing else does: not Info, not Read, not another name, not a question that finds nothing",
		Origins: from("ME-04", "ME-24", "OBS-32", "7.7/test_last_access"), run: caseAccess,
	},
	{
		Name:    "touches-one",
		Promise: "GetForURI is a reading of the content that it returns, and of no other format of the URI",
		Origins: from("DIV-31", "ME-06", "ME-25"),
		Differs: "matrix-rust-sdk's SQLite store touches all formats of the URI",
		run:     caseTouchesOne,
	},
	{
		Name:    "last-access-survives",
		Promise: "when a content was last read is known after a pause, and after the store was closed and opened again, though reading writes nothing at once",
		Origins: from("OBS-32", "contract"), run: caseAccessSurvives,
	},
	{
		Name:    "reads-count-for-cleaning",
		Promise: "a cleaning knows of every reading before it, also of one that nothing has been written after",
		Origins: from("OBS-32", "ME-26"), run: caseAccessCounts,
	},
}

func caseAccess(p *probe) {
	s := p.open()
	r, thumb := file("a"), thumbnail("a", 10, 10)
	s.add(thumb, []byte("thumb"))
	s.add(r, bytesOf(1, 1000))
	last := p.Clock.Now()
	s.accessed(r, last)
	var in media.Reader
	var w media.Writer
	must := func(what string, err error) { p.Must(what, err) }
	for _, c := range []struct {
		what    string
		touches bool
		do      func()
	}{
		{"Get", true, func() { s.has(r, bytesOf(1, 1000)) }},
		{"Info", false, func() { s.info(r) }},
		{"GetForURI", true, func() { s.byURI(r.URI, r, bytesOf(1, 1000)) }},
		{"Stats", false, func() { s.stats() }},
		{"Open", true, func() { in = s.opened(r) }},
		{"Read", false, func() { _, err := in.Read(make([]byte, 100)); must("Read", err) }},
		{"Seek and Read", false, func() {
			_, err := in.Seek(0, io.SeekStart)
			must("Seek", err)
			p.reads("it", in, bytesOf(1, 1000))
		}},
		{"Close of a Reader", false, func() { must("Close", in.Close()) }},
		{"Get of another format", false, func() { s.has(thumb, []byte("thumb")) }},
		{"Get of what is not there", false, func() { s.absent(file("b"), thumbnail("a", 1, 1)) }},
		{"SetIgnorePolicy", false, func() { s.setIgnore(r, true); s.setIgnore(r, false) }},
		{"Rename", false, func() {
			s.rename(r, file("b"), media.RenameOptions{})
			s.rename(file("b"), r, media.RenameOptions{ObeyPolicy: true})
		}},
		{"Clean", false, func() { s.doesNotClean() }},
		{"Compact", false, func() { must("Compact", s.Compact(p.Ctx)) }},
		{"Create", false, func() { w = s.create(r) }},
		{"Write", false, func() { p.write(w, bytesOf(2, 100*kib), 30*kib) }},
		{"Close of a Writer", false, func() { must("Close", w.Close()) }},
		{"Create and Write", false, func() { w = s.create(r); p.write(w, bytesOf(2, 100*kib), 30*kib) }},
		{"Commit", true, func() { p.commit(w) }},
		{"Add", true, func() { s.add(r, bytesOf(1, 1000)) }},
		{"Get again", true, func() { s.has(r, bytesOf(1, 1000)) }},
	} {
		p.About(c.what, func() {
			at := p.Clock.Add(1500 * time.Millisecond)
			c.do()
			if c.touches {
				last = at
			}
			s.accessed(r, last)
		})
	}
	// The last reading, not the greatest time.
	back := p.Clock.Add(-1000 * hour)
	s.has(r, bytesOf(1, 1000))
	s.accessed(r, back)
}

func caseTouchesOne(p *probe) {
	s := p.open()
	begin := p.Clock.Now()
	small, large, other, me := thumbnail("a", 10, 10), thumbnail("a", 20, 20), thumbnail("b", 30, 30), file("a")
	for _, r := range []media.Request{small, large, other} {
		s.add(r, []byte(name(r)))
	}
	at := p.Clock.Add(hour)
	s.byURI(large.URI, large, []byte(name(large)))
	s.accessed(small, begin)
	s.accessed(large, at)
	s.accessed(other, begin)
	s.add(me, []byte("me"))
	later := p.Clock.Add(hour)
	s.byURI(me.URI, me, []byte("me"))
	s.accessed(small, begin)
	s.accessed(large, at)
	s.accessed(me, later)
	// What was not touched expires.
	s.policy(media.NoLimits().WithLastAccessExpiry(90 * time.Minute))
	s.cleans(2, int64(len(name(small))+len(name(other))))
	s.there("after a cleaning", []media.Request{small, large, other, me}, large, me)
}

func caseAccessSurvives(p *probe) {
	s := p.open()
	ways := []struct {
		r    media.Request
		read func(r media.Request)
	}{
		{file("a"), func(r media.Request) { s.has(r, []byte("data")) }},
		{thumbnail("b", 1, 1), func(r media.Request) { s.byURI(r.URI, r, []byte("data")) }},
		{file("c"), func(r media.Request) { s.opened(r) }},
	}
	for _, w := range ways {
		s.add(w.r, []byte("data"))
	}
	at := map[media.Request]time.Time{}
	read := func() {
		for _, w := range ways {
			at[w.r] = p.Clock.Add(time.Minute)
			w.read(w.r)
		}
		p.Clock.Add(time.Minute)
	}
	check := func(when string) {
		p.About(when, func() {
			for _, w := range ways {
				s.accessed(w.r, at[w.r])
			}
		})
	}
	for range 2 {
		read()
		check("at once")
		s.nap()
		check("after a pause")
		s.nap()
		check("after another pause")
		if p.has(conformance.Files) {
			read()
			s.reopen()
			check("after it was opened again")
			read()
			p.Must("Pause", s.Pause(p.Ctx))
			s.reopen()
			check("after it was paused, closed and opened again")
		}
	}
}

func caseAccessCounts(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithMaxCacheSize(30))
	var all []media.Request
	for _, n := range []string{"0", "1", "2", "3", "4"} {
		all = append(all, file(n))
		s.add(file(n), bytesOf(0, 10))
		p.Clock.Add(time.Second)
	}
	for _, i := range []int{0, 3, 2} {
		s.has(all[i], bytesOf(0, 10))
		p.Clock.Add(time.Second)
	}
	s.cleans(2, 20)
	s.there("three were read before the cleaning:", all, all[0], all[2], all[3])
	s.policy(media.NoLimits().WithLastAccessExpiry(10 * time.Second))
	p.Clock.Add(9 * time.Second)
	s.has(all[0], bytesOf(0, 10))
	p.Clock.Add(time.Second)
	s.cleans(2, 20)
	s.there("one was read before the cleaning:", all, all[0])
}

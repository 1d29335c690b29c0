package mediatest

// Contents in memory as a whole: what was stored comes back, under its name and no other.

import (
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var contentCases = []Case{
	{
		Name:    "contents",
		Promise: "a content is there from Add until it is removed, by its own name and by its URI; other formats and other URIs are other contents",
		Origins: from(seed(8), "ME-02", "ME-04", "ME-05", "ME-06", "ME-07"), run: caseContents,
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

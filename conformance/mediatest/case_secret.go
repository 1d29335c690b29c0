package mediatest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"bytes"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var secretCases = []Case{
	{
		Name:    "nothing-in-clear",
		Promise: "no URI, no method and no content can be read in the files of an encrypted store, whichever way it came in: not while it is open, not while it is paused, not after Close",
		Origins: from("contract"), Needs: needs(conformance.Files, conformance.Encryption), run: caseSecret,
	},
	{
		Name:    "files-are-named",
		Promise: "every file that the store makes in its directory is one that Files names",
		Origins: from("contract"), Needs: needs(conformance.Files), run: caseFilesNamed,
	},
}

// markers are those of a case.
type markers struct{ trial.Markers }

// request names a file, or a thumbnail, with markers.
func (m *markers) request(way string) media.Request {
	return media.File(id.ContentURIString("mxc://" + m.Mark(way+": server") + "/" + m.Mark(way+": URI")))
}

func (m *markers) thumbnail(way string) media.Request {
	r := m.request(way)
	r.Format = media.Format{Method: media.Method(m.Mark(way + ": method")), Width: 10, Height: 10}
	return r
}

// data are full of one marker: some of it is in every chunk, and at every edge.
func (m *markers) data(way string, size int) []byte {
	text := m.Mark(way + ": content")
	return bytes.Repeat([]byte(text), size/len(text)+1)[:size]
}

func caseSecret(p *probe) {
	s := p.open()
	var m markers
	contents := map[media.Request][]byte{}
	for _, size := range []int{20, 150 * kib} { // in one row, and in chunks
		how := fmt.Sprint(size, " bytes, ")
		for what, options := range map[string]media.AddOptions{"added": {}, "added and flagged": kept} {
			for _, r := range []media.Request{m.request(how + what), m.thumbnail(how + what)} {
				contents[r] = s.add(r, m.data(how+what, size), options)
			}
		}
		r := m.thumbnail(how + "streamed")
		contents[r] = s.stream(r, m.data(how+"streamed", size), 10*kib)

		r = m.request(how + "replaced")
		s.add(r, m.data(how+"replaced", size))
		contents[r] = s.add(r, m.data(how+"replacing", size))

		from, to := m.thumbnail(how+"old name"), m.request(how+"new name")
		contents[to] = s.add(from, m.data(how+"renamed", size), kept)
		s.rename(from, to, media.RenameOptions{ObeyPolicy: true})
		from = m.request(how + "renamed over another")
		contents[to] = s.add(from, m.data(how+"renamed over another", size))
		s.rename(from, to, media.RenameOptions{})

		// What is removed may stay in free pages.
		r = m.thumbnail(how + "removed")
		s.add(r, m.data(how+"removed", size))
		p.Must("Remove", s.Remove(p.Ctx, r))
		r = m.request(how + "removed by URI")
		s.add(r, m.data(how+"removed by URI", size))
		p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, r.URI))
		s.add(m.request(how+"cleaned"), m.data(how+"cleaned", 200*kib+size))
		s.policy(media.NoLimits().WithMaxFileSize(200 * kib))
		s.cleans(1, int64(200*kib+size))
		s.tooLarge(m.request(how+"refused"), m.data(how+"refused", 200*kib+1))
		s.policy(media.NoLimits())

		// Uploads: one goes on, one was given up.
		p.write(s.create(m.thumbnail(how+"not committed")), m.data(how+"not committed", size), 10*kib)
		w := s.create(m.request(how + "given up"))
		p.write(w, m.data(how+"given up", size), 10*kib)
		p.Must("Close", w.Close())
	}
	// What is only asked for belongs nowhere.
	asked := m.thumbnail("asked for")
	s.absent(asked)
	s.noneOf(asked.URI)
	p.Must("SetIgnorePolicy", s.SetIgnorePolicy(p.Ctx, m.request("flagged, and not there"), true))
	_, err := s.Rename(p.Ctx, m.request("renamed, and not there"), m.request("its new name"), media.RenameOptions{})
	p.Must("Rename", err)
	s.takes(m.Mark("key of a lease"), m.Mark("holder of a lease"), long, 1)
	s.takes(m.Mark("key of a lease that is released"), m.Mark("its holder"), 0, 1)
	whole := func() {
		for r, data := range contents {
			s.everyWay(r, data)
		}
	}
	whole()

	search := trial.FileSearch{Dir: s.dir, Files: p.h.Files, Markers: m.Markers, Least: 300 * kib}
	p.SearchWhileOpen(search)
	p.Must("Pause", s.Pause(p.Ctx))
	p.SearchFiles("while it is paused", search)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	whole()
	s.close()
	p.SearchFiles("after Close", search)
	s.Store = p.openIn(s.dir, p.options()).Store
	whole()
}

func caseFilesNamed(p *probe) {
	s := p.open()
	check := func(when string) { p.FilesNamed(when, s.dir, p.h.Files) }
	s.add(file("a"), bytesOf(1, 300*kib))
	p.write(s.create(file("b")), bytesOf(2, 300*kib), 64*kib)
	s.takes("key", "holder", long, 1)
	check("while the store is open")
	s.policy(media.NoLimits().WithMaxFileSize(1000))
	s.cleans(1, 300*kib)
	p.Must("Compact", s.Compact(p.Ctx))
	check("after Clean and Compact")
	p.Must("Pause", s.Pause(p.Ctx))
	check("while the store is paused")
	p.Must("Resume", s.Resume(p.Ctx))
	s.close()
	check("after Close")
}

package mediatest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
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

// markers make texts that are in no file by chance, and remember them.
type markers []marker

type marker struct{ place, text string }

// common is in every marker.
const common = "XvMark"

// mark returns a text of twelve bytes that names a place.
func (m *markers) mark(place string) string {
	text := fmt.Sprintf("Zq%04d"+common, len(*m)) // the same length each, and none is a part of another
	*m = append(*m, marker{place, text})
	return text
}

// request names a file, or a thumbnail, with markers.
func (m *markers) request(way string) media.Request {
	return media.File(id.ContentURIString("mxc://" + m.mark(way+": server") + "/" + m.mark(way+": URI")))
}

func (m *markers) thumbnail(way string) media.Request {
	r := m.request(way)
	r.Format = media.Format{Method: media.Method(m.mark(way + ": method")), Width: 10, Height: 10}
	return r
}

// data are full of one marker: some of it is in every chunk, and at every edge.
func (m *markers) data(way string, size int) []byte {
	text := m.mark(way + ": content")
	return bytes.Repeat([]byte(text), size/len(text)+1)[:size]
}

// forms are how a text may stand in a file without being encrypted.
func forms(text string) map[string][]byte {
	all := map[string][]byte{
		"as it is": []byte(text), "in hex": []byte(hex.EncodeToString([]byte(text))), "in HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(text)))),
	}
	var wide []byte
	for _, b := range []byte(text) {
		wide = append(wide, b, 0)
	}
	all["in UTF-16"] = wide
	for offset := range 3 { // base64 of it, wherever it begins in what is encoded
		padded := append(make([]byte, offset), text...)
		encoded := base64.StdEncoding.EncodeToString(padded)
		first, last := (offset*8+5)/6, len(padded)*8/6
		all[fmt.Sprint("in base64, from byte ", offset)] = []byte(encoded[first:last])
	}
	return all
}

// in says which of them can be read in a file.
func (m markers) in(content []byte) string {
	var all []string
	for _, marker := range m {
		for _, bytesOf := range forms(marker.text) {
			if bytes.Contains(content, bytesOf) {
				all = append(all, marker.place)
				break
			}
		}
	}
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("and %d more", len(all)-20))
	}
	return strings.Join(all, "; ")
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
	s.takes(m.mark("key of a lease"), m.mark("holder of a lease"), long, 1)
	s.takes(m.mark("key of a lease that is released"), m.mark("its holder"), 0, 1)
	whole := func() {
		for r, data := range contents {
			s.everyWay(r, data)
		}
	}
	whole()

	p.searchWhileOpen(s.dir, m)
	p.Must("Pause", s.Pause(p.Ctx))
	p.search("while it is paused", s.dir, m, os.ReadFile)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	whole()
	s.close()
	p.search("after Close", s.dir, m, os.ReadFile)
	s.Store = p.openIn(s.dir, p.options()).Store
	whole()
}

// searchWhileOpen lets another process read the files: to open and close a file of
// SQLite in this one would drop its locks.
func (p *probe) searchWhileOpen(dir string, m markers) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		p.Note("there is no program cat, so the files were not looked into while the store was open")
		return
	}
	p.search("while it is open", dir, m, func(path string) ([]byte, error) {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		return exec.CommandContext(p.Ctx, cat, path).Output()
	})
}

func (p *probe) search(when, dir string, m markers, read func(path string) ([]byte, error)) {
	size := 0
	for _, path := range p.h.Files(dir) {
		content, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.Must("reading a file of the store", err)
		size += len(content)
		for form, bytesOf := range forms(common) { // most files have none, which is told soon
			if bytes.Contains(content, bytesOf) {
				p.Broken("%s can be read in %s %s, %s", m.in(content), strings.TrimPrefix(path, dir), when, form)
			}
		}
	}
	if size < 300*kib && when != "while it is open" {
		p.Broken("the files that Files names have %d bytes together %s: what is stored must lie somewhere else", size, when)
	}
}

func caseFilesNamed(p *probe) {
	s := p.open()
	check := func(when string) {
		p.About(when, func() { p.filesNamed(s.dir) })
	}
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

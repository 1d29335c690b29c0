package eventcachetest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var secretCases = []Case{
	{
		Name:    "nothing-in-clear",
		Promise: "no identifier and no content can be read in the files of an encrypted store, whichever way it came in: not while it is open, not while it is paused, not after Close",
		Origins: from("contract"), Needs: needs(conformance.Files, conformance.Encryption), run: caseSecret,
	},
	{
		Name:    "files-are-named",
		Promise: "every file that the store makes in its directory is one that Files names",
		Origins: from("contract"), Needs: needs(conformance.Files), run: caseFilesNamed,
	},
}

// markers make texts that are in no file by chance, and remember them.
type markers []string

// mark returns a text of eleven bytes that names a place.
func (m *markers) mark(place string) string {
	text := fmt.Sprintf("Zq%02dXvMark", len(*m)) // the same length each, and none is a part of another
	*m = append(*m, place+"\x00"+text)
	return text
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

// everywhere puts markers wherever a text can be in an event.
func everywhere(m *markers, way string) eventcache.Event {
	mark := func(place string) string { return m.mark(way + ": " + place) }
	raw := func(place string) json.RawMessage {
		return json.RawMessage(`{"` + mark(place+", key") + `":"` + mark(place+", value") + `"}`)
	}
	return eventcache.Event{
		ID: id.EventID("$" + mark("id")), Type: mark("type"), Session: id.SessionID(mark("session")),
		RelatesTo: id.EventID("$" + mark("relates to")), RelType: event.RelationType(mark("relation type")),
		Raw: raw("raw"),
		Meta: &eventcache.Meta{
			Decrypted: &eventcache.Decrypted{
				Sender: id.UserID(mark("sender")), SenderDevice: id.DeviceID(mark("device")), SenderKey: id.SenderKey(mark("key")),
				Algorithm: id.Algorithm(mark("algorithm")), Trust: mark("trust"), Original: raw("original"),
			},
			Undecryptable: &eventcache.Undecryptable{Reason: mark("reason")},
			PushActions:   []json.RawMessage{raw("push action")},
			Thread:        &eventcache.ThreadSummary{Latest: id.EventID(mark("latest"))},
		},
	}
}

func caseSecret(p *probe) {
	dir := p.Dir()
	s := p.openWith(dir, p.options())
	var m markers
	room := id.RoomID("!" + m.mark("room"))
	for _, list := range []eventcache.LinkedChunkID{
		eventcache.Room(room), eventcache.Pinned(room),
		eventcache.Thread(room, id.EventID("$"+m.mark("root of a thread"))), eventcache.Focused(room, id.EventID("$"+m.mark("focused event"))),
	} {
		way := list.Kind.String()
		s.apply(list, items(0, 1, 0), push(1, 0, everywhere(&m, way+" pushed"), ev("$replaced")), gap(1, 2, 0, m.mark(way+" token")))
		s.apply(list, replace(1, 1, everywhere(&m, way+" replacing")))
		s.duplicates(list, evIDs(id.EventID(m.mark("asked for"))), "")
	}
	s.save(room, everywhere(&m, "saved"))
	p.Must("RememberThread", s.RememberThread(p.Ctx, room, id.EventID("$"+m.mark("remembered"))))
	imported := id.RoomID("!" + m.mark("imported room"))
	_, err := s.Import(p.Ctx, bytes.NewReader(exportOf(eventcache.Thread(imported, id.EventID("$"+m.mark("imported root"))), everywhere(&m, "imported"))))
	p.Must("Import", err)
	s.taken(m.mark("key of a lease"), m.mark("holder of a lease"), time.Hour, 1)
	s.taken(m.mark("key of a lease that is released"), m.mark("its holder"), 0, 1)
	// What is removed may stay in free pages, and what is only asked for belongs nowhere.
	gone := id.RoomID("!" + m.mark("cleared room"))
	s.fill(eventcache.Room(gone), everywhere(&m, "cleared"))
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, gone))
	asked := id.RoomID("!" + m.mark("room that was asked about"))
	s.list(eventcache.Room(asked), "")
	s.relations(room, id.EventID(m.mark("relations of")), []event.RelationType{event.RelationType(m.mark("relations by"))}, "")
	s.events(room, eventcache.Filter{Type: m.mark("type asked for"), Session: id.SessionID(m.mark("session asked for"))}, "")
	before := s.dump()

	p.searchWhileOpen(dir, m)
	p.Must("Pause", s.Pause(p.Ctx))
	p.search("while it is paused", dir, m, os.ReadFile)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	s.unchanged("a Pause and Compact", before)
	s.close()
	p.search("after Close", dir, m, os.ReadFile)
}

// searchWhileOpen lets another process read the files: to open and close a file of
// SQLite in this one would drop its locks.
func (p *probe) searchWhileOpen(dir string, m markers) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		p.Note("there is no program cat, so the files were not looked into while the store was open")
		return
	}
	p.search(whileOpen, dir, m, func(path string) ([]byte, error) {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		return exec.CommandContext(p.Ctx, cat, path).Output()
	})
}

const whileOpen = "while it is open"

func (p *probe) search(when, dir string, m markers, read func(path string) ([]byte, error)) {
	size := 0
	for _, path := range p.h.Files(dir) {
		content, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.Must("reading a file of the store", err)
		size += len(content)
		for _, marker := range m {
			place, text, _ := strings.Cut(marker, "\x00")
			for form, bytesOf := range forms(text) {
				if bytes.Contains(content, bytesOf) {
					p.Broken("%s can be read in %s %s, %s", place, strings.TrimPrefix(path, dir), when, form)
				}
			}
		}
	}
	if size < 1000 && when != whileOpen { // until then a store may have everything in memory
		p.Broken("the files that Files names have %d bytes together %s: what is stored must lie somewhere else", size, when)
	}
}

func caseFilesNamed(p *probe) {
	dir := p.Dir()
	s := p.openWith(dir, p.options())
	check := func(when string) {
		named := p.h.Files(dir)
		err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !slices.ContainsFunc(named, func(n string) bool { return strings.HasSuffix(n, path) }) {
				p.Broken("%s there is a file %s, which Files does not name", when, path)
			}
			if errors.Is(err, fs.ErrNotExist) { // removed in this moment
				return nil
			}
			return err
		})
		p.Must("listing the directory", err)
	}
	everyKind(s, roomA)
	s.taken("key", "holder", time.Hour, 1)
	check("while the store is open")
	p.Must("Compact", s.Compact(p.Ctx))
	check("after Compact")
	p.Must("Pause", s.Pause(p.Ctx))
	check("while the store is paused")
	p.Must("Resume", s.Resume(p.Ctx))
	s.close()
	check("after Close")
}

package eventcachetest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"bytes"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
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

// everywhere puts markers wherever a text can be in an event.
func everywhere(m *trial.Markers, way string) eventcache.Event {
	mark := func(place string) string { return m.Mark(way + ": " + place) }
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
	var m trial.Markers
	room := id.RoomID("!" + m.Mark("room"))
	for _, list := range []eventcache.LinkedChunkID{
		eventcache.Room(room), eventcache.Pinned(room),
		eventcache.Thread(room, id.EventID("$"+m.Mark("root of a thread"))), eventcache.Focused(room, id.EventID("$"+m.Mark("focused event"))),
	} {
		way := list.Kind.String()
		s.apply(list, items(0, 1, 0), push(1, 0, everywhere(&m, way+" pushed"), ev("$replaced")), gap(1, 2, 0, m.Mark(way+" token")))
		s.apply(list, replace(1, 1, everywhere(&m, way+" replacing")))
		s.duplicates(list, evIDs(id.EventID(m.Mark("asked for"))), "")
	}
	s.save(room, everywhere(&m, "saved"))
	p.Must("RememberThread", s.RememberThread(p.Ctx, room, id.EventID("$"+m.Mark("remembered"))))
	imported := id.RoomID("!" + m.Mark("imported room"))
	_, err := s.Import(p.Ctx, bytes.NewReader(exportOf(eventcache.Thread(imported, id.EventID("$"+m.Mark("imported root"))), everywhere(&m, "imported"))))
	p.Must("Import", err)
	s.taken(m.Mark("key of a lease"), m.Mark("holder of a lease"), time.Hour, 1)
	s.taken(m.Mark("key of a lease that is released"), m.Mark("its holder"), 0, 1)
	// What is removed may stay in free pages, and what is only asked for belongs nowhere.
	gone := id.RoomID("!" + m.Mark("cleared room"))
	s.fill(eventcache.Room(gone), everywhere(&m, "cleared"))
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, gone))
	asked := id.RoomID("!" + m.Mark("room that was asked about"))
	s.list(eventcache.Room(asked), "")
	s.relations(room, id.EventID(m.Mark("relations of")), []event.RelationType{event.RelationType(m.Mark("relations by"))}, "")
	s.events(room, eventcache.Filter{Type: m.Mark("type asked for"), Session: id.SessionID(m.Mark("session asked for"))}, "")
	before := s.dump()

	search := trial.FileSearch{Dir: dir, Files: p.h.Files, Markers: m, Least: 1000}
	p.SearchWhileOpen(search)
	p.Must("Pause", s.Pause(p.Ctx))
	p.SearchFiles("while it is paused", search)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	s.unchanged("a Pause and Compact", before)
	s.close()
	p.SearchFiles("after Close", search)
}

func caseFilesNamed(p *probe) {
	dir := p.Dir()
	s := p.openWith(dir, p.options())
	check := func(when string) { p.FilesNamed(when, dir, p.h.Files) }
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

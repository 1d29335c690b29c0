package eventcachetest

// Identifiers and contents as nobody should send them, and somebody will.

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var hostileCases = []Case{
	{
		Name:    "strange-ids",
		Promise: "any bytes can be an identifier: binary, no UTF-8, control characters, what looks like a number, a pattern or a path; each is itself and no other one",
		Origins: from("bad input/binary ids"), run: caseStrange,
	},
	{
		Name:    "huge-ids",
		Promise: "an identifier, a type, a token may be a megabyte long, and is told apart from one that differs in its last byte",
		Origins: from("bad input/oversized ids"), run: caseHuge,
	},
	{
		Name:    "sql-in-ids",
		Promise: "SQL in an identifier or a relation type is text like any other (CVE-2025-53549): it finds what is named so, and nothing else, and changes nothing",
		Origins: from("bad input/SQL in ids", "6.5/test_no_sqlite_injection_in_find_event_relations"), run: caseInjection,
	},
	{
		Name:    "names-do-not-collide",
		Promise: "no two linked chunks are taken for one, and no two rooms, whatever their names are made of",
		Origins: from("6.5/equality of linked chunk ids", "bad input/binary ids"), run: caseCollisions,
	},
	{
		Name:    "large-events",
		Promise: "an event of several megabytes, or of JSON that is nested as deep as JSON can be, in itself or in what is known of it, comes back as it was, through an export and its import, too",
		Origins: from("bad input/events that are no JSON"), run: caseLargeEvents,
	},
	{
		Name:    "many-at-once",
		Promise: "one Apply may have thousands of updates, and one chunk thousands of items",
		Origins: from("contract"), run: caseManyAtOnce,
	},
}

// strange are different strings, some of which are often taken for each other.
var strange = []string{
	"a", "A", "a ", " a", "a\x00", "\x00a", "\x00", "a\x00b", "a\x00c", "a\n", "a\t", "aa",
	"é", "e\u0301", "É", "ﬁ", "fi", "ß", "ss", "İ", "i", "\ufffd", "\xff", "\xfe", "\xff\xfe", "\xc3\x28", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\u2028", "\u202egro.live", "😀",
	"0", "00", "1", "1.0", "+1", "01", "1e0", "-0", "0x1", "9223372036854775807", "9223372036854775808", "inf", "nan", "NULL", "null", "true",
	"%", "_", "*", "?", "a%", "a_", "[a]", "\\", "\\x00", "'", "''", "\"", "`", ";", "--", "/*", "x'00'", "X'61'", "?1", ":a", "@a", "$1", "#",
	"{}", "[]", `["a"]`, `{"base64":"YQ=="}`, "YQ==", "61", "t:a:b", "pinned:a", "../a", "/", ".", "a.b", "a/b", "a|b", "a,b", "<a>", "&amp;",
}

func caseStrange(p *probe) {
	s := p.open()
	// As ids of events, as types, sessions, relations and tokens, in one room.
	var all []eventcache.Event
	for _, text := range strange {
		all = append(all, ev(id.EventID(text), rawly("{}"), typed(text), session(id.SessionID(text)), relates(id.EventID(text), event.RelationType(text))))
	}
	list := eventcache.Room(roomA)
	s.apply(list, items(0, 1, 0), push(1, 0, all...))
	for i, text := range strange {
		s.apply(list, gap(eventcache.ChunkID(i+1), eventcache.ChunkID(i+2), 0, text))
	}
	chunks := s.chunks(list)
	if len(chunks) != len(strange)+1 || !slices.EqualFunc(chunks[0].Items, all, sameEvent) {
		p.Fatal("the linked chunk is not as it was written")
	}
	for i, text := range strange {
		p.About(fmt.Sprintf("%q", text), func() {
			if got := chunks[i+1].Gap; got == nil || got.Token != text {
				p.Broken("the gap with this token has come back as %+v", got)
			}
			s.event(roomA, all[i])
			s.noEvent(roomA, id.EventID(text+"!"))
			s.duplicates(list, evIDs(id.EventID(text)), placed([]eventcache.Place{{Event: id.EventID(text), At: at(1, i)}}))
			s.events(roomA, eventcache.Filter{Type: text}, text)
			s.events(roomA, eventcache.Filter{Session: id.SessionID(text)}, text)
			s.events(roomA, eventcache.Filter{Type: text, Session: id.SessionID(text)}, text)
			s.relations(roomA, id.EventID(text), nil, relation([]eventcache.Related{{Event: all[i], At: &eventcache.Position{Chunk: 1, Index: i}}}))
			s.relations(roomA, id.EventID(text), []event.RelationType{event.RelationType(text)}, relation([]eventcache.Related{{Event: all[i], At: &eventcache.Position{Chunk: 1, Index: i}}}))
		})
	}
	// As names of rooms, roots of threads and events that are focused.
	for i, text := range strange {
		e := ev(id.EventID(fmt.Sprint("$in", i)))
		s.fill(eventcache.Room(id.RoomID("!"+text)), e)
		s.fill(eventcache.Thread(roomB, id.EventID(text)), e)
		s.fill(eventcache.Focused(roomB, id.EventID(text)), e)
		s.p.Must("RememberThread", s.RememberThread(p.Ctx, roomC, id.EventID(text)))
	}
	var roots []id.EventID
	for i, text := range strange {
		p.About(fmt.Sprintf("%q", text), func() {
			which := id.EventID(fmt.Sprint("$in", i))
			want := fmt.Sprintf("1[%s]", which)
			for _, list := range []eventcache.LinkedChunkID{eventcache.Room(id.RoomID("!" + text)), eventcache.Thread(roomB, id.EventID(text)), eventcache.Focused(roomB, id.EventID(text))} {
				if got := shape(s.chunks(list)); got != want {
					p.Broken("a %v list has %s and not %s", list.Kind, got, want)
				}
			}
			s.events(id.RoomID("!"+text), eventcache.Filter{}, string(which))
			s.stats(eventcache.RoomStats{Room: id.RoomID("!" + text), Lists: 1, Chunks: 1, Events: 1, Bytes: bytesOf(which)})
		})
		roots = append(roots, id.EventID(text))
	}
	s.threads(roomB, roots...)
	s.threads(roomC, roots...)
	for _, text := range strange[:len(strange)/2] {
		s.p.Must("ClearRoom", s.ClearRoom(p.Ctx, id.RoomID("!"+text)))
	}
	for i, text := range strange {
		want := fmt.Sprintf("1[$in%d]", i)
		if i < len(strange)/2 {
			want = ""
		}
		if got := shape(s.chunks(eventcache.Room(id.RoomID("!" + text)))); got != want {
			p.Broken("after other rooms were cleared the room %q has %s and not %s", text, got, want)
		}
	}
}

func caseHuge(p *probe) {
	s := p.open()
	long := strings.Repeat("a\xff'\x00", p.count(1<<14, 1<<16, 1<<18, 1<<18)) // a megabyte, where there is time
	one, two := long+"1", long+"2"
	some, other := one[len(long)*15/16:], two[len(long)*15/16:] // and a sixteenth of it, for what is no id
	room := id.RoomID("!" + one)
	e := ev(id.EventID("$"+one), rawly("{}"), typed(some), session(id.SessionID(some)), relates(id.EventID(one), event.RelationType(some)), meta(&eventcache.Meta{Undecryptable: &eventcache.Undecryptable{Reason: one}}))
	twin := ev(id.EventID("$"+two), rawly("{}"), typed("t"))
	list := eventcache.Thread(room, id.EventID(one))
	s.apply(list, items(0, 1, 0), push(1, 0, e, twin), gap(1, 2, 0, some))
	chunks := s.chunks(list)
	if len(chunks) != 2 || !slices.EqualFunc(chunks[0].Items, []eventcache.Event{e, twin}, sameEvent) || chunks[1].Gap == nil || chunks[1].Gap.Token != some {
		p.Broken("a list of identifiers of a megabyte is not as it was written")
	}
	for _, another := range []eventcache.LinkedChunkID{eventcache.Thread(room, id.EventID(two)), eventcache.Thread(id.RoomID("!"+two), id.EventID(one)), eventcache.Room(room)} {
		if got := s.chunks(another); len(got) > 0 {
			p.Broken("a list of another name, which differs after a megabyte, has chunks")
		}
	}
	s.noEvent(room, id.EventID("$"+long))
	s.noEvent(id.RoomID("!"+two), e.ID)
	s.events(room, eventcache.Filter{Type: some, Session: id.SessionID(some)}, string(e.ID))
	s.events(room, eventcache.Filter{Type: some, Session: id.SessionID(other)}, "")
	s.relations(room, id.EventID(one), []event.RelationType{event.RelationType(other), event.RelationType(some)}, string(e.ID)+"@-")
	s.relations(room, id.EventID(two), nil, "")
	s.duplicates(list, evIDs(id.EventID("$"+two), id.EventID("$"+long+"3")), string(twin.ID)+"@1:1")
	p.Must("RememberThread", s.RememberThread(p.Ctx, room, id.EventID(two)))
	s.threads(room, id.EventID(one), id.EventID(two))
	s.taken(one, one, anHour, 1)
	s.refusedLease(one, two, anHour)
	s.taken(two, two, 0, 1)
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, id.RoomID("!"+two)))
	s.event(room, e)
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, room))
	s.noEvent(room, e.ID)
	s.threads(room)
}

// injections are SQL for wherever a name could have been put into a statement.
var injections = []string{
	`') OR 1=1 --`, `' OR '1'='1`, `" OR 1=1 --`, `x') UNION SELECT * FROM events --`, `'; DROP TABLE events; --`, `m.replace', 'm.annotation`,
	`m.replace") OR ("1"="1`, `'); DELETE FROM event; --`, `%') OR rel_type LIKE ('%`, "`", `\'; --`, `x' ESCAPE '`, `?`, `?1`, `:to`, `$1); --`, `0) OR (1`, `"]'), json_each('["x`, `a'||(SELECT 1)||'b`, "'\x00 --",
}

func caseInjection(p *probe) {
	s := p.open()
	everyKind(s, roomB)
	s.save(roomA, ev("$victim", relates("$root", "m.replace"), session("s")), ev("$other", relates("$root", "m.annotation")), ev("$root"))
	s.fill(eventcache.Room(roomA), ev("$in"))
	before := s.dump(roomA)
	for _, text := range injections {
		p.About(fmt.Sprintf("%q", text), func() {
			s.relations(roomA, "$root", []event.RelationType{event.RelationType(text)}, "")
			s.relations(roomA, "$root", []event.RelationType{"m.annotation", event.RelationType(text)}, "$other@-")
			s.relations(roomA, id.EventID(text), nil, "")
			s.noEvent(roomA, id.EventID(text))
			s.noEvent(id.RoomID(text), "$victim")
			s.events(roomA, eventcache.Filter{Type: text}, "")
			s.events(roomA, eventcache.Filter{Session: id.SessionID(text)}, "")
			s.events(id.RoomID(text), eventcache.Filter{}, "")
			s.duplicates(eventcache.Room(roomA), evIDs(id.EventID(text)), "")
			s.list(eventcache.Room(id.RoomID(text)), "")
			s.list(eventcache.Thread(roomA, id.EventID(text)), "")
			s.threads(id.RoomID(text))
			s.stats(eventcache.RoomStats{Room: id.RoomID(text)})
			p.Must("ClearRoom", s.ClearRoom(p.Ctx, id.RoomID(text)))
		})
	}
	s.unchanged("asking in SQL", before, roomA)
	// The same, stored: found by its name, and by nothing else.
	for i, text := range injections {
		p.About(fmt.Sprintf("%q, stored", text), func() {
			e := ev(id.EventID(text), relates("$root", event.RelationType(text)), typed(text), session(id.SessionID(text)))
			room := id.RoomID(text)
			s.apply(eventcache.Thread(room, id.EventID(text)), gap(0, 1, 0, text), items(1, 2, 0), push(2, 0, e))
			s.event(room, e)
			s.relations(room, "$root", []event.RelationType{event.RelationType(text)}, text+"@-")
			s.relations(room, "$root", []event.RelationType{event.RelationType(injections[(i+1)%len(injections)])}, "")
			s.events(room, eventcache.Filter{Type: text, Session: id.SessionID(text)}, text)
			s.list(eventcache.Thread(room, id.EventID(text)), fmt.Sprintf("1(%s) 2[%s]", text, text))
			s.threads(room, id.EventID(text))
			s.stats(eventcache.RoomStats{Room: room, Lists: 1, Chunks: 2, Events: 1, Bytes: int64(len(e.Raw))})
			if _, taken, err := s.TakeLease(p.Ctx, text, text, 0); err != nil || !taken {
				p.Broken("TakeLease of this key returned %v, %v", taken, err)
			}
			p.Must("ClearRoom", s.ClearRoom(p.Ctx, room))
		})
	}
	s.unchanged("SQL that was stored and removed", before, roomA)
}

func caseCollisions(p *probe) {
	s := p.open()
	var lists []eventcache.LinkedChunkID
	for _, room := range []id.RoomID{"r", "t:r:e", "r:e", "pinned:r", "event_focused:r:e", "e", "re", "r\x00", "r\x00e", "\x01r", "\x02r", "\x02\x01re", "r%", "r_", "R", "\x03", "\x04\x01re"} {
		lists = append(lists, eventcache.Room(room), eventcache.Pinned(room))
		for _, which := range []id.EventID{"e", "r", ":e", "\x00e", "re", "e:", "\x01", "\x00"} {
			lists = append(lists, eventcache.Thread(room, which), eventcache.Focused(room, which))
		}
	}
	one := func(i int) string { return fmt.Sprintf("%d[$%d]", i+1, i) }
	for i, list := range lists {
		s.apply(list, items(0, eventcache.ChunkID(i+1), 0), push(eventcache.ChunkID(i+1), 0, ev(id.EventID(fmt.Sprint("$", i)))))
	}
	for i, list := range lists {
		if got := shape(s.chunks(list)); got != one(i) {
			p.Broken("%q has %s and not %s", list, got, one(i))
		}
	}
	// Those of one room go, and no others.
	for _, gone := range []id.RoomID{"r", "\x02r", "r_"} {
		p.Must("ClearRoom", s.ClearRoom(p.Ctx, gone))
	}
	for i, list := range lists {
		want := one(i)
		if list.Room == "r" || list.Room == "\x02r" || list.Room == "r_" {
			want = ""
		}
		if got := shape(s.chunks(list)); got != want {
			p.Broken("after other rooms were cleared %q has %s and not %s", list, got, want)
		}
		_, found, err := s.FindEvent(p.Ctx, list.Room, id.EventID(fmt.Sprint("$", i)))
		p.Must("FindEvent", err)
		if found != (want != "") {
			p.Broken("after other rooms were cleared the event of %q is found: %v", list, found)
		}
	}
}

func caseLargeEvents(p *probe) {
	s := p.open()
	for i, text := range []string{
		`{"body":"` + strings.Repeat("0123456789abcdef", p.count(1<<16, 1<<17, 1<<18, 1<<18)) + `"}`, // up to 4 MiB
		`{"many":[` + strings.Repeat("0,", p.count(1<<16, 1<<17, 1<<18, 1<<18)) + `0]}`,
		`{"keys":{` + strings.Repeat(`"k":{},`, p.count(1<<13, 1<<14, 1<<15, 1<<15)) + `"l":[]}}`,
		nested(9000),
		`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		strings.Repeat(" ", p.count(1<<17, 1<<19, 1<<20, 1<<20)) + "{" + strings.Repeat("\n", 1<<18) + "}",
	} {
		e := ev(id.EventID(fmt.Sprint("$", i)), rawly(text))
		s.fill(eventcache.Room(roomA), e)
		if items := itemsOf(s.chunks(eventcache.Room(roomA))); len(items) != 1 || !sameEvent(items[0], e) {
			p.Broken("an event of %d bytes has come back from its chunk as another one", len(text))
		}
		s.event(roomA, e)
		p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	}
	// As deep as JSON can be: what a store or an export puts around it must not make it too deep.
	for _, depth := range []int{10_000, 9_990, 9_999, 9_998}[:p.count(1, 2, 4, 4)] {
		p.About(fmt.Sprintf("JSON that is nested %d deep", depth), func() {
			deep := nested(depth)
			all := []eventcache.Event{
				ev("$raw", rawly(deep)),
				ev("$original", meta(&eventcache.Meta{Decrypted: &eventcache.Decrypted{Sender: "@a:example.org", Original: jsonRaw(deep)}})),
				ev("$action", meta(&eventcache.Meta{PushActions: []jsonRaw{jsonRaw(deep)}})),
			}
			s.fill(eventcache.Room(roomA), all...)
			export := s.export(roomA)
			check := func(when string) {
				if items := itemsOf(s.chunks(eventcache.Room(roomA))); !slices.EqualFunc(items, all, sameEvent) {
					p.Broken("%s the events have come back from their chunk as others", when)
				}
				for _, e := range all {
					s.event(roomA, e)
				}
			}
			check("when they were stored")
			p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
			_, err := s.Import(p.Ctx, bytes.NewReader(export))
			p.Must("Import of the store's own export", err)
			check("when they were imported")
			p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
		})
	}
}

func caseManyAtOnce(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	const n = 600
	all := evs(numbered("", n)...)
	s.apply(list, items(0, 1, 0), push(1, 0, all...))
	if got := itemsOf(s.chunks(list)); !slices.EqualFunc(got, all, sameEvent) {
		p.Broken("of %d events that were pushed at once %d came back, or in another order", n, len(got))
	}
	s.apply(list, remove(1, 0), remove(1, n/2), detach(1, n-10), push(1, n-10, all[0]))
	s.duplicates(list, evIDs("$0", "$1", "$300", "$301", "$302", "$598"), "$1@1:0 $300@1:299 $302@1:300 $0@1:590")
	updates := []eventcache.Update{eventcache.Clear{}}
	for i := range 200 {
		chunk := eventcache.ChunkID(i + 1)
		updates = append(updates, items(chunk-1, chunk, 0), push(chunk, 0, all[2*i]), push(chunk, 1, all[2*i+1]), remove(chunk, 0))
	}
	s.apply(list, updates...)
	metadata, err := s.LoadAllMetadata(p.Ctx, list)
	p.Must("LoadAllMetadata", err)
	if len(metadata) != 200 || metadata[199].Items != 1 {
		p.Broken("200 chunks that were made at once are %d", len(metadata))
	}
	s.duplicates(list, evIDs("$1", "$399", "$0"), "$1@1:0 $399@200:0")
}

package eventcachetest

// Events: in linked chunks of several kinds, in none, in several rooms, and how they are found.

import (
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var eventCases = []Case{
	{
		Name:    "lists-of-many-rooms",
		Promise: "chunks of the same number in several rooms, and in several linked chunks of one room, have nothing to do with each other",
		Origins: seed(16, 32), run: caseManyRooms,
	},
	{
		Name:    "replace-in-the-second-room",
		Promise: "an item is replaced, removed and detached in the linked chunk that was named, and in no other one that has a chunk of the same number",
		Origins: from("DIV-22", "GAP-EC/replace in a second room (DIV-22)"), run: caseSecondRoom,
	},
	{
		Name:    "an-event-in-several-lists",
		Promise: "an event may be in the room, in threads, pinned and focused at once, with a place in each; it is one event, found once",
		Origins: seed(3, 24, 29, 32), run: caseSeveralLists,
	},
	{
		Name:    "an-event-twice-in-a-list",
		Promise: "an event may be in a linked chunk twice: both places are found, and it is one event",
		Origins: from("contract"), run: caseTwice,
	},
	{
		Name:    "duplicates",
		Promise: "FindDuplicates returns which of the ids are in the linked chunk, and where, by chunk number and index; an id that is asked for twice is answered once",
		Origins: seed(21, 22), run: caseDuplicates,
	},
	{
		Name:    "many-duplicates",
		Promise: "any number of ids may be asked for at once",
		Origins: from("GAP-EC/> 16383 ids"), run: caseManyDuplicates,
	},
	{
		Name:    "positions-are-live",
		Promise: "what was removed, replaced, detached or cleared has no position any more, and what stands behind it has its new one",
		Origins: from("DIV-23", "GAP-EC/duplicates after clear/remove (DIV-23)"), run: caseLive,
	},
	{
		Name:    "find-an-event",
		Promise: "FindEvent finds an event of the room, in whatever list or in none, and not one of another room; it is gone after the room was cleared",
		Origins: append(seed(23, 30), "bad input/wrong rooms"), run: caseFind,
	},
	{
		Name:    "the-same-id-in-two-rooms",
		Promise: "the same id in two rooms is two events: storing, replacing, relating and clearing one leaves the other as it is",
		Origins: from("DIV-24", "GAP-EC/same id in two rooms", "bad input/wrong rooms"), run: caseTwoRooms,
	},
	{
		Name:    "saved-events-are-in-no-list",
		Promise: "an event that was only saved is known, and in no linked chunk of its room",
		Origins: from("DIV-25"), run: caseSavedOnly,
	},
	{
		Name:    "a-new-version-is-everywhere",
		Promise: "an event that is stored again is replaced in all linked chunks of the room, and keeps its positions",
		Origins: append(seed(31), "contract"), run: caseNewVersion,
	},
	{
		Name:    "an-event-needs-an-id",
		Promise: "an event without an id is refused (matrix-rust-sdk skips it), one without a type is stored and takes its place, and is found without a filter",
		Origins: from("DIV-21", "GAP-EC/items without id/type"), run: caseWithout,
	},
	{
		Name:    "unstorable-events",
		Promise: "what is no JSON object, has no id or half a relation is a typed error, and none of the events that were given with it is stored",
		Origins: from("bad input/events that are no JSON"), run: caseUnstorable,
	},
	{
		Name:    "relations",
		Promise: "FindRelations returns what relates to an event directly, in the room, with the position in the room's timeline: none for what is not in it",
		Origins: seed(25, 26), run: caseRelations,
	},
	{
		Name:    "relation-filters",
		Promise: "relation types nil means all, an empty slice none, and otherwise those that are named",
		Origins: from("DIV-20", "GAP-EC/empty filter slice"), run: caseRelationFilters,
	},
	{
		Name:    "events-of-a-room",
		Promise: "FindEvents returns the events of the room, each once, in a list or not, by type and session where these are asked for, both together",
		Origins: seed(27, 28, 29), run: caseRoomEvents,
	},
	{
		Name:    "first-stored-first",
		Promise: "events and relations come in the order in which they were first stored, which storing them again, moving, detaching and clearing them does not change",
		Origins: from("contract"), run: caseOrder,
	},
	{
		Name:    "every-field-is-kept",
		Promise: "every field of an event comes back as it was given, byte by byte, from every method that returns events",
		Origins: from("contract"), run: caseFields,
	},
	{
		Name:    "asking-changes-no-arguments",
		Promise: "the slices that a method is given are left as they are",
		Origins: from("contract"), run: caseArguments,
	},
}

func caseManyRooms(p *probe) {
	s := p.open()
	lists := map[eventcache.LinkedChunkID]string{
		eventcache.Room(roomA): "1[$x $y] 2(room a)", eventcache.Room(roomB): "1[$y $x] 2(room b)",
		eventcache.Thread(roomA, "$1"): "1[$x] 2(thread 1)", eventcache.Thread(roomA, "$2"): "1[$z] 2(thread 2)", eventcache.Thread(roomB, "$1"): "1[$y] 2(thread b)",
		eventcache.Pinned(roomA): "1[$p $x] 2(pinned a)", eventcache.Pinned(roomB): "1[$q] 2(pinned b)",
		eventcache.Focused(roomA, "$1"): "1[$f $y] 2(focused 1)", eventcache.Focused(roomA, "$2"): "1[$g] 2(focused 2)",
	}
	for list, shape := range lists {
		first, token, _ := strings.Cut(strings.TrimSuffix(shape, ")"), "] 2(")
		var all []eventcache.Event
		for which := range strings.FieldsSeq(strings.TrimPrefix(first, "1[")) {
			all = append(all, ev(id.EventID(which)))
		}
		s.apply(list, items(0, 1, 0), gap(1, 2, 0, token), push(1, 0, all...))
	}
	for list, shape := range lists {
		s.list(list, shape)
	}
	s.duplicates(eventcache.Room(roomA), evIDs("$p", "$q", "$y", "$z", "$x"), "$x@1:0 $y@1:1")
	s.duplicates(eventcache.Thread(roomA, "$1"), evIDs("$p", "$q", "$y", "$z", "$x"), "$x@1:0")
	s.stats(eventcache.RoomStats{Room: roomA, Lists: 6, Chunks: 12, Events: 6, Bytes: bytesOf("$x", "$y", "$z", "$p", "$f", "$g")})
	s.apply(eventcache.Thread(roomA, "$1"), drop(2), remove(1, 0))
	s.apply(eventcache.Thread(roomA, "$2"), eventcache.Clear{})
	lists[eventcache.Thread(roomA, "$1")], lists[eventcache.Thread(roomA, "$2")] = "1[]", ""
	for list, shape := range lists {
		s.list(list, shape)
	}
}

// bytesOf is the size of plain events.
func bytesOf(ids ...id.EventID) (n int64) {
	for _, e := range evs(ids...) {
		n += int64(len(e.Raw))
	}
	return n
}

func caseSecondRoom(p *probe) {
	s := p.open()
	lists := []eventcache.LinkedChunkID{
		eventcache.Room(roomA), eventcache.Room(roomB), eventcache.Thread(roomA, "$t"), eventcache.Thread(roomB, "$t"), eventcache.Pinned(roomA), eventcache.Focused(roomB, "$t"),
	}
	for _, list := range lists {
		s.fill(list, evs("$a", "$b", "$c", "$d")...)
	}
	want := map[eventcache.LinkedChunkID]string{}
	check := func() {
		for _, list := range lists {
			if want[list] == "" {
				want[list] = "1[$a $b $c $d]"
			}
			s.list(list, want[list])
		}
	}
	check()
	s.apply(lists[1], replace(1, 1, ev("$new")))
	want[lists[1]] = "1[$a $new $c $d]"
	check()
	s.noEvent(roomA, "$new")
	s.apply(lists[3], replace(1, 0, ev("$other")))
	want[lists[3]] = "1[$other $b $c $d]"
	check()
	s.apply(lists[0], remove(1, 0))
	want[lists[0]] = "1[$b $c $d]"
	check()
	s.apply(lists[2], detach(1, 2))
	want[lists[2]] = "1[$a $b]"
	check()
	s.apply(lists[5], drop(1))
	want[lists[5]] = ""
	s.list(lists[5], "")
	want[lists[5]] = "1[$z]"
	s.fill(lists[5], ev("$z"))
	check()
}

func caseSeveralLists(p *probe) {
	s := p.open()
	room, thread, other := eventcache.Room(roomA), eventcache.Thread(roomA, "$root"), eventcache.Thread(roomA, "$other")
	pinned, focused := eventcache.Pinned(roomA), eventcache.Focused(roomA, "$shared")
	s.fill(room, evs("$root", "$shared", "$only-room")...)
	s.fill(thread, evs("$shared", "$only-thread")...)
	s.apply(other, items(0, 5, 0), push(5, 0, evs("$only-other", "$shared")...))
	s.apply(pinned, items(0, 3, 0), push(3, 0, evs("$only-pinned", "$root", "$shared")...))
	s.fill(focused, evs("$shared", "$only-focused")...)
	s.save(roomA, ev("$only-saved"))
	s.list(room, "1[$root $shared $only-room]")
	s.list(thread, "1[$shared $only-thread]")
	s.list(other, "5[$only-other $shared]")
	s.list(pinned, "3[$only-pinned $root $shared]")
	s.list(focused, "1[$shared $only-focused]")
	const all = "$root $shared $only-room $only-thread $only-other $only-pinned $only-focused $only-saved"
	s.events(roomA, eventcache.Filter{}, all)
	for which := range strings.FieldsSeq(all) {
		s.event(roomA, ev(id.EventID(which)))
	}
	ask := evIDs("$shared", "$root", "$only-thread", "$only-room", "$only-saved")
	s.duplicates(room, ask, "$root@1:0 $shared@1:1 $only-room@1:2")
	s.duplicates(thread, ask, "$shared@1:0 $only-thread@1:1")
	s.duplicates(other, ask, "$shared@5:1")
	s.duplicates(pinned, ask, "$root@3:1 $shared@3:2")
	// Taken out of one, it stays in the others.
	s.apply(room, remove(1, 1))
	s.apply(other, eventcache.Clear{})
	s.apply(pinned, drop(3))
	s.list(room, "1[$root $only-room]")
	s.list(thread, "1[$shared $only-thread]")
	s.list(focused, "1[$shared $only-focused]")
	s.events(roomA, eventcache.Filter{}, all)
}

func caseTwice(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, items(0, 9, 0), push(9, 0, evs("$a", "$b", "$a")...), items(9, 2, 0), push(2, 0, ev("$c"), ev("$a", relates("$c", "m.x"))))
	s.list(list, "9[$a $b $a] 2[$c $a]")
	s.duplicates(list, evIDs("$a"), "$a@2:1 $a@9:0 $a@9:2")
	s.relations(roomA, "$c", nil, "$a@2:1")
	s.stats(eventcache.RoomStats{Room: roomA, Lists: 1, Chunks: 2, Events: 3, Bytes: bytesOf("$a", "$b", "$c")})
	s.apply(list, drop(2))
	s.relations(roomA, "$c", nil, "$a@9:0")
	s.apply(list, remove(9, 0))
	s.list(list, "9[$b $a]")
	s.relations(roomA, "$c", nil, "$a@9:1")
	s.apply(list, replace(9, 0, ev("$a")), push(9, 2, ev("$a")))
	s.list(list, "9[$a $a $a]")
	s.apply(list, replace(9, 1, ev("$b")))
	s.list(list, "9[$a $b $a]")
}

func caseDuplicates(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, items(0, 42, 0), push(42, 0, evs("$0", "$1")...), gap(42, 7, 0, "$token"), items(7, 3, 0), push(3, 0, evs("$2", "$3", "$4")...), items(3, 50, 0), push(50, 0, ev("$5")))
	s.fill(eventcache.Room(roomB), evs("$6", "$0")...)
	s.fill(eventcache.Pinned(roomA), evs("$7")...)
	s.save(roomA, ev("$8"))
	s.duplicates(list, evIDs("$5", "$4", "$0", "$6", "$7", "$8", "$9", "$token", "", "$1", "$4", "$4", "$0"), "$4@3:2 $0@42:0 $1@42:1 $5@50:0")
	s.duplicates(list, nil, "")
	s.duplicates(list, []id.EventID{}, "")
	s.duplicates(list, evIDs("", "", "$9"), "")
	s.duplicates(eventcache.Room(roomC), evIDs("$0", "$1"), "")
	s.duplicates(eventcache.Thread(roomA, "$0"), evIDs("$0", "$1"), "")
}

func caseManyDuplicates(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	n := p.count(5_000, 33_000, 100_000, 100_000) // more than any limit of what a statement may bind, where there is time
	there, not := numbered("there", 900), numbered("not", n-900)
	for i, chunk := range slices.Collect(slices.Chunk(there, 300)) {
		s.apply(list, items(eventcache.ChunkID(i), eventcache.ChunkID(i+1), 0), push(eventcache.ChunkID(i+1), 0, evs(chunk...)...))
	}
	found, err := s.FindDuplicates(p.Ctx, list, slices.Concat(not, there, not[:10], there[:10]))
	p.Must(fmt.Sprintf("FindDuplicates of %d ids", n), err)
	if len(found) != len(there) {
		p.Fatal("of %d ids 900 are in the linked chunk; FindDuplicates found %d", n, len(found))
	}
	for i, place := range found {
		if want := (eventcache.Place{Event: there[i], At: at(eventcache.ChunkID(i/300+1), i%300)}); place != want {
			p.Fatal("of %d ids FindDuplicates returned as number %d %v, and not %v", n, i, place, want)
		}
	}
}

func caseLive(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	related := func(which id.EventID) eventcache.Event { return ev(which, relates("$root", "m.x")) }
	s.save(roomA, ev("$root"))
	s.apply(list, items(0, 1, 0), push(1, 0, related("$a"), related("$b"), related("$c"), related("$d")), items(1, 2, 0), push(2, 0, related("$e"), related("$f")))
	all := evIDs("$a", "$b", "$c", "$d", "$e", "$f", "$x")
	check := func(places, relations string) {
		s.duplicates(list, all, places)
		s.relations(roomA, "$root", nil, relations)
	}
	check("$a@1:0 $b@1:1 $c@1:2 $d@1:3 $e@2:0 $f@2:1", "$a@1:0 $b@1:1 $c@1:2 $d@1:3 $e@2:0 $f@2:1")
	s.apply(list, remove(1, 1))
	check("$a@1:0 $c@1:1 $d@1:2 $e@2:0 $f@2:1", "$a@1:0 $b@- $c@1:1 $d@1:2 $e@2:0 $f@2:1")
	s.apply(list, detach(1, 2))
	check("$a@1:0 $c@1:1 $e@2:0 $f@2:1", "$a@1:0 $b@- $c@1:1 $d@- $e@2:0 $f@2:1")
	s.apply(list, replace(1, 0, related("$x")))
	check("$x@1:0 $c@1:1 $e@2:0 $f@2:1", "$a@- $b@- $c@1:1 $d@- $e@2:0 $f@2:1 $x@1:0")
	s.apply(list, drop(2))
	check("$x@1:0 $c@1:1", "$a@- $b@- $c@1:1 $d@- $e@- $f@- $x@1:0")
	s.apply(list, items(0, 2, 1), push(2, 0, related("$d"), related("$a")))
	check("$x@1:0 $c@1:1 $d@2:0 $a@2:1", "$a@2:1 $b@- $c@1:1 $d@2:0 $e@- $f@- $x@1:0")
	s.apply(list, eventcache.Clear{})
	check("", "$a@- $b@- $c@- $d@- $e@- $f@- $x@-")
	s.apply(list, items(0, 5, 0), push(5, 0, related("$f"), related("$e")))
	check("$f@5:0 $e@5:1", "$a@- $b@- $c@- $d@- $e@5:1 $f@5:0 $x@-")
	s.p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	check("", "")
}

func caseFind(p *probe) {
	s := p.open()
	s.fill(eventcache.Room(roomA), evs("$in-room")...)
	s.fill(eventcache.Thread(roomA, "$in-room"), evs("$in-thread")...)
	s.fill(eventcache.Pinned(roomA), evs("$pinned")...)
	s.fill(eventcache.Focused(roomA, "$x"), evs("$focused")...)
	s.save(roomA, ev("$saved"))
	s.fill(eventcache.Room(roomB), evs("$b")...)
	known := evIDs("$in-room", "$in-thread", "$pinned", "$focused", "$saved")
	for _, which := range known {
		s.event(roomA, ev(which))
		s.noEvent(roomB, which)
		s.noEvent(roomC, which)
	}
	s.noEvent(roomA, "$b")
	s.noEvent(roomA, "")
	s.noEvent(roomA, "$in-roo")
	s.noEvent(roomA, "$IN-ROOM")
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	for _, which := range known {
		s.noEvent(roomA, which)
	}
	s.event(roomB, ev("$b"))
}

func caseTwoRooms(p *probe) {
	s := p.open()
	inA, inB := ev("$same", body("in a"), typed("t.a"), relates("$root", "m.x")), ev("$same", body("in b"), typed("t.b"), session("s"))
	s.fill(eventcache.Room(roomA), inA)
	s.save(roomB, inB)
	s.event(roomA, inA)
	s.event(roomB, inB)
	s.list(eventcache.Room(roomA), "1[$same]")
	s.relations(roomA, "$root", nil, "$same@1:0")
	s.relations(roomB, "$root", nil, "")
	s.events(roomA, eventcache.Filter{Type: "t.a"}, "$same")
	s.events(roomA, eventcache.Filter{Type: "t.b"}, "")
	s.events(roomB, eventcache.Filter{Type: "t.b", Session: "s"}, "$same")
	s.fill(eventcache.Thread(roomB, "$root"), inB)
	if chunks := s.chunks(eventcache.Room(roomA)); len(chunks) == 1 && len(chunks[0].Items) == 1 && !sameEvent(chunks[0].Items[0], inA) {
		p.Broken("the timeline of %s shows %s, which is the event of %s", roomA, draw(chunks[0].Items[0]), roomB)
	}
	inB.Raw = raw("$same", "in b, edited")
	s.apply(eventcache.Thread(roomB, "$root"), replace(1, 0, inB))
	s.event(roomA, inA)
	s.event(roomB, inB)
	s.stats(eventcache.RoomStats{Room: roomA, Lists: 1, Chunks: 1, Events: 1, Bytes: int64(len(inA.Raw))})
	s.stats(eventcache.RoomStats{Room: roomB, Lists: 1, Chunks: 1, Events: 1, Bytes: int64(len(inB.Raw))})
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomB))
	s.event(roomA, inA)
	s.noEvent(roomB, "$same")
	s.list(eventcache.Room(roomA), "1[$same]")
}

func caseSavedOnly(p *probe) {
	s := p.open()
	lists := []eventcache.LinkedChunkID{
		eventcache.Room(roomA), eventcache.Thread(roomA, "$saved"), eventcache.Thread(roomA, "$t"), eventcache.Pinned(roomA), eventcache.Focused(roomA, "$saved"),
	}
	s.save(roomA, ev("$before"))
	for _, list := range lists {
		s.list(list, "")
		s.fill(list, ev("$other"))
	}
	s.save(roomA, ev("$saved", relates("$other", "m.x")), ev("$before", body("again")))
	for _, list := range lists {
		s.list(list, "1[$other]")
		s.duplicates(list, evIDs("$saved", "$before", "$other"), "$other@1:0")
	}
	s.relations(roomA, "$other", nil, "$saved@-")
	s.events(roomA, eventcache.Filter{}, "$before $other $saved")
	s.threads(roomA, "$saved", "$t")
	s.stats(eventcache.RoomStats{
		Room: roomA, Lists: 5, Chunks: 5, Events: 3,
		Bytes: bytesOf("$other", "$saved") + int64(len(ev("$before", body("again")).Raw)),
	})
	s.stats(eventcache.RoomStats{Room: roomB})
	s.save(roomB)
	if all, err := s.AllRoomStats(p.Ctx); err != nil || len(all) != 1 {
		p.Broken("after SaveEvents of no events for another room AllRoomStats returned %+v, %v, and not one room", all, err)
	}
}

func caseNewVersion(p *probe) {
	s := p.open()
	lists := map[eventcache.LinkedChunkID]string{
		eventcache.Room(roomA): "1[$a $b $c]", eventcache.Thread(roomA, "$t"): "1[$b $a]", eventcache.Pinned(roomA): "1[$c $b]", eventcache.Focused(roomA, "$b"): "1[$b]",
	}
	s.fill(eventcache.Room(roomA), evs("$a", "$b", "$c")...)
	s.fill(eventcache.Thread(roomA, "$t"), evs("$b", "$a")...)
	s.fill(eventcache.Pinned(roomA), evs("$c", "$b")...)
	s.fill(eventcache.Focused(roomA, "$b"), evs("$b")...)
	s.save(roomB, ev("$b"))
	is := func(want eventcache.Event) {
		s.event(roomA, want)
		for list, shape := range lists {
			s.list(list, shape)
			for _, c := range s.chunks(list) {
				for _, e := range c.Items {
					if e.ID == want.ID && !sameEvent(e, want) {
						p.Broken("in %s there is another version of the event than was stored last:\n%s\nand not\n%s", list, draw(e), draw(want))
					}
				}
			}
		}
		found, err := s.FindEvents(p.Ctx, roomA, eventcache.Filter{Type: want.Type, Session: want.Session})
		p.Must("FindEvents", err)
		if !slices.ContainsFunc(found, func(e eventcache.Event) bool { return sameEvent(e, want) }) {
			p.Broken("FindEvents does not find the event by its new type and session")
		}
		s.event(roomB, ev("$b"))
	}
	one := ev("$b", body("saved"), typed("m.new"), session("new"), meta(&eventcache.Meta{Timestamp: 5}))
	s.save(roomA, one)
	is(one)
	s.events(roomA, eventcache.Filter{Type: "m.room.message"}, "$a $c")
	plain := ev("$b", body("saved again"))
	s.save(roomA, plain)
	is(plain)
	s.save(roomA, one)
	two := ev("$b", body("pushed"), relates("$a", "m.x"))
	s.fill(eventcache.Thread(roomA, "$another"), two)
	is(two)
	s.relations(roomA, "$a", nil, "$b@1:1")
	s.events(roomA, eventcache.Filter{Session: "new"}, "")
	three := ev("$b", body("replaced"), relates("$c", "m.y"))
	s.apply(eventcache.Focused(roomA, "$b"), replace(1, 0, three))
	is(three)
	s.relations(roomA, "$a", nil, "")
	s.relations(roomA, "$c", nil, "$b@1:1")
	// A version that says less says less: nothing of the old one stays.
	four := eventcache.Event{ID: "$b", Raw: []byte(`{}`)}
	s.save(roomA, ev("$b", body("x")), four)
	is(four)
	s.relations(roomA, "$c", nil, "")
}

func caseWithout(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	typeless := ev("$typeless", typed(""))
	s.apply(list, items(0, 1, 0), push(1, 0, ev("$a"), typeless, ev("$b")))
	s.list(list, "1[$a $typeless $b]")
	s.event(roomA, typeless)
	s.save(roomA, ev("$saved", typed("")))
	s.apply(list, replace(1, 2, ev("$replaced", typed(""))))
	s.list(list, "1[$a $typeless $replaced]")
	s.events(roomA, eventcache.Filter{}, "$a $typeless $b $saved $replaced")
	s.events(roomA, eventcache.Filter{Type: "m.room.message"}, "$a $b")
	without := ev("", rawly(`{"event_id":"$in-raw"}`))
	p.Is("SaveEvents of an event without an id", s.SaveEvents(p.Ctx, roomA, without), eventcache.ErrNoEventID)
	s.refused(list, eventcache.UpdateError{Chunk: 1, Index: 1, Err: eventcache.ErrNoEventID}, push(1, 3, ev("$c"), without, ev("$d")))
	s.refused(list, eventcache.UpdateError{Chunk: 1, Index: 0, Err: eventcache.ErrNoEventID}, replace(1, 0, without))
	s.apply(list, push(1, 3, ev("$c"), ev("$d")))
	s.list(list, "1[$a $typeless $replaced $c $d]")
	s.noEvent(roomA, "$in-raw")
	s.noEvent(roomA, "")
}

func caseUnstorable(p *probe) {
	s := p.open()
	s.fill(eventcache.Room(roomA), evs("$a", "$x")...)
	before := s.dump(roomA)
	for name, bad := range unstorable(len(notJSON)) {
		p.About(name, func() {
			p.Is("SaveEvents", s.SaveEvents(p.Ctx, roomA, bad.event), bad.err)
			p.Is("SaveEvents of several", s.SaveEvents(p.Ctx, roomA, ev("$new"), ev("$a", body("changed")), bad.event, ev("$new too")), bad.err)
			s.unchanged("SaveEvents, which was refused,", before)
		})
	}
	p.Is("SaveEvents for no room", s.SaveEvents(p.Ctx, "", ev("$new")), eventcache.ErrNoRoomID)
	s.unchanged("SaveEvents, which was refused,", before)
	// What may look wrong and is not.
	for i, text := range []string{"{}", " \t\r\n{ }\n", `{"event_id":5}`, `{"a":{"a":[]}}`, "{\"\xff\":\"\xfe\"}", `{"a":1,"a":2}`, nested(5000)} {
		e := ev(id.EventID(fmt.Sprint("$odd", i)), rawly(text))
		s.save(roomA, e)
		s.event(roomA, e)
	}
}

func caseRelations(p *probe) {
	s := p.open()
	room, thread := eventcache.Room(roomA), eventcache.Thread(roomA, "$root")
	edit, react := ev("$edit", relates("$root", "m.replace")), ev("$react", relates("$root", "m.annotation"))
	deep := ev("$deep", relates("$react", "m.annotation"))
	s.save(roomA, ev("$root"), edit, react, deep, ev("$unrelated"))
	s.save(roomB, ev("$elsewhere", relates("$root", "m.replace")))
	s.relations(roomA, "$root", nil, "$edit@- $react@-")
	s.relations(roomA, "$react", nil, "$deep@-")
	s.relations(roomA, "$edit", nil, "")
	s.relations(roomA, "$unknown", nil, "")
	s.relations(roomA, "", nil, "") // to which no event relates, also those that relate to none
	s.relations(roomA, "", []event.RelationType{""}, "")
	s.relations(roomC, "$root", nil, "")
	s.relations(roomB, "$root", nil, "$elsewhere@-")

	s.apply(room, items(0, 4, 0), push(4, 0, ev("$root"), react))
	s.relations(roomA, "$root", nil, "$edit@- $react@4:1")
	// The positions are those in the room, whatever other lists there are.
	inThread := ev("$in-thread", relates("$root", "m.thread"))
	s.apply(thread, items(0, 9, 0), push(9, 0, ev("$root"), inThread, edit, react))
	s.fill(eventcache.Pinned(roomA), edit, inThread)
	s.relations(roomA, "$root", nil, "$edit@- $react@4:1 $in-thread@-")
	s.apply(room, push(4, 2, inThread))
	s.relations(roomA, "$root", nil, "$edit@- $react@4:1 $in-thread@4:2")
	s.apply(thread, eventcache.Clear{})
	s.relations(roomA, "$root", nil, "$edit@- $react@4:1 $in-thread@4:2")
	got, err := s.FindRelations(p.Ctx, roomA, "$root", nil)
	p.Must("FindRelations", err)
	if len(got) == 3 && !sameEvent(got[0].Event, edit) {
		p.Broken("FindRelations returned the event as\n%s\nand it was stored as\n%s", draw(got[0].Event), draw(edit))
	}
	// An event may relate to itself, and to one that is not known.
	s.save(roomA, ev("$self", relates("$self", "m.x")), ev("$early", relates("$yet-to-come", "m.x")))
	s.relations(roomA, "$self", nil, "$self@-")
	s.relations(roomA, "$yet-to-come", nil, "$early@-")
}

func caseRelationFilters(p *probe) {
	s := p.open()
	s.save(roomA, ev("$1", relates("$root", "m.replace")), ev("$2", relates("$root", "m.annotation")), ev("$3", relates("$root", "m.replace")), ev("$4", relates("$root", "m.thread")), ev("$5"))
	s.fill(eventcache.Room(roomA), evs("$root")...)
	types := func(all ...event.RelationType) []event.RelationType { return all }
	s.relations(roomA, "$root", nil, "$1@- $2@- $3@- $4@-")
	s.relations(roomA, "$root", []event.RelationType{}, "")
	s.relations(roomA, "$root", types("m.replace"), "$1@- $3@-")
	s.relations(roomA, "$root", types("m.annotation", "m.thread"), "$2@- $4@-")
	s.relations(roomA, "$root", types("m.thread", "m.replace", "m.replace", "m.annotation", "m.thread"), "$1@- $2@- $3@- $4@-")
	s.relations(roomA, "$root", types("m.unknown"), "")
	s.relations(roomA, "$root", types(""), "")
	s.relations(roomA, "$root", types("M.REPLACE", "m.replace ", "m.rep", "m.%"), "")
	many := make([]event.RelationType, 0, 17_000)
	for i := range cap(many) {
		many = append(many, event.RelationType(fmt.Sprint("m.", i)))
	}
	s.relations(roomA, "$root", append(many, "m.thread"), "$4@-")
}

func caseRoomEvents(p *probe) {
	s := p.open()
	secret := func(which id.EventID, of id.SessionID) eventcache.Event {
		return ev(which, typed("m.room.encrypted"), session(of))
	}
	s.apply(eventcache.Room(roomA), items(0, 1, 0), push(1, 0, ev("$text"), secret("$1", "s1")), gap(1, 2, 0, "t"), items(2, 3, 0), push(3, 0, secret("$2", "s2"), ev("$1", typed("m.room.encrypted"), session("s1"))))
	s.fill(eventcache.Thread(roomA, "$text"), secret("$1", "s1"), secret("$thread", "s1"))
	s.save(roomA, ev("$decrypted", session("s1")), secret("$saved", "s2"))
	s.fill(eventcache.Room(roomB), secret("$b", "s1"))
	s.events(roomA, eventcache.Filter{}, "$text $1 $2 $thread $decrypted $saved")
	s.events(roomA, eventcache.Filter{Type: "m.room.message"}, "$text $decrypted")
	s.events(roomA, eventcache.Filter{Type: "m.room.encrypted"}, "$1 $2 $thread $saved")
	s.events(roomA, eventcache.Filter{Session: "s1"}, "$1 $thread $decrypted")
	s.events(roomA, eventcache.Filter{Type: "m.room.encrypted", Session: "s1"}, "$1 $thread")
	s.events(roomA, eventcache.Filter{Type: "m.room.encrypted", Session: "s2"}, "$2 $saved")
	s.events(roomA, eventcache.Filter{Type: "m.room.message", Session: "s2"}, "")
	s.events(roomA, eventcache.Filter{Type: "m.room.%"}, "")
	s.events(roomA, eventcache.Filter{Session: "S1"}, "")
	s.events(roomB, eventcache.Filter{Session: "s1"}, "$b")
	s.events(roomC, eventcache.Filter{}, "")
	s.events(roomC, eventcache.Filter{Type: "m.room.encrypted", Session: "s1"}, "")
}

func caseOrder(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	to := relates("$root", "m.x")
	e := func(which id.EventID) eventcache.Event { return ev(which, to, session("s")) }
	s.save(roomA, e("$m"), e("$z"), e("$a"))
	s.apply(list, items(0, 9, 0), push(9, 0, e("$y"), e("$a"), e("$b")))
	s.apply(eventcache.Thread(roomA, "$t"), items(0, 1, 0), push(1, 0, e("$0"), e("$z")))
	s.save(roomA, e("$c"), e("$m"), e("$0"))
	order := "$m $z $a $y $b $0 $c"
	check := func() {
		s.events(roomA, eventcache.Filter{}, order)
		s.events(roomA, eventcache.Filter{Session: "s"}, order)
		s.events(roomA, eventcache.Filter{Type: "m.room.message"}, order)
		got, err := s.FindRelations(p.Ctx, roomA, "$root", nil)
		p.Must("FindRelations", err)
		var all []eventcache.Event
		for _, r := range got {
			all = append(all, r.Event)
		}
		if ids(all) != order {
			p.Broken("FindRelations returned\n%s\nand the events were first stored in the order\n%s", ids(all), order)
		}
		got, err = s.FindRelations(p.Ctx, roomA, "$root", []event.RelationType{"m.y", "m.x"})
		p.Must("FindRelations", err)
		if len(got) != len(all) || len(got) > 0 && got[0].Event.ID != all[0].ID {
			p.Broken("FindRelations returned with a filter another order than without")
		}
	}
	check()
	s.apply(list, remove(9, 0), push(9, 2, e("$y")), replace(9, 0, e("$b")), detach(9, 1))
	check()
	s.apply(list, eventcache.Clear{}, items(0, 1, 0), push(1, 0, e("$z"), e("$m")))
	check()
	s.save(roomA, e("$m"), e("$new"), e("$m"), e("$new"))
	order += " $new"
	check()
	// What was removed and comes again is new.
	p.Clock.Add(1)
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	s.save(roomA, e("$z"), e("$m"))
	order = "$z $m"
	check()
}

func caseFields(p *probe) {
	s := p.open()
	all := []eventcache.Event{
		everyField("$every"),
		{ID: "$least", Raw: []byte(`{}`)},
		ev("$empty meta", meta(&eventcache.Meta{})),
		ev("$no actions", meta(&eventcache.Meta{PushActions: nil, Timestamp: -1})),
		ev("$determined and none", meta(&eventcache.Meta{PushActions: evActions()})),
		ev("$decrypted", meta(&eventcache.Meta{Decrypted: &eventcache.Decrypted{}})),
		ev("$reason", meta(&eventcache.Meta{Undecryptable: &eventcache.Undecryptable{}})),
		ev("$thread", meta(&eventcache.Meta{Thread: &eventcache.ThreadSummary{}})),
		ev("$times", meta(&eventcache.Meta{Timestamp: 1<<63 - 1, Thread: &eventcache.ThreadSummary{Count: -1, Latest: "$l"}})),
		ev("$no utf-8", typed("t\xff\x00"), session("s\xfe"), relates("$\xff", "r\xc3"), rawly("{\"a\":\"\xff\"}"), meta(&eventcache.Meta{
			Decrypted:     &eventcache.Decrypted{Sender: "@\xff", SenderDevice: "\x00\xff", SenderKey: "\xf0", Algorithm: "\xff", Trust: "\xfe\ufffd", Original: []byte("{\"\xff\":1}")},
			Undecryptable: &eventcache.Undecryptable{Reason: "\xff"}, Thread: &eventcache.ThreadSummary{Latest: "$\xff"},
			PushActions: evActions("\"\xff\""),
		})),
		ev("$html", typed("<&>"), session("\u2028"), rawly(`{"a":"<&>\u2028"}`), meta(&eventcache.Meta{PushActions: evActions(`"<&>"`, ` { "spaces" : 1 } `), Decrypted: &eventcache.Decrypted{Trust: "<&>"}})),
		ev("$spaces", rawly(" \n{\t\"a\" :  1.0 , \"a\": 1e400 }\r\n ")),
		ev("$escapes", rawly(`{"\u0061":"\ud83d\ude00 \ud83d \u0000"}`)),
		ev(" $id with spaces \t\n"),
		ev("$ID"), ev("$id"),
	}
	list := eventcache.Room(roomA)
	s.apply(list, items(0, 1, 0), push(1, 0, all...))
	same := func(method string, got []eventcache.Event) {
		if len(got) != len(all) {
			p.Broken("%s returned %d events of %d", method, len(got), len(all))
			return
		}
		for i, e := range got {
			if !sameEvent(e, all[i]) {
				p.Broken("%s returned\n%s\nof what was given as\n%s", method, draw(e), draw(all[i]))
			}
		}
	}
	same("LoadAllChunks", itemsOf(s.chunks(list)))
	last, _, err := s.LoadLastChunk(p.Ctx, list)
	p.Must("LoadLastChunk", err)
	if last != nil {
		same("LoadLastChunk", last.Items)
	}
	s.apply(list, items(1, 2, 0))
	previous, err := s.LoadPreviousChunk(p.Ctx, list, 2)
	p.Must("LoadPreviousChunk", err)
	if previous != nil {
		same("LoadPreviousChunk", previous.Items)
	}
	found, err := s.FindEvents(p.Ctx, roomA, eventcache.Filter{})
	p.Must("FindEvents", err)
	same("FindEvents", found)
	for _, e := range all {
		s.event(roomA, e)
		if e.RelatesTo != "" {
			got, err := s.FindRelations(p.Ctx, roomA, e.RelatesTo, []event.RelationType{e.RelType})
			p.Must("FindRelations", err)
			if len(got) != 1 || !sameEvent(got[0].Event, e) {
				p.Broken("FindRelations returned %d relations and not one, or not as it was given:\n%s", len(got), draw(e))
			}
		}
		if e.Type != "" && e.Type != "m.room.message" {
			s.events(roomA, eventcache.Filter{Type: e.Type, Session: e.Session}, string(e.ID))
		}
	}
}

func evActions(all ...string) []jsonRaw {
	out := []jsonRaw{}
	for _, a := range all {
		out = append(out, jsonRaw(a))
	}
	return out
}

func itemsOf(chunks []eventcache.Chunk) (all []eventcache.Event) {
	for _, c := range chunks {
		all = append(all, c.Items...)
	}
	return all
}

func caseArguments(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	updates := []eventcache.Update{items(0, 1, 0), push(1, 0, evs("$c", "$a", "$b")...), eventcache.StartReattachItems{}}
	s.apply(list, updates...)
	if got := drawUpdates(updates); got != drawUpdates([]eventcache.Update{items(0, 1, 0), push(1, 0, evs("$c", "$a", "$b")...), eventcache.StartReattachItems{}}) {
		p.Broken("Apply has changed the updates that it was given: %s", got)
	}
	ask := evIDs("$z", "$b", "$b", "", "$a")
	s.duplicates(list, ask, "$a@1:1 $b@1:2")
	if !slices.Equal(ask, evIDs("$z", "$b", "$b", "", "$a")) {
		p.Broken("FindDuplicates has changed the ids that it was given: %q", ask)
	}
	types := []event.RelationType{"m.z", "m.a", "m.a", "m.b"}
	s.relations(roomA, "$a", types, "")
	if !slices.Equal(types, []event.RelationType{"m.z", "m.a", "m.a", "m.b"}) {
		p.Broken("FindRelations has changed the types that it was given: %q", types)
	}
	events := evs("$2", "$1", "$2")
	s.save(roomA, events...)
	if ids(events) != "$2 $1 $2" {
		p.Broken("SaveEvents has changed the events that it was given: %s", ids(events))
	}
}

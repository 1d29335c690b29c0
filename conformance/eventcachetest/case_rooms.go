package eventcachetest

// Rooms as a whole: threads that are remembered, clearing, counting, cleaning up.

import (
	"fmt"
	"math"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var roomCases = []Case{
	{
		Name:    "threads",
		Promise: "a thread is remembered once, by RememberThread or by its first chunk, in the order in which they became known, and until the room is cleared",
		Origins: append(seed(18), "6.5/test_encryption_encode_decode_thread_id_roundtrip"), run: caseThreads,
	},
	{
		Name:    "clear-everything",
		Promise: "ClearAll removes all events, all linked chunks of every kind, and all threads of all rooms",
		Origins: append(seed(19), "GAP-EC/event-focused ids"), run: caseClearAll,
	},
	{
		Name:    "clear-a-room",
		Promise: "ClearRoom removes everything of one room, linked chunks of every kind and threads included, and nothing of another one",
		Origins: append(seed(20), "GAP-EC/event-focused ids", "bad input/wrong rooms"), run: caseClearRoom,
	},
	{
		Name:    "focused-lists",
		Promise: "what surrounds an event is kept like any other list, one for each event, apart from the thread of the same event",
		Origins: from("GAP-EC/event-focused ids"), run: caseFocused,
	},
	{
		Name:    "how-much-there-is",
		Promise: "RoomStats counts linked chunks, chunks, events and the bytes of their Raw; AllRoomStats does for every room that has something, in their order",
		Origins: from("contract"), run: caseStats,
	},
	{
		Name:    "asking-creates-nothing",
		Promise: "whatever is asked about rooms and lists that are not known: nothing is there before, and nothing after",
		Origins: from("contract"), run: caseAsking,
	},
	{
		Name:    "no-room",
		Promise: "an empty room id is refused by every method that takes one, and changes nothing",
		Origins: from("bad input/empty ids", "bad input/wrong rooms"), run: caseNoRoom,
	},
	{
		Name:    "clean-up",
		Promise: "CleanUp removes what no linked chunk refers to and what was last stored longer ago than the policy says, says how many, and nothing else",
		Origins: from("contract"), run: caseCleanUp,
	},
	{
		Name:    "clean-up-and-clocks",
		Promise: "whatever the clock does, CleanUp removes nothing that is referred to, nothing of the future, and nothing before its time by the clock",
		Origins: from("bad input/clock jumps"), run: caseCleanUpClock,
	},
	{
		Name:    "clean-up-by-itself",
		Promise: "with a policy that says how often, a store cleans up by itself, and without one never",
		Origins: from("contract"), run: caseCleanUpItself,
	},
	{
		Name:    "size",
		Promise: "Bytes says how much the store takes: more with more in it, and, after it was cleared and compacted, less again",
		Origins: from("GAP-EC/get_size", "GAP-EC/optimize"), run: caseSize,
	},
	{
		Name:    "compacting-changes-nothing",
		Promise: "Compact changes nothing of what is stored, in a full store, in an empty one, and one after another",
		Origins: from("GAP-EC/optimize"), run: caseCompact,
	},
}

func caseThreads(p *probe) {
	s := p.open()
	remember := func(room id.RoomID, root id.EventID) {
		p.Must("RememberThread", s.RememberThread(p.Ctx, room, root))
	}
	s.threads(roomA)
	remember(roomA, "$z")
	remember(roomA, "$z")
	remember(roomA, "$a")
	s.threads(roomA, "$z", "$a")
	s.threads(roomB)
	s.apply(eventcache.Thread(roomA, "$m"), items(0, 1, 0))
	s.apply(eventcache.Thread(roomA, "$a"), gap(0, 1, 0, "t"))
	s.apply(eventcache.Thread(roomA, "$never"), eventcache.Clear{}, push(1, 0), eventcache.StartReattachItems{})
	s.apply(eventcache.Focused(roomA, "$focused"), items(0, 1, 0))
	s.apply(eventcache.Room(roomA), items(0, 1, 0), push(1, 0, ev("$root", relates("$x", "m.thread"))))
	s.threads(roomA, "$z", "$a", "$m")
	for range 3 {
		remember(roomA, "$m")
		remember(roomA, "$b")
		remember(roomA, "$z")
	}
	s.threads(roomA, "$z", "$a", "$m", "$b")
	remember(roomB, "$a")
	s.threads(roomB, "$a")
	s.apply(eventcache.Thread(roomA, "$m"), eventcache.Clear{})
	s.apply(eventcache.Thread(roomA, "$a"), drop(1))
	s.threads(roomA, "$z", "$a", "$m", "$b")
	s.list(eventcache.Thread(roomA, "$z"), "")
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	s.threads(roomA)
	s.threads(roomB, "$a")
	remember(roomA, "$a")
	remember(roomA, "$z")
	s.threads(roomA, "$a", "$z")
	before := s.dump(roomA)
	p.Is("RememberThread without a root", s.RememberThread(p.Ctx, roomA, ""), eventcache.ErrLinkedChunkID)
	s.unchanged("RememberThread, which was refused,", before)
}

// everyKind fills a room with linked chunks of every kind, saved events, and threads.
func everyKind(s *subject, room id.RoomID) {
	for i, list := range listsIn(room) {
		s.apply(list, items(0, 1, 0), push(1, 0, ev("$shared"), ev(id.EventID(fmt.Sprint("$in", i)))), gap(1, 2, 0, "token"))
	}
	s.save(room, ev("$saved", relates("$shared", "m.x"), session("s")))
	s.p.Must("RememberThread", s.RememberThread(s.p.Ctx, room, "$remembered"))
}

func listsIn(room id.RoomID) []eventcache.LinkedChunkID {
	return []eventcache.LinkedChunkID{
		eventcache.Room(room), eventcache.Thread(room, "$t1"), eventcache.Thread(room, "$t2"),
		eventcache.Pinned(room), eventcache.Focused(room, "$t1"), eventcache.Focused(room, "$f"),
	}
}

// empty checks that nothing is left of a room.
func (s *subject) empty(room id.RoomID) {
	for _, list := range listsIn(room) {
		s.list(list, "")
		s.duplicates(list, evIDs("$shared", "$in0", "$saved"), "")
	}
	for _, which := range evIDs("$shared", "$in0", "$in1", "$in2", "$in3", "$in4", "$in5", "$saved") {
		s.noEvent(room, which)
	}
	s.events(room, eventcache.Filter{}, "")
	s.events(room, eventcache.Filter{Session: "s"}, "")
	s.relations(room, "$shared", nil, "")
	s.threads(room)
	s.stats(eventcache.RoomStats{Room: room})
}

func caseClearAll(p *probe) {
	s := p.open()
	p.Must("ClearAll of an empty store", s.ClearAll(p.Ctx))
	for _, room := range []id.RoomID{roomA, roomB} {
		everyKind(s, room)
	}
	s.save(roomC, ev("$only"))
	p.Must("ClearAll", s.ClearAll(p.Ctx))
	for _, room := range []id.RoomID{roomA, roomB, roomC} {
		s.empty(room)
	}
	if all, err := s.AllRoomStats(p.Ctx); err != nil || len(all) > 0 {
		p.Broken("after ClearAll AllRoomStats returned %+v, %v", all, err)
	}
	everyKind(s, roomA) // as if for the first time
	s.threads(roomA, "$t1", "$t2", "$remembered")
	s.list(eventcache.Room(roomA), "1[$shared $in0] 2(token)")
}

func caseClearRoom(p *probe) {
	s := p.open()
	rooms := []id.RoomID{roomA, roomB, roomC}
	for _, room := range rooms {
		everyKind(s, room)
	}
	others := map[id.RoomID]string{}
	dumpOf := func(room id.RoomID) string { // of that room alone
		var text string
		for _, list := range listsIn(room) {
			text += shape(s.chunks(list))
		}
		return text + string(s.export(room))
	}
	for _, room := range rooms {
		others[room] = dumpOf(room)
	}
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomB))
	s.empty(roomB)
	for _, room := range []id.RoomID{roomA, roomC} {
		if got := dumpOf(room); got != others[room] {
			p.Broken("ClearRoom(%s) has changed %s:\n%s", roomB, room, difference(others[room], got))
		}
	}
	p.Must("ClearRoom of a room that is cleared", s.ClearRoom(p.Ctx, roomB))
	p.Must("ClearRoom of a room that is not known", s.ClearRoom(p.Ctx, "!unknown"))
	s.fill(eventcache.Room(roomB), evs("$shared")...)
	s.list(eventcache.Room(roomB), "1[$shared]")
	s.stats(eventcache.RoomStats{Room: roomB, Lists: 1, Chunks: 1, Events: 1, Bytes: bytesOf("$shared")})
	s.list(eventcache.Pinned(roomC), "1[$shared $in3] 2(token)")
}

func caseFocused(p *probe) {
	s := p.open()
	one, two, thread := eventcache.Focused(roomA, "$1"), eventcache.Focused(roomA, "$2"), eventcache.Thread(roomA, "$1")
	s.apply(one, items(0, 1, 0), push(1, 0, evs("$a", "$1", "$b")...), gap(1, 2, 0, "after"))
	s.apply(two, gap(0, 1, 0, "before"), items(1, 2, 0), push(2, 0, evs("$2")...))
	s.apply(thread, items(0, 1, 0), push(1, 0, evs("$t")...))
	s.list(one, "1[$a $1 $b] 2(after)")
	s.list(two, "1(before) 2[$2]")
	s.list(thread, "1[$t]")
	s.threads(roomA, "$1")
	s.apply(one, eventcache.Clear{})
	s.list(one, "")
	s.list(two, "1(before) 2[$2]")
	s.list(thread, "1[$t]")
	s.apply(thread, eventcache.Clear{})
	s.apply(one, items(0, 3, 0), push(3, 0, evs("$1")...))
	s.list(thread, "")
	s.list(one, "3[$1]")
	s.stats(eventcache.RoomStats{Room: roomA, Lists: 2, Chunks: 3, Events: 5, Bytes: bytesOf("$a", "$1", "$b", "$2", "$t")})
}

func caseStats(p *probe) {
	s := p.open()
	all := func(want ...eventcache.RoomStats) {
		got, err := s.AllRoomStats(p.Ctx)
		p.Must("AllRoomStats", err)
		if !slices.Equal(got, want) {
			p.Broken("AllRoomStats returned\n%+v\nand not\n%+v", got, want)
		}
		for _, w := range want {
			s.stats(w)
		}
	}
	all()
	s.stats(eventcache.RoomStats{Room: roomA})
	s.save(roomB, ev("$b"))
	b := eventcache.RoomStats{Room: roomB, Events: 1, Bytes: bytesOf("$b")}
	all(b)
	s.apply(eventcache.Room(roomA), gap(0, 1, 0, "t"))
	a := eventcache.RoomStats{Room: roomA, Lists: 1, Chunks: 1}
	all(a, b)
	s.apply(eventcache.Room(roomA), items(1, 2, 0), push(2, 0, evs("$1", "$2", "$1")...))
	s.apply(eventcache.Pinned(roomA), items(0, 1, 0), push(1, 0, evs("$1", "$3")...))
	a = eventcache.RoomStats{Room: roomA, Lists: 2, Chunks: 3, Events: 3, Bytes: bytesOf("$1", "$2", "$3")}
	all(a, b)
	big := ev("$3", rawly(`{"body":"`+string(make([]byte, 0))+`0123456789"}`))
	s.save(roomA, big)
	a.Bytes += int64(len(big.Raw)) - bytesOf("$3")
	all(a, b)
	for _, room := range []id.RoomID{"!Z", "!a", "!\xff", "!\x00", "!é", "!", "a"} {
		s.save(room, ev("$x"))
	}
	x := func(room id.RoomID) eventcache.RoomStats {
		return eventcache.RoomStats{Room: room, Events: 1, Bytes: bytesOf("$x")}
	}
	all(x("!"), x("!\x00"), x("!Z"), x("!a"), a, b, x("!é"), x("!\xff"), x("a"))
	s.apply(eventcache.Room(roomA), eventcache.Clear{})
	a.Lists, a.Chunks = 1, 1
	all(x("!"), x("!\x00"), x("!Z"), x("!a"), a, b, x("!é"), x("!\xff"), x("a"))
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomA))
	all(x("!"), x("!\x00"), x("!Z"), x("!a"), b, x("!é"), x("!\xff"), x("a"))
	p.Clock.Add(time.Hour)
	if n, err := s.CleanUp(p.Ctx, eventcache.CleanUpPolicy{}); err != nil || n != 8 {
		p.Broken("CleanUp of 8 events that nothing refers to returned %d, %v", n, err)
	}
	all()
}

func caseAsking(p *probe) {
	s := p.open()
	ask := func(room id.RoomID) {
		for _, list := range listsIn(room) {
			s.list(list, "")
		}
		s.empty(room)
		if len(s.export(room)) == 0 {
			p.Broken("Export of a room that is not known has written nothing; it has one line")
		}
	}
	// changeNothing are changes that have nothing to change.
	changeNothing := func(room id.RoomID) {
		for _, list := range listsIn(room) {
			s.apply(list)
			s.apply(list, eventcache.Clear{}, eventcache.StartReattachItems{}, eventcache.EndReattachItems{}, push(1, 0))
		}
		s.save(room)
	}
	clearNothing := func(room id.RoomID) {
		p.Must("ClearRoom", s.ClearRoom(p.Ctx, room))
		_, err := s.CleanUp(p.Ctx, eventcache.DefaultCleanUp())
		p.Must("CleanUp", err)
	}
	both := func() {
		before := s.dump(roomA)
		ask(roomA)
		s.unchanged("asking", before, roomA)
		changeNothing(roomA)
		s.unchanged("changing nothing", before, roomA)
		clearNothing(roomA)
		s.unchanged("clearing nothing", before, roomA)
	}
	both()
	s.save(roomB, ev("$b"))
	both()
	// Of a room that is known nothing comes into being either.
	before := s.dump(roomB)
	s.list(eventcache.Room(roomB), "")
	s.list(eventcache.Thread(roomB, "$b"), "")
	s.noEvent(roomB, "$x")
	s.relations(roomB, "$x", nil, "")
	changeNothing(roomB)
	s.unchanged("asking", before, roomB)
}

func caseNoRoom(p *probe) {
	s := p.open()
	s.save(roomA, ev("$a"))
	before := s.dump(roomA)
	for name, err := range map[string]error{
		"SaveEvents":    s.SaveEvents(p.Ctx, "", ev("$x")),
		"FindEvent":     third(s.FindEvent(p.Ctx, "", "$a")),
		"FindRelations": second(s.FindRelations(p.Ctx, "", "$a", nil)),
		"FindEvents":    second(s.FindEvents(p.Ctx, "", eventcache.Filter{})),
		"Threads":       second(s.Threads(p.Ctx, "")),
		"ClearRoom":     s.ClearRoom(p.Ctx, ""),
		"RoomStats":     second(s.RoomStats(p.Ctx, "")),
		"Export":        s.Export(p.Ctx, "", discard{}),
	} {
		p.Is(name+" without a room", err, eventcache.ErrNoRoomID)
	}
	p.Is("RememberThread without a room", s.RememberThread(p.Ctx, "", "$root"), eventcache.ErrLinkedChunkID)
	s.unchanged("what named no room", before, roomA)
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

const day = 24 * time.Hour

func (s *subject) cleanUp(older time.Duration, want int) {
	n, err := s.CleanUp(s.p.Ctx, eventcache.CleanUpPolicy{OlderThan: older})
	s.p.Must("CleanUp", err)
	if n != want {
		s.p.Broken("CleanUp of what is older than %v says that it has removed %d events; it should have removed %d", older, n, want)
	}
}

func caseCleanUp(p *probe) {
	s := p.open()
	s.cleanUp(0, 0)
	for _, list := range listsIn(roomA) {
		s.fill(list, ev("$shared"), ev("$of "+id.EventID(list.Event)))
	}
	s.apply(eventcache.Room(roomB), items(0, 1, 0), push(1, 0, evs("$removed", "$detached", "$kept")...), items(1, 2, 0), push(2, 0, ev("$dropped")), gap(2, 3, 0, "t"))
	s.fill(eventcache.Thread(roomB, "$root"), evs("$cleared", "$kept")...)
	s.save(roomA, ev("$old"), ev("$old and saved again"), ev("$old and pinned"), ev("$related", relates("$shared", "m.x")))
	p.Must("RememberThread", s.RememberThread(p.Ctx, roomA, "$old"))
	p.Clock.Add(10 * day)
	s.save(roomA, ev("$young"), ev("$old and saved again"))
	s.save(roomC, ev("$only"))
	s.apply(eventcache.Pinned(roomA), push(1, 2, ev("$old and pinned")))
	s.apply(eventcache.Room(roomB), remove(1, 0), drop(2), detach(1, 1), push(1, 0), replace(1, 0, ev("$kept")))
	s.apply(eventcache.Thread(roomB, "$root"), eventcache.Clear{})
	before := s.dump()
	s.cleanUp(11*day, 0)
	s.unchanged("CleanUp of what is older than everything is", before)
	// 9 days ago nothing of the first day was there yet; what was stored then and is in no list goes, though it was taken out of its list just now.
	s.cleanUp(9*day, 6)
	for _, which := range evIDs("$old", "$related") {
		s.noEvent(roomA, which)
	}
	for _, which := range evIDs("$removed", "$detached", "$dropped", "$cleared") {
		s.noEvent(roomB, which)
	}
	s.event(roomA, ev("$young"))
	s.event(roomA, ev("$old and saved again"))
	s.event(roomA, ev("$old and pinned"))
	s.event(roomB, ev("$kept"))
	for _, list := range listsIn(roomA) {
		want := fmt.Sprintf("1[$shared $of %s]", list.Event)
		if list.Kind == eventcache.KindPinned {
			want = "1[$shared $of  $old and pinned]"
		}
		s.list(list, want)
	}
	s.list(eventcache.Room(roomB), "1[$kept] 3(t)")
	s.threads(roomA, "$t1", "$t2", "$old")
	s.events(roomB, eventcache.Filter{}, "$kept")
	s.cleanUp(9*day, 0)
	p.Clock.Add(time.Second)
	s.cleanUp(0, 3) // $young, $old and saved again, $only
	s.noEvent(roomC, "$only")
	s.noEvent(roomA, "$young")
	s.event(roomA, ev("$shared"))
	s.save(roomA, ev("$old")) // may come again
	s.event(roomA, ev("$old"))
	before = s.dump()
	if _, err := s.CleanUp(p.Ctx, eventcache.CleanUpPolicy{OlderThan: -1}); err == nil {
		p.Broken("CleanUp with a negative time returned no error")
	}
	s.unchanged("CleanUp with a negative time", before)
	// More than one small transaction's worth.
	for i := range 8 {
		s.save(roomC, evs(numbered(fmt.Sprint("many", i, "-"), 100)...)...)
	}
	s.fill(eventcache.Pinned(roomC), evs(numbered("many7-", 100)...)...)
	p.Clock.Add(day)
	s.cleanUp(time.Hour, 701) // and $old
	s.stats(eventcache.RoomStats{Room: roomC, Lists: 1, Chunks: 1, Events: 100, Bytes: bytesOf(numbered("many7-", 100)...)})
}

func caseCleanUpClock(p *probe) {
	s := p.open()
	now := p.Clock.Now()
	s.fill(eventcache.Room(roomA), ev("$in a list"))
	s.save(roomA, ev("$now"))
	p.Clock.Set(now.Add(-365 * day)) // the clock was set back: everything is of the future
	s.cleanUp(0, 0)
	s.cleanUp(day, 0)
	s.cleanUp(math.MaxInt64, 0)
	s.save(roomA, ev("$last year"))
	p.Clock.Set(now)
	s.cleanUp(day, 1)
	s.noEvent(roomA, "$last year")
	s.event(roomA, ev("$now"))
	p.Clock.Set(now.AddDate(1000, 0, 0)) // far in the future
	s.save(roomA, ev("$far"))
	s.cleanUp(math.MaxInt64, 1) // 292 years
	s.noEvent(roomA, "$now")
	p.Clock.Set(now)
	s.cleanUp(0, 0)
	s.event(roomA, ev("$far"))
	s.save(roomA, ev("$far")) // and by being stored again it is of now
	p.Clock.Set(now.Add(2 * day))
	s.cleanUp(day, 1)
	s.noEvent(roomA, "$far")
	for _, odd := range []time.Time{{}, time.Unix(0, 0), time.UnixMilli(-1), time.Unix(-1<<40, 0), time.Unix(1<<40, 0)} {
		p.Clock.Set(odd)
		s.save(roomA, ev("$odd"))
		s.cleanUp(time.Hour, 0)
		s.event(roomA, ev("$odd"))
		p.Clock.Set(odd.Add(2 * time.Hour))
		s.cleanUp(time.Hour, 1)
		s.noEvent(roomA, "$odd")
	}
	s.list(eventcache.Room(roomA), "1[$in a list]")
	s.event(roomA, ev("$in a list"))
}

func caseCleanUpItself(p *probe) {
	for _, policy := range []eventcache.CleanUpPolicy{{OlderThan: time.Hour, Every: 5 * time.Millisecond}, {OlderThan: time.Hour}} {
		o := p.options()
		o.CleanUp = policy
		s := p.openWith(p.Dir(), o)
		s.save(roomA, ev("$old"))
		s.fill(eventcache.Room(roomA), ev("$kept"))
		p.Clock.Add(2 * time.Hour)
		s.save(roomA, ev("$young"))
		gone := func() bool {
			p.Clock.Add(time.Millisecond) // for a store whose waiting goes by this clock
			_, found, err := s.FindEvent(p.Ctx, roomA, "$old")
			p.Must("FindEvent", err)
			return !found
		}
		if policy.Every > 0 {
			p.Eventually("a store that cleans up every 5 ms has removed an event of two hours ago", gone)
			s.events(roomA, eventcache.Filter{}, "$kept $young")
			continue
		}
		for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); time.Sleep(time.Millisecond) {
			if gone() {
				p.Fatal("a store that is to do nothing by itself has removed an event")
			}
		}
	}
}

// idle makes a store forget what it keeps for speed alone, such as a log, so that sizes can be compared.
func (s *subject) idle() {
	s.p.Must("Pause", s.Pause(s.p.Ctx))
	s.p.Must("Resume", s.Resume(s.p.Ctx))
}

func (s *subject) bytes() int64 {
	n, err := s.Bytes(s.p.Ctx)
	s.p.Must("Bytes", err)
	return n
}

func caseSize(p *probe) {
	s := p.open()
	empty := s.bytes()
	if empty < 0 {
		p.Broken("an empty store takes %d bytes", empty)
	}
	const each, n = 20_000, 100 // 2 MB, which is far from any page or buffer
	large := func(which id.EventID) eventcache.Event {
		b := make([]byte, each)
		for i := range b {
			b[i] = 'a' + byte(i*i%23)
		}
		return ev(which, body(string(b)))
	}
	for i, which := range numbered("large", n) {
		s.save(roomA, large(which))
		if i == n/2 {
			s.fill(eventcache.Room(roomA), large(which))
		}
	}
	s.idle()
	full := s.bytes()
	if full < empty+each*n/4 {
		p.Broken("an empty store takes %d bytes, and one with %d bytes of events %d", empty, each*n, full)
	}
	p.Must("ClearAll", s.ClearAll(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	s.idle()
	if after := s.bytes(); after > full/2 {
		p.Broken("a store of %d bytes takes %d after everything was cleared and it was compacted; it took %d when it was empty", full, after, empty)
	}
}

func caseCompact(p *probe) {
	s := p.open()
	p.Must("Compact of an empty store", s.Compact(p.Ctx))
	everyKind(s, roomA)
	everyKind(s, roomB)
	everyKind(s, roomC)
	p.Must("ClearRoom", s.ClearRoom(p.Ctx, roomB))
	before := s.dump(roomB)
	p.Must("Compact", s.Compact(p.Ctx))
	s.unchanged("Compact", before, roomB)
	p.Must("Compact again", s.Compact(p.Ctx))
	s.unchanged("Compact", before, roomB)
	p.All(
		func() { p.Must("Compact", s.Compact(p.Ctx)) },
		func() { p.Must("Compact", s.Compact(p.Ctx)) },
		func() { s.save(roomC, ev("$meanwhile")) },
	)
	s.event(roomC, ev("$meanwhile"))
	s.list(eventcache.Room(roomA), "1[$shared $in0] 2(token)")
}

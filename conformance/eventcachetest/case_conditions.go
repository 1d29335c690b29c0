package eventcachetest

// Every condition of every update: one that is not met is refused, with what
// and where it is, and the store is as it was, also where the updates before it were fine.

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var conditionCases = []Case{
	{
		Name:    "conditions-of-new-chunks",
		Promise: "a new chunk has a number that can be one and is not in use, and neighbours that are there and next to each other; so no chain gets a second successor, a second end or a cycle (in matrix-rust-sdk a cycle is found when it is loaded; here it cannot be made)",
		Origins: append(seed(2, 5), "bad input/cycles", "bad input/unknown chunks"), run: caseNewChunkConditions,
	},
	{
		Name:    "conditions-of-remove-chunk",
		Promise: "a chunk that is removed is there",
		Origins: from("bad input/unknown chunks"), run: caseRemoveChunkConditions,
	},
	{
		Name:    "conditions-of-push-items",
		Promise: "items are pushed to the end of a chunk of events that is there, and each can be stored; without items nothing is asked for",
		Origins: from("bad input/unknown chunks", "bad input/events that are no JSON", "GAP-EC/items without id/type"), run: casePushConditions,
	},
	{
		Name:    "conditions-of-replace-item",
		Promise: "an item is replaced where there is one, by one that can be stored",
		Origins: from("bad input/unknown chunks", "bad input/events that are no JSON", "GAP-EC/items without id/type"), run: caseReplaceConditions,
	},
	{
		Name:    "conditions-of-remove-item",
		Promise: "an item is removed where there is one (in matrix-rust-sdk an unknown position is no error)",
		Origins: from("GAP-EC/remove of unknown position", "bad input/unknown chunks"), run: caseRemoveItemConditions,
	},
	{
		Name:    "conditions-of-detach-items",
		Promise: "items are detached from a chunk of events that is there, from a position that is at most behind the last",
		Origins: from("bad input/unknown chunks"), run: caseDetachConditions,
	},
	{
		Name:    "unknown-updates",
		Promise: "what is no update is refused, and is not asked for its name: nil, a nil pointer, a pointer, a type that contains an update",
		Origins: from("contract"), run: caseUnknownUpdates,
	},
	{
		Name:    "names-of-lists",
		Promise: "a name that names no linked chunk is refused by every method that takes one, and nothing is made or changed",
		Origins: from("contract", "bad input/empty ids", "bad input/wrong rooms"), run: caseListNames,
	},
	{
		Name:    "all-or-nothing",
		Promise: "the updates of one Apply all happen or none: what came before the one that does not fit has not, and without it they all do",
		Origins: from("GAP-EC/atomicity for memory", "6.5/test_linked_chunk_update_is_a_transaction"), run: caseAtomic,
	},
}

// condition is an update that is refused, given to the list that conditionsOf makes.
type condition struct {
	name   string
	update eventcache.Update
	err    error
	chunk  eventcache.ChunkID // what the error says
	index  int
}

// conditionsOf makes lists, and gives them each of the updates: alone, and in the midst of others that are fine.
func conditionsOf(p *probe, all ...condition) {
	s := p.open()
	for _, list := range []eventcache.LinkedChunkID{eventcache.Room(roomA), eventcache.Thread(roomA, "$root")} {
		s.apply(list, items(0, 10, 0), push(10, 0, evs("$a", "$b", "$c")...), gap(10, 20, 0, "token"), items(20, 5, 0), items(5, 40, 0), push(40, 0, evs("$d")...))
	}
	s.apply(eventcache.Room(roomB), items(0, 90, 0), push(90, 0, evs("$a", "$z")...)) // whose chunks are none of the others'
	s.save(roomA, ev("$saved"))
	list := eventcache.Room(roomA)
	before := s.dump()
	const shape = "10[$a $b $c] 20(token) 5[] 40[$d]"
	for i, c := range all {
		if i == len(all)/2 {
			list = eventcache.Thread(roomA, "$root")
		}
		want := eventcache.UpdateError{Chunk: c.chunk, Index: c.index, Err: c.err, Update: nameOf(c.update)}
		p.About(c.name, func() {
			if !p.h.Brief { // alone
				s.refusedSince(before, list, want, c.update)
			}
			// Updates before and after it, of every kind, and some that touch the same chunks.
			want.Number = 8
			s.refusedSince(before, list, want,
				push(40, 1, ev("$new"), ev("$saved", body("changed"))), gap(40, 70, 0, "new"), items(70, 71, 0), push(71, 0, ev("$a", body("changed"))),
				detach(71, 0), replace(40, 0, ev("$other")), remove(40, 1), drop(71),
				c.update,
				eventcache.Clear{}, items(0, 1, 0), push(1, 0, ev("$last")))
		})
	}
	s.list(eventcache.Room(roomA), shape)
	s.list(list, shape)
	s.list(eventcache.Room(roomB), "90[$a $z]")
	s.agree()
}

// nameOf is the name that an error has for an update; "" where that is not said.
func nameOf(u eventcache.Update) string {
	switch u.(type) {
	case eventcache.NewItemsChunk, eventcache.NewGapChunk, eventcache.RemoveChunk, eventcache.PushItems, eventcache.ReplaceItem,
		eventcache.RemoveItem, eventcache.DetachLastItems:
		return u.Name()
	}
	return ""
}

const beyond = eventcache.MaxChunkID + 1 // a number that no chunk can have, and that SQL could not store

func caseNewChunkConditions(p *probe) {
	var all []condition
	add := func(name string, previous, number, next eventcache.ChunkID, err error) {
		c := condition{name, items(previous, number, next), err, number, -1}
		if len(all)%2 == 1 { // both kinds have the same conditions
			c = condition{name + ", a gap", gap(previous, number, next, "t"), err, number, -1}
		}
		all = append(all, c)
	}
	// The chain is 10 20 5 40.
	add("no number", 40, 0, 0, eventcache.ErrChunkID)
	add("a number that is too large", 40, beyond, 0, eventcache.ErrChunkID)
	add("the largest of all numbers", 40, math.MaxUint64, 0, eventcache.ErrChunkID)
	add("the number of the last chunk", 40, 40, 0, eventcache.ErrChunkExists)
	add("the number of a gap", 40, 20, 0, eventcache.ErrChunkExists)
	add("the number of its neighbours' neighbour", 10, 5, 20, eventcache.ErrChunkExists)
	add("a previous chunk that is not there", 41, 50, 0, eventcache.ErrUnknownChunk)
	add("a next chunk that is not there", 0, 50, 41, eventcache.ErrUnknownChunk)
	add("a previous chunk of another list", 90, 50, 0, eventcache.ErrUnknownChunk)
	add("both of them not there", 41, 50, 42, eventcache.ErrUnknownChunk)
	add("a previous chunk of which the next is not there", 40, 50, 41, eventcache.ErrUnknownChunk)
	add("a next chunk of which the previous is not there", 41, 50, 10, eventcache.ErrUnknownChunk)
	add("itself as the previous", 50, 50, 0, eventcache.ErrUnknownChunk)
	add("itself as the next", 0, 50, 50, eventcache.ErrUnknownChunk)
	add("a previous chunk of a number that none can have", beyond, 50, 0, eventcache.ErrUnknownChunk)
	add("a next chunk of a number that none can have", 0, 50, math.MaxUint64, eventcache.ErrUnknownChunk)
	add("alone in a list that has chunks", 0, 50, 0, eventcache.ErrLinks)
	add("a previous chunk that is not the last, without a next", 20, 50, 0, eventcache.ErrLinks)
	add("a next chunk that is not the first, without a previous", 0, 50, 40, eventcache.ErrLinks)
	add("neighbours that are in the other order", 20, 50, 10, eventcache.ErrLinks)
	add("neighbours that are not next to each other", 10, 50, 5, eventcache.ErrLinks)
	add("the same chunk as both", 20, 50, 20, eventcache.ErrLinks)
	add("from the last to the first: a cycle", 40, 50, 10, eventcache.ErrLinks)
	conditionsOf(p, all...)

	// In a list that is not there every neighbour is unknown.
	s, list := p.open(), eventcache.Room(roomC)
	s.apply(eventcache.Room(roomB), items(0, 1, 0), items(1, 2, 0))
	for _, u := range []eventcache.Update{items(1, 3, 0), items(0, 3, 1), gap(1, 3, 0, "t"), gap(0, 3, 1, "t"), items(1, 3, 2)} {
		s.refused(list, eventcache.UpdateError{Chunk: 3, Index: -1, Err: eventcache.ErrUnknownChunk}, u)
	}
	s.list(list, "")
	// And a chunk that was removed is no neighbour any more.
	s.apply(list, items(0, 1, 0), items(1, 2, 0), items(2, 3, 0), drop(2))
	s.refused(list, eventcache.UpdateError{Chunk: 4, Index: -1, Err: eventcache.ErrUnknownChunk}, items(2, 4, 3))
	s.refused(list, eventcache.UpdateError{Chunk: 4, Index: -1, Err: eventcache.ErrUnknownChunk}, items(1, 4, 2))
	s.apply(list, items(1, 4, 3))
	s.list(list, "1[] 4[] 3[]")
}

func caseRemoveChunkConditions(p *probe) {
	var all []condition
	for _, unknown := range []eventcache.ChunkID{0, 1, 90, beyond, math.MaxUint64} {
		all = append(all, condition{fmt.Sprint("chunk ", unknown), drop(unknown), eventcache.ErrUnknownChunk, unknown, -1})
	}
	conditionsOf(p, all...)
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, items(0, 1, 0), items(1, 2, 0))
	s.refused(list, eventcache.UpdateError{Number: 1, Chunk: 1, Index: -1, Err: eventcache.ErrUnknownChunk}, drop(1), drop(1))
	s.refused(eventcache.Room(roomB), eventcache.UpdateError{Chunk: 1, Index: -1, Err: eventcache.ErrUnknownChunk}, drop(1))
	s.list(list, "1[] 2[]")
}

// misplaced are the conditions of a position, for updates that need an item there; beyond is how far behind the last it may be.
func misplaced(make func(eventcache.ChunkID, int) eventcache.Update, beyondLast int) []condition {
	var all []condition
	add := func(name string, chunk eventcache.ChunkID, index int, err error) {
		all = append(all, condition{name, make(chunk, index), err, chunk, index})
	}
	for _, unknown := range []eventcache.ChunkID{0, 1, 90, beyond, math.MaxUint64} {
		add(fmt.Sprintf("in chunk %d, which is not there", unknown), unknown, 0, eventcache.ErrUnknownChunk)
	}
	add("in a gap", 20, 0, eventcache.ErrChunkIsGap)
	add("in a gap, where the token is", 20, 1, eventcache.ErrChunkIsGap)
	for _, index := range []int{3 + beyondLast, -1, math.MaxInt, math.MinInt, math.MaxInt32 + 1} {
		add(fmt.Sprintf("at item %d of 3", index), 10, index, eventcache.ErrPosition)
	}
	add("in a chunk without items", 5, beyondLast, eventcache.ErrPosition)
	return all
}

// unstorable are events that cannot be stored, and why; n of them for what is no JSON object.
func unstorable(n int) map[string]struct {
	event eventcache.Event
	err   error
} {
	type row = struct {
		event eventcache.Event
		err   error
	}
	all := map[string]row{
		"without an id":                  {ev(""), eventcache.ErrNoEventID},
		"without an id, type and Raw":    {eventcache.Event{}, eventcache.ErrNoEventID},
		"that relates to an event only":  {ev("$x", relates("$to", "")), eventcache.ErrRelation},
		"that relates in a way only":     {ev("$x", relates("", "m.thread")), eventcache.ErrRelation},
		"without Raw":                    {eventcache.Event{ID: "$x", Type: "m.room.message"}, eventcache.ErrNotJSON},
		"of JSON that is nested too far": {ev("$x", rawly(nested(100_000))), eventcache.ErrNotJSON},
	}
	for _, text := range notJSON[:n] {
		all[fmt.Sprintf("of which Raw is %.40q", text)] = row{ev("$x", rawly(text)), eventcache.ErrNotJSON}
	}
	return all
}

// notJSON is what is no JSON object.
var notJSON = []string{
	"[]", `{"event_id":"$x"`, " ", "null", "true", "0", `"$x"`, `[{"event_id":"$x"}]`, "{", `{"event_id":"$x"}}`, `{"event_id":"$x"} {}`, "{}{}",
	`{event_id:"$x"}`, `{'event_id':'$x'}`, `{"a":1,}`, "{\"a\":\"\x01\"}", "\xef\xbb\xbf{}", "\x00{}", "{}\x00", `{"a":NaN}`, "\xff", "not JSON",
}

func nested(depth int) string {
	b := make([]byte, 0, 12*depth)
	for range depth {
		b = append(b, `{"a":`...)
	}
	b = append(b, '1')
	for range depth {
		b = append(b, '}')
	}
	return string(b)
}

func casePushConditions(p *probe) {
	all := misplaced(func(chunk eventcache.ChunkID, index int) eventcache.Update {
		return push(chunk, index, ev("$x"), ev("$y"))
	}, 1)
	for _, index := range []int{0, 1, 2} { // there is an item already
		all = append(all, condition{fmt.Sprint("at item ", index), push(10, index, ev("$x")), eventcache.ErrPosition, 10, index})
	}
	for name, bad := range unstorable(2) {
		all = append(all,
			condition{"an event " + name, push(10, 3, bad.event), bad.err, 10, 0},
			condition{"among others an event " + name, push(5, 0, ev("$x1"), ev("$a", body("changed")), bad.event, ev("$x3")), bad.err, 5, 2})
	}
	conditionsOf(p, all...)

	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, gap(0, 1, 0, "token"))
	before := s.dump(roomA)
	s.apply(list, push(0, 0), push(1, 0), push(2, 5), push(1, -1), push(math.MaxUint64, math.MaxInt)) // without items nothing is asked for
	s.unchanged("PushItems without items", before)
}

func caseReplaceConditions(p *probe) {
	all := misplaced(func(chunk eventcache.ChunkID, index int) eventcache.Update { return replace(chunk, index, ev("$x")) }, 0)
	for name, bad := range unstorable(2) {
		all = append(all, condition{"an event " + name, replace(10, 1, bad.event), bad.err, 10, 1})
	}
	conditionsOf(p, all...)
}

func caseRemoveItemConditions(p *probe) { conditionsOf(p, misplaced(remove, 0)...) }

func caseDetachConditions(p *probe) { conditionsOf(p, misplaced(detach, 1)...) }

func caseUnknownUpdates(p *probe) {
	type contains struct{ eventcache.Clear } // has all methods of an update, and is none
	conditionsOf(p,
		condition{"nil", nil, eventcache.ErrUpdate, 0, -1},
		condition{"a nil pointer", (*eventcache.Clear)(nil), eventcache.ErrUpdate, 0, -1},
		condition{"a nil pointer to one with fields", (*eventcache.PushItems)(nil), eventcache.ErrUpdate, 0, -1},
		condition{"a pointer", &eventcache.Clear{}, eventcache.ErrUpdate, 0, -1},
		condition{"a type that contains an update", contains{}, eventcache.ErrUpdate, 0, -1},
		condition{"a type that contains a nil update", struct{ eventcache.Update }{}, eventcache.ErrUpdate, 0, -1},
	)
}

func caseListNames(p *probe) {
	s := p.open()
	s.fill(eventcache.Room(roomA), evs("$a")...)
	before := s.dump(roomA)
	for _, bad := range []eventcache.LinkedChunkID{
		{},
		{Room: roomA},
		{Kind: eventcache.KindFocused + 1, Room: roomA},
		{Kind: 255, Room: roomA, Event: "$e"},
		{Kind: eventcache.KindRoom},
		{Kind: eventcache.KindPinned},
		{Kind: eventcache.KindThread, Event: "$e"},
		{Kind: eventcache.KindThread, Room: roomA},
		{Kind: eventcache.KindFocused, Room: roomA},
		{Kind: eventcache.KindRoom, Room: roomA, Event: "$e"},
		{Kind: eventcache.KindPinned, Room: roomA, Event: "$e"},
	} {
		p.About(fmt.Sprintf("%+v", bad), func() {
			check := func(what string, err error) { p.Is(what, err, eventcache.ErrLinkedChunkID) }
			check("Apply", s.Apply(p.Ctx, bad, []eventcache.Update{items(0, 1, 0), push(1, 0, ev("$x"))}))
			check("Apply of Clear", s.Apply(p.Ctx, bad, []eventcache.Update{eventcache.Clear{}}))
			_, err := s.LoadAllChunks(p.Ctx, bad)
			check("LoadAllChunks", err)
			_, err = s.LoadAllMetadata(p.Ctx, bad)
			check("LoadAllMetadata", err)
			_, _, err = s.LoadLastChunk(p.Ctx, bad)
			check("LoadLastChunk", err)
			_, err = s.LoadPreviousChunk(p.Ctx, bad, 1)
			check("LoadPreviousChunk", err)
			_, err = s.FindDuplicates(p.Ctx, bad, []id.EventID{"$a"})
			check("FindDuplicates", err)
		})
	}
	s.unchanged("what named no linked chunk", before, roomA)
}

func caseAtomic(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	// matrix-rust-sdk's own test: the second of two equal chunks.
	s.refused(list, eventcache.UpdateError{Number: 1, Chunk: 1, Index: -1, Err: eventcache.ErrChunkExists}, items(0, 1, 0), items(0, 1, 0))
	s.list(list, "")
	s.refused(eventcache.Thread(roomA, "$root"), eventcache.UpdateError{Number: 1, Chunk: 1, Index: 1, Err: eventcache.ErrPosition}, items(0, 1, 0), push(1, 1, ev("$x")))
	s.threads(roomA)

	s.apply(list, items(0, 1, 0), push(1, 0, evs("$a", "$b", "$c")...), gap(1, 2, 0, "token"))
	s.fill(eventcache.Pinned(roomA), evs("$a", "$c")...)
	s.apply(eventcache.Thread(roomA, "$root"), items(0, 1, 0))
	good := []eventcache.Update{
		items(2, 3, 0), push(3, 0, ev("$d"), ev("$a", body("changed"))), remove(1, 0), replace(1, 0, ev("$e")), detach(1, 1), eventcache.StartReattachItems{},
		push(1, 1, ev("$f")), eventcache.EndReattachItems{}, drop(2), gap(0, 2, 1, "another"), items(3, 4, 0), eventcache.Clear{},
		gap(0, 9, 0, "end"), items(9, 10, 0), push(10, 0, ev("$g")),
	}
	// Wherever the one that does not fit stands, nothing has happened.
	for i := range len(good) + 1 {
		updates := slices.Insert(slices.Clone(good), i, drop(77))
		p.About(fmt.Sprint("wrong at number ", i), func() {
			s.refused(list, eventcache.UpdateError{Number: i, Chunk: 77, Index: -1, Err: eventcache.ErrUnknownChunk}, updates...)
		})
	}
	s.apply(list, good...)
	s.list(list, "9(end) 10[$g]")
	s.list(eventcache.Pinned(roomA), "1[$a $c]")
	s.events(roomA, eventcache.Filter{}, "$a $b $c $d $e $f $g")
	s.event(roomA, ev("$a", body("changed")))

	// So do several events, and a thousand updates.
	before := s.dump(roomA)
	err := s.SaveEvents(p.Ctx, roomA, ev("$a", body("changed again")), ev("$h"), ev(""), ev("$i"))
	p.Is("SaveEvents with one event that has no id", err, eventcache.ErrNoEventID)
	s.unchanged("SaveEvents, which was refused,", before)
	var many []eventcache.Update
	for i := range 200 {
		many = append(many, push(10, i+1, ev(id.EventID(fmt.Sprint("$many", i)))))
	}
	many = append(many, push(10, 0, ev("$wrong")))
	err = s.Apply(p.Ctx, list, many)
	p.Is("Apply of 201 updates, of which the last does not fit,", err, eventcache.ErrPosition)
	var wrong *eventcache.UpdateError
	if errors.As(err, &wrong) && wrong.Number != 200 {
		p.Broken("the update that does not fit was number 200; the error says %d", wrong.Number)
	}
	s.unchanged("Apply, which was refused,", before)
}

package eventcachetest

// What updates do to a linked chunk, and how it is read.

import (
	"slices"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var updateCases = []Case{
	{
		Name:    "updates-build-a-list",
		Promise: "items, a gap and items come back in the order of the chain, every event with all that is known of it",
		Origins: seed(1), run: caseBuild,
	},
	{
		Name:    "an-empty-list",
		Promise: "a linked chunk that is not there has no chunks, no last one and no highest number, and is not made by asking",
		Origins: seed(15, 4), run: caseEmptyList,
	},
	{
		Name:    "the-last-chunk",
		Promise: "LoadLastChunk returns the end of the chain, whatever its number is, and the highest number that a chunk has",
		Origins: seed(4), run: caseLastChunk,
	},
	{
		Name:    "the-previous-chunk",
		Promise: "LoadPreviousChunk returns the chunk before another one, none before the first, and none before what is not there",
		Origins: seed(6), run: casePreviousChunk,
	},
	{
		Name:    "remove-a-chunk",
		Promise: "the neighbours of a chunk that is removed are linked to each other; what was in it is in no list any more, and stays known",
		Origins: append(seed(8), "6.5/cascade of a removed chunk"), run: caseRemoveChunk,
	},
	{
		Name:    "replace-an-item",
		Promise: "ReplaceItem puts an event in the place of another, whatever ids they have; the one that was there stays known",
		Origins: seed(9), run: caseReplaceItem,
	},
	{
		Name:    "remove-an-item",
		Promise: "the items behind one that is removed move up, and the next one is pushed behind them",
		Origins: append(seed(10), "6.5/positions after a removed item"), run: caseRemoveItem,
	},
	{
		Name:    "detach-items",
		Promise: "DetachLastItems takes the items from a position on out of their chunk: all, some, or none behind the last",
		Origins: seed(11), run: caseDetach,
	},
	{
		Name:    "reattach-changes-nothing",
		Promise: "StartReattachItems and EndReattachItems change nothing",
		Origins: seed(12), run: caseReattach,
	},
	{
		Name:    "clear-a-list",
		Promise: "Clear removes all chunks of this linked chunk and of no other; events stay known, and numbers may be used again",
		Origins: append(seed(13, 14), "6.5/cascade of a clear"), run: caseClearList,
	},
	{
		Name:    "metadata",
		Promise: "LoadAllMetadata returns the chain with its links, and the number of items: 0 for a gap and for a chunk without any",
		Origins: seed(17), run: caseMetadata,
	},
}

func caseBuild(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	whole := everyField("$whole")
	s.apply(list, items(0, 1, 0), push(1, 0, ev("$b"), whole), gap(1, 2, 0, "token"), items(2, 3, 0), push(3, 0, ev("$a")))
	s.list(list, "1[$b $whole] 2(token) 3[$a]")
	if chunks := s.chunks(list); len(chunks) == 3 && len(chunks[0].Items) == 2 && !sameEvent(chunks[0].Items[1], whole) {
		p.Broken("an event came back from its chunk as\n%s\nand was given as\n%s", draw(chunks[0].Items[1]), draw(whole))
	}
	s.event(roomA, whole)
	// The same step by step, with chunks that are put between others and numbers that are in no order.
	list = eventcache.Pinned(roomA)
	for _, step := range []struct {
		update eventcache.Update
		want   string
	}{
		{items(0, 40, 0), "40[]"},
		{push(40, 0, evs("$1")...), "40[$1]"},
		{gap(0, 7, 40, "before"), "7(before) 40[$1]"},
		{items(7, 99, 40), "7(before) 99[] 40[$1]"},
		{push(99, 0, evs("$2", "$3")...), "7(before) 99[$2 $3] 40[$1]"},
		{push(40, 1, evs("$4")...), "7(before) 99[$2 $3] 40[$1 $4]"},
		{items(40, 1, 0), "7(before) 99[$2 $3] 40[$1 $4] 1[]"},
		{gap(0, 2, 7, ""), "2() 7(before) 99[$2 $3] 40[$1 $4] 1[]"},
		{items(0, eventcache.MaxChunkID, 2), "9223372036854775807[] 2() 7(before) 99[$2 $3] 40[$1 $4] 1[]"},
		{push(eventcache.MaxChunkID, 0, evs("$5")...), "9223372036854775807[$5] 2() 7(before) 99[$2 $3] 40[$1 $4] 1[]"},
	} {
		s.apply(list, step.update)
		if !s.list(list, step.want) {
			p.Fatal("that was after %s", drawUpdates([]eventcache.Update{step.update}))
		}
	}
}

func caseEmptyList(p *probe) {
	s := p.open()
	for _, list := range []eventcache.LinkedChunkID{
		eventcache.Room(roomA), eventcache.Thread(roomA, "$root"), eventcache.Pinned(roomA), eventcache.Focused(roomA, "$event"),
	} {
		s.list(list, "")
		previous, err := s.LoadPreviousChunk(p.Ctx, list, 1)
		p.Must("LoadPreviousChunk", err)
		if previous != nil {
			p.Broken("LoadPreviousChunk of a list that is not there returned %s", shapeOf(previous))
		}
		s.apply(list, eventcache.Clear{}) // is no error, and makes nothing
		s.apply(list)
		s.apply(list, push(9, 9))
		s.list(list, "")
	}
	s.threads(roomA)
	if all, err := s.AllRoomStats(p.Ctx); err != nil || len(all) > 0 {
		p.Broken("after asking for linked chunks that are not there, and clearing them, AllRoomStats returned %+v, %v", all, err)
	}
}

func caseLastChunk(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	last := func(want string, highest eventcache.ChunkID) {
		c, high, err := s.LoadLastChunk(p.Ctx, list)
		p.Must("LoadLastChunk", err)
		if shapeOf(c) != want || high != highest {
			p.Broken("LoadLastChunk returned %s and the highest number %d, and not %s and %d", shapeOf(c), high, want, highest)
		}
	}
	last("none", 0)
	s.apply(list, items(0, 42, 0), push(42, 0, evs("$a", "$b")...))
	last("42[$a $b]", 42)
	s.apply(list, items(42, 7, 0), push(7, 0, evs("$c", "$d", "$e")...))
	last("7[$c $d $e]", 42)
	s.apply(list, gap(7, 12, 0, "token"))
	last("12(token)", 42)
	s.apply(list, drop(42))
	last("12(token)", 12)
	s.apply(list, eventcache.Clear{})
	last("none", 0)
}

func casePreviousChunk(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	previous := func(before eventcache.ChunkID, want string) {
		c, err := s.LoadPreviousChunk(p.Ctx, list, before)
		p.Must("LoadPreviousChunk", err)
		if shapeOf(c) != want {
			p.Broken("LoadPreviousChunk of %d returned %s and not %s", before, shapeOf(c), want)
		}
	}
	previous(1, "none")
	s.apply(list, items(0, 7, 0), push(7, 0, evs("$a", "$b")...))
	previous(7, "none")
	s.apply(list, items(7, 42, 0), gap(42, 3, 0, "token"))
	previous(3, "42[]")
	previous(42, "7[$a $b]")
	previous(7, "none")
	for _, unknown := range []eventcache.ChunkID{0, 1, 43, eventcache.MaxChunkID, eventcache.MaxChunkID + 1, 1<<64 - 1} {
		previous(unknown, "none")
	}
	list = eventcache.Room(roomB)
	previous(42, "none")
}

func caseRemoveChunk(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, gap(0, 42, 0, "42"), gap(42, 43, 0, "43"), gap(43, 44, 0, "44"))
	s.apply(list, drop(43))
	s.list(list, "42(42) 44(44)")
	s.apply(list, items(42, 1, 44), push(1, 0, evs("$a", "$b")...))
	s.apply(list, drop(1))
	s.list(list, "42(42) 44(44)")
	s.duplicates(list, evIDs("$a", "$b"), "")
	s.event(roomA, ev("$a"))
	s.apply(list, drop(44))
	s.list(list, "42(42)")
	s.apply(list, drop(42))
	s.list(list, "")
	// The numbers, and the places in them, are free again.
	s.apply(list, items(0, 1, 0), push(1, 0, evs("$c")...), items(1, 43, 0))
	s.list(list, "1[$c] 43[]")
	s.apply(list, drop(1))
	s.list(list, "43[]")
}

func caseReplaceItem(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.fill(list, evs("$a", "$b", "$c")...)
	changed := ev("$b", body("edited"))
	s.apply(list, replace(1, 1, changed))
	s.list(list, "1[$a $b $c]")
	s.event(roomA, changed)
	s.apply(list, replace(1, 1, ev("$x")))
	s.list(list, "1[$a $x $c]")
	s.duplicates(list, evIDs("$a", "$b", "$c", "$x"), "$a@1:0 $x@1:1 $c@1:2")
	s.event(roomA, changed)
	s.apply(list, replace(1, 0, ev("$c", body("again"))), replace(1, 2, ev("$a")))
	s.list(list, "1[$c $x $a]")
	s.event(roomA, ev("$c", body("again")))
}

func caseRemoveItem(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, items(0, 1, 0), push(1, 0, evs("$0", "$1", "$2", "$3", "$4", "$5")...), remove(1, 2), push(1, 5, ev("$6")))
	s.list(list, "1[$0 $1 $3 $4 $5 $6]")
	s.apply(list, remove(1, 0), remove(1, 4))
	s.list(list, "1[$1 $3 $4 $5]")
	s.event(roomA, ev("$2"))
	for _, want := range []string{"1[$3 $4 $5]", "1[$4 $5]", "1[$5]", "1[]"} {
		s.apply(list, remove(1, 0))
		s.list(list, want)
	}
	s.apply(list, push(1, 0, evs("$2")...))
	s.list(list, "1[$2]")
}

func caseDetach(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, items(0, 1, 0), detach(1, 0), push(1, 0, evs("$a", "$b", "$c")...), items(1, 2, 0), push(2, 0, evs("$d", "$e")...))
	s.apply(list, detach(1, 3))
	s.list(list, "1[$a $b $c] 2[$d $e]")
	s.apply(list, detach(1, 1))
	s.list(list, "1[$a] 2[$d $e]")
	s.event(roomA, ev("$b"))
	s.duplicates(list, evIDs("$a", "$b", "$c", "$d"), "$a@1:0 $d@2:0")
	s.apply(list, detach(2, 0), push(2, 0, evs("$c", "$b")...))
	s.list(list, "1[$a] 2[$c $b]")
}

func caseReattach(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, eventcache.StartReattachItems{}, eventcache.EndReattachItems{})
	s.fill(list, evs("$a", "$b", "$c")...)
	before := s.dump(roomA)
	s.apply(list, eventcache.StartReattachItems{})
	s.apply(list, eventcache.EndReattachItems{}, eventcache.EndReattachItems{})
	s.unchanged("StartReattachItems and EndReattachItems", before)
	// As a LinkedChunk inserts an event: what is behind it is detached and pushed again.
	s.apply(list, detach(1, 1), push(1, 1, ev("$new")), eventcache.StartReattachItems{}, push(1, 2, evs("$b", "$c")...), eventcache.EndReattachItems{})
	s.list(list, "1[$a $new $b $c]")
}

func caseClearList(p *probe) {
	s := p.open()
	lists := []eventcache.LinkedChunkID{
		eventcache.Room(roomA), eventcache.Thread(roomA, "$1"), eventcache.Thread(roomA, "$2"), eventcache.Pinned(roomA), eventcache.Focused(roomA, "$1"), eventcache.Room(roomB),
	}
	for _, list := range lists {
		s.apply(list, items(0, 1, 0), push(1, 0, evs("$a", "$b")...), gap(1, 2, 0, "t"))
	}
	for i, list := range lists {
		s.apply(list, eventcache.Clear{})
		for _, other := range lists[:i+1] {
			s.list(other, "")
		}
		for _, other := range lists[i+1:] {
			s.list(other, "1[$a $b] 2(t)")
		}
	}
	s.events(roomA, eventcache.Filter{}, "$a $b")
	s.threads(roomA, "$1", "$2")
	for _, list := range lists {
		s.apply(list, items(0, 1, 0), push(1, 0, evs("$b", "$a")...), eventcache.Clear{}, gap(0, 2, 0, "u"), items(2, 1, 0), push(1, 0, evs("$b")...))
		s.list(list, "2(u) 1[$b]")
	}
}

func caseMetadata(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	s.apply(list, items(0, 8, 0), push(8, 0, evs("$a", "$b")...), gap(8, 9, 0, "token"), items(9, 3, 0), push(3, 0, ev("$c")), items(3, 4, 0))
	got, err := s.LoadAllMetadata(p.Ctx, list)
	p.Must("LoadAllMetadata", err)
	want := []eventcache.ChunkMetadata{
		{ID: 8, Next: 9, Items: 2}, {ID: 9, Previous: 8, Next: 3, IsGap: true}, {ID: 3, Previous: 9, Next: 4, Items: 1}, {ID: 4, Previous: 3},
	}
	if !slices.Equal(got, want) {
		p.Broken("LoadAllMetadata returned\n%+v\nand not\n%+v", got, want)
	}
}

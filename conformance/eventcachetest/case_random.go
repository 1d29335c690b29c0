package eventcachetest

// What nobody thought of: random sequences, made smaller by rapid where they find something.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var randomCases = []Case{
	{
		Name:    "the-end-first",
		Promise: "a list is rebuilt from its end backwards, chunk by chunk and no more than is needed, and is then the same",
		Origins: seed(7), run: caseEndFirst,
	},
	{
		Name:    "any-list",
		Promise: "whatever a client does to its LinkedChunk, the updates fit, and the list that is loaded again is the same",
		Origins: from("contract", "6.5/the relational structure"), run: caseAnyList,
	},
	{
		Name:    "any-operations",
		Promise: "any operations, right ones and wrong ones, have the effects and the answers that the contract says, and nothing else",
		Origins: from("contract", "6.5/the relational structure"), run: caseAnyOperations,
	},
}

func caseEndFirst(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	client := eventcache.NewLinkedChunk(3)
	must := func(err error) { p.Must("a method of a LinkedChunk", err) }
	must(client.PushItemsBack(evs("$a", "$b", "$c", "$d")...))
	_, err := client.PushGapBack(eventcache.Gap{Token: "gap"})
	must(err)
	must(client.PushItemsBack(evs("$e", "$f")...))
	s.apply(list, client.Updates()...)
	s.list(list, "1[$a $b $c] 2[$d] 3(gap) 4[$e $f]")

	loader := eventcache.Loader{Store: s.Store, List: list, Capacity: 3}
	loaded, err := loader.Load(p.Ctx)
	p.Must("Load", err)
	is := func(want string, before eventcache.ChunkID) {
		var all []eventcache.Chunk
		for c := range loaded.Chunks() {
			all = append(all, c)
		}
		if shape(all) != want || loaded.LazyPrevious() != before {
			p.Broken("%s is loaded, after chunk %d; it should be %s, after chunk %d", shape(all), loaded.LazyPrevious(), want, before)
		}
	}
	is("4[$e $f]", 3)
	for _, step := range []struct {
		want   string
		before eventcache.ChunkID
	}{
		{"3(gap) 4[$e $f]", 2}, {"2[$d] 3(gap) 4[$e $f]", 1}, {"1[$a $b $c] 2[$d] 3(gap) 4[$e $f]", 0}, {"1[$a $b $c] 2[$d] 3(gap) 4[$e $f]", 0},
	} {
		more, err := loader.LoadPrevious(p.Ctx, loaded)
		p.Must("LoadPrevious", err)
		if more != (step.before != 0) {
			p.Broken("LoadPrevious returned %v, and chunk %d is before what it has loaded", more, step.before)
		}
		is(step.want, step.before)
	}
	// A client that has only the end goes on with it.
	loaded, err = loader.Load(p.Ctx)
	p.Must("Load", err)
	must(loaded.PushItemsBack(evs("$g", "$h")...))
	s.apply(list, loaded.Updates()...)
	s.list(list, "1[$a $b $c] 2[$d] 3(gap) 4[$e $f $g] 5[$h]")
	for range 2 {
		_, err = loader.LoadPrevious(p.Ctx, loaded)
		p.Must("LoadPrevious", err)
	}
	_, err = loaded.ReplaceGapAt(3, evs("$x", "$y", "$z", "$0")...)
	must(err)
	s.apply(list, loaded.Updates()...)
	p.Must("LoadAll", loader.LoadAll(p.Ctx, loaded))
	is(shape(s.chunks(list)), 0)
	var all []eventcache.Event
	for _, e := range loaded.Items() {
		all = append(all, e)
	}
	if ids(all) != "$a $b $c $d $x $y $z $0 $e $f $g $h" {
		p.Broken("the list is %s", ids(all))
	}
	loader.List = eventcache.Thread(roomA, "$none")
	nothing, err := loader.Load(p.Ctx)
	p.Must("Load of a list that is not there", err)
	if nothing.NumChunks() != 0 || nothing.LazyPrevious() != 0 {
		p.Broken("a list that is not there has %d chunks, after chunk %d", nothing.NumChunks(), nothing.LazyPrevious())
	}
}

func caseAnyList(p *probe) {
	s := p.open()
	p.Rapidly(p.count(4, 10, 100, 2000), func(t *rapid.T) { LinkedChunkProperty(t, s.Store, eventcache.Thread(roomA, "$root")) })
}

func caseAnyOperations(p *probe) {
	s := p.open()
	rooms := []id.RoomID{roomA, roomB}
	p.Rapidly(p.count(3, 8, 500, 10_000), func(t *rapid.T) {
		// An operation is a number and its place: rapid prefers small numbers, and would repeat itself without that.
		operations := rapid.SliceOfN(rapid.Uint64(), 40, 60).Draw(t, "operations")
		m := newModel(p.Clock.Now)
		p.Must("ClearAll", s.ClearAll(p.Ctx))
		var story string
		compare := func() {
			if want, got := dump(p, m, rooms...), s.dump(rooms...); !got.is(want) {
				t.Fatalf("after%s\nthe store does not have what it should have (before: as it should be, after: as it is)\n%s", story, difference(want.text(), got.text()))
			}
		}
		for i, number := range operations {
			var choose chooser = rand.New(rand.NewPCG(number, uint64(i))).IntN
			room := pick(choose, roomA, roomA, roomA, roomB)
			p.Clock.Add(time.Duration(choose(3)) * time.Hour)
			var op operation
			switch choose(12) {
			case 0, 1, 2, 3:
				op = choose.question(room)
			case 4:
				older := time.Duration(choose(4)) * time.Hour
				op = operation{fmt.Sprint("CleanUp ", older), func(ctx context.Context, s contents) (string, error) {
					n, err := s.CleanUp(ctx, eventcache.CleanUpPolicy{OlderThan: older})
					return fmt.Sprint(n), err
				}}
			default:
				op = choose.operation(m, room, true)
			}
			story += "\n" + op.name
			want, wantErr := op.do(p.Ctx, m)
			var before *dumped
			if wantErr != nil {
				before = s.dump(rooms...)
			}
			got, err := op.do(p.Ctx, s.Store)
			if wantErr == nil && err != nil || wantErr == nil && got != want {
				t.Fatalf("after%s\nthe store returned %q, %v; it should have returned %q", story, got, err, want)
			}
			if wantErr != nil {
				story += ", which is to be refused"
				if !sameError(err, wantErr) {
					t.Fatalf("after%s\nthe store returned the error %q; it should have returned %q", story, err, wantErr)
				}
				if after := s.dump(rooms...); !after.is(before) {
					t.Fatalf("after%s\nthe store has changed:\n%s", story, difference(before.text(), after.text()))
				}
			}
		}
		compare()
		s.agree(rooms...)
	})
}

// sentinels are the conditions of updates, and what else an operation is refused for.
var sentinels = []error{
	eventcache.ErrUnknownChunk, eventcache.ErrChunkExists, eventcache.ErrChunkID, eventcache.ErrChunkIsGap, eventcache.ErrLinks, eventcache.ErrPosition,
	eventcache.ErrNoEventID, eventcache.ErrNotJSON, eventcache.ErrRelation, eventcache.ErrExport,
}

// sameError compares what errors can be matched with.
func sameError(got, want error) bool {
	for _, sentinel := range sentinels {
		// An export may be wrong in more than one way.
		if !errors.Is(want, eventcache.ErrExport) && errors.Is(got, sentinel) != errors.Is(want, sentinel) {
			return false
		}
	}
	var g, w *eventcache.UpdateError
	if errors.As(want, &w) {
		return errors.As(got, &g) && g.Number == w.Number && g.Chunk == w.Chunk && g.Index == w.Index
	}
	return errors.Is(got, eventcache.ErrExport) == errors.Is(want, eventcache.ErrExport)
}

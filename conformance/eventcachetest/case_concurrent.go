package eventcachetest

// Many at once: readers see whole changes, and writers lose nothing.

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

var concurrentCases = []Case{
	{
		Name:    "readers-see-whole-changes",
		Promise: "whoever reads while somebody writes sees all of an Apply or nothing, in every method",
		Origins: from("contract", "GAP-EC/atomicity for memory"), run: caseWholeChanges,
	},
	{
		Name:    "many-writers",
		Promise: "of many who write at once, into lists of their own and into one together, each change happens once, and none is lost",
		Origins: from("contract"), run: caseWriters,
	},
	{
		Name:    "closing-while-in-use",
		Promise: "Close while many use the store ends: what returned nil before is done, and the rest says that the store is closed, or interrupted",
		Origins: from("contract"), run: caseCloseInUse,
	},
}

func caseWholeChanges(p *probe) {
	s, list := p.open(), eventcache.Room(roomA)
	which := numbered("", 8)
	// version writes every event, every chunk and every gap of the list anew, in chunks of two that differ by version.
	version := func(n int) []eventcache.Update {
		text := fmt.Sprint("version ", n)
		all := []eventcache.Update{eventcache.Clear{}}
		base := eventcache.ChunkID(1 + n%5)
		for i, chunk := range slices.Collect(slices.Chunk(which, 2)) {
			id := base + eventcache.ChunkID(2*i)
			var events []eventcache.Event
			for _, e := range chunk {
				events = append(events, ev(e, body(text), session(sessionOf(n)), relates("$root", "m.x")))
			}
			previous := eventcache.ChunkID(0)
			if i > 0 {
				previous = id - 1
			}
			all = append(all, items(previous, id, 0), push(id, 0, events...), gap(id, id+1, 0, text))
		}
		return all
	}
	s.apply(list, version(0)...)
	rounds := p.count(15, 30, 500, 5000)
	var done atomic.Bool
	same := func(method string, texts []string, n int) {
		if len(texts) != n || len(slices.Compact(slices.Clone(texts))) > 1 {
			p.Fatal("%s returned a mixture of changes, or a part of one: %q", method, texts)
		}
	}
	text := func(e eventcache.Event) string {
		_, after, _ := strings.Cut(string(e.Raw), `"body":`)
		return after
	}
	textsOf := func(events []eventcache.Event) (all []string) {
		for _, e := range events {
			all = append(all, text(e))
		}
		return all
	}
	readers := []func(){
		func() {
			chunks, err := s.LoadAllChunks(p.Ctx, list)
			p.Must("LoadAllChunks", err)
			var texts []string
			for _, c := range chunks {
				if c.Gap != nil {
					texts = append(texts, fmt.Sprintf("%q}}", c.Gap.Token))
				}
				texts = append(texts, textsOf(c.Items)...)
			}
			same("LoadAllChunks", texts, 12)
			for i, c := range chunks {
				if i > 0 && (c.Previous != chunks[i-1].ID || chunks[i-1].Next != c.ID) {
					p.Fatal("LoadAllChunks returned what is no chain: %s", shape(chunks))
				}
			}
		},
		func() {
			metadata, err := s.LoadAllMetadata(p.Ctx, list)
			p.Must("LoadAllMetadata", err)
			for i, c := range metadata {
				if want := 2 * (1 - i%2); c.Items != want || c.IsGap != (i%2 == 1) || i > 0 && c.Previous != metadata[i-1].ID {
					p.Fatal("LoadAllMetadata returned what no Apply has made: %+v", metadata)
				}
			}
			if len(metadata) != 8 {
				p.Fatal("LoadAllMetadata returned %d chunks of 8", len(metadata))
			}
		},
		func() {
			last, highest, err := s.LoadLastChunk(p.Ctx, list)
			p.Must("LoadLastChunk", err)
			if last == nil || last.Gap == nil || last.ID != highest {
				p.Fatal("LoadLastChunk returned %s and the highest number %d, which no Apply has made", shapeOf(last), highest)
			}
		},
		func() {
			places, err := s.FindDuplicates(p.Ctx, list, which)
			p.Must("FindDuplicates", err)
			for i, at := range places {
				if at.Event != which[i] || at.At.Index != i%2 || at.At.Chunk != places[0].At.Chunk+eventcache.ChunkID(i/2*2) {
					p.Fatal("FindDuplicates returned what no Apply has made: %s", placed(places))
				}
			}
			if len(places) != len(which) {
				p.Fatal("FindDuplicates returned %d places of %d", len(places), len(which))
			}
		},
		func() {
			events, err := s.FindEvents(p.Ctx, roomA, eventcache.Filter{})
			p.Must("FindEvents", err)
			same("FindEvents", textsOf(events), 8)
			if ids(events) != "$0 $1 $2 $3 $4 $5 $6 $7" {
				p.Fatal("FindEvents returned %s", ids(events))
			}
		},
		func() {
			events, err := s.FindEvents(p.Ctx, roomA, eventcache.Filter{Session: sessionOf(0)})
			p.Must("FindEvents", err)
			if len(events) != 0 && len(events) != 8 {
				p.Fatal("FindEvents by session returned %d of 8", len(events))
			}
		},
		func() {
			relations, err := s.FindRelations(p.Ctx, roomA, "$root", nil)
			p.Must("FindRelations", err)
			var texts []string
			for _, r := range relations {
				texts = append(texts, text(r.Event))
				if r.At == nil {
					p.Fatal("FindRelations returned an event without its position; it always has one: %s", relation(relations))
				}
			}
			same("FindRelations", texts, 8)
		},
		func() {
			stats, err := s.RoomStats(p.Ctx, roomA)
			p.Must("RoomStats", err)
			if stats.Lists != 1 || stats.Chunks != 8 || stats.Events != 8 || stats.Bytes%8 != 0 {
				p.Fatal("RoomStats returned what no Apply has made: %+v", stats)
			}
		},
		func() {
			m := newModel(p.Clock.Now)
			_, err := m.Import(p.Ctx, bytes.NewReader(s.export(roomA)))
			p.Must("reading an export", err)
			same("Export", textsOf(itemsOf(m.room(roomA).chunks(list))), 8)
		},
	}
	var all []func()
	for i := range 3 {
		all = append(all, func() {
			for n := i; !done.Load() && !p.Over(); n++ {
				readers[n%len(readers)]()
			}
		})
	}
	all = append(all, func() {
		defer done.Store(true)
		for n := range rounds {
			if p.Over() {
				return
			}
			s.apply(list, version(n)...)
		}
	})
	p.All(all...)
}

// sessionOf names a session by the version of a change: the first ten are one, then another.
func sessionOf(n int) id.SessionID { return id.SessionID(fmt.Sprint("session", n/10%2)) }

func caseWriters(p *probe) {
	s := p.open()
	writers, each := 6, p.count(6, 10, 50, 500)
	shared := eventcache.Room(roomA)
	s.apply(shared, items(0, 1, 0))
	var all []func()
	for w := range writers {
		own := eventcache.Thread(roomA, id.EventID(fmt.Sprint("$thread", w)))
		all = append(all, func() {
			s.apply(own, items(0, 1, 0))
			for i := range each {
				e := ev(id.EventID(fmt.Sprintf("$%d-%d", w, i)))
				s.apply(own, push(1, i, e))
				// Everybody pushes to the same end, and looks again where another was faster.
				for {
					metadata, err := s.LoadAllMetadata(p.Ctx, shared)
					p.Must("LoadAllMetadata", err)
					err = s.Apply(p.Ctx, shared, []eventcache.Update{push(1, metadata[0].Items, e)})
					if err == nil {
						break
					}
					if !errors.Is(err, eventcache.ErrPosition) {
						p.Fatal("Apply of a push to the end returned: %v", err)
					}
				}
			}
		})
	}
	p.All(all...)
	seen := map[id.EventID]int{}
	next := make([]int, writers)
	for _, e := range itemsOf(s.chunks(shared)) {
		seen[e.ID]++
		var w, i int
		if _, err := fmt.Sscanf(string(e.ID), "$%d-%d", &w, &i); err != nil || w >= writers || next[w] != i {
			p.Broken("%s comes before what its writer has pushed before it", e.ID)
			continue
		}
		next[w]++
	}
	for w := range writers {
		var want []string
		for i := range each {
			which := fmt.Sprintf("$%d-%d", w, i)
			want = append(want, which)
			if seen[id.EventID(which)] != 1 {
				p.Broken("%s was pushed once, and is there %d times", which, seen[id.EventID(which)])
			}
		}
		s.list(eventcache.Thread(roomA, id.EventID(fmt.Sprint("$thread", w))), "1["+strings.Join(want, " ")+"]")
	}
	stats, err := s.RoomStats(p.Ctx, roomA)
	p.Must("RoomStats", err)
	if stats.Events != writers*each || stats.Lists != writers+1 {
		p.Broken("RoomStats: %+v; %d events were stored, in %d lists", stats, writers*each, writers+1)
	}
}

func caseCloseInUse(p *probe) {
	dir := p.Dir()
	s := p.openWith(dir, p.options())
	const workers = 6
	done := make([]int, workers) // how many of each were stored
	started := make(chan struct{}, workers)
	var all []func()
	for w := range workers {
		all = append(all, func() {
			for i := 0; ; i++ {
				err := s.SaveEvents(p.Ctx, roomA, ev(id.EventID(fmt.Sprintf("$%d-%d", w, i))))
				if err != nil {
					if !ofClose(err) {
						p.Broken("SaveEvents while the store is being closed returned: %v", err)
					}
					return
				}
				if done[w]++; i == 2 {
					started <- struct{}{}
				}
				if _, err := s.FindEvents(p.Ctx, roomA, eventcache.Filter{}); err != nil && !ofClose(err) {
					p.Broken("FindEvents while the store is being closed returned: %v", err)
				}
			}
		})
	}
	all = append(all, func() {
		for range workers {
			<-started
		}
		p.Must("Close while the store is in use", s.Close(p.Ctx))
	})
	p.All(all...)
	if !p.has(conformance.Files) {
		return
	}
	s = p.openWith(dir, p.options())
	for w, n := range done {
		for i := range n + 2 {
			which := id.EventID(fmt.Sprintf("$%d-%d", w, i))
			_, found, err := s.FindEvent(p.Ctx, roomA, which)
			p.Must("FindEvent", err)
			if found != (i < n) {
				p.Broken("SaveEvents of %s returned nil: %v. It is there after the store was closed and opened: %v", which, i < n, found)
			}
		}
	}
}

// ofClose tells whether an operation returned this because the store was closed.
func ofClose(err error) bool {
	return errors.Is(err, lifecycle.ErrClosed) || errors.Is(err, lifecycle.ErrInterrupted) || errors.Is(err, lifecycle.ErrPaused)
}

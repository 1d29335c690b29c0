package memorystore

// What the answers alone do not show: that the rows fit together after any updates,
// refused ones too, and that a row which somebody has seen never changes.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

const testRoom id.RoomID = "!room:example.org"

var testLists = []eventcache.LinkedChunkID{
	eventcache.Room(testRoom), eventcache.Thread(testRoom, "$1"), eventcache.Pinned(testRoom), eventcache.Room("!other:example.org"),
}

func testEvent(n int) eventcache.Event {
	return eventcache.Event{ID: id.EventID(fmt.Sprint("$", n)), Raw: json.RawMessage(`{}`)}
}

// anyUpdate is an update that mostly fits to the chain of chunks that there is.
func anyUpdate(t *rapid.T, chain []*chunkRow) eventcache.Update {
	// Of numbers, rapid draws the small ones most often: what has to come often stands first.
	seldom := func(one int) bool { return rapid.IntRange(0, one).Draw(t, "seldom") == one }
	link := func() (previous, number, next eventcache.ChunkID) {
		for number = 1; slices.ContainsFunc(chain, func(c *chunkRow) bool { return c.id == number }); number++ {
		}
		if seldom(3) {
			neighbour := rapid.Uint64Range(0, uint64(len(chain)+1))
			return eventcache.ChunkID(neighbour.Draw(t, "previous")), number, eventcache.ChunkID(neighbour.Draw(t, "next"))
		}
		at := len(chain) - rapid.IntRange(0, len(chain)).Draw(t, "place in the chain, from its end")
		if at > 0 {
			previous = chain[at-1].id
		}
		if at < len(chain) {
			next = chain[at].id
		}
		return previous, number, next
	}
	items := func() (all []eventcache.Event) {
		for range rapid.IntRange(1, 4).Draw(t, "items") {
			all = append(all, testEvent(rapid.IntRange(0, 9).Draw(t, "event")))
		}
		return all
	}
	// at is a place in a chunk of events, and seldom one beside it.
	at := func(beyond int) eventcache.Position {
		var full []*chunkRow
		for _, c := range chain {
			if c.gap == nil && len(c.items) > 0 {
				full = append(full, c)
			}
		}
		if len(full) == 0 || seldom(9) {
			return eventcache.Position{Chunk: eventcache.ChunkID(rapid.Uint64Range(0, 3).Draw(t, "chunk")), Index: rapid.IntRange(-1, 3).Draw(t, "index")}
		}
		c := rapid.SampledFrom(full).Draw(t, "chunk with items")
		last := len(c.items) - 1 + beyond
		return eventcache.Position{Chunk: c.id, Index: last - rapid.IntRange(0, last).Draw(t, "index, from the end")}
	}
	push := func() eventcache.Update {
		if len(chain) == 0 {
			return eventcache.NewItemsChunk{New: 1}
		}
		c := rapid.SampledFrom(chain).Draw(t, "pushed to")
		return eventcache.PushItems{At: eventcache.Position{Chunk: c.id, Index: len(c.items)}, Items: items()}
	}
	return rapid.SampledFrom([]func() eventcache.Update{
		push,
		func() eventcache.Update { return eventcache.DetachLastItems{At: at(1)} },
		push,
		func() eventcache.Update {
			previous, number, next := link()
			return eventcache.NewItemsChunk{Previous: previous, New: number, Next: next}
		},
		func() eventcache.Update { return eventcache.RemoveItem{At: at(0)} },
		func() eventcache.Update { return eventcache.ReplaceItem{At: at(0), Item: items()[0]} },
		push,
		func() eventcache.Update {
			previous, number, next := link()
			return eventcache.NewGapChunk{Previous: previous, New: number, Next: next, Gap: eventcache.Gap{Token: "gap"}}
		},
		func() eventcache.Update {
			if len(chain) == 0 {
				return eventcache.RemoveChunk{Chunk: 1}
			}
			return eventcache.RemoveChunk{Chunk: rapid.SampledFrom(chain).Draw(t, "removed").id}
		},
		func() eventcache.Update {
			if seldom(2) {
				return eventcache.Clear{}
			}
			return push()
		},
	}).Draw(t, "update")()
}

// TestRowsFitTogether: after any updates, applied or refused, every linked chunk is one chain with one end, and the
// index from an event to its places says what the chunks do. Rows that somebody has seen are as they were, whatever
// was applied, refused and removed since.
func TestRowsFitTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		s, err := OpenEventCache(ctx, EventCacheConfig{CleanUp: &eventcache.CleanUpPolicy{}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(ctx) }()
		var seen []sighting
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			list := rapid.SampledFrom(testLists[:rapid.IntRange(1, len(testLists)).Draw(t, "lists")]).Draw(t, "list")
			before := seen
			// One update after the other, each to what there is then, and all or none.
			var refused *eventcache.UpdateError
			err := s.db.Write(ctx, func(txn *memory.Txn) error {
				a := applier{t: txn, list: list, now: s.now()}
				for range rapid.IntRange(1, 3).Draw(t, "updates") {
					rows, err := chain(txn, list)
					if err != nil {
						return err
					}
					if err := a.apply(anyUpdate(t, rows)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil && !errors.As(err, &refused) {
				t.Fatalf("an update was refused with %v, and not with an *UpdateError", err)
			}
			err = nil
			switch rapid.IntRange(0, 29).Draw(t, "besides") {
			case 29:
				_, err = s.CleanUp(ctx, eventcache.CleanUpPolicy{})
			case 28:
				err = s.ClearRoom(ctx, list.Room)
			}
			if err != nil {
				t.Fatal(err)
			}
			err = s.db.Read(ctx, func(txn *memory.Txn) error {
				seen = append(seen, sight(t, txn)...)
				return fitTogether(txn)
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, was := range before {
				if now := was.row.text(); now != was.text {
					t.Fatalf("a row that somebody has seen was changed; it was\n%s\nand is\n%s", was.text, now)
				}
			}
		}
	})
}

// sighting is a row as it was when it was seen.
type sighting struct {
	row  *chunkRow
	text string
}

func (c *chunkRow) text() string {
	return fmt.Sprintf("%v chunk %d after %d before %d: %v, gap %v", c.list, c.id, c.previous, c.next, c.items, c.gap)
}

func sight(t *rapid.T, txn *memory.Txn) (all []sighting) {
	for c, err := range chunks.Get(txn, "id") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sighting{c, c.text()})
	}
	return all
}

// fitTogether says what does not.
func fitTogether(t *memory.Txn) error {
	lists := map[eventcache.LinkedChunkID]int{}
	want := map[string]int{} // where events are, and how often
	for c, err := range chunks.Get(t, "id") {
		if err != nil {
			return err
		}
		lists[c.list]++
		if c.gap != nil && len(c.items) > 0 {
			return fmt.Errorf("a gap has items: %s", c.text())
		}
		for _, event := range c.items {
			want[fmt.Sprintf("%v chunk %d: %s", c.list, c.id, event)]++
			if _, known, err := events.First(t, "id", eventKey(c.list.Room, event)); err != nil || !known {
				return fmt.Errorf("the item %s is no event of the room (%v): %s", event, err, c.text())
			}
		}
	}
	for list, count := range lists {
		rows, err := chain(t, list)
		if err != nil {
			return err
		}
		if len(rows) != count {
			return fmt.Errorf("%v has %d chunks, and %d in its chain", list, count, len(rows))
		}
		for i, c := range rows {
			var previous, next eventcache.ChunkID
			if i > 0 {
				previous = rows[i-1].id
			}
			if i+1 < len(rows) {
				next = rows[i+1].id
			}
			if c.previous != previous || c.next != next {
				return fmt.Errorf("a chunk between %d and %d says something else: %s", previous, next, c.text())
			}
		}
		if list.Kind == eventcache.KindThread {
			if _, known, err := threads.First(t, "id", eventKey(list.Room, list.Event)); err != nil || !known {
				return fmt.Errorf("%v has chunks, and is not known (%v)", list, err)
			}
		}
	}
	have := map[string]int{}
	for p, err := range places.Get(t, "id") {
		if err != nil {
			return err
		}
		have[fmt.Sprintf("%v chunk %d: %s", p.list, p.chunk, p.event)] = p.times
	}
	var wrong []string
	for at, times := range want {
		if have[at] != times {
			wrong = append(wrong, fmt.Sprintf("%s, %d times: the index says %d", at, times, have[at]))
		}
		delete(have, at)
	}
	for at := range have {
		wrong = append(wrong, at+": the index has it, and the chunk has not")
	}
	if slices.Sort(wrong); len(wrong) > 0 {
		return fmt.Errorf("the index of places is wrong: %v", wrong)
	}
	return nil
}

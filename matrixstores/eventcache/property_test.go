package eventcache_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/conformance/eventcachetest"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

func TestAnyOperationsGiveTheSameListFromTheStore(t *testing.T) {
	store, list := newReference(), eventcache.Thread("!room", "$root")
	for range tier.Count(3, 100, 2000) {
		rapid.Check(t, func(rt *rapid.T) { eventcachetest.LinkedChunkProperty(rt, store, list) })
	}
}

// faulty is the reference with one fault.
type faulty struct {
	*reference
	updates  func([]eventcache.Update) []eventcache.Update // what it makes of them
	loaded   func([]eventcache.Chunk)
	last     func(*eventcache.Chunk, eventcache.ChunkID) (*eventcache.Chunk, eventcache.ChunkID)
	previous func(*eventcache.Chunk) *eventcache.Chunk
	found    func([]eventcache.Place) []eventcache.Place
	partly   bool // it keeps what it has done before an error
}

func (f *faulty) Apply(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	if f.updates != nil {
		updates = f.updates(updates)
	}
	if !f.partly {
		return f.reference.Apply(ctx, list, updates)
	}
	for i, u := range updates {
		if err := f.reference.Apply(ctx, list, []eventcache.Update{u}); err != nil {
			err.(*eventcache.UpdateError).Number = i
			return err
		}
	}
	return nil
}

func (f *faulty) LoadAllChunks(ctx context.Context, list eventcache.LinkedChunkID) ([]eventcache.Chunk, error) {
	all, err := f.reference.LoadAllChunks(ctx, list)
	if f.loaded != nil {
		f.loaded(all)
	}
	return all, err
}

func (f *faulty) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
	last, highest, err := f.reference.LoadLastChunk(ctx, list)
	if f.last != nil {
		last, highest = f.last(last, highest)
	}
	return last, highest, err
}

func (f *faulty) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
	previous, err := f.reference.LoadPreviousChunk(ctx, list, before)
	if f.previous != nil {
		previous = f.previous(previous)
	}
	return previous, err
}

func (f *faulty) FindDuplicates(ctx context.Context, list eventcache.LinkedChunkID, ids []id.EventID) ([]eventcache.Place, error) {
	found, err := f.reference.FindDuplicates(ctx, list, ids)
	if f.found != nil {
		found = f.found(found)
	}
	return found, err
}

// each returns a fault of one kind of update; without a replacement it is lost.
func each[U eventcache.Update](replace func(U) eventcache.Update) func([]eventcache.Update) []eventcache.Update {
	return func(updates []eventcache.Update) (made []eventcache.Update) {
		for _, u := range updates {
			if its, is := u.(U); is {
				if u = replace(its); u == nil {
					continue
				}
			}
			made = append(made, u)
		}
		return made
	}
}

// TestThePropertyFindsFaultyStores: a property that finds no fault proves nothing.
func TestThePropertyFindsFaultyStores(t *testing.T) {
	for name, value := range map[string]string{"rapid.shrinktime": "0s", "rapid.nofailfile": "true"} {
		f := flag.Lookup(name)
		before := f.Value.String()
		if err := f.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := f.Value.Set(before); err != nil {
				t.Error(err)
			}
		})
	}
	for name, fault := range map[string]faulty{
		"a token is lost": {updates: each(func(u eventcache.NewGapChunk) eventcache.Update { u.Gap.Token = ""; return u })},
		"a gap is events": {updates: each(func(u eventcache.NewGapChunk) eventcache.Update {
			return eventcache.NewItemsChunk{Previous: u.Previous, New: u.New, Next: u.Next}
		})},
		"an event is lost":          {updates: each(func(u eventcache.PushItems) eventcache.Update { u.Items = u.Items[1:]; return u })},
		"a removed chunk stays":     {updates: each(func(eventcache.RemoveChunk) eventcache.Update { return nil })},
		"a removed event stays":     {updates: each(func(eventcache.RemoveItem) eventcache.Update { return nil })},
		"an event is not replaced":  {updates: each(func(eventcache.ReplaceItem) eventcache.Update { return nil })},
		"detached events stay":      {updates: each(func(eventcache.DetachLastItems) eventcache.Update { return nil })},
		"what was cleared stays":    {updates: each(func(eventcache.Clear) eventcache.Update { return nil })},
		"another event is replaced": {updates: each(func(u eventcache.ReplaceItem) eventcache.Update { u.At.Index = 0; return u })},
		"a new event is kept as it was": {updates: each(func(u eventcache.PushItems) eventcache.Update {
			u.Items = slices.Clone(u.Items)
			for i := range u.Items {
				u.Items[i].Meta = nil
			}
			return u
		})},
		"half of the updates happen": {partly: true},
		"wrong updates are ignored": {updates: func(updates []eventcache.Update) []eventcache.Update {
			return slices.DeleteFunc(slices.Clone(updates), func(u eventcache.Update) bool { return u == nil })
		}},
		"chunks are sorted by number": {loaded: func(all []eventcache.Chunk) {
			slices.SortFunc(all, func(a, b eventcache.Chunk) int { return int(a.ID) - int(b.ID) })
		}},
		"the last chunk is no gap": {last: func(last *eventcache.Chunk, highest eventcache.ChunkID) (*eventcache.Chunk, eventcache.ChunkID) {
			if last != nil {
				last.Gap = nil
			}
			return last, highest
		}},
		"the highest number is that of the last": {last: func(last *eventcache.Chunk, highest eventcache.ChunkID) (*eventcache.Chunk, eventcache.ChunkID) {
			if last != nil {
				highest = last.ID
			}
			return last, highest
		}},
		"there is nothing before":  {previous: func(*eventcache.Chunk) *eventcache.Chunk { return nil }},
		"what is before has holes": {previous: func(c *eventcache.Chunk) *eventcache.Chunk { return withoutItems(c) }},
		"duplicates are not found": {found: func([]eventcache.Place) []eventcache.Place { return nil }},
		"duplicates are found once": {found: func(all []eventcache.Place) []eventcache.Place {
			return slices.CompactFunc(all, func(a, b eventcache.Place) bool { return a.Event == b.Event })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			quiet := &quietTB{TB: t}
			rapid.Check(quiet, func(rt *rapid.T) {
				fault.reference = newReference()
				eventcachetest.LinkedChunkProperty(rt, &fault, eventcache.Room("!room"))
			})
			if !quiet.failed {
				t.Errorf("a store in which %s passes the property", name)
			}
		})
	}
}

func withoutItems(c *eventcache.Chunk) *eventcache.Chunk {
	if c != nil {
		c.Items = nil
	}
	return c
}

// quietTB keeps a failure that is wanted from failing the test.
type quietTB struct {
	rapid.TB
	failed bool
}

func (q *quietTB) Errorf(string, ...any)     { q.failed = true }
func (q *quietTB) Error(...any)              { q.failed = true }
func (q *quietTB) Fatalf(f string, a ...any) { q.failed = true; panic(fmt.Sprintf(f, a...)) }
func (q *quietTB) Fatal(a ...any)            { q.failed = true; panic(fmt.Sprint(a...)) }
func (q *quietTB) Fail()                     { q.failed = true }
func (q *quietTB) FailNow()                  { q.failed = true }
func (q *quietTB) Failed() bool              { return q.failed }
func (q *quietTB) Logf(string, ...any)       {}
func (q *quietTB) Log(...any)                {}

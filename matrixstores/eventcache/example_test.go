package eventcache_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// parsed makes events of what a server has sent.
func parsed(raw ...string) []eventcache.Event {
	events := make([]eventcache.Event, len(raw))
	for i, r := range raw {
		e, err := eventcache.Parse(json.RawMessage(r))
		if err != nil {
			panic(err)
		}
		events[i] = e
	}
	return events
}

// A sync has left something out: there is a gap, which is filled later. Everything
// that happens to the list yields updates for the store.
func ExampleLinkedChunk() {
	list := eventcache.NewLinkedChunk(0)
	if err := list.PushItemsBack(parsed(`{"event_id":"$1","type":"m.room.message"}`)...); err != nil {
		fmt.Println(err)
	}
	gap, err := list.PushGapBack(eventcache.Gap{Token: "t47"})
	if err != nil {
		fmt.Println(err)
	}
	if err := list.PushItemsBack(parsed(`{"event_id":"$4","type":"m.room.message"}`)...); err != nil {
		fmt.Println(err)
	}
	if _, err := list.ReplaceGapAt(gap, parsed(`{"event_id":"$2"}`, `{"event_id":"$3"}`)...); err != nil {
		fmt.Println(err)
	}

	for at, event := range list.Items() {
		fmt.Println(at, event.ID)
	}
	for _, update := range list.Updates() { // store.Apply(ctx, eventcache.Room(room), list.Updates())
		fmt.Println(update.Name())
	}
	// Output:
	// 1:0 $1
	// 4:0 $2
	// 4:1 $3
	// 3:0 $4
	// new items chunk
	// push items
	// new gap chunk
	// new items chunk
	// push items
	// new items chunk
	// push items
	// remove chunk
}

// The end of a room's timeline is loaded at once, what is before it when
// somebody looks further back.
func ExampleLoader() {
	ctx, room := context.Background(), eventcache.Room("!room:example.org")
	var store eventcache.Chunks = newReference() // any store

	before := eventcache.NewLinkedChunk(2)
	if err := before.PushItemsBack(parsed(`{"event_id":"$1"}`, `{"event_id":"$2"}`, `{"event_id":"$3"}`)...); err != nil {
		fmt.Println(err)
	}
	if err := store.Apply(ctx, room, before.Updates()); err != nil {
		fmt.Println(err)
	}

	loader := eventcache.Loader{Store: store, List: room, Capacity: 2}
	list, err := loader.Load(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(list.Len(), "loaded, before that is chunk", list.LazyPrevious())
	for list.LazyPrevious() != 0 {
		if _, err := loader.LoadPrevious(ctx, list); err != nil {
			fmt.Println(err) // such as lifecycle.ErrPaused: try again after Resume
			return
		}
	}
	for _, event := range list.ItemsBackward() {
		fmt.Println(event.ID)
	}
	// Output:
	// 1 loaded, before that is chunk 1
	// $3
	// $2
	// $1
}

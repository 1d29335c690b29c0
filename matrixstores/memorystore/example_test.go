package memorystore_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// What a client changes in a linked chunk, it applies to the store, and loads again from its end.
func ExampleOpenEventCache() {
	ctx := context.Background()
	cache, err := memorystore.OpenEventCache(ctx, memorystore.EventCacheConfig{})
	if err != nil {
		panic(err)
	}
	defer cache.Close(ctx)

	list := eventcache.Room("!tea:example.org")
	timeline := eventcache.NewLinkedChunk(0)
	for _, raw := range []string{
		`{"event_id":"$1","type":"m.room.message","content":{"body":"Tea?"}}`,
		`{"event_id":"$2","type":"m.reaction","content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"$1","key":"+1"}}}`,
	} {
		e, err := eventcache.Parse([]byte(raw))
		if err == nil {
			err = timeline.PushItemsBack(e)
		}
		if err != nil {
			panic(err)
		}
	}
	fmt.Println("apply:", cache.Apply(ctx, list, timeline.Updates()))

	again, err := eventcache.Loader{Store: cache, List: list}.Load(ctx)
	fmt.Println("loaded:", again.Len(), err)
	related, err := cache.FindRelations(ctx, list.Room, "$1", nil)
	fmt.Println("related:", related[0].Event.ID, "at", related[0].At, err)
	// Output:
	// apply: <nil>
	// loaded: 2 <nil>
	// related: $2 at 1:1 <nil>
}

// A strict store finds in a program's tests where it is used while it is paused.
func ExampleConfig_strict() {
	ctx := context.Background()
	cache, err := memorystore.OpenEventCache(ctx, memorystore.EventCacheConfig{Config: memorystore.Config{Strict: true}})
	if err != nil {
		panic(err)
	}
	defer cache.Close(ctx)

	fmt.Println("pause:", cache.Pause(ctx))
	_, _, err = cache.FindEvent(ctx, "!tea:example.org", "$1")
	fmt.Println("paused:", errors.Is(err, lifecycle.ErrPaused))
	fmt.Println("resume:", cache.Resume(ctx))
	// Output:
	// pause: <nil>
	// paused: true
	// resume: <nil>
}

// A content is written and read in pieces, or at once.
func ExampleOpenMedia() {
	ctx := context.Background()
	cache, err := memorystore.OpenMedia(ctx, memorystore.MediaConfig{})
	if err != nil {
		panic(err)
	}
	defer cache.Close(ctx)

	r := media.File("mxc://example.org/kettle")
	w, err := cache.Create(ctx, r, media.AddOptions{})
	if err != nil {
		panic(err)
	}
	defer w.Close()
	fmt.Fprint(w, "a picture of ")
	fmt.Fprint(w, "a kettle")
	stored, err := w.Commit()
	fmt.Println("stored:", stored, err)

	in, err := cache.Open(ctx, r)
	if err != nil {
		panic(err)
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	fmt.Printf("%s, %d bytes, %v\n", data, in.Size(), err)
	fmt.Println("limit:", *cache.Policy().MaxFileSize>>20, "MiB")
	// Output:
	// stored: true <nil>
	// a picture of a kettle, 21 bytes, <nil>
	// limit: 20 MiB
}

package eventcache_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

func TestUpdatesHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for name, u := range map[string]eventcache.Update{
		"new items chunk": eventcache.NewItemsChunk{}, "new gap chunk": eventcache.NewGapChunk{}, "remove chunk": eventcache.RemoveChunk{},
		"push items": eventcache.PushItems{}, "replace item": eventcache.ReplaceItem{}, "remove item": eventcache.RemoveItem{},
		"detach last items": eventcache.DetachLastItems{}, "start reattach items": eventcache.StartReattachItems{}, "end reattach items": eventcache.EndReattachItems{},
		"clear": eventcache.Clear{},
	} {
		if u.Name() != name || seen[u.Name()] {
			t.Errorf("the name of a %T is %q, wanted %q", u, u.Name(), name)
		}
		seen[u.Name()] = true
	}
}

func TestUpdateErrorSaysWhereAndWhy(t *testing.T) {
	var err error = &eventcache.UpdateError{Number: 3, Update: "push items", Chunk: 7, Index: 2, Err: eventcache.ErrPosition}
	if got := err.Error(); got != "eventcache: update 3 (push items, chunk 7, item 2): "+eventcache.ErrPosition.Error() || !errors.Is(err, eventcache.ErrPosition) {
		t.Errorf("the error says %q, and matches ErrPosition: %v", got, errors.Is(err, eventcache.ErrPosition))
	}
	err = &eventcache.UpdateError{Update: "remove chunk", Chunk: 7, Index: -1, Err: eventcache.ErrUnknownChunk}
	if strings.Contains(err.Error(), "item") {
		t.Errorf("without an index the error says no item: %q", err)
	}
}

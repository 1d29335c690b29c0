package eventcachetest

import (
	"pgregory.net/rapid"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// LinkedChunkProperty checks with a random sequence of operations that a store and
// eventcache.LinkedChunk agree: what a client does to its list in memory, applied to the store
// through updates and loaded again, eagerly and lazily, is the same list. It
// is called within rapid.Check, once for each sequence:
//
//	rapid.Check(t, func(rt *rapid.T) { eventcachetest.LinkedChunkProperty(rt, store, list) })
//
// The store may be the same every time: the property clears the list when it
// begins. Nobody else may use the list, nor save events of its room, meanwhile.
func LinkedChunkProperty(t *rapid.T, store eventcache.Chunks, list eventcache.LinkedChunkID) {
	t.Helper()
	ctx := t.Context()
	if err := store.Apply(ctx, list, []eventcache.Update{eventcache.Clear{}}); err != nil {
		t.Fatalf("Apply(Clear): %v", err)
	}
	if chunks, err := store.LoadAllChunks(ctx, list); err != nil || len(chunks) != 0 {
		t.Fatalf("after Clear LoadAllChunks returned %d chunks and the error %v; wanted none", len(chunks), err)
	}
}

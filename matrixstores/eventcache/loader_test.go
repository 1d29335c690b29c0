package eventcache_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// storedList returns a store that has 1[ab] 2(g) 3[cd] 4[e].
func storedList(t *testing.T) (*reference, eventcache.Loader) {
	t.Helper()
	store, list := newReference(), eventcache.Room("!room")
	l := eventcache.NewLinkedChunk(2)
	err := l.PushItemsBack(named("ab")...)
	_, err2 := l.PushGapBack(eventcache.Gap{Token: "g"})
	if err = errors.Join(err, err2, l.PushItemsBack(named("cde")...), store.Apply(t.Context(), list, l.Updates())); err != nil {
		t.Fatal(err)
	}
	return store, eventcache.Loader{Store: store, List: list, Capacity: 2}
}

// stubborn is a store whose next answers are this error, or this chunk.
type stubborn struct {
	eventcache.Chunks
	err      error
	previous *eventcache.Chunk
}

func (s *stubborn) LoadLastChunk(ctx context.Context, list eventcache.LinkedChunkID) (*eventcache.Chunk, eventcache.ChunkID, error) {
	if s.err != nil {
		return nil, 0, s.err
	}
	return s.Chunks.LoadLastChunk(ctx, list)
}

func (s *stubborn) LoadPreviousChunk(ctx context.Context, list eventcache.LinkedChunkID, before eventcache.ChunkID) (*eventcache.Chunk, error) {
	if s.err != nil || s.previous != nil {
		return s.previous, s.err
	}
	return s.Chunks.LoadPreviousChunk(ctx, list, before)
}

func TestLoaderLoadsFromTheEnd(t *testing.T) {
	_, loader := storedList(t)
	l, err := loader.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := letters(slices.Collect(l.Chunks())); got != "4[e]" || l.LazyPrevious() != 3 {
		t.Fatalf("Load is to load the last chunk, 4[e], which is after chunk 3; it has loaded %s, after chunk %d", got, l.LazyPrevious())
	}
	for _, step := range []struct {
		want string
		lazy eventcache.ChunkID
	}{
		{"3[cd] 4[e]", 2}, {"2(g) 3[cd] 4[e]", 1}, {"1[ab] 2(g) 3[cd] 4[e]", 0}, {"1[ab] 2(g) 3[cd] 4[e]", 0},
	} {
		more, err := loader.LoadPrevious(t.Context(), l)
		if err != nil || more != (step.lazy != 0) {
			t.Errorf("LoadPrevious returned %v, %v; there is more: %v", more, err, step.lazy != 0)
		}
		if got := letters(slices.Collect(l.Chunks())); got != step.want || l.LazyPrevious() != step.lazy {
			t.Errorf("loaded is to be %s, after chunk %d; it is %s, after chunk %d", step.want, step.lazy, got, l.LazyPrevious())
		}
	}
	if updates := l.Updates(); updates != nil {
		t.Errorf("loading is no change; it has yielded %v", told(updates))
	}
}

func TestLoaderOfNothingLoadsNothing(t *testing.T) {
	loader := eventcache.Loader{Store: newReference(), List: eventcache.Room("!room")}
	l, err := loader.Load(t.Context())
	if err != nil || l.NumChunks() != 0 || l.LazyPrevious() != 0 {
		t.Fatalf("nothing is stored; Load returned %+v and the error %v", l, err)
	}
	if more, err := loader.LoadPrevious(t.Context(), l); more || err != nil {
		t.Errorf("nothing is before nothing; LoadPrevious returned %v, %v", more, err)
	}
	if err := loader.LoadAll(t.Context(), l); err != nil {
		t.Errorf("LoadAll of nothing: %v", err)
	}
	if err := l.PushItemsBack(named("a")...); err != nil {
		t.Fatal(err)
	}
	if err := loader.Store.Apply(t.Context(), loader.List, l.Updates()); err != nil {
		t.Errorf("what was loaded from nothing is to be the beginning of a list: %v", err)
	}
}

// TestLoaderGoesOnAfterAPause: what a store refuses while it is paused is returned, leaves what is loaded as it is,
// and can be asked for again.
func TestLoaderGoesOnAfterAPause(t *testing.T) {
	for _, refusal := range []error{lifecycle.ErrPaused, lifecycle.ErrInterrupted, context.Canceled, eventcache.ErrBroken} {
		store, loader := storedList(t)
		paused := &stubborn{Chunks: store, err: refusal}
		loader.Store = paused
		if l, err := loader.Load(t.Context()); !errors.Is(err, refusal) || l != nil {
			t.Errorf("Load must return the store's error %q, it returned %v", refusal, err)
		}
		paused.err = nil
		l, err := loader.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		paused.err = refusal
		if more, err := loader.LoadPrevious(t.Context(), l); !errors.Is(err, refusal) || !more {
			t.Errorf("LoadPrevious must return the store's error %q, and that there is more; it returned %v, %v", refusal, more, err)
		}
		if err := loader.LoadAll(t.Context(), l); !errors.Is(err, refusal) {
			t.Errorf("LoadAll must return the store's error %q, it returned %v", refusal, err)
		}
		if got := letters(slices.Collect(l.Chunks())); got != "4[e]" {
			t.Errorf("the store has refused, and what is loaded has become %s", got)
		}
		paused.err = nil
		if err := loader.LoadAll(t.Context(), l); err != nil {
			t.Errorf("the store is back, and LoadAll fails: %v", err)
		}
		if got := letters(slices.Collect(l.Chunks())); got != "1[ab] 2(g) 3[cd] 4[e]" {
			t.Errorf("after the pause everything was to be loaded; it is %s", got)
		}
	}
}

// TestLoaderNoticesWhatOthersHaveChanged: another client has written into the store since the end was loaded.
func TestLoaderNoticesWhatOthersHaveChanged(t *testing.T) {
	for name, updates := range map[string][]eventcache.Update{
		"all was removed":             {eventcache.Clear{}},
		"the first was removed":       {eventcache.RemoveChunk{Chunk: 4}},
		"what was before was removed": {eventcache.RemoveChunk{Chunk: 3}},
		"something was put between":   {eventcache.NewGapChunk{Previous: 3, New: 9, Next: 4}},
		"nothing is before any more":  {eventcache.RemoveChunk{Chunk: 3}, eventcache.RemoveChunk{Chunk: 2}, eventcache.RemoveChunk{Chunk: 1}},
	} {
		store, loader := storedList(t)
		l, err := loader.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Apply(t.Context(), loader.List, updates); err != nil {
			t.Fatal(err)
		}
		if _, err := loader.LoadPrevious(t.Context(), l); !errors.Is(err, eventcache.ErrNotPrevious) {
			t.Errorf("%s: LoadPrevious must fail with ErrNotPrevious, its error is %v", name, err)
		}
		if err := loader.LoadAll(t.Context(), l); !errors.Is(err, eventcache.ErrNotPrevious) {
			t.Errorf("%s: LoadAll must fail with ErrNotPrevious, its error is %v", name, err)
		}
		if got := letters(slices.Collect(l.Chunks())); got != "4[e]" {
			t.Errorf("%s: what was loaded has become %s", name, got)
		}
	}
}

// TestLoaderWantsTheUpdatesOfTheFirstChunk: what the store was not told yet cannot be before
// anything there; once it was told the same call succeeds.
func TestLoaderWantsTheUpdatesOfTheFirstChunk(t *testing.T) {
	store, loader := storedList(t)
	l, err := loader.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.InsertGapAt(eventcache.Position{Chunk: 4}, eventcache.Gap{Token: "new"}); err != nil {
		t.Fatal(err)
	}
	if _, err := loader.LoadPrevious(t.Context(), l); !errors.Is(err, eventcache.ErrNotPrevious) {
		t.Errorf("the store does not know chunk 5 yet; LoadPrevious must fail with ErrNotPrevious, its error is %v", err)
	}
	if err := store.Apply(t.Context(), loader.List, l.Updates()); err != nil {
		t.Fatal(err)
	}
	if err := loader.LoadAll(t.Context(), l); err != nil {
		t.Errorf("the store knows chunk 5 now, and LoadAll fails: %v", err)
	}
	if got := letters(slices.Collect(l.Chunks())); got != "1[ab] 2(g) 3[cd] 5(new) 4[e]" {
		t.Errorf("loaded is %s", got)
	}
}

func TestLoaderDoesNotFollowACycle(t *testing.T) {
	store, loader := storedList(t)
	l, err := loader.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loader.Store = &stubborn{Chunks: store, previous: &eventcache.Chunk{ID: 3, Previous: 4, Next: 4}}
	if err := loader.LoadAll(t.Context(), l); !errors.Is(err, eventcache.ErrBroken) {
		t.Errorf("chunk 3 is before chunk 4 and chunk 4 before chunk 3; the error must match ErrBroken, it is %v", err)
	}
}

package memorystore

// Times of access are kept beside the rows, so that reading does not write. That they are
// those of the rows that there are, nobody sees from outside: too many would only cost memory.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

func openTestMedia(t *testing.T) *Media {
	t.Helper()
	m, err := OpenMedia(t.Context(), MediaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

// wantAccesses checks that there is a time for every content, and for nothing else.
func wantAccesses(t *testing.T, when string, m *Media) {
	t.Helper()
	var there []uint64
	err := m.db.Read(t.Context(), func(txn *memory.Txn) error {
		for row, err := range contents.Get(txn, "number") {
			if err != nil {
				return err
			}
			there = append(there, row.number)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.accesses.mu.Lock()
	defer m.accesses.mu.Unlock()
	if got := slices.Sorted(maps.Keys(m.accesses.at)); !slices.Equal(got, there) {
		t.Errorf("%s: there are the contents %v, and times of access of %v", when, there, got)
	}
}

func testFile(n int) media.Request {
	return media.File(id.ContentURIString(fmt.Sprint("mxc://example.org/", n)))
}

// TestTimesOfAccessGoWithTheirContents: whatever replaces, renames, removes or refuses contents.
func TestTimesOfAccessGoWithTheirContents(t *testing.T) {
	m, ctx := openTestMedia(t), t.Context()
	add := func(n, size int) {
		if _, err := m.Add(ctx, testFile(n), make([]byte, size), media.AddOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"Add", func() error { add(1, 10); add(2, 10); add(3, 10); add(4, 10); return nil }},
		{"Add over another", func() error { add(1, 10); return nil }},
		{"Add of what is too large, over another", func() error { add(1, media.DefaultMaxFileSize+1); return nil }},
		{"Rename to a new name", func() error { _, err := m.Rename(ctx, testFile(2), testFile(5), media.RenameOptions{}); return err }},
		{"Rename over another", func() error { _, err := m.Rename(ctx, testFile(5), testFile(3), media.RenameOptions{}); return err }},
		{"Rename to its own name", func() error { _, err := m.Rename(ctx, testFile(3), testFile(3), media.RenameOptions{}); return err }},
		{"Remove", func() error { return m.Remove(ctx, testFile(4)) }},
		{"a transaction that fails", func() error {
			err := m.write(ctx, "fail", nil, func(c *change) error {
				if _, err := m.put(c, testFile(3), 1, func() [][]byte { return nil }, media.AddOptions{}); err != nil {
					return err
				}
				return context.Canceled
			})
			if !errors.Is(err, context.Canceled) {
				return fmt.Errorf("it returned %w", err)
			}
			return nil
		}},
		{"Clean", func() error {
			add(6, 10)
			if err := m.SetPolicy(ctx, media.NoLimits().WithMaxCacheSize(10)); err != nil {
				return err
			}
			_, err := m.Clean(ctx)
			return err
		}},
		{"RemoveForURI", func() error { return m.RemoveForURI(ctx, testFile(6).URI) }},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		wantAccesses(t, "after "+step.what, m)
	}
}

// TestALateReaderLeavesNoTimeBehind: a Get that has found a content, and notes that it was read when that is gone already.
func TestALateReaderLeavesNoTimeBehind(t *testing.T) {
	m, ctx := openTestMedia(t), t.Context()
	if _, err := m.Add(ctx, testFile(1), []byte("data"), media.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	err := m.db.Read(ctx, func(txn *memory.Txn) error {
		row, _, err := contents.First(txn, "id", mediaKey(testFile(1)))
		if err != nil {
			return err
		}
		removed := make(chan error)
		go func() { removed <- m.Remove(ctx, testFile(1)) }()
		if err := <-removed; err != nil {
			return err
		}
		if got := m.whole(row); string(got) != "data" {
			t.Errorf("a reader of an earlier moment got %q", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantAccesses(t, "after a late reader", m)
}

// TestTimesOfAccessOfManyAtOnce: the same of everything at a time, with contexts that end in between.
func TestTimesOfAccessOfManyAtOnce(t *testing.T) {
	m := openTestMedia(t)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(worker)))
			for range tier.Count(200, 2000, 20_000) {
				ctx, cancel := context.WithCancel(t.Context())
				a, b := testFile(random.IntN(4)), testFile(random.IntN(4))
				if random.IntN(4) == 0 {
					go cancel()
				}
				var err error
				switch random.IntN(6) {
				case 0, 1:
					_, err = m.Add(ctx, a, []byte("data"), media.AddOptions{})
				case 2, 3:
					_, _, err = m.Get(ctx, a)
				case 4:
					err = m.Remove(ctx, a)
				case 5:
					_, err = m.Rename(ctx, a, b, media.RenameOptions{})
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	wantAccesses(t, "after many at once", m)
}

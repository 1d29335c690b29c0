package statetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// Harness is what the suite needs to know of a store.
type Harness struct {
	// Open opens the store that lives in dir, and makes it where there is none.
	Open func(ctx context.Context, dir string, o Options) (state.Store, error)
}

// Options is how the suite wants the store to be.
type Options struct {
	// Clock tells the time. It is never nil.
	Clock func() time.Time
}

// Run checks a store: a subtest for every seed, each with a store and a directory of its own.
func Run(t *testing.T, newHarness func() *Harness) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	for range tier.Count(1, 20, 200) {
		seed++
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			s, err := newHarness().Open(t.Context(), t.TempDir(), Options{Clock: func() time.Time { return time.UnixMilli(1234) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(context.Background()); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			compare(t, s, seed, tier.Count(100, 300, 1000))
		})
	}
}

// compare does the same to a store and to the model, and asks both everything. In between the store is paused and resumed.
func compare(t *testing.T, s state.Store, seed uint64, operations int) {
	t.Helper()
	c := chance{rand.New(rand.NewPCG(seed, 1))}
	model := newStateModel()
	var done []string
	for i := range operations {
		what, do := c.operation()
		want, got := do(model), do(s)
		done = append(done, what+": "+got)
		if got != want {
			t.Fatalf("operation %d, %s: %s, want %s\n%s", i, what, got, want, strings.Join(done, "\n"))
		}
		if i%25 != 24 && i != operations-1 {
			continue
		}
		if other := others(ask(model, 0), ask(s, c.IntN(3))); other != "" {
			t.Fatalf("after %d operations the answers are others:\n%s\nWhat was done:\n%s", i+1, other, strings.Join(done, "\n"))
		}
		if i%50 == 49 {
			if err := s.Pause(t.Context()); err != nil {
				t.Fatalf("Pause: %v", err)
			}
			if err := s.Resume(t.Context()); err != nil {
				t.Fatalf("Resume: %v", err)
			}
		}
	}
}

// others lists the questions that are answered otherwise than by the model.
func others(want, got answers) string {
	var b strings.Builder
	for _, question := range slices.Sorted(maps.Keys(want)) {
		if got[question] != want[question] {
			fmt.Fprintf(&b, "%s\n\twant %s\n\tgot  %s\n", question, want[question], got[question])
		}
	}
	return b.String()
}

package goroutine_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/quiesce-go/quiesce/internal/goroutine"
)

func TestGoroutinesAreToldApart(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		if goroutine.ID() != 0 {
			t.Error("an ID where none is known")
		}
		return
	}
	const n = 1000
	seen := make(map[uintptr]bool)
	var mu sync.Mutex
	var wg, all sync.WaitGroup
	all.Add(n)
	for range n {
		wg.Go(func() {
			first := goroutine.ID()
			all.Done()
			all.Wait() // all live at the same time
			grow(100)  // its stack moves
			mu.Lock()
			defer mu.Unlock()
			if again := goroutine.ID(); again != first || first == 0 || seen[first] {
				t.Errorf("%#x, then %#x, seen before: %v", first, again, seen[first])
			}
			seen[first] = true
		})
	}
	wg.Wait()
}

//go:noinline
func grow(n int) byte {
	var big [1024]byte
	if n == 0 {
		return big[0]
	}
	return grow(n-1) + big[n]
}

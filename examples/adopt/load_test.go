package adopt

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// work is one thing that an application does. Each runs on a goroutine of its
// own, again and again; n counts from 0. What returned nil is acknowledged.
type work func(n int) error

// underPauses does the work while the store is paused and resumed, and returns
// how often each was done. Under the waiting policy no work may notice; every
// Pause has to prove that nothing is held, which Verify does.
func underPauses(t *testing.T, store lifecycle.Pausable, works ...work) []int {
	t.Helper()
	cycles := tier.Count(40, 200, 200)
	var (
		wg     sync.WaitGroup
		done   atomic.Int64
		failed atomic.Int64
		moved  = make(chan struct{}, 1)
		stop   = make(chan struct{})
		counts = make([]int, len(works))
	)
	tell := func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	}
	for i, w := range works {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := w(counts[i]); err != nil {
					t.Errorf("goroutine %d, operation %d: %v", i, counts[i], err)
					failed.Add(1)
					tell()
					return
				}
				counts[i]++
				done.Add(1)
				tell()
			}
		})
	}
	began := time.Now()
	var pausing, longest time.Duration
	paused := 0
	for range cycles {
		// Every life of the database does some work before it ends.
		for want := done.Load() + int64(len(works)); done.Load() < want && failed.Load() == 0; {
			select {
			case <-moved:
			case <-time.After(patience):
				t.Errorf("nothing was done for %v", patience)
				failed.Add(1)
			}
		}
		if failed.Load() > 0 {
			break
		}
		start := time.Now()
		if err := store.Pause(ctx); err != nil {
			t.Errorf("Pause %d: %v", paused+1, err)
			failed.Add(1)
		}
		took := time.Since(start)
		pausing, longest = pausing+took, max(longest, took)
		paused++
		if err := store.Resume(ctx); err != nil {
			t.Fatalf("Resume %d: %v", paused, err) // the work waits for it: there is no going on
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d cycles, %d operations of %d goroutines, %d errors, nothing held in any pause; %.1f s, a pause %.1f ms on average, %.1f ms at most",
		paused, done.Load(), len(works), failed.Load(), time.Since(began).Seconds(),
		float64(pausing.Microseconds())/1000/float64(max(paused, 1)), float64(longest.Microseconds())/1000)
	if failed.Load() > 0 {
		t.FailNow()
	}
	return counts
}

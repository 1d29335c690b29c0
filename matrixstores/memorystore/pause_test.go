package memorystore_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// A pause stops the clean-up of a strict store, which comes after the Resume. In
// the other mode it leaves that alone.
func TestAPauseAndTheCleanUpByItself(t *testing.T) {
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx := context.Background()
			s, err := memorystore.OpenEventCache(ctx, memorystore.EventCacheConfig{
				Config:  memorystore.Config{Strict: strict},
				CleanUp: &eventcache.CleanUpPolicy{OlderThan: time.Minute, Every: 8 * time.Hour},
			})
			must(t, err)
			must(t, s.SaveEvents(ctx, room, message(1, 10)))
			there := func() bool {
				_, found, err := s.FindEvent(ctx, room, message(1, 10).ID)
				must(t, err)
				return found
			}
			time.Sleep(time.Hour - time.Second)
			if !there() {
				t.Errorf("strict %v: an event is gone before the first clean-up", strict)
			}
			must(t, s.Pause(ctx))
			time.Sleep(time.Hour)
			synctest.Wait()
			if strict {
				if _, _, err := s.FindEvent(ctx, room, "$"); !errors.Is(err, lifecycle.ErrPaused) {
					t.Errorf("FindEvent of a strict store that is paused returned %v", err)
				}
			} else if there() {
				t.Error("a pause that changes nothing has kept the clean-up from its time")
			}
			must(t, s.Resume(ctx))
			synctest.Wait()
			time.Sleep(time.Second)
			synctest.Wait()
			if there() {
				t.Errorf("strict %v: after the Resume, and long after its time, nothing was cleaned up", strict)
			}
			must(t, s.Close(ctx))
		})
	}
}

// A pause that is asked for while the store cleans up by itself ends that at once, and
// is no failure; Close ends it in both modes.
func TestACleaningThatIsCutOffIsNotToldOf(t *testing.T) {
	onModes(t, func(t *testing.T, strict bool) {
		for what, halt := range map[string]func(*memorystore.Media, context.Context) error{
			"pause": (*memorystore.Media).Pause, "close": (*memorystore.Media).Close,
		} {
			if what == "pause" && !strict {
				continue // it cuts nothing off
			}
			t.Run(what, func(t *testing.T) {
				var mu sync.Mutex
				var told []error
				m := openMedia(t, memorystore.MediaConfig{
					Config: memorystore.Config{Strict: strict},
					Cleaned: func(_ media.Cleaned, err error) {
						mu.Lock()
						defer mu.Unlock()
						told = append(told, err)
					},
				})
				must(t, m.SetPolicy(t.Context(), media.NoLimits().WithMaxCacheSize(0).WithCleanupFrequency(0)))
				cleans := func() bool { // whether the store cleans at this moment
					return slices.ContainsFunc(m.Holders(), func(h lifecycle.Holder) bool { return h.Role == lifecycle.Foreign })
				}
				eventually(t, "the cleaning after SetPolicy ends", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(told) == 1 && !cleans()
				})
				held, leave, writer := make(chan struct{}), make(chan struct{}), make(chan error, 1)
				go func() {
					writer <- m.Update(context.Background(), func(*memory.Txn) error {
						close(held)
						<-leave
						return nil
					})
				}()
				<-held
				_, _, err := m.Get(t.Context(), media.File("mxc://example.org/a")) // an opportunity
				must(t, err)
				eventually(t, "a cleaning waits for the writer", cleans)
				ended := make(chan error, 1)
				go func() { ended <- halt(m, t.Context()) }()
				eventually(t, "the cleaning ends, although the writer is held", func() bool { return !cleans() })
				close(leave)
				must(t, <-writer)
				must(t, <-ended)
				mu.Lock()
				if len(told) != 1 {
					t.Errorf("the store has told of %d cleanings, %v, and a %s has cut off the second one; want 1", len(told), told, what)
				}
				mu.Unlock()
				if what == "pause" {
					must(t, m.Resume(t.Context()))
					eventually(t, "what a pause has cut off is done after the Resume", func() bool {
						mu.Lock()
						defer mu.Unlock()
						return len(told) == 2
					})
				}
				mu.Lock()
				defer mu.Unlock()
				for _, err := range told {
					if err != nil {
						t.Errorf("around a %s a cleaning was told of as a failure: %v", what, err)
					}
				}
			})
		}
	})
}

// What was begun before a pause goes on after it: a stream holds nothing of the store between two calls.
func TestStreamsGoOnAfterAPause(t *testing.T) {
	m := openMedia(t, memorystore.MediaConfig{Config: memorystore.Config{Strict: true}})
	r := media.File("mxc://example.org/a")
	w, err := m.Create(t.Context(), r, media.AddOptions{})
	must(t, err)
	write := func(text string) error {
		_, err := w.Write([]byte(text))
		return err
	}
	must(t, write("one "))
	must(t, m.Pause(t.Context()))
	if err := write("lost"); !errors.Is(err, lifecycle.ErrPaused) {
		t.Errorf("Write while paused returned %v", err)
	}
	if _, err := w.Commit(); !errors.Is(err, lifecycle.ErrPaused) {
		t.Errorf("Commit while paused returned %v", err)
	}
	must(t, m.Resume(t.Context()))
	must(t, write("two"))
	stored, err := w.Commit()
	if err != nil || !stored {
		t.Fatalf("Commit returned %v, %v", stored, err)
	}
	in, err := m.Open(t.Context(), r)
	must(t, err)
	first := make([]byte, 4)
	_, err = io.ReadFull(in, first)
	must(t, err)
	must(t, m.Pause(t.Context()))
	if n, err := in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, lifecycle.ErrPaused) {
		t.Errorf("Read while paused returned %d, %v", n, err)
	}
	must(t, m.Resume(t.Context()))
	rest, err := io.ReadAll(in)
	if err != nil || string(first)+string(rest) != "one two" {
		t.Errorf("around two pauses %q was read, %v; want %q", string(first)+string(rest), err, "one two")
	}
}

// A store that has nothing to do has no goroutine, paused or not.
func TestAStoreAtRestHasNoGoroutine(t *testing.T) {
	onModes(t, func(t *testing.T, strict bool) {
		before := goleak.IgnoreCurrent()
		none := func(when string) {
			if err := goleak.Find(before); err != nil {
				t.Errorf("%s, two stores that do nothing have a goroutine: %v", when, err)
			}
		}
		cfg := memorystore.Config{Strict: strict, StartPaused: true}
		s := openEventCache(t, memorystore.EventCacheConfig{Config: cfg})
		m := openMedia(t, memorystore.MediaConfig{Config: cfg})
		both := lifecycle.Parallel(s, m)
		none("opened")
		must(t, both.Resume(t.Context()))
		must(t, s.SaveEvents(t.Context(), room, message(1, 10)))
		_, err := m.Add(t.Context(), media.File("mxc://a/b"), []byte("data"), media.AddOptions{})
		must(t, err)
		none("after some work")
		must(t, both.Pause(t.Context()))
		none("paused")
		must(t, both.Resume(t.Context()))
		none("resumed")
		must(t, s.Close(t.Context()))
		must(t, m.Close(t.Context()))
		none("closed")
	})
}

// A Pause that had no time returns an error, and a strict store refuses work from then on. So does Close in both modes.
func TestWorkIsRefusedAfterAPauseThatHadNoTime(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		s := openEventCache(t, memorystore.EventCacheConfig{Config: memorystore.Config{Strict: true}})
		if err := s.Pause(ended); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("a Pause that had no time returned %v", err)
		}
		if err := s.SaveEvents(t.Context(), room, message(1, 1)); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("after a Pause that had no time SaveEvents returned %v", err)
		}
		must(t, s.Pause(t.Context()))
		must(t, s.Resume(t.Context()))
		if err := s.Close(ended); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("a Close that had no time returned %v", err)
		}
		if err := s.SaveEvents(t.Context(), room, message(1, 1)); !errors.Is(err, lifecycle.ErrClosed) {
			t.Errorf("after a Close that had no time SaveEvents returned %v", err)
		}
	}
}

// Whoever waits for a Resume keeps nobody else from his own time.
func TestASetPolicyThatWaitsKeepsNoOther(t *testing.T) {
	m := openMedia(t, memorystore.MediaConfig{Config: memorystore.Config{Strict: true, WhenPaused: lifecycle.Wait, Timeout: watchdog}})
	must(t, m.Pause(t.Context()))
	calls := make(chan error, 2)
	for range 2 {
		go func() { calls <- m.SetPolicy(t.Context(), media.NoLimits().WithMaxCacheSize(1)) }()
	}
	for range 10 { // by the second one at the latest the others wait
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		ended := make(chan error, 1)
		go func() { ended <- m.SetPolicy(short, media.NoLimits()) }()
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("SetPolicy whose context has ended returned %v", err)
			}
		case <-time.After(watchdog / 3):
			t.Error("SetPolicy waits for another one, although its own context has ended")
			must(t, m.Resume(t.Context()))
			<-ended
		}
		cancel()
	}
	must(t, m.Resume(t.Context()))
	must(t, <-calls)
	must(t, <-calls)
	if p := m.Policy(); p.MaxCacheSize == nil || *p.MaxCacheSize != 1 {
		t.Errorf("the policy in force is %+v, and not the one that was set", p)
	}
}

// Of policies that are set at the same time one is in force, for the store as for Policy.
func TestOnePolicyIsInForce(t *testing.T) {
	m := openMedia(t, memorystore.MediaConfig{})
	for round := range 50 {
		var wg sync.WaitGroup
		for size := range int64(8) {
			wg.Go(func() {
				if err := m.SetPolicy(t.Context(), media.NoLimits().WithMaxFileSize(size)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		limit := *m.Policy().MaxFileSize
		for _, size := range []int64{limit, limit + 1} {
			stored, err := m.Add(t.Context(), media.File("mxc://example.org/a"), make([]byte, size), media.AddOptions{})
			if err != nil || stored != (size <= limit) {
				t.Fatalf("round %d: Policy allows %d bytes, and Add of %d returned %v, %v", round, limit, size, stored, err)
			}
		}
	}
}

// A Pause that ran out of time names the store, and what kept it.
func TestAPauseThatIsHeldNamesTheStore(t *testing.T) {
	s := openEventCache(t, memorystore.EventCacheConfig{Config: memorystore.Config{Name: "my events", Strict: true}})
	in, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.View(lifecycle.WithLabel(context.Background(), "load the room list"), func(*memory.Txn) error {
			close(in)
			<-leave
			return nil
		})
	}()
	<-in
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := s.Pause(short)
	held := (*lifecycle.HeldError)(nil)
	if !errors.As(err, &held) {
		t.Fatalf("Pause while somebody reads for too long returned %v", err)
	}
	if held.Store != "my events" || len(held.Holders) != 1 || held.Holders[0].Label != "load the room list" {
		t.Errorf("Pause returned %v; it should name the store and the operation", err)
	}
	close(leave)
	must(t, <-done)
	must(t, s.Pause(t.Context()))
}

// TestAReadOfNothingIsRefused: a Read without room for a byte is an operation all the same, which a paused store refuses.
func TestAReadOfNothingIsRefused(t *testing.T) {
	m := openMedia(t, memorystore.MediaConfig{Config: memorystore.Config{Strict: true}})
	r := media.File("mxc://example.org/a")
	_, err := m.Add(t.Context(), r, []byte("content"), media.AddOptions{})
	must(t, err)
	in, err := m.Open(t.Context(), r)
	must(t, err)
	for _, want := range []error{nil, lifecycle.ErrPaused, nil} {
		if want != nil {
			must(t, m.Pause(t.Context()))
		}
		if n, err := in.Read(nil); n != 0 || !errors.Is(err, want) {
			t.Errorf("a Read of no bytes returned %d, %v; want 0, %v", n, err, want)
		}
		must(t, m.Resume(t.Context()))
	}
}

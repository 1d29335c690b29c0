package lifecycle_test

// What it costs: nothing on the hot path, no connection too many, and next to nothing while paused.

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

func TestReadDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s, err := lifecycle.Open(background, quietDriver{}, lifecycle.Config[int]{MaxReaders: 4})
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(int) error { return nil }
	for name, ctx := range map[string]context.Context{
		"Background":   background,
		"with a label": lifecycle.WithLabel(background, "load room list"),
	} {
		if n := testing.AllocsPerRun(1000, func() { _ = s.Read(ctx, nothing) }); n != 0 {
			t.Errorf("%v allocations by a Read with %s; the hot path has none", n, name)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { _ = s.Write(background, nothing) }); n != 0 {
		t.Errorf("%v allocations by a Write that finds the gate free", n)
	}
	f := s.Foreign()
	if n := testing.AllocsPerRun(1000, func() { _, _, _ = f.Begin(background); _ = f.End(nil) }); n != 0 {
		t.Errorf("%v allocations by a Foreign operation", n)
	}
	wantNil(t, f.Close(), "Close")
	wantNil(t, s.Close(background), "Close")
}

// W-30: one reader needs one connection, however often it reads.
func TestW30SequentialReaderOpensOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 8})
		for range 1000 {
			wantNil(t, s.Read(background, statement), "Read")
			synctest.Wait() // whatever was begun in the background
		}
		if n := d.opened.Load(); n != 1 {
			t.Errorf("%d connections were opened for a sequential reader; want 1", n)
		}
		a, b := inGo(background, s.Read), inGo(background, s.Read)
		if n := d.opened.Load(); n != 2 {
			t.Errorf("%d connections were opened for two readers at a time; want 2: none is made in the background", n)
		}
		wantNil(t, a.release(), "a reader")
		wantNil(t, b.release(), "a reader")
		for range 1000 {
			wantNil(t, s.Read(background, statement), "Read")
		}
		synctest.Wait()
		if n := d.opened.Load(); n != 2 {
			t.Errorf("%d connections were opened", n)
		}
	})
}

func TestReadersAreNeverMoreThanMaxReaders(t *testing.T) {
	d := newFake(t)
	s := open(t, d, config{MaxReaders: 3})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 200 {
				if err := s.Read(background, statement); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := d.opened.Load(); n > 3 {
		t.Errorf("%d readers were opened; want at most 3", n)
	}
}

// W-30: readers that nobody uses are given back.
func TestW30IdleReadersAreShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 4, IdleTimeout: time.Minute})
		var all []*held
		for range 4 {
			all = append(all, inGo(background, s.Read))
		}
		for _, h := range all {
			wantNil(t, h.release(), "a reader")
		}
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		if st := s.Stats(); st.Readers != 1 || d.open.Load() != 1 {
			t.Errorf("%d readers are open after two idle minutes; want all closed but one", st.Readers)
		}
		time.Sleep(time.Hour)
		if d.open.Load() != 1 {
			t.Error("the last reader is kept")
		}
		// One that works meanwhile is not touched, and not right after it either.
		h, p := inGo(background, s.Read), inGo(background, s.Read)
		time.Sleep(time.Hour)
		synctest.Wait()
		wantNil(t, h.conn.run(ended), "a statement of a long operation")
		wantNil(t, h.release(), "the long operation")
		time.Sleep(time.Minute - time.Second)
		if d.open.Load() != 2 {
			t.Error("a reader was closed that was used less than IdleTimeout ago")
		}
		wantNil(t, s.Pause(endedOK(t, p)), "Pause")
		opened := d.opened.Load()
		time.Sleep(time.Hour)
		if d.opened.Load() != opened {
			t.Error("something was opened while paused")
		}
		wantNil(t, s.Resume(background), "Resume")
	})
}

// endedOK lets h end while a pause begins.
func endedOK(t *testing.T, h *held) context.Context {
	go func() { _ = h.release() }()
	return within(t, time.Minute)
}

func TestSheddingMeetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(t)
		s := open(t, d, config{MaxReaders: 4, IdleTimeout: time.Millisecond, WhenPaused: lifecycle.Wait})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := s.Read(background, func(c *fakeConn) error { return c.run(ended) }); err != nil {
						t.Errorf("Read beside the shedder: %v", err)
						return
					}
					time.Sleep(time.Duration(i*700+300) * time.Microsecond)
				}
			})
		}
		for range 200 {
			time.Sleep(5 * time.Millisecond)
			wantNil(t, s.Pause(background), "Pause beside the shedder")
			d.nothingHeld(t)
			wantNil(t, s.Resume(background), "Resume")
		}
		close(stop)
		wg.Wait()
	})
}

// Paused means: no goroutine, no timer. Under synctest a timer would be seen, since the clock would stop at it.
func TestPausedMeansNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	ignore := goleak.IgnoreCurrent()
	s := open(t, newFake(t), config{IdleTimeout: time.Hour, MaxReaders: 4})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(background, time.Minute)
			defer cancel()
			_ = s.Read(ctx, statement)
			_ = s.Write(ctx, statement)
		})
	}
	wg.Wait()
	wantNil(t, s.Pause(background), "Pause")
	if err := goleak.Find(ignore); err != nil {
		t.Errorf("a paused store has a goroutine: %v", err)
	}
	wantNil(t, s.Resume(background), "Resume")
	wantNil(t, s.Pause(background), "Pause")
	if err := goleak.Find(ignore); err != nil {
		t.Errorf("a paused store has a goroutine: %v", err)
	}
}

func TestPausedMeansNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		d := newFake(t)
		s := open(t, d, config{IdleTimeout: time.Minute, MaxReaders: 2})
		d.onClose = func(*fakeConn) error { calls++; return nil }
		a, b := inGo(background, s.Read), inGo(background, s.Read)
		wantNil(t, a.release(), "a")
		wantNil(t, b.release(), "b")
		wantNil(t, s.Pause(background), "Pause")
		calls = 0
		time.Sleep(24 * time.Hour)
		if calls != 0 {
			t.Errorf("%d connections were closed while paused", calls)
		}
	})
}

// Ten thousand tenants' stores, most of them paused, must fit into one process.
func TestPausedStoreKeepsLessThanOneKiB(t *testing.T) {
	n := tier.Count(2000, 10_000, 100_000)
	if testing.Short() {
		n = 500
	}
	quiet := quietDriver{}
	for name, cfg := range map[string]lifecycle.Config[int]{
		"started paused":        {Name: "tenant", StartPaused: true},
		"paused after some use": {Name: "tenant", MaxReaders: 4, IdleTimeout: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			stores := make([]*lifecycle.Connections[int], 0, n)
			before := heap()
			for range n {
				s, err := lifecycle.Open(background, quiet, cfg)
				if err != nil {
					t.Fatal(err)
				}
				if !cfg.StartPaused {
					use := func(c int) error { return s.Read(s.Inside(background, c), func(int) error { return nil }) }
					if err := s.Write(background, use); err != nil {
						t.Fatal(err)
					}
					if err := s.Read(lifecycle.WithLabel(background, "label"), use); err != nil {
						t.Fatal(err)
					}
					if err := s.Pause(background); err != nil {
						t.Fatal(err)
					}
					if err := s.Resume(background); err != nil {
						t.Fatal(err)
					}
					if err := s.Pause(background); err != nil {
						t.Fatal(err)
					}
				}
				stores = append(stores, s)
			}
			each := (heap() - before) / int64(n)
			t.Logf("%d bytes for each of %d stores", each, n)
			if each >= 1024 && !raceEnabled {
				t.Errorf("a paused store keeps %d bytes; want less than 1 KiB", each)
			}
			if g := runtime.NumGoroutine(); g > 100 {
				t.Errorf("%d goroutines for %d paused stores", g, n)
			}
			runtime.KeepAlive(stores)
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) + int64(m.StackInuse)
}

// quietDriver has nothing.
type quietDriver struct{}

func (quietDriver) Open(context.Context, lifecycle.OpenInfo) (int, error) { return 1, nil }
func (quietDriver) Interrupt(int)                                         {}
func (quietDriver) Reset(int) error                                       { return nil }
func (quietDriver) Close(int) error                                       { return nil }

// M8: before 2.2.3, a puddle whose Close met a background creation of
// TryAcquire never returned from it and lost the connection. The core lets
// TryAcquire create nothing; this shows that no mixture of readers that come
// and go, on a pool that is never full, leaves a pause hanging.
func TestM8PauseMeetsReadersThatOpenConnections(t *testing.T) {
	d := newFake(t)
	s := open(t, d, config{MaxReaders: 16, Timeout: time.Minute})
	slow := func(context.Context, lifecycle.OpenInfo) error { runtime.Gosched(); return nil }
	d.onOpen = slow
	for range tier.Count(300, 5000, 50000) {
		start := make(chan struct{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				<-start
				for range 3 {
					_ = s.Read(background, nothing)
				}
			})
		}
		close(start)
		runtime.Gosched()
		wantNil(t, s.Pause(background), "Pause")
		d.nothingHeld(t)
		wg.Wait()
		wantNil(t, s.Resume(background), "Resume")
	}
}

func TestHoldersListsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		if h := s.Holders(); len(h) != 0 {
			t.Errorf("holders %v of an idle store", h)
		}
		a, b := inGo(lifecycle.WithLabel(background, "a"), s.Read), inGo(lifecycle.WithLabel(background, "b"), s.Write)
		var labels []string
		for _, h := range s.Holders() {
			labels = append(labels, h.Label)
			if h.CallSite != "" || h.Interrupted || h.Severed || h.Generation != 1 {
				t.Errorf("holder %+v", h)
			}
		}
		slices.Sort(labels)
		if !slices.Equal(labels, []string{"a", "b"}) {
			t.Errorf("labels %v", labels)
		}
		wantNil(t, a.release(), "a")
		wantNil(t, b.release(), "b")
	})
}

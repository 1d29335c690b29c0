package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Bench measures a store, in sub-benchmarks with the same names for every
// store, so that their tables can be compared with benchstat:
//
//	guarded-read            one read operation, one after another
//	guarded-write           one write operation, one after another
//	pause-idle              Pause with nothing in its way, after a write
//	resume-to-first-read    Resume, and the first read after it
//	pause-under-load        Pause with readers and a writer at work
//	drain                   from the end of the last operation to the nil of a Pause that waited for it
//	interrupt               Pause with a grace of 1 ms and a read that does not end by itself (capability Interrupt)
func Bench(b *testing.B, newHarness func() *Harness) {
	for _, m := range []struct {
		name  string
		needs []Capability
		run   func(*bench)
	}{
		{"guarded-read", nil, (*bench).read},
		{"guarded-write", nil, (*bench).write},
		{"pause-idle", needs(Gate), (*bench).idle},
		{"resume-to-first-read", needs(Gate), (*bench).resume},
		{"pause-under-load", needs(Gate), (*bench).load},
		{"drain", needs(Gate), (*bench).drain},
		{"interrupt", needs(Gate, Interrupt), (*bench).interrupt},
	} {
		b.Run(m.name, func(b *testing.B) {
			h := newHarness()
			if err := h.check(); err != nil {
				b.Fatal(err)
			}
			if reason := h.lacks(m.needs); reason != "" {
				b.Skip(reason)
			}
			o := Options{Timeout: 30 * time.Second, Grace: time.Second, MaxReaders: 4}
			if m.name == "interrupt" {
				o.Grace = time.Millisecond
			}
			store, err := h.Open(b.Context(), b.TempDir(), o)
			if err != nil {
				b.Fatal(err)
			}
			x := &bench{B: b, s: &subject{Store: store}}
			b.Cleanup(func() { x.check("Close", store.Close(context.Background())) })
			x.put(0)
			b.ReportAllocs()
			m.run(x)
		})
	}
}

type bench struct {
	*testing.B
	s *subject
}

func (b *bench) check(what string, err error) {
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (b *bench) put(i int) {
	b.check("a write", b.s.tryPut(context.Background(), fmt.Sprint("key", i%100), "value"))
}

func (b *bench) get() {
	_, err := b.s.tryGet(context.Background(), "key0")
	b.check("a read", err)
}

func (b *bench) pause() { b.check("Pause", b.s.Pause(context.Background())) }

// untimed runs what comes between two measurements.
func (b *bench) untimed(fn func()) {
	b.StopTimer()
	fn()
	b.StartTimer()
}

func (b *bench) resumed() { b.check("Resume", b.s.Resume(context.Background())) }

func (b *bench) read() {
	for b.Loop() {
		b.get()
	}
}

func (b *bench) write() {
	for i := 0; b.Loop(); i++ {
		b.put(i)
	}
}

func (b *bench) idle() {
	for i := 0; b.Loop(); i++ {
		b.pause()
		b.untimed(func() { b.resumed(); b.put(i); b.get() })
	}
}

func (b *bench) resume() {
	b.pause()
	for b.Loop() {
		b.resumed()
		b.get()
		b.untimed(b.pause)
	}
}

func (b *bench) load() {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				if w == 0 {
					err = b.s.tryPut(context.Background(), fmt.Sprint("key", i%100), "value")
				} else {
					_, err = b.s.tryGet(context.Background(), "key0")
				}
				if errors.Is(err, lifecycle.ErrPaused) {
					time.Sleep(20 * time.Microsecond)
				} else if err != nil {
					b.Errorf("an operation under load: %v", err)
					return
				}
			}
		})
	}
	for b.Loop() {
		b.pause()
		b.untimed(func() { b.resumed(); time.Sleep(100 * time.Microsecond) }) // the load comes back
	}
	close(stop)
	wg.Wait()
}

func (b *bench) drain() {
	for b.Loop() {
		var done chan error
		var let chan struct{}
		b.untimed(func() {
			let, done = make(chan struct{}), make(chan error, 2)
			entered := make(chan struct{})
			go func() {
				done <- b.s.Read(context.Background(), func(Tx) error { close(entered); <-let; return nil })
			}()
			<-entered
			go func() { done <- b.s.Pause(context.Background()) }()
			for {
				_, err := b.s.tryGet(failing(context.Background()), "key0")
				if errors.Is(err, lifecycle.ErrPaused) {
					break
				}
				time.Sleep(20 * time.Microsecond)
			}
		})
		close(let)
		b.check("a read and a Pause", errors.Join(<-done, <-done))
		b.untimed(b.resumed)
	}
}

func (b *bench) interrupt() {
	for b.Loop() {
		done := make(chan error, 1)
		b.untimed(func() {
			entered := make(chan struct{})
			go func() {
				done <- b.s.Read(context.Background(), func(tx Tx) error {
					close(entered)
					return busily(context.Background(), func(int) error { _, err := tx.Get("key0"); return err })
				})
			}()
			<-entered
		})
		b.pause()
		b.untimed(func() { <-done; b.resumed() })
	}
}
